//! How services fare: what is asked of them in the background, and what is said of it.

use serde_json::{Value, json};

use crate::support::task::is_time;
use crate::support::{Daemon, Registry, Rows, Tenant, Upstream, eventually, eventually_eq};

const LIST: &str = "/api/services/status";

fn all(daemon: &Daemon, tenant: &Tenant) -> Value {
    let answer = daemon.ask(&tenant.ask("GET", LIST));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    answer.json()["services"].clone()
}

/// Waits until every service has been asked once.
fn known(daemon: &Daemon, tenant: &Tenant) -> Value {
    eventually("nothing is unknown", || {
        let found = all(daemon, tenant);
        let unknown = found.as_object().unwrap().values().any(|one| one["status"] == "unknown");
        if unknown { Err(found) } else { Ok(found) }
    })
}

#[test]
fn services_are_healthy_degraded_or_down() {
    let upstream = Upstream::start();
    let health = |path: &str| format!("health: {{path: {path}, interval: 100ms, timeout: 300ms}}");
    let dead = "http://127.0.0.1:1";
    let daemon = Daemon::builder()
        .service(upstream.service_with("well", &health("/health?deep=1")))
        .service(upstream.service_with("empty", &health("/status/204")))
        .service(upstream.service_with("ill", &health("/status/503")))
        .service(upstream.service_with("moved", &health("/redirect")))
        .service(upstream.service_with("slow", &health("/hang")))
        .service(upstream.service_with("strange", &health("/raw?bytes=6e6f&then=close")))
        .service(format!("{{id: dead, aliases: [gone], endpoints: [\"{dead}\"], {}}}", health("/health")))
        .service(format!("{{id: half, endpoints: [\"{}\", \"{dead}\"], {}}}", upstream.url(), health("/status/200")))
        .service(upstream.service_with("off", "enabled: false"))
        .service("{id: nowhere}")
        .start();
    let tenant = Tenant::with(&daemon, "alice", &["--scope", "mcp:call"]);
    let found = known(&daemon, &tenant);
    let mut rows = Rows::new();
    for (id, status, code, error) in [
        ("well", "healthy", json!(200), Value::Null),
        ("empty", "healthy", json!(204), Value::Null),
        ("ill", "degraded", json!(503), Value::Null),
        ("moved", "degraded", json!(302), Value::Null),
        ("slow", "down", Value::Null, json!("timeout")),
        ("strange", "down", Value::Null, json!("no HTTP answer")),
        ("dead", "down", Value::Null, json!("connection failed")),
        ("half", "degraded", Value::Null, json!("connection failed")),
        ("off", "down", Value::Null, json!("disabled")),
        ("nowhere", "down", Value::Null, json!("no endpoint")),
    ] {
        let one = &found[id];
        let said = (&one["status"], &one["statusCode"], &one["error"]);
        rows.eq(id, &(&json!(status), &code, &error), &said);
        rows.eq(format!("{id} is named"), &(&json!(id), &json!(id)), &(&one["serviceId"], &one["name"]));
        let asked = !matches!(id, "off" | "nowhere");
        rows.eq(format!("{id} was asked"), &asked, &is_time(&one["lastChecked"]));
        rows.eq(format!("{id} is at"), &true, &one["url"].as_str().is_some_and(|url| url.contains(id)));
    }
    rows.finish();
    assert_eq!(found.as_object().unwrap().len(), 10);
    let targets = upstream.probes();
    assert!(targets.contains(&"/health?deep=1".to_owned()), "{targets:?}");
    assert!(!targets.iter().any(|target| target.contains("elsewhere")), "a redirect was followed: {targets:?}");
    let up = |service: &str, port: u16| {
        let labels = format!("{{endpoint=\"http://127.0.0.1:{port}\",service=\"{service}\"}}");
        daemon.metric(&format!("chittyconnect_endpoint_up{labels}"))
    };
    let port = upstream.port();
    assert_eq!((up("well", port), up("ill", port)), (Some(1.0), Some(0.0)));
    assert_eq!((up("half", port), up("half", 1), up("off", port)), (Some(1.0), Some(0.0), None));
}

#[test]
fn one_service_is_asked_for_by_any_of_its_names_under_both_prefixes() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder()
        .service(format!("{{id: svc, subdomain: sub, aliases: [alias], endpoints: [\"{}\"]}}", upstream.url()))
        .start();
    let tenant = Tenant::new(&daemon, "alice");
    known(&daemon, &tenant);
    for prefix in ["/api/services", "/api/v1/services"] {
        assert_eq!(
            daemon.ask(&tenant.ask("GET", &format!("{prefix}/status"))).json()["services"]["svc"]["status"],
            "healthy"
        );
        for name in ["svc", "SVC", "sub", "alias"] {
            let answer = daemon.ask(&tenant.ask("GET", &format!("{prefix}/{name}/status")));
            assert_eq!((answer.status(), &answer.json()["serviceId"]), (200, &json!("svc")), "{prefix} {name}");
        }
        for name in ["nope", "a.b", "..%2fsvc", "%20", &"x".repeat(64)] {
            let answer = daemon.ask(&tenant.ask("GET", &format!("{prefix}/{name}/status")));
            let expected = if name.starts_with("..") { (400, "bad_path") } else { (404, "Service not found") };
            assert_eq!((answer.status(), &*answer.problem()), expected, "{prefix} {name}");
        }
    }
}

#[test]
fn a_service_that_changes_is_asked_anew_and_one_that_goes_leaves_nothing() {
    let upstream = Upstream::start();
    let builder = Daemon::builder();
    let health = |path: &str| format!("health: {{path: {path}, interval: 100ms}}");
    let daemon = builder.clone().service(upstream.service_with("svc", &health("/status/500"))).start();
    let tenant = Tenant::new(&daemon, "alice");
    assert_eq!(known(&daemon, &tenant)["svc"]["status"], "degraded");
    daemon.reload(&builder.clone().service(upstream.service_with("svc", &health("/status/200"))));
    eventually_eq("it is healthy", &json!("healthy"), || all(&daemon, &tenant)["svc"]["status"].clone());
    let series = || daemon.metric_sum("chittyconnect_endpoint_up", &["svc"]);
    eventually_eq("its gauge says so", &1.0, series);
    daemon.reload(&builder.service(upstream.service("other")));
    eventually("it is gone", || {
        let found = all(&daemon, &tenant);
        if found.get("svc").is_none() && found.get("other").is_some() { Ok(()) } else { Err(found) }
    });
    assert_eq!(daemon.ask(&tenant.ask("GET", "/api/services/svc/status")).status(), 404);
    assert!(!daemon.admin("/metrics").text().contains("service=\"svc\""));
}

#[test]
fn what_a_registry_may_not_point_at_is_not_asked_either() {
    let (inside, allowed) = (Upstream::start(), Upstream::start());
    // Its own address is allowed by name, its health is on a name that leads to loopback.
    let list = json!([
        {"name": "rebound", "url": "http://localhost.example.invalid", "health_url": inside.url() + "/health"},
        {"name": "literal", "url": "http://203.0.113.1", "health_url": inside.url() + "/health"},
    ]);
    let registry = Registry::with(list.to_string());
    let daemon = Daemon::builder()
        .set("registry", &registry.section("allowed_networks: [203.0.113.0/24]"))
        .service(allowed.service("own"))
        .start();
    let tenant = Tenant::new(&daemon, "alice");
    eventually("the registry is read", || {
        let found = all(&daemon, &tenant);
        if found.get("literal").is_some() { Ok(()) } else { Err(found) }
    });
    eventually_eq("its own is asked", &json!("healthy"), || all(&daemon, &tenant)["own"]["status"].clone());
    assert!(inside.probes().is_empty(), "{:?}", inside.probes());
}
