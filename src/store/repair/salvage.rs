//! Reading what can be read, and saying what cannot.

use std::collections::HashSet;
use std::io::{self, BufWriter, Write};
use std::ops::{Bound, ControlFlow};

use serde_json::json;
use tempfile::NamedTempFile;

use crate::model::id::{ChittyId, TaskId};
use crate::store::embedded::OpenError;
use crate::store::embedded::task::decode_task;
use crate::store::embedded::verify::{INDEXES, check_count, record_of_index, shown, split_place};
use crate::store::engine::survive;
use crate::store::key::{self, FileWith};
use crate::store::kv::{Direction, Kv, scan_prefix};
use crate::store::migration::decode;
use crate::store::migration::m0001_context_sync::{CommitRecord, FormatRecord, kind};
use crate::store::migration::m0002_identity_and_registry::TrimmedRecord;
use crate::store::migration::m0003_files::{kind as latest, meta};
use crate::store::record::{Kind, Record};
use crate::store::transfer::build::{BuildError, Builder};
use crate::store::value::{Broken, Gather};
use crate::store::view::Engine;
use crate::telemetry::describe;

/// The list of what is lost, a JSON object a line.
pub(super) struct Lost {
    to: BufWriter<NamedTempFile>,
    count: u64,
    /// Tasks that are listed already.
    tasks: HashSet<(ChittyId, TaskId)>,
    /// The keys of stored files that are.
    files: HashSet<Vec<u8>>,
    failed: Option<io::Error>,
}

impl Lost {
    pub(super) fn new(to: NamedTempFile) -> Self {
        let (tasks, files) = (HashSet::new(), HashSet::new());
        Self { to: BufWriter::new(to), count: 0, tasks, files, failed: None }
    }

    fn note(&mut self, line: &serde_json::Value) {
        self.count += 1;
        if let Err(error) = writeln!(self.to, "{line}") {
            self.failed.get_or_insert(error);
        }
    }

    /// Pieces of the engine's log.
    pub(super) fn pieces(&mut self, unread: u64) {
        if unread > 0 {
            let why = "pieces of the log cannot be read: what they changed is as it was before";
            self.note(&json!({"kind": "log", "pieces": unread, "why": why}));
        }
    }

    /// A record that is there and is of no use.
    fn record(&mut self, key: &[u8], why: &str) {
        self.note(&json!({"kind": name(key), "key": shown(key), "why": why}));
        if key.first() == Some(&kind::TASK)
            && let (Some(owner), Some(position)) = (owner_of(key), key::position(key))
        {
            // What leads to it tells nothing new.
            self.tasks.insert((owner, position.task_id));
        }
        if key.first() == Some(&latest::STORED_FILE) {
            self.files.insert(key.to_vec());
        }
    }

    /// A stored file of which only its index entry is left; its contents may be where they were.
    fn file(&mut self, file: &FileWith) {
        let at = key::stored_file(&file.owner, &file.session, &file.key);
        if self.files.insert(at) {
            let (owner, session, name) = (&file.owner, &file.session, file.key.as_str());
            let line = json!({
                "kind": "stored_file", "chitty_id": owner, "session_id": session, "key": name,
                "sha256": file.contents.hash.to_string(), "size": file.contents.size, "why": "its record is gone",
            });
            self.note(&line);
        }
    }

    /// A task of which only its place or index entries are left.
    fn task(&mut self, owner: ChittyId, id: TaskId) {
        if !self.tasks.contains(&(owner.clone(), id)) {
            let why = "its record is gone";
            self.note(&json!({"kind": "task", "chitty_id": owner, "task_id": id, "why": why}));
            self.tasks.insert((owner, id));
        }
    }

    /// How many records that are, and the list.
    pub(super) fn finish(self) -> io::Result<(u64, NamedTempFile)> {
        match self.failed {
            Some(error) => Err(error),
            None => Ok((self.count, self.to.into_inner().map_err(io::IntoInnerError::into_error)?)),
        }
    }
}

/// Whose a key is.
fn owner_of(key: &[u8]) -> Option<ChittyId> {
    let owner = key.get(1..)?.split(|byte| *byte == 0).next()?;
    std::str::from_utf8(owner).ok()?.parse().ok()
}

fn name(key: &[u8]) -> &'static str {
    match key.first() {
        Some(&kind::META) => "meta",
        Some(&kind::TASK_PLACE) => "task_place",
        Some(byte) if INDEXES.contains(byte) => "task_index",
        Some(byte) => Kind::of(*byte).map_or("unknown", Kind::as_str),
        None => "unknown",
    }
}

/// A salvage under way.
pub(super) struct Salvage<'a, 'f> {
    old: &'a dyn Kv,
    builder: Builder<'f>,
    lost: Lost,
    breaks_down: &'a dyn Fn() -> OpenError,
    dropped: u64,
    /// Entries that were seen, but for meta.
    entries: u64,
    commit: Option<CommitRecord>,
    trimmed: u64,
    format: Option<u8>,
    /// Whether what was counted is what there is.
    counted: bool,
}

/// What a salvage ended with.
pub(super) struct Salvaged<'f> {
    pub(super) builder: Builder<'f>,
    pub(super) lost: Lost,
    pub(super) dropped: u64,
    pub(super) commit: Option<CommitRecord>,
    pub(super) trimmed: u64,
    pub(super) entries: u64,
    pub(super) format: Option<u8>,
    pub(super) counted: bool,
}

impl<'a, 'f> Salvage<'a, 'f> {
    pub(super) fn new(
        old: &'a dyn Kv,
        builder: Builder<'f>,
        lost: Lost,
        breaks_down: &'a dyn Fn() -> OpenError,
    ) -> Self {
        let (commit, format) = (None, None);
        let (dropped, entries, trimmed, counted) = (0, 0, 0, true);
        Self { old, builder, lost, breaks_down, dropped, entries, commit, trimmed, format, counted }
    }

    pub(super) fn end(self) -> Salvaged<'f> {
        let Self { builder, lost, dropped, commit, trimmed, entries, format, counted, .. } = self;
        Salvaged { builder, lost, dropped, commit, trimmed, entries, format, counted }
    }

    /// Reads everything.
    ///
    /// # Errors
    /// When nothing more can be written; what cannot be read is noted.
    pub(super) fn run(&mut self) -> Result<(), BuildError> {
        self.meta();
        // Tasks first, index entries last: what leads to a record is looked at against what there is of it.
        self.stretch(&[kind::TASK], &[kind::TASK + 1])?;
        let (indexes, others): (Vec<u8>, Vec<u8>) = (0..=u8::MAX)
            .filter(|byte| *byte != kind::TASK && *byte != kind::META)
            .partition(|byte| INDEXES.contains(byte));
        for byte in others.into_iter().chain(indexes) {
            let end = byte.checked_add(1).map(|end| [end]);
            self.stretch(&[byte], end.as_ref().map_or(&[][..], |end| &end[..]))?;
        }
        Ok(())
    }

    fn meta(&mut self) {
        let get = |key: &[u8]| {
            let value = survive((self.breaks_down)(), || Ok(self.old.get(key)));
            value.ok().and_then(Result::ok).flatten()
        };
        let (format, commit, trimmed) = (get(key::FORMAT), get(key::COMMIT), get(key::TRIMMED));
        self.format = format.and_then(|format| decode::<FormatRecord>(&format).ok()).map(|format| format.format);
        self.commit = commit.and_then(|commit| decode(&commit).ok());
        self.trimmed =
            trimmed.and_then(|trimmed| decode::<TrimmedRecord>(&trimmed).ok()).map_or(0, |trimmed| trimmed.event);
        self.counted = survive((self.breaks_down)(), || Ok(self.is_counted())).is_ok_and(|counted| counted == Ok(true));
    }

    /// Whether what was counted is what there is. What was is not taken over, but counted anew when it is asked for.
    fn is_counted(&self) -> Result<bool, String> {
        let mut counts = Vec::new();
        for prefix in [meta::USAGE, meta::ROWS] {
            let scanned = scan_prefix(self.old, prefix, &mut |key, entry| {
                counts.push((key.to_vec(), entry.to_vec()));
                ControlFlow::Continue(())
            });
            scanned.map_err(|error| describe(&error))?;
        }
        for (key, entry) in counts {
            let finding = check_count(&key, &entry, &mut Engine(self.old)).map_err(|error| describe(&error))?;
            if finding.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads from `start` to `end`; empty = to the last key. Where that breaks off, what is behind the damage is read
    /// from its other end.
    fn stretch(&mut self, start: &[u8], end: &[u8]) -> Result<(), BuildError> {
        let (last, why) = match self.forward(start, end)? {
            (_, None) => return Ok(()),
            (last, Some(why)) => (last, why),
        };
        let first = self.backward(last.as_deref().unwrap_or(start), end);
        let show = |key: Option<&[u8]>| key.map(shown);
        let line = json!({
            "kind": name(start), "behind": show(last.as_deref()), "before": show(first.as_deref()), "why": why,
        });
        self.lost.note(&line);
        match first {
            Some(first) => self.forward(&first, end).map(drop),
            None => Ok(()),
        }
    }

    /// Takes entries from `start` on. The last key that was read, and why not all could be.
    fn forward(&mut self, start: &[u8], end: &[u8]) -> Result<(Option<Vec<u8>>, Option<String>), BuildError> {
        let upper = if end.is_empty() { Bound::Unbounded } else { Bound::Excluded(end) };
        let mut gather = Gather::default();
        let (mut last, mut failed) = (None::<Vec<u8>>, None);
        // Continuations of a value that is lost are no records of their own.
        let mut orphaned: Option<Vec<u8>> = None;
        let (old, breaks_down) = (self.old, self.breaks_down);
        let scanned = survive(breaks_down(), || {
            Ok(old.range((Bound::Included(start), upper), Direction::Forward, &mut |key, entry| {
                last = Some(key.to_vec());
                self.entries += 1;
                let follows = |of: &Vec<u8>| key.len() == of.len() + 1 && key.starts_with(of);
                if orphaned.as_ref().is_some_and(follows) {
                    return ControlFlow::Continue(());
                }
                if key.first().is_some_and(|byte| INDEXES.contains(byte)) {
                    return self.index(key, &mut failed);
                }
                let within = gather.is_within().then(|| gather.key().to_vec());
                let taken = match gather.take(key, entry) {
                    Ok(whole) => whole.map(|(key, value)| (key.to_vec(), value.to_vec())),
                    Err(Broken) => {
                        gather = Gather::default();
                        let of = within.unwrap_or_else(|| key.to_vec());
                        self.lost.record(&of, "its value is not whole");
                        let own = follows(&of);
                        orphaned = Some(of);
                        if own {
                            return ControlFlow::Continue(());
                        }
                        match gather.take(key, entry) {
                            Ok(whole) => whole.map(|(key, value)| (key.to_vec(), value.to_vec())),
                            Err(Broken) => None,
                        }
                    }
                };
                match taken.map_or(Ok(()), |(key, value)| self.value(&key, &value)) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => {
                        failed = Some(error);
                        ControlFlow::Break(())
                    }
                }
            }))
        });
        if let Some(error) = failed {
            return Err(error);
        }
        if gather.is_within() {
            let key = gather.key().to_vec();
            self.lost.record(&key, "its value is not whole");
        }
        let why = match scanned {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(describe(&error)),
            Err(_) => Some("the engine breaks down over it".to_owned()),
        };
        Ok((last, why))
    }

    /// The first key behind the damage, looking from the end.
    fn backward(&self, start: &[u8], end: &[u8]) -> Option<Vec<u8>> {
        let upper = if end.is_empty() { Bound::Unbounded } else { Bound::Excluded(end) };
        let mut first: Option<Vec<u8>> = None;
        let scanned = survive((self.breaks_down)(), || {
            Ok(self.old.range((Bound::Excluded(start), upper), Direction::Backward, &mut |key, _| {
                first = Some(key.to_vec());
                ControlFlow::Continue(())
            }))
        });
        // One that comes through to its beginning found no damage, and then all of it can be read.
        drop(scanned);
        first
    }

    fn value(&mut self, key: &[u8], value: &[u8]) -> Result<(), BuildError> {
        if key.first() == Some(&kind::TASK_PLACE) {
            return self.place(key);
        }
        let record = match Record::read(key, value) {
            // In the wrong place, but itself.
            Err(_) if key.first() == Some(&kind::TASK) => decode_task(value).map(|task| Record::Task(Box::new(task))),
            other => other,
        };
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                self.lost.record(key, &error.to_string());
                return Ok(());
            }
        };
        match &record {
            // The note of contents that a file has.
            Record::Pending { contents, .. }
                if self.builder.has_under(&key::files_with(&contents.chitty_id, &contents.hash))? =>
            {
                self.dropped += 1;
                return Ok(());
            }
            Record::Part { chitty_id, session_id, upload, .. }
                if !self.builder.has(&key::upload(chitty_id, session_id, *upload))? =>
            {
                self.lost.record(key, "its upload is gone");
                return Ok(());
            }
            _ => {}
        }
        match self.builder.add(&record) {
            Ok(()) => Ok(()),
            Err(BuildError::Twice) => self.rival(key, &record),
            Err(error) if error.is_of_record() => {
                self.lost.record(key, &error.to_string());
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Of two records of one task the later one counts.
    fn rival(&mut self, key: &[u8], record: &Record) -> Result<(), BuildError> {
        let Record::Task(task) = record else {
            self.lost.record(key, "another one has its id or name");
            return Ok(());
        };
        if let Some(other) = self.builder.rival(task)?
            && let Record::Task(there) = &other
            && (there.version, there.updated_at) < (task.version, task.updated_at)
        {
            self.builder.take_out(&other)?;
            self.builder.add(record)?;
        }
        self.lost.record(key, "the task is there twice: its later version counts");
        Ok(())
    }

    fn place(&mut self, key: &[u8]) -> Result<(), BuildError> {
        if self.builder.has(key)? {
            return Ok(());
        }
        self.dropped += 1;
        match split_place(key) {
            Some((owner, id)) => self.lost.task(owner, id),
            None => self.lost.record(key, "it is no place of a task"),
        }
        Ok(())
    }

    /// Index entries are not read but made; one that leads to nothing tells of a task that was.
    fn index(&mut self, key: &[u8], failed: &mut Option<BuildError>) -> ControlFlow<()> {
        match self.builder.has(key) {
            Ok(true) => return ControlFlow::Continue(()),
            Ok(false) => {}
            Err(error) => {
                *failed = Some(error);
                return ControlFlow::Break(());
            }
        }
        self.dropped += 1;
        if let Some(file) = key::split_file_by_contents(key).filter(|_| key[0] == latest::FILE_BY_CONTENTS) {
            match self.builder.has(&key::stored_file(&file.owner, &file.session, &file.key)) {
                Ok(true) => {}
                Ok(false) => self.lost.file(&file),
                Err(error) => {
                    *failed = Some(error);
                    return ControlFlow::Break(());
                }
            }
            return ControlFlow::Continue(());
        }
        let owner = owner_of(key);
        // The order of a session's files tells of no task.
        let of_task = record_of_index(key).filter(|at| at.first() == Some(&kind::TASK));
        let position = of_task.and_then(|at| key::position(&at));
        if let (Some(owner), Some(position)) = (owner, position) {
            match self.builder.has(&key::task_place(&owner, position.task_id)) {
                Ok(true) => {}
                Ok(false) => self.lost.task(owner, position.task_id),
                Err(error) => {
                    *failed = Some(error);
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    }
}
