//! Keys as S3 clients present them: the key's id, and a secret that follows from the key and a signer of the gateway's.
//!
//! The secret is kept nowhere. It cannot be a key of ours, which is only known by its hash here; and of those that can read
//! the store, only who also has the signer can tell it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::key::{Secret, admit};
use crate::blob::s3::{Credentials, name_of};
use crate::model::id::{KeyId, SessionId};
use crate::model::key::Key;
use crate::model::time::Time;
use crate::store::{Store, StoreError};

/// What sets these secrets apart from whatever else the signer signs.
const PURPOSE: &[u8] = b"s3-secret\0";
/// There are no regions here.
const REGION: &str = "us-east-1";
/// Bytes of a secret, of which base64 makes 40 characters.
const SECRET_BYTES: usize = 30;

/// Finds keys by their ids, for the S3 endpoint.
pub struct S3Credentials {
    store: Arc<dyn Store>,
    signer: [u8; 32],
}

impl S3Credentials {
    /// Of the keys of `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, signer: [u8; 32]) -> Self {
        Self { store, signer }
    }
}

#[async_trait]
impl Credentials for S3Credentials {
    async fn find(&self, access_key: &str) -> Result<Option<(String, Arc<Key>)>, StoreError> {
        let Ok(id) = access_key.parse::<KeyId>() else { return Ok(None) };
        let found = self.store.key_of_id(&id).await?;
        let admitted = found.filter(|key| admit(Some(Arc::clone(key)), Time::now()).is_ok());
        Ok(admitted.map(|key| (secret_of(&self.signer, &key), key)))
    }
}

/// What S3 clients sign with for a key: 40 letters, digits, `-` and `_`.
#[must_use]
pub fn secret_of(signer: &[u8; 32], key: &Key) -> String {
    // HMAC takes a key that is shorter than a block for one with zeros behind it (RFC 2104 §2).
    let mut block = [0; 64];
    block[..signer.len()].copy_from_slice(signer);
    let mut mac = Hmac::<Sha256>::new(&block.into());
    mac.update(PURPOSE);
    mac.update(&key.hash.0);
    BASE64_URL_SAFE_NO_PAD.encode(&mac.finalize().into_bytes()[..SECRET_BYTES])
}

/// What an S3 client is configured with for a key: what `keys s3` prints.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct S3Facts {
    /// The key.
    pub id: KeyId,
    /// Whether the key is let in now; else the rest is of no use.
    pub active: bool,
    /// What a client signs with, beside the next.
    pub access_key: String,
    /// What a client signs with.
    pub secret_key: Secret,
    /// Where the S3 endpoint is; `null` where there is no files host.
    pub endpoint: Option<String>,
    /// Any will do; clients want one.
    pub region: String,
    /// The bucket of the key's own session.
    pub bucket: String,
    /// The buckets that the key may use at the moment, with the sessions that they are.
    pub buckets: Vec<BucketFacts>,
}

/// A bucket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BucketFacts {
    /// Its name.
    pub bucket: String,
    /// The session that it is.
    pub session_id: SessionId,
}

impl S3Facts {
    /// Of the key `id`, for clients of `endpoint`.
    ///
    /// # Errors
    /// [`StoreError::NoSuchKey`], [`StoreError::Unavailable`].
    pub async fn of(
        store: &dyn Store,
        signer: &[u8; 32],
        id: &KeyId,
        endpoint: Option<String>,
    ) -> Result<Self, StoreError> {
        let key = store.key_of_id(id).await?.ok_or(StoreError::NoSuchKey)?;
        let mut sessions: BTreeSet<SessionId> =
            store.buckets(key.chitty_id.clone()).await?.into_iter().map(|bucket| bucket.session_id).collect();
        sessions.insert(key.session_id.clone());
        let mut buckets: Vec<_> =
            sessions.into_iter().map(|session_id| BucketFacts { bucket: name_of(&session_id), session_id }).collect();
        buckets.sort();
        Ok(Self {
            id: key.id.clone(),
            active: admit(Some(Arc::clone(&key)), Time::now()).is_ok(),
            access_key: key.id.to_string(),
            secret_key: Secret::new(secret_of(signer, &key)),
            endpoint,
            region: REGION.to_owned(),
            bucket: name_of(&key.session_id),
            buckets,
        })
    }
}

impl fmt::Display for S3Facts {
    /// As rclone's configuration has it, with what a person should know beside.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.active {
            writeln!(f, "# the key {} is not let in", self.id)?;
        }
        for BucketFacts { bucket, session_id } in &self.buckets {
            writeln!(f, "# bucket {bucket}: session {session_id}")?;
        }
        writeln!(f, "[chitty]\ntype = s3\nprovider = Other\nforce_path_style = true\nregion = {}", self.region)?;
        writeln!(f, "access_key_id = {}\nsecret_access_key = {}", self.access_key, self.secret_key.expose())?;
        match &self.endpoint {
            Some(endpoint) => write!(f, "endpoint = {endpoint}"),
            None => write!(f, "# endpoint: gateway.files names no host"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::key::{KeyHash, KeyStatus};

    fn key(hash: u8) -> Key {
        Key {
            hash: KeyHash([hash; 32]),
            id: "k".parse().unwrap(),
            chitty_id: "alice".parse().unwrap(),
            session_id: "s".parse().unwrap(),
            name: String::new(),
            scopes: Vec::new(),
            rate_limit: None,
            quota: None,
            created_at: Time::from_millis(1),
            expires_at: None,
            status: KeyStatus::Active,
        }
    }

    #[test]
    fn a_secret_follows_from_the_key_and_the_signer() {
        let secret = secret_of(&[1; 32], &key(1));
        assert_eq!(secret, secret_of(&[1; 32], &key(1)));
        assert_eq!(secret.len(), 40);
        assert!(secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{secret}");
        let mut mac = Hmac::<Sha256>::new_from_slice(&[1; 32]).unwrap();
        mac.update(&[&b"s3-secret\0"[..], &[1; 32]].concat());
        assert_eq!(secret, BASE64_URL_SAFE_NO_PAD.encode(&mac.finalize().into_bytes()[..30]));
        assert_ne!(secret, secret_of(&[1; 32], &key(2)));
        assert_ne!(secret, secret_of(&[2; 32], &key(1)));
    }
}
