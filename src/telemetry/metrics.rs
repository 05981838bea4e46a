//! Every metric of DESIGN.md ("Metrics"), registered once, handed down by construction.
//!
//! Series appear on first use. What a request touches is looked up once for each service ([`ServiceMetrics`]) and then
//! costs an atomic or two.

mod endpoint;
mod limit;
mod service;
mod store;
mod task;
mod upstream;

use std::fmt;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

pub use endpoint::EndpointUp;
pub use limit::Limit;
use service::CODE_CLASSES;
pub use service::{FailureReason, ServiceMetrics};
use store::StoreMetrics;
use task::TaskMetrics;
pub use task::{TaskOperation, TaskOutcome};
pub use upstream::AFTER_IDLE;
use upstream::UpstreamMetrics;

/// Upper bounds of the duration histograms, in seconds: from a fast local answer to the default read timeout.
const DURATION_BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 15.0, 60.0];

/// How a request was routed: the `kind` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// Answered by the gateway.
    Local,
    /// A service by its host.
    Host,
    /// A service by its prefix.
    Prefix,
    /// No route, or refused before one was looked for.
    None,
}

impl RouteKind {
    const ALL: [Self; 4] = [Self::Local, Self::Host, Self::Prefix, Self::None];

    /// The label's value, also in the access log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Host => "host",
            Self::Prefix => "prefix",
            Self::None => "none",
        }
    }
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

/// The daemon's metrics. Share behind an `Arc`.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_duration: HistogramVec,
    upstream_duration: HistogramVec,
    in_flight: [IntGauge; 4],
    parse_errors: IntCounter,
    upstreams: UpstreamMetrics,
    limits: IntCounterVec,
    connections: IntGauge,
    endpoint_up: IntGaugeVec,
    routes: IntGaugeVec,
    route_conflicts: IntGauge,
    registry_refresh: IntCounterVec,
    registry_last_success: GaugeVec,
    config_reload: Gauge,
    discovery: IntCounterVec,
    access_log_dropped: IntCounter,
    rate_limited: IntCounterVec,
    file_syncs: IntCounterVec,
    sse_connections: IntGauge,
    tasks: TaskMetrics,
    store: StoreMetrics,
    unrouted: ServiceMetrics,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Registers everything.
    ///
    /// # Errors
    /// Only if two metrics had the same name, which a test would show.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let registered = Registered(&registry);
        let in_flight =
            registered.gauges("chittyconnect_http_requests_in_flight", "Requests being served.", &["kind"])?;
        let requests = registered.counters(
            "chittyconnect_http_requests_total",
            "Requests answered, by class of status code.",
            &["service", "kind", "code"],
        )?;
        let request_duration = registered.histograms(
            "chittyconnect_http_request_duration_seconds",
            "From a request's header to the end of its answer.",
            &["service", "kind"],
        )?;
        let upstream_duration = registered.histograms(
            "chittyconnect_upstream_duration_seconds",
            "From choosing an endpoint to the header of its answer.",
            &["service"],
        )?;
        let upstreams = UpstreamMetrics::new(&registered)?;
        let unrouted = ServiceMetrics::new("", &requests, &request_duration, &upstream_duration, &upstreams.ejections);
        let build = registered.gauges("chittyconnect_build_info", "1, labelled with the version.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Self {
            in_flight: RouteKind::ALL.map(|kind| in_flight.with_label_values(&[kind.as_str()])),
            requests,
            request_duration,
            upstream_duration,
            unrouted,
            parse_errors: registered.add(IntCounter::new(
                "chittyconnect_http_parse_errors_total",
                "Connections ended because no request could be read from them.",
            )?)?,
            upstreams,
            limits: registered.counters(
                "chittyconnect_limit_reached_total",
                "Requests and connections refused because a limit of the configuration was reached.",
                &["limit"],
            )?,
            connections: registered
                .add(IntGauge::new("chittyconnect_connections", "Connections of clients that are open.")?)?,
            endpoint_up: registered.gauges(
                "chittyconnect_endpoint_up",
                "1 if an endpoint answered the last question after its health with 2xx, else 0.",
                &["service", "endpoint"],
            )?,
            routes: registered.gauges(
                "chittyconnect_routes",
                "Services in the table, by the source that names them.",
                &["source"],
            )?,
            route_conflicts: registered
                .add(IntGauge::new("chittyconnect_route_conflicts", "Names claimed by more than one service.")?)?,
            registry_refresh: registered.counters(
                "chittyconnect_registry_refresh_total",
                "Attempts to refresh a source of services.",
                &["source", "outcome"],
            )?,
            registry_last_success: registered.add(GaugeVec::new(
                Opts::new(
                    "chittyconnect_registry_last_success_timestamp_seconds",
                    "When a source last gave a usable list, in Unix seconds.",
                ),
                &["source"],
            )?)?,
            config_reload: registered.add(Gauge::new(
                "chittyconnect_config_last_reload_successful",
                "1 if the configuration in force is the one on disk at the last (re)load, else 0.",
            )?)?,
            discovery: registered.counters(
                "chittyconnect_discovery_requests_total",
                "Answers with the discovery document.",
                &["code"],
            )?,
            file_syncs: registered.counters(
                "chittyconnect_file_sync_events_total",
                "Reports of synchronised files, and sessions taken in, by who reported them.",
                &["source"],
            )?,
            rate_limited: registered.counters(
                "chittyconnect_rate_limited_total",
                "Requests to local endpoints that were one too many.",
                &["class"],
            )?,
            access_log_dropped: registered.add(IntCounter::new(
                "chittyconnect_access_log_dropped_total",
                "Access log lines given up because they could not be written.",
            )?)?,
            sse_connections: registered
                .add(IntGauge::new("chittyconnect_sse_connections", "Event streams that are open.")?)?,
            tasks: TaskMetrics::new(&registered)?,
            store: StoreMetrics::new(&registered)?,
            registry,
        })
    }

    /// What requests to one service count into. The series live until [`Metrics::forget_service`].
    #[must_use]
    pub fn service(&self, id: &str) -> ServiceMetrics {
        let (requests, durations) = (&self.requests, &self.request_duration);
        ServiceMetrics::new(id, requests, durations, &self.upstream_duration, &self.upstreams.ejections)
    }

    /// What the answers of one endpoint of a service count into. The series lives until [`EndpointUp::forget`].
    #[must_use]
    pub fn endpoint_up(&self, service: &str, endpoint: &str) -> EndpointUp {
        EndpointUp { vec: self.endpoint_up.clone(), service: service.into(), endpoint: endpoint.into() }
    }

    /// What requests without a service count into.
    #[must_use]
    pub fn unrouted(&self) -> &ServiceMetrics {
        &self.unrouted
    }

    /// Drops every series of a service that is no longer in the table.
    pub fn forget_service(&self, id: &str) {
        for kind in [RouteKind::Host, RouteKind::Prefix] {
            for code in CODE_CLASSES {
                self.requests.remove_label_values(&[id, kind.as_str(), code]).ok();
            }
            self.request_duration.remove_label_values(&[id, kind.as_str()]).ok();
        }
        self.upstream_duration.remove_label_values(&[id]).ok();
        self.upstreams.forget(id);
    }

    /// The gauge of requests in flight.
    #[must_use]
    pub fn in_flight(&self, kind: RouteKind) -> &IntGauge {
        &self.in_flight[kind as usize]
    }

    /// Counts a connection from which no request could be read.
    pub fn parse_error(&self) {
        self.parse_errors.inc();
    }

    /// Counts a failed attempt at an upstream.
    pub fn upstream_failed(&self, service: &str, reason: FailureReason) {
        self.upstreams.failed(service, reason);
    }

    /// Counts an attempt that comes after one that failed for `cause`.
    pub fn upstream_retried(&self, service: &str, cause: &str) {
        self.upstreams.retried(service, cause);
    }

    /// Counts an attempt that the budget had no room for.
    pub fn retry_refused(&self, service: &str) {
        self.upstreams.retry_refused(service);
    }

    /// Counts what was refused because of a limit.
    pub fn limit_reached(&self, limit: Limit) {
        self.limits.with_label_values(&[limit.as_str()]).inc();
    }

    /// The gauge of open connections.
    #[must_use]
    pub fn connections(&self) -> &IntGauge {
        &self.connections
    }

    /// Notes how many services each source names, and how many names are contested.
    pub fn table_changed<'a>(&self, services: impl Iterator<Item = (&'a str, i64)>, conflicts: i64) {
        self.routes.reset();
        for (source, count) in services {
            self.routes.with_label_values(&[source]).set(count);
        }
        self.route_conflicts.set(conflicts);
    }

    /// Counts one refresh of `source`.
    pub fn registry_refreshed(&self, source: &str, outcome: RefreshOutcome) {
        self.registry_refresh.with_label_values(&[source, outcome.as_str()]).inc();
    }

    /// Notes when `source` last gave a usable list.
    pub fn registry_succeeded(&self, source: &str, unix_seconds: f64) {
        self.registry_last_success.with_label_values(&[source]).set(unix_seconds);
    }

    /// Drops every series of a source that is no longer configured.
    pub fn forget_source(&self, source: &str) {
        for outcome in [RefreshOutcome::Success, RefreshOutcome::Failure, RefreshOutcome::Refused] {
            self.registry_refresh.remove_label_values(&[source, outcome.as_str()]).ok();
        }
        self.registry_last_success.remove_label_values(&[source]).ok();
    }

    /// Notes whether the configuration on disk is the one in force.
    pub fn config_reloaded(&self, successful: bool) {
        self.config_reload.set(if successful { 1.0 } else { 0.0 });
    }

    /// Counts one answer with the discovery document.
    pub fn discovery_answered(&self, status: u16) {
        self.discovery.with_label_values(&[&status.to_string()]).inc();
    }

    /// Counts access log lines that were given up.
    pub fn access_log_dropped(&self, lines: u64) {
        self.access_log_dropped.inc_by(lines);
    }

    /// Counts a report of files, or a session taken in. What is not known to report counts as `other`.
    pub fn synced(&self, source: &str) {
        let known = SYNC_SOURCES.into_iter().find(|known| *known == source);
        self.file_syncs.with_label_values(&[known.unwrap_or("other")]).inc();
    }

    /// Counts a request that was one too many.
    pub fn rate_limited(&self, class: &'static str) {
        self.rate_limited.with_label_values(&[class]).inc();
    }

    /// The gauge of open event streams.
    #[must_use]
    pub fn sse_connections(&self) -> &IntGauge {
        &self.sse_connections
    }

    /// Counts one operation on tasks.
    pub fn task_answered(&self, operation: TaskOperation, outcome: TaskOutcome) {
        self.tasks.answered(operation, outcome);
    }

    /// Notes how long the store took for one operation, waiting for its turn included.
    pub fn store_operation(&self, operation: &'static str, duration: Duration) {
        self.store.operation(operation, duration);
    }

    /// Counts an operation that the store could not do.
    pub fn store_failed(&self, operation: &'static str) {
        self.store.failed(operation);
    }

    /// Counts records that were removed because their time was over.
    pub fn store_removed(&self, kind: &str, records: u64) {
        self.store.removed(kind, records);
    }

    /// Notes how many changes went to the disk together.
    pub fn store_committed(&self, changes: usize) {
        self.store.committed(changes);
    }

    /// Everything, as families.
    #[must_use]
    pub fn gather(&self) -> Vec<prometheus::proto::MetricFamily> {
        self.registry.gather()
    }

    /// Everything in the Prometheus text format.
    ///
    /// # Errors
    /// When the encoder fails, which it does only on metrics without a name.
    pub fn exposition(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.gather())
    }
}

/// Who is known to report files; a client's own word must not become a label.
const SYNC_SOURCES: [&str; 4] = ["rclone", "s3", "api", "session"];

/// Makes and registers in one step.
struct Registered<'a>(&'a Registry);

impl Registered<'_> {
    fn add<C: Collector + Clone + 'static>(&self, collector: C) -> Result<C, prometheus::Error> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
        self.add(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str]) -> Result<HistogramVec, prometheus::Error> {
        self.histograms_of(name, help, labels, &DURATION_BUCKETS)
    }

    fn histograms_of(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> Result<HistogramVec, prometheus::Error> {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.add(HistogramVec::new(options, labels)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_appear_on_first_use_and_go_with_their_service() {
        let metrics = Metrics::new().unwrap();
        let service = metrics.service("chittyid");
        assert!(!metrics.exposition().unwrap().contains("chittyid"));
        service.answered(RouteKind::Host, 204, Duration::from_millis(3));
        service.upstream_answered(Duration::from_millis(2));
        metrics.upstream_failed("chittyid", FailureReason::Connect);
        let text = metrics.exposition().unwrap();
        assert!(text.contains("chittyconnect_http_requests_total{code=\"2xx\",kind=\"host\",service=\"chittyid\"} 1"));
        metrics.forget_service("chittyid");
        assert!(!metrics.exposition().unwrap().contains("chittyid"));
    }
}
