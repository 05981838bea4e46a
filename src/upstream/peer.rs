//! From a chosen address to what Pingora dials.

use std::time::Duration;

use pingora::upstreams::peer::HttpPeer;

use super::{Selected, Upstream};

/// An idle connection to an upstream is closed after this long: below the 60 to 75 s after which most servers close it
/// themselves, so that a request seldom meets a connection in its last moment.
const IDLE: Duration = Duration::from_secs(50);

impl Upstream {
    /// The peer for one connection attempt.
    ///
    /// The read timeout is not set here: Pingora's would also end a slow upload, an upgraded connection and an event
    /// stream. The gateway keeps its own.
    #[must_use]
    pub fn peer(&self, selected: &Selected<'_>) -> Box<HttpPeer> {
        let tls = selected.endpoint.url().tls;
        let mut peer = Box::new(HttpPeer::new(selected.address, tls, selected.sni.to_owned()));
        let timeouts = &self.service().timeouts;
        peer.options.connection_timeout = timeouts.connect;
        peer.options.total_connection_timeout = timeouts.connect;
        peer.options.write_timeout = timeouts.write;
        peer.options.idle_timeout = Some(IDLE);
        peer
    }
}
