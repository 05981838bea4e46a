//! Bodies stream both ways, as fast as the slower side takes them and no faster.

use std::thread;
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio_tungstenite::tungstenite::{Message, client};

use crate::support::client::chunk;
use crate::support::eventually::settled;
use crate::support::{Ask, CONNECT, Daemon, Ending, MCP, Upstream, eventually_eq};

const SERVICE: &str = "svc.chitty.test";
const ROUTES: [(&str, &str); 2] = [(SERVICE, ""), (CONNECT, "/svc/api")];

fn daemon(upstream: &Upstream) -> Daemon {
    Daemon::builder().service(upstream.service("svc")).start()
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Bytes that repeat nowhere near: a lost or doubled piece changes the hash.
fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|n| u8::try_from((n / 3 + n / 251) % 256).unwrap()).collect()
}

#[track_caller]
fn assert_streams(framing: &str) {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    for (number, (host, prefix)) in ROUTES.into_iter().enumerate() {
        let gate = format!("s{number}");
        let mut client = daemon.connect();
        client.send(Ask::get(host, &format!("{prefix}/stream/{gate}{framing}")).to_bytes());
        let head = client.head("GET");
        assert!(head.is_ok(), "the head comes before any of the body, but: {head:?}");
        for piece in ["one--", "two--", "three"] {
            upstream.push(&gate, piece);
            assert_eq!(client.body_until(piece), piece);
        }
        upstream.step(&gate, "end");
        assert_eq!(client.piece(), Ok(None));
    }
}

#[test]
fn a_chunk_of_an_answer_arrives_before_the_next_is_made() {
    assert_streams("");
}

#[test]
fn a_piece_of_an_answer_with_a_length_arrives_before_the_next_is_made() {
    assert_streams("?length=15");
}

#[test]
fn an_event_arrives_while_the_stream_stays_open() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder().service(upstream.service_with("svc", "timeouts: {read: 200ms}")).start();
    let mut client = daemon.connect();
    client.send(Ask::get(MCP, "/svc/stream/sse?type=text/event-stream").to_bytes());
    let head = client.head("GET").unwrap();
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    upstream.push("sse", "data: one\n\n");
    client.body_until("data: one\n\n");
    // The read timeout does not hold for an event stream: beside it, another request runs into that timeout and ends.
    upstream.push("other", "x");
    let mut other = daemon.connect();
    let cut = other.ask(&Ask::get(SERVICE, "/stream/other?type=text/plain"));
    assert_ne!(cut.ending, Ending::Whole, "a gap in another body is too long");
    upstream.push("sse", "data: two\n\n");
    client.body_until("data: two\n\n");
    upstream.step("sse", "end");
    assert_eq!(client.piece(), Ok(None));
}

#[test]
fn a_client_that_leaves_ends_the_upstreams_answer() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    for (number, (host, prefix)) in ROUTES.into_iter().enumerate() {
        let gate = format!("left{number}");
        let mut client = daemon.connect();
        client.send(Ask::get(host, &format!("{prefix}/stream/{gate}?type=text/event-stream")).to_bytes());
        upstream.push(&gate, "data: one\n\n");
        client.head("GET").unwrap();
        client.body_until("one");
        drop(client);
        eventually_eq("the upstream cannot write any more", &Value::Bool(true), || {
            upstream.push(&gate, "data: more\n\n");
            upstream.gate(&gate, "left")
        });
    }
}

#[test]
fn an_upload_reaches_the_upstream_before_the_client_has_finished() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    for (number, (host, prefix)) in ROUTES.into_iter().enumerate() {
        let gate = format!("chunked{number}");
        let mut client = daemon.connect();
        let target = format!("{prefix}/upload/{gate}");
        client.send(Ask::new("POST", host, &target).header("Transfer-Encoding", "chunked").to_bytes());
        client.send(chunk("first"));
        eventually_eq("the first chunk is there", &5.into(), || upstream.gate(&gate, "received"));
        client.send(chunk("second"));
        eventually_eq("the second chunk is there", &11.into(), || upstream.gate(&gate, "received"));
        client.send("0\r\n\r\n");
        let echo = client.answer("POST").echo();
        assert_eq!(echo.0["body_sha256"], sha256(b"firstsecond"));

        let gate = format!("length{number}");
        let mut client = daemon.connect();
        let target = format!("{prefix}/upload/{gate}");
        client.send(Ask::new("POST", host, &target).header("Content-Length", "11").to_bytes()).send("first");
        eventually_eq("the first half is there", &5.into(), || upstream.gate(&gate, "received"));
        client.send("second");
        let echo = client.answer("POST").echo();
        assert_eq!((echo.header("content-length"), echo.all("transfer-encoding").len()), (Some("11"), 0));
        assert_eq!(echo.0["body_sha256"], sha256(b"firstsecond"));
    }
}

#[test]
fn large_bodies_pass_unchanged() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let body = pattern(20 << 20);
    for (host, prefix) in ROUTES {
        let sent = Ask::new("PUT", host, &format!("{prefix}/x")).body(&body);
        assert_eq!(daemon.ask(&sent).echo().0["body_sha256"], sha256(&body));
        for framing in ["", "?framing=chunked"] {
            let answer = daemon.get(host, &format!("{prefix}/big/{}{framing}", 20 << 20));
            assert_eq!((answer.ending, answer.body.len()), (Ending::Whole, 20 << 20), "{framing}");
        }
    }
}

#[test]
fn many_small_chunks_pass_unchanged() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let body = pattern(5000);
    let mut client = daemon.connect();
    let mut bytes = Ask::new("POST", SERVICE, "/x").header("Transfer-Encoding", "chunked").to_bytes();
    for (number, byte) in body.chunks(1).enumerate() {
        bytes.extend(match number % 3 {
            0 => chunk(byte),
            1 => format!("0001;name=value\r\n{}\r\n", char::from(byte[0] % 128)).into_bytes(),
            _ => [&b"01\r\n"[..], byte, b"\r\n"].concat(),
        });
    }
    bytes.extend_from_slice(b"0\r\nX-Trailer: 1\r\n\r\n");
    client.send(bytes);
    let expected: Vec<u8> =
        body.iter().enumerate().map(|(n, byte)| if n % 3 == 1 { byte % 128 } else { *byte }).collect();
    assert_eq!(client.answer("POST").echo().0["body_sha256"], sha256(&expected));
}

/// More than the sockets between client and upstream can hold, and than the daemon may.
const HUGE: u64 = 256 << 20;
const ROOM_KIB: u64 = 64 << 10;

#[test]
fn a_client_that_does_not_read_is_not_read_ahead_for() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let before = daemon.resident_kib();
    let mut client = daemon.connect();
    client.send(Ask::get(SERVICE, &format!("/big/{HUGE}?framing=chunked")).to_bytes());
    client.head("GET").unwrap();
    let sent = settled("bytes the upstream got rid of", || upstream.gate("big", "sent").as_u64());
    assert!(sent.is_some_and(|sent| sent < HUGE / 2), "{sent:?} of {HUGE} bytes were taken from the upstream");
    let grown = daemon.resident_kib().saturating_sub(before);
    assert!(grown < ROOM_KIB, "grown by {grown} KiB");
    let mut read = 0;
    while let Some(piece) = client.piece().unwrap() {
        read += piece.len() as u64;
    }
    assert_eq!(read, HUGE);
}

#[test]
fn an_upstream_that_does_not_read_holds_the_client_back() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder().set("limits", "{body_bytes: 1GiB}").service(upstream.service("svc")).start();
    let before = daemon.resident_kib();
    let mut client = daemon.connect();
    let ask = Ask::new("POST", SERVICE, "/upload/stalled?stall=1").header("Content-Length", &HUGE.to_string());
    client.send(ask.to_bytes());
    upstream.wait_for_arrival("stalled");
    let sent = client.send_until_stuck(&vec![b'x'; 1 << 16], HUGE, Duration::from_secs(2));
    assert!(sent < HUGE / 2, "{sent} of {HUGE} bytes were taken from the client");
    let grown = daemon.resident_kib().saturating_sub(before);
    assert!(grown < ROOM_KIB, "grown by {grown} KiB");
    upstream.step("stalled", "end");
    let mut left = HUGE - sent;
    while left > 0 {
        let piece = vec![b'x'; usize::try_from(left.min(1 << 16)).unwrap()];
        client.send(&piece);
        left -= piece.len() as u64;
    }
    assert_eq!(client.answer("POST").echo().0["body_bytes"], HUGE);
}

#[test]
fn a_web_socket_echoes_through_host_and_prefix() {
    let upstream = Upstream::start();
    // The read timeout does not hold after the upgrade either.
    let daemon = Daemon::builder().service(upstream.service_with("svc", "timeouts: {read: 200ms}")).start();
    for (host, path) in [(SERVICE, "/ws"), (CONNECT, "/svc/mcp/ws"), (MCP, "/svc/ws")] {
        let stream = daemon.connect().into_stream();
        let (mut socket, answer) = client(format!("ws://{host}{path}?a=b"), stream).unwrap();
        assert_eq!(answer.status(), 101, "{path}");
        for message in [Message::text("hello"), Message::binary(pattern(200_000)), Message::text("")] {
            socket.send(message.clone()).unwrap();
            assert_eq!(socket.read().unwrap(), message);
        }
        // Beside it, another request runs into the read timeout: more than that time has passed.
        assert_eq!(daemon.get(SERVICE, "/hang").fate(), "504 upstream_timeout");
        socket.send(Message::text("still there")).unwrap();
        assert_eq!(socket.read().unwrap(), Message::text("still there"));
        socket.close(None).unwrap();
        while socket.read().is_ok() {}
    }
    let asked = upstream.requests();
    let upgraded = asked.iter().find(|r| r["target"] == "/ws?a=b").unwrap();
    assert!(upgraded["headers"].to_string().contains("Upgrade"), "{upgraded}");
}

/// The first byte after the 101 must not meet the request's own end.
#[test]
fn of_many_web_sockets_whose_clients_send_at_once_none_is_closed() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder().set("server", "{threads: 2}").service(upstream.service("svc")).start();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for number in 0..150 {
                    let (mut socket, _) = client(format!("ws://{SERVICE}/ws"), daemon.connect().into_stream()).unwrap();
                    let message = Message::text(format!("message {number}"));
                    socket.send(message.clone()).unwrap();
                    assert_eq!(socket.read().unwrap(), message);
                }
            });
        }
    });
}

#[test]
fn a_web_socket_that_the_service_refuses_is_an_ordinary_answer() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let ask = Ask::get(SERVICE, "/status/403")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    let answer = daemon.ask(&ask);
    assert_eq!((answer.status(), answer.ending), (403, Ending::Whole));
}
