//! Buckets of one rate, each found by whose it is: governor's cell-rate algorithm, which keeps one number a bucket.

use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use super::Rate;
use crate::model::time::Time;

/// Full buckets are forgotten each time that so many requests were counted, so that made-up addresses fill no memory.
const FORGET_EVERY: u32 = 1 << 16;

/// Buckets of one rate.
#[derive(Debug)]
pub(super) struct Buckets<K: Hash + Eq + Clone> {
    rate: Rate,
    limiter: Limiter<K>,
    counted: AtomicU32,
}

type Limiter<K> = RateLimiter<K, HashMapStateStore<K>, MonotonicClock, StateInformationMiddleware>;

/// A request was counted; where its bucket stands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Requests that a full bucket allows.
    pub limit: u32,
    /// Requests that it allows now.
    pub remaining: u32,
    /// When it will be full again.
    pub full_at: Time,
}

/// A request was one too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// The rate.
    pub rate: Rate,
    /// When the next request is allowed.
    pub wait: Duration,
    /// When the bucket will be full again.
    pub full_at: Time,
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    pub(super) fn new(rate: Rate) -> Self {
        // At least a nanosecond: a rate is at most 2^32 a second.
        let each = (rate.per / rate.count.get()).max(Duration::from_nanos(1));
        let quota = Quota::with_period(each).unwrap_or(Quota::per_second(rate.count)).allow_burst(rate.count);
        let limiter = RateLimiter::hashmap_with_clock(quota, MonotonicClock).with_middleware();
        Self { rate, limiter, counted: AtomicU32::new(0) }
    }

    /// Takes one request out of the bucket of `whose`.
    pub(super) fn take(&self, whose: &K) -> Result<Taken, Exceeded> {
        if self.counted.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        let limit = self.rate.count.get();
        let each = self.rate.per / limit;
        match self.limiter.check_key(whose) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                Ok(Taken { limit, remaining, full_at: from_now(each * limit.saturating_sub(remaining)) })
            }
            Err(until) => {
                let wait = until.wait_time_from(self.limiter.clock().now());
                Err(Exceeded { rate: self.rate, wait, full_at: from_now(self.rate.per) })
            }
        }
    }
}

fn from_now(duration: Duration) -> Time {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Time::from_millis(u64::try_from((now + duration).as_millis()).unwrap_or(u64::MAX))
}

/// The addresses that one client is taken to have: an IPv4 address, or the 64 bits of an IPv6 address that name its
/// network (RFC 4291 §2.5.4). What comes from no address at all counts together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Block {
    V4(Ipv4Addr),
    V6(Ipv6Addr),
    Nowhere,
}

impl Block {
    pub(super) fn of(client: Option<IpAddr>) -> Self {
        match client.map(|client| client.to_canonical()) {
            Some(IpAddr::V4(address)) => Self::V4(address),
            Some(IpAddr::V6(address)) => Self::V6(network(address)),
            None => Self::Nowhere,
        }
    }
}

/// The network: the host's half of the address is zero.
fn network(address: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from(u128::from(address) & !u128::from(u64::MAX))
}
