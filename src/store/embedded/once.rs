//! Requests that are done once (`Idempotency-Key`): what each was answered, for a day.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::model::id::{ChittyId, TaskId};
use crate::model::time::Time;
use crate::store::commit::Transaction;
use crate::store::migration::m0001_context_sync::{OnceAnswer, OnceRecord};
use crate::store::{Once, StoreError, TaskCreated, TaskUpdated, key};

/// How long a request may be repeated.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

fn key_of(owner: &ChittyId, once: &Once) -> Vec<u8> {
    key::once(owner, &once.key_id, &Sha256::digest(once.name.as_bytes()).into())
}

/// What the request was answered, if it was done before.
///
/// # Errors
/// [`StoreError::OnceReused`] when its name was used for another.
pub(super) fn replay(
    transaction: &mut Transaction<'_>,
    owner: &ChittyId,
    once: &Once,
) -> Result<Option<OnceAnswer>, StoreError> {
    let key = key_of(owner, once);
    match transaction.record::<OnceRecord>(&key)? {
        Some(record) if Time::from_millis(record.expires_at) <= transaction.now() => {
            transaction.remove(&key)?;
            Ok(None)
        }
        Some(record) if record.fingerprint == once.fingerprint => Ok(Some(record.answer)),
        Some(_) => Err(StoreError::OnceReused),
        None => Ok(None),
    }
}

/// Keeps what the request is answered.
pub(super) fn remember(
    transaction: &mut Transaction<'_>,
    owner: &ChittyId,
    once: &Once,
    answer: OnceAnswer,
) -> Result<(), StoreError> {
    let expires_at = transaction.now().after(REMEMBERED).as_millis();
    transaction.insert(&key_of(owner, once), &OnceRecord { fingerprint: once.fingerprint, expires_at, answer })
}

impl From<TaskCreated> for OnceAnswer {
    fn from(created: TaskCreated) -> Self {
        Self::TaskCreated {
            task_id: *created.task_id.as_bytes(),
            created_at: created.created_at.as_millis(),
            version: created.version,
        }
    }
}

impl From<TaskUpdated> for OnceAnswer {
    fn from(updated: TaskUpdated) -> Self {
        Self::TaskUpdated { updated_at: updated.updated_at.as_millis(), version: updated.version }
    }
}

/// The answer to the creation of a task; that to another request under the same name is another request's.
pub(super) fn as_created(answer: OnceAnswer) -> Result<TaskCreated, StoreError> {
    match answer {
        OnceAnswer::TaskCreated { task_id, created_at, version } => {
            Ok(TaskCreated { task_id: TaskId::from_bytes(task_id), created_at: Time::from_millis(created_at), version })
        }
        OnceAnswer::TaskUpdated { .. } => Err(StoreError::OnceReused),
    }
}

/// The answer to the change of a task, likewise.
pub(super) fn as_updated(answer: OnceAnswer) -> Result<TaskUpdated, StoreError> {
    match answer {
        OnceAnswer::TaskUpdated { updated_at, version } => {
            Ok(TaskUpdated { updated_at: Time::from_millis(updated_at), version })
        }
        OnceAnswer::TaskCreated { .. } => Err(StoreError::OnceReused),
    }
}
