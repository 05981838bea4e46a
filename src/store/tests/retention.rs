//! What goes by itself, against what should: whatever the events and however often it is begun anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::transfer::{every_kind, exported};
use super::{config, new_task, open};
use crate::model::time::Time;
use crate::store::Engine;
use crate::store::embedded::retention::Swept;
use crate::store::transfer::import::import;
use crate::store::{Retention, Store, TaskStore};

/// The first event of every test.
const BEGIN: u64 = 1_767_323_045_000;

fn time(seconds: u64) -> Time {
    Time::from_millis(BEGIN + seconds * 1000)
}

/// Makes a store of these lines.
fn make(folder: &Path, lines: &[(&'static str, String)], event: u64) {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut text = format!(
        "{{\"kind\":\"chittyconnect_store\",\"format\":2,\"version\":\"0.2.0\",\"event\":{event},\"trimmed\":0}}\n"
    );
    for (kind, line) in lines {
        *counts.entry(kind).or_default() += 1;
        writeln!(text, "{{\"kind\":\"{kind}\",{line}}}").unwrap();
    }
    let counts = serde_json::to_string(&counts).unwrap();
    writeln!(text, "{{\"kind\":\"end\",\"records\":{},\"counts\":{counts}}}", lines.len()).unwrap();
    import(&config(Engine::Sled, folder), &mut text.as_bytes(), "test").unwrap();
}

/// The numbers of the events in an export, and up to which it says they are gone.
fn events(export: &str) -> (BTreeSet<u64>, u64) {
    let lines: Vec<serde_json::Value> = export.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let numbers = lines.iter().filter(|line| line["kind"] == "event").map(|line| line["number"].as_u64().unwrap());
    (numbers.collect(), lines[0]["trimmed"].as_u64().unwrap())
}

fn kinds(export: &str, kind: &str) -> usize {
    export.lines().filter(|line| line.starts_with(&format!("{{\"kind\":\"{kind}\""))).count()
}

#[derive(Clone, Debug)]
struct Round {
    keep: u64,
    for_seconds: u64,
    now: u64,
    /// Ended after so long, and begun anew by another process.
    cut_after: Option<u64>,
}

fn round() -> impl Strategy<Value = Round> {
    (0..700_u64, 0..4000_u64, 0..4000_u64, proptest::option::of(0..60_u64))
        .prop_map(|(keep, for_seconds, now, cut_after)| Round { keep: keep + 1, for_seconds, now, cut_after })
}

async fn run(owners: Vec<(u8, u8, u8)>, rounds: Vec<Round>) {
    let folder = tempfile::tempdir().unwrap();
    let (mut lines, mut model, mut at) = (Vec::new(), BTreeMap::new(), 0);
    for (index, (owner, session, later)) in owners.iter().enumerate() {
        let number = index as u64 + 1;
        at += u64::from(*later);
        model.insert(number, at);
        let body = if number.is_multiple_of(50) { "x".repeat(9000) } else { String::new() };
        lines.push((
            "event",
            format!(
                "\"chitty_id\":\"o{owner}\",\"session_id\":\"s{session}\",\"number\":{number},\"name\":\"n\",\
                 \"at\":\"{}\",\"body\":{{\"type\":\"n{body}\"}}",
                time(at)
            ),
        ));
    }
    let last = owners.len() as u64;
    make(folder.path(), &lines, last);
    let mut gone = 0;
    for round in rounds {
        let mut store = open(Engine::Sled, folder.path());
        let retention = Retention { events_for: Duration::from_secs(round.for_seconds), events: round.keep };
        let now = time(round.now);
        if let Some(cut_after) = round.cut_after {
            let cut = Duration::from_millis(cut_after);
            tokio::time::timeout(cut, store.trim_events(&mut Swept::default(), retention, now)).await.ok();
            assert_eq!(store.verify().unwrap().findings, [""; 0]);
            store.close().await;
            drop(store);
            store = open(Engine::Sled, folder.path());
        }
        store.trim_events(&mut Swept::default(), retention, now).await.unwrap();
        let old = |at: &u64| time(*at).as_millis() + round.for_seconds * 1000 <= now.as_millis();
        let aged = model.iter().filter(|(_, at)| old(at)).map(|(number, _)| *number).max().unwrap_or(0);
        gone = gone.max(aged).max(last.saturating_sub(round.keep));
        let wanted: BTreeSet<u64> = (gone + 1..=last).collect();
        model.retain(|number, _| *number > gone);
        assert_eq!(events(&exported(&store).await), (wanted, gone), "{round:?}");
        assert_eq!(store.verify().unwrap().findings, [""; 0]);
        store.close().await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn events_are_kept_as_a_list_in_memory_would_keep_them(
        owners in proptest::collection::vec((0..3_u8, 0..40_u8, 0..10_u8), 1..700),
        rounds in proptest::collection::vec(round(), 1..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(owners, rounds));
    }
}

#[tokio::test]
async fn nothing_but_what_is_over_goes() {
    let folder = tempfile::tempdir().unwrap();
    import(&config(Engine::Sled, folder.path()), &mut every_kind().as_bytes(), "test").unwrap();
    let store = open(Engine::Sled, folder.path());
    let keep_all = Retention { events_for: Duration::from_secs(1), events: 1 };
    let long_before = Time::from_millis(BEGIN / 2);
    assert_eq!(store.trim_events(&mut Swept::default(), keep_all, long_before).await.unwrap(), 0);
    assert_eq!(store.remove_expired(long_before).await.unwrap(), 0);
    let before = exported(&store).await;
    // The event is the last one, and stays by its number; by its age it goes.
    let far = Time::from_millis(BEGIN * 2);
    assert_eq!(store.trim_events(&mut Swept::default(), keep_all, far).await.unwrap(), 1);
    assert_eq!(store.remove_expired(far).await.unwrap(), 2, "the request and the session");
    let after = exported(&store).await;
    let left = |text: &str| -> Vec<String> {
        let over = ["chittyconnect_store", "event", "once", "session", "end"];
        let is_over = |line: &&str| over.iter().any(|kind| line.starts_with(&format!("{{\"kind\":\"{kind}\"")));
        text.lines().filter(|line| !is_over(line)).map(str::to_owned).collect()
    };
    assert_eq!(left(&after), left(&before));
    assert_eq!(["event", "once", "session"].map(|kind| kinds(&after, kind)), [0; 3]);
    assert_eq!(events(&after).1, 9);
    // Numbers go on where they were.
    store.create_task(new_task("alice", "later"), None).await.unwrap();
    assert_eq!(events(&exported(&store).await), ([10].into(), 9));
    assert_eq!(store.verify().unwrap().findings, [""; 0]);
    store.close().await;
}

#[tokio::test]
async fn requests_go_at_their_end_and_sessions_a_day_later() {
    let folder = tempfile::tempdir().unwrap();
    let mut lines = Vec::new();
    let day = 24 * 3600;
    for number in 0..600_u64 {
        let (end, created) = (time(number), time(0));
        lines.push((
            "session",
            format!(
                "\"chitty_id\":\"o{}\",\"id\":\"s{number}\",\"created\":\"{created}\",\"updated\":\"{created}\",\
                 \"expires\":\"{end}\",\"state\":\"active\",\"decisions\":[],\"interactions\":0,\"context\":[]",
                number % 7
            ),
        ));
        lines.push((
            "once",
            format!(
                "\"chitty_id\":\"o\",\"key_id\":\"k\",\"name_sha256\":\"{number:064x}\",\"fingerprint\":\"{number:064x}\",\
                 \"expires_at\":\"{end}\",\"answer\":{{\"task_updated\":{{\"updated_at\":\"{created}\",\"version\":1}}}}"
            ),
        ));
    }
    make(folder.path(), &lines, 0);
    let store = open(Engine::Sled, folder.path());
    for (now, requests, sessions) in [(0, 599, 600), (299, 300, 600), (day, 0, 599), (day + 299, 0, 300)] {
        store.remove_expired(time(now)).await.unwrap();
        let text = exported(&store).await;
        assert_eq!((kinds(&text, "once"), kinds(&text, "session")), (requests, sessions), "after {now} s");
    }
    assert_eq!(store.verify().unwrap().findings, [""; 0]);
    store.close().await;
}
