//! What every store must do with sessions.

use std::sync::Arc;

use super::{chitty, open, session};
use crate::model::json::Json;
use crate::model::session::{NewSession, Project, SessionPatch, SessionState};
use crate::store::{Engine, SessionQuery, SessionStore, Store, StoreError};

fn json(text: &str) -> Json {
    Json::parse(text.to_owned()).unwrap()
}

fn new(owner: &str, id: &str, metadata: &str) -> NewSession {
    NewSession { chitty_id: chitty(owner), id: session(id), metadata: json(metadata) }
}

fn project(org: &str, slug: &str) -> Project {
    Project { org: org.to_owned(), slug: slug.to_owned() }
}

fn page(owner: &str, limit: usize) -> SessionQuery {
    SessionQuery { chitty_id: chitty(owner), after: None, limit }
}

fn long(bytes: usize) -> Json {
    json(&format!("\"{}\"", "x".repeat(bytes - 2)))
}

async fn a_session_is_made_once_and_changed_as_it_was_asked_for(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    let (alice, s) = (chitty("alice"), session("s"));
    let made = store.create_session(new("alice", "s", r#"{"a":1,"b":[2]}"#)).await.unwrap();
    assert_eq!((made.state, made.interactions, made.decisions.len()), (SessionState::Active, 0, 0));
    let same = store.create_session(new("alice", "s", r#"{ "b": [2], "a": 1 }"#)).await.unwrap();
    assert_eq!(same, made);
    let other = store.create_session(new("alice", "s", r#"{"a":2}"#)).await;
    assert!(matches!(other, Err(StoreError::SessionExists)), "{other:?}");

    let decide = |text| SessionPatch { decisions: vec![json(text)], ..SessionPatch::default() };
    store.patch_session(&alice, &s, decide("1")).await.unwrap();
    store.patch_session(&alice, &s, decide("{\"x\":null}")).await.unwrap();
    let patch = SessionPatch { metadata: Some(json("[1]")), ..SessionPatch::default() };
    store.patch_session(&alice, &s, patch).await.unwrap();
    for (key, value) in [("k", "1"), ("l", "null"), ("k", "[3]")] {
        store.put_context(&alice, &s, key.to_owned(), json(value)).await.unwrap();
    }
    let before = store.session(&alice, &s).await.unwrap().unwrap();
    assert_eq!((before.interactions, before.metadata.text(), before.created), (3, "[1]", made.created));
    assert_eq!(before.decisions, [json("1"), json("{\"x\":null}")]);
    assert_eq!(before.context, [("k".to_owned(), json("[3]")), ("l".to_owned(), json("null"))]);
    store.close().await;

    let store = open(engine, folder.path());
    assert_eq!(store.session(&alice, &s).await.unwrap(), Some(before));
    let end = SessionPatch { state: Some(SessionState::Ended), ..SessionPatch::default() };
    assert_eq!(store.patch_session(&alice, &s, end).await.unwrap().state, SessionState::Ended);
    let anew = store.create_session(new("alice", "s", "{}")).await.unwrap();
    assert_eq!((anew.state, anew.interactions, anew.context.len()), (SessionState::Active, 0, 0));
    assert_eq!(store.verify().unwrap().findings, [""; 0]);
}

async fn sessions_of_another_chitty_id_do_not_exist(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    let (bob, s) = (chitty("bob"), session("s"));
    store.create_session(new("alice", "s", "{}")).await.unwrap();
    store
        .end_session(&chitty("alice"), &session("x"), Some(project("o", "p")), Some(json(r#"{"a":1}"#)))
        .await
        .unwrap();
    assert_eq!(store.session(&bob, &s).await.unwrap(), None);
    assert_eq!(store.list_sessions(page("bob", 1000)).await.unwrap().sessions, []);
    let patched = store.patch_session(&bob, &s, SessionPatch::default()).await;
    assert!(matches!(patched, Err(StoreError::NoSuchSession)));
    let put = store.put_context(&bob, &s, "k".to_owned(), json("1")).await;
    assert!(matches!(put, Err(StoreError::NoSuchSession)));
    let started = store.start_session(new("bob", "s", "[1]"), Some(project("o", "p"))).await.unwrap();
    assert_eq!((started.created, started.prior), (true, None));
    assert_eq!(store.session(&chitty("alice"), &s).await.unwrap().unwrap().metadata.text(), "{}");
}

async fn lists_begin_with_the_newest_and_keep_to_their_limits(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    for n in 0..300 {
        store.create_session(new("alice", &format!("s{:03}", (n * 7) % 300), "{}")).await.unwrap();
    }
    for owner in ["alic", "alice2"] {
        store.create_session(new(owner, "s", "{}")).await.unwrap();
    }
    // Long records stand between short ones, and what continues them is no session.
    for n in 0..6 {
        store.put_context(&chitty("alice"), &session("s007"), n.to_string(), long(60_000)).await.unwrap();
    }
    let all = store.list_sessions(page("alice", 1000)).await.unwrap().sessions;
    assert_eq!(all.len(), 300);
    assert!(all.is_sorted_by_key(|session| (u64::MAX - session.created.as_millis(), session.id.clone())));
    assert!(all.iter().all(|session| session.context.is_empty()));
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let some = store.list_sessions(SessionQuery { after, ..page("alice", 7) }).await.unwrap();
        assert!(some.sessions.len() <= 7);
        found.extend(some.sessions);
        after = some.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, all);
    assert_eq!(store.list_sessions(page("alice", 0)).await.unwrap().sessions, []);

    for n in 0..80 {
        let large = NewSession { metadata: long(64 * 1024), ..new("bob", &format!("s{n}"), "{}") };
        store.create_session(large).await.unwrap();
    }
    let (mut found, mut pages, mut after) = (Vec::new(), 0, None);
    loop {
        let some = store.list_sessions(SessionQuery { after, ..page("bob", 1000) }).await.unwrap();
        assert!(some.bytes < 1_200_000, "{}", some.bytes);
        (pages, after) = (pages + 1, some.next);
        found.extend(some.sessions.into_iter().map(|session| (u64::MAX - session.created.as_millis(), session.id)));
        if after.is_none() {
            break;
        }
    }
    assert!(found.len() == 80 && found.is_sorted() && (5..8).contains(&pages), "{} in {pages}", found.len());
    let report = store.verify().unwrap();
    assert_eq!((report.findings, report.entries[&'n']), (vec![], report.entries[&'h']));
}

async fn changes_at_one_time_add_up_and_readers_see_whole_sessions(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(engine, folder.path()));
    let (alice, s) = (chitty("alice"), session("s"));
    store.create_session(new("alice", "s", "0")).await.unwrap();
    let writers = (0..8).map(|writer| {
        let (store, alice, s) = (Arc::clone(&store), alice.clone(), s.clone());
        tokio::spawn(async move {
            for n in 0..10 {
                let value = json(&format!("[{writer},{n},{:?}]", "x".repeat(n * 900)));
                store.put_context(&alice, &s, format!("k{writer}"), value).await.unwrap();
                let patch = SessionPatch { decisions: vec![json("1")], ..SessionPatch::default() };
                let patched = store.patch_session(&alice, &s, patch).await.unwrap();
                let read = store.session(&alice, &s).await.unwrap().unwrap();
                assert!(read.interactions >= patched.interactions);
                assert_eq!(read.decisions.len() as u64, read.interactions, "of one moment");
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let session = store.session(&alice, &s).await.unwrap().unwrap();
    assert_eq!((session.interactions, session.decisions.len(), session.context.len()), (80, 80, 8));
    assert_eq!(store.verify().unwrap().findings, [""; 0]);
}

async fn a_full_session_stays_as_it_is(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    let (alice, s) = (chitty("alice"), session("s"));
    store.create_session(NewSession { metadata: long(64 * 1024), ..new("alice", "s", "{}") }).await.unwrap();
    for n in 0..63 {
        store.put_context(&alice, &s, n.to_string(), long(8 * 1024)).await.unwrap();
    }
    for _ in 0..15 {
        let patch = SessionPatch { decisions: vec![long(4096); 4], ..SessionPatch::default() };
        store.patch_session(&alice, &s, patch).await.unwrap();
    }
    let before = store.session(&alice, &s).await.unwrap().unwrap();
    let put = store.put_context(&alice, &s, "more".to_owned(), long(64 * 1024)).await;
    assert!(matches!(put, Err(StoreError::SessionFull(_))), "{put:?}");
    let patch = SessionPatch { metadata: Some(json("1")), decisions: vec![long(4096); 9], ..SessionPatch::default() };
    let patched = store.patch_session(&alice, &s, patch).await;
    assert!(matches!(patched, Err(StoreError::SessionFull(_))), "{patched:?}");
    assert_eq!(store.session(&alice, &s).await.unwrap().unwrap(), before);
    assert_eq!(store.verify().unwrap().findings, [""; 0]);
}

async fn a_project_hands_on_what_its_last_session_left(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    let (alice, one) = (chitty("alice"), session("one"));
    let first = store.start_session(new("alice", "one", "{}"), Some(project("o", "p"))).await.unwrap();
    assert_eq!((first.created, first.prior), (true, None));
    let left = json(r#"{"summary":"s","keyFacts":[1e400],"lastSessionId":"forged"}"#);
    let ended = store.end_session(&alice, &one, Some(project("o", "p")), Some(left)).await.unwrap();
    assert!(ended.ended && ended.session.unwrap().state == SessionState::Ended);
    store.close().await;

    let store = open(engine, folder.path());
    let prior = store.start_session(new("alice", "two", "{}"), Some(project("o", "p"))).await.unwrap().prior.unwrap();
    assert_eq!(Some(&prior), ended.saved.as_ref());
    let begins = r#"{"keyFacts":[1e400],"lastSessionId":"one","summary":"s","updatedAt":""#;
    assert!(prior.text().starts_with(begins), "{}", prior.text());
    assert_eq!(store.start_session(new("alice", "two", "{}"), Some(project("o", "q"))).await.unwrap().prior, None);

    // What says nothing of the project's context forgets nothing, and a session that is not there can be ended.
    let ended = store.end_session(&alice, &session("three"), Some(project("o", "p")), None).await.unwrap();
    assert_eq!((ended.session, ended.ended), (None, false));
    let saved = ended.saved.unwrap();
    assert!(saved.text().contains(r#""lastSessionId":"three""#) && saved.text().contains("1e400"), "{}", saved.text());
    let again = store.end_session(&alice, &one, None, None).await.unwrap();
    assert!(!again.ended && again.session.is_some() && again.saved.is_none(), "it had ended before");
    let anew = store.start_session(new("alice", "one", "[1]"), None).await.unwrap();
    assert_eq!((anew.created, anew.session.metadata.text()), (true, "[1]"));
    assert_eq!(store.verify().unwrap().findings, [""; 0]);
}

on_each_engine!(
    a_session_is_made_once_and_changed_as_it_was_asked_for,
    sessions_of_another_chitty_id_do_not_exist,
    lists_begin_with_the_newest_and_keep_to_their_limits,
    changes_at_one_time_add_up_and_readers_see_whole_sessions,
    a_full_session_stays_as_it_is,
    a_project_hands_on_what_its_last_session_left,
);
