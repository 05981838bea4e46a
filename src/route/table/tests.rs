//! DESIGN.md's tables of hosts and prefixes, row by row.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::model::service::{Balance, Declaration, EndpointUrl, HashOn, HeaderRules, OutlierPolicy, RetryPolicy};
use crate::model::service::{Timeouts, UpstreamTls};
use crate::property;

fn service(id: &str, subdomain: &str, aliases: &[&str], hosts: &[&str]) -> Service {
    Service {
        id: ServiceKey::parse(id).unwrap(),
        declared: Declaration::default(),
        subdomain: ServiceKey::parse(subdomain).unwrap(),
        aliases: aliases.iter().map(|name| ServiceKey::parse(name).unwrap()).collect(),
        hosts: hosts.iter().map(|name| Hostname::parse(name).unwrap()).collect(),
        endpoints: vec![EndpointUrl::parse("http://127.0.0.1:9001").unwrap().into()],
        trusted: true,
        allowed_networks: Arc::from([]),
        timeouts: Timeouts::default(),
        body_bytes: None,
        in_flight: 1,
        balance: Balance::default(),
        hash_on: HashOn::default(),
        retry: RetryPolicy::default(),
        outlier: OutlierPolicy::default(),
        health: None,
        tls: UpstreamTls::default(),
        headers: HeaderRules::default(),
        auth: crate::model::service::ServiceAuth::None,
        forward_credentials: true,
        enabled: true,
        source: Arc::from("file:a"),
        provenance: BTreeMap::new(),
    }
}

fn config() -> Arc<Config> {
    let hosts = |names: &[&str]| names.iter().map(|name| Hostname::parse(name).unwrap()).collect::<Vec<_>>();
    Arc::new(Config {
        domain: Hostname::parse("chitty.cc").unwrap(),
        connect: hosts(&["connect.chitty.cc"]),
        api: hosts(&["api.chitty.cc"]),
        mcp: hosts(&["mcp.chitty.cc", "mcp.ch1tty.com"]),
        files: hosts(&["files.chitty.cc"]),
        register: hosts(&["register.chitty.cc"]),
        public_scheme: "https",
        public_port: None,
    })
}

fn build(services: Vec<Service>, loading: bool) -> Table {
    let rank = |source: &str| usize::from(source != "services");
    Table::build(config(), services, &rank, loading, &Endpoints::default(), &Metrics::new().unwrap(), None)
}

fn table() -> Table {
    let mut off = service("chittyoff", "off", &[], &[]);
    off.enabled = false;
    off.declared.reason = Some("moving house".to_owned());
    let mut nowhere = service("chittynowhere", "nowhere", &[], &[]);
    nowhere.endpoints.clear();
    build(vec![service("chittyid", "id", &["identity"], &["id.example.com"]), off, nowhere], false)
}

/// What `host path` means: `local`, `<service> host`, `<service> <upstream path>`, or the error.
fn answer(table: &Table, host: &str, path: &str) -> String {
    let host = RequestHost::parse(host.as_bytes()).unwrap();
    match table.resolve(&host, path.as_bytes()) {
        Err(error) => format!("{error:?}").split(['(', ' ']).next().unwrap_or_default().to_owned(),
        Ok(Resolved { target: Target::Local, .. }) => "local".to_owned(),
        Ok(Resolved { target: Target::Files, .. }) => "files".to_owned(),
        Ok(Resolved { target: Target::Host(upstream), .. }) => format!("{} host", upstream.service().id),
        Ok(Resolved { target: Target::Prefix { upstream, skip, base }, path, .. }) => {
            format!("{} {base}{}", upstream.service().id, String::from_utf8_lossy(&path[skip..]))
        }
    }
}

#[test]
fn every_row_of_the_hosts_table() {
    let table = table();
    for (host, path, expected) in [
        ("connect.chitty.cc", "/health", "local"),
        ("api.chitty.cc", "/health", "local"),
        ("mcp.chitty.cc", "/.well-known/chitty.json", "local"),
        ("mcp.ch1tty.com", "/mcp/manifest", "local"),
        ("127.0.0.1:8080", "/health", "local"),
        ("[::1]", "/health", "local"),
        ("localhost", "/chittyid/api/x", "chittyid /api/x"),
        ("", "/health", "local"),
        ("id.chitty.cc", "/any", "chittyid host"),
        ("identity.chitty.cc", "/any", "chittyid host"),
        ("chittyid.chitty.cc", "/any", "chittyid host"),
        ("ID.chitty.cc.:443", "/any", "chittyid host"),
        ("id.example.com", "/any", "chittyid host"),
        ("a.id.chitty.cc", "/", "UnknownHost"),
        ("nosuch.chitty.cc", "/", "UnknownHost"),
        ("example.org", "/", "UnknownHost"),
        ("files.chitty.cc", "/", "files"),
        ("files.chitty.cc", "/a/..%2fb", "files"),
        ("register.chitty.cc", "/", "NotARegistrationPath"),
        ("register.chitty.cc", "/health", "NotARegistrationPath"),
        ("register.chitty.cc", "/chittyid/api/x", "NotARegistrationPath"),
        ("register.chitty.cc", "/api/register", "local"),
        ("register.chitty.cc", "/x/../api/services/a/heartbeat", "local"),
        ("register.chitty.cc", "/api/services/..%2fhealth", "BadPath"),
        ("off.chitty.cc", "/", "Disabled"),
        ("nowhere.chitty.cc", "/", "NoEndpoint"),
        ("id.chitty.cc", "/a/../../b", "BadPath"),
        ("id.chitty.cc", "/a/..%2fb", "BadPath"),
    ] {
        assert_eq!(answer(&table, host, path), expected, "{host}{path}");
    }
}

#[test]
fn every_row_of_the_prefixes_table() {
    let table = table();
    let (connect, api, mcp) = ("connect.chitty.cc", "api.chitty.cc", "mcp.chitty.cc");
    for (hosts, path, expected) in [
        (&[connect, api, mcp][..], "/chittyid/api", "chittyid /api"),
        (&[connect, api, mcp], "/chittyid/api/", "chittyid /api/"),
        (&[connect, api, mcp], "/chittyid/api/v1/x%20y", "chittyid /api/v1/x%20y"),
        (&[connect, api, mcp], "/chittyid/mcp", "chittyid /mcp"),
        (&[connect, api, mcp], "/chittyid/mcp/tools/list", "chittyid /mcp/tools/list"),
        (&[connect, api, mcp], "/id/api/x", "chittyid /api/x"),
        (&[connect, api, mcp], "/IDENTITY/api/x", "chittyid /api/x"),
        (&[api], "/chittyid", "chittyid /api"),
        (&[api], "/chittyid/", "chittyid /api/"),
        (&[api], "/chittyid/v1/x", "chittyid /api/v1/x"),
        (&[api], "/chittyid/apix", "chittyid /api/apix"),
        (&[mcp], "/chittyid", "chittyid /mcp"),
        (&[mcp], "/chittyid/tools", "chittyid /mcp/tools"),
        (&[connect], "/chittyid", "NotAServicePath"),
        (&[connect], "/chittyid/other", "NotAServicePath"),
        (&[connect], "/nosuch", "local"),
        (&[connect], "/nosuch/other", "local"),
        (&[api, mcp], "/nosuch", "UnknownService"),
        (&[connect, api, mcp], "/nosuch/api/x", "UnknownService"),
        (&[connect, api, mcp], "/off/api/x", "Disabled"),
        (&[connect, api, mcp], "/nowhere/api/x", "NoEndpoint"),
        (&[connect, api, mcp], "/api/api/x", "local"),
        (&[connect, api, mcp], "/mcp/api/x", "local"),
        (&[connect, api, mcp], "/evil.example%2F/api/x", "local"),
        (&[connect, api, mcp], "/%63hittyid/api/x", "local"),
        (&[connect, api, mcp], "//chittyid/api/x", "local"),
        (&[connect, api, mcp], "/chittyid/api/a%2Fb/%2e%2e/c%20d", "chittyid /api/c%20d"),
        (&[connect, api, mcp], "/chittyid/../health", "local"),
        (&[connect, api, mcp], "/nosuch/../chittyid/api/x", "chittyid /api/x"),
        (&[connect, api, mcp], "/../x", "BadPath"),
        (&[connect, api, mcp], "*", "local"),
    ] {
        for host in hosts {
            assert_eq!(answer(&table, host, path), expected, "{host}{path}");
        }
    }
}

#[test]
fn while_loading_only_unknown_names_have_to_wait() {
    let table = build(vec![service("chittyid", "id", &[], &[])], true);
    assert_eq!(answer(&table, "id.chitty.cc", "/"), "chittyid host");
    assert_eq!(answer(&table, "later.chitty.cc", "/"), "Loading");
    assert_eq!(answer(&table, "api.chitty.cc", "/later/api"), "Loading");
    assert_eq!(answer(&table, "api.chitty.cc", "/health"), "local");
}

#[test]
fn a_contested_name_stays_with_the_first_and_the_loser_keeps_the_rest() {
    let mut fixed = service("late", "latest", &["id"], &[]);
    fixed.source = Arc::from("services");
    let table =
        build(vec![service("chittyid", "id", &[], &[]), service("other", "o", &["chittyid"], &[]), fixed], false);
    let conflicts: Vec<_> = table
        .conflicts()
        .iter()
        .map(|c| format!("{} {} {} {}", c.name, c.service, c.field, c.winner.as_ref().unwrap()))
        .collect();
    assert_eq!(conflicts, ["id chittyid subdomain late", "chittyid other aliases chittyid"]);
    assert_eq!(answer(&table, "id.chitty.cc", "/"), "late host");
    assert_eq!(answer(&table, "chittyid.chitty.cc", "/"), "chittyid host");
    assert_eq!(answer(&table, "o.chitty.cc", "/"), "other host");
}

#[test]
fn no_service_gets_a_name_of_the_gateway() {
    let table = build(vec![service("grab", "connect", &["api", "health"], &["mcp.ch1tty.com"])], false);
    assert_eq!(table.conflicts().len(), 4);
    assert!(table.conflicts().iter().all(|conflict| conflict.winner.is_none()));
    assert_eq!(answer(&table, "mcp.ch1tty.com", "/health"), "local");
    assert_eq!(answer(&table, "grab.chitty.cc", "/"), "grab host");
}

#[test]
fn a_static_service_may_take_s3_and_a_registry_may_not() {
    let mut own = service("s3", "s3", &[], &[]);
    assert_eq!(answer(&build(vec![own.clone()], false), "api.chitty.cc", "/s3/api/x"), "local");
    own.source = Arc::from("services");
    assert_eq!(answer(&build(vec![own], false), "api.chitty.cc", "/s3/api/x"), "s3 /api/x");
}

#[test]
fn an_unchanged_service_keeps_its_upstream() {
    let first = table();
    let mut services: Vec<Service> = first.upstreams().iter().map(|up| up.service().clone()).collect();
    services[1].enabled = true;
    let second =
        Table::build(config(), services, &|_| 0, false, &Endpoints::default(), &Metrics::new().unwrap(), Some(&first));
    assert!(Arc::ptr_eq(&first.upstreams()[0], &second.upstreams()[0]));
    assert!(!Arc::ptr_eq(&first.upstreams()[1], &second.upstreams()[1]));
}

/// A path that begins with a prefix often enough, and has dots.
fn path() -> impl Strategy<Value = Vec<u8>> {
    let named = prop::sample::select(vec![
        "chittyid",
        "ID",
        "Identity",
        "chittyoff",
        "off",
        "nowhere",
        "nosuch",
        "api",
        "mcp",
        "health",
        "s3",
        "services",
        "register",
        "tools",
        "v1",
        "heartbeat",
        "x",
        "",
        ".well-known",
        "%63hittyid",
        "id%2Fapi",
        "id.",
        "a%20b",
    ]);
    let dots = prop::sample::select(vec![".", "..", "%2e", ".%2E", "%2e%2e", "..%2f", "a%5c..", "..\\", "...", "..;"]);
    let segment = prop_oneof![
        8 => named.prop_map(|text| text.as_bytes().to_vec()),
        3 => dots.prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
        1 => "[a-zA-Z0-9-]{62,64}".prop_map(String::into_bytes),
    ];
    (any::<bool>(), prop::collection::vec(segment, 0..7)).prop_map(|(bare, segments)| {
        let path = segments.join(&b'/');
        if bare && path.len() > 5 { path } else { [b"/", &*path].concat() }
    })
}

proptest! {
    #[test]
    fn every_path_is_answered_as_it_is_meant(host: usize, path in path()) {
        property::prefix::check_on(host, &path);
    }

    #[test]
    fn any_bytes_are_answered_as_they_are_meant(input in prop::collection::vec(any::<u8>(), 0..40)) {
        property::prefix::check(&input);
    }
}
