//! Files whose contents are kept: their records. Where the contents themselves are is not the store's affair, but it says
//! which of them may be removed.
//!
//! Contents go through three states, so that none is ever in its place unknown to the store, and none that a file has is
//! ever removed. *Awaited*: [`FileStore::expect_contents`] has noted that they may appear. *Referenced*: a file has them.
//! *Unreferenced*: the last file that had them is gone; this is the same note as the first. What is noted may be removed
//! by whoever makes sure that nobody is putting the same contents there at that moment, and is then forgotten.
//!
//! The first note may also be where the contents are, if it outlasts the process there ([`Noted::InPlace`]): that takes one
//! change less.

use async_trait::async_trait;

use super::StoreError;
use super::context::Place;
use crate::model::file::ContextFile;
use crate::model::id::{ChittyId, KeyId, SessionId, TaskId};
use crate::model::stored_file::{ContentHash, Contents, FileKey, StoredFile};
use crate::model::time::Time;

/// Files of one chitty id at the most, so that a quota in bytes cannot be had in files of one byte.
pub const MAX_STORED_FILES: u64 = 1_000_000;
/// Uploads in parts that one chitty id has begun and not ended, at the most.
pub const MAX_PART_UPLOADS: usize = 1000;
/// Buckets of one chitty id that were made without files, at the most: those with files are as many as there are.
pub const MAX_BUCKETS: usize = 10_000;
/// Parts of one upload at the most, as S3 has it.
pub const MAX_PARTS: u16 = 10_000;

/// Contents in one chitty id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "their types say it")]
pub struct ContentsOf {
    pub chitty_id: ChittyId,
    pub hash: ContentHash,
}

/// A file whose contents are in their place, to be kept under its name, in place of the one that has that name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields of `StoredFile` but for those with comments")]
pub struct NewFile {
    pub place: Place,
    pub key: FileKey,
    pub given_name: Option<String>,
    pub contents: Contents,
    pub etag: String,
    pub mime: Option<String>,
    pub headers: Vec<(String, String)>,
    pub metadata: Vec<(String, String)>,
    pub key_id: KeyId,
    pub source_modified_at: Option<Time>,
    /// Bytes of contents that the chitty id may have with this file.
    pub quota: u64,
    /// How it came.
    pub how: Arrival,
    /// What must be so for it to be kept.
    pub only_if: Condition,
    /// Where it is noted that its contents are in their place.
    pub noted: Noted,
}

/// Who would remove contents that no file got in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// The store knows of them: [`FileStore::expect_contents`], or a file has them.
    InStore,
    /// The place where they are has a note of its own, which outlasts the process; the store may know nothing of them.
    InPlace,
}

/// How a file came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// By the API, all at once.
    Api,
    /// With a token, which is good once.
    Token {
        /// The token's own id.
        id: [u8; 16],
        /// Until when it must be remembered that it was used.
        expires_at: Time,
    },
    /// By S3, which is a synchronisation.
    S3,
    /// By S3, of parts; the upload ends with it.
    Parts(UploadId),
}

/// What must be so of the file that has a name, for another to take it (RFC 9110 §13.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    #[default]
    Always,
    /// There is none.
    Absent,
    /// It has this tag.
    Etag(String),
}

/// What of a session's files to list: in the order of their keys, byte by byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredQuery {
    /// The session.
    pub place: Place,
    /// Only keys that begin with this.
    pub prefix: String,
    /// Only keys behind this one.
    pub after: Option<String>,
    /// Keys that have this behind the prefix are told together, up to and with it.
    pub delimiter: Option<String>,
    /// Entries at the most, files and common beginnings together.
    pub limit: usize,
}

/// One entry of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    /// A file.
    File(Box<StoredFile>),
    /// What several keys begin with, the delimiter at its end.
    Common(String),
}

/// Some files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredPage {
    /// In order.
    pub entries: Vec<Listed>,
    /// What to ask for as `after` for those that follow; `None` = that was all.
    pub next: Option<String>,
    /// What they take, about.
    pub bytes: usize,
}

/// What a chitty id has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of contents, equal ones counted once, with those of parts of uploads that have not ended.
    pub bytes: u64,
    /// Files.
    pub files: u64,
}

/// A session as S3 has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "their types say it")]
pub struct Bucket {
    pub session_id: SessionId,
    pub created_at: Time,
}

/// The id of an upload in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId(pub [u8; 16]);

/// An upload in parts that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields of `StoredFile`")]
pub struct PartUpload {
    pub place: Place,
    pub id: UploadId,
    pub key: FileKey,
    pub mime: Option<String>,
    pub headers: Vec<(String, String)>,
    pub metadata: Vec<(String, String)>,
    pub key_id: KeyId,
    pub created_at: Time,
}

/// One part of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// From 1 on.
    pub number: u16,
    /// Tells it from others with the same number: it is in its name where contents are.
    pub nonce: u64,
    /// In bytes.
    pub size: u64,
    /// Of its contents.
    pub md5: [u8; 16],
    /// When it came.
    pub modified_at: Time,
}

/// The files of every chitty id. What one method changes is one change, with its rows in the context of the session and
/// with its events.
#[async_trait]
pub trait FileStore: Send + Sync {
    /// Notes that contents may appear in their place, unless a file has them. Whether a file has them.
    async fn expect_contents(&self, contents: ContentsOf) -> Result<bool, StoreError>;

    /// Keeps a file. The contents must be referenced or noted, in the store unless it says otherwise.
    ///
    /// # Errors
    /// [`StoreError::QuotaExceeded`], [`StoreError::TooManyStoredFiles`], [`StoreError::TokenUsed`],
    /// [`StoreError::ConditionFailed`], [`StoreError::NoSuchUpload`].
    async fn keep_file(&self, file: NewFile) -> Result<StoredFile, StoreError>;

    /// Whether a token was used.
    async fn is_token_used(&self, chitty_id: ChittyId, token: [u8; 16]) -> Result<bool, StoreError>;

    /// Removes files, with their rows in the context. Those that were there. `by_s3`: whether it is a synchronisation.
    async fn delete_files(&self, place: Place, keys: Vec<FileKey>, by_s3: bool) -> Result<Vec<StoredFile>, StoreError>;

    /// Says that a file is what somebody meant, and which task it belongs to.
    ///
    /// # Errors
    /// [`StoreError::NoSuchFile`], [`StoreError::NoSuchTask`] where the task is none of the session.
    async fn commit_file(&self, place: Place, key: FileKey, task_id: Option<TaskId>) -> Result<StoredFile, StoreError>;

    /// A file of a session.
    async fn file(&self, place: Place, key: FileKey) -> Result<Option<StoredFile>, StoreError>;

    /// A file that has these contents, in this session or in any: the first by session and key.
    async fn file_with(
        &self,
        contents: ContentsOf,
        session: Option<SessionId>,
    ) -> Result<Option<StoredFile>, StoreError>;

    /// Every key of a session whose file has these contents; `limit` at the most.
    async fn keys_with(
        &self,
        contents: ContentsOf,
        session: SessionId,
        limit: usize,
    ) -> Result<Vec<FileKey>, StoreError>;

    /// Some files of a session.
    async fn list_stored(&self, query: StoredQuery) -> Result<StoredPage, StoreError>;

    /// The row of a URI in the context of a session, whether or not its contents are kept.
    async fn context_file(&self, place: Place, uri: String) -> Result<Option<ContextFile>, StoreError>;

    /// What a chitty id has.
    async fn usage(&self, chitty_id: ChittyId) -> Result<Usage, StoreError>;

    /// Contents that are noted and that no file has, behind `after`, in order; `limit` at the most.
    async fn unreferenced(&self, after: Option<ContentsOf>, limit: usize) -> Result<Vec<ContentsOf>, StoreError>;

    /// Contents that files have, each once, with their size in bytes: behind `after`, in order; `limit` at the most.
    async fn all_contents(&self, after: Option<ContentsOf>, limit: usize)
    -> Result<Vec<(ContentsOf, u64)>, StoreError>;

    /// Whether a file has these contents.
    async fn is_referenced(&self, contents: ContentsOf) -> Result<bool, StoreError>;

    /// Whether contents are referenced or noted.
    async fn is_known(&self, contents: ContentsOf) -> Result<bool, StoreError>;

    /// Removes the note: they are not in their place any more.
    async fn forget_contents(&self, contents: ContentsOf) -> Result<(), StoreError>;

    /// The sessions of a chitty id that have files or were made to: in the order of their ids.
    async fn buckets(&self, chitty_id: ChittyId) -> Result<Vec<Bucket>, StoreError>;

    /// Has a session be among [`FileStore::buckets`], with or without files. Whether it was not.
    ///
    /// # Errors
    /// [`StoreError::TooManyBuckets`].
    async fn make_bucket(&self, place: Place) -> Result<bool, StoreError>;

    /// Has it no longer be among them. Whether it was.
    ///
    /// # Errors
    /// [`StoreError::BucketNotEmpty`].
    async fn remove_bucket(&self, place: Place) -> Result<bool, StoreError>;

    /// Begins an upload in parts.
    ///
    /// # Errors
    /// [`StoreError::TooManyUploads`].
    async fn begin_parts(&self, upload: PartUpload) -> Result<(), StoreError>;

    /// Keeps a part whose contents are in their place. The one with this number before, whose contents may go.
    ///
    /// # Errors
    /// [`StoreError::NoSuchUpload`], [`StoreError::QuotaExceeded`].
    async fn put_part(
        &self,
        place: Place,
        upload: UploadId,
        part: Part,
        quota: u64,
    ) -> Result<Option<Part>, StoreError>;

    /// An upload with its parts, by number.
    async fn part_upload(&self, place: Place, id: UploadId) -> Result<Option<(PartUpload, Vec<Part>)>, StoreError>;

    /// The uploads of a session that have not ended, by id; `limit` at the most.
    async fn part_uploads(&self, place: Place, limit: usize) -> Result<Vec<PartUpload>, StoreError>;

    /// Ends an upload without a file. Whether there was one.
    async fn abort_parts(&self, place: Place, id: UploadId) -> Result<bool, StoreError>;

    /// Every upload of the store that has not ended.
    async fn all_part_uploads(&self) -> Result<Vec<PartUpload>, StoreError>;
}
