//! A service as a source declares it ([`Declaration`]) and as the gateway serves it ([`Service`]).
//!
//! A declaration holds only what its source said, so that several sources can be laid over each other field by field.

mod endpoint;
mod policy;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

pub use self::endpoint::{EndpointError, EndpointUrl, WeightedEndpoint};
pub use self::policy::{
    Balance, HashOn, HeaderEdit, HeaderRules, HealthPolicy, IN_FLIGHT, OutlierPolicy, RetryCause, RetryPolicy,
    Timeouts, UpstreamTls,
};
use super::name::{Hostname, ServiceKey};

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
    pub endpoints: Option<Vec<WeightedEndpoint>>,
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
    /// Good probes in a row, until an endpoint gets requests again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_healthy: Option<u32>,
    /// Bad probes in a row, until an endpoint gets none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_unhealthy: Option<u32>,
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
    /// Requests at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<u32>,
    /// How endpoints are chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance: Option<Balance>,
    /// What [`Balance::ConsistentHash`] looks at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_on: Option<HashOn>,
    /// What is tried again, each on its own.
    pub retry: RetryDeclaration,
    /// What is left out, each on its own.
    pub outlier: OutlierDeclaration,
    /// TLS to endpoints, each on its own. Only files and `services:` say it.
    pub tls: TlsDeclaration,
    /// Changes of headers. Only files and `services:` say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<HeaderRules>,
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

/// [`RetryPolicy`] as a source says it: `None` = not said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields are those of `RetryPolicy`")]
pub struct RetryDeclaration {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<Vec<RetryCause>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<f64>,
}

/// [`OutlierPolicy`] as a source says it: `None` = not said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields are those of `OutlierPolicy`")]
pub struct OutlierDeclaration {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_errors: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eject_for: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_ejected: Option<f64>,
}

/// [`UpstreamTls`] as a source says it: `None` = not said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields are those of `UpstreamTls`")]
pub struct TlsDeclaration {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sni: Option<Hostname>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<(PathBuf, PathBuf)>,
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
    pub endpoints: Vec<WeightedEndpoint>,
    /// Whether the endpoints come from the operator's own files, and so may point anywhere.
    pub trusted: bool,
    /// Networks its registry may point at beside public addresses; only looked at when not `trusted`.
    pub allowed_networks: Arc<[ipnet::IpNet]>,
    /// Time limits.
    pub timeouts: Timeouts,
    /// Largest request body, in bytes; `None` = the gateway's own limit.
    pub body_bytes: Option<u64>,
    /// Requests at once.
    pub in_flight: u32,
    /// How endpoints are chosen.
    pub balance: Balance,
    /// What [`Balance::ConsistentHash`] looks at.
    pub hash_on: HashOn,
    /// What is tried again.
    pub retry: RetryPolicy,
    /// What is left out.
    pub outlier: OutlierPolicy,
    /// When probes decide over routing; `None`: they are only shown, for the operator has not asked for more.
    pub health: Option<HealthPolicy>,
    /// TLS to endpoints.
    pub tls: UpstreamTls,
    /// Changes of headers.
    pub headers: HeaderRules,
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
