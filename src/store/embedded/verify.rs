//! Whether everything in the store agrees: every record can be read, every task has its place and its index entries, and
//! nothing else has.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use super::api_key::decode_key;
use super::registration::decode_registration;
use super::task::decode_task;
use super::unreachable_engine;
use crate::store::kv::{Direction, Kv, KvError};
use crate::store::migration::decode;
use crate::store::migration::m0001_context_sync::{
    CommitRecord, ContextFileRecord, EventRecord, OnceRecord, SessionRecord, SyncEventRecord, TaskPlaceRecord, kind,
};
use crate::store::migration::m0002_identity_and_registry::kind as added;
use crate::store::value::Gather;
use crate::store::{StoreError, key};

/// More findings say no more.
const MAX_FINDINGS: usize = 100;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Entries by kind; continuations are their record's.
    pub entries: BTreeMap<char, u64>,
    /// What does not agree, a line each; empty = the store is whole.
    pub findings: Vec<String>,
}

impl Report {
    fn find(&mut self, finding: String) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        }
    }

    fn count(&self, kind: u8) -> u64 {
        self.entries.get(&char::from(kind)).copied().unwrap_or(0)
    }
}

const INDEXES: [u8; 4] = [kind::TASK_BY_STATUS, kind::TASK_BY_PRIORITY, kind::TASK_BY_PARENT, kind::TASK_BY_SERVICE];

/// Reads everything.
pub(super) fn verify(kv: &dyn Kv) -> Result<Report, StoreError> {
    let mut report = Report::default();
    let mut gather = Gather::default();
    let mut failed = None;
    let mut found = 0;
    let mut expected_indexes = 0;
    let scanned = kv.range((Bound::Unbounded, Bound::Unbounded), Direction::Forward, &mut |key, entry| {
        let Some(&kind) = key.first() else { return ControlFlow::Continue(()) };
        found += u64::from(kind != kind::META);
        if INDEXES.contains(&kind) {
            *report.entries.entry(char::from(kind)).or_default() += 1;
            return ControlFlow::Continue(());
        }
        if kind == kind::META {
            return ControlFlow::Continue(());
        }
        match gather.take(key, entry) {
            Err(_) => report.find(format!("the value of {} is not whole", shown(key))),
            Ok(None) => {}
            Ok(Some((key, value))) => {
                *report.entries.entry(char::from(kind)).or_default() += 1;
                match check(kv, kind, key, value, &mut report) {
                    Ok(indexes) => expected_indexes += indexes,
                    Err(error) => {
                        failed = Some(error);
                        return ControlFlow::Break(());
                    }
                }
            }
        }
        ControlFlow::Continue(())
    });
    if let Some(error) = scanned.err().or(failed) {
        return Err(unreachable_engine(&error));
    }
    let (tasks, places) = (report.count(kind::TASK), report.count(kind::TASK_PLACE));
    if tasks != places {
        report.find(format!("{tasks} tasks have {places} places"));
    }
    let indexes: u64 = INDEXES.into_iter().map(|kind| report.count(kind)).sum();
    if indexes != expected_indexes {
        report.find(format!("{tasks} tasks should have {expected_indexes} index entries, and have {indexes}"));
    }
    let commit = kv.get(key::COMMIT).map_err(|error| unreachable_engine(&error))?;
    match commit.map(|commit| decode::<CommitRecord>(&commit)) {
        Some(Ok(commit)) if commit.entries == found => {}
        Some(Ok(commit)) => report.find(format!("{found} of {} entries are there", commit.entries)),
        _ => report.find("the record of the last change cannot be read".to_owned()),
    }
    Ok(report)
}

/// Checks one record; how many index entries it should have.
fn check(kv: &dyn Kv, kind: u8, key: &[u8], value: &[u8], report: &mut Report) -> Result<u64, KvError> {
    let readable = match kind {
        kind::TASK => match decode_task(value) {
            Ok(task) => {
                if key::task(&task.chitty_id, &task.session_id, task.position()) != key {
                    report.find(format!("task {} is not where it belongs", task.task_id));
                }
                let indexes = key::indexes(&task);
                for index in indexes.iter().chain([&key::task_place(&task.chitty_id, task.task_id)]) {
                    if kv.get(index)?.is_none() {
                        report.find(format!("task {} lacks {}", task.task_id, shown(index)));
                    }
                }
                return Ok(indexes.len() as u64);
            }
            Err(_) => false,
        },
        kind::TASK_PLACE => decode::<TaskPlaceRecord>(value).is_ok(),
        kind::CONTEXT_FILE => decode::<ContextFileRecord>(value).is_ok(),
        kind::SYNC_EVENT => decode::<SyncEventRecord>(value).is_ok(),
        kind::SESSION => decode::<SessionRecord>(value).is_ok(),
        kind::EVENT => decode::<EventRecord>(value).is_ok(),
        kind::KEY => decode_key(key, value).is_ok(),
        kind::ONCE => decode::<OnceRecord>(value).is_ok(),
        added::REGISTRATION => match decode_registration(value) {
            Ok(one) => {
                if key::registration(&one.owner, &one.name) != key {
                    report.find(format!("the registration of {} is not where it belongs", one.name));
                }
                true
            }
            Err(_) => false,
        },
        _ => false,
    };
    if !readable {
        report.find(format!("{} cannot be read", shown(key)));
    }
    Ok(0)
}

fn shown(key: &[u8]) -> String {
    key.escape_ascii().to_string()
}
