//! Contents: which are referenced, which are noted. What is noted has no file, and what has a file is not noted.

use std::ops::Bound;

use crate::model::id::{ChittyId, SessionId};
use crate::model::stored_file::{Contents, FileKey, StoredFile};
use crate::store::commit::{Transaction, unreadable};
use crate::store::embedded::{LOOKS, read_replaced, unreachable_engine};
use crate::store::file::ContentsOf;
use crate::store::kv::{Direction, Kv};
use crate::store::migration::RecordError;
use crate::store::migration::m0003_files::{PendingRecord, kind};
use crate::store::view::{Engine, View, end_of};
use crate::store::{StoreError, key};

/// Keys that are looked at in one go.
const STRIDE: usize = 1024;

/// Notes that contents may be in their place, unless a file has them or they are noted. Whether a file has them.
pub(super) fn expect(transaction: &mut Transaction<'_>, contents: &ContentsOf) -> Result<bool, StoreError> {
    if size_of(transaction, contents)?.is_some() {
        return Ok(true);
    }
    let at = key::pending(contents);
    if transaction.entry(&at)?.is_none() {
        transaction.insert(&at, &PendingRecord { since: transaction.now().as_millis() })?;
    }
    Ok(false)
}

/// Removes the note, if there is one. Whether there was.
pub(super) fn forget(transaction: &mut Transaction<'_>, contents: &ContentsOf) -> Result<bool, StoreError> {
    let at = key::pending(contents);
    let noted = transaction.entry(&at)?.is_some();
    if noted {
        transaction.remove(&at)?;
    }
    Ok(noted)
}

/// How large contents are that a file has; `None` = no file has them.
pub(super) fn size_of(transaction: &mut Transaction<'_>, contents: &ContentsOf) -> Result<Option<u64>, StoreError> {
    let Some(at) = transaction.first_under(&key::files_with(&contents.chitty_id, &contents.hash))? else {
        return Ok(None);
    };
    key::split_file_by_contents(&at).map(|file| Some(file.contents.size)).ok_or_else(damaged)
}

/// Whether a file has contents.
pub(super) fn is_referenced(kv: &dyn Kv, contents: &ContentsOf) -> Result<bool, StoreError> {
    let first = Engine(kv).first_under(&key::files_with(&contents.chitty_id, &contents.hash));
    Ok(first.map_err(|error| unreachable_engine(&error))?.is_some())
}

/// Whether contents are referenced or noted.
pub(super) fn is_known(kv: &dyn Kv, contents: &ContentsOf) -> Result<bool, StoreError> {
    // A change may take the one for the other between two looks, in either direction.
    let noted = || kv.get(&key::pending(contents)).map_err(|error| unreachable_engine(&error));
    Ok(noted()?.is_some() || is_referenced(kv, contents)? || noted()?.is_some())
}

/// Contents that are noted, behind `after`.
pub(super) fn noted(kv: &dyn Kv, after: Option<&ContentsOf>, limit: usize) -> Result<Vec<ContentsOf>, StoreError> {
    let from = after.map_or(Bound::Included(vec![kind::PENDING]), |after| Bound::Excluded(key::pending(after)));
    let range = (from.as_ref().map(Vec::as_slice), Bound::Excluded(&[kind::PENDING + 1][..]));
    let keys = Engine(kv).keys(range, Direction::Forward, limit).map_err(|error| unreachable_engine(&error))?;
    keys.iter().map(|at| key::split_pending(at).ok_or_else(damaged)).collect()
}

/// Contents that files have, behind `after`, each once.
pub(super) fn referenced(
    kv: &dyn Kv,
    after: Option<&ContentsOf>,
    limit: usize,
) -> Result<Vec<(ContentsOf, u64)>, StoreError> {
    let behind = |contents: &ContentsOf| end_of(&key::files_with(&contents.chitty_id, &contents.hash));
    let mut from = after.map_or_else(|| vec![kind::FILE_BY_CONTENTS], behind);
    let mut found: Vec<(ContentsOf, u64)> = Vec::new();
    while found.len() < limit {
        let range = (Bound::Included(from.as_slice()), Bound::Excluded(&[kind::FILE_BY_CONTENTS + 1][..]));
        let keys = Engine(kv).keys(range, Direction::Forward, STRIDE).map_err(|error| unreachable_engine(&error))?;
        let Some(last) = keys.last().cloned() else { break };
        for at in &keys {
            let file = key::split_file_by_contents(at).ok_or_else(damaged)?;
            let contents = ContentsOf { chitty_id: file.owner, hash: file.contents.hash };
            if found.last().is_none_or(|(last, _)| *last != contents) {
                found.push((contents, file.contents.size));
            }
        }
        from = [&last[..], &[0]].concat();
    }
    found.truncate(limit);
    Ok(found)
}

/// The first file that has contents, in this session or in any.
pub(super) fn file_with(
    kv: &dyn Kv,
    contents: &ContentsOf,
    session: Option<&SessionId>,
) -> Result<Option<StoredFile>, StoreError> {
    let ContentsOf { chitty_id, hash } = contents;
    for _ in 0..LOOKS {
        let Some(prefix) = prefix_of(kv, contents, session)? else { return Ok(None) };
        let first = Engine(kv).first_under(&prefix).map_err(|error| unreachable_engine(&error))?;
        let Some(at) = first else { return Ok(None) };
        let found = key::split_file_by_contents(&at).ok_or_else(damaged)?;
        // It may have gone, or have other contents by now.
        let file = file(kv, chitty_id, &found.session, &found.key)?;
        if let Some(file) = file.filter(|file| file.contents.hash == *hash) {
            return Ok(Some(file));
        }
    }
    Err(damaged())
}

/// The keys of files of a session that have contents.
pub(super) fn keys_with(
    kv: &dyn Kv,
    contents: &ContentsOf,
    session: &SessionId,
    limit: usize,
) -> Result<Vec<FileKey>, StoreError> {
    let Some(prefix) = prefix_of(kv, contents, Some(session))? else { return Ok(Vec::new()) };
    let end = end_of(&prefix);
    let range = (Bound::Included(prefix.as_slice()), Bound::Excluded(end.as_slice()));
    let keys = Engine(kv).keys(range, Direction::Forward, limit).map_err(|error| unreachable_engine(&error))?;
    keys.iter().map(|at| key::split_file_by_contents(at).map(|file| file.key).ok_or_else(damaged)).collect()
}

/// What the files that have contents begin with, in a session or in any; their size comes before the session.
fn prefix_of(kv: &dyn Kv, contents: &ContentsOf, session: Option<&SessionId>) -> Result<Option<Vec<u8>>, StoreError> {
    let ContentsOf { chitty_id, hash } = contents;
    let prefix = key::files_with(chitty_id, hash);
    let Some(session) = session else { return Ok(Some(prefix)) };
    let first = Engine(kv).first_under(&prefix).map_err(|error| unreachable_engine(&error))?;
    let Some(at) = first else { return Ok(None) };
    let Contents { size, .. } = key::split_file_by_contents(&at).ok_or_else(damaged)?.contents;
    Ok(Some(key::session_files_with(chitty_id, Contents { hash: *hash, size }, session)))
}

/// A file.
pub(super) fn file(
    kv: &dyn Kv,
    owner: &ChittyId,
    session: &SessionId,
    key: &FileKey,
) -> Result<Option<StoredFile>, StoreError> {
    let record = read_replaced(kv, &key::stored_file(owner, session, key))?;
    record.map(|record| super::record::decode_file(&record)).transpose().map_err(unreadable)
}

fn damaged() -> StoreError {
    unreadable(RecordError::Damaged)
}
