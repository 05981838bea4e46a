//! Which service a worker is, and what follows from it.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Finding, Rule};
use crate::inventory::claim::{Claim, Kind, Owner, is_production};
use crate::inventory::family::{Family, Member};
use crate::inventory::pattern::{Pattern, PatternError, loosely};

/// Every worker and what it is to the gateway.
#[derive(Debug, Default)]
pub struct Services {
    /// Worker → index of its service.
    of_worker: HashMap<String, usize>,
    /// Workers that stand for the gateway.
    gateway: HashSet<String>,
    /// Ids of the services, by index.
    ids: Vec<String>,
    /// The gateway's hosts.
    hosts: HashSet<String>,
}

impl Services {
    /// By the workers' names; else by the service host that one of their claims names.
    #[must_use]
    pub fn of(claims: &[Claim], family: Option<&Family>) -> Self {
        let mut services = Self::default();
        let Some(family) = family else { return services };
        services.ids = family.services.iter().map(|service| service.id.clone()).collect();
        services.hosts = family.gateway.iter().cloned().collect();
        let mut by_host: HashMap<&str, usize> = HashMap::new();
        for claim in claims {
            let Some(worker) = claim.worker() else { continue };
            if services.gateway.contains(worker) || services.of_worker.contains_key(worker) {
                continue;
            }
            if family.is_gateway_worker(worker) {
                services.gateway.insert(worker.to_owned());
            } else if let Some(service) = family.service_of_worker(worker) {
                services.of_worker.insert(worker.to_owned(), service);
            } else if let Some(service) = family.service_of_host(&claim.host_and_path().0) {
                by_host.entry(worker).or_insert(service);
            }
        }
        for (worker, service) in by_host {
            services.of_worker.entry(worker.to_owned()).or_insert(service);
        }
        services
    }

    /// The service of a worker, by its index in the family.
    #[must_use]
    pub fn service_of(&self, worker: &str) -> Option<usize> {
        self.of_worker.get(worker).copied()
    }

    /// Whether a claim is the gateway's.
    #[must_use]
    pub fn is_gateway(&self, claim: &Claim) -> bool {
        match &claim.owner {
            Owner::Gateway => true,
            Owner::Worker(worker) => self.gateway.contains(worker),
            Owner::Service(_) | Owner::Nobody => false,
        }
    }

    /// Whether two claims are of different owners.
    pub(super) fn differ(&self, claims: &[Claim], one: usize, other: usize) -> bool {
        let (one, other) = (&claims[one], &claims[other]);
        match (&one.owner, &other.owner) {
            (Owner::Worker(a), Owner::Worker(b)) => a != b,
            (Owner::Service(id), Owner::Worker(worker)) | (Owner::Worker(worker), Owner::Service(id)) => {
                self.service_of(worker).is_none_or(|service| self.ids[service] != *id)
            }
            // A route of nobody takes nothing from anybody, and the table says its own conflicts.
            (Owner::Nobody, _)
            | (_, Owner::Nobody)
            | (Owner::Service(_) | Owner::Gateway, Owner::Service(_) | Owner::Gateway) => false,
            (Owner::Gateway, Owner::Worker(worker)) | (Owner::Worker(worker), Owner::Gateway) => {
                !self.gateway.contains(worker)
            }
        }
    }

    /// Whether two claims meet on a host of the gateway, one of them being its own: a finding of its own.
    pub(super) fn is_gateway_matter(&self, claims: &[Claim], one: usize, other: usize) -> bool {
        let own = |claim: &Claim| {
            self.is_gateway(claim) && claim.pattern.as_ref().is_ok_and(|pattern| self.hosts.contains(&pattern.host()))
        };
        let (one, other) = (&claims[one], &claims[other]);
        let stranger = if own(one) {
            other
        } else if own(other) {
            one
        } else {
            return false;
        };
        // A wildcard over a host that the gateway's worker holds itself is an overlap and no more.
        matches!(&one.owner, Owner::Gateway) || matches!(&other.owner, Owner::Gateway) || {
            !stranger.pattern.as_ref().is_ok_and(Pattern::is_wildcard)
        }
    }

    /// Claims on the gateway's hosts that are not the gateway's.
    pub(super) fn on_gateway_hosts(&self, claims: &[Claim], family: &Family) -> Vec<Finding> {
        let held = self.held(claims, family);
        let mut findings = Vec::new();
        for (index, claim) in claims.iter().enumerate() {
            let hosts = self.gateway_hosts_of(claim, family, &held);
            if let [first, more @ ..] = hosts.as_slice() {
                let others =
                    if more.is_empty() { String::new() } else { format!(" and {} more of its hosts", more.len()) };
                let message =
                    format!("`{}` of {} takes what is the gateway's: {first}{others}", claim.text, claim.owner);
                findings.push(Finding::new(Rule::GatewayHost, claim.shown(), message, vec![index]));
            }
        }
        findings
    }

    /// Hosts of the gateway that its worker claims whole.
    #[must_use]
    pub fn held(&self, claims: &[Claim], family: &Family) -> HashSet<String> {
        let whole = |host: &String| {
            let whole = Pattern::whole(host);
            claims.iter().any(|claim| {
                claim.worker().is_some()
                    && self.is_gateway(claim)
                    && claim.is_production()
                    && claim.pattern.as_ref() == Ok(&whole)
            })
        };
        family.gateway.iter().filter(|host| whole(host)).cloned().collect()
    }

    /// The gateway's hosts that a claim of somebody else takes requests for. `held`: hosts that the gateway's worker
    /// claims, where a wildcard does no harm.
    #[must_use]
    pub fn gateway_hosts_of<'f>(&self, claim: &Claim, family: &'f Family, held: &HashSet<String>) -> Vec<&'f str> {
        if claim.worker().is_none() || self.is_gateway(claim) {
            return Vec::new();
        }
        let reaches = |host: &&str| match &claim.pattern {
            Ok(pattern) => pattern.reaches(host) && !(pattern.is_wildcard() && held.contains(*host)),
            Err(_) => loosely(&claim.text).0 == **host,
        };
        family.gateway.iter().map(String::as_str).filter(reaches).collect()
    }

    /// Services that claim more than their own route: one finding for each worker.
    pub(super) fn excess(&self, claims: &[Claim], family: &Family) -> Vec<Finding> {
        let mut by_worker: BTreeMap<&str, (usize, Vec<usize>)> = BTreeMap::new();
        for (index, claim) in claims.iter().enumerate() {
            let Some(service) = claim.worker().and_then(|worker| self.service_of(worker)) else { continue };
            if !is_own(claim, &family.services[service], family) {
                let worker = claim.worker().unwrap_or_default();
                by_worker.entry(worker).or_insert_with(|| (service, Vec::new())).1.push(index);
            }
        }
        by_worker
            .into_iter()
            .map(|(worker, (service, excess))| {
                let member = &family.services[service];
                let texts: Vec<String> = {
                    let mut texts: Vec<String> =
                        excess.iter().map(|&index| format!("`{}`", claims[index].text)).collect();
                    texts.dedup();
                    texts
                };
                let shown: Vec<&str> = texts.iter().take(3).map(String::as_str).collect();
                let more = if texts.len() > 3 { format!(" and {} more", texts.len() - 3) } else { String::new() };
                let message = format!(
                    "{worker} is service {} and claims more than `{}/*`: {}{more}",
                    member.id,
                    member.host,
                    shown.join(", ")
                );
                Finding::new(Rule::ServiceExcess, worker, message, excess)
            })
            .collect()
    }

    /// Workers whose service the registry does not know.
    pub(super) fn unknown(&self, claims: &[Claim], family: &Family) -> Vec<Finding> {
        let mut by_worker: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, claim) in claims.iter().enumerate() {
            let Some(worker) = claim.worker() else { continue };
            let known =
                self.gateway.contains(worker) || self.of_worker.contains_key(worker) || family.is_unusable(worker);
            if !known {
                by_worker.entry(worker).or_default().push(index);
            }
        }
        let finding = |(worker, claims): (&str, Vec<usize>)| {
            let message = format!("{worker} claims routes, and the registry has no service of that name or host");
            Finding::new(Rule::ServiceUnknown, worker, message, claims)
        };
        by_worker.into_iter().map(finding).collect()
    }

    /// Services that no worker claims a route for.
    pub(super) fn unclaimed(&self, claims: &[Claim], family: &Family) -> Vec<Finding> {
        let mut claimed: HashSet<usize> = HashSet::new();
        for claim in claims.iter().filter(|claim| claim.worker().is_some()) {
            claimed.extend(claim.worker().and_then(|worker| self.service_of(worker)));
            claimed.extend(family.service_of_host(&claim.host_and_path().0));
        }
        let unclaimed = family.services.iter().enumerate().filter(|(index, _)| !claimed.contains(index));
        unclaimed
            .map(|(_, member)| {
                let message = format!(
                    "service {} from {} has no worker that claims `{}/*`",
                    member.id, member.source, member.host
                );
                Finding::new(Rule::ServiceUnclaimed, &member.id, message, Vec::new())
            })
            .collect()
    }
}

/// Whether a claim is no more than the service's own route: `<subdomain>.<domain>/*` or a part of it, a host outside the
/// domain that the operator gave to it, or, in an environment other than production, that environment's own host
/// (`<subdomain>-<environment>.<domain>` and its like).
#[must_use]
pub fn is_own(claim: &Claim, member: &Member, family: &Family) -> bool {
    if claim.kind == Kind::Table {
        return true;
    }
    let pattern = match &claim.pattern {
        Ok(pattern) => pattern.clone(),
        // As it will be once it is mended.
        Err(PatternError::DomainPath(path)) if path == "/*" => Pattern::whole(&loosely(&claim.text).0),
        // There is nothing to be told of a claim without a pattern.
        Err(PatternError::Empty) => return true,
        Err(_) => return false,
    };
    let own = std::iter::once(member.host.clone()).chain(member.further.iter().cloned());
    let mut all = own.chain(own_elsewhere(claim.environment.as_deref(), member, family));
    all.any(|host| Pattern::whole(&host).covers(&pattern))
}

/// Hosts of a service in an environment other than production.
fn own_elsewhere(environment: Option<&str>, member: &Member, family: &Family) -> Vec<String> {
    let Some(environment) = environment.filter(|name| !is_production(Some(name))) else { return Vec::new() };
    let label = member.host.strip_suffix(family.domain.as_str()).unwrap_or_default().trim_end_matches('.');
    let (environment, domain) = (environment.to_ascii_lowercase(), &family.domain);
    ["-", "."]
        .into_iter()
        .flat_map(|dash| {
            [format!("{label}{dash}{environment}.{domain}"), format!("{environment}{dash}{label}.{domain}")]
        })
        .collect()
}
