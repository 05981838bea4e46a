//! What describes and counts tasks: OpenAPI, discovery, metrics, the access log.

use serde_json::{Value, json};

use crate::support::task::{KEY_HEADER, NO_SUCH_TASK, at};
use crate::support::{Ask, CONNECT, Daemon, Rows, TASKS, Tenant};

#[test]
fn openapi_describes_the_five_operations() {
    let daemon = Daemon::builder().start();
    let document = daemon.get(CONNECT, "/openapi.json").json();
    let paths = document["paths"].as_object().unwrap();
    let one = paths.keys().find(|path| path.starts_with(&at("{"))).unwrap_or_else(|| panic!("{:?}", paths.keys()));
    let mut rows = Rows::new();
    for (path, method, scope) in [
        (TASKS, "get", "context:read"),
        (TASKS, "post", "context:write"),
        (one, "get", "context:read"),
        (one, "patch", "context:write"),
        (one, "delete", "context:write"),
    ] {
        let operation = &document["paths"][path][method];
        let what = format!("{method} {path}");
        let security = operation["security"].as_array().cloned().unwrap_or_default();
        let scopes = security.iter().find_map(|one| one.get("apiKey")).cloned().unwrap_or_default();
        rows.holds(&what, scopes.as_array().is_some_and(|scopes| scopes.contains(&json!(scope))), operation);
        let responses = operation["responses"].as_object().cloned().unwrap_or_default();
        for status in ["200", "401", "403"] {
            rows.holds(format!("{what}: {status}"), responses.contains_key(status), responses.keys());
        }
    }
    for (method, status) in [("patch", "409"), ("patch", "412"), ("patch", "422"), ("delete", "412"), ("get", "404")] {
        let responses = &document["paths"][one][method]["responses"];
        rows.holds(format!("{method}: {status}"), responses.get(status).is_some(), responses);
    }
    let text = document.to_string();
    for limit in [["4096", "4 KiB"], ["65536", "64 KiB"]] {
        rows.holds(format!("the limit {limit:?}"), limit.iter().any(|limit| text.contains(limit)), limit);
    }
    let parameters = document["paths"][TASKS]["get"]["parameters"].to_string();
    for name in ["session_id", "status", "priority", "parent_task_id", "assigned_service", "limit", "cursor"] {
        rows.holds(format!("list: {name}"), parameters.contains(&format!("\"{name}\"")), &parameters);
    }
    rows.finish();
}

#[test]
fn discovery_links_to_tasks_that_are_answered() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let id = alice.titled(&daemon, "found");
    let document = daemon.get(CONNECT, "/.well-known/chitty.json").json();
    assert_eq!(document["capabilities"]["api"]["authentication"], json!(["api_key", "bearer_token"]));
    // A link may be a URL of this gateway or a path on it.
    let place = |link: &str| {
        let Some((_, rest)) = link.split_once("://") else { return (CONNECT.to_owned(), link.to_owned()) };
        let (authority, path) = rest.split_once('/').unwrap();
        (authority.to_owned(), format!("/{path}"))
    };
    let links = &document["context_sync"]["tasks"];
    let link = |name: &str| links[name].as_str().unwrap_or_else(|| panic!("{name} in {links}")).to_owned();
    let (host, path) = place(&link("list"));
    let listed = daemon.ask(&Ask::get(&host, &path).header(KEY_HEADER, &alice.key));
    assert_eq!(listed.json()["tasks"][0]["title"], "found", "{path}");
    let (host, path) = place(&link("create"));
    let made = daemon.ask(&Ask::new("POST", &host, &path).header(KEY_HEADER, &alice.key).body("{\"title\":\"t\"}"));
    assert_eq!(made.json()["ok"], true, "{path}: {}", made.text());
    let (host, template) = place(&link("update"));
    let (collection, variable) = template.rsplit_once('/').unwrap();
    assert!(variable.starts_with(['{', ':']), "{template}");
    let path = format!("{collection}/{id}");
    let changed = daemon.ask(&Ask::new("PATCH", &host, &path).header(KEY_HEADER, &alice.key).body("{\"title\":\"u\"}"));
    assert_eq!(changed.json()["ok"], true, "{path}: {}", changed.text());
    assert_eq!(alice.task(&daemon, &id)["title"], "u");
}

#[test]
fn tasks_and_the_store_are_counted() {
    const TOTAL: &str = "chittyconnect_tasks_total";
    let daemon = Daemon::builder().start();
    let alice = Tenant::with(&daemon, "quagga", &["--session", "okapi"]);
    let id = alice.titled(&daemon, "zebra");
    alice.titled(&daemon, "another");
    alice.task(&daemon, &id);
    alice.page(&daemon, "");
    alice.page(&daemon, "status=pending");
    alice.page(&daemon, "status=completed");
    alice.patched(&daemon, &id, &json!({"status": "completed"}));
    daemon.ask(&alice.delete(&id));
    let mut rows = Rows::new();
    for (operation, count) in [("create", 2.0), ("get", 1.0), ("list", 3.0), ("update", 1.0), ("delete", 1.0)] {
        let label = format!("operation=\"{operation}\"");
        rows.eq(operation, &count, &daemon.metric_sum(TOTAL, &[&label]));
    }
    // What was refused is another outcome of the same operation.
    daemon.ask(&alice.get(&id));
    daemon.ask(&alice.get(&id));
    let text = daemon.admin("/metrics").text();
    let of_get = |line: &&str| line.starts_with(TOTAL) && line.contains("operation=\"get\"");
    let samples: Vec<&str> = text.lines().filter(of_get).collect();
    rows.eq("outcomes of get", &2, &samples.len());
    rows.eq("all of get", &3.0, &daemon.metric_sum(TOTAL, &["operation=\"get\""]));
    rows.holds("each has an outcome", samples.iter().all(|line| line.contains("outcome=\"")), &samples);

    let durations = daemon.metric_sum("chittyconnect_store_operation_duration_seconds_count", &[]);
    rows.holds("durations of the store", durations >= 8.0, durations);
    let batches = daemon.metric_sum("chittyconnect_store_commit_batch_size_count", &[]);
    rows.holds("batches of the store", batches >= 1.0, batches);
    rows.eq("errors of the store", &0.0, &daemon.metric_sum("chittyconnect_store_errors_total", &[]));
    for name in [id.as_str(), "quagga", "okapi", "zebra", alice.key.as_str(), TASKS] {
        rows.holds(format!("{name} in the metrics"), !text.contains(name), &text);
    }
    rows.finish();
}

#[test]
fn an_access_line_of_a_task_has_its_error_and_no_secret() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let id = alice.titled(&daemon, "t");
    daemon.ask(&alice.list("status=pending&cursor="));
    daemon.ask(&alice.get(NO_SUCH_TASK));
    daemon.ask(&alice.patch(&id, &json!({"status": "completed"})));
    daemon.ask(&alice.patch(&id, &json!({"status": "pending"})));
    let mut rows = Rows::new();
    for (method, path, status, error) in [
        ("POST", TASKS.to_owned(), 200, Value::Null),
        ("GET", TASKS.to_owned(), 200, Value::Null),
        ("GET", at(NO_SUCH_TASK), 404, json!("task_not_found")),
        ("PATCH", at(&id), 409, json!("invalid_transition")),
    ] {
        let wanted = |line: &Value| line["method"] == method && line["path"] == path && line["status"] == status;
        let line = daemon.access_line(&format!("{method} {path} {status}"), wanted);
        rows.eq(format!("{method} {path} {status}"), &error, &line["error"]);
    }
    rows.finish();
    let lines = daemon.access_lines().iter().map(Value::to_string).collect::<String>();
    assert!(!lines.contains(&alice.key[7..]) && !daemon.log().contains(&alice.key[7..]), "a key in a log");
}
