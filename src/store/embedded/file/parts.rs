//! Uploads in parts.

use std::ops::{Bound, ControlFlow};

use super::record::{of_part, of_upload, to_part, to_upload};
use super::usage;
use crate::store::commit::{Transaction, unreadable};
use crate::store::context::Place;
use crate::store::embedded::{read_value, unreachable_engine};
use crate::store::file::{MAX_PART_UPLOADS, Part, PartUpload, UploadId};
use crate::store::kv::{Direction, Kv};
use crate::store::migration::m0003_files::{PartRecord, UploadRecord, kind};
use crate::store::migration::{RecordError, decode};
use crate::store::view::{View, end_of};
use crate::store::{StoreError, key};

/// Begins an upload.
pub(super) fn begin(transaction: &mut Transaction<'_>, upload: &PartUpload) -> Result<(), StoreError> {
    let Place { chitty_id, session_id } = &upload.place;
    let mut begun = 0;
    transaction.each_under(&key::all_uploads(chitty_id), |_, at| {
        begun += usize::from(key::split_upload(at).is_some());
        Ok(())
    })?;
    if begun >= MAX_PART_UPLOADS {
        return Err(StoreError::TooManyUploads(MAX_PART_UPLOADS));
    }
    let at = key::upload(chitty_id, session_id, upload.id);
    if transaction.entry(&at)?.is_some() {
        return Err(StoreError::Unavailable("an upload in parts has this id already".into()));
    }
    transaction.insert(&at, &of_upload(upload))
}

/// An upload that has not ended.
pub(super) fn find(
    transaction: &mut Transaction<'_>,
    place: &Place,
    id: UploadId,
) -> Result<Option<PartUpload>, StoreError> {
    let record = transaction.record::<UploadRecord>(&key::upload(&place.chitty_id, &place.session_id, id))?;
    let named = (place.chitty_id.clone(), place.session_id.clone(), id);
    record.map(|record| to_upload(named, record)).transpose().map_err(unreadable)
}

/// Keeps a part of an upload. The one that it takes the place of.
pub(super) fn put(
    transaction: &mut Transaction<'_>,
    place: &Place,
    id: UploadId,
    part: &Part,
    quota: u64,
) -> Result<Option<Part>, StoreError> {
    let Place { chitty_id, session_id } = place;
    if transaction.entry(&key::upload(chitty_id, session_id, id))?.is_none() {
        return Err(StoreError::NoSuchUpload);
    }
    let at = key::part(chitty_id, session_id, id, part.number);
    let before = transaction.record::<PartRecord>(&at)?;
    if before.is_some() {
        transaction.remove(&at)?;
    }
    let mut has = usage::of(transaction, chitty_id, before.map_or(0, |before| before.size))?;
    let (asked, left) = (part.size, quota.saturating_sub(has.bytes));
    if asked > left {
        return Err(StoreError::QuotaExceeded { asked, left });
    }
    has.bytes = has.bytes.saturating_add(asked);
    transaction.insert(&at, &of_part(part))?;
    usage::set(transaction, chitty_id, has)?;
    Ok(before.map(|before| to_part(part.number, before)))
}

/// Removes an upload, which is there, with its parts. The bytes that those had, which are accounted for by the caller.
pub(super) fn remove(transaction: &mut Transaction<'_>, place: &Place, id: UploadId) -> Result<u64, StoreError> {
    let Place { chitty_id, session_id } = place;
    let mut bytes: u64 = 0;
    for at in transaction.keys_under(&key::parts(chitty_id, session_id, id), usize::MAX)? {
        let part = transaction.record::<PartRecord>(&at)?.ok_or_else(|| unreadable(RecordError::Damaged))?;
        bytes = bytes.saturating_add(part.size);
        transaction.remove(&at)?;
    }
    transaction.remove(&key::upload(chitty_id, session_id, id))?;
    Ok(bytes)
}

/// Ends an upload without a file. Whether there was one.
pub(super) fn abort(transaction: &mut Transaction<'_>, place: &Place, id: UploadId) -> Result<bool, StoreError> {
    if transaction.entry(&key::upload(&place.chitty_id, &place.session_id, id))?.is_none() {
        return Ok(false);
    }
    let freed = remove(transaction, place, id)?;
    let has = usage::of(transaction, &place.chitty_id, freed)?;
    usage::set(transaction, &place.chitty_id, has)?;
    Ok(true)
}

/// An upload with its parts, by number.
pub(super) fn read(kv: &dyn Kv, place: &Place, id: UploadId) -> Result<Option<(PartUpload, Vec<Part>)>, StoreError> {
    let Place { chitty_id, session_id } = place;
    let Some(upload) = read_upload(kv, &key::upload(chitty_id, session_id, id))? else { return Ok(None) };
    let prefix = key::parts(chitty_id, session_id, id);
    let end = end_of(&prefix);
    let (mut parts, mut damaged) = (Vec::new(), None);
    // The record of a part is short, so an entry is a value.
    let range = (Bound::Included(prefix.as_slice()), Bound::Excluded(end.as_slice()));
    let scanned = kv.range(range, Direction::Forward, &mut |at, entry| {
        let record = entry.split_first().ok_or(RecordError::Damaged).and_then(|(_, value)| decode(value));
        match (key::split_part(at), record) {
            (Some((_, _, _, number)), Ok(record)) => parts.push(to_part(number, record)),
            (_, record) => damaged = Some(record.err().unwrap_or(RecordError::Damaged)),
        }
        if damaged.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    scanned.map_err(|error| unreachable_engine(&error))?;
    damaged.map_or(Ok(Some((upload, parts))), |error| Err(unreadable(error)))
}

/// Uploads of a session.
pub(super) fn of_session(kv: &dyn Kv, place: &Place, limit: usize) -> Result<Vec<PartUpload>, StoreError> {
    under(kv, &key::uploads(&place.chitty_id, &place.session_id), limit)
}

/// Every upload.
pub(super) fn all(kv: &dyn Kv) -> Result<Vec<PartUpload>, StoreError> {
    under(kv, &[kind::UPLOAD], usize::MAX)
}

fn under(kv: &dyn Kv, prefix: &[u8], limit: usize) -> Result<Vec<PartUpload>, StoreError> {
    let end = end_of(prefix);
    let mut keys: Vec<Vec<u8>> = Vec::new();
    kv.range((Bound::Included(prefix), Bound::Excluded(&end)), Direction::Forward, &mut |at, _| {
        if keys.len() >= limit {
            return ControlFlow::Break(());
        }
        // Else it is the continuation of one.
        if key::split_upload(at).is_some() {
            keys.push(at.to_vec());
        }
        ControlFlow::Continue(())
    })
    .map_err(|error| unreachable_engine(&error))?;
    // One that has ended meanwhile is none.
    keys.iter().filter_map(|at| read_upload(kv, at).transpose()).collect()
}

/// The upload under `at`, which is never replaced.
fn read_upload(kv: &dyn Kv, at: &[u8]) -> Result<Option<PartUpload>, StoreError> {
    let Some(record) = read_value(kv, at)? else { return Ok(None) };
    let upload = decode(&record).and_then(|record| {
        let named = key::split_upload(at).ok_or(RecordError::Damaged)?;
        to_upload(named, record)
    });
    upload.map(Some).map_err(unreadable)
}
