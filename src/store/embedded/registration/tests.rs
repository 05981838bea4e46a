//! What only the embedded store can be made to show: time that has passed, and changes in one group.

use std::path::Path;

use super::*;
use crate::model::registration::KEPT_FOR_ITS_OWNER;
use crate::store::{Config, Durability, Engine, Retention, Store as _};
use crate::telemetry::metrics::Metrics;

const TTL: Duration = Duration::from_secs(90);

fn open(folder: &Path) -> Embedded {
    let config = Config {
        path: folder.join("data"),
        durability: Durability::ProcessCrash,
        engine: Engine::Sled,
        retention: Retention::default(),
    };
    Embedded::open(&config, Arc::new(Metrics::new().unwrap())).unwrap()
}

fn name(text: &str) -> ServiceKey {
    ServiceKey::parse(text).unwrap()
}

fn new(owner: &str, of: &str) -> NewRegistration {
    NewRegistration { name: name(of), owner: owner.parse().unwrap(), entry: "{}".into(), ttl: TTL, listed: false }
}

/// Has it be so long ago that a registration was heard of.
async fn age(store: &Embedded, of: &str, by: Duration) {
    let known = Arc::clone(&store.registrations);
    let before = known.read().unwrap().get(&name(of)).cloned().unwrap();
    let earlier = |time: Time| Time::from_millis(time.as_millis() - u64::try_from(by.as_millis()).unwrap());
    let after = Registration { expires_at: earlier(before.expires_at), ..Registration::clone(&before) };
    store.change("age", move |transaction| replace(transaction, &known, after)).await.unwrap();
}

#[tokio::test]
async fn a_name_may_be_taken_a_day_after_its_time_unless_it_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.register(new("alice", "a")).await.unwrap();
    age(&store, "a", KEPT_FOR_ITS_OWNER + Duration::from_secs(30)).await;
    assert!(matches!(store.register(new("bob", "a")).await, Err(StoreError::NameTaken)));
    age(&store, "a", Duration::from_secs(60)).await;
    let listed = NewRegistration { listed: true, ..new("bob", "a") };
    assert!(matches!(store.register(listed).await, Err(StoreError::NameTaken)));
    assert_eq!(store.register(new("bob", "a")).await.unwrap().owner.as_str(), "bob");
    let alice = "alice".parse().unwrap();
    assert!(matches!(store.renew(&alice, &name("a"), TTL).await, Err(StoreError::NoSuchRegistration)));
    assert_eq!(store.verify().unwrap().findings, [""; 0]);
    store.close().await;
    let store = open(folder.path());
    let [only] = &store.registrations().await.unwrap()[..] else { panic!("not one") };
    assert_eq!(only.owner.as_str(), "bob");
}

#[tokio::test]
async fn of_many_that_want_one_name_at_once_one_gets_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path()));
    for round in 0..20 {
        let one = format!("n{round}");
        let attempts = (0..16).map(|tenant| {
            let (store, new) = (Arc::clone(&store), new(&format!("t{tenant}"), &one));
            tokio::spawn(async move { store.register(new).await.is_ok() })
        });
        let won = futures::future::join_all(attempts).await.into_iter().filter(|won| *won.as_ref().unwrap()).count();
        assert_eq!(won, 1);
    }
    assert_eq!(store.registrations().await.unwrap().len(), 20);
    assert_eq!(store.verify().unwrap().findings, [""; 0]);
}

#[tokio::test]
async fn a_name_is_given_up_and_taken_in_one_group() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.register(new("alice", "a")).await.unwrap();
    let alice = "alice".parse().unwrap();
    let a = name("a");
    let (gone, taken) = tokio::join!(store.unregister(Some(&alice), &a), store.register(new("bob", "a")));
    gone.unwrap();
    assert_eq!(taken.unwrap().owner.as_str(), "bob");
    assert!(matches!(store.unregister(Some(&alice), &a).await, Err(StoreError::NoSuchRegistration)));
    store.unregister(None, &a).await.unwrap();
    assert!(store.registrations().await.unwrap().is_empty());
    assert_eq!(store.verify().unwrap().findings, [""; 0]);
}

#[tokio::test]
async fn no_owner_keeps_the_others_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path()));
    let fill = |owner: &'static str, count: usize| {
        let store = Arc::clone(&store);
        futures::future::join_all((0..count).map(move |number| {
            let store = Arc::clone(&store);
            async move { store.register(new(owner, &format!("{owner}-{number}"))).await }
        }))
    };
    let made = fill("a", MAX_OF_ONE_OWNER + 5).await;
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), MAX_OF_ONE_OWNER);
    assert!(matches!(made[MAX_OF_ONE_OWNER], Err(StoreError::TooManyRegistrations(MAX_OF_ONE_OWNER))));
    assert!(store.register(new("a", "a-1")).await.is_ok(), "what is there already is no more");
    assert!(store.register(new("b", "b")).await.is_ok());
}
