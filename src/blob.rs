//! Files with their contents: what comes in is streamed, counted and hashed on its way; it is in its place, whole and on
//! the disk, before the store says that it is there; and it is removed when no file has it any more.
//!
//! [`Files`] is what the API and the S3 endpoint know of this. The store has the records ([`crate::store::FileStore`]); it
//! refuses nothing about bodies, and this refuses nothing about callers.

pub mod s3;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;

use crate::model::id::KeyId;
use crate::model::stored_file::{ContentHash, FileKey, StoredFile};
use crate::model::time::Time;
use crate::store::context::Place;
use crate::store::file::{Arrival, Condition, Part, UploadId};
use crate::store::{Store, StoreError};

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
}

/// Files with their contents.
pub struct Files {
    store: Arc<dyn Store>,
}

#[allow(unused_variables, clippy::unused_async, clippy::todo, reason = "being written")]
impl Files {
    /// The records.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Bytes of contents that any file may have.
    #[must_use]
    pub fn max_bytes(&self) -> u64 {
        todo!()
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
        todo!()
    }

    /// Gives the contents of `source`, a file of the same chitty id, a further name. No contents are moved.
    ///
    /// # Errors
    /// [`FileError`]; [`StoreError::NoSuchFile`] where `source` is gone.
    pub async fn copy(&self, writer: Writer, facts: Facts, source: &StoredFile) -> Result<StoredFile, FileError> {
        todo!()
    }

    /// The contents of a file from `start` up to `end`, which is not in it.
    ///
    /// # Errors
    /// [`FileError::Unavailable`]; once it has begun, the body breaks off.
    pub async fn open(&self, file: &StoredFile, start: u64, end: u64) -> Result<Body, FileError> {
        todo!()
    }

    /// Removes files. Those that were there.
    ///
    /// # Errors
    /// [`FileError::Store`].
    pub async fn delete(&self, place: Place, keys: Vec<FileKey>, by_s3: bool) -> Result<Vec<StoredFile>, FileError> {
        todo!()
    }

    /// Reads `body` to its end and keeps it as a part of an upload.
    ///
    /// # Errors
    /// [`FileError`]; [`StoreError::NoSuchUpload`].
    pub async fn put_part(
        &self,
        writer: Writer,
        upload: UploadId,
        number: u16,
        body: Body,
        expected: Expected,
    ) -> Result<Part, FileError> {
        todo!()
    }

    /// Ends an upload: `parts` are the numbers and MD5s of its parts, in order.
    ///
    /// # Errors
    /// [`FileError`]; [`StoreError::NoSuchUpload`].
    pub async fn complete_parts(
        &self,
        writer: Writer,
        upload: UploadId,
        parts: Vec<(u16, [u8; 16])>,
        only_if: Condition,
    ) -> Result<StoredFile, FileError> {
        todo!()
    }

    /// Ends an upload without a file. Whether there was one.
    ///
    /// # Errors
    /// [`FileError::Store`].
    pub async fn abort_parts(&self, place: Place, upload: UploadId) -> Result<bool, FileError> {
        todo!()
    }
}

/// `files`, but for `files.store`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of any one file.
    pub max_bytes: u64,
    /// Bytes of contents of a chitty id, where its key has no quota of its own.
    pub quota: u64,
    /// How long tokens are good for.
    pub token_ttl: Duration,
}
