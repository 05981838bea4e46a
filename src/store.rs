//! Durable data, in the model's terms: what the API asks for, whatever keeps it.
//!
//! A change that is answered is on the disk (as `store.durability` says), whole, with its index entries and its event; a
//! change that is not answered may or may not be there, but never in part. Everything belongs to one chitty id, and no
//! method crosses from one to another.

mod api_key;
mod commit;
pub mod context;
pub mod embedded;
mod engine;
mod event;
pub mod file;
mod folder;
mod key;
pub mod kv;
pub mod migrate;
pub mod migration;
mod record;
mod registration;
pub mod repair;
mod session;
mod task;
pub mod transfer;
pub mod upkeep;
mod value;
mod view;
mod witness;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::model::id::KeyId;
use crate::model::session::SessionFull;
use crate::model::task::InvalidTransition;
pub use api_key::KeyStore;
pub use context::ContextStore;
pub use event::{EventPage, EventSink, EventStore, StoredEvent};
pub use file::FileStore;
pub use registration::{MAX_OF_ONE_OWNER, MAX_REGISTRATIONS, RegistrationStore};
pub use session::{SessionEnded, SessionPage, SessionPosition, SessionQuery, SessionStarted, SessionStore};
pub use task::{Expected, TaskCreated, TaskPage, TaskPosition, TaskQuery, TaskStore, TaskUpdated};
pub use upkeep::Upkeep;

/// The `store` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The folder that everything is in.
    pub path: PathBuf,
    /// What a change survives once it is answered.
    pub durability: Durability,
    /// What keeps it.
    pub engine: Engine,
    /// What is kept of the event log.
    pub retention: Retention,
}

/// What is kept of the event log (`events.retain`, `events.retain_count`): an event goes once either says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// How long an event is kept.
    pub events_for: Duration,
    /// How many of the latest events are kept, those of all sessions counted together.
    pub events: u64,
}

impl Default for Retention {
    /// A day, so that whoever was away over night misses nothing; and so many that even a busy day fits.
    fn default() -> Self {
        Self { events_for: Duration::from_secs(24 * 3600), events: 100_000 }
    }
}

/// The engine of the embedded store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// sled: a tree whose pages are kept in memory.
    #[default]
    Sled,
    /// fjall: a log-structured merge tree, for stores that are larger than the memory they may take.
    Fjall,
}

impl Engine {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Sled, Self::Fjall];

    /// What `store.engine` and the witness call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sled => "sled",
            Self::Fjall => "fjall",
        }
    }
}

/// What a change survives once it is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The loss of power: it is on the disk.
    #[default]
    PowerLoss,
    /// The end of the process: it is in the kernel.
    ProcessCrash,
}

/// Why the store did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// No task of this chitty id has this id.
    #[error("no such task")]
    NoSuchTask,
    /// The task's state does not allow the change.
    #[error(transparent)]
    InvalidTransition(#[from] InvalidTransition),
    /// The task is not in the version that the caller has seen.
    #[error("the task is version {0}, which the change is not meant for")]
    VersionMismatch(u64),
    /// The parent is no task of the same session.
    #[error("the parent is no task of this session")]
    NoSuchParent,
    /// Deleting the task would delete more than one change may.
    #[error("the task has more than {0} sub-tasks; delete some of them first")]
    TooManySubtasks(usize),
    /// The session knows too many files.
    #[error("a session knows {0} files at the most")]
    TooManyFiles(usize),
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    OnceReused,
    /// No key has this id.
    #[error("no key has this id")]
    NoSuchKey,
    /// A key with this hash or id is there already.
    #[error("a key with this id is there already")]
    KeyExists,
    /// The key lets nobody in, so there is nothing to go on with.
    #[error("this key is revoked, inactive or expired")]
    KeyNotActive,
    /// The name is registered, and another owner's.
    #[error("this name is registered by another owner")]
    NameTaken,
    /// The owner has registered no service of this name.
    #[error("no service of this name is registered")]
    NoSuchRegistration,
    /// There are as many registrations as there may be.
    #[error("there are {0} registrations, as many as there may be")]
    TooManyRegistrations(usize),
    /// No session of this chitty id has this id, or its time is up.
    #[error("no such session")]
    NoSuchSession,
    /// There is a session with this id and other metadata.
    #[error("there is a session with this id and other metadata")]
    SessionExists,
    /// No file of the session has this name.
    #[error("no such file")]
    NoSuchFile,
    /// The contents would be more than may be kept.
    #[error("{asked} bytes more would exceed the quota; {left} bytes are left")]
    QuotaExceeded {
        /// Bytes that it would have taken.
        asked: u64,
        /// Bytes that are left.
        left: u64,
    },
    /// There are as many files as there may be.
    #[error("there are {0} files, as many as there may be")]
    TooManyStoredFiles(u64),
    /// The token was good once, and has been used.
    #[error("the token has been used")]
    TokenUsed,
    /// The file that has the name is not as the request wants it.
    #[error("the file that has this name is not the expected one")]
    ConditionFailed,
    /// No upload in parts has this id, or it has ended.
    #[error("no such upload in parts")]
    NoSuchUpload,
    /// There are as many uploads in parts as there may be.
    #[error("{0} uploads in parts have begun and not ended, as many as there may be")]
    TooManyUploads(usize),
    /// There are as many buckets as there may be.
    #[error("there are {0} buckets, as many as there may be")]
    TooManyBuckets(usize),
    /// The bucket has files.
    #[error("the bucket is not empty")]
    BucketNotEmpty,
    /// The session cannot hold more.
    #[error(transparent)]
    SessionFull(#[from] SessionFull),
    /// The store cannot be used at the moment: see the log. Whether a change was made is not known.
    #[error("the store cannot be used: {0}")]
    Unavailable(Arc<str>),
}

/// A request that its caller may repeat without its being done twice (`Idempotency-Key`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    /// The caller.
    pub key_id: KeyId,
    /// What the caller calls the request.
    pub name: String,
    /// SHA-256 over everything that makes it this request.
    pub fingerprint: [u8; 32],
}

/// Durable data: one trait a subject, and what concerns all of it.
#[async_trait]
pub trait Store:
    TaskStore + SessionStore + KeyStore + ContextStore + FileStore + EventStore + RegistrationStore + Upkeep
{
    /// `None` if everything works, else what does not and what it needs, for the operator.
    fn trouble(&self) -> Option<Arc<str>>;

    /// Ends it: what was asked for before is done and answered, what is asked for later is refused.
    async fn close(&self);
}
