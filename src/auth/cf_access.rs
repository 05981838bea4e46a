//! The pair of headers with which Cloudflare Access vouches for a service: `CF-Access-Client-Id` and
//! `CF-Access-Client-Secret`. It stands for a whole platform, so it opens one operation alone (CONTRACT.md §0, "Auth").
//!
//! Both are compared, always, and in a time that says nothing of either. Of the secret a hash is kept.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const CLIENT_ID: HeaderName = HeaderName::from_static("cf-access-client-id");
const CLIENT_SECRET: HeaderName = HeaderName::from_static("cf-access-client-secret");
/// Largest file that a secret is read from, in bytes. They have 64.
const MAX_SECRET: u64 = 4096;

/// `auth.cf_access`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CfAccessConfig {
    /// What `CF-Access-Client-Id` says; not empty.
    pub client_id: String,
    /// Where what `CF-Access-Client-Secret` says is kept; read at start, without the white space around it.
    pub client_secret_file: PathBuf,
}

/// The extension of a request that came without a key and with the right pair, to an operation that takes it. Such a
/// request has no [`Principal`](super::Principal): whom it speaks for, its body says, and it is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trusted;

/// The secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("auth.cf_access.client_secret_file: `{path}` cannot be read")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no secret in it.
    #[error("auth.cf_access.client_secret_file: `{path}` holds no secret; accepted: one line of visible characters")]
    NoSecret {
        /// Which.
        path: PathBuf,
    },
}

/// The pair, hashed: what is compared is always as long.
#[derive(Clone, Debug)]
pub struct Pair {
    id: [u8; 32],
    secret: [u8; 32],
}

impl Pair {
    /// Reads the secret. A file that everybody can read is warned of.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn read(config: &CfAccessConfig) -> Result<Self, SecretError> {
        let path = &config.client_secret_file;
        let unreadable = |source| SecretError::Unreadable { path: path.clone(), source };
        let mut text = Vec::new();
        let file = File::open(path).map_err(unreadable)?;
        file.take(MAX_SECRET + 1).read_to_end(&mut text).map_err(unreadable)?;
        let secret = text.trim_ascii();
        if secret.is_empty() || text.len() as u64 > MAX_SECRET || !secret.iter().all(u8::is_ascii_graphic) {
            return Err(SecretError::NoSecret { path: path.clone() });
        }
        if fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o007 != 0) {
            tracing::warn!(path = %path.display(), "everybody on this machine can use the secret of auth.cf_access");
        }
        Ok(Self::new(config.client_id.as_bytes(), secret))
    }

    fn new(id: &[u8], secret: &[u8]) -> Self {
        Self { id: Sha256::digest(id).into(), secret: Sha256::digest(secret).into() }
    }

    /// Whether a request has a pair at all.
    #[must_use]
    pub fn is_in(headers: &HeaderMap) -> bool {
        headers.contains_key(CLIENT_ID) || headers.contains_key(CLIENT_SECRET)
    }

    /// Whether a request has this pair, each of the two once.
    #[must_use]
    pub fn matches(&self, headers: &HeaderMap) -> bool {
        let sent = |name| {
            let mut values = headers.get_all(name).iter();
            let value = values.next().filter(|_| values.next().is_none());
            // Neither the id nor the secret is empty, so nothing is as wrong as anything else.
            let hash: [u8; 32] = Sha256::digest(value.map_or(&b""[..], HeaderValue::as_bytes)).into();
            hash
        };
        let (id, secret) = (sent(CLIENT_ID), sent(CLIENT_SECRET));
        (self.id.ct_eq(&id) & self.secret.ct_eq(&secret)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_right_once_or_it_is_no_pair() {
        let pair = Pair::new(b"id", b"secret");
        for (headers, right) in [
            (&[("cf-access-client-id", "id"), ("cf-access-client-secret", "secret")][..], true),
            (&[("cf-access-client-secret", "secret"), ("cf-access-client-id", "id")], true),
            (&[("cf-access-client-id", "id"), ("cf-access-client-secret", "secre")], false),
            (&[("cf-access-client-id", "secret"), ("cf-access-client-secret", "id")], false),
            (&[("cf-access-client-id", "id"), ("cf-access-client-secret", "")], false),
            (&[("cf-access-client-id", ""), ("cf-access-client-secret", "secret")], false),
            (&[("cf-access-client-id", "id")], false),
            (&[("cf-access-client-secret", "secret")], false),
            (
                &[
                    ("cf-access-client-id", "id"),
                    ("cf-access-client-secret", "secret"),
                    ("cf-access-client-secret", "secret"),
                ],
                false,
            ),
            (&[], false),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
            }
            assert_eq!(pair.matches(&map), right, "{headers:?}");
            assert_eq!(Pair::is_in(&map), !headers.is_empty());
        }
    }

    #[test]
    fn a_secret_is_one_word_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let config = CfAccessConfig { client_id: "id".to_owned(), client_secret_file: path.clone() };
        assert!(matches!(Pair::read(&config), Err(SecretError::Unreadable { .. })));
        for (text, good) in [("s\n", true), (" s \r\n", true), ("", false), (" \n", false), ("a b", false)] {
            fs::write(&path, text).unwrap();
            let read = Pair::read(&config);
            assert_eq!(read.is_ok(), good, "{text:?}");
            let message = read.map_or_else(|error| error.to_string(), |pair| format!("{pair:?}"));
            assert!(!message.contains("a b"), "{message}");
        }
        fs::write(&path, "s".repeat(5000)).unwrap();
        assert!(matches!(Pair::read(&config), Err(SecretError::NoSecret { .. })));
    }
}
