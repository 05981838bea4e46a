//! Which endpoint a request is sent to.

use std::collections::{BTreeMap, HashSet};

use crate::support::{Ask, Client, Daemon, Upstream};

const SERVICE: &str = "svc.chitty.test";

fn service(endpoints: &[String], more: &str) -> String {
    format!("{{id: svc, endpoints: [{}], {more}}}", endpoints.join(", "))
}

fn urls(upstream: &Upstream) -> Vec<String> {
    upstream.ports().iter().map(|port| format!("\"http://127.0.0.1:{port}\"")).collect()
}

/// The port of the endpoint that answered.
#[track_caller]
fn port(client: &mut Client, ask: &Ask) -> u64 {
    client.ask(ask).echo().0["port"].as_u64().unwrap()
}

#[test]
fn turns_follow_the_weights() {
    let upstream = Upstream::with_ports(3);
    let weighted: Vec<String> = upstream
        .ports()
        .iter()
        .zip([1, 2, 5])
        .map(|(port, weight)| format!("{{url: \"http://127.0.0.1:{port}\", weight: {weight}}}"))
        .collect();
    for balance in ["round_robin", "consistent_hash"] {
        let more =
            format!("balance: {balance}{}", if balance == "round_robin" { "" } else { ", hash_on: \"header:X-Key\"" });
        let daemon = Daemon::builder().service(service(&weighted, &more)).start();
        let mut client = daemon.connect();
        let mut seen = BTreeMap::<u64, i32>::new();
        for number in 0..800 {
            *seen
                .entry(port(&mut client, &Ask::get(SERVICE, "/").header("X-Key", &number.to_string())))
                .or_default() += 1;
        }
        // Turns fall evenly; hashes as dice do, where 100 of 800 keep within 60 with all but certainty.
        let slack = if balance == "round_robin" { 5 } else { 60 };
        for (at, expected) in upstream.ports().iter().zip([100, 200, 500]) {
            let count = seen.get(&u64::from(*at)).copied().unwrap_or_default();
            assert!((count - expected).abs() <= slack, "{balance}: {count} instead of {expected}: {seen:?}");
        }
    }
}

/// Asks with each of 40 values three times: the endpoint that answers each of them. Several of one value are a failure.
#[track_caller]
fn placed(daemon: &Daemon, ask: impl Fn(usize) -> Ask) -> Vec<u64> {
    let mut client = daemon.connect();
    let mut place = |number| {
        let seen: HashSet<u64> = (0..3).map(|_| port(&mut client, &ask(number))).collect();
        assert_eq!(seen.len(), 1, "value {number} has several endpoints");
        seen.into_iter().next().unwrap()
    };
    (0..40).map(&mut place).collect()
}

#[track_caller]
fn stays_and_moves(hash_on: &str, ask: impl Fn(usize) -> Ask) {
    let mut upstreams: Vec<Upstream> = (0..3).map(|_| Upstream::start()).collect();
    let endpoints: Vec<String> = upstreams.iter().flat_map(urls).collect();
    let more =
        format!("balance: consistent_hash, hash_on: \"{hash_on}\", outlier: {{consecutive_errors: 2, eject_for: 1h}}");
    let daemon = Daemon::builder().set("trusted_proxies", "[127.0.0.0/8]").service(service(&endpoints, &more)).start();
    let before = placed(&daemon, &ask);
    let used: HashSet<u64> = before.iter().copied().collect();
    assert_eq!(used.len(), 3, "40 values are on every endpoint: {before:?}");
    let gone = u64::from(upstreams.pop().unwrap().port());
    let after = placed(&daemon, &ask);
    let mut heirs = HashSet::new();
    for (number, (before, after)) in before.iter().zip(&after).enumerate() {
        if *before == gone {
            assert_ne!(*after, gone);
            heirs.insert(*after);
        } else {
            assert_eq!(before, after, "value {number} has moved, though its endpoint is there");
        }
    }
    assert_eq!(heirs.len(), 2, "what it had is spread over the others");
    assert_eq!(after, placed(&daemon, &ask), "and stays there");
    let states = daemon.endpoint_states("http://svc.chitty.test/");
    assert_eq!(states, ["serving", "serving", "ejected"]);
}

#[test]
fn the_same_header_stays_on_one_endpoint_and_moves_only_when_that_is_out() {
    stays_and_moves("header:X-Tenant", |number| Ask::get(SERVICE, "/").header("X-Tenant", &format!("tenant-{number}")));
}

#[test]
fn the_same_cookie_stays_on_one_endpoint_and_moves_only_when_that_is_out() {
    stays_and_moves("cookie:sid", |number| {
        Ask::get(SERVICE, "/").header("Cookie", &format!("theme=dark; sid=session-{number}; x=y"))
    });
}

#[test]
fn the_same_client_stays_on_one_endpoint_and_moves_only_when_that_is_out() {
    stays_and_moves("client_ip", |number| {
        Ask::get(SERVICE, "/").header("X-Forwarded-For", &format!("203.0.113.{number}"))
    });
}

#[test]
fn without_what_is_hashed_a_request_is_placed_by_its_client() {
    let upstream = Upstream::with_ports(3);
    let more = "balance: consistent_hash, hash_on: \"header:X-Tenant\"";
    let daemon = Daemon::builder().service(service(&urls(&upstream), more)).start();
    let mut client = daemon.connect();
    let seen: HashSet<u64> = (0..20).map(|_| port(&mut client, &Ask::get(SERVICE, "/"))).collect();
    assert_eq!(seen.len(), 1);
}

#[test]
fn a_busy_endpoint_is_avoided() {
    let upstream = Upstream::with_ports(2);
    let daemon = Daemon::builder().service(service(&urls(&upstream), "balance: least_requests")).start();
    let mut holding = daemon.connect();
    holding.send(Ask::get(SERVICE, "/hold/one").to_bytes());
    upstream.wait_for_arrival("one");
    let busy = upstream.requests()[0]["port"].as_u64().unwrap();
    let mut client = daemon.connect();
    for _ in 0..30 {
        assert_ne!(port(&mut client, &Ask::get(SERVICE, "/")), busy);
    }
    upstream.step("one", "end");
    assert_eq!(holding.answer("GET").status(), 200);
    let seen: HashSet<u64> = (0..30).map(|_| port(&mut client, &Ask::get(SERVICE, "/"))).collect();
    assert_eq!(seen.len(), 2, "it is used again: {seen:?}");
}
