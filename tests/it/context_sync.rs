//! Sessions that are taken in (`POST /api/context/sync`, CONTRACT.md §3): what is accepted, refused and kept, who hears of
//! it, and what outlasts the end of the daemon.

use serde_json::{Value, json};

use crate::support::shape::misfits;
use crate::support::stream::Stream;
use crate::support::task::{KEY_HEADER, leak};
use crate::support::{Answer, Ask, CONNECT, Daemon, Rows, Signal, Tenant};

const BASES: [&str; 2] = ["/api/context", "/api/v1/context"];
const INVALID: &str = "INVALID_SESSION_INGEST_PAYLOAD";

fn post(daemon: &Daemon, tenant: &Tenant, target: &str, body: impl AsRef<[u8]>) -> Answer {
    daemon.ask(&tenant.ask("POST", target).body(body))
}

fn kept(daemon: &Daemon, tenant: &Tenant, query: &str) -> Value {
    let answer = daemon.ask(&tenant.ask("GET", &format!("/api/context/sync-events?{query}")));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    answer.json()
}

#[test]
fn a_session_is_taken_in_whatever_its_members_are_called() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let mut rows = Rows::new();
    for base in BASES {
        let sync = format!("{base}/sync");
        for (body, session, count) in [
            (json!({"type": "SESSION_INGEST", "session_id": "a", "chitty_id": "alice", "event_count": 3}), "a", 3),
            (json!({"type": "SESSION_INGEST", "sessionId": "b", "chittyId": "alice", "eventCount": 0}), "b", 0),
            (json!({"type": "SESSION_INGEST", "session_id": "a", "sessionId": "b", "events": [1, 2]}), "a", 2),
            (json!({"type": "SESSION_INGEST", "session_id": "a", "events": [1], "event_count": 9}), "a", 9),
            (json!({"type": "SESSION_INGEST", "session_id": "a", "project": "p", "unknown": {}}), "a", 0),
            (json!({"type": "SESSION_INGEST", "session_id": "a", "project": null, "events": null}), "a", 0),
        ] {
            let answer = post(&daemon, &alice, &sync, body.to_string());
            let expected = json!({"ok": true, "accepted": true, "eventId": "<uuid>", "sessionId": session,
                "eventCount": count});
            rows.holds(format!("{base} {body}"), misfits(&expected, &answer.json()).is_empty(), answer.text());
        }
        // The content type says nothing, a byte order mark is none, the last of two members counts.
        let body = "\u{feff}{\"type\":\"x\",\"type\":\"SESSION_INGEST\",\"session_id\":\"a\"}";
        let ask = alice.ask("POST", &sync).header("Content-Type", "text/plain").body(body);
        rows.eq(format!("{base}, lenient"), &200, &daemon.ask(&ask).status());
    }
    rows.finish();
}

#[test]
fn what_cannot_be_meant_is_refused_in_the_familys_form_and_nothing_is_kept() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let deep = format!("{}{}", "[".repeat(33), "]".repeat(33));
    let mut rows = Rows::new();
    for base in BASES {
        let sync = format!("{base}/sync");
        let with = |member: &str| format!(r#"{{"type":"SESSION_INGEST","session_id":"s",{member}}}"#);
        for body in [
            "null".to_owned(),
            "[]".to_owned(),
            "{}".to_owned(),
            r#"{"type":"SESSION_INGEST"}"#.to_owned(),
            r#"{"type":"SESSION_INGEST","session_id":""}"#.to_owned(),
            r#"{"type":"SESSION_INGEST","session_id":"../../etc"}"#.to_owned(),
            r#"{"type":"OTHER","session_id":"s"}"#.to_owned(),
            r#"{"type":5,"session_id":"s"}"#.to_owned(),
            with(r#""event_count":"abc""#),
            with(r#""eventCount":-1"#),
            with(r#""event_count":1.5"#),
            with(r#""events":{}"#),
            with(r#""events":["\ud800"]"#),
            with(&format!(r#""events":{deep}"#)),
            with(&format!(r#""project":{deep}"#)),
            with(&format!(r#""events":[{}1]"#, "1,".repeat(10_000))),
        ] {
            let answer = post(&daemon, &alice, &sync, &body);
            let shown: String = body.chars().take(80).collect();
            let expected = json!({"ok": false, "error": "invalid_request", "code": INVALID, "message": "<text>",
                "status": 400, "request_id": "<text>"});
            rows.eq(format!("{base} {shown}"), &400, &answer.status());
            rows.holds(format!("{base} {shown}"), misfits(&expected, &answer.json()).is_empty(), answer.text());
            rows.eq(format!("{base} {shown}: from inside"), &None, &leak(&answer));
        }
        for body in [&b""[..], b"{", b"{\"type\":\"\xff\"}", b"{}{}", b"[1,]"] {
            let answer = post(&daemon, &alice, &sync, body);
            let expected = json!({"ok": false, "error": "bad_json", "code": "<absent>", "message": "<text>"});
            let shown = String::from_utf8_lossy(body);
            rows.eq(format!("{base} {shown}"), &400, &answer.status());
            rows.holds(format!("{base} {shown}"), misfits(&expected, &answer.json()).is_empty(), answer.text());
        }
        let long = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
        let coded = alice.ask("POST", &sync).header("Content-Encoding", "gzip").body("{}");
        let reader = Tenant::with(&daemon, "alice", &["--scope", "context:read"]);
        for (what, answer, status, word) in [
            (
                "the body",
                post(&daemon, &alice, &sync, with(&format!("\"x\":{}", long(800_000)))),
                413,
                "body_too_large",
            ),
            (
                "the project",
                post(&daemon, &alice, &sync, with(&format!("\"project\":{}", long(65_537)))),
                413,
                "body_too_large",
            ),
            ("a coding", daemon.ask(&coded), 415, "unsupported_media_type"),
            ("another chitty id", post(&daemon, &alice, &sync, with("\"chitty_id\":\"bob\"")), 403, "forbidden"),
            ("a number for one", post(&daemon, &alice, &sync, with("\"chittyId\":1")), 403, "forbidden"),
            ("no scope", post(&daemon, &reader, &sync, with("\"events\":[]")), 403, "forbidden"),
            ("no key", daemon.ask(&Ask::new("POST", CONNECT, &sync).body("{}")), 401, "Missing API key"),
            ("another method", daemon.ask(&alice.ask("PUT", &sync).body("{}")), 405, "method_not_allowed"),
        ] {
            let expected = json!({"ok": false, "error": word, "message": "<text>", "status": status});
            rows.eq(format!("{base} {what}"), &status, &answer.status());
            rows.holds(format!("{base} {what}"), misfits(&expected, &answer.json()).is_empty(), answer.text());
        }
    }
    rows.eq("kept", &json!(0), &kept(&daemon, &alice, "session_id=s")["count"]);
    rows.finish();
}

#[test]
fn events_come_back_byte_for_byte_the_last_session_first() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let events = r#"[1.50, 12345678901234567890.10, {"b":1,  "a":"\u00e9"}, null, [ ], "é"]"#;
    let project = r#"{"slug":"p", "org":"o"}"#;
    for number in 0..5 {
        let body = format!(
            r#"{{"type":"SESSION_INGEST","session_id":"s","project":{project},"events":{events},"event_count":{number}}}"#
        );
        assert_eq!(post(&daemon, &alice, "/api/context/sync", body).status(), 200);
    }
    let (mut counts, mut cursor) = (Vec::new(), String::new());
    for base in BASES.into_iter().cycle().take(10) {
        let target = format!("{base}/sync-events?session_id=s&type=SESSION_INGEST&limit=2&cursor={cursor}");
        let answer = daemon.ask(&alice.ask("GET", &target));
        assert_eq!(answer.status(), 200, "{}", answer.text());
        assert!(answer.text().contains(&format!("\"events\":{events}")), "{}", answer.text());
        assert!(answer.text().contains(&format!("\"project\":{project}")), "{}", answer.text());
        let page = answer.json();
        counts.extend(page["events"].as_array().unwrap().iter().map(|event| event["count"].as_u64().unwrap()));
        match page["next_cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(counts, [4, 3, 2, 1, 0]);
    let mut rows = Rows::new();
    for query in ["cursor=nonsense", "type=other", "limit=x", "limit=-1", "session_id=a/b"] {
        for base in BASES {
            let answer = daemon.ask(&alice.ask("GET", &format!("{base}/sync-events?{query}")));
            rows.eq(format!("{base} {query}"), &"400 invalid_request".to_owned(), &answer.fate());
        }
    }
    rows.finish();
}

#[test]
fn reports_and_sessions_outlast_a_kill() {
    let daemon = Daemon::builder().start();
    let mut daemon = daemon;
    let alice = Tenant::new(&daemon, "alice");
    let items: Vec<Value> = (0..1000)
        .map(|number| json!({"r2_key": format!("p/{number}"), "size": number, "sha256": "ab".repeat(32)}))
        .collect();
    let report = json!({"items": items, "path_prefix": "p/"}).to_string();
    let reported = post(&daemon, &alice, "/api/v1/context/files/sync-report", report);
    assert_eq!(misfits(&json!({"ok": true, "count": 1000, "eventId": "<uuid>"}), &reported.json()), [""; 0]);
    let body = json!({"type": "SESSION_INGEST", "session_id": alice.session_id, "events": ["x".repeat(700_000)]});
    assert_eq!(post(&daemon, &alice, "/api/context/sync", body.to_string()).status(), 200);
    daemon.signal(Signal::SIGKILL);
    daemon.wait_for_exit();
    let daemon = daemon.start_again();
    let files = daemon.ask(&alice.ask("GET", "/api/v1/context/files?active=true&limit=1000")).json();
    assert_eq!((&files["count"], &files["next_cursor"]), (&json!(1000), &Value::Null));
    let last = kept(&daemon, &alice, "limit=1");
    assert_eq!(last["events"][0]["events"][0].as_str().map(str::len), Some(700_000));
    let first = kept(&daemon, &alice, "type=sync-report");
    assert_eq!((&first["count"], &first["events"][0]["count"]), (&json!(1), &json!(1000)));
    assert_eq!(first["events"][0]["items"][999]["r2_key"], "p/999");
}

#[test]
fn subscribers_of_the_session_hear_of_it() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let mut stream = Stream::open(&daemon, &alice, "");
    let session = &alice.session_id;
    let set = json!({"session_id": session, "files": [{"uri": "r2://a", "size": 1, "name": "a"}, {"uri": "b"}]});
    assert_eq!(post(&daemon, &alice, "/api/context/files/set-active", set.to_string()).status(), 200);
    let files = json!([{"uri": "r2://a", "name": "a", "size": 1}, {"uri": "b"}]);
    let updated = json!({"type": "context.files.updated", "sessionId": session, "files": files});
    assert_eq!(stream.event().data, updated);
    let report = json!({"items": [{"r2_key": "k"}], "path_prefix": "p/"}).to_string();
    let id = post(&daemon, &alice, "/api/context/files/sync-report", report).json()["eventId"].clone();
    let synced =
        json!({"type": "context.files.synced", "sessionId": session, "pathPrefix": "p/", "count": 1, "eventId": id});
    assert_eq!(stream.event().data, synced);
    let body = json!({"type": "SESSION_INGEST", "session_id": session, "project": {"slug": "p"}, "event_count": 2});
    let id = post(&daemon, &alice, "/api/v1/context/sync", body.to_string()).json()["eventId"].clone();
    let ingested = json!({"type": "context.session.ingested", "sessionId": session, "chittyId": "alice",
        "project": {"slug": "p"}, "eventCount": 2, "eventId": id});
    assert_eq!(stream.event().data, ingested);
}

#[test]
fn openapi_describes_both_prefixes() {
    let daemon = Daemon::builder().start();
    let document = daemon.get(CONNECT, "/openapi.json").json();
    let mut rows = Rows::new();
    for (path, method, scope) in [
        ("/files/set-active", "post", "context:write"),
        ("/files/sync-report", "post", "context:write"),
        ("/sync", "post", "context:write"),
        ("/files", "get", "context:read"),
        ("/sync-events", "get", "context:read"),
    ] {
        for base in BASES {
            let operation = &document["paths"][format!("{base}{path}")][method];
            rows.eq(format!("{base}{path}"), &json!([scope]), &operation["security"][0]["apiKey"]);
            for status in ["200", "400", "401", "403"] {
                rows.holds(format!("{base}{path}: {status}"), operation["responses"].get(status).is_some(), operation);
            }
        }
    }
    rows.eq("a key is asked for", &401, &daemon.ask(&Ask::get(CONNECT, "/api/v1/context/files")).status());
    let wrong = Ask::get(CONNECT, "/api/v1/context/sync-events").header(KEY_HEADER, "chitty_no");
    rows.eq("a wrong key", &"401 Invalid API key".to_owned(), &daemon.ask(&wrong).fate());
    rows.finish();
}
