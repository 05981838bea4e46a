//! What the store counts into.

use std::sync::OnceLock;
use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec};

use super::Registered;

/// Upper bounds of an operation's duration, in seconds: from what is in memory to a disk that hangs.
const DURATION_BUCKETS: [f64; 12] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0];
/// Upper bounds of a batch's size, in changes.
const BATCH_BUCKETS: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];
/// Operations whose handles are kept: more than a store has.
const KEPT: usize = 32;

/// The store's series.
pub(super) struct StoreMetrics {
    durations: HistogramVec,
    errors: IntCounterVec,
    removed: IntCounterVec,
    batches: Histogram,
    duration_of: Handles<Histogram>,
    errors_of: Handles<IntCounter>,
}

impl StoreMetrics {
    pub(super) fn new(registered: &Registered<'_>) -> Result<Self, prometheus::Error> {
        let batches =
            HistogramOpts::new("chittyconnect_store_commit_batch_size", "Changes that went to the disk together.");
        Ok(Self {
            durations: registered.histograms_of(
                "chittyconnect_store_operation_duration_seconds",
                "From asking the store to its answer.",
                &["operation"],
                &DURATION_BUCKETS,
            )?,
            errors: registered.counters(
                "chittyconnect_store_errors_total",
                "Operations that the store could not do.",
                &["operation"],
            )?,
            removed: registered.counters(
                "chittyconnect_store_removed_total",
                "Records that were removed because their time was over.",
                &["kind"],
            )?,
            batches: registered.add(Histogram::with_opts(batches.buckets(BATCH_BUCKETS.to_vec()))?)?,
            duration_of: Handles::default(),
            errors_of: Handles::default(),
        })
    }

    pub(super) fn operation(&self, operation: &'static str, duration: Duration) {
        let make = || self.durations.with_label_values(&[operation]);
        self.duration_of.with(operation, make, |histogram| histogram.observe(duration.as_secs_f64()));
    }

    pub(super) fn failed(&self, operation: &'static str) {
        self.errors_of.with(operation, || self.errors.with_label_values(&[operation]), IntCounter::inc);
    }

    pub(super) fn removed(&self, kind: &str, records: u64) {
        self.removed.with_label_values(&[kind]).inc_by(records);
    }

    pub(super) fn committed(&self, changes: usize) {
        self.batches.observe(u32::try_from(changes).unwrap_or(u32::MAX).into());
    }
}

/// Handles in the order of their first use; found by looking at a few names, without a lock or a hash.
struct Handles<T>([OnceLock<(&'static str, T)>; KEPT]);

impl<T> Default for Handles<T> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| OnceLock::new()))
    }
}

impl<T> Handles<T> {
    /// Gives the handle of `name` to `use_it`; made by `make` where it is not kept yet, or cannot be.
    fn with(&self, name: &'static str, make: impl Fn() -> T, use_it: impl Fn(&T)) {
        for slot in &self.0 {
            let (found, handle) = slot.get_or_init(|| (name, make()));
            if *found == name {
                return use_it(handle);
            }
        }
        use_it(&make());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_keeps_one_handle_and_one_too_many_is_made_anew() {
        let names: Vec<&'static str> = (0..=KEPT).map(|n| &*n.to_string().leak()).collect();
        let handles = Handles::default();
        let count = std::cell::Cell::new(0);
        let make = || count.set(count.get() + 1);
        for _ in 0..3 {
            for name in &names {
                handles.with(name, make, |()| {});
            }
        }
        assert_eq!(count.get(), KEPT + 3);
    }
}
