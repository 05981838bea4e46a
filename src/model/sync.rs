//! What was synchronised into a session: reports of files, and sessions taken in from elsewhere (CONTRACT.md §3).

use super::file::FileFacts;
use super::id::{ChittyId, SessionId, SyncId};
use super::json::Json;
use super::time::Time;

/// What kind of synchronisation it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncKind {
    /// Files were reported.
    Report,
    /// A session's events were taken in.
    Ingest,
}

impl SyncKind {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Report => "sync-report",
            Self::Ingest => "SESSION_INGEST",
        }
    }

    /// The kind of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Report, Self::Ingest].into_iter().find(|kind| kind.as_str() == word)
    }
}

/// Files that somebody synchronised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncReport {
    /// Who reports: `rclone`, `s3`, …
    pub source: String,
    /// Under which path.
    pub path_prefix: Option<String>,
    /// The files.
    pub files: Vec<FileFacts>,
    /// The report's items as they were given, a JSON array.
    pub items: Json,
}

/// A session that is taken in from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingest {
    /// What it belongs to: any JSON.
    pub project: Option<Json>,
    /// How many events it says that it has.
    pub count: u64,
    /// The events that it brings, a JSON array.
    pub events: Option<Json>,
}

/// What is kept of one synchronisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncEvent {
    /// Its own id.
    pub id: SyncId,
    /// Its number in the log of events; its place in lists.
    pub number: u64,
    /// Whose it is.
    pub chitty_id: ChittyId,
    /// The session.
    pub session_id: SessionId,
    /// What kind it was.
    pub kind: SyncKind,
    /// Who reported it.
    pub source: String,
    /// Under which path.
    pub path_prefix: Option<String>,
    /// What it belongs to.
    pub project: Option<Json>,
    /// Files, or events, that it says it has.
    pub count: u64,
    /// What was given with it, a JSON array.
    pub payload: Option<Json>,
    /// When.
    pub created_at: Time,
}
