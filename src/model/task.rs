//! Tasks: what they are and which changes are legal (CONTRACT.md §2).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::id::{ChittyId, SessionId, TaskId};
use super::json::Json;
use super::time::Time;

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not begun.
    Pending,
    /// Somebody works on it.
    InProgress,
    /// Done.
    Completed,
    /// Given up because something went wrong.
    Failed,
    /// Given up because nobody wants it any more.
    Cancelled,
}

/// How urgent a task is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Priority {
    Low,
    #[default]
    Normal,
    High,
    Urgent,
}

/// A text is none of the words of an enumeration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAWord;

macro_rules! words {
    ($name:ident: $($variant:ident = $word:literal),+) => {
        impl $name {
            /// Every one, in order.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word in JSON and queries.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl FromStr for $name {
            type Err = NotAWord;

            fn from_str(text: &str) -> Result<Self, NotAWord> {
                match text { $($word => Ok(Self::$variant),)+ _ => Err(NotAWord) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
words!(Status: Pending = "pending", InProgress = "in_progress", Completed = "completed", Failed = "failed",
    Cancelled = "cancelled");
words!(Priority: Low = "low", Normal = "normal", High = "high", Urgent = "urgent");

impl Status {
    /// Whether nothing follows it.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// Whether a task may go from here to `to`. The same status again always may, and is no change.
    #[must_use]
    pub fn may_become(self, to: Self) -> bool {
        self == to || !self.is_final()
    }
}

/// A finished task was to be begun again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a task that is {from} cannot become {to}")]
pub struct InvalidTransition {
    /// What it is.
    pub from: Status,
    /// What was asked for.
    pub to: Status,
}

/// One task.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of CONTRACT.md §2, in its order")]
pub struct Task {
    pub task_id: TaskId,
    pub session_id: SessionId,
    pub chitty_id: ChittyId,
    pub task_type: String,
    pub status: Status,
    pub title: String,
    pub description: Option<String>,
    pub priority: Priority,
    pub assigned_service: Option<String>,
    pub parent_task_id: Option<TaskId>,
    pub created_at: Time,
    pub updated_at: Time,
    pub started_at: Option<Time>,
    pub completed_at: Option<Time>,
    pub metadata: Option<Json>,
    pub result: Option<Json>,
    pub error: Option<String>,
    /// Changes so far, the creation included: 1 for a new task.
    pub version: u64,
}

/// What a caller says of a task that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of Task")]
pub struct NewTask {
    pub chitty_id: ChittyId,
    pub session_id: SessionId,
    pub task_type: String,
    pub title: String,
    pub description: Option<String>,
    pub priority: Priority,
    pub assigned_service: Option<String>,
    /// A task of the same session.
    pub parent_task_id: Option<TaskId>,
    pub metadata: Option<Json>,
}

/// What a caller wants changed; `None` stays as it is, `Some(None)` is cleared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, clippy::option_option, reason = "the fields of Task")]
pub struct TaskPatch {
    pub status: Option<Status>,
    pub title: Option<String>,
    pub description: Option<Option<String>>,
    pub priority: Option<Priority>,
    pub assigned_service: Option<Option<String>>,
    pub result: Option<Option<Json>>,
    pub error: Option<Option<String>>,
    /// The caller named `started_at`, so it is not set for them (CONTRACT.md §2).
    pub leave_started_at: bool,
    /// The same of `completed_at`.
    pub leave_completed_at: bool,
}

impl Task {
    /// Makes a task, pending.
    #[must_use]
    pub fn create(new: NewTask, task_id: TaskId, now: Time) -> Self {
        Self {
            task_id,
            session_id: new.session_id,
            chitty_id: new.chitty_id,
            task_type: new.task_type,
            status: Status::Pending,
            title: new.title,
            description: new.description,
            priority: new.priority,
            assigned_service: new.assigned_service,
            parent_task_id: new.parent_task_id,
            created_at: now,
            updated_at: now,
            started_at: None,
            completed_at: None,
            metadata: new.metadata,
            result: None,
            error: None,
            version: 1,
        }
    }

    /// The task with `patch` applied; `None` when that changes nothing. `updated_at` becomes later with every change, by
    /// a millisecond where the clock does not say so: no two states of a task stand in the same place of a list.
    ///
    /// # Errors
    /// [`InvalidTransition`].
    pub fn patched(&self, patch: &TaskPatch, now: Time) -> Result<Option<Self>, InvalidTransition> {
        let mut task = self.clone();
        let now = now.max(self.updated_at.after(Duration::from_millis(1)));
        if let Some(to) = patch.status.filter(|to| *to != self.status) {
            if !self.status.may_become(to) {
                return Err(InvalidTransition { from: self.status, to });
            }
            task.status = to;
            if to == Status::InProgress && task.started_at.is_none() && !patch.leave_started_at {
                task.started_at = Some(now);
            }
            if to.is_final() && task.completed_at.is_none() && !patch.leave_completed_at {
                task.completed_at = Some(now);
            }
        }
        set(&mut task.title, patch.title.as_ref());
        set(&mut task.description, patch.description.as_ref());
        set(&mut task.priority, patch.priority.as_ref());
        set(&mut task.assigned_service, patch.assigned_service.as_ref());
        set(&mut task.result, patch.result.as_ref());
        set(&mut task.error, patch.error.as_ref());
        if task == *self {
            return Ok(None);
        }
        task.updated_at = now;
        task.version += 1;
        Ok(Some(task))
    }
}

fn set<T: Clone>(field: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        field.clone_from(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> Task {
        let new = NewTask {
            chitty_id: "alice".parse().unwrap(),
            session_id: "s".parse().unwrap(),
            task_type: "user_request".to_owned(),
            title: "t".to_owned(),
            description: None,
            priority: Priority::Normal,
            assigned_service: None,
            parent_task_id: None,
            metadata: None,
        };
        Task::create(new, TaskId::random(), Time::from_millis(1))
    }

    fn to(status: Status) -> TaskPatch {
        TaskPatch { status: Some(status), ..TaskPatch::default() }
    }

    #[test]
    fn every_transition() {
        for &from in Status::ALL {
            for &into in Status::ALL {
                let task = Task { status: from, ..task() };
                let patched = task.patched(&to(into), Time::from_millis(5));
                if from == into {
                    assert_eq!(patched, Ok(None), "{from} again");
                } else if from.is_final() {
                    assert_eq!(patched, Err(InvalidTransition { from, to: into }));
                } else {
                    let patched = patched.unwrap().unwrap();
                    assert_eq!((patched.status, patched.version), (into, 2));
                    assert_eq!(patched.started_at.is_some(), into == Status::InProgress, "{from} to {into}");
                    assert_eq!(patched.completed_at.is_some(), into.is_final(), "{from} to {into}");
                }
            }
        }
    }

    #[test]
    fn started_at_is_set_once_and_every_change_is_later() {
        let begun = task().patched(&to(Status::InProgress), Time::from_millis(5)).unwrap().unwrap();
        let paused = begun.patched(&to(Status::Pending), Time::from_millis(3)).unwrap().unwrap();
        assert_eq!(paused.updated_at, Time::from_millis(6));
        let again = paused.patched(&to(Status::InProgress), Time::from_millis(9)).unwrap().unwrap();
        assert_eq!(again.started_at, Some(Time::from_millis(5)));
        let named = TaskPatch { leave_started_at: true, ..to(Status::InProgress) };
        assert_eq!(task().patched(&named, Time::from_millis(5)).unwrap().unwrap().started_at, None);
    }

    #[test]
    fn a_patch_that_changes_nothing_is_none() {
        let same = TaskPatch { title: Some("t".to_owned()), description: Some(None), ..TaskPatch::default() };
        assert_eq!(task().patched(&same, Time::from_millis(7)), Ok(None));
    }
}
