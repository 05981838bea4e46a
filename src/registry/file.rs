//! A file of services: `.json` holds any list of REGISTRY.md §1, `.yaml` and `.yml` hold `services:`.
//!
//! It is the operator's own, so its endpoints may point anywhere. A file that is missing or wrong is an error that
//! changes nothing; an empty list is taken over.

mod watch;
mod yaml;

use std::fs::Metadata;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

pub(super) use self::watch::FileTask;
use super::document::{self, Context, Document, DocumentError, admitted};
use super::source::{Outcome, describe};

/// Largest file that is read, so that a path that points at an endless device costs an error and no memory.
const MAX_BYTES: u64 = 64 << 20;
/// Changes this close before a reading may be followed by another that leaves the same stamp, for clocks of file
/// systems are coarse.
const RACY: Duration = Duration::from_secs(2);

/// Why a file gives no list.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("cannot read it")]
    Read(#[source] io::Error),
    #[error("it is larger than {MAX_BYTES} bytes")]
    TooLarge,
    #[error("it is empty; accepted: a list, which may be an empty one (`services: []`)")]
    Empty,
    #[error("it is neither .json nor .yaml or .yml")]
    Kind,
    #[error("it is not UTF-8")]
    NotText,
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error(transparent)]
    Yaml(#[from] yaml::YamlError),
}

/// What tells one state of a file from another, links followed; `None` = it cannot be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    file: Option<(u64, u64, u64, i64, i64, i64, i64)>,
}

impl Stamp {
    fn of(path: &Path) -> Self {
        let facts = |m: &Metadata| (m.dev(), m.ino(), m.len(), m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec());
        Self { file: std::fs::metadata(path).ok().as_ref().map(facts) }
    }

    /// Whether the file changed so shortly before `now` that a further change might not show.
    fn is_racy(self, now: SystemTime) -> bool {
        let Some((.., changed, _)) = self.file else { return false };
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(changed).is_ok_and(|changed| now < Duration::from_secs(changed) + RACY)
    }
}

/// What is known of a file since it was last read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// Its state before it was read.
    stamp: Stamp,
    /// Whether a further change might leave the same stamp.
    racy: bool,
    /// Whether it gave no list.
    failed: bool,
}

impl Seen {
    /// A file that has not been read.
    pub(super) fn nothing() -> Self {
        Self { stamp: Stamp { file: None }, racy: true, failed: true }
    }
}

/// Reads the file at `path`. Blocks.
pub(super) fn read(path: &Path, context: &Context) -> (Seen, Outcome) {
    let stamp = Stamp::of(path);
    let racy = stamp.is_racy(SystemTime::now());
    match list(path, context) {
        Ok(document) => (Seen { stamp, racy, failed: false }, Outcome::List(document)),
        Err(error) => (Seen { stamp, racy, failed: true }, Outcome::Failed(describe(&error))),
    }
}

fn list(path: &Path, context: &Context) -> Result<Document, FileError> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let is_json = extension.eq_ignore_ascii_case("json");
    if !is_json && !["yaml", "yml"].iter().any(|yaml| extension.eq_ignore_ascii_case(yaml)) {
        return Err(FileError::Kind);
    }
    let bytes = bytes(path)?;
    if is_json {
        return Ok(document::read(&bytes, context, None)?);
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| FileError::NotText)?;
    let mut document = yaml::read(text, path)?;
    let (usable, refused) = admitted(document.declarations, context, None);
    document.declarations = usable;
    document.rejected.extend(refused);
    Ok(document)
}

fn bytes(path: &Path) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    let file = crate::yaml::open(path).map_err(FileError::Read)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(FileError::Read)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(FileError::TooLarge);
    }
    // A file that is being written anew is empty for a moment: that is no list.
    if bytes.trim_ascii().is_empty() { Err(FileError::Empty) } else { Ok(bytes) }
}
