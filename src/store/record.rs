//! Every kind of record that a store holds, with what its key says beside it: the level at which a store is exported,
//! put together anew and checked, whoever wrote the record.
//!
//! A record and its key say some things twice; one that is read here says them alike.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::SessionPosition;
use super::context::FilePosition;
use super::embedded::api_key::decode_key;
use super::embedded::file::{decode_upload, of_record as stored_file};
use super::embedded::task::{decode_task, to_record};
use super::file::{ContentsOf, UploadId};
use super::key;
use super::migration::m0001_context_sync::{
    ContextFileRecord, EventRecord, KeyRecord, OnceRecord, SessionRecord, SyncEventRecord, kind as first,
};
use super::migration::m0002_identity_and_registry::{ProjectRecord, RegistrationRecord, kind as second};
use super::migration::m0003_files::{
    BucketRecord, PartRecord, PendingRecord, StoredFileRecord, TokenUsedRecord, UploadRecord, kind as third,
};
use super::migration::{RecordError, decode, encode};
use crate::model::id::{ChittyId, KeyId, SessionId};
use crate::model::task::Task;
use crate::model::time::Time;

/// The kinds of records; index entries and places are not among them, for they follow from tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Task,
    ContextFile,
    SyncEvent,
    Session,
    Event,
    Key,
    Once,
    Registration,
    Project,
    Bucket,
    StoredFile,
    Upload,
    Part,
    TokenUsed,
    Pending,
}

impl Kind {
    /// All of them.
    const ALL: [Self; 15] = [
        Self::Key,
        Self::Session,
        Self::Project,
        Self::Registration,
        Self::Task,
        Self::ContextFile,
        Self::SyncEvent,
        Self::Event,
        Self::Once,
        Self::Bucket,
        Self::StoredFile,
        Self::Upload,
        Self::Part,
        Self::TokenUsed,
        Self::Pending,
    ];

    /// Those that are exported, in this order: a file comes behind its row in the context. The others are about contents
    /// where they are now, or of no use a moment later.
    pub(super) const EXPORTED: [Self; 11] = [
        Self::Key,
        Self::Session,
        Self::Project,
        Self::Registration,
        Self::Task,
        Self::ContextFile,
        Self::SyncEvent,
        Self::Event,
        Self::Once,
        Self::Bucket,
        Self::StoredFile,
    ];

    /// What it is called in exports, metrics and reports.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::ContextFile => "context_file",
            Self::SyncEvent => "sync_event",
            Self::Session => "session",
            Self::Event => "event",
            Self::Key => "key",
            Self::Once => "once",
            Self::Registration => "registration",
            Self::Project => "project",
            Self::Bucket => "bucket",
            Self::StoredFile => "stored_file",
            Self::Upload => "part_upload",
            Self::Part => "part",
            Self::TokenUsed => "token_used",
            Self::Pending => "pending_contents",
        }
    }

    /// The first byte of its keys.
    pub(super) fn byte(self) -> u8 {
        match self {
            Self::Task => first::TASK,
            Self::ContextFile => first::CONTEXT_FILE,
            Self::SyncEvent => first::SYNC_EVENT,
            Self::Session => first::SESSION,
            Self::Event => first::EVENT,
            Self::Key => first::KEY,
            Self::Once => first::ONCE,
            Self::Registration => second::REGISTRATION,
            Self::Project => second::PROJECT,
            Self::Bucket => third::BUCKET,
            Self::StoredFile => third::STORED_FILE,
            Self::Upload => third::UPLOAD,
            Self::Part => third::PART,
            Self::TokenUsed => third::TOKEN_USED,
            Self::Pending => third::PENDING,
        }
    }

    /// The kind whose keys begin with `byte`.
    pub(super) fn of(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.byte() == byte)
    }

    /// The kind with this name among those that are exported.
    pub(super) fn exported(name: &str) -> Option<Self> {
        Self::EXPORTED.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    Task(Box<Task>),
    ContextFile(Box<ContextFileRecord>),
    SyncEvent { number: u64, record: Box<SyncEventRecord> },
    Session(Box<SessionRecord>),
    Event { chitty_id: ChittyId, session_id: SessionId, number: u64, record: EventRecord },
    Key { hash: [u8; 32], record: Box<KeyRecord> },
    Once { chitty_id: ChittyId, key_id: KeyId, name: [u8; 32], record: OnceRecord },
    Registration(RegistrationRecord),
    Project(ProjectRecord),
    Bucket { chitty_id: ChittyId, session_id: SessionId, record: BucketRecord },
    StoredFile(Box<StoredFileRecord>),
    Upload { chitty_id: ChittyId, session_id: SessionId, id: UploadId, record: Box<UploadRecord> },
    Part { chitty_id: ChittyId, session_id: SessionId, upload: UploadId, number: u16, record: PartRecord },
    TokenUsed { chitty_id: ChittyId, token: [u8; 16], record: TokenUsedRecord },
    Pending { contents: ContentsOf, record: PendingRecord },
}

impl Record {
    /// Reads what is stored under `key`.
    ///
    /// # Errors
    /// [`RecordError`]; [`RecordError::Damaged`] also when it is not what `key` says it is.
    pub(super) fn read(key: &[u8], value: &[u8]) -> Result<Self, RecordError> {
        let (&byte, parts) = key.split_first().ok_or(RecordError::Damaged)?;
        let record = match Kind::of(byte).ok_or(RecordError::Damaged)? {
            Kind::Task => Self::Task(Box::new(decode_task(value)?)),
            Kind::ContextFile => Self::ContextFile(Box::new(decode(value)?)),
            Kind::SyncEvent => Self::SyncEvent { number: number(key)?, record: Box::new(decode(value)?) },
            Kind::Session => Self::Session(Box::new(decode(value)?)),
            Kind::Event => {
                let (owner, parts) = part(parts)?;
                let (session, _) = part(parts)?;
                Self::Event {
                    chitty_id: owner.parse().map_err(|_| RecordError::Damaged)?,
                    session_id: session.parse().map_err(|_| RecordError::Damaged)?,
                    number: number(key)?,
                    record: decode(value)?,
                }
            }
            Kind::Key => {
                // What a key must be to be let in is checked where keys are read.
                decode_key(key, value)?;
                Self::Key { hash: *key.last_chunk().ok_or(RecordError::Damaged)?, record: Box::new(decode(value)?) }
            }
            Kind::Once => {
                let (owner, parts) = part(parts)?;
                let (caller, _) = part(parts)?;
                Self::Once {
                    chitty_id: owner.parse().map_err(|_| RecordError::Damaged)?,
                    key_id: caller.parse().map_err(|_| RecordError::Damaged)?,
                    name: *key.last_chunk().ok_or(RecordError::Damaged)?,
                    record: decode(value)?,
                }
            }
            Kind::Registration => Self::Registration(decode(value)?),
            Kind::Project => Self::Project(decode(value)?),
            kind => Self::read_of_file(kind, key, value)?,
        };
        if record.key()? == key { Ok(record) } else { Err(RecordError::Damaged) }
    }

    fn read_of_file(kind: Kind, key: &[u8], value: &[u8]) -> Result<Self, RecordError> {
        let damaged = || RecordError::Damaged;
        Ok(match kind {
            Kind::Bucket => {
                let (chitty_id, session_id, _) = key::split_session(key).ok_or_else(damaged)?;
                Self::Bucket { chitty_id, session_id, record: decode(value)? }
            }
            Kind::Upload => {
                let (chitty_id, session_id, id) = key::split_upload(key).ok_or_else(damaged)?;
                Self::Upload { chitty_id, session_id, id, record: Box::new(decode_upload(value)?) }
            }
            Kind::Part => {
                let (chitty_id, session_id, upload, number) = key::split_part(key).ok_or_else(damaged)?;
                Self::Part { chitty_id, session_id, upload, number, record: decode(value)? }
            }
            Kind::TokenUsed => {
                let (chitty_id, token) = key::split_token_used(key).ok_or_else(damaged)?;
                Self::TokenUsed { chitty_id, token, record: decode(value)? }
            }
            Kind::Pending => {
                let contents = key::split_pending(key).ok_or_else(damaged)?;
                Self::Pending { contents, record: decode(value)? }
            }
            _ => Self::StoredFile(Box::new(decode(value)?)),
        })
    }

    /// What kind it is of.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Task(_) => Kind::Task,
            Self::ContextFile(_) => Kind::ContextFile,
            Self::SyncEvent { .. } => Kind::SyncEvent,
            Self::Session(_) => Kind::Session,
            Self::Event { .. } => Kind::Event,
            Self::Key { .. } => Kind::Key,
            Self::Once { .. } => Kind::Once,
            Self::Registration(_) => Kind::Registration,
            Self::Project(_) => Kind::Project,
            Self::Bucket { .. } => Kind::Bucket,
            Self::StoredFile(_) => Kind::StoredFile,
            Self::Upload { .. } => Kind::Upload,
            Self::Part { .. } => Kind::Part,
            Self::TokenUsed { .. } => Kind::TokenUsed,
            Self::Pending { .. } => Kind::Pending,
        }
    }

    /// Where it is stored.
    ///
    /// # Errors
    /// [`RecordError::Damaged`] when an id in it is none.
    pub(super) fn key(&self) -> Result<Vec<u8>, RecordError> {
        let kind = self.kind().byte();
        Ok(match self {
            Self::Task(task) => key::task(&task.chitty_id, &task.session_id, task.position()),
            Self::ContextFile(file) => {
                let prefix = in_session(kind, &file.chitty_id, &file.session_id)?;
                [prefix, Sha256::digest(file.uri.as_bytes()).to_vec()].concat()
            }
            Self::SyncEvent { number, record } => {
                let prefix = in_session(kind, &record.chitty_id, &record.session_id)?;
                [prefix, number.to_be_bytes().to_vec()].concat()
            }
            Self::Session(session) => in_session(kind, &session.chitty_id, &session.id)?,
            Self::Event { chitty_id, session_id, number, .. } => key::event(chitty_id, session_id, *number),
            Self::Key { hash, record } => [owned(kind, &record.chitty_id)?, hash.to_vec()].concat(),
            Self::Once { chitty_id, key_id, name, .. } => key::once(chitty_id, key_id, name),
            Self::Registration(registration) => {
                let name = registration.name.as_bytes();
                if name.is_empty() || name.contains(&0) {
                    return Err(RecordError::Damaged);
                }
                [owned(kind, &registration.chitty_id)?, name.to_vec(), vec![0]].concat()
            }
            Self::Project(project) => {
                [owned(kind, &project.chitty_id)?, Sha256::digest(project.key.as_bytes()).to_vec()].concat()
            }
            Self::Bucket { chitty_id, session_id, .. } => key::bucket(chitty_id, session_id),
            Self::StoredFile(file) => {
                let file = stored_file(file)?;
                key::stored_file(&file.chitty_id, &file.session_id, &file.key)
            }
            Self::Upload { chitty_id, session_id, id, .. } => key::upload(chitty_id, session_id, *id),
            Self::Part { chitty_id, session_id, upload, number, .. } => {
                key::part(chitty_id, session_id, *upload, *number)
            }
            Self::TokenUsed { chitty_id, token, .. } => key::token_used(chitty_id, token),
            Self::Pending { contents, .. } => key::pending(contents),
        })
    }

    /// The index entries that follow from it.
    ///
    /// # Errors
    /// [`RecordError::Damaged`] when an id in it is none.
    pub(super) fn indexes(&self) -> Result<Vec<Vec<u8>>, RecordError> {
        Ok(match self {
            Self::Task(task) => key::indexes(task),
            Self::ContextFile(file) => {
                let position = FilePosition {
                    active: file.active,
                    last_accessed: Time::from_millis(file.last_accessed),
                    hash: Sha256::digest(file.uri.as_bytes()).into(),
                };
                let prefix = in_session(second::FILE_BY_ACCESS, &file.chitty_id, &file.session_id)?;
                vec![[prefix, key::file_order(position).to_vec()].concat()]
            }
            Self::Session(session) => {
                let owner = session.chitty_id.parse().map_err(|_| RecordError::Damaged)?;
                let id = session.id.parse().map_err(|_| RecordError::Damaged)?;
                let position = SessionPosition { created: Time::from_millis(session.created), id };
                vec![key::session_at(&owner, &position)]
            }
            Self::StoredFile(file) => vec![key::file_by_contents(&stored_file(file)?)],
            _ => Vec::new(),
        })
    }

    /// As it is stored.
    ///
    /// # Errors
    /// None that its types allow.
    pub(super) fn value(&self) -> Result<Vec<u8>, RecordError> {
        match self {
            Self::Task(task) => encode(&to_record(task)),
            Self::ContextFile(record) => encode(record),
            Self::SyncEvent { record, .. } => encode(record),
            Self::Session(record) => encode(record),
            Self::Event { record, .. } => encode(record),
            Self::Key { record, .. } => encode(record),
            Self::Once { record, .. } => encode(record),
            Self::Registration(record) => encode(record),
            Self::Project(record) => encode(record),
            Self::Bucket { record, .. } => encode(record),
            Self::StoredFile(record) => encode(record),
            Self::Upload { record, .. } => encode(record),
            Self::Part { record, .. } => encode(record),
            Self::TokenUsed { record, .. } => encode(record),
            Self::Pending { record, .. } => encode(record),
        }
    }

    /// Its number in the event log, if it has one.
    pub(super) fn number(&self) -> Option<u64> {
        match self {
            Self::SyncEvent { number, .. } | Self::Event { number, .. } => Some(*number),
            _ => None,
        }
    }
}

fn number(key: &[u8]) -> Result<u64, RecordError> {
    key.last_chunk().map(|bytes| u64::from_be_bytes(*bytes)).ok_or(RecordError::Damaged)
}

/// The text up to the next zero byte, and what is behind that.
fn part(parts: &[u8]) -> Result<(&str, &[u8]), RecordError> {
    let end = parts.iter().position(|byte| *byte == 0).ok_or(RecordError::Damaged)?;
    Ok((std::str::from_utf8(&parts[..end]).map_err(|_| RecordError::Damaged)?, &parts[end + 1..]))
}

fn owned(kind: u8, owner: &str) -> Result<Vec<u8>, RecordError> {
    Ok(key::owned(kind, &owner.parse().map_err(|_| RecordError::Damaged)?))
}

fn in_session(kind: u8, owner: &str, session: &str) -> Result<Vec<u8>, RecordError> {
    let owner = owner.parse().map_err(|_| RecordError::Damaged)?;
    Ok(key::in_session(kind, &owner, &session.parse().map_err(|_| RecordError::Damaged)?))
}
