use super::found::{Finding, Health};
use super::target::Target;
use super::*;
use crate::model::service::{Declaration, EndpointUrl};
use crate::model::time::Time;
use crate::registry::SourceConfig;
use crate::registry::merge::merge;
use crate::registry::source::Listing;
use crate::upstream::Upstream;
use crate::upstream::probe::ProbeError;

#[test]
fn what_the_answers_of_all_endpoints_say_together() {
    let (failed, late) = (Err(ProbeError::Connect), Err(ProbeError::Timeout));
    for (answers, health) in [
        (&[Ok(200)][..], Health::Healthy),
        (&[Ok(204), Ok(299)], Health::Healthy),
        (&[Ok(302)], Health::Degraded),
        (&[Ok(503)], Health::Degraded),
        (&[Ok(200), Ok(500)], Health::Degraded),
        (&[failed, Ok(200)], Health::Degraded),
        (&[failed], Health::Down),
        (&[late, failed], Health::Down),
    ] {
        let found = Finding::of(answers, Time::from_millis(1));
        let shown = format!("{found:?}");
        assert!(shown.contains(&format!("health: {health:?}")), "{answers:?}: {shown}");
    }
    let shown = format!("{:?}", Finding::of(&[Ok(200), failed], Time::from_millis(1)));
    assert!(shown.contains("connection failed"), "{shown}");
}

#[test]
fn nothing_is_known_before_a_table() {
    let metrics = Arc::new(Metrics::new().unwrap());
    let watch = HealthWatch::new(Arc::new(Endpoints::default()), metrics);
    assert_eq!(watch.list(), &b"{\"services\":{}}"[..]);
    assert!(watch.status(&ServiceKey::parse("x").unwrap()).is_none());
}

/// What is asked of a service whose endpoint is the operator's own, and whose health `source` names.
fn asked(source: &str, health: &str) -> bool {
    let endpoints = Endpoints::default();
    let declared = |endpoint: Option<&str>, health: Option<&str>| Declaration {
        id: Some(ServiceKey::parse("svc").unwrap()),
        endpoints: endpoint.map(|url| vec![EndpointUrl::parse(url).unwrap().into()]),
        health_url: health.map(|url| url.parse().unwrap()),
        ..Declaration::default()
    };
    let empty = Listing::empty(&SourceConfig::File("x.json".into()));
    let listing = Listing { source: source.into(), declarations: [declared(None, Some(health))].into(), ..empty };
    let merged = merge(&[declared(Some("http://10.0.0.1:1"), None)], &[listing], Vec::new());
    let service = merged.services[0].clone();
    assert!(service.trusted);
    let metrics = Metrics::new().unwrap();
    let host = "svc.chitty.cc".to_owned().try_into().unwrap();
    let upstream = Arc::new(Upstream::new(service, &host, &endpoints, metrics.service("svc"), None));
    let target = Target::of(&upstream, &endpoints);
    assert!(target.is_asked());
    target.is_usable()
}

#[test]
fn a_health_url_is_as_trusted_as_the_source_that_names_it() {
    let inside = "http://127.0.0.1:9464/metrics";
    assert!(!asked("http:https://registry.example", inside));
    assert!(asked("file:x.json", inside));
    assert!(asked("http:https://registry.example", "http://10.0.0.1:1/health"), "on the service's own endpoint");
}
