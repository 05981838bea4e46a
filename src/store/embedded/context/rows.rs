//! Rows of files whose contents are kept, and room for the others: what is said of a file that is kept does not take the
//! place of what it is, and it never gives way to others nor counts among them.

use std::ops::Bound;

use super::{damaged, hash_of, replace, stored};
use crate::model::file::{ContextFile, FileFacts};
use crate::model::id::TaskId;
use crate::model::json::Json;
use crate::model::stored_file::{FileKey, R2_SCHEME, StoredFile, parse_r2_key};
use crate::store::commit::{Transaction, unreadable};
use crate::store::context::{MAX_FILES, Place};
use crate::store::embedded::file::{count_rows, of_record};
use crate::store::kv::Direction;
use crate::store::migration::m0001_context_sync::ContextFileRecord;
use crate::store::migration::m0003_files::{RowsRecord, StoredFileRecord};
use crate::store::view::{View, end_of};
use crate::store::{StoreError, key};

/// Rows that are looked at in one go for some that may give way.
const STRIDE: usize = 256;

/// What the row of a file says of it; `metadata` is somebody else's.
pub(in crate::store) fn facts_of(file: &StoredFile, metadata: Option<Json>) -> FileFacts {
    let name = file.key.name();
    FileFacts {
        uri: file.uri(),
        name: (!name.is_empty()).then(|| name.to_owned()),
        size: Some(file.contents.size),
        sha256: Some(file.contents.hash.to_string()),
        mime: file.mime.clone(),
        r2_key: Some(file.r2_key()),
        metadata,
        modified_at: Some(file.source_modified_at.unwrap_or(file.modified_at)),
    }
}

/// Whether a row and a file say the same of its contents.
pub(in crate::store) fn agree(row: &ContextFileRecord, file: &StoredFile) -> bool {
    row.size == Some(file.contents.size) && row.sha256 == Some(file.contents.hash.to_string())
}

/// Puts the row of a file into the active set, in place of the one that it had.
pub(in crate::store::embedded) fn put(
    transaction: &mut Transaction<'_>,
    file: &StoredFile,
    is_new: bool,
) -> Result<(), StoreError> {
    let place = place_of(file);
    let before = stored(transaction, &place, &hash_of(&file.uri()))?;
    let metadata = before.as_ref().and_then(|row| row.facts.metadata.clone());
    let after = heard_of(before.clone(), place.clone(), facts_of(file, metadata), transaction);
    replace(transaction, before.as_ref(), &after)?;
    note(transaction, &place, i64::from(before.is_none()), i64::from(is_new))
}

/// Says which task a file belongs to; `None` = whichever it does. The task that it belongs to then.
pub(in crate::store::embedded) fn commit(
    transaction: &mut Transaction<'_>,
    file: &StoredFile,
    task_id: Option<TaskId>,
) -> Result<Option<TaskId>, StoreError> {
    let place = place_of(file);
    let before = stored(transaction, &place, &hash_of(&file.uri()))?;
    let facts = before.as_ref().map_or_else(|| facts_of(file, None), |row| row.facts.clone());
    let mut after = heard_of(before.clone(), place.clone(), facts, transaction);
    after.task_id = task_id.or(after.task_id);
    replace(transaction, before.as_ref(), &after)?;
    note(transaction, &place, i64::from(before.is_none()), 0)?;
    Ok(after.task_id)
}

/// Removes the row of a file, which is no longer kept.
pub(in crate::store::embedded) fn remove(
    transaction: &mut Transaction<'_>,
    file: &StoredFile,
) -> Result<(), StoreError> {
    let place = place_of(file);
    let hash = hash_of(&file.uri());
    let row = stored(transaction, &place, &hash)?;
    if let Some(row) = &row {
        transaction.remove(&key::context_file(&place.chitty_id, &place.session_id, &hash))?;
        transaction.remove(&key::file_by_access(row, hash))?;
    }
    note(transaction, &place, -i64::from(row.is_some()), -1)
}

/// What somebody says of files, with what is known of those that are kept in place of what is said of them.
pub(super) fn true_facts(
    transaction: &mut Transaction<'_>,
    place: &Place,
    mut said: Vec<FileFacts>,
) -> Result<Vec<FileFacts>, StoreError> {
    for facts in &mut said {
        let Some(key) = stored_key(place, &facts.uri) else { continue };
        let at = key::stored_file(&place.chitty_id, &place.session_id, &key);
        if let Some(record) = transaction.record::<StoredFileRecord>(&at)? {
            let truth = facts_of(&of_record(&record).map_err(unreadable)?, None);
            let FileFacts { size, sha256, mime, r2_key, .. } = truth;
            *facts = FileFacts { size, sha256, mime, r2_key, ..facts.clone() };
        }
    }
    Ok(said)
}

/// Has the oldest inactive files whose contents are not kept give way, where there are more than [`MAX_FILES`].
pub(super) fn make_room(transaction: &mut Transaction<'_>, place: &Place) -> Result<(), StoreError> {
    let Place { chitty_id, session_id } = place;
    let counted = counted(transaction, place)?;
    let surplus = counted.rows.saturating_sub(counted.stored).saturating_sub(MAX_FILES as u64);
    let prefix = key::files_by_access(chitty_id, session_id, false);
    let mut end = end_of(&prefix);
    let mut left = surplus;
    while left > 0 {
        // The order is that of lists: the ones that were not heard of for longest are last.
        let range = (Bound::Included(prefix.as_slice()), Bound::Excluded(end.as_slice()));
        let oldest = transaction.keys(range, Direction::Backward, STRIDE)?;
        for at in &oldest {
            let position = key::file_position(at).ok_or_else(damaged)?;
            let row = stored(transaction, place, &position.hash)?.ok_or_else(damaged)?;
            if left > 0 && !is_kept(transaction, place, &row)? {
                transaction.remove(at)?;
                transaction.remove(&key::context_file(chitty_id, session_id, &position.hash))?;
                left -= 1;
            }
        }
        end = oldest.into_iter().last().ok_or(StoreError::TooManyFiles(MAX_FILES))?;
    }
    note(transaction, place, -surplus.cast_signed(), 0)
}

/// Notes that the context of a session has so many rows, and so many files of them, more than before.
pub(in crate::store) fn note(
    transaction: &mut Transaction<'_>,
    place: &Place,
    rows: i64,
    stored: i64,
) -> Result<(), StoreError> {
    let at = key::rows(&place.chitty_id, &place.session_id);
    match transaction.record_meta::<RowsRecord>(&at)? {
        Some(before) if (rows, stored) != (0, 0) => {
            let rows = before.rows.saturating_add_signed(rows);
            transaction.set_meta(&at, &RowsRecord { rows, stored: before.stored.saturating_add_signed(stored) })
        }
        _ => Ok(()),
    }
}

fn counted(transaction: &mut Transaction<'_>, place: &Place) -> Result<RowsRecord, StoreError> {
    let at = key::rows(&place.chitty_id, &place.session_id);
    if let Some(counted) = transaction.record_meta(&at)? {
        return Ok(counted);
    }
    let counted = count_rows(transaction, &place.chitty_id, &place.session_id)?;
    transaction.set_meta(&at, &counted)?;
    Ok(counted)
}

fn is_kept(transaction: &mut Transaction<'_>, place: &Place, row: &ContextFile) -> Result<bool, StoreError> {
    let Some(key) = stored_key(place, &row.facts.uri) else { return Ok(false) };
    let at = key::stored_file(&place.chitty_id, &place.session_id, &key);
    Ok(transaction.entry(&at)?.is_some())
}

/// Which file of a session a URI is of.
fn stored_key(place: &Place, uri: &str) -> Option<FileKey> {
    let (session, key) = parse_r2_key(uri.strip_prefix(R2_SCHEME)?)?;
    (session == place.session_id).then_some(key)
}

fn place_of(file: &StoredFile) -> Place {
    Place { chitty_id: file.chitty_id.clone(), session_id: file.session_id.clone() }
}

fn heard_of(before: Option<ContextFile>, place: Place, facts: FileFacts, transaction: &Transaction<'_>) -> ContextFile {
    let now = transaction.now();
    match before {
        Some(row) => row.heard_of(facts, now),
        None => ContextFile::first_heard_of(place.chitty_id, place.session_id, facts, now),
    }
}
