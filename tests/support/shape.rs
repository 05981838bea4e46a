//! What an answer's JSON must hold, written as JSON: members that are named must be there and fit, others may be.
//!
//! A text in angle brackets stands for a kind of value: `<any>`, `<text>`, `<number>`, `<bool>`, `<uuid>`, `<time>`
//! (`2026-01-02T03:04:05.678Z`), `<millis>`, `<array>`, `<object>`, `<text?>` (or null), `<absent>`. An array of one
//! element holds for every element of an array that has at least one.

use serde_json::Value;

use super::task::is_time;

/// Where `seen` does not fit `expected`, a line each.
pub(crate) fn misfits(expected: &Value, seen: &Value) -> Vec<String> {
    let mut misfits = Vec::new();
    compare("", expected, seen, &mut misfits);
    misfits
}

fn compare(path: &str, expected: &Value, seen: &Value, misfits: &mut Vec<String>) {
    match expected {
        Value::String(kind) if kind.starts_with('<') && kind.ends_with('>') => {
            if !is_kind(kind, seen) {
                misfits.push(format!("{path}: expected {kind}, seen {seen}"));
            }
        }
        Value::Object(members) => {
            if !seen.is_object() {
                misfits.push(format!("{path}: expected an object, seen {seen}"));
                return;
            }
            for (name, member) in members {
                let path = format!("{path}/{name}");
                match (member.as_str(), seen.get(name)) {
                    (Some("<absent>"), None) => {}
                    (Some("<absent>"), Some(found)) => misfits.push(format!("{path}: expected nothing, seen {found}")),
                    (_, None) => misfits.push(format!("{path}: is not there")),
                    (_, Some(found)) => compare(&path, member, found, misfits),
                }
            }
        }
        Value::Array(elements) if elements.len() == 1 && seen.as_array().is_some_and(|seen| !seen.is_empty()) => {
            for (index, found) in seen.as_array().into_iter().flatten().enumerate() {
                compare(&format!("{path}/{index}"), &elements[0], found, misfits);
            }
        }
        other => {
            if other != seen {
                misfits.push(format!("{path}: expected {other}, seen {seen}"));
            }
        }
    }
}

fn is_kind(kind: &str, seen: &Value) -> bool {
    match kind {
        "<any>" => true,
        "<text>" => seen.as_str().is_some_and(|text| !text.is_empty()),
        "<text?>" => seen.is_null() || seen.is_string(),
        "<number>" => seen.is_number(),
        "<bool>" => seen.is_boolean(),
        "<uuid>" => seen.as_str().is_some_and(|text| text.len() == 36 && uuid::Uuid::try_parse(text).is_ok()),
        "<time>" => is_time(seen),
        // From 2020 on, and not in seconds.
        "<millis>" => seen.as_u64().is_some_and(|millis| millis > 1_577_836_800_000),
        "<array>" => seen.is_array(),
        "<object>" => seen.is_object(),
        _ => false,
    }
}
