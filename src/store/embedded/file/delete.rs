//! Files that go, and files that somebody says are what was meant.

use serde::Serialize;

use super::keep::{S3, release, stored};
use super::usage;
use crate::model::event::Event;
use crate::model::id::TaskId;
use crate::model::json::Json;
use crate::model::stored_file::{FileKey, StoredFile};
use crate::store::commit::{Transaction, unreadable};
use crate::store::context::Place;
use crate::store::embedded::context::{emit, note_sync, rows};
use crate::store::migration::RecordError;
use crate::store::migration::m0001_context_sync::TaskPlaceRecord;
use crate::store::{StoreError, key};

/// Bytes of keys in one synchronisation, about: a record has 1 MiB at the most, and a key may need escapes.
const SYNC_BYTES: usize = 256 << 10;

/// What is told of a file that went by S3.
#[derive(Serialize)]
struct Gone {
    r2_key: String,
    deleted: bool,
}

/// Removes files.
pub(super) fn delete(
    transaction: &mut Transaction<'_>,
    place: &Place,
    keys: &[FileKey],
    by_s3: bool,
) -> Result<Vec<StoredFile>, StoreError> {
    let Place { chitty_id, session_id } = place;
    let now = transaction.now();
    let mut has = usage::of(transaction, chitty_id, 0)?;
    let mut gone = Vec::new();
    for key in keys {
        let at = key::stored_file(chitty_id, session_id, key);
        let Some(file) = stored(transaction, &at)? else { continue };
        transaction.remove(&at)?;
        has.files = has.files.saturating_sub(1);
        if release(transaction, &file)? {
            has.bytes = has.bytes.saturating_sub(file.contents.size);
        }
        rows::remove(transaction, &file)?;
        emit(transaction, Event::files_deleted(&file, now))?;
        gone.push(file);
    }
    if gone.is_empty() {
        return Ok(gone);
    }
    usage::set(transaction, chitty_id, has)?;
    if by_s3 {
        synced(transaction, place, &gone)?;
    }
    Ok(gone)
}

/// Keeps that files went by S3: as one synchronisation, or as several where the names are too long for one.
fn synced(transaction: &mut Transaction<'_>, place: &Place, gone: &[StoredFile]) -> Result<(), StoreError> {
    let (mut items, mut bytes) = (Vec::new(), 0);
    for (index, file) in gone.iter().enumerate() {
        let r2_key = file.r2_key();
        bytes += r2_key.len();
        items.push(Gone { r2_key, deleted: true });
        if bytes >= SYNC_BYTES || index + 1 == gone.len() {
            let payload = Json::of(&items).map_err(|_| unreadable(RecordError::Damaged))?;
            note_sync(transaction, place.clone(), S3.to_owned(), None, items.len() as u64, payload)?;
            (items, bytes) = (Vec::new(), 0);
        }
    }
    Ok(())
}

/// Says that a file is what somebody meant, and which task it belongs to.
pub(super) fn commit(
    transaction: &mut Transaction<'_>,
    place: &Place,
    key: &FileKey,
    task_id: Option<TaskId>,
) -> Result<StoredFile, StoreError> {
    let Place { chitty_id, session_id } = place;
    let file = stored(transaction, &key::stored_file(chitty_id, session_id, key))?.ok_or(StoreError::NoSuchFile)?;
    if let Some(task_id) = task_id {
        let task = transaction.record::<TaskPlaceRecord>(&key::task_place(chitty_id, task_id))?;
        if task.is_none_or(|task| task.session_id != session_id.as_str()) {
            return Err(StoreError::NoSuchTask);
        }
    }
    let task_id = rows::commit(transaction, &file, task_id)?;
    let now = transaction.now();
    emit(transaction, Event::files_committed(&file, task_id, now))?;
    Ok(file)
}
