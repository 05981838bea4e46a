//! API keys in the embedded store.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;

use super::{Embedded, Keys, read_kind};
use crate::model::id::KeyId;
use crate::model::key::{Key, KeyHash, KeyStatus, Scope};
use crate::model::time::Time;
use crate::store::commit::{Transaction, unreadable};
use crate::store::kv::Kv;
use crate::store::migration::m0001_context_sync::{KeyRecord, kind};
use crate::store::migration::{RecordError, decode};
use crate::store::{KeyStore, StoreError, key};

/// All keys, as each request asks for one: by the hash of what it brings, or by the id that it names.
#[derive(Debug, Default)]
pub(super) struct Known {
    by_hash: HashMap<KeyHash, Arc<Key>>,
    by_id: HashMap<KeyId, Arc<Key>>,
}

impl Known {
    /// Knows a key, in place of the one with its hash.
    fn insert(&mut self, key: Arc<Key>) {
        if let Some(before) = self.by_hash.insert(key.hash, Arc::clone(&key)) {
            self.by_id.remove(&before.id);
        }
        self.by_id.insert(key.id.clone(), key);
    }
}

const STATUSES: [KeyStatus; 3] = [KeyStatus::Active, KeyStatus::Inactive, KeyStatus::Revoked];

#[async_trait]
impl KeyStore for Embedded {
    async fn create_key(&self, key: Key) -> Result<(), StoreError> {
        let known = Arc::clone(&self.keys);
        let change = move |transaction: &mut Transaction<'_>| {
            create(transaction, &known, &key)?;
            transaction.once_durable(move || {
                known.write().unwrap_or_else(PoisonError::into_inner).insert(Arc::new(key));
            });
            Ok(())
        };
        self.change("create_key", change).await
    }

    async fn key(&self, hash: &KeyHash) -> Result<Option<Arc<Key>>, StoreError> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        match keys.by_hash.get(hash) {
            Some(key) => Ok(Some(Arc::clone(key))),
            // None are known while the store has never been open.
            None if keys.by_hash.is_empty() => self.shared.kv().map(|_| None),
            None => Ok(None),
        }
    }

    async fn key_of_id(&self, id: &KeyId) -> Result<Option<Arc<Key>>, StoreError> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        Ok(keys.by_id.get(id).cloned())
    }

    async fn keys(&self) -> Result<Vec<Arc<Key>>, StoreError> {
        self.shared.kv()?;
        let mut keys: Vec<_> =
            self.keys.read().unwrap_or_else(PoisonError::into_inner).by_hash.values().map(Arc::clone).collect();
        keys.sort_by(|a, b| (&a.chitty_id, a.created_at, &a.id).cmp(&(&b.chitty_id, b.created_at, &b.id)));
        Ok(keys)
    }

    async fn revoke_key(&self, id: &KeyId) -> Result<Arc<Key>, StoreError> {
        let (known, id) = (Arc::clone(&self.keys), id.clone());
        let change = move |transaction: &mut Transaction<'_>| {
            let key = Key { status: KeyStatus::Revoked, ..current(transaction, &known, &id)? };
            replace(transaction, &key)?;
            let key = Arc::new(key);
            let revoked = Arc::clone(&key);
            transaction.once_durable(move || {
                known.write().unwrap_or_else(PoisonError::into_inner).insert(key);
            });
            Ok(revoked)
        };
        self.change("revoke_key", change).await
    }

    async fn rotate_key(&self, old: &KeyId, new: Key, old_ends: Option<Time>) -> Result<Arc<Key>, StoreError> {
        let (known, old) = (Arc::clone(&self.keys), old.clone());
        let change = move |transaction: &mut Transaction<'_>| {
            let old = current(transaction, &known, &old)?;
            let over = old.expires_at.is_some_and(|end| end <= transaction.now());
            if old.status != KeyStatus::Active || over {
                return Err(StoreError::KeyNotActive);
            }
            let old = match old_ends {
                Some(end) => Key { expires_at: Some(old.expires_at.map_or(end, |own| own.min(end))), ..old },
                None => Key { status: KeyStatus::Revoked, ..old },
            };
            create(transaction, &known, &new)?;
            replace(transaction, &old)?;
            let (old, new) = (Arc::new(old), Arc::new(new));
            let ended = Arc::clone(&old);
            transaction.once_durable(move || {
                let mut known = known.write().unwrap_or_else(PoisonError::into_inner);
                known.insert(old);
                known.insert(new);
            });
            Ok(ended)
        };
        self.change("rotate_key", change).await
    }
}

/// A key as it is with the changes of this group, which are not yet among the known ones.
fn current(transaction: &mut Transaction<'_>, known: &Keys, id: &KeyId) -> Result<Key, StoreError> {
    let found = known.read().unwrap_or_else(PoisonError::into_inner).by_id.get(id).cloned();
    let found = found.ok_or(StoreError::NoSuchKey)?;
    let at = key::api_key(&found.chitty_id, &found.hash);
    let record = transaction.record::<KeyRecord>(&at)?.ok_or(StoreError::NoSuchKey)?;
    of_record(&at, record).map_err(unreadable)
}

/// Keeps a key.
fn create(transaction: &mut Transaction<'_>, known: &Keys, new: &Key) -> Result<(), StoreError> {
    let taken = known.read().unwrap_or_else(PoisonError::into_inner).by_id.contains_key(&new.id);
    if taken {
        return Err(StoreError::KeyExists);
    }
    let at = key::api_key(&new.chitty_id, &new.hash);
    if transaction.record::<KeyRecord>(&at)?.is_some() {
        return Err(StoreError::KeyExists);
    }
    transaction.insert(&at, &to_record(new))
}

/// Keeps a key in place of what was kept of it.
fn replace(transaction: &mut Transaction<'_>, changed: &Key) -> Result<(), StoreError> {
    let at = key::api_key(&changed.chitty_id, &changed.hash);
    if transaction.record::<KeyRecord>(&at)?.is_none() {
        return Err(StoreError::NoSuchKey);
    }
    transaction.remove(&at)?;
    transaction.insert(&at, &to_record(changed))
}

/// All keys.
pub(super) fn load(kv: &dyn Kv) -> Result<Known, StoreError> {
    let mut known = Known::default();
    for key in read_kind(kv, kind::KEY, decode_key)? {
        known.insert(Arc::new(key));
    }
    Ok(known)
}

fn to_record(key: &Key) -> KeyRecord {
    KeyRecord {
        id: key.id.to_string(),
        chitty_id: key.chitty_id.to_string(),
        session_id: key.session_id.to_string(),
        name: key.name.clone(),
        scopes: key.scopes.iter().map(ToString::to_string).collect(),
        rate_limit: key.rate_limit,
        quota: key.quota,
        created_at: key.created_at.as_millis(),
        expires_at: key.expires_at.map(Time::as_millis),
        status: key.status as u8,
    }
}

/// The key whose record is under `at`.
pub(in crate::store) fn decode_key(at: &[u8], record: &[u8]) -> Result<Key, RecordError> {
    of_record(at, decode(record)?)
}

fn of_record(at: &[u8], record: KeyRecord) -> Result<Key, RecordError> {
    let damaged = || RecordError::Damaged;
    let scopes: Result<Vec<Scope>, _> = record.scopes.iter().map(|word| word.parse()).collect();
    Ok(Key {
        hash: KeyHash(*at.last_chunk().ok_or_else(damaged)?),
        id: record.id.parse().map_err(|_| damaged())?,
        chitty_id: record.chitty_id.parse().map_err(|_| damaged())?,
        session_id: record.session_id.parse().map_err(|_| damaged())?,
        name: record.name,
        scopes: scopes.map_err(|_| damaged())?,
        rate_limit: record.rate_limit,
        quota: record.quota,
        created_at: Time::from_millis(record.created_at),
        expires_at: record.expires_at.map(Time::from_millis),
        status: *STATUSES.get(usize::from(record.status)).ok_or_else(damaged)?,
    })
}
