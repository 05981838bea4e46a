//! The embedded registry: services that register themselves with this daemon and send heartbeats (REGISTRY.md §3).
//!
//! What they say is kept in the store and read by the reader of registries' documents, with the same rules. It is no more
//! trusted than a registry over HTTP: it passes the guard, and it adds nothing to a service that another source names. A
//! service that is not heard of for `ttl` is not listed any more; its record, and whose the name is, stay.

mod list;

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::{Map, Value};

pub(super) use self::list::EmbeddedTask;
use super::Registry;
use super::document::{Unusable, read_entry};
use crate::model::id::ChittyId;
use crate::model::name::ServiceKey;
use crate::model::registration::{NewRegistration, Registration};
use crate::model::service::{Declaration, EndpointUrl, SourceName};
use crate::store::{RegistrationStore, StoreError};
use crate::upstream::guard::Guard;

/// The name of the source.
pub const EMBEDDED: &str = "embedded";

/// How long an answer waits for the table to have what it is about.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(2);
/// A heartbeat that comes this close to the end has the list made anew.
const ENDING: Duration = Duration::from_secs(1);
/// Names that no service can be registered under: their own paths would be those of something else.
const WORDS_OF_PATHS: [&str; 1] = ["status"];
/// Where a registrant may say its health, for one that names no other URL.
const HEALTH: [&str; 5] = ["health", "health_url", "healthUrl", "healthCheckUrl", "health_endpoint"];

/// `registry.sources[].embedded`.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddedConfig {
    /// How long a service is listed after it was last heard of.
    pub ttl: Duration,
    /// Networks that registrants may point at beside public addresses.
    pub allowed_networks: Vec<IpNet>,
}

/// Why a service is not registered, or nothing is changed about one that is.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RegisterError {
    /// There is no such source.
    #[error("no embedded registry is configured here (registry.sources: embedded)")]
    NotConfigured,
    /// Nothing can be made of the entry.
    #[error("{field}: {reason}")]
    Unusable {
        /// The member of the entry that is at fault.
        field: &'static str,
        /// What was found, and where it helps what is accepted.
        reason: String,
    },
    /// Another source names this service.
    #[error("`{name}` is a service of {by} already, and nobody else adds to it")]
    NamedElsewhere {
        /// The name.
        name: String,
        /// The kind of the other source: what comes behind it may be a path of this host.
        by: Box<str>,
    },
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A service as it is registered, and what its entry says.
#[derive(Clone, Debug)]
pub struct Registered {
    /// What is kept.
    pub registration: Arc<Registration>,
    /// What the entry says.
    pub declaration: Declaration,
}

/// Registers services. What it has answered is durable, and in the table unless that took more than 2 s.
#[derive(Clone)]
pub struct Registrar {
    registry: Arc<Registry>,
    store: Arc<dyn RegistrationStore>,
}

impl Registrar {
    /// Keeps registrations in `store` and has `registry` list them.
    #[must_use]
    pub fn new(registry: Arc<Registry>, store: Arc<dyn RegistrationStore>) -> Self {
        Self { registry, store }
    }

    /// Registers the service that `entry` describes, in any spelling of REGISTRY.md §2, for `owner`.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub async fn register(&self, owner: ChittyId, entry: Map<String, Value>) -> Result<Registered, RegisterError> {
        let config = self.config()?;
        let mut entry = Value::Object(entry);
        let declaration = self.read(&mut entry, &config)?;
        let Some(name) = declaration.id.clone() else { return Err(unusable("name", "found no name")) };
        let merged = self.registry.merged();
        let known = merged.services.iter().find(|service| service.id == name);
        if let Some(other) = known.filter(|service| &*service.source != EMBEDDED) {
            return Err(named_elsewhere(&name, &other.source));
        }
        let listed = known.is_some();
        let text = entry.to_string();
        let new = NewRegistration { name, owner, entry: text.into(), ttl: config.ttl, listed };
        let registration = self.store.register(new).await?;
        tracing::info!(service = %registration.name, owner = %registration.owner, "a service registered itself");
        self.published().await;
        Ok(Registered { registration, declaration })
    }

    /// Notes that a service is there. One that was not listed any more is listed again.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub async fn heartbeat(&self, owner: &ChittyId, name: &ServiceKey) -> Result<Arc<Registration>, RegisterError> {
        let config = self.config()?;
        let (registration, ended) = self.store.renew(owner, name, config.ttl).await?;
        // One whose time was about to be over may be on its way off the list at this moment.
        let was_ending = ended <= registration.updated_at.after(ENDING);
        if was_ending || !self.registry.merged().services.iter().any(|service| service.id == *name) {
            self.published().await;
        }
        Ok(registration)
    }

    /// Changes members of a service's entry. `members` are none that decide where it is.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub async fn amend(
        &self,
        owner: &ChittyId,
        name: &ServiceKey,
        members: Map<String, Value>,
    ) -> Result<Arc<Registration>, RegisterError> {
        self.config()?;
        let registration = self.store.amend(owner, name, members).await?;
        self.published().await;
        Ok(registration)
    }

    /// Takes a service off the list, and forgets whose its name was. `owner`: `None` = whoever's it is.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub async fn unregister(&self, owner: Option<&ChittyId>, name: &ServiceKey) -> Result<(), RegisterError> {
        self.config()?;
        self.store.unregister(owner, name).await?;
        tracing::info!(service = %name, "a service is no longer registered");
        self.published().await;
        Ok(())
    }

    fn config(&self) -> Result<EmbeddedConfig, RegisterError> {
        self.registry.embedded().ok_or(RegisterError::NotConfigured)
    }

    async fn published(&self) {
        if tokio::time::timeout(PUBLISHED_WITHIN, self.registry.relist()).await.is_err() {
            tracing::warn!(after = ?PUBLISHED_WITHIN, "a change of a registration is answered before the table has it");
        }
    }

    /// Reads an entry, which gets a base URL from its health URL if it says no other.
    fn read(&self, entry: &mut Value, config: &EmbeddedConfig) -> Result<Declaration, RegisterError> {
        let context = self.registry.context();
        let guard = Guard::new(config.allowed_networks.as_slice().into(), Arc::clone(&context.own_addresses));
        let read = |entry: &Value| read_entry(entry, context, Some(&guard)).map_err(|flaw| refused(flaw.field, flaw));
        let mut declaration = read(entry)?;
        if declaration.endpoints.is_none()
            && let Some(origin) = HEALTH.iter().find_map(|key| origin_of(entry.get(*key)?))
        {
            entry["url"] = origin.into();
            declaration = read(entry)?;
        }
        let endpoints = declaration.endpoints.as_deref().unwrap_or_default();
        if endpoints.is_empty() {
            let reason = declaration.no_endpoint_because.as_deref().unwrap_or("no base URL");
            let accepted = "accepted: an http or https URL in `url`, `baseUrl`, or `endpoints`";
            return Err(unusable("url", format!("found {reason}; {accepted}")));
        }
        match &declaration.id {
            Some(name) if WORDS_OF_PATHS.contains(&name.as_str()) => {
                Err(unusable("name", format!("`{name}` is a word of this gateway's paths; accepted: another name")))
            }
            _ => Ok(declaration),
        }
    }
}

/// The origin of a text that is an http or https URL.
fn origin_of(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let url = url::Url::parse(text.trim()).ok()?;
    EndpointUrl::origin_of(&url, text).ok().map(|origin| origin.to_string())
}

fn unusable(field: &'static str, reason: impl Into<String>) -> RegisterError {
    RegisterError::Unusable { field, reason: reason.into() }
}

fn refused(field: &'static str, flaw: Unusable) -> RegisterError {
    if flaw.guarded {
        let accepted = "accepted: public addresses, and those that registry.sources[].embedded.allowed_networks holds";
        return unusable(field, format!("{}; {accepted}", flaw.reason));
    }
    unusable(field, flaw.reason)
}

fn named_elsewhere(name: &ServiceKey, source: &SourceName) -> RegisterError {
    let by = match source.split_once(':') {
        Some(("file", _)) => "a file",
        Some(("http", _)) => "another registry",
        _ => "the gateway's configuration",
    };
    RegisterError::NamedElsewhere { name: name.to_string(), by: by.into() }
}
