//! Sessions in the embedded store: one record each, its context in it, and what sessions leave for the next of a project.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use async_trait::async_trait;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::{Embedded, unreachable_engine};
use crate::model::id::{ChittyId, SessionId};
use crate::model::json::Json;
use crate::model::session::{NewSession, Project, Session, SessionPatch, SessionState};
use crate::model::time::Time;
use crate::store::commit::{Transaction, unreadable};
use crate::store::kv::{Direction, Kv};
use crate::store::migration::m0001_context_sync::SessionRecord;
use crate::store::migration::m0002_identity_and_registry::ProjectRecord;
use crate::store::migration::{RecordError, decode};
use crate::store::{SessionEnded, SessionPage, SessionStarted, SessionStore, StoreError, key, value};

/// Sessions of a list, at the most.
const MAX_LIST: usize = 1000;
/// What the sessions of a list may take, about.
const LIST_BYTES: usize = 4 << 20;
/// Keys of sessions that are looked up in one go.
const STRIDE: usize = 256;
/// Looks at a record that is changed again and again meanwhile.
const ATTEMPTS: usize = 100;

#[async_trait]
impl SessionStore for Embedded {
    async fn create_session(&self, new: NewSession) -> Result<Session, StoreError> {
        self.change("create_session", move |transaction| create(transaction, new)).await
    }

    async fn session(&self, owner: &ChittyId, id: &SessionId) -> Result<Option<Session>, StoreError> {
        let key = key::session(owner, id);
        self.read("session", move |kv| {
            let session = find(kv, &key)?.map(|(session, _)| session);
            Ok(session.filter(|session| !session.is_over(Time::now())))
        })
        .await
    }

    async fn sessions(&self, owner: &ChittyId, limit: usize) -> Result<SessionPage, StoreError> {
        let owner = owner.clone();
        self.read("list_sessions", move |kv| list(kv, &owner, limit.min(MAX_LIST), Time::now())).await
    }

    async fn patch_session(
        &self,
        owner: &ChittyId,
        id: &SessionId,
        patch: SessionPatch,
    ) -> Result<Session, StoreError> {
        let key = key::session(owner, id);
        self.change("patch_session", move |transaction| {
            let mut session = stored(transaction, &key)?.ok_or(StoreError::NoSuchSession)?;
            session.patch(patch, transaction.now())?;
            put(transaction, &key, &session)?;
            Ok(session)
        })
        .await
    }

    async fn put_context(
        &self,
        owner: &ChittyId,
        id: &SessionId,
        name: String,
        value: Json,
    ) -> Result<Session, StoreError> {
        let key = key::session(owner, id);
        self.change("put_context", move |transaction| {
            let mut session = stored(transaction, &key)?.ok_or(StoreError::NoSuchSession)?;
            session.put_context(name, value, transaction.now())?;
            put(transaction, &key, &session)?;
            Ok(session)
        })
        .await
    }

    async fn start_session(&self, new: NewSession, project: Option<Project>) -> Result<SessionStarted, StoreError> {
        self.change("start_session", move |transaction| start(transaction, new, project.as_ref())).await
    }

    async fn end_session(
        &self,
        owner: &ChittyId,
        id: &SessionId,
        project: Option<Project>,
        context: Option<Json>,
    ) -> Result<SessionEnded, StoreError> {
        let (owner, id) = (owner.clone(), id.clone());
        self.change("end_session", move |transaction| end(transaction, &owner, &id, project.as_ref(), context.as_ref()))
            .await
    }
}

fn create(transaction: &mut Transaction<'_>, new: NewSession) -> Result<Session, StoreError> {
    let key = key::session(&new.chitty_id, &new.id);
    match stored(transaction, &key)? {
        Some(session) if session.state == SessionState::Ended => {}
        Some(session) if means_the_same(&session.metadata, &new.metadata) => return Ok(session),
        Some(_) => return Err(StoreError::SessionExists),
        None => {}
    }
    let session = Session::create(new, transaction.now());
    put(transaction, &key, &session)?;
    Ok(session)
}

fn start(
    transaction: &mut Transaction<'_>,
    new: NewSession,
    project: Option<&Project>,
) -> Result<SessionStarted, StoreError> {
    let key = key::session(&new.chitty_id, &new.id);
    let prior = match project {
        Some(project) => {
            let record = transaction.record::<ProjectRecord>(&project_key(&new.chitty_id, project))?;
            record.map(|record| json(record.value)).transpose().map_err(unreadable)?
        }
        None => None,
    };
    let existing = stored(transaction, &key)?.filter(|session| session.state == SessionState::Active);
    let created = existing.is_none();
    let now = transaction.now();
    let mut session = existing.unwrap_or_else(|| Session::create(new, now));
    session.touch(now);
    put(transaction, &key, &session)?;
    Ok(SessionStarted { session, created, prior })
}

fn end(
    transaction: &mut Transaction<'_>,
    owner: &ChittyId,
    id: &SessionId,
    project: Option<&Project>,
    context: Option<&Json>,
) -> Result<SessionEnded, StoreError> {
    let key = key::session(owner, id);
    let now = transaction.now();
    let mut session = stored(transaction, &key)?;
    let mut ended = false;
    if let Some(session) = &mut session
        && session.end(now)
    {
        ended = true;
        put(transaction, &key, session)?;
    }
    let saved = project.map(|project| save(transaction, owner, id, project, context)).transpose()?;
    Ok(SessionEnded { session, ended, saved })
}

/// Keeps what a session leaves for the project's next one.
fn save(
    transaction: &mut Transaction<'_>,
    owner: &ChittyId,
    id: &SessionId,
    project: &Project,
    context: Option<&Json>,
) -> Result<Json, StoreError> {
    let key = project_key(owner, project);
    let before = transaction.record::<ProjectRecord>(&key)?;
    let now = transaction.now();
    let broken = || unreadable(RecordError::Damaged);
    let left = context.map(Json::text).or(before.as_ref().map(|record| record.value.as_str())).unwrap_or("{}");
    let mut members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(left).map_err(|_| broken())?;
    for (name, text) in [("lastSessionId", id.to_string()), ("updatedAt", now.to_string())] {
        members.insert(name.to_owned(), serde_json::value::to_raw_value(&text).map_err(|_| broken())?);
    }
    let value = Json::of(&members).map_err(|_| broken())?;
    if before.is_some() {
        transaction.remove(&key)?;
    }
    let record = ProjectRecord {
        chitty_id: owner.to_string(),
        key: project.key(),
        value: value.text().to_owned(),
        updated_at: now.as_millis(),
    };
    transaction.insert(&key, &record)?;
    Ok(value)
}

fn project_key(owner: &ChittyId, project: &Project) -> Vec<u8> {
    key::project(owner, &Sha256::digest(project.key().as_bytes()).into())
}

/// Whether two texts are the same JSON, however they are spaced and ordered.
fn means_the_same(one: &Json, other: &Json) -> bool {
    let read = |json: &Json| serde_json::from_str::<serde_json::Value>(json.text()).ok();
    one == other || read(one).is_some_and(|one| Some(one) == read(other))
}

/// The session under `key`, unless it is over.
fn stored(transaction: &mut Transaction<'_>, key: &[u8]) -> Result<Option<Session>, StoreError> {
    let session = transaction.record::<SessionRecord>(key)?.map(to_session).transpose().map_err(unreadable)?;
    Ok(session.filter(|session| !session.is_over(transaction.now())))
}

/// Puts a session in place of whatever is there.
fn put(transaction: &mut Transaction<'_>, key: &[u8], session: &Session) -> Result<(), StoreError> {
    if transaction.entry(key)?.is_some() {
        transaction.remove(key)?;
    }
    transaction.insert(key, &to_record(session))
}

/// The newest sessions, as many as were asked for and as there is room for.
fn list(kv: &dyn Kv, owner: &ChittyId, limit: usize, now: Time) -> Result<SessionPage, StoreError> {
    let prefix = key::sessions(owner);
    let mut newest = BTreeMap::new();
    let (mut bytes, mut after, mut left_out) = (0, None, None);
    loop {
        let keys = next_keys(kv, &prefix, after.as_deref())?;
        let Some(last) = keys.last().cloned() else { break };
        for key in keys {
            // One that has gone meanwhile is not in this list any more.
            let Some((mut session, size)) = find(kv, &key)? else { continue };
            if session.is_over(now) {
                continue;
            }
            session.context = Vec::new();
            let place = (!session.created.as_millis(), session.id.clone());
            // What stands behind one that was left out is left out too, so that a list has no holes.
            if left_out.as_ref().is_some_and(|left_out| *left_out < place) {
                continue;
            }
            bytes += size;
            newest.insert(place, (session, size));
            while newest.len() > limit || (bytes > LIST_BYTES && newest.len() > 1) {
                let Some((place, (_, size))) = newest.pop_last() else { break };
                bytes -= size;
                left_out = Some(place);
            }
        }
        after = Some(last);
    }
    Ok(SessionPage { sessions: newest.into_values().map(|(session, _)| session).collect(), bytes })
}

/// Keys of sessions behind `after`.
fn next_keys(kv: &dyn Kv, prefix: &[u8], after: Option<&[u8]>) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut keys: Vec<Vec<u8>> = Vec::new();
    let start = after.map_or(Bound::Included(prefix), Bound::Excluded);
    let scanned = kv.range((start, Bound::Unbounded), Direction::Forward, &mut |key, _| {
        if !key.starts_with(prefix) || keys.len() == STRIDE {
            return ControlFlow::Break(());
        }
        // An id ends in its only zero byte; what continues a value has one byte more.
        if key[prefix.len()..].iter().position(|byte| *byte == 0) == Some(key.len() - prefix.len() - 1) {
            keys.push(key.to_vec());
        }
        ControlFlow::Continue(())
    });
    scanned.map_err(|error| unreachable_engine(&error))?;
    Ok(keys)
}

/// The session under `key`, over or not, and what it takes without its context, about.
fn find(kv: &dyn Kv, key: &[u8]) -> Result<Option<(Session, usize)>, StoreError> {
    let Some(record) = read(kv, key)? else { return Ok(None) };
    let record: SessionRecord = decode(&record).map_err(unreadable)?;
    let decisions: usize = record.decisions.iter().map(String::len).sum();
    let size = 512 + record.metadata.as_ref().map_or(0, String::len) + decisions;
    to_session(record).map(|session| Some((session, size))).map_err(unreadable)
}

/// The value of `key` as it was written. The pieces of a long one may be replaced between two looks, and there is no
/// telling from them; so it is looked at until it is twice the same.
fn read(kv: &dyn Kv, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    let get = |key: &[u8]| kv.get(key).map_err(|error| Some(unreachable_engine(&error)));
    let mut before = None;
    for _ in 0..ATTEMPTS {
        match value::read(key, get, || None) {
            Ok(Some(value)) if !value::is_one_entry(value.len()) && before.as_ref() != Some(&value) => {
                before = Some(value);
            }
            Ok(value) => return Ok(value),
            Err(Some(error)) => return Err(error),
            Err(None) => before = None,
        }
    }
    Err(unreadable(RecordError::Damaged))
}

fn to_record(session: &Session) -> SessionRecord {
    let text = |json: &Json| json.text().to_owned();
    SessionRecord {
        id: session.id.to_string(),
        chitty_id: session.chitty_id.to_string(),
        created: session.created.as_millis(),
        updated: session.updated.as_millis(),
        expires: session.expires.as_millis(),
        metadata: Some(text(&session.metadata)),
        state: session.state.to_string(),
        decisions: session.decisions.iter().map(text).collect(),
        interactions: session.interactions,
        context: session.context.iter().map(|(key, value)| (key.clone(), text(value))).collect(),
    }
}

fn to_session(record: SessionRecord) -> Result<Session, RecordError> {
    let context = record.context.into_iter().map(|(key, value)| Ok((key, json(value)?)));
    Ok(Session {
        id: record.id.parse().map_err(|_| RecordError::Damaged)?,
        chitty_id: record.chitty_id.parse().map_err(|_| RecordError::Damaged)?,
        created: Time::from_millis(record.created),
        updated: Time::from_millis(record.updated),
        expires: Time::from_millis(record.expires),
        metadata: json(record.metadata.unwrap_or_else(|| "{}".to_owned()))?,
        state: record.state.parse().map_err(|_| RecordError::Damaged)?,
        decisions: record.decisions.into_iter().map(json).collect::<Result<_, _>>()?,
        interactions: record.interactions,
        context: context.collect::<Result<_, _>>()?,
    })
}

fn json(text: String) -> Result<Json, RecordError> {
    Json::parse(text).map_err(|_| RecordError::Damaged)
}

#[cfg(test)]
mod tests;
