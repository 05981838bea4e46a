//! The token of the API, from a file that only its owner can read.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use http::HeaderValue;

/// Largest token file, in bytes: tokens have 40.
const MAX_FILE: u64 = 8 << 10;
/// Whoever else may read the file could use the token.
const OTHERS: u32 = 0o077;

/// The token. `Debug` prints nothing of it.
#[derive(Clone)]
pub struct Token(String);

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "their messages say it")]
pub enum TokenError {
    #[error("--token-file: `{path}` cannot be read")]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("--token-file: others than its owner may read `{path}` (mode {mode:o}): chmod 600 {path}", path = path.display())]
    Mode { path: PathBuf, mode: u32 },
    #[error("--token-file: `{0}` holds no token; accepted: one line of visible ASCII, as Cloudflare shows it once")]
    NoToken(PathBuf),
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`TokenError`] when it cannot be read, others may read it, or it holds no token.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let failed = |source| TokenError::Io { path: path.to_owned(), source };
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Err(TokenError::NoToken(path.to_owned()));
        }
        let file = File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
        if mode & OTHERS != 0 {
            return Err(TokenError::Mode { path: path.to_owned(), mode });
        }
        let mut text = String::new();
        let no_token = |_| TokenError::NoToken(path.to_owned());
        file.take(MAX_FILE).read_to_string(&mut text).map_err(no_token)?;
        let token = text.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::NoToken(path.to_owned()));
        }
        Ok(Self(token.to_owned()))
    }

    /// `Authorization`, kept out of logs.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.0)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// `text` without the token, should somebody have put it there.
    pub(super) fn removed_from(&self, text: &str) -> String {
        text.replace(&self.0, "…")
    }
}
