//! What happened, as subscribers of a session are told (CONTRACT.md §8).

use serde::Serialize;

use super::file::FileFacts;
use super::id::{ChittyId, SessionId, SyncId, TaskId};
use super::json::Json;
use super::stored_file::{Contents, StoredFile};
use super::sync::Ingest;
use super::task::{Priority, Task};
use super::time::Time;

/// One event, not yet numbered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whose it is.
    pub chitty_id: ChittyId,
    /// The session whose subscribers hear of it.
    pub session_id: SessionId,
    /// When it happened.
    pub at: Time,
    /// Its name, also in `body` as `type`.
    pub name: String,
    /// The JSON object that subscribers get.
    pub body: Json,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum Body<'a> {
    #[serde(rename = "task.created", rename_all = "camelCase")]
    Created {
        session_id: &'a SessionId,
        #[serde(rename = "task_id")]
        task_id: String,
        title: &'a str,
        priority: Priority,
    },
    #[serde(rename = "task.updated", rename_all = "camelCase")]
    Updated {
        session_id: &'a SessionId,
        #[serde(rename = "task_id")]
        task_id: String,
        updates: Updates<'a>,
    },
    #[serde(rename = "task.deleted", rename_all = "camelCase")]
    Deleted {
        session_id: &'a SessionId,
        #[serde(rename = "task_id")]
        task_id: String,
    },
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum ContextBody<'a> {
    #[serde(rename = "context.files.updated", rename_all = "camelCase")]
    FilesUpdated { session_id: &'a SessionId, files: Vec<FileBody<'a>> },
    #[serde(rename = "context.files.synced", rename_all = "camelCase")]
    FilesSynced { session_id: &'a SessionId, path_prefix: Option<&'a str>, count: u64, event_id: String },
    #[serde(rename = "context.files.uploaded", rename_all = "camelCase")]
    FilesUploaded { session_id: &'a SessionId, file: StoredBody<'a> },
    #[serde(rename = "context.files.committed", rename_all = "camelCase")]
    FilesCommitted { session_id: &'a SessionId, file: CommittedBody },
    #[serde(rename = "context.files.deleted", rename_all = "camelCase")]
    FilesDeleted { session_id: &'a SessionId, file: StoredBody<'a> },
    #[serde(rename = "context.session.ingested", rename_all = "camelCase")]
    SessionIngested {
        session_id: &'a SessionId,
        chitty_id: &'a ChittyId,
        project: Option<&'a Json>,
        event_count: u64,
        event_id: String,
    },
}

/// A file as subscribers are told of it.
#[derive(Serialize)]
struct FileBody<'a> {
    uri: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mime: Option<&'a str>,
}

/// A stored file as subscribers are told of it.
#[derive(Serialize)]
struct StoredBody<'a> {
    r2_key: String,
    sha256: String,
    size: u64,
    name: &'a str,
}

impl<'a> StoredBody<'a> {
    fn of(file: &'a StoredFile) -> Self {
        let Contents { hash, size } = file.contents;
        Self { r2_key: file.r2_key(), sha256: hash.to_string(), size, name: file.name() }
    }
}

/// A stored file that belongs to a task, or to none.
#[derive(Serialize)]
struct CommittedBody {
    r2_key: String,
    sha256: String,
    size: u64,
    task_id: Option<TaskId>,
}

/// The fields that changed, with what they are now.
#[derive(Serialize)]
#[allow(clippy::option_option, reason = "absent and null are two things")]
struct Updates<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<super::task::Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<Option<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<Priority>,
    #[serde(skip_serializing_if = "Option::is_none")]
    assigned_service: Option<Option<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Option<&'a Json>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Option<&'a str>>,
}

fn changed<T, U: PartialEq>(before: &U, after: &U, show: impl FnOnce() -> T) -> Option<T> {
    (before != after).then(show)
}

impl Event {
    /// A task was made.
    ///
    /// # Errors
    /// serde's, which these types do not give.
    pub fn task_created(task: &Task) -> Result<Self, serde_json::Error> {
        let body = Body::Created {
            session_id: &task.session_id,
            task_id: task.task_id.to_string(),
            title: &task.title,
            priority: task.priority,
        };
        Self::of(task, task.created_at, "task.created", &body)
    }

    /// A task changed from `before` to `after`.
    ///
    /// # Errors
    /// serde's, which these types do not give.
    pub fn task_updated(before: &Task, after: &Task) -> Result<Self, serde_json::Error> {
        let updates = Updates {
            status: changed(&before.status, &after.status, || after.status),
            title: changed(&before.title, &after.title, || &*after.title),
            description: changed(&before.description, &after.description, || after.description.as_deref()),
            priority: changed(&before.priority, &after.priority, || after.priority),
            assigned_service: changed(&before.assigned_service, &after.assigned_service, || {
                after.assigned_service.as_deref()
            }),
            result: changed(&before.result, &after.result, || after.result.as_ref()),
            error: changed(&before.error, &after.error, || after.error.as_deref()),
        };
        let body = Body::Updated { session_id: &after.session_id, task_id: after.task_id.to_string(), updates };
        Self::of(after, after.updated_at, "task.updated", &body)
    }

    /// A task was deleted.
    ///
    /// # Errors
    /// serde's, which these types do not give.
    pub fn task_deleted(task: &Task, at: Time) -> Result<Self, serde_json::Error> {
        let body = Body::Deleted { session_id: &task.session_id, task_id: task.task_id.to_string() };
        Self::of(task, at, "task.deleted", &body)
    }

    /// The active files of a session are now `files`.
    ///
    /// # Errors
    /// serde's, which these types do not give.
    pub fn files_updated(
        chitty_id: &ChittyId,
        session_id: &SessionId,
        files: &[FileFacts],
        at: Time,
    ) -> Result<Self, serde_json::Error> {
        let files = files.iter().map(|file| FileBody {
            uri: &file.uri,
            name: file.name.as_deref(),
            size: file.size,
            sha256: file.sha256.as_deref(),
            mime: file.mime.as_deref(),
        });
        let body = ContextBody::FilesUpdated { session_id, files: files.collect() };
        Self::in_context(chitty_id, session_id, at, "context.files.updated", &body)
    }

    /// So many files were reported.
    ///
    /// # Errors
    /// serde's, which these types do not give.
    pub fn files_synced(
        chitty_id: &ChittyId,
        session_id: &SessionId,
        path_prefix: Option<&str>,
        count: u64,
        id: SyncId,
        at: Time,
    ) -> Result<Self, serde_json::Error> {
        let body = ContextBody::FilesSynced { session_id, path_prefix, count, event_id: id.to_string() };
        Self::in_context(chitty_id, session_id, at, "context.files.synced", &body)
    }

    /// A file came, and is kept.
    ///
    /// # Errors
    /// serde's, which these types do not give.
    pub fn files_uploaded(file: &StoredFile, at: Time) -> Result<Self, serde_json::Error> {
        let body = ContextBody::FilesUploaded { session_id: &file.session_id, file: StoredBody::of(file) };
        Self::in_context(&file.chitty_id, &file.session_id, at, "context.files.uploaded", &body)
    }

    /// Somebody said that a file is what was meant, and which task it belongs to.
    ///
    /// # Errors
    /// serde's, which these types do not give.
    pub fn files_committed(file: &StoredFile, task_id: Option<TaskId>, at: Time) -> Result<Self, serde_json::Error> {
        let Contents { hash, size } = file.contents;
        let committed = CommittedBody { r2_key: file.r2_key(), sha256: hash.to_string(), size, task_id };
        let body = ContextBody::FilesCommitted { session_id: &file.session_id, file: committed };
        Self::in_context(&file.chitty_id, &file.session_id, at, "context.files.committed", &body)
    }

    /// A file is no longer kept.
    ///
    /// # Errors
    /// serde's, which these types do not give.
    pub fn files_deleted(file: &StoredFile, at: Time) -> Result<Self, serde_json::Error> {
        let body = ContextBody::FilesDeleted { session_id: &file.session_id, file: StoredBody::of(file) };
        Self::in_context(&file.chitty_id, &file.session_id, at, "context.files.deleted", &body)
    }

    /// A session was taken in.
    ///
    /// # Errors
    /// serde's, which these types do not give.
    pub fn session_ingested(
        chitty_id: &ChittyId,
        session_id: &SessionId,
        ingest: &Ingest,
        id: SyncId,
        at: Time,
    ) -> Result<Self, serde_json::Error> {
        let body = ContextBody::SessionIngested {
            session_id,
            chitty_id,
            project: ingest.project.as_ref(),
            event_count: ingest.count,
            event_id: id.to_string(),
        };
        Self::in_context(chitty_id, session_id, at, "context.session.ingested", &body)
    }

    fn in_context(
        chitty_id: &ChittyId,
        session_id: &SessionId,
        at: Time,
        name: &str,
        body: &ContextBody<'_>,
    ) -> Result<Self, serde_json::Error> {
        let (chitty_id, session_id) = (chitty_id.clone(), session_id.clone());
        Ok(Self { chitty_id, session_id, at, name: name.to_owned(), body: Json::of(body)? })
    }

    fn of(task: &Task, at: Time, name: &str, body: &Body<'_>) -> Result<Self, serde_json::Error> {
        Ok(Self {
            chitty_id: task.chitty_id.clone(),
            session_id: task.session_id.clone(),
            at,
            name: name.to_owned(),
            body: Json::of(body)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::TaskId;
    use crate::model::task::{NewTask, Status, TaskPatch};

    #[test]
    fn bodies_have_the_contracts_names_and_fields() {
        let new = NewTask {
            chitty_id: "alice".parse().unwrap(),
            session_id: "s".parse().unwrap(),
            task_type: "user_request".to_owned(),
            title: "t".to_owned(),
            description: Some("d".to_owned()),
            priority: Priority::High,
            assigned_service: None,
            parent_task_id: None,
            metadata: None,
        };
        let id = TaskId::random();
        let task = Task::create(new, id, Time::from_millis(1));
        let created = Event::task_created(&task).unwrap();
        let text =
            format!(r#"{{"type":"task.created","sessionId":"s","task_id":"{id}","title":"t","priority":"high"}}"#);
        assert_eq!(created.body.text(), text);
        let patch = TaskPatch { status: Some(Status::InProgress), description: Some(None), ..TaskPatch::default() };
        let after = task.patched(&patch, Time::from_millis(2)).unwrap().unwrap();
        let text = format!(
            r#"{{"type":"task.updated","sessionId":"s","task_id":"{id}","updates":{{"status":"in_progress","description":null}}}}"#
        );
        assert_eq!(Event::task_updated(&task, &after).unwrap().body.text(), text);
        let text = format!(r#"{{"type":"task.deleted","sessionId":"s","task_id":"{id}"}}"#);
        assert_eq!(Event::task_deleted(&task, Time::from_millis(3)).unwrap().body.text(), text);
    }
}
