//! From everything that sources say to the table in force, the discovery documents and the metrics that go with it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use crate::api;
use crate::api::discovery::Documents;
use crate::api::registry::Listing;
use crate::registry::merge::Merged;
use crate::registry::source::STATIC;
use crate::registry::switch::Switches;
use crate::route::table::Table;
use crate::route::{self, Routes};
use crate::telemetry::metrics::Metrics;
use crate::upstream::endpoint::Endpoints;

/// Builds and publishes tables.
pub(super) struct Publisher {
    /// The gateway's hosts.
    pub(super) config: Arc<route::Config>,
    /// The table in force.
    pub(super) routes: Routes,
    /// The documents made from it.
    pub(super) documents: Arc<Documents>,
    /// Its services, as documents.
    pub(super) listing: Arc<Listing>,
    switches: Arc<Switches>,
    endpoints: Arc<Endpoints>,
    metrics: Arc<Metrics>,
    /// Held while a table is built, so that two never pass each other.
    building: Mutex<()>,
}

impl Publisher {
    /// Nothing is known yet, so every name may still come.
    pub(super) fn new(
        config: route::Config,
        discovery: api::Config,
        switches: Arc<Switches>,
        endpoints: Arc<Endpoints>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let config = Arc::new(config);
        let empty = Table::build(Arc::clone(&config), Vec::new(), &|_| 0, true, &endpoints, &metrics, None);
        Self {
            documents: Arc::new(Documents::new(discovery, Arc::clone(&config))),
            listing: Arc::default(),
            routes: Routes::new(empty),
            config,
            switches,
            endpoints,
            metrics,
            building: Mutex::new(()),
        }
    }

    /// Puts `merged` in force.
    pub(super) fn publish(&self, merged: &Merged) {
        let _turn = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        let order: HashMap<&str, usize> =
            merged.sources.iter().enumerate().map(|(index, source)| (&*source.name, index + 1)).collect();
        let rank = |source: &str| if source == STATIC { 0 } else { order.get(source).copied().unwrap_or(usize::MAX) };
        let before = self.routes.load();
        let mut services = merged.services.clone();
        self.switches.apply(&mut services);
        let table = Table::build(
            Arc::clone(&self.config),
            services,
            &rank,
            !merged.settled(),
            &self.endpoints,
            &self.metrics,
            Some(&before),
        );
        self.documents.render(&table);
        self.listing.render(&table);
        self.routes.publish(table);
        // After the table: a request that begins now finds the new one.
        self.report(&before, &self.routes.load(), merged);
    }

    fn report(&self, before: &Table, table: &Table, merged: &Merged) {
        let kept: HashSet<&str> = table.upstreams().iter().map(|upstream| upstream.service().id.as_str()).collect();
        for gone in before.upstreams() {
            let id = gone.service().id.as_str();
            if !kept.contains(id) {
                gone.metrics().retire();
                self.metrics.forget_service(id);
            }
        }
        let mut counts: HashMap<&str, i64> = merged.sources.iter().map(|source| (&*source.name, 0)).collect();
        for upstream in table.upstreams() {
            *counts.entry(&upstream.service().source).or_default() += 1;
        }
        let conflicts = table.conflicts().len();
        self.metrics.table_changed(counts.into_iter(), i64::try_from(conflicts).unwrap_or(i64::MAX));
        for conflict in table.conflicts().iter().filter(|conflict| !before.conflicts().contains(conflict)) {
            tracing::warn!(
                name = conflict.name,
                service = %conflict.service,
                source = &*conflict.source,
                winner = conflict.winner.as_ref().map(tracing::field::display),
                "a name is claimed twice: the loser keeps its other names"
            );
        }
        let services = table.upstreams().len();
        tracing::info!(services, conflicts, loading = table.is_loading(), "routing table published");
    }
}
