//! Files in the context of sessions, and what was synchronised into it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::transfer::{every_kind, exported, import_text};
use super::{all_of, chitty, new_task, open, session};
use crate::model::file::{ContextFile, FileFacts};
use crate::model::json::Json;
use crate::model::sync::{Ingest, SyncKind, SyncReport};
use crate::model::task::{NewTask, Priority, Status, TaskPatch};
use crate::store::context::{FilePage, FileQuery, MAX_FILES, Place, SyncQuery};
use crate::store::embedded::Embedded;
use crate::store::transfer::merge::Rows;
use crate::store::{ContextStore, Engine, Expected, Store, StoreError, TaskStore, Upkeep};

fn place(owner: &str) -> Place {
    Place { chitty_id: chitty(owner), session_id: session("s") }
}

fn json(text: &str) -> Json {
    Json::parse(text.to_owned()).unwrap()
}

pub(super) fn facts(uri: &str) -> FileFacts {
    FileFacts {
        uri: uri.to_owned(),
        name: None,
        size: None,
        sha256: None,
        mime: None,
        r2_key: None,
        metadata: None,
        modified_at: None,
    }
}

fn all(uris: &[&str]) -> Vec<FileFacts> {
    uris.iter().map(|uri| facts(uri)).collect()
}

fn report(files: Vec<FileFacts>) -> SyncReport {
    SyncReport { source: "rclone".to_owned(), path_prefix: Some("p/".to_owned()), files, items: json("[1]") }
}

fn query(owner: &str, active: Option<bool>) -> FileQuery {
    FileQuery { place: place(owner), active, after: None, limit: 1000 }
}

async fn files(store: &Embedded, active: Option<bool>) -> Vec<ContextFile> {
    store.list_files(query("alice", active)).await.unwrap().files
}

async fn uris(store: &Embedded, active: Option<bool>) -> Vec<String> {
    let mut uris: Vec<_> = files(store, active).await.into_iter().map(|file| file.facts.uri).collect();
    uris.sort();
    uris
}

on_each_engine!(
    a_set_takes_the_place_of_the_one_before_it,
    pages_of_files_meet_the_active_ones_first,
    a_session_knows_so_many_files_and_forgets_the_oldest_that_are_not_active,
    what_was_synchronised_is_kept_the_last_first,
    a_page_of_long_synchronisations_ends_early,
    another_tenants_context_does_not_exist,
    an_overview_is_the_most_urgent_and_the_latest,
    long_records_of_files_are_read_whole_while_they_are_replaced,
);

async fn a_set_takes_the_place_of_the_one_before_it(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    let metadata = FileFacts { metadata: Some(json(r#"{"n": 1e400}"#)), size: Some(5), ..facts("a") };
    assert_eq!(store.set_active_files(place("alice"), vec![metadata.clone(), facts("b")]).await.unwrap(), 2);
    let before = files(&store, None).await;
    let again = vec![facts("c"), facts("b"), FileFacts { size: Some(1), ..facts("c") }];
    assert_eq!(store.set_active_files(place("alice"), again).await.unwrap(), 2);
    assert_eq!(
        (uris(&store, Some(true)).await, uris(&store, Some(false)).await),
        (vec!["b".into(), "c".into()], vec!["a".into()])
    );
    let after = files(&store, None).await;
    let one = |files: &[ContextFile], uri: &str| files.iter().find(|file| file.facts.uri == uri).unwrap().clone();
    for uri in ["a", "b"] {
        let (before, after) = (one(&before, uri), one(&after, uri));
        assert_eq!((before.id, before.created_at), (after.id, after.created_at), "{uri}");
    }
    assert_eq!((one(&after, "a").facts, one(&after, "a").active), (metadata, false));
    assert_eq!(one(&after, "c").facts.size, Some(1), "the last of two counts");
    assert_eq!(store.set_active_files(place("alice"), vec![]).await.unwrap(), 0);
    assert_eq!((uris(&store, Some(true)).await.len(), uris(&store, Some(false)).await.len()), (0, 3));
    let report = store.verify().unwrap();
    assert_eq!((report.findings, report.entries[&'f'], report.entries[&'g']), (vec![], 3, 3));
    let seen = files(&store, None).await;
    store.close().await;
    drop(store);
    let store = open(engine, folder.path());
    assert_eq!(files(&store, None).await, seen);
    store.close().await;
}

async fn pages_of_files_meet_the_active_ones_first(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    let names: Vec<String> = (0..40).map(|number| format!("f{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    store.set_active_files(place("alice"), all(&names)).await.unwrap();
    store.set_active_files(place("alice"), all(&names[..15])).await.unwrap();
    for (active, count) in [(None, 40), (Some(true), 15), (Some(false), 25)] {
        let everything = files(&store, active).await;
        let order: Vec<_> =
            everything.iter().map(|file| (!file.active, std::cmp::Reverse(file.last_accessed))).collect();
        assert!(order.is_sorted() && everything.len() == count, "{active:?}");
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let FilePage { files, next, .. } =
                store.list_files(FileQuery { after, limit: 7, ..query("alice", active) }).await.unwrap();
            assert!(files.len() <= 7);
            found.extend(files);
            after = next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, everything, "{active:?}");
    }
    assert_eq!(store.list_files(FileQuery { limit: 0, ..query("alice", None) }).await.unwrap(), FilePage::default());
    store.close().await;
}

async fn a_session_knows_so_many_files_and_forgets_the_oldest_that_are_not_active(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    let some = |from: usize, count: usize| (from..from + count).map(|number| facts(&format!("f{number}"))).collect();
    for part in 0..4 {
        store.report_sync(place("alice"), report(some(part * 5000, 5000))).await.unwrap();
    }
    let one_more = store.report_sync(place("alice"), report(some(MAX_FILES, 1))).await;
    assert!(matches!(one_more, Err(StoreError::TooManyFiles(MAX_FILES))), "{one_more:?}");
    assert_eq!(store.verify().unwrap().entries[&'f'], MAX_FILES as u64);
    // The first part is heard of again, and the rest is no longer active: of that the longest unheard of goes.
    store.set_active_files(place("alice"), some(0, 1000)).await.unwrap();
    store.report_sync(place("alice"), report(some(MAX_FILES, 3))).await.unwrap();
    let report = store.verify().unwrap();
    assert_eq!((report.findings, report.entries[&'f'], report.entries[&'g']), (vec![], 20_000, 20_000));
    assert_eq!(files(&store, Some(true)).await.len(), 1000);
    store.close().await;
}

async fn what_was_synchronised_is_kept_the_last_first(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    let events = format!("[{}]", vec![format!("\"{}\"", "e".repeat(7000)); 100].join(", "));
    let large = Ingest { project: Some(json(r#"{"slug":"p"}"#)), count: 100, events: Some(json(&events)) };
    let first = store.ingest(place("alice"), large).await.unwrap();
    for number in 0..12 {
        match number % 3 {
            0 => store.report_sync(place("alice"), report(all(&["a", "b"]))).await.unwrap(),
            _ => {
                let small = Ingest { project: None, count: number, events: None };
                store.ingest(place("alice"), small).await.unwrap()
            }
        };
    }
    let asked = |kind| SyncQuery { place: place("alice"), kind, before: None, limit: 1000 };
    let everything = store.list_sync_events(asked(None)).await.unwrap().events;
    assert_eq!(everything.len(), 13);
    assert!(everything.is_sorted_by(|a, b| a.number > b.number));
    let oldest = everything.last().unwrap();
    assert_eq!((oldest.id, oldest.count, oldest.kind), (first, 100, SyncKind::Ingest));
    assert_eq!((oldest.payload.as_ref().unwrap().text(), oldest.source.as_str()), (&*events, "session"));
    for kind in [None, Some(SyncKind::Report), Some(SyncKind::Ingest)] {
        let wanted: Vec<_> =
            everything.iter().filter(|event| kind.is_none_or(|kind| event.kind == kind)).cloned().collect();
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let page = store.list_sync_events(SyncQuery { before, limit: 2, ..asked(kind) }).await.unwrap();
            assert!(page.events.len() <= 2);
            found.extend(page.events);
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(found, wanted, "{kind:?}");
    }
    let reported = everything.iter().find(|event| event.kind == SyncKind::Report).unwrap();
    assert_eq!((reported.count, reported.payload.as_ref().unwrap().text()), (2, "[1]"));
    // Each wrote its event with it.
    let lines = exported(&store).await;
    for (name, count) in [("context.files.synced", 4), ("context.session.ingested", 9), ("context.files.updated", 0)] {
        assert_eq!(lines.matches(&format!(r#""name":"{name}""#)).count(), count, "{name}");
    }
    assert!(lines.contains(&format!(r#""eventId":"{first}""#)));
    assert_eq!(store.verify().unwrap().findings, [""; 0]);
    store.close().await;
}

async fn a_page_of_long_synchronisations_ends_early(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    let long = format!("[\"{}\"]", "e".repeat(700_000));
    for _ in 0..16 {
        let ingest = Ingest { project: None, count: 1, events: Some(json(&long)) };
        store.ingest(place("alice"), ingest).await.unwrap();
    }
    store.report_sync(place("alice"), report(vec![])).await.unwrap();
    for (kind, count) in [(None, 17), (Some(SyncKind::Report), 1), (Some(SyncKind::Ingest), 16)] {
        let (mut found, mut pages, mut before) = (0, 0, None);
        loop {
            let asked = SyncQuery { place: place("alice"), kind, before, limit: 1000 };
            let page = store.list_sync_events(asked).await.unwrap();
            assert!(page.bytes < 2_200_000, "{}", page.bytes);
            (found, pages, before) = (found + page.events.len(), pages + 1, page.next);
            if before.is_none() {
                break;
            }
        }
        assert!(found == count && (2..=18).contains(&pages), "{kind:?}: {found} in {pages}");
    }
    store.close().await;
}

async fn another_tenants_context_does_not_exist(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    store.set_active_files(place("alice"), all(&["secret"])).await.unwrap();
    store.ingest(place("alice"), Ingest { project: None, count: 1, events: Some(json("[1]")) }).await.unwrap();
    for other in ["bob", "alic", "alicee", "Alice"] {
        assert_eq!(store.list_files(query(other, None)).await.unwrap(), FilePage::default());
        let asked = SyncQuery { place: place(other), kind: None, before: None, limit: 9 };
        assert!(store.list_sync_events(asked).await.unwrap().events.is_empty());
        let overview = store.overview(place(other), 10).await.unwrap();
        assert_eq!((overview.files.len(), overview.last_activity), (0, None));
        store.set_active_files(place(other), vec![]).await.unwrap();
    }
    let elsewhere = Place { session_id: session("s2"), ..place("alice") };
    store.set_active_files(elsewhere, all(&["other"])).await.unwrap();
    assert_eq!(uris(&store, Some(true)).await, ["secret"]);
    store.close().await;
}

async fn an_overview_is_the_most_urgent_and_the_latest(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    for number in 0..24 {
        let new = NewTask { priority: Priority::ALL[number % 4], ..new_task("alice", &number.to_string()) };
        let id = store.create_task(new, None).await.unwrap().task_id;
        let status = [None, Some(Status::InProgress), Some(Status::Completed)][number % 3];
        if status.is_some() {
            let patch = TaskPatch { status, ..TaskPatch::default() };
            store.update_task(&chitty("alice"), id, patch, Expected::Any, None).await.unwrap();
        }
    }
    let names: Vec<String> = (0..15).map(|number| number.to_string()).collect();
    store.set_active_files(place("alice"), all(&names.iter().map(String::as_str).collect::<Vec<_>>())).await.unwrap();
    let overview = store.overview(place("alice"), 10).await.unwrap();
    assert_eq!((overview.files.len(), overview.tasks.len()), (10, 10));
    let order: Vec<_> = overview.tasks.iter().map(|task| (task.priority as u8, task.updated_at)).collect();
    assert!(order.is_sorted_by(|a, b| a >= b), "{order:?}");
    assert_eq!(order.iter().filter(|(priority, _)| *priority == Priority::Urgent as u8).count(), 4);
    assert!(overview.tasks.iter().all(|task| !task.status.is_final()));
    // A task that is changed twice in a millisecond is later than the clock, and perhaps than the files.
    let last_task = store.list_tasks(all_of("alice")).await.unwrap().tasks[0].updated_at;
    assert_eq!(overview.last_activity, Some(last_task.max(overview.files[0].last_accessed)));
    store.close().await;
}

async fn long_records_of_files_are_read_whole_while_they_are_replaced(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(engine, folder.path()));
    let set = |number: usize| {
        let letter = char::from(b'a' + u8::try_from(number % 26).unwrap());
        let metadata = json(&format!("\"{}\"", letter.to_string().repeat(9_000 + 4_000 * (number % 3))));
        ["x", "y"].map(|uri| FileFacts { metadata: Some(metadata.clone()), ..facts(uri) }).to_vec()
    };
    store.set_active_files(place("alice"), set(0)).await.unwrap();
    let writer = {
        let store = Arc::clone(&store);
        let sets: Vec<_> = (0..300).map(set).collect();
        tokio::spawn(async move {
            for files in sets {
                store.set_active_files(place("alice"), files).await.unwrap();
            }
        })
    };
    while !writer.is_finished() {
        let found = store.list_files(query("alice", None)).await.unwrap();
        for file in found.files {
            let metadata = file.facts.metadata.unwrap();
            let letters: BTreeSet<u8> = metadata.text().trim_matches('"').bytes().collect();
            assert_eq!(letters.len(), 1, "two versions in one");
        }
    }
    writer.await.unwrap();
    assert_eq!(store.verify().unwrap().findings, [""; 0]);
}

#[tokio::test]
async fn files_that_come_from_elsewhere_are_listed_and_replaced_like_others() {
    let (folder, merged) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    import_text(folder.path(), &every_kind()).unwrap();
    let imported = open(Engine::Sled, folder.path());
    let store = open(Engine::Sled, merged.path());
    let mut rows = Rows::default();
    every_kind().lines().skip(5).take(4).for_each(|line| rows.add(line.as_bytes()).unwrap());
    let mut merging = store.begin_merge().await.unwrap();
    store.merge(&mut merging, rows).await.unwrap();
    for store in [imported, store] {
        assert_eq!(uris(&store, Some(true)).await, ["r2://files/s/k"]);
        store.set_active_files(place("alice"), all(&["r2://l"])).await.unwrap();
        assert_eq!(uris(&store, Some(false)).await, ["r2://files/s/k"]);
        assert_eq!(store.verify().unwrap().findings, [""; 0]);
        store.close().await;
    }
}
