//! What every store must do with services that registered themselves.

use std::time::Duration;

use super::{chitty, open};
use crate::model::name::ServiceKey;
use crate::model::registration::NewRegistration;
use crate::model::time::Time;
use crate::store::{Engine, RegistrationStore, Store, StoreError};

async fn a_registration_is_its_owners_and_outlives_the_store(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    let ttl = Duration::from_secs(90);
    let name = |text: &str| ServiceKey::parse(text).unwrap();
    let new = |owner: &str, of: &str, entry: &str| NewRegistration {
        name: name(of),
        owner: chitty(owner),
        entry: entry.into(),
        ttl,
        listed: false,
    };
    let first = store.register(new("alice", "b", r#"{"name":"b"}"#)).await.unwrap();
    assert_eq!(first.expires_at, first.updated_at.after(ttl));
    // Those of one millisecond stand by their names, so the next one is made in another.
    while Time::now() <= first.registered_at {
        tokio::task::yield_now().await;
    }
    store.register(new("alice", "a", "{}")).await.unwrap();
    let refused = store.register(new("bob", "b", "{}")).await;
    assert!(matches!(refused, Err(StoreError::NameTaken)), "{refused:?}");
    let again = store.register(new("alice", "b", r#"{"name":"b","url":"u","status":"x"}"#)).await.unwrap();
    assert_eq!(again.registered_at, first.registered_at);

    let members = serde_json::from_str(r#"{"status":"active","last_deployed":"t"}"#).unwrap();
    let amended = store.amend(&chitty("alice"), &name("b"), members).await.unwrap();
    let entry: serde_json::Value = serde_json::from_str(&amended.entry).unwrap();
    assert_eq!(entry, serde_json::json!({"name": "b", "url": "u", "status": "active", "last_deployed": "t"}));
    assert_eq!(amended.expires_at, again.expires_at);
    let (renewed, ended) = store.renew(&chitty("alice"), &name("b"), ttl * 2).await.unwrap();
    assert_eq!((ended, renewed.expires_at), (again.expires_at, renewed.updated_at.after(ttl * 2)));
    for owner in ["bob", "ali", "alice2"] {
        let owner = chitty(owner);
        assert!(matches!(store.renew(&owner, &name("b"), ttl).await, Err(StoreError::NoSuchRegistration)));
        assert!(matches!(
            store.amend(&owner, &name("b"), serde_json::Map::new()).await,
            Err(StoreError::NoSuchRegistration)
        ));
        assert!(matches!(store.unregister(Some(&owner), &name("b")).await, Err(StoreError::NoSuchRegistration)));
    }
    let before = store.registrations().await.unwrap();
    assert_eq!(before.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["b", "a"], "the earliest first");
    assert_eq!(store.verify().unwrap().findings, [""; 0]);
    store.close().await;
    assert!(matches!(store.register(new("alice", "c", "{}")).await, Err(StoreError::Unavailable(_))));

    let store = open(engine, folder.path());
    assert_eq!(store.registrations().await.unwrap(), before);
    store.unregister(Some(&chitty("alice")), &name("b")).await.unwrap();
    store.unregister(None, &name("a")).await.unwrap();
    assert!(matches!(store.unregister(None, &name("a")).await, Err(StoreError::NoSuchRegistration)));
    assert!(store.registrations().await.unwrap().is_empty());
    assert_eq!(store.verify().unwrap().findings, [""; 0]);
}

async fn a_large_entry_comes_back_whole(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    let entry = serde_json::json!({"description": "d".repeat(16_000)}).to_string();
    let name = ServiceKey::parse("large").unwrap();
    let new = NewRegistration {
        name: name.clone(),
        owner: chitty("alice"),
        entry: entry.as_str().into(),
        ttl: Duration::from_secs(1),
        listed: false,
    };
    store.register(new).await.unwrap();
    store.renew(&chitty("alice"), &name, Duration::from_secs(9)).await.unwrap();
    store.close().await;
    let store = open(engine, folder.path());
    assert_eq!(&*store.registrations().await.unwrap()[0].entry, entry);
    assert_eq!(store.verify().unwrap().findings, [""; 0]);
}

on_each_engine! {
    a_registration_is_its_owners_and_outlives_the_store,
    a_large_entry_comes_back_whole,
}
