//! What the clock does to sessions: records whose time is up are put there as if a day had passed.

use super::*;
use crate::store::{Config, Durability, Engine, Retention, Store};
use crate::telemetry::metrics::Metrics;

fn open(folder: &std::path::Path) -> Embedded {
    let retention = Retention::default();
    let (path, engine) = (folder.join("data"), Engine::default());
    let config = Config { path, durability: Durability::PowerLoss, engine, retention };
    Embedded::open(&config, std::sync::Arc::new(Metrics::new().unwrap())).unwrap()
}

fn alice() -> ChittyId {
    "alice".parse().unwrap()
}

fn id(text: &str) -> SessionId {
    text.parse().unwrap()
}

fn new(session: &str, metadata: &str) -> NewSession {
    NewSession { chitty_id: alice(), id: id(session), metadata: json(metadata.to_owned()).unwrap() }
}

/// Lets the time of a session be up at this moment, or in `more` milliseconds.
async fn let_pass(store: &Embedded, session: &str, more: u64) {
    let key = key::session(&alice(), &id(session));
    let done = store.change("test", move |transaction| {
        let mut session = stored(transaction, &key)?.ok_or(StoreError::NoSuchSession)?;
        session.expires = Time::from_millis(transaction.now().as_millis() + more);
        put(transaction, &key, &session)
    });
    done.await.unwrap();
}

#[tokio::test]
async fn a_session_whose_time_is_up_does_not_exist_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let made = store.create_session(new("old", r#"{"a":1}"#)).await.unwrap();
    assert_eq!(made.expires, made.created.after(crate::model::session::TTL));
    store.create_session(new("other", "{}")).await.unwrap();
    store.put_context(&alice(), &id("old"), "k".to_owned(), json("1".to_owned()).unwrap()).await.unwrap();
    let_pass(&store, "old", 0).await;
    store.close().await;

    let store = open(folder.path());
    assert_eq!(store.session(&alice(), &id("old")).await.unwrap(), None);
    let listed =
        store.list_sessions(SessionQuery { chitty_id: alice(), after: None, limit: 1000 }).await.unwrap().sessions;
    assert_eq!(listed.iter().map(|session| session.id.as_str()).collect::<Vec<_>>(), ["other"]);
    let patched = store.patch_session(&alice(), &id("old"), SessionPatch::default()).await;
    assert!(matches!(patched, Err(StoreError::NoSuchSession)));
    let put = store.put_context(&alice(), &id("old"), "k".to_owned(), json("1".to_owned()).unwrap()).await;
    assert!(matches!(put, Err(StoreError::NoSuchSession)));
    assert_eq!(store.end_session(&alice(), &id("old"), None, None).await.unwrap(), SessionEnded::default());
    let again = store.create_session(new("old", "[2]")).await.unwrap();
    assert_eq!((again.metadata.text(), again.context.len()), ("[2]", 0), "it gives way to a new one");
    assert_eq!(store.verify().unwrap().findings, [""; 0]);
}

#[tokio::test]
async fn whoever_touches_a_session_prolongs_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (hour, day) = (3_600_000, 24 * 3_600_000);
    let lives = |session: &Session| session.expires.as_millis() - session.updated.as_millis();
    store.create_session(new("s", "{}")).await.unwrap();
    let_pass(&store, "s", hour).await;
    let same = store.create_session(new("s", "{}")).await.unwrap();
    assert!(lives(&same) <= hour + 60_000, "the same session again is as it was");
    let patched = store.patch_session(&alice(), &id("s"), SessionPatch::default()).await.unwrap();
    assert_eq!((lives(&patched), patched.interactions), (day, 1));
    let_pass(&store, "s", hour).await;
    let put = store.put_context(&alice(), &id("s"), "k".to_owned(), json("1".to_owned()).unwrap()).await.unwrap();
    assert_eq!((lives(&put), put.interactions), (day, 1));
    let_pass(&store, "s", hour).await;
    let started = store.start_session(new("s", "[1]"), None).await.unwrap();
    assert_eq!((lives(&started.session), started.created, started.session.interactions), (day, false, 1));
    assert_eq!((started.session.metadata.text(), started.session.context.len()), ("{}", 1));
}
