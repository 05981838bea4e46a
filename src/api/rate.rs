//! Rate limits on local endpoints: every request is counted once, where it is known who asks (`super::access`).

use std::net::IpAddr;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::ApiState;
use super::access::Sender;
use crate::auth::rate::Taken;
use crate::model::request::RequestFacts;
use crate::model::time::Time;
use crate::problem::Problem;

/// Requests that a full bucket allows.
const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
/// Requests that it allows now.
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
/// When it will be full again: milliseconds since the epoch, as clients of the original read it.
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Counts a request: in the bucket of its caller, else in that of its address. `None` = it is not limited. `sender` is
/// `None` where nobody was let in.
///
/// # Errors
/// The answer 429, when it is one too many.
pub(super) fn count(
    state: &ApiState,
    request: &Request,
    sender: Option<&Sender>,
) -> Result<Option<Taken>, Box<Response>> {
    let path = request.uri().path();
    if !state.rate_limits.counts(path) {
        return Ok(None);
    }
    let counted = match sender {
        Some(Sender::Caller(caller)) => state.rate_limits.count_caller(caller, path),
        Some(Sender::Trusted) => return Ok(None),
        Some(Sender::Anybody) | None => state.rate_limits.count_address(client(request), path),
    };
    counted.map_err(|refused| {
        state.metrics.rate_limited(refused.class.as_str());
        let limit = refused.exceeded.rate.count.get();
        let mut response = Problem::rate_limited(refused.exceeded).into_response();
        write(&mut response, limit, 0, refused.exceeded.full_at);
        Box::new(response)
    })
}

/// Says where the bucket stands.
pub(super) fn state(response: &mut Response, taken: &Taken) {
    write(response, taken.limit, taken.remaining, taken.full_at);
}

/// Has an answer that takes the place of another say the same of the bucket.
pub(super) fn carry_over(from: &HeaderMap, to: &mut HeaderMap) {
    for name in [LIMIT, REMAINING, RESET] {
        if let Some(value) = from.get(&name) {
            to.insert(name, value.clone());
        }
    }
}

fn write(response: &mut Response, limit: u32, remaining: u32, full_at: Time) {
    let headers = response.headers_mut();
    headers.insert(LIMIT, HeaderValue::from(limit));
    headers.insert(REMAINING, HeaderValue::from(remaining));
    headers.insert(RESET, HeaderValue::from(full_at.as_millis()));
}

fn client(request: &Request) -> Option<IpAddr> {
    request.extensions().get::<RequestFacts>().and_then(|facts| facts.client)
}
