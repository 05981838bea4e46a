//! One endpoint as one service dials it, and how it fares there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::HeaderValue;

use super::endpoint::Endpoint;
use crate::model::service::{HealthPolicy, OutlierPolicy};

/// An endpoint among those of a service.
#[derive(Debug)]
pub struct Member {
    pub(super) endpoint: Arc<Endpoint>,
    /// The `Host` to send.
    pub(super) host: HeaderValue,
    /// The name to ask for in TLS; empty for others.
    pub(super) sni: Box<str>,
    pub(super) weight: u16,
    /// What it is among others under consistent hashing.
    pub(super) hash: u64,
    pub(super) state: Arc<MemberState>,
}

impl Member {
    /// Where it is.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// The `Host` to send.
    #[must_use]
    pub fn host(&self) -> &HeaderValue {
        &self.host
    }

    /// Its part of the traffic.
    #[must_use]
    pub fn weight(&self) -> u16 {
        self.weight
    }

    /// How it fares.
    #[must_use]
    pub fn state(&self) -> &MemberState {
        &self.state
    }

    /// Whether requests may be sent to it.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.endpoint.is_usable() && self.state.is_fit()
    }
}

/// How an endpoint fares with one service. It outlives changes of the service's other settings.
#[derive(Debug)]
pub struct MemberState {
    made: Instant,
    in_flight: AtomicU32,
    /// Failed requests in a row.
    failures: AtomicU32,
    /// Milliseconds since `made`; 0 = it is not left out.
    ejected_until: AtomicU64,
    /// Probes in a row, of the kind seen last.
    good: AtomicU32,
    bad: AtomicU32,
    unhealthy: AtomicBool,
    /// Connections are not shared between two of these.
    generation: AtomicU64,
}

impl MemberState {
    pub(super) fn new() -> Self {
        Self {
            made: Instant::now(),
            in_flight: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            ejected_until: AtomicU64::new(0),
            good: AtomicU32::new(0),
            bad: AtomicU32::new(0),
            unhealthy: AtomicBool::new(false),
            generation: AtomicU64::new(0),
        }
    }

    /// Requests to it that have not ended.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Whether probes have found that it does not answer.
    #[must_use]
    pub fn is_unhealthy(&self) -> bool {
        self.unhealthy.load(Ordering::Relaxed)
    }

    /// Whether it is left out for having failed.
    #[must_use]
    pub fn is_ejected(&self) -> bool {
        let until = self.ejected_until.load(Ordering::Relaxed);
        until != 0 && until > self.now()
    }

    pub(super) fn is_fit(&self) -> bool {
        !self.is_unhealthy() && !self.is_ejected()
    }

    /// Counts a request until the ticket is dropped.
    pub(super) fn enter(self: &Arc<Self>) -> MemberTicket {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        MemberTicket(Arc::clone(self))
    }

    /// A request was answered.
    pub(super) fn succeeded(&self) {
        // Read first: among many requests the line stays shared.
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// A request failed. `true` = so many in a row that it should be left out.
    pub(super) fn failed(&self, policy: &OutlierPolicy) -> bool {
        self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= policy.consecutive_errors && !self.is_ejected()
    }

    /// Leaves it out. The first failure after that time does so again.
    pub(super) fn eject(&self, policy: &OutlierPolicy) {
        self.good.store(0, Ordering::Relaxed);
        self.failures.store(policy.consecutive_errors - 1, Ordering::Relaxed);
        let until = self.now().saturating_add(milliseconds(policy.eject_for)).max(1);
        self.ejected_until.store(until, Ordering::Relaxed);
    }

    /// Takes over the outcome of a probe. What changed by it, if something did.
    pub(super) fn probed(&self, well: bool, policy: HealthPolicy) -> Option<Verdict> {
        let (up, down) = if well { (&self.good, &self.bad) } else { (&self.bad, &self.good) };
        down.store(0, Ordering::Relaxed);
        let row = up.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if well && row >= policy.healthy {
            let was_ejected = self.ejected_until.swap(0, Ordering::Relaxed) > self.now();
            let was_unhealthy = self.unhealthy.swap(false, Ordering::Relaxed);
            if was_ejected || was_unhealthy {
                self.failures.store(0, Ordering::Relaxed);
                return Some(Verdict::Returned);
            }
        }
        let out = !well && row >= policy.unhealthy && !self.unhealthy.swap(true, Ordering::Relaxed);
        out.then_some(Verdict::Unhealthy)
    }

    /// Has new connections made for what comes from now on. What is on the ones that stand stays there.
    pub(super) fn renew_connections(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    fn now(&self) -> u64 {
        milliseconds(self.made.elapsed())
    }
}

/// What probes decided about an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It gets requests again.
    Returned,
    /// It gets none.
    Unhealthy,
}

/// A request to an endpoint; over when dropped.
#[derive(Debug)]
pub struct MemberTicket(Arc<MemberState>);

impl Drop for MemberTicket {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEALTH: HealthPolicy = HealthPolicy { healthy: 2, unhealthy: 3 };

    #[test]
    fn failures_in_a_row_eject_and_good_probes_return() {
        let policy = OutlierPolicy { consecutive_errors: 3, ..OutlierPolicy::default() };
        let state = MemberState::new();
        assert!(!state.failed(&policy));
        assert!(!state.failed(&policy));
        state.succeeded();
        assert!(!state.failed(&policy));
        assert!(!state.failed(&policy));
        assert!(state.failed(&policy));
        state.eject(&policy);
        assert!(state.is_ejected() && !state.is_fit());
        assert!(!state.failed(&policy), "what still fails ejects nothing that is out");
        assert_eq!(state.probed(true, HEALTH), None);
        assert_eq!(state.probed(true, HEALTH), Some(Verdict::Returned));
        assert!(state.is_fit());
        assert!(!state.failed(&policy), "it begins anew");
    }

    #[test]
    fn after_its_time_one_failure_ejects_again() {
        let policy = OutlierPolicy { eject_for: Duration::ZERO, ..OutlierPolicy::default() };
        let made = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
        let state = MemberState { made, ..MemberState::new() };
        state.eject(&policy);
        assert!(!state.is_ejected());
        assert!(state.failed(&policy));
    }

    #[test]
    fn probes_decide_in_rows() {
        let state = MemberState::new();
        for well in [false, false, true, false, false] {
            assert_eq!(state.probed(well, HEALTH), None);
        }
        assert_eq!(state.probed(false, HEALTH), Some(Verdict::Unhealthy));
        assert_eq!(state.probed(false, HEALTH), None);
        assert!(!state.is_fit());
        assert_eq!(state.probed(true, HEALTH), None);
        assert_eq!(state.probed(false, HEALTH), None);
        assert_eq!(state.probed(true, HEALTH), None);
        assert_eq!(state.probed(true, HEALTH), Some(Verdict::Returned));
        assert!(state.is_fit());
    }

    #[test]
    fn a_request_counts_until_it_is_over() {
        let state = Arc::new(MemberState::new());
        let (one, two) = (state.enter(), state.enter());
        assert_eq!(state.in_flight(), 2);
        drop((one, two));
        assert_eq!(state.in_flight(), 0);
    }
}
