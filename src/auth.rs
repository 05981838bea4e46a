//! Who is calling: what a presented credential says of it.
//!
//! Knows keys, tokens and what they open; knows nothing of requests beyond their header, and of answers nothing.

pub mod authenticator;
pub mod cf_access;
pub mod jwt;
pub mod key;
pub mod rate;
pub mod s3;
pub mod secret;

use std::path::PathBuf;

use http::HeaderName;

use crate::model::id::{ChittyId, KeyId, SessionId};
use crate::model::key::{Key, Scope};
use crate::model::time::Time;
use crate::store::StoreError;
use cf_access::CfAccessConfig;
use jwt::{JwtConfig, TokenError};

/// The `auth` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The header that holds a caller's key; it never goes upstream.
    pub header: HeaderName,
    /// Whose tokens are accepted beside keys.
    pub jwt: Option<JwtConfig>,
    /// The pair of Cloudflare Access that one operation takes.
    pub cf_access: Option<CfAccessConfig>,
    /// The file with the secret that signatures and S3 secrets are made of.
    pub secret_file: PathBuf,
}

/// Who is calling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The tenant: everything it sees and makes is this tenant's.
    pub chitty_id: ChittyId,
    /// The session of requests that name none.
    pub session_id: SessionId,
    /// The key it came with; of a token `jwt-` and 16 hexadecimal digits, the same for every token of its subject.
    pub key_id: KeyId,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// For people; may be empty.
    pub name: String,
    /// What it presented.
    pub credential: Credential,
    /// Requests a minute, where its key has a limit of its own.
    pub rate_limit: Option<u32>,
    /// Bytes of files, where its key has a quota of its own.
    pub quota: Option<u64>,
    /// When its key was made; `None` where it came with a token.
    pub created_at: Option<Time>,
}

/// Where the bucket that a request was taken from stands; an extension of requests that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateState {
    /// Requests that a full bucket allows.
    pub limit: u32,
    /// Requests that it allows now.
    pub remaining: u32,
}

/// What a caller can present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// An API key of ours.
    Key,
    /// A token of the issuer `auth.jwt`.
    Jwt,
}

impl Principal {
    /// Whether it may do what `scope` stands for.
    #[must_use]
    pub fn has(&self, scope: Scope) -> bool {
        self.scopes.iter().any(|own| own.implies(scope))
    }
}

impl From<&Key> for Principal {
    fn from(key: &Key) -> Self {
        Self {
            chitty_id: key.chitty_id.clone(),
            session_id: key.session_id.clone(),
            key_id: key.id.clone(),
            scopes: key.scopes.clone(),
            name: key.name.clone(),
            credential: Credential::Key,
            rate_limit: key.rate_limit,
            quota: key.quota,
            created_at: Some(key.created_at),
        }
    }
}

#[cfg(test)]
impl Principal {
    /// One with a key `k` and without scopes, for tests.
    pub(crate) fn sample(chitty_id: &str, session_id: &str) -> Self {
        Self {
            chitty_id: chitty_id.parse().unwrap(),
            session_id: session_id.parse().unwrap(),
            key_id: "k".parse().unwrap(),
            scopes: Vec::new(),
            name: String::new(),
            credential: Credential::Key,
            rate_limit: None,
            quota: None,
            created_at: None,
        }
    }
}

/// Why nobody is let in.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AuthError {
    /// No key was presented.
    #[error("no API key was presented")]
    Missing,
    /// Several keys were presented, or one several times: which is meant cannot be told.
    #[error("more than one API key was presented")]
    Several,
    /// There is no such key.
    #[error("this API key is not known")]
    Unknown,
    /// The key is not let in, or never again.
    #[error("this API key has been switched off")]
    Inactive,
    /// The key was for a time, and that is over.
    #[error("this API key expired at {0}")]
    Expired(Time),
    /// A token of the issuer that lets nobody in.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// No token was presented to a service that asks for one.
    #[error("no token was presented; send one as `Authorization: Bearer <token>`")]
    MissingToken,
    /// Something else was presented to a service that asks for a token.
    #[error("this service asks for a token of its issuer, and what was presented is none")]
    NotAToken,
    /// A service asks for tokens, and there is no issuer.
    #[error("this service asks for a token, and this gateway knows no issuer of any")]
    NoIssuer,
    /// Whether the token is good cannot be told without the issuer's keys.
    #[error("tokens cannot be checked at the moment: their issuer gives no keys")]
    IssuerUnavailable,
    /// The keys cannot be looked at.
    #[error("API keys cannot be checked at the moment")]
    Unavailable(#[source] StoreError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_may_do_what_its_scopes_imply() {
        let principal = |scopes: &[Scope]| Principal { scopes: scopes.to_vec(), ..Principal::sample("alice", "s") };
        let writer = principal(&[Scope::ContextWrite]);
        assert!(writer.has(Scope::ContextRead) && writer.has(Scope::ContextWrite) && !writer.has(Scope::FilesRead));
        assert!(principal(&[Scope::McpCall, Scope::Admin]).has(Scope::FilesWrite));
        assert!(!principal(&[]).has(Scope::ContextRead));
    }
}
