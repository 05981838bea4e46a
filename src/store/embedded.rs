//! A store in memory, until the embedded engine is there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Config, Expected, Once, Store, StoreError, TaskCreated, TaskPage, TaskPosition, TaskQuery, TaskUpdated};
use crate::model::id::{ChittyId, TaskId};
use crate::model::key::{Key, KeyHash};
use crate::model::task::{NewTask, Task, TaskPatch};
use crate::model::time::Time;
use crate::telemetry::metrics::Metrics;

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("store.path: cannot be opened")]
pub struct OpenError;

#[derive(Default)]
struct Inside {
    tasks: HashMap<TaskId, Task>,
    keys: HashMap<KeyHash, Arc<Key>>,
    once: HashMap<(String, String), ([u8; 32], TaskCreated)>,
}

/// The store.
pub struct Embedded(Mutex<Inside>);

impl Embedded {
    /// Opens it.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(_: Config, _: Arc<Metrics>) -> Result<Self, OpenError> {
        Ok(Self(Mutex::default()))
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for Embedded {
    async fn create_task(&self, new: NewTask, once: Option<Once>) -> Result<TaskCreated, StoreError> {
        let mut inside = self.inside();
        if let Some(once) = &once
            && let Some((fingerprint, made)) = inside.once.get(&(once.key_id.to_string(), once.name.clone()))
        {
            return if *fingerprint == once.fingerprint { Ok(*made) } else { Err(StoreError::OnceReused) };
        }
        if let Some(parent) = new.parent_task_id {
            let fits = |parent: &&Task| parent.chitty_id == new.chitty_id && parent.session_id == new.session_id;
            inside.tasks.get(&parent).filter(fits).ok_or(StoreError::NoSuchParent)?;
        }
        let task = Task::create(new, TaskId::random(), Time::now());
        let made = TaskCreated { task_id: task.task_id, created_at: task.created_at, version: 1 };
        inside.tasks.insert(task.task_id, task);
        if let Some(once) = once {
            inside.once.insert((once.key_id.to_string(), once.name), (once.fingerprint, made));
        }
        Ok(made)
    }

    async fn task(&self, owner: &ChittyId, id: TaskId) -> Result<Option<Task>, StoreError> {
        Ok(self.inside().tasks.get(&id).filter(|task| task.chitty_id == *owner).cloned())
    }

    async fn list_tasks(&self, query: TaskQuery) -> Result<TaskPage, StoreError> {
        let position = |task: &Task| TaskPosition { updated_at: task.updated_at, task_id: task.task_id };
        let order = |position: &TaskPosition| std::cmp::Reverse((position.updated_at, position.task_id));
        let inside = self.inside();
        let fits = |task: &&Task| {
            task.chitty_id == query.chitty_id
                && task.session_id == query.session_id
                && query.status.is_none_or(|status| status == task.status)
                && query.priority.is_none_or(|priority| priority == task.priority)
                && query.parent_task_id.is_none_or(|parent| Some(parent) == task.parent_task_id)
                && query.assigned_service.as_ref().is_none_or(|service| Some(service) == task.assigned_service.as_ref())
                && query.after.as_ref().is_none_or(|after| order(&position(task)) > order(after))
        };
        let mut tasks: Vec<Task> = inside.tasks.values().filter(fits).cloned().collect();
        tasks.sort_by_key(|task| order(&position(task)));
        let more = tasks.len() > query.limit;
        tasks.truncate(query.limit);
        let next = tasks.last().filter(|_| more).map(position);
        Ok(TaskPage { tasks, next })
    }

    async fn update_task(
        &self,
        owner: &ChittyId,
        id: TaskId,
        patch: TaskPatch,
        expected: Expected,
        _: Option<Once>,
    ) -> Result<TaskUpdated, StoreError> {
        let mut inside = self.inside();
        let task = inside.tasks.get(&id).filter(|task| task.chitty_id == *owner).ok_or(StoreError::NoSuchTask)?;
        expected.check(task.version)?;
        let after = task.patched(&patch, Time::now())?.unwrap_or_else(|| task.clone());
        let updated = TaskUpdated { updated_at: after.updated_at, version: after.version };
        inside.tasks.insert(id, after);
        Ok(updated)
    }

    async fn delete_task(&self, owner: &ChittyId, id: TaskId, expected: Expected) -> Result<usize, StoreError> {
        let mut inside = self.inside();
        let task = inside.tasks.get(&id).filter(|task| task.chitty_id == *owner).ok_or(StoreError::NoSuchTask)?;
        expected.check(task.version)?;
        let mut gone = vec![id];
        let mut deleted = 0;
        while let Some(id) = gone.pop() {
            inside.tasks.remove(&id);
            deleted += 1;
            gone.extend(inside.tasks.values().filter(|task| task.parent_task_id == Some(id)).map(|task| task.task_id));
        }
        Ok(deleted)
    }

    async fn create_key(&self, key: Key) -> Result<(), StoreError> {
        self.inside().keys.insert(key.hash, Arc::new(key));
        Ok(())
    }

    async fn key(&self, hash: &KeyHash) -> Result<Option<Arc<Key>>, StoreError> {
        Ok(self.inside().keys.get(hash).cloned())
    }

    fn trouble(&self) -> Option<Arc<str>> {
        None
    }

    async fn close(&self) {}
}
