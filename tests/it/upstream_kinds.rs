//! Endpoints behind a Unix socket and over HTTP/2 without TLS.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_tungstenite::tungstenite::{Message, client};

use crate::support::load::Load;
use crate::support::peer::peers_are_there;
use crate::support::{Ask, Daemon, Ending, Nginx, Rows, Signal, Upstream, Wire, eventually, eventually_eq};

const SERVICE: &str = "svc.chitty.test";

/// nginx on a Unix socket in `folder` beside its port. `/` tells what it was asked by, `/up/` goes on to `behind`.
fn on_socket(folder: tempfile::TempDir, behind: &str) -> Nginx {
    // Its worker runs as nobody.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let socket = folder.path().join("nginx.sock");
    Nginx::with(folder, |port| {
        format!(
            "server {{ listen unix:{}; listen 127.0.0.1:{port}; client_max_body_size 0;\n\
             location / {{ return 200 \"$server_protocol|$http_host|$request_uri|$http_x_forwarded_for\"; }}\n\
             location /up/ {{ proxy_pass {behind}/; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;\n\
             proxy_set_header Connection $http_connection; proxy_buffering off; proxy_request_buffering off; }} }}",
            socket.display()
        )
    })
}

#[test]
fn a_unix_socket_is_an_endpoint_like_others() {
    if !peers_are_there() {
        return;
    }
    let behind = Upstream::start();
    let folder = tempfile::tempdir().unwrap();
    let endpoint = format!("unix:{}", folder.path().join("nginx.sock").display());
    let nginx = on_socket(folder, &behind.url());
    let daemon = Daemon::builder()
        .service(format!(
            "{{id: svc, endpoints: [\"{endpoint}\"], health: {{path: /, interval: 200ms}}, retry: {{attempts: 0}}}}"
        ))
        .start();
    assert_eq!(daemon.get(SERVICE, "/x?y=1").text(), format!("HTTP/1.1|{SERVICE}|/x?y=1|127.0.0.1"));
    let big = daemon.get(SERVICE, "/up/big/3000000?framing=chunked");
    assert_eq!((big.status(), big.body.len(), big.ending), (200, 3_000_000, Ending::Whole));
    let echo = daemon.ask(&Ask::new("PUT", SERVICE, "/up/put").body(vec![b'x'; 1_000_000])).echo();
    assert_eq!(echo.0["body_bytes"], 1_000_000);
    let mut streaming = daemon.connect();
    streaming.send(Ask::get(SERVICE, "/up/stream/one").to_bytes());
    assert_eq!(streaming.head("GET").unwrap().status, 200);
    behind.push("one", "a piece");
    streaming.body_until("a piece");
    let (mut socket, _) = client("ws://svc.chitty.test/up/ws", daemon.connect().into_stream()).unwrap();
    socket.send(Message::text("through a socket")).unwrap();
    assert_eq!(socket.read().unwrap(), Message::text("through a socket"));
    drop((socket, streaming));
    eventually_eq("its health is known", &1.0, || daemon.metric_sum("chittyconnect_endpoint_up", &["service=\"svc\""]));
    nginx.signal_all(Signal::SIGKILL);
    eventually("nobody is there any more", || match daemon.get(SERVICE, "/").fate() {
        fate if fate == "502 proxy_failed" || fate == "503 no_healthy_endpoint" => Ok(()),
        fate => Err(fate),
    });
}

/// nginx that speaks HTTP/2 without TLS.
fn h2c(behind: &str) -> Nginx {
    h2c_with(behind, "")
}

/// The same with further directives.
fn h2c_with(behind: &str, more: &str) -> Nginx {
    Nginx::with(tempfile::tempdir().unwrap(), |port| {
        format!(
            "server {{ listen 127.0.0.1:{port} http2; client_max_body_size 0; {more}\n\
             location / {{ return 200 \"$server_protocol|$http_host|$host|$connection|$http_transfer_encoding|$http_connection\"; }}\n\
             location /up/ {{ proxy_pass {behind}/; proxy_http_version 1.1; proxy_request_buffering off; }} }}"
        )
    })
}

#[test]
fn an_endpoint_over_http2_without_tls_serves_clients_of_http1() {
    if !peers_are_there() {
        return;
    }
    let behind = Upstream::start();
    let mut nginx = h2c(&behind.url());
    let daemon =
        Daemon::builder().service(format!("{{id: svc, endpoints: [\"h2c://127.0.0.1:{}\"]}}", nginx.port)).start();
    let mut rows = Rows::new();
    let mut connections = Vec::new();
    for _ in 0..5 {
        let text = daemon.get(SERVICE, "/").text();
        let parts: Vec<&str> = text.split('|').collect();
        rows.eq("asked by", &vec!["HTTP/2.0", SERVICE, SERVICE], &parts[..3].to_vec());
        rows.eq("nothing of the connection's own", &vec!["", ""], &parts[4..].to_vec());
        connections.push(parts[3].to_owned());
    }
    rows.holds("one connection serves all", connections.iter().all(|one| *one == connections[0]), &connections);
    let body = vec![b'x'; 2_000_000];
    for chunked in [false, true] {
        let ask = Ask::new("PUT", SERVICE, "/up/put");
        let echo = daemon.ask(&if chunked { ask.chunked(&body) } else { ask.body(&body) }).echo();
        rows.eq(format!("a body, chunked: {chunked}"), &2_000_000, &echo.0["body_bytes"].as_i64().unwrap_or_default());
    }
    for target in ["/up/big/2000000", "/up/big/2000000?framing=chunked"] {
        let big = daemon.get(SERVICE, target);
        rows.eq(target, &(200, 2_000_000, Ending::Whole), &(big.status(), big.body.len(), big.ending));
    }
    let many: Vec<_> = (0..20)
        .map(|number| {
            let mut client = daemon.connect();
            client.send(Ask::get(SERVICE, &format!("/up/hold/g{number}")).to_bytes());
            client
        })
        .collect();
    for number in 0..20 {
        behind.wait_for_arrival(&format!("g{number}"));
        behind.step(&format!("g{number}"), "end");
    }
    for mut client in many {
        rows.eq("one of twenty at once", &200, &client.answer("GET").status());
    }
    rows.finish();
    nginx.signal(Signal::SIGQUIT);
    nginx.start_again();
    for _ in 0..5 {
        assert_eq!(daemon.get(SERVICE, "/").status(), 200, "after it went away in an orderly way");
    }
}

#[test]
fn connections_over_http2_that_their_server_ends_all_the_time_cost_no_get() {
    if !peers_are_there() {
        return;
    }
    let nginx = h2c_with("http://127.0.0.1:1", "keepalive_requests 20;");
    let daemon = Daemon::builder()
        .service(format!("{{id: svc, endpoints: [\"h2c://127.0.0.1:{}\"], retry: {{budget: 1.0}}}}", nginx.port))
        .start();
    let load = Load::start(daemon.port, &Ask::get(SERVICE, "/"), 300);
    load.go_on(40);
    let (answered, failed) = load.finish();
    assert!(failed.is_empty(), "{} of {answered} failed: {:?}", failed.len(), &failed[..failed.len().min(5)]);
    assert_eq!(daemon.explained("http://svc.chitty.test/")["in_flight"][0], 0);
    let idle = daemon.metric_sum("chittyconnect_upstream_retries_total", &["cause=\"idle\""]);
    assert_eq!(
        idle, 0.0,
        "a connection with many requests on it was not idle: what is repeated comes out of the budget"
    );
}

#[test]
fn who_is_answered_over_http2_before_all_was_read_gets_the_whole_answer() {
    if !peers_are_there() {
        return;
    }
    let nginx = h2c("http://127.0.0.1:1");
    let daemon =
        Daemon::builder().service(format!("{{id: svc, endpoints: [\"h2c://127.0.0.1:{}\"]}}", nginx.port)).start();
    let mut rows = Rows::new();
    let rest = vec![b'x'; 1_000_000];
    for number in 0..20 {
        let mut client = daemon.connect();
        // nginx answers this at once, whatever comes behind it.
        let length = (2 * rest.len()).to_string();
        client.send(Ask::new("PUT", SERVICE, "/x").header("Content-Length", &length).to_bytes());
        client.send(&rest);
        let answer = client.answer("PUT");
        rows.eq(format!("{number}: status"), &(200, Ending::Whole), &(answer.status(), answer.ending));
        client.send(&rest);
        rows.eq(format!("{number}: ending"), &Ending::Fin, &client.ending());
    }
    rows.finish();
    eventually_eq("nothing is in flight", &serde_json::json!(0), || {
        daemon.explained("http://svc.chitty.test/")["in_flight"][0].clone()
    });
}

/// Passes on what comes on one connection, until it is told to keep everything to itself without closing.
fn relay(mut stream: TcpStream, port: u16, frozen: &Arc<AtomicUsize>, number: usize) {
    let mut onward = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (mut back, mut forth) = (stream.try_clone().unwrap(), onward.try_clone().unwrap());
    let frozen_back = Arc::clone(frozen);
    std::thread::spawn(move || pass(&mut onward, &mut back, &frozen_back, number));
    pass(&mut stream, &mut forth, frozen, number);
}

fn pass(from: &mut TcpStream, to: &mut TcpStream, frozen: &AtomicUsize, number: usize) {
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        if number >= frozen.load(Ordering::SeqCst) && to.write_all(&piece[..count]).is_err() {
            break;
        }
    }
    if number >= frozen.load(Ordering::SeqCst) {
        let _ = to.shutdown(Shutdown::Both);
    }
}

#[test]
fn a_connection_over_http2_that_is_dead_is_found_out_and_not_used_for_ever() {
    if !peers_are_there() {
        return;
    }
    let nginx = h2c("http://127.0.0.1:1");
    let (port, accepted, frozen) = (nginx.port, Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let (count, until) = (Arc::clone(&accepted), Arc::clone(&frozen));
    let wire = Wire::start(move |stream| relay(stream, port, &until, count.fetch_add(1, Ordering::SeqCst)));
    let daemon = Daemon::builder()
        .service(format!(
            "{{id: svc, endpoints: [\"{}\"], timeouts: {{read: 300ms}}, retry: {{attempts: 0}}}}",
            wire.url().replace("http://", "h2c://")
        ))
        .start();
    assert_eq!(daemon.get(SERVICE, "/").status(), 200);
    frozen.store(accepted.load(Ordering::SeqCst), Ordering::SeqCst);
    assert_eq!(daemon.get(SERVICE, "/").status(), 504, "nothing passes on this connection any more");
    eventually_eq("another connection is made", &200, || daemon.get(SERVICE, "/").status());
}

#[test]
fn an_upgrade_is_not_asked_for_over_http2_and_http1_is_not_http2() {
    if !peers_are_there() {
        return;
    }
    let behind = Upstream::start();
    let nginx = h2c(&behind.url());
    let daemon = Daemon::builder()
        .service(format!("{{id: svc, endpoints: [\"h2c://127.0.0.1:{}\"], timeouts: {{read: 2s}}}}", nginx.port))
        .service(format!("{{id: old, endpoints: [\"h2c://127.0.0.1:{}\"], timeouts: {{read: 2s}}}}", behind.port()))
        .start();
    let ask = Ask::get(SERVICE, "/up/ws")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    // The endpoint is asked without the upgrade, and what it makes of that is its answer.
    let answer = daemon.ask(&ask);
    assert_ne!(answer.status(), 101, "{answer:?}");
    let answer = daemon.get("old.chitty.test", "/");
    assert!(matches!(answer.status(), 502 | 504), "{}", answer.fate());
}
