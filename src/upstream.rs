//! Where proxied requests go: named sets of endpoints, resolved in the background, ready to be dialled.
//!
//! Choosing an endpoint reads a snapshot and an atomic counter: no lock, no name look-up, no I/O.

pub mod endpoint;
pub mod guard;
pub mod peer;
pub mod probe;
pub mod resolve;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::HeaderValue;

use crate::model::name::Hostname;
use crate::model::service::Service;
use crate::telemetry::metrics::ServiceMetrics;
use endpoint::{Endpoint, Endpoints};
use probe::Place;

/// What the `server` section says about upstream connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Idle connections kept for reuse, all upstreams together; `None` = the larger of 512 and 2 for each endpoint.
    pub idle_connections: Option<NonZeroUsize>,
}

/// Most connection attempts for one request: one address, and three others should it refuse.
const MAX_ATTEMPTS: usize = 4;

/// One service, ready to be proxied to.
#[derive(Debug)]
pub struct Upstream {
    service: Service,
    endpoints: Box<[Dialled]>,
    turn: AtomicUsize,
    metrics: ServiceMetrics,
}

/// An endpoint as this service dials it.
#[derive(Debug)]
struct Dialled {
    endpoint: Arc<Endpoint>,
    host: HeaderValue,
    sni: Box<str>,
}

/// One address chosen for one connection attempt.
#[derive(Clone, Copy, Debug)]
pub struct Selected<'a> {
    /// The endpoint it belongs to.
    pub endpoint: &'a Endpoint,
    /// The address to dial.
    pub address: SocketAddr,
    /// The `Host` to send.
    pub host: &'a HeaderValue,
    /// The name to ask for in TLS; empty for plain HTTP.
    pub sni: &'a str,
}

impl Upstream {
    /// Prepares `service`. `public_host` is the host it is known under, sent where neither the service nor the endpoint
    /// has a name to send.
    #[must_use]
    pub fn new(service: Service, public_host: &Hostname, endpoints: &Endpoints, metrics: ServiceMetrics) -> Self {
        let dialled = service.endpoints.iter().map(|url| {
            let endpoint = endpoints.intern(url, (!service.trusted).then_some(&service.allowed_networks));
            let own_name = url.ip().is_none();
            let host = match &service.declared.host_header {
                Some(host) => host.clone(),
                None if own_name => url.authority(),
                None => public_host.to_string(),
            };
            let sni = match (url.tls, own_name) {
                (false, _) => "",
                (true, true) => url.host.as_str(),
                (true, false) => host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name),
            };
            Dialled {
                endpoint,
                sni: sni.into(),
                host: HeaderValue::from_str(&host).unwrap_or_else(|_| HeaderValue::from_static("")),
            }
        });
        Self { endpoints: dialled.collect(), service, turn: AtomicUsize::new(0), metrics }
    }

    /// What is served.
    #[must_use]
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// What its requests count into.
    #[must_use]
    pub fn metrics(&self) -> &ServiceMetrics {
        &self.metrics
    }

    /// Its endpoints, in order.
    pub fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.endpoints.iter().map(|dialled| &dialled.endpoint)
    }

    /// Where each of its endpoints is asked for `target` (path and query), with the `Host` and the name of its requests.
    pub fn places(&self, target: &str) -> impl Iterator<Item = Place> {
        self.endpoints.iter().map(move |dialled| Place {
            endpoint: Arc::clone(&dialled.endpoint),
            host: dialled.host.clone(),
            sni: dialled.sni.clone(),
            target: target.into(),
        })
    }

    /// Begins a request: the number that its attempts are counted from.
    #[must_use]
    pub fn next_turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    /// The address for attempt `attempt` (from 0) of the request that began with `turn`.
    ///
    /// Endpoints take turns; further attempts go to the other endpoints first, then to the endpoints' other addresses.
    /// `None` when nothing is left to try, or nothing can be dialled at all.
    #[must_use]
    pub fn select(&self, turn: usize, attempt: usize) -> Option<Selected<'_>> {
        if attempt >= MAX_ATTEMPTS || self.endpoints.is_empty() {
            return None;
        }
        let count = self.endpoints.len();
        let mut remaining = attempt;
        for round in 0..MAX_ATTEMPTS {
            for step in 0..count {
                let dialled = &self.endpoints[(turn + step) % count];
                if let Some(address) = dialled.endpoint.address(turn / count, round) {
                    if remaining == 0 {
                        return Some(Selected {
                            endpoint: &dialled.endpoint,
                            address,
                            host: &dialled.host,
                            sni: &dialled.sni,
                        });
                    }
                    remaining -= 1;
                }
            }
        }
        None
    }
}
