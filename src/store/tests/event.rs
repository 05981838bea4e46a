//! The event log: pages of it, where it ends, and who is handed what.

use std::sync::{Arc, Mutex};

use super::*;
use crate::model::event::Event;
use crate::model::id::TaskId;
use crate::model::task::{Status, TaskPatch};
use crate::store::migration::encode;
use crate::store::migration::m0002_identity_and_registry::TrimmedRecord;
use crate::store::{Engine, EventPage, EventSink, EventStore, Expected, Store, StoredEvent, TaskStore, key};

/// What was handed over, in order; a number without an event is a `reread`.
#[derive(Default)]
struct Heard(Mutex<Vec<(u64, Option<Event>)>>);

impl Heard {
    fn all(&self) -> Vec<(u64, Option<Event>)> {
        self.0.lock().unwrap().clone()
    }
}

impl EventSink for Heard {
    fn publish(&self, number: u64, event: Event) {
        self.0.lock().unwrap().push((number, Some(event)));
    }

    fn reread(&self, through: u64) {
        self.0.lock().unwrap().push((through, None));
    }
}

async fn page(store: &Embedded, owner: &str, after: u64, limit: usize) -> EventPage {
    store.events_after(&chitty(owner), &session("s"), after, limit).await.unwrap()
}

fn numbers(events: &[StoredEvent]) -> Vec<u64> {
    events.iter().map(|event| event.number).collect()
}

async fn pages_of_a_session_meet_and_hold_nobody_elses_events(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    assert_eq!(page(&store, "alice", 0, 10).await, EventPage::default());
    for number in 0..30 {
        let owner = if number % 3 == 0 { "bob" } else { "alice" };
        store.create_task(new_task(owner, &number.to_string()), None).await.unwrap();
    }
    assert_eq!(store.last_event().await.unwrap(), 30);
    let of_alice: Vec<u64> = (1..=30).filter(|number| number % 3 != 1).collect();
    let (mut after, mut seen) = (0, Vec::new());
    loop {
        let page = page(&store, "alice", after, 7).await;
        assert!(page.events.len() <= 7);
        seen.extend(numbers(&page.events));
        after = page.through;
        if !page.more {
            break;
        }
    }
    assert_eq!(seen, of_alice);
    assert_eq!(after, 30, "what there is of others is behind us too");
    assert_eq!(numbers(&page(&store, "bob", 25, 10).await.events), [28]);
    for ahead in [30, 31, u64::MAX] {
        let page = page(&store, "alice", ahead, 10).await;
        assert_eq!((page.events.len(), page.through, page.more), (0, ahead, false));
    }
    let found = page(&store, "alice", 0, 1).await.events.remove(0);
    assert_eq!((found.number, &*found.name), (2, "task.created"));
    assert!(found.body.starts_with(r#"{"type":"task.created","sessionId":"s""#), "{}", found.body);
    store.close().await;

    let store = open(engine, folder.path());
    assert_eq!(store.last_event().await.unwrap(), 30);
    assert_eq!(numbers(&page(&store, "alice", 0, 100).await.events), of_alice);
}

async fn long_events_make_short_pages_and_the_last_one_is_whole(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    let id = store.create_task(new_task("alice", "t"), None).await.unwrap().task_id;
    for number in 0..5 {
        let patch = TaskPatch { description: Some(Some(number.to_string().repeat(20_000))), ..TaskPatch::default() };
        store.update_task(&chitty("alice"), id, patch, Expected::Any, None).await.unwrap();
    }
    // Nothing but events and what the store keeps of itself is left.
    store.delete_task(&chitty("alice"), id, Expected::Any).await.unwrap();
    let (mut after, mut lengths) = (0, Vec::new());
    loop {
        let page = page(&store, "alice", after, 100).await;
        lengths.push(page.events.len());
        after = page.through;
        if !page.more {
            break;
        }
    }
    assert_eq!(lengths, [2, 1, 1, 1, 1, 1]);
    assert_eq!(after, 7);
}

async fn how_far_the_log_was_cut_is_said_with_each_page(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    for number in 0..6 {
        store.create_task(new_task("alice", &number.to_string()), None).await.unwrap();
    }
    assert_eq!(store.trimmed().await.unwrap(), 0);
    trim(&store, "alice", 4);
    assert_eq!(store.trimmed().await.unwrap(), 4);
    let page = page(&store, "alice", 0, 100).await;
    assert_eq!((numbers(&page.events), page.trimmed, page.through), (vec![5, 6], 4, 6));
}

/// Cuts the log of the one session there is.
fn trim(store: &Embedded, owner: &str, through: u64) {
    let kv = store.shared.kv().unwrap();
    let gone = (1..=through).map(|number| (key::event(&chitty(owner), &session("s"), number), None));
    let mut batch: crate::store::kv::Batch = gone.collect();
    batch.insert(key::TRIMMED.to_vec(), Some(encode(&TrimmedRecord { event: through }).unwrap()));
    kv.apply(batch).unwrap();
}

async fn every_event_is_handed_over_once_it_is_durable_and_before_its_change_is_answered(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    store.create_task(new_task("alice", "before anybody listened"), None).await.unwrap();
    let heard = Arc::new(Heard::default());
    store.hand_events_to(&(Arc::clone(&heard) as Arc<dyn EventSink>));
    assert_eq!(heard.all(), [(1, None)]);
    let id = store.create_task(new_task("alice", "t"), None).await.unwrap().task_id;
    let to = |status| TaskPatch { status: Some(status), ..TaskPatch::default() };
    store.update_task(&chitty("alice"), id, to(Status::InProgress), Expected::Any, None).await.unwrap();
    let refused = store.update_task(&chitty("alice"), id, to(Status::Failed), Expected::OneOf(vec![9]), None).await;
    assert!(refused.is_err());
    assert!(store.delete_task(&chitty("alice"), TaskId::random(), Expected::Any).await.is_err());
    store.delete_task(&chitty("alice"), id, Expected::Any).await.unwrap();
    let heard: Vec<_> = heard.all().into_iter().skip(1).map(|(number, event)| (number, event.unwrap().name)).collect();
    let names = ["task.created", "task.updated", "task.deleted"].map(str::to_owned);
    assert_eq!(heard, (2..).zip(names).collect::<Vec<_>>());
}

on_each_engine! {
    pages_of_a_session_meet_and_hold_nobody_elses_events,
    long_events_make_short_pages_and_the_last_one_is_whole,
    how_far_the_log_was_cut_is_said_with_each_page,
    every_event_is_handed_over_once_it_is_durable_and_before_its_change_is_answered,
}
