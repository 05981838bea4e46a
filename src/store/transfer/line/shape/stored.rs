//! Files whose contents are kept, and buckets.

use serde::{Deserialize, Serialize};

use super::super::field::{Hex, Moment};
use super::id;
use crate::model::id::{ChittyId, KeyId, SessionId};
use crate::store::migration::m0003_files::{BucketRecord, StoredFileRecord};
use crate::store::record::{Kind, Record};

shape!(BucketLine {
    chitty_id: ChittyId, session_id: SessionId, created_at: Moment,
    ;
    ;
});
shape!(StoredFileLine {
    chitty_id: ChittyId, session_id: SessionId, key: String, sha256: Hex, size: u64, etag: String,
    headers: Vec<(String, String)>, metadata: Vec<(String, String)>, key_id: KeyId, created_at: Moment,
    modified_at: Moment,
    ;
    mime: String, source_modified_at: Moment,
    ;
});

impl BucketLine {
    pub(super) fn of(chitty_id: &ChittyId, session_id: &SessionId, bucket: BucketRecord) -> Self {
        let (chitty_id, session_id) = (chitty_id.clone(), session_id.clone());
        Self { kind: Kind::Bucket, chitty_id, session_id, created_at: Moment(bucket.created_at) }
    }

    pub(super) fn record(self) -> Record {
        let record = BucketRecord { created_at: self.created_at.0 };
        Record::Bucket { chitty_id: self.chitty_id, session_id: self.session_id, record }
    }
}

impl StoredFileLine {
    pub(super) fn of(file: &StoredFileRecord) -> Result<Self, serde_json::Error> {
        Ok(Self {
            kind: Kind::StoredFile,
            chitty_id: id(&file.chitty_id)?,
            session_id: id(&file.session_id)?,
            key: file.key.clone(),
            sha256: Hex(file.sha256),
            size: file.size,
            etag: file.etag.clone(),
            headers: file.headers.clone(),
            metadata: file.metadata.clone(),
            key_id: id(&file.key_id)?,
            created_at: Moment(file.created_at),
            modified_at: Moment(file.modified_at),
            mime: file.mime.clone(),
            source_modified_at: file.source_modified_at.map(Moment),
        })
    }

    pub(super) fn record(self) -> Record {
        Record::StoredFile(Box::new(StoredFileRecord {
            chitty_id: self.chitty_id.into(),
            session_id: self.session_id.into(),
            key: self.key,
            sha256: self.sha256.0,
            size: self.size,
            etag: self.etag,
            mime: self.mime,
            headers: self.headers,
            metadata: self.metadata,
            key_id: self.key_id.into(),
            created_at: self.created_at.0,
            modified_at: self.modified_at.0,
            source_modified_at: self.source_modified_at.map(|moment| moment.0),
        }))
    }
}
