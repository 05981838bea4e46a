//! What a stranger, a slow disk or a slip of an operator must not be able to do.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::process::{Command, Stdio};

use crate::support::peer::raw;
use crate::support::{Ask, BINARY, Client, Daemon, Signal, Upstream, eventually_eq};

const SERVICE: &str = "svc.chitty.test";

fn in_flight(daemon: &Daemon) -> Option<f64> {
    daemon.metric("chittyconnect_http_requests_in_flight{kind=\"host\"}")
}

#[test]
fn the_admin_socket_never_replaces_what_is_no_socket() {
    let folder = tempfile::tempdir().unwrap();
    let port = crate::support::daemon::reserve_port();
    let configuration = format!(
        "listeners: [{{bind: \"127.0.0.1:{port}\"}}]\nadmin: {{metrics: null, socket: c.yaml}}\nstore: {{path: data}}\n"
    );
    fs::write(folder.path().join("c.yaml"), &configuration).unwrap();
    let output = Command::new(BINARY)
        .args(["serve", "--config", "c.yaml"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(fs::read_to_string(folder.path().join("c.yaml")).unwrap(), configuration);
}

#[test]
fn a_daemon_that_ends_leaves_another_ones_socket() {
    let mut daemon = Daemon::builder().start();
    let socket = daemon.folder().join("admin.sock");
    assert!(fs::metadata(&socket).unwrap().file_type().is_socket());
    fs::remove_file(&socket).unwrap();
    let _other = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait_for_exit().code(), Some(0));
    assert!(socket.exists());
}

#[test]
fn a_pipe_as_a_source_holds_up_neither_reload_nor_end() {
    let upstream = Upstream::start();
    let good = Daemon::builder().service(upstream.service("svc"));
    let mut daemon = good.clone().start();
    let pipe = daemon.folder().join("pipe.yaml");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let source = format!("{{sources: [{{file: {}}}]}}", pipe.display());
    daemon.reload(&good.set("registry", &source).service(upstream.service("more")));
    eventually_eq("the reload goes through", &"-> /x".to_owned(), || daemon.get("more.chitty.test", "/x").fate());
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait_for_exit().code(), Some(0));
}

#[test]
fn a_configuration_that_became_empty_is_refused() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder().service(upstream.service("svc")).start();
    daemon.write("chittyconnect.yaml", "");
    daemon.signal(Signal::SIGHUP);
    let reloaded = || daemon.metric("chittyconnect_config_last_reload_successful");
    eventually_eq("the metric tells of the failure", &Some(0.0), reloaded);
    assert_eq!(daemon.get(SERVICE, "/x").fate(), "-> /x");
}

#[test]
fn a_client_that_sent_much_ahead_and_left_is_noticed() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder().service(upstream.service("svc")).start();
    let mut client = daemon.connect();
    client.send(Ask::get(SERVICE, "/stream/gone?type=text/event-stream").to_bytes());
    client.send(vec![b'x'; 30_000]);
    upstream.push("gone", "data: one\n\n");
    client.head("GET").unwrap();
    client.body_until("data: one\n\n");
    assert_eq!(in_flight(&daemon), Some(1.0));
    drop(client);
    eventually_eq("nothing is in flight", &Some(0.0), || in_flight(&daemon));
}

#[test]
fn a_slow_client_is_told_so_and_not_held_against_the_service() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder()
        .set("limits", "{idle_timeout: 300ms}")
        .service(upstream.service_with("svc", "timeouts: {read: 10m}"))
        .start();
    let mut client = daemon.connect();
    client.send(Ask::new("POST", SERVICE, "/upload/never").header("Content-Length", "4").to_bytes());
    client.send("x");
    assert_eq!(client.answer("POST").fate(), "408 request_timeout");
    assert_eq!(daemon.metric_sum("chittyconnect_upstream_failures_total", &["service=\"svc\""]), 0.0);
}

#[test]
fn an_upload_longer_than_the_read_timeout_is_no_silence() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder().service(upstream.service_with("svc", "timeouts: {read: 300ms}")).start();
    let mut slow = daemon.connect();
    slow.send(Ask::new("POST", SERVICE, "/upload/slow").header("Content-Length", "2").to_bytes());
    slow.send("a");
    upstream.wait_for_arrival("slow");
    // Beside it, a request that waits for its service runs into that timeout.
    assert_eq!(daemon.get(SERVICE, "/hold/silent").fate(), "504 upstream_timeout");
    slow.send("b");
    assert_eq!(slow.answer("POST").echo().0["body_bytes"], 2);
}

#[test]
fn equal_lengths_become_one() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder().service(upstream.service("svc")).start();
    for lengths in ["Content-Length: 3, 3\r\n", "Content-Length: 3\r\nContent-Length: 3\r\n"] {
        let answer = daemon.raw(format!("POST /x HTTP/1.1\r\nHost: {SERVICE}\r\n{lengths}\r\nabc"));
        assert_eq!(answer.echo().all("content-length"), ["3"], "{lengths:?}");
    }
}

#[test]
fn a_switch_of_protocols_that_nobody_asked_for_is_a_broken_answer() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder().service(upstream.service("svc")).start();
    let bytes = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n";
    let answer = daemon.get(SERVICE, &raw(bytes, "hang"));
    assert_eq!(answer.fate(), "502 proxy_failed");
    eventually_eq("nothing is in flight", &Some(0.0), || in_flight(&daemon));
}

#[test]
fn an_unread_log_holds_up_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let port = crate::support::daemon::reserve_port();
    let configuration = format!(
        "domain: chitty.test\nlisteners: [{{bind: \"127.0.0.1:{port}\"}}]\nadmin: {{metrics: null}}\nstore: {{path: data}}\n\
         log: {{access: stdout}}\nservices: [{{id: svc, endpoints: [\"http://127.0.0.1:1\"]}}]\n"
    );
    fs::write(folder.path().join("c.yaml"), configuration).unwrap();
    let mut daemon = Command::new(BINARY)
        .args(["serve", "--config", "c.yaml"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    eventually_eq("it serves", &true, || Client::try_connect(port).is_ok());
    // Each is a line in both logs, and nobody reads either pipe, which hold 64 KiB.
    for _ in 0..600 {
        assert_eq!(Client::connect(port).ask(&Ask::get(SERVICE, "/x")).fate(), "502 proxy_failed");
    }
    let id = nix::unistd::Pid::from_raw(i32::try_from(daemon.id()).unwrap());
    nix::sys::signal::kill(id, Signal::SIGTERM).unwrap();
    eventually_eq("it ends", &Some(0), || daemon.try_wait().unwrap().and_then(|status| status.code()));
}

#[test]
fn what_is_gone_takes_its_metrics_along() {
    let upstream = Upstream::start();
    let list = "services:\n  - {id: listed, endpoints: [\"http://127.0.0.1:1\"]}\n";
    let with = Daemon::builder().set("registry", "{sources: [{file: list.yaml}]}").file("list.yaml", list);
    let daemon = with.service(upstream.service("svc")).start();
    let has = |word: &str| daemon.admin("/metrics").text().contains(word);
    assert!(has("source=\"file:list.yaml\""));
    daemon.reload(&Daemon::builder().service(upstream.service("svc")));
    eventually_eq("its source's series are gone", &false, || has("source=\"file:list.yaml\""));
}
