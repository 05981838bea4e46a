//! Format 3 of the embedded store: what it adds to format 2 (`m0002_identity_and_registry.rs`), whose records stay as they
//! are.
//!
//! New are files whose contents are kept, the sessions that S3 sees as buckets, uploads in parts, and tokens that are
//! good once. Contents themselves are in no record. The step from format 2 writes the format record anew and nothing else:
//! there was nothing of these kinds before. Versions before 0.3.0 do not know them and would not carry them along.

use serde::{Deserialize, Serialize};

use super::m0001_context_sync::Millis;

/// The number of this format: the first byte of every record that is written from now on.
pub const FORMAT: u8 = 3;
/// The oldest version of the program that reads it.
pub const OLDEST_READER: &str = "0.3.0";

/// What a key begins with, beside the kinds of formats 1 and 2.
pub mod kind {
    /// `l chitty 0 session 0 key 0` → [`super::StoredFileRecord`]. A key has no control characters, so the order is that
    /// of the keys, byte by byte.
    pub const STORED_FILE: u8 = b'l';
    /// `d chitty 0 SHA-256(32) size(8) session 0 key 0` → nothing; of stored files. Contents that have one are
    /// referenced.
    pub const FILE_BY_CONTENTS: u8 = b'd';
    /// `q chitty 0 SHA-256(32)` → [`super::PendingRecord`]: contents that no file has.
    pub const PENDING: u8 = b'q';
    /// `b chitty 0 session 0` → [`super::BucketRecord`].
    pub const BUCKET: u8 = b'b';
    /// `u chitty 0 session 0 upload(16)` → [`super::UploadRecord`].
    pub const UPLOAD: u8 = b'u';
    /// `v chitty 0 session 0 upload(16) number(2)` → [`super::PartRecord`].
    pub const PART: u8 = b'v';
    /// `w chitty 0 token(16)` → [`super::TokenUsedRecord`].
    pub const TOKEN_USED: u8 = b'w';
}

/// What the names of two kinds of meta records begin with. What they say follows from the other records: one that is
/// absent is counted, and none is exported.
pub mod meta {
    /// `m usage/ chitty` → [`super::UsageRecord`].
    pub const USAGE: &[u8] = b"musage/";
    /// `m rows/ chitty 0 session` → [`super::RowsRecord`].
    pub const ROWS: &[u8] = b"mrows/";
}

/// A file whose contents are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the comments of the fields that need one")]
pub struct StoredFileRecord {
    pub chitty_id: String,
    pub session_id: String,
    /// Its name in the session.
    pub key: String,
    /// Of its contents.
    pub sha256: [u8; 32],
    pub size: u64,
    pub etag: String,
    pub mime: Option<String>,
    pub headers: Vec<(String, String)>,
    pub metadata: Vec<(String, String)>,
    /// Who wrote it.
    pub key_id: String,
    /// When a file of this name was written first.
    pub created_at: Millis,
    /// When this version was written.
    pub modified_at: Millis,
    /// When its writer says that its contents changed last.
    pub source_modified_at: Option<Millis>,
}

/// Contents that may be in their place, and that no file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingRecord {
    /// Since when.
    pub since: Millis,
}

/// A session that has, or had, files, or was made to have some.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "its name says it")]
pub struct BucketRecord {
    pub created_at: Millis,
}

/// An upload in parts that has not ended. The fields are those of [`StoredFileRecord`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "fields of the file")]
pub struct UploadRecord {
    pub key: String,
    pub mime: Option<String>,
    pub headers: Vec<(String, String)>,
    pub metadata: Vec<(String, String)>,
    pub key_id: String,
    pub created_at: Millis,
}

/// A part of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the comments of the fields that need one")]
pub struct PartRecord {
    /// In the name of its contents where they are.
    pub nonce: u64,
    pub size: u64,
    pub md5: [u8; 16],
    pub modified_at: Millis,
}

/// A token that was good once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUsedRecord {
    /// Until when that must be known.
    pub expires_at: Millis,
}

/// What a chitty id has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRecord {
    /// Of contents, equal ones once, and of parts.
    pub bytes: u64,
    /// Stored files.
    pub files: u64,
}

/// How much the context of a session has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowsRecord {
    /// Files in the context, stored or not.
    pub rows: u64,
    /// Stored files.
    pub stored: u64,
}
