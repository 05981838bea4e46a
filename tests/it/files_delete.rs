//! `DELETE /api/files/{sha256}`: names go, and with the last name the contents.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::json;

use crate::support::files::{KIB, MIB, NO_SUCH_HASH, Shelf, are_there, contents, encoded, ends_whole, sha256};
use crate::support::stream::Stream;
use crate::support::{Answer, Daemon, Rows, Tenant};

fn delete(daemon: &Daemon, tenant: &Tenant, what: &str) -> Answer {
    daemon.ask(&tenant.files("DELETE", &format!("/{what}")))
}

fn names_go_and_contents_with_the_last_one(shelf: &Shelf) {
    let daemon = shelf.builder("").start();
    let alice = Tenant::with(&daemon, "alice", &["--session", "desk"]);
    let garden = Tenant::with(&daemon, "alice", &["--session", "garden"]);
    let bob = Tenant::with(&daemon, "bob", &["--session", "desk"]);
    let body = contents(1, 50 * KIB);
    let hash = sha256(&body);
    let first = alice.kept(&daemon, "first", &body);
    let second = alice.kept(&daemon, "second", &body);
    let third = alice.kept(&daemon, "third", &body);
    let there = garden.kept(&daemon, "there", &body);
    let bobs = bob.kept(&daemon, "bob's", &body);
    let other = alice.kept(&daemon, "other", "other");
    // Equal contents are there once for each chitty id.
    shelf.holds_only(daemon.folder(), 3);
    let mut stream = Stream::open(&daemon, &alice, "");
    let mut rows = Rows::new();

    let one = delete(&daemon, &alice, &format!("{hash}?session_id=desk&r2_key={}", encoded(&second.r2_key)));
    rows.eq("one of its names", &json!({"ok": true, "deleted": 1}), &one.json());
    rows.holds("is told", stream.event().name().starts_with("context.files."), ());
    are_there(
        &daemon,
        &alice,
        &[
            (first.r2_key.clone(), body.clone()),
            (third.r2_key.clone(), body.clone()),
            (other.r2_key.clone(), b"other".to_vec()),
        ],
    );
    for (what, query) in [
        ("again", format!("{hash}?session_id=desk&r2_key={}", encoded(&second.r2_key))),
        ("a name with other contents", format!("{hash}?session_id=desk&r2_key={}", encoded(&other.r2_key))),
        ("a name in another session", format!("{hash}?session_id=desk&r2_key={}", encoded(&there.r2_key))),
        ("a session without it", format!("{hash}?session_id=nowhere")),
        ("nobody's", format!("{NO_SUCH_HASH}?session_id=desk")),
    ] {
        rows.eq(what, &404, &delete(&daemon, &alice, &query).status());
    }
    let all = delete(&daemon, &alice, &format!("{hash}?session_id=desk"));
    rows.eq("all of its names in the session", &json!({"ok": true, "deleted": 2}), &all.json());
    rows.eq("again", &404, &delete(&daemon, &alice, &format!("{hash}?session_id=desk")).status());
    are_there(&daemon, &alice, &[(other.r2_key.clone(), b"other".to_vec())]);
    are_there(&daemon, &garden, &[(there.r2_key.clone(), body.clone())]);
    are_there(&daemon, &bob, &[(bobs.r2_key.clone(), body.clone())]);
    shelf.holds_only(daemon.folder(), 3);
    // The session of the key is meant where none is named.
    let last = delete(&daemon, &garden, &hash);
    rows.eq("the last of alice's", &json!({"ok": true, "deleted": 1}), &last.json());
    shelf.holds_only(daemon.folder(), 2);
    rows.eq("is gone", &404, &daemon.ask(&alice.contents(&hash)).status());
    rows.eq("bob's is not", &200, &daemon.ask(&bob.contents(&hash)).status());

    for (what, query, status) in [
        ("no hash", "zz".to_owned(), [400, 404]),
        ("a bad session", format!("{hash}?session_id=../x"), [400, 400]),
        ("a bad key", format!("{hash}?session_id=desk&r2_key=..%2Fx"), [400, 404]),
        ("a NUL", format!("{hash}?session_id=desk&r2_key=%00"), [400, 404]),
        ("a long key", format!("{hash}?session_id=desk&r2_key={}", "k".repeat(2048)), [400, 404]),
    ] {
        let answer = delete(&daemon, &alice, &query);
        rows.holds(what, status.contains(&answer.status()), answer.text());
    }
    let reader = Tenant::with(&daemon, "alice", &["--scope", "files:read", "--session", "desk"]);
    let refused = delete(&daemon, &reader, &format!("{}?session_id=desk", other.sha256));
    rows.eq("no scope", &"403 forbidden".to_owned(), &refused.fate());
    rows.finish();
    // What is gone is gone after a kill; what is not is not. And it may come again.
    let daemon = daemon.killed().start();
    are_there(&daemon, &garden, &[]);
    are_there(&daemon, &alice, &[(other.r2_key.clone(), b"other".to_vec())]);
    let again = garden.kept(&daemon, "again", &body);
    are_there(&daemon, &garden, &[(again.r2_key, body)]);
    ends_whole(daemon);
}

/// Equal contents that come while the last file that has them goes are there afterwards, if the upload was acknowledged.
fn contents_that_come_while_they_go_are_kept(shelf: &Shelf) {
    let daemon = shelf.builder("").start();
    let alice = Tenant::with(&daemon, "alice", &["--session", "desk"]);
    let body = contents(1, 20 * KIB);
    let hash = sha256(&body);
    let over = AtomicBool::new(false);
    let (daemon_ref, alice_ref, body_ref) = (&daemon, &alice, &body);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut client = daemon_ref.connect();
                let ask = alice_ref.files("DELETE", &format!("/{hash}?session_id=desk"));
                while !over.load(Ordering::Relaxed) {
                    let status = client.ask(&ask).status();
                    assert!([200, 404].contains(&status), "{status}");
                }
            });
        }
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                scope.spawn(move || {
                    let mut client = daemon_ref.connect();
                    for number in 0..60 {
                        alice_ref.kept_by(&mut client, &format!("{writer}-{number}"), body_ref);
                        let files = client.ask(&alice_ref.files("GET", "?limit=1000")).json();
                        // Whatever is listed can be read, unless it was deleted meanwhile.
                        if files["count"] != 0 {
                            let read = client.ask(&alice_ref.contents(&sha256(body_ref)));
                            assert!(
                                read.status() == 404 || read.status() == 200 && read.body == *body_ref,
                                "{} {:?}: {} bytes",
                                read.status(),
                                read.ending,
                                read.body.len()
                            );
                        }
                    }
                })
            })
            .collect();
        let ended: Vec<_> = writers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        over.store(true, Ordering::Relaxed);
        for end in ended {
            end.unwrap();
        }
    });
    let last = alice.kept(&daemon, "last", &body);
    let expected: Vec<_> = alice.r2_keys(&daemon).into_iter().map(|key| (key, body.clone())).collect();
    assert!(expected.iter().any(|(key, _)| *key == last.r2_key));
    are_there(&daemon, &alice, &expected);
    shelf.holds_only(daemon.folder(), 1);
    delete(&daemon, &alice, &format!("{hash}?session_id=desk"));
    shelf.holds_only(daemon.folder(), 0);
    ends_whole(daemon);
}

crate::support::files::on_each_shelf! {
    names_go_and_contents_with_the_last_one,
    contents_that_come_while_they_go_are_kept,
}

#[test]
fn who_reads_it_meanwhile_reads_it_to_its_end() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::with(&daemon, "alice", &["--session", "desk"]);
    let body = contents(1, 16 * MIB);
    let kept = alice.kept(&daemon, "n", &body);
    let mut reader = daemon.connect();
    assert_eq!(reader.send(alice.contents(&kept.sha256).to_bytes()).head("GET").unwrap().status, 200);
    let mut read = reader.piece().unwrap().unwrap();
    assert_eq!(delete(&daemon, &alice, &format!("{}?session_id=desk", kept.sha256)).status(), 200);
    assert_eq!(daemon.ask(&alice.contents(&kept.sha256)).status(), 404);
    while let Some(piece) = reader.piece().unwrap() {
        read.extend_from_slice(&piece);
    }
    assert!(read == body, "{} bytes", read.len());
    Shelf::Folder.holds_only(&daemon.folder().join("data"), 0);
    ends_whole(daemon);
}
