//! Ten thousand connections that do nothing, and the descriptors that they need.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::support::{Ask, Client, Daemon, Upstream, eventually, eventually_eq};

const SERVICE: &str = "svc.chitty.test";
const IDLE: usize = 10_000;

/// The soft and the hard limit on open descriptors of a daemon.
fn descriptors_of(daemon: &Daemon) -> [String; 2] {
    let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let mut words = line.split_whitespace().map(str::to_owned);
    [words.next().unwrap(), words.next().unwrap()]
}

/// A daemon that is started with this soft limit.
fn started_with(soft: u32, limits: &str) -> Daemon {
    let under = ["sh", "-c", &format!("ulimit -S -n {soft}; exec \"$0\" \"$@\"")].map(str::to_owned);
    Daemon::builder().under(&under).set("limits", limits).start()
}

#[test]
fn the_limit_on_descriptors_is_raised_as_far_as_it_goes() {
    let daemon = started_with(256, "{connections: 16}");
    let [soft, hard] = descriptors_of(&daemon);
    assert_eq!(soft, hard);
    assert!(hard == "unlimited" || daemon.log().contains(&format!("\"descriptors\":{hard},\"before\":256")));
}

#[test]
fn too_few_descriptors_for_the_connections_are_warned_of() {
    let warned = |daemon: &Daemon| daemon.log().contains("more connections than this process may have descriptors");
    let under = ["sh", "-c", "ulimit -n 1024; exec \"$0\" \"$@\""].map(str::to_owned);
    let few = Daemon::builder().under(&under);
    assert!(warned(&few.clone().set("limits", "{connections: 10000}").start()));
    assert!(!warned(&few.set("limits", "{connections: 100}").start()));
}

/// Raises this process's own limit; false where it cannot be high enough.
fn has_descriptors(needed: u64) -> bool {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    limit.current.is_none_or(|most| most >= needed)
}

#[test]
#[allow(clippy::print_stderr, reason = "why it is skipped, and what was seen")]
fn ten_thousand_idle_connections_hold_up_nobody() {
    if !has_descriptors(IDLE as u64 + 3_000) {
        eprintln!("skipped: {IDLE} connections need more descriptors than this process may have (ulimit -H -n)");
        return;
    }
    let upstream = Upstream::start();
    let daemon = Daemon::builder()
        .set("limits", "{connections: 20000, connections_per_client: 20000}")
        .service(upstream.service("svc"))
        .start();
    let mut honest = daemon.connect();
    let mut ask = || assert_eq!(honest.ask(&Ask::get(SERVICE, "/honest")).fate(), "-> /honest");
    ask();
    let (before, descriptors) = (daemon.resident_kib(), daemon.descriptors());
    let mut idle: Vec<TcpStream> = Vec::with_capacity(IDLE);
    for number in 0..IDLE {
        // Several addresses, for each has no more than some 28,000 ports.
        let source = Ipv4Addr::new(127, 0, 1, u8::try_from(number % 8).unwrap() + 1);
        let mut client = Client::try_connect_from(source, daemon.port).unwrap();
        if number % 4 == 0 {
            // Kept alive after an answer, as browsers do.
            assert_eq!(client.ask(&Ask::get("connect.chitty.test", "/health")).status(), 200);
        }
        idle.push(client.into_stream());
        if number % 100 == 0 {
            ask();
        }
    }
    eventually_eq("all of them are open", &(10_001.0), || daemon.connections());
    for _ in 0..100 {
        ask();
        assert_eq!(daemon.get(SERVICE, "/new").fate(), "-> /new");
    }
    let with = daemon.resident_kib();
    eprintln!("{IDLE} idle connections: {before} KiB before, {with} KiB with them");
    assert_eq!(daemon.limit_reached("connections") + daemon.limit_reached("connections_per_client"), 0.0);
    drop(idle);
    eventually_eq("they are gone", &1.0, || daemon.connections());
    eventually("their descriptors, too", || match daemon.descriptors() {
        now if now <= descriptors + 8 => Ok(()),
        now => Err(now),
    });
    ask();
}
