//! Sessions in the embedded store: one record each, its context in it, and what sessions leave for the next of a project.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use async_trait::async_trait;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::{Embedded, read_replaced, unreachable_engine};
use crate::model::id::{ChittyId, SessionId};
use crate::model::json::Json;
use crate::model::session::{NewSession, Project, Session, SessionPatch, SessionState};
use crate::model::time::Time;
use crate::store::commit::{Transaction, unreadable};
use crate::store::kv::{Direction, Kv};
use crate::store::migration::m0001_context_sync::SessionRecord;
use crate::store::migration::m0002_identity_and_registry::ProjectRecord;
use crate::store::migration::{RecordError, decode};
use crate::store::{
    SessionEnded, SessionPage, SessionPosition, SessionQuery, SessionStarted, SessionStore, StoreError, key,
};

/// Bytes of sessions in one page, about: what a client is sent at once.
const PAGE_BYTES: usize = 1 << 20;
/// Bytes of records that are read for one page, about: contexts are read and not shown.
const READ_BYTES: usize = 16 << 20;
/// Sessions that are over, at the most, among which a page is looked for.
const LOOKED_AT: usize = 1000;

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

    async fn list_sessions(&self, query: SessionQuery) -> Result<SessionPage, StoreError> {
        self.read("list_sessions", move |kv| list(kv, &query, Time::now())).await
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

/// Puts a session, with its place in the order of lists, where whatever was there was.
fn put(transaction: &mut Transaction<'_>, key: &[u8], session: &Session) -> Result<(), StoreError> {
    let owner = &session.chitty_id;
    if let Some(before) = transaction.record::<SessionRecord>(key)? {
        let position = SessionPosition { created: Time::from_millis(before.created), id: session.id.clone() };
        transaction.remove(key)?;
        transaction.remove(&key::session_at(owner, &position))?;
    }
    transaction.insert(key, &to_record(session))?;
    transaction.insert_index(key::session_at(owner, &session.position()))
}

/// One page: places in the order of lists, then the record of each.
fn list(kv: &dyn Kv, query: &SessionQuery, now: Time) -> Result<SessionPage, StoreError> {
    let prefix = key::sessions_by_age(&query.chitty_id);
    let from = match &query.after {
        Some(position) => Bound::Excluded(key::session_at(&query.chitty_id, position)),
        None => Bound::Included(prefix.clone()),
    };
    let mut places = Vec::new();
    let mut more = false;
    let scanned = kv.range((from.as_ref().map(Vec::as_slice), Bound::Unbounded), Direction::Forward, &mut |at, _| {
        let Some(place) = at.strip_prefix(&*prefix) else { return ControlFlow::Break(()) };
        more = places.len() >= LOOKED_AT + query.limit;
        if more {
            return ControlFlow::Break(());
        }
        places.push(key::session_position(place));
        ControlFlow::Continue(())
    });
    scanned.map_err(|error| unreachable_engine(&error))?;
    let mut page = SessionPage::default();
    let (mut read, mut last) = (0, None);
    for position in places {
        let position = position.ok_or_else(|| unreadable(RecordError::Damaged))?;
        if page.sessions.len() == query.limit || page.bytes >= PAGE_BYTES || read >= READ_BYTES {
            page.next = last;
            return Ok(page);
        }
        // One that has gone meanwhile, or was begun anew, is not in its place any more.
        if let Some((mut session, bytes)) = find(kv, &key::session(&query.chitty_id, &position.id))? {
            read += bytes;
            if session.position() == position && !session.is_over(now) {
                session.context = Vec::new();
                let json = session.decisions.iter().chain([&session.metadata]);
                page.bytes += 512 + json.map(|json| json.text().len()).sum::<usize>();
                page.sessions.push(session);
            }
        }
        last = Some(position);
    }
    page.next = last.filter(|_| more);
    Ok(page)
}

/// The session under `key`, over or not, and what its record takes.
fn find(kv: &dyn Kv, key: &[u8]) -> Result<Option<(Session, usize)>, StoreError> {
    let Some(record) = read_replaced(kv, key)? else { return Ok(None) };
    let session = decode(&record).and_then(to_session).map_err(unreadable)?;
    Ok(Some((session, record.len())))
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
