//! What is wrong with a request concerning tasks, and what the store says to one (CONTRACT.md §2).

use http::StatusCode;

use super::{Problem, STORE_RETRY_AFTER};
use crate::store::StoreError;
use crate::telemetry::metrics::TaskOutcome;

/// A request concerning tasks that cannot be meant; each has its word in the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskRefusal {
    /// A task is to be made without a title.
    TitleRequired,
    /// Anything else that no task can be made of.
    Creation,
    /// A patch that names nothing that can be changed.
    NothingToUpdate,
    /// Anything else that is no patch.
    Update,
    /// A query that is none.
    Query,
}

impl Problem {
    /// 400, in the contract's word.
    #[must_use]
    pub fn task_refused(refusal: TaskRefusal, message: impl Into<String>) -> Self {
        let word = match refusal {
            TaskRefusal::TitleRequired => "title required",
            TaskRefusal::Creation => "creation_failed",
            TaskRefusal::NothingToUpdate => "no valid fields to update",
            TaskRefusal::Update => "update_failed",
            TaskRefusal::Query => "query_failed",
        };
        Self::new(StatusCode::BAD_REQUEST, word, message)
    }

    /// 404: the caller has no such task.
    #[must_use]
    pub fn task_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "task_not_found", "there is no task with this id")
    }

    /// 413: one value in a body is larger than `limit` bytes.
    #[must_use]
    pub fn value_too_large(field: &str, found: usize, limit: usize) -> Self {
        let message = format!("{field}: found {found} bytes of JSON; accepted: {limit} bytes at the most");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    }

    /// What an operation on tasks that ended so counts as.
    #[must_use]
    pub fn task_outcome(&self) -> TaskOutcome {
        match self.status {
            StatusCode::NOT_FOUND => TaskOutcome::NotFound,
            StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED | StatusCode::UNPROCESSABLE_ENTITY => {
                TaskOutcome::Conflict
            }
            status if status.is_server_error() => TaskOutcome::Unavailable,
            _ => TaskOutcome::Invalid,
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        match error {
            StoreError::NoSuchTask => Self::task_not_found(),
            StoreError::InvalidTransition(_) => Self::new(StatusCode::CONFLICT, "invalid_transition", message),
            StoreError::VersionMismatch(_) => {
                Self::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", message)
            }
            StoreError::NoSuchParent => {
                let message = "parent_task_id: found no such task; accepted: a task of the same session, or null";
                Self::task_refused(TaskRefusal::Creation, message)
            }
            StoreError::TooManySubtasks(_) => Self::new(StatusCode::CONFLICT, "too_many_subtasks", message),
            StoreError::TooManyFiles(_) | StoreError::TooManyStoredFiles(_) => {
                Self::new(StatusCode::CONFLICT, "too_many_files", message)
            }
            StoreError::NoSuchFile | StoreError::NoSuchUpload | StoreError::NoSuchKey => Self::not_found(message),
            StoreError::QuotaExceeded { .. } => Self::new(StatusCode::INSUFFICIENT_STORAGE, "quota_exceeded", message),
            StoreError::TooManyBuckets(_) => Self::new(StatusCode::CONFLICT, "too_many_buckets", message),
            StoreError::TooManyUploads(_) => Self::new(StatusCode::CONFLICT, "too_many_uploads", message),
            StoreError::TokenUsed => Self::new(StatusCode::UNAUTHORIZED, "invalid_or_expired_token", message),
            StoreError::ConditionFailed => Self::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", message),
            StoreError::BucketNotEmpty => Self::new(StatusCode::CONFLICT, "bucket_not_empty", message),
            StoreError::OnceReused => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "this Idempotency-Key came with another request before; accepted: a new one for each request",
            ),
            StoreError::NameTaken => Self::name_taken(message),
            StoreError::NoSuchRegistration => Self::service_not_found(message),
            StoreError::TooManyRegistrations(_) => Self::new(StatusCode::CONFLICT, "too_many_registrations", message),
            // Of keys, which nobody is given over this API.
            StoreError::KeyExists => Self::internal(),
            StoreError::KeyNotActive => Self::new(StatusCode::CONFLICT, "key_not_active", message),
            StoreError::NoSuchSession => Self::session_not_found(),
            StoreError::SessionExists => Self::session_exists(),
            StoreError::SessionFull(full) => Self::session_full(&full),
            StoreError::Unavailable(_) => Self {
                retry_after: Some(STORE_RETRY_AFTER),
                ..Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "store_unavailable",
                    "the store cannot be used at the moment; a change may or may not have been made",
                )
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::task::{InvalidTransition, Status};

    #[test]
    fn what_the_store_says_and_what_it_counts_as() {
        let backwards = InvalidTransition { from: Status::Completed, to: Status::Pending };
        for (error, status, word, outcome) in [
            (StoreError::NoSuchTask, 404, "task_not_found", TaskOutcome::NotFound),
            (StoreError::InvalidTransition(backwards), 409, "invalid_transition", TaskOutcome::Conflict),
            (StoreError::VersionMismatch(3), 412, "precondition_failed", TaskOutcome::Conflict),
            (StoreError::NoSuchParent, 400, "creation_failed", TaskOutcome::Invalid),
            (StoreError::TooManySubtasks(9), 409, "too_many_subtasks", TaskOutcome::Conflict),
            (StoreError::OnceReused, 422, "idempotency_key_reused", TaskOutcome::Conflict),
            (StoreError::Unavailable("disk".into()), 503, "store_unavailable", TaskOutcome::Unavailable),
        ] {
            let problem = Problem::from(error);
            assert_eq!((problem.status.as_u16(), problem.word), (status, word));
            assert_eq!(problem.task_outcome(), outcome);
            assert_eq!(problem.retry_after.is_some(), status == 503);
            assert!(!problem.message.contains("disk"));
        }
    }
}
