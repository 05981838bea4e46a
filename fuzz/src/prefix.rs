//! Requests on the gateway's hosts, and on those of services.

use std::sync::{Arc, LazyLock};

use chittyconnect::config::Config;
use chittyconnect::model::name::RESERVED;
use chittyconnect::registry::merge::merge;
use chittyconnect::route::hostname::RequestHost;
use chittyconnect::route::registration::is_registration;
use chittyconnect::route::table::{Resolved, RouteError, Table, Target};
use chittyconnect::telemetry::metrics::Metrics;
use chittyconnect::upstream::endpoint::Endpoints;

use super::path;

/// Three services, one of which can be used.
const CONFIG: &str = "
domain: chitty.cc
gateway: {connect: [connect.chitty.cc], api: [api.chitty.cc], mcp: [mcp.chitty.cc], files: [files.chitty.cc],
  register: [register.chitty.cc]}
services:
  - {id: chittyid, subdomain: id, aliases: [identity], hosts: [id.example.com], endpoints: [http://127.0.0.1:9001]}
  - {id: chittyoff, subdomain: off, endpoints: [http://127.0.0.1:9001], enabled: false}
  - {id: nowhere}
";

/// The hosts that paths are tried on, with what they are.
const HOSTS: [(&str, Host); 13] = [
    ("connect.chitty.cc", Host::Gateway("")),
    ("api.chitty.cc", Host::Gateway("/api")),
    ("mcp.chitty.cc", Host::Gateway("/mcp")),
    ("127.0.0.1", Host::Gateway("")),
    ("localhost", Host::Gateway("")),
    ("", Host::Gateway("")),
    ("files.chitty.cc", Host::Files),
    ("register.chitty.cc", Host::Register),
    ("id.chitty.cc", Host::Service("chittyid")),
    ("id.example.com", Host::Service("chittyid")),
    ("off.chitty.cc", Host::Service("chittyoff")),
    ("nowhere.chitty.cc", Host::Service("nowhere")),
    ("example.org", Host::Unknown),
];

#[derive(Clone, Copy)]
enum Host {
    /// With what a bare prefix means.
    Gateway(&'static str),
    Files,
    Register,
    Service(&'static str),
    Unknown,
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Local,
    Files,
    Host(String),
    /// The service, and the path that is sent to it.
    Prefix(String, Vec<u8>),
    BadPath,
    NotARegistrationPath,
    NotAServicePath(String),
    UnknownHost,
    UnknownService(String),
    Disabled(String),
    NoEndpoint(String),
    Loading,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let config = Config::parse(CONFIG, "prefix").unwrap();
    let services = merge(&config.registry.services, &[], Vec::new()).services;
    let metrics = Metrics::new().unwrap();
    Table::build(Arc::new(config.route), services, &|_| 0, false, &Endpoints::default(), &metrics, None)
});

/// The first byte says on which host, the rest is the path.
pub fn check(input: &[u8]) {
    let Some((&host, path)) = input.split_first() else { return };
    check_on(usize::from(host), path);
}

/// `path` on one of [`HOSTS`].
pub fn check_on(host: usize, path: &[u8]) {
    let (name, host) = HOSTS[host % HOSTS.len()];
    let shown = path.escape_ascii();
    let name = RequestHost::parse(name.as_bytes()).unwrap();
    let found = TABLE.resolve(&name, path);
    let meant = meant(host, path);
    assert_eq!(answer(&found), meant, "{name:?} {shown}");
    let Ok(found) = found else { return };

    if !matches!(found.target, Target::Files) {
        assert!(!path::has_dots(&found.path), "{name:?} {shown}");
    }
    assert_eq!(found.on_gateway, matches!(host, Host::Gateway(_)), "{name:?} {shown}");
    if let Target::Prefix { skip, .. } = found.target {
        // What has no dot segments keeps every byte behind its prefix.
        assert!(path::has_dots(path) || path[skip..] == found.path[skip..], "{name:?} {shown}");
    }
    let again = TABLE.resolve(&name, &found.path);
    assert_eq!(again.as_ref().map(|again| &*again.path).ok(), Some(&*found.path), "{name:?} {shown}");
    assert_eq!(answer(&again), meant, "{name:?} {shown}");
}

fn answer(found: &Result<Resolved<'_, '_>, RouteError>) -> Answer {
    match found {
        Ok(Resolved { target: Target::Local, .. }) => Answer::Local,
        Ok(Resolved { target: Target::Files, .. }) => Answer::Files,
        Ok(Resolved { target: Target::Host(upstream), .. }) => Answer::Host(upstream.service().id.to_string()),
        Ok(Resolved { target: Target::Prefix { upstream, skip, base }, path, .. }) => {
            Answer::Prefix(upstream.service().id.to_string(), [base.as_bytes(), &path[*skip..]].concat())
        }
        Err(RouteError::BadPath(_)) => Answer::BadPath,
        Err(RouteError::NotARegistrationPath) => Answer::NotARegistrationPath,
        Err(RouteError::NotAServicePath(key)) => Answer::NotAServicePath(key.clone()),
        Err(RouteError::UnknownHost(_)) => Answer::UnknownHost,
        Err(RouteError::UnknownService(key)) => Answer::UnknownService(key.clone()),
        Err(RouteError::Disabled { service, .. }) => Answer::Disabled(service.clone()),
        Err(RouteError::NoEndpoint(service)) => Answer::NoEndpoint(service.clone()),
        Err(RouteError::Loading) => Answer::Loading,
    }
}

/// What answers, read slowly.
fn meant(host: Host, path: &[u8]) -> Answer {
    match host {
        Host::Files => return Answer::Files,
        Host::Unknown => return Answer::UnknownHost,
        _ => {}
    }
    let Some(path) = path::meant(path) else { return Answer::BadPath };
    match host {
        Host::Register if is_registration(&path) => Answer::Local,
        Host::Register => Answer::NotARegistrationPath,
        Host::Service(id) => usable(id).unwrap_or_else(|| Answer::Host(id.to_owned())),
        Host::Gateway(bare) => on_gateway(bare, &path),
        Host::Files | Host::Unknown => unreachable!("they are answered above"),
    }
}

fn on_gateway(bare: &str, path: &[u8]) -> Answer {
    let segments: Vec<&[u8]> = path.split(|&b| b == b'/').collect();
    let [b"", first, behind @ ..] = &*segments else { return Answer::Local };
    let is_key = first.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-') && (1..=63).contains(&first.len());
    if !is_key {
        return Answer::Local;
    }
    let key = String::from_utf8_lossy(first).to_ascii_lowercase();
    let service = match &*key {
        "chittyid" | "id" | "identity" => Some("chittyid"),
        "chittyoff" | "off" => Some("chittyoff"),
        "nowhere" => Some("nowhere"),
        _ => None,
    };
    let says_which = matches!(behind, [b"api" | b"mcp", ..]);
    match service {
        None if RESERVED.contains(&&*key) || (bare.is_empty() && !says_which) => Answer::Local,
        None => Answer::UnknownService(key),
        Some(_) if bare.is_empty() && !says_which => Answer::NotAServicePath(key),
        Some(service) => usable(service).unwrap_or_else(|| {
            let before = if says_which { "" } else { bare };
            let rest: Vec<u8> = behind.iter().flat_map(|segment| [b"/", *segment].concat()).collect();
            Answer::Prefix(service.to_owned(), [before.as_bytes(), &rest].concat())
        }),
    }
}

/// Why a service cannot be used.
fn usable(id: &str) -> Option<Answer> {
    match id {
        "chittyoff" => Some(Answer::Disabled(id.to_owned())),
        "nowhere" => Some(Answer::NoEndpoint(id.to_owned())),
        _ => None,
    }
}
