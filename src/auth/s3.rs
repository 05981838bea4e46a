//! Keys as S3 clients present them: the key's id, and a secret that follows from the key and a signer of the gateway's.
//!
//! The secret is kept nowhere. It cannot be a key of ours, which is only known by its hash here; and of those that can read
//! the store, only who also has the signer can tell it.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::key::admit;
use crate::blob::s3::Credentials;
use crate::model::id::KeyId;
use crate::model::key::Key;
use crate::model::time::Time;
use crate::store::{Store, StoreError};

/// What sets these secrets apart from whatever else the signer signs.
const PURPOSE: &[u8] = b"s3-secret\0";
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
