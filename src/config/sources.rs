//! `registry` and `services`: where services come from.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use ipnet::IpNet;
use url::Url;

use super::gateway::Gateway;
use crate::model::service::{Declaration, ServiceAuth};
use crate::registry::declared::{Declared, read_list};
use crate::registry::embedded::{EMBEDDED, EmbeddedConfig};
use crate::registry::{Config, HttpConfig, SourceConfig};
use crate::store::Config as Store;
use crate::yaml::{FromYaml, Scalar, Section, Value};

/// A new service is served half a minute after it is registered; a registry barely notices one request in that time.
const REFRESH: Duration = Duration::from_secs(30);
/// 20 refreshes in a row have failed by then.
const STALE_AFTER: Duration = Duration::from_secs(10 * 60);
/// From 10 ms, for tests, to a year.
const PERIODS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(365 * 24 * 3600);
/// The file of the last good lists, in the store's folder.
const SNAPSHOT: &str = "registry.json";
/// The paths under which registries of this family list their services, the best document first.
const PATHS: [&str; 3] = ["/api/services", "/api/v1/tools", "/api/v1/services"];
/// Two heartbeats of half a minute may be lost.
const TTL: Duration = Duration::from_secs(90);
/// A registry that answers at all answers within a second.
const TIMEOUT: Duration = Duration::from_secs(5);
/// From 10 ms, for tests, to 5 minutes, beyond which a refresh would not be one.
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(5 * 60);
/// Some 5,000 services with long descriptions.
const MAX_BYTES: ByteSize = ByteSize::mib(4);
/// From one small service to what a host can hold in memory several times over.
const SIZES: RangeInclusive<ByteSize> = ByteSize::kib(1)..=ByteSize::gib(1);

/// Reads both keys.
///
/// `jwt`: whether `auth.jwt` is there, without which no service can ask for tokens.
pub(super) fn read(root: &Section<'_>, store: &Store, gateway: &Gateway, jwt: bool) -> Config {
    let registry = root.section("registry");
    let snapshot = registry.optional::<Snapshot>("snapshot");
    Config {
        refresh: registry.within("refresh", &PERIODS).unwrap_or(REFRESH),
        snapshot: snapshot.map_or_else(|| Some(store.path.join(SNAPSHOT)), |snapshot| snapshot.0),
        stale_after: registry.within("stale_after", &PERIODS).unwrap_or(STALE_AFTER),
        sources: read_sources(&registry),
        services: read_services(root, gateway, jwt),
    }
}

fn read_sources(registry: &Section<'_>) -> Vec<SourceConfig> {
    let mut names = HashSet::new();
    let mut sources = Vec::new();
    for item in registry.list("sources").unwrap_or_default() {
        let section = item.section();
        let (file, http) = (section.value("file"), section.value("http"));
        let embedded = section.value("embedded");
        let kinds = [&file, &http, &embedded].into_iter().flatten().count();
        // A section that holds nothing but unknown keys is told so by them.
        let is_told = item.is_filled() && ["file", "http", "embedded"].iter().all(|kind| item.peek(kind).is_none());
        if kinds > 1 || kinds == 0 && item.is_map() && !is_told {
            item.mistake("not exactly one kind of source; accepted: one of file, http, embedded");
            continue;
        }
        let source = match (&file, &http, &embedded) {
            (Some(file), ..) => file.read::<ServiceFile>().map(|file| SourceConfig::File(file.0)),
            (_, Some(http), _) => read_http(&http.section()).map(SourceConfig::Http),
            (.., Some(embedded)) => Some(SourceConfig::Embedded(read_embedded(&embedded.section()))),
            (None, None, None) => None,
        };
        let Some(source) = source else { continue };
        let name = match &source {
            SourceConfig::File(path) => format!("file:{}", path.display()),
            SourceConfig::Http(http) => format!("http:{}", http.url),
            SourceConfig::Embedded(_) => EMBEDDED.to_owned(),
        };
        if !names.insert(name.clone()) {
            item.mistake(format!("`{name}` is a source already; accepted: each source once"));
        }
        sources.push(source);
    }
    sources
}

fn read_embedded(embedded: &Section<'_>) -> EmbeddedConfig {
    EmbeddedConfig {
        ttl: embedded.within("ttl", &PERIODS).unwrap_or(TTL),
        allowed_networks: embedded.leaves::<IpNet>("allowed_networks").unwrap_or_default(),
    }
}

fn read_http(http: &Section<'_>) -> Option<HttpConfig> {
    let paths = http.value("paths");
    let listed = paths.as_ref().map(|paths| paths.leaves::<ListPath>().into_iter().map(|path| path.0).collect());
    if let Some(paths) = paths.filter(Value::is_empty_list) {
        paths.mistake("an empty list; accepted: at least one path");
    }
    let (token_file, allowed_networks) = (http.optional("token_file"), http.leaves::<IpNet>("allowed_networks"));
    let timeout = http.within("timeout", &TIMEOUTS).unwrap_or(TIMEOUT);
    let max_bytes = http.within("max_bytes", &SIZES).unwrap_or(MAX_BYTES).as_u64();
    Some(HttpConfig {
        url: http.required::<BaseUrl>("url")?.0,
        paths: listed.unwrap_or_else(|| PATHS.map(str::to_owned).into()),
        token_file,
        timeout,
        max_bytes,
        allowed_networks: allowed_networks.unwrap_or_default(),
    })
}

/// The static services. Here a bad entry is an error: nobody but the operator wrote it, and it is read at start.
fn read_services(root: &Section<'_>, gateway: &Gateway, jwt: bool) -> Vec<Declaration> {
    let Declared { usable, unusable } = read_list(root);
    let report = root.report();
    report.put_back(unusable.into_iter().flat_map(|entry| entry.mistakes));
    for (at, declaration) in &usable {
        refuse_gateway_hosts(at, declaration, gateway);
        if let (Some(ServiceAuth::Jwt), Some(place), false) = (declaration.auth, at.peek("auth"), jwt) {
            place.mistake(
                "\"jwt\" asks callers for tokens, and auth.jwt, which says whose, is missing; accepted: none or key, or jwt \
                 with auth.jwt: {issuer, jwks_url, audience}",
            );
        }
    }
    usable.into_iter().map(|(_, declaration)| declaration).collect()
}

/// A host of the gateway would never reach the service.
fn refuse_gateway_hosts(at: &Value<'_>, declaration: &Declaration, gateway: &Gateway) {
    let refuse = |place: Option<Value<'_>>, host: &crate::model::name::Hostname| {
        if let (Some(role), Some(place)) = (gateway.hosts.get(host), place) {
            place
                .mistake(format!("\"{host}\" is a host of gateway.{role}; accepted: a host that is not the gateway's"));
        }
    };
    for (key, label) in [("id", &declaration.id), ("subdomain", &declaration.subdomain)] {
        if let Some(label) = label {
            refuse(at.peek(key), &gateway.route.domain.child(label));
        }
    }
    for (index, alias) in declaration.aliases.iter().flatten().enumerate() {
        refuse(at.peek("aliases").and_then(|list| list.item(index)), &gateway.route.domain.child(alias));
    }
    for (index, host) in declaration.hosts.iter().flatten().enumerate() {
        refuse(at.peek("hosts").and_then(|list| list.item(index)), host);
    }
}

/// Where the last good lists are kept.
struct Snapshot(Option<PathBuf>);

impl FromYaml for Snapshot {
    const ACCEPTED: &'static str = "a path, or off";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        if scalar.raw() == "off" { Ok(Self(None)) } else { PathBuf::from_scalar(scalar).map(|path| Self(Some(path))) }
    }
}

/// A file of services. Its name says how it is read.
struct ServiceFile(PathBuf);

impl FromYaml for ServiceFile {
    const ACCEPTED: &'static str = "a path that ends in .yaml, .yml or .json";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        let path = PathBuf::from_scalar(scalar)?;
        let known = path.extension().is_some_and(|ending| ["yaml", "yml", "json"].iter().any(|known| ending == *known));
        if known { Ok(Self(path)) } else { Err(format!("{} has another ending", scalar.shown())) }
    }
}

/// Where a registry is; `paths` are put behind it.
struct BaseUrl(Url);

impl FromYaml for BaseUrl {
    const ACCEPTED: &'static str = "a URL with http:// or https://, without credentials and query";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        let url = Url::from_scalar(scalar)?;
        if !url.username().is_empty() || url.password().is_some() {
            // What is refused here may be a password, so it is not repeated.
            return Err("it holds credentials, which belong in token_file".to_owned());
        }
        let bare = url.query().is_none() && url.fragment().is_none();
        if bare { Ok(Self(url)) } else { Err(format!("{} has a query or a fragment", scalar.shown())) }
    }
}

/// The path of a registry's list, a query included.
struct ListPath(String);

impl FromYaml for ListPath {
    const ACCEPTED: &'static str = "a path such as /api/services";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        let text = scalar.text()?;
        let fits = text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        if fits { Ok(Self(text.to_owned())) } else { Err(format!("{} is not a path", scalar.shown())) }
    }
}
