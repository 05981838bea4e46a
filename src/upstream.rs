//! Where proxied requests go: named sets of endpoints, resolved in the background, ready to be dialled.

pub mod guard;

use std::num::NonZeroUsize;

/// What the `server` section says about upstream connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Idle connections kept for reuse, all upstreams together; `None` = the larger of 512 and 2 for each endpoint.
    pub idle_connections: Option<NonZeroUsize>,
}
