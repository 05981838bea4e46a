//! How many connections there may be: to each listener, and from each client.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::fast::RandomState;
use ipnet::IpNet;
use prometheus::IntGauge;

use super::Limits;
use crate::listener;
use crate::telemetry::metrics::{Limit, Metrics};

/// Lets connections in.
#[derive(Debug)]
pub(super) struct Admission {
    listeners: Box<[Arc<Listener>]>,
    clients: Arc<Clients>,
    trusted: Box<[IpNet]>,
    connections: usize,
    per_client: u32,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Listener {
    bind: SocketAddr,
    h2c: bool,
    open: AtomicUsize,
}

/// Connections by client; one that has none is not in it.
#[derive(Debug, Default)]
struct Clients(Mutex<HashMap<IpAddr, u32, RandomState>>);

/// One connection that was let in; over when dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    /// Whether it may begin with HTTP/2.
    pub(super) h2c: bool,
    listener: Arc<Listener>,
    client: Option<(IpAddr, Arc<Clients>)>,
    gauge: IntGauge,
}

impl Admission {
    pub(super) fn new(
        limits: &Limits,
        trusted: &[IpNet],
        listeners: &[listener::Config],
        metrics: &Arc<Metrics>,
    ) -> Self {
        let listener = |config: &listener::Config| {
            Arc::new(Listener { bind: config.bind, h2c: config.h2c, open: AtomicUsize::new(0) })
        };
        Self {
            listeners: listeners.iter().map(listener).collect(),
            clients: Arc::default(),
            trusted: trusted.into(),
            connections: limits.connections,
            per_client: limits.connections_per_client,
            metrics: Arc::clone(metrics),
        }
    }

    /// Lets in a connection from `peer` to `local`; `None` = it is one too many, which is counted.
    pub(super) fn admit(&self, local: Option<SocketAddr>, peer: Option<IpAddr>) -> Option<Admitted> {
        let listener = Arc::clone(self.listener_at(local)?);
        if listener.open.fetch_add(1, Ordering::Relaxed) >= self.connections {
            listener.open.fetch_sub(1, Ordering::Relaxed);
            self.metrics.limit_reached(Limit::Connections);
            return None;
        }
        let gauge = self.metrics.connections().clone();
        gauge.inc();
        let mut admitted = Admitted { h2c: listener.h2c, listener, client: None, gauge };
        let is_trusted = |peer: &IpAddr| self.trusted.iter().any(|network| network.contains(peer));
        if let Some(peer) = peer.filter(|peer| !is_trusted(peer)).map(client_of) {
            if !self.clients.enter(peer, self.per_client) {
                self.metrics.limit_reached(Limit::ConnectionsPerClient);
                return None;
            }
            admitted.client = Some((peer, Arc::clone(&self.clients)));
        }
        Some(admitted)
    }

    /// The listener that a connection came in by.
    fn listener_at(&self, local: Option<SocketAddr>) -> Option<&Arc<Listener>> {
        if let [only] = &*self.listeners {
            return Some(only);
        }
        let Some(local) = local else { return self.listeners.first() };
        let same_port = |listener: &&Arc<Listener>| listener.bind.port() == local.port();
        let exact = self.listeners.iter().find(|listener| listener.bind == local);
        exact.or_else(|| self.listeners.iter().find(same_port)).or(self.listeners.first())
    }
}

/// A client as it is counted: an address, or the network that one subscriber of IPv6 has (RFC 6177 §2).
fn client_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl Clients {
    fn enter(&self, client: IpAddr, limit: u32) -> bool {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = clients.entry(client).or_insert(0);
        if *count >= limit {
            return false;
        }
        *count += 1;
        true
    }

    fn leave(&self, client: IpAddr) {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut entry) = clients.entry(client) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.listener.open.fetch_sub(1, Ordering::Relaxed);
        self.gauge.dec();
        if let Some((client, clients)) = &self.client {
            clients.leave(*client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn admission(listeners: &[(&str, bool)], connections: usize, per_client: u32) -> (Admission, Arc<Metrics>) {
        let limits = Limits {
            header_bytes: 1,
            headers: 1,
            uri_bytes: 1,
            body_bytes: 1,
            file_bytes: 1,
            idle_timeout: Duration::ZERO,
            header_timeout: Duration::ZERO,
            body_min_rate: 1,
            connections,
            connections_per_client: per_client,
        };
        let listeners: Vec<_> =
            listeners.iter().map(|(bind, h2c)| listener::Config { bind: bind.parse().unwrap(), h2c: *h2c }).collect();
        let metrics = Arc::new(Metrics::new().unwrap());
        (Admission::new(&limits, &["10.9.0.0/16".parse().unwrap()], &listeners, &metrics), metrics)
    }

    #[test]
    fn a_client_has_so_many_and_its_network_counts_as_one() {
        let (admission, metrics) = admission(&[("127.0.0.1:80", false)], 99, 2);
        let from = |peer: &str| admission.admit(None, Some(peer.parse().unwrap()));
        let held = [from("10.0.0.1"), from("10.0.0.1"), from("10.0.0.2")];
        assert!(held.iter().all(Option::is_some));
        assert!(from("10.0.0.1").is_none() && from("::ffff:10.0.0.1").is_none());
        let [first, ..] = held;
        drop(first);
        assert!(from("10.0.0.1").is_some(), "what was let go is free again");
        let held = [from("2001:db8::1"), from("2001:db8::2")];
        assert!(held.iter().all(Option::is_some) && from("2001:db8::3").is_none() && from("2001:db8:0:1::3").is_some());
        let proxies: Vec<_> = (0..9).map(|_| from("10.9.1.1")).collect();
        assert!(proxies.iter().all(Option::is_some), "trusted proxies are not counted");
        assert!(metrics.exposition().unwrap().contains("limit_reached_total{limit=\"connections_per_client\"} 3"));
    }

    #[test]
    fn each_listener_has_so_many() {
        let (admission, metrics) = admission(&[("127.0.0.1:80", false), ("0.0.0.0:81", true)], 1, 9);
        let to = |local: &str| admission.admit(Some(local.parse().unwrap()), None);
        let (one, two) = (to("127.0.0.1:80").unwrap(), to("10.0.0.1:81").unwrap());
        assert!(!one.h2c && two.h2c);
        assert!(to("127.0.0.1:80").is_none());
        assert_eq!(metrics.connections().get(), 2);
        drop(one);
        assert!(to("127.0.0.1:80").is_some());
        assert!(metrics.exposition().unwrap().contains("limit_reached_total{limit=\"connections\"} 1"));
    }
}
