//! A store that is not as it was left: it comes up with everything that was acknowledged, or not at all, and then says
//! what is wrong, where, and what to do, and keeps what it found.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::daemon::{Place, Refused};
use crate::support::store::{copy, cut, flip, has_copies, long};
use crate::support::{Daemon, Rows, Tenant};

/// A store with some tasks in it, as it was left, and a folder in which damaged copies of it are started.
struct Patient {
    place: Place,
    left: PathBuf,
    alice: Tenant,
    /// Every task as the list shows it.
    list: String,
}

/// How the store was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Closed,
    Killed,
}

impl Patient {
    /// A small store: all of it is in one segment of the engine's log.
    fn small(left: Left) -> Self {
        Self::new(left, 40, 1)
    }

    /// A store of several segments, most of which have been written more than once.
    fn large(left: Left) -> Self {
        Self::new(left, 150, 3)
    }

    /// A small store that was opened before, so that the engine has notes of where everything is.
    fn with_notes(left: Left) -> Self {
        let patient = Self::small(left);
        fs::rename(&patient.left, patient.store()).unwrap();
        let daemon = patient.place.start();
        let place = if left == Left::Closed { daemon.into_place() } else { daemon.killed() };
        fs::rename(place.path().join("data"), &patient.left).unwrap();
        Self { place, ..patient }
    }

    fn new(left: Left, tasks: usize, changes: usize) -> Self {
        let daemon = Daemon::builder().start();
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
        Self { place, left: as_left, alice, list }
    }

    fn store(&self) -> PathBuf {
        self.place.path().join("data")
    }

    fn log_length(&self) -> u64 {
        fs::metadata(self.left.join("engine/db")).unwrap().len()
    }

    /// Starts a daemon on the store after something was done to it.
    #[track_caller]
    fn after(self, damage: impl FnOnce(&Path)) -> (Self, Outcome) {
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
    fn start(self) -> (Self, Outcome) {
        let Self { place, left, alice, list } = self;
        match place.try_start() {
            Ok(daemon) => {
                let answer = daemon.ask(&alice.list("limit=1000"));
                let complete = answer.text() == list;
                let serves = if complete { Ended::Serves } else { Ended::ServesLess(answer.text()) };
                let outcome = Outcome { ended: serves, log: daemon.log(), found: BTreeMap::new() };
                (Self { place: daemon.into_place(), left, alice, list }, outcome)
            }
            Err(refused) => {
                let Refused { status, log, place, .. } = *refused;
                let ended = if status.code() == Some(1) { Ended::Refused } else { Ended::Broke(status.to_string()) };
                (Self { place, left, alice, list }, Outcome { ended, log, found: BTreeMap::new() })
            }
        }
    }

    /// What must hold of any damage to the engine's files: all of it is there, or the start is refused, with the files
    /// as they were found where the message says; and a second start says the same.
    #[track_caller]
    fn holds_out(self, rows: &mut Rows, what: &str, damage: impl FnOnce(&Path)) -> Self {
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
    fn unharmed(self, rows: &mut Rows, what: &str, damage: impl FnOnce(&Path)) -> Self {
        let (patient, outcome) = self.after(damage);
        rows.eq(what, &Ended::Serves, &outcome.ended);
        rows.holds(format!("{what}: no copy is left"), !has_copies(&patient.store()), outcome.shown());
        patient
    }

    /// Damage that is refused with all of these words, twice, and nothing is touched.
    #[track_caller]
    fn refused(self, rows: &mut Rows, what: &str, words: &[&str], damage: impl FnOnce(&Path)) -> Self {
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
enum Ended {
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
    fn is_fine(&self) -> bool {
        matches!(self, Self::Serves | Self::Refused)
    }
}

struct Outcome {
    ended: Ended,
    log: String,
    /// The engine's files as the start found them.
    found: BTreeMap<PathBuf, Vec<u8>>,
}

impl Outcome {
    /// Its last words.
    fn message(&self) -> String {
        self.log.lines().rfind(|line| line.contains("chittyconnect: ")).unwrap_or_default().to_owned()
    }

    fn shown(&self) -> String {
        let log: Vec<String> = self.log.lines().map(|line| line.chars().take(300).collect()).collect();
        let ended = format!("{:?}", self.ended);
        format!("{} {}", ended.chars().take(100).collect::<String>(), log[log.len().saturating_sub(4)..].join(" ¶ "))
    }
}

/// Every file below a folder, by its path in it.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
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

/// So many places in a file of this length, spread evenly, its first and its last byte among them.
fn spread(length: u64, count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(move |number| (length - 1) * number / (count - 1))
}

/// Writes over the middle third of the first `length` bytes of a file.
fn fill_the_middle(file: &Path, length: u64, with: u8) {
    let part = usize::try_from(length / 3).unwrap();
    let mut bytes = fs::read(file).unwrap();
    bytes[part..2 * part].fill(with);
    fs::write(file, bytes).unwrap();
}

/// Flips bytes and cuts the log at so many places.
fn damage_the_log(mut patient: Patient, left: Left, places: u64) {
    let places = if long() { 12 * places } else { places };
    let mut rows = Rows::new();
    let length = patient.log_length();
    for at in spread(length, places) {
        patient = patient.holds_out(&mut rows, &format!("{left:?}, byte {at} of {length} flipped"), |store| {
            flip(&store.join("engine/db"), at);
        });
    }
    let little = [1, 2, 7, 8, 100, 4096].map(|less| length - less);
    for at in spread(length, places / 2).chain(little) {
        patient = patient.holds_out(&mut rows, &format!("{left:?}, cut at {at} of {length}"), |store| {
            cut(&store.join("engine/db"), at);
        });
    }
    for (what, fill) in [("zeros", 0), ("ones", 0xff)] {
        patient = patient.holds_out(&mut rows, &format!("{left:?}, {what} in the middle third"), |store| {
            fill_the_middle(&store.join("engine/db"), length, fill);
        });
        patient = patient.holds_out(&mut rows, &format!("{left:?}, {what} behind the end"), |store| {
            let log = store.join("engine/db");
            let mut bytes = fs::read(&log).unwrap();
            bytes.resize(bytes.len() + 10_000, fill);
            fs::write(&log, bytes).unwrap();
        });
    }
    rows.finish();
}

#[test]
fn a_damaged_log_is_refused_and_nothing_is_dropped() {
    damage_the_log(Patient::small(Left::Closed), Left::Closed, 30);
}

#[test]
fn a_log_that_is_damaged_after_a_kill_is_refused_and_nothing_is_dropped() {
    damage_the_log(Patient::small(Left::Killed), Left::Killed, 30);
}

#[test]
fn a_large_log_that_is_damaged_is_refused_and_nothing_is_dropped() {
    damage_the_log(Patient::large(Left::Closed), Left::Closed, 16);
}

#[test]
fn a_large_log_that_is_damaged_after_a_kill_is_refused_and_nothing_is_dropped() {
    damage_the_log(Patient::large(Left::Killed), Left::Killed, 16);
}

/// The engine's notes of where everything is.
fn snapshot(store: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(store.join("engine")).unwrap().map(|entry| entry.unwrap().path());
    entries.into_iter().find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("snap."))
}

#[test]
fn damage_to_the_engines_other_files_drops_nothing() {
    let mut rows = Rows::new();
    for left in [Left::Closed, Left::Killed] {
        let mut patient = Patient::with_notes(left);
        let notes = snapshot(&patient.left).expect("it was opened before");
        let name = notes.file_name().unwrap().to_owned();
        let notes = |store: &Path| store.join("engine").join(&name);
        let length = fs::metadata(notes(&patient.left)).unwrap().len();
        for at in spread(length, 8) {
            let what = format!("{left:?}, byte {at} of the snapshot flipped");
            patient = patient.holds_out(&mut rows, &what, |store| flip(&notes(store), at));
        }
        for at in [0, 1, 12, 13, length / 2, length - 1] {
            let what = format!("{left:?}, the snapshot cut at {at}");
            patient = patient.holds_out(&mut rows, &what, |store| cut(&notes(store), at));
        }
        let what = format!("{left:?}, the snapshot removed");
        patient = patient.holds_out(&mut rows, &what, |store| fs::remove_file(notes(store)).unwrap());
        for at in spread(62, 5) {
            let what = format!("{left:?}, byte {at} of the engine's configuration flipped");
            patient = patient.holds_out(&mut rows, &what, |store| flip(&store.join("engine/conf"), at));
        }
        for file in ["conf", "db"] {
            let what = format!("{left:?}, engine/{file} removed");
            patient = patient.holds_out(&mut rows, &what, |store| {
                fs::remove_file(store.join("engine").join(file)).unwrap();
            });
            let what = format!("{left:?}, engine/{file} empty");
            patient = patient.holds_out(&mut rows, &what, |store| cut(&store.join("engine").join(file), 0));
        }
        let what = format!("{left:?}, engine/blobs removed");
        patient = patient.holds_out(&mut rows, &what, |store| fs::remove_dir_all(store.join("engine/blobs")).unwrap());
        let what = format!("{left:?}, a file of somebody else's in engine/");
        patient.holds_out(&mut rows, &what, |store| fs::write(store.join("engine/notes.txt"), "mine").unwrap());
    }
    rows.finish();
}

/// The engine writes its notes anew when it is opened; a process that ends then leaves a file that is not whole.
#[test]
fn notes_that_the_engine_did_not_finish_are_no_harm() {
    let mut rows = Rows::new();
    for left in [Left::Closed, Left::Killed] {
        let mut patient = Patient::small(left);
        for (what, bytes) in [("empty", &b""[..]), ("half written", &[7; 100])] {
            patient = patient.unharmed(&mut rows, &format!("{left:?}, {what}"), |store| {
                fs::write(store.join("engine/snap.0000000000FFFFFF.generating"), bytes).unwrap();
            });
        }
    }
    rows.finish();
}

/// A line of a witness as it is written.
fn line(json: &serde_json::Value) -> String {
    let json = json.to_string();
    format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()))
}

/// What a line of a witness says.
fn said(store: &Path) -> serde_json::Value {
    let text = fs::read_to_string(store.join("witness")).unwrap();
    let said = text.lines().map(|line| serde_json::from_str(line.split_once(' ').unwrap().1.trim()).unwrap());
    said.max_by_key(|said: &serde_json::Value| said["commit"].as_u64()).unwrap()
}

#[test]
fn a_store_is_never_taken_for_a_new_one() {
    let mut rows = Rows::new();
    for left in [Left::Closed, Left::Killed] {
        let mut patient = Patient::small(left);
        patient = patient.unharmed(&mut rows, &format!("{left:?}, nothing done"), |_| {});
        // What was acknowledged is not known then, so the files as they were found are kept.
        let (unwitnessed, outcome) = patient.after(|store| fs::remove_file(store.join("witness")).unwrap());
        rows.eq(format!("{left:?}, no witness"), &Ended::Serves, &outcome.ended);
        let kept = unwitnessed.store().join("engine.found-1");
        rows.holds(format!("{left:?}, no witness: kept"), contents(&kept) == outcome.found, outcome.shown());
        rows.holds(
            format!("{left:?}, no witness: said"),
            outcome.log.contains(kept.to_str().unwrap()),
            outcome.shown(),
        );
        patient = unwitnessed;
        patient = patient.unharmed(&mut rows, &format!("{left:?}, no lock"), |store| {
            fs::remove_file(store.join("lock")).unwrap();
        });
        patient = patient.unharmed(&mut rows, &format!("{left:?}, garbage in the lock"), |store| {
            fs::write(store.join("lock"), [0xff; 300]).unwrap();
        });
        let missing = ["store.path: ", "@STORE@/engine", "is missing", "acknowledged", "remove `@STORE@/witness`"];
        patient = patient.refused(&mut rows, &format!("{left:?}, no engine"), &missing, |store| {
            fs::remove_dir_all(store.join("engine")).unwrap();
        });
        patient = patient.refused(&mut rows, &format!("{left:?}, an empty engine"), &missing, |store| {
            fs::remove_dir_all(store.join("engine")).unwrap();
            fs::create_dir(store.join("engine")).unwrap();
        });
        let damaged = ["store.path: `@STORE@/witness` is damaged", "remove this file and start again"];
        for (what, bytes) in
            [("empty", &b""[..]), ("garbage", &[0x80; 700]), ("a line without an end", b"12345678 {\"format\":1")]
        {
            let what = format!("{left:?}, the witness is {what}");
            patient = patient.refused(&mut rows, &what, &damaged, |store| {
                fs::write(store.join("witness"), bytes).unwrap();
            });
        }
        patient = patient.refused(&mut rows, &format!("{left:?}, each line has a flipped byte"), &damaged, |store| {
            let path = store.join("witness");
            let mut lines: Vec<Vec<u8>> =
                fs::read(&path).unwrap().split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            lines.iter_mut().filter(|line| line.len() > 20).for_each(|line| line[20] ^= 1);
            fs::write(&path, lines.join(&b'\n')).unwrap();
        });
        let too_new = ["is in format 99", "reads up to", "accepted: chittyconnect"];
        patient = patient.refused(&mut rows, &format!("{left:?}, a later format"), &too_new, |store| {
            let mut said = said(store);
            said["format"] = json!(99);
            fs::write(store.join("witness"), line(&said)).unwrap();
        });
        let other = ["store.engine: ", "was made by the engine other"];
        patient = patient.refused(&mut rows, &format!("{left:?}, another engine"), &other, |store| {
            let mut said = said(store);
            said["engine"] = json!("other");
            fs::write(store.join("witness"), line(&said)).unwrap();
        });
        let behind = ["the store is damaged", "was acknowledged", "`@STORE@/engine`", "remove `@STORE@/witness`"];
        let ahead = |store: &Path| {
            let mut said = said(store);
            said["commit"] = json!(said["commit"].as_u64().unwrap() + 1);
            said["files"] = json!(null);
            fs::write(store.join("witness"), line(&said)).unwrap();
        };
        let (behind_by_one, outcome) = patient.after(ahead);
        rows.eq(format!("{left:?}, one more was acknowledged"), &Ended::Refused, &outcome.ended);
        for word in behind.map(|word| word.replace("@STORE@", behind_by_one.store().to_str().unwrap())) {
            rows.holds(
                format!("{left:?}, one more was acknowledged: {word}"),
                outcome.log.contains(&word),
                outcome.shown(),
            );
        }
        patient = behind_by_one;
        // One of two slots is torn: the other one counts.
        if left == Left::Killed {
            for at in [20, 532] {
                patient = patient.unharmed(&mut rows, &format!("slot with byte {at} is torn"), |store| {
                    flip(&store.join("witness"), at);
                });
            }
        }
    }
    rows.finish();
}

#[test]
fn the_way_out_that_a_message_names_leads_out() {
    let mut rows = Rows::new();
    let go_on = |store: &Path| fs::remove_file(store.join("witness")).unwrap();

    // A witness that is damaged, of a store that is whole.
    let patient = Patient::small(Left::Closed);
    let (patient, outcome) = patient.after(|store| fs::write(store.join("witness"), "garbage").unwrap());
    rows.eq("a damaged witness", &Ended::Refused, &outcome.ended);
    go_on(&patient.store());
    let (patient, outcome) = patient.start();
    rows.eq("a damaged witness, removed", &Ended::Serves, &outcome.ended);

    // An engine that is gone, and comes back.
    let (patient, outcome) = patient.after(|store| fs::rename(store.join("engine"), store.join("elsewhere")).unwrap());
    rows.eq("no engine", &Ended::Refused, &outcome.ended);
    fs::remove_dir_all(patient.store().join("engine")).ok();
    fs::rename(patient.store().join("elsewhere"), patient.store().join("engine")).unwrap();
    let (patient, outcome) = patient.start();
    rows.eq("no engine, brought back", &Ended::Serves, &outcome.ended);

    // A log that is cut short: without its witness it serves what is left.
    accepted_short(&mut rows, patient);
    rows.finish();
}

/// Cuts off a little of the log, and goes on as the message says.
fn accepted_short(rows: &mut Rows, mut patient: Patient) {
    let length = patient.log_length();
    for less in [100, 1000, 4096, 10_000, 30_000] {
        let (refused, outcome) = patient.after(|store| cut(&store.join("engine/db"), length - less));
        patient = refused;
        // The end of the log may be room that is not used yet.
        if outcome.ended != Ended::Serves {
            rows.eq(format!("cut by {less}"), &Ended::Refused, &outcome.ended);
            let whole_as_far_as_it_goes = outcome.log.contains("was acknowledged");
            if whole_as_far_as_it_goes {
                rows.holds(format!("cut by {less}: way out"), outcome.log.contains("remove `"), outcome.shown());
            } else {
                rows.holds(format!("cut by {less}: way out"), outcome.log.contains("Bring back"), outcome.shown());
                fs::rename(patient.store().join("engine"), patient.store().join("elsewhere")).unwrap();
            }
            fs::remove_file(patient.store().join("witness")).unwrap();
            let (accepted, outcome) = patient.start();
            // With the engine elsewhere the store is a new one, in which the tenant's key is nobody's.
            let less_is_there = matches!(outcome.ended, Ended::ServesLess(_));
            rows.holds(format!("cut by {less} and accepted"), less_is_there, outcome.shown());
            patient = accepted;
        }
    }
}

#[test]
fn the_way_out_leads_out_of_a_large_store_too() {
    let mut rows = Rows::new();
    accepted_short(&mut rows, Patient::large(Left::Closed));
    rows.finish();
}

#[test]
fn what_was_lost_stays_as_it_was_found_when_the_operator_goes_on_without_it() {
    let patient = Patient::small(Left::Closed);
    let length = patient.log_length();
    let (patient, outcome) = patient.after(|store| cut(&store.join("engine/db"), length - 100));
    assert_eq!(outcome.ended, Ended::Refused, "{}", outcome.shown());
    fs::remove_file(patient.store().join("witness")).unwrap();
    let (patient, later) = patient.start();
    let kept = patient.store().join("engine.found-1");
    assert!(later.log.contains(kept.to_str().unwrap()), "{}", later.shown());
    assert!(contents(&kept) == outcome.found, "the files that the message promised are there: {}", later.shown());
}

#[test]
fn a_copy_of_an_earlier_refusal_does_not_stand_for_a_later_one() {
    let patient = Patient::small(Left::Closed);
    let length = patient.log_length();
    let (patient, outcome) = patient.after(|store| cut(&store.join("engine/db"), length / 2));
    assert_eq!(outcome.ended, Ended::Refused, "{}", outcome.shown());
    // The operator brings the files back as they were, and all is well.
    let store = patient.store();
    fs::remove_dir_all(store.join("engine")).unwrap();
    copy(&patient.left.join("engine"), &store.join("engine"));
    let Patient { place, left, alice, list } = patient;
    let daemon = place.start();
    assert_eq!(daemon.ask(&alice.list("limit=1000")).text(), list);
    alice.titled(&daemon, "since then");
    let place = daemon.killed();
    // Then the disk fails again.
    fill_the_middle(&store.join("engine/db"), length, 0);
    let found = contents(&store.join("engine"));
    let (_patient, outcome) = Patient { place, left, alice, list }.start();
    assert_eq!(outcome.ended, Ended::Refused, "{}", outcome.shown());
    let copies = fs::read_dir(&store).unwrap().map(|entry| entry.unwrap().path());
    let kept: Vec<PathBuf> = copies.filter(|path| contents(path) == found).collect();
    assert!(
        kept.iter().any(|copy| outcome.log.contains(copy.to_str().unwrap())),
        "the files as they were found this time are not where the message says: {}",
        outcome.shown()
    );
}

#[test]
fn a_kill_while_it_starts_is_no_harm() {
    let Patient { mut place, left, alice, list } = Patient::small(Left::Killed);
    fs::rename(&left, place.path().join("data")).unwrap();
    let rounds = if long() { 300 } else { 30 };
    for round in 0..rounds {
        // A bit later each time, until it is ready.
        place = place.killed_after(round * 500_000 / rounds);
    }
    let daemon = place.start();
    assert_eq!(daemon.ask(&alice.list("limit=1000")).text(), list);
    assert!(!has_copies(&daemon.folder().join("data")));
}

#[test]
fn a_store_is_open_in_one_process() {
    let first = Daemon::builder().start();
    let alice = Tenant::new(&first, "alice");
    let id = alice.titled(&first, "kept");
    let path = first.folder().join("data");
    let same_store = Daemon::builder().set("store", &format!("{{path: \"{}\"}}", path.display()));
    let mut rows = Rows::new();
    let in_use = format!("store.path: `{}` is in use by process {}", path.display(), first.pid());
    let Err(refused) = same_store.clone().try_start() else { panic!("two daemons have one store") };
    rows.eq("a second daemon", &Some(1), &refused.status.code());
    rows.holds("a second daemon: message", refused.log.contains(&in_use), &refused.log);

    // Nobody answers at its admin socket, so the command would open the store itself.
    let elsewhere = tempfile::tempdir().unwrap();
    let config = elsewhere.path().join("chittyconnect.yaml");
    let socket = elsewhere.path().join("admin.sock");
    let yaml = format!("store: {{path: \"{}\"}}\nadmin: {{socket: \"{}\"}}\n", path.display(), socket.display());
    fs::write(&config, yaml).unwrap();
    let keys = ["keys", "create", "--chitty-id", "bob", "--config", config.to_str().unwrap()];
    let output = std::process::Command::new(crate::support::BINARY).args(keys).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    rows.eq("keys create", &Some(1), &output.status.code());
    rows.holds("keys create: message", message.contains(&format!("in use by process {}", first.pid())), &message);
    rows.eq("keys create: no key", &0, &output.stdout.len());

    rows.eq("the first one", &json!("kept"), &alice.task(&first, &id)["title"]);
    alice.titled(&first, "made since");
    let place = first.killed();
    // The dead one's lock is nobody's.
    let daemon = place.start();
    rows.eq("after it was killed", &2, &alice.page(&daemon, "")["tasks"].as_array().unwrap().len());
    rows.finish();
}

#[test]
fn a_place_that_cannot_be_used_is_named() {
    let mut rows = Rows::new();
    for (what, path, why) in [
        ("a file", "@DIR@/plain", "exists"),
        ("below a file", "@DIR@/plain/data", "Not a directory"),
        ("where nothing can be made", "/proc/self/data", "No such file or directory"),
        ("a name that is too long", &format!("@DIR@/{}", "x".repeat(300)), "name too long"),
    ] {
        let builder = Daemon::builder().set("store", &format!("{{path: \"{path}\"}}")).file("plain", "mine");
        let Err(refused) = builder.try_start() else { panic!("{what}: it starts") };
        let path = path.replace("@DIR@", refused.place.path().to_str().unwrap());
        rows.eq(what, &Some(1), &refused.status.code());
        for word in ["store.path", path.as_str(), why] {
            rows.holds(format!("{what}: says {word}"), refused.log.contains(word), &refused.log);
        }
        rows.holds(format!("{what}: no panic"), !refused.log.contains("panicked"), &refused.log);
        rows.eq(
            format!("{what}: untouched"),
            &"mine".to_owned(),
            &fs::read_to_string(refused.place.path().join("plain")).unwrap(),
        );
    }
    rows.finish();
}
