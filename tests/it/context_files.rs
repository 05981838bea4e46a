//! Files and synchronisations in the context of sessions (CONTRACT.md §3), over both of their paths.

use serde_json::{Value, json};

use crate::support::shape::misfits;
use crate::support::task::leak;
use crate::support::{Answer, Daemon, Rows, Tenant};

const BASES: [&str; 2] = ["/api/context", "/api/v1/context"];
const FILES: &str = "/api/context/files";
const EVENTS: &str = "/api/context/sync-events";

fn post(daemon: &Daemon, tenant: &Tenant, target: &str, body: &Value) -> Answer {
    daemon.ask(&tenant.ask("POST", target).body(body.to_string()))
}

fn set(daemon: &Daemon, tenant: &Tenant, uris: &[&str]) -> Answer {
    let files: Vec<Value> = uris.iter().map(|uri| json!({"uri": uri, "name": uri})).collect();
    let body = json!({"session_id": tenant.session_id, "files": files});
    post(daemon, tenant, "/api/context/files/set-active", &body)
}

fn listed(daemon: &Daemon, tenant: &Tenant, query: &str) -> Value {
    let answer = daemon.ask(&tenant.ask("GET", &format!("{FILES}?{query}")));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    answer.json()
}

fn uris(list: &Value) -> Vec<String> {
    list["files"].as_array().unwrap().iter().map(|file| file["uri"].as_str().unwrap().to_owned()).collect()
}

fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list
}

#[test]
fn set_active_replaces_the_set_and_clears_it() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    assert_eq!(set(&daemon, &alice, &["a", "b"]).json(), json!({"ok": true, "count": 2}));
    let first = listed(&daemon, &alice, "active=true");
    assert_eq!(sorted(uris(&first)), ["a", "b"]);
    assert_eq!(set(&daemon, &alice, &["b", "c", "c"]).json(), json!({"ok": true, "count": 2}));
    let second = listed(&daemon, &alice, "active=true");
    assert_eq!(sorted(uris(&second)), ["b", "c"]);
    assert_eq!(uris(&listed(&daemon, &alice, "active=false")), ["a"]);
    let id = |list: &Value| {
        let files = list["files"].as_array().unwrap();
        files.iter().find(|file| file["uri"] == "b").unwrap()["id"].clone()
    };
    assert_eq!(id(&first), id(&second), "a file keeps its id");
    assert_eq!(set(&daemon, &alice, &[]).json(), json!({"ok": true, "count": 0}));
    assert_eq!(listed(&daemon, &alice, "active=true")["count"], 0);
    assert_eq!(listed(&daemon, &alice, "")["count"], 3);
    // All of it is there after a restart.
    let daemon = daemon.restart();
    assert_eq!(listed(&daemon, &alice, "")["count"], 3);
    assert_eq!(set(&daemon, &alice, &["a"]).status(), 200);
    assert_eq!(uris(&listed(&daemon, &alice, "active=true")), ["a"]);
}

#[test]
fn what_is_said_of_a_file_comes_back() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let sha = "ab".repeat(32);
    let metadata = json!({"deep": [1, {"x": null}]});
    let file = json!({"uri": "r2://k", "name": "n", "size": 5, "sha256": sha.to_ascii_uppercase(),
        "mime": "text/plain", "metadata": metadata});
    let body = json!({"session_id": "other", "files": [file]});
    assert_eq!(post(&daemon, &alice, "/api/v1/context/files/set-active", &body).status(), 200);
    let list = listed(&daemon, &alice, "session_id=other");
    let expected = json!({"ok": true, "count": 1, "next_cursor": null, "files": [{
        "id": "<uuid>", "session_id": "other", "chitty_id": "alice", "uri": "r2://k", "name": "n", "size": 5,
        "sha256": sha, "mime": "text/plain", "r2_key": null, "metadata": metadata, "active": true,
        "created_at": "<time>", "modified_at": null, "last_accessed": "<time>"}]});
    assert_eq!(misfits(&expected, &list), [""; 0]);
}

#[test]
fn one_bad_item_is_400_with_its_index_and_nothing_is_kept() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    set(&daemon, &alice, &["before"]);
    let mut rows = Rows::new();
    for base in BASES {
        for item in [json!({}), json!(null), json!("x"), json!({"uri": ""}), json!({"uri": "u", "size": "12"})] {
            let body = json!({"session_id": alice.session_id, "files": [{"uri": "new"}, item]});
            let answer = post(&daemon, &alice, &format!("{base}/files/set-active"), &body);
            rows.eq(format!("{base} {item}"), &"400 invalid_request".to_owned(), &answer.fate());
            rows.holds(format!("{base} {item}"), answer.text().contains("files[1]"), answer.text());
        }
        for item in [json!({}), json!(null), json!({"r2_key": 5}), json!({"uri": "u", "size": -1})] {
            let body = json!({"items": [{"uri": "new"}, item]});
            let answer = post(&daemon, &alice, &format!("{base}/files/sync-report"), &body);
            rows.eq(format!("{base} {item}"), &"400 invalid_request".to_owned(), &answer.fate());
            rows.holds(format!("{base} {item}"), answer.text().contains("items[1]"), answer.text());
        }
        for body in ["", "{", "{\"session_id\":\"\u{fffd}", "[1,]"] {
            for target in ["files/set-active", "files/sync-report"] {
                let answer = daemon.ask(&alice.ask("POST", &format!("{base}/{target}")).body(body));
                rows.eq(format!("{target} {body:?}"), &"400 bad_json".to_owned(), &answer.fate());
                rows.eq(format!("{target} {body:?} says nothing of the inside"), &None, &leak(&answer));
            }
        }
    }
    rows.eq("kept", &vec!["before".to_owned()], &uris(&listed(&daemon, &alice, "")));
    let events = daemon.ask(&alice.ask("GET", EVENTS)).json();
    rows.eq("no event", &json!(0), &events["count"]);
    rows.finish();
}

#[test]
fn limits_are_said() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let mut rows = Rows::new();
    let many = |count: usize| {
        let files: Vec<Value> = (0..count).map(|number| json!({"uri": format!("r2://{number}")})).collect();
        json!({"session_id": alice.session_id, "files": files})
    };
    let target = "/api/context/files/set-active";
    rows.eq("1,000 files", &200, &post(&daemon, &alice, target, &many(1000)).status());
    rows.eq("1,001 files", &"400 invalid_request".to_owned(), &post(&daemon, &alice, target, &many(1001)).fate());
    let long = json!({"session_id": alice.session_id, "files": [{"uri": "u".repeat(2049)}]});
    rows.eq("a URI of 2,049 bytes", &400, &post(&daemon, &alice, target, &long).status());
    let metadata = json!({"session_id": alice.session_id, "files": [{"uri": "u", "metadata": "x".repeat(66_000)}]});
    rows.eq("metadata", &"413 body_too_large".to_owned(), &post(&daemon, &alice, target, &metadata).fate());
    let body = json!({"session_id": alice.session_id, "files": [], "x": "x".repeat(800_000)});
    rows.eq("the body", &"413 body_too_large".to_owned(), &post(&daemon, &alice, target, &body).fate());
    let coded = alice.ask("POST", target).header("Content-Encoding", "gzip").body("{}");
    rows.eq("a coding", &"415 unsupported_media_type".to_owned(), &daemon.ask(&coded).fate());
    rows.finish();
}

#[test]
fn pages_of_files_meet() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let names: Vec<String> = (0..25).map(|number| format!("f{number:02}")).collect();
    set(&daemon, &alice, &names.iter().map(String::as_str).collect::<Vec<_>>());
    set(&daemon, &alice, &names[..10].iter().map(String::as_str).collect::<Vec<_>>());
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    for _ in 0..10 {
        let page = listed(&daemon, &alice, &format!("limit=7&cursor={cursor}"));
        seen.extend(uris(&page));
        match page["next_cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(sorted(seen[..10].to_vec()), names[..10], "the active ones first");
    assert_eq!(sorted(seen.clone()), names);
    let refused = daemon.ask(&alice.ask("GET", &format!("{FILES}?cursor=nonsense")));
    assert_eq!(refused.fate(), "400 invalid_request");
}

#[test]
fn a_report_is_kept_and_its_files_are_active() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    set(&daemon, &alice, &["before"]);
    for base in BASES {
        let items = json!([{"r2_key": "k", "size": 3, "modified": "2026-01-02T03:04:05Z"}, {"uri": "https://x/y"}]);
        let body = json!({"path_prefix": "p/", "items": items, "session_id": "ignored"});
        let answer = post(&daemon, &alice, &format!("{base}/files/sync-report"), &body);
        assert_eq!(misfits(&json!({"ok": true, "count": 2, "eventId": "<uuid>"}), &answer.json()), [""; 0]);
        let active = listed(&daemon, &alice, "active=true");
        assert_eq!(sorted(uris(&active)), ["before", "https://x/y", "r2://k"]);
        let events = daemon.ask(&alice.ask("GET", &format!("{EVENTS}?limit=1"))).json();
        let expected = json!({"ok": true, "count": 1, "events": [{"event_id": answer.json()["eventId"],
            "type": "sync-report", "source": "rclone", "path_prefix": "p/", "count": 2, "items": items,
            "events": null, "project": null, "session_id": alice.session_id, "created_at": "<time>"}]});
        assert_eq!(misfits(&expected, &events), [""; 0]);
    }
    let body = json!({"items": [], "source": "a script of mine"});
    assert_eq!(post(&daemon, &alice, "/api/context/files/sync-report", &body).json()["count"], 0);
    let counted = |source: &str| daemon.metric(&format!("chittyconnect_file_sync_events_total{{source=\"{source}\"}}"));
    assert_eq!((counted("rclone"), counted("other")), (Some(2.0), Some(1.0)));
}

#[test]
fn a_session_that_is_taken_in_keeps_the_events_it_brings() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let events = json!([{"n": 1, "text": "é"}, [2], "three", null, 1.50]);
    for (base, session) in BASES.into_iter().zip(["one", "two"]) {
        let body = json!({"type": "SESSION_INGEST", "sessionId": session, "project": {"slug": "p"}, "events": events});
        let answer = post(&daemon, &alice, &format!("{base}/sync"), &body);
        let expected =
            json!({"ok": true, "accepted": true, "eventId": "<uuid>", "sessionId": session, "eventCount": 5});
        assert_eq!(misfits(&expected, &answer.json()), [""; 0]);
        let kept = daemon.ask(&alice.ask("GET", &format!("{EVENTS}?session_id={session}&type=SESSION_INGEST"))).json();
        assert_eq!(kept["events"][0]["events"], events);
        assert_eq!(kept["events"][0]["project"], json!({"slug": "p"}));
        assert_eq!(kept["count"], 1);
    }
    let none = daemon.ask(&alice.ask("GET", &format!("{EVENTS}?session_id=one&type=sync-report"))).json();
    assert_eq!(none["count"], 0);
    let daemon = daemon.restart();
    let kept = daemon.ask(&alice.ask("GET", &format!("{EVENTS}?session_id=two"))).json();
    assert_eq!(kept["events"][0]["events"], events);
}

#[test]
fn another_tenants_context_does_not_exist() {
    let daemon = Daemon::builder().start();
    let [alice, bob] = ["alice", "bob"].map(|owner| Tenant::with(&daemon, owner, &["--session", "shared"]));
    set(&daemon, &alice, &["secret"]);
    let body = json!({"type": "SESSION_INGEST", "session_id": "shared", "events": ["secret"]});
    post(&daemon, &alice, "/api/context/sync", &body);
    let mut rows = Rows::new();
    for target in [FILES, EVENTS, "/api/registry/whoami"] {
        for query in ["", "?session_id=shared"] {
            let answer = daemon.ask(&bob.ask("GET", &format!("{target}{query}")));
            rows.holds(format!("{target}{query}"), !answer.text().contains("secret"), answer.text());
        }
    }
    set(&daemon, &bob, &[]);
    rows.eq("alice's files", &vec!["secret".to_owned()], &uris(&listed(&daemon, &alice, "active=true")));
    let foreign = json!({"session_id": "shared", "files": [], "chitty_id": "alice"});
    let answer = post(&daemon, &bob, "/api/context/files/set-active", &foreign);
    rows.eq("alice's chitty id", &"403 forbidden".to_owned(), &answer.fate());
    rows.finish();
}

#[test]
fn whoami_says_what_is_really_there_and_left() {
    let daemon = Daemon::builder().set("rate_limit", "{authenticated: 50/h}").start();
    let alice = Tenant::with(&daemon, "alice", &["--name", "ci", "--scope", "context:write"]);
    let mut titles = Vec::new();
    for (number, priority) in ["low", "high", "urgent", "normal", "urgent"].into_iter().enumerate() {
        let body = json!({"title": format!("{priority} {number}"), "priority": priority});
        titles.push(alice.made(&daemon, &body));
    }
    alice.patched(&daemon, &titles[1], &json!({"status": "completed"}));
    alice.patched(&daemon, &titles[3], &json!({"status": "in_progress"}));
    let names: Vec<String> = (0..12).map(|number| format!("f{number:02}")).collect();
    set(&daemon, &alice, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let before = daemon.ask(&alice.ask("GET", "/api/registry/whoami"));
    let data = before.json()["data"].clone();
    let shown: Vec<&str> = data["session"]["active_tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| task["title"].as_str().unwrap())
        .collect();
    assert_eq!(shown, ["urgent 4", "urgent 2", "normal 3", "low 0"]);
    assert_eq!(data["session"]["active_files"].as_array().unwrap().len(), 10);
    assert_eq!(data["scopes"], json!(["context:write"]));
    assert_eq!((&data["tenant"]["name"], &data["tenant"]["account_type"]), (&json!("ci"), &json!("standard")));
    assert_eq!(data["session"]["session_id"], alice.session_id.as_str());
    let left = before.header("x-ratelimit-remaining").unwrap().parse::<u64>().unwrap();
    assert_eq!(data["quota"], json!({"storage_bytes": 1_073_741_824, "api_calls_remaining": left}));
    let after = daemon.ask(&alice.ask("GET", "/api/registry/whoami")).json();
    assert_eq!(after["data"]["quota"]["api_calls_remaining"], json!(left - 1));
}
