//! Files whose contents are kept: [`StoredFile`], what it is called ([`FileKey`]) and what it contains ([`Contents`]).
//!
//! A file is one name in one session. Its `r2_key` is `files/{session}/{key}` and its URI `r2://files/{session}/{key}`,
//! so that both say which session it is in, and what S3 calls its key is the last part. Contents are known by their
//! SHA-256 alone: equal ones are kept once in a chitty id, whatever the files are called that have them.

use std::fmt;
use std::str::FromStr;

use super::id::{ChittyId, KeyId, SessionId};
use super::time::Time;

/// Longest [`FileKey`], in bytes: what S3 takes.
pub const MAX_FILE_KEY: usize = 1024;
/// What every `r2_key` begins with.
const R2_ROOT: &str = "files/";
/// The scheme of the URIs of files.
pub const R2_SCHEME: &str = "r2://";

/// The SHA-256 of contents. Its text is 64 hexadecimal digits in lower case; it is read in either case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash(pub [u8; 32]);

/// A text is no [`ContentHash`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256; accepted: 64 hexadecimal digits")]
pub struct NotAHash;

impl FromStr for ContentHash {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Self, NotAHash> {
        let mut hash = [0; 32];
        hex::decode_to_slice(text, &mut hash).map_err(|_| NotAHash)?;
        Ok(Self(hash))
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a file contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Contents {
    /// Their SHA-256.
    pub hash: ContentHash,
    /// In bytes.
    pub size: u64,
}

/// What a file is called inside its session: 1 to 1024 bytes, parts separated by `/`, none of them `.` or `..`, no
/// control characters; the first part is not empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileKey(Box<str>);

/// Why a text is not a [`FileKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "their messages say it")]
pub enum FileKeyError {
    #[error("it has {0} bytes; accepted: 1 to {MAX_FILE_KEY}")]
    Length(usize),
    #[error("it has a control character; accepted: visible characters and spaces")]
    Control,
    #[error("a part of it is `.` or `..`; accepted: names, separated by `/`")]
    Dots,
    #[error("it begins with `/`; accepted: a name that begins with its first part")]
    Slash,
}

impl FileKey {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its last part, for people; empty where it ends in `/`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

impl FromStr for FileKey {
    type Err = FileKeyError;

    fn from_str(text: &str) -> Result<Self, FileKeyError> {
        if !(1..=MAX_FILE_KEY).contains(&text.len()) {
            return Err(FileKeyError::Length(text.len()));
        }
        if text.chars().any(char::is_control) {
            return Err(FileKeyError::Control);
        }
        if text.split('/').any(|part| part == "." || part == "..") {
            return Err(FileKeyError::Dots);
        }
        if text.starts_with('/') {
            return Err(FileKeyError::Slash);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The `r2_key` of the file `key` of a session: `files/{session}/{key}`.
#[must_use]
pub fn r2_key(session: &SessionId, key: &FileKey) -> String {
    format!("{R2_ROOT}{session}/{key}")
}

/// The inverse of [`r2_key`]; `None` if `text` is none of ours.
#[must_use]
pub fn parse_r2_key(text: &str) -> Option<(SessionId, FileKey)> {
    let (session, key) = text.strip_prefix(R2_ROOT)?.split_once('/')?;
    Some((session.parse().ok()?, key.parse().ok()?))
}

/// A file whose contents are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// Whose it is.
    pub chitty_id: ChittyId,
    /// The session it is in.
    pub session_id: SessionId,
    /// What it is called there.
    pub key: FileKey,
    /// What people call it, where that is not the last part of its key.
    pub given_name: Option<String>,
    /// What it contains.
    pub contents: Contents,
    /// What HTTP and S3 clients know this version by, without quotes: the MD5 in hexadecimal digits, or that of the
    /// MD5s of its parts with `-` and their number.
    pub etag: String,
    /// Its media type, if anybody said it.
    pub mime: Option<String>,
    /// Headers that its readers get as they were given: `Cache-Control`, `Content-Disposition`, `Content-Encoding`,
    /// `Content-Language`, in lower case.
    pub headers: Vec<(String, String)>,
    /// What its writer noted with it (`x-amz-meta-*`, without that beginning, in lower case).
    pub metadata: Vec<(String, String)>,
    /// The key, or the token's subject, that wrote it.
    pub key_id: KeyId,
    /// When a file of this name was written first.
    pub created_at: Time,
    /// When this version was written.
    pub modified_at: Time,
    /// When its writer says that its contents changed last.
    pub source_modified_at: Option<Time>,
}

impl StoredFile {
    /// What people call it; empty where its key ends in `/`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.given_name.as_deref().unwrap_or_else(|| self.key.name())
    }

    /// `files/{session}/{key}`.
    #[must_use]
    pub fn r2_key(&self) -> String {
        r2_key(&self.session_id, &self.key)
    }

    /// `r2://files/{session}/{key}`: what its row in the context of its session is recognised by.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("{R2_SCHEME}{}", self.r2_key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_name_that_leads_nowhere_else() {
        for good in ["a", "a/b.txt", "a//b", "a/", "...", "..a/b..", "ä ö/ü", &"a".repeat(MAX_FILE_KEY)] {
            assert_eq!(good.parse::<FileKey>().unwrap().as_str(), good);
        }
        for (bad, why) in [
            ("", FileKeyError::Length(0)),
            (&*"a".repeat(MAX_FILE_KEY + 1), FileKeyError::Length(MAX_FILE_KEY + 1)),
            ("a\0b", FileKeyError::Control),
            ("a\nb", FileKeyError::Control),
            ("..", FileKeyError::Dots),
            ("a/../b", FileKeyError::Dots),
            ("a/.", FileKeyError::Dots),
            ("/a", FileKeyError::Slash),
        ] {
            assert_eq!(bad.parse::<FileKey>().unwrap_err(), why, "{bad:?}");
        }
    }

    #[test]
    fn an_r2_key_says_which_session_and_which_file() {
        let (session, key) = parse_r2_key("files/s-1/2026/01/02/x y.txt").unwrap();
        assert_eq!((session.as_str(), key.as_str(), key.name()), ("s-1", "2026/01/02/x y.txt", "x y.txt"));
        assert_eq!(r2_key(&session, &key), "files/s-1/2026/01/02/x y.txt");
        for bad in
            ["", "files/", "files/s", "files/s/", "files/../x", "files/s/../x", "other/s/x", "/files/s/x", "files//x"]
        {
            assert_eq!(parse_r2_key(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_hash_is_read_in_either_case_and_written_in_lower() {
        let text = "AB".repeat(32);
        assert_eq!(text.parse::<ContentHash>().unwrap().to_string(), text.to_lowercase());
        for bad in ["", "ab", &"zz".repeat(32), &"ab".repeat(33)] {
            assert!(bad.parse::<ContentHash>().is_err(), "{bad}");
        }
    }
}
