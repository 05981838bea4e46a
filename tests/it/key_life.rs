//! The life of a key: its limits, its successors, and keys that come from the original.

use std::fs;
use std::process::Output;

use serde_json::{Value, json};

use crate::support::task::{KEY_HEADER, new_key};
use crate::support::{Ask, CONNECT, Daemon, Rows, Signal, TASKS, Tenant, eventually};

fn error_text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn fate(daemon: &Daemon, key: &str) -> String {
    daemon.ask(&Ask::get(CONNECT, TASKS).header(KEY_HEADER, key)).fate()
}

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn listed(daemon: &Daemon) -> Vec<Value> {
    let output = daemon.command(&["keys", "list", "--format", "json"]);
    assert!(output.status.success(), "{output:?}");
    json_of(&output)["keys"].as_array().unwrap().clone()
}

fn stopped(mut daemon: Daemon) -> Daemon {
    daemon.signal(Signal::SIGTERM);
    daemon.wait_for_exit();
    daemon
}

#[test]
fn a_key_has_the_limits_that_it_is_given() {
    let daemon = Daemon::builder().start();
    let mut rows = Rows::new();
    for (flags, rate, quota) in [
        (&[][..], json!(null), json!(null)),
        (&["--rate-limit", "100"], json!(100), json!(null)),
        (&["--rate-limit", "100/m", "--quota", "1GiB"], json!(100), json!(1_073_741_824)),
        (&["--quota", "1500"], json!(null), json!(1500)),
    ] {
        let made = new_key(&daemon, "alice", flags);
        rows.eq(flags.join(" "), &(rate.clone(), quota.clone()), &(made["rate_limit"].clone(), made["quota"].clone()));
        let row = listed(&daemon).into_iter().find(|key| key["id"] == made["id"]).unwrap();
        rows.eq(flags.join(" "), &(rate, quota), &(row["rate_limit"].clone(), row["quota"].clone()));
    }
    for (flag, value, accepted) in [
        ("--rate-limit", "0", "100/m"),
        ("--rate-limit", "5/s", "100/m"),
        ("--rate-limit", "-1", "100/m"),
        ("--quota", "0", "1GiB"),
        ("--quota", "much", "1GiB"),
    ] {
        let output = daemon.command(&["keys", "create", "--chitty-id", "alice", flag, value]);
        let text = error_text(&output);
        rows.eq(format!("{flag} {value}"), &Some(1), &output.status.code());
        rows.holds(format!("{flag} {value}"), text.contains(flag) && text.contains(accepted), &text);
    }
    let text = String::from_utf8(daemon.command(&["keys", "list"]).stdout).unwrap();
    rows.holds("for a person", text.contains("100/m") && text.contains("1.0 GiB of files"), &text);
    rows.finish();
}

#[test]
fn a_key_that_is_rotated_has_one_successor_with_the_same_facts() {
    let daemon = Daemon::builder().start();
    let flags =
        ["--session", "desk", "--name", "laptop", "--scope", "context:write", "--rate-limit", "9", "--quota", "7B"];
    let old = Tenant::with(&daemon, "alice", &flags);
    let id = old.titled(&daemon, "made with the old one");
    let rotate = |daemon: &Daemon, id: &str, more: &[&str]| {
        daemon.command(&[&["keys", "rotate", id, "--format", "json"], more].concat())
    };
    let facts = |key: &Value| {
        ["chitty_id", "session_id", "name", "scopes", "rate_limit", "quota", "expires_at"].map(|f| key[f].clone())
    };
    let before = listed(&daemon).pop().unwrap();

    // At once.
    let new = json_of(&rotate(&daemon, &old.key_id, &[]));
    assert_eq!(facts(&new), facts(&before));
    let key = new["key"].as_str().unwrap();
    assert!(key != old.key && new["id"] != before["id"], "{new}");
    assert_eq!((&new["replaces"]["id"], &new["replaces"]["status"]), (&before["id"], &json!("revoked")));
    assert_eq!(
        (fate(&daemon, key), fate(&daemon, &old.key)),
        ("200 local".to_owned(), "401 API key is inactive".to_owned())
    );
    let task = daemon.ask(&Ask::get(CONNECT, &format!("{TASKS}/{id}")).header(KEY_HEADER, key)).json();
    assert_eq!(task["task"]["title"], "made with the old one");

    // After a while, in which both are good. For a shell, the key is the only line.
    let output = daemon.command(&["keys", "rotate", new["id"].as_str().unwrap(), "--grace", "2s"]);
    let newest = String::from_utf8(output.stdout.clone()).unwrap();
    let newest = newest.strip_suffix('\n').unwrap();
    let beside = error_text(&output);
    assert!(newest.starts_with("chitty_") && newest.len() == 71 && !beside.contains(newest), "{output:?}");
    assert!(beside.contains("is let in until 2") && beside.contains("shown this once"), "{beside}");
    assert_eq!((fate(&daemon, newest), fate(&daemon, key)), ("200 local".to_owned(), "200 local".to_owned()));
    eventually("the grace is over", || match fate(&daemon, key) {
        seen if seen == "401 API key is inactive" => Ok(()),
        seen => Err(seen),
    });
    assert_eq!(fate(&daemon, newest), "200 local");

    let mut rows = Rows::new();
    for (what, id, more, says) in [
        ("a revoked key", old.key_id.as_str(), &[][..], "accepted: an id of `keys list` whose status is active"),
        ("an expired key", new["id"].as_str().unwrap(), &[], "whose status is active"),
        ("nobody's", "0000000000000000", &[], "no key has this id"),
        ("a key, not its id", newest, &[], "accepted: an id"),
        ("a bad grace", "0000000000000000", &["--grace", "soon"], "--grace"),
        ("no grace", "0000000000000000", &["--grace", "0s"], "--grace"),
    ] {
        let output = rotate(&daemon, id, more);
        rows.eq(what, &Some(1), &output.status.code());
        let text = error_text(&output);
        rows.holds(what, text.contains(says) && !text.contains(newest), &text);
        rows.eq(what, &0, &output.stdout.len());
    }
    rows.eq("nothing came of them", &3, &listed(&daemon).len());
    rows.finish();

    // In the store itself, and over a restart.
    let daemon = stopped(daemon);
    let newest_id = listed(&daemon).into_iter().find(|key| key["status"] == "active").unwrap()["id"].clone();
    let offline = json_of(&rotate(&daemon, newest_id.as_str().unwrap(), &[]));
    let daemon = daemon.start_again();
    assert_eq!(fate(&daemon, newest), "401 API key is inactive");
    assert_eq!(fate(&daemon, offline["key"].as_str().unwrap()), "200 local");
    let log = daemon.log();
    assert!(!log.contains(&newest[7..]) && !log.contains(&key[7..]), "{log}");
}

/// Keys of the original, of which one is not of its usual form.
const OLD: [&str; 3] = [
    "chitty_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "chitty_fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210",
    "an.old.key",
];

fn import(daemon: &Daemon, document: &str, more: &[&str]) -> Output {
    let file = daemon.folder().join("keys.json");
    fs::write(&file, document).unwrap();
    let output = daemon.command(&[&["keys", "import", file.to_str().unwrap()], more].concat());
    fs::remove_file(file).unwrap();
    let shown = format!("{output:?}");
    assert!(OLD.iter().all(|key| !shown.contains(key)), "{shown}");
    output
}

#[test]
fn keys_of_the_original_go_on_working() {
    let daemon = Daemon::builder().start();
    let name = |index: usize| format!("key:{}", OLD[index]);
    let active = json!({"status": "active", "chittyId": "alice", "sessionId": "desk", "name": "laptop",
        "scopes": ["read", "write", "chittyid:verify"], "rateLimit": 500, "accountType": "pro",
        "storageQuota": 1_000_000, "createdAt": "2025-01-02T03:04:05.000Z", "metadata": {"a": 1}});
    let suspended = json!({"status": "suspended", "userId": "bob", "scopes": ["read"]});
    let over = json!({"status": "active", "userId": "bob", "expiresAt": "2025-01-01T00:00:00Z"});
    let document = json!([
        {"name": name(0), "value": active.to_string()},
        {"name": name(1), "value": suspended},
        {"key": name(2), "value": over},
        {"name": format!("ratelimit:{}:29000000", OLD[0]), "value": "3"},
        {"name": "key:chitty_broken", "value": "{"},
        {"name": "key:chitty_nobodys", "value": {"status": "active"}},
    ])
    .to_string();

    // What would be done is said, and not done.
    let dry = import(&daemon, &document, &["--dry-run", "--format", "json"]);
    let report = json_of(&dry);
    assert_eq!(
        (dry.status.code(), &report["added"], &report["dry_run"]),
        (Some(1), &json!(3), &json!(true)),
        "{report}"
    );
    assert!(listed(&daemon).is_empty());
    assert_eq!(fate(&daemon, OLD[0]), "401 Invalid API key");

    let output = import(&daemon, &document, &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    for says in [
        "record 0: scopes: `chittyid:verify` is dropped",
        "record 4 is refused: value: ",
        "record 5 is refused: chittyId: missing",
        "6 records: 3 added, 0 there already, 2 refused, 1 no keys",
    ] {
        assert!(text.contains(says), "{says} in {text}");
    }
    assert!(error_text(&output).contains("2 of 6 records are refused"), "{output:?}");
    let fates = OLD.map(|key| fate(&daemon, key));
    assert_eq!(fates, ["200 local", "401 API key is inactive", "401 API key is inactive"]);
    let keys = listed(&daemon);
    let laptop = keys.iter().find(|key| key["name"] == "laptop").unwrap();
    let expected = json!({"id": laptop["id"], "chitty_id": "alice", "session_id": "desk", "name": "laptop",
        "scopes": ["context:read", "files:read", "context:write", "files:write"], "rate_limit": 500,
        "quota": 1_000_000, "created_at": "2025-01-02T03:04:05.000Z", "expires_at": null, "status": "active"});
    assert_eq!(*laptop, expected);
    let statuses: Vec<&Value> = keys.iter().filter(|key| key["chitty_id"] == "bob").map(|key| &key["status"]).collect();
    assert!(statuses.contains(&&json!("inactive")) && statuses.contains(&&json!("expired")), "{statuses:?}");

    // Twice is once, and what has become of a key since stays.
    assert!(daemon.command(&["keys", "revoke", laptop["id"].as_str().unwrap()]).status.success());
    let keys = listed(&daemon);
    let again = json_of(&import(&daemon, &document, &["--format", "json"]));
    assert_eq!((&again["added"], &again["there"]), (&json!(0), &json!(3)), "{again}");
    assert_eq!(listed(&daemon), keys);

    // Without the daemon, in another of the shapes, and nothing of a key is left anywhere.
    let daemon = stopped(daemon);
    let lines = format!("{}\n{}\n", json!({name(0): active}), json!({"key:one-more": active}));
    let output = import(&daemon, &lines, &[]);
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("2 records: 1 added, 1 there already"), "{output:?}");
    let daemon = daemon.start_again();
    assert_eq!(fate(&daemon, "one-more"), "200 local");
    assert_eq!(fate(&daemon, OLD[0]), "401 API key is inactive");
    let daemon = stopped(daemon);
    for file in files(daemon.folder()) {
        let bytes = fs::read(&file).unwrap_or_default();
        for key in OLD {
            let found = bytes.windows(key.len()).any(|window| window == key.as_bytes());
            assert!(!found, "{} holds a key", file.display());
        }
    }
}

fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn a_file_of_many_keys_is_imported_whole() {
    let daemon = Daemon::builder().start();
    let record = json!({"status": "active", "chittyId": "alice"});
    let lines: String = (0..1700).map(|number| json!({format!("key:k{number}"): record}).to_string() + "\n").collect();
    let output = import(&daemon, &lines, &["--format", "json"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(json_of(&output)["added"], 1700);
    for number in [0, 499, 500, 1699] {
        assert_eq!(fate(&daemon, &format!("k{number}")), "200 local", "{number}");
    }
    for (what, document) in [("no file", None), ("no records", Some("keys")), ("not JSON", Some("[{]"))] {
        let output = match document {
            Some(document) => import(&daemon, document, &[]),
            None => daemon.command(&["keys", "import", "/nowhere/keys.json"]),
        };
        assert_eq!(output.status.code(), Some(1), "{what}: {output:?}");
        assert!(error_text(&output).contains("keys.json: "), "{what}: {output:?}");
    }
}
