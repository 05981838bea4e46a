//! What is answered of files.

use serde::Serialize;
use utoipa::ToSchema;

use crate::blob::uri::ResourceUri;
use crate::model::file::ContextFile;
use crate::model::stored_file::StoredFile;
use crate::model::time::Time;

/// A token was made.
#[derive(Serialize, ToSchema)]
pub(super) struct PresignedUpload {
    pub(super) ok: bool,
    /// Where to PUT the contents.
    pub(super) upload_url: String,
    /// What the file will be called.
    pub(super) r2_key: String,
    /// In seconds.
    pub(super) expires_in: u64,
    #[schema(value_type = String, format = DateTime)]
    pub(super) expires_at: Time,
}

/// A token was made.
#[derive(Serialize, ToSchema)]
pub(super) struct PresignedDownload {
    pub(super) ok: bool,
    /// Where to GET the contents.
    pub(super) download_url: String,
    /// In seconds.
    pub(super) expires_in: u64,
    #[schema(value_type = String, format = DateTime)]
    pub(super) expires_at: Time,
}

/// A file was brought in.
#[derive(Serialize, ToSchema)]
pub(super) struct Kept {
    ok: bool,
    r2_key: String,
    /// In bytes.
    size: u64,
    #[schema(pattern = "^[0-9a-f]{64}$")]
    sha256: String,
}

impl From<&StoredFile> for Kept {
    fn from(file: &StoredFile) -> Self {
        Self { ok: true, r2_key: file.r2_key(), size: file.contents.size, sha256: file.contents.hash.to_string() }
    }
}

/// It was noted.
#[derive(Serialize, ToSchema)]
pub(super) struct Committed {
    pub(super) ok: bool,
}

/// Files were removed.
#[derive(Serialize, ToSchema)]
pub(super) struct Deleted {
    pub(super) ok: bool,
    /// How many.
    pub(super) deleted: usize,
}

/// One page of files.
#[derive(Serialize, ToSchema)]
#[schema(as = StoredFileList)]
pub(super) struct FilePage {
    pub(super) ok: bool,
    /// In the order of their keys, byte by byte.
    pub(super) files: Vec<FileEntry>,
    /// Files in this page.
    pub(super) count: usize,
    /// For the next page; `null` at the end.
    #[schema(required)]
    pub(super) next_cursor: Option<String>,
}

/// A file.
#[derive(Serialize, ToSchema)]
#[schema(as = StoredFile)]
pub(super) struct FileEntry {
    uri: String,
    r2_key: String,
    resource_uri: String,
    name: String,
    /// In bytes.
    size: u64,
    #[schema(pattern = "^[0-9a-f]{64}$")]
    sha256: String,
    #[schema(required)]
    mime: Option<String>,
    /// As S3 clients see it, without quotes.
    etag: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    #[schema(value_type = String, format = DateTime)]
    modified_at: Time,
}

impl From<&StoredFile> for FileEntry {
    fn from(file: &StoredFile) -> Self {
        Self {
            uri: file.uri(),
            r2_key: file.r2_key(),
            resource_uri: resource_uri(file),
            name: file.key.name().to_owned(),
            size: file.contents.size,
            sha256: file.contents.hash.to_string(),
            mime: file.mime.clone(),
            etag: file.etag.clone(),
            created_at: file.created_at,
            modified_at: file.modified_at,
        }
    }
}

fn resource_uri(file: &StoredFile) -> String {
    ResourceUri::of_contents(file.session_id.clone(), file.contents.hash, file.key.name()).to_string()
}

/// What a URI names.
#[derive(Serialize, ToSchema)]
pub(super) struct ResolvedUri {
    ok: bool,
    uri: String,
    /// `resource`, `r2` or `https`.
    kind: &'static str,
    session_id: String,
    #[schema(required)]
    r2_key: Option<String>,
    #[schema(required)]
    name: Option<String>,
    /// In bytes.
    #[schema(required)]
    size: Option<u64>,
    #[schema(required)]
    sha256: Option<String>,
    #[schema(required)]
    mime: Option<String>,
    /// Where the contents are to be had: of files here with a key.
    url: String,
}

impl ResolvedUri {
    pub(super) fn of_file(uri: &ResourceUri, file: &StoredFile, origin: &str) -> Self {
        let hash = file.contents.hash;
        Self {
            ok: true,
            uri: uri.to_string(),
            kind: kind_of(uri),
            session_id: file.session_id.to_string(),
            r2_key: Some(file.r2_key()),
            name: Some(file.key.name().to_owned()),
            size: Some(file.contents.size),
            sha256: Some(hash.to_string()),
            mime: file.mime.clone(),
            url: format!("{origin}/api/files/{hash}?session_id={}", file.session_id),
        }
    }

    pub(super) fn of_row(uri: &ResourceUri, row: ContextFile) -> Self {
        let facts = row.facts;
        Self {
            ok: true,
            uri: uri.to_string(),
            kind: kind_of(uri),
            session_id: row.session_id.into(),
            r2_key: facts.r2_key,
            name: facts.name,
            size: facts.size,
            sha256: facts.sha256,
            mime: facts.mime,
            url: facts.uri,
        }
    }
}

fn kind_of(uri: &ResourceUri) -> &'static str {
    match uri {
        ResourceUri::Contents { .. } => "resource",
        ResourceUri::File { .. } => "r2",
        ResourceUri::Elsewhere { .. } => "https",
    }
}
