//! A store that something is done to while no daemon has it, and what its next start makes of that.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use chittyconnect::store::kv::Kv as _;
use chittyconnect::store::kv::fjall::FjallKv;
use chittyconnect::store::{Durability, Engine};
use serde_json::json;

use super::daemon::{Daemon, Place, Refused};
use super::rows::Rows;
use super::store::{copy, has_copies, log_of};
use super::task::Tenant;

/// A store with some tasks in it, as it was left, and a folder in which damaged copies of it are started.
pub(crate) struct Patient {
    pub(crate) engine: Engine,
    pub(crate) place: Place,
    pub(crate) left: PathBuf,
    pub(crate) alice: Tenant,
    /// Every task as the list shows it.
    pub(crate) list: String,
}

/// How the store was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    Closed,
    Killed,
}

impl Patient {
    /// A small store: all of it is in one segment of the engine's log.
    pub(crate) fn small(engine: Engine, left: Left) -> Self {
        Self::new(engine, left, 40, 1)
    }

    /// A store of several segments, most of which have been written more than once.
    pub(crate) fn large(engine: Engine, left: Left) -> Self {
        Self::new(engine, left, 150, 3)
    }

    /// A small store that was opened before, so that the engine has notes of where everything is: a snapshot, or tables.
    pub(crate) fn with_notes(engine: Engine, left: Left) -> Self {
        let patient = Self::small(engine, left);
        if engine == Engine::Fjall {
            let kv = FjallKv::open(&patient.left.join("engine"), Durability::PowerLoss).unwrap();
            kv.compact().unwrap();
        }
        fs::rename(&patient.left, patient.store()).unwrap();
        let daemon = patient.place.start();
        let place = if left == Left::Closed { daemon.into_place() } else { daemon.killed() };
        fs::rename(place.path().join("data"), &patient.left).unwrap();
        Self { place, ..patient }
    }

    pub(crate) fn new(engine: Engine, left: Left, tasks: usize, changes: usize) -> Self {
        let daemon = Daemon::builder().engine(engine).start();
        // From its second start on fjall's journal is as long as what is in it.
        let daemon = if engine == Engine::Fjall { daemon.restart() } else { daemon };
        let alice = Tenant::new(&daemon, "alice");
        let mut client = daemon.connect();
        for number in 0..tasks {
            let long = |change: usize| "d".repeat((number * 37 + change * 101) % 9000);
            let made = client.ask(&alice.create(&json!({"title": format!("task {number}"), "description": long(0)})));
            let id = made.json()["task_id"].as_str().unwrap().to_owned();
            for change in 1..=changes {
                let body = json!({"description": long(change), "priority": "high", "status": "in_progress"});
                assert_eq!(client.ask(&alice.patch(&id, &body)).status(), 200);
            }
        }
        let list = client.ask(&alice.list("limit=1000")).text();
        drop(client);
        let place = if left == Left::Closed { daemon.into_place() } else { daemon.killed() };
        let as_left = place.path().join("as-left");
        fs::rename(place.path().join("data"), &as_left).unwrap();
        Self { engine, place, left: as_left, alice, list }
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.place.path().join("data")
    }

    /// The file that the engine wrote to last, in a copy of the store.
    pub(crate) fn log(&self) -> impl Fn(&Path) -> PathBuf + Copy + use<> {
        let engine = self.engine;
        move |store| log_of(engine, store)
    }

    pub(crate) fn log_length(&self) -> u64 {
        fs::metadata(log_of(self.engine, &self.left)).unwrap().len()
    }

    /// Starts a daemon on the store after something was done to it.
    #[track_caller]
    pub(crate) fn after(self, damage: impl FnOnce(&Path)) -> (Self, Outcome) {
        let store = self.store();
        if store.exists() {
            fs::remove_dir_all(&store).unwrap();
        }
        copy(&self.left, &store);
        damage(&store);
        let found = contents(&store.join("engine"));
        let (patient, outcome) = self.start();
        (patient, Outcome { found, ..outcome })
    }

    /// Starts a daemon on the store as it is.
    #[track_caller]
    pub(crate) fn start(self) -> (Self, Outcome) {
        let Self { engine, place, left, alice, list } = self;
        match place.try_start() {
            Ok(daemon) => {
                let answer = daemon.ask(&alice.list("limit=1000"));
                let complete = answer.text() == list;
                let serves = if complete { Ended::Serves } else { Ended::ServesLess(answer.text()) };
                let outcome = Outcome { ended: serves, log: daemon.log(), found: BTreeMap::new() };
                (Self { engine, place: daemon.into_place(), left, alice, list }, outcome)
            }
            Err(refused) => {
                let Refused { status, log, place, .. } = *refused;
                let ended = if status.code() == Some(1) { Ended::Refused } else { Ended::Broke(status.to_string()) };
                (Self { engine, place, left, alice, list }, Outcome { ended, log, found: BTreeMap::new() })
            }
        }
    }

    /// What must hold of any damage to the engine's files: all of it is there, or the start is refused, with the files
    /// as they were found where the message says; and a second start says the same.
    #[track_caller]
    pub(crate) fn holds_out(self, rows: &mut Rows, what: &str, damage: impl FnOnce(&Path)) -> Self {
        let (patient, first) = self.after(damage);
        rows.holds(format!("{what}: complete or refused"), first.ended.is_fine(), first.shown());
        if first.ended == Ended::Serves {
            rows.holds(format!("{what}: no copy is left"), !has_copies(&patient.store()), first.shown());
            return patient;
        }
        let files = patient.store().join("engine");
        rows.holds(format!("{what}: what is wrong"), first.log.contains("the store is damaged: "), first.shown());
        rows.holds(
            format!("{what}: names the files"),
            first.log.contains(&format!("in `{}`", files.display())),
            first.shown(),
        );
        rows.holds(format!("{what}: they are what was found"), contents(&files) == first.found, first.shown());
        let (patient, second) = patient.start();
        rows.eq(format!("{what}: again"), &first.message(), &second.message());
        rows.holds(format!("{what}: they stay so"), contents(&files) == first.found, second.shown());
        patient
    }

    /// Damage after which every task must be there nevertheless.
    #[track_caller]
    pub(crate) fn unharmed(self, rows: &mut Rows, what: &str, damage: impl FnOnce(&Path)) -> Self {
        let (patient, outcome) = self.after(damage);
        rows.eq(what, &Ended::Serves, &outcome.ended);
        rows.holds(format!("{what}: no copy is left"), !has_copies(&patient.store()), outcome.shown());
        patient
    }

    /// Damage that is refused with all of these words, twice, and nothing is touched.
    #[track_caller]
    pub(crate) fn refused(self, rows: &mut Rows, what: &str, words: &[&str], damage: impl FnOnce(&Path)) -> Self {
        let (patient, first) = self.after(damage);
        rows.eq(what, &Ended::Refused, &first.ended);
        let words = words.iter().map(|word| word.replace("@STORE@", patient.store().to_str().unwrap()));
        let missing: Vec<String> = words.filter(|word| !first.log.contains(word.as_str())).collect();
        rows.holds(format!("{what}: says {missing:?}"), missing.is_empty(), first.shown());
        let engine = contents(&patient.store().join("engine"));
        rows.holds(format!("{what}: the engine's files are as they were"), engine == first.found, first.shown());
        let (patient, second) = patient.start();
        rows.eq(format!("{what}: again"), &first.message(), &second.message());
        patient
    }
}

/// How a start ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With every task.
    Serves,
    /// With this list.
    ServesLess(String),
    /// With code 1.
    Refused,
    /// Otherwise.
    Broke(String),
}

impl Ended {
    pub(crate) fn is_fine(&self) -> bool {
        matches!(self, Self::Serves | Self::Refused)
    }
}

pub(crate) struct Outcome {
    pub(crate) ended: Ended,
    pub(crate) log: String,
    /// The engine's files as the start found them.
    pub(crate) found: BTreeMap<PathBuf, Vec<u8>>,
}

impl Outcome {
    /// Its last words.
    pub(crate) fn message(&self) -> String {
        self.log.lines().rfind(|line| line.contains("chittyconnect: ")).unwrap_or_default().to_owned()
    }

    pub(crate) fn shown(&self) -> String {
        let log: Vec<String> = self.log.lines().map(|line| line.chars().take(300).collect()).collect();
        let ended = format!("{:?}", self.ended);
        format!("{} {}", ended.chars().take(100).collect::<String>(), log[log.len().saturating_sub(4)..].join(" ¶ "))
    }
}

/// Every file below a folder, by its path in it.
pub(crate) fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(within) = folders.pop() {
        for entry in fs::read_dir(within).into_iter().flatten() {
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
