//! `auth`: what lets callers in.

use std::path::{Path, PathBuf};

use http::HeaderName;
use http::header;
use url::{Host, Url};

use crate::auth::Config;
use crate::auth::cf_access::CfAccessConfig;
use crate::auth::jwt::JwtConfig;
use crate::yaml::{FromYaml, Scalar, Section};

/// The header that clients of the original send.
const AUTH_HEADER: HeaderName = HeaderName::from_static("x-chittyos-api-key");

/// The secret that others are made of, in the store's folder.
const SECRET_FILE: &str = "secret";

/// Reads the section; `store` is the store's folder.
pub(super) fn read(auth: &Section<'_>, store: &Path) -> Config {
    Config {
        header: auth.optional::<KeyHeader>("header").map_or(AUTH_HEADER, |header| header.0),
        jwt: auth.value("jwt").and_then(|jwt| read_jwt(&jwt.section())),
        secret_file: auth.optional("secret_file").unwrap_or_else(|| store.join(SECRET_FILE)),
        cf_access: auth.value("cf_access").and_then(|pair| read_cf_access(&pair.section())),
    }
}

fn read_jwt(jwt: &Section<'_>) -> Option<JwtConfig> {
    let issuer = jwt.required::<Issuer>("issuer");
    let jwks_url = jwt.required::<KeysUrl>("jwks_url");
    let audience = jwt.required::<Word>("audience");
    Some(JwtConfig { issuer: issuer?.0, jwks_url: jwks_url?.0, audience: audience?.0 })
}

fn read_cf_access(pair: &Section<'_>) -> Option<CfAccessConfig> {
    let client_id = pair.required::<Word>("client_id");
    let client_secret_file = pair.required::<PathBuf>("client_secret_file");
    Some(CfAccessConfig { client_id: client_id?.0, client_secret_file: client_secret_file? })
}

/// The header that holds a key of ours. It never goes upstream, so it cannot be one that upstreams live by.
struct KeyHeader(HeaderName);

impl FromYaml for KeyHeader {
    const ACCEPTED: &'static str = "a header that nothing else uses, such as X-ChittyOS-API-Key";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        let name = HeaderName::from_scalar(scalar)?;
        let taken = [
            header::AUTHORIZATION,
            header::CONNECTION,
            header::CONTENT_LENGTH,
            header::CONTENT_TYPE,
            header::COOKIE,
            header::HOST,
            header::TRANSFER_ENCODING,
            header::UPGRADE,
        ];
        if taken.contains(&name) { Err(format!("{} has another meaning", scalar.shown())) } else { Ok(Self(name)) }
    }
}

/// What `iss` says: a URL, compared letter by letter, so it stays as it is written.
struct Issuer(String);

impl FromYaml for Issuer {
    const ACCEPTED: &'static str = "a URL, letter by letter as the tokens' iss says it";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        Url::from_scalar(scalar)?;
        Ok(Self(scalar.text()?.to_owned()))
    }
}

/// Where an issuer's keys are: whoever can change them on their way can make tokens.
struct KeysUrl(Url);

impl FromYaml for KeysUrl {
    const ACCEPTED: &'static str = "a URL with https://, or with http:// on this machine";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        let url = Url::from_scalar(scalar)?;
        if !url.username().is_empty() || url.password().is_some() {
            // What is refused here may be a password, so it is not repeated.
            return Err("it holds credentials, which no list of public keys needs".to_owned());
        }
        let here = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        match url.scheme() {
            "https" => Ok(Self(url)),
            "http" if here => Ok(Self(url)),
            "http" => Err(format!("{} can be changed on its way", scalar.shown())),
            _ => Err(format!("{} has another scheme", scalar.shown())),
        }
    }
}

/// Text that is not empty and has no white space.
struct Word(String);

impl FromYaml for Word {
    const ACCEPTED: &'static str = "one word of visible characters";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        let text = scalar.text()?;
        let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self(text.to_owned())) } else { Err(format!("{} is not one word", scalar.shown())) }
    }
}
