//! What `routes` prints: every name with where it came from, what is contested, what cannot be used, how sources fare.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::merge::Merged;
use super::source::SourceStatus;
use crate::model::name::Hostname;
use crate::model::service::SourceName;
use crate::route::Role;
use crate::route::claim::Conflict;
use crate::route::explain::RejectedEntry;
use crate::route::table::Table;

/// The whole table, for a person or a program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoutesReport {
    /// The zone of the service hosts; `None` from a daemon that does not say it yet.
    #[serde(default)]
    pub domain: Option<String>,
    /// The gateway's own hosts.
    #[serde(default)]
    pub gateway: Vec<GatewayHost>,
    /// Whether some source has neither answered nor failed yet.
    pub loading: bool,
    /// Services with an endpoint, in the order of their sources.
    pub services: Vec<ServiceRow>,
    /// Services that are known, but not where they are.
    pub unroutable: Vec<Unroutable>,
    /// Names that were claimed and not given.
    pub conflicts: Vec<Conflict>,
    /// Entries that cannot be used.
    pub rejected: Vec<RejectedEntry>,
    /// Every source.
    pub sources: Vec<SourceStatus>,
}

/// A host that the gateway answers itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayHost {
    /// The host.
    pub host: String,
    /// The key of `gateway` that names it: `connect`, `api`, `mcp`, `files`, `register`.
    pub role: String,
}

/// One service and the names that route to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceRow {
    /// Its id.
    pub id: String,
    /// Its label under the domain.
    #[serde(default)]
    pub subdomain: Option<String>,
    /// The registry's own id, where it is another.
    pub external_id: Option<String>,
    /// Prefixes that route to it.
    pub prefixes: Vec<String>,
    /// Hosts that route to it.
    pub hosts: Vec<String>,
    /// Where it listens.
    pub endpoints: Vec<String>,
    /// Whether it is switched on.
    pub enabled: bool,
    /// As its source states it.
    pub status: Option<String>,
    /// The source that first named it.
    pub source: SourceName,
    /// Field → the source its value came from.
    pub provenance: BTreeMap<String, SourceName>,
}

/// A service without an endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unroutable {
    /// Its id.
    pub id: String,
    /// Its label under the domain.
    #[serde(default)]
    pub subdomain: Option<String>,
    /// The source that first named it.
    pub source: SourceName,
    /// Why.
    pub reason: String,
}

/// Entries that cannot be used, flat.
#[must_use]
pub fn rejected_of(merged: &Merged) -> Vec<RejectedEntry> {
    let of_source = |(source, entries): &(SourceName, std::sync::Arc<[_]>)| {
        let source = source.clone();
        entries.iter().cloned().map(move |entry| RejectedEntry { source: source.clone(), entry }).collect::<Vec<_>>()
    };
    merged.rejected.iter().flat_map(of_source).collect()
}

impl RoutesReport {
    /// Of `table` and of what the sources said. `sources`: how they fare now.
    #[must_use]
    pub fn of(table: &Table, merged: &Merged, sources: Vec<SourceStatus>) -> Self {
        let mut services = Vec::new();
        let mut unroutable = Vec::new();
        for upstream in table.upstreams() {
            let service = upstream.service();
            if service.endpoints.is_empty() {
                let reason = service.declared.no_endpoint_because.clone();
                unroutable.push(Unroutable {
                    id: service.id.to_string(),
                    subdomain: Some(service.subdomain.to_string()),
                    source: service.source.clone(),
                    reason: reason.unwrap_or_else(|| "no base URL".to_owned()),
                });
                continue;
            }
            let (prefixes, hosts) = table.names_of(upstream);
            services.push(ServiceRow {
                id: service.id.to_string(),
                subdomain: Some(service.subdomain.to_string()),
                external_id: service.declared.external_id.clone(),
                prefixes,
                hosts,
                endpoints: service.endpoints.iter().map(ToString::to_string).collect(),
                enabled: service.enabled,
                status: service.declared.status.clone(),
                source: service.source.clone(),
                provenance: service
                    .provenance
                    .iter()
                    .map(|(field, from)| ((*field).to_owned(), from.clone()))
                    .collect(),
            });
        }
        let own = |(host, role): (&Hostname, Role)| GatewayHost { host: host.to_string(), role: role.key().to_owned() };
        Self {
            domain: Some(table.config().domain.to_string()),
            gateway: table.config().gateway_hosts().map(own).collect(),
            loading: table.is_loading(),
            services,
            unroutable,
            conflicts: table.conflicts().to_vec(),
            rejected: rejected_of(merged),
            sources,
        }
    }
}

impl fmt::Display for RoutesReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.services.iter().map(|row| row.id.len()).max().unwrap_or(0).max(7);
        writeln!(f, "{:width$}  ENDPOINTS, NAMES, SOURCE", "SERVICE")?;
        for row in &self.services {
            let off = if row.enabled { "" } else { "  [disabled]" };
            writeln!(f, "{:width$}  {}{off}", row.id, row.endpoints.join(", "))?;
            writeln!(f, "{:width$}  {}", "", row.hosts.join(" "))?;
            writeln!(f, "{:width$}  /{}   from {}", "", row.prefixes.join(" /"), row.source)?;
        }
        for row in &self.unroutable {
            writeln!(f, "unroutable: {} from {}: {}", row.id, row.source, row.reason)?;
        }
        for conflict in &self.conflicts {
            let winner = match (&conflict.winner, &conflict.winner_source) {
                (Some(winner), Some(source)) => format!("`{winner}` from {source} has it"),
                (Some(winner), None) => format!("`{winner}` has it"),
                (None, _) => "the gateway keeps it".to_owned(),
            };
            let Conflict { name, service, field, source, .. } = conflict;
            writeln!(f, "conflict:   `{name}` ({field} of `{service}` from {source}): {winner}")?;
        }
        for rejected in &self.rejected {
            let id = rejected.entry.id.as_deref().unwrap_or("?");
            writeln!(
                f,
                "rejected:   entry {} ({id}) of {}: {}",
                rejected.entry.index, rejected.source, rejected.entry.reason
            )?;
        }
        for source in &self.sources {
            let success = source.last_success.map_or("never".to_owned(), |at| format!("{at:.0}"));
            let stale = if source.stale { ", stale" } else { "" };
            write!(f, "source:     {}: {} entries, last success {success}{stale}", source.name, source.entries)?;
            match &source.last_error {
                Some(error) => writeln!(f, ", last error {:.0}: {}", error.at, error.text)?,
                None => writeln!(f)?,
            }
        }
        if self.loading {
            writeln!(f, "loading:    not every source has answered yet")?;
        }
        Ok(())
    }
}
