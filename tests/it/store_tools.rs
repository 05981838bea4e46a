//! What an operator has for a store: `migrate`, and `store export|import|verify|repair|compact`, with the daemon and
//! without it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use chittyconnect::store::kv::Batch;
use serde_json::{Value, json};

use crate::support::patient::contents;
use crate::support::store::{as_format_1, cut, first_key, plant};
use crate::support::{BINARY, Daemon, Rows, Signal, Tenant, eventually};

/// A small database of the original, as `wrangler d1 export` writes it.
const DUMP: &str = "\
PRAGMA defer_foreign_keys=TRUE;
CREATE TABLE d1_migrations(id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE context_tasks (task_id TEXT PRIMARY KEY, session_id TEXT NOT NULL, chitty_id TEXT NOT NULL,
  task_type TEXT NOT NULL, status TEXT NOT NULL, title TEXT NOT NULL, priority TEXT, created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL, metadata TEXT, result TEXT);
INSERT INTO \"context_tasks\" VALUES('22222222-2222-4222-8222-222222222222','desk','alice','user_request','completed',
'42.0','high',1767323045,1767323046,'{}','plain; text');
INSERT INTO \"context_tasks\" VALUES('33333333-3333-4333-8333-333333333333','desk','alice','user_request','pending',\
'second',NULL,1767323045,1767323047,NULL,'{\"ok\":true}');
CREATE TABLE sync_events (event_id TEXT PRIMARY KEY, session_id TEXT, event_type TEXT, source TEXT, synced_at INTEGER);
INSERT INTO \"sync_events\" VALUES('55555555-5555-4555-8555-555555555555','desk','file_sync','rclone',1767323045);
";

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
fn done(daemon: &Daemon, arguments: &[&str]) -> String {
    let output = daemon.command(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn facts(daemon: &Daemon, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--format", "json"]].concat();
    let printed = done(daemon, &arguments);
    serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {printed}"))
}

/// Runs a command that must end with code 1 and say all of these words.
#[track_caller]
fn refused(rows: &mut Rows, daemon: &Daemon, arguments: &[&str], words: &[&str]) {
    let output = daemon.command(arguments);
    let what = arguments.join(" ");
    rows.eq(&what, &Some(1), &output.status.code());
    let said = text(&output);
    for word in words {
        rows.holds(format!("{what}: {word}"), said.contains(word), &said);
    }
    rows.holds(format!("{what}: no panic"), !said.contains("panicked"), &said);
}

#[track_caller]
fn stop(daemon: &mut Daemon) {
    daemon.signal(Signal::SIGTERM);
    daemon.wait_for_exit();
}

/// A daemon with some tasks of `alice` in `desk`, and what its list says.
fn with_tasks(tasks: usize) -> (Daemon, Tenant, String) {
    let daemon = Daemon::builder().start();
    let alice = Tenant::with(&daemon, "alice", &["--session", "desk"]);
    for number in 0..tasks {
        let body = json!({"title": number.to_string(), "description": "d".repeat(number * 211 % 9000)});
        alice.made(&daemon, &body);
    }
    let list = daemon.ask(&alice.list("limit=1000")).text();
    (daemon, alice, list)
}

fn store(daemon: &Daemon) -> PathBuf {
    daemon.folder().join("data")
}

#[test]
fn an_export_makes_the_same_store_again() {
    let (mut daemon, alice, list) = with_tasks(60);
    let online = done(&daemon, &["store", "export"]);
    assert!(!online.contains(&alice.key) && !online.contains(&alice.key[7..]), "no key is in it");
    let file = daemon.folder().join("all.jsonl");
    let file = file.to_str().unwrap();
    let exported = facts(&daemon, &["store", "export", file]);
    assert_eq!(exported, json!({"file": file, "records": 121}), "a key, 60 tasks and their events");
    assert_eq!(fs::read_to_string(file).unwrap(), online);
    let mut rows = Rows::new();
    refused(&mut rows, &daemon, &["store", "import", file], &["in use by process", "stop that one first"]);
    stop(&mut daemon);
    rows.holds("the same without the daemon", done(&daemon, &["store", "export", "-"]) == online, ());
    refused(&mut rows, &daemon, &["store", "import", file], &["the store has", "accepted: an empty one"]);
    rows.finish();

    let mut other = Daemon::builder().start();
    stop(&mut other);
    let cut_file = other.folder().join("cut.jsonl");
    fs::write(&cut_file, &online[..online.len() / 2]).unwrap();
    let mut rows = Rows::new();
    let line = format!("{}:{}: ", cut_file.display(), online[..online.len() / 2].lines().count());
    refused(&mut rows, &other, &["store", "import", cut_file.to_str().unwrap()], &[&line, "nothing was imported"]);
    let imported = facts(&other, &["store", "import", file]);
    rows.eq("imported", &json!({"records": 121, "counts": {"event": 60, "key": 1, "task": 60}}), &imported);
    rows.holds("the same comes out", done(&other, &["store", "export"]) == online, ());
    rows.finish();
    let other = other.start_again();
    assert_eq!(other.ask(&alice.list("limit=1000")).text(), list, "the key opens what it opened");
    alice.titled(&other, "and it goes on");
    assert_eq!(facts(&other, &["store", "verify"])["whole"], true);
}

#[test]
fn an_import_from_a_pipe_is_whole_or_nothing() {
    let (daemon, alice, list) = with_tasks(20);
    let export = done(&daemon, &["store", "export"]);
    let mut other = Daemon::builder().start();
    stop(&mut other);
    let piped = |bytes: &[u8]| {
        let config = other.config();
        let arguments = ["store", "import", "-", "--config", config.to_str().unwrap()];
        let mut child = Command::new(BINARY)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), bytes).unwrap();
        child.wait_with_output().unwrap()
    };
    let halves = export.find("\"kind\":\"event\"").unwrap() - 1;
    let output = piped(&export.as_bytes()[..halves]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("standard input:23: found the end of the file"), "{}", text(&output));
    assert!(piped(export.as_bytes()).status.success());
    let other = other.start_again();
    assert_eq!(other.ask(&alice.list("limit=1000")).text(), list);
}

#[test]
fn an_old_store_is_migrated_with_a_backup_beside_it() {
    let (mut daemon, alice, list) = with_tasks(30);
    let mut rows = Rows::new();
    for arguments in [&["migrate"][..], &["migrate", "--dry-run"], &["store", "repair"]] {
        refused(&mut rows, &daemon, arguments, &["in use by process", "needs the store to itself"]);
    }
    stop(&mut daemon);
    let up_to_date = done(&daemon, &["migrate"]);
    rows.holds("up to date", up_to_date.contains("is in format 3, and up to date"), &up_to_date);
    as_format_1(&store(&daemon));
    let found = contents(&store(&daemon));
    let dry = facts(&daemon, &["migrate", "--dry-run"]);
    rows.eq(
        "dry run",
        &(json!(1), json!(3), json!(null)),
        &(dry["from"].clone(), dry["to"].clone(), dry["backup"].clone()),
    );
    rows.holds("a dry run changes nothing", contents(&store(&daemon)) == found, ());
    let serve = daemon.command(&["serve"]);
    rows.eq("serve", &Some(1), &serve.status.code());
    rows.holds("serve names it", text(&serve).contains("`chittyconnect migrate` makes a backup"), text(&serve));

    // Killed at any moment, it can be done again.
    for looks in 0..8_u32 {
        let config = daemon.config();
        let arguments = ["migrate", "--config", config.to_str().unwrap()];
        let mut child =
            Command::new(BINARY).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        for _ in 0..looks * 400 {
            if child.try_wait().unwrap().is_some() {
                break;
            }
        }
        let _ = child.kill();
        child.wait().unwrap();
    }
    let migrated = facts(&daemon, &["migrate"]);
    rows.eq("to", &json!(3), &migrated["to"]);
    let backups: Vec<PathBuf> = fs::read_dir(store(&daemon))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("backup-format-1-"))
        .collect();
    rows.holds("a backup", !backups.is_empty(), &backups);
    for backup in &backups {
        rows.holds("with its witness", backup.join("witness").is_file(), backup);
    }
    rows.holds("nothing half done is left", !store(&daemon).join("backup.partial").exists(), ());
    rows.finish();
    let daemon = daemon.start_again();
    assert_eq!(daemon.ask(&alice.list("limit=1000")).text(), list);
    assert_eq!(facts(&daemon, &["store", "verify"])["findings"], json!([]));
}

#[test]
fn the_originals_tables_are_added_once_with_the_daemon_and_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let (dump, database) = (folder.path().join("d1.sql"), folder.path().join("d1.sqlite"));
    fs::write(&dump, DUMP).unwrap();
    rusqlite::Connection::open(&database).unwrap().execute_batch(DUMP).unwrap();
    let first = |imported: u64, skipped: u64| {
        let count = |rows: u64| json!({"imported": rows * imported, "skipped": rows * skipped});
        let bad = json!({"rows": [], "count": 0});
        json!({"tasks": count(2), "context_files": count(0), "sync_events": count(1), "bad_rows": bad})
    };
    let import =
        |daemon: &Daemon, file: &Path| facts(daemon, &["store", "import", "--from", "d1", file.to_str().unwrap()]);
    for online in [true, false] {
        let (mut daemon, alice, _) = with_tasks(1);
        if !online {
            stop(&mut daemon);
        }
        assert_eq!(import(&daemon, &dump), first(1, 0));
        assert_eq!(import(&daemon, &database), first(0, 1));
        let broken = folder.path().join("broken.sql");
        fs::write(&broken, DUMP.replace("'completed'", "'done'").replace("22222222", "11111111")).unwrap();
        let mut rows = Rows::new();
        let arguments = ["store", "import", "--from", "d1", broken.to_str().unwrap()];
        let words = ["context_tasks rowid 1: status: found \"done\"", "nothing was imported", "--skip-bad-rows"];
        refused(&mut rows, &daemon, &arguments, &words);
        let skipping = facts(&daemon, &[&arguments[..], &["--skip-bad-rows"]].concat());
        rows.eq("skipped", &json!(1), &skipping["bad_rows"]["count"]);
        rows.eq("verified", &json!(true), &facts(&daemon, &["store", "verify"])["whole"]);
        rows.finish();
        let daemon = if online { daemon } else { daemon.start_again() };
        let old = alice.task(&daemon, "22222222-2222-4222-8222-222222222222");
        assert_eq!(
            (&old["title"], &old["result"], &old["priority"]),
            (&json!("42.0"), &json!("plain; text"), &json!("high"))
        );
        assert_eq!(old["updated_at"], "2026-01-02T03:04:06.000Z");
        assert_eq!(alice.sorted_titles(&daemon, ""), ["0", "42.0", "second"]);
    }
}

/// Damage after which the count of entries is as before, so that only a look at everything shows it.
fn swap_an_index_entry(folder: &Path) {
    plant(folder, |kv| {
        let key = first_key(kv, b"s");
        let mut other = key.clone();
        *other.last_mut().unwrap() ^= 1;
        Batch::from([(key, None), (other, Some(Vec::new()))])
    });
}

#[test]
fn damage_is_found_and_mended() {
    let (mut daemon, alice, list) = with_tasks(25);
    let whole = facts(&daemon, &["store", "verify"]);
    assert_eq!((&whole["whole"], &whole["entries"]["task"]), (&json!(true), &json!(25)));
    let mut rows = Rows::new();
    stop(&mut daemon);
    rows.holds("whole", done(&daemon, &["store", "verify"]).contains("the store is whole"), ());
    rows.holds("nothing to mend", done(&daemon, &["store", "repair"]).contains("nothing was done"), ());
    swap_an_index_entry(&store(&daemon));
    let words = ["lacks salice", "the index entry salice", "the store is damaged", "`store repair`"];
    refused(&mut rows, &daemon, &["store", "verify"], &words);
    daemon = daemon.start_again();
    refused(&mut rows, &daemon, &["store", "verify"], &words);
    refused(&mut rows, &daemon, &["store", "verify", "--format", "json"], &["\"whole\": false"]);
    stop(&mut daemon);
    let repaired = facts(&daemon, &["store", "repair"]);
    rows.eq("kept", &json!(25), &repaired["kept"]["task"]);
    rows.eq("dropped", &json!(1), &repaired["dropped"]);
    rows.holds("whole again", done(&daemon, &["store", "verify"]).contains("the store is whole"), &repaired);
    rows.finish();
    let daemon = daemon.start_again();
    assert_eq!(daemon.ask(&alice.list("limit=1000")).text(), list);
}

/// What it is, what it does to the store's folder, and whether the tenant's key is left.
type Damage<'a> = (&'a str, &'a dyn Fn(&Path), bool);

#[test]
fn a_store_that_serve_refuses_serves_after_its_repair() {
    let mut rows = Rows::new();
    let behind = |folder: &Path| {
        let path = folder.join("witness");
        let text = fs::read_to_string(&path).unwrap();
        let mut said: Value = serde_json::from_str(text.trim().split_once(' ').unwrap().1).unwrap();
        (said["commit"], said["files"]) = (json!(said["commit"].as_u64().unwrap() + 4), json!(null));
        let json = said.to_string();
        fs::write(path, format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()))).unwrap();
    };
    let missing = |folder: &Path| plant(folder, |kv| Batch::from([(first_key(kv, b"t"), None)]));
    let bad = |folder: &Path| {
        plant(folder, |kv| Batch::from([(first_key(kv, b"k"), Some(b"\0\x02junk".to_vec()))]));
    };
    let cut_log = |folder: &Path| {
        let log = folder.join("engine/db");
        let length = fs::metadata(&log).unwrap().len();
        cut(&log, length - length / 20);
    };
    let witness = |folder: &Path| fs::write(folder.join("witness"), "junk").unwrap();
    let cases: [Damage<'_>; 5] = [
        ("behind its witness", &behind, true),
        ("a record is missing", &missing, true),
        ("a key cannot be read", &bad, false),
        ("the log is cut", &cut_log, true),
        ("the witness is junk", &witness, true),
    ];
    for (what, damage, key_is_left) in cases {
        let (mut daemon, alice, _) = with_tasks(60);
        stop(&mut daemon);
        damage(&store(&daemon));
        let serve = daemon.command(&["serve"]);
        rows.eq(format!("{what}: serve"), &Some(1), &serve.status.code());
        let found = contents(&store(&daemon).join("engine"));
        let output = daemon.command(&["store", "repair", "--format", "json"]);
        rows.eq(format!("{what}: repair"), &Some(0), &output.status.code());
        let repaired: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
        rows.eq(format!("{what}: something was wrong"), &json!(false), &repaired["whole"]);
        let kept = PathBuf::from(repaired["found"].as_str().unwrap_or_default());
        rows.holds(format!("{what}: kept as found"), contents(&kept.join("engine")) == found, &repaired);
        rows.holds(format!("{what}: a list of what is lost"), kept.join("lost.jsonl").is_file(), &repaired);
        let verified = facts(&daemon, &["store", "verify"]);
        rows.eq(format!("{what}: verified"), &json!(true), &verified["whole"]);
        let daemon = daemon.start_again();
        if key_is_left {
            let tasks = alice.page(&daemon, "limit=1000")["count"].as_u64().unwrap();
            rows.holds(format!("{what}: tasks"), (30..=60).contains(&tasks), tasks);
        }
    }
    rows.finish();
}

#[test]
fn an_engine_is_compacted_with_the_daemon_and_without_it() {
    let (mut daemon, alice, list) = with_tasks(10);
    for _ in 0..2 {
        let compacted = facts(&daemon, &["store", "compact"]);
        assert_eq!(compacted["engine"], "sled");
        assert!(compacted["bytes_after"].as_u64().unwrap() > 0, "{compacted}");
        if daemon.is_running() {
            stop(&mut daemon);
        }
    }
    let daemon = daemon.start_again();
    assert_eq!(daemon.ask(&alice.list("limit=1000")).text(), list);
}

#[test]
fn events_go_when_there_are_too_many() {
    let daemon = Daemon::builder().set("events", "{retain: 5s, retain_count: 5}").start();
    let alice = Tenant::new(&daemon, "alice");
    for number in 0..30 {
        alice.titled(&daemon, &number.to_string());
    }
    let kept = |daemon: &Daemon| {
        let export = done(daemon, &["store", "export"]);
        export.lines().filter(|line| line.starts_with("{\"kind\":\"event\"")).count()
    };
    eventually("the first 25 events are gone", || {
        let kept = kept(&daemon);
        if kept <= 5 { Ok(()) } else { Err(kept) }
    });
    let removed = daemon.metric("chittyconnect_store_removed_total{kind=\"event\"}");
    assert!(removed.is_some_and(|removed| removed >= 25.0), "{removed:?}");
    assert_eq!(facts(&daemon, &["store", "verify"])["whole"], true);
    assert_eq!(alice.page(&daemon, "")["count"], 30, "tasks stay");
}
