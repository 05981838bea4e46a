//! The gateway as Pingora sees it: phase methods only, in phase order.
//!
//! It receives the routing table and the local router; it knows neither where services come from nor what the local
//! endpoints answer.

mod admission;
pub mod app;
mod attempt;
mod body_rate;
mod bridge;
pub mod connection;
pub mod context;
mod cors;
pub mod deadline;
mod failure;
pub mod header;
pub mod in_flight;
mod limit;
mod max_forwards;
mod patience;
mod record;
mod request_line;
mod step;
mod target;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use bytes::Bytes;
use http::{Method, StatusCode, Version};
use ipnet::IpNet;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, Result};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

use crate::auth::authenticator::Authenticator;
use crate::model::service::ServiceAuth;
use crate::problem::Problem;
use crate::route::Routes;
use crate::telemetry::access_log::AccessLogger;
use crate::telemetry::metrics::{Limit, Metrics, RouteKind};
use connection::Connection;
use context::RequestContext;
use cors::CorsPolicy;
use failure::{Waited, failed, no_candidate};
use header::{Arrival, ForwardPolicy, Via};
use in_flight::InFlight;

/// `limits`, `trusted_proxies` and `cors`.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Admission limits.
    pub limits: Limits,
    /// Whose `X-Forwarded-*` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Cross-origin answers.
    pub cors: Cors,
}

/// The `limits` section (capability 1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest header section, in bytes; 431 above it.
    pub header_bytes: usize,
    /// Most header fields; 431 above it.
    pub headers: usize,
    /// Longest request target, in bytes; 414 above it.
    pub uri_bytes: usize,
    /// Largest request body, in bytes; 413 above it, refused while streaming.
    pub body_bytes: u64,
    /// The same of one that is a file (`files.max_bytes`).
    pub file_bytes: u64,
    /// How long a connection may wait for its next request.
    pub idle_timeout: Duration,
    /// From the first byte of a request's header to its last; slower, and the connection is closed.
    pub header_timeout: Duration,
    /// Bytes a second that a body comes in at least, averaged over 10 s of waiting for it; slower: 408.
    pub body_min_rate: u64,
    /// Connections at once to one listener; one more is closed.
    pub connections: usize,
    /// The same of one client's address (of one /64 of IPv6), trusted proxies aside.
    pub connections_per_client: u32,
}

/// The `cors` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// Allowed origins: literal, or with `*` in place of exactly one first label (`https://*.chitty.cc`).
    pub origins: Vec<String>,
    /// How long a browser may keep a preflight's answer.
    pub max_age: Duration,
}

/// What the gateway is made of.
pub struct Parts {
    /// Its section of the configuration.
    pub config: Config,
    /// The routing table.
    pub routes: Routes,
    /// The local endpoints.
    pub router: Router,
    /// The S3 endpoint.
    pub files: Router,
    /// Who is let through to services that ask for it.
    pub auth: Arc<Authenticator>,
    /// Where it counts.
    pub metrics: Arc<Metrics>,
    /// Where it writes a line for each request.
    pub access_log: AccessLogger,
    /// Its mark on requests.
    pub via: Via,
    /// What a drain waits for.
    pub in_flight: InFlight,
}

/// The gateway. Pingora calls the methods below in their order, once for each request unless said otherwise.
pub struct Gateway {
    parts: Parts,
    cors: CorsPolicy,
}

impl Gateway {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self { cors: CorsPolicy::new(&parts.config.cors, parts.auth.header()), parts }
    }
}

#[async_trait]
impl ProxyHttp for Gateway {
    /// Boxed: Pingora moves it through several futures, which would each have room for all of it.
    type CTX = Box<RequestContext>;

    fn new_ctx(&self) -> Box<RequestContext> {
        Box::default()
    }

    fn init_downstream_modules(&self, _: &mut pingora::modules::http::HttpModules) {
        // Bodies pass as they are; Pingora would put its compression here.
    }

    /// First hook, before any module: the request is ours from here on.
    async fn early_request_filter(&self, session: &mut Session, context: &mut Box<RequestContext>) -> Result<()> {
        if let Some(connection) = connection_of(session) {
            connection.serving();
        }
        if session.req_header().version < Version::HTTP_11 {
            // HTTP/1.0 knows no informational answers (RFC 9110 §15.2).
            session.as_downstream_mut().set_ignore_info_resp(true);
        }
        context.ticket = Some(self.parts.in_flight.enter(self.parts.metrics.in_flight(RouteKind::None)));
        self.identify(session, context);
        Ok(())
    }

    /// Routes, and answers what is local. `true` = answered.
    async fn request_filter(&self, session: &mut Session, context: &mut Box<RequestContext>) -> Result<bool> {
        limit::settle_framing(session)?;
        self.admit(session, context).map_err(failed)?;
        if session.req_header().method == Method::OPTIONS && self.is_gateway_host(context) {
            context.kind = RouteKind::Local;
            let mut response = self.cors.preflight(session.get_header(http::header::ORIGIN))?;
            response.insert_header(header::X_REQUEST_ID, context.id.as_str())?;
            session.write_response_header(Box::new(response), true).await?;
            return Ok(true);
        }
        if max_forwards::count_down(session).map_err(failed)? {
            let mut response = ResponseHeader::build(StatusCode::OK, Some(3))?;
            response.insert_header(http::header::ALLOW, max_forwards::METHODS)?;
            response.insert_header(http::header::CONTENT_LENGTH, "0")?;
            response.insert_header(header::X_REQUEST_ID, context.id.as_str())?;
            session.write_response_header(Box::new(response), true).await?;
            return Ok(true);
        }
        let local = self.route(session, context).map_err(failed)?;
        if let Some(ticket) = &mut context.ticket {
            ticket.recount(self.parts.metrics.in_flight(context.kind));
        }
        limit::check_announced_body(session, self.body_limit(context)).map_err(failed)?;
        let asked = context.upstream.as_ref().map_or(ServiceAuth::None, |upstream| upstream.service().auth);
        if asked != ServiceAuth::None {
            // Boxed, for the same reason as below: most services ask for nothing.
            Box::pin(self.authorize(asked, &session.req_header().headers, context)).await.map_err(failed)?;
        }
        let Some(local) = local else {
            if let Some(upstream) = context.upstream.clone() {
                attempt::admit(session, context, &upstream).map_err(failed)?;
            }
            return Ok(false);
        };
        // Boxed, so that the many requests that are proxied do not carry room for it.
        Box::pin(self.answer(session, context, &local)).await.map_err(failure::Failure::into_error)?;
        Ok(true)
    }

    /// Chooses where to dial. Called again for each attempt.
    async fn upstream_peer(&self, session: &mut Session, context: &mut Box<RequestContext>) -> Result<Box<HttpPeer>> {
        if let Some(peer) = attempt::next(session, context, self.parts.config.limits.body_min_rate) {
            limit::allow_pipelining(session);
            return Ok(peer);
        }
        let Some(upstream) = &context.upstream else { return Err(failed(Problem::internal())) };
        Err(no_candidate(upstream, &self.parts.metrics))
    }

    /// No connection: nothing was sent yet.
    fn fail_to_connect(
        &self,
        session: &mut Session,
        _peer: &HttpPeer,
        context: &mut Box<RequestContext>,
        mut error: Box<Error>,
    ) -> Box<Error> {
        attempt::not_connected(session, context, &mut error, &self.parts.metrics);
        error
    }

    /// Edits the request's header for the upstream, and starts its clock.
    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        context: &mut Box<RequestContext>,
    ) -> Result<()> {
        context.body_read = session.as_downstream_mut().is_body_done();
        if let Some(gate) = &context.gate {
            gate.shut();
        }
        let Some(upstream) = &context.upstream else { return Err(failed(Problem::internal())) };
        let member = context.tries.last().and_then(|index| upstream.members().get(index));
        let Some(member) = member else { return Err(failed(Problem::internal())) };
        let service = upstream.service();
        let policy = ForwardPolicy {
            auth_header: self.parts.auth.header(),
            authorization_is_ours: context.authorization_is_ours,
            forward_credentials: service.forward_credentials,
            host: member.host(),
            edits: &upstream.edits().request,
            via: &self.parts.via,
        };
        let peer = peer_text(session);
        let arrival = Arrival { peer: &peer, scheme: scheme_of(session) };
        header::prepare_upstream(request, context, arrival, &policy)?;
        if let Some(connection) = connection_of(session) {
            let total = attempt::total_left(context);
            // While the client still sends, it is the client that is waited for.
            let gap =
                if context.body_read { service.timeouts.read } else { Some(self.parts.config.limits.idle_timeout) };
            connection.deadline().wait_at_most(gap, total);
        }
        Ok(())
    }

    /// Each piece of the request's body on its way up.
    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        context: &mut Box<RequestContext>,
    ) -> Result<()> {
        if session.was_upgraded() {
            return Ok(());
        }
        let limit = self.body_limit(context);
        let bytes = body.as_ref().map_or(0, Bytes::len);
        limit::count_body(&mut context.body_bytes, bytes, limit).map_err(failed)?;
        let over_http_2 = connection_of(session).is_none() && !end_of_stream && !context.is_endless;
        if over_http_2 && context.pace.is_too_slow(bytes, self.parts.config.limits.body_min_rate) {
            return Err(failed(Problem::request_timeout()));
        }
        if let Some(connection) = connection_of(session) {
            connection.deadline().moved();
            if end_of_stream {
                connection.hold();
                if let Some(upstream) = context.upstream.as_ref().filter(|_| !context.body_read) {
                    connection.deadline().wait_for_gaps(upstream.service().timeouts.read);
                }
                context.body_read = true;
            }
        }
        if let Some(gate) = context.gate.as_ref().filter(|_| end_of_stream) {
            gate.open();
        }
        Ok(())
    }

    /// The answer's header, informational ones included.
    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        context: &mut Box<RequestContext>,
    ) -> Result<()> {
        if !response.status.is_informational()
            && let Some(again) = attempt::judged(session, context, response.status, &self.parts.metrics)
        {
            return Err(again);
        }
        let connection = connection_of(session);
        if response.status == StatusCode::SWITCHING_PROTOCOLS {
            if !session.as_downstream().is_upgrade_req() {
                let what = "101 for a request that asked for no upgrade";
                return Err(Error::explain(ErrorType::InvalidHTTPHeader, what).into_up());
            }
            if let Some(connection) = connection {
                connection.release();
                connection.deadline().wait_for_ever();
            }
            context.is_endless = true;
            context.permit = None;
        } else if response.status.is_informational() {
            if let Some(connection) = connection {
                connection.deadline().moved();
            }
            return Ok(());
        }
        if let (Some(started), Some(upstream)) = (context.upstream_started, &context.upstream) {
            let took = started.elapsed();
            context.upstream_took = Some(took);
            upstream.metrics().upstream_answered(took);
        }
        if header::is_event_stream(response) {
            // It waits for what comes, and holds up nothing.
            context.is_endless = true;
            context.permit = None;
        }
        if let Some(connection) = connection {
            if context.is_endless {
                connection.deadline().wait_for_ever();
            } else {
                connection.deadline().moved();
            }
        }
        if header::has_no_body(&session.req_header().method, response) {
            context.service_is_done();
        }
        header::remove_hop_by_hop(response);
        if let Some(upstream) = &context.upstream {
            header::edit_response(response, &upstream.edits().response)?;
        }
        if session.req_header().version < Version::HTTP_11 {
            // HTTP/1.0 knows no chunks (RFC 9112 §6.1): its end is the connection's end.
            response.remove_header(&http::header::TRANSFER_ENCODING);
            if is_unframed(response) {
                session.set_keepalive(None);
            }
        }
        self.sign(session, context, response, false)
    }

    /// Each piece of the answer's body.
    fn response_body_filter(
        &self,
        session: &mut Session,
        _body: &mut Option<Bytes>,
        end_of_stream: bool,
        context: &mut Box<RequestContext>,
    ) -> Result<Option<Duration>> {
        if end_of_stream {
            context.service_is_done();
        }
        match connection_of(session) {
            Some(connection) => connection.deadline().moved(),
            None if attempt::total_left(context).is_some_and(|left| left.is_zero()) => {
                return Err(Error::explain(ErrorType::ReadTimedout, "the whole took too long").into_up());
            }
            None => {}
        }
        Ok(None)
    }

    /// An attempt failed that had a connection.
    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        context: &mut Box<RequestContext>,
        client_reused: bool,
    ) -> Box<Error> {
        attempt::broke(session, context, &mut error, client_reused, &self.parts.metrics);
        error
    }

    fn suppress_error_log(&self, _: &Session, _: &Box<RequestContext>, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(&self, _: &Session, _: &Box<RequestContext>, _: &Error, _: ProxyWarnLogContext) -> bool {
        true
    }

    /// Any phase failed: what the client is told, and what the log is told.
    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        context: &mut Box<RequestContext>,
    ) -> FailToProxy {
        let passed = connection_of(session).is_some_and(|connection| connection.deadline().has_passed());
        let timed_out = passed.then_some(if context.body_read { Waited::Upstream } else { Waited::Client });
        if let Some(connection) = connection_of(session) {
            connection.deadline().wait_for_ever();
        }
        let Some(problem) = failure::problem_of(error, timed_out) else {
            context.error = Some("client_closed".into());
            return FailToProxy { error_code: 0, can_reuse_downstream: false };
        };
        failure::report(error, &problem, context, &self.parts.metrics, timed_out);
        context.error = Some(problem.word.into());
        if let Some(limit) = Limit::behind(problem.word) {
            self.parts.metrics.limit_reached(limit);
        }
        // Where the client's side failed, Pingora may take a body that was not understood for one that was read.
        let lost = *error.esource() == ErrorSource::Downstream;
        match self.write_problem(session, context, &problem, lost).await {
            Ok(can_reuse_downstream) => FailToProxy { error_code: problem.status.as_u16(), can_reuse_downstream },
            Err(error) => {
                tracing::debug!(request_id = context.id.as_str(), %error, "the client left before its error");
                FailToProxy { error_code: 0, can_reuse_downstream: false }
            }
        }
    }

    /// Last hook: one metrics update and one access line, whatever the outcome.
    async fn logging(&self, session: &mut Session, error: Option<&Error>, context: &mut Box<RequestContext>) {
        record::finished(session, context, &self.parts.metrics, &self.parts.access_log);
        // A service may have answered before it had read everything. The client gets that answer whole.
        if context.upstream.is_some() && error.is_none() && !session.was_upgraded() && connection_of(session).is_some()
        {
            failure::drain_rest(session).await;
        }
    }
}

fn connection_of(session: &Session) -> Option<&Connection> {
    Connection::of(session.as_downstream().stream()?)
}

/// Who is at the other end of a connection.
fn peer_of(session: &Session) -> Option<IpAddr> {
    match connection_of(session) {
        Some(connection) => connection.peer(),
        None => Some(session.client_addr()?.as_inet()?.ip()),
    }
}

/// The same as text; empty where that cannot be told.
fn peer_text(session: &Session) -> Cow<'_, str> {
    match connection_of(session) {
        Some(connection) => connection.peer_text().into(),
        None => peer_of(session).map_or(Cow::Borrowed(""), |peer| peer.to_string().into()),
    }
}

/// Whether only the end of the connection tells where an answer ends (RFC 9112 §6.3, item 8).
fn is_unframed(response: &ResponseHeader) -> bool {
    !response.headers.contains_key(http::header::CONTENT_LENGTH)
        && !response.headers.contains_key(http::header::TRANSFER_ENCODING)
        && response.status != StatusCode::SWITCHING_PROTOCOLS
}

fn scheme_of(session: &Session) -> &'static str {
    if session.digest().is_some_and(|digest| digest.ssl_digest.is_some()) { "https" } else { "http" }
}
