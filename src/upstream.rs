//! Where proxied requests go: named sets of endpoints, resolved in the background, ready to be dialled.
//!
//! Choosing an endpoint reads snapshots and atomic counters: no lock, no name look-up, no I/O.

mod balance;
pub mod budget;
pub mod edit;
pub mod endpoint;
pub mod gate;
pub mod guard;
pub mod member;
pub mod peer;
pub mod probe;
pub mod resolve;
mod tls;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arrayvec::ArrayVec;
use http::HeaderValue;
use xxhash_rust::xxh3::xxh3_64;

use self::balance::Balancer;
use self::budget::RetryBudget;
use self::edit::HeaderEdits;
use self::member::{Member, MemberState, MemberTicket, Verdict};
use self::tls::{TlsFileError, TlsFiles};
use crate::model::name::Hostname;
use crate::model::service::{Balance, HashOn, Service};
use crate::telemetry::metrics::ServiceMetrics;
use endpoint::{Address, Endpoint, Endpoints};
use probe::Place;

/// What the `server` section says about upstream connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Idle connections kept for reuse, all upstreams together; `None` = the larger of 512 and 2 for each endpoint.
    pub idle_connections: Option<NonZeroUsize>,
}

/// Most connection attempts for one request: the first, and the most retries that can be configured.
pub const MAX_ATTEMPTS: usize = 11;

/// One service, ready to be proxied to.
#[derive(Debug)]
pub struct Upstream {
    service: Service,
    members: Box<[Member]>,
    balancer: Balancer,
    shared: Arc<Shared>,
    metrics: ServiceMetrics,
    tls: Arc<Result<TlsFiles, TlsFileError>>,
    edits: HeaderEdits,
    /// How many connections of their own were asked for.
    fresh: AtomicU64,
}

/// What outlives changes of a service's settings.
#[derive(Debug)]
struct Shared {
    turn: AtomicU64,
    in_flight: AtomicU32,
    budget: RetryBudget,
    /// Held while one is left out, so that two at once are not one too many.
    ejecting: Mutex<()>,
}

/// One address chosen for one connection attempt.
#[derive(Clone, Copy, Debug)]
pub struct Selected<'a> {
    /// Its place among the service's endpoints.
    pub index: usize,
    /// The endpoint it belongs to.
    pub member: &'a Member,
    /// The address to dial.
    pub address: &'a Address,
}

/// What was tried for one request: each endpoint, and how often it could not be connected to.
#[derive(Clone, Debug, Default)]
pub struct Tries {
    made: ArrayVec<Try, MAX_ATTEMPTS>,
    /// Whether one of them was taken back.
    taken_back: bool,
}

#[derive(Clone, Copy, Debug)]
struct Try {
    member: u32,
    refused: bool,
}

impl Tries {
    /// Notes an attempt at the endpoint in place `index`.
    pub fn begin(&mut self, index: usize) {
        let member = u32::try_from(index).unwrap_or(u32::MAX);
        // What does not fit is more than any configuration allows.
        self.made.try_push(Try { member, refused: false }).ok();
    }

    /// The last one found no connection.
    pub fn refused(&mut self) {
        if let Some(last) = self.made.last_mut() {
            last.refused = true;
        }
    }

    /// The last one met a connection that had ended: it does not count. `false` = that has been said of one before. A request
    /// that ends whatever connection it comes on must not go through all of them.
    pub fn take_back(&mut self) -> bool {
        let is_first = !std::mem::replace(&mut self.taken_back, true);
        if is_first {
            self.made.pop();
        }
        is_first
    }

    /// Whether one was taken back: what comes after it goes on a connection of its own, for others may have ended as well.
    #[must_use]
    pub fn has_taken_back(&self) -> bool {
        self.taken_back
    }

    /// How many count.
    #[must_use]
    pub fn count(&self) -> usize {
        self.made.len()
    }

    /// The endpoint that was tried last.
    #[must_use]
    pub fn last(&self) -> Option<usize> {
        self.made.last().map(|last| last.member as usize)
    }

    fn of(&self, index: usize) -> impl Iterator<Item = &Try> {
        self.made.iter().filter(move |tried| tried.member as usize == index)
    }

    fn has(&self, index: usize) -> bool {
        self.of(index).next().is_some()
    }

    /// How often `index` could not be connected to.
    fn refusals(&self, index: usize) -> usize {
        self.of(index).filter(|tried| tried.refused).count()
    }
}

/// A request in flight to a service; over when dropped.
#[derive(Debug)]
pub struct Permit(Arc<Shared>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Upstream {
    /// Prepares `service`. `public_host` is the host it is known under, sent where neither the service nor the endpoint
    /// has a name to send. `previous`: what served it until now; how its endpoints fare stays known.
    #[must_use]
    pub fn new(
        service: Service,
        public_host: &Hostname,
        endpoints: &Endpoints,
        metrics: ServiceMetrics,
        previous: Option<&Self>,
    ) -> Self {
        let tls = TlsFiles::read(&service.tls);
        if let Err(error) = &tls {
            tracing::error!(service = %service.id, %error, "the service's https endpoints cannot be dialled");
        }
        let state_of = |endpoint: &Arc<Endpoint>| {
            let same = previous?.members.iter().find(|member| Arc::ptr_eq(&member.endpoint, endpoint));
            same.map(|member| Arc::clone(&member.state))
        };
        let members: Box<[Member]> = service
            .endpoints
            .iter()
            .map(|declared| {
                let url = &declared.url;
                let endpoint = endpoints.intern(url, (!service.trusted).then_some(&service.allowed_networks));
                let own_name = url.name().is_some();
                let host = match &service.declared.host_header {
                    Some(host) => host.clone(),
                    None if own_name => url.authority(),
                    None => public_host.to_string(),
                };
                let sni = match (&service.tls.sni, url.name()) {
                    _ if !url.is_tls() => "",
                    (Some(sni), _) => sni.as_str(),
                    (None, Some(name)) => name.as_str(),
                    (None, None) => host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name),
                };
                Member {
                    state: state_of(&endpoint).unwrap_or_else(|| Arc::new(MemberState::new())),
                    hash: xxh3_64(endpoint.label().as_bytes()),
                    endpoint,
                    sni: sni.into(),
                    host: HeaderValue::from_str(&host).unwrap_or_else(|_| HeaderValue::from_static("")),
                    weight: declared.weight,
                }
            })
            .collect();
        let shared = previous.map(|previous| Arc::clone(&previous.shared));
        Self {
            balancer: Balancer::new(service.balance, &members),
            members,
            shared: shared.unwrap_or_else(|| Arc::new(Shared::new())),
            edits: HeaderEdits::of(&service.headers),
            fresh: AtomicU64::new(0),
            tls: Arc::new(tls),
            service,
            metrics,
        }
    }

    /// Whether this is how `service` is to be served: nothing of it has changed, and none of its files.
    #[must_use]
    pub fn serves(&self, service: &Service) -> bool {
        self.service == *service
            && match &*self.tls {
                Ok(files) => files.are_current(&service.tls),
                // Whether it can be read by now is found out by reading it.
                Err(_) => false,
            }
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

    /// What its rules do to headers.
    #[must_use]
    pub fn edits(&self) -> &HeaderEdits {
        &self.edits
    }

    /// Its endpoints, in order.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Why the files for TLS to it cannot be used, if they cannot.
    #[must_use]
    pub fn tls_problem(&self) -> Option<String> {
        self.tls.as_ref().as_ref().err().map(ToString::to_string)
    }

    /// Why the endpoint in place `index` cannot be dialled, or why its last look-up failed.
    #[must_use]
    pub fn problem_of(&self, index: usize) -> Option<String> {
        let endpoint = &self.members.get(index)?.endpoint;
        self.tls_problem().filter(|_| endpoint.url().is_tls()).or_else(|| endpoint.problem())
    }

    /// Where each of its endpoints is asked for `target` (path and query), with the `Host` and the name of its requests.
    pub fn places(self: &Arc<Self>, target: &str) -> impl Iterator<Item = Place> {
        self.members.iter().map(move |member| Place {
            endpoint: Arc::clone(&member.endpoint),
            host: member.host.clone(),
            sni: member.sni.clone(),
            target: target.into(),
            upstream: Some(Arc::clone(self)),
        })
    }

    /// Begins a request at `now`; `None` = as many are in flight as may be.
    #[must_use]
    pub fn admit(&self, now: Instant) -> Option<Permit> {
        let shared = &self.shared;
        if shared.in_flight.fetch_add(1, Ordering::Relaxed) >= self.service.in_flight {
            shared.in_flight.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        shared.budget.request(now);
        Some(Permit(Arc::clone(shared)))
    }

    /// Requests that have not ended.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.shared.in_flight.load(Ordering::Relaxed)
    }

    /// Takes a retry out of the budget; `false` = there is none left.
    #[must_use]
    pub fn may_retry(&self, now: Instant) -> bool {
        self.shared.budget.take(self.service.retry.budget, now)
    }

    /// What decides where a request goes: its turn, or the hash of what `key` finds in it.
    #[must_use]
    pub fn seed(&self, key: impl FnOnce(&HashOn) -> u64) -> u64 {
        if self.service.balance == Balance::ConsistentHash && self.members.len() > 1 {
            return key(&self.service.hash_on);
        }
        self.shared.turn.fetch_add(1, Ordering::Relaxed)
    }

    /// The address for the next attempt of the request that has `seed`, after `tries`, handed to `then`.
    ///
    /// Endpoints that were not tried come first; then those that were, at an address that has not refused yet. `None` when
    /// nothing is left to try, or nothing can be dialled at all.
    pub fn select<T>(&self, seed: u64, tries: &Tries, then: impl FnOnce(Selected<'_>) -> T) -> Option<T> {
        let members = &*self.members;
        if tries.made.is_full() {
            return None;
        }
        let mut chosen = if tries.made.is_empty() {
            self.balancer.choose(members, seed, |index| self.is_fit(index))
        } else {
            let untried = |index: usize| !tries.has(index) && self.is_fit(index);
            self.balancer.choose(members, seed, untried)
        };
        // With several addresses to a name, each request begins at another of them.
        let turn = usize::try_from(seed).unwrap_or(usize::MAX) / members.len().max(1);
        if chosen.is_none() && !tries.made.is_empty() {
            let again = |index: usize| {
                let refusals = tries.refusals(index);
                self.is_fit(index) && members[index].endpoint.addresses().at(turn, refusals).is_some()
            };
            chosen = self.balancer.choose(members, seed, again);
        }
        let index = chosen?;
        let member = &members[index];
        let addresses = member.endpoint.addresses();
        let address = addresses.at(turn, tries.refusals(index))?;
        Some(then(Selected { index, member, address }))
    }

    /// Whether requests may be sent to the endpoint in place `index`, and there is what TLS to it is spoken with.
    fn is_fit(&self, index: usize) -> bool {
        let member = &self.members[index];
        member.is_available() && (self.tls.is_ok() || !member.endpoint.url().is_tls())
    }

    /// Counts a request to the endpoint in place `index`, until the ticket is dropped.
    #[must_use]
    pub fn enter(&self, index: usize) -> Option<MemberTicket> {
        self.members.get(index).map(|member| member.state.enter())
    }

    /// The endpoint in place `index` answered.
    pub fn succeeded(&self, index: usize) {
        if let Some(member) = self.members.get(index) {
            member.state.succeeded();
        }
    }

    /// The endpoint in place `index` failed a request. Failing often enough in a row it is left out for a while, unless
    /// too many are already.
    pub fn failed(&self, index: usize) {
        let policy = &self.service.outlier;
        let Some(member) = self.members.get(index).filter(|member| member.state.failed(policy)) else { return };
        let _turn = self.shared.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
        let ejected = self.members.iter().filter(|member| member.state.is_ejected()).count();
        #[allow(clippy::cast_precision_loss, reason = "numbers of endpoints are far below 2^52")]
        let too_many = (ejected + 1) as f64 > policy.max_ejected * self.members.len() as f64;
        if too_many || member.state.is_ejected() {
            return;
        }
        member.state.eject(policy);
        self.metrics.ejected();
        tracing::warn!(
            service = %self.service.id,
            endpoint = &*member.endpoint.label(),
            failures = policy.consecutive_errors,
            eject_for = ?policy.eject_for,
            "an endpoint failed too often in a row and is left out"
        );
    }

    /// The endpoint in place `index` said nothing for too long. A connection of HTTP/1 ends with its request; one of HTTP/2
    /// stays, and whether it is dead is not told from whether its server is slow. Asking with pings would have gRPC servers
    /// close it. So the next requests get another one, and this one ends when it has idled.
    pub fn silent(&self, index: usize) {
        if let Some(member) = self.members.get(index).filter(|member| member.endpoint.url().may_be_http2()) {
            member.state.renew_connections();
        }
    }

    /// Takes over what a probe of `endpoint` found, where probes decide.
    pub fn probed(&self, endpoint: &Arc<Endpoint>, well: bool) {
        let Some(policy) = self.service.health else { return };
        let Some(member) = self.members.iter().find(|member| Arc::ptr_eq(&member.endpoint, endpoint)) else { return };
        let (service, endpoint) = (&self.service.id, &*endpoint.label());
        match member.state.probed(well, policy) {
            Some(Verdict::Returned) => {
                tracing::info!(%service, endpoint, "an endpoint is well and gets requests again");
            }
            Some(Verdict::Unhealthy) => {
                tracing::warn!(%service, endpoint, "an endpoint is not well and gets no requests");
            }
            None => {}
        }
    }
}

impl Shared {
    fn new() -> Self {
        Self {
            turn: AtomicU64::new(0),
            in_flight: AtomicU32::new(0),
            budget: RetryBudget::new(),
            ejecting: Mutex::new(()),
        }
    }
}
