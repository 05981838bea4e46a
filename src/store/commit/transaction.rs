//! One change as it is put together: it reads the store with the group so far laid over it, and writes into a batch of its
//! own, which counts only if the change succeeds.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::event::Event;
use crate::model::time::Time;
use crate::store::kv::{Batch, Direction, Kv, KvError, Range};
use crate::store::migration::m0001_context_sync::{CommitRecord, EventRecord};
use crate::store::migration::{RecordError, decode, encode};
use crate::store::view::{View, end_of};
use crate::store::{StoreError, key, value};

/// What is to be done in memory once a change is durable.
type Effect = Box<dyn FnOnce() + Send>;

/// What a group of changes does.
pub(super) struct Changes {
    batch: Batch,
    commit: CommitRecord,
    bytes: usize,
    effects: Vec<Effect>,
    events: Vec<(u64, Event)>,
}

impl Changes {
    /// Nothing yet, on top of `commit`.
    pub(super) fn new(commit: CommitRecord) -> Self {
        Self { batch: BTreeMap::new(), commit, bytes: 0, effects: Vec::new(), events: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// Roughly what it writes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Lays `later` over this.
    pub(super) fn add(&mut self, later: Changes) {
        self.batch.extend(later.batch);
        self.commit = later.commit;
        self.bytes += later.bytes;
        self.effects.extend(later.effects);
        self.events.extend(later.events);
    }

    /// What is to be done in memory once all of it is durable, in order.
    pub(super) fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// What is to be told once all of it is durable: events with their numbers, in order.
    pub(super) fn take_events(&mut self) -> Vec<(u64, Event)> {
        std::mem::take(&mut self.events)
    }

    /// The batch, and the record that says so.
    pub(super) fn into_batch(self) -> (Batch, CommitRecord) {
        (self.batch, CommitRecord { commit: self.commit.commit + 1, ..self.commit })
    }
}

/// One change. Every method fails with [`StoreError::Unavailable`] when the engine does; the writer then sees to it.
pub(in crate::store) struct Transaction<'a> {
    kv: &'a dyn Kv,
    group: &'a Changes,
    own: Changes,
    failure: Option<KvError>,
    now: Time,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(kv: &'a dyn Kv, group: &'a Changes, now: Time) -> Self {
        Self { kv, group, own: Changes::new(group.commit), failure: None, now }
    }

    /// What it does, and how the engine failed, if it did.
    pub(super) fn finish(self) -> (Changes, Option<KvError>) {
        (self.own, self.failure)
    }

    /// The moment of this change; never before that of the one before it.
    pub(in crate::store) fn now(&self) -> Time {
        self.now
    }

    /// The record under `key`.
    pub(in crate::store) fn record<T: DeserializeOwned>(&mut self, key: &[u8]) -> Result<Option<T>, StoreError> {
        let value = value::read(key, |key| self.entry(key), damaged)?;
        value.map(|value| decode(&value)).transpose().map_err(unreadable)
    }

    /// Puts a record where none is.
    pub(in crate::store) fn insert<T: Serialize>(&mut self, key: &[u8], record: &T) -> Result<(), StoreError> {
        let value = encode(record).map_err(unreadable)?;
        self.insert_value(key, &value)
    }

    /// The same of a record that is encoded.
    pub(in crate::store) fn insert_value(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        for (key, entry) in value::entries(key, value).ok_or_else(damaged)? {
            self.put(key, entry)?;
        }
        Ok(())
    }

    /// Puts an entry without a value where none is.
    pub(in crate::store) fn insert_index(&mut self, key: Vec<u8>) -> Result<(), StoreError> {
        self.put(key, Vec::new())
    }

    fn put(&mut self, key: Vec<u8>, entry: Vec<u8>) -> Result<(), StoreError> {
        debug_assert!(self.entry(&key)?.is_none(), "an entry is put over another: {key:?}");
        self.own.commit.entries += 1;
        self.own.bytes += key.len() + entry.len();
        self.own.batch.insert(key, Some(entry));
        Ok(())
    }

    /// Removes what is under `key`, which is there.
    pub(in crate::store) fn remove(&mut self, key: &[u8]) -> Result<(), StoreError> {
        let Some(entry) = self.entry(key)? else { return Err(damaged()) };
        self.drop_entry(key.to_vec());
        for number in 1..=value::continuations(&entry) {
            self.drop_entry(value::continuation(key, number));
        }
        Ok(())
    }

    fn drop_entry(&mut self, key: Vec<u8>) {
        self.own.commit.entries = self.own.commit.entries.saturating_sub(1);
        self.own.bytes += key.len();
        self.own.batch.insert(key, None);
    }

    /// Has `effect` done once this change is durable, in the order of changes and whether or not anybody waits for the
    /// answer: what is kept in memory of the store must not depend on a client's patience.
    pub(in crate::store) fn once_durable(&mut self, effect: impl FnOnce() + Send + 'static) {
        self.own.effects.push(Box::new(effect));
    }

    /// Writes an event into the log, and has it handed to the [`EventSink`](crate::store::EventSink) once it is durable.
    /// Its number.
    pub(in crate::store) fn emit(&mut self, event: &Event) -> Result<u64, StoreError> {
        self.own.commit.event += 1;
        let number = self.own.commit.event;
        let record =
            EventRecord { name: event.name.clone(), at: event.at.as_millis(), body: event.body.text().to_owned() };
        self.insert(&key::event(&event.chitty_id, &event.session_id, number), &record)?;
        self.own.events.push((number, event.clone()));
        Ok(number)
    }

    /// The keys that begin with `prefix`, in order; `limit` at the most.
    pub(in crate::store) fn keys_under(&mut self, prefix: &[u8], limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        let end = end_of(prefix);
        self.keys((Bound::Included(prefix), Bound::Excluded(&end)), Direction::Forward, limit)
    }

    /// The keys that begin with `prefix` and that the group so far, or this change, writes (true) or removes (false). The
    /// later of two for one key comes later.
    pub(in crate::store) fn pending<'p>(&'p self, prefix: &'p [u8]) -> impl Iterator<Item = (&'p [u8], bool)> {
        let within = move |changes: &'p Changes| {
            let range: Range<'_> = (Bound::Included(prefix), Bound::Unbounded);
            let found = changes.batch.range::<[u8], _>(range).take_while(move |(key, _)| key.starts_with(prefix));
            found.map(|(key, entry)| (key.as_slice(), entry.is_some()))
        };
        within(self.group).chain(within(&self.own))
    }

    /// Puts a record under a meta key, in place of the one that is there; those are not counted.
    pub(in crate::store) fn set_meta<T: Serialize>(&mut self, key: &[u8], record: &T) -> Result<(), StoreError> {
        let value = encode(record).map_err(unreadable)?;
        self.own.bytes += key.len() + value.len();
        self.own.batch.insert(key.to_vec(), Some(value));
        Ok(())
    }

    /// The record under a meta key.
    pub(in crate::store) fn record_meta<T: DeserializeOwned>(&mut self, key: &[u8]) -> Result<Option<T>, StoreError> {
        self.entry(key)?.map(|value| decode(&value)).transpose().map_err(unreadable)
    }

    /// The number of the next event, for a record that counts as one.
    pub(in crate::store) fn next_number(&mut self) -> u64 {
        self.own.commit.event += 1;
        self.own.commit.event
    }

    /// What is under `key` itself, continuations not looked at.
    pub(in crate::store) fn entry(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        for changes in [&self.own, self.group] {
            if let Some(entry) = changes.batch.get(key) {
                return Ok(entry.clone());
            }
        }
        self.kv.get(key).map_err(|error| fail(&mut self.failure, error))
    }
}

impl View for Transaction<'_> {
    type Error = StoreError;

    fn entry(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Transaction::entry(self, key)
    }

    fn keys(&mut self, range: Range<'_>, direction: Direction, limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut laid_over: BTreeMap<&[u8], bool> = BTreeMap::new();
        for changes in [self.group, &self.own] {
            let within = changes.batch.range::<[u8], _>(range);
            laid_over.extend(within.map(|(key, entry)| (key.as_slice(), entry.is_some())));
        }
        let mut keys: Vec<Vec<u8>> = Vec::new();
        // What is laid over may take the place of as many.
        let wanted = limit.saturating_add(laid_over.len());
        let scanned = self.kv.range(range, direction, &mut |key, _| {
            if keys.len() >= wanted {
                return ControlFlow::Break(());
            }
            keys.push(key.to_vec());
            ControlFlow::Continue(())
        });
        if let Err(error) = scanned {
            return Err(fail(&mut self.failure, error));
        }
        keys.retain(|key| !laid_over.contains_key(key.as_slice()));
        keys.extend(laid_over.into_iter().filter(|(_, kept)| *kept).map(|(key, _)| key.to_vec()));
        match direction {
            Direction::Forward => keys.sort_unstable(),
            Direction::Backward => keys.sort_unstable_by(|a, b| b.cmp(a)),
        }
        keys.truncate(limit);
        Ok(keys)
    }
}

fn fail(failure: &mut Option<KvError>, error: KvError) -> StoreError {
    let refused = StoreError::Unavailable(crate::telemetry::describe(&error).into());
    *failure = Some(error);
    refused
}

/// A record that is not as it was written: nobody's request can mend it, so it is for the log.
pub(in crate::store) fn unreadable(error: RecordError) -> StoreError {
    tracing::error!(%error, "a record of the store cannot be read");
    StoreError::Unavailable(error.to_string().into())
}

fn damaged() -> StoreError {
    unreadable(RecordError::Damaged)
}
