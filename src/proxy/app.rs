//! The accept side: every connection is wrapped before Pingora reads from it.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use pingora::apps::{HttpPersistentSettings, HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::default_h2_options;
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;
use pingora_proxy::{HttpProxy, http_proxy};

use super::Gateway;
use super::admission::Admission;
use super::connection::{Connection, Refusals};
use super::patience::Patience;
use super::record::RefusedRequests;
use crate::listener;

/// Requests at once on one HTTP/2 connection: what servers allow by custom (RFC 9113 §6.5.2 asks for no fewer).
const STREAMS: u32 = 100;
/// What a client may send ahead on one stream and on one connection of HTTP/2, in bytes: enough for a body at 10 ms of
/// distance, little enough for thousands of connections.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Streams that a client may reset before they were looked at; one more, and its connection ends (CVE-2023-44487).
const RESETS: usize = 20;

/// What a listener hands its connections to.
pub struct GatewayApp {
    proxy: Arc<HttpProxy<Gateway>>,
    refusals: Arc<dyn Refusals>,
    patience: Patience,
    admission: Admission,
}

impl GatewayApp {
    /// Puts `gateway` behind the accept side.
    #[must_use]
    pub fn new(conf: &Arc<ServerConf>, gateway: Gateway, listeners: &[listener::Config]) -> Self {
        let refusals = RefusedRequests {
            metrics: Arc::clone(&gateway.parts.metrics),
            access_log: gateway.parts.access_log.clone(),
        };
        let config = &gateway.parts.config;
        let limits = config.limits.clone();
        let admission = Admission::new(&limits, &config.trusted_proxies, listeners, &gateway.parts.metrics);
        let patience = Patience::of(&limits);
        let mut proxy = http_proxy(conf, gateway);
        let mut options = HttpServerOptions::default();
        options.h2c = true;
        options.h2_idle_timeout = Some(limits.idle_timeout);
        proxy.server_options = Some(options);
        let mut h2 = default_h2_options();
        h2.max_concurrent_streams(STREAMS)
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_pending_accept_reset_streams(RESETS);
        proxy.h2_options = Some(h2);
        Self { proxy: Arc::new(proxy), refusals: Arc::new(refusals), patience, admission }
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
        let admitted = self.admission.admit(local_address(&stream), Connection::peer_of(&stream))?;
        let mut connection = Connection::new(stream, Arc::clone(&self.refusals), self.patience);
        if admitted.h2c {
            connection.idle();
            // What broke, or came too late, is closed: there is nobody to tell.
            if connection.begins_with_http2().await.ok()? {
                self.proxy.process_new(Box::new(connection), shutdown).await;
                return None;
            }
        }
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

/// The address that a connection was accepted on.
fn local_address(stream: &Stream) -> Option<SocketAddr> {
    stream.get_socket_digest()?.local_addr()?.as_inet().copied()
}
