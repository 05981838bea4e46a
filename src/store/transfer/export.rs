//! A store written as lines, in steps of bounded size, while it may be changed.
//!
//! Every record is whole and as it was at some moment of the export; what was there all the time is in it once. Tasks are
//! found by their places, for their records move when they are changed.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use super::line::{End, Header, Line, write};
use crate::store::StoreError;
use crate::store::embedded::task::find;
use crate::store::embedded::verify::{shown, split_place};
use crate::store::kv::{Direction, Kv, KvError};
use crate::store::migration::decode;
use crate::store::migration::m0001_context_sync::{CommitRecord, kind};
use crate::store::migration::m0002_identity_and_registry::TrimmedRecord;
use crate::store::record::{Kind, Record};
use crate::store::{key, value};
use crate::telemetry::describe;

/// Records in one step.
const STEP: usize = 256;
/// Bytes in one step; the last record of it may end beyond them.
const STEP_BYTES: usize = 1 << 20;
/// Attempts at a value that is changed while it is read.
const ATTEMPTS: usize = 100;

/// How far an export is.
#[derive(Clone, Debug, Default)]
pub struct Export {
    begun: bool,
    ended: bool,
    /// How many kinds are done.
    done: usize,
    /// The last key of the kind in progress.
    after: Option<Vec<u8>>,
    counts: BTreeMap<Kind, u64>,
}

impl Export {
    /// One that has not begun.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether everything has been given out.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.ended
    }

    /// Records given out so far.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.counts.values().sum()
    }

    /// The next lines.
    pub(in crate::store) fn step(&mut self, kv: &dyn Kv) -> Result<Vec<u8>, StoreError> {
        let mut lines = Vec::new();
        if !self.begun {
            self.begun = true;
            write(&Line::Header(header(kv)?), &mut lines).map_err(refused)?;
        }
        while lines.len() < STEP_BYTES {
            let Some(kind) = Kind::EXPORTED.get(self.done).copied() else {
                self.ended = true;
                write(&Line::End(End::new(&self.counts)), &mut lines).map_err(refused)?;
                break;
            };
            let keys = self.next_keys(kv, kind).map_err(|error| refused(describe(&error)))?;
            if keys.is_empty() {
                self.done += 1;
                self.after = None;
            }
            for key in keys {
                if let Some(record) = read(kv, &key)? {
                    let written = write(&Line::Record(record), &mut lines);
                    written.map_err(|why| refused(format!("{} cannot be exported: {why}", shown(&key))))?;
                    *self.counts.entry(kind).or_default() += 1;
                }
                self.after = Some(key);
                if lines.len() >= STEP_BYTES {
                    break;
                }
            }
        }
        Ok(lines)
    }

    /// Keys of the next records of a kind; for tasks, of their places.
    fn next_keys(&self, kv: &dyn Kv, kind: Kind) -> Result<Vec<Vec<u8>>, KvError> {
        let byte = if kind == Kind::Task { kind::TASK_PLACE } else { kind.byte() };
        let first = [byte];
        let start = self.after.as_deref().map_or(Bound::Included(&first[..]), Bound::Excluded);
        let end = [byte + 1];
        let mut keys: Vec<Vec<u8>> = Vec::new();
        // What follows a value and continues it has its key and one byte.
        let mut continued = self.after.clone();
        kv.range((start, Bound::Excluded(&end)), Direction::Forward, &mut |key, entry| {
            if let Some(of) = &continued
                && key.len() == of.len() + 1
                && key.starts_with(of)
            {
                return ControlFlow::Continue(());
            }
            if keys.len() == STEP {
                return ControlFlow::Break(());
            }
            continued = (value::continuations(entry) > 0).then(|| key.to_vec());
            keys.push(key.to_vec());
            ControlFlow::Continue(())
        })?;
        Ok(keys)
    }
}

fn header(kv: &dyn Kv) -> Result<Header, StoreError> {
    let engine = |error: KvError| refused(describe(&error));
    let commit = kv.get(key::COMMIT).map_err(engine)?.map(|commit| decode::<CommitRecord>(&commit)).transpose();
    let trimmed = kv.get(key::TRIMMED).map_err(engine)?.map(|trimmed| decode::<TrimmedRecord>(&trimmed)).transpose();
    match (commit, trimmed) {
        (Ok(commit), Ok(trimmed)) => {
            Ok(Header::new(commit.unwrap_or_default().event, trimmed.unwrap_or_default().event))
        }
        (Err(error), _) | (_, Err(error)) => Err(refused(error.to_string())),
    }
}

/// The record under `key`, or, if that is a place, the task; `None` if it has gone.
fn read(kv: &dyn Kv, key: &[u8]) -> Result<Option<Record>, StoreError> {
    if key.first() == Some(&kind::TASK_PLACE) {
        let Some((owner, id)) = split_place(key) else {
            return Err(refused(format!("{} is no place of a task; `store verify` says more", shown(key))));
        };
        return Ok(find(kv, &owner, id)?.map(|task| Record::Task(Box::new(task))));
    }
    let mut last = String::new();
    for _ in 0..ATTEMPTS {
        let value = value::read(key, |key| kv.get(key).map_err(|error| describe(&error)), || "it is not whole".into());
        match value {
            Ok(None) => return Ok(None),
            Ok(Some(value)) => match Record::read(key, &value) {
                Ok(record) => return Ok(Some(record)),
                Err(error) => last = error.to_string(),
            },
            Err(error) => last = error,
        }
    }
    Err(refused(format!("{} cannot be read: {last}; `store verify` says more", shown(key))))
}

fn refused(why: String) -> StoreError {
    StoreError::Unavailable(why.into())
}
