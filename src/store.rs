//! Durable data, in the model's terms: what the API asks for, whatever keeps it.
//!
//! A change that is answered is on the disk (as `store.durability` says), whole, with its index entries and its event; a
//! change that is not answered may or may not be there, but never in part. Everything belongs to one chitty id, and no
//! method crosses from one to another.

mod commit;
pub mod embedded;
mod engine;
mod folder;
mod key;
pub mod kv;
pub mod migration;
mod value;
mod witness;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use crate::model::id::{ChittyId, KeyId, SessionId, TaskId};
use crate::model::key::{Key, KeyHash};
use crate::model::task::{InvalidTransition, NewTask, Priority, Status, Task, TaskPatch};
use crate::model::time::Time;

/// The `store` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The folder that everything is in.
    pub path: PathBuf,
    /// What a change survives once it is answered.
    pub durability: Durability,
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
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    OnceReused,
    /// No key has this id.
    #[error("no key has this id")]
    NoSuchKey,
    /// A key with this hash or id is there already.
    #[error("a key with this id is there already")]
    KeyExists,
    /// The store cannot be used at the moment: see the log. Whether a change was made is not known.
    #[error("the store cannot be used: {0}")]
    Unavailable(Arc<str>),
}

/// The versions of a task that a change is meant for (`If-Match`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    /// Any.
    #[default]
    Any,
    /// One of these.
    OneOf(Vec<u64>),
}

impl Expected {
    /// Whether `version` is meant.
    ///
    /// # Errors
    /// [`StoreError::VersionMismatch`].
    pub fn check(&self, version: u64) -> Result<(), StoreError> {
        match self {
            Self::OneOf(versions) if !versions.contains(&version) => Err(StoreError::VersionMismatch(version)),
            _ => Ok(()),
        }
    }
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

/// A task was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of Task")]
pub struct TaskCreated {
    pub task_id: TaskId,
    pub created_at: Time,
    pub version: u64,
}

/// A task was changed, or is as it was wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of Task")]
pub struct TaskUpdated {
    pub updated_at: Time,
    pub version: u64,
}

/// Which tasks of one session; all conditions hold.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of Task")]
pub struct TaskQuery {
    pub chitty_id: ChittyId,
    pub session_id: SessionId,
    pub status: Option<Status>,
    pub priority: Option<Priority>,
    pub parent_task_id: Option<TaskId>,
    pub assigned_service: Option<String>,
    /// Begin behind this one.
    pub after: Option<TaskPosition>,
    /// Tasks at the most.
    pub limit: usize,
}

/// Where a task stands in the order of lists: by `updated_at`, then `task_id`, both descending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of Task")]
pub struct TaskPosition {
    pub updated_at: Time,
    pub task_id: TaskId,
}

impl Task {
    /// Where it stands in the order of lists.
    #[must_use]
    pub fn position(&self) -> TaskPosition {
        TaskPosition { updated_at: self.updated_at, task_id: self.task_id }
    }
}

/// Some tasks, and where the next ones begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskPage {
    /// In order. May be fewer than asked for when they are large.
    pub tasks: Vec<Task>,
    /// Behind which the next page begins; `None` = that was all.
    pub next: Option<TaskPosition>,
    /// What the tasks take, about.
    pub bytes: usize,
}

/// Durable data.
#[async_trait]
pub trait Store: Send + Sync {
    /// Makes a task; with `once`, the same request again gets the same answer and makes nothing.
    async fn create_task(&self, new: NewTask, once: Option<Once>) -> Result<TaskCreated, StoreError>;

    /// One task; `None` if this chitty id has none with this id.
    async fn task(&self, owner: &ChittyId, id: TaskId) -> Result<Option<Task>, StoreError>;

    /// Some tasks of a session.
    async fn list_tasks(&self, query: TaskQuery) -> Result<TaskPage, StoreError>;

    /// Changes a task if it is in an expected version.
    async fn update_task(
        &self,
        owner: &ChittyId,
        id: TaskId,
        patch: TaskPatch,
        expected: Expected,
        once: Option<Once>,
    ) -> Result<TaskUpdated, StoreError>;

    /// Deletes a task, if it is in an expected version, with all its sub-tasks. How many were deleted.
    async fn delete_task(&self, owner: &ChittyId, id: TaskId, expected: Expected) -> Result<usize, StoreError>;

    /// Keeps a key.
    async fn create_key(&self, key: Key) -> Result<(), StoreError>;

    /// The key with this hash, whatever its status; `None` if there is none.
    async fn key(&self, hash: &KeyHash) -> Result<Option<Arc<Key>>, StoreError>;

    /// Every key, by chitty id and then by age.
    async fn keys(&self) -> Result<Vec<Arc<Key>>, StoreError>;

    /// Has a key let nobody in any more, from the next request on. The key as it is then.
    async fn revoke_key(&self, id: &KeyId) -> Result<Arc<Key>, StoreError>;

    /// `None` if everything works, else what does not and what it needs, for the operator.
    fn trouble(&self) -> Option<Arc<str>>;

    /// Ends it: what was asked for before is done and answered, what is asked for later is refused.
    async fn close(&self);
}
