//! `chittyconnect keys create`: what it prints, what it refuses, with the daemon and without it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::support::task::{KEY_HEADER, is_time, new_key};
use crate::support::{Ask, CONNECT, Daemon, Rows, Signal, TASKS, Tenant};

fn error_text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn is_key(text: &str) -> bool {
    let lower_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    text.strip_prefix("chitty_").is_some_and(|hex| hex.len() == 64 && hex.chars().all(lower_hex))
}

fn list_with(key: &str) -> Ask {
    Ask::get(CONNECT, TASKS).header(KEY_HEADER, key)
}

fn time(value: &Value) -> jiff::Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn a_key_for_programs_is_one_object_with_all_that_was_asked_for() {
    let daemon = Daemon::builder().start();
    let mut rows = Rows::new();
    let plain = new_key(&daemon, "alice", &[]);
    let given = new_key(
        &daemon,
        "alice",
        &[
            "--session",
            "desk.1",
            "--name",
            "my laptop",
            "--scope",
            "context:read",
            "--scope",
            "mcp:call",
            "--expires",
            "1h",
        ],
    );
    for (what, made) in [("plain", &plain), ("given", &given)] {
        let keys: Vec<&String> = made.as_object().unwrap().keys().collect();
        let expected = [
            "chitty_id",
            "created_at",
            "expires_at",
            "id",
            "key",
            "name",
            "quota",
            "rate_limit",
            "scopes",
            "session_id",
        ];
        rows.eq(what, &expected.to_vec(), &keys.iter().map(|k| k.as_str()).collect());
        rows.holds(format!("{what}: key"), is_key(made["key"].as_str().unwrap()), made);
        rows.holds(format!("{what}: id"), made["id"].as_str().is_some_and(|id| !id.is_empty()), made);
        rows.holds(format!("{what}: created_at"), is_time(&made["created_at"]), made);
        rows.eq(format!("{what}: chitty_id"), &json!("alice"), &made["chitty_id"]);
    }
    let scopes = |made: &Value| -> BTreeSet<String> {
        made["scopes"].as_array().unwrap().iter().map(|scope| scope.as_str().unwrap().to_owned()).collect()
    };
    rows.eq("plain: expires_at", &Value::Null, &plain["expires_at"]);
    rows.eq("plain: session", &json!(format!("key-{}", plain["id"].as_str().unwrap())), &plain["session_id"]);
    rows.eq("plain: scopes", &["context:write".to_owned(), "files:write".to_owned()].into(), &scopes(&plain));
    rows.eq("given: session", &json!("desk.1"), &given["session_id"]);
    rows.eq("given: name", &json!("my laptop"), &given["name"]);
    rows.eq("given: scopes", &["context:read".to_owned(), "mcp:call".to_owned()].into(), &scopes(&given));
    rows.holds("given: expires_at", is_time(&given["expires_at"]), &given);
    let life = time(&given["expires_at"]).duration_since(time(&given["created_at"]));
    rows.holds("given: an hour, but for the moment between", (3599..=3601).contains(&life.as_secs()), &given);
    rows.holds("two keys", plain["key"] != given["key"] && plain["id"] != given["id"], (&plain, &given));
    rows.finish();
}

#[test]
fn a_key_for_a_shell_is_the_only_line_of_its_output() {
    let daemon = Daemon::builder().start();
    let output = daemon.command(&["keys", "create", "--chitty-id", "alice", "--name", "for a shell"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let key = text.strip_suffix('\n').unwrap();
    assert!(is_key(key), "{text:?}");
    let beside = error_text(&output);
    assert!(!beside.trim().is_empty() && !beside.contains(key), "{beside}");
    assert!(beside.contains("alice"), "{beside}");
    assert_eq!(daemon.ask(&list_with(key)).status(), 200, "it is good at once");
}

#[test]
fn every_scope_of_the_design_is_accepted() {
    let daemon = Daemon::builder().start();
    let mut rows = Rows::new();
    for scope in [
        "context:read",
        "context:write",
        "files:read",
        "files:write",
        "registry:write",
        "mcp:call",
        "admin",
        "read",
        "write",
    ] {
        let made = new_key(&daemon, "alice", &["--scope", scope]);
        // The short ones may be kept or told apart into those that they mean.
        let both = [format!("context:{scope}"), format!("files:{scope}")];
        let kept = made["scopes"] == json!([scope]) || !scope.contains(':') && made["scopes"] == json!(both);
        rows.holds(scope, kept, &made);
    }
    rows.finish();
}

#[test]
fn ids_at_the_edge_of_what_is_accepted_are_accepted() {
    let daemon = Daemon::builder().start();
    let (longest, long_session) = ("a".repeat(128), "s".repeat(128));
    let mut rows = Rows::new();
    for (chitty_id, session) in [
        ("a", "s"),
        ("0", "0"),
        ("did:chitty:01-A@x.y_z", "S-1.2_3"),
        (longest.as_str(), long_session.as_str()),
        ("a..b", "s..t"),
    ] {
        let tenant = Tenant::with(&daemon, chitty_id, &["--session", session]);
        let id = tenant.titled(&daemon, "t");
        let task = tenant.task(&daemon, &id);
        rows.eq(
            chitty_id,
            &(json!(chitty_id), json!(session)),
            &(task["chitty_id"].clone(), task["session_id"].clone()),
        );
    }
    rows.finish();
}

#[test]
fn a_mistake_names_the_flag_and_what_is_accepted() {
    // What a message may say is accepted: a length or the pattern, the scopes, an example.
    const ID: &[&str] = &["128", "127"];
    const SCOPE: &[&str] = &["context:read"];
    const TIME: &[&str] = &["1h", "24h", "30d", "90d"];
    let daemon = Daemon::builder().start();
    let too_long = format!("--chitty-id={}", "a".repeat(129));
    let long_session = format!("--session={}", "s".repeat(129));
    let good = "--chitty-id=alice";
    let mut rows = Rows::new();
    for (flags, flag, way_out) in [
        (&["--chitty-id="][..], "--chitty-id", ID),
        (&["--chitty-id=a b"], "--chitty-id", ID),
        (&["--chitty-id=-a"], "--chitty-id", ID),
        (&["--chitty-id=.a"], "--chitty-id", ID),
        (&["--chitty-id=a/b"], "--chitty-id", ID),
        (&["--chitty-id=a\\b"], "--chitty-id", ID),
        (&["--chitty-id=ä"], "--chitty-id", ID),
        (&["--chitty-id=a\nb"], "--chitty-id", ID),
        (&[&too_long], "--chitty-id", ID),
        (&[good, "--session="], "--session", ID),
        (&[good, "--session=a b"], "--session", ID),
        (&[good, "--session=../x"], "--session", ID),
        (&[good, "--session=-s"], "--session", ID),
        (&[good, "--session=a:b"], "--session", ID),
        (&[good, &long_session], "--session", ID),
        (&[good, "--scope=bogus"], "--scope", SCOPE),
        (&[good, "--scope="], "--scope", SCOPE),
        (&[good, "--scope=context:read", "--scope=Context:Read"], "--scope", SCOPE),
        (&[good, "--expires=soon"], "--expires", TIME),
        (&[good, "--expires="], "--expires", TIME),
        (&[good, "--expires=-1h"], "--expires", TIME),
        (&[good, "--expires=1000000000000y"], "--expires", TIME),
    ] {
        let output = daemon.command(&[&["keys", "create"], flags].concat());
        let what = flags.join(" ").chars().take(60).collect::<String>();
        rows.eq(&what, &Some(1), &output.status.code());
        let text = error_text(&output);
        rows.holds(format!("{what}: the flag"), text.contains(flag), &text);
        rows.holds(format!("{what}: what is accepted"), way_out.iter().any(|word| text.contains(word)), &text);
        rows.holds(format!("{what}: no panic"), !text.contains("panicked"), &text);
        rows.eq(format!("{what}: nothing on stdout"), &0, &output.stdout.len());
    }
    rows.finish();
    let without = daemon.command(&["keys", "create"]);
    assert!(!without.status.success() && error_text(&without).contains("--chitty-id"), "{without:?}");
}

#[test]
fn keys_are_made_with_the_daemon_and_without_it() {
    let mut daemon = Daemon::builder().start();
    let online = Tenant::with(&daemon, "alice", &["--session", "desk"]);
    let id = online.titled(&daemon, "made while it runs");
    daemon.signal(Signal::SIGTERM);
    daemon.wait_for_exit();
    let offline = Tenant::with(&daemon, "alice", &["--session", "desk"]);
    assert_ne!(offline.key, online.key);
    let daemon = daemon.start_again();
    for tenant in [&online, &offline] {
        assert_eq!(tenant.task(&daemon, &id)["title"], "made while it runs");
    }
    let later = Tenant::with(&daemon, "bob", &[]);
    assert_eq!(later.page(&daemon, "")["count"], 0);

    // After a kill, too, whose socket is left behind.
    let mut daemon = daemon;
    daemon.signal(Signal::SIGKILL);
    daemon.wait_for_exit();
    let offline_again = Tenant::with(&daemon, "alice", &[]);
    let daemon = daemon.start_again();
    for tenant in [&online, &offline, &later, &offline_again] {
        assert_eq!(daemon.ask(&list_with(&tenant.key)).status(), 200, "{}", tenant.key_id);
    }
}

#[test]
fn a_key_is_stored_nowhere_as_it_is() {
    let mut daemon = Daemon::builder().start();
    let online = Tenant::new(&daemon, "alice");
    online.titled(&daemon, "find me");
    daemon.ask(&Ask::get(CONNECT, &format!("{TASKS}?api_key={}", online.key)));
    daemon.ask(&Ask::get(CONNECT, TASKS).header("Authorization", &format!("Bearer {}", online.key)));
    daemon.access_line("of the list", |line| line["path"] == TASKS && line["status"] == 200);
    daemon.signal(Signal::SIGTERM);
    daemon.wait_for_exit();
    let offline = Tenant::new(&daemon, "bob");
    let mut titles = 0;
    let mut wrong = Vec::new();
    for file in files(daemon.folder()) {
        let bytes = fs::read(&file).unwrap_or_default();
        let holds = |needle: &str| bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
        titles += usize::from(holds("find me"));
        for tenant in [&online, &offline] {
            // The whole of it, and half of it without the prefix.
            if holds(&tenant.key) || holds(&tenant.key[7..39]) || holds(&tenant.key[39..]) {
                wrong.push(file.clone());
            }
        }
    }
    assert!(titles > 0, "the search finds what is stored");
    assert!(wrong.is_empty(), "keys in {wrong:?}");
}

#[test]
fn a_key_that_is_revoked_is_let_in_no_more() {
    let mut daemon = Daemon::builder().start();
    let alice = Tenant::with(&daemon, "alice", &["--name", "laptop"]);
    let bob = Tenant::new(&daemon, "bob");
    let status = |daemon: &Daemon, tenant: &Tenant| daemon.ask(&list_with(&tenant.key)).fate();
    let listed = |daemon: &Daemon| {
        let output = daemon.command(&["keys", "list", "--format", "json"]);
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.contains(&alice.key[7..]) && !text.contains(&bob.key[7..]), "{text}");
        let list: Value = serde_json::from_str(&text).unwrap();
        let keys = list["keys"].as_array().unwrap().iter();
        keys.map(|key| (key["id"].clone(), key["chitty_id"].clone(), key["status"].clone())).collect::<Vec<_>>()
    };
    let row = |tenant: &Tenant, status: &str| {
        (Value::from(&*tenant.key_id), Value::from(&*tenant.chitty_id), Value::from(status))
    };
    assert_eq!(listed(&daemon), [row(&alice, "active"), row(&bob, "active")]);

    // Under the running daemon, from the next request on; twice is once.
    for _ in 0..2 {
        let output = daemon.command(&["keys", "revoke", &alice.key_id]);
        assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("revoked"), "{output:?}");
        assert_eq!(status(&daemon, &alice), "401 API key is inactive");
    }
    assert_eq!(daemon.ask(&list_with(&bob.key)).status(), 200);
    for wrong in ["0000000000000000", &bob.key] {
        let output = daemon.command(&["keys", "revoke", wrong]);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains("accepted: an id of `keys list`"), "{message}");
    }

    // In the store itself, and over a restart.
    daemon.signal(Signal::SIGTERM);
    daemon.wait_for_exit();
    assert!(daemon.command(&["keys", "revoke", &bob.key_id]).status.success());
    assert_eq!(listed(&daemon), [row(&alice, "revoked"), row(&bob, "revoked")]);
    let daemon = daemon.start_again();
    for tenant in [&alice, &bob] {
        assert_eq!(status(&daemon, tenant), "401 API key is inactive");
    }
}
