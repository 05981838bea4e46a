//! Files and uploads as they are stored.

use crate::model::id::{ChittyId, SessionId};
use crate::model::stored_file::{ContentHash, Contents, StoredFile};
use crate::model::time::Time;
use crate::store::context::Place;
use crate::store::file::{Part, PartUpload, UploadId};
use crate::store::migration::m0003_files::{PartRecord, StoredFileRecord, UploadRecord};
use crate::store::migration::{RecordError, decode};

pub(super) fn of_file(file: &StoredFile) -> StoredFileRecord {
    StoredFileRecord {
        chitty_id: file.chitty_id.to_string(),
        session_id: file.session_id.to_string(),
        key: file.key.to_string(),
        sha256: file.contents.hash.0,
        size: file.contents.size,
        etag: file.etag.clone(),
        mime: file.mime.clone(),
        headers: file.headers.clone(),
        metadata: file.metadata.clone(),
        key_id: file.key_id.to_string(),
        created_at: file.created_at.as_millis(),
        modified_at: file.modified_at.as_millis(),
        source_modified_at: file.source_modified_at.map(Time::as_millis),
    }
}

/// The file that a record is of.
pub(in crate::store) fn of_record(record: &StoredFileRecord) -> Result<StoredFile, RecordError> {
    Ok(StoredFile {
        chitty_id: record.chitty_id.parse().map_err(|_| RecordError::Damaged)?,
        session_id: record.session_id.parse().map_err(|_| RecordError::Damaged)?,
        key: record.key.parse().map_err(|_| RecordError::Damaged)?,
        contents: Contents { hash: ContentHash(record.sha256), size: record.size },
        etag: record.etag.clone(),
        mime: record.mime.clone(),
        headers: record.headers.clone(),
        metadata: record.metadata.clone(),
        key_id: record.key_id.parse().map_err(|_| RecordError::Damaged)?,
        created_at: Time::from_millis(record.created_at),
        modified_at: Time::from_millis(record.modified_at),
        source_modified_at: record.source_modified_at.map(Time::from_millis),
    })
}

/// The file whose record is `stored`.
pub(super) fn decode_file(stored: &[u8]) -> Result<StoredFile, RecordError> {
    of_record(&decode(stored)?)
}

pub(super) fn of_upload(upload: &PartUpload) -> UploadRecord {
    UploadRecord {
        key: upload.key.to_string(),
        mime: upload.mime.clone(),
        headers: upload.headers.clone(),
        metadata: upload.metadata.clone(),
        key_id: upload.key_id.to_string(),
        created_at: upload.created_at.as_millis(),
    }
}

pub(super) fn to_upload(
    (chitty_id, session_id, id): (ChittyId, SessionId, UploadId),
    record: UploadRecord,
) -> Result<PartUpload, RecordError> {
    Ok(PartUpload {
        place: Place { chitty_id, session_id },
        id,
        key: record.key.parse().map_err(|_| RecordError::Damaged)?,
        mime: record.mime,
        headers: record.headers,
        metadata: record.metadata,
        key_id: record.key_id.parse().map_err(|_| RecordError::Damaged)?,
        created_at: Time::from_millis(record.created_at),
    })
}

/// The record of an upload whose names are such.
pub(in crate::store) fn decode_upload(stored: &[u8]) -> Result<UploadRecord, RecordError> {
    let record: UploadRecord = decode(stored)?;
    let key = record.key.parse::<crate::model::stored_file::FileKey>().is_ok();
    let key_id = record.key_id.parse::<crate::model::id::KeyId>().is_ok();
    if key && key_id { Ok(record) } else { Err(RecordError::Damaged) }
}

pub(super) fn of_part(part: &Part) -> PartRecord {
    PartRecord { nonce: part.nonce, size: part.size, md5: part.md5, modified_at: part.modified_at.as_millis() }
}

pub(super) fn to_part(number: u16, record: PartRecord) -> Part {
    let PartRecord { nonce, size, md5, modified_at } = record;
    Part { number, nonce, size, md5, modified_at: Time::from_millis(modified_at) }
}
