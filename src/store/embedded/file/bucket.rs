//! Sessions that S3 sees as buckets.

use super::{parts, usage};
use crate::model::id::ChittyId;
use crate::model::time::Time;
use crate::store::commit::{Transaction, unreadable};
use crate::store::context::Place;
use crate::store::embedded::unreachable_engine;
use crate::store::file::{Bucket, MAX_BUCKETS};
use crate::store::kv::Kv;
use crate::store::migration::m0003_files::BucketRecord;
use crate::store::migration::{RecordError, decode};
use crate::store::view::{Engine, Value, View};
use crate::store::{StoreError, key};

/// The buckets of a chitty id.
pub(super) fn all(kv: &dyn Kv, owner: &ChittyId) -> Result<Vec<Bucket>, StoreError> {
    let mut found = Vec::new();
    let read = Engine(kv).each_under(&key::buckets(owner), |view, at| {
        // One that has gone meanwhile is none.
        if let Value::Whole(record) = view.value(at)? {
            found.push((at.to_vec(), record));
        }
        Ok(())
    });
    read.map_err(|error| unreachable_engine(&error))?;
    let bucket = |(at, record): (Vec<u8>, Vec<u8>)| {
        let BucketRecord { created_at } = decode(&record)?;
        let (_, session_id, _) = key::split_session(&at).ok_or(RecordError::Damaged)?;
        Ok(Bucket { session_id, created_at: Time::from_millis(created_at) })
    };
    found.into_iter().map(bucket).collect::<Result<_, RecordError>>().map_err(unreadable)
}

/// Has a session be a bucket. Whether it was not.
pub(super) fn make(transaction: &mut Transaction<'_>, place: &Place) -> Result<bool, StoreError> {
    let at = key::bucket(&place.chitty_id, &place.session_id);
    if transaction.entry(&at)?.is_some() {
        return Ok(false);
    }
    let created_at = transaction.now().as_millis();
    transaction.insert(&at, &BucketRecord { created_at })?;
    Ok(true)
}

/// The same, while there are not too many of them.
pub(super) fn make_one_more(transaction: &mut Transaction<'_>, place: &Place) -> Result<bool, StoreError> {
    let made = make(transaction, place)?;
    if made && transaction.keys_under(&key::buckets(&place.chitty_id), MAX_BUCKETS + 1)?.len() > MAX_BUCKETS {
        return Err(StoreError::TooManyBuckets(MAX_BUCKETS));
    }
    Ok(made)
}

/// Has a session without files be no bucket, and ends its uploads. Whether it was one.
pub(super) fn remove(transaction: &mut Transaction<'_>, place: &Place) -> Result<bool, StoreError> {
    let Place { chitty_id, session_id } = place;
    if transaction.first_under(&key::stored_files(chitty_id, session_id))?.is_some() {
        return Err(StoreError::BucketNotEmpty);
    }
    let mut freed = 0;
    for at in transaction.keys_under(&key::uploads(chitty_id, session_id), usize::MAX)? {
        // Else it is the continuation of one, which goes with it.
        if let Some((_, _, id)) = key::split_upload(&at) {
            freed += parts::remove(transaction, place, id)?;
        }
    }
    if freed > 0 {
        let has = usage::of(transaction, chitty_id, freed)?;
        usage::set(transaction, chitty_id, has)?;
    }
    let at = key::bucket(chitty_id, session_id);
    let was = transaction.entry(&at)?.is_some();
    if was {
        transaction.remove(&at)?;
    }
    Ok(was)
}
