//! The lines of an export. A field that is not there is none; members that a line's kind does not have are refused, for
//! what is not understood would be lost.

mod field;
mod shape;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::store::migration::FORMAT;
use crate::store::record::{Kind, Record};

/// What the first line says it is.
const HEADER: &str = "chittyconnect_store";
/// What the last line says it is.
const END: &str = "end";
/// The first format that was ever exported.
const FIRST: u8 = 2;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::store) struct Header {
    kind: String,
    /// The format of the store that was exported.
    pub(in crate::store) format: u8,
    /// The version of the program that exported it.
    pub(in crate::store) version: String,
    /// The number of the last event.
    pub(in crate::store) event: u64,
    /// Events of this number and below are gone.
    pub(in crate::store) trimmed: u64,
}

impl Header {
    /// That of this version.
    pub(in crate::store) fn new(event: u64, trimmed: u64) -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self { kind: HEADER.to_owned(), format: FORMAT, version, event, trimmed }
    }
}

/// The last line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::store) struct End {
    kind: String,
    /// Records between the first line and this one.
    pub(in crate::store) records: u64,
    /// The same by kind; a kind without any is left out.
    pub(in crate::store) counts: BTreeMap<String, u64>,
}

impl End {
    pub(in crate::store) fn new(counts: &BTreeMap<Kind, u64>) -> Self {
        let records = counts.values().sum();
        let counts = counts.iter().map(|(kind, count)| (kind.as_str().to_owned(), *count)).collect();
        Self { kind: END.to_owned(), records, counts }
    }
}

/// What one line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) enum Line {
    Header(Header),
    Record(Record),
    End(End),
}

#[derive(Deserialize)]
struct Tag {
    kind: String,
    format: Option<u8>,
}

/// Reads one line.
///
/// # Errors
/// What was found and what is accepted.
pub(in crate::store) fn parse(text: &[u8]) -> Result<Line, String> {
    let text = std::str::from_utf8(text).map_err(|_| "found bytes that are not UTF-8".to_owned())?;
    let tag: Tag = read(text)?;
    match tag.kind.as_str() {
        HEADER => match tag.format {
            // Before the other members, for a later version may have more of them.
            Some(format) if !(FIRST..=FORMAT).contains(&format) => Err(format!(
                "found an export in format {format}; accepted: {FIRST} to {FORMAT}, or a version of chittyconnect that \
                 knows it"
            )),
            _ => Ok(Line::Header(read(text)?)),
        },
        END => Ok(Line::End(read(text)?)),
        kind => match Kind::exported(kind) {
            Some(kind) => shape::parse(kind, text).map(Line::Record),
            None => {
                let known: Vec<&str> = Kind::EXPORTED.into_iter().map(Kind::as_str).collect();
                Err(format!("kind: found {kind:?}; accepted: {}", known.join(", ")))
            }
        },
    }
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| {
        let column = error.column();
        let text = error.to_string();
        let what = text.split(" at line ").next().unwrap_or_default();
        if error.is_syntax() || error.is_eof() {
            format!("found what is no JSON object, at byte {column}: {what}")
        } else {
            format!("{what}, at byte {column}")
        }
    })
}

/// Appends a line.
///
/// # Errors
/// Why this cannot be a line: a record with a JSON value that is none.
pub(in crate::store) fn write(line: &Line, to: &mut Vec<u8>) -> Result<(), String> {
    let written = match line {
        Line::Header(header) => serde_json::to_writer(&mut *to, header),
        Line::End(end) => serde_json::to_writer(&mut *to, end),
        Line::Record(record) => shape::write(record, to),
    };
    written.map_err(|error| error.to_string())?;
    to.push(b'\n');
    Ok(())
}
