//! Tokens of an issuer (RFC 7519): verified against the keys that it publishes (RFC 7517), never against anything that a
//! token itself brings.
//!
//! What is accepted is a list, in which neither `none` nor any shared secret is; issuer, audience and end are asked for;
//! clocks may differ by a minute. A request waits for the network only where its key has not been seen yet, and then
//! not for long.

mod claims;
mod issuer;
mod key_set;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, decode};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::{AuthError, Principal};
use crate::model::id::IdError;
use crate::model::time::Time;
use claims::Claims;
use issuer::Issuer;
pub use issuer::{IssuerError, JwksError};

/// Largest token, in bytes: a quarter of what a header may have, and ten times what issuers make.
const MAX_TOKEN: usize = 16 << 10;
/// How much clocks may differ, in seconds.
const LEEWAY: u64 = 60;
/// What tokens may be signed with.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];
/// Their words.
const ALGORITHM_WORDS: &str = "RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA";
/// Longest word of an algorithm that is repeated to its sender.
const SHOWN: usize = 16;

/// `auth.jwt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtConfig {
    /// What `iss` says, letter by letter.
    pub issuer: String,
    /// Where its keys are: https, or http on this machine.
    pub jwks_url: Url,
    /// What `aud` says, or one of what it says.
    pub audience: String,
}

/// Why a token lets nobody in. Nothing of a token is shown but what its sender has to mend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is too long to be one.
    #[error("this token has more than {MAX_TOKEN} bytes")]
    TooLarge,
    /// It is none.
    #[error("this is no token: {0}")]
    Malformed(&'static str),
    /// Not signed, or with something that is not accepted.
    #[error("this token is signed with {0}; accepted: {ALGORITHM_WORDS}, as its key says")]
    Algorithm(String),
    /// Its key is none of the issuer's.
    #[error("this token names a key (`kid`) that its issuer does not publish")]
    UnknownKey,
    /// It does not say which key.
    #[error("this token names no key (`kid`), and its issuer has not exactly one for its algorithm")]
    NoKey,
    /// Signed by somebody else, or changed since.
    #[error("this token is not signed by its issuer")]
    Signature,
    /// A claim that must be there.
    #[error("this token has no `{0}` that can be read")]
    Claim(String),
    /// Somebody else's.
    #[error("this token is not from the issuer {0}")]
    Issuer(String),
    /// For somebody else.
    #[error("this token is not for the audience {0}")]
    Audience(String),
    /// Over.
    #[error("this token expired at {0}")]
    Expired(Time),
    /// Not begun.
    #[error("this token is not valid before {0}")]
    NotYet(Time),
    /// Who it speaks for, or the session that it names, cannot be.
    #[error("`{0}` of this token is {1}")]
    Id(&'static str, IdError),
}

/// Verifies tokens.
pub(super) struct Jwt {
    config: JwtConfig,
    issuer: Arc<Issuer>,
    /// What is asked of tokens, by what they are signed with.
    validations: Vec<Validation>,
}

impl Jwt {
    /// # Errors
    /// [`IssuerError`].
    pub(super) fn new(config: JwtConfig) -> Result<Self, IssuerError> {
        let validation = |algorithm| {
            let mut validation = Validation::new(algorithm);
            validation.leeway = LEEWAY;
            validation.validate_nbf = true;
            validation.set_issuer(&[&config.issuer]);
            validation.set_audience(&[&config.audience]);
            validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
            validation
        };
        let validations = ALGORITHMS.into_iter().map(validation).collect();
        Ok(Self { issuer: Arc::new(Issuer::new(config.jwks_url.clone())?), validations, config })
    }

    /// Keeps the issuer's keys up to date, for ever.
    pub(super) async fn keep_keys(&self) {
        self.issuer.keep().await;
    }

    /// What is wrong with the issuer, for the operator.
    pub(super) fn trouble(&self) -> Option<String> {
        self.issuer.trouble()
    }

    /// Whether a credential is meant as a token: two dots, and a JSON object before the first (`{` and what can follow
    /// it begin with `e` in base64url), which no key of ours is.
    pub(super) fn is_meant(credential: &[u8]) -> bool {
        credential.first() == Some(&b'e') && credential.split(|&byte| byte == b'.').count() == 3
    }

    /// Who sent `token`.
    ///
    /// # Errors
    /// [`AuthError::Token`], [`AuthError::IssuerUnavailable`].
    pub(super) async fn verify(&self, token: &[u8]) -> Result<Principal, AuthError> {
        if token.len() > MAX_TOKEN {
            return Err(TokenError::TooLarge.into());
        }
        let (algorithm, kid) = Head::read(token)?;
        let key = self.issuer.key(kid.as_deref(), algorithm).await?;
        let accepted = |validation: &&Validation| validation.algorithms.contains(&algorithm);
        let validation = self.validations.iter().find(accepted).ok_or_else(|| not_accepted(""))?;
        let decoded = decode::<Claims>(token, key.decoding(), validation);
        let claims = decoded.map_err(|error| self.refusal(token, error.into_kind()))?.claims;
        Ok(claims.principal()?)
    }

    fn refusal(&self, token: &[u8], error: ErrorKind) -> TokenError {
        match error {
            ErrorKind::InvalidIssuer => TokenError::Issuer(self.config.issuer.clone()),
            ErrorKind::InvalidAudience => TokenError::Audience(self.config.audience.clone()),
            // The signature has been found good before these two.
            ErrorKind::ExpiredSignature => {
                claims::time(token, "exp").map_or_else(|| TokenError::Claim("exp".to_owned()), TokenError::Expired)
            }
            ErrorKind::ImmatureSignature => {
                claims::time(token, "nbf").map_or_else(|| TokenError::Claim("nbf".to_owned()), TokenError::NotYet)
            }
            ErrorKind::MissingRequiredClaim(claim) | ErrorKind::InvalidClaimFormat(claim) => TokenError::Claim(claim),
            ErrorKind::InvalidToken | ErrorKind::Base64(_) | ErrorKind::Utf8(_) | ErrorKind::Json(_) => {
                TokenError::Malformed("its parts are not JSON in base64url")
            }
            _ => TokenError::Signature,
        }
    }
}

/// What is read of a token's header before anything is believed.
#[derive(Deserialize)]
struct Head {
    alg: Value,
    #[serde(default)]
    kid: Value,
    #[serde(default)]
    crit: Value,
}

impl Head {
    fn read(token: &[u8]) -> Result<(Algorithm, Option<String>), TokenError> {
        let encoded = token.split(|&byte| byte == b'.').next().unwrap_or_default();
        let unreadable = || TokenError::Malformed("its header is not JSON with `alg` in base64url");
        let decoded = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| unreadable())?;
        let head: Self = serde_json::from_slice(&decoded).map_err(|_| unreadable())?;
        let word = head.alg.as_str().ok_or_else(unreadable)?;
        let algorithm = word.parse().ok().filter(|algorithm| ALGORITHMS.contains(algorithm));
        let algorithm = algorithm.ok_or_else(|| not_accepted(word))?;
        if !head.crit.is_null() {
            return Err(TokenError::Malformed("its header has `crit`, and nothing of that is known here"));
        }
        match head.kid {
            Value::Null => Ok((algorithm, None)),
            Value::String(kid) => Ok((algorithm, Some(kid))),
            _ => Err(TokenError::Malformed("its `kid` is not a text")),
        }
    }
}

fn not_accepted(word: &str) -> TokenError {
    let shown = !word.is_empty() && word.len() <= SHOWN && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    TokenError::Algorithm(if shown { format!("`{word}`") } else { "something else".to_owned() })
}
