//! Format 1 of the embedded store: tasks, context files, sync events, sessions, the event log, keys, and requests that
//! are done once. The fields are those of CONTRACT.md §2 to §4 and §6, with what DESIGN.md adds.
//!
//! What is written here is on people's disks: it is never edited. A change of format is a file of its own, with the
//! record types that change and the steps from this one.
//!
//! A key is one kind byte and its components: ids end in a zero byte, numbers are big-endian, times and task ids of
//! lists are inverted, so that a forward scan begins with the newest. A value is one byte, the format that its record
//! was written in, and the record as postcard 1. Records that refer to others are written with them in one batch.

use serde::{Deserialize, Serialize};

/// The number of this format: the first byte of every record.
pub const FORMAT: u8 = 1;
/// The oldest version of the program that reads it.
pub const OLDEST_READER: &str = "0.1.0";

/// What a key begins with.
pub mod kind {
    /// `m name` → [`super::FormatRecord`], [`super::CommitRecord`]. The one kind without a chitty id.
    pub const META: u8 = b'm';
    /// `t chitty 0 session 0 order` → [`super::TaskRecord`]. The order is `!updated_at(8) !task_id(16)`.
    pub const TASK: u8 = b't';
    /// `i chitty 0 task_id(16)` → [`super::TaskPlaceRecord`].
    pub const TASK_PLACE: u8 = b'i';
    /// `s chitty 0 session 0 status(1) order` → nothing.
    pub const TASK_BY_STATUS: u8 = b's';
    /// `p chitty 0 session 0 priority(1) order` → nothing.
    pub const TASK_BY_PRIORITY: u8 = b'p';
    /// `c chitty 0 session 0 parent(16) order` → nothing; of tasks that have a parent.
    pub const TASK_BY_PARENT: u8 = b'c';
    /// `a chitty 0 session 0 length(2) service order` → nothing; of tasks that are assigned.
    pub const TASK_BY_SERVICE: u8 = b'a';
    /// `f chitty 0 session 0 SHA-256 of the URI(32)` → [`super::ContextFileRecord`].
    pub const CONTEXT_FILE: u8 = b'f';
    /// `y chitty 0 session 0 event(8)` → [`super::SyncEventRecord`].
    pub const SYNC_EVENT: u8 = b'y';
    /// `n chitty 0 session 0` → [`super::SessionRecord`].
    pub const SESSION: u8 = b'n';
    /// `e chitty 0 session 0 event(8)` → [`super::EventRecord`].
    pub const EVENT: u8 = b'e';
    /// `k chitty 0 SHA-256 of the key(32)` → [`super::KeyRecord`].
    pub const KEY: u8 = b'k';
    /// `o chitty 0 key id 0 SHA-256 of the name(32)` → [`super::OnceRecord`].
    pub const ONCE: u8 = b'o';
}

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Millis = u64;

/// `m format`: what the store is written in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormatRecord {
    /// [`FORMAT`], or that of a later migration.
    pub format: u8,
    /// [`OLDEST_READER`], or that of a later migration.
    pub oldest_reader: String,
}

/// `m commit`: in every batch, so that it says which one the store came up with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitRecord {
    /// The number of the batch.
    pub commit: u64,
    /// The number of the last event.
    pub event: u64,
    /// Entries of all kinds but meta, continuations of long values included.
    pub entries: u64,
}

/// A task (CONTRACT.md §2). JSON values are kept as their text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the contract's fields")]
pub struct TaskRecord {
    pub task_id: [u8; 16],
    pub session_id: String,
    pub chitty_id: String,
    pub task_type: String,
    /// 0 `pending`, 1 `in_progress`, 2 `completed`, 3 `failed`, 4 `cancelled`.
    pub status: u8,
    pub title: String,
    pub description: Option<String>,
    /// 0 `low`, 1 `normal`, 2 `high`, 3 `urgent`.
    pub priority: u8,
    pub assigned_service: Option<String>,
    pub parent_task_id: Option<[u8; 16]>,
    pub created_at: Millis,
    pub updated_at: Millis,
    pub started_at: Option<Millis>,
    pub completed_at: Option<Millis>,
    pub metadata: Option<String>,
    pub result: Option<String>,
    pub error: Option<String>,
    pub version: u64,
}

/// Where a task's record is: the variable parts of its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "fields of the task")]
pub struct TaskPlaceRecord {
    pub session_id: String,
    pub updated_at: Millis,
}

/// A file in a session's context (CONTRACT.md §3, §4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the contract's fields")]
pub struct ContextFileRecord {
    pub id: [u8; 16],
    pub session_id: String,
    pub chitty_id: String,
    pub uri: String,
    pub name: Option<String>,
    pub size: Option<u64>,
    pub sha256: Option<String>,
    pub mime: Option<String>,
    pub r2_key: Option<String>,
    pub metadata: Option<String>,
    /// Whether it is in the active set.
    pub active: bool,
    pub task_id: Option<[u8; 16]>,
    pub created_at: Millis,
    pub modified_at: Option<Millis>,
    pub last_accessed: Millis,
}

/// A sync that was reported or taken in (CONTRACT.md §3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the contract's fields")]
pub struct SyncEventRecord {
    pub id: [u8; 16],
    pub session_id: String,
    pub chitty_id: String,
    /// `sync-report` or `SESSION_INGEST`.
    pub event_type: String,
    /// Who reported it: `rclone`, `s3`, …
    pub source: String,
    pub path_prefix: Option<String>,
    pub project: Option<String>,
    pub count: u64,
    /// What was given, as JSON.
    pub payload: Option<String>,
    pub created_at: Millis,
}

/// A session (CONTRACT.md §6). JSON values are kept as their text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the contract's fields")]
pub struct SessionRecord {
    pub id: String,
    pub chitty_id: String,
    pub created: Millis,
    pub updated: Millis,
    pub expires: Millis,
    pub metadata: Option<String>,
    /// `active` or `ended`.
    pub state: String,
    pub decisions: Vec<String>,
    pub interactions: u64,
    /// The keys of `PUT /:id/context` with their values.
    pub context: Vec<(String, String)>,
}

/// An event as subscribers get it (CONTRACT.md §8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the contract's fields")]
pub struct EventRecord {
    pub name: String,
    pub at: Millis,
    /// A JSON object with `type`.
    pub body: String,
}

/// An API key (DESIGN.md, "Who is calling"); its hash is in the store's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "DESIGN.md's fields")]
pub struct KeyRecord {
    pub id: String,
    pub chitty_id: String,
    pub session_id: String,
    pub name: String,
    pub scopes: Vec<String>,
    pub rate_limit: Option<u32>,
    pub quota: Option<u64>,
    pub created_at: Millis,
    pub expires_at: Option<Millis>,
    /// 0 active, 1 inactive, 2 revoked.
    pub status: u8,
}

/// A request that was done once, and what it was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the comments of the fields that need one")]
pub struct OnceRecord {
    /// SHA-256 over the request.
    pub fingerprint: [u8; 32],
    pub expires_at: Millis,
    pub answer: OnceAnswer,
}

/// What a request that was done once was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "fields of the task")]
pub enum OnceAnswer {
    /// `POST /api/context/tasks`.
    TaskCreated { task_id: [u8; 16], created_at: Millis, version: u64 },
    /// `PATCH /api/context/tasks/:id`.
    TaskUpdated { updated_at: Millis, version: u64 },
}
