//! `ETag`, `If-None-Match` and `If-Match` of a task, and writers that meet.

use std::thread;

use serde_json::json;

use crate::support::task::{NO_SUCH_TASK, tag};
use crate::support::{Daemon, Rows, Tenant};

const STALE: &str = "412 precondition_failed";

#[test]
fn a_tag_stands_for_one_state_of_one_task() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let made = daemon.ask(&alice.create(&json!({"title": "a"})));
    let id = made.json()["task_id"].as_str().unwrap().to_owned();
    let mut tags = vec![tag(&made)];
    assert_eq!(alice.tag(&daemon, &id), tags[0]);
    for title in ["b", "a", "b"] {
        let answer = daemon.ask(&alice.patch(&id, &json!({"title": title})));
        assert_eq!(alice.tag(&daemon, &id), tag(&answer), "{title}");
        tags.push(tag(&answer));
    }
    let count = tags.len();
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), count, "a tag came back: {tags:?}");
}

#[test]
fn what_has_not_changed_is_a_304() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let id = alice.titled(&daemon, "a");
    let old = alice.tag(&daemon, &id);
    alice.patched(&daemon, &id, &json!({"title": "b"}));
    let now = alice.tag(&daemon, &id);
    let mut rows = Rows::new();
    for (condition, status) in [
        (now.clone(), 304),
        (format!("W/{now}"), 304),
        (format!("{old}, {now}"), 304),
        ("*".to_owned(), 304),
        (old.clone(), 200),
        (format!("W/{old}"), 200),
        ("\"other\"".to_owned(), 200),
    ] {
        let answer = daemon.ask(&alice.get(&id).header("If-None-Match", &condition));
        rows.eq(&condition, &status, &answer.status());
        rows.eq(format!("{condition}: ETag"), &Some(now.as_str()), &answer.header("etag"));
        rows.eq(format!("{condition}: Cache-Control"), &Some("no-store"), &answer.header("cache-control"));
        rows.eq(format!("{condition}: body"), &(status == 200), &!answer.body.is_empty());
    }
    rows.finish();
    assert_eq!(daemon.ask(&alice.get(NO_SUCH_TASK).header("If-None-Match", "*")).fate(), "404 task_not_found");
}

#[test]
fn a_patch_is_made_only_on_the_state_it_was_meant_for() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let id = alice.titled(&daemon, "0");
    let old = alice.tag(&daemon, &id);
    alice.patched(&daemon, &id, &json!({"title": "1"}));
    let mut rows = Rows::new();
    for (n, (condition, fate)) in [
        ("NOW", "200 local"),
        ("*", "200 local"),
        ("\"other\", NOW", "200 local"),
        ("OLD, NOW, \"third\"", "200 local"),
        ("OLD", STALE),
        ("\"other\"", STALE),
        ("OLD, \"other\"", STALE),
        ("W/NOW", STALE),
        ("W/NOW, OLD", STALE),
        ("NOW", "200 local"),
    ]
    .into_iter()
    .enumerate()
    {
        let before = (alice.task(&daemon, &id), alice.tag(&daemon, &id));
        let title = format!("title of row {n}");
        let sent = condition.replace("NOW", &before.1).replace("OLD", &old);
        let answer = daemon.ask(&alice.patch(&id, &json!({"title": title})).header("If-Match", &sent));
        rows.eq(condition, &fate.to_owned(), &answer.fate());
        let after = (alice.task(&daemon, &id), alice.tag(&daemon, &id));
        if fate == STALE {
            rows.eq(format!("{condition}: nothing is applied"), &before, &after);
        } else {
            rows.eq(format!("{condition}: title"), &json!(title), &after.0["title"]);
            rows.eq(format!("{condition}: ETag"), &after.1, &tag(&answer));
        }
    }
    rows.finish();
}

#[test]
fn a_delete_is_made_only_on_the_state_it_was_meant_for() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let mut rows = Rows::new();
    for (condition, fate) in [
        ("OLD", STALE),
        ("\"other\"", STALE),
        ("W/NOW", STALE),
        ("NOW", "200 local"),
        ("*", "200 local"),
        ("OLD, NOW", "200 local"),
    ] {
        let id = alice.titled(&daemon, "a");
        let old = alice.tag(&daemon, &id);
        alice.patched(&daemon, &id, &json!({"title": "b"}));
        let sent = condition.replace("NOW", &alice.tag(&daemon, &id)).replace("OLD", &old);
        rows.eq(condition, &fate.to_owned(), &daemon.ask(&alice.delete(&id).header("If-Match", &sent)).fate());
        let then = if fate == STALE { 200 } else { 404 };
        rows.eq(format!("{condition}: then"), &then, &daemon.ask(&alice.get(&id)).status());
    }
    rows.finish();
}

/// What each of eight writers at once gets for its own request, sorted.
fn fates(daemon: &Daemon, asks: &[crate::support::Ask; 8]) -> Vec<String> {
    let mut fates: Vec<String> = thread::scope(|scope| {
        let writers: Vec<_> = asks.iter().map(|ask| scope.spawn(|| daemon.ask(ask).fate())).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    fates.sort();
    fates
}

#[test]
fn of_writers_with_the_same_tag_one_wins() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let mut expected = vec!["200 local"];
    expected.extend([STALE; 7]);
    for round in 0..5 {
        let id = alice.titled(&daemon, "contested");
        let tag = alice.tag(&daemon, &id);
        let asks = std::array::from_fn(|n| {
            alice.patch(&id, &json!({"title": format!("writer {n}")})).header("If-Match", &tag)
        });
        assert_eq!(fates(&daemon, &asks), expected, "round {round}");
    }
}

#[test]
fn of_several_ends_at_once_one_is_the_end() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let ends = ["completed", "failed", "cancelled"];
    for round in 0..5 {
        let id = alice.titled(&daemon, "contested");
        let asks = std::array::from_fn(|n| {
            alice.patch(&id, &json!({"status": ends[n % 3], "result": ends[n % 3], "title": format!("writer {n}")}))
        });
        let fates = fates(&daemon, &asks);
        let made = fates.iter().filter(|fate| *fate == "200 local").count();
        // The same end again is no mistake; another one is.
        assert!((2..=3).contains(&made), "round {round}: {fates:?}");
        assert!(fates[made..].iter().all(|fate| fate == "409 invalid_transition"), "round {round}: {fates:?}");
        let task = alice.task(&daemon, &id);
        assert_eq!(task["status"], task["result"], "round {round}: half of one patch");
    }
}

#[test]
fn a_task_is_deleted_by_one_alone() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let id = alice.titled(&daemon, "contested");
    let mut expected = vec!["200 local"];
    expected.extend(["404 task_not_found"; 7]);
    assert_eq!(fates(&daemon, &std::array::from_fn(|_| alice.delete(&id))), expected);
}
