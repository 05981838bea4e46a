//! `GET /sse`, `GET /sse/health`: what happens in a session, as it happens (CONTRACT.md §8, DESIGN.md "Events").
//!
//! Messages are data only: `id: <number>` and `data: {"type": …}`. Beside the events of the log, which have their
//! numbers for ids, there are
//! - `connected`, first of all, with the position from which on events are told as its id, unless the client named one;
//! - `heartbeat`, when nothing else was sent for `events.heartbeat`, with the position up to which everything has been
//!   told as its id, so that a client of a quiet session that comes back is not taken for one that was long away;
//! - `gap {from, to}`: events of these numbers may have been missed. Without an id where the log still has them: they are
//!   told to whoever comes back with `Last-Event-ID: <from - 1>`. With `to` for an id where they are gone;
//! - `closing {reason, message}`, last of all: `shutdown`, `unauthorized`, `store_unavailable`.
//!
//! Numbers are those of the whole store. They show a tenant how much happens in it, as the numbers of its own events do.

mod place;
mod query;
mod stream;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::access::Pass;
use super::document::fresh;
use super::extract::Caller;
use super::{ApiState, now};
use crate::event::follow::Follower;
use crate::event::{Channel, Config, Hub};
use crate::model::key::Scope;
use crate::problem::Problem;
use crate::store::EventStore;
use crate::telemetry::metrics::Metrics;
use place::Places;
use query::Asked;
use stream::Stream;

/// Where events are.
pub(super) const SSE: &str = "/sse";
/// For proxies of nginx's kind: nothing is to be held back.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What subscribers share.
#[derive(Clone)]
pub(super) struct Events {
    hub: Arc<Hub>,
    config: Config,
    places: Arc<Places>,
}

impl Events {
    pub(super) fn new(hub: Arc<Hub>, config: Config, metrics: &Metrics) -> Self {
        Self { hub, config, places: Arc::new(Places::new(metrics.sse_connections().clone())) }
    }
}

/// Whether events can be had.
#[derive(Serialize, ToSchema)]
pub(super) struct EventHealth {
    /// `available`
    status: &'static str,
    /// RFC 3339, milliseconds, UTC.
    timestamp: String,
}

/// Whether events can be had.
#[utoipa::path(get, path = "/sse/health", operation_id = "sse_health", tag = "events",
    responses((status = 200, body = EventHealth)))]
pub(super) async fn health() -> Response {
    fresh(&EventHealth { status: "available", timestamp: now() })
}

/// Tells what happens in a session, until the client leaves: server-sent events, each of them a JSON object with `type`.
///
/// What happens is named as in `task.created`, `task.updated` and `task.deleted`, and has its number as id. Beside it there are
/// `connected` (first), `heartbeat` (when nothing else was sent for a while), `gap` (`from`, `to`: events of these numbers
/// may have been missed; without an id where they can be had by coming back with the number before `from`) and `closing`
/// (last, with a `reason`: `shutdown`, `unauthorized` or `store_unavailable`). A session of somebody else is an empty one
/// of one's own.
#[utoipa::path(get, path = "/sse", operation_id = "sse", tag = "events",
    security(("apiKey" = ["context:read"])),
    params(
        ("sessionId" = Option<String>, Query, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$",
            description = "default: the key's session"),
        ("session_id" = Option<String>, Query, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$",
            description = "another spelling, which counts where `sessionId` is not there"),
        ("last_event_id" = Option<String>, Query, pattern = "^[0-9]{1,19}$",
            description = "what `Last-Event-ID` says, for clients that cannot send headers"),
        ("types" = Option<String>, Query, pattern = "^[a-z._]{1,64}(,[a-z._]{1,64}){0,31}$",
            description = "only events of these types, separated by commas"),
        ("Last-Event-ID" = Option<String>, Header, pattern = "^[0-9]{1,19}$",
            description = "go on behind this event; a number that the log does not have yet means from now on, after a gap"),
    ),
    responses(
        (status = 200, content_type = "text/event-stream", body = String, description = "events, without an end"),
        (status = 400, description = "`bad_request`: a parameter cannot be meant"),
        (status = 429, description = "`overloaded`: the key has 10000 streams open"),
        (status = 503, description = "`store_unavailable`, `Auth backend unavailable`; `overloaded`: 20000 streams are open"),
    )
)]
pub(super) async fn sse(
    State(state): State<ApiState>,
    Caller(caller): Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asked = Asked::read(uri.query().unwrap_or_default(), &headers)?;
    let place = state.events.places.take(&caller.key_id)?;
    let session = asked.session.unwrap_or_else(|| caller.session_id.clone());
    let channel = Channel { owner: caller.chitty_id.clone(), session: session.clone() };
    let store: Arc<dyn EventStore> = Arc::clone(&state.store) as _;
    let follower = Follower::begin(&state.events.hub, store, channel, asked.after).await?;
    let pass = Pass::new(&state, &headers, caller, Scope::ContextRead);
    let stream = Stream {
        follower,
        session,
        types: asked.types,
        resumed: asked.after.is_some(),
        heartbeat: state.events.config.heartbeat,
        pass,
        _place: place,
    };
    let mut response = Response::new(Body::from_stream(stream.into_messages()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}
