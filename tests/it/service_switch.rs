//! `service enable` and `service disable`: at run time, over a restart and a reload, and while no daemon runs.

use std::fs;
use std::process::Output;

use crate::support::{Ask, Daemon, Rows, Signal, Upstream};

const SERVICE: &str = "svc.chitty.test";

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn done(daemon: &Daemon, arguments: &[&str]) -> String {
    let output = daemon.command(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    text(&output)
}

#[test]
fn a_service_is_switched_off_and_on_and_stays_so_over_reload_and_restart() {
    let upstream = Upstream::start();
    let builder = Daemon::builder().service(upstream.service("svc")).service(upstream.service("other"));
    let daemon = builder.clone().start();
    assert_eq!(daemon.get(SERVICE, "/x").fate(), "-> /x");
    let said = done(&daemon, &["service", "disable", "svc", "--reason", "being moved"]);
    assert!(said.contains("svc is disabled: being moved"), "{said}");
    let refused = daemon.get(SERVICE, "/x");
    assert_eq!((refused.status(), refused.problem().as_str()), (503, "service_disabled"));
    assert!(refused.text().contains("being moved"), "{}", refused.text());
    assert_eq!(daemon.get("other.chitty.test", "/x").fate(), "-> /x", "others are not touched");
    daemon.reload(&builder.clone().service(upstream.service("third")));
    let mut rows = Rows::new();
    crate::support::eventually_eq("the reload is in force", &"-> /x".to_owned(), || {
        daemon.get("third.chitty.test", "/x").fate()
    });
    rows.eq("after a reload", &503, &daemon.get(SERVICE, "/x").status());
    let daemon = daemon.restart();
    rows.eq("after a restart", &503, &daemon.get(SERVICE, "/x").status());
    let explained = done(&daemon, &["explain", "http://svc.chitty.test/x"]);
    rows.holds("explain says why", explained.contains("being moved"), &explained);
    done(&daemon, &["service", "enable", "svc"]);
    rows.eq("enabled", &"-> /x".to_owned(), &daemon.get(SERVICE, "/x").fate());
    let daemon = daemon.restart();
    rows.eq("after another restart", &"-> /x".to_owned(), &daemon.get(SERVICE, "/x").fate());
    rows.finish();
}

#[test]
fn what_the_file_switches_off_a_command_switches_on() {
    let upstream = Upstream::start();
    let service = format!("{{id: svc, endpoints: [\"{}\"], enabled: false, reason: closed}}", upstream.url());
    let daemon = Daemon::builder().service(service).start();
    assert_eq!(daemon.get(SERVICE, "/x").status(), 503);
    let said = done(&daemon, &["service", "enable", "svc"]);
    assert!(said.contains("its source says that it is not"), "{said}");
    assert_eq!(daemon.get(SERVICE, "/x").fate(), "-> /x");
    let daemon = daemon.restart();
    assert_eq!(daemon.get(SERVICE, "/x").fate(), "-> /x");
    let json = done(&daemon, &["service", "disable", "svc", "--format", "json"]);
    assert!(json.contains("\"enabled\": false"), "{json}");
    assert_eq!(daemon.get(SERVICE, "/x").status(), 503);
}

#[test]
fn without_a_daemon_the_switch_waits_for_the_next_start() {
    let upstream = Upstream::start();
    let mut daemon = Daemon::builder().service(upstream.service("svc")).start();
    daemon.signal(Signal::SIGTERM);
    daemon.wait_for_exit();
    let said = done(&daemon, &["service", "disable", "svc", "--reason", "later"]);
    assert!(said.contains("no daemon answers") && said.contains("next start"), "{said}");
    let daemon = daemon.start_again();
    assert_eq!(daemon.get(SERVICE, "/x").status(), 503);
}

#[test]
fn what_cannot_be_switched_is_refused_and_changes_nothing() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder().service(upstream.service("svc")).start();
    let mut rows = Rows::new();
    let long = "x".repeat(2000);
    for (arguments, word) in [
        (&["service", "disable", "nobody"][..], "accepted: an id of `routes`"),
        (&["service", "disable", "Not A Name"], "is not a service name"),
        (&["service", "disable", "svc", "--reason", "a\nb"], "a line of text"),
        (&["service", "disable", "svc", "--reason", &long], "a line of text"),
    ] {
        let output = daemon.command(arguments);
        rows.eq(arguments.join(" "), &Some(1), &output.status.code());
        rows.holds(arguments.join(" "), text(&output).contains(word), text(&output));
    }
    rows.eq("nothing changed", &200, &daemon.ask(&Ask::get(SERVICE, "/x")).status());
    rows.finish();
}

#[test]
fn a_file_of_switches_that_cannot_be_understood_stops_the_start() {
    let mut daemon = Daemon::builder().start();
    daemon.signal(Signal::SIGTERM);
    daemon.wait_for_exit();
    let place = daemon.into_place();
    let file = place.path().join("data/services.json");
    fs::write(&file, "{\"format\": \"another\"}").unwrap();
    let refused = place.try_start().expect_err("it must not start");
    let said = format!("{refused:?}");
    assert!(said.contains("services.json") && said.contains("switched off"), "{said}");
}
