//! The store's folder as it lies on the disk: copies, damage, and what is in it, read by the library itself.

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chittyconnect::model::task::Task;
use chittyconnect::store::embedded::{Embedded, OpenError, Report};
use chittyconnect::store::kv::sled::SledKv;
use chittyconnect::store::kv::{Batch, Kv as _, scan_prefix};
use chittyconnect::store::{Config, Durability, Engine, Retention, Store as _, TaskQuery, TaskStore as _};
use chittyconnect::telemetry::metrics::Metrics;

use super::task::Tenant;

/// Makes a test for every engine of each of these functions, which are told it.
macro_rules! on_each_engine {
    ($($test:ident),+ $(,)?) => {
        $crate::support::store::on_each_engine!(in sled, Sled: $($test),+);
        $crate::support::store::on_each_engine!(in fjall, Fjall: $($test),+);
    };
    (in $module:ident, $engine:ident: $($test:ident),+) => {
        mod $module {
            use chittyconnect::store::Engine;
            $(
                #[test]
                fn $test() {
                    super::$test(Engine::$engine);
                }
            )+
        }
    };
}
pub(crate) use on_each_engine;

/// Whether the tests with many cases take all of them, and minutes for it.
pub(crate) fn long() -> bool {
    std::env::var_os("CHITTY_TEST_LONG").is_some_and(|value| value == "1")
}

/// Whether the folder holds copies of the engine's files, or what a copy took the place of.
pub(crate) fn has_copies(folder: &Path) -> bool {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.into_iter().any(|name| name.to_string_lossy().starts_with("engine."))
}

/// What is in a store.
#[derive(Debug)]
pub(crate) struct Inside {
    pub(crate) report: Report,
    /// Every task of the tenants that were asked for.
    pub(crate) tasks: Vec<Task>,
}

/// Opens the store in `folder`, which no daemon has open, as a daemon would, and reads all of it.
pub(crate) fn read(engine: Engine, folder: &Path, tenants: &[Tenant]) -> Result<Inside, OpenError> {
    let config =
        Config { path: folder.to_owned(), durability: Durability::PowerLoss, engine, retention: Retention::default() };
    let store = Embedded::open(&config, Arc::new(Metrics::new().unwrap()))?;
    let report = store.verify().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let tasks = runtime.block_on(async {
        let mut tasks = Vec::new();
        for tenant in tenants {
            let mut query = TaskQuery {
                chitty_id: tenant.chitty_id.parse().unwrap(),
                session_id: tenant.session_id.parse().unwrap(),
                status: None,
                priority: None,
                parent_task_id: None,
                assigned_service: None,
                after: None,
                limit: 1000,
            };
            loop {
                let page = store.list_tasks(query.clone()).await.unwrap();
                tasks.extend(page.tasks);
                query.after = page.next;
                if query.after.is_none() {
                    break;
                }
            }
        }
        store.close().await;
        tasks
    });
    Ok(Inside { report, tasks })
}

/// Copies a folder with everything in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        let target = to.join(entry.file_name());
        if kind.is_dir() {
            copy(&entry.path(), &target);
        } else if kind.is_file() {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// The file that the engine wrote to last, in the store's folder.
pub(crate) fn log_of(engine: Engine, store: &Path) -> PathBuf {
    let folder = store.join("engine");
    if engine == Engine::Sled {
        return folder.join("db");
    }
    let number = |path: &PathBuf| path.file_stem()?.to_str()?.parse::<u64>().ok();
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "jnl")).max_by_key(number).unwrap()
}

/// Turns every bit of one byte of a file round.
pub(crate) fn flip(file: &Path, at: u64) {
    let file = fs::File::options().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[!byte[0]], at).unwrap();
}

/// Cuts a file short.
pub(crate) fn cut(file: &Path, length: u64) {
    fs::File::options().write(true).open(file).unwrap().set_len(length).unwrap();
}

/// Changes entries of a closed store behind its back.
pub(crate) fn plant(folder: &Path, change: impl FnOnce(&SledKv) -> Batch) {
    let kv = SledKv::open(&folder.join("engine"), Durability::PowerLoss).unwrap();
    let batch = change(&kv);
    kv.apply(batch).unwrap();
    kv.sync().unwrap();
}

/// The first key that begins so.
pub(crate) fn first_key(kv: &SledKv, prefix: &[u8]) -> Vec<u8> {
    let mut found = None;
    scan_prefix(kv, prefix, &mut |key, _| {
        found = Some(key.to_vec());
        ControlFlow::Break(())
    })
    .unwrap();
    found.unwrap()
}

/// Makes a closed store what version 0.1.0 would have left, as after a kill.
pub(crate) fn as_format_1(folder: &Path) {
    plant(folder, |kv| {
        let (mut batch, mut continued) = (Batch::new(), None::<Vec<u8>>);
        scan_prefix(kv, &[], &mut |key, entry| {
            let follows = continued.as_ref().is_some_and(|of| key.len() == of.len() + 1 && key.starts_with(of));
            // The first byte of a value says how many entries continue it, but for meta records.
            let at = usize::from(key[0] != b'm');
            if !follows && entry.len() > at {
                continued = (at == 1 && entry[0] > 0).then(|| key.to_vec());
                let mut entry = entry.to_vec();
                entry[at] = 1;
                batch.insert(key.to_vec(), Some(entry));
            }
            ControlFlow::Continue(())
        })
        .unwrap();
        batch.insert(b"mformat".to_vec(), Some(b"\x01\x01\x050.1.0".to_vec()));
        batch
    });
    let path = folder.join("witness");
    let text = fs::read_to_string(&path).unwrap();
    let mut said: serde_json::Value = serde_json::from_str(text.trim().split_once(' ').unwrap().1).unwrap();
    said["format"] = 1.into();
    said["files"] = serde_json::Value::Null;
    let json = said.to_string();
    fs::write(path, format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()))).unwrap();
}
