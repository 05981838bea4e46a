//! What a token says, once it is known to be true.

use std::fmt::Write as _;

use jsonwebtoken::dangerous::insecure_decode_claims;
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::TokenError;
use crate::auth::{Credential, Principal};
use crate::model::key::Scope;
use crate::model::time::Time;

/// Bytes of the subject's hash that the ids made of it have.
const ID_BYTES: usize = 8;

/// The claims that matter here. What else is in a token is nobody's concern.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    sub: String,
    #[serde(default)]
    sid: Value,
    #[serde(default)]
    scope: Value,
    #[serde(default)]
    scopes: Value,
    #[serde(default)]
    scp: Value,
}

impl Claims {
    /// Who they speak of: `sub` is the chitty id, `sid` the session, scopes are the words of `scope`, `scopes` and `scp`
    /// that are ones here.
    pub(super) fn principal(self) -> Result<Principal, TokenError> {
        let chitty_id = self.sub.parse().map_err(|error| TokenError::Id("sub", error))?;
        let own = own_id(&self.sub);
        let session_id = match &self.sid {
            Value::Null => own.parse(),
            Value::String(session) => session.parse(),
            _ => return Err(TokenError::Claim("sid".to_owned())),
        };
        let mut scopes = Vec::new();
        for word in [&self.scope, &self.scopes, &self.scp].into_iter().flat_map(words) {
            // Words of other services stand beside ours.
            if let Ok(scope) = word.parse::<Scope>()
                && !scopes.contains(&scope)
            {
                scopes.push(scope);
            }
        }
        Ok(Principal {
            chitty_id,
            session_id: session_id.map_err(|error| TokenError::Id("sid", error))?,
            key_id: own.parse().map_err(|error| TokenError::Id("sub", error))?,
            scopes,
            name: String::new(),
            credential: Credential::Jwt,
            rate_limit: None,
            quota: None,
            created_at: None,
        })
    }
}

/// The same for every token of a subject: what it did with an earlier one is its own doing, too.
fn own_id(subject: &str) -> String {
    let mut id = "jwt-".to_owned();
    for byte in &Sha256::digest(subject.as_bytes())[..ID_BYTES] {
        // Writing into a text cannot fail.
        write!(id, "{byte:02x}").ok();
    }
    id
}

/// The words of one claim, which is a text or a list of them.
fn words(claim: &Value) -> Vec<&str> {
    match claim {
        Value::String(text) => text.split_whitespace().collect(),
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The time that a claim of `token` says, in seconds since 1970.
pub(super) fn time(token: &[u8], claim: &str) -> Option<Time> {
    let claims: Map<String, Value> = insecure_decode_claims(token).ok()?;
    let seconds = claims.get(claim)?.as_f64()?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float is cut to what fits")]
    Some(Time::from_millis((seconds * 1000.0) as u64))
}
