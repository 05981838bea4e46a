//! Whether everything in the store agrees: every record can be read and is where it belongs, every task has its place,
//! tasks, files and sessions have their index entries, and every place and index entry has what it is of. A stored file has
//! its row in the context and its bucket, contents that are noted have no file, a part has its upload, and what was
//! counted is what there is.
//!
//! The store is read in steps, so that it can be written meanwhile. What looks wrong may then only have been in motion:
//! it is a suspect, and becomes a finding when it is looked at again while nothing moves.

mod file;

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use crate::model::id::{ChittyId, TaskId};
use crate::model::task::Task;
use crate::model::time::Time;
use crate::store::commit::Transaction;
use crate::store::kv::{Direction, Kv, KvError};
use crate::store::migration::decode;
use crate::store::migration::m0001_context_sync::{CommitRecord, FormatRecord, TaskPlaceRecord, kind};
use crate::store::migration::m0002_identity_and_registry::{TrimmedRecord, kind as later};
use crate::store::migration::m0003_files::{kind as latest, meta};
use crate::store::record::{Kind, Record};
use crate::store::view::{Engine, Value, View};
use crate::store::{StoreError, TaskPosition, key, value};
pub(in crate::store) use file::check_count;

/// More findings say no more.
const MAX_FINDINGS: usize = 100;
/// More suspects are only counted.
const MAX_SUSPECTS: usize = 1000;

/// The kinds whose entries follow from records and have no value.
pub(in crate::store) const INDEXES: [u8; 7] = [
    kind::TASK_BY_STATUS,
    kind::TASK_BY_PRIORITY,
    kind::TASK_BY_PARENT,
    kind::TASK_BY_SERVICE,
    later::FILE_BY_ACCESS,
    later::SESSION_BY_AGE,
    latest::FILE_BY_CONTENTS,
];

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Entries by kind; continuations are their record's.
    pub entries: BTreeMap<char, u64>,
    /// What does not agree, a line each, the first hundred; empty = the store is whole.
    pub findings: Vec<String>,
    /// How many findings are not among those lines.
    pub unlisted: u64,
    /// Whether the store was changed meanwhile; then its entries were not counted against what they should be.
    pub changed: bool,
}

impl Report {
    fn find(&mut self, finding: String) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        } else {
            self.unlisted += 1;
        }
    }
}

/// A look at everything that is under way.
pub(in crate::store) struct Verifying {
    report: Report,
    /// The last key that was seen.
    seen: Option<Vec<u8>>,
    /// The value that continuations are expected of: its key, and the number of the next one and of the last one.
    within: Option<(Vec<u8>, u8, u8)>,
    suspects: Vec<Vec<u8>>,
    /// Entries but meta.
    found: u64,
    /// The largest number of an event.
    number: u64,
    /// The last change when it began.
    commit: Option<Vec<u8>>,
}

impl Verifying {
    pub(in crate::store) fn begin(kv: &dyn Kv) -> Result<Self, KvError> {
        let commit = kv.get(key::COMMIT)?;
        let (report, suspects) = (Report::default(), Vec::new());
        Ok(Self { report, seen: None, within: None, suspects, found: 0, number: 0, commit })
    }

    /// Looks at the next `limit` entries. Whether those were the last.
    pub(in crate::store) fn step(&mut self, kv: &dyn Kv, limit: usize) -> Result<bool, KvError> {
        let from = self.seen.take();
        let start = from.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let (mut looked, mut failed, mut last) = (0, None, None);
        let visit = &mut |key: &[u8], entry: &[u8]| {
            if looked == limit {
                return ControlFlow::Break(());
            }
            looked += 1;
            last = Some(key.to_vec());
            match self.look(kv, key, entry) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        };
        if limit == usize::MAX {
            kv.read_all(visit)?;
        } else {
            kv.range((start, Bound::Unbounded), Direction::Forward, visit)?;
        }
        self.seen = last.or(from);
        failed.map_or(Ok(looked < limit), Err)
    }

    fn look(&mut self, kv: &dyn Kv, key: &[u8], entry: &[u8]) -> Result<(), KvError> {
        self.found += u64::from(key.first() != Some(&kind::META));
        if let Some((of, next, last)) = &mut self.within {
            if key.split_last().is_some_and(|(number, rest)| rest == of && number == next) {
                *next = next.saturating_add(1);
                if *next > *last {
                    self.within = None;
                }
                return Ok(());
            }
            self.within = None;
        }
        if let Some(kind) = key.first().filter(|kind| **kind != kind::META) {
            *self.report.entries.entry(char::from(*kind)).or_default() += 1;
            let more = value::continuations(entry);
            if more > 0 && !INDEXES.contains(kind) {
                self.within = Some((key.to_vec(), 1, more));
            }
            if [kind::EVENT, kind::SYNC_EVENT].contains(kind) {
                let number = key.last_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
                self.number = self.number.max(number);
            }
        }
        if check(key, &mut Engine(kv))?.is_some() {
            // What is counted here has no line of its own in the end.
            if self.suspects.len() < MAX_SUSPECTS {
                self.suspects.push(key.to_vec());
            } else {
                self.report.unlisted += 1;
            }
        }
        Ok(())
    }

    /// What looked wrong, to be looked at again.
    pub(in crate::store) fn take_suspects(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.suspects)
    }

    /// The report, with what was found of the suspects.
    pub(in crate::store) fn end(mut self, kv: &dyn Kv, findings: Vec<String>) -> Result<Report, KvError> {
        for finding in findings {
            self.report.find(finding);
        }
        let commit = kv.get(key::COMMIT)?;
        self.report.changed = commit != self.commit;
        match commit.map(|commit| decode::<CommitRecord>(&commit)) {
            Some(Ok(commit)) => {
                if !self.report.changed && commit.entries != self.found {
                    self.report.find(format!("{} of {} entries are there", self.found, commit.entries));
                }
                if self.number > commit.event {
                    let (number, last) = (self.number, commit.event);
                    self.report.find(format!("there is an event {number}, and the last one was {last}"));
                }
            }
            _ => self.report.find("the record of the last change cannot be read".to_owned()),
        }
        Ok(self.report)
    }
}

/// Reads everything in a store that nobody changes.
pub(in crate::store) fn verify(kv: &dyn Kv) -> Result<Report, KvError> {
    let mut verifying = Verifying::begin(kv)?;
    verifying.step(kv, usize::MAX)?;
    let mut findings = Vec::new();
    for suspect in verifying.take_suspects() {
        findings.extend(check(&suspect, &mut Engine(kv))?);
    }
    verifying.end(kv, findings)
}

/// Looks at suspects again while nothing else is changed.
pub(super) fn again(transaction: &mut Transaction<'_>, suspects: &[Vec<u8>]) -> Result<Vec<String>, StoreError> {
    let mut findings = Vec::new();
    for suspect in suspects {
        findings.extend(check(suspect, transaction)?);
    }
    Ok(findings)
}

/// What is wrong with what is under `key`, as far as `view` shows; `None` = nothing, or there is nothing.
fn check<V: View>(key: &[u8], view: &mut V) -> Result<Option<String>, V::Error> {
    let Some(&kind) = key.first() else { return Ok(Some("an entry has an empty key".to_owned())) };
    if kind == kind::META {
        return check_meta(key, view);
    }
    if INDEXES.contains(&kind) {
        let record = match record_of_index(key) {
            Some(at) => record_at(&at, view)?,
            None => None,
        };
        let indexes = record.and_then(|record| record.indexes().ok()).unwrap_or_default();
        let fits = indexes.iter().any(|index| index == key);
        // It may have gone since it was seen.
        let gone = !fits && view.entry(key)?.is_none();
        let what = match kind {
            later::FILE_BY_ACCESS => "file",
            later::SESSION_BY_AGE => "session",
            latest::FILE_BY_CONTENTS => "stored file",
            _ => "task",
        };
        return Ok((!fits && !gone).then(|| format!("the index entry {} has no {what}", shown(key))));
    }
    let value = match view.value(key)? {
        Value::Gone => return Ok(None),
        Value::Broken => {
            let finding = || format!("the value of {} is not whole", shown(key));
            return Ok((!is_continuation(key, view)?).then(finding));
        }
        Value::Whole(value) => value,
    };
    if kind == kind::TASK_PLACE {
        let leads = match decode::<TaskPlaceRecord>(&value).ok().and_then(|place| key_of_place(key, &place)) {
            Some(at) => record_at(&at, view)?.is_some(),
            None => false,
        };
        let finding = || format!("the place {} has no task", shown(key));
        return Ok(if leads || is_continuation(key, view)? { None } else { Some(finding()) });
    }
    match Record::read(key, &value) {
        Ok(Record::Task(task)) => check_task(&task, view),
        Ok(record) => {
            let indexes = record.indexes().unwrap_or_default();
            let lacks = lacking(&indexes, view, || format!("{} {}", record.kind(), shown(key)))?;
            if lacks.is_some() { Ok(lacks) } else { file::check(key, &record, view) }
        }
        Err(_) if is_continuation(key, view)? => Ok(None),
        Err(error) => {
            let known = if Kind::of(kind).is_some() { "" } else { ", and is of no known kind" };
            Ok(Some(format!("{} cannot be read{known}: {error}", shown(key))))
        }
    }
}

fn check_meta<V: View>(key: &[u8], view: &mut V) -> Result<Option<String>, V::Error> {
    let Some(entry) = view.entry(key)? else { return Ok(None) };
    let readable = match key {
        key::FORMAT => decode::<FormatRecord>(&entry).is_ok(),
        key::COMMIT => decode::<CommitRecord>(&entry).is_ok(),
        key::TRIMMED => decode::<TrimmedRecord>(&entry).is_ok(),
        key if key.starts_with(meta::USAGE) || key.starts_with(meta::ROWS) => {
            return file::check_count(key, &entry, view);
        }
        _ => false,
    };
    Ok((!readable).then(|| format!("{} cannot be read", shown(key))))
}

fn check_task<V: View>(task: &Task, view: &mut V) -> Result<Option<String>, V::Error> {
    let at = key::task_place(&task.chitty_id, task.task_id);
    let leads_here = match view.value(&at)? {
        Value::Whole(place) => decode::<TaskPlaceRecord>(&place).is_ok_and(|place| {
            place.session_id == task.session_id.as_str() && place.updated_at == task.updated_at.as_millis()
        }),
        Value::Gone | Value::Broken => false,
    };
    if !leads_here {
        return Ok(Some(format!("task {} lacks {}", task.task_id, shown(&at))));
    }
    lacking(&key::indexes(task), view, || format!("task {}", task.task_id))
}

/// That `what` lacks one of its index entries.
fn lacking<V: View>(indexes: &[Vec<u8>], view: &mut V, what: impl Fn() -> String) -> Result<Option<String>, V::Error> {
    for index in indexes {
        if view.entry(index)?.is_none() {
            return Ok(Some(format!("{} lacks {}", what(), shown(index))));
        }
    }
    Ok(None)
}

fn record_at<V: View>(at: &[u8], view: &mut V) -> Result<Option<Record>, V::Error> {
    let Value::Whole(value) = view.value(at)? else { return Ok(None) };
    Ok(Record::read(at, &value).ok())
}

/// Whether what is under `key` belongs to the value of the key before its last byte.
fn is_continuation<V: View>(key: &[u8], view: &mut V) -> Result<bool, V::Error> {
    let Some((&number, of)) = key.split_last() else { return Ok(false) };
    Ok(number > 0 && view.entry(of)?.is_some_and(|entry| value::continuations(&entry) >= number))
}

/// Where the record of an index entry is: a task has the same order in the same session, a file's order ends in its key,
/// and a session's in its id; a stored file's says what it is called.
pub(in crate::store) fn record_of_index(key: &[u8]) -> Option<Vec<u8>> {
    let (of, length) = match *key.first()? {
        latest::FILE_BY_CONTENTS => {
            let file = key::split_file_by_contents(key)?;
            return Some(key::stored_file(&file.owner, &file.session, &file.key));
        }
        later::FILE_BY_ACCESS => (kind::CONTEXT_FILE, 32),
        _ => (kind::TASK, key::ORDER),
    };
    let mut zeros = key.iter().enumerate().skip(1).filter(|(_, byte)| **byte == 0);
    if key[0] == later::SESSION_BY_AGE {
        let (end, _) = zeros.next()?;
        return Some([&[kind::SESSION], &key[1..=end], key.get(end + 9..)?].concat());
    }
    let (end, _) = zeros.nth(1)?;
    let order = key.len().checked_sub(length).filter(|order| *order > end)?;
    Some([&[of], &key[1..=end], &key[order..]].concat())
}

/// Where the task of a place is.
pub(in crate::store) fn key_of_place(key: &[u8], place: &TaskPlaceRecord) -> Option<Vec<u8>> {
    let (owner, id) = split_place(key)?;
    let position = TaskPosition { updated_at: Time::from_millis(place.updated_at), task_id: id };
    Some(key::task(&owner, &place.session_id.parse().ok()?, position))
}

/// Whose task a place is of, and which.
pub(in crate::store) fn split_place(key: &[u8]) -> Option<(ChittyId, TaskId)> {
    let end = key.iter().position(|byte| *byte == 0)?;
    let owner = std::str::from_utf8(key.get(1..end)?).ok()?.parse().ok()?;
    let id: [u8; 16] = key[end + 1..].try_into().ok()?;
    Some((owner, TaskId::from_bytes(id)))
}

/// A key as a person sees it.
pub(in crate::store) fn shown(key: &[u8]) -> String {
    key.escape_ascii().to_string()
}
