//! The accept side: every connection is wrapped before Pingora reads from it.

use std::sync::Arc;

use async_trait::async_trait;
use pingora::apps::{HttpServerApp, ReusedHttpStream, ServerApp};
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
    idle_seconds: u64,
}

impl GatewayApp {
    /// Puts `gateway` behind the accept side.
    #[must_use]
    pub fn new(conf: &Arc<ServerConf>, gateway: Gateway) -> Self {
        let refusals = RefusedRequests {
            metrics: Arc::clone(&gateway.parts.metrics),
            access_log: gateway.parts.access_log.clone(),
        };
        let idle_seconds = gateway.parts.config.limits.idle_timeout.as_secs().max(1);
        Self { proxy: Arc::new(http_proxy(conf, gateway)), refusals: Arc::new(refusals), idle_seconds }
    }

    async fn serve(&self, session: ServerSession, shutdown: &ShutdownWatch) -> Option<ReusedHttpStream> {
        let mut session = session;
        session.set_pipelining_enabled(true);
        session.set_keepalive((!*shutdown.borrow()).then_some(self.idle_seconds));
        self.proxy.process_new_http(session, shutdown).await
    }
}

#[async_trait]
impl ServerApp for GatewayApp {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let connection = Connection::new(stream, Arc::clone(&self.refusals));
        let mut reused = self.serve(ServerSession::new_http1(Box::new(connection)), shutdown).await;
        while let Some((stream, settings)) = reused.map(ReusedHttpStream::consume) {
            if let Some(connection) = Connection::of(&stream) {
                connection.idle();
            }
            let mut session = ServerSession::new_http1(stream);
            if let Some(settings) = settings {
                settings.apply_to_session(&mut session);
            }
            reused = self.serve(session, shutdown).await;
        }
        None
    }

    async fn cleanup(&self) {
        self.proxy.http_cleanup().await;
    }
}
