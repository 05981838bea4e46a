//! What a request gets that cannot be answered as asked: the word, the shape, and nothing from inside.

use std::net::TcpListener;

use serde_json::Value;

use crate::support::peer::raw;
use crate::support::{API, Answer, Ask, CONNECT, Daemon, Registry, Rows, Upstream, eventually_eq};

/// A port that nobody listens on.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A listener that accepts in the kernel and never says a word.
fn silent_listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[track_caller]
fn assert_problem_shape(answer: &Answer, status: u16, word: &str) {
    assert_eq!(answer.fate(), format!("{status} {word}"));
    assert_eq!(answer.header("content-type"), Some("application/json"), "{}", answer.text());
    let body = answer.json();
    let keys: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["error", "message", "request_id", "status"], "{body}");
    assert_eq!(body["status"], status);
    assert!(body["message"].as_str().is_some_and(|m| !m.is_empty()), "{body}");
    assert_is_uuid_v7(body["request_id"].as_str().unwrap_or_default());
}

#[track_caller]
fn assert_is_uuid_v7(text: &str) {
    let id = uuid::Uuid::parse_str(text).unwrap_or_else(|e| panic!("{e}: {text:?}"));
    assert_eq!(id.get_version_num(), 7, "{text}");
}

#[test]
fn every_problem_is_the_same_json_object() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder()
        .service(upstream.service("svc"))
        .service(upstream.service_with("off", "enabled: false, reason: moving house until Monday"))
        .service("{id: nowhere}")
        .start();
    for (host, target, status, word) in [
        ("nope.example", "/", 404, "unknown_host"),
        (CONNECT, "/nope/api/x", 404, "unknown_service"),
        (CONNECT, "/mcp/nope", 404, "not_found"),
        (CONNECT, "/api/nope", 401, "Missing API key"),
        (CONNECT, "/../x", 400, "bad_path"),
        ("svc.chitty.test", "/..%2fx", 400, "bad_path"),
        ("off.chitty.test", "/", 503, "service_disabled"),
        (API, "/off", 503, "service_disabled"),
        ("nowhere.chitty.test", "/", 503, "no_endpoint"),
        (API, "/nowhere", 503, "no_endpoint"),
    ] {
        assert_problem_shape(&daemon.get(host, target), status, word);
    }
    let reason = daemon.get("off.chitty.test", "/").json()["message"].to_string();
    assert!(reason.contains("moving house until Monday"), "{reason}");
    assert!(upstream.targets().is_empty());
}

#[test]
fn a_head_request_gets_the_problem_without_its_body() {
    let daemon = Daemon::builder().start();
    let answer = daemon.ask(&Ask::new("HEAD", "nope.example", "/"));
    assert_eq!((answer.status(), answer.body.len()), (404, 0));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[test]
fn a_client_that_asks_for_problem_json_gets_it() {
    let daemon = Daemon::builder().start();
    for accept in ["application/problem+json", "text/html;q=0.1, application/problem+json"] {
        let answer = daemon.ask(&Ask::get("nope.example", "/").header("Accept", accept));
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{accept}");
        let body = answer.json();
        assert_eq!(body["status"], 404, "{body}");
        for member in ["type", "title", "detail", "instance"] {
            assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "{member} in {body}");
        }
        let id = body["request_id"].as_str().unwrap_or_default();
        assert!(!id.is_empty() && body["instance"].as_str().unwrap().contains(id), "{body}");
    }
    for accept in ["application/json", "*/*", "text/html"] {
        let answer = daemon.ask(&Ask::get("nope.example", "/").header("Accept", accept));
        assert_eq!(answer.header("content-type"), Some("application/json"), "{accept}");
    }
}

#[test]
fn the_request_id_of_a_problem_is_that_of_its_access_line() {
    let daemon = Daemon::builder().start();
    let answer = daemon.get("nope.example", "/somewhere");
    let id = answer.json()["request_id"].clone();
    let line = daemon.access_line("with the problem's request id", |line| line["request_id"] == id);
    assert_eq!((&line["status"], &line["path"]), (&404.into(), &"/somewhere".into()));
}

#[test]
fn what_went_wrong_inside_stays_inside() {
    let upstream = Upstream::start();
    let closed = closed_port();
    let daemon = Daemon::builder()
        .service(format!("{{id: closed, endpoints: [\"http://127.0.0.1:{closed}\"]}}"))
        .service("{id: nowhere, endpoints: [\"http://no-such-name.invalid:81\"]}")
        .service(upstream.service("svc"))
        .start();
    let mut rows = Rows::new();
    for (host, target) in [
        ("closed.chitty.test", "/secret-path".to_owned()),
        ("nowhere.chitty.test", "/secret-path".to_owned()),
        ("svc.chitty.test", raw("", "close")),
        ("svc.chitty.test", raw("not http at all\r\n\r\n", "close")),
    ] {
        let text = daemon.get(host, &target).text();
        for inside in ["127.0.0.1", &closed.to_string(), ".invalid", "refused", "Connect", "pingora", "os error", "DNS"]
        {
            rows.holds(format!("{inside} in the answer of {host}{target}"), !text.contains(inside), &text);
        }
    }
    rows.finish();
}

#[test]
fn an_upstream_that_cannot_be_reached_is_a_502() {
    let closed = closed_port();
    let daemon = Daemon::builder()
        .service(format!("{{id: closed, endpoints: [\"http://127.0.0.1:{closed}\"]}}"))
        .service(format!("{{id: tls, endpoints: [\"https://127.0.0.1:{closed}\"]}}"))
        .start();
    assert_problem_shape(&daemon.get("closed.chitty.test", "/"), 502, "proxy_failed");
    assert_problem_shape(&daemon.get(CONNECT, "/closed/api/x"), 502, "proxy_failed");
    assert_problem_shape(&daemon.get("tls.chitty.test", "/"), 502, "proxy_failed");
    let post = daemon.ask(&Ask::new("POST", "closed.chitty.test", "/").body("hello"));
    assert_problem_shape(&post, 502, "proxy_failed");
}

#[test]
fn an_upstream_that_speaks_no_http_is_a_502() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder().service(upstream.service("svc")).start();
    let mut rows = Rows::new();
    for bytes in [
        "",
        "HTTP/1.1 2",
        "HTTP/1.1 200 OK\r\nContent-Len",
        "SSH-2.0-OpenSSH_9.2p1\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello",
    ] {
        let answer = daemon.get("svc.chitty.test", &raw(bytes, "close"));
        rows.eq(format!("{bytes:?}"), &"502 proxy_failed".to_owned(), &answer.fate());
    }
    rows.finish();
    assert_eq!(daemon.get("svc.chitty.test", "/after").fate(), "-> /after");
}

#[test]
fn a_slow_upstream_is_a_504() {
    let upstream = Upstream::start();
    let (_kept, silent) = silent_listener();
    let daemon = Daemon::builder()
        .service(upstream.service_with("read", "timeouts: {read: 300ms}"))
        .service(upstream.service_with("total", "timeouts: {total: 300ms}"))
        .service(format!("{{id: silent, endpoints: [\"http://127.0.0.1:{silent}\"], timeouts: {{read: 300ms}}}}"))
        .service(format!("{{id: tls, endpoints: [\"https://127.0.0.1:{silent}\"], timeouts: {{connect: 300ms}}}}"))
        .start();
    for (host, target) in [("read", "/hang"), ("total", "/hang"), ("silent", "/"), ("tls", "/")] {
        assert_problem_shape(&daemon.get(&format!("{host}.chitty.test"), target), 504, "upstream_timeout");
    }
    eventually_eq("the gateway leaves the upstream that was too slow", &Value::Bool(true), || {
        upstream.gate("hang", "left")
    });
}

#[test]
fn a_request_that_meets_its_own_gateway_again_is_a_508() {
    let daemon = Daemon::builder()
        .service(
            "{id: loop, hosts: [loop.example], endpoints: [\"http://127.0.0.1:@PORT@\"], host_header: loop.example}",
        )
        .start();
    assert_problem_shape(&daemon.get("loop.example", "/x"), 508, "loop_detected");
}

#[test]
fn only_its_own_via_is_a_loop() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder().service(upstream.service("svc")).start();
    let own = daemon.get("svc.chitty.test", "/").echo().header("via").unwrap().to_owned();
    let with = |via: &str| daemon.ask(&Ask::get("svc.chitty.test", "/").header("Via", via));
    assert_problem_shape(&with(&own), 508, "loop_detected");
    assert_problem_shape(&with(&format!("1.0 fred, {own}, 1.1 other")), 508, "loop_detected");
    let other = "1.1 chittyconnect-0000000000000000";
    assert_eq!(with(other).echo().all("via").join(", "), format!("{other}, {own}"));
}

#[test]
fn unknown_names_are_table_loading_until_each_source_has_spoken() {
    let upstream = Upstream::start();
    let registry = Registry::start();
    registry.put_as("/api/services", "hold=1", "[]");
    let daemon = Daemon::builder()
        .set("registry", &registry.section("timeout: 25s, allowed_networks: [127.0.0.0/8]"))
        .service(upstream.service("known"))
        .start();
    for (host, target) in [("late.chitty.test", "/"), (CONNECT, "/late/api/x"), (API, "/late")] {
        let answer = daemon.get(host, target);
        assert_problem_shape(&answer, 503, "table_loading");
        let after = answer.header("retry-after").and_then(|seconds| seconds.parse::<u32>().ok());
        assert!(after.is_some_and(|seconds| seconds > 0), "Retry-After: {:?}", answer.header("retry-after"));
    }
    assert_eq!(daemon.get("known.chitty.test", "/x").fate(), "-> /x", "known names are served meanwhile");
    assert_eq!(daemon.get(CONNECT, "/health").status(), 200);

    registry.put("/api/services", format!("[{{\"name\":\"late\",\"url\":\"{}\"}}]", upstream.url()));
    eventually_eq("the registry's service", &"-> /x".to_owned(), || daemon.get("late.chitty.test", "/x").fate());
    assert_eq!(daemon.get("never.chitty.test", "/").fate(), "404 unknown_host");
}

#[test]
fn a_source_that_failed_once_no_longer_holds_names_up() {
    let closed = closed_port();
    let daemon = Daemon::builder()
        .set(
            "registry",
            &format!("{{sources: [{{http: {{url: \"http://127.0.0.1:{closed}\"}}}}, {{file: absent.json}}]}}"),
        )
        .start();
    eventually_eq("an unknown host is unknown", &"404 unknown_host".to_owned(), || {
        daemon.get("late.chitty.test", "/").fate()
    });
}

#[test]
fn malformed_requests_are_a_400_and_never_reach_a_service() {
    let upstream = Upstream::start();
    let mut daemon = Daemon::builder().service(upstream.service("svc")).start();
    let mut rows = Rows::new();
    for request in [
        "GET\r\n\r\n",
        "GET /x\r\n\r\n",
        "GET /x HTTP/9.9\r\nHost: svc.chitty.test\r\n\r\n",
        "G@T /x HTTP/1.1\r\nHost: svc.chitty.test\r\nbad header\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: svc.chitty.test\r\nbad name: x\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: svc.chitty.test\r\nX: a\0b\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: svc.chitty.test\r\n folded: x\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: svc.chitty.test\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "POST /x HTTP/1.1\r\nHost: svc.chitty.test\r\nContent-Length: -1\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: svc.chitty.test\r\nContent-Length: five\r\n\r\nhello",
        "POST /x HTTP/1.1\r\nHost: svc.chitty.test\r\nTransfer-Encoding: gzip\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n",
    ] {
        // Some parsers answer, some only hang up; neither may pass it on.
        match daemon.connect().send(request).finish().try_answer("GET") {
            Ok(answer) => rows.holds(request, matches!(answer.status(), 400 | 501 | 505), answer.fate()),
            Err(ending) => rows.holds(request, ending != crate::support::Ending::Silence, ending),
        }
    }
    rows.finish();
    assert!(upstream.targets().is_empty(), "{:?}", upstream.targets());
    assert!(daemon.is_running());
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
}

#[test]
fn connect_is_not_a_method_here() {
    let daemon = Daemon::builder().start();
    let answer = daemon.raw("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n");
    assert_eq!(answer.status(), 405);
}
