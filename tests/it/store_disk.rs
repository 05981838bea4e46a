//! A disk that is full or fails: changes are refused and say so, everything else goes on, and nothing but a disk that
//! works again is needed.

use std::collections::BTreeSet;

use chittyconnect::store::Engine;
use serde_json::json;

use crate::support::daemon::Builder;
use crate::support::store::{self, has_copies, on_each_engine};
use crate::support::{Answer, CONNECT, Daemon, Rows, Signal, SmallDisk, Tenant, Upstream, eventually};

/// What the store leaves free, in MiB.
fn stays_free(engine: Engine) -> u64 {
    match engine {
        Engine::Sled => 64,
        Engine::Fjall => 160,
    }
}

/// A disk with room for 96 MiB of store, about.
fn disk_for(engine: Engine) -> Option<SmallDisk> {
    SmallDisk::mount(stays_free(engine) + 96)
}

/// Less than what any store leaves free, in MiB.
const TOO_LITTLE: u64 = 40;

/// A daemon whose store is on this disk.
fn on(engine: Engine, disk: &SmallDisk, upstream: &Upstream) -> Builder {
    let store = format!("{{path: \"{}/data\", engine: {}}}", disk.inside().display(), engine.name());
    Daemon::builder().set("store", &store).service(upstream.service("svc")).under(&disk.enter())
}

/// What is asked while there is no room, and how it goes.
fn while_full(rows: &mut Rows, when: &str, daemon: &Daemon, alice: &Tenant) {
    let post = daemon.ask(&alice.create(&json!({"title": "no"})));
    rows.eq(format!("{when}: POST"), &503, &post.status());
    rows.holds(format!("{when}: Retry-After"), post.header("retry-after").is_some(), &post.head);
    // Without an engine nobody's key is known.
    let problem = ["store_unavailable", "Auth backend unavailable"].contains(&post.problem().as_str());
    rows.holds(format!("{when}: problem"), problem, post.text());
    rows.eq(format!("{when}: a proxied request"), &"-> /x".to_owned(), &daemon.get("svc.chitty.test", "/x").fate());
    let ready = daemon.admin("/readyz");
    rows.eq(format!("{when}: /readyz"), &503, &ready.status());
    let about_the_store = |answer: &Answer| {
        let lines = answer.json()["degraded"].as_array().cloned().unwrap_or_default();
        lines.iter().any(|line| line.as_str().is_some_and(|line| line.starts_with("store:")))
    };
    rows.holds(format!("{when}: /readyz names the store"), about_the_store(&ready), ready.text());
    let health = daemon.get(CONNECT, "/health");
    rows.eq(format!("{when}: /health"), &(200, json!("ok")), &(health.status(), health.json()["status"].clone()));
    rows.holds(format!("{when}: /health names the store"), about_the_store(&health), health.text());
}

/// Waits until the daemon has found that there is room again.
#[track_caller]
fn takes_changes_again(daemon: &Daemon, alice: &Tenant) -> String {
    let answer = eventually("a task is taken", || {
        let answer = daemon.ask(&alice.create(&json!({"title": "afterwards"})));
        if answer.status() == 200 { Ok(answer) } else { Err(answer.fate()) }
    });
    eventually("/readyz is 200", || {
        let ready = daemon.admin("/readyz");
        if ready.status() == 200 { Ok(()) } else { Err(ready.text()) }
    });
    assert!(!daemon.get(CONNECT, "/health").text().contains("store:"), "nothing is degraded any more");
    answer.json()["task_id"].as_str().unwrap().to_owned()
}

fn a_full_disk_stops_changes_and_nothing_else_until_there_is_room(engine: Engine) {
    let Some(disk) = disk_for(engine) else { return };
    let upstream = Upstream::start();
    let daemon = on(engine, &disk, &upstream).start();
    let alice = Tenant::new(&daemon, "alice");
    let parent = alice.titled(&daemon, "parent");
    let child = alice.made(&daemon, &json!({"title": "child", "parent_task_id": parent}));
    let before = daemon.ask(&alice.list("")).text();

    let mut rows = Rows::new();
    for (when, left) in [("below what stays free", TOO_LITTLE), ("not a byte left", 0)] {
        disk.fill_up_to(left);
        while_full(&mut rows, when, &daemon, &alice);
        for (what, ask) in [
            ("POST", alice.create(&json!({"title": "no"}))),
            ("PATCH", alice.patch(&parent, &json!({"status": "completed"}))),
            ("DELETE", alice.delete(&parent)),
        ] {
            rows.eq(format!("{when}: {what}"), &"503 store_unavailable".to_owned(), &daemon.ask(&ask).fate());
        }
        rows.eq(format!("{when}: GET list"), &before, &daemon.ask(&alice.list("")).text());
        rows.eq(format!("{when}: GET one"), &json!("child"), &alice.task(&daemon, &child)["title"]);
        let key = daemon.command(&["keys", "create", "--chitty-id", "bob"]);
        rows.holds(format!("{when}: no key is made"), !key.status.success() && key.stdout.is_empty(), &key);
        disk.empty();
        let id = takes_changes_again(&daemon, &alice);
        assert_eq!(daemon.ask(&alice.delete(&id)).status(), 200);
    }
    rows.finish();

    // Everything that was acknowledged is there, and nothing that was refused.
    assert_eq!(daemon.ask(&alice.list("")).text(), before);
    let daemon = daemon.killed().start();
    assert_eq!(daemon.ask(&alice.list("")).text(), before, "after a kill, too");
}

fn tasks_that_come_while_the_disk_fills_up_are_taken_or_refused_but_never_lost(engine: Engine) {
    let Some(disk) = disk_for(engine) else { return };
    let upstream = Upstream::start();
    let daemon = on(engine, &disk, &upstream).start();
    let alice = Tenant::new(&daemon, "alice");
    // Just enough room for some of them.
    disk.fill_up_to(stays_free(engine) + 1);
    let mut client = daemon.connect();
    let mut taken = Vec::new();
    let mut refused = 0;
    for number in 0..2000 {
        let title = format!("task {number:04}");
        let body = json!({"title": title, "description": "d".repeat(9000)});
        let answer = client.ask(&alice.create(&body));
        match answer.fate().as_str() {
            "200 local" => taken.push(title),
            "503 store_unavailable" => refused += 1,
            other => panic!("{other}: {}", answer.text()),
        }
        if refused > 20 {
            break;
        }
    }
    assert!(!taken.is_empty() && refused > 20, "{} were taken, {refused} refused", taken.len());
    disk.empty();
    takes_changes_again(&daemon, &alice);
    taken.push("afterwards".to_owned());
    taken.sort();
    let titles = |daemon: &Daemon| {
        let mut titles: Vec<String> =
            alice.listed(daemon).values().map(|title| title.as_str().unwrap().to_owned()).collect();
        titles.sort();
        titles
    };
    assert_eq!(titles(&daemon), taken);
    let daemon = daemon.restart();
    assert_eq!(titles(&daemon), taken, "after a restart, too");
}

/// How a daemon ends, and how much room there is then and when the next one starts.
type Ending = (&'static str, Signal, Option<u64>, u64);

/// Starts a daemon on a full disk after each of these, and gives it room.
fn start_without_room(engine: Engine, endings: &[Ending]) {
    let Some(disk) = disk_for(engine) else { return };
    let upstream = Upstream::start();
    let mut rows = Rows::new();
    let mut daemon = on(engine, &disk, &upstream).start();
    let alice = Tenant::new(&daemon, "alice");
    let mut made = vec![alice.titled(&daemon, "kept")];
    for &(when, signal, left_before, left) in endings {
        if let Some(left) = left_before {
            disk.fill_up_to(left);
        }
        daemon.signal(signal);
        daemon.wait_for_exit();
        disk.fill_up_to(left);
        daemon = daemon.into_place().start_anyway();
        while_full(&mut rows, when, &daemon, &alice);
        disk.empty();
        made.push(takes_changes_again(&daemon, &alice));
        let there = alice.page(&daemon, "")["tasks"].as_array().unwrap().len();
        rows.eq(format!("{when}: all tasks are there"), &made.len(), &there);
        rows.holds(format!("{when}: no copy is left"), !has_copies(&disk.outside().join("data")), ());
    }
    rows.finish();
}

fn a_daemon_that_starts_on_a_full_disk_proxies_and_gets_going_with_room(engine: Engine) {
    start_without_room(
        engine,
        &[
            ("stopped, too little left", Signal::SIGTERM, None, TOO_LITTLE),
            ("killed, too little left", Signal::SIGKILL, None, TOO_LITTLE),
            ("killed, nothing left", Signal::SIGKILL, None, 0),
            ("killed while nothing was left", Signal::SIGKILL, Some(0), 0),
        ],
    );
}

fn a_store_that_was_closed_is_opened_on_a_disk_without_a_byte_left_and_nothing_is_lost(engine: Engine) {
    start_without_room(
        engine,
        &[
            ("stopped while nothing was left", Signal::SIGTERM, Some(0), 0),
            ("stopped, nothing left", Signal::SIGTERM, None, 0),
            ("stopped, nothing left, once more", Signal::SIGTERM, None, 0),
        ],
    );
}

fn the_first_start_of_all_may_be_on_a_full_disk(engine: Engine) {
    let Some(disk) = disk_for(engine) else { return };
    let upstream = Upstream::start();
    disk.fill_up_to(TOO_LITTLE);
    let daemon = on(engine, &disk, &upstream).start_anyway();
    assert_eq!(daemon.get("svc.chitty.test", "/x").fate(), "-> /x");
    let key = daemon.command(&["keys", "create", "--chitty-id", "alice"]);
    assert!(!key.status.success() && key.stdout.is_empty(), "no key is made: {key:?}");
    disk.empty();
    eventually("a key is made", || {
        let key = daemon.command(&["keys", "create", "--chitty-id", "alice"]);
        if key.status.success() { Ok(()) } else { Err(key) }
    });
    let alice = Tenant::new(&daemon, "alice");
    alice.titled(&daemon, "the first");
    assert_eq!(alice.titles(&daemon, ""), ["the first"]);
}

#[test]
fn a_first_start_without_room_for_a_single_byte_says_so() {
    let Some(disk) = disk_for(Engine::Sled) else { return };
    let upstream = Upstream::start();
    disk.fill_up_to(0);
    let Err(refused) = on(Engine::Sled, &disk, &upstream).try_start() else { panic!("nothing can be kept") };
    assert_eq!(refused.status.code(), Some(1), "{}", refused.log);
    let place = disk.inside().join("data");
    assert!(refused.log.contains("store.path"), "{}", refused.log);
    assert!(refused.log.contains(place.to_str().unwrap()), "{}", refused.log);
    assert!(refused.log.contains("No space left on device"), "{}", refused.log);
}

/// Makes every write of a process behind this many bytes of a file fail, as a disk does that is broken there.
fn let_writes_fail_behind(daemon: &Daemon, bytes: Option<u64>) {
    let pid = rustix::process::Pid::from_raw(daemon.pid().as_raw());
    let limit = rustix::process::Rlimit { current: bytes, maximum: None };
    rustix::process::prlimit(pid, rustix::process::Resource::Fsize, limit).unwrap();
}

/// A daemon that outlives such a write, as it would outlive an error of a disk.
fn on_a_disk_that_can_fail(engine: Engine, upstream: &Upstream) -> Builder {
    let command = ["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""].map(str::to_owned);
    Daemon::builder().engine(engine).service(upstream.service("svc")).under(&command)
}

fn a_disk_that_fails_loses_nothing_and_is_used_again_when_it_works(engine: Engine) {
    let upstream = Upstream::start();
    // From its second start on fjall's journal is as long as what is in it.
    let daemon = on_a_disk_that_can_fail(engine, &upstream).start().restart();
    let alice = Tenant::new(&daemon, "alice");
    let mut taken = vec![alice.titled(&daemon, "the first")];
    for round in 0..3 {
        let log = std::fs::metadata(store::log_of(engine, &daemon.folder().join("data"))).unwrap().len();
        let_writes_fail_behind(&daemon, Some(log + 20_000));
        let mut client = daemon.connect();
        let mut refused = 0;
        for number in 0..2000 {
            let body = json!({"title": format!("task {round}.{number}"), "description": "d".repeat(9000)});
            let answer = client.ask(&alice.create(&body));
            match answer.fate().as_str() {
                "200 local" => taken.push(answer.json()["task_id"].as_str().unwrap().to_owned()),
                "503 store_unavailable" => refused += 1,
                other => panic!("{other}: {}", answer.text()),
            }
            assert_eq!(daemon.get("svc.chitty.test", "/x").fate(), "-> /x");
            if refused == 5 {
                break;
            }
        }
        assert_eq!(refused, 5, "writes fail");
        let_writes_fail_behind(&daemon, None);
        taken.push(takes_changes_again(&daemon, &alice));
        for id in &taken {
            assert_eq!(daemon.ask(&alice.get(id)).status(), 200, "{id} was acknowledged");
        }
    }
    let place = daemon.killed();
    let inside = store::read(engine, &place.path().join("data"), &[alice]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(inside.report.findings, Vec::<String>::new());
    let there: BTreeSet<String> = inside.tasks.iter().map(|task| task.task_id.to_string()).collect();
    let lost: Vec<&String> = taken.iter().filter(|id| !there.contains(*id)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
}

fn a_disk_that_takes_nothing_any_more_stops_no_proxying(engine: Engine) {
    let upstream = Upstream::start();
    let daemon = on_a_disk_that_can_fail(engine, &upstream).start();
    let alice = Tenant::new(&daemon, "alice");
    let id = alice.titled(&daemon, "kept");
    let mut rows = Rows::new();
    let_writes_fail_behind(&daemon, Some(0));
    while_full(&mut rows, "no write succeeds", &daemon, &alice);
    for _ in 0..20 {
        rows.eq("a proxied request", &"-> /x".to_owned(), &daemon.get("svc.chitty.test", "/x").fate());
        let read = daemon.ask(&alice.get(&id));
        rows.holds("GET is answered, one way or the other", [200, 503].contains(&read.status()), read.text());
    }
    let_writes_fail_behind(&daemon, None);
    takes_changes_again(&daemon, &alice);
    rows.eq("what was there", &json!("kept"), &alice.task(&daemon, &id)["title"]);
    rows.finish();
    let daemon = daemon.restart();
    assert_eq!(alice.task(&daemon, &id)["title"], "kept");
}

fn a_disk_that_is_read_only_is_named(engine: Engine) {
    let Some(disk) = disk_for(engine) else { return };
    let upstream = Upstream::start();
    let daemon = on(engine, &disk, &upstream).start();
    let alice = Tenant::new(&daemon, "alice");
    let id = alice.titled(&daemon, "kept");
    let mut place = daemon.into_place();
    disk.remount("ro");
    for _ in 0..2 {
        let Err(refused) = place.try_start() else { panic!("nothing can be written") };
        assert_eq!(refused.status.code(), Some(1), "{}", refused.log);
        assert!(refused.log.contains("store.path") && refused.log.contains("Read-only"), "{}", refused.log);
        place = refused.place;
    }
    disk.remount("rw");
    let daemon = place.start();
    assert_eq!(alice.task(&daemon, &id)["title"], "kept");
}

fn a_disk_that_fills_up_is_noticed_before_anybody_asks_for_a_change(engine: Engine) {
    let Some(disk) = disk_for(engine) else { return };
    let upstream = Upstream::start();
    let daemon = on(engine, &disk, &upstream).start();
    for _ in 0..2 {
        disk.fill_up_to(TOO_LITTLE);
        eventually("/readyz is 503", || {
            let ready = daemon.admin("/readyz");
            if ready.status() == 503 { Ok(()) } else { Err(ready.text()) }
        });
        disk.empty();
        eventually("/readyz is 200", || {
            let ready = daemon.admin("/readyz");
            if ready.status() == 200 { Ok(()) } else { Err(ready.text()) }
        });
    }
}

on_each_engine! {
    a_full_disk_stops_changes_and_nothing_else_until_there_is_room,
    tasks_that_come_while_the_disk_fills_up_are_taken_or_refused_but_never_lost,
    a_daemon_that_starts_on_a_full_disk_proxies_and_gets_going_with_room,
    a_store_that_was_closed_is_opened_on_a_disk_without_a_byte_left_and_nothing_is_lost,
    the_first_start_of_all_may_be_on_a_full_disk,
    a_disk_that_fails_loses_nothing_and_is_used_again_when_it_works,
    a_disk_that_takes_nothing_any_more_stops_no_proxying,
    a_disk_that_is_read_only_is_named,
    a_disk_that_fills_up_is_noticed_before_anybody_asks_for_a_change,
}
