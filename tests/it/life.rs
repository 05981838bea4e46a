//! Start and end of the process.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use crate::support::{Ask, BINARY, CONNECT, Client, Daemon, Ending, Registry, Signal, Upstream, eventually_eq};

/// Runs the program to its end in an empty folder with this configuration.
fn run(arguments: &[&str], configuration: Option<&str>) -> Output {
    let folder = tempfile::tempdir().unwrap();
    if let Some(text) = configuration {
        fs::write(folder.path().join("c.yaml"), text).unwrap();
    }
    let mut command = Command::new(BINARY);
    command.args(arguments).current_dir(folder.path()).stdin(Stdio::null());
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_taken_port_is_named_and_nothing_starts() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, free) = (taken.local_addr().unwrap().port(), crate::support::daemon::reserve_port());
    for configuration in [
        format!("listeners: [{{bind: \"127.0.0.1:{port}\"}}]\nadmin: {{metrics: null}}\nstore: {{path: data}}\n"),
        format!(
            "listeners: [{{bind: \"127.0.0.1:{free}\"}}]\nadmin: {{metrics: \"127.0.0.1:{port}\"}}\nstore: {{path: data}}\n"
        ),
    ] {
        let output = run(&["serve", "--config", "c.yaml"], Some(&configuration));
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(text(&output).contains(&format!("127.0.0.1:{port}")), "{}", text(&output));
        assert!(!text(&output).contains("panicked"), "{}", text(&output));
    }
}

#[test]
fn two_listeners_both_answer() {
    let upstream = Upstream::start();
    let second = crate::support::daemon::reserve_port();
    let daemon = Daemon::builder()
        .set("listeners", &format!("[{{bind: \"127.0.0.1:@PORT@\"}}, {{bind: \"127.0.0.1:{second}\"}}]"))
        .service(upstream.service("svc"))
        .start();
    for port in [daemon.port, second] {
        assert_eq!(Client::connect(port).ask(&Ask::get("svc.chitty.test", "/x")).fate(), "-> /x");
    }
}

#[test]
fn without_a_configuration_the_places_and_the_demo_are_named() {
    let output = run(&["serve"], None);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = text(&output);
    for word in ["conf/chittyconnect.yaml", "/etc/chittyconnect/chittyconnect.yaml", "demo"] {
        assert!(text.contains(word), "{word} in {text}");
    }
}

#[test]
fn a_configuration_that_is_named_but_absent_is_named_back() {
    let output = run(&["serve", "--config", "no/such.yaml"], None);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output).contains("no/such.yaml"), "{}", text(&output));
}

#[test]
fn an_idle_daemon_ends_cleanly_on_either_signal() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut daemon = Daemon::builder().start();
        daemon.signal(signal);
        assert_eq!(daemon.wait_for_exit().code(), Some(0), "{signal}");
        assert!(Client::try_connect(daemon.port).is_err(), "{signal}: still listening");
    }
}

#[test]
fn idle_connections_do_not_hold_the_end_up() {
    let upstream = Upstream::start();
    // If they did, the end would come with the grace period, long after the test's patience.
    let mut daemon =
        Daemon::builder().set("server", "{threads: 2, grace_period: 10m}").service(upstream.service("svc")).start();
    let mut used = daemon.connect();
    assert_eq!(used.ask(&Ask::get("svc.chitty.test", "/x")).fate(), "-> /x");
    let mut fresh = daemon.connect();
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait_for_exit().code(), Some(0));
    for client in [&mut used, &mut fresh] {
        assert!(matches!(client.ending(), Ending::Fin | Ending::Reset));
    }
}

#[test]
fn what_is_in_flight_is_finished_first() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let upstream = Upstream::start();
        let mut daemon =
            Daemon::builder().set("server", "{threads: 2, grace_period: 10m}").service(upstream.service("svc")).start();
        let mut waiting = daemon.connect();
        waiting.send(Ask::get("svc.chitty.test", "/hold/h").to_bytes());
        upstream.wait_for_arrival("h");
        let mut streaming = daemon.connect();
        streaming.send(Ask::get(CONNECT, "/svc/api/stream/s").to_bytes());
        upstream.push("s", "first");
        streaming.head("GET").unwrap();
        streaming.body_until("first");
        let mut uploading = daemon.connect();
        uploading.send(Ask::new("POST", "svc.chitty.test", "/upload/u").header("Content-Length", "11").to_bytes());
        uploading.send("hello");
        upstream.wait_for_arrival("u");

        daemon.signal(signal);
        eventually_eq("new connections are not served any more", &true, || {
            Client::try_connect(daemon.port).map_or(true, |mut client| {
                client.send(Ask::get(CONNECT, "/health").to_bytes());
                client.try_answer("GET").is_err()
            })
        });
        assert!(daemon.is_running(), "{signal}: three requests are under way");
        upstream.step("h", "end");
        assert_eq!(waiting.answer("GET").fate(), "-> /hold/h", "{signal}");
        assert!(daemon.is_running(), "{signal}: two are left");
        uploading.send(" world");
        assert_eq!(uploading.answer("POST").echo().0["body_bytes"], 11, "{signal}");
        upstream.push("s", "last");
        streaming.body_until("last");
        upstream.step("s", "end");
        assert_eq!(streaming.piece(), Ok(None), "{signal}");
        assert_eq!(daemon.wait_for_exit().code(), Some(0), "{signal}");
        assert_eq!(daemon.access_lines().iter().filter(|line| line["service"] == "svc").count(), 3, "{signal}");
    }
}

#[test]
fn a_drain_is_seen_by_readyz_and_ends_with_the_grace_period() {
    let upstream = Upstream::start();
    let mut daemon =
        Daemon::builder().set("server", "{threads: 2, grace_period: 1s}").service(upstream.service("svc")).start();
    let mut waiting = daemon.connect();
    waiting.send(Ask::get("svc.chitty.test", "/hang").to_bytes());
    eventually_eq("the request is under way", &1, || upstream.requests().len());
    daemon.signal(Signal::SIGTERM);
    // 503 while draining, or gone already: never ready.
    let ready = Client::try_connect(daemon.admin_port).map(|mut client| {
        client.send(Ask::get("admin", "/readyz").to_bytes());
        client.try_answer("GET").map(|answer| answer.status())
    });
    assert!(!matches!(ready, Ok(Ok(code)) if code != 503 && code != 200), "{ready:?}");
    let status = daemon.wait_for_exit();
    assert!(status.code().is_some(), "ended by itself: {status}");
    assert!(waiting.try_answer("GET").map_or(true, |answer| answer.status() >= 500));
}

#[test]
fn a_slow_registry_holds_neither_start_nor_end_up() {
    let upstream = Upstream::start();
    let registry = Registry::start();
    registry.put_as("/api/services", "hold=1", "[]");
    let mut daemon =
        Daemon::builder().set("registry", &registry.section("timeout: 5m")).service(upstream.service("svc")).start();
    assert_eq!(daemon.get("svc.chitty.test", "/x").fate(), "-> /x");
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait_for_exit().code(), Some(0));
}

#[test]
fn a_second_start_in_the_same_folder_serves_again() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder().service(upstream.service("svc")).start();
    assert_eq!(daemon.get("svc.chitty.test", "/x").fate(), "-> /x");
    let daemon = daemon.restart();
    assert_eq!(daemon.get("svc.chitty.test", "/x").fate(), "-> /x");
}

#[test]
fn a_killed_daemon_leaves_nothing_that_stops_the_next_start() {
    let upstream = Upstream::start();
    let mut daemon = Daemon::builder().service(upstream.service("svc")).start();
    daemon.signal(Signal::SIGKILL);
    daemon.wait_for_exit();
    let daemon = daemon.start_again();
    assert_eq!(daemon.get("svc.chitty.test", "/x").fate(), "-> /x");
}
