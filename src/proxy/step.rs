//! The steps that the phases are made of: who asks, whether it may, what answers, and what every answer carries.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version};
use pingora::http::ResponseHeader;
use pingora::protocols::http::v1::server::HttpSession;
use pingora::{Error, ErrorType, Result};
use pingora_proxy::Session;

use super::connection::Connection;
use super::context::{RequestContext, RequestId, Rewrite};
use super::patience::Patience;
use super::{Gateway, bridge, connection_of, failure, header, is_unframed, limit, peer_of, target};
use crate::auth::authenticator::names_another;
use crate::model::request::ErrorWord;
use crate::model::request::RequestFacts;
use crate::model::service::ServiceAuth;
use crate::problem::Problem;
use crate::route::contents::takes_contents;
use crate::route::hostname::RequestHost;
use crate::route::table::Target;
use crate::telemetry::metrics::RouteKind;

/// How long a client may take to read the end of its event stream once the daemon is being stopped.
const STREAM_END: Duration = Duration::from_secs(1);

/// Room for what S3 clients write around a file, in bytes, however small it is.
const CHUNKS: u64 = 1 << 20;

/// A request that something local answers.
pub(super) struct Local {
    path: Vec<u8>,
    /// The S3 endpoint, else the local endpoints.
    by_s3: bool,
}

impl Gateway {
    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        self.parts.config.trusted_proxies.iter().any(|network| network.contains(&address))
    }

    /// Who is calling: the peer, or whom trusted proxies name.
    pub(super) fn identify(&self, session: &Session, context: &mut RequestContext) {
        let peer = peer_of(session);
        let stated = match peer {
            Some(peer) if !self.parts.config.trusted_proxies.is_empty() && self.trusts(peer) => {
                context.from_trusted = true;
                header::stated_by_proxy(&session.req_header().headers, |address| self.trusts(address))
            }
            _ => (None, None),
        };
        context.client = stated.0.or(peer);
        context.id = stated.1.unwrap_or_else(RequestId::generate);
    }

    /// The checks that come before routing.
    pub(super) fn admit(&self, session: &mut Session, context: &mut RequestContext) -> Result<(), Problem> {
        if session.req_header().version == Version::HTTP_2 {
            target::state_host(session.req_header_mut())?;
        } else {
            if connection_of(session).is_some_and(Connection::has_bad_line) {
                session.set_keepalive(None);
                return Err(Problem::bad_request(
                    "the request line has white space or controls where none may be (RFC 9112 §3)",
                ));
            }
            limit::ignore_unnamed_upgrade(session);
        }
        let request = session.req_header();
        let host = match request.headers.get(http::header::HOST) {
            Some(host) => host.as_bytes(),
            None if request.version >= Version::HTTP_11 => {
                return Err(Problem::bad_request("a request over HTTP/1.1 needs a Host header"));
            }
            None => b"",
        };
        context.host = Some(RequestHost::parse(host)?);
        let sent = session.as_downstream().as_http1().map(HttpSession::get_headers_raw_bytes).unwrap_or_default();
        limit::check_header(session, &sent, &self.parts.config.limits)?;
        target::check(request, &sent)?;
        if self.parts.via.is_in(&request.headers) {
            return Err(Problem::loop_detected());
        }
        Ok(())
    }

    /// Finds what answers; keeps it in the context. `Some` = something local does.
    pub(super) fn route(&self, session: &Session, context: &mut RequestContext) -> Result<Option<Local>, Problem> {
        let request = session.req_header();
        let Some(host) = &context.host else { return Err(Problem::internal()) };
        let (sent_path, query) = target::split(request);
        let table = self.parts.routes.peek();
        let resolved = table.resolve(host, sent_path).map_err(|error| {
            context.on_gateway = table.is_gateway(host);
            Problem::from(&error)
        })?;
        context.on_gateway = resolved.on_gateway;
        let upstream = match resolved.target {
            Target::Local => {
                context.kind = RouteKind::Local;
                context.takes_file = takes_contents(&resolved.path);
                return Ok(Some(Local { path: resolved.path.into_owned(), by_s3: false }));
            }
            Target::Files => {
                context.kind = RouteKind::Local;
                context.takes_file = true;
                return Ok(Some(Local { path: resolved.path.into_owned(), by_s3: true }));
            }
            Target::Host(upstream) => {
                context.kind = RouteKind::Host;
                upstream
            }
            Target::Prefix { upstream, skip, base } => {
                context.kind = RouteKind::Prefix;
                let (prefix, rest) = resolved.path.split_at(skip);
                let target = [base.as_bytes(), rest, query].concat();
                context.rewrite = Some(Rewrite { target, prefix: prefix.to_vec() });
                upstream
            }
        };
        context.upstream = Some(Arc::clone(upstream));
        Ok(None)
    }

    /// Lets a request through to a service that asks for something, as the service's `auth` says.
    pub(super) async fn authorize(
        &self,
        asked: ServiceAuth,
        headers: &HeaderMap,
        context: &mut RequestContext,
    ) -> Result<(), Problem> {
        let auth = &self.parts.auth;
        let admitted = auth.admit(asked, headers).await;
        if let Some(admitted) = admitted.map_err(|error| Problem::unauthenticated(&error, auth.header()))? {
            if names_another(headers, &admitted.principal) {
                return Err(Problem::another_chitty_id("the header X-ChittyID", &admitted.principal));
            }
            context.authorization_is_ours = admitted.by_authorization;
        }
        Ok(())
    }

    fn patience(&self) -> Patience {
        Patience::of(&self.parts.config.limits)
    }

    pub(super) fn body_limit(&self, context: &RequestContext) -> u64 {
        if context.takes_file {
            // The file itself is measured where it is read: S3 clients wrap it into chunks with signatures.
            let file = self.parts.config.limits.file_bytes;
            return file.saturating_add(file / 8).saturating_add(CHUNKS);
        }
        let own = context.upstream.as_ref().and_then(|upstream| upstream.service().body_bytes);
        own.unwrap_or(self.parts.config.limits.body_bytes)
    }

    /// Answers from the local router.
    pub(super) async fn answer(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
        local: &Local,
    ) -> Result<(), failure::Failure> {
        let facts =
            RequestFacts { id: context.id.as_str().into(), client: context.client, host: context.host().into() };
        let request = bridge::request(session, &local.path, facts)?;
        let router = if local.by_s3 { &self.parts.files } else { &self.parts.router };
        let response = bridge::answer(session, router, request, self.body_limit(context), self.patience()).await?;
        if let Some(connection) = connection_of(session) {
            connection.body_is_over();
        }
        context.error = response.extensions().get::<ErrorWord>().map(|word| word.0.clone());
        let mut head = bridge::header_of(session, &response)?;
        self.sign(session, context, &mut head, true)?;
        let patience = self.parts.config.limits.idle_timeout;
        let is_endless = header::is_event_stream(&head);
        let written = bridge::write(session, head, response.into_body(), patience);
        if !is_endless {
            return Ok(written.await?);
        }
        let overdue = async {
            self.parts.in_flight.draining().await;
            tokio::time::sleep(STREAM_END).await;
        };
        tokio::select! {
            written = written => Ok(written?),
            () = overdue => Err(Error::explain(ErrorType::WriteTimedout, "an event stream that nobody reads").into_down().into()),
        }
    }

    /// What every answer on a gateway host carries, and the request id on all.
    pub(super) fn sign(
        &self,
        session: &Session,
        context: &RequestContext,
        response: &mut ResponseHeader,
        local: bool,
    ) -> Result<()> {
        if context.on_gateway {
            self.cors.apply(response, session.get_header(http::header::ORIGIN), local)?;
        }
        response.insert_header(header::X_REQUEST_ID, context.id.as_str())
    }

    /// Writes a problem, unless an answer has begun. Returns whether the connection can serve another request: not where
    /// the end of this one is not known (`lost`), for what follows would be read as the next.
    pub(super) async fn write_problem(
        &self,
        session: &mut Session,
        context: &RequestContext,
        problem: &Problem,
        lost: bool,
    ) -> Result<bool> {
        let begun = session.response_written().is_some_and(|response| {
            !response.status.is_informational() || response.status == StatusCode::SWITCHING_PROTOCOLS
        });
        if begun {
            let unframed = session.response_written().is_some_and(is_unframed);
            if let Some(connection) = connection_of(session).filter(|_| unframed) {
                connection.reset_on_close();
            }
            return Ok(false);
        }
        let reuse = !lost && context.attempts == 0 && session.as_downstream_mut().is_body_done();
        if !reuse {
            session.set_keepalive(None);
        }
        let accept = session.get_header(http::header::ACCEPT).map(http::HeaderValue::as_bytes);
        let (content_type, body) = problem.render(context.id.as_str(), accept);
        let mut response = ResponseHeader::build(problem.status, Some(10))?;
        response.insert_header(http::header::CONTENT_TYPE, content_type)?;
        response.insert_header(http::header::CONTENT_LENGTH, body.len().to_string())?;
        for (name, value) in problem.headers() {
            response.insert_header(name, value)?;
        }
        self.sign(session, context, &mut response, true)?;
        let silent = session.req_header().method == Method::HEAD;
        session.write_response_header(Box::new(response), silent).await?;
        session.write_response_body((!silent).then(|| Bytes::from(body)), true).await?;
        if !reuse {
            failure::drain_rest(session).await;
        }
        Ok(reuse)
    }

    pub(super) fn is_gateway_host(&self, context: &mut RequestContext) -> bool {
        context.on_gateway = context.host.as_ref().is_some_and(|host| self.parts.routes.peek().is_gateway(host));
        context.on_gateway
    }
}
