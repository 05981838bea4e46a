//! When a wait on a connection has taken too long.
//!
//! Two limits: on silence (the gap between two pieces of an answer) and on the whole. Hooks set them and say when
//! something moved, through a shared reference and at the price of an atomic; whoever waits polls. One timer serves many
//! requests: it is left running when a request ends, and looks at what is due only when it fires.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// How often in a gap it is looked whether something moved: silence is noticed at most this share of the gap late.
const LOOKS: u64 = 4;

/// See the module's description. Times are milliseconds since it was made; 0 = off.
pub struct Deadline {
    made: Instant,
    gap: AtomicU64,
    gap_ends: AtomicU64,
    look: AtomicU64,
    moved: AtomicBool,
    total_ends: AtomicU64,
    passed: AtomicBool,
    timer: Option<(u64, Pin<Box<Sleep>>)>,
}

impl Deadline {
    /// No limit.
    #[must_use]
    pub fn new() -> Self {
        Self {
            made: Instant::now(),
            gap: AtomicU64::new(0),
            gap_ends: AtomicU64::new(0),
            look: AtomicU64::new(0),
            moved: AtomicBool::new(false),
            total_ends: AtomicU64::new(0),
            passed: AtomicBool::new(false),
            timer: None,
        }
    }

    /// From now on nothing may be silent for `gap`, and all may take until `total` from now; `None` = no limit.
    pub fn wait_at_most(&self, gap: Option<Duration>, total: Option<Duration>) {
        let now = self.now();
        self.passed.store(false, Ordering::Relaxed);
        self.wait_for_gaps(gap);
        let total_ends = total.map_or(0, |total| now.saturating_add(milliseconds(total)));
        self.total_ends.store(total_ends, Ordering::Relaxed);
    }

    /// From now on nothing may be silent for `gap`; the total stays as it is.
    pub fn wait_for_gaps(&self, gap: Option<Duration>) {
        let now = self.now();
        let gap = gap.map_or(0, milliseconds);
        self.moved.store(false, Ordering::Relaxed);
        self.gap.store(gap, Ordering::Relaxed);
        self.gap_ends.store(if gap == 0 { 0 } else { now.saturating_add(gap) }, Ordering::Relaxed);
        self.look.store(now.saturating_add(gap / LOOKS + 1), Ordering::Relaxed);
    }

    /// Something moved: the gap begins anew.
    pub fn moved(&self) {
        self.moved.store(true, Ordering::Relaxed);
    }

    /// Silence does not matter any more; the total still does.
    pub fn ignore_gaps(&self) {
        self.gap.store(0, Ordering::Relaxed);
        self.gap_ends.store(0, Ordering::Relaxed);
    }

    /// No limit any more.
    pub fn wait_for_ever(&self) {
        self.ignore_gaps();
        self.total_ends.store(0, Ordering::Relaxed);
    }

    /// Somebody else found that it took too long.
    pub fn pass(&self) {
        self.passed.store(true, Ordering::Relaxed);
    }

    /// Whether a limit was passed since the last [`Deadline::wait_at_most`].
    #[must_use]
    pub fn has_passed(&self) -> bool {
        self.passed.load(Ordering::Relaxed)
    }

    /// Ready once a limit is passed.
    pub fn poll_passed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll(cx, true)
    }

    /// Ready once the whole has taken too long, whatever moved.
    pub fn poll_total(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll(cx, false)
    }

    fn poll(&mut self, cx: &mut Context<'_>, gaps: bool) -> Poll<()> {
        loop {
            if !gaps {
                self.moved();
            }
            let Some(look) = self.next_look() else { return Poll::Pending };
            let at = self.made + Duration::from_millis(look);
            let (set_for, timer) = self.timer.get_or_insert_with(|| (look, Box::pin(tokio::time::sleep_until(at))));
            // One that fires sooner may do so: it finds nothing due, and is set anew.
            if *set_for > look || (timer.is_elapsed() && *set_for < look) {
                timer.as_mut().reset(at);
                *set_for = look;
            }
            ready!(timer.as_mut().poll(cx));
            if self.is_over() {
                *self.passed.get_mut() = true;
                return Poll::Ready(());
            }
        }
    }

    /// When it has to be looked next.
    fn next_look(&mut self) -> Option<u64> {
        let gap = (*self.gap_ends.get_mut() != 0).then(|| (*self.look.get_mut()).min(*self.gap_ends.get_mut()));
        let total = Some(*self.total_ends.get_mut()).filter(|&at| at != 0);
        gap.into_iter().chain(total).min()
    }

    fn is_over(&mut self) -> bool {
        let now = self.now();
        let gap = *self.gap.get_mut();
        if gap != 0 {
            if std::mem::take(self.moved.get_mut()) {
                *self.gap_ends.get_mut() = now.saturating_add(gap);
            }
            *self.look.get_mut() = now.saturating_add(gap / LOOKS + 1);
        }
        [*self.gap_ends.get_mut(), *self.total_ends.get_mut()].into_iter().any(|at| at != 0 && now >= at)
    }

    fn now(&self) -> u64 {
        milliseconds(self.made.elapsed()).max(1)
    }
}

impl Default for Deadline {
    fn default() -> Self {
        Self::new()
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    async fn passed_after(deadline: &mut Deadline) -> Duration {
        let start = Instant::now();
        poll_fn(|cx| deadline.poll_passed(cx)).await;
        start.elapsed()
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn silence_ends_a_wait_and_so_does_the_total() {
        let mut deadline = Deadline::new();
        deadline.wait_at_most(Some(8 * SECOND), None);
        assert_eq!(passed_after(&mut deadline).await.as_secs(), 8);
        assert!(deadline.has_passed());
        deadline.wait_at_most(Some(8 * SECOND), Some(3 * SECOND));
        assert!(!deadline.has_passed());
        assert_eq!(passed_after(&mut deadline).await.as_secs(), 3);
        deadline.wait_at_most(None, Some(2 * SECOND));
        assert_eq!(passed_after(&mut deadline).await.as_secs(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_moves_is_given_a_whole_gap_more_and_at_most_a_quarter_on_top() {
        let mut deadline = Deadline::new();
        deadline.wait_at_most(Some(8 * SECOND), None);
        for _ in 0..5 {
            let still = tokio::time::timeout(6 * SECOND, passed_after(&mut deadline)).await;
            assert!(still.is_err());
            deadline.moved();
        }
        let rest = passed_after(&mut deadline).await;
        assert!((8 * SECOND..=11 * SECOND).contains(&rest), "{rest:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_limits_it_never_passes() {
        let mut deadline = Deadline::new();
        deadline.wait_at_most(Some(SECOND), Some(2 * SECOND));
        assert!(tokio::time::timeout(SECOND / 2, passed_after(&mut deadline)).await.is_err());
        deadline.ignore_gaps();
        assert!(tokio::time::timeout(SECOND, passed_after(&mut deadline)).await.is_err());
        deadline.wait_for_ever();
        assert!(tokio::time::timeout(3600 * SECOND, passed_after(&mut deadline)).await.is_err());
    }
}
