//! fjall 3 as the engine: a log-structured merge tree behind a journal.
//!
//! What its source and trials say, and what follows from it here:
//! - A batch is one record of the journal, and goes to the kernel with `commit`; `persist` is then an `fdatasync`.
//! - Opening ends a journal at the first record that is not whole, silently, and goes on with the next journal; the place
//!   of a record among the others is under no checksum. Lost or reordered batches in the middle would only show in what
//!   they wrote. So every batch also keeps a sum over all entries there are, see `Sum`, and reading all compares it.
//! - A reader without a snapshot sees a batch come up key by key: all reads have one.
//! - A thread in the background that fails marks the handle and ends, and a writer that waits for it waits for ever. So
//!   the waiting is done here, where the mark is looked at: see `FjallKv::wait_for_background`.
//! - The first start writes its `version` last: files without it are of a start that did not end.
//! - Dropping the handle ends the threads, and what they write.

use std::fs;
use std::io;
use std::ops::{Bound, ControlFlow};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use fjall::compaction::Leveled;
use fjall::{AbstractTree, Database, Keyspace, KeyspaceCreateOptions, LsmError, PersistMode, Readable, Snapshot};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

use super::{Batch, Direction, Kv, KvError, Range, Visit};
use crate::store::Durability;

/// The name of the one keyspace.
const KEYSPACE: &str = "chittyconnect";
/// Where the sum is. It comes after every key of the store, whose first byte is a letter, and is never shown.
const SUM: &[u8] = &[0xff];
/// Blocks that are kept in memory: the newest tasks of thousands of sessions, and the filters of a million tasks.
const CACHE: u64 = 48 << 20;
/// Changes that are kept in memory before they become a table. Up to four of these wait for the disk, each half as large
/// again in memory; with the cache that stays below 100 MiB. Like the next one a store keeps it from when it was made.
const MEMTABLE: u64 = 8 << 20;
/// The size of a table: how much is merged in one go, and the room that this takes meanwhile, follow from it.
const TABLE: u64 = 8 << 20;
/// Journals that may wait for their changes to be in tables: two, the fewest there can be.
const JOURNALS: u64 = 128 << 20;
/// Threads in the background: one that brings changes into tables, and one that merges tables.
const WORKERS: usize = 2;
/// Files that are kept open; the proxy needs the others. Above it files are opened again.
const FILES: usize = 256;
/// Memtables that wait for the disk while there are more changes; fjall itself stops at four.
const WAITING: usize = 3;
/// Tables that wait to be merged while there are more changes; fjall itself stops at thirty, and merges all in one go.
const UNMERGED: usize = 8;
/// Room to finish what is under way once there are no more changes: four memtables become tables, and eight tables are
/// merged with the four below them.
const RESERVE: u64 = 160 << 20;
/// Between two looks at what the background does.
const LOOK: Duration = Duration::from_millis(5);

/// An open fjall.
pub struct FjallKv {
    // Before the database, whose end waits for all that hold it.
    entries: Keyspace,
    db: Database,
    persist: PersistMode,
    sum: Mutex<Sum>,
}

impl FjallKv {
    /// Opens or makes it in `folder`.
    ///
    /// # Errors
    /// [`KvError`]: locked, unreadable, damaged, full.
    pub fn open(folder: &Path, durability: Durability) -> Result<Self, KvError> {
        clear_unfinished(folder).map_err(|source| KvError::new("opening", source))?;
        let opened = |error| failed("opening", error);
        let db = Database::builder(folder)
            .cache_size(CACHE)
            .max_journaling_size(JOURNALS)
            .worker_threads(WORKERS)
            .max_cached_files(Some(FILES))
            .open()
            .map_err(opened)?;
        let entries = db.keyspace(KEYSPACE, options).map_err(opened)?;
        let persist = match durability {
            // The journal's length is set when it is made, and what else is needed to read it `fdatasync` writes.
            Durability::PowerLoss => PersistMode::SyncData,
            Durability::ProcessCrash => PersistMode::Buffer,
        };
        let sum = Mutex::new(Sum::stored(&db.snapshot(), &entries).map_err(|error| error.while_doing("opening"))?);
        Ok(Self { entries, db, persist, sum })
    }

    /// Waits until the background has room for more changes.
    fn wait_for_background(&self) -> Result<(), KvError> {
        while self.entries.sealed_memtable_count() >= WAITING || self.entries.tree.l0_run_count() >= UNMERGED {
            self.check()?;
            thread::park_timeout(LOOK);
        }
        Ok(())
    }

    /// Whether the handle is of use still.
    fn check(&self) -> Result<(), KvError> {
        self.db.persist(PersistMode::Buffer).map_err(|error| failed("writing", error))
    }

    /// Shows `visit` the entries of `range` as they were with `snapshot`.
    fn range_at(
        &self,
        snapshot: &Snapshot,
        range: Range<'_>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<ControlFlow<()>, KvError> {
        let Some(range) = visible(range) else { return Ok(ControlFlow::Continue(())) };
        let mut entries = snapshot.range::<&[u8], _>(&self.entries, range);
        loop {
            let next = match direction {
                Direction::Forward => entries.next(),
                Direction::Backward => entries.next_back(),
            };
            let Some(entry) = next else { return Ok(ControlFlow::Continue(())) };
            let (key, value) = entry.into_inner().map_err(|error| failed("reading", error))?;
            if let ControlFlow::Break(()) = visit(&key, &value) {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
}

impl Kv for FjallKv {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        let value = self.db.snapshot().get(&self.entries, key).map_err(|error| failed("reading", error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn range(&self, range: Range<'_>, direction: Direction, visit: &mut Visit<'_>) -> Result<(), KvError> {
        self.range_at(&self.db.snapshot(), range, direction, visit).map(|_| ())
    }

    fn read_all(&self, visit: &mut Visit<'_>) -> Result<(), KvError> {
        let snapshot = self.db.snapshot();
        let expected = Sum::stored(&snapshot, &self.entries).map_err(|error| error.while_doing("reading"))?;
        let mut found = Sum::default();
        let everything = (Bound::Unbounded, Bound::Unbounded);
        let shown = self.range_at(&snapshot, everything, Direction::Forward, &mut |key, value| {
            found.add(key, value);
            visit(key, value)
        })?;
        if shown.is_continue() && found != expected {
            let lost = "its entries are not those that were written last";
            return Err(KvError::new("reading", io::Error::new(io::ErrorKind::InvalidData, lost)));
        }
        Ok(())
    }

    fn apply(&self, batch: Batch) -> Result<(), KvError> {
        self.wait_for_background()?;
        let mut sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
        let mut after = *sum;
        let before = self.db.snapshot();
        let mut all = self.db.batch();
        for (key, value) in batch {
            let earlier = before.get(&self.entries, &key).map_err(|error| failed("reading", error))?;
            if let Some(earlier) = &earlier {
                after.take_away(&key, earlier);
            }
            match value {
                Some(value) => {
                    after.add(&key, &value);
                    all.insert(&self.entries, key, value);
                }
                None if earlier.is_some() => all.remove(&self.entries, key),
                None => {}
            }
        }
        drop(before);
        all.insert(&self.entries, SUM, after.to_bytes());
        all.commit().map_err(|error| failed("writing", error))?;
        *sum = after;
        Ok(())
    }

    fn sync(&self) -> Result<(), KvError> {
        self.db.persist(self.persist).map_err(|error| failed("flushing", error))
    }

    fn reserve(&self) -> u64 {
        RESERVE
    }

    fn compact(&self) -> Result<(), KvError> {
        let compacting = |error| failed("compacting", error);
        self.wait_for_background()?;
        self.entries.rotate_memtable().map_err(compacting)?;
        while self.entries.sealed_memtable_count() > 0 {
            self.check()?;
            thread::park_timeout(LOOK);
        }
        self.entries.major_compact().map_err(compacting)
    }
}

fn options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(MEMTABLE)
        // The upper two levels, which are rewritten often, stay uncompressed; all others are packed with LZ4.
        .compaction_strategy(Arc::new(Leveled::default().with_table_target_size(TABLE)))
}

/// Removes the journal of a first start that did not end: nothing can be in it, and another one cannot be made.
fn clear_unfinished(folder: &Path) -> io::Result<()> {
    if folder.join("version").try_exists()? || has_entries(&folder.join("keyspaces"))? {
        return Ok(());
    }
    match fs::remove_file(folder.join("0.jnl")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn has_entries(folder: &Path) -> io::Result<bool> {
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// `range` without the sum; `None` if that is empty.
fn visible((start, end): Range<'_>) -> Option<Range<'_>> {
    let end = match end {
        Bound::Included(key) | Bound::Excluded(key) if key < SUM => end,
        _ => Bound::Excluded(SUM),
    };
    let is_empty = match (start, end) {
        (Bound::Included(first), Bound::Included(last)) => first > last,
        (Bound::Included(first) | Bound::Excluded(first), Bound::Included(last) | Bound::Excluded(last)) => {
            first >= last
        }
        _ => false,
    };
    (!is_empty).then_some((start, end))
}

fn failed(doing: &'static str, error: fjall::Error) -> KvError {
    let damaged = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let source = match error {
        fjall::Error::Io(source) | fjall::Error::Storage(LsmError::Io(source)) => source,
        fjall::Error::JournalRecovery(_) => damaged("its journal is damaged"),
        fjall::Error::Storage(LsmError::ChecksumMismatch { .. }) => damaged("a checksum does not match"),
        fjall::Error::Storage(LsmError::Unrecoverable) => damaged("a file is missing or cannot be read"),
        fjall::Error::Poisoned => io::Error::other("a write failed before; the log has more"),
        other => io::Error::other(other.to_string()),
    };
    KvError::new(doing, source)
}

/// The sum over all entries of a hash of each: it does not matter in which order they are added and taken away, but any
/// one that is missing, additional or another one does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum(u128);

/// The sum cannot be read.
enum Unread {
    Engine(fjall::Error),
    Length,
}

impl Unread {
    fn while_doing(self, doing: &'static str) -> KvError {
        match self {
            Self::Engine(error) => failed(doing, error),
            Self::Length => KvError::new(doing, io::Error::new(io::ErrorKind::InvalidData, "its sum is damaged")),
        }
    }
}

impl Sum {
    /// What was written with the last batch.
    fn stored(snapshot: &Snapshot, entries: &Keyspace) -> Result<Self, Unread> {
        match snapshot.get(entries, SUM).map_err(Unread::Engine)? {
            None => Ok(Self::default()),
            Some(bytes) => {
                bytes.as_ref().try_into().map(|bytes| Self(u128::from_le_bytes(bytes))).map_err(|_| Unread::Length)
            }
        }
    }

    fn add(&mut self, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_add(hash(key, value));
    }

    fn take_away(&mut self, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_sub(hash(key, value));
    }

    fn to_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }
}

/// XXH3: fast, the same for ever, and what fjall itself guards its blocks with.
fn hash(key: &[u8], value: &[u8]) -> u128 {
    xxh3_128_with_seed(value, xxh3_64(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What ends a record of the journal.
    const END: &[u8] = b"FJL\x03";

    /// Batches in one journal, and where each begins and the last one ends; `a` is what the fifth one made it.
    fn journal() -> (tempfile::TempDir, Vec<u8>, Vec<usize>) {
        let folder = tempfile::tempdir().unwrap();
        let kv = FjallKv::open(folder.path(), Durability::PowerLoss).unwrap();
        for number in 1..=40_u8 {
            let keys: &[&[u8]] = if number <= 5 { &[b"a", b"c"] } else { &[b"c"] };
            kv.apply(keys.iter().map(|key| (key.to_vec(), Some(vec![number]))).collect()).unwrap();
        }
        kv.sync().unwrap();
        drop(kv);
        let journal = fs::read(folder.path().join("0.jnl")).unwrap();
        let ends = journal.windows(END.len()).enumerate().filter(|(_, end)| *end == END).map(|(at, _)| at + END.len());
        let places: Vec<usize> = [0].into_iter().chain(ends).collect();
        assert_eq!(places.len(), 41);
        (folder, journal[..places[40]].to_vec(), places)
    }

    /// What comes up with these journals, if it is not refused.
    fn comes_up(folder: &Path, journals: &[&[u8]]) -> Option<[Option<Vec<u8>>; 2]> {
        for (number, journal) in journals.iter().enumerate() {
            fs::write(folder.join(format!("{number}.jnl")), journal).unwrap();
        }
        let kv = FjallKv::open(folder, Durability::PowerLoss).ok()?;
        kv.read_all(&mut |_, _| ControlFlow::Continue(())).ok()?;
        Some([kv.get(b"a").unwrap(), kv.get(b"c").unwrap()])
    }

    #[test]
    fn a_batch_that_is_lost_in_the_middle_is_noticed() {
        let (folder, journal, places) = journal();
        let whole = Some([Some(vec![5]), Some(vec![40])]);
        assert_eq!(comes_up(folder.path(), &[&journal[..places[5]], &journal[places[5]..]]), whole);
        let (folder, journal, places) = self::journal();
        assert_eq!(comes_up(folder.path(), &[&journal[..places[4]], &journal[places[5]..]]), None);
        // What only the last batches made is another matter: the witness knows of them.
        let (folder, journal, places) = self::journal();
        assert_eq!(comes_up(folder.path(), &[&journal[..places[39]]]), Some([Some(vec![5]), Some(vec![39])]));
    }

    #[test]
    fn a_batch_out_of_its_place_is_noticed() {
        let mut noticed = 0;
        for flip in [1, 2, 4, 8, 16, 32, 64, 128] {
            let (folder, mut journal, places) = journal();
            // The place among the others follows a tag and the number of entries.
            journal[places[1] + 5] ^= flip;
            match comes_up(folder.path(), &[&journal]) {
                None => noticed += 1,
                // As with the record of the last change, which then is an earlier one's: the witness knows of that.
                Some([_, last]) if last != Some(vec![40]) => {}
                Some([earlier, _]) => assert_eq!(earlier, Some(vec![5]), "{flip}"),
            }
        }
        assert!(noticed > 0);
    }

    #[test]
    fn a_background_that_fails_ends_writing_and_holds_up_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let kv = FjallKv::open(folder.path(), Durability::ProcessCrash).unwrap();
        kv.apply(Batch::from([(b"k".to_vec(), Some(vec![1]))])).unwrap();
        fs::remove_dir_all(folder.path().join("keyspaces/1/tables")).unwrap();
        // No table can be made of these.
        let failed = (0..100_u8).find_map(|number| {
            let large = (0..=255_u8).map(|key| (vec![b'l', number, key], Some(vec![number; 4096])));
            kv.apply(large.collect()).err()
        });
        let failed = failed.unwrap();
        assert!(crate::telemetry::describe(&failed).contains("a write failed before"), "{failed:?}");
        assert_eq!(kv.get(b"k").unwrap(), Some(vec![1]));
        assert!(kv.sync().is_err() && kv.compact().is_err());
    }

    #[test]
    fn a_first_start_that_did_not_end_is_told_from_one_that_did() {
        let (folder, ..) = journal();
        let files = |folder: &Path| fs::read_dir(folder).unwrap().count();
        let before = files(folder.path());
        clear_unfinished(folder.path()).unwrap();
        assert_eq!(files(folder.path()), before);
        fs::remove_file(folder.path().join("version")).unwrap();
        clear_unfinished(folder.path()).unwrap();
        assert_eq!(files(folder.path()), before - 1, "there is something in it");
    }
}
