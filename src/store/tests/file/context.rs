//! Files that are kept, in the context of their session.

use super::super::context::facts;
use super::{at, contents, delete, keep, key, new_file, place, put, usage, whole};
use crate::model::file::FileFacts;
use crate::model::id::TaskId;
use crate::model::json::Json;
use crate::model::sync::{SyncKind, SyncReport};
use crate::model::task::NewTask;
use crate::store::context::{FileQuery, MAX_FILES, SyncQuery};
use crate::store::embedded::Embedded;
use crate::store::file::{Arrival, NewFile};
use crate::store::tests::transfer::exported;
use crate::store::tests::{new_task, open, session};
use crate::store::{ContextStore, Engine, FileStore, Store, StoreError, TaskStore};

on_each_engine!(
    what_is_said_of_a_file_is_not_what_it_is,
    a_file_that_is_kept_gives_way_to_no_other,
    a_file_is_committed_to_a_task_of_its_session,
    what_comes_and_goes_by_s3_is_a_synchronisation,
);

fn report(files: Vec<FileFacts>) -> SyncReport {
    let items = Json::parse("[]".to_owned()).unwrap();
    SyncReport { source: "rclone".to_owned(), path_prefix: None, files, items }
}

async fn row(store: &Embedded, uri: &str) -> FileFacts {
    store.context_file(place(), uri.to_owned()).await.unwrap().unwrap().facts
}

async fn what_is_said_of_a_file_is_not_what_it_is(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    let file = keep(&store, "s/a", "true").await;
    let said = |uri: &str| FileFacts {
        name: Some("other".to_owned()),
        size: Some(99),
        sha256: Some("0".repeat(64)),
        mime: Some("image/png".to_owned()),
        r2_key: Some("files/s/b".to_owned()),
        metadata: Some(Json::parse("[1]".to_owned()).unwrap()),
        ..facts(uri)
    };
    let elsewhere = "r2://files/t/a";
    for by_report in [false, true] {
        let files = vec![said(&file.uri()), said(elsewhere), said("r2://files/s/none"), said("https://a")];
        if by_report {
            store.report_sync(place(), report(files)).await.unwrap();
        } else {
            store.set_active_files(place(), files).await.unwrap();
        }
        let now = row(&store, &file.uri()).await;
        assert_eq!((now.size, now.sha256), (Some(4), Some(contents("true").hash.to_string())));
        assert_eq!((now.mime.as_deref(), now.r2_key), (Some("text/plain"), Some(file.r2_key())));
        assert_eq!((now.name.as_deref(), now.metadata.unwrap().text()), (Some("other"), "[1]"));
        for uri in [elsewhere, "r2://files/s/none", "https://a"] {
            assert_eq!(row(&store, uri).await, said(uri));
        }
        whole(&store).await;
    }
    assert!(!exported(&store).await.contains(r#""uri":"r2://files/s/a","name":"other","size":99"#));
    // Of what was only said of it before it came, the metadata stay.
    keep(&store, "s/none", "here").await;
    let now = row(&store, "r2://files/s/none").await;
    assert_eq!((now.size, now.metadata.unwrap().text()), (Some(4), "[1]"));
    delete(&store, &["a"]).await;
    assert_eq!(store.context_file(place(), file.uri()).await.unwrap(), None);
    store.set_active_files(place(), vec![said(&file.uri())]).await.unwrap();
    assert_eq!(row(&store, &file.uri()).await, said(&file.uri()));
    whole(&store).await;
    store.close().await;
}

async fn a_file_that_is_kept_gives_way_to_no_other(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    // The oldest of all, and not active.
    for number in 0..300 {
        keep(&store, &format!("s/{number}"), "x").await;
    }
    store.set_active_files(place(), vec![]).await.unwrap();
    let some = |from: usize, count: usize| (from..from + count).map(|number| facts(&format!("f{number}"))).collect();
    for part in 0..4 {
        store.report_sync(place(), report(some(part * 5000, 5000))).await.unwrap();
    }
    let one_more = store.report_sync(place(), report(some(MAX_FILES, 1))).await;
    assert!(matches!(one_more, Err(StoreError::TooManyFiles(MAX_FILES))), "{one_more:?}");
    keep(&store, "s/more", "x").await;
    store.set_active_files(place(), vec![facts("f0")]).await.unwrap();
    store.report_sync(place(), report(some(MAX_FILES, 7))).await.unwrap();
    assert_eq!(store.verify().unwrap().entries[&'f'], 20_000 + 301);
    assert!(store.context_file(place(), "r2://files/s/0".into()).await.unwrap().is_some());
    // One that is no longer kept counts no more, nor does what it was.
    delete(&store, &["0", "1", "more"]).await;
    store.report_sync(place(), report(some(MAX_FILES + 7, 1))).await.unwrap();
    assert_eq!(store.verify().unwrap().entries[&'f'], 20_000 + 298);
    whole(&store).await;
    store.close().await;
}

async fn a_file_is_committed_to_a_task_of_its_session(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    let file = keep(&store, "s/a", "x").await;
    let mine = store.create_task(new_task("alice", "t"), None).await.unwrap().task_id;
    let other = NewTask { session_id: session("t"), ..new_task("alice", "t") };
    let other = store.create_task(other, None).await.unwrap().task_id;
    let bobs = store.create_task(new_task("bob", "t"), None).await.unwrap().task_id;
    for task in [other, bobs, TaskId::random()] {
        let answer = store.commit_file(place(), key("a"), Some(task)).await;
        assert!(matches!(answer, Err(StoreError::NoSuchTask)), "{answer:?}");
    }
    assert!(matches!(store.commit_file(place(), key("b"), None).await, Err(StoreError::NoSuchFile)));
    store.set_active_files(place(), vec![]).await.unwrap();
    assert_eq!(store.commit_file(place(), key("a"), Some(mine)).await.unwrap(), file);
    let row = || async { store.context_file(place(), file.uri()).await.unwrap().unwrap() };
    assert_eq!((row().await.task_id, row().await.active), (Some(mine), true));
    let told = format!(
        r#""type":"context.files.committed","sessionId":"s","file":{{"r2_key":"files/s/a","sha256":"{}","size":1,"task_id":"{mine}"}}}}"#,
        contents("x").hash
    );
    assert!(exported(&store).await.contains(&told));
    // It stays, whatever is written over it, and whoever says it again without one.
    store.commit_file(place(), key("a"), None).await.unwrap();
    keep(&store, "s/a", "y").await;
    assert_eq!(row().await.task_id, Some(mine));
    keep(&store, "s/b", "y").await;
    store.commit_file(place(), key("b"), None).await.unwrap();
    assert!(exported(&store).await.contains(r#""size":1,"task_id":null}"#));
    whole(&store).await;
    store.close().await;
}

async fn what_comes_and_goes_by_s3_is_a_synchronisation(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    let syncs = || async {
        let asked = SyncQuery { place: place(), kind: Some(SyncKind::Report), before: None, limit: 100 };
        store.list_sync_events(asked).await.unwrap().events
    };
    keep(&store, "s/api", "x").await;
    assert_eq!(syncs().await, []);
    let file = put(&store, NewFile { how: Arrival::S3, ..new_file("alice", "s/\"q\"", "x") }).await.unwrap();
    let sync = syncs().await.remove(0);
    assert_eq!((sync.source.as_str(), sync.count, sync.path_prefix), ("s3", 1, None));
    let told = format!(
        r#"[{{"r2_key":"files/s/\"q\"","sha256":"{}","size":1,"modified":"{}"}}]"#,
        file.contents.hash, file.modified_at
    );
    assert_eq!(sync.payload.unwrap().text(), told);
    assert!(exported(&store).await.contains(&format!(r#""count":1,"eventId":"{}""#, sync.id)));
    delete(&store, &["api"]).await;
    assert_eq!(store.delete_files(place(), vec![key("none")], true).await.unwrap(), []);
    assert_eq!(syncs().await.len(), 1);
    assert_eq!(store.delete_files(place(), vec![key("\"q\""), key("none")], true).await.unwrap(), [file]);
    let sync = syncs().await.remove(0);
    assert_eq!((sync.count, sync.payload.unwrap().text()), (1, r#"[{"r2_key":"files/s/\"q\"","deleted":true}]"#));
    let text = exported(&store).await;
    assert_eq!(text.matches(r#""type":"context.files.deleted""#).count(), 2);
    // As many as S3 deletes at once, with the longest names there are.
    let names: Vec<String> = (0..1000).map(|number| format!("{number:04}{}", "\"".repeat(1020))).collect();
    for name in &names {
        keep(&store, &format!("s/{name}"), "x").await;
    }
    let gone = store.delete_files(place(), names.iter().map(|name| key(name)).collect(), true).await.unwrap();
    assert_eq!((gone.len(), usage(&store).await), (1000, (0, 0)));
    let (mut told, mut before) = (Vec::new(), None);
    loop {
        let asked = SyncQuery { place: place(), kind: None, before, limit: 100 };
        let page = store.list_sync_events(asked).await.unwrap();
        told.extend(page.events.iter().map(|sync| sync.count));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert!(told.len() < 10 && told.iter().sum::<u64>() == 1000 + 2, "{told:?}");
    let listed = FileQuery { place: at("alice", "s"), active: None, after: None, limit: 9 };
    assert_eq!(store.list_files(listed).await.unwrap().files, []);
    whole(&store).await;
    store.close().await;
}
