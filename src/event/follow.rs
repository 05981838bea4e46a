//! One follower of one session: what is in the log behind a position, and then what comes, without loss or doubling
//! where the two meet.
//!
//! It joins the session's ring first and reads the log afterwards. An event is durable before it is handed over, so what
//! the ring does not have is in the log; what both have is told by its number. Whoever is too slow for the ring, or asks
//! for what is no longer kept, is told which range it may have missed.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use super::message::Message;
use super::{Channel, Hub, Live, Next, Subscription};
use crate::store::{EventStore, StoreError};

/// Events that are read from the log at once.
const PAGE: usize = 64;

/// What a follower is told.
#[derive(Clone, Debug)]
pub enum Item {
    /// An event.
    Event(Arc<Message>),
    /// Events of these numbers, the first and the last included, may have been missed.
    Gap {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
        /// Whether it makes no sense to ask for them again: they are no longer kept, or never were.
        lost: bool,
    },
    /// The hub was closed: nothing comes any more.
    Closed,
}

/// Follows one session. It has [`Item`]s for as long as it is asked.
#[derive(Debug)]
pub struct Follower<S: ?Sized> {
    subscription: Subscription,
    /// All events up to this number are in `ready`, or behind us.
    last: u64,
    phase: Phase,
    ready: VecDeque<Item>,
    store: Arc<S>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The log is read on from `last`.
    Reading,
    /// The log has been read; the ring may begin with what was in it.
    Joining,
    /// The ring is all there is to look at.
    Live,
    /// The ring went on without us; its next event tells how far.
    Overrun,
}

impl<S: EventStore + ?Sized> Follower<S> {
    /// Follows `channel` from behind the event `after` on; `None` = from now on.
    ///
    /// # Errors
    /// When the log cannot be looked at.
    pub async fn begin(
        hub: &Arc<Hub>,
        store: Arc<S>,
        channel: Channel,
        after: Option<u64>,
    ) -> Result<Self, StoreError> {
        let subscription = hub.subscribe(channel);
        let now = store.last_event().await?;
        let (last, phase, gap) = match after {
            None => (now, Phase::Joining, None),
            // Another log than the one that the number is from: nothing is known of what was missed.
            Some(after) if after > now => (now, Phase::Joining, Some(Item::Gap { from: 0, to: now, lost: true })),
            Some(after) => (after, Phase::Reading, None),
        };
        Ok(Self { subscription, last, phase, ready: gap.into_iter().collect(), store })
    }

    /// Waits for what comes next. Nothing is lost when it is not waited for to the end.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn next(&mut self) -> Result<Item, StoreError> {
        loop {
            if self.subscription.hub.is_closed() {
                return Ok(Item::Closed);
            }
            if let Some(item) = self.ready.pop_front() {
                return Ok(item);
            }
            // A follower waits for long, and there are many.
            self.ready = VecDeque::new();
            if self.phase == Phase::Reading {
                self.read_on().await?;
                continue;
            }
            let next = match self.subscription.try_next() {
                Some(next) => next,
                None => {
                    if self.phase == Phase::Joining {
                        self.phase = Phase::Live;
                    }
                    self.subscription.next().await
                }
            };
            self.take(next);
        }
    }

    /// The number of the event that it begins behind, until it is first asked for what comes.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.last
    }

    /// All events of the session up to this number have been told, as far as can be said at the moment.
    #[must_use]
    pub fn position(&mut self) -> Option<u64> {
        // In this order: what is handed over in between is in the ring.
        let published = self.subscription.hub.published();
        let told = self.phase == Phase::Live && self.ready.is_empty() && self.subscription.is_empty();
        if told {
            self.last = self.last.max(published);
        }
        told.then_some(self.last)
    }

    async fn read_on(&mut self) -> Result<(), StoreError> {
        let Channel { owner, session } = &self.subscription.channel;
        let page = self.store.events_after(owner, session, self.last, PAGE).await?;
        if page.trimmed > self.last {
            self.ready.push_back(Item::Gap { from: self.last + 1, to: page.trimmed, lost: true });
            self.last = page.trimmed;
        }
        for event in page.events {
            if event.number > self.last {
                self.last = event.number;
                let message = Message::new(event.number, event.name, &event.body);
                self.ready.push_back(Item::Event(Arc::new(message)));
            }
        }
        self.last = self.last.max(page.through);
        if !page.more {
            self.phase = Phase::Joining;
        }
        Ok(())
    }

    fn take(&mut self, next: Next) {
        match next {
            Next::Live(Live::Event(message)) if message.number > self.last => {
                if mem::replace(&mut self.phase, Phase::Live) == Phase::Overrun && message.number > self.last + 1 {
                    self.ready.push_back(Item::Gap { from: self.last + 1, to: message.number - 1, lost: false });
                }
                self.last = message.number;
                self.ready.push_back(Item::Event(message));
            }
            Next::Live(Live::InLog(through)) if through > self.last => self.phase = Phase::Reading,
            // Told already, and with it whatever the ring has lost, for numbers grow.
            Next::Live(Live::Event(_) | Live::InLog(_)) if self.phase == Phase::Overrun => self.phase = Phase::Live,
            // Told already; or the end, which `next` sees for itself.
            Next::Live(_) => {}
            // While the log was read: it has what the ring has lost.
            Next::Overrun if self.phase == Phase::Joining => self.phase = Phase::Reading,
            Next::Overrun => self.phase = Phase::Overrun,
        }
    }
}
