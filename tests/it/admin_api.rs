//! What an admin asks on the gateway hosts.

use serde_json::{Value, json};

use crate::support::{Answer, Ask, CONNECT, Daemon, Registry, Tenant, Upstream, eventually_eq};

const ROUTES: &str = "/api/admin/routes";
const REFRESH: &str = "/api/admin/refresh-discovery";

fn admin(daemon: &Daemon) -> Tenant {
    Tenant::with(daemon, "root", &["--scope", "admin"])
}

#[test]
fn conflicts_name_the_service_that_lost_and_the_rest_is_what_routes_prints() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder()
        .service(upstream.service("one"))
        .service(format!("{{id: two, aliases: [one], endpoints: [\"{}\"]}}", upstream.url()))
        .start();
    let answer = daemon.ask(&admin(&daemon).ask("GET", ROUTES));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let report = answer.json();
    let conflict = &report["conflicts"][0];
    assert_eq!(
        (&conflict["service"], &conflict["name"], &conflict["winner"]),
        (&json!("two"), &json!("one"), &json!("one"))
    );
    let printed = daemon.command(&["routes", "--format", "json"]);
    let printed: Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(report, printed);
}

#[test]
fn a_refresh_is_answered_when_every_source_has_been_asked_again() {
    let upstream = Upstream::start();
    let list = |names: &[&str]| {
        let entries: Vec<Value> = names.iter().map(|name| json!({"name": name, "url": upstream.url()})).collect();
        json!(entries).to_string()
    };
    let registry = Registry::with(list(&["one"]));
    let section = registry.section("allowed_networks: [127.0.0.0/8]").replace("refresh: 100ms", "refresh: 1h");
    let daemon = Daemon::builder().set("registry", &section).start();
    let root = admin(&daemon);
    let refresh = || daemon.ask(&root.ask("POST", REFRESH));
    eventually_eq("the registry is read", &"-> /x".to_owned(), || daemon.get("one.chitty.test", "/x").fate());
    registry.put("/api/services", list(&["one", "two"]));
    let answer = refresh();
    let expected = json!({"success": true, "services": 2, "conflicts": 0, "failing": [], "timed_out": false});
    assert_eq!((answer.status(), answer.json()), (200, expected));
    assert_eq!(daemon.get("two.chitty.test", "/x").fate(), "-> /x");
    registry.put_as("/api/services", "status=500", "");
    let answer = refresh().json();
    assert_eq!((&answer["success"], &answer["services"]), (&json!(false), &json!(2)), "{answer}");
    assert!(answer["failing"][0].as_str().is_some_and(|name| name.starts_with("http:")), "{answer}");
}

#[test]
fn only_an_admin_may_ask() {
    let daemon = Daemon::builder().start();
    let other = Tenant::with(&daemon, "alice", &["--scope", "registry:write", "--scope", "context:write"]);
    for (method, path) in [("GET", ROUTES), ("POST", REFRESH)] {
        let word = |answer: &Answer| (answer.status(), answer.problem());
        let keyless = daemon.ask(&Ask::new(method, CONNECT, path));
        assert_eq!(word(&keyless), (401, "Missing API key".to_owned()), "{path}");
        assert_eq!(word(&daemon.ask(&other.ask(method, path))), (403, "forbidden".to_owned()), "{path}");
    }
}
