//! Many subscribers at once: each is told exactly what happened in its session, in order.

use std::thread;

use serde_json::json;

use crate::support::stream::{Stream, sse};
use crate::support::{Daemon, Tenant, eventually_eq};

const SESSIONS: usize = 20;
const OF_EACH: usize = 10;
const EVENTS: usize = 1000;
const WRITERS: usize = 4;

fn title(tenant: &Tenant, event: usize) -> String {
    format!("{} {} {event}", tenant.chitty_id, tenant.session_id)
}

#[test]
fn two_hundred_subscribers_of_twenty_sessions_are_told_a_thousand_events() {
    let daemon = Daemon::builder().start();
    // Each session name is there for both tenants.
    let key = |session: usize| {
        Tenant::with(&daemon, ["alice", "bob"][session % 2], &["--session", &format!("s{}", session / 2)])
    };
    let tenants: Vec<Tenant> = (0..SESSIONS).map(key).collect();
    let before = daemon.resident_kib();
    let mut streams: Vec<(usize, Stream)> = (0..SESSIONS * OF_EACH)
        .map(|number| (number % SESSIONS, Stream::open(&daemon, &tenants[number % SESSIONS], "")))
        .collect();
    let each = (daemon.resident_kib().saturating_sub(before)) / (SESSIONS * OF_EACH) as u64;
    let _stalled = Stream::begin(&daemon, &sse(&tenants[0], ""));
    eventually_eq("all are open", &u16::try_from(streams.len() + 1).map(f64::from).ok(), || {
        daemon.metric("chittyconnect_sse_connections")
    });
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (daemon, tenants) = (&daemon, &tenants);
            scope.spawn(move || {
                let mut client = daemon.connect();
                for event in (writer..EVENTS).step_by(WRITERS) {
                    let tenant = &tenants[event % SESSIONS];
                    let answer = client.ask(&tenant.create(&json!({"title": title(tenant, event)})));
                    assert_eq!(answer.status(), 200, "{}", answer.text());
                }
            });
        }
    });
    let mut told: Vec<Option<Vec<(u64, String)>>> = vec![None; SESSIONS];
    for (session, stream) in &mut streams {
        let tenant = &tenants[*session];
        let own: Vec<(u64, String)> = (0..EVENTS / SESSIONS)
            .map(|_| {
                let message = stream.event();
                assert_eq!((message.name(), &message.data["sessionId"]), ("task.created", &json!(tenant.session_id)));
                (message.id.unwrap(), message.data["title"].as_str().unwrap().to_owned())
            })
            .collect();
        assert!(own.is_sorted_by(|a, b| a.0 < b.0), "in order");
        let mut titles: Vec<_> = own.iter().map(|(_, title)| title.clone()).collect();
        let mut expected: Vec<_> = (*session..EVENTS).step_by(SESSIONS).map(|event| title(tenant, event)).collect();
        titles.sort();
        expected.sort();
        assert_eq!(titles, expected);
        let same = told[*session].get_or_insert_with(|| own.clone());
        assert_eq!(*same, own, "every subscriber of a session is told the same");
    }
    // Debug builds take more than release builds do; the bound is theirs.
    assert!(each <= 96, "{each} KiB a subscriber");
}
