//! Files with their contents: what comes in is streamed, counted and hashed on its way; it is in its place, whole and on
//! the disk, before the store says that it is there; and it is removed when no file has it any more.
//!
//! [`Files`] is what the API and the S3 endpoint know of this. The store has the records ([`crate::store::FileStore`]); it
//! refuses nothing about bodies, and this refuses nothing about callers.

mod contents;
mod keep;
pub mod mac;
mod parts;
mod pin;
mod receive;
pub mod s3;
mod sweep;
pub mod token;
pub mod uri;
pub mod verify;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use tokio::sync::Notify;

use crate::model::id::{ChittyId, KeyId};
use crate::model::stored_file::{ContentHash, FileKey, StoredFile};
use crate::model::time::Time;
use crate::store::context::Place;
use crate::store::file::{Arrival, Condition, ContentsOf};
use crate::store::{Durability, Store, StoreError};
use crate::telemetry::metrics::Metrics;
use contents::Contents;
pub use contents::{Location, LocationError};
use pin::Pins;
use receive::{Received, receive};

/// Who reports what S3 clients change.
const S3: &str = "s3";

/// What goes wrong while a body is read.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;
/// A body on its way, in or out.
pub type Body = BoxStream<'static, Result<Bytes, BodyError>>;

/// Who writes, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    /// Whose file, and in which session.
    pub place: Place,
    /// The key that writes.
    pub key_id: KeyId,
    /// Bytes that the chitty id may have; `None` = as `files.quota` says.
    pub quota: Option<u64>,
}

/// What a file is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields of `NewFile`")]
pub struct Facts {
    pub key: FileKey,
    pub given_name: Option<String>,
    pub mime: Option<String>,
    pub headers: Vec<(String, String)>,
    pub metadata: Vec<(String, String)>,
    pub source_modified_at: Option<Time>,
    pub how: Arrival,
    pub only_if: Condition,
}

/// What a body must be.
#[derive(Default)]
pub struct Expected {
    /// Exactly so many bytes.
    pub size: Option<u64>,
    /// With this SHA-256.
    pub hash: Option<ContentHash>,
    /// With this MD5.
    pub md5: Option<[u8; 16]>,
    /// What else is to be asked once all of it has been read; the text says what is wrong.
    pub check: Option<Box<dyn FnOnce() -> Result<(), String> + Send>>,
}

/// Why a file was not kept, or cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is larger than any may be.
    #[error("the contents have more than {0} bytes")]
    TooLarge(u64),
    /// It is not as large as was said.
    #[error("the contents have {found} bytes; {expected} were announced")]
    Size {
        /// What was said.
        expected: u64,
        /// What came; one more than was said where the rest was not read.
        found: u64,
    },
    /// It is not what was said.
    #[error("the contents have the SHA-256 {found}; {expected} was announced")]
    Hash {
        /// What was said.
        expected: ContentHash,
        /// What came.
        found: ContentHash,
    },
    /// It is not what was said.
    #[error("the contents have another MD5 than was announced")]
    Md5,
    /// [`Expected::check`] says so.
    #[error("{0}")]
    Check(String),
    /// The body ended before its end.
    #[error("the body broke off")]
    BrokeOff(#[source] BodyError),
    /// An upload is ended with parts that it does not have.
    #[error("part {0} is not there, or is another one")]
    InvalidPart(u16),
    /// An upload is ended with parts that are not in order.
    #[error("the parts are not in the order of their numbers")]
    PartOrder,
    /// A part that is not the last is smaller than parts may be.
    #[error("part {0} has less than 5 MiB and is not the last")]
    PartTooSmall(u16),
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no room where contents are.
    #[error("there is no room for the contents")]
    NoRoom(#[source] object_store::Error),
    /// Where contents are cannot be used.
    #[error("where contents are kept cannot be used")]
    Unavailable(#[source] object_store::Error),
    /// The contents of a file are not in their place, which the operator must see to.
    #[error("the contents of the file are not in their place")]
    Lost,
}

impl FileError {
    /// What the place for contents says.
    fn place(error: object_store::Error) -> Self {
        if is_full(&error) { Self::NoRoom(error) } else { Self::Unavailable(error) }
    }
}

/// Whether a disk, or what a user may have of it, is full.
fn is_full(error: &object_store::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            let full =
                [std::io::ErrorKind::StorageFull, std::io::ErrorKind::QuotaExceeded, std::io::ErrorKind::FileTooLarge];
            return full.contains(&error.kind());
        }
        cause = error.source();
    }
    false
}

/// Files with their contents.
pub struct Files {
    store: Arc<dyn Store>,
    contents: Arc<Contents>,
    pins: Arc<Pins>,
    /// Wakes whoever removes what no file has any more.
    unreferenced: Arc<Notify>,
    metrics: Arc<Metrics>,
    limits: Limits,
}

impl Files {
    /// Opens the place for contents. Asks no bucket anything.
    ///
    /// # Errors
    /// [`LocationError`].
    pub fn new(config: &Config, store: Arc<dyn Store>, metrics: Arc<Metrics>) -> Result<Self, LocationError> {
        let contents = Arc::new(Contents::open(&config.location, config.durability)?);
        let (pins, unreferenced) = (Arc::default(), Arc::default());
        Ok(Self { store, contents, pins, unreferenced, metrics, limits: config.limits })
    }

    /// The records.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// What files may be at the most.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Bytes of contents that any file may have.
    #[must_use]
    pub fn max_bytes(&self) -> u64 {
        self.limits.max_bytes
    }

    /// What is wrong with the place for contents, for the operator.
    #[must_use]
    pub fn trouble(&self) -> Option<Arc<str>> {
        self.contents.trouble()
    }

    /// Bytes of contents that are left to a chitty id whose key has this quota.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn left(&self, chitty_id: ChittyId, quota: Option<u64>) -> Result<u64, StoreError> {
        let used = self.store.usage(chitty_id).await?.bytes;
        Ok(quota.unwrap_or(self.limits.quota).saturating_sub(used))
    }

    /// Reads `body` to its end and keeps it as a file. If this is dropped meanwhile, nothing is kept and nothing is left.
    ///
    /// # Errors
    /// [`FileError`]; then nothing is kept.
    pub async fn put(
        &self,
        writer: Writer,
        facts: Facts,
        body: Body,
        expected: Expected,
    ) -> Result<StoredFile, FileError> {
        let limit = self.room_for(&writer, Some(&facts.key), (expected.size, expected.hash)).await?;
        let received = self.receive(body, limit, expected).await?;
        let etag = hex::encode(received.md5);
        self.keep(writer, facts, received, etag).await
    }

    /// Bytes that a body may have, as far as that is known before it is read. Of a short one nothing needs to be known: it
    /// takes no room before it is whole, and then the store sees to the quota.
    ///
    /// # Errors
    /// [`FileError::TooLarge`], [`StoreError::QuotaExceeded`]: it is too large as it is announced.
    /// [`StoreError::Unavailable`]: there could be no record of it.
    async fn room_for(
        &self,
        writer: &Writer,
        replaces: Option<&FileKey>,
        (size, hash): (Option<u64>, Option<ContentHash>),
    ) -> Result<Room, FileError> {
        let max = self.limits.max_bytes;
        if size.is_some_and(|size| size > max) {
            return Err(FileError::TooLarge(max));
        }
        self.is_writable()?;
        let short = max.min(self.contents.piece() as u64);
        if size.is_some_and(|size| size <= short) {
            return Ok(Room { bytes: max, left: None });
        }
        let Writer { place, quota, .. } = writer;
        let mut left = self.left(place.chitty_id.clone(), *quota).await?;
        if left >= max {
            return Ok(Room { bytes: max, left: None });
        }
        if let Some(key) = replaces {
            let there = self.store.file(place.clone(), key.clone()).await?;
            left = left.saturating_add(there.map_or(0, |file| file.contents.size));
        }
        if let Some(hash) = hash {
            // What is there already takes no room.
            let contents = ContentsOf { chitty_id: place.chitty_id.clone(), hash };
            if self.store.is_referenced(contents).await? {
                return Ok(Room { bytes: max, left: None });
            }
        }
        let bytes = max.min(left.max(short));
        match size {
            Some(asked) if asked > bytes => Err(StoreError::QuotaExceeded { asked, left }.into()),
            _ => Ok(Room { bytes, left: Some(left).filter(|left| *left < max) }),
        }
    }

    /// Whether the store takes changes, as far as that is known. Contents without a record would only fill a full disk
    /// further.
    fn is_writable(&self) -> Result<(), StoreError> {
        self.store.trouble().map_or(Ok(()), |why| Err(StoreError::Unavailable(why)))
    }

    async fn receive(&self, body: Body, room: Room, expected: Expected) -> Result<Received, FileError> {
        match receive(&self.contents, body, room.bytes, expected).await {
            Err(FileError::TooLarge(limit)) => match room.left {
                Some(left) => Err(StoreError::QuotaExceeded { asked: limit.saturating_add(1), left }.into()),
                None => Err(FileError::TooLarge(limit)),
            },
            received => received,
        }
    }

    /// The contents of a file from `start` up to `end`, which is not in it.
    ///
    /// # Errors
    /// [`FileError::Lost`], [`FileError::Unavailable`]; once it has begun, the body breaks off.
    pub async fn open(&self, file: &StoredFile, start: u64, end: u64) -> Result<Body, FileError> {
        let of = ContentsOf { chitty_id: file.chitty_id.clone(), hash: file.contents.hash };
        match self.contents.read(&of, start..end).await {
            Ok(body) => Ok(body),
            Err(object_store::Error::NotFound { .. }) => {
                let place = Place { chitty_id: file.chitty_id.clone(), session_id: file.session_id.clone() };
                match self.store.file(place, file.key.clone()).await? {
                    Some(now) if now.contents == file.contents => {
                        tracing::error!(file = %file.uri(), contents = %of.hash, "the contents of a file are lost");
                        Err(FileError::Lost)
                    }
                    // It was removed or replaced between the two looks.
                    _ => Err(StoreError::NoSuchFile.into()),
                }
            }
            Err(error) => Err(FileError::place(error)),
        }
    }

    /// Removes files. Those that were there.
    ///
    /// # Errors
    /// [`FileError::Store`].
    pub async fn delete(&self, place: Place, keys: Vec<FileKey>, by_s3: bool) -> Result<Vec<StoredFile>, FileError> {
        let deleted = self.store.delete_files(place, keys, by_s3).await?;
        self.unreferenced.notify_one();
        if by_s3 && !deleted.is_empty() {
            self.metrics.synced(S3);
        }
        Ok(deleted)
    }
}

/// Bytes that a body may have.
#[derive(Clone, Copy, Debug)]
struct Room {
    bytes: u64,
    /// What is left of the quota, where that is what limits it.
    left: Option<u64>,
}

/// The `files` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where contents are kept.
    pub location: Location,
    /// What contents in a folder survive, as the records in the store do.
    pub durability: Durability,
    /// What files may be at the most.
    pub limits: Limits,
}

/// What files may be at the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of any one file.
    pub max_bytes: u64,
    /// Bytes of contents of a chitty id, where its key has no quota of its own.
    pub quota: u64,
    /// How long tokens are good for.
    pub token_ttl: Duration,
}

#[cfg(test)]
mod tests;
