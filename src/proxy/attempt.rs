//! The attempts at a service that one request makes: which endpoint is asked, what a failure says of it, and whether there
//! is another attempt.
//!
//! What was sent is sent again only where repeating it is safe (RFC 9110 §9.2.2), where no answer has begun, and where the
//! service's retry budget has room. Where there was no connection nothing was sent.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{COOKIE, UPGRADE};
use http::{HeaderMap, HeaderValue, StatusCode, Version};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, RetryType};
use pingora_proxy::Session;
use xxhash_rust::xxh3::xxh3_64;

use super::context::RequestContext;
use super::failure::{is_timeout, reason_of};
use super::{connection_of, header};
use crate::model::service::{HashOn, RetryCause};
use crate::problem::Problem;
use crate::telemetry::metrics::{AFTER_IDLE, Metrics};
use crate::upstream::Upstream;
use crate::upstream::peer::Wanted;

/// Counts a request that goes to `upstream`, and decides where it begins.
///
/// # Errors
/// 503 where as many are in flight as may be.
pub(super) fn admit(session: &Session, context: &mut RequestContext, upstream: &Upstream) -> Result<(), Problem> {
    let permit = upstream.admit(context.started);
    context.is_endless = is_grpc(session);
    context.permit =
        Some(permit.ok_or_else(|| Problem::overloaded("the service has as many requests as it may have"))?);
    context.seed = upstream.seed(|on| hash_of(&session.req_header().headers, context, on));
    Ok(())
}

/// The hash of what decides where a request goes.
fn hash_of(headers: &HeaderMap, context: &RequestContext, on: &HashOn) -> u64 {
    let found = match on {
        HashOn::ClientIp => None,
        HashOn::Header(name) => headers.get(name.as_str()).map(HeaderValue::as_bytes),
        HashOn::Cookie(name) => cookie(headers, name.as_bytes()),
    };
    let by_client = || match context.client {
        Some(std::net::IpAddr::V4(v4)) => xxh3_64(&v4.octets()),
        Some(std::net::IpAddr::V6(v6)) => xxh3_64(&v6.octets()),
        None => 0,
    };
    found.map_or_else(by_client, xxh3_64)
}

/// The value of a cookie (RFC 6265 §4.2.1).
fn cookie<'h>(headers: &'h HeaderMap, name: &[u8]) -> Option<&'h [u8]> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|value| value.as_bytes().split(|&b| b == b';'));
    pairs.map(<[u8]>::trim_ascii).find_map(|pair| pair.strip_prefix(name)?.strip_prefix(b"="))
}

/// Chooses where the next attempt goes; `None` = nothing is left. `body_rate`: bytes a second that a body comes in at least.
pub(super) fn next(session: &mut Session, context: &mut RequestContext, body_rate: u64) -> Option<Box<HttpPeer>> {
    let wanted = wanted(session, context, body_rate);
    context.gate.clone_from(&wanted.upgrade);
    let upstream = context.upstream.as_ref()?;
    let (index, label, peer) = upstream.select(context.seed, &context.tries, |selected| {
        Some((selected.index, selected.member.endpoint().label(), upstream.peer(&selected, wanted.clone())?))
    })??;
    context.at_member = upstream.enter(index);
    // What is sent again is counted again.
    context.body_bytes = 0;
    context.tries.begin(index);
    context.attempts += 1;
    context.upstream_started = Some(Instant::now());
    context.endpoint = Some(label);
    Some(peer)
}

/// What the request asks of its connection. Over HTTP/2 the gateway sees no connection of the client's, so that its own
/// deadlines do not work there: Pingora's read timeout takes their place, but for answers that may well be silent. It runs
/// from the request's header on, so that it leaves the request's body the time that it may take.
fn wanted(session: &mut Session, context: &RequestContext, body_rate: u64) -> Wanted {
    let fresh = context.tries.has_taken_back();
    if connection_of(session).is_some() {
        let upgrade =
            session.get_header(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
        return Wanted { upgrade: upgrade.then(Arc::default), fresh, read: None };
    }
    let upload = upload_time(session, body_rate);
    let mut accepted = session.req_header().headers.get_all(http::header::ACCEPT).iter();
    let patient = context.is_endless || accepted.any(|value| header::accepts_event_stream(value.as_bytes()));
    let read = context.upstream.as_ref().and_then(|upstream| upstream.service().timeouts.read);
    let silence = read.filter(|_| !patient).and_then(|read| Some(read.saturating_add(upload?)));
    Wanted { upgrade: None, fresh, read: silence.into_iter().chain(total_left(context)).min() }
}

/// How long what is still to come of the request's body may take; `None` = nobody knows.
fn upload_time(session: &mut Session, body_rate: u64) -> Option<Duration> {
    if session.as_downstream_mut().is_body_done() {
        return Some(Duration::ZERO);
    }
    let length: u64 = session.get_header(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()?;
    length.checked_div(body_rate).map(Duration::from_secs)
}

/// Whether a request is a call of gRPC, whose messages may be far apart.
fn is_grpc(session: &Session) -> bool {
    let kind = session.req_header().headers.get(http::header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// There was no connection. Says in `error` whether there is another attempt.
pub(super) fn not_connected(session: &Session, context: &mut RequestContext, error: &mut Error, metrics: &Metrics) {
    let Some(upstream) = &context.upstream else { return };
    metrics.upstream_failed(upstream.service().id.as_str(), reason_of(error));
    if let Some(index) = context.tries.last() {
        upstream.failed(index);
    }
    context.tries.refused();
    context.at_member = None;
    let again = again(session, context, RetryCause::Connect, metrics);
    error.set_retry(again);
}

/// Judges an answer's status: `Some` = it is not passed on, and there is another attempt.
pub(super) fn judged(
    session: &Session,
    context: &mut RequestContext,
    status: StatusCode,
    metrics: &Metrics,
) -> Option<Box<Error>> {
    let (Some(upstream), Some(index)) = (&context.upstream, context.tries.last()) else { return None };
    let Some(cause) = RetryCause::of_status(status.as_u16()) else {
        upstream.succeeded(index);
        return None;
    };
    upstream.failed(index);
    again(session, context, cause, metrics).then(|| {
        context.retrying = true;
        let mut error = Error::new(ErrorType::HTTPStatus(status.as_u16())).into_up();
        error.set_retry(true);
        error
    })
}

/// An attempt failed that had a connection. Says in `error` whether there is another. `reused`: the connection had served
/// others before.
pub(super) fn broke(
    session: &Session,
    context: &mut RequestContext,
    error: &mut Error,
    reused: bool,
    metrics: &Metrics,
) {
    context.at_member = None;
    if std::mem::take(&mut context.retrying) {
        give_time(session, context);
        return;
    }
    let (Some(upstream), Some(index)) = (&context.upstream, context.tries.last()) else { return };
    let silent = context.body_read && connection_of(session).is_some_and(|it| it.deadline().has_passed());
    let by_upstream = *error.esource() == ErrorSource::Upstream;
    // A connection that its server ended as this request came says nothing of the server.
    let stale = reused && by_upstream && !matches!(error.retry, RetryType::Decided(false));
    let was_idle = stale && is_end_of_http_1(error);
    error.set_retry(false);
    if !silent && !by_upstream {
        return;
    }
    let cause = if silent || is_timeout(error) { RetryCause::Timeout } else { RetryCause::Reset };
    if !stale {
        upstream.failed(index);
    }
    if silent {
        upstream.silent(index);
    }
    let is_allowed = stale || upstream.service().retry.on.contains(&cause);
    if is_allowed
        && may_repeat(session, context)
        && (was_idle && is_replaced(context, metrics) || granted(context, cause, metrics))
    {
        error.set_retry(true);
        give_time(session, context);
    }
}

/// Whether a connection of HTTP/1 ended before its answer's header. One of HTTP/2 carries many requests at once, and its end
/// or that of a stream is no matter of one that had been idle.
fn is_end_of_http_1(error: &Error) -> bool {
    match error.etype() {
        ErrorType::ConnectionClosed => true,
        ErrorType::ReadError => error.root_cause().is::<std::io::Error>(),
        _ => false,
    }
}

/// Whether a request whose connection its server had ended goes on another one, once. It is the same attempt, and takes
/// nothing out of the budget: every such connection had been left by a request that was answered.
fn is_replaced(context: &mut RequestContext, metrics: &Metrics) -> bool {
    let Some(upstream) = &context.upstream else { return false };
    let service = upstream.service();
    let may = service.retry.is_on() && has_time(context) && context.tries.take_back();
    if may {
        metrics.upstream_retried(service.id.as_str(), AFTER_IDLE);
    }
    may
}

/// The next attempt has its own time: what is left of the last one's wait would end it while it connects.
fn give_time(session: &Session, context: &RequestContext) {
    if let Some(connection) = connection_of(session) {
        connection.deadline().wait_at_most(None, total_left(context));
    }
}

/// Whether there is another attempt after `cause`, which is then counted.
fn again(session: &Session, context: &RequestContext, cause: RetryCause, metrics: &Metrics) -> bool {
    let is_listed = context.upstream.as_ref().is_some_and(|upstream| upstream.service().retry.on.contains(&cause));
    is_listed && (cause == RetryCause::Connect || may_repeat(session, context)) && granted(context, cause, metrics)
}

/// Whether the request may be sent twice, and no answer has begun.
fn may_repeat(session: &Session, context: &RequestContext) -> bool {
    let begun = session.response_written().is_some_and(|response| {
        !response.status.is_informational() || response.status == StatusCode::SWITCHING_PROTOCOLS
    });
    !begun
        && session.req_header().method.is_idempotent()
        && !session.as_ref().retry_buffer_truncated()
        && (context.body_read || session.req_header().version == Version::HTTP_2)
}

/// Whether the service's policy has room for another attempt, and there is something to try.
fn granted(context: &RequestContext, cause: RetryCause, metrics: &Metrics) -> bool {
    let Some(upstream) = &context.upstream else { return false };
    let service = upstream.service();
    let more = context.tries.count() <= service.retry.attempts as usize && has_time(context);
    // The budget comes last: what is taken out of it is used.
    if !more || upstream.select(context.seed, &context.tries, |_| ()).is_none() {
        return false;
    }
    let granted = upstream.may_retry(Instant::now());
    if granted {
        metrics.upstream_retried(service.id.as_str(), cause.as_str());
    } else {
        metrics.retry_refused(service.id.as_str());
    }
    granted
}

/// Whether `timeouts.total` is not over.
fn has_time(context: &RequestContext) -> bool {
    total_left(context).is_none_or(|left| !left.is_zero())
}

/// What is left of `timeouts.total`; `None` = no limit.
pub(super) fn total_left(context: &RequestContext) -> Option<Duration> {
    if context.is_endless {
        return None;
    }
    let total = context.upstream.as_ref()?.service().timeouts.total?;
    Some(total.saturating_sub(context.started.elapsed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("xsid=no; sid=a=b; sid=c"));
        headers.append(COOKIE, HeaderValue::from_static("other=1"));
        assert_eq!(cookie(&headers, b"sid"), Some(&b"a=b"[..]));
        assert_eq!(cookie(&headers, b"other"), Some(&b"1"[..]));
        assert_eq!(cookie(&headers, b"si"), None);
    }
}
