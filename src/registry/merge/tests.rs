use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::model::service::ServiceAuth;
use crate::registry::document::health_url;

fn declarations(list: &Value) -> Vec<Declaration> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let mut value = serde_json::to_value(Declaration::default()).unwrap();
            for (key, field) in one.as_object().unwrap() {
                value[key] = field.clone();
            }
            serde_json::from_value(value).unwrap()
        })
        .collect()
}

fn listing(source: &str, list: &Value) -> Listing {
    Listing {
        source: source.into(),
        trusted: source.starts_with("file:"),
        allowed_networks: Arc::from(["10.0.0.0/8".parse().unwrap()]),
        declarations: declarations(list).into(),
        rejected: Arc::from([]),
    }
}

fn ids(merged: &Merged) -> Vec<&str> {
    merged.services.iter().map(|service| service.id.as_str()).collect()
}

#[test]
fn what_callers_need_is_for_the_operator_alone_to_say() {
    let registry = json!([{"id": "a", "auth": "key"}, {"id": "b", "auth": "none"}, {"id": "c"}]);
    let file = json!([{"id": "b", "auth": "jwt"}, {"id": "c", "auth": "key"}]);
    let listings = [listing("http://r", &registry), listing("file:s.yaml", &file)];
    let merged = merge(&declarations(&json!([{"id": "c", "auth": "none"}])), &listings, vec![]);
    let said: Vec<_> = merged.services.iter().map(|service| service.auth).collect();
    assert_eq!(said, [ServiceAuth::None, ServiceAuth::Jwt, ServiceAuth::None]);
    assert_eq!(merged.services[1].provenance["auth"].as_ref(), "file:s.yaml");
}

#[test]
fn services_stand_in_the_order_of_the_sources_and_static_ones_behind_them() {
    let merged = merge(
        &declarations(&json!([{"id": "own"}, {"id": "b"}])),
        &[
            listing("http:one", &json!([{"id": "b"}, {"id": "a"}])),
            listing("file:two", &json!([{"id": "c"}, {"id": "a"}])),
        ],
        Vec::new(),
    );
    assert_eq!(ids(&merged), ["b", "a", "c", "own"]);
    let sources: Vec<_> = merged.services.iter().map(|service| &*service.source).collect();
    assert_eq!(sources, ["http:one", "http:one", "file:two", "services"]);
}

#[test]
fn services_win_over_sources_field_by_field_and_lists_are_replaced_whole() {
    let merged = merge(
        &declarations(&json!([{"id": "a", "aliases": ["mine"], "endpoints": ["http://10.0.0.1:9001"]}])),
        &[
            listing(
                "http:one",
                &json!([{"id": "a", "subdomain": "s", "aliases": ["x", "y"], "hosts": ["a.example"],
                "endpoints": ["https://a.example"], "status": "live"}]),
            ),
            listing("http:two", &json!([{"id": "a", "subdomain": "t", "version": "2", "status": "beta"}])),
        ],
        Vec::new(),
    );
    let [service] = &merged.services[..] else { panic!("{merged:?}") };
    assert_eq!(service.subdomain.as_str(), "s");
    assert_eq!(service.aliases.iter().map(ServiceKey::as_str).collect::<Vec<_>>(), ["mine"]);
    assert_eq!(service.hosts.len(), 1);
    assert_eq!(service.endpoints[0].to_string(), "http://10.0.0.1:9001");
    assert_eq!(service.declared.status.as_deref(), Some("live"));
    assert_eq!(service.declared.version.as_deref(), Some("2"));
    assert!(service.trusted && service.allowed_networks.is_empty());
    let provenance: Vec<_> = service.provenance.iter().map(|(field, source)| (*field, &**source)).collect();
    assert_eq!(
        provenance,
        [
            ("aliases", "services"),
            ("endpoints", "services"),
            ("hosts", "http:one"),
            ("id", "services"),
            ("status", "http:one"),
            ("subdomain", "http:one"),
            ("version", "http:two"),
        ]
    );
}

#[test]
fn trust_follows_the_endpoints() {
    for (lists, trusted, networks) in [
        ([json!([{"id": "a", "endpoints": ["http://a.example"]}]), json!([{"id": "a"}])], false, 1),
        ([json!([{"id": "a"}]), json!([{"id": "a", "endpoints": ["http://a.example"]}])], true, 1),
        ([json!([{"id": "a"}]), json!([{"id": "a"}])], false, 0),
    ] {
        let merged = merge(&[], &[listing("http:one", &lists[0]), listing("file:two", &lists[1])], Vec::new());
        let service = &merged.services[0];
        assert_eq!((service.trusted, service.allowed_networks.len()), (trusted, networks), "{lists:?}");
    }
}

#[test]
fn defaults_are_those_of_the_reference() {
    let merged = merge(&declarations(&json!([{"id": "a"}])), &[], Vec::new());
    let service = &merged.services[0];
    assert_eq!(service.subdomain, service.id);
    assert_eq!(service.timeouts, Timeouts::default());
    assert!(service.forward_credentials && service.enabled && service.endpoints.is_empty());
    assert_eq!((service.body_bytes, service.hosts.len(), service.aliases.len()), (None, 0, 0));
}

#[test]
fn timeouts_are_laid_over_each_other_one_by_one() {
    let mut own = declarations(&json!([{"id": "a"}]));
    own[0].timeouts.read = Some(None);
    let mut below = listing("file:x", &json!([{"id": "a"}]));
    let mut lower = below.declarations.to_vec();
    lower[0].timeouts.read = Some(Some(Duration::from_secs(9)));
    lower[0].timeouts.connect = Some(Some(Duration::from_secs(7)));
    below.declarations = lower.into();
    let merged = merge(&own, &[below], Vec::new());
    let timeouts = merged.services[0].timeouts;
    assert_eq!(timeouts.read, None);
    assert_eq!(timeouts.connect, Some(Duration::from_secs(7)));
    assert_eq!(timeouts.write, Timeouts::default().write);
    assert_eq!(&*merged.services[0].provenance["timeouts.read"], "services");
    assert_eq!(&*merged.services[0].provenance["timeouts.connect"], "file:x");
}

#[test]
fn an_id_twice_in_one_list_is_one_service_and_the_earlier_entry_wins() {
    let list = json!([{"id": "a", "status": "live", "no_endpoint_because": "no base URL"},
        {"id": "a", "status": "beta", "endpoints": ["https://a.example"]}]);
    let merged = merge(&[], &[listing("http:one", &list)], Vec::new());
    let [service] = &merged.services[..] else { panic!("{merged:?}") };
    assert_eq!(service.declared.status.as_deref(), Some("live"));
    assert_eq!(service.endpoints.len(), 1);
    assert_eq!(service.declared.no_endpoint_because, None);
}

#[test]
fn the_reason_for_no_endpoint_stays_as_long_as_nobody_gives_one() {
    let below = [listing("http:one", &json!([{"id": "a", "no_endpoint_because": "`not a url`"}]))];
    let merged = merge(&declarations(&json!([{"id": "a", "status": "live"}])), &below, Vec::new());
    assert_eq!(merged.services[0].declared.no_endpoint_because.as_deref(), Some("`not a url`"));
    let own = declarations(&json!([{"id": "a", "endpoints": ["http://10.0.0.1"]}]));
    let merged = merge(&own, &below, Vec::new());
    assert_eq!(merged.services[0].declared.no_endpoint_because, None);
    assert!(!merged.services[0].provenance.contains_key("no_endpoint_because"));
}

#[test]
fn a_path_of_health_from_above_wins_over_a_url_from_below() {
    let own = declarations(&json!([{"id": "a", "health_path": "/mine"}]));
    let below = listing(
        "http:one",
        &json!([{"id": "a", "health_url": "https://h.example/x",
        "endpoints": ["https://a.example"]}]),
    );
    let merged = merge(&own, &[below], Vec::new());
    assert_eq!(health_url(&merged.services[0].declared).unwrap().as_str(), "https://a.example/mine");
}

#[test]
fn rejected_entries_are_kept_by_source() {
    let mut one = listing("http:one", &json!([]));
    one.rejected = Arc::from([Rejected { index: 3, id: None, base_url: None, reason: "x".to_owned() }]);
    let merged = merge(&[], &[listing("http:zero", &json!([])), one], Vec::new());
    assert_eq!(merged.rejected.len(), 1);
    assert_eq!((&*merged.rejected[0].0, merged.rejected[0].1[0].index), ("http:one", 3));
}

#[test]
fn what_registers_itself_is_listed_only_where_no_other_source_names_it() {
    let own =
        json!([{"id": "a", "description": "mine", "subdomain": "b", "endpoints": ["https://x.example"]}, {"id": "d"}]);
    let others = listing("http:one", &json!([{"id": "c"}]));
    for (statics, listings) in [
        (json!([{"id": "a", "endpoints": ["http://10.0.0.1:1"]}]), vec![listing("embedded", &own), others.clone()]),
        (json!([]), vec![listing("embedded", &own), others.clone(), listing("file:two", &json!([{"id": "a"}]))]),
    ] {
        let merged = merge(&declarations(&statics), &listings, Vec::new());
        let service = merged.services.iter().find(|service| service.id.as_str() == "a").unwrap();
        assert_ne!(&*service.source, "embedded");
        assert_eq!((&service.declared.description, service.subdomain.as_str()), (&None, "a"));
        assert!(service.provenance.values().all(|source| &**source != "embedded"), "{:?}", service.provenance);
        let [(source, rejected)] = &merged.rejected[..] else { panic!("{:?}", merged.rejected) };
        assert_eq!((&**source, rejected[0].index, rejected[0].id.as_deref()), ("embedded", 0, Some("a")));
        assert!(ids(&merged).contains(&"d"));
    }
    let alone = merge(&[], &[listing("embedded", &own)], Vec::new());
    assert_eq!((ids(&alone), alone.rejected.len()), (vec!["a", "d"], 0));
}
