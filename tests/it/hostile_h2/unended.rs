//! A body that its client never ends holds a stream, and after the answer nothing of the service.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use super::frames::{HEADERS, Peer};
use super::run::{HOST, POST, open};
use crate::support::{Daemon, eventually_eq};

/// Answers each connection once it has seen a header, and waits for its end. Probes of its health come, too.
fn early(answer: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let (mut seen, mut piece) = (Vec::new(), [0; 1024]);
                let mut answered = false;
                while let Ok(read @ 1..) = stream.read(&mut piece) {
                    seen.extend_from_slice(&piece[..read]);
                    if !answered && seen.windows(4).any(|end| end == b"\r\n\r\n") {
                        answered = stream.write_all(answer.as_bytes()).is_ok();
                    }
                }
            });
        }
    });
    port
}

#[test]
fn hostile_h2_a_body_without_an_end_holds_no_place_at_the_service_that_answered() {
    for answer in ["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"] {
        let port = early(answer);
        let service = format!("{{id: svc, endpoints: [\"http://127.0.0.1:{port}\"], limits: {{in_flight: 1}}}}");
        let daemon =
            Daemon::builder().set("listeners", "[{bind: \"127.0.0.1:@PORT@\", h2c: true}]").service(service).start();
        let mut peer = Peer::connect(daemon.port);
        peer.send(open(&POST));
        let answered = std::iter::from_fn(|| peer.next().ok()).find(|frame| frame.kind == HEADERS).unwrap();
        assert_eq!(answered.status(), Some(200), "{answer:?}");
        // Its stream is still open, and its body has not ended.
        eventually_eq("another one is let in", &200, || daemon.get(HOST, "/next").status());
    }
}
