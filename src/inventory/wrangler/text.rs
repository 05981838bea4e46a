//! The text of a wrangler file: lines, and what is comment in it.

use std::ops::Range;
use std::path::Path;

/// What a file is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// TOML.
    Toml,
    /// JSON with comments and trailing commas, as wrangler reads `.json` too.
    Jsonc,
}

/// What a name of a file ends in, and what it then is written in.
const ENDINGS: [(&str, Syntax); 3] = [(".toml", Syntax::Toml), (".jsonc", Syntax::Jsonc), (".json", Syntax::Jsonc)];

impl Syntax {
    /// By the file's name: its ending, or what stands before ` copy` and the like.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy();
        let ending = ENDINGS.iter().find(|(ending, _)| name.ends_with(ending));
        let copied = || ENDINGS.iter().find(|(ending, _)| name.contains(&format!("{ending} ")));
        ending.or_else(copied).map(|(_, syntax)| *syntax)
    }

    /// Whether a file of this name is one of wrangler's: `wrangler.toml`, `wrangler.staging.toml`,
    /// `wrangler (1).jsonc`, `wrangler.toml copy`.
    #[must_use]
    pub fn is_wrangler(path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.strip_prefix("wrangler").is_some_and(|rest| rest.starts_with(['.', ' ', '-', '_']))
            && Self::of(path).is_some()
    }
}

/// Where lines begin.
pub struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    /// Of a text; lines end in LF, with or without a CR before it.
    #[must_use]
    pub fn of(text: &'t str) -> Self {
        let after = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(after).collect() }
    }

    /// Line and column of an offset, both from 1, the column in characters; a byte order mark is none.
    #[must_use]
    pub fn place(&self, offset: usize) -> (usize, usize) {
        let offset = offset.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts[line - 1];
        let before = self.text.get(start..offset).unwrap_or_default();
        (line, before.trim_start_matches('\u{feff}').chars().count() + 1)
    }
}

/// Every comment of a text that parses, in its order, without the end of its line.
#[must_use]
pub fn comments(text: &str, syntax: Syntax) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let end = match (syntax, rest[0]) {
            (Syntax::Toml, b'#') => line_end(bytes, at),
            (Syntax::Jsonc, b'/') if rest.starts_with(b"//") => line_end(bytes, at),
            (Syntax::Jsonc, b'/') if rest.starts_with(b"/*") => {
                text[at + 2..].find("*/").map_or(bytes.len(), |end| at + 2 + end + 2)
            }
            (Syntax::Toml, quote @ (b'"' | b'\'')) => {
                at = toml_string(bytes, at, quote);
                continue;
            }
            (Syntax::Jsonc, b'"') => {
                at = string(bytes, at + 1, b'"', true);
                continue;
            }
            _ => {
                at += 1;
                continue;
            }
        };
        found.push(at..end);
        at = end;
    }
    found
}

/// Where the line of `at` ends: at its CR or LF.
fn line_end(bytes: &[u8], at: usize) -> usize {
    let end = bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| at + end);
    if end > at && bytes[end - 1] == b'\r' { end - 1 } else { end }
}

/// Behind a string of one line whose inside begins at `at`.
fn string(bytes: &[u8], mut at: usize, quote: u8, escapes: bool) -> usize {
    while at < bytes.len() && bytes[at] != quote {
        at += if escapes && bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// Behind a TOML string, of one line or several, that begins at `at`.
fn toml_string(bytes: &[u8], at: usize, quote: u8) -> usize {
    let escapes = quote == b'"';
    let three = [quote; 3];
    if !bytes[at..].starts_with(&three) {
        return string(bytes, at + 1, quote, escapes);
    }
    let mut at = at + 3;
    while at < bytes.len() && !bytes[at..].starts_with(&three) {
        at += if escapes && bytes[at] == b'\\' { 2 } else { 1 };
    }
    at += 3;
    // Up to two more quotes before the three that end it belong to its text.
    while at < bytes.len() && bytes[at] == quote {
        at += 1;
    }
    at.min(bytes.len())
}
