//! How many of a service's requests may be retries: a share of those of the last ten seconds, so that a service in trouble
//! is not sent several times the traffic that brought it there.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// How far back requests count, in seconds.
const WINDOW: u64 = 10;
/// The same, as a number of slots.
const SLOTS: usize = 10;
/// So many retries in that time are granted whatever the share of few requests is: a quiet service would never get one.
const ALWAYS: u64 = 3;

/// Counts requests and retries, second by second.
#[derive(Debug)]
pub struct RetryBudget {
    made: Instant,
    requests: [AtomicU64; SLOTS],
    /// Only ever touched when something failed.
    retries: Mutex<[u64; SLOTS]>,
}

/// A second and what was counted in it, in one word: the count of an older second is nothing.
const COUNT_BITS: u32 = 32;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

/// What `slot` counted, if that was no longer than [`WINDOW`] before `second`.
fn counted(slot: u64, second: u64) -> u64 {
    if (slot >> COUNT_BITS) + WINDOW > second { slot & COUNT_MASK } else { 0 }
}

/// `slot` with one more in `second`.
fn one_more(slot: u64, second: u64) -> u64 {
    if slot >> COUNT_BITS == second { slot + 1 } else { (second << COUNT_BITS) | 1 }
}

impl RetryBudget {
    pub(super) fn new() -> Self {
        Self { made: Instant::now(), requests: Default::default(), retries: Mutex::default() }
    }

    /// Counts a request that began at `now`.
    pub(super) fn request(&self, now: Instant) {
        let second = self.second(now);
        let slot = &self.requests[Self::index(second)];
        // Relaxed: these are counts alone. It fails where another request came between, and is done again.
        slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |slot| Some(one_more(slot, second))).ok();
    }

    /// Takes one retry out of the budget at `now`; `false` = there is none left. `share` of the requests: 0 to 1.
    pub(super) fn take(&self, share: f64, now: Instant) -> bool {
        let second = self.second(now);
        let mut retries = self.retries.lock().unwrap_or_else(PoisonError::into_inner);
        let requests: u64 = self.requests.iter().map(|slot| counted(slot.load(Ordering::Relaxed), second)).sum();
        let taken: u64 = retries.iter().map(|&slot| counted(slot, second)).sum();
        #[allow(clippy::cast_precision_loss, reason = "requests of ten seconds are far below 2^52")]
        let granted = share > 0.0 && (taken < ALWAYS || ((taken + 1) as f64) <= share * requests as f64);
        if granted {
            let slot = &mut retries[Self::index(second)];
            *slot = one_more(*slot, second);
        }
        granted
    }

    /// Seconds since it was made, from [`WINDOW`] on, so that an untouched slot is an old one.
    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.made).as_secs() + WINDOW
    }

    fn index(second: u64) -> usize {
        usize::try_from(second % WINDOW).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_share_of_the_last_ten_seconds_and_no_more() {
        let budget = RetryBudget::new();
        let at = |seconds| budget.made + Duration::from_secs(seconds);
        for second in 0..10 {
            for _ in 0..10 {
                budget.request(at(second));
            }
        }
        let granted = (0..100).filter(|_| budget.take(0.2, at(9))).count();
        assert_eq!(granted, 20);
        // Five seconds later half of the requests are forgotten, and none of the retries.
        assert!(!budget.take(0.2, at(14)));
        // Ten seconds later the retries are, too.
        for _ in 0..50 {
            budget.request(at(20));
        }
        assert_eq!((0..100).filter(|_| budget.take(0.2, at(20))).count(), 10);
    }

    #[test]
    fn a_quiet_service_gets_a_few_and_a_share_of_nothing_none() {
        let budget = RetryBudget::new();
        budget.request(budget.made);
        assert_eq!((0..9).filter(|_| budget.take(0.2, budget.made)).count(), 3);
        let none = RetryBudget::new();
        none.request(none.made);
        assert!(!none.take(0.0, none.made));
    }
}
