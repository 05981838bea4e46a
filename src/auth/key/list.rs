//! What an operator is shown of keys: everything but the key, of which nobody has more than its SHA-256.

use std::fmt;
use std::sync::Arc;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use crate::model::id::{ChittyId, KeyId, SessionId};
use crate::model::key::{Key, KeyStatus, Scope};
use crate::model::time::Time;

/// Whether a key is let in, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is.
    Active,
    /// Not for the time being.
    Inactive,
    /// Its time is over.
    Expired,
    /// Never again.
    Revoked,
}

impl Standing {
    fn of(key: &Key, now: Time) -> Self {
        match key.status {
            KeyStatus::Revoked => Self::Revoked,
            KeyStatus::Inactive => Self::Inactive,
            KeyStatus::Active if key.expires_at.is_some_and(|end| end <= now) => Self::Expired,
            KeyStatus::Active => Self::Active,
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        })
    }
}

/// What may be told of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields of Key")]
pub struct KeyFacts {
    pub id: KeyId,
    pub chitty_id: ChittyId,
    pub session_id: SessionId,
    pub name: String,
    pub scopes: Vec<Scope>,
    /// RFC 3339, milliseconds, UTC.
    pub created_at: String,
    /// The same; `null` = never.
    pub expires_at: Option<String>,
    /// Requests a minute; `null` = as the gateway limits callers.
    #[serde(default)]
    pub rate_limit: Option<u32>,
    /// Bytes of files; `null` = as the gateway allows each.
    #[serde(default)]
    pub quota: Option<u64>,
}

impl From<&Key> for KeyFacts {
    fn from(key: &Key) -> Self {
        Self {
            id: key.id.clone(),
            chitty_id: key.chitty_id.clone(),
            session_id: key.session_id.clone(),
            name: key.name.clone(),
            scopes: key.scopes.clone(),
            created_at: key.created_at.to_string(),
            expires_at: key.expires_at.map(|end| end.to_string()),
            rate_limit: key.rate_limit,
            quota: key.quota,
        }
    }
}

/// One key of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedKey {
    /// What is known of it.
    #[serde(flatten)]
    pub facts: KeyFacts,
    /// Whether it is let in.
    pub status: Standing,
}

impl From<&Key> for ListedKey {
    fn from(key: &Key) -> Self {
        Self { facts: KeyFacts::from(key), status: Standing::of(key, Time::now()) }
    }
}

impl fmt::Display for ListedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let KeyFacts { id, chitty_id, session_id, name, scopes, created_at, expires_at, rate_limit, quota } =
            &self.facts;
        let scopes = scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(",");
        let until = expires_at.as_ref().map_or_else(String::new, |end| format!(" until {end}"));
        let rate = rate_limit.map_or_else(String::new, |rate| format!("  {rate}/m"));
        let quota = quota.map_or_else(String::new, |bytes| format!("  {} of files", ByteSize(bytes)));
        let status = self.status;
        write!(f, "{id}  {status:8}  {chitty_id}  session {session_id}  {scopes}{rate}{quota}  ")?;
        writeln!(f, "since {created_at}{until}  {name}")
    }
}

/// Keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "what its name says")]
pub struct KeyList {
    pub keys: Vec<ListedKey>,
}

impl KeyList {
    /// These.
    #[must_use]
    pub fn of(keys: &[Arc<Key>]) -> Self {
        Self { keys: keys.iter().map(|key| ListedKey::from(&**key)).collect() }
    }
}

impl fmt::Display for KeyList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.keys.iter().try_for_each(|key| write!(f, "{key}"))
    }
}
