//! `/sse`: who is told what, in which form, and who is not.

use serde_json::{Value, json};

use crate::support::stream::{Stream, sse};
use crate::support::task::KEY_HEADER;
use crate::support::{API, Ask, CONNECT, Daemon, Ending, MCP, Rows, Tenant, eventually_eq};

#[test]
fn a_stream_begins_as_the_contract_says() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let ask = sse(&alice, "").header("Origin", "https://chatgpt.com").header("Accept", "application/json");
    let (stream, greeting) = Stream::greeted(&daemon, &ask);
    let mut rows = Rows::new();
    for (name, value) in [
        ("content-type", Some("text/event-stream")),
        ("cache-control", Some("no-cache")),
        ("x-accel-buffering", Some("no")),
        ("transfer-encoding", Some("chunked")),
        ("content-length", None),
        ("access-control-allow-origin", Some("https://chatgpt.com")),
    ] {
        rows.eq(name, &value, &stream.head.header(name));
    }
    let evil = Stream::begin(&daemon, &sse(&alice, "").header("Origin", "https://evil.example"));
    rows.eq("evil.example", &None, &evil.head.header("access-control-allow-origin"));
    rows.finish();
    let timestamp = greeting.data["timestamp"].as_u64().unwrap();
    assert!(timestamp > 1_600_000_000_000, "{timestamp} is in milliseconds");
    let expected = json!({"type": "connected", "sessionId": alice.session_id, "timestamp": timestamp,
        "message": "ChittyConnect streaming active"});
    assert_eq!((greeting.id, greeting.data, greeting.more), (Some(0), expected, vec!["retry: 3000".to_owned()]));
}

#[test]
fn every_change_of_a_task_is_told_once_it_is_made() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let mut stream = Stream::open(&daemon, &alice, "");
    let mut told = |id: u64, expected: Value| {
        let message = stream.event();
        assert_eq!((message.id, message.data, message.more), (Some(id), expected, vec![]));
    };
    let session = &alice.session_id;
    let id = alice.made(&daemon, &json!({"title": "t", "priority": "high"}));
    told(1, json!({"type": "task.created", "sessionId": session, "task_id": id, "title": "t", "priority": "high"}));
    alice.patched(&daemon, &id, &json!({"status": "in_progress"}));
    told(2, json!({"type": "task.updated", "sessionId": session, "task_id": id, "updates": {"status": "in_progress"}}));
    // White space inside a client's JSON is no end of a message.
    alice.patched(&daemon, &id, &"{\"status\": \"completed\", \"result\": {\n  \"a\": [\r\n1,\r 2]\n}}\n\n");
    let updates = json!({"status": "completed", "result": {"a": [1, 2]}});
    told(3, json!({"type": "task.updated", "sessionId": session, "task_id": id, "updates": updates}));
    assert_eq!(daemon.ask(&alice.patch(&id, &json!({"status": "pending"}))).status(), 409);
    assert_eq!(daemon.ask(&alice.delete(&id)).status(), 200);
    told(4, json!({"type": "task.deleted", "sessionId": session, "task_id": id}));
}

#[test]
fn the_path_is_there_on_all_gateway_hosts_and_only_for_who_may() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let files = Tenant::with(&daemon, "alice", &["--scope", "files:write"]);
    let mut rows = Rows::new();
    for host in [CONNECT, API, MCP] {
        let (_, greeting) = Stream::greeted(&daemon, &Ask::get(host, "/sse").header(KEY_HEADER, &alice.key));
        rows.eq(host, &json!(alice.session_id), &greeting.data["sessionId"]);
        let health = daemon.get(host, "/sse/health");
        rows.eq(host, &json!("available"), &health.json()["status"]);
        rows.eq(host, &Some("*"), &health.header("access-control-allow-origin"));
    }
    let (_, greeting) =
        Stream::greeted(&daemon, &Ask::get(CONNECT, "/sse").header("Authorization", &format!("Bearer {}", alice.key)));
    rows.eq("Bearer", &json!(alice.session_id), &greeting.data["sessionId"]);
    let ask = |method: &str, target: &str| daemon.ask(&alice.ask(method, target)).fate();
    rows.eq("no key", &"401 Missing API key".to_owned(), &daemon.get(CONNECT, "/sse").fate());
    let wrong = Ask::get(CONNECT, "/sse").header(KEY_HEADER, "chitty_wrong");
    rows.eq("a wrong key", &"401 Invalid API key".to_owned(), &daemon.ask(&wrong).fate());
    rows.eq("no scope", &"403 forbidden".to_owned(), &daemon.ask(&sse(&files, "")).fate());
    rows.eq(
        "another chitty id",
        &"403 forbidden".to_owned(),
        &daemon.ask(&sse(&alice, "").header("X-ChittyID", "bob")).fate(),
    );
    rows.eq("POST", &"405 method_not_allowed".to_owned(), &ask("POST", "/sse"));
    rows.eq("below", &"404 not_found".to_owned(), &ask("GET", "/sse/nope"));
    for (query, header) in [
        ("sessionId=a/b", ""),
        ("session_id=%00", ""),
        ("last_event_id=junk", ""),
        ("last_event_id=-1", ""),
        ("", "1.5"),
        ("last_event_id=1", "99999999999999999999"),
        ("types=a,,b", ""),
        ("types=TASK", ""),
    ] {
        let answer = daemon.ask(&sse(&alice, query).header("Last-Event-ID", header));
        rows.eq(format!("{query} {header}"), &"400 bad_request".to_owned(), &answer.fate());
        rows.holds(format!("{query} {header}"), answer.text().contains("found"), answer.text());
    }
    let head = daemon.ask(&alice.ask("HEAD", "/sse"));
    rows.eq(
        "HEAD",
        &(200, Ending::Whole, Some("text/event-stream"), None),
        &(head.status(), head.ending, head.header("content-type"), head.header("content-length")),
    );
    rows.finish();
    let open = daemon.metric("chittyconnect_sse_connections");
    assert!(open.is_some(), "{open:?}");
    eventually_eq("streams that were left are gone", &Some(0.0), || daemon.metric("chittyconnect_sse_connections"));
}

#[test]
fn nobody_is_told_of_another_tenants_session_of_the_same_name() {
    let daemon = Daemon::builder().start();
    let [alice, bob] = ["alice", "bob"].map(|name| Tenant::with(&daemon, name, &["--session", "shared"]));
    let other_key = Tenant::new(&daemon, "alice");
    let mut of_alice = [
        Stream::open(&daemon, &alice, ""),
        Stream::open(&daemon, &alice, "sessionId=shared"),
        Stream::open(&daemon, &other_key, "session_id=shared"),
    ];
    let mut of_bob = Stream::open(&daemon, &bob, "sessionId=shared");
    let there = Tenant::with(&daemon, "alice", &["--session", "elsewhere"]);
    let mut elsewhere = Stream::open(&daemon, &alice, "sessionId=elsewhere");
    // What bob names is a session of his own, and empty.
    let mut guessing = Stream::open(&daemon, &bob, &format!("sessionId={}", other_key.session_id));
    alice.titled(&daemon, "secret");
    other_key.titled(&daemon, "secret too");
    bob.titled(&daemon, "bob's");
    there.titled(&daemon, "e");
    Tenant::with(&daemon, "bob", &["--session", &other_key.session_id]).titled(&daemon, "end");
    for stream in &mut of_alice {
        let message = stream.event();
        assert_eq!((message.id, &message.data["title"]), (Some(1), &json!("secret")));
    }
    let message = of_bob.event();
    assert_eq!((message.id, &message.data["title"]), (Some(3), &json!("bob's")));
    assert_eq!(elsewhere.event().data["title"], "e");
    assert_eq!(guessing.event().data["title"], "end");
    // The log keeps them apart too.
    let mut again = Stream::open(&daemon, &bob, "sessionId=shared&last_event_id=0");
    assert_eq!(again.events(1), ["3 task.created"]);
}

#[test]
fn only_the_types_that_were_asked_for_are_told() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let mut streams = ["types=task.updated", "types=task.created,task.deleted", "types=context.files.updated", ""]
        .map(|query| Stream::open(&daemon, &alice, query));
    let id = alice.titled(&daemon, "t");
    alice.patched(&daemon, &id, &json!({"status": "in_progress"}));
    assert_eq!(daemon.ask(&alice.delete(&id)).status(), 200);
    let all = ["1 task.created", "2 task.updated", "3 task.deleted"];
    assert_eq!(streams[0].events(1), ["2 task.updated"]);
    assert_eq!(streams[1].events(2), ["1 task.created", "3 task.deleted"]);
    assert_eq!(streams[3].events(3), all);
    let mut replayed = Stream::open(&daemon, &alice, "types=task.deleted&last_event_id=0");
    assert_eq!(replayed.events(1), ["3 task.deleted"]);
}

#[test]
fn a_subscriber_that_leaves_is_gone_at_once_and_the_others_go_on() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let mut streams: Vec<_> = (0..3).map(|_| Stream::open(&daemon, &alice, "")).collect();
    let open = || daemon.metric("chittyconnect_sse_connections");
    eventually_eq("three are open", &Some(3.0), open);
    streams.pop();
    eventually_eq("two are left", &Some(2.0), open);
    alice.titled(&daemon, "t");
    for stream in &mut streams {
        assert_eq!(stream.events(1), ["1 task.created"]);
    }
    drop(streams);
    eventually_eq("none is left", &Some(0.0), open);
    eventually_eq("nor anything in flight", &0.0, || daemon.metric_sum("chittyconnect_http_requests_in_flight", &[]));
}

#[test]
fn who_is_told_nothing_is_sent_heartbeats_for_as_long_as_it_stays() {
    let daemon = Daemon::builder().set("events", "{heartbeat: 1s}").start();
    let alice = Tenant::new(&daemon, "alice");
    let bob = Tenant::new(&daemon, "bob");
    let mut stream = Stream::open(&daemon, &alice, "");
    let mut filtered = Stream::open(&daemon, &alice, "types=task.deleted");
    bob.titled(&daemon, "of somebody else");
    let mut uptime = 0;
    for _ in 0..3 {
        let heartbeat = stream.next();
        let members: Vec<&String> = heartbeat.data.as_object().unwrap().keys().collect();
        assert_eq!(members, ["timestamp", "type", "uptime"], "{heartbeat:?}");
        assert_eq!((heartbeat.name(), heartbeat.id), ("heartbeat", Some(1)), "all up to there has been told");
        let later = heartbeat.data["uptime"].as_u64().unwrap();
        assert!(later > uptime, "{later} after {uptime}");
        uptime = later;
    }
    alice.titled(&daemon, "t");
    assert_eq!(stream.events(1), ["2 task.created"]);
    assert_eq!(filtered.next().name(), "heartbeat");
}
