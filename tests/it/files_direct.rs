//! Direct uploads and commits (CONTRACT.md §4): a whole file in one JSON body, and the word that a file is what was meant.

use serde_json::{Value, json};

use crate::support::files::{FILES, KIB, MIB, NO_SUCH_HASH, Shelf, bad_facts, base64, contents, ends_whole, sha256};
use crate::support::shape::misfits;
use crate::support::stream::Stream;
use crate::support::task::{NO_SUCH_TASK, leak};
use crate::support::{Answer, Ask, CONNECT, Daemon, Rows, Tenant};

fn commit(daemon: &Daemon, tenant: &Tenant, body: &Value) -> Answer {
    daemon.ask(&tenant.files("POST", "/commit").body(body.to_string()))
}

#[test]
fn a_direct_upload_is_kept_verified_and_told() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let mut stream = Stream::open(&daemon, &alice, "");
    let mut rows = Rows::new();
    for (number, size) in [1, 2, 3, 1000, 3 * MIB].into_iter().enumerate() {
        let body = contents(number as u64, size);
        let mut ask = alice.direct(&format!("file {size}.bin"), &body);
        if number % 2 == 0 {
            ask["sha256"] = json!(sha256(&body));
            ask["size"] = json!(size);
            ask["mime"] = json!("application/octet-stream");
        }
        let answer = daemon.ask(&alice.upload(&ask));
        let expected = json!({"ok": true, "r2_key": "<text>"});
        rows.eq(format!("{size}: shape"), &Vec::<String>::new(), &misfits(&expected, &answer.json()));
        let r2_key = answer.json()["r2_key"].as_str().unwrap_or_default().to_owned();
        let (begin, end) = (format!("files/{}/20", alice.session_id), format!("-file_{size}.bin"));
        rows.holds(format!("{size}: r2_key"), r2_key.starts_with(&begin) && r2_key.ends_with(&end), &r2_key);
        let row = alice.all_rows(&daemon).into_iter().find(|row| row["uri"] == format!("r2://{r2_key}"));
        let expected = json!({"r2_key": r2_key, "size": size, "sha256": sha256(&body)});
        rows.holds(format!("{size}: row"), row.as_ref().is_some_and(|row| misfits(&expected, row).is_empty()), &row);
        let read = daemon.ask(&alice.contents(&sha256(&body)));
        rows.holds(format!("{size}: contents"), read.status() == 200 && read.body == body, &read.head);
        let event = stream.event().data;
        let expected = json!({"type": "context.files.uploaded", "sessionId": alice.session_id,
            "file": {"r2_key": r2_key, "sha256": sha256(&body), "size": size, "name": "<text>"}});
        rows.eq(format!("{size}: event"), &Vec::<String>::new(), &misfits(&expected, &event));
    }
    rows.finish();
    let whoami = daemon.ask(&alice.ask("GET", "/api/registry/whoami")).json();
    assert_eq!(whoami["data"]["session"]["active_files"].as_array().unwrap().len(), 5, "{whoami}");
    Shelf::Folder.holds_only(&daemon.folder().join("data"), 5);
    ends_whole(daemon);
}

#[test]
fn what_cannot_be_meant_is_refused_and_leaves_nothing() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let good = alice.direct("n", "abc");
    let mut facts = bad_facts();
    facts.extend([
        ("content_base64", Value::Null),
        ("content_base64", json!("")),
        ("content_base64", json!(5)),
        ("content_base64", json!("!!!!")),
        ("content_base64", json!("YWJj====")),
        ("content_base64", json!("YWJj\u{0}")),
        ("content_base64", json!("=YWJj")),
    ]);
    let mut rows = Rows::new();
    for (member, value) in facts {
        let mut body = good.clone();
        body[member] = value.clone();
        let shown: String = value.to_string().chars().take(60).collect();
        let answer = daemon.ask(&alice.upload(&body));
        let fits = ["400 invalid_request", "400 upload_failed"].contains(&answer.fate().as_str());
        rows.holds(format!("{member} {shown}"), fits, answer.text());
        rows.eq(format!("{member} {shown}: from inside"), &None, &leak(&answer));
        if value.is_null() {
            body.as_object_mut().unwrap().remove(member);
            rows.eq(format!("no {member}"), &400, &daemon.ask(&alice.upload(&body)).status());
        }
    }
    for (member, value, fate) in [
        ("content_base64", Value::Null, "400 invalid_request"),
        ("content_base64", json!(""), "400 invalid_request"),
        ("sha256", json!(NO_SUCH_HASH), "422 sha256_mismatch"),
        ("size", json!(2), "400 size_mismatch"),
        ("size", json!(4), "400 size_mismatch"),
        ("chitty_id", json!("bob"), "403 forbidden"),
    ] {
        let mut body = good.clone();
        body[member] = value.clone();
        rows.eq(format!("{member} {value}"), &fate.to_owned(), &daemon.ask(&alice.upload(&body)).fate());
    }
    for body in [&b""[..], b"{", b"[1,]", b"{}{}", b"{\"name\":\"\xff\"}"] {
        let answer = daemon.ask(&alice.files("POST", "/upload").body(body));
        let shown = String::from_utf8_lossy(body);
        rows.eq(format!("{shown:?}"), &"400 upload_failed".to_owned(), &answer.fate());
    }
    for body in ["null", "[]", "5", "{}"] {
        rows.eq(body, &400, &daemon.ask(&alice.files("POST", "/upload").body(body)).status());
    }
    let large = alice.direct("n", vec![0; 25 * MIB]);
    rows.eq("33 MiB of JSON", &413, &daemon.ask(&alice.upload(&large)).status());
    let reader = Tenant::with(&daemon, "alice", &["--scope", "files:read"]);
    rows.eq("no scope", &"403 forbidden".to_owned(), &daemon.ask(&reader.upload(&good)).fate());
    let keyless = Ask::new("POST", CONNECT, &format!("{FILES}/upload")).body(good.to_string());
    rows.eq("no key", &"401 Missing API key".to_owned(), &daemon.ask(&keyless).fate());
    rows.eq("kept", &0, &alice.r2_keys(&daemon).len());
    rows.eq("rows", &0, &alice.all_rows(&daemon).len());
    rows.finish();
    Shelf::Folder.holds_only(&daemon.folder().join("data"), 0);
    ends_whole(daemon);
}

#[test]
fn as_much_as_a_body_may_have_is_taken() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let body = contents(1, 23 * MIB);
    let kept = alice.kept(&daemon, "large", &body);
    assert!(daemon.ask(&alice.contents(&kept.sha256)).body == body);
    // What no file may have is refused, however it comes.
    let daemon = Daemon::builder().set("files", "{max_bytes: 1MiB}").start();
    let alice = Tenant::new(&daemon, "alice");
    let answer = daemon.ask(&alice.upload(&alice.direct("n", contents(1, MIB + 1))));
    assert_eq!(answer.status(), 413, "{}", answer.text());
    alice.kept(&daemon, "n", contents(1, MIB));
}

#[test]
fn a_commit_is_of_what_is_there() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let bob = Tenant::new(&daemon, "bob");
    let body = contents(1, 10 * KIB);
    let kept = alice.kept(&daemon, "n", &body);
    let task = alice.titled(&daemon, "the task");
    let elsewhere = Tenant::with(&daemon, "alice", &["--session", "elsewhere"]).titled(&daemon, "another session's");
    let mut stream = Stream::open(&daemon, &alice, "");
    let good = json!({"r2_key": kept.r2_key, "session_id": alice.session_id});
    let with = |more: &Value| {
        let mut body = good.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let mut rows = Rows::new();
    for more in [
        json!({}),
        json!({"sha256": kept.sha256}),
        json!({"sha256": kept.sha256.to_uppercase(), "size": body.len()}),
        json!({"sha256": null, "size": null, "task_id": null}),
        json!({"task_id": task}),
    ] {
        let answer = commit(&daemon, &alice, &with(&more));
        rows.eq(format!("{more}"), &(200, json!(true)), &(answer.status(), answer.json()["ok"].clone()));
        let event = stream.event().data;
        let task_id = more.get("task_id").filter(|id| !id.is_null());
        let expected = json!({"type": "context.files.committed", "sessionId": alice.session_id,
            "file": {"r2_key": kept.r2_key, "sha256": kept.sha256, "size": body.len()}});
        rows.eq(format!("{more}: event"), &Vec::<String>::new(), &misfits(&expected, &event));
        rows.eq(format!("{more}: task"), &task_id, &event["file"].get("task_id").filter(|id| !id.is_null()));
    }
    for (more, statuses) in [
        (json!({"r2_key": format!("files/{}/2026/01/02/nothing", alice.session_id)}), vec![404]),
        (json!({"r2_key": format!("files/other/{}", &kept.r2_key["files/".len()..])}), vec![404, 400]),
        (json!({"r2_key": ""}), vec![400]),
        (json!({"r2_key": null}), vec![400]),
        (json!({"r2_key": 5}), vec![400]),
        (json!({"r2_key": "../../etc/passwd"}), vec![400, 404]),
        (json!({"r2_key": "files/../../etc/passwd"}), vec![400, 404]),
        (json!({"r2_key": format!("{}\u{0}", kept.r2_key)}), vec![400, 404]),
        (json!({"r2_key": "k".repeat(2048)}), vec![400, 404]),
        (json!({"session_id": null}), vec![400]),
        (json!({"session_id": "../x"}), vec![400]),
        (json!({"session_id": "another"}), vec![404, 400]),
        (json!({"sha256": NO_SUCH_HASH}), vec![422]),
        (json!({"sha256": "zz"}), vec![400]),
        (json!({"size": body.len() - 1}), vec![400]),
        (json!({"size": body.len() + 1}), vec![400]),
        (json!({"size": "10"}), vec![400]),
        (json!({"task_id": NO_SUCH_TASK}), vec![404]),
        (json!({"task_id": elsewhere}), vec![404]),
        (json!({"task_id": "no id"}), vec![400, 404]),
    ] {
        let answer = commit(&daemon, &alice, &with(&more));
        let shown: String = more.to_string().chars().take(80).collect();
        rows.holds(&shown, statuses.contains(&answer.status()), format!("{} {}", answer.status(), answer.text()));
        rows.eq(format!("{shown}: from inside"), &None, &leak(&answer));
    }
    let answer = commit(&daemon, &alice, &with(&json!({"sha256": NO_SUCH_HASH})));
    rows.eq("another hash", &"422 sha256_mismatch".to_owned(), &answer.fate());
    let answer = commit(&daemon, &alice, &with(&json!({"size": 1})));
    rows.eq("another size", &"400 size_mismatch".to_owned(), &answer.fate());
    for body in [&b""[..], b"{", b"{\"r2_key\":\"\xff\"}"] {
        let answer = daemon.ask(&alice.files("POST", "/commit").body(body));
        rows.eq(String::from_utf8_lossy(body), &"400 bad_json".to_owned(), &answer.fate());
    }
    for body in ["null", "[]", "{}"] {
        let answer = daemon.ask(&alice.files("POST", "/commit").body(body));
        rows.eq(body, &"400 invalid_request".to_owned(), &answer.fate());
    }
    rows.eq("another tenant's", &404, &commit(&daemon, &bob, &good).status());
    let reader = Tenant::with(&daemon, "alice", &["--scope", "files:read", "--session", &alice.session_id]);
    rows.eq("no scope", &"403 forbidden".to_owned(), &commit(&daemon, &reader, &good).fate());
    rows.finish();
    // Nothing of what was refused was told.
    alice.titled(&daemon, "the end");
    assert_eq!(stream.event().name(), "task.created");
}

#[test]
fn a_file_of_the_same_name_and_contents_is_the_same_file() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let mut ask = alice.direct("n", "abc");
    ask["sha256"] = json!(sha256("abc"));
    let first = daemon.ask(&alice.upload(&ask)).json();
    let second = daemon.ask(&alice.upload(&ask)).json();
    assert_eq!(first["r2_key"], second["r2_key"]);
    assert_eq!((alice.r2_keys(&daemon).len(), alice.all_rows(&daemon).len()), (1, 1));
    ask["mime"] = json!("text/plain");
    assert_eq!(daemon.ask(&alice.upload(&ask)).status(), 200);
    assert_eq!(alice.all_stored(&daemon)[0]["mime"], "text/plain");
    let mut other = ask.clone();
    other["content_base64"] = json!(base64("abd"));
    assert_eq!(daemon.ask(&alice.upload(&other)).fate(), "422 sha256_mismatch");
    assert_eq!(daemon.ask(&alice.contents(&sha256("abc"))).text(), "abc");
}
