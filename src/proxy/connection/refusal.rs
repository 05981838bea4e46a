//! Requests that Pingora refuses by itself, while it reads them.

use std::time::Duration;

use crate::proxy::context::RequestId;

/// Where the requests end up that Pingora refuses by itself.
pub trait Refusals: Send + Sync {
    /// One connection on which reading a request ended without one.
    fn refused(&self, refusal: &Refusal<'_>);

    /// What is answered in place of Pingora's own refusal with `status`: the whole message, and the id it bears. `head` is
    /// the beginning of what was sent.
    fn answer(&self, status: u16, head: &[u8]) -> (RequestId, Vec<u8>);

    /// A header that was not whole in time.
    fn slow_header(&self);
}

/// A request that never reached a hook.
#[derive(Debug)]
pub struct Refusal<'a> {
    /// The id that its answer bears, if it had one.
    pub request_id: Option<&'a RequestId>,
    /// Who sent it; empty where that cannot be told.
    pub peer: &'a str,
    /// The status that was answered; 0 = none.
    pub status: u16,
    /// The beginning of what was sent.
    pub head: &'a [u8],
    /// From its first byte on.
    pub duration: Duration,
}
