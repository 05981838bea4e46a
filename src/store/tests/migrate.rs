//! Stores of older formats, brought up to date.

use std::collections::BTreeMap;
use std::fs;
use std::ops::{Bound, ControlFlow};
use std::path::{Path, PathBuf};

use super::context::facts;
use super::file::{keep, place};
use super::{all_of, config, new_task, open, try_open};
use crate::store::Engine;
use crate::store::context::FileQuery;
use crate::store::embedded::OpenError;
use crate::store::folder::Folder;
use crate::store::kv::sled::SledKv;
use crate::store::kv::{Batch, Direction, Kv};
use crate::store::migrate::{MigrateError, migrate};
use crate::store::migration::m0001_context_sync::FormatRecord;
use crate::store::migration::{FORMAT, encode};
use crate::store::witness::Witness;
use crate::store::{ContextStore, Durability, FileStore, KeyStore, Store, TaskStore, key};

/// Makes a store, closed, what an older format makes of it.
fn as_format(number: u8, data: &Path) {
    let kv = SledKv::open(&data.join("engine"), Durability::PowerLoss).unwrap();
    let mut batch = Batch::new();
    let mut continued: Option<Vec<u8>> = None;
    kv.range((Bound::Unbounded, Bound::Unbounded), Direction::Forward, &mut |key, entry| {
        if continued.as_ref().is_some_and(|of| key.len() == of.len() + 1 && key.starts_with(of)) {
            return ControlFlow::Continue(());
        }
        // The first byte of a value is that of its continuations, but for meta records, which have none.
        let at = usize::from(key[0] != b'm');
        if entry.len() > at {
            let mut entry = entry.to_vec();
            entry[at] = number;
            continued = (at == 1 && entry[0] > 0).then(|| key.to_vec());
            batch.insert(key.to_vec(), Some(entry));
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    let mut format = encode(&FormatRecord { format: number, oldest_reader: format!("0.{number}.0") }).unwrap();
    format[0] = number;
    batch.insert(key::FORMAT.to_vec(), Some(format));
    let commit = crate::store::migration::decode::<crate::store::migration::m0001_context_sync::CommitRecord>(
        &kv.get(key::COMMIT).unwrap().unwrap(),
    );
    kv.apply(batch).unwrap();
    kv.sync().unwrap();
    drop(kv);
    let folder = Folder::take(data).unwrap();
    Witness::begin(&folder, number, "sled", commit.unwrap().commit).unwrap().end(&folder).unwrap();
}

async fn old_store(folder: &Path) {
    let store = open(Engine::Sled, folder);
    for number in 0..20 {
        let mut new = new_task("alice", &number.to_string());
        new.description = Some("d".repeat(number * 1000));
        store.create_task(new, None).await.unwrap();
    }
    store.close().await;
    drop(store);
    as_format(1, &folder.join("data"));
}

pub(super) fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(within) = folders.pop() {
        for entry in fs::read_dir(within).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    files
}

fn backups(data: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    names.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("backup")).collect()
}

#[tokio::test]
async fn an_old_store_is_backed_up_and_brought_up_to_date_once() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    assert!(matches!(migrate(&config(Engine::Sled, folder.path()), false), Err(MigrateError::NoStore(_))));
    assert!(!data.exists());
    old_store(folder.path()).await;
    let found = contents(&data);
    assert!(matches!(try_open(Engine::Sled, folder.path()), Err(OpenError::TooOld { format: 1, .. })));

    let dry = migrate(&config(Engine::Sled, folder.path()), true).unwrap();
    assert_eq!((dry.from, dry.to, dry.steps.len(), dry.backup), (Some(1), FORMAT, 2, None));
    let mut now = contents(&data);
    // The refused start noted who it was.
    now.insert("lock".into(), found[Path::new("lock")].clone());
    assert!(now == found);

    let done = migrate(&config(Engine::Sled, folder.path()), false).unwrap();
    let backup = done.backup.clone().unwrap();
    assert_eq!((done.from, done.steps), (Some(1), dry.steps));
    let kept = contents(&backup);
    assert!(kept.iter().all(|(path, bytes)| found[path] == *bytes) && kept.contains_key(Path::new("witness")));
    assert_eq!(kept.len(), found.len() - 1, "everything but the lock");

    let store = open(Engine::Sled, folder.path());
    assert_eq!(store.list_tasks(all_of("alice")).await.unwrap().tasks.len(), 20);
    assert_eq!(store.verify().unwrap().findings, [""; 0]);
    store.create_task(new_task("alice", "new"), None).await.unwrap();
    let in_use = migrate(&config(Engine::Sled, folder.path()), false).unwrap_err();
    assert!(matches!(in_use, MigrateError::Open(OpenError::Locked { .. })), "{in_use}");
    let in_use = migrate(&config(Engine::Sled, folder.path()), true).unwrap_err();
    assert!(matches!(in_use, MigrateError::Open(OpenError::Locked { .. })), "{in_use}");
    store.close().await;
    drop(store);
    for dry_run in [true, false] {
        let again = migrate(&config(Engine::Sled, folder.path()), dry_run).unwrap();
        assert_eq!((again.from, again.steps.len(), again.backup.as_ref()), (Some(FORMAT), 0, None));
        assert!(again.to_string().ends_with("up to date"), "{again}");
    }
    assert_eq!(backups(&data), std::slice::from_ref(&backup));

    // The backup is a store: put back, it can be migrated again.
    fs::remove_dir_all(data.join("engine")).unwrap();
    fs::rename(backup.join("engine"), data.join("engine")).unwrap();
    fs::rename(backup.join("witness"), data.join("witness")).unwrap();
    assert_eq!(migrate(&config(Engine::Sled, folder.path()), false).unwrap().from, Some(1));
    assert_eq!(open(Engine::Sled, folder.path()).list_tasks(all_of("alice")).await.unwrap().tasks.len(), 20);
}

#[tokio::test]
async fn a_migration_that_ended_in_the_middle_is_done_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    old_store(folder.path()).await;
    let witness = fs::read(data.join("witness")).unwrap();
    // A backup that was not finished.
    fs::create_dir_all(data.join("backup.partial/engine")).unwrap();
    migrate(&config(Engine::Sled, folder.path()), false).unwrap();
    assert!(!data.join("backup.partial").exists());
    // The batch was on the disk, the witness was not.
    fs::write(data.join("witness"), &witness).unwrap();
    assert!(matches!(try_open(Engine::Sled, folder.path()), Err(OpenError::TooOld { format: 1, .. })));
    assert_eq!(migrate(&config(Engine::Sled, folder.path()), false).unwrap().from, Some(1));
    let store = open(Engine::Sled, folder.path());
    assert_eq!(store.list_tasks(all_of("alice")).await.unwrap().tasks.len(), 20);
    assert_eq!(store.verify().unwrap().findings, [""; 0]);
    assert!(store.keys().await.unwrap().is_empty());
    store.close().await;
    drop(store);
    // Nothing says what it is: it is opened to be known, and needs nothing.
    fs::remove_file(data.join("witness")).unwrap();
    assert_eq!(migrate(&config(Engine::Sled, folder.path()), true).unwrap().from, None);
    assert_eq!(migrate(&config(Engine::Sled, folder.path()), false).unwrap().backup, None);
    assert_eq!(backups(&data).len(), 2);
    let store = open(Engine::Sled, folder.path());
    assert_eq!(store.list_tasks(all_of("alice")).await.unwrap().tasks.len(), 20);
    store.close().await;
}

#[tokio::test]
async fn what_format_2_had_is_there_in_format_3_and_files_can_be_kept() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let store = open(Engine::Sled, folder.path());
    store.create_task(new_task("alice", "t"), None).await.unwrap();
    store.set_active_files(place(), vec![facts("a"), facts("b")]).await.unwrap();
    store.close().await;
    drop(store);
    as_format(2, &data);
    let kv = SledKv::open(&data.join("engine"), Durability::PowerLoss).unwrap();
    // Nothing was counted in that format.
    kv.apply(Batch::from([(key::rows(&place().chitty_id, &place().session_id), None)])).unwrap();
    kv.sync().unwrap();
    drop(kv);
    fs::remove_file(data.join("witness")).unwrap();
    assert!(matches!(try_open(Engine::Sled, folder.path()), Err(OpenError::TooOld { format: 2, .. })));
    let done = migrate(&config(Engine::Sled, folder.path()), false).unwrap();
    assert_eq!((done.from, done.to, done.steps.len()), (Some(2), 3, 1));
    let store = open(Engine::Sled, folder.path());
    keep(&store, "s/k", "x").await;
    let rows = store.list_files(FileQuery { place: place(), active: None, after: None, limit: 9 }).await.unwrap();
    assert_eq!((rows.files.len(), store.usage(place().chitty_id).await.unwrap().files), (3, 1));
    assert_eq!(store.list_tasks(all_of("alice")).await.unwrap().tasks.len(), 1);
    assert_eq!(store.verify().unwrap().findings, [""; 0]);
    store.close().await;
}

#[tokio::test]
async fn a_damaged_old_store_is_left_as_it_was_found() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    old_store(folder.path()).await;
    let log = fs::read(data.join("engine/db")).unwrap();
    fs::write(data.join("engine/db"), &log[..log.len() / 3]).unwrap();
    let found = contents(&data.join("engine"));
    let error = migrate(&config(Engine::Sled, folder.path()), false).unwrap_err();
    assert!(error.to_string().contains("the store is damaged"), "{error}");
    assert!(contents(&data.join("engine")) == found);
    assert!(backups(&data).is_empty());
}
