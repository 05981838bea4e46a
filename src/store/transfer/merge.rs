//! Rows that are added to a store in use: those whose ids it has already are skipped, so that doing it again does no harm.
//!
//! They are told to no subscriber: what is brought along from elsewhere has not just happened.

use std::collections::HashSet;
use std::fmt;
use std::ops::{Bound, ControlFlow};

use serde::{Deserialize, Serialize};

use super::line::{Line, parse, write};
use crate::store::commit::{Transaction, unreadable};
use crate::store::context::Place;
use crate::store::embedded::context::rows;
use crate::store::embedded::task::put;
use crate::store::kv::{Direction, Kv, KvError};
use crate::store::migration::m0001_context_sync::{SyncEventRecord, kind};
use crate::store::migration::{RecordError, decode};
use crate::store::record::Record;
use crate::store::{StoreError, key, value};

/// Rows in one change.
const ROWS: usize = 128;
/// Bytes of rows in one change, about.
const BYTES: usize = 1 << 20;
/// The longest line of a row, in bytes: a value of 1 MiB, every byte of it written as an escape.
pub const MAX_LINE: usize = 8 << 20;

/// Rows on their way into a store.
#[derive(Debug, Default)]
pub struct Rows {
    records: Vec<Record>,
    bytes: usize,
}

impl Rows {
    /// Adds one, a line of an export: a `task`, a `context_file` or a `sync_event`, whose `number` is of no account.
    ///
    /// # Errors
    /// What was found and what is accepted.
    pub fn add(&mut self, line: &[u8]) -> Result<(), String> {
        match parse(line)? {
            Line::Record(record) => self.push(record),
            _ => Err("kind: found a line that is no row; accepted: task, context_file, sync_event".to_owned()),
        }
    }

    pub(in crate::store) fn push(&mut self, record: Record) -> Result<(), String> {
        match record {
            Record::Task(_) | Record::ContextFile(_) | Record::SyncEvent { .. } => {}
            other => return Err(format!("kind: found {}; accepted: task, context_file, sync_event", other.kind())),
        }
        let length = record.value().map_err(|error| error.to_string())?.len();
        if !value::fits(length) {
            return Err(format!("found a {} of {length} bytes; accepted: 1 MiB", record.kind()));
        }
        self.bytes += length;
        self.records.push(record);
        Ok(())
    }

    /// As lines.
    ///
    /// # Errors
    /// Why one cannot be a line.
    pub fn lines(&self) -> Result<Vec<u8>, String> {
        let mut lines = Vec::with_capacity(self.bytes);
        self.records.iter().try_for_each(|record| write(&Line::Record(record.clone()), &mut lines))?;
        Ok(lines)
    }

    /// Whether it is time to merge them.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.records.len() >= ROWS || self.bytes >= BYTES
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

/// What became of rows of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Those that were added.
    pub imported: u64,
    /// Those whose id was there already.
    pub skipped: u64,
}

/// What became of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the kinds of rows")]
pub struct Merged {
    pub tasks: Count,
    pub context_files: Count,
    pub sync_events: Count,
}

impl Merged {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let and = |a: Count, b: Count| Count { imported: a.imported + b.imported, skipped: a.skipped + b.skipped };
        Self {
            tasks: and(self.tasks, other.tasks),
            context_files: and(self.context_files, other.context_files),
            sync_events: and(self.sync_events, other.sync_events),
        }
    }
}

impl fmt::Display for Merged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [("tasks", self.tasks), ("context files", self.context_files), ("sync events", self.sync_events)];
        for (index, (what, count)) in rows.into_iter().enumerate() {
            let before = if index == 0 { "" } else { "\n" };
            write!(f, "{before}{what}: {} imported, {} there already", count.imported, count.skipped)?;
        }
        Ok(())
    }
}

/// A merge under way: the ids of sync events, which are not in their keys.
#[derive(Debug, Default)]
pub struct Merging {
    known: HashSet<[u8; 16]>,
    after: Option<Vec<u8>>,
}

impl Merging {
    /// Learns of the next `limit` entries of sync events. Whether those were the last.
    pub(in crate::store) fn learn(&mut self, kv: &dyn Kv, limit: usize) -> Result<bool, KvError> {
        let after = self.after.take();
        let start = after.as_deref().map_or(Bound::Included(&[kind::SYNC_EVENT][..]), Bound::Excluded);
        let (mut seen, mut last) = (0, None);
        let mut keys = Vec::new();
        kv.range((start, Bound::Excluded(&[kind::SYNC_EVENT + 1])), Direction::Forward, &mut |key, _| {
            if seen == limit {
                return ControlFlow::Break(());
            }
            seen += 1;
            last = Some(key.to_vec());
            keys.push(key.to_vec());
            ControlFlow::Continue(())
        })?;
        for key in keys {
            // A continuation is no record, and what is damaged has no id to be known by.
            let value = value::read(&key, |key| kv.get(key).map_err(Some), || None);
            match value {
                Ok(Some(value)) => self.known.extend(decode::<SyncEventRecord>(&value).ok().map(|event| event.id)),
                Ok(None) | Err(None) => {}
                Err(Some(error)) => return Err(error),
            }
        }
        self.after = last.or(after);
        Ok(seen < limit)
    }

    /// Takes out of `rows` those that are known, and knows the rest.
    pub(in crate::store) fn sift(&mut self, rows: Rows) -> (Vec<Record>, Merged) {
        let mut merged = Merged::default();
        let fresh = rows.records.into_iter().filter(|record| match record {
            Record::SyncEvent { record, .. } => {
                let fresh = self.known.insert(record.id);
                merged.sync_events.skipped += u64::from(!fresh);
                fresh
            }
            _ => true,
        });
        let fresh = fresh.collect();
        (fresh, merged)
    }
}

/// Adds records as one change.
pub(in crate::store) fn merge(
    transaction: &mut Transaction<'_>,
    records: Vec<Record>,
    mut merged: Merged,
) -> Result<Merged, StoreError> {
    for record in records {
        match record {
            Record::Task(task) => {
                let place = key::task_place(&task.chitty_id, task.task_id);
                if transaction.entry(&place)?.is_some() {
                    merged.tasks.skipped += 1;
                } else {
                    put(transaction, &task)?;
                    merged.tasks.imported += 1;
                }
            }
            Record::SyncEvent { record, .. } => {
                let number = transaction.next_number();
                let record = Record::SyncEvent { number, record };
                insert(transaction, &record)?;
                merged.sync_events.imported += 1;
            }
            other => {
                let at = other.key().map_err(unreadable)?;
                if transaction.entry(&at)?.is_some() {
                    merged.context_files.skipped += 1;
                } else {
                    insert(transaction, &other)?;
                    // The context of its session has one more.
                    if let Record::ContextFile(file) = &other {
                        let id = |_| unreadable(RecordError::Damaged);
                        let chitty_id = file.chitty_id.parse().map_err(id)?;
                        let session_id = file.session_id.parse().map_err(id)?;
                        rows::note(transaction, &Place { chitty_id, session_id }, 1, 0)?;
                    }
                    merged.context_files.imported += 1;
                }
            }
        }
    }
    Ok(merged)
}

fn insert(transaction: &mut Transaction<'_>, record: &Record) -> Result<(), StoreError> {
    let key = record.key().map_err(unreadable)?;
    transaction.insert_value(&key, &record.value().map_err(unreadable)?)?;
    record.indexes().map_err(unreadable)?.into_iter().try_for_each(|index| transaction.insert_index(index))
}
