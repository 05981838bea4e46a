//! Files that a session's context names (CONTRACT.md §3). Their contents are somewhere else.

use super::id::{ChittyId, FileId, SessionId, TaskId};
use super::json::Json;
use super::time::Time;

/// What somebody says of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// What it is recognised by inside a session.
    pub uri: String,
    /// For people.
    pub name: Option<String>,
    /// In bytes.
    pub size: Option<u64>,
    /// Of its contents, 64 hexadecimal digits in lower case.
    pub sha256: Option<String>,
    /// Its media type.
    pub mime: Option<String>,
    /// The key of its contents in an object store.
    pub r2_key: Option<String>,
    /// Any JSON.
    pub metadata: Option<Json>,
    /// When its contents changed last.
    pub modified_at: Option<Time>,
}

/// A file in the context of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextFile {
    /// Stays the same for as long as the session knows the file.
    pub id: FileId,
    /// Whose it is.
    pub chitty_id: ChittyId,
    /// The session whose context it is in.
    pub session_id: SessionId,
    /// What was said of it last.
    pub facts: FileFacts,
    /// Whether it is in the active set.
    pub active: bool,
    /// The task that it belongs to, if that is known.
    pub task_id: Option<TaskId>,
    /// When the session heard of it first.
    pub created_at: Time,
    /// When the session heard of it last.
    pub last_accessed: Time,
}

impl ContextFile {
    /// A file that the session did not know, in the active set.
    #[must_use]
    pub fn first_heard_of(chitty_id: ChittyId, session_id: SessionId, facts: FileFacts, now: Time) -> Self {
        let (id, task_id) = (FileId::random(), None);
        Self { id, chitty_id, session_id, facts, active: true, task_id, created_at: now, last_accessed: now }
    }

    /// The same file, in the active set, with what is said of it now in place of what was said before.
    #[must_use]
    pub fn heard_of(self, facts: FileFacts, now: Time) -> Self {
        Self { facts, active: true, last_accessed: now, ..self }
    }

    /// The same file, no longer in the active set.
    #[must_use]
    pub fn left_out(self) -> Self {
        Self { active: false, ..self }
    }
}
