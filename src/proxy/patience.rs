//! How long a client may take.

use std::time::Duration;

use super::Limits;

/// The limits on a client's time.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Until its next request begins.
    pub idle: Duration,
    /// From the first byte of a header to its last.
    pub header: Duration,
    /// For bodies: bytes a second at least.
    pub body_rate: u64,
}

impl Patience {
    pub(super) fn of(limits: &Limits) -> Self {
        Self { idle: limits.idle_timeout, header: limits.header_timeout, body_rate: limits.body_min_rate }
    }
}
