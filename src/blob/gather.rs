//! Has those who bring short files at the same time tell the store of them together.
//!
//! A change to the store costs a sync whether it is of one file or of many, and that is most of what a small file costs.
//! So who has put contents in their place waits for those who were at it already, and then all of them ask the store,
//! which makes one change of what is asked at once. Nobody who is alone waits, and nobody waits long.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// How long somebody is waited for: most disks take less for what is written, and no client takes notice.
const PATIENCE: Duration = Duration::from_millis(10);

/// Who is at it.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    state: Mutex<State>,
    ended: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Ends when all who are in it are done.
    round: u64,
    /// Who is at it in this round.
    left: usize,
    /// Who has come since somebody waits for the end of this round, and so is in the next.
    next: usize,
    is_waited_for: bool,
}

/// Somebody who is at it.
#[derive(Debug)]
pub(super) struct Member {
    gathering: Arc<Gathering>,
    /// `None` once done.
    round: Option<u64>,
}

impl Gathering {
    /// Somebody begins.
    pub(super) fn join(self: &Arc<Self>) -> Member {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_waited_for = state.is_waited_for;
        *if is_waited_for { &mut state.next } else { &mut state.left } += 1;
        Member { gathering: Arc::clone(self), round: Some(state.round + u64::from(is_waited_for)) }
    }
}

impl Member {
    /// Is done, and waits for the others.
    pub(super) async fn gather(mut self) {
        let gathering = Arc::clone(&self.gathering);
        // Before it is done, so that it hears of the end whoever ends it.
        let ended = gathering.ended.notified();
        if !self.leave(true) {
            tokio::time::timeout(PATIENCE, ended).await.ok();
        }
    }

    /// Is done. Whether that was the end of a round.
    fn leave(&mut self, waits: bool) -> bool {
        let Some(round) = self.round.take() else { return true };
        let mut state = self.gathering.state.lock().unwrap_or_else(PoisonError::into_inner);
        if round == state.round {
            state.left -= 1;
        } else {
            state.next -= 1;
        }
        state.is_waited_for |= waits;
        if state.left > 0 {
            return false;
        }
        *state = State { round: state.round + 1, left: state.next, next: 0, is_waited_for: false };
        self.gathering.ended.notify_waiters();
        true
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.leave(false);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn who_is_done_waits_for_those_who_were_at_it() {
        let gathering = Arc::new(Gathering::default());
        // Nobody else is there.
        assert!(gathering.join().gather().now_or_never().is_some());
        let [first, second, third] = [(); 3].map(|()| gathering.join());
        let mut first = Box::pin(first.gather());
        assert!((&mut first).now_or_never().is_none());
        // They came later: the one who is done goes with the first, and the other is not waited for.
        let (early, late) = (gathering.join(), gathering.join());
        let mut early = Box::pin(early.gather());
        assert!((&mut early).now_or_never().is_none());
        drop(second);
        assert!((&mut first).now_or_never().is_none());
        assert!(third.gather().now_or_never().is_some(), "it was the last");
        assert!(first.now_or_never().is_some() && early.now_or_never().is_some());
        assert!(late.gather().now_or_never().is_some());
        let state = gathering.state.lock().unwrap();
        assert_eq!((state.left, state.next, state.is_waited_for), (0, 0, false));
    }

    #[tokio::test]
    async fn who_takes_long_is_not_waited_for() {
        let gathering = Arc::new(Gathering::default());
        let slow = gathering.join();
        gathering.join().gather().await;
        // The next ones do not wait longer for that.
        gathering.join().gather().await;
        slow.gather().await;
        assert!(gathering.join().gather().now_or_never().is_some());
    }
}
