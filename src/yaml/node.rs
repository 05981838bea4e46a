//! The tree that a file is read into.

use std::borrow::Cow;
use std::rc::Rc;

use super::mistake::Position;

/// Deepest nesting accepted, aliases included. The deepest legal configuration has 7 levels; the limit keeps recursion
/// (dropping a tree is one) far from the end of any stack.
pub const MAX_DEPTH: usize = 64;

/// Most values that the aliases of a file may repeat, all together, those inside of what they repeat counted: what ten
/// thousand services have that take 25 keys each from one anchor. Every one is looked at as if it had been written, so a
/// file that says more in a few lines only keeps the process busy.
pub const MAX_REPEATED: usize = 250_000;

/// Longest piece of a value that a message quotes, in characters.
const SHOWN: usize = 60;

/// One value and its place.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) kind: Kind,
    /// Levels below this one, aliases included.
    pub(super) height: usize,
    /// Values in it, itself and what aliases repeat included.
    pub(super) size: usize,
}

#[derive(Debug)]
pub(super) enum Kind {
    Null,
    Scalar(Scalar),
    List(Vec<Rc<Node>>),
    Map(Vec<Entry>),
}

/// One key of a section, and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: Box<str>,
    pub(super) at: Position,
    pub(super) node: Rc<Node>,
}

/// A single value as it was written.
#[derive(Debug)]
pub struct Scalar {
    pub(super) text: Box<str>,
    /// Written without quotes, so that it may be a number or a truth value.
    pub(super) plain: bool,
}

impl Node {
    /// A section without keys.
    pub(super) fn empty() -> Self {
        Self { at: Position::START, kind: Kind::Map(Vec::new()), height: 0, size: 1 }
    }

    /// What it is, for "found …".
    pub(super) fn shown(&self) -> Cow<'static, str> {
        match &self.kind {
            Kind::Null => "nothing".into(),
            Kind::Scalar(scalar) => scalar.shown().into(),
            Kind::List(_) => "a list".into(),
            Kind::Map(_) => "a section".into(),
        }
    }
}

impl Scalar {
    /// What was written, without quotes.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.text
    }

    /// Its text, if it is text and not a number or a truth value.
    ///
    /// # Errors
    /// The reason, for a message: `42 is a number, not text`.
    pub fn text(&self) -> Result<&str, String> {
        match self.plain_kind() {
            None => Ok(&self.text),
            Some(kind) => Err(format!("{} is {kind}, not text", self.text)),
        }
    }

    /// What was written, if it was written without quotes: the only way to write a number or a truth value.
    #[must_use]
    pub fn plain(&self) -> Option<&str> {
        self.plain.then_some(&*self.text)
    }

    /// The value for a message: text in double quotes, anything else bare; long ones are cut.
    #[must_use]
    pub fn shown(&self) -> String {
        if self.plain_kind().is_some() {
            return self.text.chars().take(SHOWN).collect();
        }
        let cut: String = self.text.chars().take(SHOWN).collect();
        let more = if cut.len() < self.text.len() { "…" } else { "" };
        format!("\"{}{more}\"", cut.escape_debug())
    }

    /// The reason why it is not `what`, which has to be written without quotes.
    pub(super) fn is_not(&self, what: &str) -> String {
        let shown = self.shown();
        if self.plain { format!("{shown} is not {what}") } else { format!("{shown} is text, not {what}") }
    }

    fn plain_kind(&self) -> Option<&'static str> {
        match &*self.text {
            _ if !self.plain => None,
            "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => Some("a truth value"),
            text if is_number(text) => Some("a number"),
            _ => None,
        }
    }
}

/// Whether YAML 1.2's core schema reads `text` as an integer or a float (YAML 1.2.2 §10.3.2).
fn is_number(text: &str) -> bool {
    if let Some(digits) = text.strip_prefix("0x") {
        return !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return !digits.is_empty() && digits.bytes().all(|b| (b'0'..=b'7').contains(&b));
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    // Rust's float grammar is the schema's, but for the words `inf`, `infinity` and `nan`.
    unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') && unsigned.parse::<f64>().is_ok()
}

/// Whether YAML 1.2's core schema reads a plain `text` as null.
pub(super) fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}
