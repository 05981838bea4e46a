//! Keeping a file: it, its index entry, its row in the context, its bucket and what the chitty id has then are one change.

use serde::Serialize;

use super::{bucket, contents, parts, record, usage};
use crate::model::event::Event;
use crate::model::json::Json;
use crate::model::stored_file::{Contents, StoredFile};
use crate::model::time::Time;
use crate::store::commit::{Transaction, unreadable};
use crate::store::context::Place;
use crate::store::embedded::context::{emit, note_sync, rows};
use crate::store::file::{Arrival, Condition, ContentsOf, MAX_STORED_FILES, NewFile, Noted};
use crate::store::migration::RecordError;
use crate::store::migration::m0003_files::{StoredFileRecord, TokenUsedRecord};
use crate::store::{StoreError, key};

/// Who reports what comes by S3.
pub(super) const S3: &str = "s3";

/// What is told of a file that came by S3.
#[derive(Serialize)]
struct Synced {
    r2_key: String,
    sha256: String,
    size: u64,
    modified: Time,
}

/// Keeps a file.
pub(super) fn keep(transaction: &mut Transaction<'_>, new: NewFile) -> Result<StoredFile, StoreError> {
    let Place { chitty_id, session_id } = &new.place;
    let at = key::stored_file(chitty_id, session_id, &new.key);
    let before = stored(transaction, &at)?;
    check(&new.only_if, before.as_ref())?;
    let freed = arrive(transaction, &new)?;
    let file = to_file(&new, before.as_ref(), transaction.now());
    account(transaction, &file, before.as_ref(), freed, new.quota)?;
    if before.is_some() {
        transaction.remove(&at)?;
    }
    transaction.insert(&at, &record::of_file(&file))?;
    refer(transaction, &file, before.as_ref(), new.noted)?;
    rows::put(transaction, &file, before.is_none())?;
    bucket::make(transaction, &new.place)?;
    let now = transaction.now();
    emit(transaction, Event::files_uploaded(&file, now))?;
    if matches!(new.how, Arrival::S3 | Arrival::Parts(_)) {
        let Contents { hash, size } = file.contents;
        let modified = file.source_modified_at.unwrap_or(file.modified_at);
        let items = [Synced { r2_key: file.r2_key(), sha256: hash.to_string(), size, modified }];
        let items = Json::of(&items).map_err(|_| unreadable(RecordError::Damaged))?;
        note_sync(transaction, new.place, S3.to_owned(), None, 1, items)?;
    }
    Ok(file)
}

/// The file under `at`.
pub(super) fn stored(transaction: &mut Transaction<'_>, at: &[u8]) -> Result<Option<StoredFile>, StoreError> {
    let record = transaction.record::<StoredFileRecord>(at)?;
    record.map(|record| record::of_record(&record)).transpose().map_err(unreadable)
}

fn check(only_if: &Condition, before: Option<&StoredFile>) -> Result<(), StoreError> {
    let holds = match only_if {
        Condition::Always => true,
        Condition::Absent => before.is_none(),
        Condition::Etag(etag) => before.is_some_and(|before| before.etag == *etag),
    };
    if holds { Ok(()) } else { Err(StoreError::ConditionFailed) }
}

/// Uses up what it came with. The bytes of parts that go with that.
fn arrive(transaction: &mut Transaction<'_>, new: &NewFile) -> Result<u64, StoreError> {
    match &new.how {
        Arrival::Api | Arrival::S3 => Ok(0),
        Arrival::Token { id, expires_at } => {
            let at = key::token_used(&new.place.chitty_id, id);
            if transaction.entry(&at)?.is_some() {
                return Err(StoreError::TokenUsed);
            }
            transaction.insert(&at, &TokenUsedRecord { expires_at: expires_at.as_millis() })?;
            Ok(0)
        }
        Arrival::Parts(id) => {
            let upload = parts::find(transaction, &new.place, *id)?.filter(|upload| upload.key == new.key);
            upload.ok_or(StoreError::NoSuchUpload)?;
            parts::remove(transaction, &new.place, *id)
        }
    }
}

fn to_file(new: &NewFile, before: Option<&StoredFile>, now: Time) -> StoredFile {
    StoredFile {
        chitty_id: new.place.chitty_id.clone(),
        session_id: new.place.session_id.clone(),
        key: new.key.clone(),
        given_name: new.given_name.clone(),
        contents: new.contents,
        etag: new.etag.clone(),
        mime: new.mime.clone(),
        headers: new.headers.clone(),
        metadata: new.metadata.clone(),
        key_id: new.key_id.clone(),
        created_at: before.map_or(now, |before| before.created_at),
        modified_at: now,
        source_modified_at: new.source_modified_at,
    }
}

/// Notes what the chitty id has with `file` in place of `before`, once `freed` bytes of parts are gone. What is asked of
/// the quota is what is new: contents that a file has already are had for nothing.
fn account(
    transaction: &mut Transaction<'_>,
    file: &StoredFile,
    before: Option<&StoredFile>,
    freed: u64,
    quota: u64,
) -> Result<(), StoreError> {
    let owner = &file.chitty_id;
    let mut has = usage::of(transaction, owner, freed)?;
    let asked = match contents::size_of(transaction, &contents_of(file))? {
        Some(size) if size == file.contents.size => 0,
        Some(size) => {
            let why = format!("contents {} have {} bytes, and {size}", file.contents.hash, file.contents.size);
            return Err(StoreError::Unavailable(why.into()));
        }
        None => file.contents.size,
    };
    if let Some(before) = before
        && before.contents.hash != file.contents.hash
        && is_the_only_one(transaction, before)?
    {
        has.bytes = has.bytes.saturating_sub(before.contents.size);
    }
    let left = quota.saturating_sub(has.bytes);
    if asked > left {
        return Err(StoreError::QuotaExceeded { asked, left });
    }
    if before.is_none() {
        if has.files >= MAX_STORED_FILES {
            return Err(StoreError::TooManyStoredFiles(MAX_STORED_FILES));
        }
        has.files += 1;
    }
    has.bytes = has.bytes.saturating_add(asked);
    usage::set(transaction, owner, has)
}

/// Has `file` refer to its contents, and `before`, in whose place it is, no longer to its own.
fn refer(
    transaction: &mut Transaction<'_>,
    file: &StoredFile,
    before: Option<&StoredFile>,
    noted: Noted,
) -> Result<(), StoreError> {
    if before.is_some_and(|before| before.contents == file.contents) {
        return Ok(());
    }
    let contents = contents_of(file);
    let is_known = contents::forget(transaction, &contents)?
        || noted == Noted::InPlace
        || contents::size_of(transaction, &contents)?.is_some();
    if !is_known {
        let why = format!("contents {} are to be kept, and nobody said that they would be", contents.hash);
        return Err(StoreError::Unavailable(why.into()));
    }
    transaction.insert_index(key::file_by_contents(file))?;
    before.map_or(Ok(()), |before| release(transaction, before).map(drop))
}

/// Has a file that goes refer to its contents no longer. Whether no file has them then; they are noted.
pub(super) fn release(transaction: &mut Transaction<'_>, file: &StoredFile) -> Result<bool, StoreError> {
    transaction.remove(&key::file_by_contents(file))?;
    contents::expect(transaction, &contents_of(file)).map(|referenced| !referenced)
}

/// Whether no other file has the contents of this one.
fn is_the_only_one(transaction: &mut Transaction<'_>, file: &StoredFile) -> Result<bool, StoreError> {
    let with = transaction.keys_under(&key::files_with(&file.chitty_id, &file.contents.hash), 2)?;
    Ok(with.len() < 2)
}

fn contents_of(file: &StoredFile) -> ContentsOf {
    ContentsOf { chitty_id: file.chitty_id.clone(), hash: file.contents.hash }
}
