//! sled 0.34 as the engine.
//!
//! What its source and trials say, and what follows from it here:
//! - `flush` is `sync_file_range`, so under `power_loss` an `fdatasync` on its log comes after it.
//! - Only one thread flushes, and never with `flush_async`, which stalls for good when many call it.
//! - An I/O error sticks to the handle; a waiter may then never be woken, unless another flush comes by: see `Nudge`.
//! - A page above 128 KiB goes into a file of its own that is never synced. A leaf has up to 17 entries, so values are
//!   kept small by whoever writes them (`super::super::value`).
//! - Its threads may have a closed log open, and locked, for a moment more: opening waits for them.
//! - An iterator that meets an error gives it again and again: the first one ends a scan here.

pub(in crate::store) mod log;

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sled::{Db, IVec, Tree};

use super::{Batch, Direction, Kv, KvError, Range, Visit};
use crate::store::Durability;

/// Bytes of a segment of sled's log: its default, which is never changed here.
const SEGMENT: u64 = 512 * 1024;
/// The name of the one tree.
const TREE: &str = "chittyconnect";
/// sled's log, in its folder.
const LOG: &str = "db";
/// A flush that takes longer may wait for a wake-up that never comes.
const NUDGE_AFTER: Duration = Duration::from_secs(1);
/// How long the threads of a closed handle may take to let go of the log; a bound, not a measurement.
const LET_GO: Duration = Duration::from_secs(10);

/// An open sled.
pub struct SledKv {
    // First, so that it is gone before the engine is.
    nudge: Nudge,
    tree: Tree,
    db: Db,
    /// `None` under `process_crash`.
    log: Option<File>,
}

impl SledKv {
    /// Opens or makes it in `folder`.
    ///
    /// # Errors
    /// [`KvError`]: locked, unreadable, damaged, full.
    pub fn open(folder: &Path, durability: Durability) -> Result<Self, KvError> {
        let opened = |error| failed("opening", error);
        round_up(&folder.join(LOG)).map_err(|source| KvError::new("opening", source))?;
        let db = open_unlocked(folder).map_err(opened)?;
        let tree = db.open_tree(TREE).map_err(opened)?;
        let io = |source| KvError::new("opening", source);
        let log = match durability {
            Durability::PowerLoss => Some(File::open(folder.join(LOG)).map_err(io)?),
            Durability::ProcessCrash => None,
        };
        let nudge = Nudge::start(db.clone()).map_err(io)?;
        Ok(Self { nudge, tree, db, log })
    }
}

impl Kv for SledKv {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        let value = self.tree.get(key).map_err(|error| failed("reading", error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn range(&self, range: Range<'_>, direction: Direction, visit: &mut Visit<'_>) -> Result<(), KvError> {
        let mut entries = self.tree.range::<&[u8], _>(range);
        loop {
            let next = match direction {
                Direction::Forward => entries.next(),
                Direction::Backward => entries.next_back(),
            };
            let Some(entry) = next else { return Ok(()) };
            let (key, value): (IVec, IVec) = entry.map_err(|error| failed("reading", error))?;
            if let ControlFlow::Break(()) = visit(&key, &value) {
                return Ok(());
            }
        }
    }

    fn apply(&self, batch: Batch) -> Result<(), KvError> {
        let mut all = sled::Batch::default();
        for (key, value) in batch {
            match value {
                Some(value) => all.insert(key, value),
                None => all.remove(key),
            }
        }
        self.tree.apply_batch(all).map_err(|error| failed("writing", error))
    }

    fn sync(&self) -> Result<(), KvError> {
        let _watched = self.nudge.watch();
        self.db.flush().map_err(|error| failed("flushing", error))?;
        match &self.log {
            Some(log) => log.sync_data().map_err(|source| KvError::new("flushing", source)),
            None => Ok(()),
        }
    }

    /// sled 0.34 rewrites its log by itself, as it is written to, and cannot be asked to: this only syncs.
    fn compact(&self) -> Result<(), KvError> {
        self.sync()
    }
}

/// Gives a log that was cut short the rest of its last segment back, as room that is not used: sled goes on writing in it,
/// and cannot read at the next opening what stands in a segment that is not all there.
fn round_up(log: &Path) -> io::Result<()> {
    let file = match File::options().write(true).open(log) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    let whole = length.next_multiple_of(SEGMENT);
    if whole > length { file.set_len(whole) } else { Ok(()) }
}

/// Opens it once the threads of an earlier handle in this process have let go of it; no other process has it, for the
/// store's folder is locked as a whole.
fn open_unlocked(folder: &Path) -> sled::Result<Db> {
    let begun = Instant::now();
    loop {
        match sled::Config::new().path(folder).flush_every_ms(None).open() {
            Err(sled::Error::Io(error)) if is_locked(&error) && begun.elapsed() < LET_GO => {
                thread::park_timeout(Duration::from_millis(10));
            }
            other => return other,
        }
    }
}

/// sled says it in words alone.
fn is_locked(error: &io::Error) -> bool {
    error.to_string().starts_with("could not acquire lock")
}

fn failed(doing: &'static str, error: sled::Error) -> KvError {
    let source = match error {
        sled::Error::Io(source) => source,
        // Its own text ends in a backtrace, which is empty.
        sled::Error::Corruption { .. } => io::Error::new(io::ErrorKind::InvalidData, "its log is damaged"),
        other => io::Error::other(other.to_string()),
    };
    KvError::new(doing, source)
}

/// A thread that calls `flush` when another one takes too long: sled reports a failed write to its handle without waking
/// who waits for it, and a second flush that finds the failure does.
struct Nudge {
    /// Counts beginnings and ends: odd while a flush is in progress.
    turns: Arc<AtomicU64>,
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A flush in progress.
struct Watched<'a>(&'a AtomicU64);

impl Nudge {
    fn start(db: Db) -> io::Result<Self> {
        let turns = Arc::new(AtomicU64::new(0));
        let (stop, stopped) = mpsc::sync_channel(0);
        let seen_by = Arc::clone(&turns);
        let watch = move || {
            let mut before = 0;
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(NUDGE_AFTER) {
                let now = seen_by.load(Ordering::Relaxed);
                if now % 2 == 1 && now == before {
                    // Its error is the one that the flush in progress now returns.
                    db.flush().ok();
                }
                before = now;
            }
        };
        let thread = thread::Builder::new().name("store-nudge".to_owned()).spawn(watch)?;
        Ok(Self { turns, stop: Some(stop), thread: Some(thread) })
    }

    fn watch(&self) -> Watched<'_> {
        self.turns.fetch_add(1, Ordering::Relaxed);
        Watched(&self.turns)
    }
}

impl Drop for Nudge {
    /// Waits for the thread: the engine can be opened again only when nobody has it open any more.
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has nothing to say, and nothing to end by but its loop.
            thread.join().ok();
        }
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_opened_again_while_its_last_threads_still_have_it() {
        let folder = tempfile::tempdir().unwrap();
        let held = SledKv::open(folder.path(), Durability::ProcessCrash).unwrap();
        let closing = thread::spawn(move || {
            thread::park_timeout(Duration::from_millis(200));
            drop(held);
        });
        let again = SledKv::open(folder.path(), Durability::ProcessCrash).unwrap();
        closing.join().unwrap();
        assert_eq!(again.get(b"k").unwrap(), None);
    }
}
