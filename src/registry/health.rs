//! Whether services are well: their health is asked in the background, whoever wants to know reads what was last found.
//!
//! Every service has a task that asks at its own interval, with jitter; all together ask so many at once and no more.
//! Addresses come from the resolver and pass the guard like those of requests. What is found is handed to
//! the service's endpoints, which decide by it whether they get requests where the operator asked for that. The list of all is rendered beside the requests, when something in it has changed.

mod found;
mod target;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use serde::{Serialize, Serializer};
use tokio::sync::{Notify, Semaphore};
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::found::Found;
pub use self::found::{Health, ServiceStatus};
use self::target::Target;
use super::listed::public_url;
use crate::model::name::ServiceKey;
use crate::route::table::Table;
use crate::telemetry::metrics::Metrics;
use crate::upstream::endpoint::Endpoints;
use crate::upstream::probe::Prober;

/// Questions at once, of all services together.
const AT_ONCE: usize = 32;
/// Questions are spread over this share of the interval on both sides.
const JITTER: f64 = 0.1;
/// The first question after a service appeared comes within this time, not all in one moment.
const FIRST_WITHIN: Duration = Duration::from_millis(500);
/// Until a name has been looked up for the first time, between two looks.
const NAME_PENDING: Duration = Duration::from_millis(100);
/// And so many looks, after which it counts as having no address.
const PENDING_LOOKS: u32 = 100;
/// The list is rendered no sooner after the last time than this, or than the share of one core that it may take allows.
const RENDER_EVERY: Duration = Duration::from_millis(100);
/// Rendering takes one part in so many of a core at the most.
const RENDER_SHARE: u32 = 50;

/// What is known of the health of every service. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HealthWatch(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    prober: Prober,
    permits: Semaphore,
    endpoints: Arc<Endpoints>,
    metrics: Arc<Metrics>,
    watched: ArcSwap<Watched>,
    list: ArcSwap<Bytes>,
    changed: Notify,
}

/// The services of one table.
#[derive(Debug, Default)]
struct Watched {
    services: Vec<Entry>,
    by_id: HashMap<ServiceKey, usize>,
    by_key: HashMap<ServiceKey, usize>,
}

/// One of them; the task that asks ends when the last table with it is gone.
#[derive(Clone, Debug)]
struct Entry {
    service: Arc<Service>,
    url: Option<String>,
    _ends: Arc<DropGuard>,
}

/// One service, and what was last found.
#[derive(Debug)]
struct Service {
    target: Target,
    found: Found,
}

impl HealthWatch {
    /// Knows of no service yet.
    #[must_use]
    pub fn new(endpoints: Arc<Endpoints>, metrics: Arc<Metrics>) -> Self {
        Self(Arc::new(Inner {
            prober: Prober::default(),
            permits: Semaphore::new(AT_ONCE),
            endpoints,
            metrics,
            watched: ArcSwap::default(),
            list: ArcSwap::from_pointee(render(&Watched::default())),
            changed: Notify::new(),
        }))
    }

    /// Asks after the services of `table` from now on, on the current runtime. One that did not change is asked as before;
    /// of one that did, what was last found stays until something newer is. To be called by one caller at a time.
    pub fn follow(&self, table: &Table) {
        let before = self.0.watched.load_full();
        let mut now = Watched::default();
        for upstream in table.upstreams() {
            let id = &upstream.service().id;
            let known = before.by_id.get(id).map(|&index| &before.services[index]);
            let url = public_url(upstream, table);
            let entry = match known {
                Some(known) if known.service.target.is_of(upstream) => Entry { url, ..known.clone() },
                known => {
                    let target = Target::of(upstream, &self.0.endpoints);
                    let gauges = target.gauges(&self.0.metrics);
                    let found = Found::new(gauges, &target, known.map(|known| &known.service.found));
                    self.start(Service { target, found }, url)
                }
            };
            now.by_id.insert(id.clone(), now.services.len());
            now.services.push(entry);
        }
        for upstream in table.upstreams() {
            let Some(&index) = now.by_id.get(&upstream.service().id) else { continue };
            for name in table.names_of(upstream).0 {
                if let Ok(key) = ServiceKey::parse(&name) {
                    now.by_key.insert(key, index);
                }
            }
        }
        for gone in &before.services {
            let kept = now.by_id.get(gone.service.target.id()).map(|&index| &now.services[index].service);
            if !kept.is_some_and(|kept| Arc::ptr_eq(kept, &gone.service)) {
                gone.service.found.retire(kept.map(|kept| &kept.found));
            }
        }
        self.0.watched.store(Arc::new(now));
        self.0.changed.notify_one();
    }

    /// What is known of the service with this key: its id, its subdomain or an alias.
    #[must_use]
    pub fn status(&self, key: &ServiceKey) -> Option<ServiceStatus> {
        let watched = self.0.watched.load();
        watched.by_key.get(key).map(|&index| watched.services[index].status())
    }

    /// What is known of every service, as JSON: `{"services": {"<id>": …}}`.
    #[must_use]
    pub fn list(&self) -> Bytes {
        Bytes::clone(&self.0.list.load())
    }

    /// Renders the list whenever something in it has changed. Runs until dropped.
    pub async fn run(self) {
        loop {
            self.0.changed.notified().await;
            let watched = self.0.watched.load_full();
            let begun = Instant::now();
            if let Ok(list) = tokio::task::spawn_blocking(move || render(&watched)).await {
                self.0.list.store(Arc::new(list));
            }
            sleep((begun.elapsed() * RENDER_SHARE).max(RENDER_EVERY)).await;
        }
    }

    fn start(&self, service: Service, url: Option<String>) -> Entry {
        let service = Arc::new(service);
        let ends = CancellationToken::new();
        if service.target.is_asked() {
            let (inner, asked, ended) = (Arc::clone(&self.0), Arc::clone(&service), ends.clone());
            tokio::spawn(async move { ended.run_until_cancelled(inner.ask_for_ever(&asked)).await });
        }
        Entry { service, url, _ends: Arc::new(ends.drop_guard()) }
    }
}

impl Inner {
    async fn ask_for_ever(&self, service: &Service) {
        let target = &service.target;
        sleep(FIRST_WITHIN.min(target.interval()).mul_f64(rand::random_range(0.0..=1.0))).await;
        for _ in 0..PENDING_LOOKS {
            if !target.is_pending() {
                break;
            }
            sleep(NAME_PENDING).await;
        }
        for turn in 0.. {
            let answers = target.ask(&self.prober, &self.permits, turn).await;
            service.found.take(&answers);
            self.changed.notify_one();
            // Services that appeared together are not asked together for ever.
            let spread = if turn == 0 { 0.0..=1.0 } else { 1.0 - JITTER..=1.0 + JITTER };
            sleep(target.interval().mul_f64(rand::random_range(spread))).await;
        }
    }
}

impl Entry {
    fn status(&self) -> ServiceStatus {
        let target = &self.service.target;
        self.service.found.status(target.id().as_str(), target.name(), self.url.clone())
    }
}

impl Serialize for Watched {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.services.iter().map(|entry| (entry.service.target.id().as_str(), entry.status())))
    }
}

fn render(watched: &Watched) -> Bytes {
    #[derive(Serialize)]
    struct List<'a> {
        services: &'a Watched,
    }
    // Its keys are text and its values numbers and text: it can always be written.
    serde_json::to_vec(&List { services: watched }).unwrap_or_default().into()
}
