//! Who is not let in, and what they may not do (CONTRACT.md §0, "Auth").

use http::{HeaderName, StatusCode};

use super::{Problem, STORE_RETRY_AFTER};
use crate::auth::jwt::TokenError;
use crate::auth::key::import::ImportError;
use crate::auth::key::{IssueError, header_as_written};
use crate::auth::{AuthError, Principal};
use crate::model::key::Scope;

/// How long a client should wait for an issuer that gives no keys, in seconds.
const ISSUER_RETRY_AFTER: u32 = 5;
/// How to come in (RFC 6750 §3).
const CHALLENGE: &str = "Bearer realm=\"chittyconnect\"";

impl Problem {
    /// 401, or 503 while keys cannot be looked at. `own` is the header that keys are expected in.
    #[must_use]
    pub fn unauthenticated(error: &AuthError, own: &HeaderName) -> Self {
        let message = error.to_string();
        let refused = |word, message: String| Self {
            challenge: Some(CHALLENGE),
            ..Self::new(StatusCode::UNAUTHORIZED, word, message)
        };
        match error {
            AuthError::Missing => {
                let own = header_as_written(own);
                let message = format!("{message}; send one as `{own}: <key>` or `Authorization: Bearer <key>`");
                refused("Missing API key", message)
            }
            AuthError::MissingToken => refused("Missing API key", message),
            AuthError::Inactive | AuthError::Expired(_) | AuthError::Token(TokenError::Expired(_)) => {
                refused("API key is inactive", message)
            }
            AuthError::Unknown | AuthError::Several | AuthError::Token(_) | AuthError::NotAToken => {
                refused("Invalid API key", message)
            }
            AuthError::NoIssuer | AuthError::IssuerUnavailable => Self {
                retry_after: Some(ISSUER_RETRY_AFTER),
                code: Some("JWKS_UNAVAILABLE"),
                ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "Auth backend unavailable", message)
            },
            AuthError::Unavailable(_) => Self {
                retry_after: Some(STORE_RETRY_AFTER),
                code: Some("API_KEYS_BINDING_MISSING"),
                ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "Auth backend unavailable", message)
            },
        }
    }

    /// 403: the caller lacks a scope.
    #[must_use]
    pub fn lacks_scope(caller: &Principal, needed: Scope) -> Self {
        let own: Vec<&str> = caller.scopes.iter().map(|scope| scope.as_str()).collect();
        let own = if own.is_empty() { "none".to_owned() } else { own.join(", ") };
        Self::forbidden(format!("this needs the scope {needed}; the scopes of the key are: {own}"))
    }

    /// 403: the caller speaks for somebody else. `place` is where the other chitty id was found.
    #[must_use]
    pub fn another_chitty_id(place: &str, caller: &Principal) -> Self {
        let own = &caller.chitty_id;
        Self::forbidden(format!("{place} names another chitty id than the key's; accepted: {own}, or leaving it out"))
    }

    fn forbidden(message: String) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }
}

impl From<IssueError> for Problem {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::Store(error) => Self::from(error),
            IssueError::Random(_) | IssueError::Id(_) => Self::internal(),
        }
    }
}

impl From<ImportError> for Problem {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Hash => Self::bad_request(error.to_string()),
            ImportError::Keep(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::time::Time;
    use crate::store::StoreError;

    #[test]
    fn the_contracts_words() {
        let own = HeaderName::from_static("x-key");
        let unavailable = AuthError::Unavailable(StoreError::Unavailable("disk".into()));
        for (error, status, word) in [
            (AuthError::Missing, 401, "Missing API key"),
            (AuthError::Unknown, 401, "Invalid API key"),
            (AuthError::Inactive, 401, "API key is inactive"),
            (AuthError::Expired(Time::from_millis(0)), 401, "API key is inactive"),
            (unavailable, 503, "Auth backend unavailable"),
        ] {
            let problem = Problem::unauthenticated(&error, &own);
            assert_eq!((problem.status.as_u16(), problem.word), (status, word));
            let challenged = problem.headers().any(|(name, _)| name == http::header::WWW_AUTHENTICATE);
            assert_eq!(challenged, status == 401);
            let body: Value = serde_json::from_slice(&problem.render("id", None).1).unwrap();
            let code = if status == 503 { json!("API_KEYS_BINDING_MISSING") } else { Value::Null };
            assert_eq!(body.get("code").cloned().unwrap_or_default(), code, "{body}");
            assert!(!body.to_string().contains("disk"), "{body}");
        }
        let ended = Problem::unauthenticated(&AuthError::Expired(Time::from_millis(0)), &own);
        assert!(ended.message.contains("1970-01-01T00:00:00.000Z"), "{}", ended.message);
    }
}
