//! The accept side: every connection is wrapped before Pingora reads from it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::{HttpPersistentSettings, HttpServerApp, ReusedHttpStream, ServerApp};
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;
use pingora_proxy::{HttpProxy, http_proxy};

use super::Gateway;
use super::connection::{Connection, Refusals};
use super::record::RefusedRequests;

/// What a listener hands its connections to.
pub struct GatewayApp {
    proxy: Arc<HttpProxy<Gateway>>,
    refusals: Arc<dyn Refusals>,
    idle: Duration,
}

impl GatewayApp {
    /// Puts `gateway` behind the accept side.
    #[must_use]
    pub fn new(conf: &Arc<ServerConf>, gateway: Gateway) -> Self {
        let refusals = RefusedRequests {
            metrics: Arc::clone(&gateway.parts.metrics),
            access_log: gateway.parts.access_log.clone(),
        };
        let idle = gateway.parts.config.limits.idle_timeout;
        Self { proxy: Arc::new(http_proxy(conf, gateway)), refusals: Arc::new(refusals), idle }
    }

    /// A session is large: it is made where it is used, and moved once. `ending`: it is the connection's last.
    fn session(stream: Stream, settings: Option<HttpPersistentSettings>, ending: bool) -> ServerSession {
        let mut session = ServerSession::new_http1(stream);
        if let Some(settings) = settings {
            settings.apply_to_session(&mut session);
        }
        session.set_pipelining_enabled(true);
        // For ever, as far as Pingora knows: the connection itself ends when it has idled for too long.
        session.set_keepalive((!ending).then_some(0));
        session
    }
}

#[async_trait]
impl ServerApp for GatewayApp {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let connection = Connection::new(stream, Arc::clone(&self.refusals), self.idle);
        let mut next: Option<(Stream, _)> = Some((Box::new(connection), None));
        while let Some((stream, settings)) = next {
            if let Some(connection) = Connection::of(&stream) {
                connection.idle();
            }
            let ending = *shutdown.borrow();
            let served = self.proxy.process_new_http(Self::session(stream, settings, ending), shutdown).await;
            next = served.map(ReusedHttpStream::consume);
        }
        None
    }

    async fn cleanup(&self) {
        self.proxy.http_cleanup().await;
    }
}
