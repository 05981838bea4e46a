//! Whether what there is of stored files agrees.

use super::shown;
use crate::store::embedded::context::{hash_of, rows::agree};
use crate::store::embedded::file::{count, count_rows, of_record};
use crate::store::key;
use crate::store::migration::decode;
use crate::store::migration::m0001_context_sync::ContextFileRecord;
use crate::store::migration::m0003_files::{RowsRecord, StoredFileRecord, UsageRecord};
use crate::store::record::Record;
use crate::store::view::{Value, View};

/// What is wrong with a record under `key`, whose index entries are there.
pub(super) fn check<V: View>(key: &[u8], record: &Record, view: &mut V) -> Result<Option<String>, V::Error> {
    match record {
        Record::StoredFile(file) => check_file(key, file, view),
        Record::Pending { contents, .. } => {
            let referenced = view.first_under(&key::files_with(&contents.chitty_id, &contents.hash))?.is_some();
            let finding = || format!("{} notes contents without a file, and a file has them", shown(key));
            Ok((referenced && view.entry(key)?.is_some()).then(finding))
        }
        Record::Part { chitty_id, session_id, upload, .. } => {
            let whole = view.entry(&key::upload(chitty_id, session_id, *upload))?.is_some();
            let finding = || format!("the part {} has no upload", shown(key));
            Ok((!whole && view.entry(key)?.is_some()).then(finding))
        }
        _ => Ok(None),
    }
}

fn check_file<V: View>(key: &[u8], file: &StoredFileRecord, view: &mut V) -> Result<Option<String>, V::Error> {
    // It has been read, so it is one.
    let Ok(file) = of_record(file) else { return Ok(None) };
    let row = key::context_file(&file.chitty_id, &file.session_id, &hash_of(&file.uri()));
    let row = match view.value(&row)? {
        Value::Whole(row) => decode::<ContextFileRecord>(&row).ok(),
        Value::Broken | Value::Gone => None,
    };
    let Some(row) = row else {
        return Ok(Some(format!("the stored file {} has no row in the context", shown(key))));
    };
    if !agree(&row, &file) {
        return Ok(Some(format!("the stored file {} and its row in the context disagree", shown(key))));
    }
    let bucket = view.entry(&key::bucket(&file.chitty_id, &file.session_id))?;
    Ok(bucket.is_none().then(|| format!("the stored file {} has no bucket", shown(key))))
}

/// What is wrong with a count under the meta key `key`.
pub(in crate::store) fn check_count<V: View>(
    key: &[u8],
    entry: &[u8],
    view: &mut V,
) -> Result<Option<String>, V::Error> {
    if let (Some(owner), Ok(noted)) = (key::split_usage(key), decode::<UsageRecord>(entry)) {
        let counted = count(view, &owner)?;
        let UsageRecord { bytes, files } = noted;
        let finding = || {
            format!(
                "{owner} is said to have {files} files and {bytes} bytes, and has {} and {}",
                counted.files, counted.bytes
            )
        };
        return Ok((noted != counted).then(finding));
    }
    if let (Some((owner, session)), Ok(noted)) = (key::split_rows(key), decode::<RowsRecord>(entry)) {
        let counted = count_rows(view, &owner, &session)?;
        let finding = || {
            format!(
                "the context of {owner}, {session} is said to have {} files, {} of them stored, and has {} and {}",
                noted.rows, noted.stored, counted.rows, counted.stored
            )
        };
        return Ok((noted != counted).then(finding));
    }
    Ok(Some(format!("{} cannot be read", shown(key))))
}
