//! Services that registered themselves: whose they are, and until when they are listed (REGISTRY.md §3).

use std::sync::Arc;
use std::time::Duration;

use super::id::ChittyId;
use super::name::ServiceKey;
use super::time::Time;

/// A name whose service has not been heard of for this long after its time may be taken by another owner.
pub const KEPT_FOR_ITS_OWNER: Duration = Duration::from_secs(24 * 3600);

/// One service that registered itself. A name is registered once in the whole store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The slug that it is listed under.
    pub name: ServiceKey,
    /// The tenant whose keys may change it.
    pub owner: ChittyId,
    /// The entry as it was registered: a JSON object with the spellings of REGISTRY.md §2.
    pub entry: Arc<str>,
    /// When this owner first registered it: of two that claim a name, the earlier one has it.
    pub registered_at: Time,
    /// When it was last changed or heard of.
    pub updated_at: Time,
    /// From then on it is not listed, until it is heard of again.
    pub expires_at: Time,
}

impl Registration {
    /// Whether another owner may take the name at `now`.
    #[must_use]
    pub fn is_free(&self, now: Time) -> bool {
        self.expires_at.after(KEPT_FOR_ITS_OWNER) <= now
    }
}

/// A service that registers itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRegistration {
    /// The slug that it is to be listed under.
    pub name: ServiceKey,
    /// Who registers it.
    pub owner: ChittyId,
    /// Its entry, a JSON object.
    pub entry: Arc<str>,
    /// How long it is listed unless it is heard of again.
    pub ttl: Duration,
    /// Whether it is listed at the moment: then nobody but its owner gets the name, however long ago it was heard of.
    pub listed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_free_a_day_after_its_time() {
        let registration = Registration {
            name: ServiceKey::parse("a").unwrap(),
            owner: "alice".parse().unwrap(),
            entry: "{}".into(),
            registered_at: Time::from_millis(0),
            updated_at: Time::from_millis(0),
            expires_at: Time::from_millis(1000),
        };
        let day = 24 * 3600 * 1000;
        assert!(!registration.is_free(Time::from_millis(day + 999)));
        assert!(registration.is_free(Time::from_millis(day + 1000)));
    }
}
