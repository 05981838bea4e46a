//! One place an upstream listens, with the addresses its name has at the moment.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use arc_swap::{ArcSwap, Guard as Loaded};
use ipnet::IpNet;
use tokio::sync::Notify;

use super::guard::Guard;
use crate::model::service::EndpointUrl;

/// What is wrong with a name that was not looked up yet.
const PENDING: &str = "its name is not resolved yet";

/// One endpoint, shared by every service and every table that names it.
#[derive(Debug)]
pub struct Endpoint {
    url: EndpointUrl,
    label: Arc<str>,
    guard: Option<Guard>,
    addresses: ArcSwap<Addresses>,
    due: Mutex<Option<Instant>>,
}

/// What is dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An address and a port.
    Network(SocketAddr),
    /// A socket of this host.
    Socket(Arc<Path>),
}

/// What a name resolved to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Usable addresses: those of the preferred family first, `preferred` of them.
    list: Box<[Address]>,
    preferred: usize,
    /// Why there is none, or why the last look-up failed.
    problem: Option<String>,
}

impl Addresses {
    fn new(mut list: Vec<SocketAddr>, problem: Option<String>) -> Self {
        // IPv4 first: where a name has both, a server that listens on one only most often listens on that.
        list.sort_unstable();
        list.dedup();
        let v4 = list.iter().filter(|address| address.is_ipv4()).count();
        let preferred = if v4 == 0 { list.len() } else { v4 };
        Self { list: list.into_iter().map(Address::Network).collect(), preferred, problem }
    }

    /// A socket of this host, which only the operator may name.
    fn of_socket(url: &EndpointUrl, guarded: bool) -> Self {
        match url {
            EndpointUrl::Socket(path) if !guarded => {
                Self { list: Box::new([Address::Socket(Arc::clone(path))]), preferred: 1, problem: None }
            }
            _ => Self { problem: Some("a registry may not name a socket of this host".to_owned()), ..Self::default() },
        }
    }

    /// The address for a request: those of the preferred family take turns, then the others in order.
    #[must_use]
    pub fn at(&self, turn: usize, round: usize) -> Option<&Address> {
        let at = if round < self.preferred { (turn.wrapping_add(round)) % self.preferred } else { round };
        self.list.get(at)
    }
}

impl Endpoint {
    fn new(url: EndpointUrl, guard: Option<Guard>) -> Self {
        let literal = url.ip().map(|ip| SocketAddr::new(ip, url.port()));
        let addresses = match (literal, &guard) {
            (None, _) if url.host().is_none() => Addresses::of_socket(&url, guard.is_some()),
            (None, _) => Addresses { problem: Some(PENDING.to_owned()), ..Addresses::default() },
            (Some(address), Some(guard)) => match guard.check(address.ip()) {
                Ok(()) => Addresses::new(vec![address], None),
                Err(refused) => Addresses::new(Vec::new(), Some(refused.to_string())),
            },
            (Some(address), None) => Addresses::new(vec![address], None),
        };
        let due = url.name().map(|_| Instant::now());
        Self {
            label: url.to_string().into(),
            url,
            guard,
            addresses: ArcSwap::from_pointee(addresses),
            due: Mutex::new(due),
        }
    }

    /// Where it listens, as it was written.
    #[must_use]
    pub fn url(&self) -> &EndpointUrl {
        &self.url
    }

    /// The same as text, for logs.
    #[must_use]
    pub fn label(&self) -> Arc<str> {
        Arc::clone(&self.label)
    }

    /// What its name has at the moment.
    #[must_use]
    pub fn addresses(&self) -> Loaded<Arc<Addresses>> {
        self.addresses.load()
    }

    /// Whether it can be dialled.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        !self.addresses.load().list.is_empty()
    }

    /// Whether its name is still to be looked up for the first time.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.addresses.load().problem.as_deref() == Some(PENDING)
    }

    /// Why it cannot be dialled, or why its last look-up failed.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.addresses.load().problem.clone()
    }

    /// Whether its name should be looked up by `now`.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|due| due <= now)
    }

    /// Takes over what a look-up found: the addresses that the guard lets pass. Returns whether anything changed.
    pub(super) fn resolved(&self, found: impl Iterator<Item = std::net::IpAddr>, again: Instant) -> bool {
        let mut refused = None;
        let allowed = found.filter(|&ip| match self.guard.as_ref().map(|guard| guard.check(ip)) {
            Some(Err(error)) => {
                refused = Some(format!("its name resolves to an address that is refused: {error}"));
                false
            }
            _ => true,
        });
        let list: Vec<_> = allowed.map(|ip| SocketAddr::new(ip, self.url.port())).collect();
        let problem = refused.or_else(|| list.is_empty().then(|| "its name has no address".to_owned()));
        self.replace(Addresses::new(list, problem), again)
    }

    /// Keeps the addresses it had, and notes why there are no newer ones. Returns whether the reason is new.
    pub(super) fn unresolved(&self, problem: String, again: Instant) -> bool {
        let known = Addresses { problem: Some(problem), ..Addresses::clone(&self.addresses.load()) };
        self.replace(known, again)
    }

    fn replace(&self, new: Addresses, again: Instant) -> bool {
        *self.due.lock().unwrap_or_else(PoisonError::into_inner) = Some(again);
        let changed = **self.addresses.load() != new;
        if changed {
            self.addresses.store(Arc::new(new));
        }
        changed
    }
}

/// Whose endpoint: the URL, and the networks allowed to an untrusted one.
type Key = (EndpointUrl, Option<Arc<[IpNet]>>);

/// All endpoints in use, each once.
#[derive(Debug, Default)]
pub struct Endpoints {
    known: Mutex<HashMap<Key, Weak<Endpoint>, foldhash::fast::RandomState>>,
    own: Arc<[std::net::IpAddr]>,
    /// Told when an endpoint was added whose name is not resolved yet.
    pub(super) added: Notify,
}

impl Endpoints {
    /// `own`: the addresses of this daemon, which nothing untrusted may point at.
    #[must_use]
    pub fn new(own: Arc<[std::net::IpAddr]>) -> Self {
        Self { own, ..Self::default() }
    }

    /// The guard over what may be named by a source with these allowed networks.
    #[must_use]
    pub fn guard(&self, allowed: &Arc<[IpNet]>) -> Guard {
        Guard::new(Arc::clone(allowed), Arc::clone(&self.own))
    }

    /// The endpoint of `url`: the one in use, or a new one. `guarded` holds the allowed networks of an untrusted source.
    pub fn intern(&self, url: &EndpointUrl, guarded: Option<&Arc<[IpNet]>>) -> Arc<Endpoint> {
        let key = (url.clone(), guarded.cloned());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(endpoint) = known.get(&key).and_then(Weak::upgrade) {
            return endpoint;
        }
        let endpoint = Arc::new(Endpoint::new(url.clone(), guarded.map(|allowed| self.guard(allowed))));
        known.insert(key, Arc::downgrade(&endpoint));
        drop(known);
        if endpoint.url.name().is_some() {
            self.added.notify_one();
        }
        endpoint
    }

    /// Every endpoint that some table still uses; forgets the others.
    pub fn in_use(&self) -> Vec<Arc<Endpoint>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut live = Vec::with_capacity(known.len());
        known.retain(|_, endpoint| match endpoint.upgrade() {
            Some(endpoint) => {
                live.push(endpoint);
                true
            }
            None => false,
        });
        live
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn dialled(endpoint: &Endpoint, turn: usize, round: usize) -> Option<String> {
        match endpoint.addresses().at(turn, round)? {
            Address::Network(address) => Some(address.to_string()),
            Address::Socket(path) => Some(path.display().to_string()),
        }
    }

    #[test]
    fn a_socket_is_its_own_address_and_only_the_operators() {
        let url = EndpointUrl::parse("unix:/run/a.sock").unwrap();
        let endpoints = Endpoints::default();
        assert_eq!(dialled(&endpoints.intern(&url, None), 5, 0).as_deref(), Some("/run/a.sock"));
        let none: Arc<[IpNet]> = Arc::from([]);
        assert!(!endpoints.intern(&url, Some(&none)).is_usable());
    }

    #[test]
    fn a_name_with_both_families_is_dialled_on_ipv4_first() {
        let endpoints = Endpoints::default();
        let endpoint = endpoints.intern(&EndpointUrl::parse("http://both.test:81").unwrap(), None);
        assert_eq!(endpoint.addresses().at(0, 0), None);
        endpoint.resolved(ips(&["::1", "10.0.0.2", "10.0.0.1"]).into_iter(), Instant::now());
        let text = |turn, round| dialled(&endpoint, turn, round);
        assert_eq!(text(0, 0).as_deref(), Some("10.0.0.1:81"));
        assert_eq!(text(1, 0).as_deref(), Some("10.0.0.2:81"));
        assert_eq!(text(1, 1).as_deref(), Some("10.0.0.1:81"));
        assert_eq!(text(1, 2).as_deref(), Some("[::1]:81"));
        assert_eq!(text(1, 3), None);
    }

    #[test]
    fn what_the_guard_refuses_is_never_dialled_and_says_why() {
        let endpoints = Endpoints::default();
        let none: Arc<[IpNet]> = Arc::from([]);
        let named = endpoints.intern(&EndpointUrl::parse("http://rebound.test").unwrap(), Some(&none));
        named.resolved(ips(&["127.0.0.1", "1.1.1.1"]).into_iter(), Instant::now());
        assert_eq!(dialled(&named, 0, 0).as_deref(), Some("1.1.1.1:80"));
        assert_eq!(dialled(&named, 0, 1), None);
        let literal = endpoints.intern(&EndpointUrl::parse("http://10.0.0.1").unwrap(), Some(&none));
        assert!(!literal.is_usable());
        assert!(literal.problem().unwrap().contains("10.0.0.1 is a private address"));
    }

    #[test]
    fn a_failed_look_up_keeps_the_last_addresses() {
        let endpoint = Endpoints::default().intern(&EndpointUrl::parse("http://a.test").unwrap(), None);
        endpoint.resolved(ips(&["1.1.1.1"]).into_iter(), Instant::now());
        assert!(endpoint.unresolved("no answer".to_owned(), Instant::now()));
        assert!(!endpoint.unresolved("no answer".to_owned(), Instant::now()));
        assert!(endpoint.is_usable());
        assert_eq!(endpoint.problem().as_deref(), Some("no answer"));
    }

    #[test]
    fn one_url_is_one_endpoint_while_it_is_in_use() {
        let endpoints = Endpoints::default();
        let url = EndpointUrl::parse("http://127.0.0.1:9").unwrap();
        let first = endpoints.intern(&url, None);
        assert!(Arc::ptr_eq(&first, &endpoints.intern(&url, None)));
        drop(first);
        assert!(endpoints.in_use().is_empty());
    }
}
