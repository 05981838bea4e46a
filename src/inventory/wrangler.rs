//! Wrangler files: found under folders, read within limits, and what of them is a claim.
//!
//! A file is taken whole or not at all. Links are not followed, nothing above [`MAX_FILE`] is loaded, and whatever cannot
//! be read is said ([`Unread`]) while the rest goes on.

pub mod declared;
mod jsonc;
pub mod text;
mod toml;
pub mod tree;
mod walk;

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use self::declared::Declared;
use self::text::{Lines, Syntax};
use self::tree::Node;

/// Largest wrangler file, in bytes: a thousand times what one usually has. What is larger is something else.
pub const MAX_FILE: u64 = 1 << 20;

/// Something that could not be read, and why. The rest was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unread {
    /// The file, the folder, or the part of an API.
    pub what: String,
    /// The line, from 1, where one is to blame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The column, from 1, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// Why, and what can be done.
    pub why: String,
}

impl Unread {
    /// Of a whole file or folder.
    pub fn new(what: impl fmt::Display, why: impl Into<String>) -> Self {
        Self { what: what.to_string(), line: None, column: None, why: why.into() }
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.why)
    }
}

/// A wrangler file that parses.
#[derive(Clone, Debug)]
pub struct WranglerFile {
    /// As it was reached.
    pub path: PathBuf,
    /// All of it, a byte order mark included.
    pub text: String,
    /// TOML or JSON with comments.
    pub syntax: Syntax,
    /// What it says of routes; offsets are of `text`.
    pub declared: Declared,
}

impl WranglerFile {
    /// The path for people.
    #[must_use]
    pub fn shown(&self) -> String {
        self.path.display().to_string()
    }

    /// Reads what a file of this name may hold.
    ///
    /// # Errors
    /// [`Unread`] with the place of the first mistake.
    pub fn parse(path: PathBuf, text: String, syntax: Syntax) -> Result<Self, Unread> {
        let at = |offset: usize, why: String| {
            let (line, column) = Lines::of(&text).place(offset);
            Unread { what: path.display().to_string(), line: Some(line), column: Some(column), why }
        };
        let root = parse(&text, syntax).map_err(|(offset, why)| at(offset, why))?;
        let declared = Declared::of(&root);
        Ok(Self { path, text, syntax, declared })
    }
}

/// The tree of a text, or where it goes wrong and why.
pub(super) fn parse(text: &str, syntax: Syntax) -> Result<Node, (usize, String)> {
    match syntax {
        Syntax::Toml => toml::parse(text),
        Syntax::Jsonc => jsonc::parse(text),
    }
}

/// What was found under some paths.
#[derive(Debug, Default)]
pub struct Found {
    /// Files that parse, in the order of their paths.
    pub files: Vec<WranglerFile>,
    /// What does not.
    pub unread: Vec<Unread>,
}

/// Reads every wrangler file under `paths`; a path that is a file itself is read whatever its name.
/// `seen` is told of each file.
pub fn find(paths: &[PathBuf], mut seen: impl FnMut(usize)) -> Found {
    let mut found = Found::default();
    let mut all = walk::Walked::default();
    for path in paths {
        walk::walk(path, &mut all);
    }
    all.files.sort();
    // The same file by two paths is one file.
    let mut known = HashSet::new();
    all.files.retain(|file| known.insert(file.canonicalize().unwrap_or_else(|_| file.clone())));
    found.unread = all.unread;
    for (index, path) in all.files.into_iter().enumerate() {
        match read(&path) {
            Ok(file) => found.files.push(file),
            Err(unread) => found.unread.push(unread),
        }
        seen(index + 1);
    }
    found.unread.sort();
    found.unread.dedup();
    found
}

fn read(path: &Path) -> Result<WranglerFile, Unread> {
    let shown = &path.display().to_string();
    let failed = |error: std::io::Error| Unread::new(shown, format!("cannot be read: {error}"));
    let Some(syntax) = Syntax::of(path) else {
        return Err(Unread::new(shown, "is not a wrangler file; accepted: .toml, .json, .jsonc"));
    };
    // Metadata first, so that opening cannot wait for a pipe's writer.
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(Unread::new(shown, "is not a regular file"));
    }
    let too_large = |bytes: u64| {
        let why = format!("is larger than a wrangler file may be ({MAX_FILE} bytes): {bytes} bytes; it was not read");
        Unread::new(shown, why)
    };
    if metadata.len() > MAX_FILE {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(too_large(bytes.len() as u64));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..good]).into_owned();
        let (line, column) = Lines::of(&before).place(good);
        let why = format!("is not UTF-8: byte {:#04x}", error.as_bytes()[good]);
        Unread { what: shown.clone(), line: Some(line), column: Some(column), why }
    })?;
    WranglerFile::parse(path.to_owned(), text, syntax)
}

#[cfg(test)]
mod tests;
