//! What the gateway says is whose: its own hosts, and the services of its table.

use std::collections::{HashMap, HashSet};

use super::claim::{Claim, Kind, Owner, Place, split_script};
use super::pattern::Pattern;
use crate::registry::report::{RoutesReport, ServiceRow};

/// The worker that stands for the gateway at Cloudflare, unless another is named.
pub const GATEWAY_WORKER: &str = "chittyconnect";

/// The gateway's hosts and services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// The zone of the service hosts.
    pub domain: String,
    /// The gateway's own hosts, each once.
    pub gateway: Vec<String>,
    /// The worker that stands for the gateway.
    pub gateway_worker: String,
    /// Services that requests can be sent to, or that are known without an endpoint.
    pub services: Vec<Member>,
    by_name: HashMap<String, usize>,
    by_host: HashMap<String, usize>,
    /// Names that the registry has and the table cannot use.
    unusable: HashSet<String>,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: String,
    /// `<subdomain>.<domain>`.
    pub host: String,
    /// Every host that routes to it.
    pub hosts: Vec<String>,
    /// Hosts outside the domain, which the operator gave to it.
    pub further: Vec<String>,
    /// Where it comes from.
    pub source: String,
}

impl Family {
    /// Out of what `routes` prints. `None` when the report does not say the gateway's hosts, as of an older daemon.
    #[must_use]
    pub fn of(report: &RoutesReport, gateway_worker: &str) -> Option<Self> {
        let domain = report.domain.clone()?;
        let mut gateway: Vec<String> = Vec::new();
        for host in &report.gateway {
            if !gateway.contains(&host.host) {
                gateway.push(host.host.clone());
            }
        }
        let mut family = Self {
            domain,
            gateway,
            gateway_worker: gateway_worker.to_owned(),
            services: Vec::new(),
            by_name: HashMap::new(),
            by_host: HashMap::new(),
            unusable: report.rejected.iter().filter_map(|rejected| rejected.entry.id.clone()).collect(),
        };
        for row in &report.services {
            family.add(row);
        }
        for row in &report.unroutable {
            let host = format!("{}.{}", row.subdomain.as_deref().unwrap_or(&row.id), family.domain);
            let names = [Some(row.id.clone()), row.subdomain.clone()];
            let member = Member {
                id: row.id.clone(),
                hosts: vec![host.clone()],
                host,
                further: Vec::new(),
                source: row.source.to_string(),
            };
            family.insert(member, names.into_iter().flatten());
        }
        Some(family)
    }

    fn add(&mut self, row: &ServiceRow) {
        let host = format!("{}.{}", row.subdomain.as_deref().unwrap_or(&row.id), self.domain);
        let below = format!(".{}", self.domain);
        let member = Member {
            id: row.id.clone(),
            host,
            hosts: row.hosts.clone(),
            further: row.hosts.iter().filter(|host| !host.ends_with(&below)).cloned().collect(),
            source: row.source.to_string(),
        };
        let names = row.prefixes.iter().chain([&row.id]).chain(&row.external_id).cloned().collect::<Vec<_>>();
        self.insert(member, names.into_iter());
    }

    fn insert(&mut self, member: Member, names: impl Iterator<Item = String>) {
        let index = self.services.len();
        for name in names {
            self.by_name.entry(name.to_ascii_lowercase()).or_insert(index);
        }
        for host in member.hosts.iter().chain([&member.host]) {
            self.by_host.entry(host.clone()).or_insert(index);
        }
        self.services.push(member);
    }

    /// The service that a worker of this name is: by the name, less `-production` or `-staging`.
    #[must_use]
    pub fn service_of_worker(&self, worker: &str) -> Option<usize> {
        let lower = worker.to_ascii_lowercase();
        let short = split_script(&lower).0;
        self.by_name.get(&lower).or_else(|| self.by_name.get(short)).copied()
    }

    /// Whether a service has this very id.
    #[must_use]
    pub fn is_service_id(&self, name: &str) -> bool {
        self.by_name.get(name).is_some_and(|&index| self.services[index].id == name)
    }

    /// Whether the registry has a worker's service in an entry that the table cannot use.
    #[must_use]
    pub fn is_unusable(&self, worker: &str) -> bool {
        let lower = worker.to_ascii_lowercase();
        self.unusable.contains(&lower) || self.unusable.contains(split_script(&lower).0)
    }

    /// The service whose host this is.
    #[must_use]
    pub fn service_of_host(&self, host: &str) -> Option<usize> {
        self.by_host.get(host).copied()
    }

    /// Whether a worker of this name stands for the gateway.
    #[must_use]
    pub fn is_gateway_worker(&self, worker: &str) -> bool {
        worker == self.gateway_worker || split_script(worker).0 == self.gateway_worker
    }

    /// Whether the gateway answers this host itself.
    #[must_use]
    pub fn is_gateway_host(&self, host: &str) -> bool {
        self.gateway.iter().any(|own| own == host)
    }

    /// What the gateway and the services of its table claim.
    #[must_use]
    pub fn claims(&self, place: &Place) -> Vec<Claim> {
        let of = |host: &String, owner: Owner| Claim {
            text: format!("{host}/*"),
            pattern: Ok(Pattern::whole(host)),
            kind: Kind::Table,
            owner,
            script: None,
            environment: None,
            zone: None,
            zone_id: None,
            wrong: None,
            place: place.clone(),
            entry: None,
        };
        let gateway = self.gateway.iter().map(|host| of(host, Owner::Gateway));
        let services = self
            .services
            .iter()
            .flat_map(|service| service.hosts.iter().map(move |host| of(host, Owner::Service(service.id.clone()))));
        gateway.chain(services).collect()
    }
}
