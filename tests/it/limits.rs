//! The limits of capability 1: what is too large is refused, early, and reaches nobody.

use serde_json::Value;

use crate::support::client::chunk;
use crate::support::{Ask, CONNECT, Daemon, Rows, Upstream, eventually_eq};

const SERVICE: &str = "svc.chitty.test";

fn daemon(upstream: &Upstream, limits: &str) -> Daemon {
    Daemon::builder().set("limits", limits).service(upstream.service("svc")).start()
}

#[test]
fn a_body_that_says_it_is_too_large_is_refused_before_it_is_sent() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream, "{body_bytes: 1KiB}");
    let mut rows = Rows::new();
    for (host, path) in [(SERVICE, "/x"), (CONNECT, "/svc/api/x")] {
        // The body is never sent: the answer has to come from the header alone.
        let head = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1025\r\n\r\n");
        rows.eq(host, &"413 body_too_large".to_owned(), &daemon.raw(&head).fate());
        let expecting = head.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
        let answer = daemon.raw(&expecting);
        rows.eq(format!("{host}, 100-continue"), &"413 body_too_large".to_owned(), &answer.fate());
        rows.eq(format!("{host}, no 100"), &0, &answer.informational.len());
    }
    rows.finish();
    assert!(upstream.targets().is_empty());
    assert_eq!(daemon.ask(&Ask::new("POST", SERVICE, "/x").body(vec![b'x'; 1024])).fate(), "-> /x", "the limit itself");
}

#[test]
fn a_chunked_body_is_refused_while_it_streams() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream, "{body_bytes: 1KiB}");
    let mut client = daemon.connect();
    client.send(Ask::new("POST", SERVICE, "/upload/u").header("Transfer-Encoding", "chunked").to_bytes());
    client.send(chunk([b'x'; 1000]));
    upstream.wait_for_arrival("u");
    // One byte more than allowed, and the body is not over: the answer cannot have waited for its end.
    client.send(chunk([b'x'; 25]));
    let answer = client.answer("POST");
    assert_eq!(answer.fate(), "413 body_too_large");
    eventually_eq("the upstream sees the body break off", &Value::Bool(true), || upstream.gate("u", "left"));
    assert_eq!(upstream.gate("u", "finished"), false, "never as if complete");

    let whole = Ask::new("POST", SERVICE, "/x").chunked(vec![b'x'; 1024]);
    assert_eq!(daemon.ask(&whole).echo().0["body_bytes"], 1024, "the limit itself");
}

#[test]
fn a_service_may_have_its_own_limit() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder()
        .set("limits", "{body_bytes: 10}")
        .service(upstream.service("svc"))
        .service(upstream.service_with("large", "limits: {body_bytes: 1KiB}"))
        .start();
    let mut rows = Rows::new();
    for (host, size, fate) in [
        (SERVICE, 10, "-> /x"),
        (SERVICE, 11, "413 body_too_large"),
        ("large.chitty.test", 1024, "-> /x"),
        ("large.chitty.test", 1025, "413 body_too_large"),
    ] {
        let answer = daemon.ask(&Ask::new("POST", host, "/x").body(vec![b'x'; size]));
        rows.eq(format!("{size} bytes for {host}"), &fate.to_owned(), &answer.fate());
    }
    rows.finish();
}

#[test]
fn a_target_that_is_too_long_is_a_414() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream, "{uri_bytes: 100}");
    let mut rows = Rows::new();
    let path = |bytes: usize| format!("/{}", "a".repeat(bytes - 1));
    for (host, target, fate) in [
        (SERVICE, path(100), format!("-> {}", path(100))),
        (SERVICE, path(101), "414 uri_too_long".to_owned()),
        (SERVICE, format!("{}?x", path(99)), "414 uri_too_long".to_owned()),
        (CONNECT, path(101), "414 uri_too_long".to_owned()),
        ("nope.example", path(101), "414 uri_too_long".to_owned()),
    ] {
        rows.eq(format!("{} bytes for {host}", target.len()), &fate, &daemon.get(host, &target).fate());
    }
    rows.finish();
}

#[test]
fn the_default_limits_are_those_of_the_reference() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder().service(upstream.service("svc")).start();
    let mut rows = Rows::new();
    let long = format!("/{}", "a".repeat(8 * 1024));
    rows.eq("a target of 8 KiB", &format!("-> {}", &long[..8192]), &daemon.get(SERVICE, &long[..8192]).fate());
    rows.eq("one byte more", &"414 uri_too_long".to_owned(), &daemon.get(SERVICE, &long).fate());
    let many = |count| (0..count).fold(Ask::get(SERVICE, "/x"), |ask, n| ask.header(&format!("X-{n}"), "v"));
    rows.eq("100 headers", &"-> /x".to_owned(), &daemon.ask(&many(99)).fate());
    rows.eq("101 headers", &"431 headers_too_large".to_owned(), &daemon.ask(&many(100)).fate());
    let large = |bytes| Ask::get(SERVICE, "/x").header("X-Large", &"v".repeat(bytes));
    rows.eq("63 KiB of header", &"-> /x".to_owned(), &daemon.ask(&large(63 * 1024)).fate());
    rows.eq("64 KiB and more", &"431 headers_too_large".to_owned(), &daemon.ask(&large(64 * 1024)).fate());
    let huge = format!("POST /x HTTP/1.1\r\nHost: {SERVICE}\r\nContent-Length: {}\r\n\r\n", 100 * 1024 * 1024 + 1);
    rows.eq("a body of more than 100 MiB", &"413 body_too_large".to_owned(), &daemon.raw(huge).fate());
    rows.finish();
}

#[test]
fn a_header_that_is_too_large_is_a_431() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream, "{header_bytes: 1KiB, headers: 10}");
    let mut rows = Rows::new();
    let of = |bytes: usize| {
        let head = format!("GET /x HTTP/1.1\r\nHost: {SERVICE}\r\nX: ");
        format!("{head}{}\r\n\r\n", "v".repeat(bytes - head.len() - 4))
    };
    // Whether the request line counts is not said, so the row at the limit keeps clear of it.
    rows.eq("900 bytes", &"-> /x".to_owned(), &daemon.raw(of(900)).fate());
    rows.eq("1100 bytes", &"431 headers_too_large".to_owned(), &daemon.raw(of(1100)).fate());
    let many = |count| (0..count).fold(Ask::get(SERVICE, "/x"), |ask, n| ask.header(&format!("X-{n}"), "v"));
    rows.eq("10 headers", &"-> /x".to_owned(), &daemon.ask(&many(9)).fate());
    rows.eq("11 headers", &"431 headers_too_large".to_owned(), &daemon.ask(&many(10)).fate());
    let same = (0..10).fold(Ask::get(SERVICE, "/x"), |ask, _| ask.header("X", "v"));
    rows.eq("11 headers, most of one name", &"431 headers_too_large".to_owned(), &daemon.ask(&same).fate());
    rows.finish();
    assert_eq!(upstream.targets().len(), 2);
}

#[test]
fn what_the_parser_itself_refuses_is_refused_too() {
    let upstream = Upstream::start();
    let mut daemon = daemon(&upstream, "{}");
    let mut rows = Rows::new();
    let many = (0..300).fold(Ask::get(SERVICE, "/x"), |ask, n| ask.header(&format!("X-{n}"), "v"));
    let large = Ask::get(SERVICE, "/x").header("X", &"v".repeat(2 << 20));
    for (row, ask) in [("300 headers", many), ("2 MiB of header", large)] {
        match daemon.connect().send(ask.to_bytes()).try_answer("GET") {
            Ok(answer) => rows.holds(row, matches!(answer.status(), 400 | 431), answer.status()),
            Err(ending) => rows.holds(row, ending != crate::support::Ending::Silence, ending),
        }
    }
    rows.finish();
    assert!(upstream.targets().is_empty());
    assert!(daemon.is_running());
    assert_eq!(daemon.get(SERVICE, "/after").fate(), "-> /after");
}
