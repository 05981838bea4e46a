//! Who is at work on which contents: those that are being put in their place, or given a name, are not removed at that
//! moment, and those that are being removed are waited for.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::store::StoreError;
use crate::store::file::ContentsOf;

/// All contents that somebody is at work on.
#[derive(Debug, Default)]
pub(super) struct Pins {
    at_work: Mutex<HashMap<ContentsOf, Work>>,
    removed: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// So many need them.
    Pinned(usize),
    /// Somebody removes them.
    Removing,
}

/// The contents stay for as long as this does.
#[derive(Debug)]
pub(super) struct Pin {
    pins: Arc<Pins>,
    contents: ContentsOf,
}

impl Pin {
    /// Ends it, unless the store did not say what became of the change that it was for: that may be made still, and needs
    /// the contents then. They stay pinned for as long as the process lasts, and the next one knows.
    pub(super) fn end<T>(self, changed: &Result<T, StoreError>) {
        if matches!(changed, Err(StoreError::Unavailable(_))) {
            std::mem::forget(self);
        }
    }
}

impl Pins {
    /// Keeps contents from being removed; waits for a removal to end.
    pub(super) async fn pin(self: &Arc<Self>, contents: ContentsOf) -> Pin {
        loop {
            let removed = self.removed.notified();
            if self.try_pin(&contents) {
                return Pin { pins: Arc::clone(self), contents };
            }
            removed.await;
        }
    }

    fn try_pin(&self, contents: &ContentsOf) -> bool {
        let mut at_work = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        match at_work.entry(contents.clone()).or_insert(Work::Pinned(0)) {
            Work::Pinned(count) => {
                *count += 1;
                true
            }
            Work::Removing => false,
        }
    }

    /// Whoever removes contents does it while it has this; `None` while somebody needs them or removes them.
    pub(super) fn removal(self: &Arc<Self>, contents: ContentsOf) -> Option<Pin> {
        let mut at_work = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        match at_work.entry(contents.clone()) {
            Entry::Occupied(_) => None,
            Entry::Vacant(free) => {
                free.insert(Work::Removing);
                Some(Pin { pins: Arc::clone(self), contents })
            }
        }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut at_work = self.pins.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        match at_work.get_mut(&self.contents) {
            Some(Work::Pinned(count)) if *count > 1 => *count -= 1,
            Some(Work::Pinned(_)) => drop(at_work.remove(&self.contents)),
            Some(Work::Removing) => {
                at_work.remove(&self.contents);
                self.pins.removed.notify_waiters();
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::model::stored_file::ContentHash;

    fn contents(byte: u8) -> ContentsOf {
        ContentsOf { chitty_id: "alice".parse().unwrap(), hash: ContentHash([byte; 32]) }
    }

    #[tokio::test]
    async fn what_somebody_needs_is_not_removed_and_what_is_being_removed_is_waited_for() {
        let pins = Arc::new(Pins::default());
        let (first, second) = (pins.pin(contents(1)).await, pins.pin(contents(1)).await);
        assert!(pins.removal(contents(1)).is_none());
        drop(first);
        assert!(pins.removal(contents(1)).is_none(), "one needs it still");
        drop(second);
        let removal = pins.removal(contents(1)).unwrap();
        assert!(pins.removal(contents(1)).is_none(), "one removes it");
        assert!(pins.removal(contents(2)).is_some(), "others are not concerned");
        let mut waiting = Box::pin(pins.pin(contents(1)));
        assert!((&mut waiting).now_or_never().is_none());
        drop(removal);
        drop(waiting.await);
        assert!(pins.at_work.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_a_change_may_still_need_is_not_removed() {
        let pins = Arc::new(Pins::default());
        pins.pin(contents(1)).await.end(&Ok(()));
        pins.pin(contents(1)).await.end::<()>(&Err(StoreError::TokenUsed));
        assert!(pins.removal(contents(1)).is_some());
        pins.pin(contents(1)).await.end::<()>(&Err(StoreError::Unavailable("the disk does not answer".into())));
        assert!(pins.removal(contents(1)).is_none());
    }
}
