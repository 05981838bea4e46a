//! Format 2 of the embedded store: what it adds to format 1 (`m0001_context_sync.rs`), whose records stay as they are.
//!
//! New are services that register themselves, what is known of a project from one session to the next, how far the
//! event log was cut, and the order of a session's files and of a chitty id's sessions. The step from format 1 writes the
//! format record anew and nothing else: there was nothing of these kinds before, nor any file or session. Versions before
//! 0.2.0 do not know them and would not carry them along.

use serde::{Deserialize, Serialize};

use super::m0001_context_sync::Millis;

/// The number of this format: the first byte of every record that is written from now on.
pub const FORMAT: u8 = 2;
/// The oldest version of the program that reads it.
pub const OLDEST_READER: &str = "0.2.0";

/// What a key begins with, beside the kinds of format 1.
pub mod kind {
    /// `r chitty 0 name 0` → [`super::RegistrationRecord`]. A name is registered once in the whole store.
    pub const REGISTRATION: u8 = b'r';
    /// `g chitty 0 session 0 active(1) !last_accessed(8) SHA-256 of the URI(32)` → nothing; of context files. The
    /// first is 0 for a file in the active set, else 1.
    pub const FILE_BY_ACCESS: u8 = b'g';
    /// `h chitty 0 !created(8) session 0` → nothing; of sessions.
    pub const SESSION_BY_AGE: u8 = b'h';
    /// `j chitty 0 SHA-256 of the project's key(32)` → [`super::ProjectRecord`].
    pub const PROJECT: u8 = b'j';
}

/// `m trimmed`: how far the event log was cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrimmedRecord {
    /// Events of this number and below are gone, in every session.
    pub event: u64,
}

/// A service that registered itself (REGISTRY.md §3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the comments of the fields that need one")]
pub struct RegistrationRecord {
    /// The slug that it is listed under.
    pub name: String,
    /// The chitty id whose keys may change it.
    pub chitty_id: String,
    /// The entry as it is listed, a JSON object with the spellings of REGISTRY.md §2.
    pub entry: String,
    pub registered_at: Millis,
    pub updated_at: Millis,
    /// From then on it is not listed, until it is heard of again.
    pub expires_at: Millis,
}

/// What sessions of a project leave for the next one (CONTRACT.md §6, `priorContext`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the comments of the fields that need one")]
pub struct ProjectRecord {
    pub chitty_id: String,
    /// `project:<org>:<slug>`.
    pub key: String,
    /// A JSON object.
    pub value: String,
    pub updated_at: Millis,
}
