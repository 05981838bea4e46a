//! `domain` and `gateway`: the hosts that are the gateway's own.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use url::Url;

use super::listen::Listener;
use crate::model::name::{Hostname, ServiceKey};
use crate::route;
use crate::yaml::{FromYaml, Scalar, Section, Value};

/// The zone that resolves to this host everywhere without any DNS (RFC 6761 §6.3).
const DOMAIN: &str = "localhost";
/// A port that links can name.
const PORTS: RangeInclusive<u16> = 1..=u16::MAX;

/// What the two keys say.
pub(super) struct Gateway {
    pub(super) route: route::Config,
    pub(super) landing_page: Option<Url>,
    /// Every host of the gateway, and the key that names it.
    pub(super) hosts: HashMap<Hostname, &'static str>,
}

/// Reads both keys. `listeners` decide the port of links where the file does not.
pub(super) fn read(root: &Section<'_>, listeners: &[Listener<'_>]) -> Gateway {
    let gateway = root.section("gateway");
    let domain = root.optional::<Zone>("domain").map_or_else(default_domain, |zone| zone.0);
    let mut hosts = Hosts { domain: &domain, owners: HashMap::new() };
    let [connect, api, mcp, files] =
        ["connect", "api", "mcp", "files"].map(|role| hosts.read(&gateway, role, Some(role)));
    let register = hosts.read(&gateway, "register", None);
    let hosts = hosts.owners.into_iter().map(|(host, owner)| (host, owner.role)).collect();
    let (public_scheme, public_port) = read_public(&gateway, listeners);
    let landing_page = gateway.optional("landing_page");
    Gateway {
        route: route::Config { domain, connect, api, mcp, files, register, public_scheme, public_port },
        landing_page,
        hosts,
    }
}

fn default_domain() -> Hostname {
    Hostname::parse(DOMAIN).expect("`localhost` is one label of letters")
}

/// Scheme and port of links. Only TLS would make them `https` by themselves, and no listener has it yet.
fn read_public(gateway: &Section<'_>, listeners: &[Listener<'_>]) -> (&'static str, Option<u16>) {
    let scheme = gateway.word("public_scheme", &[("http", "http"), ("https", "https")]);
    let port = gateway.within("public_port", &PORTS);
    let first = listeners.first().map(|listener| listener.config.bind.port());
    let default = if scheme.is_some() { None } else { first };
    let scheme = scheme.unwrap_or("http");
    let own = if scheme == "https" { 443 } else { 80 };
    (scheme, port.or(default).filter(|&port| port != own))
}

/// The gateway's hosts so far, each with what claimed it.
struct Hosts<'a, 'd> {
    domain: &'d Hostname,
    owners: HashMap<Hostname, Owner<'a>>,
}

struct Owner<'a> {
    role: &'static str,
    /// Where it is written; `None` for a default.
    at: Option<Value<'a>>,
}

impl<'a> Hosts<'a, '_> {
    /// The hosts of one role: those of the file, else `<default>.<domain>`.
    fn read(&mut self, gateway: &Section<'a>, role: &'static str, default: Option<&str>) -> Vec<Hostname> {
        let Some(list) = gateway.list(role) else {
            let label = default.and_then(|label| ServiceKey::parse(label).ok());
            let hosts: Vec<_> = label.iter().map(|label| self.domain.child(label)).collect();
            for host in &hosts {
                self.claim(host, Owner { role, at: None });
            }
            return hosts;
        };
        let read = |value: Value<'a>| Some((value.read::<Hostname>()?, value));
        let hosts: Vec<_> = list.into_iter().filter_map(read).collect();
        hosts
            .into_iter()
            .map(|(host, at)| {
                self.claim(&host, Owner { role, at: Some(at) });
                host
            })
            .collect()
    }

    /// Two roles on one host would leave open which of them answers.
    fn claim(&mut self, host: &Hostname, owner: Owner<'a>) {
        let Some(first) = self.owners.get(host) else {
            self.owners.insert(host.clone(), owner);
            return;
        };
        let (at, other) = match (&owner.at, &first.at) {
            (Some(at), _) => (at, first.role),
            (None, Some(at)) => (at, owner.role),
            (None, None) => return,
        };
        at.mistake(format!("\"{host}\" is a host of gateway.{other} already; accepted: each host once"));
    }
}

/// A host name that others can be under.
struct Zone(Hostname);

impl FromYaml for Zone {
    const ACCEPTED: &'static str = "a domain such as example.com";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        let host = Hostname::from_scalar(scalar)?;
        if host.as_str().parse::<IpAddr>().is_ok() {
            return Err(format!("{} is an address, and no host can be under it", scalar.shown()));
        }
        Ok(Self(host))
    }
}
