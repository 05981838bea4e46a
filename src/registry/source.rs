//! What a source of services gives and how it fares: [`Listing`], [`SourceStatus`], and what its task reports.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use url::Url;

use super::document::Document;
use super::embedded::EMBEDDED;
use super::{Config, SourceConfig};
use crate::model::service::{Declaration, Rejected, SourceName};
pub(super) use crate::telemetry::describe;

/// The name that static services go by where a source is named.
pub const STATIC: &str = "services";
/// The same for what `service enable` and `service disable` said.
pub const SERVICE_COMMAND: &str = "command";

/// Whether the source of this name is the operator's own, and so may point anywhere.
#[must_use]
pub fn is_trusted(source: &str) -> bool {
    source == STATIC || source.starts_with("file:")
}

/// The last good list of one source.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    /// The source: `file:<path>`, `http:<url>` or `embedded`.
    pub source: SourceName,
    /// Whether it is the operator's own file, whose endpoints may point anywhere.
    pub trusted: bool,
    /// Networks its endpoints may point at beside public addresses.
    pub allowed_networks: Arc<[IpNet]>,
    /// Its usable entries, in their order.
    pub declarations: Arc<[Declaration]>,
    /// Its entries that cannot be used.
    pub rejected: Arc<[Rejected]>,
}

impl Listing {
    /// An empty list of the source that `config` describes.
    #[must_use]
    pub fn empty(config: &SourceConfig) -> Self {
        let (trusted, allowed_networks) = match config {
            SourceConfig::File(_) => (true, Arc::from([])),
            SourceConfig::Http(http) => (false, http.allowed_networks.as_slice().into()),
            SourceConfig::Embedded(embedded) => (false, embedded.allowed_networks.as_slice().into()),
        };
        let (declarations, rejected) = (Arc::from([]), Arc::from([]));
        Self { source: config.name(), trusted, allowed_networks, declarations, rejected }
    }
}

impl SourceConfig {
    /// How the source is shown: `file:<path>`, or `http:<url>` without credentials, query and final slash, or
    /// `embedded`.
    #[must_use]
    pub fn name(&self) -> SourceName {
        match self {
            Self::File(path) => format!("file:{}", path.display()).into(),
            Self::Http(http) => format!("http:{}", public_url(&http.url)).into(),
            Self::Embedded(_) => EMBEDDED.into(),
        }
    }
}

/// `url` without credentials, query, fragment and final slash.
pub(super) fn public_url(url: &Url) -> String {
    let scheme = url.scheme();
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}://{host}{port}{}", url.path().trim_end_matches('/'))
}

/// How one source fares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// The source: `file:<path>`, `http:<url>` or `embedded`.
    pub name: SourceName,
    /// When it last gave a usable list, or said that its list has not changed.
    pub last_success: Option<Timestamp>,
    /// Its last failure; stays when it recovers.
    pub last_error: Option<SourceError>,
    /// Whether its last attempt failed or was refused.
    pub failing: bool,
    /// Usable entries in its last good list.
    pub entries: usize,
    /// Entries in its last good list that cannot be used.
    pub rejected: usize,
    /// Whether it has answered or failed once since the start; a list from the snapshot counts as an answer.
    pub answered: bool,
    /// Whether its last good list is older than `stale_after`.
    pub stale: bool,
}

/// A failure of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceError {
    /// When.
    pub at: Timestamp,
    /// What, with its causes, for the operator. Never holds a token.
    pub text: String,
}

impl SourceStatus {
    /// The same with `stale` as it is at `now`.
    #[must_use]
    pub(super) fn judged(mut self, now: Timestamp, stale_after: Duration) -> Self {
        let limit = SignedDuration::try_from(stale_after).unwrap_or(SignedDuration::MAX);
        self.stale = match self.last_success {
            Some(at) => now.duration_since(at) > limit,
            None => false,
        };
        self
    }
}

/// How one attempt to refresh a source ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// A list.
    List(Document),
    /// The list is the one already known.
    Unchanged,
    /// A list that was understood and refused.
    Refused(String),
    /// No list.
    Failed(String),
}

/// Who waits for a refresh; dropping it answers as well.
pub(super) type Caller = oneshot::Sender<()>;

/// What a source's task tells the aggregator.
#[derive(Debug)]
pub(super) struct Report {
    /// Which task, by the serial number it was started with: a report of a task that was replaced is void.
    pub(super) task: u64,
    /// How its attempt ended.
    pub(super) outcome: Outcome,
    /// Who is told once the outcome has been published.
    pub(super) callers: Vec<Caller>,
}

impl Config {
    /// The sources without those whose name an earlier one has.
    pub(super) fn distinct_sources(&self) -> Vec<SourceConfig> {
        let mut seen: Vec<SourceName> = Vec::new();
        let mut distinct = Vec::new();
        for source in &self.sources {
            let name = source.name();
            if seen.contains(&name) {
                tracing::warn!(source = %name, "a source is configured twice; the second is ignored");
            } else {
                seen.push(name);
                distinct.push(source.clone());
            }
        }
        distinct
    }
}
