//! What requests to one service count into.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec};

use super::RouteKind;

/// Why an attempt at an upstream failed: the `reason` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureReason {
    /// No connection.
    Connect,
    /// No connection in time.
    ConnectTimeout,
    /// TLS could not be agreed, or its certificate is not trusted.
    Tls,
    /// No answer, or a gap in it, for too long.
    Timeout,
    /// The connection broke, or the answer was not HTTP.
    Broken,
    /// No endpoint with a usable address.
    NoEndpoint,
}

impl FailureReason {
    pub(super) const ALL: [Self; 6] =
        [Self::Connect, Self::ConnectTimeout, Self::Tls, Self::Timeout, Self::Broken, Self::NoEndpoint];

    /// The label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::NoEndpoint => "no_endpoint",
        }
    }
}

/// The `code` label: classes of status, and `none` where no answer could be given.
pub(super) const CODE_CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "none"];

/// The handles of one service, each looked up on first use.
pub struct ServiceMetrics {
    id: Box<str>,
    vecs: (IntCounterVec, HistogramVec, HistogramVec, IntCounterVec),
    requests: [[OnceLock<IntCounter>; CODE_CLASSES.len()]; 4],
    durations: [OnceLock<Histogram>; 4],
    upstream: OnceLock<Histogram>,
    /// Its service is gone: what still ends counts no more, for its series would come back.
    retired: AtomicBool,
}

impl fmt::Debug for ServiceMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceMetrics").field("id", &self.id).finish_non_exhaustive()
    }
}

impl ServiceMetrics {
    pub(super) fn new(
        id: &str,
        requests: &IntCounterVec,
        durations: &HistogramVec,
        upstream: &HistogramVec,
        ejections: &IntCounterVec,
    ) -> Self {
        Self {
            id: id.into(),
            vecs: (requests.clone(), durations.clone(), upstream.clone(), ejections.clone()),
            requests: Default::default(),
            durations: Default::default(),
            upstream: OnceLock::new(),
            retired: AtomicBool::new(false),
        }
    }

    /// Counts one answered request. `status` 0 = no answer could be given.
    pub fn answered(&self, kind: RouteKind, status: u16, duration: Duration) {
        if self.retired.load(Ordering::Relaxed) {
            return;
        }
        let class = match status / 100 {
            n @ 1..=5 => usize::from(n) - 1,
            _ => CODE_CLASSES.len() - 1,
        };
        self.requests[kind as usize][class]
            .get_or_init(|| self.vecs.0.with_label_values(&[&self.id, kind.as_str(), CODE_CLASSES[class]]))
            .inc();
        self.durations[kind as usize]
            .get_or_init(|| self.vecs.1.with_label_values(&[&self.id, kind.as_str()]))
            .observe(duration.as_secs_f64());
    }

    /// Counts an endpoint that is left out.
    pub fn ejected(&self) {
        if !self.retired.load(Ordering::Relaxed) {
            self.vecs.3.with_label_values(&[&self.id]).inc();
        }
    }

    /// Counts nothing from now on.
    pub fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    /// Notes how long an upstream took to begin its answer.
    pub fn upstream_answered(&self, duration: Duration) {
        if self.retired.load(Ordering::Relaxed) {
            return;
        }
        self.upstream.get_or_init(|| self.vecs.2.with_label_values(&[&self.id])).observe(duration.as_secs_f64());
    }
}
