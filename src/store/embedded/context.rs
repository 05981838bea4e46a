//! The context of sessions in the embedded store: each file's record and its place in the order of lists are written
//! together, with the event that tells of it.

mod overview;
mod read;
pub(in crate::store) mod record;
pub(in crate::store) mod rows;

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use super::Embedded;
use crate::model::event::Event;
use crate::model::file::{ContextFile, FileFacts};
use crate::model::id::SyncId;
use crate::model::json::Json;
use crate::model::sync::{Ingest, SyncEvent, SyncKind, SyncReport};
use crate::store::commit::{Transaction, unreadable};
use crate::store::context::{FilePage, FilePosition, FileQuery, Overview, Place, SyncPage, SyncQuery};
use crate::store::migration::RecordError;
use crate::store::migration::m0001_context_sync::ContextFileRecord;
use crate::store::{ContextStore, StoreError, key};

/// Who reports a session that is taken in.
const INGESTED_BY: &str = "session";

#[async_trait]
impl ContextStore for Embedded {
    async fn set_active_files(&self, place: Place, files: Vec<FileFacts>) -> Result<usize, StoreError> {
        self.change("set_active_files", move |transaction| set_active(transaction, &place, files)).await
    }

    async fn report_sync(&self, place: Place, report: SyncReport) -> Result<SyncId, StoreError> {
        self.change("report_sync", move |transaction| keep_report(transaction, place, report)).await
    }

    async fn ingest(&self, place: Place, ingest: Ingest) -> Result<SyncId, StoreError> {
        self.change("ingest", move |transaction| take_in(transaction, place, ingest)).await
    }

    async fn list_files(&self, query: FileQuery) -> Result<FilePage, StoreError> {
        self.read("list_files", move |kv| read::files(kv, &query)).await
    }

    async fn list_sync_events(&self, query: SyncQuery) -> Result<SyncPage, StoreError> {
        self.read("list_sync_events", move |kv| read::sync_events(kv, &query)).await
    }

    async fn overview(&self, place: Place, limit: usize) -> Result<Overview, StoreError> {
        self.read("overview", move |kv| overview::of(kv, &place, limit)).await
    }
}

fn set_active(transaction: &mut Transaction<'_>, place: &Place, files: Vec<FileFacts>) -> Result<usize, StoreError> {
    let files = rows::true_facts(transaction, place, files)?;
    let event = Event::files_updated(&place.chitty_id, &place.session_id, &files, transaction.now());
    let wanted = distinct(files);
    let prefix = key::files_by_access(&place.chitty_id, &place.session_id, true);
    // Files whose contents are kept may be more than what a session knows of others.
    for at in transaction.keys_under(&prefix, usize::MAX)? {
        let position = key::file_position(&at).ok_or_else(damaged)?;
        if wanted.binary_search_by(|(hash, _)| hash.cmp(&position.hash)).is_ok() {
            continue;
        }
        let file = stored(transaction, place, &position.hash)?.ok_or_else(damaged)?;
        let left_out = file.clone().left_out();
        replace(transaction, Some(&file), &left_out)?;
    }
    let count = wanted.len();
    put_all(transaction, place, wanted)?;
    emit(transaction, event)?;
    Ok(count)
}

fn keep_report(transaction: &mut Transaction<'_>, place: Place, report: SyncReport) -> Result<SyncId, StoreError> {
    let SyncReport { source, path_prefix, files, items } = report;
    let count = files.len() as u64;
    let files = rows::true_facts(transaction, &place, files)?;
    put_all(transaction, &place, distinct(files))?;
    note_sync(transaction, place, source, path_prefix, count, items)
}

/// Keeps that so many files were synchronised, and tells of it.
pub(super) fn note_sync(
    transaction: &mut Transaction<'_>,
    place: Place,
    source: String,
    path_prefix: Option<String>,
    count: u64,
    items: Json,
) -> Result<SyncId, StoreError> {
    let (id, now) = (SyncId::random(), transaction.now());
    let Place { chitty_id, session_id } = place;
    let event = Event::files_synced(&chitty_id, &session_id, path_prefix.as_deref(), count, id, now);
    let number = emit(transaction, event)?;
    let (kind, project, payload) = (SyncKind::Report, None, Some(items));
    let kept = SyncEvent {
        id,
        number,
        chitty_id,
        session_id,
        kind,
        source,
        path_prefix,
        project,
        count,
        payload,
        created_at: now,
    };
    keep(transaction, &kept)
}

fn take_in(transaction: &mut Transaction<'_>, place: Place, ingest: Ingest) -> Result<SyncId, StoreError> {
    let (id, now) = (SyncId::random(), transaction.now());
    let event = Event::session_ingested(&place.chitty_id, &place.session_id, &ingest, id, now);
    let number = emit(transaction, event)?;
    let Ingest { project, count, events: payload } = ingest;
    let Place { chitty_id, session_id } = place;
    let (kind, source, path_prefix) = (SyncKind::Ingest, INGESTED_BY.to_owned(), None);
    let kept = SyncEvent {
        id,
        number,
        chitty_id,
        session_id,
        kind,
        source,
        path_prefix,
        project,
        count,
        payload,
        created_at: now,
    };
    keep(transaction, &kept)
}

fn keep(transaction: &mut Transaction<'_>, event: &SyncEvent) -> Result<SyncId, StoreError> {
    let at = key::sync_event(&event.chitty_id, &event.session_id, event.number);
    transaction.insert(&at, &record::of_sync(event))?;
    Ok(event.id)
}

/// Files by the SHA-256 of their URI, in order; of those with one URI, the last is what counts.
fn distinct(files: Vec<FileFacts>) -> Vec<([u8; 32], FileFacts)> {
    let mut distinct: std::collections::BTreeMap<[u8; 32], FileFacts> = std::collections::BTreeMap::new();
    for file in files {
        distinct.insert(hash_of(&file.uri), file);
    }
    distinct.into_iter().collect()
}

/// What a row's key ends in.
pub(in crate::store) fn hash_of(uri: &str) -> [u8; 32] {
    Sha256::digest(uri.as_bytes()).into()
}

/// Puts files into the active set. Beyond [`MAX_FILES`](crate::store::context::MAX_FILES) the inactive ones that were not
/// heard of for longest give way.
fn put_all(
    transaction: &mut Transaction<'_>,
    place: &Place,
    files: Vec<([u8; 32], FileFacts)>,
) -> Result<(), StoreError> {
    let now = transaction.now();
    let mut added = 0;
    for (hash, facts) in files {
        let before = stored(transaction, place, &hash)?;
        let after = match before.clone() {
            Some(file) => file.heard_of(facts, now),
            None => {
                added += 1;
                ContextFile::first_heard_of(place.chitty_id.clone(), place.session_id.clone(), facts, now)
            }
        };
        replace(transaction, before.as_ref(), &after)?;
    }
    rows::note(transaction, place, added, 0)?;
    if added > 0 { rows::make_room(transaction, place) } else { Ok(()) }
}

fn stored(
    transaction: &mut Transaction<'_>,
    place: &Place,
    hash: &[u8; 32],
) -> Result<Option<ContextFile>, StoreError> {
    let at = key::context_file(&place.chitty_id, &place.session_id, hash);
    let record = transaction.record::<ContextFileRecord>(&at)?;
    record.map(record::to_file).transpose().map_err(unreadable)
}

fn replace(
    transaction: &mut Transaction<'_>,
    before: Option<&ContextFile>,
    after: &ContextFile,
) -> Result<(), StoreError> {
    let hash = hash_of(&after.facts.uri);
    let at = key::context_file(&after.chitty_id, &after.session_id, &hash);
    if let Some(before) = before {
        transaction.remove(&at)?;
        transaction.remove(&key::file_by_access(before, hash))?;
    }
    transaction.insert(&at, &record::of_file(after))?;
    transaction.insert_index(key::file_by_access(after, hash))
}

/// Tells of what happened.
pub(super) fn emit(
    transaction: &mut Transaction<'_>,
    event: Result<Event, serde_json::Error>,
) -> Result<u64, StoreError> {
    transaction.emit(&event.map_err(|_| damaged())?)
}

fn damaged() -> StoreError {
    unreadable(RecordError::Damaged)
}

impl ContextFile {
    /// Where it stands in the order of lists.
    #[must_use]
    pub fn position(&self) -> FilePosition {
        FilePosition { active: self.active, last_accessed: self.last_accessed, hash: hash_of(&self.facts.uri) }
    }
}
