//! Files and synchronisations as they are stored.

use crate::model::file::{ContextFile, FileFacts};
use crate::model::id::{FileId, SyncId, TaskId};
use crate::model::json::Json;
use crate::model::sync::{SyncEvent, SyncKind};
use crate::model::time::Time;
use crate::store::migration::RecordError;
use crate::store::migration::m0001_context_sync::{ContextFileRecord, SyncEventRecord};

fn text(json: &Json) -> String {
    json.text().to_owned()
}

fn json(text: Option<String>) -> Result<Option<Json>, RecordError> {
    text.map(Json::parse).transpose().map_err(|_| RecordError::Damaged)
}

pub(in crate::store) fn of_file(file: &ContextFile) -> ContextFileRecord {
    let facts = &file.facts;
    ContextFileRecord {
        id: *file.id.as_bytes(),
        session_id: file.session_id.to_string(),
        chitty_id: file.chitty_id.to_string(),
        uri: facts.uri.clone(),
        name: facts.name.clone(),
        size: facts.size,
        sha256: facts.sha256.clone(),
        mime: facts.mime.clone(),
        r2_key: facts.r2_key.clone(),
        metadata: facts.metadata.as_ref().map(text),
        active: file.active,
        task_id: file.task_id.map(|id| *id.as_bytes()),
        created_at: file.created_at.as_millis(),
        modified_at: facts.modified_at.map(Time::as_millis),
        last_accessed: file.last_accessed.as_millis(),
    }
}

pub(in crate::store::embedded) fn to_file(record: ContextFileRecord) -> Result<ContextFile, RecordError> {
    Ok(ContextFile {
        id: FileId::from_bytes(record.id),
        chitty_id: record.chitty_id.parse().map_err(|_| RecordError::Damaged)?,
        session_id: record.session_id.parse().map_err(|_| RecordError::Damaged)?,
        facts: FileFacts {
            uri: record.uri,
            name: record.name,
            size: record.size,
            sha256: record.sha256,
            mime: record.mime,
            r2_key: record.r2_key,
            metadata: json(record.metadata)?,
            modified_at: record.modified_at.map(Time::from_millis),
        },
        active: record.active,
        task_id: record.task_id.map(TaskId::from_bytes),
        created_at: Time::from_millis(record.created_at),
        last_accessed: Time::from_millis(record.last_accessed),
    })
}

pub(super) fn of_sync(event: &SyncEvent) -> SyncEventRecord {
    SyncEventRecord {
        id: *event.id.as_bytes(),
        session_id: event.session_id.to_string(),
        chitty_id: event.chitty_id.to_string(),
        event_type: event.kind.as_str().to_owned(),
        source: event.source.clone(),
        path_prefix: event.path_prefix.clone(),
        project: event.project.as_ref().map(text),
        count: event.count,
        payload: event.payload.as_ref().map(text),
        created_at: event.created_at.as_millis(),
    }
}

/// `number` is in the record's key.
pub(super) fn to_sync(record: SyncEventRecord, number: u64) -> Result<SyncEvent, RecordError> {
    Ok(SyncEvent {
        id: SyncId::from_bytes(record.id),
        number,
        chitty_id: record.chitty_id.parse().map_err(|_| RecordError::Damaged)?,
        session_id: record.session_id.parse().map_err(|_| RecordError::Damaged)?,
        kind: SyncKind::parse(&record.event_type).ok_or(RecordError::Damaged)?,
        source: record.source,
        path_prefix: record.path_prefix,
        // A project that was written by something else may be a bare word.
        project: record
            .project
            .map(|text| Json::parse(text.clone()).or_else(|_| Json::of(&text)))
            .transpose()
            .map_err(|_| RecordError::Damaged)?,
        count: record.count,
        payload: json(record.payload)?,
        created_at: Time::from_millis(record.created_at),
    })
}
