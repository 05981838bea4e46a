//! What both syntaxes come to: a tree with the place of every value.

use std::ops::Range;

/// A value and where it stands in its text.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// All of it; of a TOML table with a header, the header; empty where a table is nowhere written.
    pub span: Range<usize>,
    /// What it is.
    pub kind: Kind,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A string.
    Text(String),
    /// `true` or `false`.
    Bool(bool),
    /// `[…]`.
    List(Vec<Node>),
    /// Tables under `[[…]]` headers.
    Tables(Vec<Node>),
    /// A table, or an object.
    Table(Vec<Field>),
    /// Anything else.
    Other,
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// The key, unquoted.
    pub key: String,
    /// Where the key stands.
    pub at: Range<usize>,
    /// Its value.
    pub value: Node,
    /// Whether it has lines of its own, and no comma.
    pub in_lines: bool,
}

impl Field {
    /// Key and value.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.at.start..self.value.span.end.max(self.at.end)
    }
}

impl Node {
    /// The fields of a table; none of anything else.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        match &self.kind {
            Kind::Table(fields) => fields,
            _ => &[],
        }
    }

    /// The field of this key; the last, as JSON has it.
    #[must_use]
    pub fn field(&self, key: &str) -> Option<&Field> {
        self.fields().iter().rev().find(|field| field.key == key)
    }

    /// Its text, if it is a string.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }
}
