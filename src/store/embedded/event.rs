//! The event log in the embedded store.

use std::ops::{Bound, ControlFlow};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;

use super::{Embedded, unreachable_engine};
use crate::model::id::{ChittyId, SessionId};
use crate::model::time::Time;
use crate::store::commit::unreadable;
use crate::store::kv::Kv;
use crate::store::migration::m0001_context_sync::EventRecord;
use crate::store::migration::m0002_identity_and_registry::TrimmedRecord;
use crate::store::migration::{RecordError, decode};
use crate::store::{EventPage, EventSink, EventStore, StoreError, StoredEvent, key, value};

/// Bytes of bodies in one page, about: a page waits in memory for a client that may be slow.
const PAGE_BYTES: usize = 16 * 1024;
/// Attempts at a page whose records go while they are read.
const ATTEMPTS: usize = 100;

impl Embedded {
    /// Has every event handed to `sink` from now on, once it is durable. For the first caller; later ones ask in vain.
    pub fn hand_events_to(&self, sink: &Arc<dyn EventSink>) {
        if self.shared.sink.set(Arc::clone(sink)).is_ok() {
            sink.reread(self.shared.last_event.load(Ordering::Acquire));
        }
    }
}

#[async_trait]
impl EventStore for Embedded {
    async fn events_after(
        &self,
        owner: &ChittyId,
        session: &SessionId,
        after: u64,
        limit: usize,
    ) -> Result<EventPage, StoreError> {
        let prefix = key::events(owner, session);
        let shared = Arc::clone(&self.shared);
        let read = move |kv: &dyn Kv| {
            let last = shared.last_event.load(Ordering::Acquire);
            let page = page(kv, &prefix, after, last, limit)?;
            // Read last: what went while the page was read is then known to be gone.
            Ok(EventPage { trimmed: trimmed(kv)?, ..page })
        };
        self.read("events_after", read).await
    }

    async fn trimmed(&self) -> Result<u64, StoreError> {
        self.read("trimmed", trimmed).await
    }

    async fn last_event(&self) -> Result<u64, StoreError> {
        // None is known while the store has never been open.
        self.shared.kv()?;
        Ok(self.shared.last_event.load(Ordering::Acquire))
    }
}

fn trimmed(kv: &dyn Kv) -> Result<u64, StoreError> {
    let record = kv.get(key::TRIMMED).map_err(|error| unreachable_engine(&error))?;
    let record = record.map(|record| decode::<TrimmedRecord>(&record)).transpose().map_err(unreadable)?;
    Ok(record.unwrap_or_default().event)
}

/// The page after `after`, of events up to `last`.
fn page(kv: &dyn Kv, prefix: &[u8], after: u64, last: u64, limit: usize) -> Result<EventPage, StoreError> {
    let mut growing = Growing { page: EventPage { through: after, ..EventPage::default() }, bytes: 0, last, limit };
    for _ in 0..ATTEMPTS {
        if growing.page.through >= last {
            return Ok(growing.page);
        }
        if scan_on(kv, prefix, &mut growing)? {
            return Ok(growing.page);
        }
        // The record of a long event went while it was read; on from the last one that was whole.
    }
    Err(unreadable(RecordError::Damaged))
}

/// The page that grows until it has enough.
struct Growing {
    page: EventPage,
    bytes: usize,
    last: u64,
    limit: usize,
}

impl Growing {
    fn is_full(&self) -> bool {
        self.page.events.len() >= self.limit || self.bytes >= PAGE_BYTES
    }

    fn add(&mut self, event: StoredEvent) {
        self.page.through = event.number;
        self.bytes += event.body.len();
        self.page.events.push(event);
    }
}

/// Adds events behind the page's last one. Whether that came to an end; if not, a record was not whole.
fn scan_on(kv: &dyn Kv, prefix: &[u8], growing: &mut Growing) -> Result<bool, StoreError> {
    let mut damaged = None;
    let first = [prefix, &growing.page.through.saturating_add(1).to_be_bytes()].concat();
    // With the continuations of the last one, which are a byte longer.
    let last = [prefix, &growing.last.to_be_bytes(), &[u8::MAX]].concat();
    let whole = value::scan(kv, (Bound::Included(&first), Bound::Included(&last)), &mut |key, record| {
        if growing.is_full() {
            growing.page.more = true;
            return ControlFlow::Break(());
        }
        match read_event(prefix, key, record) {
            Ok(event) => {
                growing.add(event);
                ControlFlow::Continue(())
            }
            Err(error) => {
                damaged = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    let whole = whole.map_err(|error| unreachable_engine(&error))?;
    if let Some(error) = damaged {
        return Err(unreadable(error));
    }
    if whole.is_ok() && !growing.page.more {
        growing.page.through = growing.last;
    }
    Ok(whole.is_ok())
}

fn read_event(prefix: &[u8], key: &[u8], record: &[u8]) -> Result<StoredEvent, RecordError> {
    let number = key.strip_prefix(prefix).and_then(|number| number.try_into().ok()).ok_or(RecordError::Damaged)?;
    let EventRecord { name, at, body } = decode(record)?;
    Ok(StoredEvent { number: u64::from_be_bytes(number), name, at: Time::from_millis(at), body })
}
