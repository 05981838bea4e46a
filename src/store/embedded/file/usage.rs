//! What a chitty id has, and how much the context of a session has: counted once, kept exact with every change, and
//! counted anew where it is not known.

use crate::model::id::{ChittyId, SessionId};
use crate::store::commit::Transaction;
use crate::store::file::Usage;
use crate::store::migration::decode;
use crate::store::migration::m0003_files::{PartRecord, RowsRecord, UsageRecord};
use crate::store::view::{Value, View};
use crate::store::{StoreError, key};

impl From<UsageRecord> for Usage {
    fn from(record: UsageRecord) -> Self {
        Self { bytes: record.bytes, files: record.files }
    }
}

/// Counts what a chitty id has.
pub(in crate::store) fn count<V: View>(view: &mut V, owner: &ChittyId) -> Result<UsageRecord, V::Error> {
    let mut usage = UsageRecord::default();
    let mut last = None;
    view.each_under(&key::all_files_with(owner), |_, at| {
        // One that is none is for `verify` to tell of.
        if let Some(file) = key::split_file_by_contents(at) {
            usage.files += 1;
            if last.replace(file.contents.hash) != Some(file.contents.hash) {
                usage.bytes = usage.bytes.saturating_add(file.contents.size);
            }
        }
        Ok(())
    })?;
    view.each_under(&key::all_parts(owner), |view, at| {
        if key::split_part(at).is_some()
            && let Value::Whole(part) = view.value(at)?
        {
            let size = decode::<PartRecord>(&part).map_or(0, |part| part.size);
            usage.bytes = usage.bytes.saturating_add(size);
        }
        Ok(())
    })?;
    Ok(usage)
}

/// What a chitty id has, in a change that has removed so many bytes of its parts and nothing else.
pub(super) fn of(transaction: &mut Transaction<'_>, owner: &ChittyId, freed: u64) -> Result<UsageRecord, StoreError> {
    match transaction.record_meta::<UsageRecord>(&key::usage(owner))? {
        Some(usage) => Ok(UsageRecord { bytes: usage.bytes.saturating_sub(freed), ..usage }),
        None => count(transaction, owner),
    }
}

/// Notes what a chitty id has now.
pub(super) fn set(transaction: &mut Transaction<'_>, owner: &ChittyId, usage: UsageRecord) -> Result<(), StoreError> {
    transaction.set_meta(&key::usage(owner), &usage)
}

/// Counts what the context of a session has.
pub(in crate::store) fn count_rows<V: View>(
    view: &mut V,
    owner: &ChittyId,
    session: &SessionId,
) -> Result<RowsRecord, V::Error> {
    let mut counted = RowsRecord::default();
    view.each_under(&key::all_files_by_access(owner, session), |_, _| {
        counted.rows += 1;
        Ok(())
    })?;
    let prefix = key::stored_files(owner, session);
    view.each_under(&prefix, |_, at| {
        counted.stored += u64::from(key::stored_file_key(&prefix, at).is_some());
        Ok(())
    })?;
    Ok(counted)
}
