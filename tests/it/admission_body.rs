//! Bodies that come too slowly, and what only looks like one.

use tokio_tungstenite::tungstenite::{Message, client};

use crate::support::drip::Drip;
use crate::support::stream::{Stream, sse};
use crate::support::{Ask, CONNECT, Client, Daemon, Ending, MCP, Rows, TASKS, Tenant, Upstream, eventually_eq};

const SERVICE: &str = "svc.chitty.test";
/// More than all buffers between a client and an upstream that does not read.
const LARGE: u64 = 64 << 20;

/// A client that sends `head`, and then `piece` again and again.
fn trickle(daemon: &Daemon, head: &Ask, begin: &str, piece: &'static str) -> (Client, Drip) {
    let mut client = daemon.connect();
    client.send(head.to_bytes()).send(begin);
    let drip = Drip::start(&client, piece);
    (client, drip)
}

// The rate is taken over ten seconds, so all of it is one test: what may be slow stays so while the others are cut.
#[test]
fn a_body_that_trickles_is_cut_and_nothing_else_is() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder()
        .set("events", "{heartbeat: 60s}")
        .service(upstream.service_with("svc", "timeouts: {read: 60s}"))
        .start();
    let tenant = Tenant::new(&daemon, "alice");

    // Slow, but not for want of bytes from the client.
    let mut stalled = daemon.connect();
    let length = LARGE.to_string();
    stalled.send(Ask::new("POST", SERVICE, "/upload/stalled?stall=1").header("Content-Length", &length).to_bytes());
    upstream.wait_for_arrival("stalled");
    let piece = vec![b'x'; 64 << 10];
    let sent = stalled.send_until_stuck(&piece, LARGE, std::time::Duration::from_secs(1));
    assert!(sent < LARGE, "all of it went into buffers");
    let mut events = daemon.connect();
    events.send(Ask::get(MCP, "/svc/stream/events?type=text/event-stream").to_bytes());
    upstream.push("events", "data: one\n\n");
    events.head("GET").unwrap();
    events.body_until("one");
    let mut followed = Stream::greeted(&daemon, &sse(&tenant, "")).0;
    let url = format!("ws://{SERVICE}/ws");
    let (mut socket, _) = client(url, daemon.connect().into_stream()).unwrap();
    let mut waiting = daemon.connect();
    waiting.send(Ask::get(SERVICE, "/hold/waiting").to_bytes());
    upstream.wait_for_arrival("waiting");

    let announced =
        |method: &str, host: &str, target: &str| Ask::new(method, host, target).header("Content-Length", "1000000");
    let chunked = Ask::new("POST", SERVICE, "/upload/chunks").header("Transfer-Encoding", "chunked");
    let local = tenant.ask("POST", TASKS).header("Content-Length", "100000");
    let trickles = [
        ("proxied", trickle(&daemon, &announced("POST", SERVICE, "/upload/length"), "", "a")),
        ("proxied by prefix", trickle(&daemon, &announced("PUT", CONNECT, "/svc/api/upload/prefix"), "", "a")),
        ("in chunks", trickle(&daemon, &chunked, "", "1\r\na\r\n")),
        ("local", trickle(&daemon, &local, "{\"title\": \"", "a")),
        ("that stops", {
            let mut client = daemon.connect();
            client.send(announced("POST", SERVICE, "/upload/stops").to_bytes()).send("a");
            let drip = Drip::start(&client, "");
            (client, drip)
        }),
    ];
    let mut honest = daemon.connect();
    let mut rows = Rows::new();
    for (row, (mut client, _drip)) in trickles {
        assert_eq!(honest.ask(&Ask::get(SERVICE, "/honest")).fate(), "-> /honest");
        match client.try_answer("POST") {
            Ok(answer) => {
                rows.eq(row, &"408 request_timeout".to_owned(), &answer.fate());
                let ending = client.ending();
                rows.holds(format!("{row}: closed"), ending != Ending::Silence, ending);
            }
            Err(ending) => rows.holds(row, false, ending),
        }
    }
    rows.finish();
    eventually_eq("each is counted", &5.0, || daemon.limit_reached("body_min_rate"));
    assert_eq!(daemon.metric_sum("chittyconnect_upstream_failures_total", &[]), 0.0, "the service is not to blame");

    upstream.push("events", "data: two\n\n");
    events.body_until("two");
    tenant.titled(&daemon, "followed");
    assert_eq!(followed.event().name(), "task.created");
    socket.send(Message::text("still there")).unwrap();
    assert_eq!(socket.read().unwrap(), Message::text("still there"));
    upstream.step("waiting", "end");
    assert_eq!(waiting.answer("GET").fate(), "-> /hold/waiting");
    upstream.step("stalled", "end");
    let mut left = LARGE - sent;
    while left > 0 {
        let now = piece.len().min(usize::try_from(left).unwrap());
        stalled.send(&piece[..now]);
        left -= now as u64;
    }
    assert_eq!(stalled.answer("POST").echo().0["body_bytes"], LARGE);
}
