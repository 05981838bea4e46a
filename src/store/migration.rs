//! The formats a store can be written in, and what is done about each (DESIGN.md, "The store").
//!
//! `serve` makes a store only where there is none. One that is older than this program's is for `migrate`; one that is
//! newer is refused, for what this program wrote into it would be lost on those who wrote the rest.

#[path = "../../migrations/embedded/m0001_context_sync.rs"]
pub mod m0001_context_sync;
#[path = "../../migrations/embedded/m0002_identity_and_registry.rs"]
pub mod m0002_identity_and_registry;
#[path = "../../migrations/embedded/m0003_files.rs"]
pub mod m0003_files;

use serde::Serialize;
use serde::de::DeserializeOwned;

use m0003_files as current;

/// The format that this program writes.
pub const FORMAT: u8 = current::FORMAT;
/// The oldest version of this program that reads it.
pub const OLDEST_READER: &str = current::OLDEST_READER;
/// The first format there was. Records of every format from it on are read as they are: none has changed since.
pub const FIRST: u8 = m0001_context_sync::FORMAT;

/// What brings a store from the format before to [`Step::to`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The format it leads to.
    pub to: u8,
    /// What it does, for the operator.
    pub what: &'static str,
}

/// Every step there is, in order. None has had to touch a record so far: what a format added was not there before, and
/// the format record, which each writes anew, is all that changes.
const STEPS: [Step; 2] = [
    Step {
        to: m0002_identity_and_registry::FORMAT,
        what: "format 2: room for registrations, projects and the retention of events; records stay as they are",
    },
    Step {
        to: m0003_files::FORMAT,
        what: "format 3: room for files whose contents are kept; records stay as they are",
    },
];

/// The steps from `format` to [`FORMAT`].
pub fn steps_from(format: u8) -> impl Iterator<Item = Step> {
    STEPS.into_iter().filter(move |step| step.to > format)
}

/// A record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It was written in a format that this program does not know.
    #[error("a record is in format {0}, which this version does not know")]
    Format(u8),
    /// Its bytes are not a record.
    #[error("a record is damaged")]
    Damaged,
}

/// A record as it is stored: its format, then postcard.
///
/// # Errors
/// When the record cannot be written, which its types rule out.
pub fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>, RecordError> {
    postcard::to_extend(record, vec![FORMAT]).map_err(|_| RecordError::Damaged)
}

/// The inverse of [`encode`].
///
/// # Errors
/// [`RecordError`].
pub fn decode<T: DeserializeOwned>(stored: &[u8]) -> Result<T, RecordError> {
    match stored.split_first() {
        Some((&(FIRST..=FORMAT), record)) => match postcard::take_from_bytes(record) {
            Ok((record, [])) => Ok(record),
            _ => Err(RecordError::Damaged),
        },
        Some((&format, _)) if format > FORMAT => Err(RecordError::Format(format)),
        _ => Err(RecordError::Damaged),
    }
}
