//! When a registry is asked: at an interval with jitter, sooner and then ever later while it fails, and when called.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::error::HttpError;
use super::{Fetched, HttpSource};
use crate::registry::source::{Caller, Outcome, Report, describe};

/// Refreshes are spread over this share of the interval on both sides, so that many gateways do not ask at once.
const JITTER: f64 = 0.1;
/// The first wait after a failure: a registry that restarts is back soon.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest wait after failures, in intervals, and at all.
const MAX_INTERVALS: u32 = 5;
const MAX_RETRY: Duration = Duration::from_secs(300);
/// No interval is shorter, whatever was configured.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

/// What the task that refreshes a registry needs.
pub(in crate::registry) struct HttpTask {
    pub(in crate::registry) task: u64,
    pub(in crate::registry) source: HttpSource,
    pub(in crate::registry) interval: Duration,
    pub(in crate::registry) reports: mpsc::Sender<Report>,
    pub(in crate::registry) calls: mpsc::Receiver<Caller>,
}

impl HttpTask {
    /// Refreshes until `cancel`, or until nobody listens.
    pub(in crate::registry) async fn run(mut self, cancel: CancellationToken) {
        cancel.run_until_cancelled(self.refresh()).await;
    }

    async fn refresh(&mut self) {
        let mut failures = 0;
        let mut callers = Vec::new();
        loop {
            while let Ok(caller) = self.calls.try_recv() {
                callers.push(caller);
            }
            let outcome = match self.source.fetch().await {
                Ok(Fetched::List(document)) => Outcome::List(document),
                Ok(Fetched::Unchanged) => Outcome::Unchanged,
                Err(error @ HttpError::Emptied { .. }) => Outcome::Refused(describe(&error)),
                Err(error) => Outcome::Failed(describe(&error)),
            };
            failures = if matches!(outcome, Outcome::Failed(_)) { failures + 1 } else { 0 };
            let report = Report { task: self.task, outcome, callers: std::mem::take(&mut callers) };
            if self.reports.send(report).await.is_err() {
                return;
            }
            let wait = delay(self.interval, failures).mul_f64(rand::random_range(1.0 - JITTER..=1.0 + JITTER));
            tokio::select! {
                () = sleep(wait) => {}
                Some(caller) = self.calls.recv() => callers.push(caller),
            }
        }
    }
}

/// The wait before the next refresh after so many failures in a row, before jitter.
fn delay(interval: Duration, failures: u32) -> Duration {
    let interval = interval.max(MIN_INTERVAL);
    let Some(doublings) = failures.checked_sub(1) else { return interval };
    let longest = interval.saturating_mul(MAX_INTERVALS).min(MAX_RETRY).max(interval);
    FIRST_RETRY.min(interval / 4).saturating_mul(2_u32.saturating_pow(doublings)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_retried_soon_and_then_ever_later() {
        let millis = |interval, failures| delay(Duration::from_secs(interval), failures).as_millis();
        let waits: Vec<_> = (0..11).map(|failures| millis(30, failures)).collect();
        assert_eq!(waits, [30_000, 1000, 2000, 4000, 8000, 16_000, 32_000, 64_000, 128_000, 150_000, 150_000]);
        assert_eq!((0..5).map(|failures| millis(1, failures)).collect::<Vec<_>>(), [1000, 250, 500, 1000, 2000]);
        assert_eq!(millis(3600, 20), 3_600_000);
        assert_eq!(millis(100, u32::MAX), 300_000);
        assert_eq!(delay(Duration::ZERO, 0), MIN_INTERVAL);
    }
}
