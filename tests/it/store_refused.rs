//! Starts that are refused for what is beside the engine's files: the witness, the lock, the folder, another process.

use std::fs;
use std::path::Path;

use chittyconnect::store::Engine;
use serde_json::json;

use crate::support::patient::{Ended, Left, Patient, contents};
use crate::support::store::{flip, on_each_engine};
use crate::support::{Daemon, Rows, Tenant};

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

fn a_store_is_never_taken_for_a_new_one(engine: Engine) {
    let mut rows = Rows::new();
    for left in [Left::Closed, Left::Killed] {
        let mut patient = Patient::small(engine, left);
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

on_each_engine! {
    a_store_is_never_taken_for_a_new_one,
}
