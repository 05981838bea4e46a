//! How requests to a service are spread, repeated, limited and changed: what `services:` says of it, with the defaults of
//! the reference configuration.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::name::Hostname;

/// Time limits of one proxied request; `None` = no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// Until a connection (TLS included) stands.
    pub connect: Option<Duration>,
    /// Wait for the answer's header, and gaps in its body. Off for upgraded connections, `text/event-stream` and gRPC.
    pub read: Option<Duration>,
    /// Until the upstream takes a piece of the request.
    pub write: Option<Duration>,
    /// From the request's header to the end of the answer.
    pub total: Option<Duration>,
}

impl Default for Timeouts {
    /// 2 s to connect, 60 s to read and to write, no total.
    fn default() -> Self {
        Self {
            connect: Some(Duration::from_secs(2)),
            read: Some(Duration::from_mins(1)),
            write: Some(Duration::from_mins(1)),
            total: None,
        }
    }
}

/// How an endpoint is chosen among those that can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// By turns, as often as their weights say.
    #[default]
    RoundRobin,
    /// The one of two random ones with fewer requests for its weight.
    LeastRequests,
    /// The same one for the same value of [`HashOn`], as long as it can be used.
    ConsistentHash,
}

impl Balance {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RoundRobin => "round_robin",
            Self::LeastRequests => "least_requests",
            Self::ConsistentHash => "consistent_hash",
        }
    }
}

/// What of a request decides where it goes under [`Balance::ConsistentHash`]. A request without it is placed by its
/// client's address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HashOn {
    /// The client's address.
    #[default]
    ClientIp,
    /// The value of a header, its name in lower case.
    Header(String),
    /// The value of a cookie.
    Cookie(String),
}

/// What may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryCause {
    /// There was no connection: nothing was sent.
    Connect,
    /// The connection broke before an answer began.
    Reset,
    /// No answer began within `timeouts.read`.
    Timeout,
    /// The answer is 502.
    Status502,
    /// The answer is 503.
    Status503,
    /// The answer is 504.
    Status504,
}

impl RetryCause {
    /// Each with the word it is written as.
    pub const ALL: [(&'static str, Self); 6] = [
        ("connect", Self::Connect),
        ("reset", Self::Reset),
        ("timeout", Self::Timeout),
        ("502", Self::Status502),
        ("503", Self::Status503),
        ("504", Self::Status504),
    ];

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL[self as usize].0
    }

    /// The cause that an answer's status is, if it is one.
    #[must_use]
    pub fn of_status(status: u16) -> Option<Self> {
        match status {
            502 => Some(Self::Status502),
            503 => Some(Self::Status503),
            504 => Some(Self::Status504),
            _ => None,
        }
    }
}

/// Whether and how often what failed is tried again.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    /// Retries after the first try; 0 = none.
    pub attempts: u32,
    /// After what.
    pub on: Vec<RetryCause>,
    /// Share of the last 10 s' requests that may be retries: 0 to 1; 0 = none.
    pub budget: f64,
}

impl RetryPolicy {
    /// Whether anything is ever tried again.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.attempts > 0 && self.budget > 0.0
    }
}

impl Default for RetryPolicy {
    /// Twice, after `connect`, `reset` and `503`, a fifth of the requests.
    fn default() -> Self {
        Self { attempts: 2, on: vec![RetryCause::Connect, RetryCause::Reset, RetryCause::Status503], budget: 0.2 }
    }
}

/// When an endpoint that fails is left out for a while.
#[derive(Clone, Debug, PartialEq)]
pub struct OutlierPolicy {
    /// After so many failures in a row: no connection, a broken one, no answer in time, or 502, 503, 504.
    pub consecutive_errors: u32,
    /// For so long; ends early after `health.healthy` good probes.
    pub eject_for: Duration,
    /// At most this share of a service's endpoints at once: 0 to 1.
    pub max_ejected: f64,
}

impl Default for OutlierPolicy {
    /// After 5, for 30 s, half of them.
    fn default() -> Self {
        Self { consecutive_errors: 5, eject_for: Duration::from_secs(30), max_ejected: 0.5 }
    }
}

/// How many probes in a row decide whether an endpoint gets requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthPolicy {
    /// Good ones, until it does again.
    pub healthy: u32,
    /// Bad ones, until it does not.
    pub unhealthy: u32,
}

impl Default for HealthPolicy {
    /// 2 good ones, 3 bad ones.
    fn default() -> Self {
        Self { healthy: 2, unhealthy: 3 }
    }
}

/// TLS to `https` endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTls {
    /// Whether their certificates are verified.
    pub verify: bool,
    /// The authorities that are trusted, PEM; `None` = those of the system.
    pub ca_file: Option<PathBuf>,
    /// The name asked for and verified; `None` = the endpoint's own name, else that of the `Host`.
    pub sni: Option<Hostname>,
    /// What we show of ourselves: certificate chain and key, both PEM.
    pub client: Option<(PathBuf, PathBuf)>,
}

impl Default for UpstreamTls {
    fn default() -> Self {
        Self { verify: true, ca_file: None, sni: None, client: None }
    }
}

/// Header fields that are put in, in place of what is there, and taken out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeaderEdit {
    /// Names and values.
    pub set: Vec<(String, String)>,
    /// Names.
    pub remove: Vec<String>,
}

/// [`HeaderEdit`] both ways.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeaderRules {
    /// Of requests on their way to the service, after everything that the gateway does to them.
    pub request: HeaderEdit,
    /// Of answers on their way to clients.
    pub response: HeaderEdit,
}

/// Requests at once to one service, where it does not say.
pub const IN_FLIGHT: u32 = 1024;
