use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{all_of, chitty, metrics, new_task, open, session, try_open};
use crate::model::event::Event;
use crate::store::embedded::{Embedded, OpenError, opens};
use crate::store::folder::Folder;
use crate::store::kv::{Batch, Direction, Kv, KvError, Range, Visit};
use crate::store::migration::FORMAT;
use crate::store::{Durability, Engine, EventSink, EventStore, Store, StoreError, TaskStore};

/// An engine on a disk that fails while told to.
struct Failing {
    kv: Box<dyn Kv>,
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
        self.kv.get(key)
    }

    fn range(&self, range: Range<'_>, direction: Direction, visit: &mut Visit<'_>) -> Result<(), KvError> {
        self.kv.range(range, direction, visit)
    }

    fn apply(&self, batch: Batch) -> Result<(), KvError> {
        self.kv.apply(batch)
    }

    fn sync(&self) -> Result<(), KvError> {
        self.check()?;
        self.kv.sync()
    }

    fn reserve(&self) -> u64 {
        self.kv.reserve()
    }

    fn compact(&self) -> Result<(), KvError> {
        self.kv.compact()
    }
}

fn open_failing(engine: Engine, folder: &Path, failing: &Arc<AtomicBool>) -> Embedded {
    let failing = Arc::clone(failing);
    let open_kv = Box::new(move |folder: &Path| {
        if failing.load(Ordering::SeqCst) {
            return Err(KvError::new("opening", io::Error::other("the disk is on fire")));
        }
        let kv = opens(engine, Durability::PowerLoss)(folder)?;
        Ok(Box::new(Failing { kv, failing: Arc::clone(&failing) }) as Box<dyn Kv>)
    });
    Embedded::open_with(&folder.join("data"), Durability::PowerLoss, engine.name(), open_kv, metrics()).unwrap()
}

async fn a_disk_that_fails_is_answered_as_not_done_and_mended_without_a_restart(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let failing = Arc::new(AtomicBool::new(false));
    let store = open_failing(engine, folder.path(), &failing);
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
    assert_eq!(open(engine, folder.path()).verify().unwrap().findings, [""; 0]);
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

async fn events_that_may_have_become_durable_unseen_are_to_be_read_from_the_log(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let failing = Arc::new(AtomicBool::new(false));
    let store = open_failing(engine, folder.path(), &failing);
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

async fn a_store_is_open_once(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    let message = try_open(engine, folder.path()).err().unwrap().to_string();
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

async fn with_tasks(engine: Engine, folder: &Path, count: usize) -> Embedded {
    let store = open(engine, folder);
    for number in 0..count {
        store.create_task(new_task("alice", &number.to_string()), None).await.unwrap();
    }
    store
}

async fn an_unclean_store_that_is_whole_is_opened_and_leaves_no_copy(engine: Engine) {
    let (folder, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let _store = with_tasks(engine, folder.path(), 50).await;
    copy_as_killed(folder.path(), killed.path());
    let store = open(engine, killed.path());
    assert_eq!(store.list_tasks(all_of("alice")).await.unwrap().tasks.len(), 50);
    assert!(!killed.path().join("data/engine.work").exists() && !killed.path().join("data/engine.found-1").exists());
    store.close().await;
}

/// Every file of the engine, by its path in its folder.
fn files(engine: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![engine.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path.strip_prefix(engine).unwrap().to_owned()) }
        }
    }
    files.sort();
    files
}

/// Opens a copy of the store in `folder` of which one file is `bytes`: it has all of its 300 tasks, or is refused, twice,
/// and stays as it is.
async fn whole_or_refused(engine: Engine, folder: &Path, file: &Path, bytes: &[u8], how: &str) -> bool {
    let place = tempfile::tempdir().unwrap();
    copy_as_killed(folder, place.path());
    let engine_folder = place.path().join("data/engine");
    fs::write(engine_folder.join(file), bytes).unwrap();
    let left =
        |folder: &Path| -> Vec<_> { files(folder).iter().map(|file| fs::read(folder.join(file)).ok()).collect() };
    let found = left(&engine_folder);
    match try_open(engine, place.path()) {
        Ok(store) => {
            assert_eq!(store.list_tasks(all_of("alice")).await.unwrap().tasks.len(), 300, "{how}");
            assert_eq!(store.verify().unwrap().findings, [""; 0], "{how}");
            store.close().await;
            true
        }
        Err(error) => {
            assert!(error.to_string().contains(engine_folder.to_str().unwrap()), "{how}: {error}");
            assert!(left(&engine_folder) == found, "{how}");
            // Asked again, it says the same of the same files.
            let again = try_open(engine, place.path()).err().map(|again| again.to_string());
            assert_eq!(again, Some(error.to_string()), "{how}");
            assert!(left(&engine_folder) == found, "{how}");
            assert!(!place.path().join("data/engine.work").exists(), "{how}");
            false
        }
    }
}

/// A store with 300 tasks, half of them in tables if the engine has any.
async fn left_closed(engine: Engine, folder: &Path) {
    let store = with_tasks(engine, folder, 150).await;
    store.close().await;
    drop(store);
    let kv = opens(engine, Durability::PowerLoss)(&folder.join("data/engine")).unwrap();
    kv.compact().unwrap();
    drop(kv);
    // The second start cuts off what a journal has not used yet.
    for more in [150, 0] {
        let store = with_tasks(engine, folder, more).await;
        store.close().await;
    }
}

async fn a_damaged_store_is_refused_and_stays_as_it_was_found(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    left_closed(engine, folder.path()).await;
    let engine_folder = folder.path().join("data/engine");
    let files = files(&engine_folder);
    let largest = files.iter().map(|file| fs::metadata(engine_folder.join(file)).unwrap().len()).max().unwrap();
    for file in &files {
        let bytes = fs::read(engine_folder.join(file)).unwrap();
        let length = bytes.len();
        let (cuts, flips) = if length as u64 > largest / 10 { (20, 120) } else { (3, 12.min(length)) };
        for part in 0..cuts {
            let how = format!("{} cut to {part}/{cuts}", file.display());
            whole_or_refused(engine, folder.path(), file, &bytes[..length * part / cuts], &how).await;
        }
        for part in 0..flips {
            let mut bytes = bytes.clone();
            let at = (length * part / flips + part) % length;
            bytes[at] ^= 0x41;
            let how = format!("byte {at} of {} flipped", file.display());
            whole_or_refused(engine, folder.path(), file, &bytes, &how).await;
        }
    }
}

/// Where a record begins, and its place among the others, is under no checksum of fjall's.
#[tokio::test]
async fn a_batch_that_is_lost_or_out_of_its_place_in_fjalls_journal_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    left_closed(Engine::Fjall, folder.path()).await;
    let engine_folder = folder.path().join("data/engine");
    let is_journal = |file: &&PathBuf| file.extension().is_some_and(|extension| extension == "jnl");
    let files = files(&engine_folder);
    let journal = files.iter().rfind(is_journal).unwrap();
    let bytes = fs::read(engine_folder.join(journal)).unwrap();
    let ends: Vec<usize> =
        bytes.windows(4).enumerate().filter(|(_, four)| four == b"FJL\x03").map(|at| at.0 + 4).collect();
    let [.., third_last, second_last, _] = ends[..] else { panic!("{ends:?}") };
    let mut refused = 0;
    for at in third_last..third_last + 13 {
        for flip in [1, 2, 4, 0x80] {
            let mut bytes = bytes.clone();
            bytes[at] ^= flip;
            let how = format!("byte {} of a record ^ {flip}", at - third_last);
            let whole = whole_or_refused(Engine::Fjall, folder.path(), journal, &bytes, &how).await;
            refused += usize::from(!whole);
        }
    }
    assert!(refused > 26, "{refused}");
    let without = [&bytes[..third_last], &bytes[second_last..]].concat();
    let whole = whole_or_refused(Engine::Fjall, folder.path(), journal, &without, "without a record").await;
    assert!(!whole);
}

#[test]
fn a_first_start_of_fjall_that_did_not_end_is_begun_again() {
    let folder = tempfile::tempdir().unwrap();
    let engine = folder.path().join("data/engine");
    fs::create_dir_all(engine.join("keyspaces")).unwrap();
    fs::write(engine.join("lock"), "").unwrap();
    fs::write(engine.join("0.jnl"), [0; 1000]).unwrap();
    let store = open(Engine::Fjall, folder.path());
    assert_eq!(store.verify().unwrap().findings, [""; 0]);
}

/// A clean stop notes the engine's files; nothing of it may write any more.
#[tokio::test]
async fn nothing_of_fjall_writes_once_it_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let store = with_tasks(Engine::Fjall, folder.path(), 20).await;
        let kv = store.shared.kv().unwrap();
        // Work for the background, which is under way when the store is closed.
        kv.compact().unwrap();
        drop(kv);
        store.close().await;
        drop(store);
        let left = Folder::take(&folder.path().join("data")).unwrap();
        let noted = fs::read_to_string(folder.path().join("data/witness")).unwrap();
        for file in left.sums().unwrap() {
            let sum = serde_json::to_string(&file).unwrap();
            assert!(noted.contains(&sum), "round {round}: {sum} is not in {noted}");
        }
    }
}

async fn what_is_missing_or_of_another_kind_is_refused(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = with_tasks(engine, folder.path(), 3).await;
    store.close().await;
    drop(store);
    let refused = |change: &dyn Fn(&Path)| {
        let place = tempfile::tempdir().unwrap();
        copy_as_killed(folder.path(), place.path());
        change(&place.path().join("data"));
        try_open(engine, place.path()).err()
    };
    let rewrite = |from: &str, to: &str| {
        let (from, to) = (from.to_owned(), to.to_owned());
        move |data: &Path| {
            let text = fs::read_to_string(data.join("witness")).unwrap();
            let json = text.trim().split_once(' ').unwrap().1.replace(&from, &to);
            fs::write(data.join("witness"), format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()))).unwrap();
        }
    };
    let missing = refused(&|data| fs::remove_dir_all(data.join("engine")).unwrap());
    assert!(matches!(missing, Some(OpenError::Missing { commit: 3, .. })), "{missing:?}");
    let witness = refused(&|data| fs::write(data.join("witness"), "junk").unwrap());
    assert!(matches!(witness, Some(OpenError::Witness { .. })), "{witness:?}");
    let newer = refused(&rewrite(&format!("\"format\":{FORMAT}"), "\"format\":99"));
    assert!(matches!(newer, Some(OpenError::TooNew { format: 99, .. })), "{newer:?}");
    let older = refused(&rewrite(&format!("\"format\":{FORMAT}"), "\"format\":1"));
    assert!(older.is_some_and(|error| error.to_string().contains("`chittyconnect migrate` makes a backup")));
    for other in Engine::ALL.into_iter().filter(|other| *other != engine) {
        let named = |engine: Engine| format!("\"engine\":\"{}\"", engine.name());
        let message = refused(&rewrite(&named(engine), &named(other))).unwrap().to_string();
        let name = other.name();
        for word in [&format!("was made by the engine {name}; set `store.engine: {name}` again"), "`store import`"] {
            assert!(message.contains(word), "{message}");
        }
    }
    let behind = refused(&rewrite("\"commit\":3", "\"commit\":9"));
    // The files are as they were left, so only the witness can be wrong; it was not written by this program.
    assert!(behind.is_none(), "{behind:?}");
    let no_witness = refused(&|data| fs::remove_file(data.join("witness")).unwrap());
    assert!(no_witness.is_none(), "{no_witness:?}");
}

on_each_engine! {
    a_disk_that_fails_is_answered_as_not_done_and_mended_without_a_restart,
    events_that_may_have_become_durable_unseen_are_to_be_read_from_the_log,
    a_store_is_open_once,
    an_unclean_store_that_is_whole_is_opened_and_leaves_no_copy,
    a_damaged_store_is_refused_and_stays_as_it_was_found,
    what_is_missing_or_of_another_kind_is_refused,
}
