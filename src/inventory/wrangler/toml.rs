//! TOML, by `toml_edit`.

use std::ops::Range;

use toml_edit::{Document, Item, TableLike, Value};

use super::tree::{Field, Kind, Node};

/// The tree of a text, or where it goes wrong and why.
pub(super) fn parse(text: &str) -> Result<Node, (usize, String)> {
    let document = Document::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        (at, format!("is not TOML: {}", error.message().replace('\n', "; ")))
    })?;
    Ok(Node { span: 0..text.len(), kind: table(document.as_table(), true) })
}

fn table(table: &dyn TableLike, in_lines: bool) -> Kind {
    let fields = table.iter().filter_map(|(name, item)| {
        let at = table.key(name)?.span().unwrap_or_default();
        Some(Field { key: name.to_owned(), at, value: node(item, in_lines), in_lines })
    });
    Kind::Table(fields.collect())
}

fn node(item: &Item, in_lines: bool) -> Node {
    match item {
        Item::None => Node { span: 0..0, kind: Kind::Other },
        Item::Value(inner) => value(inner, in_lines),
        Item::Table(inner) => {
            // A table of dotted keys stands where its keys do.
            let span = if inner.is_dotted() { None } else { inner.span() };
            Node { span: span.unwrap_or_default(), kind: table(inner, true) }
        }
        Item::ArrayOfTables(tables) => {
            let nodes =
                tables.iter().map(|inner| Node { span: inner.span().unwrap_or_default(), kind: table(inner, true) });
            Node { span: tables.span().unwrap_or_default(), kind: Kind::Tables(nodes.collect()) }
        }
    }
}

fn value(value: &Value, in_lines: bool) -> Node {
    let span: Range<usize> = value.span().unwrap_or_default();
    let kind = match value {
        Value::String(text) => Kind::Text(text.value().clone()),
        Value::Boolean(yes) => Kind::Bool(*yes.value()),
        Value::Array(list) => Kind::List(list.iter().map(|inner| self::value(inner, false)).collect()),
        Value::InlineTable(inner) => table(inner, in_lines && inner.is_dotted()),
        Value::Integer(_) | Value::Float(_) | Value::Datetime(_) => Kind::Other,
    };
    Node { span, kind }
}
