//! What the gateway knows of one request while it is being served.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrayvec::ArrayString;
use uuid::Uuid;

use super::body_rate::Pace;
use super::in_flight::Ticket;
use crate::route::hostname::RequestHost;
use crate::telemetry::metrics::RouteKind;
use crate::upstream::gate::Gate;
use crate::upstream::member::MemberTicket;
use crate::upstream::{Permit, Tries, Upstream};

/// The request id: a `UUIDv7` of our own, or what a trusted proxy sent.
#[derive(Clone)]
pub enum RequestId {
    /// Ours. As 16 bytes it is also the trace id of a request that comes without one.
    Own(Uuid, ArrayString<36>),
    /// A trusted proxy's.
    Given(Arc<str>),
}

impl RequestId {
    /// A new one (RFC 9562 §5.7).
    #[must_use]
    pub fn generate() -> Self {
        let id = Uuid::now_v7();
        let mut buffer = Uuid::encode_buffer();
        let text = ArrayString::from(id.hyphenated().encode_lower(&mut buffer)).unwrap_or_default();
        Self::Own(id, text)
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Own(_, text) => text,
            Self::Given(text) => text,
        }
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a prefix request goes on its upstream.
#[derive(Debug)]
pub struct Rewrite {
    /// The whole new target: path and query.
    pub target: Vec<u8>,
    /// The prefix that was taken off, for `X-Forwarded-Prefix`.
    pub prefix: Vec<u8>,
}

/// One request's state, made by `new_ctx` and filled by the phases in their order.
#[allow(clippy::struct_excessive_bools, reason = "each is one fact of the request, and none follows from another")]
pub struct RequestContext {
    /// When its header had been read.
    pub started: Instant,
    /// Its id.
    pub id: RequestId,
    /// Its client, after trusted proxies were believed.
    pub client: Option<IpAddr>,
    /// Whether the connection comes from a trusted proxy.
    pub from_trusted: bool,
    /// The host it asks for.
    pub host: Option<RequestHost>,
    /// How it was routed.
    pub kind: RouteKind,
    /// Whether the host is one of the gateway's own, where the gateway speaks CORS.
    pub on_gateway: bool,
    /// The service it goes to.
    pub upstream: Option<Arc<Upstream>>,
    /// Whether `Authorization` held what let it through to its service.
    pub authorization_is_ours: bool,
    /// Its new target, on a prefix.
    pub rewrite: Option<Rewrite>,
    /// Counts it among the requests in flight.
    pub ticket: Option<Ticket>,
    /// Counts it among the service's requests, until they begin to stream.
    pub permit: Option<Permit>,
    /// Whether it may go on for ever: a WebSocket, an event stream, gRPC.
    pub is_endless: bool,
    /// What decides which endpoint it goes to.
    pub seed: u64,
    /// The endpoints that were tried.
    pub tries: Tries,
    /// Counts it among the requests of the endpoint that is tried.
    pub at_member: Option<MemberTicket>,
    /// Stands before the answer to an upgrade, until all of the request was handed on.
    pub gate: Option<Arc<Gate>>,
    /// Whether the answer that just came is given up for another attempt.
    pub retrying: bool,
    /// Attempts made.
    pub attempts: u32,
    /// The endpoint tried last.
    pub endpoint: Option<Arc<str>>,
    /// When the upstream was chosen.
    pub upstream_started: Option<Instant>,
    /// Until its answer's header.
    pub upstream_took: Option<Duration>,
    /// Whether all of its body has been read.
    pub body_read: bool,
    /// Whether its body may be as large as a file.
    pub takes_file: bool,
    /// How fast its body comes in, over HTTP/2.
    pub(super) pace: Pace,
    /// Request body bytes seen.
    pub body_bytes: u64,
    /// The word of the error it ended with.
    pub error: Option<Cow<'static, str>>,
}

impl RequestContext {
    /// Before anything is known.
    #[must_use]
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            id: RequestId::Own(Uuid::nil(), ArrayString::new_const()),
            client: None,
            from_trusted: false,
            host: None,
            kind: RouteKind::None,
            on_gateway: false,
            upstream: None,
            authorization_is_ours: false,
            rewrite: None,
            ticket: None,
            permit: None,
            is_endless: false,
            seed: 0,
            tries: Tries::default(),
            at_member: None,
            gate: None,
            retrying: false,
            attempts: 0,
            endpoint: None,
            upstream_started: None,
            upstream_took: None,
            body_read: false,
            takes_file: false,
            pace: Pace::default(),
            body_bytes: 0,
            error: None,
        }
    }

    /// The service has answered all of it, however long its client still sends: it counts among its requests no more.
    pub fn service_is_done(&mut self) {
        self.permit = None;
        self.at_member = None;
    }

    /// The host it asks for; empty before it is known.
    #[must_use]
    pub fn host(&self) -> &str {
        self.host.as_ref().map_or("", RequestHost::as_str)
    }
}

impl Default for RequestContext {
    fn default() -> Self {
        Self::new()
    }
}
