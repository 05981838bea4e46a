//! `/api/registry/services`: the table as registries write one.

use serde_json::{Value, json};

use crate::support::task::tag;
use crate::support::{Answer, CONNECT, Daemon, Tenant, Upstream, eventually};

fn get(daemon: &Daemon, tenant: &Tenant, path: &str) -> Answer {
    daemon.ask(&tenant.ask("GET", &format!("/api/registry/services{path}")))
}

#[test]
fn the_table_is_listed_as_registries_write_it() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder()
        .set("registry", "{sources: [{file: services.json}]}")
        .file(
            "services.json",
            json!([{"name": "filed", "url": upstream.url(), "status": "Active", "version": "1.2.3",
            "chittyId": "c-1", "health_url": upstream.url() + "/healthz", "mcp": "/mcp"}])
            .to_string(),
        )
        .service(format!("{{id: own, subdomain: sub, aliases: [alias], endpoints: [\"{}\"]}}", upstream.url()))
        .service("{id: off, enabled: false, endpoints: [\"http://127.0.0.1:1\"]}")
        .start();
    let tenant = Tenant::with(&daemon, "alice", &["--scope", "mcp:call"]);
    let list = get(&daemon, &tenant, "");
    let services = list.json()["services"].as_array().unwrap().clone();
    let ids: Vec<&Value> = services.iter().map(|service| &service["id"]).collect();
    assert_eq!(ids, ["filed", "own", "off"]);
    let filed = &services[0];
    for (field, wanted) in [
        ("name", json!("filed")),
        ("chitty_id", json!("c-1")),
        ("url", json!(upstream.url())),
        ("endpoints", json!([upstream.url()])),
        ("subdomain", json!("filed")),
        ("health_url", json!(upstream.url() + "/healthz")),
        ("mcp", json!(upstream.url() + "/mcp")),
        ("status", json!("active")),
        ("version", json!("1.2.3")),
        ("description", Value::Null),
    ] {
        assert_eq!(filed[field], wanted, "{field} of {filed}");
    }
    assert_eq!(services[2]["status"], "disabled");
    for name in ["own", "OWN", "sub", "alias"] {
        assert_eq!(get(&daemon, &tenant, &format!("/{name}")).json(), services[1], "{name}");
    }
    for (path, status, word) in [
        ("/nope", 404, "Service not found"),
        ("/a.b", 404, "Service not found"),
        ("/%2e%2e", 404, "not_found"),
        ("/..%2f..%2fhealth", 400, "bad_path"),
        ("/own/", 404, "not_found"),
    ] {
        let answer = get(&daemon, &tenant, path);
        assert_eq!((answer.status(), &*answer.problem()), (status, word), "{path}: {}", answer.text());
    }
    assert_eq!(daemon.get(CONNECT, "/api/registry/services").problem(), "Missing API key");
}

#[test]
fn a_list_that_has_not_changed_is_304_and_one_that_has_is_another() {
    let upstream = Upstream::start();
    let builder = Daemon::builder().service(upstream.service("one"));
    let daemon = builder.clone().start();
    let tenant = Tenant::new(&daemon, "alice");
    for path in ["", "/one"] {
        let first = tag(&get(&daemon, &tenant, path));
        let again = |tag: &str| {
            let ask = tenant.ask("GET", &format!("/api/registry/services{path}")).header("If-None-Match", tag);
            daemon.ask(&ask)
        };
        assert_eq!((again(&first).status(), again("\"other\"").status()), (304, 200), "{path}");
        assert_eq!(again(&first).header("cache-control"), Some("no-store"));
        assert_eq!(again("\"x\"").header("access-control-allow-origin"), None);
    }
    let before = tag(&get(&daemon, &tenant, ""));
    daemon.reload(&builder.service(upstream.service("two")));
    eventually("the list is another", || {
        let now = tag(&get(&daemon, &tenant, ""));
        if now == before { Err(now) } else { Ok(()) }
    });
    assert_eq!(get(&daemon, &tenant, "/two").status(), 200);
}
