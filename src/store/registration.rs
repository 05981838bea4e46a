//! Services that registered themselves, as the store keeps them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::StoreError;
use crate::model::id::ChittyId;
use crate::model::name::ServiceKey;
use crate::model::registration::{NewRegistration, Registration};
use crate::model::time::Time;

/// Registrations that there are at the most: as many as a table is made for.
pub const MAX_REGISTRATIONS: usize = 5000;
/// Registrations of one owner at the most, so that no owner keeps all others out.
pub const MAX_OF_ONE_OWNER: usize = 1000;

/// The registrations of every chitty id. Names are the whole store's; changes are their owner's.
#[async_trait]
pub trait RegistrationStore: Send + Sync {
    /// Every registration, the earliest first; those whose time is over too.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn registrations(&self) -> Result<Vec<Arc<Registration>>, StoreError>;

    /// Keeps a registration, in place of what its owner registered under the name before.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] while the name is another owner's, [`StoreError::TooManyRegistrations`].
    async fn register(&self, new: NewRegistration) -> Result<Arc<Registration>, StoreError>;

    /// Has a registration listed for another `ttl` from now. The registration as it is then, and when it would have ended.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRegistration`] where `owner` has none of this name.
    async fn renew(
        &self,
        owner: &ChittyId,
        name: &ServiceKey,
        ttl: Duration,
    ) -> Result<(Arc<Registration>, Time), StoreError>;

    /// Lays `members` over the entry of a registration. How long it is listed stays.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRegistration`] where `owner` has none of this name.
    async fn amend(
        &self,
        owner: &ChittyId,
        name: &ServiceKey,
        members: Map<String, Value>,
    ) -> Result<Arc<Registration>, StoreError>;

    /// Deletes a registration; `None` = whoever's it is.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRegistration`].
    async fn unregister(&self, owner: Option<&ChittyId>, name: &ServiceKey) -> Result<(), StoreError>;
}
