//! How streams end: with the daemon, with the key.

use crate::support::stream::{Stream, sse};
use crate::support::{CONNECT, Daemon, Ending, Signal, Tenant, eventually, eventually_eq};

#[test]
fn a_stop_tells_every_stream_and_waits_for_none() {
    // If it waited, the end would come with the grace period, long after the test's patience.
    let builder = Daemon::builder().set("server", "{threads: 2, grace_period: 10m}");
    let mut daemon = builder.start();
    let alice = Tenant::new(&daemon, "alice");
    let streams: Vec<_> =
        ["", "sessionId=other", "types=task.deleted"].map(|query| Stream::open(&daemon, &alice, query)).into();
    let id = alice.titled(&daemon, "t");
    // One that reads nothing, and for which more is waiting than its sockets hold.
    let _stalled = Stream::begin(&daemon, &sse(&alice, ""));
    for number in 0..150 {
        alice.patched(&daemon, &id, &serde_json::json!({"description": format!("{number}{}", "x".repeat(60_000))}));
    }
    daemon.signal(Signal::SIGTERM);
    for stream in streams {
        let (closing, ending) = stream.last();
        assert_eq!((closing.name(), closing.id, ending), ("closing", None, Ending::Whole), "{closing:?}");
        assert_eq!(closing.data["reason"], "shutdown");
    }
    assert_eq!(daemon.wait_for_exit().code(), Some(0));
}

#[test]
fn a_key_that_is_revoked_ends_its_streams_and_no_others() {
    let daemon = Daemon::builder().set("events", "{heartbeat: 1s}").start();
    let [revoked, kept] = [(); 2].map(|()| Tenant::with(&daemon, "alice", &["--session", "s"]));
    let ended = Stream::open(&daemon, &revoked, "");
    let mut goes_on = Stream::open(&daemon, &kept, "");
    assert!(daemon.command(&["keys", "revoke", &revoked.key_id]).status.success());
    let (closing, ending) = ended.last();
    assert_eq!((closing.name(), ending), ("closing", Ending::Whole), "{closing:?}");
    assert_eq!(closing.data["reason"], "unauthorized");
    assert_eq!(closing.data["message"], "this API key has been switched off");
    kept.titled(&daemon, "t");
    assert_eq!(goes_on.events(1), ["1 task.created"]);
    eventually_eq("one is left", &Some(1.0), || daemon.metric("chittyconnect_sse_connections"));
}

#[test]
fn a_key_that_expires_ends_its_streams_however_busy_they_are() {
    let daemon = Daemon::builder().set("events", "{heartbeat: 1s}").start();
    let short = Tenant::with(&daemon, "alice", &["--session", "s", "--expires", "3s"]);
    let other = Tenant::with(&daemon, "alice", &["--session", "s"]);
    let mut stream = Stream::open(&daemon, &short, "");
    let closing = eventually("the stream ends", || {
        other.titled(&daemon, "never a pause");
        let message = stream.event();
        if message.name() == "closing" { Ok(message) } else { Err(message) }
    });
    assert_eq!(closing.data["reason"], "unauthorized");
    let message = closing.data["message"].as_str().unwrap();
    assert!(message.starts_with("this API key expired at "), "{message}");
}

#[test]
fn a_stream_is_one_line_of_the_access_log_without_its_query() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    drop(Stream::open(&daemon, &alice, "sessionId=secret"));
    let line = daemon.access_line("of the stream", |line| line["path"] == "/sse");
    assert_eq!((&line["status"], &line["host"], &line["kind"]), (&200.into(), &CONNECT.into(), &"local".into()));
    assert!(!line.to_string().contains("secret"), "{line}");
}
