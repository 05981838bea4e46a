//! The bodies of POST and PATCH: what each member may be, and what becomes of it (CONTRACT.md §2).

use std::str::FromStr;

use utoipa::ToSchema;

use super::answer::{priority_or_null, priority_words, status_words};
use crate::api::object::{Kind, Member, Object, Refuse};
use crate::auth::Principal;
use crate::model::id::TaskId;
use crate::model::json::Json;
use crate::model::task::{NewTask, Priority, Status, TaskPatch};
use crate::problem::{Problem, TaskRefusal};

/// Longest title, in bytes.
pub(super) const MAX_TITLE: usize = 4 * 1024;
/// Longest description, in bytes.
pub(super) const MAX_DESCRIPTION: usize = 64 * 1024;
/// Longest error, in bytes.
pub(super) const MAX_ERROR: usize = 16 * 1024;
/// Longest task type or name of a service, in bytes.
pub(super) const MAX_NAME: usize = 128;
/// The type of a task that names none.
const TASK_TYPE: &str = "user_request";

/// Every member that is looked at.
const NAMES: [&str; 14] = [
    "title",
    "description",
    "task_type",
    "priority",
    "parent_task_id",
    "assigned_service",
    "metadata",
    "status",
    "result",
    "error",
    "started_at",
    "completed_at",
    "chittyId",
    "chitty_id",
];

const CREATION: Refuse = |message| Problem::task_refused(TaskRefusal::Creation, message);
const NO_TITLE: Refuse = |message| Problem::task_refused(TaskRefusal::TitleRequired, message);
const UPDATE: Refuse = |message| Problem::task_refused(TaskRefusal::Update, message);
const NOTHING: Refuse = |message| Problem::task_refused(TaskRefusal::NothingToUpdate, message);

const STATUSES: &str = "pending, in_progress, completed, failed, cancelled";
const PRIORITIES: &str = "low, normal, high, urgent";

/// A task to be made. Lengths are in bytes of UTF-8. Members of other names are ignored, but for `chittyId` and
/// `chitty_id`: one that is not the key's is 403 `forbidden`.
#[derive(Debug, ToSchema)]
pub(super) struct CreateTask {
    #[schema(min_length = 1, max_length = 4096)]
    title: String,
    /// Empty is none.
    #[schema(max_length = 65536)]
    description: Option<String>,
    #[schema(max_length = 128, default = "user_request")]
    task_type: Option<String>,
    /// `null` is the default, normal.
    #[schema(schema_with = priority_or_null, required = false)]
    priority: Option<Priority>,
    /// A task of the same session.
    #[schema(value_type = Option<String>, format = "uuid", pattern = "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$")]
    parent_task_id: Option<TaskId>,
    #[schema(max_length = 128)]
    assigned_service: Option<String>,
    /// Any JSON of at most 64 KiB, nested at most 32 deep; comes back as it was sent. Default `{}`.
    #[schema(value_type = Option<serde_json::Value>)]
    metadata: Option<Json>,
}

impl CreateTask {
    /// Reads a body.
    ///
    /// # Errors
    /// 400, 403, 413.
    pub(super) fn read(body: &[u8], caller: &Principal) -> Result<Self, Problem> {
        let object = Object::read(body, &NAMES, CREATION, NO_TITLE)?;
        object.check_chitty_id(caller)?;
        let no_title = |found: &str| {
            let message = format!("title: found {found}; accepted: text of 1 to {MAX_TITLE} bytes of UTF-8");
            Problem::task_refused(TaskRefusal::TitleRequired, message)
        };
        match object.kind("title") {
            None => return Err(no_title("nothing")),
            Some(Kind::Null) => return Err(no_title("null")),
            Some(Kind::False) => return Err(no_title("false")),
            // What JavaScript takes for nothing.
            Some(Kind::Number) if object.number("title") == Some(0.0) => return Err(no_title("0")),
            Some(_) => {}
        }
        let title = object.text("title", MAX_TITLE)?.value().filter(|title| !title.is_empty());
        Ok(Self {
            title: title.ok_or_else(|| no_title("empty text"))?,
            description: object.text("description", MAX_DESCRIPTION)?.value().filter(|text| !text.is_empty()),
            task_type: object.text("task_type", MAX_NAME)?.value(),
            priority: object.word("priority", PRIORITIES)?.value(),
            parent_task_id: object
                .word::<Parent>("parent_task_id", "the id of a task, or null")?
                .value()
                .map(|id| id.0),
            assigned_service: object.text("assigned_service", MAX_NAME)?.value(),
            metadata: match object.json("metadata")? {
                Member::Is(json) => Some(json),
                Member::Null => None,
                Member::Absent => Json::parse("{}".to_owned()).ok(),
            },
        })
    }

    /// The task of this caller.
    pub(super) fn of(self, caller: Principal) -> NewTask {
        NewTask {
            chitty_id: caller.chitty_id,
            session_id: caller.session_id,
            task_type: self.task_type.unwrap_or_else(|| TASK_TYPE.to_owned()),
            title: self.title,
            description: self.description,
            priority: self.priority.unwrap_or_default(),
            assigned_service: self.assigned_service,
            parent_task_id: self.parent_task_id,
            metadata: self.metadata,
        }
    }
}

struct Parent(TaskId);

impl FromStr for Parent {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        TaskId::parse(text).map(Self).ok_or(())
    }
}

/// What is to change; what is left out stays. Lengths are in bytes of UTF-8. Members of other names are ignored, but for
/// `chittyId` and `chitty_id`: one that is not the key's is 403 `forbidden`.
#[derive(Debug, ToSchema)]
#[allow(clippy::option_option, reason = "absent and null are two things")]
pub(super) struct UpdateTask {
    /// From `completed`, `failed` and `cancelled` there is no way on.
    #[schema(schema_with = status_words, required = false)]
    status: Option<Status>,
    #[schema(min_length = 1, max_length = 4096, nullable = false)]
    title: Option<String>,
    /// Empty or `null` clears it.
    #[schema(value_type = Option<String>, max_length = 65536)]
    description: Option<Option<String>>,
    #[schema(schema_with = priority_words, required = false)]
    priority: Option<Priority>,
    /// `null` clears it.
    #[schema(value_type = Option<String>, max_length = 128)]
    assigned_service: Option<Option<String>>,
    /// Any JSON of at most 64 KiB, nested at most 32 deep; comes back as it was sent. `null` clears it.
    #[schema(value_type = Option<serde_json::Value>)]
    result: Option<Option<Json>>,
    /// `null` clears it.
    #[schema(value_type = Option<String>, max_length = 16384)]
    error: Option<Option<String>>,
    #[schema(ignore)]
    leave_started_at: bool,
    #[schema(ignore)]
    leave_completed_at: bool,
}

impl UpdateTask {
    /// Reads a body.
    ///
    /// # Errors
    /// 400, 403, 413.
    pub(super) fn read(body: &[u8], caller: &Principal) -> Result<Self, Problem> {
        let object = Object::read(body, &NAMES, UPDATE, NOTHING)?;
        object.check_chitty_id(caller)?;
        let fields = ["status", "title", "description", "priority", "assigned_service", "result", "error"];
        if !fields.iter().any(|field| object.has(field)) {
            let message = format!("the body names nothing to change; accepted: one or more of {}", fields.join(", "));
            return Err(Problem::task_refused(TaskRefusal::NothingToUpdate, message));
        }
        let null = |field, accepted| move |object: &Object<'_>| object.refused(field, "null", accepted);
        let title = object.text("title", MAX_TITLE)?.set(|| null("title", "text")(&object))?;
        if title.as_ref().is_some_and(String::is_empty) {
            return Err(object.refused("title", "empty text", &format!("text of 1 to {MAX_TITLE} bytes of UTF-8")));
        }
        Ok(Self {
            status: object.word("status", STATUSES)?.set(|| null("status", STATUSES)(&object))?,
            title,
            description: cleared_when_empty(object.text("description", MAX_DESCRIPTION)?.change()),
            priority: object.word("priority", PRIORITIES)?.set(|| null("priority", PRIORITIES)(&object))?,
            assigned_service: object.text("assigned_service", MAX_NAME)?.change(),
            result: object.json("result")?.change(),
            error: object.text("error", MAX_ERROR)?.change(),
            leave_started_at: object.has("started_at"),
            leave_completed_at: object.has("completed_at"),
        })
    }

    /// What it changes.
    pub(super) fn into_patch(self) -> TaskPatch {
        TaskPatch {
            status: self.status,
            title: self.title,
            description: self.description,
            priority: self.priority,
            assigned_service: self.assigned_service,
            result: self.result,
            error: self.error,
            leave_started_at: self.leave_started_at,
            leave_completed_at: self.leave_completed_at,
        }
    }
}

#[allow(clippy::option_option, reason = "absent and null are two things")]
fn cleared_when_empty(change: Option<Option<String>>) -> Option<Option<String>> {
    change.map(|text| text.filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests;
