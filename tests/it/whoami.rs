//! `GET /api/registry/whoami` (CONTRACT.md §5): exactly the contract's fields, for any key, of its own session alone.

use serde_json::{Value, json};

use crate::support::shape::misfits;
use crate::support::task::{KEY_HEADER, Members, is_time};
use crate::support::{API, Ask, CONNECT, Daemon, MCP, Rows, TASKS, Tenant};

const WHOAMI: &str = "/api/registry/whoami";

fn whoami(daemon: &Daemon, tenant: &Tenant) -> Value {
    let answer = daemon.ask(&tenant.ask("GET", WHOAMI));
    assert_eq!((answer.status(), answer.header("cache-control")), (200, Some("no-store")), "{}", answer.text());
    answer.json()
}

fn set(daemon: &Daemon, tenant: &Tenant, session: &str, uris: &[&str]) {
    let files: Vec<Value> = uris.iter().map(|uri| json!({ "uri": uri })).collect();
    let body = json!({"session_id": session, "files": files}).to_string();
    let answer = daemon.ask(&tenant.ask("POST", "/api/context/files/set-active").body(body));
    assert_eq!(answer.status(), 200, "{}", answer.text());
}

/// The names of the members of `value`, in no order.
fn members(value: &Value) -> Vec<String> {
    value.as_object().map(|object| object.keys().cloned().collect()).unwrap_or_default()
}

#[test]
fn it_has_exactly_the_contracts_fields() {
    let daemon = Daemon::builder().set("rate_limit", "\"off\"").start();
    let alice = Tenant::with(&daemon, "alice", &["--name", "laptop", "--scope", "context:write", "--scope", "admin"]);
    alice.titled(&daemon, "t");
    let file = json!({"uri": "r2://k", "name": "k", "size": 3, "mime": "text/plain", "sha256": "ab".repeat(32)});
    let body = json!({"session_id": alice.session_id, "files": [file]}).to_string();
    daemon.ask(&alice.ask("POST", "/api/context/files/set-active").body(body));
    let answer = daemon.ask(&alice.ask("GET", WHOAMI));
    let Members(top) = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(top, ["success", "data"]);
    let body = answer.json();
    let expected = json!({"success": true, "data": {
        "tenant": {"chitty_id": "alice", "name": "laptop", "account_type": "standard"},
        "session": {"session_id": alice.session_id, "created_at": "<time>", "last_activity": "<time>",
            "active_files": [{"uri": "r2://k", "name": "k", "size": 3, "sha256": "ab".repeat(32),
                "mime": "text/plain", "last_accessed": "<time>"}],
            "active_tasks": [{"task_id": "<uuid>", "title": "t", "status": "pending", "priority": "normal",
                "created_at": "<time>", "updated_at": "<time>"}]},
        "scopes": ["context:write", "admin"],
        "flags": {"mcp_enabled": "<bool>", "context_consciousness_enabled": "<bool>",
            "memory_cloude_enabled": "<bool>", "beta_features": "<array>"},
        "quota": {"storage_bytes": 1_073_741_824, "api_calls_remaining": "<number>"}}});
    assert_eq!(misfits(&expected, &body), [""; 0]);
    let data = &body["data"];
    let mut rows = Rows::new();
    for pointer in ["", "/tenant", "/session", "/session/active_files/0", "/session/active_tasks/0", "/flags", "/quota"]
    {
        let wanted = members(expected["data"].pointer(pointer).unwrap());
        rows.eq(pointer, &wanted, &members(data.pointer(pointer).unwrap()));
    }
    rows.finish();
}

#[test]
fn any_valid_key_may_ask_and_nobody_else() {
    let daemon = Daemon::builder().start();
    let mut rows = Rows::new();
    for scope in ["context:read", "files:read", "registry:write", "mcp:call", "admin"] {
        let tenant = Tenant::with(&daemon, "alice", &["--scope", scope]);
        for host in [CONNECT, API, MCP] {
            let answer = daemon.ask(&Ask::get(host, WHOAMI).header(KEY_HEADER, &tenant.key));
            rows.eq(format!("{host} {scope}"), &json!([scope]), &answer.json()["data"]["scopes"]);
            // A key without a session has one of its own.
            let session = format!("key-{}", tenant.key_id);
            rows.eq(format!("{host} {scope}"), &json!(session), &answer.json()["data"]["session"]["session_id"]);
        }
    }
    let alice = Tenant::new(&daemon, "alice");
    rows.eq("no key", &"401 Missing API key".to_owned(), &daemon.get(CONNECT, WHOAMI).fate());
    let other = daemon.ask(&alice.ask("GET", WHOAMI).header("X-ChittyID", "bob"));
    rows.eq("another's chitty id", &"403 forbidden".to_owned(), &other.fate());
    let own = daemon.ask(&alice.ask("GET", WHOAMI).header("X-ChittyID", "alice"));
    rows.eq("the own chitty id", &200, &own.status());
    rows.eq("POST", &"405 method_not_allowed".to_owned(), &daemon.ask(&alice.ask("POST", WHOAMI).body("{}")).fate());
    rows.finish();
}

#[test]
fn an_empty_session_is_as_old_as_its_key() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let before = whoami(&daemon, &alice)["data"]["session"].clone();
    assert!(is_time(&before["created_at"]) && before["created_at"] == before["last_activity"], "{before}");
    assert_eq!((&before["active_files"], &before["active_tasks"]), (&json!([]), &json!([])));
    alice.titled(&daemon, "t");
    let after = whoami(&daemon, &alice)["data"]["session"].clone();
    assert_eq!(after["created_at"], before["created_at"]);
    assert_eq!(after["last_activity"], after["active_tasks"][0]["updated_at"]);
    let daemon = daemon.restart();
    assert_eq!(whoami(&daemon, &alice)["data"]["session"], after);
}

#[test]
fn it_shows_ten_of_each_of_the_own_session() {
    let daemon = Daemon::builder().start();
    let [alice, bob] = ["alice", "bob"].map(|owner| Tenant::with(&daemon, owner, &["--session", "shared"]));
    let elsewhere = Tenant::with(&daemon, "alice", &["--session", "elsewhere"]);
    elsewhere.titled(&daemon, "of another session");
    bob.titled(&daemon, "of another tenant");
    set(&daemon, &elsewhere, "elsewhere", &["of another session"]);
    set(&daemon, &bob, "shared", &["of another tenant"]);
    for number in 0..12 {
        let priority = ["low", "high", "normal", "urgent"][number % 4];
        alice.made(&daemon, &json!({"title": number.to_string(), "priority": priority}));
    }
    for uri in ["old", "new"] {
        set(&daemon, &alice, "shared", &[uri]);
    }
    let session = whoami(&daemon, &alice)["data"]["session"].clone();
    let titles: Vec<&str> =
        session["active_tasks"].as_array().unwrap().iter().filter_map(|task| task["title"].as_str()).collect();
    assert_eq!(titles, ["11", "7", "3", "9", "5", "1", "10", "6", "2", "8"]);
    let uris: Vec<&Value> = session["active_files"].as_array().unwrap().iter().map(|file| &file["uri"]).collect();
    assert_eq!(uris, ["new"], "what is not in the set is not active");
    // Tasks that are over make room for others.
    let listed = daemon.ask(&alice.ask("GET", &format!("{TASKS}?priority=urgent"))).json();
    for task in listed["tasks"].as_array().unwrap() {
        alice.patched(&daemon, task["task_id"].as_str().unwrap(), &json!({"status": "cancelled"}));
    }
    let tasks = whoami(&daemon, &alice)["data"]["session"]["active_tasks"].clone();
    assert_eq!(tasks.as_array().map(Vec::len), Some(9));
    assert!(tasks.as_array().unwrap().iter().all(|task| task["priority"] != "urgent"), "{tasks}");
}
