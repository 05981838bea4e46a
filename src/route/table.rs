//! The routing table: one immutable snapshot of every name and what answers it.
//!
//! Looking a request up costs one hash on a service's own host, two on a gateway host, and no allocation (unless the
//! path has dot segments to resolve), whatever the number of services.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use compact_str::CompactString;
use foldhash::fast::RandomState;

use super::claim::{self, Conflict};
use super::hostname::RequestHost;
use super::path::{BadPath, resolve_dots};
use super::registration::is_registration;
use super::{Config, Role};
use crate::model::name::{Hostname, MAX_LABEL, RESERVED, ServiceKey};
use crate::model::service::Service;
use crate::telemetry::metrics::Metrics;
use crate::upstream::Upstream;
use crate::upstream::endpoint::Endpoints;

/// One snapshot of the routes.
#[derive(Debug)]
pub struct Table {
    config: Arc<Config>,
    hosts: HashMap<CompactString, HostTarget, RandomState>,
    prefixes: HashMap<CompactString, Named, RandomState>,
    upstreams: Vec<Arc<Upstream>>,
    conflicts: Vec<Conflict>,
    loading: bool,
}

#[derive(Debug)]
enum HostTarget {
    Gateway(Role),
    Service(Named),
}

/// A service under one of its names. Names are stored inline, and what decides stands beside the pointer: a look-up among
/// many services follows no pointer to compare a name, nor to see whether its service can be used.
#[derive(Clone, Debug)]
struct Named {
    upstream: Arc<Upstream>,
    usable: bool,
}

impl Named {
    fn new(upstream: &Arc<Upstream>) -> Self {
        let service = upstream.service();
        Self { upstream: Arc::clone(upstream), usable: service.enabled && !service.endpoints.is_empty() }
    }

    /// The service, if requests can be sent to it.
    fn upstream(&self) -> Result<&Arc<Upstream>, RouteError> {
        if self.usable { Ok(&self.upstream) } else { Err(unusable(self.upstream.service())) }
    }
}

/// What answers a request.
#[derive(Debug)]
pub enum Target<'t> {
    /// The gateway itself.
    Local,
    /// The S3 endpoint: the path is part of what its client signed, so it goes on byte for byte, and what is wrong with it
    /// is told as S3 does.
    Files,
    /// A service, by its own host: the path goes on byte for byte.
    Host(&'t Arc<Upstream>),
    /// A service, by a prefix: `base`, then the resolved path from `skip` on.
    Prefix {
        /// The service.
        upstream: &'t Arc<Upstream>,
        /// How much of the resolved path is the prefix.
        skip: usize,
        /// What stands before the rest: `""`, `/api` or `/mcp`.
        base: &'static str,
    },
}

/// A request's target, and its path with dot segments resolved.
#[derive(Debug)]
pub struct Resolved<'t, 'p> {
    /// What answers.
    pub target: Target<'t>,
    /// The path that was routed.
    pub path: Cow<'p, [u8]>,
    /// Whether the host is one of the gateway's own, where it speaks CORS.
    pub on_gateway: bool,
}

/// Why nothing answers. `upstream` where the service is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// No such host.
    #[error("no service or gateway host is named `{0}`")]
    UnknownHost(String),
    /// No such service.
    #[error("no service is named `{0}`")]
    UnknownService(String),
    /// A service's prefix with neither `/api` nor `/mcp` behind it, where that is needed.
    #[error("on this host the paths of `{0}` begin with /{0}/api or /{0}/mcp")]
    NotAServicePath(String),
    /// A host for services that register themselves was asked for something else.
    #[error("this host answers the paths of registration alone; the rest is on the gateway's other hosts")]
    NotARegistrationPath,
    /// The name is not known, but not every source has answered yet.
    #[error("the routing table is still being loaded")]
    Loading,
    /// The service is switched off.
    #[error("service `{service}` is disabled{}", .reason.as_ref().map_or(String::new(), |reason| format!(": {reason}")))]
    Disabled {
        /// Its id.
        service: String,
        /// Why, if the operator says so.
        reason: Option<String>,
    },
    /// The service is known, but not where it is.
    #[error("service `{0}` is known, but has no endpoint")]
    NoEndpoint(String),
    /// See [`BadPath`].
    #[error(transparent)]
    BadPath(#[from] BadPath),
}

impl Table {
    /// Builds the snapshot. Services that did not change keep their upstream from `previous`, with all its state.
    ///
    /// `rank` orders sources for contested names: lower wins. `loading`: some source has neither answered nor failed.
    #[must_use]
    pub fn build(
        config: Arc<Config>,
        services: Vec<Service>,
        rank: &dyn Fn(&str) -> usize,
        loading: bool,
        endpoints: &Endpoints,
        metrics: &Metrics,
        previous: Option<&Table>,
    ) -> Self {
        let claims = claim::settle(&services, &config, rank);
        let kept: HashMap<&ServiceKey, &Arc<Upstream>> =
            previous.iter().flat_map(|table| &table.upstreams).map(|up| (&up.service().id, up)).collect();
        let upstreams: Vec<Arc<Upstream>> = services
            .into_iter()
            .map(|service| match kept.get(&service.id) {
                Some(upstream) if upstream.serves(&service) => Arc::clone(upstream),
                before => {
                    let host = public_host(&service, &config);
                    let counted = metrics.service(service.id.as_str());
                    Arc::new(Upstream::new(service, &host, endpoints, counted, before.map(|before| &***before)))
                }
            })
            .collect();
        let mut hosts: HashMap<CompactString, HostTarget, RandomState> =
            HashMap::with_capacity_and_hasher(claims.hosts.len() + 8, RandomState::default());
        for (name, index) in claims.hosts {
            hosts.insert(CompactString::from(&*name), HostTarget::Service(Named::new(&upstreams[index])));
        }
        for (host, role) in config.gateway_hosts() {
            hosts.insert(host.as_str().into(), HostTarget::Gateway(role));
        }
        let named = |(name, index): (Box<str>, usize)| (CompactString::from(&*name), Named::new(&upstreams[index]));
        let prefixes = claims.prefixes.into_iter().map(named).collect();
        Self { config, hosts, prefixes, upstreams, conflicts: claims.conflicts, loading }
    }

    /// Every service, in the order of the sources.
    #[must_use]
    pub fn upstreams(&self) -> &[Arc<Upstream>] {
        &self.upstreams
    }

    /// Names that were claimed and not given.
    #[must_use]
    pub fn conflicts(&self) -> &[Conflict] {
        &self.conflicts
    }

    /// Whether some source has neither answered nor failed yet.
    #[must_use]
    pub fn is_loading(&self) -> bool {
        self.loading
    }

    /// The configuration it was built with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The service that has `host`, if any.
    #[must_use]
    pub fn service_at_host(&self, host: &Hostname) -> Option<&Arc<Upstream>> {
        match self.hosts.get(host.as_str())? {
            HostTarget::Service(named) => Some(&named.upstream),
            HostTarget::Gateway(_) => None,
        }
    }

    /// The service that has `key` as its prefix, if any.
    #[must_use]
    pub fn service_at_prefix(&self, key: &ServiceKey) -> Option<&Arc<Upstream>> {
        self.prefixes.get(key.as_str()).map(|named| &named.upstream)
    }

    /// Whether `host` is one of the gateway's own: there it speaks CORS and answers OPTIONS.
    #[must_use]
    pub fn is_gateway(&self, host: &RequestHost) -> bool {
        match self.hosts.get(host.as_str()) {
            Some(HostTarget::Gateway(role)) => matches!(role, Role::Connect | Role::Api | Role::Mcp),
            Some(HostTarget::Service(_)) => false,
            None => host.as_str().is_empty() || host.is_bare(),
        }
    }

    /// The prefixes and the hosts that route to `upstream`.
    #[must_use]
    pub fn names_of(&self, upstream: &Arc<Upstream>) -> (Vec<String>, Vec<String>) {
        let service = upstream.service();
        let keys = || std::iter::once(&service.id).chain([&service.subdomain]).chain(&service.aliases);
        let mut prefixes = Vec::new();
        let mut hosts = Vec::new();
        for key in keys() {
            if self.service_at_prefix(key).is_some_and(|found| Arc::ptr_eq(found, upstream)) {
                prefixes.push(key.to_string());
            }
        }
        for host in keys().map(|key| self.config.domain.child(key)).chain(service.hosts.iter().cloned()) {
            if self.service_at_host(&host).is_some_and(|found| Arc::ptr_eq(found, upstream)) {
                hosts.push(host.to_string());
            }
        }
        for names in [&mut prefixes, &mut hosts] {
            let mut seen = std::collections::HashSet::new();
            names.retain(|name| seen.insert(name.clone()));
        }
        (prefixes, hosts)
    }

    /// Every name that routes, for "did you mean".
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.hosts.keys().chain(self.prefixes.keys()).map(CompactString::as_str)
    }

    /// Finds what answers `path` (as sent, without the query) on `host`.
    ///
    /// # Errors
    /// [`RouteError`] where nothing does.
    pub fn resolve<'t, 'p>(&'t self, host: &RequestHost, path: &'p [u8]) -> Result<Resolved<'t, 'p>, RouteError> {
        let role = match self.hosts.get(host.as_str()) {
            Some(HostTarget::Service(named)) => {
                let path = resolve_dots(path)?;
                return Ok(Resolved { target: Target::Host(named.upstream()?), path, on_gateway: false });
            }
            Some(HostTarget::Gateway(role @ (Role::Connect | Role::Api | Role::Mcp))) => *role,
            None if host.as_str().is_empty() || host.is_bare() => Role::Connect,
            Some(HostTarget::Gateway(Role::Register)) => {
                let path = resolve_dots(path)?;
                if is_registration(&path) {
                    return Ok(Resolved { target: Target::Local, path, on_gateway: false });
                }
                return Err(RouteError::NotARegistrationPath);
            }
            Some(HostTarget::Gateway(Role::Files)) => {
                return Ok(Resolved { target: Target::Files, path: Cow::Borrowed(path), on_gateway: false });
            }
            None if self.loading => return Err(RouteError::Loading),
            None => return Err(RouteError::UnknownHost(host.as_str().to_owned())),
        };
        let path = resolve_dots(path)?;
        let target = self.on_gateway_host(role, &path)?;
        Ok(Resolved { target, path, on_gateway: true })
    }

    fn on_gateway_host(&self, role: Role, path: &[u8]) -> Result<Target<'_>, RouteError> {
        let segment_end = |from: usize| path[from..].iter().position(|&b| b == b'/').map_or(path.len(), |at| from + at);
        let first_end = if path.first() == Some(&b'/') { segment_end(1) } else { return Ok(Target::Local) };
        let first = &path[1..first_end];
        let mut lower = [0; MAX_LABEL];
        let Some(key) = lower_key(first, &mut lower) else { return Ok(Target::Local) };
        let found = self.prefixes.get(key);
        let second = path.get(first_end + 1..).map_or(&[][..], |_| &path[first_end + 1..segment_end(first_end + 1)]);
        let base = match (second, role) {
            (b"api" | b"mcp", _) => "",
            (_, Role::Api) => "/api",
            (_, Role::Mcp) => "/mcp",
            _ if found.is_some() => return Err(RouteError::NotAServicePath(key.to_owned())),
            _ => return Ok(Target::Local),
        };
        let Some(named) = found else {
            return match (RESERVED.contains(&key), self.loading) {
                (true, _) => Ok(Target::Local),
                (false, true) => Err(RouteError::Loading),
                (false, false) => Err(RouteError::UnknownService(key.to_owned())),
            };
        };
        Ok(Target::Prefix { upstream: named.upstream()?, skip: first_end, base })
    }
}

/// The host a service is known under: of its public URL, else under the domain.
fn public_host(service: &Service, config: &Config) -> Hostname {
    let stated = service.declared.url.as_ref().and_then(|url| Hostname::parse(url.host_str()?).ok());
    stated.unwrap_or_else(|| config.domain.child(&service.subdomain))
}

fn unusable(service: &Service) -> RouteError {
    let id = service.id.to_string();
    if service.enabled {
        RouteError::NoEndpoint(id)
    } else {
        RouteError::Disabled { service: id, reason: service.declared.reason.clone() }
    }
}

/// `segment` in lower case if it can be a service key.
fn lower_key<'b>(segment: &[u8], buffer: &'b mut [u8; MAX_LABEL]) -> Option<&'b str> {
    if segment.is_empty() || segment.len() > MAX_LABEL {
        return None;
    }
    for (to, from) in buffer.iter_mut().zip(segment) {
        if !(from.is_ascii_alphanumeric() || *from == b'-') {
            return None;
        }
        *to = from.to_ascii_lowercase();
    }
    std::str::from_utf8(&buffer[..segment.len()]).ok()
}

#[cfg(test)]
mod tests;
