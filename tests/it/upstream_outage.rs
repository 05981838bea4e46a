//! One of three nginx dies, stands still, or is restarted, and no client notices.

use std::time::Instant;

use crate::support::load::Load;
use crate::support::peer::peers_are_there;
use crate::support::store::long;
use crate::support::{Ask, Daemon, Nginx, Signal, eventually};

const SERVICE: &str = "svc.chitty.test";
const URL: &str = "http://svc.chitty.test/";
/// The retry budget's share.
const BUDGET: f64 = 0.2;
/// Requests a second: enough to be in the middle of something whenever something happens, and what an outage is tried
/// with where there is time.
const RATE: u32 = 300;
const LONG_RATE: u32 = 2000;

fn rate() -> u32 {
    if long() { LONG_RATE } else { RATE }
}

fn three() -> (Vec<Nginx>, Daemon) {
    let locations = "location / { return 200 served; } location = /health { return 200 well; }";
    let nginx: Vec<Nginx> = (0..3).map(|_| Nginx::start(locations)).collect();
    let endpoints = nginx.iter().map(|one| format!("\"{}\"", one.url())).collect::<Vec<_>>().join(", ");
    let daemon = Daemon::builder()
        .service(format!(
            "{{id: svc, endpoints: [{endpoints}], timeouts: {{read: 500ms}}, health: {{path: /health, interval: 500ms}}, \
             retry: {{on: [connect, reset, timeout], budget: {BUDGET}}}}}"
        ))
        .start();
    (nginx, daemon)
}

/// Waits until the endpoint in place `index` is left out, or not, and the others are not. Tells how long that took: a time
/// is to be read, and is no reason to fail on a busy machine.
#[track_caller]
#[allow(clippy::print_stderr, reason = "what was seen")]
fn is_out(daemon: &Daemon, index: usize, out: bool) {
    let begun = Instant::now();
    eventually(&format!("endpoint {index} is left out: {out}, and no other"), || {
        let states = daemon.endpoint_states(URL);
        let fits = states.iter().enumerate().all(|(at, state)| (state == "serving") != (out && at == index));
        if fits && states.len() == 3 { Ok(()) } else { Err(states) }
    });
    eprintln!("{} after {:?}", if out { "left out" } else { "back" }, begun.elapsed());
}

/// No more retries than the budget allows, at any time.
#[track_caller]
fn within_budget(daemon: &Daemon) -> f64 {
    let retries = daemon.metric_sum("chittyconnect_upstream_retries_total", &["service=\"svc\""]);
    let requests = daemon.metric_sum("chittyconnect_http_requests_total", &["service=\"svc\""]);
    let refused = daemon.metric_sum("chittyconnect_upstream_retries_refused_total", &["service=\"svc\""]);
    assert!(retries <= BUDGET * requests + 3.0, "{retries} retries for {requests} requests");
    assert_eq!(refused, 0.0, "the budget has room for the failures of one endpoint of three");
    retries
}

/// Under load: does `harm` to the second, waits until it is left out, does `mend` to it, waits until it serves again.
fn outage(harm: impl Fn(&Nginx), is_noticed: bool, mend: impl Fn(&mut Nginx)) {
    let (mut nginx, daemon) = three();
    let load = Load::start(daemon.port, &Ask::get(SERVICE, "/"), rate());
    load.go_on(10);
    harm(&nginx[1]);
    if is_noticed {
        is_out(&daemon, 1, true);
        within_budget(&daemon);
        load.go_on(10);
    }
    mend(&mut nginx[1]);
    is_out(&daemon, 1, false);
    let back = format!("chittyconnect_endpoint_up{{endpoint=\"{}\",service=\"svc\"}}", nginx[1].url());
    eventually("its gauge says that it is well", || match daemon.metric(&back) {
        Some(1.0) => Ok(()),
        seen => Err(seen),
    });
    load.go_on(20);
    let (answered, failed) = load.finish();
    assert!(failed.is_empty(), "{} of {} failed: {:?}", failed.len(), answered, &failed[..failed.len().min(5)]);
    within_budget(&daemon);
    assert_eq!(daemon.metric("chittyconnect_http_requests_in_flight{kind=\"host\"}"), Some(0.0));
    assert_eq!(daemon.explained(URL)["in_flight"][0], 0, "every request has been given back");
}

#[test]
fn not_one_get_fails_while_an_endpoint_is_killed_and_comes_back() {
    if peers_are_there() {
        outage(|nginx| nginx.signal_all(Signal::SIGKILL), true, Nginx::start_again);
    }
}

#[test]
fn not_one_get_fails_while_an_endpoint_stands_still_and_goes_on() {
    if peers_are_there() {
        outage(|nginx| nginx.signal_all(Signal::SIGSTOP), true, |nginx| nginx.signal_all(Signal::SIGCONT));
    }
}

#[test]
fn not_one_get_fails_while_an_endpoint_is_restarted() {
    if peers_are_there() {
        // Whether it is away for long enough to be left out is of no matter.
        outage(|nginx| nginx.signal(Signal::SIGQUIT), false, Nginx::start_again);
    }
}
