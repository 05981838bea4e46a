//! Headers that take too long: their connections are closed, and everybody else is served.

use crate::support::drip::Drip;
use crate::support::{Ask, Client, Daemon, Ending, Rows, Upstream, eventually_eq};

const SERVICE: &str = "svc.chitty.test";
const PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn daemon(upstream: &Upstream, listener: &str, limits: &str) -> Daemon {
    Daemon::builder()
        .set("listeners", &format!("[{{bind: \"127.0.0.1:@PORT@\"{listener}}}]"))
        .set("limits", limits)
        .service(upstream.service("svc"))
        .start()
}

/// Asks as an honest client would until the other one is done with.
fn served_while(honest: &mut Client, drip: &Drip) {
    loop {
        assert_eq!(honest.ask(&Ask::get(SERVICE, "/honest")).fate(), "-> /honest");
        if drip.is_over() {
            return;
        }
    }
}

/// Closed without an answer, or with 408.
fn was_closed(client: &mut Client) -> (bool, String) {
    match client.try_answer("GET") {
        Err(ending) => (ending != Ending::Silence, format!("{ending:?}")),
        Ok(answer) => (answer.status() == 408 && client.ending() != Ending::Silence, answer.fate()),
    }
}

#[test]
fn a_header_that_drips_is_closed_whatever_came_before_it() {
    let upstream = Upstream::start();
    let mut rows = Rows::new();
    for listener in ["", ", h2c: true"] {
        let daemon = daemon(&upstream, listener, "{header_timeout: 500ms}");
        let mut honest = daemon.connect();
        let mut count = 0.0;
        for before in [0, 1, 2] {
            for begin in ["", "G", "GET /x HTTP/1.1\r\nHost: svc.chitty.test\r\nX: "] {
                let row = format!("{listener:?}, {before} requests, then {begin:?}");
                let mut slow = daemon.connect();
                for _ in 0..before {
                    assert_eq!(slow.ask(&Ask::get(SERVICE, "/x")).fate(), "-> /x");
                }
                slow.send(begin);
                let drip = Drip::start(&slow, "a");
                served_while(&mut honest, &drip);
                let (closed, how) = was_closed(&mut slow);
                rows.holds(&row, closed, how);
                count += 1.0;
                eventually_eq(&row, &count, || daemon.limit_reached("header_timeout"));
            }
        }
    }
    rows.finish();
    assert!(!upstream.targets().iter().any(|target| target.starts_with("/xa")));
}

#[test]
fn a_header_that_stops_is_closed_too_and_leaves_a_line() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream, "", "{header_timeout: 300ms}");
    let mut slow = daemon.connect();
    slow.send("GET /stopped HTTP/1.1\r\nHost: svc.chitty.test\r\n");
    assert!(was_closed(&mut slow).0);
    let line = daemon.access_line("for /stopped", |line| line["path"] == "/stopped");
    assert_eq!((&line["client"], line["error"].is_string()), (&"127.0.0.1".into(), true), "{line}");
}

#[test]
fn a_preface_that_is_not_finished_is_a_slow_header() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream, ", h2c: true", "{header_timeout: 300ms}");
    let mut honest = daemon.connect();
    let mut slow: Vec<Client> = (1..4).map(|_| daemon.connect()).collect();
    for (client, bytes) in slow.iter_mut().zip([1, 10, 23]) {
        client.send(&PREFACE[..bytes]);
    }
    for client in &mut slow {
        assert_eq!(honest.ask(&Ask::get(SERVICE, "/honest")).fate(), "-> /honest");
        assert!(was_closed(client).0);
    }
    eventually_eq("each is counted", &3.0, || daemon.limit_reached("header_timeout"));
}

#[test]
fn after_the_preface_silence_ends_with_the_idle_timeout() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream, ", h2c: true", "{header_timeout: 300ms, idle_timeout: 300ms}");
    let settings = [0_u8, 0, 0, 4, 0, 0, 0, 0, 0];
    // The beginning of a header of 100 bytes on stream 1, of which one byte comes: END_HEADERS is never sent.
    let headers = [0_u8, 0, 100, 1, 0, 0, 0, 0, 1, 0x82];
    let mut rows = Rows::new();
    for (row, bytes) in
        [("only a preface", &[][..]), ("settings", &settings), ("half a header", &[&settings[..], &headers].concat())]
    {
        let mut client = daemon.connect();
        client.send(PREFACE).send(bytes);
        let mut rest = client.into_stream();
        let ended = std::io::copy(&mut rest, &mut std::io::sink());
        rows.holds(row, !matches!(&ended, Err(e) if e.kind() == std::io::ErrorKind::WouldBlock), ended);
    }
    rows.finish();
    eventually_eq("none is left", &0.0, || daemon.connections());
}

#[test]
fn a_header_in_many_pieces_is_served_if_it_comes_in_time() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream, ", h2c: true", "{}");
    let mut client = daemon.connect();
    for piece in Ask::get(SERVICE, "/pieces").to_bytes().chunks(1) {
        client.send(piece);
    }
    assert_eq!(client.answer("GET").fate(), "-> /pieces");
    for piece in Ask::new("PRIX", SERVICE, "/almost-http2").to_bytes().chunks(1) {
        client.send(piece);
    }
    assert_eq!(client.answer("PRIX").fate(), "-> /almost-http2");
    assert_eq!(daemon.limit_reached("header_timeout"), 0.0);
}
