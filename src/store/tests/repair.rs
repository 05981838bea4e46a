//! Damaged stores, put together anew: what is left is what was there, and what was found is kept.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::migrate::contents;
use super::transfer::{every_kind, exported};
use super::{all_of, chitty, config, new_task, open, try_open};
use crate::model::task::Task;
use crate::store::Engine;
use crate::store::embedded::OpenError;
use crate::store::folder::Folder;
use crate::store::kv::sled::SledKv;
use crate::store::kv::{Batch, Kv, scan_prefix};
use crate::store::migration::m0001_context_sync::CommitRecord;
use crate::store::migration::{FORMAT, decode, encode};
use crate::store::repair::{RepairError, Repaired, repair};
use crate::store::transfer::import::import;
use crate::store::witness::Witness;
use crate::store::{Durability, Store, TaskStore, key};

/// A closed store in `folder` with so many tasks, and what they are.
async fn store_of(folder: &Path, count: usize) -> BTreeMap<String, Task> {
    let store = open(Engine::Sled, folder);
    for number in 0..count {
        let mut new = new_task("alice", &number.to_string());
        new.description = Some("d".repeat(number * 337 % 5000));
        store.create_task(new, None).await.unwrap();
    }
    let tasks = store.list_tasks(all_of("alice")).await.unwrap().tasks;
    store.close().await;
    tasks.into_iter().map(|task| (task.title.clone(), task)).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for (name, bytes) in contents(from) {
        fs::create_dir_all(to.join(&name).parent().unwrap()).unwrap();
        fs::write(to.join(name), bytes).unwrap();
    }
}

/// Changes entries behind the store's back, as damage would.
fn plant(data: &Path, change: impl FnOnce(&SledKv) -> Batch) {
    let kv = SledKv::open(&data.join("engine"), Durability::PowerLoss).unwrap();
    let batch = change(&kv);
    kv.apply(batch).unwrap();
    kv.sync().unwrap();
}

fn first(kv: &SledKv, kind: u8) -> (Vec<u8>, Vec<u8>) {
    let mut found = None;
    scan_prefix(kv, &[kind], &mut |key, entry| {
        found = Some((key.to_vec(), entry.to_vec()));
        std::ops::ControlFlow::Break(())
    })
    .unwrap();
    found.unwrap()
}

fn commit(kv: &SledKv) -> CommitRecord {
    decode(&kv.get(key::COMMIT).unwrap().unwrap()).unwrap()
}

fn lost(repaired: &Repaired) -> Vec<Value> {
    let text = fs::read_to_string(repaired.found.as_ref().unwrap().join("lost.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_store_that_is_whole_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(repair(&config(Engine::Sled, folder.path())), Err(RepairError::NoStore(_))));
    import(&config(Engine::Sled, folder.path()), &mut every_kind().as_bytes(), "test").unwrap();
    let found = contents(&folder.path().join("data"));
    let repaired = repair(&config(Engine::Sled, folder.path())).unwrap();
    assert!(repaired.whole && repaired.found.is_none(), "{repaired}");
    assert!(contents(&folder.path().join("data")) == found);
    let store = open(Engine::Sled, folder.path());
    assert!(matches!(repair(&config(Engine::Sled, folder.path())), Err(RepairError::Open(OpenError::Locked { .. }))));
    store.close().await;
}

#[tokio::test]
async fn damage_to_the_log_costs_what_it_hit() {
    let original = tempfile::tempdir().unwrap();
    let tasks = store_of(original.path(), 300).await;
    let log = fs::read(original.path().join("data/engine/db")).unwrap();
    let cuts = (0..20).map(|part| (log[..log.len() * part / 20].to_vec(), format!("cut to {part}/20")));
    let flips = (0..24).map(|part| {
        let mut bytes = log.clone();
        let at = bytes.len() * part / 24 + part;
        bytes[at] ^= 0x41;
        (bytes, format!("byte {at} flipped"))
    });
    let (mut refused, mut left) = (0, Vec::new());
    for (damaged, how) in cuts.chain(flips) {
        let place = tempfile::tempdir().unwrap();
        let data = place.path().join("data");
        copy(&original.path().join("data"), &data);
        fs::write(data.join("engine/db"), &damaged).unwrap();
        match try_open(Engine::Sled, place.path()) {
            Ok(store) => {
                store.close().await;
                continue;
            }
            Err(_) => refused += 1,
        }
        let found = contents(&data.join("engine"));
        let repaired = match repair(&config(Engine::Sled, place.path())) {
            Ok(repaired) => repaired,
            Err(error) => {
                assert!(matches!(error, RepairError::Hopeless { .. } | RepairError::Open(OpenError::Damaged { .. })));
                assert!(contents(&data.join("engine")) == found, "{how}");
                assert!(damaged.len() * 4 < log.len(), "{how}: {error}");
                continue;
            }
        };
        assert!(!repaired.whole, "{how}");
        let kept = repaired.found.as_ref().unwrap();
        assert!(contents(&kept.join("engine")) == found && kept.join("witness").exists(), "{how}");
        let store = open(Engine::Sled, place.path());
        assert_eq!(store.verify().unwrap().findings, [""; 0], "{how}");
        let now = store.list_tasks(all_of("alice")).await.unwrap().tasks;
        assert!(now.iter().all(|task| tasks[&task.title] == *task), "{how}");
        assert_eq!(repaired.kept.get("task").copied().unwrap_or(0), now.len() as u64, "{how}");
        // What one damaged page held is all that one damaged byte costs.
        assert!(damaged.len() < log.len() || now.len() > 270, "{how}: {}", now.len());
        left.push(now.len());
        store.create_task(new_task("alice", "new"), None).await.unwrap();
        store.close().await;
        assert!(repair(&config(Engine::Sled, place.path())).unwrap().whole, "{how}");
    }
    assert!(refused > 20 && left.len() > 20);
}

type Plant = fn(&SledKv) -> Batch;

#[tokio::test]
async fn planted_damage_is_found_and_mended() {
    let original = tempfile::tempdir().unwrap();
    store_of(original.path(), 40).await;
    let cases: Vec<(&str, Plant, u64, &str)> = vec![
        ("an index entry is gone", |kv| Batch::from([(first(kv, b's').0, None)]), 40, ""),
        ("a place is gone", |kv| Batch::from([(first(kv, b'i').0, None)]), 40, ""),
        ("a task's record is gone", |kv| Batch::from([(first(kv, b't').0, None)]), 39, "its record is gone"),
        (
            "an index entry leads nowhere",
            |kv| {
                let mut key = first(kv, b's').0;
                *key.last_mut().unwrap() ^= 1;
                Batch::from([(key, Some(Vec::new()))])
            },
            40,
            "its record is gone",
        ),
        (
            "a record is junk",
            |kv| Batch::from([(first(kv, b't').0, Some(b"\0\x02junk".to_vec()))]),
            39,
            "a record is damaged",
        ),
        (
            "an event is junk",
            |kv| Batch::from([(first(kv, b'e').0, Some(b"\0\x02junk".to_vec()))]),
            40,
            "a record is damaged",
        ),
        (
            "a continuation is gone",
            |kv| {
                let (mut key, _) = first(kv, b't');
                let mut found = None;
                scan_prefix(kv, b"t", &mut |key, entry| {
                    if entry[0] > 0 {
                        found = Some(key.to_vec());
                        return std::ops::ControlFlow::Break(());
                    }
                    std::ops::ControlFlow::Continue(())
                })
                .unwrap();
                key = found.unwrap_or(key);
                key.push(1);
                Batch::from([(key, None)])
            },
            39,
            "its value is not whole",
        ),
        ("an unknown kind", |_| Batch::from([(b"zz".to_vec(), Some(b"\0\x02".to_vec()))]), 40, "a record is damaged"),
        (
            "the count is wrong",
            |kv| {
                let commit = commit(kv);
                let wrong = CommitRecord { entries: commit.entries + 3, ..commit };
                Batch::from([(key::COMMIT.to_vec(), Some(encode(&wrong).unwrap()))])
            },
            40,
            "",
        ),
        ("the last change is not known", |_| Batch::from([(key::COMMIT.to_vec(), Some(vec![2]))]), 40, ""),
        ("the format is not known", |_| Batch::from([(key::FORMAT.to_vec(), None)]), 40, ""),
    ];
    for (what, change, left, says) in cases {
        let place = tempfile::tempdir().unwrap();
        let data = place.path().join("data");
        copy(&original.path().join("data"), &data);
        plant(&data, change);
        let refused = try_open(Engine::Sled, place.path());
        if let Ok(store) = refused {
            // Only its count is looked at when it is opened: `verify` sees the rest.
            let verified = store.verify().unwrap();
            assert!(!verified.findings.is_empty(), "{what}");
            store.close().await;
        }
        let repaired = repair(&config(Engine::Sled, place.path())).unwrap();
        assert!(!repaired.whole, "{what}");
        assert_eq!(repaired.kept["task"], left, "{what}: {repaired}");
        let list = lost(&repaired);
        assert_eq!(list.len() as u64, repaired.lost, "{what}");
        assert_eq!(list.len(), usize::from(!says.is_empty()), "{what}: {list:?}");
        assert!(list.iter().all(|line| line["why"].as_str().unwrap().contains(says)), "{what}: {list:?}");
        let store = open(Engine::Sled, place.path());
        assert_eq!(store.verify().unwrap().findings, [""; 0], "{what}");
        assert_eq!(store.list_tasks(all_of("alice")).await.unwrap().tasks.len() as u64, left, "{what}");
        store.close().await;
    }
}

#[tokio::test]
async fn a_store_behind_its_witness_or_without_one_goes_on_with_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    store_of(folder.path(), 5).await;
    let witness = |commit| {
        let taken = Folder::take(&data).unwrap();
        drop(Witness::begin(&taken, FORMAT, "sled", commit).unwrap());
    };
    witness(8);
    assert!(matches!(try_open(Engine::Sled, folder.path()), Err(OpenError::Behind { commit: 5, acknowledged: 8, .. })));
    let repaired = repair(&config(Engine::Sled, folder.path())).unwrap();
    assert_eq!((repaired.lost_changes, repaired.lost, repaired.kept["task"]), (Some(3), 0, 5));
    let store = open(Engine::Sled, folder.path());
    store.create_task(new_task("alice", "new"), None).await.unwrap();
    // A number that was seen may be one of a change that is lost: it is not given away again.
    assert!(exported(&store).await.contains(&format!("\"number\":{}", 5 + 3 * 256 + 1)));
    store.close().await;
    drop(store);
    fs::write(data.join("witness"), "junk").unwrap();
    assert!(matches!(try_open(Engine::Sled, folder.path()), Err(OpenError::Witness { .. })));
    let repaired = repair(&config(Engine::Sled, folder.path())).unwrap();
    assert_eq!((repaired.lost_changes, repaired.kept["task"]), (None, 6));
    let store = open(Engine::Sled, folder.path());
    let tasks = store.list_tasks(all_of("alice")).await.unwrap().tasks;
    assert_eq!(tasks.len(), 6);
    assert!(store.task(&chitty("alice"), tasks[0].task_id).await.unwrap().is_some());
    store.close().await;
}
