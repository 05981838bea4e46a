//! A store that is put together anew, record by record, in an engine that nobody else knows of yet.
//!
//! What follows from records (places, index entries, counts) is made here and taken from nowhere, and what is counted when
//! it is asked for is left out, so a store that was built agrees with itself. It says what format it is in only at its end: one that was not finished is none.

use std::collections::{BTreeMap, HashSet};
use std::ops::{Bound, ControlFlow};

use crate::model::file::ContextFile;
use crate::model::stored_file::StoredFile;
use crate::model::task::Task;
use crate::store::embedded::context::hash_of;
use crate::store::embedded::context::record::of_file;
use crate::store::embedded::context::rows::{agree, facts_of};
use crate::store::embedded::file::of_record;
use crate::store::embedded::task::{decode_task, place_of};
use crate::store::embedded::verify::key_of_place;
use crate::store::folder::Folder;
use crate::store::key;
use crate::store::kv::{Batch, Kv, KvError, RESERVE, scan_prefix};
use crate::store::migration::m0001_context_sync::{CommitRecord, ContextFileRecord, FormatRecord};
use crate::store::migration::m0002_identity_and_registry::TrimmedRecord;
use crate::store::migration::m0003_files::BucketRecord;
use crate::store::migration::{FORMAT, OLDEST_READER, RecordError, decode, encode};
use crate::store::record::{Kind, Record};
use crate::store::value;

/// Bytes that are written in one go, about.
const BATCH_BYTES: usize = 1 << 20;
/// Entries that are written in one go, about.
const BATCH_ENTRIES: usize = 2048;

/// Why a record is not taken, or nothing more is.
#[derive(Debug, thiserror::Error)]
pub(in crate::store) enum BuildError {
    /// It is there already.
    #[error("it is there twice")]
    Twice,
    /// It is longer than what one value may be.
    #[error("it is too long; accepted: 1 MiB a record")]
    TooLong,
    /// It cannot be a record.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The disk has no room.
    #[error("the disk has no room; 64 MiB stay free")]
    Full,
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] KvError),
}

impl BuildError {
    /// Whether it is about one record alone.
    pub(in crate::store) fn is_of_record(&self) -> bool {
        matches!(self, Self::Twice | Self::TooLong | Self::Record(_))
    }
}

/// A store in the making.
pub(in crate::store) struct Builder<'a> {
    folder: &'a Folder,
    kv: Box<dyn Kv>,
    batch: Batch,
    bytes: usize,
    entries: u64,
    /// The largest number of an event.
    number: u64,
    counts: BTreeMap<Kind, u64>,
    /// Rows and buckets that stored files lacked, or that said otherwise.
    mended: u64,
    /// Ids of keys and names of registrations: one each in the whole store, whoever has it.
    names: HashSet<(Kind, String)>,
}

impl<'a> Builder<'a> {
    /// Begins one in an engine that is empty, in `folder`.
    pub(in crate::store) fn new(folder: &'a Folder, kv: Box<dyn Kv>) -> Self {
        Self {
            folder,
            kv,
            batch: Batch::new(),
            bytes: 0,
            entries: 0,
            number: 0,
            counts: BTreeMap::new(),
            mended: 0,
            names: HashSet::new(),
        }
    }

    /// Records so far, by kind.
    pub(in crate::store) fn counts(&self) -> &BTreeMap<Kind, u64> {
        &self.counts
    }

    /// Rows in the context and buckets that had to be made for stored files, or made to say what those say.
    pub(in crate::store) fn mended(&self) -> u64 {
        self.mended
    }

    /// Entries so far.
    pub(in crate::store) fn entries(&self) -> u64 {
        self.entries
    }

    /// Adds a record with everything that follows from it.
    ///
    /// # Errors
    /// [`BuildError`]; after one that is of the record alone, others can be added.
    pub(in crate::store) fn add(&mut self, record: &Record) -> Result<(), BuildError> {
        let key = record.key()?;
        let name = match record {
            Record::Key { record, .. } => Some((Kind::Key, record.id.clone())),
            Record::Registration(registration) => Some((Kind::Registration, registration.name.clone())),
            _ => None,
        };
        let place = match record {
            Record::Task(task) => Some(key::task_place(&task.chitty_id, task.task_id)),
            _ => None,
        };
        let taken = self.has(place.as_ref().unwrap_or(&key))?;
        if taken || name.as_ref().is_some_and(|name| self.names.contains(name)) {
            return Err(BuildError::Twice);
        }
        let entries = value::entries(&key, &record.value()?).ok_or(BuildError::TooLong)?;
        self.names.extend(name);
        for (key, entry) in entries {
            self.put(key, entry);
        }
        if let (Record::Task(task), Some(place)) = (record, place) {
            let value = encode(&place_of(task))?;
            for (key, entry) in value::entries(&place, &value).ok_or(BuildError::TooLong)? {
                self.put(key, entry);
            }
        }
        record.indexes()?.into_iter().for_each(|index| self.put(index, Vec::new()));
        if let Record::StoredFile(file) = record {
            self.follow(&of_record(file)?)?;
        }
        self.number = self.number.max(record.number().unwrap_or(0));
        *self.counts.entry(record.kind()).or_default() += 1;
        if self.bytes >= BATCH_BYTES || self.batch.len() >= BATCH_ENTRIES { self.flush() } else { Ok(()) }
    }

    /// Has the row and the bucket of a stored file be there and say what it says. An export that is made while files come
    /// and go may have been ahead of one of them.
    fn follow(&mut self, file: &StoredFile) -> Result<(), BuildError> {
        let (owner, session) = (&file.chitty_id, &file.session_id);
        let bucket = key::bucket(owner, session);
        if !self.has(&bucket)? {
            let record = BucketRecord { created_at: file.created_at.as_millis() };
            self.put_whole(&Record::Bucket { chitty_id: owner.clone(), session_id: session.clone(), record })?;
        }
        let at = key::context_file(owner, session, &hash_of(&file.uri()));
        let row: Option<ContextFileRecord> = self.value(&at)?.map(|row| decode(&row)).transpose()?;
        if row.as_ref().is_some_and(|row| agree(row, file)) {
            return Ok(());
        }
        let (chitty_id, session_id) = (owner.clone(), session.clone());
        let now = file.modified_at;
        let fresh = of_file(&ContextFile::first_heard_of(chitty_id, session_id, facts_of(file, None), now));
        let row = match row {
            Some(row) => {
                self.remove(&Record::ContextFile(Box::new(row.clone())))?;
                let ContextFileRecord { name, size, sha256, mime, r2_key, modified_at, .. } = fresh;
                ContextFileRecord { name, size, sha256, mime, r2_key, modified_at, ..row }
            }
            None => fresh,
        };
        self.put_whole(&Record::ContextFile(Box::new(row)))
    }

    /// Puts a record that is in no export.
    fn put_whole(&mut self, record: &Record) -> Result<(), BuildError> {
        self.mended += 1;
        for (key, entry) in value::entries(&record.key()?, &record.value()?).ok_or(BuildError::TooLong)? {
            self.put(key, entry);
        }
        record.indexes()?.into_iter().for_each(|index| self.put(index, Vec::new()));
        Ok(())
    }

    /// The task that was added with this one's id, if one was.
    pub(in crate::store) fn rival(&self, task: &Task) -> Result<Option<Record>, BuildError> {
        let at = key::task_place(&task.chitty_id, task.task_id);
        let Some(place) = self.value(&at)? else { return Ok(None) };
        let Some(at) = key_of_place(&at, &decode(&place)?) else { return Ok(None) };
        let Some(value) = self.value(&at)? else { return Ok(None) };
        Ok(Some(Record::Task(Box::new(decode_task(&value)?))))
    }

    /// Takes a record out again.
    pub(in crate::store) fn take_out(&mut self, record: &Record) -> Result<(), BuildError> {
        self.remove(record)?;
        if let Some(count) = self.counts.get_mut(&record.kind()) {
            *count -= 1;
        }
        Ok(())
    }

    fn remove(&mut self, record: &Record) -> Result<(), BuildError> {
        let key = record.key()?;
        let mut keys: Vec<_> =
            value::entries(&key, &record.value()?).into_iter().flatten().map(|(key, _)| key).collect();
        if let Record::Task(task) = record {
            keys.push(key::task_place(&task.chitty_id, task.task_id));
        }
        keys.extend(record.indexes()?);
        for key in keys {
            self.entries -= 1;
            self.batch.insert(key, None);
        }
        Ok(())
    }

    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BuildError> {
        value::read(key, |key| self.entry(key), || BuildError::Record(RecordError::Damaged))
    }

    fn entry(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BuildError> {
        match self.batch.get(key) {
            Some(entry) => Ok(entry.clone()),
            None => Ok(self.kv.get(key)?),
        }
    }

    /// Whether there is anything under `key`.
    pub(in crate::store) fn has(&self, key: &[u8]) -> Result<bool, BuildError> {
        Ok(self.entry(key)?.is_some())
    }

    /// Whether there is anything whose key begins with `prefix`.
    pub(in crate::store) fn has_under(&self, prefix: &[u8]) -> Result<bool, BuildError> {
        let mut batch = self.batch.range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded));
        if batch.next().is_some_and(|(key, entry)| key.starts_with(prefix) && entry.is_some()) {
            return Ok(true);
        }
        let mut found = false;
        scan_prefix(&*self.kv, prefix, &mut |key, _| {
            found = self.batch.get(key).is_none_or(Option::is_some);
            if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(found)
    }

    fn put(&mut self, key: Vec<u8>, entry: Vec<u8>) {
        self.entries += 1;
        self.bytes += key.len() + entry.len();
        self.batch.insert(key, Some(entry));
    }

    fn flush(&mut self) -> Result<(), BuildError> {
        if self.folder.room().unwrap_or(u64::MAX) < RESERVE {
            return Err(BuildError::Full);
        }
        self.bytes = 0;
        Ok(self.kv.apply(std::mem::take(&mut self.batch))?)
    }

    /// Ends it, durable: the store came up with change `commit`, its last event was `event` or the largest that was
    /// added, and those up to `trimmed` are gone.
    pub(in crate::store) fn finish(mut self, commit: u64, event: u64, trimmed: u64) -> Result<(), BuildError> {
        self.flush()?;
        self.kv.sync()?;
        let format = FormatRecord { format: FORMAT, oldest_reader: OLDEST_READER.to_owned() };
        let commit = CommitRecord { commit, event: event.max(self.number).max(trimmed), entries: self.entries };
        let mut last = Batch::from([
            (key::FORMAT.to_vec(), Some(encode(&format)?)),
            (key::COMMIT.to_vec(), Some(encode(&commit)?)),
        ]);
        if trimmed > 0 {
            last.insert(key::TRIMMED.to_vec(), Some(encode(&TrimmedRecord { event: trimmed })?));
        }
        self.kv.apply(last)?;
        Ok(self.kv.sync()?)
    }
}
