//! JSON with comments and trailing commas, by `jsonc-parser`; nothing looser, as wrangler takes nothing looser.

use jsonc_parser::ast::Value;
use jsonc_parser::{CollectOptions, CommentCollectionStrategy, ParseOptions, parse_to_ast};

use super::tree::{Field, Kind, Node};

/// The byte order mark, which is no part of the JSON.
const MARK: &str = "\u{feff}";

/// The tree of a text, or where it goes wrong and why.
pub(super) fn parse(text: &str) -> Result<Node, (usize, String)> {
    let inside = text.strip_prefix(MARK).unwrap_or(text);
    let shift = text.len() - inside.len();
    let collect = CollectOptions { comments: CommentCollectionStrategy::Off, tokens: false };
    let options = ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let parsed = parse_to_ast(inside, &collect, &options)
        .map_err(|error| (error.range().start + shift, format!("is not JSON: {}", error.kind())))?;
    match parsed.value {
        Some(root @ Value::Object(_)) => Ok(node(&root, shift)),
        Some(_) => Err((shift, "is not JSON of wrangler: an object is expected".to_owned())),
        None => Err((shift, "is not JSON: it is empty".to_owned())),
    }
}

fn node(value: &Value<'_>, shift: usize) -> Node {
    let range = |range: jsonc_parser::common::Range| range.start + shift..range.end + shift;
    match value {
        Value::StringLit(text) => Node { span: range(text.range), kind: Kind::Text(text.value.to_string()) },
        Value::BooleanLit(yes) => Node { span: range(yes.range), kind: Kind::Bool(yes.value) },
        Value::NumberLit(number) => Node { span: range(number.range), kind: Kind::Other },
        Value::NullKeyword(null) => Node { span: range(null.range), kind: Kind::Other },
        Value::Array(list) => {
            let nodes = list.elements.iter().map(|inner| node(inner, shift)).collect();
            Node { span: range(list.range), kind: Kind::List(nodes) }
        }
        Value::Object(object) => {
            let fields = object.properties.iter().map(|property| {
                let value = node(&property.value, shift);
                let start = property.range.start + shift;
                let at = start..start + name_length(&property.name);
                Field { key: property.name.as_str().to_owned(), at, value, in_lines: false }
            });
            Node { span: range(object.range), kind: Kind::Table(fields.collect()) }
        }
    }
}

fn name_length(name: &jsonc_parser::ast::ObjectPropName<'_>) -> usize {
    use jsonc_parser::ast::ObjectPropName;
    let range = match name {
        ObjectPropName::String(text) => text.range,
        ObjectPropName::Word(word) => word.range,
    };
    range.end - range.start
}
