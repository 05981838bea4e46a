//! A service as a source declares it ([`Declaration`]) and as the gateway serves it ([`Service`]).
//!
//! A declaration holds only what its source said, so that several sources can be laid over each other field by field.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use super::name::{Hostname, ServiceKey};

/// Where an upstream listens: `http://host[:port]` or `https://host[:port]`, nothing behind it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EndpointUrl {
    /// Whether TLS is spoken to it.
    pub tls: bool,
    /// A name, or an IP address as text (IPv6 without brackets).
    pub host: Hostname,
    /// The port; 80 or 443 if none was written.
    pub port: u16,
}

/// Why a text is not an [`EndpointUrl`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not an absolute URL.
    #[error("`{0}` is not a URL; accepted: http://host:port or https://host:port")]
    NotUrl(String),
    /// Another scheme.
    #[error("`{0}` has the scheme `{1}`; accepted: http and https")]
    Scheme(String, String),
    /// Credentials, a path or a query, which an endpoint cannot have.
    #[error("`{0}` has more than scheme, host and port")]
    TooMuch(String),
}

impl EndpointUrl {
    /// Reads `text` as an endpoint; a single `/` as path is allowed.
    ///
    /// # Errors
    /// [`EndpointError`] by what is wrong.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let url = Url::parse(text).map_err(|_| EndpointError::NotUrl(text.to_owned()))?;
        let endpoint = Self::origin_of(&url, text)?;
        let bare = url.username().is_empty()
            && url.password().is_none()
            && matches!(url.path(), "" | "/")
            && url.query().is_none()
            && url.fragment().is_none();
        if bare { Ok(endpoint) } else { Err(EndpointError::TooMuch(text.to_owned())) }
    }

    /// The origin of `url`, whatever its path. `text` is what was written, for the message.
    ///
    /// # Errors
    /// [`EndpointError::Scheme`] for anything but http and https, [`EndpointError::NotUrl`] without a usable host.
    pub fn origin_of(url: &Url, text: &str) -> Result<Self, EndpointError> {
        let tls = match url.scheme() {
            "http" => false,
            "https" => true,
            other => return Err(EndpointError::Scheme(text.to_owned(), other.to_owned())),
        };
        let not_url = || EndpointError::NotUrl(text.to_owned());
        let host = Hostname::parse(url.host_str().ok_or_else(not_url)?).map_err(|_| not_url())?;
        let port = url.port_or_known_default().ok_or_else(not_url)?;
        Ok(Self { tls, host, port })
    }

    /// The address, when the host is one and not a name.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.as_str().parse().ok()
    }

    /// `host` or `host:port`, IPv6 in brackets, the scheme's own port left out: what a `Host` header holds.
    #[must_use]
    pub fn authority(&self) -> String {
        let v6 = self.host.as_str().contains(':');
        let host = if v6 { format!("[{}]", self.host) } else { self.host.to_string() };
        match (self.tls, self.port) {
            (false, 80) | (true, 443) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }
}

impl TryFrom<String> for EndpointUrl {
    type Error = EndpointError;
    fn try_from(text: String) -> Result<Self, EndpointError> {
        Self::parse(&text)
    }
}

impl From<EndpointUrl> for String {
    fn from(endpoint: EndpointUrl) -> String {
        endpoint.to_string()
    }
}

/// Time limits of one proxied request; `None` = no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// Until a connection (TLS included) stands.
    pub connect: Option<Duration>,
    /// Wait for the answer's header, and gaps in its body. Off for upgraded connections and `text/event-stream`.
    pub read: Option<Duration>,
    /// Until the upstream takes a piece of the request.
    pub write: Option<Duration>,
    /// From the request's header to the end of the answer.
    pub total: Option<Duration>,
}

impl Default for Timeouts {
    /// 2 s to connect, 60 s to read and to write, no total: the reference configuration's defaults.
    fn default() -> Self {
        Self {
            connect: Some(Duration::from_secs(2)),
            read: Some(Duration::from_mins(1)),
            write: Some(Duration::from_mins(1)),
            total: None,
        }
    }
}

/// What the gateway itself asks of a caller before it sends anything to a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceAuth {
    /// Nothing: the service sees to it.
    #[default]
    None,
    /// Any API key that is let in.
    Key,
    /// A token of the issuer `auth.jwt`.
    Jwt,
}

impl fmt::Display for ServiceAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Key => "key",
            Self::Jwt => "jwt",
        })
    }
}

/// One service as one source says it. `None` = that source does not say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Declaration {
    /// The service's id: a slug, see REGISTRY.md §2. `None` only while a document is being read.
    pub id: Option<ServiceKey>,
    /// The registry's own id, where it is not the slug. Does not route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// One line about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The version its source states.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The label under the domain; default the id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subdomain: Option<ServiceKey>,
    /// Further prefixes and subdomains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aliases: Option<Vec<ServiceKey>>,
    /// Further complete host names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Vec<Hostname>>,
    /// Where it listens. Empty or absent: known, but without an endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Vec<EndpointUrl>>,
    /// Why there is no endpoint, where the source tried to name one (``"`not a url`"``).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_endpoint_because: Option<String>,
    /// The public URL shown in discovery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Url>,
    /// The `Host` sent upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_header: Option<String>,
    /// Where its health is asked: absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_url: Option<Url>,
    /// The path of its health, where only a path was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_path: Option<String>,
    /// How often its health is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_interval: Option<Duration>,
    /// How long an answer to that may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_timeout: Option<Duration>,
    /// Where it answers MCP: absolute, as its source says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcp_url: Option<Url>,
    /// Lifecycle (`active`, `beta`, …), lower-case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Health as its source last saw it (`healthy`, …), lower-case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_state: Option<String>,
    /// Time limits, each on its own.
    pub timeouts: TimeoutsDeclaration,
    /// Largest request body, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_bytes: Option<u64>,
    /// What a caller needs. Only files and `services:` say it: it is not for a registry to open a service or to close it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<ServiceAuth>,
    /// Whether `Authorization`, `Cookie` and the API-key header go upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forward_credentials: Option<bool>,
    /// False: answered with 503 and `reason`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Why it is disabled, for its clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// [`Timeouts`] as a source says them: outer `None` = not said, inner `None` = no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(clippy::option_option, reason = "not said and no limit are two different things here")]
#[allow(missing_docs, reason = "the fields are those of `Timeouts`")]
pub struct TimeoutsDeclaration {
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    pub connect: Option<Option<Duration>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    pub read: Option<Option<Duration>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    pub write: Option<Option<Duration>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    pub total: Option<Option<Duration>>,
}

/// A field that is there was said, null included: "no limit" survives a round trip.
#[allow(clippy::option_option, reason = "not said and no limit are two different things here")]
fn said<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Option<Duration>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// The name of a source, as it is shown: `services`, `file:<path>`, `http:<url>`.
pub type SourceName = Arc<str>;

/// An entry of a source that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// Its place in the list, from 0.
    pub index: usize,
    /// The id it would have had, where that much was readable.
    pub id: Option<String>,
    /// Its base URL, where that much was readable.
    pub base_url: Option<String>,
    /// Why, for the operator.
    pub reason: String,
}

/// One service, all sources laid over each other, defaults filled in. What the table is built from.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// The id.
    pub id: ServiceKey,
    /// The merged declaration, for everything that is only shown.
    pub declared: Declaration,
    /// The label under the domain.
    pub subdomain: ServiceKey,
    /// Further prefixes and subdomains.
    pub aliases: Vec<ServiceKey>,
    /// Further complete host names.
    pub hosts: Vec<Hostname>,
    /// Where it listens; may be empty.
    pub endpoints: Vec<EndpointUrl>,
    /// Whether the endpoints come from the operator's own files, and so may point anywhere.
    pub trusted: bool,
    /// Networks its registry may point at beside public addresses; only looked at when not `trusted`.
    pub allowed_networks: Arc<[ipnet::IpNet]>,
    /// Time limits.
    pub timeouts: Timeouts,
    /// Largest request body, in bytes; `None` = the gateway's own limit.
    pub body_bytes: Option<u64>,
    /// What a caller needs.
    pub auth: ServiceAuth,
    /// Whether credentials go upstream.
    pub forward_credentials: bool,
    /// False: answered with 503.
    pub enabled: bool,
    /// The source that first named it.
    pub source: SourceName,
    /// Field → the source its value came from.
    pub provenance: BTreeMap<&'static str, SourceName>,
}
