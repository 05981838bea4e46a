//! Changing the table and the configuration while requests are under way.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::support::{Ask, CONNECT, Daemon, Registry, Signal, Upstream, eventually, eventually_eq};

const LAST_RELOAD: &str = "chittyconnect_config_last_reload_successful";

fn fate(daemon: &Daemon, name: &str) -> String {
    daemon.get(&format!("{name}.chitty.test"), "/x").fate()
}

#[track_caller]
fn wait_for(daemon: &Daemon, name: &str, wanted: &str) {
    eventually_eq(&format!("{name} is {wanted}"), &wanted.to_owned(), || fate(daemon, name));
}

#[test]
fn sighup_takes_over_services_and_sources() {
    let upstream = Upstream::start();
    let before = Daemon::builder().service(upstream.service("one"));
    let daemon = before.start();
    assert_eq!(daemon.metric(LAST_RELOAD), Some(1.0));
    let after = Daemon::builder()
        .set("registry", "{sources: [{file: more.json}]}")
        .service(upstream.service("two"))
        .service(upstream.service_with("off", "enabled: false"));
    daemon.write("more.json", &format!("[{{\"name\":\"three\",\"url\":\"{}\"}}]", upstream.url()));
    daemon.reload(&after);
    wait_for(&daemon, "two", "-> /x");
    wait_for(&daemon, "three", "-> /x");
    wait_for(&daemon, "off", "503 service_disabled");
    wait_for(&daemon, "one", "404 unknown_host");
    assert_eq!(daemon.metric(LAST_RELOAD), Some(1.0));
    // The new source is watched like one from the start.
    daemon.write("more.json", &format!("[{{\"name\":\"four\",\"url\":\"{}\"}}]", upstream.url()));
    wait_for(&daemon, "four", "-> /x");
}

#[test]
fn a_bad_file_is_refused_whole_and_every_mistake_is_in_the_log() {
    let upstream = Upstream::start();
    let good = Daemon::builder().service(upstream.service("one"));
    let daemon = good.clone().start();
    let bad = good
        .clone()
        .set("limits", "{uri_bytes: many, hedaers: 3}")
        .service(upstream.service("two"))
        .service("{id: three, endpoints: [\"10.0.0.5\"]}");
    daemon.reload(&bad);
    eventually_eq("the metric tells of the failure", &Some(0.0), || daemon.metric(LAST_RELOAD));
    assert_eq!(fate(&daemon, "one"), "-> /x");
    assert_eq!(fate(&daemon, "two"), "404 unknown_host", "nothing of it is taken over");
    let log = daemon.log();
    for word in ["chittyconnect.yaml", "uri_bytes", "hedaers", "10.0.0.5"] {
        assert!(log.contains(word), "{word} in the log:\n{log}");
    }
    daemon.write("chittyconnect.yaml", "domain: [");
    daemon.signal(Signal::SIGHUP);
    assert_eq!(fate(&daemon, "one"), "-> /x");
    daemon.reload(&good.service(upstream.service("four")));
    wait_for(&daemon, "four", "-> /x");
    assert_eq!(daemon.metric(LAST_RELOAD), Some(1.0));
}

#[test]
fn a_vanished_file_is_a_failed_reload() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder().service(upstream.service("one")).start();
    fs::remove_file(daemon.config()).unwrap();
    daemon.signal(Signal::SIGHUP);
    eventually_eq("the metric tells of the failure", &Some(0.0), || daemon.metric(LAST_RELOAD));
    assert_eq!(fate(&daemon, "one"), "-> /x");
}

#[test]
fn what_needs_a_restart_is_named() {
    let upstream = Upstream::start();
    let good = Daemon::builder().service(upstream.service("one"));
    let daemon = good.clone().start();
    daemon.reload(&good.set("server", "{threads: 3, grace_period: 20s}").service(upstream.service("two")));
    wait_for(&daemon, "two", "-> /x");
    eventually("the log says that server.threads needs a restart", || {
        let log = daemon.log();
        let named =
            log.lines().any(|line| line.contains("restart") && (line.contains("threads") || line.contains("server")));
        if named { Ok(()) } else { Err(log) }
    });
}

#[test]
fn no_request_fails_while_the_table_changes_fifty_times() {
    let upstream = Upstream::start();
    let registry = Registry::with("[]");
    let builder = |round: usize| {
        Daemon::builder()
            .set(
                "registry",
                &format!(
                    "{{refresh: 100ms, sources: [{{file: services.json}}, {{http: {{url: \"{}\", allowed_networks: [127.0.0.0/8]}}}}]}}",
                    registry.url()
                ),
            )
            .service(upstream.service("steady"))
            .service(upstream.service(&format!("round-{round}")))
    };
    let list = |round: usize| format!("[{{\"name\":\"file-{round}\",\"url\":\"{}\"}}]", upstream.url());
    let daemon = builder(0).file("services.json", list(0)).start();
    let stop = AtomicBool::new(false);
    let asked = AtomicUsize::new(0);
    let held = "held-over-all-changes";
    let mut slow = daemon.connect();
    slow.send(Ask::get("steady.chitty.test", &format!("/hold/{held}")).to_bytes());
    upstream.wait_for_arrival(held);

    let failures: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                let (daemon, stop, asked) = (&daemon, &stop, &asked);
                scope.spawn(move || {
                    let mut failures = Vec::new();
                    let mut client = daemon.connect();
                    let mut round = 0;
                    while !stop.load(Ordering::Relaxed) {
                        round += 1;
                        let (ask, wanted) = match (round + worker) % 4 {
                            0 => (Ask::get("steady.chitty.test", "/x"), "-> /x"),
                            1 => (Ask::get(CONNECT, "/steady/api/x"), "-> /api/x"),
                            2 => (Ask::new("POST", "steady.chitty.test", "/y").body("hello"), "-> /y"),
                            _ => (Ask::get(CONNECT, "/health"), "200 local"),
                        };
                        // One in ten on a connection of its own, so that accepting is watched as well.
                        if round % 10 == 0 {
                            client = daemon.connect();
                        }
                        client.send(ask.to_bytes());
                        match client.try_answer("GET") {
                            Ok(answer) if answer.fate() == wanted => {}
                            Ok(answer) => failures.push(answer.fate()),
                            Err(ending) => {
                                failures.push(format!("{ending:?}"));
                                client = daemon.connect();
                            }
                        }
                        asked.fetch_add(1, Ordering::Relaxed);
                    }
                    failures
                })
            })
            .collect();
        for round in 1..=25 {
            daemon.reload(&builder(round));
            wait_for(&daemon, &format!("round-{round}"), "-> /x");
            daemon.write("services.json", &list(round));
            wait_for(&daemon, &format!("file-{round}"), "-> /x");
        }
        stop.store(true, Ordering::Relaxed);
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    upstream.step(held, "end");
    assert_eq!(slow.answer("GET").fate(), format!("-> /hold/{held}"), "the request that saw all of it");
    let asked = asked.into_inner();
    assert!(asked > 200, "only {asked} requests were under way");
    assert!(failures.is_empty(), "{} of {asked} failed: {:?}", failures.len(), &failures[..failures.len().min(20)]);
}

#[test]
fn a_request_keeps_the_service_that_it_started_with() {
    let upstream = Upstream::start();
    let builder = Daemon::builder().service(upstream.service("one"));
    let daemon = builder.start();
    let mut client = daemon.connect();
    client.send(Ask::get("one.chitty.test", "/stream/kept").to_bytes());
    client.head("GET").unwrap();
    daemon.reload(&Daemon::builder().service(upstream.service("two")));
    wait_for(&daemon, "one", "404 unknown_host");
    upstream.push("kept", "still the same answer");
    client.body_until("still the same answer");
    upstream.step("kept", "end");
    assert_eq!(client.piece(), Ok(None));
}

#[test]
fn sigusr1_and_sighup_open_the_access_log_again() {
    let daemon = Daemon::builder().start();
    for (signal, name) in [(Signal::SIGUSR1, "usr1"), (Signal::SIGHUP, "hup")] {
        let before = format!("/before-{name}");
        daemon.get(CONNECT, &before);
        daemon.access_line("before the rotation", |line| line["path"] == *before);
        let rotated = daemon.folder().join(format!("access.log.{name}"));
        fs::rename(daemon.folder().join("access.log"), &rotated).unwrap();
        daemon.signal(signal);
        eventually(
            "a new access log",
            || if daemon.folder().join("access.log").exists() { Ok(()) } else { Err("none") },
        );
        let after = format!("/after-{name}");
        daemon.get(CONNECT, &after);
        daemon.access_line("after the rotation", |line| line["path"] == *after);
        let old = fs::read_to_string(&rotated).unwrap();
        assert!(old.contains(&before) && !old.contains(&after), "{old}");
    }
}
