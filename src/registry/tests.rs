//! The registry as a whole: what is published when, and what survives what.

pub(super) mod server;

mod files;
mod sources;
mod survival;

use std::path::Path;

use serde_json::{Value, json};

use self::server::Server;
use super::document::tests::context;
use super::*;

/// Far longer than anything here takes; only a broken test waits for it.
const DEADLINE: Duration = Duration::from_secs(20);

pub(super) fn config(sources: Vec<SourceConfig>) -> Config {
    Config {
        refresh: Duration::from_secs(3600),
        snapshot: None,
        stale_after: Duration::from_secs(3600),
        sources,
        services: Vec::new(),
    }
}

fn over_http(server: &Server) -> SourceConfig {
    SourceConfig::Http(HttpConfig {
        url: server.url.clone(),
        paths: vec!["/list".to_owned()],
        token_file: None,
        timeout: DEADLINE,
        max_bytes: 1 << 20,
        allowed_networks: Vec::new(),
    })
}

fn service(id: &str) -> Declaration {
    Declaration { id: Some(id.to_owned().try_into().unwrap()), ..Declaration::default() }
}

fn list(ids: &[&str]) -> Value {
    ids.iter().map(|id| json!({"id": id, "url": format!("https://{id}.example")})).collect()
}

fn write(path: &Path, ids: &[&str]) {
    std::fs::write(path, list(ids).to_string()).unwrap();
}

/// A registry and everything it published.
struct Watched {
    registry: Registry,
    metrics: Arc<Metrics>,
    published: watch::Receiver<Vec<Arc<Merged>>>,
}

impl Watched {
    fn new(config: Config) -> Self {
        let metrics = Arc::new(Metrics::new().unwrap());
        let registry = Registry::new(config, context(), metrics.clone());
        let (sender, published) = watch::channel(Vec::new());
        registry.spawn(move |merged| sender.send_modify(|all| all.push(merged)));
        Self { registry, metrics, published }
    }

    /// Waits until the last of what was published is as `wanted`.
    async fn until(&mut self, wanted: impl Fn(&Merged) -> bool) -> Arc<Merged> {
        let reached = self.published.wait_for(|all| all.last().is_some_and(|last| wanted(last)));
        let in_time = tokio::time::timeout(DEADLINE, reached).await;
        let all = in_time.unwrap_or_else(|_| panic!("published last: {:#?}", self.registry.merged()));
        all.unwrap().last().unwrap().clone()
    }

    async fn until_ids(&mut self, wanted: &[&str]) -> Arc<Merged> {
        self.until(|merged| ids(merged) == wanted).await
    }

    fn refreshes(&self, outcome: &str) -> f64 {
        let families = self.metrics.gather();
        let family = families.iter().find(|family| family.name() == "chittyconnect_registry_refresh_total");
        let metrics = family.map(prometheus::proto::MetricFamily::get_metric).unwrap_or_default();
        let of_outcome = metrics.iter().filter(|one| one.get_label().iter().any(|label| label.value() == outcome));
        of_outcome.map(|one| one.get_counter().get_value()).sum()
    }
}

fn ids(merged: &Merged) -> Vec<&str> {
    merged.services.iter().map(|service| service.id.as_str()).collect()
}
