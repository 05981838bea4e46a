//! Tasks as the store keeps them: what can be asked of them, and what is answered.

use async_trait::async_trait;

use super::{Once, StoreError};
use crate::model::id::{ChittyId, SessionId, TaskId};
use crate::model::task::{NewTask, Priority, Status, Task, TaskPatch};
use crate::model::time::Time;

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

/// The tasks of every chitty id.
#[async_trait]
pub trait TaskStore: Send + Sync {
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
}
