use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{all_of, chitty, metrics, new_task, open, session, try_open};
use crate::model::event::Event;
use crate::store::embedded::{Embedded, OpenError};
use crate::store::kv::sled::SledKv;
use crate::store::kv::{Batch, Direction, Kv, KvError, Range, Visit};
use crate::store::{Durability, EventSink, EventStore, Store, StoreError, TaskStore};

/// sled on a disk that fails while told to.
struct Failing {
    sled: SledKv,
    failing: Arc<AtomicBool>,
}

impl Failing {
    fn check(&self) -> Result<(), KvError> {
        let failed = || KvError::new("writing", io::Error::other("the disk is on fire"));
        if self.failing.load(Ordering::SeqCst) { Err(failed()) } else { Ok(()) }
    }
}

impl Kv for Failing {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        self.sled.get(key)
    }

    fn range(&self, range: Range<'_>, direction: Direction, visit: &mut Visit<'_>) -> Result<(), KvError> {
        self.sled.range(range, direction, visit)
    }

    fn apply(&self, batch: Batch) -> Result<(), KvError> {
        self.sled.apply(batch)
    }

    fn sync(&self) -> Result<(), KvError> {
        self.check()?;
        self.sled.sync()
    }
}

fn open_failing(folder: &Path, failing: &Arc<AtomicBool>) -> Embedded {
    let failing = Arc::clone(failing);
    let open_kv = Box::new(move |folder: &Path| {
        if failing.load(Ordering::SeqCst) {
            return Err(KvError::new("opening", io::Error::other("the disk is on fire")));
        }
        let sled = SledKv::open(folder, Durability::PowerLoss)?;
        Ok(Box::new(Failing { sled, failing: Arc::clone(&failing) }) as Box<dyn Kv>)
    });
    Embedded::open_with(&folder.join("data"), Durability::PowerLoss, "sled", open_kv, metrics()).unwrap()
}

#[tokio::test]
async fn a_disk_that_fails_is_answered_as_not_done_and_mended_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let failing = Arc::new(AtomicBool::new(false));
    let store = open_failing(folder.path(), &failing);
    let first = store.create_task(new_task("alice", "first"), None).await.unwrap();
    failing.store(true, Ordering::SeqCst);
    let refused = store.create_task(new_task("alice", "unknown"), None).await.unwrap_err();
    let StoreError::Unavailable(why) = refused else { panic!("{refused}") };
    assert!(why.contains("the disk is on fire"), "{why}");
    assert_eq!(store.trouble(), Some(why));
    assert!(matches!(store.create_task(new_task("alice", "no"), None).await, Err(StoreError::Unavailable(_))));
    failing.store(false, Ordering::SeqCst);
    let mended = async {
        let mut looks = tokio::time::interval(Duration::from_millis(20));
        while store.create_task(new_task("alice", "last"), None).await.is_err() {
            looks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), mended).await.unwrap();
    assert_eq!(store.trouble(), None);
    assert!(store.task(&chitty("alice"), first.task_id).await.unwrap().is_some());
    let tasks = store.list_tasks(all_of("alice")).await.unwrap().tasks;
    let mut titles: Vec<_> = tasks.iter().map(|task| &*task.title).filter(|title| *title != "unknown").collect();
    titles.sort_unstable();
    assert_eq!(titles, ["first", "last"]);
    assert_eq!(store.verify().unwrap().findings, [""; 0]);
    store.close().await;
    drop(store);
    assert_eq!(open(folder.path()).verify().unwrap().findings, [""; 0]);
}

/// Takes what it is handed.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl EventSink for Heard {
    fn publish(&self, number: u64, event: Event) {
        self.0.lock().unwrap().push(format!("{number} {}", event.name));
    }

    fn reread(&self, through: u64) {
        self.0.lock().unwrap().push(format!("reread {through}"));
    }
}

#[tokio::test]
async fn events_that_may_have_become_durable_unseen_are_to_be_read_from_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let failing = Arc::new(AtomicBool::new(false));
    let store = open_failing(folder.path(), &failing);
    let heard = Arc::new(Heard::default());
    store.hand_events_to(&(Arc::clone(&heard) as Arc<dyn EventSink>));
    store.create_task(new_task("alice", "first"), None).await.unwrap();
    failing.store(true, Ordering::SeqCst);
    assert!(store.create_task(new_task("alice", "unknown"), None).await.is_err());
    assert_eq!(store.last_event().await.unwrap(), 1, "nobody is told of an event that may yet be another");
    assert_eq!(*heard.0.lock().unwrap(), ["reread 0", "1 task.created"]);
    failing.store(false, Ordering::SeqCst);
    let mended = async {
        let mut looks = tokio::time::interval(Duration::from_millis(20));
        while store.trouble().is_some() {
            looks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), mended).await.unwrap();
    // Here the disk had it all the same.
    assert_eq!(*heard.0.lock().unwrap(), ["reread 0", "1 task.created", "reread 2"]);
    let page = store.events_after(&chitty("alice"), &session("s"), 1, 10).await.unwrap();
    assert_eq!(page.events.iter().map(|event| event.number).collect::<Vec<_>>(), [2]);
    store.close().await;
}

#[tokio::test]
async fn a_store_is_open_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let message = try_open(folder.path()).err().unwrap().to_string();
    assert!(message.contains(&format!("in use by process {}", std::process::id())), "{message}");
    store.close().await;
}

/// What a killed process leaves: the files as they are while the store is open.
fn copy_as_killed(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_as_killed(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

async fn with_tasks(folder: &Path, count: usize) -> Embedded {
    let store = open(folder);
    for number in 0..count {
        store.create_task(new_task("alice", &number.to_string()), None).await.unwrap();
    }
    store
}

#[tokio::test]
async fn an_unclean_store_that_is_whole_is_opened_and_leaves_no_copy() {
    let (folder, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let _store = with_tasks(folder.path(), 50).await;
    copy_as_killed(folder.path(), killed.path());
    let store = open(killed.path());
    assert_eq!(store.list_tasks(all_of("alice")).await.unwrap().tasks.len(), 50);
    assert!(!killed.path().join("data/engine.work").exists() && !killed.path().join("data/engine.found-1").exists());
    store.close().await;
}

#[tokio::test]
async fn a_damaged_store_is_refused_and_stays_as_it_was_found() {
    let (folder, clean) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = with_tasks(folder.path(), 300).await;
    store.close().await;
    drop(store);
    let bytes = fs::read(folder.path().join("data/engine/db")).unwrap();
    let cuts = (0..20).map(|part| (bytes[..bytes.len() * part / 20].to_vec(), format!("cut to {part}/20")));
    let flips = (0..120).map(|part| {
        let mut bytes = bytes.clone();
        let at = bytes.len() * part / 120 + part;
        bytes[at] ^= 0x41;
        (bytes, format!("byte {at} flipped"))
    });
    for (damaged, how) in cuts.chain(flips) {
        let place = tempfile::tempdir_in(clean.path()).unwrap();
        copy_as_killed(folder.path(), place.path());
        fs::write(place.path().join("data/engine/db"), &damaged).unwrap();
        match try_open(place.path()) {
            Ok(store) => {
                assert_eq!(store.list_tasks(all_of("alice")).await.unwrap().tasks.len(), 300, "{how}");
                assert_eq!(store.verify().unwrap().findings, [""; 0], "{how}");
                store.close().await;
            }
            Err(error) => {
                let files = place.path().join("data/engine");
                assert!(error.to_string().contains(files.to_str().unwrap()), "{how}: {error}");
                assert_eq!(fs::read(files.join("db")).unwrap(), damaged, "{how}");
                // Asked again, it says the same of the same files.
                let again = try_open(place.path()).err().map(|again| again.to_string());
                assert_eq!(again, Some(error.to_string()), "{how}");
                assert_eq!(fs::read(files.join("db")).unwrap(), damaged, "{how}");
                assert!(!place.path().join("data/engine.work").exists(), "{how}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_missing_or_of_another_kind_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_tasks(folder.path(), 3).await;
    store.close().await;
    drop(store);
    let refused = |change: &dyn Fn(&Path)| {
        let place = tempfile::tempdir().unwrap();
        copy_as_killed(folder.path(), place.path());
        change(&place.path().join("data"));
        try_open(place.path()).err()
    };
    let rewrite = |from: &'static str, to: &'static str| {
        move |data: &Path| {
            let text = fs::read_to_string(data.join("witness")).unwrap();
            let json = text.trim().split_once(' ').unwrap().1.replace(from, to);
            fs::write(data.join("witness"), format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()))).unwrap();
        }
    };
    let missing = refused(&|data| fs::remove_dir_all(data.join("engine")).unwrap());
    assert!(matches!(missing, Some(OpenError::Missing { commit: 3, .. })), "{missing:?}");
    let witness = refused(&|data| fs::write(data.join("witness"), "junk").unwrap());
    assert!(matches!(witness, Some(OpenError::Witness { .. })), "{witness:?}");
    let newer = refused(&rewrite("\"format\":2", "\"format\":99"));
    assert!(matches!(newer, Some(OpenError::TooNew { format: 99, .. })), "{newer:?}");
    let older = refused(&rewrite("\"format\":2", "\"format\":1"));
    assert!(older.is_some_and(|error| error.to_string().contains("`chittyconnect migrate` makes a backup")));
    let other = refused(&rewrite("\"engine\":\"sled\"", "\"engine\":\"fjall\""));
    assert!(other.is_some_and(|error| error.to_string().contains("made by the engine fjall")));
    let behind = refused(&rewrite("\"commit\":3", "\"commit\":9"));
    // The files are as they were left, so only the witness can be wrong; it was not written by this program.
    assert!(behind.is_none(), "{behind:?}");
    let no_witness = refused(&|data| fs::remove_file(data.join("witness")).unwrap());
    assert!(no_witness.is_none(), "{no_witness:?}");
}
