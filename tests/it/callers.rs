//! Who is calling (DESIGN.md): where a key is looked for, what it opens, and what a caller without one gets.

use serde_json::json;

use crate::support::task::{KEY_HEADER, NO_SUCH_TASK, at, leak};
use crate::support::{Ask, CONNECT, Daemon, Rows, TASKS, Tenant, Upstream, eventually};

const MISSING: &str = "401 Missing API key";
const INVALID: &str = "401 Invalid API key";
const INACTIVE: &str = "401 API key is inactive";
const FORBIDDEN: &str = "403 forbidden";
const FINE: &str = "200 local";

#[test]
fn a_key_is_looked_for_in_its_header_and_then_as_a_bearer_token() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let right = alice.key.as_str();
    let wrong = format!("chitty_{}", "0".repeat(64));
    let bearer = format!("Bearer {right}");
    let get = || Ask::get(CONNECT, TASKS);
    let mut rows = Rows::new();
    for (what, ask, fate) in [
        ("none", get(), MISSING),
        ("header", get().header(KEY_HEADER, right), FINE),
        ("header in lower case", get().header("x-chittyos-api-key", right), FINE),
        ("bearer", get().header("Authorization", &bearer), FINE),
        ("bearer in lower case", get().header("authorization", &format!("bearer {right}")), FINE),
        ("BEARER", get().header("Authorization", &format!("BEARER {right}")), FINE),
        ("both right", get().header(KEY_HEADER, right).header("Authorization", &bearer), FINE),
        ("header wrong, bearer right", get().header(KEY_HEADER, &wrong).header("Authorization", &bearer), INVALID),
        (
            "header right, bearer wrong",
            get().header("Authorization", &format!("Bearer {wrong}")).header(KEY_HEADER, right),
            FINE,
        ),
        ("header right, Basic beside it", get().header("Authorization", "Basic eDp5").header(KEY_HEADER, right), FINE),
        ("empty header", get().header(KEY_HEADER, ""), MISSING),
        ("empty bearer", get().header("Authorization", "Bearer "), MISSING),
        ("Bearer alone", get().header("Authorization", "Bearer"), MISSING),
        ("Basic", get().header("Authorization", "Basic eDp5"), MISSING),
        ("no scheme", get().header("Authorization", right), MISSING),
        ("another header", get().header("X-API-Key", right), MISSING),
        ("query", Ask::get(CONNECT, &format!("{TASKS}?api_key={right}")), MISSING),
        ("cookie", get().header("Cookie", &format!("api_key={right}")), MISSING),
    ] {
        let answer = daemon.ask(&ask);
        rows.eq(what, &fate.to_owned(), &answer.fate());
        if fate != FINE {
            rows.holds(format!("{what}: WWW-Authenticate"), answer.header("www-authenticate").is_some(), &answer.head);
            rows.eq(format!("{what}: type"), &Some("application/json"), &answer.header("content-type"));
            rows.eq(format!("{what}: status"), &json!(401), &answer.json()["status"]);
            rows.holds(format!("{what}: message"), answer.json()["message"].is_string(), answer.text());
        }
    }
    rows.finish();
}

#[test]
fn a_key_that_was_never_made_is_invalid() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let right = alice.key.as_str();
    let mut rows = Rows::new();
    for key in [
        "any",
        "chitty_",
        &format!("chitty_{}", "0".repeat(64)),
        &right[..70],
        &format!("{right}0"),
        &right[7..],
        &right.to_ascii_uppercase(),
        &format!("{}{}", &right[..70], if right.ends_with('0') { '1' } else { '0' }),
        &format!("x{right}"),
        &alice.key_id,
        &"k".repeat(5000),
        "schlüssel",
        "'; DROP TABLE keys; --",
    ] {
        for ask in [
            Ask::get(CONNECT, TASKS).header(KEY_HEADER, key),
            Ask::get(CONNECT, TASKS).header("Authorization", &format!("Bearer {key}")),
        ] {
            let answer = daemon.ask(&ask);
            rows.eq(key.chars().take(90).collect::<String>(), &INVALID.to_owned(), &answer.fate());
            rows.eq(key.chars().take(90).collect::<String>(), &None, &leak(&answer));
        }
    }
    rows.finish();
}

#[test]
fn an_expired_key_is_inactive_and_says_so() {
    let daemon = Daemon::builder().start();
    let short = Tenant::with(&daemon, "alice", &["--expires", "1s"]);
    let long = Tenant::with(&daemon, "alice", &["--expires", "1h"]);
    let answer = eventually("the key expires", || {
        let answer = daemon.ask(&short.list(""));
        if answer.status() == 200 { Err(answer.text()) } else { Ok(answer) }
    });
    assert_eq!(answer.fate(), INACTIVE);
    let message = answer.json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("expire") || message.contains("ended"), "{message}");
    assert!(answer.header("www-authenticate").is_some(), "{:?}", answer.head);
    assert_eq!(daemon.ask(&short.create(&json!({"title": "late"}))).fate(), INACTIVE);
    assert_eq!(daemon.ask(&long.list("")).fate(), FINE);
    let daemon = daemon.restart();
    assert_eq!(daemon.ask(&short.list("")).fate(), INACTIVE, "after a restart, too");
    assert_eq!(daemon.ask(&long.list("")).json()["count"], 0);
}

#[test]
fn a_scope_opens_what_it_says() {
    const NO: &str = FORBIDDEN;
    let daemon = Daemon::builder().start();
    let mut rows = Rows::new();
    for (scopes, read, write) in [
        (&[][..], FINE, FINE),
        (&["context:read"], FINE, NO),
        (&["context:write"], FINE, FINE),
        (&["context:read", "context:write"], FINE, FINE),
        (&["read"], FINE, NO),
        (&["write"], FINE, FINE),
        (&["admin"], FINE, FINE),
        (&["files:read"], NO, NO),
        (&["files:write"], NO, NO),
        (&["registry:write"], NO, NO),
        (&["mcp:call"], NO, NO),
        (&["files:write", "registry:write", "mcp:call"], NO, NO),
        (&["files:read", "context:read"], FINE, NO),
    ] {
        let flags: Vec<&str> = scopes.iter().flat_map(|scope| ["--scope", *scope]).collect();
        let owner = Tenant::with(&daemon, "alice", &["--session", "shared"]);
        let id = owner.titled(&daemon, "t");
        let caller = Tenant::with(&daemon, "alice", &[&["--session", "shared"], &flags[..]].concat());
        for (what, ask, fate) in [
            ("GET", caller.get(&id), read),
            ("list", caller.list("limit=1"), read),
            ("POST", caller.create(&json!({"title": "made"})), write),
            ("PATCH", caller.patch(&id, &json!({"title": "changed"})), write),
            ("DELETE", caller.delete(&id), write),
        ] {
            rows.eq(format!("{scopes:?}: {what}"), &fate.to_owned(), &daemon.ask(&ask).fate());
        }
        let left = if write == FINE { 404 } else { 200 };
        rows.eq(format!("{scopes:?}: then"), &left, &daemon.ask(&owner.get(&id)).status());
        if write == NO {
            rows.eq(format!("{scopes:?}: unchanged"), &json!("t"), &owner.task(&daemon, &id)["title"]);
            // Whether a task is there is not for this caller to know.
            for ask in [caller.patch(NO_SUCH_TASK, &"{}"), caller.delete(NO_SUCH_TASK), caller.create(&"{}")] {
                rows.eq(format!("{scopes:?}: the scope comes first"), &NO.to_owned(), &daemon.ask(&ask).fate());
            }
        }
    }
    rows.finish();
}

#[test]
fn without_a_key_nothing_under_api_says_what_is_there() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let id = alice.titled(&daemon, "t");
    let mut rows = Rows::new();
    for (method, path, with_key) in [
        ("GET", TASKS.to_owned(), FINE),
        ("GET", at(&id), FINE),
        ("GET", at(NO_SUCH_TASK), "404 task_not_found"),
        ("POST", TASKS.to_owned(), "400 creation_failed"),
        ("PATCH", at(&id), "400 update_failed"),
        ("PUT", TASKS.to_owned(), "405 method_not_allowed"),
        ("POST", at(&id), "405 method_not_allowed"),
        ("GET", "/api/nope".to_owned(), "404 not_found"),
        ("DELETE", "/api/nope/deeper".to_owned(), "404 not_found"),
        ("GET", format!("{TASKS}/"), "404 not_found"),
        ("GET", "/api/context".to_owned(), "404 not_found"),
        ("GET", "/api/health/".to_owned(), "404 not_found"),
        ("GET", "/api/v1/nope".to_owned(), "404 not_found"),
        ("DELETE", at(&id), FINE),
    ] {
        let none = daemon.ask(&Ask::new(method, CONNECT, &path));
        rows.eq(format!("{method} {path} without a key"), &MISSING.to_owned(), &none.fate());
        rows.eq(format!("{method} {path}: Allow"), &None, &none.header("allow"));
        let wrong = daemon.ask(&Ask::new(method, CONNECT, &path).header(KEY_HEADER, "wrong"));
        rows.eq(format!("{method} {path} with a wrong one"), &INVALID.to_owned(), &wrong.fate());
        let right = daemon.ask(&alice.ask(method, &path));
        rows.eq(format!("{method} {path} with a right one"), &with_key.to_owned(), &right.fate());
        if with_key.starts_with("405") {
            rows.holds(format!("{method} {path}: Allow"), right.header("allow").is_some(), &right.head);
        }
    }
    let head = daemon.ask(&Ask::new("HEAD", CONNECT, TASKS));
    rows.eq("HEAD", &(401, 0), &(head.status(), head.body.len()));
    rows.finish();
}

#[test]
fn what_is_public_stays_public() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let mut rows = Rows::new();
    for path in ["/health", "/api/health", "/api/v1/status", "/openapi.json", "/.well-known/chitty.json"] {
        for (what, ask) in [
            ("without a key", Ask::get(CONNECT, path)),
            ("with a wrong one", Ask::get(CONNECT, path).header(KEY_HEADER, "wrong")),
            ("with a right one", alice.ask("GET", path)),
        ] {
            rows.eq(format!("{path} {what}"), &200, &daemon.ask(&ask).status());
        }
    }
    for path in ["/api/health", "/api/v1/status"] {
        let answer = daemon.ask(&Ask::new("POST", CONNECT, path).body("{}"));
        rows.eq(format!("POST {path}"), &"405 method_not_allowed".to_owned(), &answer.fate());
    }
    rows.finish();
}

#[test]
fn a_service_is_asked_without_a_key_and_never_sees_one() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder().service(upstream.service("svc")).start();
    let alice = Tenant::new(&daemon, "alice");
    assert_eq!(daemon.get(CONNECT, "/svc/api/context/tasks").fate(), "-> /api/context/tasks");
    let bearer = format!("Bearer {}", alice.key);
    let ask = alice.ask("GET", "/svc/api/x").header("Authorization", &bearer);
    let seen = daemon.ask(&ask).echo();
    assert_eq!((seen.header(KEY_HEADER), seen.header("authorization")), (None, None));
}

#[test]
fn the_header_of_a_key_can_have_another_name() {
    let daemon = Daemon::builder().set("auth", "{header: X-Gateway-Key}").start();
    let alice = Tenant::new(&daemon, "alice");
    let mut rows = Rows::new();
    for (what, ask, fate) in [
        ("the configured one", Ask::get(CONNECT, TASKS).header("X-Gateway-Key", &alice.key), FINE),
        ("the default", Ask::get(CONNECT, TASKS).header(KEY_HEADER, &alice.key), MISSING),
        ("a bearer token", Ask::get(CONNECT, TASKS).header("Authorization", &format!("Bearer {}", alice.key)), FINE),
    ] {
        rows.eq(what, &fate.to_owned(), &daemon.ask(&ask).fate());
    }
    rows.finish();
    let document = daemon.get(CONNECT, "/openapi.json").json();
    let name = document["components"]["securitySchemes"]["apiKey"]["name"].as_str().unwrap();
    assert!(name.eq_ignore_ascii_case("X-Gateway-Key"), "{name}");
}
