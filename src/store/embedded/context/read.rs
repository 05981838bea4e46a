//! Pages of files and of synchronisations: one scan over keys in the order of lists, then a record for each.

use std::ops::{Bound, ControlFlow};

use super::record;
use crate::store::commit::unreadable;
use crate::store::context::{FilePage, FileQuery, SyncPage, SyncQuery};
use crate::store::embedded::{read_replaced, read_value, unreachable_engine};
use crate::store::kv::{Direction, Kv};
use crate::store::migration::{RecordError, decode};
use crate::store::{StoreError, key};

/// Bytes of records in one page, about: what a client is sent at once.
const PAGE_BYTES: usize = 1 << 20;
/// Keys that are looked at for one page of a kind that few have, at the most: the page may then be short, not the end.
const LOOKED_AT: usize = 10_000;
/// Bytes of records that are read for one page, at the most, with the same consequence.
const READ_BYTES: usize = 8 << 20;

/// Files of a session.
pub(super) fn files(kv: &dyn Kv, query: &FileQuery) -> Result<FilePage, StoreError> {
    let (owner, session) = (&query.place.chitty_id, &query.place.session_id);
    let prefix = match query.active {
        Some(active) => key::files_by_access(owner, session, active),
        None => key::all_files_by_access(owner, session),
    };
    let from = match query.after {
        Some(position) => Bound::Excluded(key::file_at(owner, session, position)),
        None => Bound::Included(prefix.clone()),
    };
    let mut page = FilePage::default();
    let mut positions = Vec::new();
    kv.range((from.as_ref().map(Vec::as_slice), Bound::Unbounded), Direction::Forward, &mut |at, _| {
        if !at.starts_with(&prefix) || positions.len() > query.limit {
            return ControlFlow::Break(());
        }
        positions.push(key::file_position(at));
        ControlFlow::Continue(())
    })
    .map_err(|error| unreachable_engine(&error))?;
    let more = positions.len() > query.limit;
    let mut last = None;
    for position in positions {
        let position = position.ok_or_else(|| unreadable(RecordError::Damaged))?;
        if page.files.len() == query.limit || page.bytes >= PAGE_BYTES {
            page.next = last;
            return Ok(page);
        }
        last = Some(position);
        // It may have been heard of again since its key was read; then it stands somewhere else in the list by now.
        let Some(value) = read_replaced(kv, &key::context_file(owner, session, &position.hash))? else { continue };
        let file = decode(&value).and_then(record::to_file).map_err(unreadable)?;
        if file.position() == position {
            page.bytes += value.len();
            page.files.push(file);
        }
    }
    // Some have moved meanwhile, so the page is short, and not the last.
    page.next = last.filter(|_| more);
    Ok(page)
}

/// Synchronisations of a session.
pub(super) fn sync_events(kv: &dyn Kv, query: &SyncQuery) -> Result<SyncPage, StoreError> {
    let (owner, session) = (&query.place.chitty_id, &query.place.session_id);
    let prefix = key::sync_events(owner, session);
    let end = match query.before {
        Some(number) => Bound::Excluded(key::sync_event(owner, session, number)),
        None => Bound::Excluded([&prefix[..], &[u8::MAX; 9]].concat()),
    };
    let range = (Bound::Included(prefix.as_slice()), end.as_ref().map(Vec::as_slice));
    let mut numbers = Vec::new();
    let (mut seen, mut more) = (0, false);
    kv.range(range, Direction::Backward, &mut |at, entry| {
        seen += entry.len();
        // The pieces of long values stand behind their first.
        if let Some(number) = at.strip_prefix(&*prefix).and_then(|number| <[u8; 8]>::try_from(number).ok()) {
            numbers.push(u64::from_be_bytes(number));
        }
        let wanted = if query.kind.is_some() { LOOKED_AT } else { query.limit + 1 };
        more = numbers.len() >= wanted || (seen >= READ_BYTES && !numbers.is_empty());
        if more { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .map_err(|error| unreachable_engine(&error))?;
    let mut page = SyncPage::default();
    let mut last = None;
    let mut read = 0;
    for number in numbers {
        if page.events.len() == query.limit || page.bytes >= PAGE_BYTES || read >= READ_BYTES {
            page.next = last;
            return Ok(page);
        }
        last = Some(number);
        let Some(value) = read_value(kv, &key::sync_event(owner, session, number))? else { continue };
        read += value.len();
        let event = decode(&value).and_then(|event| record::to_sync(event, number)).map_err(unreadable)?;
        if query.kind.is_none_or(|kind| kind == event.kind) {
            page.bytes += value.len();
            page.events.push(event);
        }
    }
    page.next = last.filter(|_| more);
    Ok(page)
}
