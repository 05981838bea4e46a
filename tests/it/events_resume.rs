//! Coming back to a stream: from the log, after restarts, after too long, after being too slow.

use std::collections::BTreeSet;

use chittyconnect::store::Durability;
use chittyconnect::store::kv::sled::SledKv;
use chittyconnect::store::kv::{Batch, Kv as _};
use serde_json::json;

use crate::support::stream::{Stream, sse};
use crate::support::{Daemon, Tenant};

#[test]
fn who_comes_back_has_missed_nothing() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let (first, greeting) = Stream::greeted(&daemon, &sse(&alice, ""));
    drop(first);
    for number in 1..=5 {
        alice.titled(&daemon, &number.to_string());
    }
    // Its position is one even if it has been told nothing but that.
    let connected = greeting.id.unwrap();
    let mut by_header = Stream::begin(&daemon, &sse(&alice, "").header("Last-Event-ID", &connected.to_string()));
    let greeting = by_header.next();
    assert_eq!((greeting.name(), greeting.id), ("connected", None), "its own position is the one that counts");
    let mut by_query = Stream::open(&daemon, &alice, "last_event_id=3");
    let mut by_both = Stream::greeted(&daemon, &sse(&alice, "last_event_id=1").header("Last-Event-ID", "4")).0;
    let mut not_at_all = Stream::open(&daemon, &alice, "");
    alice.titled(&daemon, "6");
    let from = |first: u64| (first..=6).map(|number| format!("{number} task.created")).collect::<Vec<_>>();
    assert_eq!(by_header.events(6), from(1));
    assert_eq!(by_query.events(3), from(4));
    assert_eq!(by_both.events(2), from(5));
    assert_eq!(not_at_all.events(1), from(6));
}

#[test]
fn a_long_log_is_told_whole_and_goes_on_live() {
    let daemon = Daemon::builder().set("events", "{queue: 1}").start();
    let alice = Tenant::new(&daemon, "alice");
    let other = Tenant::new(&daemon, "alice");
    let mut expected = Vec::new();
    for number in 0..300_u64 {
        let who = if number % 3 == 0 { &other } else { &alice };
        who.titled(&daemon, &number.to_string());
        if number % 3 != 0 {
            expected.push(format!("{} task.created", number + 1));
        }
    }
    let mut stream = Stream::open(&daemon, &alice, "last_event_id=0");
    alice.titled(&daemon, "live");
    expected.push("301 task.created".to_owned());
    assert_eq!(stream.events(expected.len()), expected);
}

#[test]
fn events_and_their_numbers_outlast_the_daemon() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    alice.titled(&daemon, "before");
    let daemon = daemon.restart();
    alice.titled(&daemon, "between");
    let daemon = daemon.killed().start();
    let mut stream = Stream::open(&daemon, &alice, "last_event_id=0");
    alice.titled(&daemon, "after");
    let titles: Vec<_> = (1..=3_u64)
        .map(|number| {
            let message = stream.event();
            assert_eq!(message.id, Some(number));
            message.data["title"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(titles, ["before", "between", "after"]);
}

#[test]
fn what_is_no_longer_kept_is_a_gap() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    for number in 1..=6 {
        alice.titled(&daemon, &number.to_string());
    }
    let place = daemon.into_place();
    cut_log(&place.path().join("data/engine"), 4);
    let daemon = place.start();
    let mut stream = Stream::open(&daemon, &alice, "last_event_id=1");
    let gap = stream.event();
    let expected = json!({"type": "gap", "sessionId": alice.session_id, "from": 2, "to": 4});
    assert_eq!((gap.id, gap.data), (Some(4), expected), "there is no use in asking for it again");
    assert_eq!(stream.events(2), ["5 task.created", "6 task.created"]);
    let mut stream = Stream::open(&daemon, &alice, "last_event_id=4");
    assert_eq!(stream.events(2), ["5 task.created", "6 task.created"]);
}

/// Notes that events up to `through` are gone. They stay where they are: nobody is told of them any more.
fn cut_log(engine: &std::path::Path, through: u8) {
    let kv = SledKv::open(engine, Durability::PowerLoss).unwrap();
    kv.apply(Batch::from([(b"mtrimmed".to_vec(), Some(vec![2, through]))])).unwrap();
    kv.sync().unwrap();
}

#[test]
fn a_position_that_the_log_does_not_have_yet_is_told_and_means_from_now_on() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    alice.titled(&daemon, "1");
    let mut stream = Stream::open(&daemon, &alice, "last_event_id=1000");
    alice.titled(&daemon, "2");
    let gap = stream.event();
    let expected = json!({"type": "gap", "sessionId": alice.session_id, "from": 0, "to": 1});
    assert_eq!((gap.id, gap.data), (Some(1), expected));
    assert_eq!(stream.events(1), ["2 task.created"]);
}

#[test]
fn who_does_not_read_is_told_what_it_missed_and_holds_up_nobody() {
    let daemon = Daemon::builder().set("events", "{queue: 2}").start();
    let alice = Tenant::new(&daemon, "alice");
    let id = alice.titled(&daemon, "t");
    let mut quick = Stream::open(&daemon, &alice, "");
    let mut stalled = Stream::begin(&daemon, &sse(&alice, ""));
    // More than the buffers of two sockets hold.
    let last = 200_u64;
    for number in 2..=last {
        alice.patched(&daemon, &id, &json!({"description": format!("{number} {}", "x".repeat(60_000))}));
        assert_eq!(quick.event().id, Some(number), "the quick one is told at once");
    }
    assert_eq!(stalled.next().name(), "connected");
    let (mut told, mut missed, mut before) = (BTreeSet::new(), BTreeSet::new(), 1);
    while before < last {
        let message = stalled.event();
        if message.name() == "gap" {
            let [from, to] = ["from", "to"].map(|end| message.data[end].as_u64().unwrap());
            assert_eq!((message.id, from), (None, before + 1), "{message:?}");
            assert!(missed.is_empty(), "it reads on by now: {message:?} after {missed:?}");
            missed.extend(from..=to);
            before = to;
        } else {
            assert_eq!(message.id, Some(before + 1), "{}", message.name());
            told.insert(before + 1);
            before += 1;
        }
    }
    assert!(!told.is_empty() && !missed.is_empty(), "{} told, {} missed", told.len(), missed.len());
    let first = missed.first().unwrap();
    let mut again = Stream::open(&daemon, &alice, &format!("last_event_id={}", first - 1));
    for number in &missed {
        assert_eq!(again.event().id, Some(*number), "what was missed can be had");
    }
}
