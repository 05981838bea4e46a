//! What is answered of a session's context.

use serde::Serialize;
use utoipa::ToSchema;

use crate::model::file::ContextFile;
use crate::model::json::Json;
use crate::model::sync::SyncEvent;
use crate::model::time::Time;

/// The active set was replaced.
#[derive(Serialize, ToSchema)]
pub(super) struct FilesSet {
    pub(super) ok: bool,
    /// Files in it now.
    pub(super) count: usize,
}

/// A report was kept.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct FilesReported {
    pub(super) ok: bool,
    /// Items in the report.
    pub(super) count: usize,
    #[schema(format = "uuid")]
    pub(super) event_id: String,
}

/// A session was taken in.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionTakenIn {
    pub(super) ok: bool,
    pub(super) accepted: bool,
    #[schema(format = "uuid")]
    pub(super) event_id: String,
    pub(super) session_id: String,
    pub(super) event_count: u64,
}

/// One page of files.
#[derive(Serialize, ToSchema)]
pub(super) struct FileList {
    pub(super) ok: bool,
    /// The active ones first, the last heard of first.
    pub(super) files: Vec<FileBody>,
    /// Files in this page.
    pub(super) count: usize,
    /// What to send as `cursor` for the next page; `null` = this was the last.
    #[schema(required)]
    pub(super) next_cursor: Option<String>,
}

/// A file in the context of a session. Times are RFC 3339 with milliseconds, in UTC.
#[derive(Serialize, ToSchema)]
#[schema(as = ContextFile)]
pub(super) struct FileBody {
    #[schema(format = "uuid")]
    id: String,
    session_id: String,
    chitty_id: String,
    uri: String,
    #[schema(required)]
    name: Option<String>,
    /// In bytes.
    #[schema(required)]
    size: Option<u64>,
    #[schema(required)]
    sha256: Option<String>,
    #[schema(required)]
    mime: Option<String>,
    #[schema(required)]
    r2_key: Option<String>,
    /// Any JSON, as it was given.
    #[schema(value_type = serde_json::Value, required)]
    metadata: Option<Json>,
    /// Whether it is in the active set.
    active: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// When its contents changed last, as it was reported.
    #[schema(value_type = Option<String>, required, format = DateTime)]
    modified_at: Option<Time>,
    /// When the session heard of it last.
    #[schema(value_type = String, format = DateTime)]
    last_accessed: Time,
}

impl From<ContextFile> for FileBody {
    fn from(file: ContextFile) -> Self {
        let facts = file.facts;
        Self {
            id: file.id.to_string(),
            session_id: file.session_id.into(),
            chitty_id: file.chitty_id.into(),
            uri: facts.uri,
            name: facts.name,
            size: facts.size,
            sha256: facts.sha256,
            mime: facts.mime,
            r2_key: facts.r2_key,
            metadata: facts.metadata,
            active: file.active,
            created_at: file.created_at,
            modified_at: facts.modified_at,
            last_accessed: file.last_accessed,
        }
    }
}

/// One page of synchronisations.
#[derive(Serialize, ToSchema)]
pub(super) struct SyncEventList {
    pub(super) ok: bool,
    /// The last first.
    pub(super) events: Vec<SyncEventBody>,
    /// Events in this page.
    pub(super) count: usize,
    /// What to send as `cursor` for the next page; `null` = this was the last.
    #[schema(required)]
    pub(super) next_cursor: Option<String>,
}

/// What is kept of one synchronisation.
#[derive(Serialize, ToSchema)]
#[schema(as = SyncEvent)]
pub(super) struct SyncEventBody {
    #[schema(format = "uuid")]
    event_id: String,
    session_id: String,
    chitty_id: String,
    /// `sync-report` or `SESSION_INGEST`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Who reported it.
    source: String,
    #[schema(required)]
    path_prefix: Option<String>,
    /// Any JSON, as it was given.
    #[schema(value_type = serde_json::Value, required)]
    project: Option<Json>,
    /// Items of a report; of a session the events that it says it has.
    count: u64,
    /// The items of a report; `null` for a session.
    #[schema(value_type = Option<Vec<serde_json::Value>>, required)]
    items: Option<Json>,
    /// The events of a session, as they were given; `null` for a report.
    #[schema(value_type = Option<Vec<serde_json::Value>>, required)]
    events: Option<Json>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
}

impl From<SyncEvent> for SyncEventBody {
    fn from(event: SyncEvent) -> Self {
        let (items, events) = match event.kind {
            crate::model::sync::SyncKind::Report => (event.payload, None),
            crate::model::sync::SyncKind::Ingest => (None, event.payload),
        };
        Self {
            event_id: event.id.to_string(),
            session_id: event.session_id.into(),
            chitty_id: event.chitty_id.into(),
            kind: event.kind.as_str(),
            source: event.source,
            path_prefix: event.path_prefix,
            project: event.project,
            count: event.count,
            items,
            events,
            created_at: event.created_at,
        }
    }
}
