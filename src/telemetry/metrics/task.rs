//! What operations on tasks count into.

use std::sync::OnceLock;

use prometheus::{IntCounter, IntCounterVec};

use super::Registered;

/// What was to be done with tasks: the `operation` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum TaskOperation {
    Create,
    Get,
    List,
    Update,
    Delete,
}

impl TaskOperation {
    const COUNT: usize = 5;

    /// The label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Get => "get",
            Self::List => "list",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// What came of it: the `outcome` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskOutcome {
    /// It was done.
    Ok,
    /// It was not something that can be done.
    Invalid,
    /// There is no such task.
    NotFound,
    /// The task, or an earlier request, is in the way.
    Conflict,
    /// The store cannot be used.
    Unavailable,
}

impl TaskOutcome {
    const COUNT: usize = 5;

    /// The label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Invalid => "invalid",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Unavailable => "unavailable",
        }
    }
}

/// One counter for each pair, looked up on first use.
pub(super) struct TaskMetrics {
    answered: IntCounterVec,
    handles: [[OnceLock<IntCounter>; TaskOutcome::COUNT]; TaskOperation::COUNT],
}

impl TaskMetrics {
    pub(super) fn new(registered: &Registered<'_>) -> Result<Self, prometheus::Error> {
        let name = "chittyconnect_tasks_total";
        let answered = registered.counters(name, "Operations on tasks.", &["operation", "outcome"])?;
        Ok(Self { answered, handles: Default::default() })
    }

    pub(super) fn answered(&self, operation: TaskOperation, outcome: TaskOutcome) {
        self.handles[operation as usize][outcome as usize]
            .get_or_init(|| self.answered.with_label_values(&[operation.as_str(), outcome.as_str()]))
            .inc();
    }
}
