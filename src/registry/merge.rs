//! Lists laid over each other: one [`Service`] for each id, field by field, with the source of every field.
//!
//! `services:` wins over the sources, an earlier source over a later one, an earlier entry over a later one of the same
//! list; a list is replaced whole. A service that registered itself is listed only where no other source names it. Names are not resolved into routes here: whose a contested name is decides the table.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use ipnet::IpNet;

use super::embedded::EMBEDDED;
use super::source::{Listing, STATIC, SourceStatus};
use crate::model::name::ServiceKey;
use crate::model::service::{
    Declaration, HealthPolicy, IN_FLIGHT, OutlierPolicy, Rejected, RetryPolicy, Service, SourceName, Timeouts,
    UpstreamTls,
};

/// Everything that is known of the services: what the table is built from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Merged {
    /// One for each id: the sources in their order, entries in theirs, then static services that no source names.
    pub services: Vec<Service>,
    /// Entries that cannot be used, by their source, in the order of the sources; sources without any are left out.
    pub rejected: Vec<(SourceName, Arc<[Rejected]>)>,
    /// How the sources fare, in their order, as of this merge.
    pub sources: Vec<SourceStatus>,
}

impl Merged {
    /// Whether every source has answered or failed once, so that an unknown name is really unknown.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.sources.iter().all(|source| source.answered)
    }
}

/// One declaration and what its source is.
#[derive(Clone, Copy)]
struct Layer<'a> {
    declaration: &'a Declaration,
    source: &'a SourceName,
    trusted: bool,
    allowed_networks: &'a Arc<[IpNet]>,
}

/// Lays `static_services` over `listings` (an earlier one over a later one). `sources` is handed through.
#[must_use]
pub fn merge(static_services: &[Declaration], listings: &[Listing], sources: Vec<SourceStatus>) -> Merged {
    let own: SourceName = STATIC.into();
    let nowhere: Arc<[IpNet]> = Arc::from([]);
    let elsewhere = named_elsewhere(static_services, listings);
    let listed = listings.iter().flat_map(|listing| {
        let Listing { source, trusted, allowed_networks, .. } = listing;
        let layer = |declaration| Layer { declaration, source, trusted: *trusted, allowed_networks };
        let own = listing.declarations.iter().filter(|declaration| !is_displaced(listing, declaration, &elsewhere));
        own.map(layer)
    });
    let own_layer = |declaration| Layer { declaration, source: &own, trusted: true, allowed_networks: &nowhere };
    let mut order: Vec<(&ServiceKey, Vec<Layer<'_>>)> = Vec::new();
    let mut places: HashMap<&ServiceKey, usize> = HashMap::new();
    for layer in listed.chain(static_services.iter().map(own_layer)) {
        let Some(id) = &layer.declaration.id else { continue };
        let place = *places.entry(id).or_insert_with(|| {
            order.push((id, Vec::new()));
            order.len() - 1
        });
        order[place].1.push(layer);
    }
    let services = order.into_iter().map(|(id, layers)| service(id, layers)).collect();
    let rejected = listings
        .iter()
        .map(|listing| (listing.source.clone(), rejected_of(listing, &elsewhere)))
        .filter(|(_, rejected)| !rejected.is_empty())
        .collect();
    Merged { services, rejected, sources }
}

/// The ids that others than the embedded registry name; empty where there is none.
fn named_elsewhere<'a>(static_services: &'a [Declaration], listings: &'a [Listing]) -> HashSet<&'a ServiceKey> {
    if !listings.iter().any(is_embedded) {
        return HashSet::new();
    }
    let others = listings.iter().filter(|listing| !is_embedded(listing)).flat_map(|listing| &*listing.declarations);
    others.chain(static_services).filter_map(|declaration| declaration.id.as_ref()).collect()
}

fn is_embedded(listing: &Listing) -> bool {
    &*listing.source == EMBEDDED
}

/// Whether a service registered itself under a name that another source has: nobody adds to another's service that way.
fn is_displaced(listing: &Listing, declaration: &Declaration, elsewhere: &HashSet<&ServiceKey>) -> bool {
    is_embedded(listing) && declaration.id.as_ref().is_some_and(|id| elsewhere.contains(id))
}

/// The entries of a list that cannot be used, those among them that another source names.
fn rejected_of(listing: &Listing, elsewhere: &HashSet<&ServiceKey>) -> Arc<[Rejected]> {
    let displaced = listing.declarations.iter().enumerate().filter(|(_, one)| is_displaced(listing, one, elsewhere));
    let displaced: Vec<_> = displaced
        .map(|(index, declaration)| Rejected {
            index,
            id: declaration.id.as_ref().map(ToString::to_string),
            base_url: declaration.endpoints.as_ref().and_then(|list| list.first()).map(ToString::to_string),
            reason: "another source names it, and what registers itself adds nothing to that".to_owned(),
        })
        .collect();
    if displaced.is_empty() {
        return listing.rejected.clone();
    }
    listing.rejected.iter().cloned().chain(displaced).collect()
}

/// One service from all that is said of it; `layers` in the order of the list.
fn service(id: &ServiceKey, mut layers: Vec<Layer<'_>>) -> Service {
    let source = layers[0].source.clone();
    layers.sort_by_key(|layer| &**layer.source != STATIC);
    let mut declared = Declaration::default();
    let mut provenance = BTreeMap::new();
    for layer in &layers {
        lay_under(&mut declared, *layer, &mut provenance);
    }
    let origin = layers.iter().find(|layer| layer.declaration.endpoints.is_some());
    let endpoints = declared.endpoints.clone().unwrap_or_default();
    if !endpoints.is_empty() {
        declared.no_endpoint_because = None;
        provenance.remove("no_endpoint_because");
    }
    let (said, default) = (declared.timeouts, Timeouts::default());
    let (retry, outlier) = (RetryPolicy::default(), OutlierPolicy::default());
    let health = health_policy(&declared, &layers, &provenance);
    Service {
        id: id.clone(),
        subdomain: declared.subdomain.clone().unwrap_or_else(|| id.clone()),
        aliases: declared.aliases.clone().unwrap_or_default(),
        hosts: declared.hosts.clone().unwrap_or_default(),
        endpoints,
        trusted: origin.is_some_and(|layer| layer.trusted),
        allowed_networks: origin.map_or_else(|| Arc::from([]), |layer| layer.allowed_networks.clone()),
        timeouts: Timeouts {
            connect: said.connect.unwrap_or(default.connect),
            read: said.read.unwrap_or(default.read),
            write: said.write.unwrap_or(default.write),
            total: said.total.unwrap_or(default.total),
        },
        body_bytes: declared.body_bytes,
        in_flight: declared.in_flight.unwrap_or(IN_FLIGHT),
        balance: declared.balance.unwrap_or_default(),
        hash_on: declared.hash_on.clone().unwrap_or_default(),
        retry: RetryPolicy {
            attempts: declared.retry.attempts.unwrap_or(retry.attempts),
            on: declared.retry.on.clone().unwrap_or(retry.on),
            budget: declared.retry.budget.unwrap_or(retry.budget),
        },
        outlier: OutlierPolicy {
            consecutive_errors: declared.outlier.consecutive_errors.unwrap_or(outlier.consecutive_errors),
            eject_for: declared.outlier.eject_for.unwrap_or(outlier.eject_for),
            max_ejected: declared.outlier.max_ejected.unwrap_or(outlier.max_ejected),
        },
        health,
        tls: UpstreamTls {
            verify: declared.tls.verify.unwrap_or(true),
            ca_file: declared.tls.ca_file.clone(),
            sni: declared.tls.sni.clone(),
            client: declared.tls.client.clone(),
        },
        headers: declared.headers.clone().unwrap_or_default(),
        auth: declared.auth.unwrap_or_default(),
        forward_credentials: declared.forward_credentials.unwrap_or(true),
        enabled: declared.enabled.unwrap_or(true),
        source,
        provenance,
        declared,
    }
}

/// Probes decide over routing where the operator's own files speak of `health`. What a registry says of a service's health
/// is shown: a path that is wrong there must not take a service down that works.
fn health_policy(
    declared: &Declaration,
    layers: &[Layer<'_>],
    provenance: &BTreeMap<&'static str, SourceName>,
) -> Option<HealthPolicy> {
    const KEYS: [&str; 5] = ["health_path", "health_interval", "health_timeout", "health_healthy", "health_unhealthy"];
    let by_operator = |source| layers.iter().any(|layer| layer.trusted && layer.source == source);
    KEYS.iter().filter_map(|key| provenance.get(key)).any(by_operator).then(|| {
        let default = HealthPolicy::default();
        HealthPolicy {
            healthy: declared.health_healthy.unwrap_or(default.healthy),
            unhealthy: declared.health_unhealthy.unwrap_or(default.unhealthy),
        }
    })
}

/// Fills what `upper` does not say from `layer`, and notes where it came from.
fn lay_under(upper: &mut Declaration, layer: Layer<'_>, provenance: &mut BTreeMap<&'static str, SourceName>) {
    let lower = layer.declaration;
    let health_is_said = upper.health_url.is_some() || upper.health_path.is_some();
    macro_rules! lay {
        ($($name:literal $($field:ident).+),* $(,)?) => {$(
            if upper.$($field).+.is_none() && lower.$($field).+.is_some() {
                upper.$($field).+.clone_from(&lower.$($field).+);
                provenance.insert($name, layer.source.clone());
            }
        )*};
    }
    lay! {
        "id" id,
        "external_id" external_id,
        "display_name" display_name,
        "description" description,
        "version" version,
        "subdomain" subdomain,
        "aliases" aliases,
        "hosts" hosts,
        "endpoints" endpoints,
        "no_endpoint_because" no_endpoint_because,
        "url" url,
        "host_header" host_header,
        "health_interval" health_interval,
        "health_timeout" health_timeout,
        "health_healthy" health_healthy,
        "health_unhealthy" health_unhealthy,
        "mcp_url" mcp_url,
        "status" status,
        "health_state" health_state,
        "timeouts.connect" timeouts.connect,
        "timeouts.read" timeouts.read,
        "timeouts.write" timeouts.write,
        "timeouts.total" timeouts.total,
        "body_bytes" body_bytes,
        "in_flight" in_flight,
        "balance" balance,
        "hash_on" hash_on,
        "retry.attempts" retry.attempts,
        "retry.on" retry.on,
        "retry.budget" retry.budget,
        "outlier.consecutive_errors" outlier.consecutive_errors,
        "outlier.eject_for" outlier.eject_for,
        "outlier.max_ejected" outlier.max_ejected,
        "forward_credentials" forward_credentials,
        "enabled" enabled,
        "reason" reason,
    }
    // Whatever a snapshot or a document of one may hold: who is let in, whom we trust and what we say is the operator's.
    if layer.trusted {
        lay! {
            "auth" auth,
            "tls.verify" tls.verify,
            "tls.ca_file" tls.ca_file,
            "tls.sni" tls.sni,
            "tls.client" tls.client,
            "headers" headers,
        }
    }
    // One question, two spellings: a URL from below must not win over a path from above.
    if !health_is_said {
        lay! { "health_url" health_url, "health_path" health_path }
    }
}

#[cfg(test)]
mod tests;
