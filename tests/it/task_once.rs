//! `Idempotency-Key`: a request that is sent again is answered again and done once.

use std::thread;

use serde_json::{Value, json};

use crate::support::task::{NO_SUCH_TASK, TASKS};
use crate::support::{Answer, Ask, Daemon, Rows, Signal, Tenant};

const REUSED: &str = "422 idempotency_key_reused";

fn once(ask: Ask, key: &str) -> Ask {
    ask.header("Idempotency-Key", key)
}

/// What makes two answers the same.
fn essence(answer: &Answer) -> (u16, Option<String>, String) {
    (answer.status(), answer.header("etag").map(str::to_owned), answer.text())
}

#[test]
fn a_task_that_is_sent_twice_is_made_once() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let ask = once(alice.create(&json!({"title": "once", "metadata": [1]})), "k-1");
    let first = daemon.ask(&ask);
    assert_eq!(first.status(), 200, "{}", first.text());
    for _ in 0..3 {
        assert_eq!(essence(&daemon.ask(&ask)), essence(&first));
    }
    assert_eq!(alice.page(&daemon, "")["count"], 1);
    let other = daemon.ask(&once(alice.create(&json!({"title": "once", "metadata": [1]})), "k-2"));
    assert_ne!(other.json()["task_id"], first.json()["task_id"], "another key is another task");
    alice.titled(&daemon, "once");
    assert_eq!(alice.page(&daemon, "")["count"], 3, "and so is none");

    // What became of the task meanwhile does not change what was answered, and the answer brings nothing back.
    let id = first.json()["task_id"].as_str().unwrap().to_owned();
    alice.patched(&daemon, &id, &json!({"title": "changed"}));
    assert_eq!(essence(&daemon.ask(&ask)), essence(&first));
    assert_eq!(alice.task(&daemon, &id)["title"], "changed");
    assert_eq!(daemon.ask(&alice.delete(&id)).status(), 200);
    assert_eq!(essence(&daemon.ask(&ask)), essence(&first));
    assert_eq!(daemon.ask(&alice.get(&id)).fate(), "404 task_not_found");
    assert_eq!(alice.page(&daemon, "")["count"], 2);
}

#[test]
fn a_patch_that_is_sent_twice_is_made_once() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let id = alice.titled(&daemon, "0");
    let ask = once(alice.patch(&id, &json!({"title": "1", "status": "in_progress"})), "patch");
    let first = daemon.ask(&ask);
    assert_eq!(first.status(), 200, "{}", first.text());
    assert_eq!(essence(&daemon.ask(&ask)), essence(&first));
    alice.patched(&daemon, &id, &json!({"title": "2", "status": "completed"}));
    let before = (alice.task(&daemon, &id), alice.tag(&daemon, &id));
    assert_eq!(essence(&daemon.ask(&ask)), essence(&first), "though it would be an illegal transition now");
    assert_eq!((alice.task(&daemon, &id), alice.tag(&daemon, &id)), before, "nothing is done again");
}

#[test]
fn a_key_belongs_to_one_request() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let (id, other) = (alice.titled(&daemon, "a"), alice.titled(&daemon, "b"));
    let made = once(alice.create(&json!({"title": "made"})), "post");
    let changed = once(alice.patch(&id, &json!({"title": "changed"})), "patch");
    let (made_first, changed_first) = (daemon.ask(&made), daemon.ask(&changed));
    assert_eq!((made_first.status(), changed_first.status()), (200, 200));
    let mut rows = Rows::new();
    for (what, ask) in [
        ("POST, another body", once(alice.create(&json!({"title": "other"})), "post")),
        ("POST, one field more", once(alice.create(&json!({"title": "made", "priority": "low"})), "post")),
        ("PATCH, another body", once(alice.patch(&id, &json!({"title": "other"})), "patch")),
        ("PATCH, another task", once(alice.patch(&other, &json!({"title": "changed"})), "patch")),
        ("PATCH with the key of a POST", once(alice.patch(&id, &json!({"title": "made"})), "post")),
        ("POST with the key of a PATCH", once(alice.create(&json!({"title": "changed"})), "patch")),
    ] {
        let answer = daemon.ask(&ask);
        rows.eq(what, &REUSED.to_owned(), &answer.fate());
    }
    rows.finish();
    assert_eq!(alice.sorted_titles(&daemon, ""), ["b", "changed", "made"], "nothing of them was done");
    assert_eq!(essence(&daemon.ask(&made)), essence(&made_first), "the keys still stand for what they stood for");
    assert_eq!(essence(&daemon.ask(&changed)), essence(&changed_first));
}

#[test]
fn a_request_that_failed_leaves_its_key_free() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let id = alice.titled(&daemon, "a");
    let ended = alice.titled(&daemon, "ended");
    alice.patched(&daemon, &ended, &json!({"status": "completed"}));
    let mut rows = Rows::new();
    for (key, failing, fate) in [
        ("bad-1", alice.create(&"{"), "400 creation_failed"),
        ("bad-2", alice.create(&"{}"), "400 title required"),
        ("bad-3", alice.patch(&id, &json!({"priority": "bogus"})), "400 update_failed"),
        ("bad-4", alice.patch(&id, &"{}"), "400 no valid fields to update"),
        ("bad-5", alice.patch(NO_SUCH_TASK, &json!({"title": "x"})), "404 task_not_found"),
        ("bad-6", alice.patch(&ended, &json!({"status": "pending"})), "409 invalid_transition"),
        ("bad-7", alice.patch(&id, &json!({"title": "x"})).header("If-Match", "\"no\""), "412 precondition_failed"),
    ] {
        rows.eq(key, &fate.to_owned(), &daemon.ask(&once(failing, key)).fate());
        let good = daemon.ask(&once(alice.create(&json!({"title": key})), key));
        rows.eq(format!("{key}, then right"), &200, &good.status());
    }
    rows.finish();
    assert_eq!(alice.page(&daemon, "")["count"], 9);
}

#[test]
fn a_key_is_1_to_255_visible_characters() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let id = alice.titled(&daemon, "a");
    let (longest, too_long) = ("k".repeat(255), "k".repeat(256));
    let mut rows = Rows::new();
    for (key, status) in [
        ("k", 200),
        ("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", 200),
        (&longest, 200),
        ("", 400),
        ("a b", 400),
        ("a\tb", 400),
        ("schlüssel", 400),
        (&too_long, 400),
    ] {
        let what = key.chars().take(40).collect::<String>();
        let post = daemon.ask(&once(alice.create(&json!({"title": "t"})), key));
        rows.eq(format!("POST {what:?}"), &status, &post.status());
        let key = if status == 200 { format!("~{}", &key[1..]) } else { key.to_owned() };
        let patch = daemon.ask(&once(alice.patch(&id, &json!({"title": "b"})), &key));
        rows.eq(format!("PATCH {what:?}"), &status, &patch.status());
    }
    rows.finish();
    assert_eq!(alice.page(&daemon, "")["count"], 4, "nothing was made without a right key");
}

#[test]
fn keys_of_one_caller_are_not_those_of_another() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let bob = Tenant::new(&daemon, "bob");
    let second = Tenant::with(&daemon, "alice", &["--session", &alice.session_id]);
    let mut ids = Vec::new();
    for tenant in [&alice, &bob, &second] {
        let answer = daemon.ask(&once(tenant.create(&json!({"title": "same"})), "same"));
        assert_eq!(answer.status(), 200, "{}", answer.text());
        ids.push(answer.json()["task_id"].to_string());
    }
    // Another body would give a shared key away.
    let answer = daemon.ask(&once(bob.create(&json!({"title": "different"})), "different"));
    assert_eq!(answer.status(), 200);
    let answer = daemon.ask(&once(alice.create(&json!({"title": "unlike bob's"})), "different"));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3, "{ids:?}");
    assert_eq!(bob.sorted_titles(&daemon, ""), ["different", "same"]);
    assert_eq!(alice.sorted_titles(&daemon, ""), ["same", "same", "unlike bob's"]);
}

#[test]
fn a_restart_and_a_kill_forget_no_answer() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let creation = once(alice.create(&json!({"title": "once"})), "make");
    let made = daemon.ask(&creation);
    let id = made.json()["task_id"].as_str().unwrap().to_owned();
    let edit = once(alice.patch(&id, &json!({"status": "completed", "result": 42})), "change");
    let changed = daemon.ask(&edit);
    assert_eq!((made.status(), changed.status()), (200, 200));

    let mut daemon = daemon.restart();
    assert_eq!(essence(&daemon.ask(&creation)), essence(&made));
    assert_eq!(essence(&daemon.ask(&edit)), essence(&changed));
    let late = once(alice.create(&json!({"title": "late"})), "late");
    let made_late = daemon.ask(&late);

    daemon.signal(Signal::SIGKILL);
    daemon.wait_for_exit();
    let daemon = daemon.start_again();
    for (ask, first) in [(&creation, &made), (&edit, &changed), (&late, &made_late)] {
        assert_eq!(essence(&daemon.ask(ask)), essence(first));
    }
    assert_eq!(daemon.ask(&once(alice.create(&json!({"title": "other"})), "late")).fate(), REUSED);
    assert_eq!(alice.sorted_titles(&daemon, ""), ["late", "once"]);
}

#[test]
fn the_same_request_from_many_connections_is_done_once() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    for round in 0..5 {
        let body = json!({"title": format!("round {round}")});
        let ask = once(alice.ask("POST", TASKS).body(body.to_string()), &format!("round-{round}"));
        let mut answers: Vec<_> = thread::scope(|scope| {
            let senders: Vec<_> = (0..8).map(|_| scope.spawn(|| essence(&daemon.ask(&ask)))).collect();
            senders.into_iter().map(|sender| sender.join().unwrap()).collect()
        });
        answers.dedup();
        assert_eq!(answers.len(), 1, "{answers:?}");
        assert_eq!(answers[0].0, 200, "{answers:?}");
    }
    let page: Value = alice.page(&daemon, "");
    assert_eq!(page["count"], 5, "{page}");
}
