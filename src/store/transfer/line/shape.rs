//! Records as members of a line.

use serde::{Deserialize, Serialize};

use super::field::{Hex, Id, Moment, Raw, present};
use super::read;
use crate::model::id::{ChittyId, KeyId, SessionId, TaskId};
use crate::model::json::Json;
use crate::model::key::KeyStatus;
use crate::model::task::{Priority, Status, Task};
use crate::model::time::Time;
use crate::store::migration::m0001_context_sync::{
    ContextFileRecord, EventRecord, KeyRecord, OnceAnswer, OnceRecord, SessionRecord, SyncEventRecord,
};
use crate::store::migration::m0002_identity_and_registry::{ProjectRecord, RegistrationRecord};
use crate::store::record::{Kind, Record};

/// Declares the shape of one kind: fields that are always there, then those that may be missing, then JSON values that
/// may be missing.
macro_rules! shape {
    ($name:ident { $($field:ident: $type:ty,)* ; $($optional:ident: $inner:ty,)* ; $($json:ident,)* }) => {
        #[derive(Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name {
            kind: Kind,
            $($field: $type,)*
            $(#[serde(skip_serializing_if = "Option::is_none")] $optional: Option<$inner>,)*
            $(#[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
              $json: Option<Raw>,)*
        }
    };
}

shape!(TaskLine {
    chitty_id: ChittyId, session_id: SessionId, task_id: TaskId, task_type: String, status: Status, title: String,
    priority: Priority, created_at: Moment, updated_at: Moment, version: u64,
    ;
    description: String, assigned_service: String, parent_task_id: TaskId, started_at: Moment, completed_at: Moment,
    error: String,
    ;
    metadata, result,
});
shape!(ContextFileLine {
    chitty_id: ChittyId, session_id: SessionId, id: Id, uri: String, active: bool, created_at: Moment,
    last_accessed: Moment,
    ;
    name: String, size: u64, sha256: String, mime: String, r2_key: String, task_id: Id, modified_at: Moment,
    ;
    metadata,
});
shape!(SyncEventLine {
    chitty_id: ChittyId, session_id: SessionId, number: u64, id: Id, event_type: String, source: String, count: u64,
    created_at: Moment,
    ;
    path_prefix: String, project: String,
    ;
    payload,
});
shape!(SessionLine {
    chitty_id: ChittyId, id: SessionId, created: Moment, updated: Moment, expires: Moment, state: String,
    decisions: Vec<Raw>, interactions: u64, context: Vec<(String, Raw)>,
    ;
    ;
    metadata,
});
shape!(EventLine {
    chitty_id: ChittyId, session_id: SessionId, number: u64, name: String, at: Moment, body: Raw,
    ;
    ;
});
shape!(KeyLine {
    chitty_id: ChittyId, session_id: SessionId, id: KeyId, hash: Hex, name: String, scopes: Vec<String>,
    created_at: Moment, status: KeyStatus,
    ;
    rate_limit: u32, quota: u64, expires_at: Moment,
    ;
});
shape!(OnceLine {
    chitty_id: ChittyId, key_id: KeyId, name_sha256: Hex, fingerprint: Hex, expires_at: Moment, answer: Answer,
    ;
    ;
});
shape!(RegistrationLine {
    chitty_id: ChittyId, name: String, entry: Raw, registered_at: Moment, updated_at: Moment, expires_at: Moment,
    ;
    ;
});
shape!(ProjectLine {
    chitty_id: ChittyId, key: String, value: Raw, updated_at: Moment,
    ;
    ;
});

/// Stored files and buckets.
mod stored;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Answer {
    TaskCreated { task_id: TaskId, created_at: Moment, version: u64 },
    TaskUpdated { updated_at: Moment, version: u64 },
}

const KEY_STATUSES: [KeyStatus; 3] = [KeyStatus::Active, KeyStatus::Inactive, KeyStatus::Revoked];

/// The record that a line of this kind is.
pub(super) fn parse(kind: Kind, text: &str) -> Result<Record, String> {
    let record = match kind {
        Kind::Task => read::<TaskLine>(text)?.record()?,
        Kind::ContextFile => read::<ContextFileLine>(text)?.record(),
        Kind::SyncEvent => read::<SyncEventLine>(text)?.record(),
        Kind::Session => read::<SessionLine>(text)?.record(),
        Kind::Event => read::<EventLine>(text)?.record(),
        Kind::Key => read::<KeyLine>(text)?.record(),
        Kind::Once => read::<OnceLine>(text)?.record(),
        Kind::Registration => read::<RegistrationLine>(text)?.record(),
        Kind::Project => read::<ProjectLine>(text)?.record(),
        Kind::Bucket => read::<stored::BucketLine>(text)?.record(),
        Kind::StoredFile => read::<stored::StoredFileLine>(text)?.record(),
        Kind::Upload | Kind::Part | Kind::TokenUsed | Kind::Pending => {
            return Err(format!("found a {kind}, which is no part of an export"));
        }
    };
    // As it will be read from the store: what is refused there is refused here.
    let stored = record.key().and_then(|key| Ok((key, record.value()?)));
    let read = stored.and_then(|(key, value)| Record::read(&key, &value));
    if read.is_ok_and(|read| read == record) {
        Ok(record)
    } else {
        Err(format!("found a {kind} that cannot be: one of its names, scopes or times"))
    }
}

/// Appends the line of a record, without its end.
pub(super) fn write(record: &Record, to: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    match record {
        Record::Task(task) => serde_json::to_writer(to, &TaskLine::of(task)),
        Record::ContextFile(file) => serde_json::to_writer(to, &ContextFileLine::of(file)?),
        Record::SyncEvent { number, record } => serde_json::to_writer(to, &SyncEventLine::of(*number, record)?),
        Record::Session(session) => serde_json::to_writer(to, &SessionLine::of(session)?),
        Record::Event { chitty_id, session_id, number, record } => {
            serde_json::to_writer(to, &EventLine::of(chitty_id, session_id, *number, record))
        }
        Record::Key { hash, record } => serde_json::to_writer(to, &KeyLine::of(hash, record)?),
        Record::Once { chitty_id, key_id, name, record } => {
            serde_json::to_writer(to, &OnceLine::of(chitty_id, key_id, name, record))
        }
        Record::Registration(registration) => serde_json::to_writer(to, &RegistrationLine::of(registration)?),
        Record::Project(project) => serde_json::to_writer(to, &ProjectLine::of(project)?),
        Record::Bucket { chitty_id, session_id, record } => {
            serde_json::to_writer(to, &stored::BucketLine::of(chitty_id, session_id, *record))
        }
        Record::StoredFile(file) => serde_json::to_writer(to, &stored::StoredFileLine::of(file)?),
        Record::Upload { .. } | Record::Part { .. } | Record::TokenUsed { .. } | Record::Pending { .. } => {
            Err(serde::ser::Error::custom("it is no part of an export"))
        }
    }
}

/// An id that a record holds as text.
fn id<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, serde_json::Error> {
    text.parse().map_err(serde::ser::Error::custom)
}

fn raw(text: &str) -> Raw {
    Raw(text.to_owned())
}

impl TaskLine {
    fn of(task: &Task) -> Self {
        let moment = |time: Time| Moment(time.as_millis());
        Self {
            kind: Kind::Task,
            chitty_id: task.chitty_id.clone(),
            session_id: task.session_id.clone(),
            task_id: task.task_id,
            task_type: task.task_type.clone(),
            status: task.status,
            title: task.title.clone(),
            priority: task.priority,
            created_at: moment(task.created_at),
            updated_at: moment(task.updated_at),
            version: task.version,
            description: task.description.clone(),
            assigned_service: task.assigned_service.clone(),
            parent_task_id: task.parent_task_id,
            started_at: task.started_at.map(moment),
            completed_at: task.completed_at.map(moment),
            error: task.error.clone(),
            metadata: task.metadata.as_ref().map(|json| raw(json.text())),
            result: task.result.as_ref().map(|json| raw(json.text())),
        }
    }

    fn record(self) -> Result<Record, String> {
        let time = |moment: Moment| Time::from_millis(moment.0);
        let json = |raw: Option<Raw>| raw.map(|raw| Json::parse(raw.0)).transpose().map_err(|error| error.to_string());
        Ok(Record::Task(Box::new(Task {
            task_id: self.task_id,
            session_id: self.session_id,
            chitty_id: self.chitty_id,
            task_type: self.task_type,
            status: self.status,
            title: self.title,
            description: self.description,
            priority: self.priority,
            assigned_service: self.assigned_service,
            parent_task_id: self.parent_task_id,
            created_at: time(self.created_at),
            updated_at: time(self.updated_at),
            started_at: self.started_at.map(time),
            completed_at: self.completed_at.map(time),
            metadata: json(self.metadata)?,
            result: json(self.result)?,
            error: self.error,
            version: self.version,
        })))
    }
}

impl ContextFileLine {
    fn of(file: &ContextFileRecord) -> Result<Self, serde_json::Error> {
        Ok(Self {
            kind: Kind::ContextFile,
            chitty_id: id(&file.chitty_id)?,
            session_id: id(&file.session_id)?,
            id: Id(file.id),
            uri: file.uri.clone(),
            active: file.active,
            created_at: Moment(file.created_at),
            last_accessed: Moment(file.last_accessed),
            name: file.name.clone(),
            size: file.size,
            sha256: file.sha256.clone(),
            mime: file.mime.clone(),
            r2_key: file.r2_key.clone(),
            task_id: file.task_id.map(Id),
            modified_at: file.modified_at.map(Moment),
            metadata: file.metadata.as_deref().map(raw),
        })
    }

    fn record(self) -> Record {
        Record::ContextFile(Box::new(ContextFileRecord {
            id: self.id.0,
            session_id: self.session_id.into(),
            chitty_id: self.chitty_id.into(),
            uri: self.uri,
            name: self.name,
            size: self.size,
            sha256: self.sha256,
            mime: self.mime,
            r2_key: self.r2_key,
            metadata: self.metadata.map(|raw| raw.0),
            active: self.active,
            task_id: self.task_id.map(|id| id.0),
            created_at: self.created_at.0,
            modified_at: self.modified_at.map(|moment| moment.0),
            last_accessed: self.last_accessed.0,
        }))
    }
}

impl SyncEventLine {
    fn of(number: u64, event: &SyncEventRecord) -> Result<Self, serde_json::Error> {
        Ok(Self {
            kind: Kind::SyncEvent,
            chitty_id: id(&event.chitty_id)?,
            session_id: id(&event.session_id)?,
            number,
            id: Id(event.id),
            event_type: event.event_type.clone(),
            source: event.source.clone(),
            count: event.count,
            created_at: Moment(event.created_at),
            path_prefix: event.path_prefix.clone(),
            project: event.project.clone(),
            payload: event.payload.as_deref().map(raw),
        })
    }

    fn record(self) -> Record {
        let record = SyncEventRecord {
            id: self.id.0,
            session_id: self.session_id.into(),
            chitty_id: self.chitty_id.into(),
            event_type: self.event_type,
            source: self.source,
            path_prefix: self.path_prefix,
            project: self.project,
            count: self.count,
            payload: self.payload.map(|raw| raw.0),
            created_at: self.created_at.0,
        };
        Record::SyncEvent { number: self.number, record: Box::new(record) }
    }
}

impl SessionLine {
    fn of(session: &SessionRecord) -> Result<Self, serde_json::Error> {
        Ok(Self {
            kind: Kind::Session,
            chitty_id: id(&session.chitty_id)?,
            id: id(&session.id)?,
            created: Moment(session.created),
            updated: Moment(session.updated),
            expires: Moment(session.expires),
            state: session.state.clone(),
            decisions: session.decisions.iter().map(|text| raw(text)).collect(),
            interactions: session.interactions,
            context: session.context.iter().map(|(key, value)| (key.clone(), raw(value))).collect(),
            metadata: session.metadata.as_deref().map(raw),
        })
    }

    fn record(self) -> Record {
        Record::Session(Box::new(SessionRecord {
            id: self.id.into(),
            chitty_id: self.chitty_id.into(),
            created: self.created.0,
            updated: self.updated.0,
            expires: self.expires.0,
            metadata: self.metadata.map(|raw| raw.0),
            state: self.state,
            decisions: self.decisions.into_iter().map(|raw| raw.0).collect(),
            interactions: self.interactions,
            context: self.context.into_iter().map(|(key, raw)| (key, raw.0)).collect(),
        }))
    }
}

impl EventLine {
    fn of(chitty_id: &ChittyId, session_id: &SessionId, number: u64, event: &EventRecord) -> Self {
        Self {
            kind: Kind::Event,
            chitty_id: chitty_id.clone(),
            session_id: session_id.clone(),
            number,
            name: event.name.clone(),
            at: Moment(event.at),
            body: raw(&event.body),
        }
    }

    fn record(self) -> Record {
        let record = EventRecord { name: self.name, at: self.at.0, body: self.body.0 };
        Record::Event { chitty_id: self.chitty_id, session_id: self.session_id, number: self.number, record }
    }
}

impl KeyLine {
    fn of(hash: &[u8; 32], key: &KeyRecord) -> Result<Self, serde_json::Error> {
        let status = KEY_STATUSES.get(usize::from(key.status)).copied();
        Ok(Self {
            kind: Kind::Key,
            chitty_id: id(&key.chitty_id)?,
            session_id: id(&key.session_id)?,
            id: id(&key.id)?,
            hash: Hex(*hash),
            name: key.name.clone(),
            scopes: key.scopes.clone(),
            created_at: Moment(key.created_at),
            status: status.ok_or_else(|| serde::ser::Error::custom("a key's status is none"))?,
            rate_limit: key.rate_limit,
            quota: key.quota,
            expires_at: key.expires_at.map(Moment),
        })
    }

    fn record(self) -> Record {
        let record = KeyRecord {
            id: self.id.into(),
            chitty_id: self.chitty_id.into(),
            session_id: self.session_id.into(),
            name: self.name,
            scopes: self.scopes,
            rate_limit: self.rate_limit,
            quota: self.quota,
            created_at: self.created_at.0,
            expires_at: self.expires_at.map(|moment| moment.0),
            status: self.status as u8,
        };
        Record::Key { hash: self.hash.0, record: Box::new(record) }
    }
}

impl OnceLine {
    fn of(chitty_id: &ChittyId, key_id: &KeyId, name: &[u8; 32], once: &OnceRecord) -> Self {
        let answer = match once.answer {
            OnceAnswer::TaskCreated { task_id, created_at, version } => {
                let task_id = TaskId::from_bytes(task_id);
                Answer::TaskCreated { task_id, created_at: Moment(created_at), version }
            }
            OnceAnswer::TaskUpdated { updated_at, version } => {
                Answer::TaskUpdated { updated_at: Moment(updated_at), version }
            }
        };
        Self {
            kind: Kind::Once,
            chitty_id: chitty_id.clone(),
            key_id: key_id.clone(),
            name_sha256: Hex(*name),
            fingerprint: Hex(once.fingerprint),
            expires_at: Moment(once.expires_at),
            answer,
        }
    }

    fn record(self) -> Record {
        let answer = match self.answer {
            Answer::TaskCreated { task_id, created_at, version } => {
                OnceAnswer::TaskCreated { task_id: *task_id.as_bytes(), created_at: created_at.0, version }
            }
            Answer::TaskUpdated { updated_at, version } => {
                OnceAnswer::TaskUpdated { updated_at: updated_at.0, version }
            }
        };
        let record = OnceRecord { fingerprint: self.fingerprint.0, expires_at: self.expires_at.0, answer };
        Record::Once { chitty_id: self.chitty_id, key_id: self.key_id, name: self.name_sha256.0, record }
    }
}

impl RegistrationLine {
    fn of(registration: &RegistrationRecord) -> Result<Self, serde_json::Error> {
        Ok(Self {
            kind: Kind::Registration,
            chitty_id: id(&registration.chitty_id)?,
            name: registration.name.clone(),
            entry: raw(&registration.entry),
            registered_at: Moment(registration.registered_at),
            updated_at: Moment(registration.updated_at),
            expires_at: Moment(registration.expires_at),
        })
    }

    fn record(self) -> Record {
        Record::Registration(RegistrationRecord {
            name: self.name,
            chitty_id: self.chitty_id.into(),
            entry: self.entry.0,
            registered_at: self.registered_at.0,
            updated_at: self.updated_at.0,
            expires_at: self.expires_at.0,
        })
    }
}

impl ProjectLine {
    fn of(project: &ProjectRecord) -> Result<Self, serde_json::Error> {
        Ok(Self {
            kind: Kind::Project,
            chitty_id: id(&project.chitty_id)?,
            key: project.key.clone(),
            value: raw(&project.value),
            updated_at: Moment(project.updated_at),
        })
    }

    fn record(self) -> Record {
        Record::Project(ProjectRecord {
            chitty_id: self.chitty_id.into(),
            key: self.key,
            value: self.value.0,
            updated_at: self.updated_at.0,
        })
    }
}
