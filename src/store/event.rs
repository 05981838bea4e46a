//! The event log: what happened in each session, in the order of numbers that grow over the whole store.

use async_trait::async_trait;

use super::StoreError;
use crate::model::event::Event;
use crate::model::id::{ChittyId, SessionId};
use crate::model::time::Time;

/// One event as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its number; the first event of a store is 1.
    pub number: u64,
    /// Its name, also in `body` as `type`.
    pub name: String,
    /// When it happened.
    pub at: Time,
    /// The JSON object that subscribers get.
    pub body: String,
}

/// Events of one session, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventPage {
    /// The events.
    pub events: Vec<StoredEvent>,
    /// All that the session has up to this number is in this page, or in those before.
    pub through: u64,
    /// Whether there may be more behind `through`.
    pub more: bool,
    /// What [`EventStore::trimmed`] was once the events had been read: of those up to it, some may be missing here.
    pub trimmed: u64,
}

/// The event log of every chitty id.
#[async_trait]
pub trait EventStore: Send + Sync {
    /// Events of a session with numbers above `after`: `limit` of them at the most, which is at least 1, and fewer where
    /// they are long. Only events that are durable.
    async fn events_after(
        &self,
        owner: &ChittyId,
        session: &SessionId,
        after: u64,
        limit: usize,
    ) -> Result<EventPage, StoreError>;

    /// Events of this number and below are no longer kept, in every session; 0 = all that ever were are there.
    async fn trimmed(&self) -> Result<u64, StoreError>;

    /// The number of the last event of all sessions; 0 = there was none yet. Only events that are durable count.
    async fn last_event(&self) -> Result<u64, StoreError>;
}

/// Where events go once they are durable. The store's writer calls it: it must neither wait nor take long.
pub trait EventSink: Send + Sync {
    /// Takes one event. Numbers grow from call to call.
    fn publish(&self, number: u64, event: Event);

    /// Events up to `through` may be in the log that were not handed over: the store was opened, for the first time or
    /// after its disk had failed.
    fn reread(&self, through: u64);
}
