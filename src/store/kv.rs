//! What the embedded store stands on: one ordered map of bytes, on a disk.

pub mod fjall;
pub mod sled;

use std::collections::BTreeMap;
use std::io;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

/// Keys from here to there.
pub type Range<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// What to do in one go: keys with their new values, `None` = removed.
pub type Batch = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Far above what one group of changes takes, and what opening takes.
pub const RESERVE: u64 = 64 << 20;

/// Which end of a range comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The smallest key.
    Forward,
    /// The largest key.
    Backward,
}

/// The engine failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the engine failed while {doing}")]
pub struct KvError {
    doing: &'static str,
    #[source]
    source: Arc<io::Error>,
}

impl KvError {
    /// `source` happened while `doing` something.
    #[must_use]
    pub fn new(doing: &'static str, source: io::Error) -> Self {
        Self { doing, source: Arc::new(source) }
    }

    /// Whether it was for want of room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        is_full(&self.source)
    }
}

/// Whether `error` is for want of room on the disk.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

/// What a scan calls for each entry; it ends when told to break.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// One ordered map. Any number of readers; one writer at a time.
pub trait Kv: Send + Sync {
    /// The value of `key`.
    ///
    /// # Errors
    /// [`KvError`].
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError>;

    /// Shows `visit` the entries of `range` in order, until it breaks.
    ///
    /// # Errors
    /// [`KvError`].
    fn range(&self, range: Range<'_>, direction: Direction, visit: &mut Visit<'_>) -> Result<(), KvError>;

    /// Does all of `batch` or nothing of it, also over a crash. Durable once [`Kv::sync`] returns.
    ///
    /// # Errors
    /// [`KvError`].
    fn apply(&self, batch: Batch) -> Result<(), KvError>;

    /// Makes what was applied before durable.
    ///
    /// # Errors
    /// [`KvError`]: whether it is durable is then unknown, and this handle is of no more use for writing.
    fn sync(&self) -> Result<(), KvError>;

    /// Shows `visit` all entries in order, as [`Kv::range`] does; at their end an engine that can tell finds out whether
    /// they are all that was written, and nothing else.
    ///
    /// # Errors
    /// [`KvError`], also when they are not.
    fn read_all(&self, visit: &mut Visit<'_>) -> Result<(), KvError> {
        self.range((Bound::Unbounded, Bound::Unbounded), Direction::Forward, visit)
    }

    /// Room that is left on the disk, in bytes: it is written to only where there is more, so that it never meets a full
    /// disk.
    fn reserve(&self) -> u64 {
        RESERVE
    }

    /// Gives back room on the disk that no entry needs, as far as the engine can. Takes a while, and up to as much room
    /// again meanwhile; reading and writing go on.
    ///
    /// # Errors
    /// [`KvError`].
    fn compact(&self) -> Result<(), KvError>;
}

/// Shows `visit` the entries whose key begins with `prefix`, in order.
///
/// # Errors
/// [`KvError`].
pub fn scan_prefix(kv: &dyn Kv, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), KvError> {
    kv.range((Bound::Included(prefix), Bound::Unbounded), Direction::Forward, &mut |key, value| {
        if key.starts_with(prefix) { visit(key, value) } else { ControlFlow::Break(()) }
    })
}
