//! Whether a body comes in fast enough: bytes over the time that was spent waiting for it.
//!
//! Time in which nobody asks for more (an upstream that takes its time) does not count, so a client is only ever judged by
//! its own pace.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// Over how much waiting the rate is averaged.
const WINDOW: Duration = Duration::from_secs(10);

/// Watches one body after the other.
pub(super) struct BodyRate {
    /// Bytes in a window at least.
    least: u64,
    received: u64,
    waited: Duration,
    waiting_since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl BodyRate {
    /// `per_second`: bytes.
    pub(super) fn new(per_second: u64) -> Self {
        let least = per_second.saturating_mul(WINDOW.as_secs());
        Self { least, received: 0, waited: Duration::ZERO, waiting_since: None, timer: None }
    }

    /// Another body begins.
    pub(super) fn begin(&mut self) {
        self.received = 0;
        self.waited = Duration::ZERO;
        self.waiting_since = None;
    }

    /// So many bytes came in.
    pub(super) fn received(&mut self, bytes: usize) {
        self.received += bytes as u64;
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
    }

    /// Nothing has come in. Ready = what came in over the last window is too little.
    pub(super) fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let since = *self.waiting_since.get_or_insert_with(Instant::now);
            let left = WINDOW.saturating_sub(self.waited);
            if since.elapsed() >= left {
                if self.received < self.least {
                    return Poll::Ready(());
                }
                self.begin();
                continue;
            }
            let due = since + left;
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            // One that was set for an earlier wait may fire too early, and is then set anew; it never is set for too late.
            if timer.is_elapsed() || timer.deadline() > due {
                timer.as_mut().reset(due);
            }
            ready!(timer.as_mut().poll(cx));
        }
    }
}

/// The pace of a body over HTTP/2, where nobody sees how long its client was waited for: it is looked at whenever a piece
/// comes in. A client that was held up by us has sent what its window holds by then, far more than any rate asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    since: Option<Instant>,
    received: u64,
}

impl Pace {
    /// A piece came in. `true` = what came in over the last window is too little.
    pub(super) fn is_too_slow(&mut self, bytes: usize, per_second: u64) -> bool {
        let since = *self.since.get_or_insert_with(Instant::now);
        self.received += bytes as u64;
        if since.elapsed() < WINDOW {
            return false;
        }
        let too_slow = self.received < per_second.saturating_mul(WINDOW.as_secs());
        *self = Self { since: Some(Instant::now()), received: 0 };
        too_slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    async fn waits(rate: &mut BodyRate, seconds: u64) -> bool {
        let too_slow = poll_fn(|cx| rate.poll_too_slow(cx));
        tokio::time::timeout(Duration::from_secs(seconds), too_slow).await.is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_is_too_slow_after_ten_seconds_of_waiting() {
        let mut rate = BodyRate::new(1024);
        for _ in 0..9 {
            assert!(waits(&mut rate, 1).await);
            rate.received(1000);
        }
        assert!(!waits(&mut rate, 2).await, "9,000 bytes in ten seconds");
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_of_pieces_is_seen_at_the_first_one_after_ten_seconds() {
        let mut pace = Pace::default();
        for _ in 0..10 {
            assert!(!pace.is_too_slow(100, 1024));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(pace.is_too_slow(100, 1024));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(!pace.is_too_slow(16_384, 1024), "held up, and then all at once");
    }

    #[tokio::test(start_paused = true)]
    async fn what_keeps_the_rate_goes_on() {
        let mut rate = BodyRate::new(1024);
        for _ in 0..60 {
            assert!(waits(&mut rate, 1).await);
            rate.received(1200);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nobody_waits_is_not_the_clients() {
        let mut rate = BodyRate::new(1024);
        for _ in 0..20 {
            rate.received(64);
            tokio::time::advance(Duration::from_secs(30)).await;
            assert!(waits(&mut rate, 0).await);
            rate.received(0);
        }
        rate.begin();
        assert!(waits(&mut rate, 9).await);
    }
}
