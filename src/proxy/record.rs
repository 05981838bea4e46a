//! One metrics update and one access line for each request.

use std::sync::Arc;

use jiff::Timestamp;
use pingora_proxy::Session;

use super::connection::{Refusal, Refusals};
use super::context::RequestContext;
use super::target;
use crate::telemetry::access_log::{AccessLogger, Entry};
use crate::telemetry::metrics::{Metrics, RouteKind};

/// A request that reached a hook of ours has ended.
pub(super) fn finished(session: &Session, context: &RequestContext, metrics: &Metrics, access_log: &AccessLogger) {
    let duration = context.started.elapsed();
    let status = session.response_written().map_or(0, |response| response.status.as_u16());
    let counted = context.upstream.as_ref().map_or(metrics.unrouted(), |upstream| upstream.metrics());
    counted.answered(context.kind, status, duration);
    if !access_log.is_on() {
        return;
    }
    let request = session.req_header();
    access_log.write(&Entry {
        time: Timestamp::now(),
        request_id: context.id.as_str(),
        client: context.client,
        method: request.method.as_str(),
        host: context.host(),
        path: &String::from_utf8_lossy(target::path(request)),
        status,
        service: context.upstream.as_ref().map(|upstream| upstream.service().id.as_str()),
        kind: context.kind.as_str(),
        endpoint: context.endpoint.as_deref(),
        bytes_in: session.body_bytes_read() as u64,
        bytes_out: session.body_bytes_sent() as u64,
        duration_ms: milliseconds(duration),
        upstream_ms: context.upstream_took.map(milliseconds),
        error: context.error,
        attempts: context.attempts,
    });
}

fn milliseconds(duration: std::time::Duration) -> f64 {
    // Whole microseconds: enough for a log, and short as text.
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// Requests that Pingora refused while reading them.
#[derive(Debug)]
pub(super) struct RefusedRequests {
    /// Where they are counted.
    pub metrics: Arc<Metrics>,
    /// Where they are written.
    pub access_log: AccessLogger,
}

impl Refusals for RefusedRequests {
    fn refused(&self, refusal: &Refusal<'_>) {
        self.metrics.parse_error();
        self.metrics.unrouted().answered(RouteKind::None, refusal.status, refusal.duration);
        if !self.access_log.is_on() {
            return;
        }
        let line = refusal.head.split(|&b| b == b'\r' || b == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        let mut words = line.split(' ');
        let method = words.next().unwrap_or_default();
        let path = words.next().unwrap_or_default();
        self.access_log.write(&Entry {
            time: Timestamp::now(),
            request_id: "",
            client: refusal.peer,
            method,
            host: "",
            path: path.split('?').next().unwrap_or_default(),
            status: refusal.status,
            service: None,
            kind: RouteKind::None.as_str(),
            endpoint: None,
            bytes_in: 0,
            bytes_out: 0,
            duration_ms: milliseconds(refusal.duration),
            upstream_ms: None,
            error: Some(if refusal.status == 0 { "incomplete_request" } else { "malformed_request" }),
            attempts: 0,
        });
    }
}
