//! Every metric of DESIGN.md ("Metrics"), registered once, handed down by construction.

use prometheus::{GaugeVec, IntCounterVec, Opts, Registry};

/// The daemon's metrics. Cheap to share behind an `Arc`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    registry_refresh: IntCounterVec,
    registry_last_success: GaugeVec,
}

/// How one attempt to refresh a source ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshOutcome {
    /// A list that was taken over, changed or not.
    Success,
    /// The source could not be reached, read or parsed.
    Failure,
    /// A list that was understood and refused (an empty one after a full one).
    Refused,
}

impl RefreshOutcome {
    /// The label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Refused => "refused",
        }
    }
}

impl Metrics {
    /// Registers everything.
    ///
    /// # Errors
    /// Only if two metrics had the same name, which a test would show.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let registry_refresh = IntCounterVec::new(
            Opts::new("chittyconnect_registry_refresh_total", "Attempts to refresh a source of services."),
            &["source", "outcome"],
        )?;
        let registry_last_success = GaugeVec::new(
            Opts::new(
                "chittyconnect_registry_last_success_timestamp_seconds",
                "When a source last gave a usable list, in Unix seconds.",
            ),
            &["source"],
        )?;
        registry.register(Box::new(registry_refresh.clone()))?;
        registry.register(Box::new(registry_last_success.clone()))?;
        Ok(Self { registry, registry_refresh, registry_last_success })
    }

    /// Counts one refresh of `source`.
    pub fn registry_refreshed(&self, source: &str, outcome: RefreshOutcome) {
        self.registry_refresh.with_label_values(&[source, outcome.as_str()]).inc();
    }

    /// Notes when `source` last gave a usable list.
    pub fn registry_succeeded(&self, source: &str, unix_seconds: f64) {
        self.registry_last_success.with_label_values(&[source]).set(unix_seconds);
    }

    /// Everything, for the exposition format.
    #[must_use]
    pub fn gather(&self) -> Vec<prometheus::proto::MetricFamily> {
        self.registry.gather()
    }
}
