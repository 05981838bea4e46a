//! From a chosen address to what Pingora dials.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pingora::protocols::ALPN;
use pingora::upstreams::peer::{HttpPeer, PeerOptions};

use super::endpoint::Address;
use super::gate::{Gate, Gated};
use super::tls::TlsFiles;
use super::{Selected, Upstream};
use crate::model::service::EndpointUrl;

/// An idle connection to an upstream is closed after this long: below the 60 to 75 s after which most servers close it
/// themselves, so that a request seldom meets a connection in its last moment.
const IDLE: Duration = Duration::from_secs(50);
/// Requests at once on one HTTP/2 connection: what servers allow by custom. Pingora's own default is 1.
const STREAMS: usize = 100;

/// What a request asks of its connection.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// It asks for an upgrade, which HTTP/2 does not have (RFC 9113 §8.6): what stands before the answer.
    pub upgrade: Option<Arc<Gate>>,
    /// Not one that served others before.
    pub fresh: bool,
    /// Its wait for each piece of the answer, where the gateway cannot keep it itself.
    pub read: Option<Duration>,
}

impl Upstream {
    /// The peer for one connection attempt.
    ///
    /// The read timeout is not the service's: Pingora's would also end a slow upload, an upgraded connection and an event
    /// stream. The gateway keeps its own where it can.
    #[must_use]
    pub fn peer(&self, selected: &Selected<'_>, wanted: Wanted) -> Option<Box<HttpPeer>> {
        let url = selected.member.endpoint.url();
        let mut peer = dial(selected.address, url, &selected.member.sni)?;
        let timeouts = &self.service().timeouts;
        peer.options.connection_timeout = timeouts.connect;
        peer.options.total_connection_timeout = timeouts.connect;
        peer.options.write_timeout = timeouts.write;
        peer.options.idle_timeout = Some(IDLE);
        peer.options.read_timeout = wanted.read;
        if url.is_tls() {
            self.tls_of(&mut peer);
            peer.options.alpn = if wanted.upgrade.is_some() { ALPN::H1 } else { ALPN::H2H1 };
        }
        peer.group_key = peer.group_key.wrapping_add(selected.member.state.generation());
        if wanted.fresh || wanted.upgrade.is_some() {
            // A group of its own, in which nothing was left and nothing is.
            peer.group_key = !peer.group_key.wrapping_add(self.fresh.fetch_add(1, Ordering::Relaxed) << 32);
            peer.options.idle_timeout = Some(Duration::ZERO);
        }
        peer.options.custom_l4 = wanted.upgrade.map(|gate| Arc::new(Gated(gate)) as _);
        Some(peer)
    }

    /// Sets what TLS to this service is spoken with.
    pub(super) fn tls_of(&self, peer: &mut HttpPeer) {
        let verify = self.service().tls.verify;
        peer.options.verify_cert = verify;
        peer.options.verify_hostname = verify;
        if let Ok(TlsFiles { ca, client, group, .. }) = &*self.tls {
            peer.options.ca.clone_from(ca);
            peer.client_cert_key.clone_from(client);
            peer.group_key = *group;
        }
    }
}

/// What is dialled at `address`; `None` where a socket's path cannot be one.
pub(super) fn dial(address: &Address, url: &EndpointUrl, sni: &str) -> Option<Box<HttpPeer>> {
    let mut peer = match address {
        Address::Network(address) => Box::new(HttpPeer::new(*address, url.is_tls(), sni.to_owned())),
        Address::Socket(path) => Box::new(HttpPeer::new_uds(path.to_str()?, false, String::new()).ok()?),
    };
    let options: &mut PeerOptions = &mut peer.options;
    options.max_h2_streams = STREAMS;
    if url.is_h2c() {
        options.alpn = ALPN::H2;
    }
    Some(peer)
}
