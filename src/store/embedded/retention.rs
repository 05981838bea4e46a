//! What goes by itself: events that are too old or too many, remembered requests whose day is over, sessions that ended
//! long ago, tokens that nobody could use any more. Nothing else is ever removed unasked here; contents that no file has,
//! and uploads in parts that were given up, are removed where contents are.
//!
//! Events are numbered over the whole store, so one number says which of them are gone: `m trimmed`, written with the
//! removals, so that a subscriber who asks for one of them is told of a gap. The work is done in small steps with pauses
//! between them, one change at a time; it costs by what is removed and by the number of sessions, not by what is kept.

use std::ops::{Bound, ControlFlow};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Embedded, unreachable_engine};
use crate::model::time::Time;
use crate::store::commit::{Transaction, unreadable};
use crate::store::kv::{Direction, Kv, KvError};
use crate::store::migration::decode;
use crate::store::migration::m0001_context_sync::{CommitRecord, EventRecord, OnceRecord, SessionRecord};
use crate::store::migration::m0002_identity_and_registry::TrimmedRecord;
use crate::store::migration::m0003_files::TokenUsedRecord;
use crate::store::record::{Kind, Record};
use crate::store::value::{Broken, Gather};
use crate::store::{Retention, StoreError, key, value};

/// Entries read in one step.
const READ: usize = 1000;
/// Records removed in one change.
const REMOVED: usize = 256;
/// Between two steps: requests come first.
const PAUSE: Duration = Duration::from_millis(20);
/// Between two looks at the events, at the most; a tenth of the time that they are kept, where that is less.
const EVENTS_EVERY: Duration = Duration::from_secs(60);
/// Between two looks at the events, at the least.
const EVENTS_AT_MOST_EVERY: Duration = Duration::from_secs(1);
/// Between two looks at what has an end of its own: who repeats a request or asks for a session sees that end at once,
/// and all that waits is the room it takes.
const EXPIRED_EVERY: Duration = Duration::from_secs(600);
/// How long a session is kept behind its end, for who looks for what became of it.
const GRACE: Duration = Duration::from_secs(24 * 3600);
/// A look that took long is followed by this many times as much rest.
const REST: u32 = 10;

/// What the job knows from one look to the next.
#[derive(Debug, Default)]
pub(in crate::store) struct Swept {
    /// Events up to here are known to be gone, in every session.
    events: u64,
}

impl Embedded {
    /// Removes what is due, again and again, for as long as it is polled.
    pub async fn retain(self: Arc<Self>, retention: Retention) {
        let every = (retention.events_for / 10).clamp(EVENTS_AT_MOST_EVERY, EVENTS_EVERY);
        let mut swept = Swept::default();
        let mut expired_last: Option<Instant> = None;
        loop {
            let begun = Instant::now();
            let mut done = self.trim_events(&mut swept, retention, Time::now()).await;
            if done.is_ok() && expired_last.is_none_or(|last| last.elapsed() >= EXPIRED_EVERY) {
                done = self.remove_expired(Time::now()).await;
                expired_last = Some(Instant::now());
            }
            // A store in trouble has said so in the log and in its metrics, and is tidied when it is out of it.
            if let Err(error) = done {
                tracing::debug!(%error, "what is due in the store stays for now");
            }
            tokio::time::sleep(every.max(begun.elapsed() * REST)).await;
        }
    }

    /// Removes the events that `retention` does not keep. How many.
    pub(in crate::store) async fn trim_events(
        &self,
        swept: &mut Swept,
        retention: Retention,
        now: Time,
    ) -> Result<u64, StoreError> {
        let (last, trimmed) = self.read("retention", numbers).await?;
        let mut up_to = trimmed.max(last.saturating_sub(retention.events));
        let before = Time::from_millis(now.as_millis().saturating_sub(millis(retention.events_for)));
        let mut from = Some(vec![Kind::Event.byte()]);
        while let Some(start) = from {
            let step = self
                .read("retention", move |kv| aged(kv, &start, before).map_err(|error| unreachable_engine(&error)))
                .await?;
            up_to = up_to.max(step.number);
            from = step.next;
            tokio::time::sleep(PAUSE).await;
        }
        if up_to <= swept.events {
            return Ok(0);
        }
        let (mut from, mut removed) = (Some(vec![Kind::Event.byte()]), 0);
        while let Some(start) = from {
            let step = self
                .read("retention", move |kv| trimmable(kv, &start, up_to).map_err(|error| unreachable_engine(&error)))
                .await?;
            // The number goes first, with whatever is removed first: what it says is gone is given to nobody any more.
            if !step.keys.is_empty() || up_to > trimmed {
                let keys = step.keys;
                let count = self.change("retention", move |transaction| trim(transaction, &keys, up_to)).await?;
                self.metrics.store_removed(Kind::Event.as_str(), count);
                removed += count;
            }
            from = step.next;
            tokio::time::sleep(PAUSE).await;
        }
        swept.events = up_to;
        Ok(removed)
    }

    /// Removes remembered requests, sessions and used tokens whose time is over. How many.
    pub(in crate::store) async fn remove_expired(&self, now: Time) -> Result<u64, StoreError> {
        let mut removed = 0;
        for kind in [Kind::Once, Kind::Session, Kind::TokenUsed] {
            let mut from = Some(vec![kind.byte()]);
            while let Some(start) = from {
                let step = self
                    .read("retention", move |kv| {
                        expired(kv, &start, kind, now).map_err(|error| unreachable_engine(&error))
                    })
                    .await?;
                if !step.keys.is_empty() {
                    let keys = step.keys;
                    let remove = move |transaction: &mut Transaction<'_>| remove(transaction, kind, &keys, now);
                    let count = self.change("retention", remove).await?;
                    self.metrics.store_removed(kind.as_str(), count);
                    removed += count;
                }
                from = step.next;
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(removed)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The number of the last event, and that up to which they are gone.
fn numbers(kv: &dyn Kv) -> Result<(u64, u64), StoreError> {
    let commit = kv
        .get(key::COMMIT)
        .map_err(|error| unreachable_engine(&error))?
        .map(|record| decode::<CommitRecord>(&record))
        .transpose();
    let trimmed = kv
        .get(key::TRIMMED)
        .map_err(|error| unreachable_engine(&error))?
        .map(|record| decode::<TrimmedRecord>(&record))
        .transpose();
    let last = commit.map_err(unreadable)?.unwrap_or_default().event;
    Ok((last, trimmed.map_err(unreadable)?.unwrap_or_default().event))
}

/// Up to which number events of some sessions are too old, and where to look next.
struct Aged {
    number: u64,
    next: Option<Vec<u8>>,
}

/// Looks at the oldest events of each session from `from` on.
fn aged(kv: &dyn Kv, from: &[u8], before: Time) -> Result<Aged, KvError> {
    let mut number = 0;
    let next = by_session(kv, from, &mut |key, value| {
        // Times grow with numbers; one that cannot be read is no reason to remove anything.
        let old = decode::<EventRecord>(value).is_ok_and(|event| event.at <= before.as_millis());
        if old {
            number = number.max(number_of(key));
            return Look::On;
        }
        Look::NextSession
    })?;
    Ok(Aged { number, next })
}

/// Keys of records that are due, and where to look next.
struct Due {
    keys: Vec<Vec<u8>>,
    next: Option<Vec<u8>>,
}

/// Finds events up to number `up_to`, from `from` on.
fn trimmable(kv: &dyn Kv, from: &[u8], up_to: u64) -> Result<Due, KvError> {
    let mut keys: Vec<Vec<u8>> = Vec::new();
    let next = by_session(kv, from, &mut |key, _| {
        if number_of(key) > up_to {
            return Look::NextSession;
        }
        keys.push(key.to_vec());
        if keys.len() < REMOVED { Look::On } else { Look::Stop }
    })?;
    Ok(Due { keys, next })
}

/// Where to look after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    On,
    NextSession,
    Stop,
}

/// Shows `wanted` the events of each session from `from` on, oldest first. Where to go on, `None` = that was all.
fn by_session(
    kv: &dyn Kv,
    from: &[u8],
    wanted: &mut dyn FnMut(&[u8], &[u8]) -> Look,
) -> Result<Option<Vec<u8>>, KvError> {
    let end = [Kind::Event.byte() + 1];
    let mut from = from.to_vec();
    let mut read = 0;
    while read < READ {
        let mut gather = Gather::default();
        let mut next = None;
        kv.range((Bound::Included(&from), Bound::Excluded(&end)), Direction::Forward, &mut |key, entry| {
            read += 1;
            let look = match gather.take(key, entry) {
                Ok(None) => return ControlFlow::Continue(()),
                Ok(Some((key, value))) => wanted(key, value),
                Err(Broken) => Look::NextSession,
            };
            match look {
                Look::On if read < READ => return ControlFlow::Continue(()),
                Look::On => {}
                Look::NextSession => {
                    next = Some(behind_session(key));
                    return ControlFlow::Break(());
                }
                Look::Stop => read = READ,
            }
            next = Some([key, &[0]].concat());
            ControlFlow::Break(())
        })?;
        match next {
            Some(next) => from = next,
            None => return Ok(None),
        }
    }
    Ok(Some(from))
}

/// Behind everything of the session that this event, or a continuation of one, is of.
fn behind_session(key: &[u8]) -> Vec<u8> {
    let mut zeros = key.iter().enumerate().filter(|(_, byte)| **byte == 0);
    let end = zeros.nth(1).map_or(key.len(), |(end, _)| end);
    // The zero byte that ends the session's id is the smallest there is.
    [&key[..end], &[1]].concat()
}

fn number_of(key: &[u8]) -> u64 {
    key.last_chunk().map_or(u64::MAX, |bytes| u64::from_be_bytes(*bytes))
}

/// Finds records of `kind` whose time is over, from `from` on.
fn expired(kv: &dyn Kv, from: &[u8], kind: Kind, now: Time) -> Result<Due, KvError> {
    let (mut keys, mut next, mut read) = (Vec::new(), None, 0);
    let mut gather = Gather::default();
    let range = (Bound::Included(from), Bound::Excluded(&[kind.byte() + 1][..]));
    kv.range(range, Direction::Forward, &mut |key, entry| {
        read += 1;
        match gather.take(key, entry) {
            Ok(None) => return ControlFlow::Continue(()),
            Ok(Some((key, value))) if is_over(kind, value, now) => keys.push(key.to_vec()),
            Ok(Some(_)) => {}
            // It is being changed, so it is in use.
            Err(Broken) => gather = Gather::default(),
        }
        if read >= READ || keys.len() >= REMOVED {
            next = Some([key, &[0]].concat());
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    Ok(Due { keys, next })
}

fn is_over(kind: Kind, value: &[u8], now: Time) -> bool {
    match kind {
        Kind::Once => decode::<OnceRecord>(value).is_ok_and(|once| once.expires_at <= now.as_millis()),
        Kind::TokenUsed => decode::<TokenUsedRecord>(value).is_ok_and(|token| token.expires_at <= now.as_millis()),
        Kind::Session => decode::<SessionRecord>(value)
            .is_ok_and(|session| session.expires.saturating_add(millis(GRACE)) <= now.as_millis()),
        _ => false,
    }
}

/// Removes events, and notes that all up to `up_to` are gone.
fn trim(transaction: &mut Transaction<'_>, keys: &[Vec<u8>], up_to: u64) -> Result<u64, StoreError> {
    let trimmed = transaction.record_meta::<TrimmedRecord>(key::TRIMMED)?.unwrap_or_default();
    if up_to > trimmed.event {
        transaction.set_meta(key::TRIMMED, &TrimmedRecord { event: up_to })?;
    }
    let mut removed = 0;
    for key in keys {
        if transaction.entry(key)?.is_some() {
            transaction.remove(key)?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Removes records that are over still.
fn remove(transaction: &mut Transaction<'_>, kind: Kind, keys: &[Vec<u8>], now: Time) -> Result<u64, StoreError> {
    let mut removed = 0;
    for key in keys {
        let value = value::read(key, |key| transaction.entry(key).map_err(Some), || None);
        match value {
            Ok(Some(value)) if is_over(kind, &value, now) => {
                transaction.remove(key)?;
                let indexes = Record::read(key, &value).and_then(|record| record.indexes());
                for index in indexes.unwrap_or_default() {
                    if transaction.entry(&index)?.is_some() {
                        transaction.remove(&index)?;
                    }
                }
                removed += 1;
            }
            Ok(_) | Err(None) => {}
            Err(Some(error)) => return Err(error),
        }
    }
    Ok(removed)
}
