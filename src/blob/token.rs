//! Tokens that let whoever has them bring one file in, or take one out, without a key. A token is a text that says all of
//! what it is good for, and an HMAC-SHA256 over it (RFC 2104): nothing is kept of it, and no bit of it can be changed.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::model::id::{ChittyId, KeyId, SessionId};
use crate::model::stored_file::{ContentHash, FileKey};
use crate::model::time::Time;

/// Bytes of the code.
const CODE: usize = 32;
/// The longest token, in characters: the longest names in it, and room.
pub const MAX_TOKEN: usize = 4096;

/// Signs tokens, and knows them again.
#[derive(Clone)]
pub struct Tokens {
    key: [u8; 32],
}

/// What a token may be good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Upload = 1,
    Download = 2,
}

/// Who asked for a token: what it opens is what they may open still when it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// The tenant.
    pub chitty_id: ChittyId,
    /// The key, or the token's subject.
    pub key_id: KeyId,
    /// Whether it is a key of ours, which may be revoked meanwhile.
    pub by_key: bool,
}

/// One file may be brought in, once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields of `StoredFile` but for those with comments")]
pub struct UploadToken {
    /// Its own id.
    pub id: [u8; 16],
    pub issuer: Issuer,
    pub session_id: SessionId,
    pub key: FileKey,
    /// Exactly so many bytes.
    pub size: u64,
    /// With this SHA-256, if that was said.
    pub hash: Option<ContentHash>,
    pub mime: Option<String>,
    /// Until then.
    pub expires_at: Time,
}

/// One file may be taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields of `StoredFile` but for those with comments")]
pub struct DownloadToken {
    pub issuer: Issuer,
    pub session_id: SessionId,
    pub key: FileKey,
    /// As long as these are its contents.
    pub hash: ContentHash,
    /// Until then.
    pub expires_at: Time,
}

#[derive(Serialize, Deserialize)]
struct UploadWords {
    id: [u8; 16],
    chitty_id: String,
    key_id: String,
    by_key: bool,
    session_id: String,
    key: String,
    size: u64,
    hash: Option<[u8; 32]>,
    mime: Option<String>,
    expires_at: u64,
}

#[derive(Serialize, Deserialize)]
struct DownloadWords {
    chitty_id: String,
    key_id: String,
    by_key: bool,
    session_id: String,
    key: String,
    hash: [u8; 32],
    expires_at: u64,
}

impl Tokens {
    /// Signs with `key`, which nobody else has.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// When a token that is made now ends.
    #[must_use]
    pub fn end(lifetime: Duration) -> Time {
        Time::now().after(lifetime)
    }

    /// The token as a text of A-Z, a-z, 0-9, `-` and `_`.
    #[must_use]
    pub fn sign_upload(&self, token: &UploadToken) -> String {
        self.sign(
            Use::Upload,
            &UploadWords {
                id: token.id,
                chitty_id: token.issuer.chitty_id.to_string(),
                key_id: token.issuer.key_id.to_string(),
                by_key: token.issuer.by_key,
                session_id: token.session_id.to_string(),
                key: token.key.to_string(),
                size: token.size,
                hash: token.hash.map(|hash| hash.0),
                mime: token.mime.clone(),
                expires_at: token.expires_at.as_millis(),
            },
        )
    }

    /// The same of the other kind.
    #[must_use]
    pub fn sign_download(&self, token: &DownloadToken) -> String {
        self.sign(
            Use::Download,
            &DownloadWords {
                chitty_id: token.issuer.chitty_id.to_string(),
                key_id: token.issuer.key_id.to_string(),
                by_key: token.issuer.by_key,
                session_id: token.session_id.to_string(),
                key: token.key.to_string(),
                hash: token.hash.0,
                expires_at: token.expires_at.as_millis(),
            },
        )
    }

    /// What `text` is good for at `now`; `None` if it is no token of ours, or was one.
    #[must_use]
    pub fn upload(&self, text: &str, now: Time) -> Option<UploadToken> {
        let words: UploadWords = self.read(Use::Upload, text)?;
        let expires_at = Time::from_millis(words.expires_at);
        let token = UploadToken {
            id: words.id,
            issuer: issuer(&words.chitty_id, &words.key_id, words.by_key)?,
            session_id: words.session_id.parse().ok()?,
            key: words.key.parse().ok()?,
            size: words.size,
            hash: words.hash.map(ContentHash),
            mime: words.mime,
            expires_at,
        };
        (now < expires_at).then_some(token)
    }

    /// The same of the other kind.
    #[must_use]
    pub fn download(&self, text: &str, now: Time) -> Option<DownloadToken> {
        let words: DownloadWords = self.read(Use::Download, text)?;
        let expires_at = Time::from_millis(words.expires_at);
        let token = DownloadToken {
            issuer: issuer(&words.chitty_id, &words.key_id, words.by_key)?,
            session_id: words.session_id.parse().ok()?,
            key: words.key.parse().ok()?,
            hash: ContentHash(words.hash),
            expires_at,
        };
        (now < expires_at).then_some(token)
    }

    fn sign<T: Serialize>(&self, r#use: Use, words: &T) -> String {
        // Neither has anything that postcard could not write.
        let mut signed = postcard::to_stdvec(words).unwrap_or_default();
        let code = self.code(r#use, &signed).finalize().into_bytes();
        signed.extend_from_slice(&code);
        BASE64_URL_SAFE_NO_PAD.encode(signed)
    }

    fn read<T: DeserializeOwned>(&self, r#use: Use, text: &str) -> Option<T> {
        if text.len() > MAX_TOKEN {
            return None;
        }
        let signed = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (words, code) = signed.split_at_checked(signed.len().checked_sub(CODE)?)?;
        self.code(r#use, words).verify_slice(code).ok()?;
        postcard::from_bytes(words).ok()
    }

    fn code(&self, r#use: Use, words: &[u8]) -> Hmac<Sha256> {
        let key = hmac::digest::Key::<Hmac<Sha256>>::default();
        // HMAC fills a shorter key up with zeros (RFC 2104 §2), which is what this does.
        let mut padded = key;
        padded[..self.key.len()].copy_from_slice(&self.key);
        Hmac::<Sha256>::new(&padded).chain_update([r#use as u8]).chain_update(words)
    }
}

fn issuer(chitty_id: &str, key_id: &str, by_key: bool) -> Option<Issuer> {
    Some(Issuer { chitty_id: chitty_id.parse().ok()?, key_id: key_id.parse().ok()?, by_key })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        Tokens::new([7; 32])
    }

    fn issuer() -> Issuer {
        Issuer { chitty_id: "alice".parse().unwrap(), key_id: "0011".parse().unwrap(), by_key: true }
    }

    fn upload() -> UploadToken {
        UploadToken {
            id: [3; 16],
            issuer: issuer(),
            session_id: "s".parse().unwrap(),
            key: "2026/01/02/a b.txt".parse().unwrap(),
            size: 42,
            hash: Some(ContentHash([9; 32])),
            mime: Some("text/plain".to_owned()),
            expires_at: Time::from_millis(1000),
        }
    }

    #[test]
    fn a_token_says_what_it_is_good_for_until_its_end() {
        let text = tokens().sign_upload(&upload());
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        assert_eq!(tokens().upload(&text, Time::from_millis(999)), Some(upload()));
        assert_eq!(tokens().upload(&text, Time::from_millis(1000)), None);
        assert_eq!(tokens().download(&text, Time::from_millis(0)), None, "it is of the other kind");
        assert_eq!(Tokens::new([8; 32]).upload(&text, Time::from_millis(0)), None, "another signed it");
        let download = DownloadToken {
            issuer: issuer(),
            session_id: "s".parse().unwrap(),
            key: "a".parse().unwrap(),
            hash: ContentHash([1; 32]),
            expires_at: Time::from_millis(5),
        };
        let text = tokens().sign_download(&download);
        assert_eq!(tokens().download(&text, Time::from_millis(4)), Some(download));
        assert_eq!(tokens().upload(&text, Time::from_millis(4)), None);
    }

    #[test]
    fn no_bit_of_a_token_can_be_changed() {
        let text = tokens().sign_upload(&upload());
        let signed = BASE64_URL_SAFE_NO_PAD.decode(&text).unwrap();
        for bit in 0..signed.len() * 8 {
            let mut changed = signed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let changed = BASE64_URL_SAFE_NO_PAD.encode(changed);
            assert_eq!(tokens().upload(&changed, Time::from_millis(0)), None, "bit {bit}");
        }
        for wrong in ["", "a", "AAAA", &text[1..], &format!("{text}AAAA"), &"A".repeat(MAX_TOKEN + 1), "é"] {
            assert_eq!(tokens().upload(wrong, Time::from_millis(0)), None, "{wrong}");
        }
    }
}
