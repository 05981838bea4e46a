//! slowhttptest in its three modes, and an honest client beside it. `tests/run.sh` installs it.
//!
//! It speaks to the address, which is a gateway host, so services are reached by their prefix.

use std::process::{Child, Command, Stdio};

use crate::support::peer::peers_are_there;
use crate::support::{Ask, Client, Daemon, Upstream, eventually, eventually_eq};

const SERVICE: &str = "svc.chitty.test";
/// Descriptors that a pool of connections to services may have won meanwhile.
const POOLED: usize = 16;

/// Some hundred connections for some seconds, with these arguments more.
fn attack(daemon: &Daemon, path: &str, mode: &[&str]) -> Child {
    let url = format!("http://127.0.0.1:{}{path}", daemon.port);
    Command::new("slowhttptest")
        .args(["-c", "400", "-r", "200", "-l", "10", "-i", "1", "-p", "3", "-v", "0", "-u", &url])
        .args(mode)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap_or_else(|e| panic!("slowhttptest: {e}; tests/run.sh installs it"))
}

/// Asks on one connection and on new ones for as long as the attack goes on; the most connections that were seen.
fn serve_during(daemon: &Daemon, mut attack: Child) -> f64 {
    let mut kept = daemon.connect();
    let (mut asked, mut most) = (0, 0.0_f64);
    while attack.try_wait().unwrap().is_none() {
        assert_eq!(kept.ask(&Ask::get(SERVICE, "/honest")).fate(), "-> /honest", "request {asked}");
        // From another address: what one client may have is not what another loses.
        let mut new = Client::try_connect_from([127, 0, 0, 2].into(), daemon.port).unwrap();
        assert_eq!(new.ask(&Ask::get(SERVICE, "/new")).fate(), "-> /new", "request {asked}");
        asked += 1;
        if asked % 16 == 0 {
            most = most.max(daemon.connections());
        }
    }
    assert!(asked > 0);
    most
}

fn holds_out(limits: &str, path: &str, mode: &[&str]) {
    if !peers_are_there() {
        return;
    }
    let upstream = Upstream::start();
    let daemon = Daemon::builder().set("limits", limits).service(upstream.service("svc")).start();
    assert_eq!(daemon.get(SERVICE, "/before").fate(), "-> /before");
    eventually_eq("it is at rest", &0.0, || daemon.connections());
    let before = daemon.descriptors();
    let attack = attack(&daemon, path, mode);
    let most = serve_during(&daemon, attack);
    assert!(most > 256.0, "no attack: {most} connections at most");
    eventually_eq("no connection is left", &0.0, || daemon.connections());
    eventually("the descriptors are what they were", || match daemon.descriptors() {
        now if now <= before + POOLED => Ok(()),
        now => Err((before, now)),
    });
    assert_eq!(daemon.get(SERVICE, "/after").fate(), "-> /after");
}

const LET_IN: &str = "{connections_per_client: 1000}";

#[test]
fn slow_headers_hold_up_nobody() {
    holds_out(LET_IN, "/svc/api/x", &["-H"]);
}

#[test]
fn slow_headers_that_are_cut_hold_up_nobody() {
    holds_out("{connections_per_client: 1000, header_timeout: 3s}", "/svc/api/x", &["-H"]);
}

#[test]
fn slow_bodies_hold_up_nobody() {
    holds_out(LET_IN, "/svc/api/upload/slow", &["-B", "-s", "100000", "-x", "8"]);
}

#[test]
fn slow_readers_hold_up_nobody() {
    holds_out(LET_IN, "/svc/api/big/1000000", &["-X", "-w", "16", "-y", "64", "-n", "2", "-z", "16", "-k", "3"]);
}

#[test]
fn one_address_gets_no_more_than_its_share() {
    if !peers_are_there() {
        return;
    }
    let upstream = Upstream::start();
    let daemon = Daemon::builder().service(upstream.service("svc")).start();
    let attack = attack(&daemon, "/svc/api/x", &["-H"]);
    let most = serve_during(&daemon, attack);
    assert!(most <= 256.0 + 1.0, "{most} connections at most");
    assert!(daemon.limit_reached("connections_per_client") > 0.0);
    eventually_eq("no connection is left", &0.0, || daemon.connections());
}
