//! API keys: what one may do, and what is kept of it (DESIGN.md, "Who is calling").

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::id::{ChittyId, KeyId, SessionId};
use super::time::Time;

/// One thing that a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[allow(missing_docs, reason = "their words say it")]
pub enum Scope {
    ContextRead,
    ContextWrite,
    FilesRead,
    FilesWrite,
    RegistryWrite,
    McpCall,
    Admin,
}

/// A text is no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a scope; accepted: {SCOPES}, and read and write, which mean context and files")]
pub struct NotAScope(String);

/// The words of all scopes.
pub const SCOPES: &str = "context:read, context:write, files:read, files:write, registry:write, mcp:call, admin";

impl Scope {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ContextRead => "context:read",
            Self::ContextWrite => "context:write",
            Self::FilesRead => "files:read",
            Self::FilesWrite => "files:write",
            Self::RegistryWrite => "registry:write",
            Self::McpCall => "mcp:call",
            Self::Admin => "admin",
        }
    }

    /// Whether who has this may do `other`: write implies read, admin implies all.
    #[must_use]
    pub fn implies(self, other: Self) -> bool {
        self == other
            || matches!(
                (self, other),
                (Self::Admin, _) | (Self::ContextWrite, Self::ContextRead) | (Self::FilesWrite, Self::FilesRead)
            )
    }

    /// The scopes that a word of a key's list means; `read` and `write` are the words of old keys.
    ///
    /// # Errors
    /// [`NotAScope`].
    pub fn parse_word(word: &str) -> Result<Vec<Self>, NotAScope> {
        match word {
            "read" => Ok(vec![Self::ContextRead, Self::FilesRead]),
            "write" => Ok(vec![Self::ContextWrite, Self::FilesWrite]),
            word => Ok(vec![word.parse()?]),
        }
    }
}

impl FromStr for Scope {
    type Err = NotAScope;

    fn from_str(text: &str) -> Result<Self, NotAScope> {
        let all = [
            Self::ContextRead,
            Self::ContextWrite,
            Self::FilesRead,
            Self::FilesWrite,
            Self::RegistryWrite,
            Self::McpCall,
            Self::Admin,
        ];
        all.into_iter().find(|scope| scope.as_str() == text).ok_or_else(|| NotAScope(text.to_owned()))
    }
}

impl TryFrom<String> for Scope {
    type Error = NotAScope;

    fn try_from(text: String) -> Result<Self, NotAScope> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> String {
        scope.as_str().to_owned()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a key is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyStatus {
    /// It is.
    Active,
    /// Not for the time being.
    Inactive,
    /// Never again.
    Revoked,
}

/// The SHA-256 of a key: all that is ever stored of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub [u8; 32]);

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

/// What is known of one API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// What it is recognised by.
    pub hash: KeyHash,
    /// What people call it by.
    pub id: KeyId,
    /// The tenant whose things it opens.
    pub chitty_id: ChittyId,
    /// The session of requests that name none.
    pub session_id: SessionId,
    /// For people; may be empty.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Requests a minute, where it has a limit of its own.
    pub rate_limit: Option<u32>,
    /// Bytes of files, where it has a quota of its own.
    pub quota: Option<u64>,
    /// When it was made.
    pub created_at: Time,
    /// When it ends; `None` = never.
    pub expires_at: Option<Time>,
    /// Whether it is let in.
    pub status: KeyStatus,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_implies_read_and_admin_all() {
        assert!(Scope::ContextWrite.implies(Scope::ContextRead));
        assert!(!Scope::ContextRead.implies(Scope::ContextWrite));
        assert!(!Scope::ContextWrite.implies(Scope::FilesRead));
        assert!(Scope::Admin.implies(Scope::McpCall) && !Scope::McpCall.implies(Scope::Admin));
    }

    #[test]
    fn old_words_mean_context_and_files() {
        assert_eq!(Scope::parse_word("write").unwrap(), [Scope::ContextWrite, Scope::FilesWrite]);
        assert_eq!(Scope::parse_word("admin").unwrap(), [Scope::Admin]);
        assert!(Scope::parse_word("root").unwrap_err().to_string().contains("accepted: context:read"));
    }
}
