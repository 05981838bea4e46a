//! A store that is not as it was left: it comes up with everything that was acknowledged, or not at all, and then says
//! what is wrong, where, and what to do, and keeps what it found.

use std::fs;
use std::path::{Path, PathBuf};

use chittyconnect::store::Engine;

use crate::support::Rows;
use crate::support::patient::{Ended, Left, Patient, contents};
use crate::support::store::{copy, cut, flip, has_copies, long, on_each_engine};

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
    let (log, length) = (patient.log(), patient.log_length());
    for at in spread(length, places) {
        patient = patient.holds_out(&mut rows, &format!("{left:?}, byte {at} of {length} flipped"), |store| {
            flip(&log(store), at);
        });
    }
    let little = [1, 2, 7, 8, 100, 4096].map(|less| length - less);
    for at in spread(length, places / 2).chain(little) {
        patient = patient.holds_out(&mut rows, &format!("{left:?}, cut at {at} of {length}"), |store| {
            cut(&log(store), at);
        });
    }
    for (what, fill) in [("zeros", 0), ("ones", 0xff)] {
        patient = patient.holds_out(&mut rows, &format!("{left:?}, {what} in the middle third"), |store| {
            fill_the_middle(&log(store), length, fill);
        });
        patient = patient.holds_out(&mut rows, &format!("{left:?}, {what} behind the end"), |store| {
            let log = log(store);
            let mut bytes = fs::read(&log).unwrap();
            bytes.resize(bytes.len() + 10_000, fill);
            fs::write(&log, bytes).unwrap();
        });
    }
    rows.finish();
}

fn a_damaged_log_is_refused_and_nothing_is_dropped(engine: Engine) {
    damage_the_log(Patient::small(engine, Left::Closed), Left::Closed, 30);
}

fn a_log_that_is_damaged_after_a_kill_is_refused_and_nothing_is_dropped(engine: Engine) {
    damage_the_log(Patient::small(engine, Left::Killed), Left::Killed, 30);
}

fn a_large_log_that_is_damaged_is_refused_and_nothing_is_dropped(engine: Engine) {
    damage_the_log(Patient::large(engine, Left::Closed), Left::Closed, 16);
}

fn a_large_log_that_is_damaged_after_a_kill_is_refused_and_nothing_is_dropped(engine: Engine) {
    damage_the_log(Patient::large(engine, Left::Killed), Left::Killed, 16);
}

/// The engine's notes of where everything is.
fn snapshot(store: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(store.join("engine")).unwrap().map(|entry| entry.unwrap().path());
    entries.into_iter().find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("snap."))
}

#[test]
fn damage_to_sleds_other_files_drops_nothing() {
    let mut rows = Rows::new();
    for left in [Left::Closed, Left::Killed] {
        let mut patient = Patient::with_notes(Engine::Sled, left);
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

/// Everything that fjall has beside its journal: tables, what says which of them count, and what it was made with.
#[test]
fn damage_to_fjalls_other_files_drops_nothing() {
    let mut rows = Rows::new();
    for left in [Left::Closed, Left::Killed] {
        let mut patient = Patient::with_notes(Engine::Fjall, left);
        let files: Vec<PathBuf> = contents(&patient.left.join("engine")).into_keys().collect();
        let tables = files.iter().filter(|file| file.starts_with("keyspaces/1/tables"));
        rows.holds("there are tables", tables.count() > 0, &files);
        for file in files.iter().filter(|file| file.file_name().is_some_and(|name| name != "lock")) {
            let at_file = |store: &Path| store.join("engine").join(file);
            let length = fs::metadata(at_file(&patient.left)).unwrap().len();
            let name = file.display();
            let places = if length > 10_000 { 12 } else { 5 };
            for at in spread(length, places) {
                let what = format!("{left:?}, byte {at} of {length} of {name} flipped");
                patient = patient.holds_out(&mut rows, &what, |store| flip(&at_file(store), at));
            }
            for at in [0, length / 2, length - 1] {
                let what = format!("{left:?}, {name} cut at {at} of {length}");
                patient = patient.holds_out(&mut rows, &what, |store| cut(&at_file(store), at));
            }
            let what = format!("{left:?}, {name} removed");
            patient = patient.holds_out(&mut rows, &what, |store| fs::remove_file(at_file(store)).unwrap());
        }
        for folder in ["keyspaces", "keyspaces/0", "keyspaces/1", "keyspaces/1/tables"] {
            let what = format!("{left:?}, {folder} removed");
            patient = patient.holds_out(&mut rows, &what, |store| {
                fs::remove_dir_all(store.join("engine").join(folder)).unwrap();
            });
        }
        let what = format!("{left:?}, a file of somebody else's in engine/");
        patient.holds_out(&mut rows, &what, |store| fs::write(store.join("engine/notes.txt"), "mine").unwrap());
    }
    rows.finish();
}

/// What a process leaves that ends while it makes a journal, a table, or the list of tables that count.
#[test]
fn files_that_fjall_did_not_finish_are_no_harm() {
    let mut rows = Rows::new();
    for left in [Left::Closed, Left::Killed] {
        let mut patient = Patient::with_notes(Engine::Fjall, left);
        for (file, bytes) in [
            ("7.jnl", &b""[..]),
            ("7.jnl", &[0; 10_000]),
            ("keyspaces/1/.tmpAbCdEf", b"half"),
            ("keyspaces/1/v900", b"half"),
            ("keyspaces/1/tables/900", b"half"),
        ] {
            let what = format!("{left:?}, {file} of {} bytes", bytes.len());
            patient = patient.unharmed(&mut rows, &what, |store| {
                fs::write(store.join("engine").join(file), bytes).unwrap();
            });
        }
    }
    rows.finish();
}

/// The engine writes its notes anew when it is opened; a process that ends then leaves a file that is not whole.
#[test]
fn notes_that_sled_did_not_finish_are_no_harm() {
    let mut rows = Rows::new();
    for left in [Left::Closed, Left::Killed] {
        let mut patient = Patient::small(Engine::Sled, left);
        for (what, bytes) in [("empty", &b""[..]), ("half written", &[7; 100])] {
            patient = patient.unharmed(&mut rows, &format!("{left:?}, {what}"), |store| {
                fs::write(store.join("engine/snap.0000000000FFFFFF.generating"), bytes).unwrap();
            });
        }
    }
    rows.finish();
}

fn the_way_out_that_a_message_names_leads_out(engine: Engine) {
    let mut rows = Rows::new();
    let go_on = |store: &Path| fs::remove_file(store.join("witness")).unwrap();

    // A witness that is damaged, of a store that is whole.
    let patient = Patient::small(engine, Left::Closed);
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
    let (log, length) = (patient.log(), patient.log_length());
    let mut refusals = 0;
    // The last is more than a segment of sled: it cannot all be room.
    for less in [100, 1000, 4096, 10_000, 30_000, 600_000].into_iter().filter(|less| *less < length) {
        let (refused, outcome) = patient.after(|store| cut(&log(store), length - less));
        patient = refused;
        // The end of the log may be room that is not used yet.
        rows.holds(
            format!("cut by {less}: all of it, or refused"),
            matches!(outcome.ended, Ended::Serves | Ended::Refused),
            outcome.shown(),
        );
        if outcome.ended != Ended::Serves {
            refusals += 1;
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
    rows.holds("a way out was needed", refusals > 0, refusals);
}

fn the_way_out_leads_out_of_a_large_store_too(engine: Engine) {
    let mut rows = Rows::new();
    accepted_short(&mut rows, Patient::large(engine, Left::Closed));
    rows.finish();
}

fn what_was_lost_stays_as_it_was_found_when_the_operator_goes_on_without_it(engine: Engine) {
    let patient = Patient::small(engine, Left::Closed);
    let (log, length) = (patient.log(), patient.log_length());
    let (patient, outcome) = patient.after(|store| cut(&log(store), length - 100));
    assert_eq!(outcome.ended, Ended::Refused, "{}", outcome.shown());
    fs::remove_file(patient.store().join("witness")).unwrap();
    let (patient, later) = patient.start();
    let kept = patient.store().join("engine.found-1");
    assert!(later.log.contains(kept.to_str().unwrap()), "{}", later.shown());
    assert!(contents(&kept) == outcome.found, "the files that the message promised are there: {}", later.shown());
}

fn a_copy_of_an_earlier_refusal_does_not_stand_for_a_later_one(engine: Engine) {
    let patient = Patient::small(engine, Left::Closed);
    let (log, length) = (patient.log(), patient.log_length());
    let (patient, outcome) = patient.after(|store| cut(&log(store), length / 2));
    assert_eq!(outcome.ended, Ended::Refused, "{}", outcome.shown());
    // The operator brings the files back as they were, and all is well.
    let store = patient.store();
    fs::remove_dir_all(store.join("engine")).unwrap();
    copy(&patient.left.join("engine"), &store.join("engine"));
    let Patient { engine, place, left, alice, list } = patient;
    let daemon = place.start();
    assert_eq!(daemon.ask(&alice.list("limit=1000")).text(), list);
    alice.titled(&daemon, "since then");
    let place = daemon.killed();
    // Then the disk fails again.
    fill_the_middle(&log(&store), length, 0);
    let found = contents(&store.join("engine"));
    let (_patient, outcome) = Patient { engine, place, left, alice, list }.start();
    assert_eq!(outcome.ended, Ended::Refused, "{}", outcome.shown());
    let copies = fs::read_dir(&store).unwrap().map(|entry| entry.unwrap().path());
    let kept: Vec<PathBuf> = copies.filter(|path| contents(path) == found).collect();
    assert!(
        kept.iter().any(|copy| outcome.log.contains(copy.to_str().unwrap())),
        "the files as they were found this time are not where the message says: {}",
        outcome.shown()
    );
}

fn a_kill_while_it_starts_is_no_harm(engine: Engine) {
    let Patient { mut place, left, alice, list, .. } = Patient::small(engine, Left::Killed);
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

on_each_engine! {
    a_damaged_log_is_refused_and_nothing_is_dropped,
    a_log_that_is_damaged_after_a_kill_is_refused_and_nothing_is_dropped,
    a_large_log_that_is_damaged_is_refused_and_nothing_is_dropped,
    a_large_log_that_is_damaged_after_a_kill_is_refused_and_nothing_is_dropped,
    the_way_out_that_a_message_names_leads_out,
    the_way_out_leads_out_of_a_large_store_too,
    what_was_lost_stays_as_it_was_found_when_the_operator_goes_on_without_it,
    a_copy_of_an_earlier_refusal_does_not_stand_for_a_later_one,
    a_kill_while_it_starts_is_no_harm,
}
