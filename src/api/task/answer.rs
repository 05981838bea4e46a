//! What is answered about tasks, with the contract's fields in its order (CONTRACT.md §2).

use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

use crate::model::json::Json;
use crate::model::task::{Priority, Status, Task};
use crate::model::time::Time;

/// A task was made.
#[derive(Serialize, ToSchema)]
pub(super) struct TaskCreated {
    pub(super) ok: bool,
    #[schema(format = "uuid")]
    pub(super) task_id: String,
    #[schema(value_type = String, format = DateTime)]
    pub(super) created_at: Time,
}

/// A task was changed, or is as it was wanted.
#[derive(Serialize, ToSchema)]
pub(super) struct TaskUpdated {
    pub(super) ok: bool,
    #[schema(value_type = String, format = DateTime)]
    pub(super) updated_at: Time,
}

/// A task is gone, and its sub-tasks with it.
#[derive(Serialize, ToSchema)]
pub(super) struct TaskDeleted {
    pub(super) ok: bool,
}

/// One task.
#[derive(Serialize, ToSchema)]
pub(super) struct OneTask {
    pub(super) ok: bool,
    pub(super) task: TaskBody,
}

/// One page of tasks.
#[derive(Serialize, ToSchema)]
pub(super) struct TaskList {
    pub(super) ok: bool,
    /// The last updated first; of those of one moment, the greater id first.
    pub(super) tasks: Vec<TaskBody>,
    /// Tasks in this page.
    pub(super) count: usize,
    /// What to send as `cursor` for the next page; `null` = this was the last.
    #[schema(required)]
    pub(super) next_cursor: Option<String>,
}

/// A task. Times are RFC 3339 with milliseconds, in UTC.
#[derive(Serialize, ToSchema)]
#[schema(as = Task)]
pub(super) struct TaskBody {
    #[schema(format = "uuid")]
    task_id: String,
    session_id: String,
    chitty_id: String,
    task_type: String,
    #[schema(schema_with = status_words)]
    status: &'static str,
    title: String,
    #[schema(required)]
    description: Option<String>,
    #[schema(schema_with = priority_words)]
    priority: &'static str,
    #[schema(required)]
    assigned_service: Option<String>,
    #[schema(required, format = "uuid")]
    parent_task_id: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Time,
    /// When it was first in progress.
    #[schema(value_type = Option<String>, required, format = DateTime)]
    started_at: Option<Time>,
    /// When it was completed, failed or cancelled.
    #[schema(value_type = Option<String>, required, format = DateTime)]
    completed_at: Option<Time>,
    /// Any JSON, as it was given.
    #[schema(value_type = serde_json::Value, required)]
    metadata: Option<Json>,
    /// Any JSON, as it was given.
    #[schema(value_type = serde_json::Value, required)]
    result: Option<Json>,
    #[schema(required)]
    error: Option<String>,
}

impl From<Task> for TaskBody {
    fn from(task: Task) -> Self {
        Self {
            task_id: task.task_id.to_string(),
            session_id: task.session_id.into(),
            chitty_id: task.chitty_id.into(),
            task_type: task.task_type,
            status: task.status.as_str(),
            title: task.title,
            description: task.description,
            priority: task.priority.as_str(),
            assigned_service: task.assigned_service,
            parent_task_id: task.parent_task_id.map(|id| id.to_string()),
            created_at: task.created_at,
            updated_at: task.updated_at,
            started_at: task.started_at,
            completed_at: task.completed_at,
            metadata: task.metadata,
            result: task.result,
            error: task.error,
        }
    }
}

/// The words of a status, for the description.
pub(super) fn status_words() -> Object {
    one_of(Status::ALL.iter().map(|status| status.as_str()))
}

/// The words of a priority, for the description.
pub(super) fn priority_words() -> Object {
    one_of(Priority::ALL.iter().map(|priority| priority.as_str()))
}

pub(super) fn priority_or_null() -> Object {
    let words = Priority::ALL.iter().map(|priority| serde_json::Value::from(priority.as_str()));
    let kind = SchemaType::from_iter([Type::String, Type::Null]);
    ObjectBuilder::new().schema_type(kind).enum_values(Some(words.chain([serde_json::Value::Null]))).build()
}

fn one_of(words: impl Iterator<Item = &'static str>) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build()
}
