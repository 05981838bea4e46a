//! How many descriptors the process may have open: each connection is one, and one more while it is proxied.

use rustix::process::{Resource, getrlimit, setrlimit};

/// What the process has open beside connections of clients and to services: its store, its logs, its own sockets.
const OWN: u64 = 256;

/// Raises the limit as far as the process may by itself, and says what it is then. Warns where it is below what
/// `listeners` listeners with `connections` connections each may need.
pub fn raise_limit(listeners: usize, connections: usize) {
    let before = getrlimit(Resource::Nofile);
    let mut limit = before;
    limit.current = before.maximum;
    if limit != before
        && let Err(error) = setrlimit(Resource::Nofile, limit)
    {
        tracing::warn!(%error, "the limit on open descriptors stays as it is");
        limit = before;
    }
    let Some(descriptors) = limit.current else {
        tracing::info!(descriptors = "unlimited", "open descriptors");
        return;
    };
    tracing::info!(descriptors, before = before.current, "open descriptors");
    let needed = needed(listeners, connections);
    if descriptors < needed {
        tracing::warn!(
            descriptors,
            needed,
            "limits.connections allows more connections than this process may have descriptors: raise the limit \
             (LimitNOFILE= of the unit, ulimit -n) or lower limits.connections"
        );
    }
}

/// Each connection of a client, and one to a service for it.
fn needed(listeners: usize, connections: usize) -> u64 {
    let all = (listeners as u64).saturating_mul(connections as u64);
    all.saturating_mul(2).saturating_add(OWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_needs_two_and_the_process_some() {
        assert_eq!(needed(0, 10_000), OWN);
        assert_eq!(needed(2, 10_000), 40_000 + OWN);
        assert_eq!(needed(usize::MAX, usize::MAX), u64::MAX);
    }
}
