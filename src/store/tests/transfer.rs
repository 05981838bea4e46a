//! Exports and what is made of them.

use std::path::Path;

use serde_json::json;

use super::{all_of, chitty, config, new_task, once, open};
use crate::model::json::Json;
use crate::model::task::{NewTask, Status, TaskPatch};
use crate::store::Engine;
use crate::store::embedded::Embedded;
use crate::store::transfer::export::Export;
use crate::store::transfer::import::{ImportError, Imported, import};
use crate::store::transfer::merge::Rows;
use crate::store::{Expected, Store, TaskStore, Upkeep};

/// A line of every kind, between a header and an end.
pub(super) fn every_kind() -> String {
    let hex = |digit: &str| digit.repeat(64);
    let time = "2026-01-02T03:04:05.678Z";
    let task = |id: u8, more: &str| {
        format!(
            r#"{{"kind":"task","chitty_id":"alice","session_id":"s","task_id":"00000000-0000-4000-8000-0000000000{id:02}","task_type":"t","status":"completed","title":"é","priority":"high","created_at":"{time}","updated_at":"{time}","version":3{more}}}"#
        )
    };
    let lines = [
        r#"{"kind":"chittyconnect_store","format":3,"version":"0.2.0","event":9,"trimmed":2}"#.to_owned(),
        format!(
            r#"{{"kind":"key","chitty_id":"alice","session_id":"s","id":"k1","hash":"{}","name":"laptop","scopes":["admin"],"created_at":"{time}","status":"revoked","rate_limit":7}}"#,
            hex("a")
        ),
        format!(
            r#"{{"kind":"session","chitty_id":"alice","id":"s","created":"{time}","updated":"{time}","expires":"{time}","state":"active","decisions":[{{"a":1}}],"interactions":2,"context":[["k",1e400]],"metadata":null}}"#
        ),
        format!(
            r#"{{"kind":"project","chitty_id":"alice","key":"project:o:p","value":{{"summary":"x"}},"updated_at":"{time}"}}"#
        ),
        format!(
            r#"{{"kind":"registration","chitty_id":"alice","name":"score","entry":{{"id":"score"}},"registered_at":"{time}","updated_at":"{time}","expires_at":"{time}"}}"#
        ),
        task(1, r#","description":"d","metadata":null,"result":12345678901234567890.10"#),
        task(2, r#","assigned_service":"x","parent_task_id":"00000000-0000-4000-8000-000000000001","error":"e""#),
        format!(
            r#"{{"kind":"context_file","chitty_id":"alice","session_id":"s","id":"00000000-0000-4000-8000-000000000009","uri":"r2://files/s/k","active":true,"created_at":"{time}","last_accessed":"{time}","size":5368709120,"sha256":"{}","metadata":{{"a":[1]}}}}"#,
            hex("d")
        ),
        format!(
            r#"{{"kind":"sync_event","chitty_id":"alice","session_id":"s","number":4,"id":"00000000-0000-4000-8000-000000000008","event_type":"sync-report","source":"rclone","count":3,"created_at":"{time}","path_prefix":"p","payload":[]}}"#
        ),
        format!(
            r#"{{"kind":"event","chitty_id":"alice","session_id":"s","number":9,"name":"task.created","at":"{time}","body":{{"type":"task.created"}}}}"#
        ),
        format!(
            r#"{{"kind":"once","chitty_id":"alice","key_id":"k1","name_sha256":"{}","fingerprint":"{}","expires_at":"{time}","answer":{{"task_updated":{{"updated_at":"{time}","version":3}}}}}}"#,
            hex("b"),
            hex("c")
        ),
        format!(r#"{{"kind":"bucket","chitty_id":"alice","session_id":"s","created_at":"{time}"}}"#),
        format!(
            r#"{{"kind":"stored_file","chitty_id":"alice","session_id":"s","key":"k","sha256":"{}","size":5368709120,"etag":"e-2","headers":[["cache-control","no-store"]],"metadata":[["a","é"]],"key_id":"k1","created_at":"{time}","modified_at":"{time}","mime":"text/plain","source_modified_at":"{time}"}}"#,
            hex("d")
        ),
        r#"{"kind":"end","records":12,"counts":{"bucket":1,"context_file":1,"event":1,"key":1,"once":1,"project":1,"registration":1,"session":1,"stored_file":1,"sync_event":1,"task":2}}"#.to_owned(),
    ];
    lines.map(|line| line + "\n").concat()
}

pub(super) async fn exported(store: &Embedded) -> String {
    let (mut export, mut text) = (Export::new(), Vec::new());
    while !export.is_done() {
        let (further, lines) = store.export(export).await.unwrap();
        text.extend(lines);
        export = further;
    }
    String::from_utf8(text).unwrap()
}

pub(super) fn import_text(folder: &Path, text: &str) -> Result<Imported, ImportError> {
    import(&config(Engine::Sled, folder), &mut text.as_bytes(), "x.jsonl")
}

#[tokio::test]
async fn every_kind_of_record_goes_in_and_comes_out_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let text = every_kind();
    assert_eq!(import_text(folder.path(), &text).unwrap().records, 12);
    let store = open(Engine::Sled, folder.path());
    assert_eq!(store.verify().unwrap().findings, [""; 0]);
    let found = exported(&store).await;
    assert_eq!(found, text.replace("0.2.0", env!("CARGO_PKG_VERSION")));
    // The event log goes on behind what was imported.
    store.create_task(new_task("alice", "later"), None).await.unwrap();
    assert!(exported(&store).await.contains(r#""number":10,"name":"task.created""#));
    assert_eq!(store.verify().unwrap().findings, [""; 0]);
    store.close().await;
}

#[tokio::test]
async fn a_store_that_was_used_comes_back_from_its_export() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(Engine::Sled, from.path());
    for number in 0..300 {
        let new = NewTask {
            description: Some("d".repeat(number * 50)),
            metadata: Some(Json::parse("{\n \"a\": \"\\n\"\r\n}".to_owned()).unwrap()),
            ..new_task(if number % 3 == 0 { "alice" } else { "bob" }, &number.to_string())
        };
        let owner = new.chitty_id.clone();
        let made = store.create_task(new, Some(once(&number.to_string(), 1))).await.unwrap();
        let patch = TaskPatch { status: Some(Status::InProgress), ..TaskPatch::default() };
        store.update_task(&owner, made.task_id, patch, Expected::Any, None).await.unwrap();
    }
    let text = exported(&store).await;
    assert_eq!(text.lines().count(), 2 + 300 * 4);
    import_text(to.path(), &text).unwrap();
    let copy = open(Engine::Sled, to.path());
    assert_eq!(copy.verify().unwrap().findings, [""; 0]);
    assert_eq!(exported(&copy).await, text);
    let metadata = |task: &crate::model::task::Task| {
        serde_json::from_str::<serde_json::Value>(task.metadata.as_ref().unwrap().text()).unwrap()
    };
    for owner in ["alice", "bob"] {
        let (mut ours, mut its) =
            (store.list_tasks(all_of(owner)).await.unwrap().tasks, copy.list_tasks(all_of(owner)).await.unwrap().tasks);
        assert!(!ours.is_empty());
        // White space between the tokens of JSON is all that may change.
        assert!(ours.iter().zip(&its).all(|(a, b)| metadata(a) == metadata(b) && metadata(a) == json!({"a": "\n"})));
        ours.iter_mut().chain(&mut its).for_each(|task| task.metadata = None);
        assert_eq!(ours, its);
    }
    store.close().await;
    copy.close().await;
}

#[test]
fn a_file_that_is_wrong_anywhere_leaves_the_store_as_it_was() {
    let text = every_kind();
    let lines: Vec<&str> = text.lines().collect();
    let without = |index: usize| {
        let rest = lines.iter().enumerate().filter(|(at, _)| *at != index);
        rest.map(|(_, line)| (*line).to_owned() + "\n").collect::<String>()
    };
    let with = |index: usize, from: &str, to: &str| {
        assert!(lines[index].contains(from), "{from} in {}", lines[index]);
        let changed = lines
            .iter()
            .enumerate()
            .map(|(at, line)| if at == index { line.replace(from, to) } else { (*line).to_owned() });
        changed.map(|line| line + "\n").collect::<String>()
    };
    let cut = &text[..text.len() - 60];
    let cases: Vec<(String, u64, &str)> = vec![
        (String::new(), 1, "found nothing"),
        ("junk\n".to_owned(), 1, "found what is no JSON object"),
        (without(0), 1, "accepted: the header"),
        (without(13), 14, "found the end of the file"),
        (without(12), 13, "the closing line counts"),
        (cut.to_owned(), 14, "found what is no JSON object"),
        (with(0, "\"format\":3", "\"format\":4,\"new\":1"), 1, "found an export in format 4; accepted: 2 to 3"),
        (with(12, "\"key\":\"k\"", "\"key\":\"../k\""), 13, "cannot be"),
        (with(11, "\"bucket\"", "\"part\""), 12, "kind: found \"part\"; accepted: key, "),
        (with(1, "alice", "al/ice"), 2, "not a chitty id"),
        (with(1, "\"admin\"", "\"god\""), 2, "cannot be"),
        (with(1, &"a".repeat(64), "chitty_key"), 2, "accepted: 64 hexadecimal digits"),
        (with(5, "completed", "done"), 6, "unknown variant `done`"),
        (with(5, "\"title\"", "\"titel\""), 6, "unknown field `titel`"),
        (with(5, "\"title\":\"é\",", ""), 6, "missing field `title`"),
        (with(5, "2026-01-02T03:04:05.678Z", "yesterday"), 6, "accepted: a time such as"),
        (with(6, "000000000002", "000000000001"), 7, "it is there twice"),
        (with(6, "\"e\"", &format!("\"{}\"", "e".repeat(1 << 20))), 7, "too long; accepted: 1 MiB"),
        (with(8, "sync_event", "sink_event"), 9, "kind: found \"sink_event\"; accepted: key, "),
        (format!("{text}{}\n", lines[1]), 15, "behind the closing one"),
        (format!("{}\n{text}", lines[0]), 2, "second header"),
        (with(3, "{\"summary\"", "{\"summary"), 4, "no JSON object"),
    ];
    for (wrong, line, says) in cases {
        let folder = tempfile::tempdir().unwrap();
        let error = import_text(folder.path(), &wrong).unwrap_err().to_string();
        assert!(error.starts_with(&format!("x.jsonl:{line}: ")) && error.contains(says), "{says}: {error}");
        assert!(error.ends_with("nothing was imported"), "{error}");
        assert!(!folder.path().join("data/engine.new").exists());
        // It is empty still, and takes the right file.
        assert_eq!(import_text(folder.path(), &text).unwrap().records, 12, "{says}");
    }
}

#[tokio::test]
async fn a_store_with_anything_in_it_takes_no_import() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(Engine::Sled, folder.path());
    let locked = import_text(folder.path(), &every_kind()).unwrap_err();
    assert!(locked.to_string().contains("in use by process"), "{locked}");
    let made = store.create_task(new_task("alice", "mine"), None).await.unwrap();
    store.close().await;
    drop(store);
    let refused = import_text(folder.path(), &every_kind()).unwrap_err();
    assert!(matches!(refused, ImportError::NotEmpty(5)), "{refused}");
    let store = open(Engine::Sled, folder.path());
    assert!(store.task(&chitty("alice"), made.task_id).await.unwrap().is_some());
    store.close().await;
}

#[tokio::test]
async fn rows_are_merged_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(Engine::Sled, folder.path());
    store.create_task(new_task("alice", "mine"), None).await.unwrap();
    let text = every_kind();
    let rows = || {
        let mut rows = Rows::default();
        text.lines().skip(5).take(4).for_each(|line| rows.add(line.as_bytes()).unwrap());
        rows
    };
    assert!(Rows::default().add(text.lines().nth(1).unwrap().as_bytes()).unwrap_err().contains("accepted: task"));
    for (imported, skipped) in [(1, 0), (0, 1)] {
        let mut merging = store.begin_merge().await.unwrap();
        let merged = store.merge(&mut merging, rows()).await.unwrap();
        assert_eq!((merged.tasks.imported, merged.tasks.skipped), (2 * imported, 2 * skipped));
        assert_eq!((merged.context_files.imported, merged.context_files.skipped), (imported, skipped));
        assert_eq!((merged.sync_events.imported, merged.sync_events.skipped), (imported, skipped));
        assert_eq!(store.verify().unwrap().findings, [""; 0]);
    }
    assert_eq!(store.list_tasks(all_of("alice")).await.unwrap().tasks.len(), 3);
    store.close().await;
}
