//! API keys as the store keeps them.

use std::sync::Arc;

use async_trait::async_trait;

use super::StoreError;
use crate::model::id::KeyId;
use crate::model::key::{Key, KeyHash};
use crate::model::time::Time;

/// The API keys of every chitty id.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// Keeps a key.
    async fn create_key(&self, key: Key) -> Result<(), StoreError>;

    /// The key with this hash, whatever its status; `None` if there is none.
    async fn key(&self, hash: &KeyHash) -> Result<Option<Arc<Key>>, StoreError>;

    /// The key with this id, whatever its status; `None` if there is none.
    async fn key_of_id(&self, id: &KeyId) -> Result<Option<Arc<Key>>, StoreError>;

    /// Every key, by chitty id and then by age.
    async fn keys(&self) -> Result<Vec<Arc<Key>>, StoreError>;

    /// Has a key let nobody in any more, from the next request on. The key as it is then.
    async fn revoke_key(&self, id: &KeyId) -> Result<Arc<Key>, StoreError>;

    /// Keeps `new` and ends `old`, in one change: at `old_ends`, where that is before its own end, or at once, which
    /// revokes it. The old key as it is then.
    ///
    /// # Errors
    /// [`StoreError::NoSuchKey`], [`StoreError::KeyNotActive`] where `old` lets nobody in, [`StoreError::KeyExists`].
    async fn rotate_key(&self, old: &KeyId, new: Key, old_ends: Option<Time>) -> Result<Arc<Key>, StoreError>;
}
