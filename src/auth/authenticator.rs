//! Everything that lets a caller in, in one place: keys from the store, tokens of the issuer, the pair of Access.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::cf_access::{Pair, SecretError};
use super::jwt::{IssuerError, Jwt};
use super::{AuthError, Config, Principal, key};
use crate::model::id::KeyId;
use crate::model::service::ServiceAuth;
use crate::model::time::Time;
use crate::store::Store;

/// Where a client may say whom it speaks for (CONTRACT.md §6).
const CHITTY_ID: HeaderName = HeaderName::from_static("x-chittyid");

/// Why callers cannot be let in at all.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant is the error of the part it names")]
pub enum SetUpError {
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    #[error(transparent)]
    Secret(#[from] SecretError),
}

/// Finds out who is calling.
pub struct Authenticator {
    store: Arc<dyn Store>,
    header: HeaderName,
    jwt: Option<Jwt>,
    cf_access: Option<Pair>,
}

/// Who is let through to a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Who it is.
    pub principal: Principal,
    /// Whether `Authorization` held what let it in, so that it must not go on.
    pub by_authorization: bool,
}

impl Authenticator {
    /// Reads the secret of `auth.cf_access`; asks nobody anything.
    ///
    /// # Errors
    /// [`SetUpError`].
    pub fn new(config: &Config, store: Arc<dyn Store>) -> Result<Self, SetUpError> {
        Ok(Self {
            store,
            header: config.header.clone(),
            jwt: config.jwt.clone().map(Jwt::new).transpose()?,
            cf_access: config.cf_access.as_ref().map(Pair::read).transpose()?,
        })
    }

    /// The header that keys are expected in.
    #[must_use]
    pub fn header(&self) -> &HeaderName {
        &self.header
    }

    /// Keeps what is verified with up to date; ends only where there is nothing to keep.
    pub async fn run(&self) {
        if let Some(jwt) = &self.jwt {
            jwt.keep_keys().await;
        }
    }

    /// What is not as it should be, for the operator.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.jwt.as_ref()?.trouble()
    }

    /// Finds out who sent `headers`. The credential is in the own header, else in `Authorization: Bearer`; where there is
    /// the former, the latter is not looked at.
    ///
    /// # Errors
    /// [`AuthError`].
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<Principal, AuthError> {
        let (credential, _) = presented(headers, &self.header)?;
        match &self.jwt {
            Some(jwt) if Jwt::is_meant(credential) => jwt.verify(credential).await,
            _ => self.by_key(credential).await,
        }
    }

    /// Whom the key with this id lets in.
    ///
    /// # Errors
    /// [`AuthError`].
    pub async fn holder(&self, id: &KeyId) -> Result<Principal, AuthError> {
        let found = self.store.key_of_id(id).await.map_err(AuthError::Unavailable)?;
        key::admit(found, Time::now())
    }

    /// Who sent `headers`, if an API key tells. A token is not looked at: verifying one may take long.
    pub async fn known(&self, headers: &HeaderMap) -> Option<Principal> {
        let (credential, _) = presented(headers, &self.header).ok()?;
        if Jwt::is_meant(credential) { None } else { self.by_key(credential).await.ok() }
    }

    /// Whether a request has the pair of `auth.cf_access`.
    #[must_use]
    pub fn has_pair(&self, headers: &HeaderMap) -> bool {
        self.cf_access.as_ref().is_some_and(|pair| pair.matches(headers))
    }

    /// Finds out whether who sent `headers` is let through to a service that asks for `wanted`; `None` = it asks for
    /// nothing.
    ///
    /// # Errors
    /// [`AuthError`].
    pub async fn admit(&self, wanted: ServiceAuth, headers: &HeaderMap) -> Result<Option<Admitted>, AuthError> {
        if wanted == ServiceAuth::None {
            return Ok(None);
        }
        let found = presented(headers, &self.header);
        let (principal, place) = match (wanted, &self.jwt, found) {
            (ServiceAuth::Jwt, None, _) => return Err(AuthError::NoIssuer),
            (ServiceAuth::Jwt, Some(_), Err(AuthError::Missing)) => return Err(AuthError::MissingToken),
            (_, _, Err(error)) => return Err(error),
            (ServiceAuth::Jwt, Some(jwt), Ok((credential, place))) if Jwt::is_meant(credential) => {
                (jwt.verify(credential).await?, place)
            }
            (ServiceAuth::Jwt, Some(_), Ok(_)) => return Err(AuthError::NotAToken),
            (_, _, Ok((credential, place))) => (self.by_key(credential).await?, place),
        };
        Ok(Some(Admitted { principal, by_authorization: place == Place::Authorization }))
    }

    async fn by_key(&self, key: &[u8]) -> Result<Principal, AuthError> {
        let found = self.store.key(&key::hash(key)).await.map_err(AuthError::Unavailable)?;
        key::admit(found, Time::now())
    }
}

/// Whether `headers` say that `caller` is somebody else.
#[must_use]
pub fn names_another(headers: &HeaderMap, caller: &Principal) -> bool {
    let mut stated = headers.get_all(CHITTY_ID).iter().filter(|stated| !stated.is_empty());
    stated.any(|stated| stated.as_bytes() != caller.chitty_id.as_str().as_bytes())
}

/// Where a credential was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Own,
    Authorization,
}

fn presented<'h>(headers: &'h HeaderMap, own: &HeaderName) -> Result<(&'h [u8], Place), AuthError> {
    let (credential, place) = match (single(headers, own)?, single(headers, &header::AUTHORIZATION)?) {
        (Some(key), _) => (Some(key), Place::Own),
        (None, Some(credentials)) => (bearer(credentials), Place::Authorization),
        (None, None) => (None, Place::Own),
    };
    let credential = credential.map(<[u8]>::trim_ascii).filter(|credential| !credential.is_empty());
    credential.map(|credential| (credential, place)).ok_or(AuthError::Missing)
}

/// The one value of a header: whoever stands between a client and us may look at another one of several.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h [u8]>, AuthError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(AuthError::Several),
        (value, None) => Ok(value.map(HeaderValue::as_bytes)),
    }
}

fn bearer(credentials: &[u8]) -> Option<&[u8]> {
    let end = credentials.iter().position(|&byte| byte == b' ')?;
    let (scheme, key) = credentials.split_at(end);
    scheme.eq_ignore_ascii_case(b"bearer").then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found_in(headers: &[(&str, &str)]) -> Option<String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        let found = presented(&map, &HeaderName::from_static("x-key"));
        found.ok().map(|(key, _)| String::from_utf8(key.to_vec()).unwrap())
    }

    #[test]
    fn a_key_is_taken_from_its_own_header_else_from_bearer() {
        for (headers, key) in [
            (&[("x-key", "a")][..], Some("a")),
            (&[("authorization", "Bearer a")], Some("a")),
            (&[("authorization", "bEARER   a ")], Some("a")),
            (&[("x-key", "a"), ("authorization", "Bearer b")], Some("a")),
            (&[("x-key", ""), ("authorization", "Bearer b")], None),
            (&[("x-key", "")], None),
            (&[("authorization", "Bearer")], None),
            (&[("authorization", "Bearer ")], None),
            (&[("authorization", "Basic a")], None),
            (&[("authorization", "a")], None),
            (&[("x-api-key", "a")], None),
            (&[("x-key", "a"), ("x-key", "a")], None),
            (&[("authorization", "Bearer a"), ("authorization", "Bearer b")], None),
            (&[], None),
        ] {
            assert_eq!(found_in(headers).as_deref(), key, "{headers:?}");
        }
    }
}
