//! Upstreams that answer no HTTP: what the client is told, and that nothing of it stays behind.

use std::io::Write;

use crate::support::peer::raw;
use crate::support::{Answer, Ask, Daemon, Ending, Rows, Upstream, Wire, eventually};

const SERVICE: &str = "svc.chitty.test";

/// Its only endpoint is this upstream; nothing is tried twice.
fn daemon(upstream: &Upstream, timeouts: &str) -> Daemon {
    let more = format!("timeouts: {timeouts}, retry: {{attempts: 0}}");
    Daemon::builder().service(upstream.service_with("svc", &more)).start()
}

/// What must be as before, once everything is over: descriptors, connections, requests.
fn left_over(daemon: &Daemon) -> (usize, f64, f64) {
    let in_flight = daemon.metric_sum("chittyconnect_http_requests_in_flight", &[]);
    let connections = daemon.metric_sum("chittyconnect_connections", &[]);
    (daemon.descriptors(), connections, in_flight)
}

#[track_caller]
fn comes_back_to(daemon: &Daemon, before: (usize, f64, f64)) {
    eventually(&format!("descriptors, connections, requests: at most {before:?}"), || {
        let now = left_over(daemon);
        if now.0 <= before.0 && now.1 <= before.1 && now.2 <= before.2 { Ok(()) } else { Err(now) }
    });
}

/// Words that tell of the inside.
fn told_of_inside(answer: &Answer) -> Option<&'static str> {
    let text = format!("{:?} {}", answer.head, answer.text()).to_lowercase();
    ["pingora", "127.0.0.1", "src/", "panicked", "invalidhttp", "connectionclosed", "readerror"]
        .into_iter()
        .find(|word| text.contains(word))
}

/// 200 with these header lines and this behind them.
fn ok(lines: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n{body}")
}

#[test]
fn what_is_no_answer_is_a_502_and_silence_a_504() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream, "{read: 300ms}");
    daemon.get(SERVICE, "/warm").echo();
    let before = left_over(&daemon);
    let hex = |text: &str| hex::encode(text);
    let two = |fields: &str| ok(fields, "hello");
    let many = "X-F: 1\r\n".repeat(300);
    let mut rows = Rows::new();
    for (what, target, expected) in [
        ("nothing, and the end", raw("", "close"), "502 proxy_failed"),
        ("nothing, and a reset", raw("", "reset"), "502 proxy_failed"),
        ("nothing at all", "/hang".to_owned(), "504 upstream_timeout"),
        ("no HTTP", raw("\x01\x02\x03 hello\r\n\r\n", "hang"), "502 proxy_failed"),
        ("no HTTP without an end", raw("SSH-2.0-OpenSSH_9.2\r\n", "hang"), "502 proxy_failed"),
        ("half a status line", raw("HTTP/1.1 20", "close"), "502 proxy_failed"),
        ("half a header", raw("HTTP/1.1 200 OK\r\nContent-Le", "close"), "502 proxy_failed"),
        ("half a header and a reset", raw("HTTP/1.1 200 OK\r\nContent-Le", "reset"), "502 proxy_failed"),
        ("half a header and silence", raw("HTTP/1.1 200 OK\r\nContent-Le", "hang"), "504 upstream_timeout"),
        (
            "a header that drips",
            format!("{}&drip=100", raw(ok("X-Long: aaaaaaaaaaaaaaaaaaa", ""), "hang")),
            "504 upstream_timeout",
        ),
        ("101 that nobody asked for", raw("HTTP/1.1 101 Switching Protocols\r\n\r\n", "hang"), "502 proxy_failed"),
        (
            "101 with an upgrade that nobody asked for",
            raw("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", "hang"),
            "502 proxy_failed",
        ),
        (
            "a header of 2 MiB",
            format!(
                "/raw?bytes={}&fill=2097152&tail={}&then=close",
                hex("HTTP/1.1 200 OK\r\nX-Big: "),
                hex("\r\nContent-Length: 2\r\n\r\nok")
            ),
            "502 proxy_failed",
        ),
        ("hundreds of fields", raw(ok(&(many + "Content-Length: 0"), ""), "close"), "502 proxy_failed"),
        ("two lengths", raw(two("Content-Length: 5\r\nContent-Length: 4"), "close"), "502 proxy_failed"),
        ("a list of lengths", raw(two("Content-Length: 5, 4"), "close"), "502 proxy_failed"),
        ("a length that is none", raw(two("Content-Length: five"), "close"), "502 proxy_failed"),
        ("a length below nothing", raw(two("Content-Length: -5"), "close"), "502 proxy_failed"),
    ] {
        let answer = daemon.get(SERVICE, &target);
        rows.eq(what, &expected.to_owned(), &answer.fate());
        rows.eq(format!("{what}: told whole"), &Ending::Whole, &answer.ending);
        rows.eq(format!("{what}: tells nothing of the inside"), &None, &told_of_inside(&answer));
    }
    let again = daemon.get(SERVICE, "/after").fate();
    rows.eq("afterwards it serves", &"-> /after".to_owned(), &again);
    rows.finish();
    comes_back_to(&daemon, before);
}

#[test]
fn an_answer_that_breaks_off_is_never_complete() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream, "{read: 300ms}");
    daemon.get(SERVICE, "/warm").echo();
    let before = left_over(&daemon);
    let chunked = |body: &str| ok("Transfer-Encoding: chunked", body);
    let mut rows = Rows::new();
    for then in ["close", "reset", "hang"] {
        for (what, bytes) in [
            ("half a body", ok("Content-Length: 10", "hello")),
            ("no body", ok("Content-Length: 10", "")),
            ("half a chunk", chunked("a\r\nhello")),
            ("no last chunk", chunked("5\r\nhello\r\n")),
            ("no end of the last chunk", chunked("5\r\nhello\r\n0\r\n")),
            ("no chunk at all", chunked("")),
            ("chunks that are none", chunked("5\r\nhello\r\nno size\r\n0\r\n\r\n")),
            ("a chunk longer than it says", chunked("5\r\nhello world\r\n0\r\n\r\n")),
            ("a chunk size beyond all bounds", chunked("5\r\nhello\r\nfffffffffffffffff\r\nx\r\n0\r\n\r\n")),
        ] {
            let mut client = daemon.connect();
            client.send(Ask::get(SERVICE, &raw(bytes, then)).to_bytes());
            match client.try_answer("GET") {
                Ok(answer) if answer.status() == 200 => {
                    rows.holds(
                        format!("{what}, {then}"),
                        answer.ending != Ending::Whole,
                        (answer.ending, answer.text()),
                    );
                }
                // Nothing had gone out yet.
                Ok(answer) => {
                    rows.holds(format!("{what}, {then}"), matches!(answer.status(), 502 | 504), answer.fate());
                }
                Err(ending) => rows.holds(format!("{what}, {then}"), ending != Ending::Silence, ending),
            }
        }
    }
    // Nothing but the end of the connection says where this one ends, and a reset is no end.
    let mut client = daemon.connect();
    client.send(Ask::get(SERVICE, &raw(ok("Content-Type: text/plain", "hello"), "reset")).to_bytes());
    let cut = client.try_answer("GET");
    rows.holds(
        "until the end, which is a reset",
        !cut.as_ref().is_ok_and(|a| a.ending == Ending::Whole && a.status() == 200),
        cut,
    );
    rows.eq("afterwards it serves", &"-> /after".to_owned(), &daemon.get(SERVICE, "/after").fate());
    rows.finish();
    comes_back_to(&daemon, before);
}

#[test]
fn a_body_of_a_byte_a_time_ends_with_the_total() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream, "{read: 5s, total: 600ms}");
    daemon.get(SERVICE, "/warm").echo();
    let before = left_over(&daemon);
    let body = ok("Content-Length: 1000", &"x".repeat(1000));
    // Its header at once would be too long for one address, so that it drips, too; quickly.
    let answer = daemon.get(SERVICE, &format!("{}&drip=5", raw(body, "close")));
    assert_eq!(answer.status(), 200);
    assert_ne!(answer.ending, Ending::Whole);
    assert!(!answer.body.is_empty() && answer.body.len() < 1000, "{}", answer.body.len());
    comes_back_to(&daemon, before);
}

#[test]
fn what_follows_an_answer_is_nobodys_answer() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream, "{read: 1s}");
    let poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    let mut rows = Rows::new();
    for (what, bytes, body) in [
        ("a second answer", ok("Content-Length: 2", "ok") + poison, Some("ok")),
        ("more than its length", ok("Content-Length: 2", "ok and more"), Some("ok")),
        ("a second answer after chunks", ok("Transfer-Encoding: chunked", "2\r\nok\r\n0\r\n\r\n") + poison, Some("ok")),
        ("a body for 204", format!("HTTP/1.1 204 No Content\r\n\r\n{poison}"), Some("")),
        ("a body for 304", format!("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n{poison}"), Some("")),
        // RFC 9112 §6.3: the length is overridden, or the answer refused; both in one message are an attack.
        (
            "a length beside chunks",
            ok("Content-Length: 3\r\nTransfer-Encoding: chunked", "2\r\nok\r\n0\r\n\r\n") + poison,
            None,
        ),
    ] {
        let mut client = daemon.connect();
        let answer = client.ask(&Ask::get(SERVICE, &raw(&bytes, "hang")));
        match body {
            Some(body) => rows.eq(what, &body.to_owned(), &answer.text()),
            None => rows.holds(what, answer.text() == "ok" || answer.status() == 502, (answer.status(), answer.text())),
        }
        rows.holds(
            format!("{what}: one framing"),
            answer
                .head
                .headers
                .iter()
                .filter(|(name, _)| {
                    name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding")
                })
                .count()
                <= 1,
            &answer.head,
        );
        for number in 0..3 {
            let target = format!("/after-{number}");
            rows.eq(format!("{what}, then {target}"), &format!("-> {target}"), &daemon.get(SERVICE, &target).fate());
        }
        client.send(Ask::get(SERVICE, "/same").to_bytes());
        if let Ok(next) = client.try_answer("GET") {
            rows.eq(format!("{what}, then on the same connection"), &"-> /same".to_owned(), &next.fate());
        }
    }
    rows.finish();
}

#[test]
fn an_upstream_that_closes_at_once_is_a_502_and_one_that_talks_first_is_not_believed() {
    let closing = Wire::start(drop);
    let talking = Wire::start(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
        crate::support::wire::read_until(&mut stream, b"\r\n\r\n");
        crate::support::wire::read_until(&mut stream, b"never");
    });
    let service = |id: &str, wire: &Wire| {
        format!("{{id: {id}, endpoints: [\"{}\"], timeouts: {{read: 300ms}}, retry: {{attempts: 0}}}}", wire.url())
    };
    let daemon = Daemon::builder().service(service("closing", &closing)).service(service("talking", &talking)).start();
    let before = left_over(&daemon);
    for _ in 0..5 {
        let answer = daemon.get("closing.chitty.test", "/");
        assert_eq!(answer.fate(), "502 proxy_failed");
        assert_eq!(told_of_inside(&answer), None);
    }
    assert_eq!(daemon.metric_sum("chittyconnect_upstream_retries_total", &[]), 0.0, "nothing was tried twice");
    // The answer to a request can come before it on a new connection; what matters is that it ends in an orderly way.
    let early = daemon.get("talking.chitty.test", "/");
    assert!(matches!(early.status(), 200 | 502), "{}", early.fate());
    drop(talking);
    eventually("nothing is left but connections that may be used again", || {
        let now = left_over(&daemon);
        if now.0 <= before.0 + 1 && now.1 <= before.1 && now.2 <= before.2 { Ok(()) } else { Err((now, before)) }
    });
}
