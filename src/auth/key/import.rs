//! Keys of the original, so that they go on working: `key:<apikey>` → JSON in its key-value store (CONTRACT.md §0).
//!
//! A file is read where the command runs, and a key is hashed as it is read: what goes on, over the admin socket or into
//! the store, is the hash and what is known of the key. No message holds a key, nor anything else that a record holds.

mod file;
mod record;

use std::ops::Add;

use futures::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

pub use self::file::{KeyFile, NotRecords, Note, read};
use super::{IssueError, id_of, own_session};
use crate::model::id::{ChittyId, SessionId};
use crate::model::key::{Key, KeyHash, KeyStatus, Scope};
use crate::model::time::Time;
use crate::store::{Store, StoreError};

/// Keys that are written at once, so that they share the store's flushes.
const AT_ONCE: usize = 64;

/// A key of the original, hashed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OldKey {
    /// SHA-256 of the key, 64 hexadecimal digits.
    pub hash: String,
    /// `chittyId`, else `userId`.
    pub chitty_id: ChittyId,
    /// `sessionId`; `None` = one of the key's own.
    pub session_id: Option<SessionId>,
    /// For people.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Requests a minute.
    pub rate_limit: Option<u32>,
    /// Bytes of files.
    pub quota: Option<u64>,
    /// Milliseconds since 1970.
    pub created_at: u64,
    /// The same; `None` = never.
    pub expires_at: Option<u64>,
    /// Whether it is let in.
    pub active: bool,
}

/// The body of `POST /keys/import`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportWords {
    /// Whether it is only to be said what would be done.
    pub dry_run: bool,
    /// The keys.
    pub keys: Vec<OldKey>,
}

/// What became of keys, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Are kept now; with `dry_run`, would be.
    pub added: usize,
    /// Were there already, whatever has become of them since; they stay as they are.
    pub there: usize,
}

impl Add for Imported {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { added: self.added + other.added, there: self.there + other.there }
    }
}

/// Why keys were not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A hash is none.
    #[error("a hash is not 64 hexadecimal digits")]
    Hash,
    /// Those before the one that failed are kept: importing again finds them there.
    #[error("not all keys were kept; import the file again, which changes nothing of those that were")]
    Keep(#[from] IssueError),
}

/// Keeps each of `keys` that is not there.
///
/// # Errors
/// [`ImportError`].
pub async fn import(store: &dyn Store, words: ImportWords) -> Result<Imported, ImportError> {
    let keys = words.keys.into_iter().map(OldKey::into_key).collect::<Result<Vec<Key>, _>>()?;
    let kept = stream::iter(keys).map(|key| keep(store, key, words.dry_run)).buffer_unordered(AT_ONCE);
    let kept = kept.try_fold(Imported::default(), async |sum, added| {
        Ok(sum + Imported { added: usize::from(added), there: usize::from(!added) })
    });
    Ok(kept.await.map_err(IssueError::from)?)
}

/// Whether it was not there.
async fn keep(store: &dyn Store, key: Key, dry_run: bool) -> Result<bool, StoreError> {
    if store.key(&key.hash).await?.is_some() {
        return Ok(false);
    }
    if dry_run {
        return Ok(true);
    }
    match store.create_key(key).await {
        Ok(()) => Ok(true),
        Err(StoreError::KeyExists) => Ok(false),
        Err(error) => Err(error),
    }
}

impl OldKey {
    fn into_key(self) -> Result<Key, ImportError> {
        let mut hash = [0; 32];
        hex::decode_to_slice(&self.hash, &mut hash).map_err(|_| ImportError::Hash)?;
        let hash = KeyHash(hash);
        let id = id_of(&hash).map_err(IssueError::from)?;
        let session_id = match self.session_id {
            Some(session_id) => session_id,
            None => own_session(&id).map_err(IssueError::from)?,
        };
        Ok(Key {
            hash,
            id,
            chitty_id: self.chitty_id,
            session_id,
            name: self.name,
            scopes: self.scopes,
            rate_limit: self.rate_limit,
            quota: self.quota,
            created_at: Time::from_millis(self.created_at),
            expires_at: self.expires_at.map(Time::from_millis),
            status: if self.active { KeyStatus::Active } else { KeyStatus::Inactive },
        })
    }
}

#[cfg(test)]
mod tests;
