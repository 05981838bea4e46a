//! Tasks in the embedded store: the record, its place, its index entries and its events are written together.

use async_trait::async_trait;

use crate::model::event::Event;
use crate::model::id::{ChittyId, SessionId, TaskId};
use crate::model::json::Json;
use crate::model::task::{NewTask, Priority, Status, Task, TaskPatch};
use crate::model::time::Time;
use crate::store::commit::Transaction;
use crate::store::kv::Kv;
use crate::store::migration::m0001_context_sync::{TaskPlaceRecord, TaskRecord};
use crate::store::migration::{RecordError, decode};
use crate::store::{
    Expected, Once, StoreError, TaskCreated, TaskPage, TaskPosition, TaskQuery, TaskStore, TaskUpdated, key,
};

use super::{Embedded, list, once, read_value};
use crate::store::commit::unreadable;

/// Sub-tasks that one deletion takes with it at the most: everybody else's changes wait that long.
const MAX_DELETED: usize = 10_000;

#[async_trait]
impl TaskStore for Embedded {
    async fn create_task(&self, new: NewTask, once: Option<Once>) -> Result<TaskCreated, StoreError> {
        self.change("create_task", move |transaction| create(transaction, new, once.as_ref())).await
    }

    async fn task(&self, owner: &ChittyId, id: TaskId) -> Result<Option<Task>, StoreError> {
        let owner = owner.clone();
        self.read("task", move |kv| find(kv, &owner, id)).await
    }

    async fn list_tasks(&self, query: TaskQuery) -> Result<TaskPage, StoreError> {
        self.read("list_tasks", move |kv| list::list(kv, &query)).await
    }

    async fn update_task(
        &self,
        owner: &ChittyId,
        id: TaskId,
        patch: TaskPatch,
        expected: Expected,
        once: Option<Once>,
    ) -> Result<TaskUpdated, StoreError> {
        let owner = owner.clone();
        let change =
            move |transaction: &mut Transaction<'_>| update(transaction, &owner, id, &patch, &expected, once.as_ref());
        self.change("update_task", change).await
    }

    async fn delete_task(&self, owner: &ChittyId, id: TaskId, expected: Expected) -> Result<usize, StoreError> {
        let owner = owner.clone();
        self.change("delete_task", move |transaction| delete(transaction, &owner, id, &expected)).await
    }
}

/// Makes a task.
fn create(transaction: &mut Transaction<'_>, new: NewTask, once: Option<&Once>) -> Result<TaskCreated, StoreError> {
    let owner = new.chitty_id.clone();
    if let Some(once) = once
        && let Some(answer) = once::replay(transaction, &owner, once)?
    {
        return once::as_created(answer);
    }
    if let Some(parent) = new.parent_task_id {
        let place = transaction.record::<TaskPlaceRecord>(&key::task_place(&owner, parent))?;
        if place.is_none_or(|place| place.session_id != new.session_id.as_str()) {
            return Err(StoreError::NoSuchParent);
        }
    }
    let task = Task::create(new, TaskId::random(), transaction.now());
    put(transaction, &task)?;
    emit(transaction, Event::task_created(&task))?;
    let created = TaskCreated { task_id: task.task_id, created_at: task.created_at, version: task.version };
    if let Some(once) = once {
        once::remember(transaction, &owner, once, created.into())?;
    }
    Ok(created)
}

/// Changes a task.
fn update(
    transaction: &mut Transaction<'_>,
    owner: &ChittyId,
    id: TaskId,
    patch: &TaskPatch,
    expected: &Expected,
    once: Option<&Once>,
) -> Result<TaskUpdated, StoreError> {
    if let Some(once) = once
        && let Some(answer) = once::replay(transaction, owner, once)?
    {
        return once::as_updated(answer);
    }
    let before = stored(transaction, owner, id)?.ok_or(StoreError::NoSuchTask)?;
    expected.check(before.version)?;
    let after = before.patched(patch, transaction.now())?;
    if let Some(after) = &after {
        take(transaction, &before)?;
        put(transaction, after)?;
        emit(transaction, Event::task_updated(&before, after))?;
    }
    let now = after.as_ref().unwrap_or(&before);
    let updated = TaskUpdated { updated_at: now.updated_at, version: now.version };
    if let Some(once) = once {
        once::remember(transaction, owner, once, updated.into())?;
    }
    Ok(updated)
}

/// Deletes a task with everything below it. How many that were.
fn delete(
    transaction: &mut Transaction<'_>,
    owner: &ChittyId,
    id: TaskId,
    expected: &Expected,
) -> Result<usize, StoreError> {
    let task = stored(transaction, owner, id)?.ok_or(StoreError::NoSuchTask)?;
    expected.check(task.version)?;
    let mut deleted = vec![task];
    let mut looked_below = 0;
    while let Some(task) = deleted.get(looked_below) {
        looked_below += 1;
        let below = key::by_parent(owner, &task.session_id, task.task_id);
        let room = MAX_DELETED + 1 - deleted.len();
        let keys = transaction.keys_under(&below, room + 1)?;
        if keys.len() > room {
            return Err(StoreError::TooManySubtasks(MAX_DELETED));
        }
        for key in keys {
            let position = key::position(&key).ok_or_else(|| unreadable(RecordError::Damaged))?;
            let task = stored(transaction, owner, position.task_id)?;
            deleted.push(task.ok_or_else(|| unreadable(RecordError::Damaged))?);
        }
    }
    let now = transaction.now();
    for task in &deleted {
        take(transaction, task)?;
        emit(transaction, Event::task_deleted(task, now))?;
    }
    Ok(deleted.len())
}

/// One task.
pub(in crate::store) fn find(kv: &dyn Kv, owner: &ChittyId, id: TaskId) -> Result<Option<Task>, StoreError> {
    let mut before = None;
    loop {
        let Some(place) = read_value(kv, &key::task_place(owner, id))? else { return Ok(None) };
        let place: TaskPlaceRecord = decode(&place).map_err(unreadable)?;
        match read_value(kv, &key_at(owner, id, &place)?)? {
            Some(record) => return decode_task(&record).map(Some).map_err(unreadable),
            None if before.as_ref() == Some(&place) => return Err(unreadable(RecordError::Damaged)),
            // A change has moved it between the two looks, or pulled its end away: it is in another place now.
            None => before = Some(place),
        }
    }
}

fn key_at(owner: &ChittyId, id: TaskId, place: &TaskPlaceRecord) -> Result<Vec<u8>, StoreError> {
    let session: SessionId = place.session_id.parse().map_err(|_| unreadable(RecordError::Damaged))?;
    let position = TaskPosition { updated_at: Time::from_millis(place.updated_at), task_id: id };
    Ok(key::task(owner, &session, position))
}

fn stored(transaction: &mut Transaction<'_>, owner: &ChittyId, id: TaskId) -> Result<Option<Task>, StoreError> {
    let Some(place) = transaction.record::<TaskPlaceRecord>(&key::task_place(owner, id))? else { return Ok(None) };
    let record = transaction.record::<TaskRecord>(&key_at(owner, id, &place)?)?;
    let record = record.ok_or_else(|| unreadable(RecordError::Damaged))?;
    to_task(record).map(Some).map_err(unreadable)
}

/// Puts a task with its place and its index entries.
pub(in crate::store) fn put(transaction: &mut Transaction<'_>, task: &Task) -> Result<(), StoreError> {
    let (owner, session) = (&task.chitty_id, &task.session_id);
    transaction.insert(&key::task(owner, session, task.position()), &to_record(task))?;
    transaction.insert(&key::task_place(owner, task.task_id), &place_of(task))?;
    key::indexes(task).into_iter().try_for_each(|key| transaction.insert_index(key))
}

/// Where its record is.
pub(in crate::store) fn place_of(task: &Task) -> TaskPlaceRecord {
    TaskPlaceRecord { session_id: task.session_id.to_string(), updated_at: task.updated_at.as_millis() }
}

fn take(transaction: &mut Transaction<'_>, task: &Task) -> Result<(), StoreError> {
    let (owner, session) = (&task.chitty_id, &task.session_id);
    transaction.remove(&key::task(owner, session, task.position()))?;
    transaction.remove(&key::task_place(owner, task.task_id))?;
    key::indexes(task).into_iter().try_for_each(|key| transaction.remove(&key))
}

fn emit(transaction: &mut Transaction<'_>, event: Result<Event, serde_json::Error>) -> Result<u64, StoreError> {
    let event = event.map_err(|_| unreadable(RecordError::Damaged))?;
    transaction.emit(&event)
}

pub(in crate::store) fn to_record(task: &Task) -> TaskRecord {
    let text = |json: &Json| json.text().to_owned();
    TaskRecord {
        task_id: *task.task_id.as_bytes(),
        session_id: task.session_id.to_string(),
        chitty_id: task.chitty_id.to_string(),
        task_type: task.task_type.clone(),
        status: task.status as u8,
        title: task.title.clone(),
        description: task.description.clone(),
        priority: task.priority as u8,
        assigned_service: task.assigned_service.clone(),
        parent_task_id: task.parent_task_id.map(|id| *id.as_bytes()),
        created_at: task.created_at.as_millis(),
        updated_at: task.updated_at.as_millis(),
        started_at: task.started_at.map(Time::as_millis),
        completed_at: task.completed_at.map(Time::as_millis),
        metadata: task.metadata.as_ref().map(text),
        result: task.result.as_ref().map(text),
        error: task.error.clone(),
        version: task.version,
    }
}

/// The inverse of what is stored.
pub(in crate::store) fn decode_task(stored: &[u8]) -> Result<Task, RecordError> {
    to_task(decode(stored)?)
}

fn to_task(record: TaskRecord) -> Result<Task, RecordError> {
    let json = |text: Option<String>| text.map(Json::parse).transpose().map_err(|_| RecordError::Damaged);
    Ok(Task {
        task_id: TaskId::from_bytes(record.task_id),
        session_id: record.session_id.parse().map_err(|_| RecordError::Damaged)?,
        chitty_id: record.chitty_id.parse().map_err(|_| RecordError::Damaged)?,
        task_type: record.task_type,
        status: *Status::ALL.get(usize::from(record.status)).ok_or(RecordError::Damaged)?,
        title: record.title,
        description: record.description,
        priority: *Priority::ALL.get(usize::from(record.priority)).ok_or(RecordError::Damaged)?,
        assigned_service: record.assigned_service,
        parent_task_id: record.parent_task_id.map(TaskId::from_bytes),
        created_at: Time::from_millis(record.created_at),
        updated_at: Time::from_millis(record.updated_at),
        started_at: record.started_at.map(Time::from_millis),
        completed_at: record.completed_at.map(Time::from_millis),
        metadata: json(record.metadata)?,
        result: json(record.result)?,
        error: record.error,
        version: record.version,
    })
}
