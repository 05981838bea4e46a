//! A strict reader of YAML that reports everything that is wrong in one run, each with its place.
//!
//! [`Document::parse`] makes a tree in which every node knows its line and column. [`Section`], [`Value`] and
//! [`FromYaml`] take values out of it. What they cannot take they note in the document's [`Report`] and go on, so
//! that a file with ten mistakes gives ten messages. Keys that nobody asked for are mistakes too: a [`Section`] reports
//! them when it goes out of scope.
//!
//! Plain words mean what YAML 1.2 (core schema) says: `off` and `no` are text. Merge keys (`<<`) and aliases work.
//! What it refuses: several documents in a file, tags of its own, keys that are not text, nesting beyond
//! [`MAX_DEPTH`], aliases that repeat more than [`MAX_REPEATED`] values. It knows nothing of this crate's types; those implement [`FromYaml`] themselves.

mod later;
mod leaf;
mod mistake;
mod node;
mod parse;
mod section;
mod value;

/// Opens a regular file, or what behaves like one, for reading. Never waits: a pipe without a writer is an error.
///
/// # Errors
/// When it cannot be opened, or is a folder, a pipe or a socket.
pub fn open(path: &std::path::Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
    let flags = rustix::fs::OFlags::NONBLOCK.bits();
    let flags = i32::try_from(flags).unwrap_or_default();
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_fifo() || kind.is_socket() {
        return Err(std::io::Error::other("a pipe or a socket; accepted: a regular file"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests;

use std::rc::Rc;

pub use leaf::{Bounded, FromYaml};
pub use mistake::{Mistake, Position, Report};
pub use node::{MAX_DEPTH, MAX_REPEATED, Scalar};
pub use section::Section;
pub use value::Value;

use node::Node;

/// One parsed file, and the report that everything read from it goes to.
#[derive(Debug)]
pub struct Document {
    root: Rc<Node>,
    report: Report,
}

impl Document {
    /// Parses `text`. `file` is what messages call it. A file without content is an empty section.
    ///
    /// A syntax error, a second document, nesting beyond [`MAX_DEPTH`] and too much repetition end the reading and leave an
    /// empty root; everything else (duplicate keys, tags) is noted and read past. Both are in [`Document::report`].
    #[must_use]
    pub fn parse(text: &str, file: &str) -> Self {
        let report = Report::new(file);
        let root = parse::parse(text, &report).unwrap_or_else(|| Rc::new(Node::empty()));
        Self { root, report }
    }

    /// Parses what a file holds. Bytes that are not UTF-8 are a mistake at the first of them.
    #[must_use]
    pub fn parse_bytes(bytes: &[u8], file: &str) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::parse(text, file),
            Err(error) => {
                let report = Report::new(file);
                let (before, rest) = bytes.split_at(error.valid_up_to());
                let place = Position::after(&String::from_utf8_lossy(before));
                let byte = rest.first().copied().unwrap_or_default();
                report.mistake(place, "", format!("the byte 0x{byte:02x} is not UTF-8; accepted: text in UTF-8"));
                Self { root: Rc::new(Node::empty()), report }
            }
        }
    }

    /// The whole document as a section.
    #[must_use]
    pub fn root(&self) -> Section<'_> {
        Value::new(&self.root, String::new(), &self.report).section()
    }

    /// What was found so far.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Ends the reading: what was wrong, and what is only worth a warning, each in the order of the file.
    #[must_use]
    pub fn into_findings(self) -> (Vec<Mistake>, Vec<Mistake>) {
        self.report.into_findings()
    }
}
