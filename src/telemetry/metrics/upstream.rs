//! How upstreams fare: failed attempts, those that came after them, and endpoints that are left out.

use prometheus::IntCounterVec;

use super::{FailureReason, Registered};

/// What is tried again whatever a policy lists: a request on a connection that its server had ended while it was idle.
pub const AFTER_IDLE: &str = "idle";

/// What is tried again: the `cause` label.
const RETRY_CAUSES: [&str; 7] = ["connect", "reset", "timeout", "502", "503", "504", AFTER_IDLE];

/// The families of all services.
pub(super) struct UpstreamMetrics {
    failures: IntCounterVec,
    retries: IntCounterVec,
    retries_refused: IntCounterVec,
    pub(super) ejections: IntCounterVec,
}

impl UpstreamMetrics {
    pub(super) fn new(registered: &Registered<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            failures: registered.counters(
                "chittyconnect_upstream_failures_total",
                "Attempts at an upstream that failed.",
                &["service", "reason"],
            )?,
            retries: registered.counters(
                "chittyconnect_upstream_retries_total",
                "Attempts at an upstream that came after one that failed, by what had failed.",
                &["service", "cause"],
            )?,
            retries_refused: registered.counters(
                "chittyconnect_upstream_retries_refused_total",
                "Attempts that were not made because the retry budget was used up.",
                &["service"],
            )?,
            ejections: registered.counters(
                "chittyconnect_upstream_ejections_total",
                "Endpoints left out for a while because they failed too often in a row.",
                &["service"],
            )?,
        })
    }

    pub(super) fn failed(&self, service: &str, reason: FailureReason) {
        self.failures.with_label_values(&[service, reason.as_str()]).inc();
    }

    pub(super) fn retried(&self, service: &str, cause: &str) {
        self.retries.with_label_values(&[service, cause]).inc();
    }

    pub(super) fn retry_refused(&self, service: &str) {
        self.retries_refused.with_label_values(&[service]).inc();
    }

    pub(super) fn forget(&self, service: &str) {
        for reason in FailureReason::ALL {
            self.failures.remove_label_values(&[service, reason.as_str()]).ok();
        }
        for cause in RETRY_CAUSES {
            self.retries.remove_label_values(&[service, cause]).ok();
        }
        for family in [&self.retries_refused, &self.ejections] {
            family.remove_label_values(&[service]).ok();
        }
    }
}
