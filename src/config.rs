//! The whole configuration: one field for each component's own.
//!
//! [`Config::load`] reads one YAML file, reports every mistake in it at once, and fills in the defaults. A `Config` that
//! exists is usable; there is nothing to validate afterwards. It opens no other file, binds nothing and asks no DNS.
//! Keys of capabilities that this build does not have are checked for their type and become warnings, or errors where
//! ignoring them would weaken protection.

mod admission;
mod auth;
mod discovery;
mod error;
mod events;
mod files;
mod gateway;
mod later;
mod listen;
mod log;
mod origin;
mod process;
mod rate_limit;
mod retention;
mod sources;
mod surroundings;

#[cfg(test)]
mod tests;

use std::io::Read;
use std::path::{Path, PathBuf};

pub use error::ConfigError;
pub use surroundings::Surroundings;

use crate::auth::rate::Config as RateLimits;
use crate::yaml::{Document, Mistake};
use crate::{api, blob, daemon, event, listener, proxy, registry, route, store, telemetry, upstream};

/// Where the configuration is looked for when nobody names it, in order: beside the working directory's own software,
/// then where an installed daemon has it.
pub const PLACES: [&str; 2] = ["conf/chittyconnect.yaml", "/etc/chittyconnect/chittyconnect.yaml"];

/// Largest configuration file, in bytes: a hundred times what 10,000 services take. What is larger is not a
/// configuration, and would only fill the memory.
const MAX_FILE: u64 = 256 << 20;

/// A configuration that can be used as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The process: threads, drain, admin addresses.
    pub daemon: daemon::Config,
    /// Where durable data is, and what a change survives.
    pub store: store::Config,
    /// The addresses that connections are accepted on; at least one, no two that contradict.
    pub listeners: Vec<listener::Config>,
    /// The domain and the gateway's own hosts.
    pub route: route::Config,
    /// Connections to upstreams.
    pub upstream: upstream::Config,
    /// The sources of services, and the static services.
    pub registry: registry::Config,
    /// What lets callers in.
    pub auth: crate::auth::Config,
    /// Limits, trusted proxies, cross-origin answers.
    pub proxy: proxy::Config,
    /// What the discovery document says beside the services.
    pub api: api::Config,
    /// How often callers of the local endpoints may ask.
    pub rate_limit: RateLimits,
    /// What subscribers to events get.
    pub event: event::Config,
    /// Files with their contents.
    pub files: blob::Config,
    /// Logs.
    pub telemetry: telemetry::Config,
    /// What an operator should know, in the order of the file: keys that this build ignores.
    pub warnings: Vec<Mistake>,
}

impl Config {
    /// Reads the file at `path`. `serve` and `check` both call this.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`] if the file cannot be read, [`ConfigError::Mistakes`] with all of them if it is
    /// wrong.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        let file = crate::yaml::open(path).map_err(unreadable)?;
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(unreadable(std::io::ErrorKind::FileTooLarge.into()));
        }
        let document = Document::parse_bytes(&bytes, &path.display().to_string());
        Self::read(document, &Surroundings::of_process())
    }

    /// Reads `text`; `file` is what messages call it.
    ///
    /// # Errors
    /// [`ConfigError::Mistakes`].
    pub fn parse(text: &str, file: &str) -> Result<Self, ConfigError> {
        Self::parse_in(text, file, &Surroundings::of_process())
    }

    /// [`Config::parse`], with the surroundings that some defaults depend on stated.
    ///
    /// # Errors
    /// [`ConfigError::Mistakes`].
    pub fn parse_in(text: &str, file: &str, surroundings: &Surroundings) -> Result<Self, ConfigError> {
        Self::read(Document::parse(text, file), surroundings)
    }

    /// The first of [`PLACES`] that exists.
    ///
    /// # Errors
    /// [`ConfigError::NotFound`] if none does.
    pub fn find() -> Result<PathBuf, ConfigError> {
        find_in(&PLACES.map(PathBuf::from))
    }

    fn read(document: Document, surroundings: &Surroundings) -> Result<Self, ConfigError> {
        let root = document.root();
        let server = root.section("server");
        let mut store = process::read_store(&root.section("store"), surroundings);
        let events = root.section("events");
        store.retention = retention::read(&events);
        let listeners = listen::read(&root);
        let gateway = gateway::read(&root, &listeners);
        let auth_section = root.section("auth");
        let rate_limit = rate_limit::read(&root);
        let files = files::read(&root.section("files"), &store);
        let config = Self {
            daemon: process::read(&server, &root.section("admin"), &store, &listeners, surroundings),
            upstream: process::read_upstream(&server),
            registry: sources::read(&root, &store, &gateway, auth_section.value("jwt").is_some()),
            auth: auth::read(&auth_section, &store.path),
            proxy: admission::read(&root, &gateway.route.domain, files.limits.max_bytes),
            api: discovery::read(&root.section("discovery"), gateway.landing_page.clone(), !rate_limit.off),
            rate_limit,
            event: events::read(&events),
            files,
            telemetry: log::read(&root.section("log")),
            store,
            listeners: listeners.into_iter().map(|listener| listener.config).collect(),
            route: gateway.route,
            warnings: Vec::new(),
        };
        later::read(&root);
        drop((server, events, auth_section, root));
        match document.into_findings() {
            (mistakes, warnings) if mistakes.is_empty() => Ok(Self { warnings, ..config }),
            (mistakes, _) => Err(ConfigError::Mistakes(mistakes)),
        }
    }
}

fn find_in(places: &[PathBuf]) -> Result<PathBuf, ConfigError> {
    let found = places.iter().find(|place| place.is_file());
    found.cloned().ok_or_else(|| ConfigError::NotFound { places: places.to_vec() })
}
