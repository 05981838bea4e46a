//! Where services come from: sources that publish whole lists, laid over each other.

pub mod declared;

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use crate::model::service::Declaration;

/// The `registry` section and the static `services`.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Time between two refreshes of a source over HTTP, before jitter and backoff.
    pub refresh: Duration,
    /// Where the last good lists are kept over a restart; `None` = nowhere.
    pub snapshot: Option<PathBuf>,
    /// A source whose last good list is older than this is degraded.
    pub stale_after: Duration,
    /// In order: an earlier one wins a contested name.
    pub sources: Vec<SourceConfig>,
    /// Static services, which win field by field.
    pub services: Vec<Declaration>,
}

/// One entry of `registry.sources`.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceConfig {
    /// A file: `.yaml`/`.yml` holds `services:`, `.json` any list of REGISTRY.md §1.
    File(PathBuf),
    /// A registry over HTTP.
    Http(HttpConfig),
}

/// A registry over HTTP.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpConfig {
    /// Its base URL.
    pub url: Url,
    /// Tried in order: the first 200 with a list wins, 404 means "not here".
    pub paths: Vec<String>,
    /// A file with a bearer token.
    pub token_file: Option<PathBuf>,
    /// For one whole exchange.
    pub timeout: Duration,
    /// Largest document, in bytes, all pages together.
    pub max_bytes: u64,
    /// Networks it may point at beside public addresses.
    pub allowed_networks: Vec<IpNet>,
}
