//! How many requests are being served: what a drain waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus::IntGauge;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Counts requests in flight. Clone freely.
#[derive(Clone, Debug, Default)]
pub struct InFlight(Arc<Counter>);

#[derive(Debug, Default)]
struct Counter {
    count: AtomicUsize,
    idle: Notify,
    draining: CancellationToken,
}

/// One request in flight; over when dropped.
#[derive(Debug)]
pub struct Ticket {
    of: InFlight,
    gauge: IntGauge,
}

impl InFlight {
    /// Counts one more, also in `gauge`, until the ticket is dropped.
    #[must_use]
    pub fn enter(&self, gauge: &IntGauge) -> Ticket {
        self.0.count.fetch_add(1, Ordering::AcqRel);
        gauge.inc();
        Ticket { of: self.clone(), gauge: gauge.clone() }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.count.load(Ordering::Acquire)
    }

    /// From now on it is waited for that nothing is in flight.
    pub fn drain(&self) {
        self.0.draining.cancel();
    }

    /// Resolves once that is waited for.
    pub async fn draining(&self) {
        self.0.draining.cancelled().await;
    }

    /// Resolves once nothing is in flight.
    pub async fn idle(&self) {
        loop {
            // Registered before the count is read, so that a change in between is not missed.
            let notified = self.0.idle.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            notified.await;
        }
    }
}

impl Ticket {
    /// Counts it in another gauge from now on, once it is known where it belongs.
    pub fn recount(&mut self, gauge: &IntGauge) {
        self.gauge.dec();
        gauge.inc();
        self.gauge = gauge.clone();
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.gauge.dec();
        if self.of.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.of.0.idle.notify_waiters();
        }
    }
}
