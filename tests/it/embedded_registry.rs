//! Services that register themselves: every body, whose a name is, how long it is listed, and what is refused.

use serde_json::{Value, json};

use crate::support::daemon::Builder;
use crate::support::task::is_time;
use crate::support::{API, Answer, Ask, CONNECT, Daemon, MCP, Rows, Tenant, Upstream, eventually, eventually_eq};

const REGISTER: &str = "register.example";

/// A daemon whose registrants may be on loopback.
fn with(ttl: &str) -> Builder {
    Daemon::builder()
        .set("gateway", &format!("{{register: [{REGISTER}]}}"))
        .set("registry", &section(&format!("{{ttl: {ttl}, allowed_networks: [127.0.0.0/8]}}")))
}

fn section(embedded: &str) -> String {
    format!("{{sources: [{{embedded: {embedded}}}]}}")
}

fn registrant(daemon: &Daemon, chitty_id: &str) -> Tenant {
    Tenant::with(daemon, chitty_id, &["--scope", "registry:write"])
}

fn post(daemon: &Daemon, tenant: &Tenant, path: &str, body: &Value) -> Answer {
    daemon.ask(&tenant.ask("POST", path).body(body.to_string()))
}

#[track_caller]
fn register(daemon: &Daemon, tenant: &Tenant, name: &str, url: &str) -> Value {
    let answer = post(daemon, tenant, "/api/register", &json!({"name": name, "url": url}));
    assert_eq!(answer.status(), 201, "{}", answer.text());
    answer.json()
}

fn heartbeat(daemon: &Daemon, tenant: &Tenant, name: &str) -> Answer {
    daemon.ask(&tenant.ask("POST", &format!("/api/services/{name}/heartbeat")))
}

fn fate(daemon: &Daemon, name: &str) -> String {
    daemon.get(&format!("{name}.chitty.test"), "/x").fate()
}

#[test]
fn every_body_registers_a_service_that_is_routed_to_at_once() {
    let upstream = Upstream::start();
    let daemon = with("90s").start();
    let alice = registrant(&daemon, "alice");
    let url = upstream.url();
    let mut rows = Rows::new();
    for (path, id, body) in [
        (
            "/api/register",
            "ci",
            json!({"name": "ci", "version": "1.2.3", "description": "d",
                   "endpoints": {"health": format!("{url}/health"), "api": format!("{url}/api"), "mcp": format!("{url}/mcp")},
                   "capabilities": ["api", "mcp"],
                   "deployment": {"commit": "c", "branch": "b", "deployed_at": "t", "workflow_run": "w"}}),
        ),
        (
            "/api/register",
            "sync",
            json!({"name": "sync", "url": url, "type": "core", "provider": "X", "health_endpoint": format!("{url}/health"),
                   "features": ["oauth"]}),
        ),
        (
            "/api/v1/register",
            "gatekeeper",
            json!({"name": "Gatekeeper", "description": "d", "version": "1.0.0", "endpoints": [format!("{url}/health")],
                   "chitty_id": "03-1-USA-0001", "entity_type": "T", "subtype": "service", "certificate_ref": "r"}),
        ),
        (
            "/api/v1/register",
            "chittyscore",
            json!({"service": {"chittyId": "c1", "serviceName": "chittyscore", "displayName": "ChittyScore",
                               "version": "1.2.3", "baseUrl": url,
                               "endpoints": [{"path": "/api/score", "method": "POST", "authenticated": true}],
                               "healthCheck": {"path": "/health"}, "category": "security"},
                   "registrationToken": "secret", "environment": "production"}),
        ),
        (
            "/api/v1/tools",
            "tool",
            json!({"id": "x-1", "name": "tool", "entity_type": "T", "subtype": "mcp", "endpoints": [format!("{url}/mcp")],
                   "certificate_ref": null, "parent_chitty_id": null, "metadata": {}}),
        ),
        (
            "/api/services/register",
            "ecosystem",
            json!({"chittyid": "c2", "name": "ecosystem", "type": "service", "capabilities": ["mcp"],
                   "health": format!("{url}/health")}),
        ),
    ] {
        let answer = post(&daemon, &alice, path, &body);
        let reply = answer.json();
        rows.eq(format!("{path} {id}"), &(201, &json!(true)), &(answer.status(), &reply["success"]));
        rows.eq(format!("{id} expires"), &true, &is_time(&reply["expires_at"]));
        let (service, named) = match path {
            "/api/v1/tools" => (&reply["tool"], &reply["tool"]["id"]),
            "/api/v1/register" => (&reply["service"], &reply["serviceName"]),
            _ => (&reply["service"], &reply["registered"]),
        };
        rows.eq(format!("{id} is named"), &json!(id), named);
        rows.eq(format!("{id} is at"), &json!(url), &service["url"]);
        rows.eq(format!("{id} is routed"), &"-> /x".to_owned(), &fate(&daemon, id));
        let by_prefix = daemon.get(CONNECT, &format!("/{id}/api/x")).fate();
        rows.eq(format!("{id} has its prefix"), &"-> /api/x".to_owned(), &by_prefix);
    }
    rows.finish();
    assert_eq!(daemon.metric("chittyconnect_routes{source=\"embedded\"}"), Some(6.0));
    let routes = daemon.command(&["routes", "--format", "json"]);
    let routes: Value = serde_json::from_slice(&routes.stdout).unwrap();
    assert_eq!(routes["sources"][0]["name"], "embedded");
    assert_eq!(routes["services"][0]["source"], "embedded");
    assert!(!std::fs::read(daemon.folder().join("daemon.log")).unwrap().windows(6).any(|text| text == b"secret"));
}

#[test]
fn registration_answers_on_every_gateway_host_and_on_hosts_of_its_own() {
    let upstream = Upstream::start();
    let daemon = with("90s").start();
    let alice = registrant(&daemon, "alice");
    for (number, host) in [CONNECT, API, MCP, REGISTER].into_iter().enumerate() {
        let name = format!("host{number}");
        let body = json!({"name": name, "url": upstream.url()}).to_string();
        let with_key = |method: &str, path: &str| Ask::new(method, host, path).header("X-ChittyOS-API-Key", &alice.key);
        let path = ["/api/register", "/api/v1/register", "/api/v1/tools", "/api/services/register"][number];
        assert_eq!(daemon.ask(&with_key("POST", path).body(body)).status(), 201, "{host}");
        let status = with_key("PATCH", &format!("/api/services/{name}/status")).body(r#"{"status":"Beta"}"#);
        assert_eq!(daemon.ask(&status).json()["status"], "beta", "{host}");
        assert_eq!(daemon.ask(&with_key("POST", &format!("/api/services/{name}/heartbeat"))).status(), 200, "{host}");
        assert_eq!(daemon.ask(&with_key("DELETE", &format!("/api/services/{name}"))).status(), 200, "{host}");
    }
    for path in ["/", "/health", "/api/context/tasks", "/api/registry/services", "/openapi.json", "/host0/api/x"] {
        let answer = daemon.ask(&Ask::get(REGISTER, path).header("X-ChittyOS-API-Key", &alice.key));
        assert_eq!((answer.status(), answer.problem()), (404, "not_found".to_owned()), "{path}");
    }
    assert_eq!(daemon.ask(&Ask::new("POST", REGISTER, "/api/register").body("{}")).problem(), "Missing API key");
}

#[test]
fn what_no_service_can_be_made_of_is_refused_with_its_reason() {
    let daemon = Daemon::builder().set("registry", &section("{ttl: 90s, allowed_networks: [10.0.0.0/8]}")).start();
    let alice = registrant(&daemon, "alice");
    let mut rows = Rows::new();
    for (body, reason) in [
        ("", "the body: found nothing"),
        ("[]", "the body: found an array"),
        ("{\"name\"", "the body: found text that is not JSON"),
        (r#"{"url":"https://a.example"}"#, "name: it has neither a name nor an id"),
        (r#"{"name":"***","url":"https://a.example"}"#, "name: no id can be made of `***`"),
        (r#"{"name":"admin","url":"https://a.example"}"#, "name: its id `admin` is a word that the gateway keeps"),
        (r#"{"name":"status","url":"https://a.example"}"#, "name: `status` is a word of this gateway's paths"),
        (r#"{"name":"a"}"#, "url: found no base URL; accepted"),
        (r#"{"name":"a","url":"not a url"}"#, "url: found `not a url`; accepted"),
        (r#"{"name":"a","endpoints":{"health":"/health"}}"#, "url: found relative endpoints, no base URL"),
        (r#"{"name":"a","url":"https://connect.chitty.test"}"#, "url: its base URL is this gateway"),
        (r#"{"name":"a","subtype":"skill","url":"https://a.example"}"#, "subtype: a skill is not routable"),
        (r#"{"name":"a","url":"http://127.0.0.1:1"}"#, "url: 127.0.0.1 is an address of this gateway"),
        (r#"{"name":"a","health":"http://[::1]/health"}"#, "url: ::1 is "),
        (r#"{"name":"a","url":"http://localhost:1"}"#, "url: 127.0.0.1 is an address of this gateway"),
        (r#"{"name":"a","url":"http://192.168.0.1"}"#, "url: 192.168.0.1 is a private address"),
        (r#"{"name":"a","url":"http://169.254.169.254"}"#, "url: 169.254.169.254 is a link-local address"),
    ] {
        for path in ["/api/register", "/api/v1/register", "/api/v1/tools", "/api/services/register"] {
            let answer = daemon.ask(&alice.ask("POST", path).body(body));
            let problem = answer.json();
            let message = problem["message"].as_str().unwrap_or_default();
            rows.eq(format!("{path} {body}"), &400, &answer.status());
            rows.eq(format!("{path} {body}: {message}"), &true, &message.starts_with(reason));
            let said = (&problem["success"], &problem["details"][0]);
            rows.eq(format!("{path} {body} says"), &(&json!(false), &json!(message)), &said);
        }
    }
    rows.finish();
    let refused = post(&daemon, &alice, "/api/register", &json!({"name": "a", "url": "http://127.0.0.1:1"}));
    assert!(refused.text().contains("registry.sources[].embedded.allowed_networks"), "{}", refused.text());
    let allowed = post(&daemon, &alice, "/api/register", &json!({"name": "a", "url": "http://10.1.2.3:1"}));
    assert_eq!(allowed.status(), 201);
    let large = json!({"name": "b", "url": "http://10.1.2.3:1", "description": "x".repeat(17_000)});
    assert_eq!(post(&daemon, &alice, "/api/register", &large).problem(), "body_too_large");
    let packed = alice.ask("POST", "/api/register").header("Content-Encoding", "gzip").body("x");
    assert_eq!(daemon.ask(&packed).problem(), "unsupported_media_type");
}

#[test]
fn a_name_is_its_first_registrants_and_for_others_does_not_exist() {
    let upstream = Upstream::with_ports(2);
    let daemon = with("90s").start();
    let (alice, other_key, bob) =
        (registrant(&daemon, "alice"), registrant(&daemon, "alice"), registrant(&daemon, "bob"));
    let admin = Tenant::with(&daemon, "root", &["--scope", "admin"]);
    let reader = Tenant::new(&daemon, "alice");
    let url = |index: usize| format!("http://127.0.0.1:{}", upstream.ports()[index]);
    register(&daemon, &alice, "svc", &url(0));
    let taken = post(&daemon, &bob, "/api/register", &json!({"name": "SVC", "url": url(1)}));
    assert_eq!((taken.status(), taken.problem()), (409, "name_taken".to_owned()));
    assert_eq!(taken.json()["success"], false);
    let patch =
        |tenant: &Tenant| daemon.ask(&tenant.ask("PATCH", "/api/services/svc/status").body(r#"{"status":"x"}"#));
    let delete = |tenant: &Tenant| daemon.ask(&tenant.ask("DELETE", "/api/services/svc"));
    for answer in [heartbeat(&daemon, &bob, "svc"), patch(&bob), delete(&bob), heartbeat(&daemon, &alice, "nope")] {
        assert_eq!((answer.status(), answer.problem()), (404, "Service not found".to_owned()));
    }
    for answer in [heartbeat(&daemon, &reader, "svc"), patch(&reader), delete(&reader)] {
        assert_eq!((answer.status(), answer.problem()), (403, "forbidden".to_owned()));
    }
    // Another key of the same owner may do everything, and what it registers takes the place of what was there.
    register(&daemon, &other_key, "svc", &url(1));
    let port = |daemon: &Daemon| daemon.get("svc.chitty.test", "/x").echo().0["port"].clone();
    assert_eq!(port(&daemon), json!(upstream.ports()[1]));
    assert_eq!(delete(&other_key).json(), json!({"success": true, "service": "svc"}));
    assert_eq!(fate(&daemon, "svc"), "404 unknown_host");
    assert_eq!(heartbeat(&daemon, &alice, "svc").status(), 404);
    register(&daemon, &bob, "svc", &url(0));
    assert_eq!(delete(&admin).status(), 200);
    assert_eq!(delete(&admin).status(), 404);
}

#[test]
fn a_service_is_listed_for_its_ttl_and_again_once_it_is_heard_of() {
    let upstream = Upstream::start();
    let daemon = with("1500ms").start();
    let (alice, bob) = (registrant(&daemon, "alice"), registrant(&daemon, "bob"));
    register(&daemon, &alice, "svc", &upstream.url());
    assert_eq!(fate(&daemon, "svc"), "-> /x");
    eventually_eq("its time is over", &"404 unknown_host".to_owned(), || fate(&daemon, "svc"));
    let taken = post(&daemon, &bob, "/api/register", &json!({"name": "svc", "url": upstream.url()}));
    assert_eq!(taken.problem(), "name_taken", "the name stays its owner's");
    let heard = heartbeat(&daemon, &alice, "svc");
    assert_eq!((heard.status(), heard.json()["service"].clone()), (200, json!("svc")));
    assert_eq!(fate(&daemon, "svc"), "-> /x");
    // As long as it is heard of, it stays.
    let end = std::time::Instant::now() + std::time::Duration::from_millis(3500);
    eventually("twice its ttl is over", || {
        assert_eq!(heartbeat(&daemon, &alice, "svc").status(), 200);
        assert_eq!(fate(&daemon, "svc"), "-> /x");
        if std::time::Instant::now() > end { Ok(()) } else { Err(()) }
    });
    eventually_eq("its time is over again", &"404 unknown_host".to_owned(), || fate(&daemon, "svc"));
    assert_eq!(daemon.metric("chittyconnect_routes{source=\"embedded\"}"), Some(0.0));
}

#[test]
fn registrations_outlive_a_restart_and_a_kill() {
    let upstream = Upstream::start();
    let daemon = with("90s").start();
    let alice = registrant(&daemon, "alice");
    register(&daemon, &alice, "one", &upstream.url());
    register(&daemon, &alice, "two", &upstream.url());
    let status = alice.ask("PATCH", "/api/services/two/status").body(r#"{"status":"Deprecated","last_deployed":"t"}"#);
    let changed = daemon.ask(&status);
    assert_eq!((changed.status(), &changed.json()["status"]), (200, &json!("deprecated")));
    let daemon = daemon.killed().start();
    assert_eq!(fate(&daemon, "one"), "-> /x", "from the store, at once");
    let listed = daemon.ask(&alice.ask("GET", "/api/registry/services/two")).json();
    assert_eq!(listed["status"], "deprecated");
    assert_eq!(daemon.ask(&alice.ask("DELETE", "/api/services/one")).status(), 200);
    let daemon = daemon.restart();
    assert_eq!((fate(&daemon, "one"), fate(&daemon, "two")), ("404 unknown_host".to_owned(), "-> /x".to_owned()));
    let bob = registrant(&daemon, "bob");
    let taken = post(&daemon, &bob, "/api/register", &json!({"name": "two", "url": upstream.url()}));
    assert_eq!(taken.problem(), "name_taken");
}

#[test]
fn what_registers_itself_adds_nothing_to_a_service_of_another_source() {
    let upstream = Upstream::start();
    let entry = |extra: &str| format!("{{id: svc, endpoints: [\"{}\"]{extra}}}", upstream.url());
    let builder = with("90s").service(entry(""));
    let daemon = builder.clone().start();
    let alice = registrant(&daemon, "alice");
    let body = json!({"name": "svc", "url": upstream.url(), "description": "mine", "subdomain": "mine"});
    let taken = post(&daemon, &alice, "/api/register", &body);
    assert_eq!((taken.status(), taken.problem()), (409, "name_taken".to_owned()));
    assert!(taken.text().contains("the gateway's configuration"), "{}", taken.text());
    // The other way round: the operator names it later.
    let later = json!({"name": "later", "url": upstream.url(), "description": "mine", "subdomain": "mine"});
    assert_eq!(post(&daemon, &alice, "/api/register", &later).status(), 201);
    assert_eq!(fate(&daemon, "mine"), "-> /x");
    daemon.reload(&builder.service(format!("{{id: later, endpoints: [\"{}\"]}}", upstream.url())));
    eventually_eq("its name is the operator's", &"404 unknown_host".to_owned(), || fate(&daemon, "mine"));
    let listed = daemon.ask(&alice.ask("GET", "/api/registry/services/later")).json();
    assert_eq!((&listed["description"], &listed["subdomain"]), (&Value::Null, &json!("later")));
    let routes = daemon.command(&["routes", "--format", "json"]);
    let routes: Value = serde_json::from_slice(&routes.stdout).unwrap();
    assert_eq!((&routes["rejected"][0]["source"], &routes["rejected"][0]["id"]), (&json!("embedded"), &json!("later")));
}

#[test]
fn without_an_embedded_registry_the_paths_say_so_and_a_reload_brings_and_takes_it() {
    let upstream = Upstream::start();
    let without = Daemon::builder();
    let daemon = without.clone().start();
    let alice = registrant(&daemon, "alice");
    let attempt = || post(&daemon, &alice, "/api/register", &json!({"name": "svc", "url": upstream.url()}));
    let none = attempt();
    assert_eq!((none.status(), none.problem()), (404, "not_found".to_owned()));
    assert!(none.text().contains("registry.sources"), "{}", none.text());
    assert_eq!(heartbeat(&daemon, &alice, "svc").problem(), "not_found");
    daemon.reload(&without.clone().set("registry", &section("{ttl: 90s, allowed_networks: [127.0.0.0/8]}")));
    eventually_eq("it is there", &201, || attempt().status());
    assert_eq!(fate(&daemon, "svc"), "-> /x");
    daemon.reload(&without);
    eventually_eq("it is gone", &"404 unknown_host".to_owned(), || fate(&daemon, "svc"));
    assert_eq!(attempt().status(), 404);
}

#[test]
fn many_register_at_once_and_all_are_there_when_they_are_told_so() {
    let upstream = Upstream::start();
    let daemon = with("90s").start();
    let alice = registrant(&daemon, "alice");
    let url = upstream.url();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (daemon, alice, url) = (&daemon, &alice, &url);
            scope.spawn(move || {
                for number in 0..10 {
                    let name = format!("s-{thread}-{number}");
                    register(daemon, alice, &name, url);
                    assert_eq!(fate(daemon, &name), "-> /x");
                }
            });
        }
    });
    assert_eq!(daemon.metric("chittyconnect_routes{source=\"embedded\"}"), Some(80.0));
    // One name from all sides: one owner has it, whoever that is.
    let tenants: Vec<Tenant> = (0..4).map(|number| registrant(&daemon, &format!("t{number}"))).collect();
    let won: usize = std::thread::scope(|scope| {
        let attempts: Vec<_> = tenants
            .iter()
            .map(|tenant| {
                let (daemon, url) = (&daemon, &url);
                scope.spawn(move || post(daemon, tenant, "/api/register", &json!({"name": "one", "url": url})).status())
            })
            .collect();
        attempts.into_iter().filter_map(|attempt| attempt.join().ok()).filter(|&status| status == 201).count()
    });
    assert_eq!(won, 1);
}
