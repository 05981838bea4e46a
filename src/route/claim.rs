//! Who gets a name that several services claim (DESIGN.md, "The table").
//!
//! The static `services:` come first, then the sources in their order, then the entries in theirs; the kind of name
//! does not matter. A loser keeps its other names.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};

use super::Config;
use crate::model::name::{Hostname, RESERVED_FOR_OPERATOR, ServiceKey};
use crate::model::service::{Service, SourceName};

/// A name that was claimed and not given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// The name: a key, or a whole host.
    pub name: String,
    /// The service that wanted it.
    pub service: ServiceKey,
    /// What it wanted it as: `id`, `subdomain`, `aliases` or `hosts`.
    pub field: String,
    /// The source that says so.
    pub source: SourceName,
    /// The service that has it; `None` when the gateway keeps it for itself.
    pub winner: Option<ServiceKey>,
    /// The winner's source.
    pub winner_source: Option<SourceName>,
}

/// Names given out: index into the services, by name.
#[derive(Debug, Default)]
pub struct Claims {
    /// Service keys, as prefixes.
    pub prefixes: HashMap<Box<str>, usize, RandomState>,
    /// Whole hosts.
    pub hosts: HashMap<Box<str>, usize, RandomState>,
    /// What was not given.
    pub conflicts: Vec<Conflict>,
}

struct Claim<'a> {
    rank: usize,
    service: usize,
    field: &'static str,
    name: Name<'a>,
    source: &'a SourceName,
}

#[derive(Clone, Copy)]
enum Name<'a> {
    Key(&'a ServiceKey),
    Host(&'a Hostname),
}

/// Gives out the names of `services`. `rank` orders sources: lower wins.
#[must_use]
pub fn settle(services: &[Service], config: &Config, rank: &dyn Fn(&str) -> usize) -> Claims {
    let mut claims = Vec::with_capacity(services.len() * 2);
    for (index, service) in services.iter().enumerate() {
        let mut claim = |field: &'static str, name| {
            let source = service.provenance.get(field).unwrap_or(&service.source);
            claims.push(Claim { rank: rank(source), service: index, field, name, source });
        };
        claim("id", Name::Key(&service.id));
        if service.subdomain != service.id {
            claim("subdomain", Name::Key(&service.subdomain));
        }
        for alias in &service.aliases {
            claim("aliases", Name::Key(alias));
        }
        for host in &service.hosts {
            claim("hosts", Name::Host(host));
        }
    }
    // Stable: within a source, the entries' own order stays.
    claims.sort_by_key(|claim| claim.rank);
    let gateway: std::collections::HashSet<&str> = config.gateway_hosts().map(|(host, _)| host.as_str()).collect();
    let mut given = Claims::default();
    // The source of every name that was given, prefixes and hosts apart.
    let mut winners: [HashMap<Box<str>, &SourceName, RandomState>; 2] = Default::default();
    for claim in &claims {
        let (key, host) = match claim.name {
            Name::Key(key) => (Some(key), config.domain.child(key)),
            Name::Host(host) => (None, host.clone()),
        };
        let name = key.map_or_else(|| host.to_string(), ToString::to_string);
        // Rank 0 is the operator's own word.
        let reserved =
            |key: &ServiceKey| key.is_reserved() && (claim.rank > 0 || !RESERVED_FOR_OPERATOR.contains(&key.as_str()));
        let own = key.is_some_and(reserved) || gateway.contains(host.as_str());
        let mut loses_to = None;
        if own {
            loses_to = Some(None);
        } else {
            if let Some(key) = key {
                match given.prefixes.entry(key.as_str().into()) {
                    Entry::Vacant(free) => {
                        free.insert(claim.service);
                        winners[0].insert(key.as_str().into(), claim.source);
                    }
                    Entry::Occupied(taken) if *taken.get() != claim.service => {
                        loses_to = Some(Some((*taken.get(), winners[0].get(key.as_str()).copied())));
                    }
                    Entry::Occupied(_) => {}
                }
            }
            match given.hosts.entry(host.as_str().into()) {
                Entry::Vacant(free) => {
                    free.insert(claim.service);
                    winners[1].insert(host.as_str().into(), claim.source);
                }
                Entry::Occupied(taken) if *taken.get() != claim.service => {
                    loses_to = Some(Some((*taken.get(), winners[1].get(host.as_str()).copied())));
                }
                Entry::Occupied(_) => {}
            }
        }
        if let Some(winner) = loses_to {
            given.conflicts.push(Conflict {
                name,
                service: services[claim.service].id.clone(),
                field: claim.field.to_owned(),
                source: claim.source.clone(),
                winner: winner.map(|(index, _)| services[index].id.clone()),
                winner_source: winner.and_then(|(_, source)| source.cloned()),
            });
        }
    }
    given
}
