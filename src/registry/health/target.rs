//! What is asked of one service: where, how often, and how long an answer may take.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use http::HeaderValue;
use ipnet::IpNet;
use tokio::sync::Semaphore;
use url::Url;

use crate::model::name::ServiceKey;
use crate::model::service::{EndpointUrl, Service};
use crate::registry::document::health_path;
use crate::registry::source::is_trusted;
use crate::telemetry::metrics::{EndpointUp, Metrics};
use crate::upstream::Upstream;
use crate::upstream::endpoint::Endpoints;
use crate::upstream::probe::{Place, ProbeError, Prober};

/// How often and how patiently the operator's own services are asked: the reference configuration's defaults.
const OWN: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(2));
/// Those of registries, which may be far away and many.
const LISTED: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(5));

/// What one place answered.
pub(super) type Answer = Result<u16, ProbeError>;

/// What is asked of one service.
#[derive(Debug)]
pub(super) struct Target {
    upstream: Arc<Upstream>,
    places: Vec<Place>,
    interval: Duration,
    timeout: Duration,
}

impl Target {
    pub(super) fn of(upstream: &Arc<Upstream>, endpoints: &Endpoints) -> Self {
        let service = upstream.service();
        let (interval, timeout) = if service.trusted { OWN } else { LISTED };
        Self {
            places: if service.enabled { places(upstream, endpoints) } else { Vec::new() },
            interval: service.declared.health_interval.unwrap_or(interval),
            timeout: service.declared.health_timeout.unwrap_or(timeout),
            upstream: Arc::clone(upstream),
        }
    }

    pub(super) fn is_of(&self, upstream: &Arc<Upstream>) -> bool {
        Arc::ptr_eq(&self.upstream, upstream)
    }

    pub(super) fn id(&self) -> &ServiceKey {
        &self.upstream.service().id
    }

    /// A name for people, else the id.
    pub(super) fn name(&self) -> &str {
        let service = self.upstream.service();
        service.declared.display_name.as_deref().unwrap_or(service.id.as_str())
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// Whether there is anything to ask.
    pub(super) fn is_asked(&self) -> bool {
        !self.places.is_empty()
    }

    /// Why nothing is asked, for its clients.
    pub(super) fn not_asked_because(&self) -> &'static str {
        if self.upstream.service().enabled { "no endpoint" } else { "disabled" }
    }

    /// Whether a name is still to be looked up for the first time.
    pub(super) fn is_pending(&self) -> bool {
        self.places.iter().any(|place| place.endpoint.is_pending())
    }

    /// Whether every place can be dialled.
    #[cfg(test)]
    pub(super) fn is_usable(&self) -> bool {
        self.places.iter().all(|place| place.endpoint.is_usable())
    }

    /// One gauge for each place.
    pub(super) fn gauges(&self, metrics: &Metrics) -> Vec<EndpointUp> {
        let gauge = |place: &Place| metrics.endpoint_up(self.id().as_str(), &place.endpoint.label());
        self.places.iter().map(gauge).collect()
    }

    /// Asks every place once; each waits for its own turn.
    pub(super) async fn ask(&self, prober: &Prober, permits: &Semaphore, turn: usize) -> Vec<Answer> {
        let one = async |place: &Place| {
            let _turn = permits.acquire().await.map_err(|_| ProbeError::NoAddress)?;
            let answer = prober.ask(place, turn, self.timeout).await;
            // At once, however long the others take.
            self.upstream.probed(&place.endpoint, is_well(answer));
            answer
        };
        join_all(self.places.iter().map(one)).await
    }
}

/// Whether an answer says that all is well.
pub(super) fn is_well(answer: Answer) -> bool {
    answer.is_ok_and(|code| (200..300).contains(&code))
}

/// Where a service's health is asked: on each of its endpoints, unless its source names another host for it.
fn places(upstream: &Arc<Upstream>, endpoints: &Endpoints) -> Vec<Place> {
    let service = upstream.service();
    if service.endpoints.is_empty() {
        return Vec::new();
    }
    let Some(url) = &service.declared.health_url else {
        return upstream.places(health_path(&service.declared)).collect();
    };
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let Ok(origin) = EndpointUrl::origin_of(url, url.as_str()) else { return Vec::new() };
    if service.endpoints.iter().any(|endpoint| endpoint.url == origin) {
        return upstream.places(&target).collect();
    }
    elsewhere(service, url, &origin, &target, endpoints).into_iter().collect()
}

/// A place that is none of the service's endpoints: as trusted as the source that says so, which need not be the one that
/// says where the service is.
fn elsewhere(service: &Service, url: &Url, origin: &EndpointUrl, target: &str, endpoints: &Endpoints) -> Option<Place> {
    let by = service.provenance.get("health_url").unwrap_or(&service.source);
    let nowhere: Arc<[IpNet]> = Arc::from([]);
    let allowed = match service.provenance.get("endpoints") {
        Some(same) if same == by => &service.allowed_networks,
        _ => &nowhere,
    };
    let endpoint = endpoints.intern(origin, (!is_trusted(by)).then_some(allowed));
    let sni = if origin.is_tls() { url.host_str().unwrap_or_default() } else { "" };
    let host = HeaderValue::from_str(&origin.authority()).ok()?;
    Some(Place { endpoint, host, sni: sni.into(), target: target.into(), upstream: None })
}
