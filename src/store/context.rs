//! What is in the context of sessions: files, and what was synchronised into it.

use async_trait::async_trait;

use super::StoreError;
use crate::model::file::{ContextFile, FileFacts};
use crate::model::id::{ChittyId, SessionId, SyncId};
use crate::model::sync::{Ingest, SyncEvent, SyncKind, SyncReport};
use crate::model::task::Task;
use crate::model::time::Time;

/// Files that one session knows at the most, active or not.
pub const MAX_FILES: usize = 20_000;

/// A session of a chitty id.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "their types say it")]
pub struct Place {
    pub chitty_id: ChittyId,
    pub session_id: SessionId,
}

/// Which files of one session: those in the active set first, the last heard of first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileQuery {
    /// The session.
    pub place: Place,
    /// Those that are, or are not, in the active set; `None` = both.
    pub active: Option<bool>,
    /// Begin behind this one.
    pub after: Option<FilePosition>,
    /// Files at the most.
    pub limit: usize,
}

/// Where a file stands in the order of lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilePosition {
    /// Whether it is in the active set.
    pub active: bool,
    /// When the session heard of it last.
    pub last_accessed: Time,
    /// The SHA-256 of its URI.
    pub hash: [u8; 32],
}

/// Some files, and where the next ones begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilePage {
    /// In order.
    pub files: Vec<ContextFile>,
    /// Behind which the next page begins; `None` = that was all.
    pub next: Option<FilePosition>,
    /// What they take, about.
    pub bytes: usize,
}

/// Which synchronisations of one session, the last first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncQuery {
    /// The session.
    pub place: Place,
    /// Of this kind; `None` = of every kind.
    pub kind: Option<SyncKind>,
    /// Before the one of this number.
    pub before: Option<u64>,
    /// Synchronisations at the most.
    pub limit: usize,
}

/// Some synchronisations, and where the next ones begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncPage {
    /// In order.
    pub events: Vec<SyncEvent>,
    /// Before which the next page begins; `None` = that was all.
    pub next: Option<u64>,
    /// What they take, about.
    pub bytes: usize,
}

/// What a session is about at the moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// Active files, the last heard of first.
    pub files: Vec<ContextFile>,
    /// Tasks that are pending or in progress, the most urgent first, and of those the last changed first.
    pub tasks: Vec<Task>,
    /// When the session was made, where it was.
    pub created_at: Option<Time>,
    /// When something last changed in it.
    pub last_activity: Option<Time>,
}

/// The context of the sessions of every chitty id.
#[async_trait]
pub trait ContextStore: Send + Sync {
    /// Has the active set of a session be exactly these files. How many they are.
    async fn set_active_files(&self, place: Place, files: Vec<FileFacts>) -> Result<usize, StoreError>;

    /// Keeps a report, and puts its files into the active set.
    async fn report_sync(&self, place: Place, report: SyncReport) -> Result<SyncId, StoreError>;

    /// Takes in a session's events.
    async fn ingest(&self, place: Place, ingest: Ingest) -> Result<SyncId, StoreError>;

    /// Some files of a session.
    async fn list_files(&self, query: FileQuery) -> Result<FilePage, StoreError>;

    /// Some synchronisations of a session.
    async fn list_sync_events(&self, query: SyncQuery) -> Result<SyncPage, StoreError>;

    /// What a session is about: `limit` files and tasks at the most.
    async fn overview(&self, place: Place, limit: usize) -> Result<Overview, StoreError>;
}
