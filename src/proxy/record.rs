//! One metrics update and one access line for each request.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use pingora_proxy::Session;

use super::connection::{Refusal, Refusals};
use super::context::{RequestContext, RequestId};
use super::max_forwards::METHODS;
use super::{peer_text, target};
use crate::problem::Problem;
use crate::route::contents::without_token;
use crate::telemetry::access_log::{AccessLogger, Entry};
use crate::telemetry::metrics::{Limit, Metrics, RouteKind};

/// Longer paths are cut off in the log, in bytes.
const LONGEST_PATH: usize = 8 * 1024;

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
    // The peer's address is text already; a client named by a trusted proxy becomes it here.
    let named = context.from_trusted.then(|| context.client.map(|client| client.to_string())).flatten();
    let client = named.map_or_else(|| peer_text(session), Cow::Owned);
    access_log.write(&Entry {
        request_id: context.id.as_str(),
        client: Some(&*client).filter(|client| !client.is_empty()),
        method: request.method.as_str(),
        host: context.host(),
        path: &shown(without_token(target::path(request))),
        status,
        service: context.upstream.as_ref().map(|upstream| upstream.service().id.as_str()),
        kind: context.kind.as_str(),
        endpoint: context.endpoint.as_deref(),
        bytes_in: session.body_bytes_read() as u64,
        bytes_out: session.body_bytes_sent() as u64,
        duration,
        upstream: context.upstream_took,
        error: context.error.as_deref(),
        attempts: context.attempts,
    });
}

/// A path as the log has it: text, and no longer than a path that is admitted by default.
fn shown(path: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(&path[..path.len().min(LONGEST_PATH)])
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
    fn answer(&self, status: u16, head: &[u8]) -> (RequestId, Vec<u8>) {
        let problem = match status {
            405 => Problem::method_not_allowed(METHODS),
            _ => Problem::bad_request("what was sent is not a request of HTTP/1.1 (RFC 9112)"),
        };
        let id = RequestId::generate();
        let (content_type, body) = problem.render(id.as_str(), None);
        let status = problem.status;
        let date = rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&Timestamp::now()).unwrap_or_default();
        let mut answer = format!(
            "HTTP/1.1 {} {}\r\nDate: {date}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nX-Request-ID: {}\r\n\
             Connection: close\r\n",
            status.as_u16(),
            status.canonical_reason().unwrap_or_default(),
            body.len(),
            id.as_str(),
        );
        for (name, value) in problem.headers() {
            answer.extend([name.as_str(), ": ", &value, "\r\n"]);
        }
        answer.push_str("\r\n");
        let mut answer = answer.into_bytes();
        if !head.starts_with(b"HEAD ") {
            answer.extend_from_slice(&body);
        }
        (id, answer)
    }

    fn slow_header(&self) {
        self.metrics.limit_reached(Limit::HeaderTimeout);
    }

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
            request_id: refusal.request_id.map_or("", RequestId::as_str),
            client: Some(refusal.peer).filter(|peer| !peer.is_empty()),
            method,
            host: "",
            path: &shown(without_token(path.split('?').next().unwrap_or_default().as_bytes())),
            status: refusal.status,
            service: None,
            kind: RouteKind::None.as_str(),
            endpoint: None,
            bytes_in: 0,
            bytes_out: 0,
            duration: refusal.duration,
            upstream: None,
            error: Some(if refusal.status == 0 { "incomplete_request" } else { "malformed_request" }),
            attempts: 0,
        });
    }
}
