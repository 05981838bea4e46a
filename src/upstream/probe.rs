//! One question after a service's health: dialled as its requests are, at an address that the resolver and the guard have
//! let through, and answered by a status line. No name is looked up here, no redirect followed, no body read.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, Uri, header};
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::ALPN;
use pingora::upstreams::peer::HttpPeer;

use tokio::sync::OnceCell;

use super::Upstream;
use super::endpoint::Endpoint;
use super::peer::dial;

/// What questions say of whoever asks.
const USER_AGENT: &str = concat!("chittyconnect/", env!("CARGO_PKG_VERSION"), " (health check)");
/// Addresses of one endpoint that are tried, each once, within the time that there is.
const MAX_ADDRESSES: usize = 4;

/// Where a health is asked.
#[derive(Clone, Debug)]
pub struct Place {
    /// What is dialled.
    pub endpoint: Arc<Endpoint>,
    /// The `Host` to send.
    pub host: HeaderValue,
    /// The name to ask for in TLS; empty for plain HTTP.
    pub sni: Box<str>,
    /// Path and query.
    pub target: Box<str>,
    /// Whose endpoint it is, where it is a service's own: TLS is spoken as to it.
    pub upstream: Option<Arc<Upstream>>,
}

/// Why there is no status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// Its name has no address, or none that may be dialled.
    #[error("no usable address")]
    NoAddress,
    /// Nobody accepts connections, or TLS cannot be agreed.
    #[error("connection failed")]
    Connect,
    /// Nothing came in time.
    #[error("timeout")]
    Timeout,
    /// What came was no answer.
    #[error("no HTTP answer")]
    Broken,
}

/// Asks. Connections are its own and used once, so that what is seen is whether a new one can be had.
#[derive(Default)]
pub struct Prober {
    /// Made for the first question: it loads the certificates of the authorities that `https` endpoints are verified with.
    connector: OnceCell<Connector>,
}

impl Prober {
    /// The status that `place` answers, within `limit`; `turn` says which of several addresses is tried first.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub async fn ask(&self, place: &Place, turn: usize, limit: Duration) -> Result<u16, ProbeError> {
        let attempts = async {
            let mut failed = ProbeError::NoAddress;
            for round in 0..MAX_ADDRESSES {
                let Some(peer) = peer(place, turn, round, limit) else { break };
                match self.status(&peer, place).await {
                    Err(ProbeError::Connect) => failed = ProbeError::Connect,
                    ended => return ended,
                }
            }
            Err(failed)
        };
        tokio::time::timeout(limit, Box::pin(attempts)).await.unwrap_or(Err(ProbeError::Timeout))
    }

    async fn status(&self, peer: &HttpPeer, place: &Place) -> Result<u16, ProbeError> {
        // On a thread that may wait for a disk. It fails only while the process ends.
        let made = self.connector.get_or_try_init(|| tokio::task::spawn_blocking(|| Connector::new(None)));
        let connector = made.await.map_err(|_| ProbeError::Broken)?;
        let (mut session, _) = connector.get_http_session(peer).await.map_err(|_| ProbeError::Connect)?;
        let request = request(place, session.as_http2().is_some()).ok_or(ProbeError::Broken)?;
        session.write_request_header(Box::new(request)).await.map_err(|_| ProbeError::Broken)?;
        session.finish_request_body().await.map_err(|_| ProbeError::Broken)?;
        loop {
            session.read_response_header().await.map_err(|_| ProbeError::Broken)?;
            let status = session.response_header().map_or(0, |header| header.status.as_u16());
            // Informational answers come before the one that counts (RFC 9110 §15.2).
            if status >= 200 {
                return Ok(status);
            }
            if status == 0 || status == 101 {
                return Err(ProbeError::Broken);
            }
        }
    }
}

impl std::fmt::Debug for Prober {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prober").finish_non_exhaustive()
    }
}

fn peer(place: &Place, turn: usize, round: usize, limit: Duration) -> Option<Box<HttpPeer>> {
    let url = place.endpoint.url();
    let mut peer = dial(place.endpoint.addresses().at(turn, round)?, url, &place.sni)?;
    peer.options.connection_timeout = Some(limit);
    peer.options.total_connection_timeout = Some(limit);
    // One request to a connection, so that none is kept.
    peer.options.max_h2_streams = 1;
    if let Some(upstream) = place.upstream.as_ref().filter(|_| url.is_tls()) {
        upstream.tls_of(&mut peer);
        peer.options.alpn = ALPN::H2H1;
    }
    Some(peer)
}

fn request(place: &Place, http2: bool) -> Option<RequestHeader> {
    let mut request = RequestHeader::build(Method::GET, place.target.as_bytes(), None).ok()?;
    if http2 {
        let scheme = if place.endpoint.url().is_tls() { "https" } else { "http" };
        let uri = Uri::builder().scheme(scheme).authority(place.host.as_bytes()).path_and_query(&*place.target);
        request.set_uri(uri.build().ok()?);
        request.insert_header(header::USER_AGENT, USER_AGENT).ok()?;
        return Some(request);
    }
    request.insert_header(header::HOST, place.host.clone()).ok()?;
    request.insert_header(header::USER_AGENT, USER_AGENT).ok()?;
    request.insert_header(header::ACCEPT, "*/*").ok()?;
    request.insert_header(header::CONNECTION, "close").ok()?;
    Some(request)
}
