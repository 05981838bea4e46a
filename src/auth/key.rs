//! API keys: 256 random bits, shown once, kept as their SHA-256 (DESIGN.md, "Who is calling").
//!
//! A presented key is only ever hashed: no comparison sees it, and no log.

pub mod import;
pub mod list;
pub mod request;
pub mod rotate;

use std::fmt;
use std::sync::Arc;

use http::HeaderName;
use rand::TryRngCore;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{AuthError, Principal};
use crate::model::id::{IdError, KeyId, SessionId};
use crate::model::key::{Key, KeyHash, KeyStatus};
use crate::model::time::Time;
use crate::store::{Store, StoreError};
use list::KeyFacts;
use request::KeyRequest;

/// The header that clients of the original send, spelt as they do.
const USUAL_HEADER: &str = "X-ChittyOS-API-Key";
/// What every key begins with.
const PREFIX: &str = "chitty_";
/// Random bytes of a key.
const RANDOM_BYTES: usize = 32;
/// Bytes of a key's hash that its id is made of: 64 bits, so that no two keys of a store ever share one.
const ID_BYTES: usize = 8;

/// A whole key, for the one who asked for it. `Debug` prints nothing of it; serialising it hands it out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// One that was made elsewhere.
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }

    /// The key itself, to be shown once.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A new key: the only moment at which it is whole.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The key.
    pub secret: Secret,
    /// What is kept of it.
    pub key: Key,
}

/// Why there is no new key.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The operating system gives no random numbers.
    #[error("the operating system gives no random numbers")]
    Random(#[source] rand::rand_core::OsError),
    /// The key's own id is none, which its digits rule out.
    #[error(transparent)]
    Id(#[from] IdError),
    /// The store does not keep it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the one who asked for a key is told, as JSON: the key, and beside it what is known of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyReport {
    /// The key itself.
    pub key: Secret,
    /// What is known of it.
    #[serde(flatten)]
    pub facts: KeyFacts,
}

impl From<Issued> for KeyReport {
    fn from(Issued { secret, key }: Issued) -> Self {
        Self { key: secret, facts: KeyFacts::from(&key) }
    }
}

/// The name of a header that holds keys, as people write it: `X-ChittyOS-API-Key`, `X-Own-Key`.
#[must_use]
pub fn header_as_written(name: &HeaderName) -> String {
    if name.as_str().eq_ignore_ascii_case(USUAL_HEADER) {
        return USUAL_HEADER.to_owned();
    }
    let word = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_ascii_uppercase() + rest
    };
    name.as_str().split('-').map(word).collect::<Vec<_>>().join("-")
}

/// Whom the key that was found lets in.
pub(super) fn admit(found: Option<Arc<Key>>, now: Time) -> Result<Principal, AuthError> {
    let key = found.ok_or(AuthError::Unknown)?;
    match (key.status, key.expires_at) {
        (KeyStatus::Inactive | KeyStatus::Revoked, _) => Err(AuthError::Inactive),
        (KeyStatus::Active, Some(end)) if end <= now => Err(AuthError::Expired(end)),
        (KeyStatus::Active, _) => Ok(Principal::from(&*key)),
    }
}

/// Makes a key and has it kept.
///
/// # Errors
/// [`IssueError`].
pub async fn issue(store: &dyn Store, request: KeyRequest) -> Result<Issued, IssueError> {
    let Fresh { secret, hash, id } = Fresh::generate()?;
    let session_id = match request.session_id {
        Some(session_id) => session_id,
        None => own_session(&id)?,
    };
    let created_at = Time::now();
    let key = Key {
        hash,
        id,
        chitty_id: request.chitty_id,
        session_id,
        name: request.name.into(),
        scopes: request.scopes,
        rate_limit: request.rate_limit.map(Into::into),
        quota: request.quota.map(Into::into),
        created_at,
        expires_at: request.expires_in.map(|lifetime| created_at.after(lifetime.into())),
        status: KeyStatus::Active,
    };
    store.create_key(key.clone()).await?;
    Ok(Issued { secret, key })
}

/// A secret that nobody has had, and what it is known by.
struct Fresh {
    secret: Secret,
    hash: KeyHash,
    id: KeyId,
}

impl Fresh {
    fn generate() -> Result<Self, IssueError> {
        let mut random = [0; RANDOM_BYTES];
        OsRng.try_fill_bytes(&mut random).map_err(IssueError::Random)?;
        let secret = Secret(format!("{PREFIX}{}", hex::encode(random)));
        let hash = hash(secret.0.as_bytes());
        Ok(Self { secret, hash, id: id_of(&hash)? })
    }
}

/// The id of the key with this hash.
fn id_of(hash: &KeyHash) -> Result<KeyId, IdError> {
    hex::encode(&hash.0[..ID_BYTES]).parse()
}

/// The session of a key that was given none.
fn own_session(id: &KeyId) -> Result<SessionId, IdError> {
    format!("key-{id}").parse()
}

/// What is kept of a key.
pub(super) fn hash(key: &[u8]) -> KeyHash {
    KeyHash(Sha256::digest(key).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::key::Scope;

    fn key(status: KeyStatus, expires_at: Option<u64>) -> Arc<Key> {
        Arc::new(Key {
            hash: hash(b"k"),
            id: "k".parse().unwrap(),
            chitty_id: "alice".parse().unwrap(),
            session_id: "s".parse().unwrap(),
            name: String::new(),
            scopes: vec![Scope::ContextRead],
            rate_limit: None,
            quota: None,
            created_at: Time::from_millis(1),
            expires_at: expires_at.map(Time::from_millis),
            status,
        })
    }

    #[test]
    fn only_an_active_key_that_has_not_ended_is_let_in() {
        let now = Time::from_millis(100);
        assert!(matches!(admit(None, now), Err(AuthError::Unknown)));
        for status in [KeyStatus::Inactive, KeyStatus::Revoked] {
            assert!(matches!(admit(Some(key(status, Some(1))), now), Err(AuthError::Inactive)));
        }
        for end in [1, 100] {
            let end_of = admit(Some(key(KeyStatus::Active, Some(end))), now);
            assert!(matches!(end_of, Err(AuthError::Expired(at)) if at.as_millis() == end));
        }
        for end in [Some(101), None] {
            assert_eq!(admit(Some(key(KeyStatus::Active, end)), now).unwrap().chitty_id.as_str(), "alice");
        }
    }

    #[test]
    fn a_header_is_written_as_people_do() {
        for (name, written) in [("x-chittyos-api-key", USUAL_HEADER), ("x-own-key", "X-Own-Key"), ("-", "-")] {
            assert_eq!(header_as_written(&HeaderName::from_static(name)), written);
        }
    }

    #[test]
    fn nothing_shows_a_key_but_who_is_given_it() {
        let secret = Secret("chitty_00".to_owned());
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"chitty_00\"");
    }
}
