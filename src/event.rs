//! The hub: log position → live subscribers.
//!
//! The store's writer hands every event over once it is durable; whoever follows its session gets it. A session that is
//! followed has one ring of a fixed length, which all its followers read at their own pace; one that nobody follows
//! costs a look-up. The hub never waits for anybody: what a ring or the memory has no room for is still in the log, and
//! whoever missed it is told ([`follow`]).

pub mod follow;
pub mod message;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use crate::model::event::Event;
use crate::model::id::{ChittyId, SessionId};
use crate::store::EventSink;
use message::Message;

/// Bytes of messages that one ring holds for those who are behind. What comes on top they read from the log.
const HELD_BY_ONE: usize = 1 << 20;
/// The same for all rings together.
const HELD_BY_ALL: usize = 64 << 20;

/// `events.heartbeat` and `events.queue`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// After this long without a message a subscriber is sent one.
    pub heartbeat: Duration,
    /// Events that a subscriber may be behind the latest one of its session; at least 1. The next power of two counts.
    pub queue: usize,
}

/// Whose events: a session inside its chitty id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Channel {
    /// The tenant.
    pub owner: ChittyId,
    /// One of its sessions.
    pub session: SessionId,
}

/// The hub. Share behind an `Arc`.
#[derive(Debug)]
pub struct Hub {
    rings: RwLock<HashMap<Channel, Ring>>,
    queue: usize,
    /// Bytes of messages in all rings.
    held: Arc<AtomicUsize>,
    /// Events up to this number have been handed to those who follow.
    published: AtomicU64,
    closed: AtomicBool,
}

#[derive(Debug)]
struct Ring {
    sender: broadcast::Sender<Live>,
    followers: usize,
    /// Bytes of messages in it.
    held: Arc<AtomicUsize>,
}

impl Ring {
    /// An event as it goes into the ring.
    fn live(&self, number: u64, name: String, body: &str, held_by_all: &Arc<AtomicUsize>) -> Live {
        let held = [&self.held, held_by_all].map(Arc::clone);
        let is_empty = self.held.load(Ordering::Relaxed) == 0;
        let message = Message::counted(number, name, body, held);
        let fits = is_empty || self.held.load(Ordering::Relaxed) <= HELD_BY_ONE;
        let fits = fits && held_by_all.load(Ordering::Relaxed) <= HELD_BY_ALL;
        if fits { Live::Event(Arc::new(message)) } else { Live::InLog(number) }
    }
}

/// What is in a ring.
#[derive(Clone, Debug)]
enum Live {
    /// An event.
    Event(Arc<Message>),
    /// There may be events up to this number in the log that are not in the ring.
    InLog(u64),
    /// The hub is closed; wakes those who wait.
    Closed,
}

impl Hub {
    /// Nobody follows anything yet. `queue`: as in [`Config`].
    #[must_use]
    pub fn new(queue: usize) -> Self {
        Self {
            rings: RwLock::default(),
            queue: queue.max(1),
            held: Arc::default(),
            published: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        }
    }

    /// Events up to this number have been handed to those who follow, or they were told to look into the log.
    #[must_use]
    pub fn published(&self) -> u64 {
        self.published.load(Ordering::Acquire)
    }

    /// Has every follower end, those to come too.
    pub fn close(&self) {
        let rings = self.write();
        self.closed.store(true, Ordering::Release);
        for ring in rings.values() {
            // Whoever is left has been counted; a ring without a reader is about to go.
            ring.sender.send(Live::Closed).ok();
        }
    }

    /// Whether [`Hub::close`] was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Everything of `channel` that is handed over from now on.
    fn subscribe(self: &Arc<Self>, channel: Channel) -> Subscription {
        let mut rings = self.write();
        let ring = rings.entry(channel.clone()).or_insert_with(|| Ring {
            sender: broadcast::Sender::new(self.queue),
            followers: 0,
            held: Arc::default(),
        });
        ring.followers += 1;
        Subscription { receiver: ring.sender.subscribe(), hub: Arc::clone(self), channel }
    }

    fn leave(&self, channel: &Channel) {
        let mut rings = self.write();
        if let Some(ring) = rings.get_mut(channel) {
            ring.followers -= 1;
            if ring.followers == 0 {
                rings.remove(channel);
            }
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<Channel, Ring>> {
        self.rings.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<Channel, Ring>> {
        self.rings.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventSink for Hub {
    fn publish(&self, number: u64, event: Event) {
        let Event { chitty_id, session_id, name, body, .. } = event;
        if let Some(ring) = self.read().get(&Channel { owner: chitty_id, session: session_id }) {
            // Who followed may just have left.
            ring.sender.send(ring.live(number, name, body.text(), &self.held)).ok();
        }
        self.published.store(number, Ordering::Release);
    }

    fn reread(&self, through: u64) {
        for ring in self.read().values() {
            ring.sender.send(Live::InLog(through)).ok();
        }
        self.published.store(through, Ordering::Release);
    }
}

/// One follower's place in the ring of its session.
#[derive(Debug)]
struct Subscription {
    receiver: broadcast::Receiver<Live>,
    hub: Arc<Hub>,
    channel: Channel,
}

/// What a subscription has next.
#[derive(Debug)]
enum Next {
    /// This.
    Live(Live),
    /// The ring went on without it: what was there is lost to it.
    Overrun,
}

impl Subscription {
    /// What is there already.
    fn try_next(&mut self) -> Option<Next> {
        match self.receiver.try_recv() {
            Ok(live) => Some(Next::Live(live)),
            Err(TryRecvError::Lagged(_)) => Some(Next::Overrun),
            Err(TryRecvError::Closed) => Some(Next::Live(Live::Closed)),
            Err(TryRecvError::Empty) => None,
        }
    }

    /// Waits for what comes. Nothing is lost when it is not waited for to the end.
    async fn next(&mut self) -> Next {
        match self.receiver.recv().await {
            Ok(live) => Next::Live(live),
            Err(RecvError::Lagged(_)) => Next::Overrun,
            Err(RecvError::Closed) => Next::Live(Live::Closed),
        }
    }

    /// Whether everything that was handed over has been taken.
    fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.leave(&self.channel);
    }
}

#[cfg(test)]
mod tests;
