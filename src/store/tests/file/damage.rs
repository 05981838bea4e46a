//! What `verify` finds of files, what `repair` makes of it, and what an export holds.

use std::ops::ControlFlow;
use std::path::Path;

use super::{at, chitty, delete, keep, key, new_file, of, place, put, usage};
use crate::model::stored_file::StoredFile;
use crate::store::file::{Arrival, NewFile, Part, PartUpload, UploadId};
use crate::store::key as keys;
use crate::store::kv::sled::SledKv;
use crate::store::kv::{Batch, Kv, scan_prefix};
use crate::store::migration::m0001_context_sync::{CommitRecord, ContextFileRecord};
use crate::store::migration::m0003_files::{PendingRecord, UsageRecord};
use crate::store::migration::{decode, encode};
use crate::store::repair::repair;
use crate::store::tests::transfer::{exported, import_text};
use crate::store::tests::{config, open};
use crate::store::{Durability, Engine, FileStore, Store, value};

/// A closed store with files, a token that was used, contents that are noted, and an upload in parts.
async fn make(folder: &Path) -> Vec<StoredFile> {
    let store = open(Engine::Sled, folder);
    let mut kept = vec![keep(&store, "s/a", "one").await, keep(&store, "s/b", "one").await];
    kept.push(keep(&store, "t/long", "three").await);
    let long = NewFile { metadata: vec![("m".to_owned(), "v".repeat(9000))], ..new_file("alice", "t/long", "three") };
    kept[2] = put(&store, long).await.unwrap();
    let expires_at = crate::model::time::Time::from_millis(u64::MAX);
    let how = Arrival::Token { id: [0; 16], expires_at };
    kept.push(put(&store, NewFile { how, ..new_file("alice", "t/token", "token") }).await.unwrap());
    keep(&store, "s/gone", "gone").await;
    delete(&store, &["gone"]).await;
    let modified_at = kept[0].modified_at;
    let upload = PartUpload {
        place: place(),
        id: UploadId([1; 16]),
        key: key("k"),
        mime: None,
        headers: vec![],
        metadata: vec![],
        key_id: "k1".parse().unwrap(),
        created_at: modified_at,
    };
    store.begin_parts(upload).await.unwrap();
    let part = Part { number: 1, nonce: 1, size: 9, md5: [0; 16], modified_at };
    store.put_part(place(), UploadId([1; 16]), part, u64::MAX).await.unwrap();
    assert_eq!((store.verify().unwrap().findings, usage(&store).await), (vec![], (22, 4)));
    store.close().await;
    kept
}

/// Changes entries behind the store's back, counted as they should be.
fn plant(folder: &Path, change: impl FnOnce(&SledKv) -> Batch) {
    let kv = SledKv::open(&folder.join("data/engine"), Durability::PowerLoss).unwrap();
    let mut batch = change(&kv);
    let mut commit: CommitRecord = decode(&kv.get(keys::COMMIT).unwrap().unwrap()).unwrap();
    for (key, entry) in batch.iter().filter(|(key, _)| key[0] != b'm') {
        match (kv.get(key).unwrap().is_some(), entry.is_some()) {
            (true, false) => commit.entries -= 1,
            (false, true) => commit.entries += 1,
            _ => {}
        }
    }
    batch.insert(keys::COMMIT.to_vec(), Some(encode(&commit).unwrap()));
    kv.apply(batch).unwrap();
    kv.sync().unwrap();
}

fn first(kv: &SledKv, kind: u8) -> (Vec<u8>, Vec<u8>) {
    let mut found = None;
    scan_prefix(kv, &[kind], &mut |key, entry| {
        found = Some((key.to_vec(), entry.to_vec()));
        ControlFlow::Break(())
    })
    .unwrap();
    found.unwrap()
}

fn one<T: serde::Serialize>(key: Vec<u8>, record: &T) -> Batch {
    let entries = value::entries(&key, &encode(record).unwrap()).unwrap();
    entries.into_iter().map(|(key, entry)| (key, Some(entry))).collect()
}

fn gone(key: Vec<u8>) -> Batch {
    Batch::from([(key, None)])
}

/// The row of the file `s/a`, changed.
fn row(kv: &SledKv, change: impl FnOnce(&mut ContextFileRecord)) -> Batch {
    let hash = crate::store::embedded::context::hash_of("r2://files/s/a");
    let at = keys::context_file(&chitty("alice"), &place().session_id, &hash);
    let entry = kv.get(&at).unwrap().unwrap();
    let mut record: ContextFileRecord = decode(&entry[1..]).unwrap();
    change(&mut record);
    one(at, &record)
}

type Plant = fn(&SledKv) -> Batch;

#[tokio::test]
async fn damage_to_files_is_found_and_mended() {
    let cases: Vec<(Plant, &str, &[&str])> = vec![
        (|kv| gone(first(kv, b'd').0), "lacks d", &[]),
        (|kv| gone(first(kv, b'l').0), "has no stored file", &["its record is gone"]),
        (|kv| gone(first(kv, b'b').0), "has no bucket", &[]),
        (|kv| row(kv, |row| row.size = Some(9)), "disagree", &[]),
        (|kv| row(kv, |row| row.sha256 = None), "disagree", &[]),
        (
            |kv| {
                let (key, _) = first(kv, b'g');
                let row = crate::store::embedded::verify::record_of_index(&key).unwrap();
                Batch::from([(key, None), (row, None)])
            },
            "has no row in the context",
            &[],
        ),
        (
            |_| one(keys::usage(&chitty("alice")), &UsageRecord { bytes: 1, files: 1 }),
            "alice is said to have 1 files and 1 bytes, and has 4 and 22",
            &[],
        ),
        (|kv| one(first(kv, b'l').0, &UsageRecord { bytes: 1, files: 1 }), "cannot be read", &["a record is damaged"]),
        (|_| one(keys::pending(&of("alice", "one")), &PendingRecord { since: 1 }), "and a file has them", &[]),
        (|kv| gone(first(kv, b'u').0), "has no upload", &["its upload is gone"]),
    ];
    for (change, says, lost) in cases {
        let folder = tempfile::tempdir().unwrap();
        let kept = make(folder.path()).await;
        let meta = |kv: &SledKv| {
            let batch = change(kv);
            // A meta record has no byte for its continuations.
            let bare = |(key, entry): (Vec<u8>, Option<Vec<u8>>)| match entry {
                Some(entry) if key[0] == b'm' => (key, Some(entry[1..].to_vec())),
                entry => (key, entry),
            };
            batch.into_iter().map(bare).collect()
        };
        plant(folder.path(), meta);
        let store = open(Engine::Sled, folder.path());
        let findings = store.verify().unwrap().findings;
        assert!(findings.iter().any(|finding| finding.contains(says)), "{says}: {findings:?}");
        store.close().await;
        drop(store);
        let repaired = repair(&config(Engine::Sled, folder.path())).unwrap();
        assert!(!repaired.whole, "{says}");
        let list = std::fs::read_to_string(repaired.found.unwrap().join("lost.jsonl")).unwrap();
        let lines: Vec<&str> = list.lines().collect();
        assert_eq!(lines.len(), lost.len(), "{says}: {list}");
        assert!(lines.iter().zip(lost).all(|(line, why)| line.contains(why)), "{says}: {list}");
        let store = open(Engine::Sled, folder.path());
        assert_eq!(store.verify().unwrap().findings, [""; 0], "{says}");
        let without =
            |file: &&StoredFile| !(lines.iter().any(|line| line.contains("stored_file")) && file.key == key("a"));
        for file in kept.iter().filter(without) {
            let there = at("alice", file.session_id.as_str());
            assert_eq!(store.file(there.clone(), file.key.clone()).await.unwrap().as_ref(), Some(file), "{says}");
            let row = store.context_file(there, file.uri()).await.unwrap().unwrap();
            assert_eq!(row.facts.sha256, Some(file.contents.hash.to_string()), "{says}");
        }
        let parts = if says == "has no upload" { 0 } else { 9 };
        let files = kept.iter().filter(without).count() as u64;
        assert_eq!(usage(&store).await, (13 + parts, files), "{says}");
        assert_eq!(store.unreferenced(None, 9).await.unwrap(), [of("alice", "gone")], "{says}");
        store.close().await;
        drop(store);
        assert!(repair(&config(Engine::Sled, folder.path())).unwrap().whole, "{says}");
    }
}

#[tokio::test]
async fn files_come_back_from_an_export_and_what_is_about_their_contents_does_not() {
    let (from, to, behind) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let kept = make(from.path()).await;
    let store = open(Engine::Sled, from.path());
    let text = exported(&store).await;
    store.close().await;
    import_text(to.path(), &text).unwrap();
    let copy = open(Engine::Sled, to.path());
    assert_eq!(exported(&copy).await, text);
    let report = copy.verify().unwrap();
    assert_eq!(report.findings, [""; 0]);
    assert!(['q', 'u', 'v', 'w'].iter().all(|kind| !report.entries.contains_key(kind)));
    for file in &kept {
        let there = at("alice", file.session_id.as_str());
        assert_eq!(copy.file(there, file.key.clone()).await.unwrap().as_ref(), Some(file));
    }
    assert_eq!((usage(&copy).await, copy.buckets(chitty("alice")).await.unwrap().len()), ((13, 4), 2));
    // What is counted anew is kept exact from then on.
    keep(&copy, "s/new", "12").await;
    assert_eq!((usage(&copy).await, copy.verify().unwrap().findings), ((15, 5), vec![]));
    copy.close().await;

    // An export that was made while files came and went is ahead of some rows and of some buckets.
    let sha256 = format!(r#""sha256":"{}""#, kept[2].contents.hash);
    let (mut lines, mut left_out) = (Vec::new(), 0);
    for line in text.lines() {
        let is = |kind: &str| line.starts_with(&format!(r#"{{"kind":"{kind}""#));
        if is("bucket") || (is("context_file") && line.contains(r#""uri":"r2://files/s/a""#)) {
            left_out += 1;
        } else if is("context_file") {
            lines.push(line.replace(&sha256, &format!(r#""sha256":"{}""#, "0".repeat(64))));
        } else {
            lines.push(line.to_owned());
        }
    }
    let records = lines.len() - 2;
    let last = lines.pop().unwrap();
    let mut end: serde_json::Value = serde_json::from_str(&last).unwrap();
    end["records"] = records.into();
    end["counts"]["context_file"] = 3.into();
    end["counts"].as_object_mut().unwrap().remove("bucket");
    lines.push(end.to_string());
    assert_eq!(left_out, 3);
    import_text(behind.path(), &(lines.join("\n") + "\n")).unwrap();
    let copy = open(Engine::Sled, behind.path());
    assert_eq!(copy.verify().unwrap().findings, [""; 0]);
    assert_eq!(copy.buckets(chitty("alice")).await.unwrap().len(), 2);
    for file in &kept {
        let row = copy.context_file(at("alice", file.session_id.as_str()), file.uri()).await.unwrap().unwrap();
        assert_eq!(row.facts.sha256, Some(file.contents.hash.to_string()));
    }
    copy.close().await;
}
