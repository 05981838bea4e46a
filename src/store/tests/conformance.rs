use std::collections::BTreeSet;
use std::sync::Arc;

use super::{all_of, chitty, new_task, once, open, session};
use crate::model::id::TaskId;
use crate::model::json::Json;
use crate::model::key::{Key, KeyHash, KeyStatus, Scope};
use crate::model::task::{NewTask, Priority, Status, TaskPatch};
use crate::model::time::Time;
use crate::store::embedded::Embedded;
use crate::store::{Engine, Expected, KeyStore, Store, StoreError, TaskQuery, TaskStore};

fn to(status: Status) -> TaskPatch {
    TaskPatch { status: Some(status), ..TaskPatch::default() }
}

async fn titles(store: &Embedded, query: TaskQuery) -> Vec<String> {
    store.list_tasks(query).await.unwrap().tasks.into_iter().map(|task| task.title).collect()
}

async fn what_was_made_is_there_after_the_store_is_opened_again(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    let large = NewTask {
        description: Some("d".repeat(60_000)),
        metadata: Some(Json::parse(format!("[\"{}\"]", "m".repeat(60_000))).unwrap()),
        assigned_service: Some("chittyid".to_owned()),
        ..new_task("alice", "large")
    };
    let made = store.create_task(large.clone(), None).await.unwrap();
    let patch = TaskPatch { result: Some(Some(Json::parse("1e400".to_owned()).unwrap())), ..to(Status::InProgress) };
    store.update_task(&chitty("alice"), made.task_id, patch, Expected::Any, None).await.unwrap();
    let before = store.task(&chitty("alice"), made.task_id).await.unwrap().unwrap();
    assert_eq!((before.description, before.version), (large.description, 2));
    assert_eq!(store.verify().unwrap().findings, [""; 0]);
    store.close().await;

    let store = open(engine, folder.path());
    let after = store.task(&chitty("alice"), made.task_id).await.unwrap().unwrap();
    assert_eq!(after.result.unwrap().text(), "1e400");
    assert_eq!(after.metadata, large.metadata);
    assert_eq!(titles(&store, all_of("alice")).await, ["large"]);
    assert_eq!(store.verify().unwrap().findings, [""; 0]);
}

async fn pages_meet_without_gap_or_overlap_whatever_the_conditions(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    let parent = store.create_task(new_task("alice", "parent"), None).await.unwrap().task_id;
    for number in 0..60 {
        let new = NewTask {
            priority: Priority::ALL[number % 4],
            assigned_service: (number % 3 == 0).then(|| "x".to_owned()),
            parent_task_id: (number % 5 == 0).then_some(parent),
            description: (number % 7 == 0).then(|| "long".repeat(3000)),
            ..new_task("alice", &number.to_string())
        };
        let made = store.create_task(new, None).await.unwrap();
        if number % 2 == 0 {
            store
                .update_task(&chitty("alice"), made.task_id, to(Status::InProgress), Expected::Any, None)
                .await
                .unwrap();
        }
    }
    let everything = store.list_tasks(all_of("alice")).await.unwrap().tasks;
    assert_eq!(everything.len(), 61);
    let order: Vec<_> = everything.iter().map(|task| (task.updated_at, task.task_id)).collect();
    assert!(order.is_sorted_by(|a, b| a > b));
    for status in [None, Some(Status::Pending), Some(Status::InProgress), Some(Status::Failed)] {
        for priority in [None, Some(Priority::Low), Some(Priority::Urgent)] {
            for service in [None, Some("x"), Some("y")] {
                for below in [None, Some(parent), Some(TaskId::random())] {
                    let query = TaskQuery {
                        status,
                        priority,
                        assigned_service: service.map(str::to_owned),
                        parent_task_id: below,
                        limit: 7,
                        ..all_of("alice")
                    };
                    let wanted: Vec<_> = everything
                        .iter()
                        .filter(|task| status.is_none_or(|status| task.status == status))
                        .filter(|task| priority.is_none_or(|priority| task.priority == priority))
                        .filter(|task| service.is_none_or(|service| task.assigned_service.as_deref() == Some(service)))
                        .filter(|task| below.is_none_or(|below| task.parent_task_id == Some(below)))
                        .cloned()
                        .collect();
                    let mut found = Vec::new();
                    let mut next = None;
                    loop {
                        let page = store.list_tasks(TaskQuery { after: next, ..query.clone() }).await.unwrap();
                        assert!(page.tasks.len() <= 7);
                        found.extend(page.tasks);
                        next = page.next;
                        if next.is_none() {
                            break;
                        }
                    }
                    assert_eq!(found, wanted, "{query:?}");
                }
            }
        }
    }
}

async fn a_page_ends_where_it_gets_too_large(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    for number in 0..80 {
        let new = NewTask { description: Some("d".repeat(60_000)), ..new_task("alice", &number.to_string()) };
        store.create_task(new, None).await.unwrap();
    }
    for status in [None, Some(Status::Pending)] {
        let (mut pages, mut tasks, mut after) = (0, 0, None);
        loop {
            let page = store.list_tasks(TaskQuery { status, after, ..all_of("alice") }).await.unwrap();
            assert!(page.bytes < 1_200_000, "{}", page.bytes);
            (pages, tasks, after) = (pages + 1, tasks + page.tasks.len(), page.next);
            if after.is_none() {
                break;
            }
        }
        assert_eq!((pages, tasks), (5, 80), "{status:?}");
    }
}

async fn changes_keep_their_conditions(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    let alice = chitty("alice");
    let id = store.create_task(new_task("alice", "t"), None).await.unwrap().task_id;
    let change = |patch, expected| store.update_task(&alice, id, patch, expected, None);
    assert!(matches!(change(to(Status::Failed), Expected::OneOf(vec![2])).await, Err(StoreError::VersionMismatch(1))));
    assert_eq!(change(to(Status::Completed), Expected::OneOf(vec![7, 1])).await.unwrap().version, 2);
    assert!(matches!(change(to(Status::Pending), Expected::Any).await, Err(StoreError::InvalidTransition(_))));
    let same = change(to(Status::Completed), Expected::Any).await.unwrap();
    assert_eq!(same.version, 2);
    assert_eq!(store.task(&alice, id).await.unwrap().unwrap().updated_at, same.updated_at);
    assert!(matches!(
        store.delete_task(&alice, id, Expected::OneOf(vec![1])).await,
        Err(StoreError::VersionMismatch(2))
    ));
    assert_eq!(store.delete_task(&alice, id, Expected::Any).await.unwrap(), 1);
    assert!(matches!(store.delete_task(&alice, id, Expected::Any).await, Err(StoreError::NoSuchTask)));
    assert_eq!(store.verify().unwrap().findings, [""; 0]);
}

async fn a_parent_is_a_task_of_the_same_session_and_takes_its_sub_tasks_with_it(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    let top = store.create_task(new_task("alice", "top"), None).await.unwrap().task_id;
    let below = |parent| NewTask { parent_task_id: Some(parent), ..new_task("alice", "sub") };
    let middle = store.create_task(below(top), None).await.unwrap().task_id;
    for _ in 0..3 {
        store.create_task(below(middle), None).await.unwrap();
    }
    let stranger = store.create_task(new_task("bob", "other"), None).await.unwrap().task_id;
    for wrong in [stranger, TaskId::random()] {
        assert!(matches!(store.create_task(below(wrong), None).await, Err(StoreError::NoSuchParent)));
    }
    let elsewhere = NewTask { session_id: session("s2"), ..below(top) };
    assert!(matches!(store.create_task(elsewhere, None).await, Err(StoreError::NoSuchParent)));
    assert_eq!(store.delete_task(&chitty("alice"), top, Expected::Any).await.unwrap(), 5);
    assert_eq!(titles(&store, all_of("alice")).await, [""; 0]);
    assert_eq!(titles(&store, all_of("bob")).await, ["other"]);
    assert_eq!(store.verify().unwrap().findings, [""; 0]);
}

async fn another_tenants_tasks_do_not_exist(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    let id = store.create_task(new_task("alice", "secret"), None).await.unwrap().task_id;
    for other in ["bob", "alic", "alicee", "Alice"] {
        let owner = chitty(other);
        assert_eq!(store.task(&owner, id).await.unwrap(), None);
        assert_eq!(titles(&store, all_of(other)).await, [""; 0]);
        let update = store.update_task(&owner, id, to(Status::Failed), Expected::Any, None).await;
        assert!(matches!(update, Err(StoreError::NoSuchTask)));
        assert!(matches!(store.delete_task(&owner, id, Expected::Any).await, Err(StoreError::NoSuchTask)));
    }
    assert_eq!(store.task(&chitty("alice"), id).await.unwrap().unwrap().version, 1);
}

async fn a_request_that_is_repeated_is_done_once(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(engine, folder.path()));
    let racing: Vec<_> = (0..20)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.create_task(new_task("alice", "t"), Some(once("n", 1))).await.unwrap() })
        })
        .collect();
    let mut made = Vec::new();
    for one in racing {
        made.push(one.await.unwrap());
    }
    assert!(made.iter().all(|answer| answer == &made[0]));
    let other = store.create_task(new_task("alice", "t"), Some(once("n", 2))).await;
    assert!(matches!(other, Err(StoreError::OnceReused)));
    let alice = chitty("alice");
    let again = || store.update_task(&alice, made[0].task_id, to(Status::Failed), Expected::Any, Some(once("u", 1)));
    let first = again().await.unwrap();
    assert_eq!(again().await.unwrap(), first);
    store.create_task(new_task("bob", "t"), Some(once("n", 9))).await.unwrap();
    assert_eq!(titles(&store, all_of("alice")).await, ["t"]);
    store.close().await;
    drop(store);
    let store = open(engine, folder.path());
    assert_eq!(store.create_task(new_task("alice", "t"), Some(once("n", 1))).await.unwrap(), made[0]);
    assert_eq!(store.verify().unwrap().findings, [""; 0]);
}

async fn changes_at_once_are_each_whole(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(engine, folder.path()));
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for number in 0..25 {
                    let made = store.create_task(new_task("alice", &format!("{writer}-{number}")), None).await.unwrap();
                    let patch = to(Status::InProgress);
                    store.update_task(&chitty("alice"), made.task_id, patch, Expected::Any, None).await.unwrap();
                    if number % 5 == 0 {
                        store.delete_task(&chitty("alice"), made.task_id, Expected::Any).await.unwrap();
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let found: BTreeSet<_> = titles(&store, all_of("alice")).await.into_iter().collect();
    assert_eq!(found.len(), 8 * 20);
    let report = store.verify().unwrap();
    assert_eq!(report.findings, [""; 0]);
    assert_eq!(report.entries[&'e'], 8 * (25 + 25 + 5));
}

async fn keys_are_found_by_their_hash_and_stay(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    let key = Key {
        hash: KeyHash([7; 32]),
        id: "abc".parse().unwrap(),
        chitty_id: chitty("alice"),
        session_id: session("key-abc"),
        name: "laptop".to_owned(),
        scopes: vec![Scope::ContextWrite, Scope::Admin],
        rate_limit: Some(10),
        quota: None,
        created_at: Time::from_millis(5),
        expires_at: Some(Time::from_millis(9)),
        status: KeyStatus::Active,
    };
    assert!(store.key(&key.hash).await.unwrap().is_none());
    store.create_key(key.clone()).await.unwrap();
    assert!(matches!(store.create_key(key.clone()).await, Err(StoreError::KeyExists)));
    assert_eq!(*store.key(&key.hash).await.unwrap().unwrap(), key);
    store.close().await;
    drop(store);
    let store = open(engine, folder.path());
    assert_eq!(*store.key(&key.hash).await.unwrap().unwrap(), key);
    assert!(store.key(&KeyHash([8; 32])).await.unwrap().is_none());
    assert_eq!(*store.keys().await.unwrap(), [Arc::new(key.clone())]);
    assert!(matches!(store.revoke_key(&"other".parse().unwrap()).await, Err(StoreError::NoSuchKey)));
    let revoked = Key { status: KeyStatus::Revoked, ..key.clone() };
    assert_eq!(*store.revoke_key(&key.id).await.unwrap(), revoked);
    assert_eq!(*store.key(&key.hash).await.unwrap().unwrap(), revoked);
    assert_eq!(store.verify().unwrap().findings, [""; 0]);
}

async fn a_key_that_is_rotated_ends_in_the_change_that_begins_the_new_one(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    let key = |number: u8, expires_at: Option<u64>| Key {
        hash: KeyHash([number; 32]),
        id: format!("k{number}").parse().unwrap(),
        chitty_id: chitty("alice"),
        session_id: session("desk"),
        name: "laptop".to_owned(),
        scopes: vec![Scope::Admin],
        rate_limit: None,
        quota: Some(7),
        created_at: Time::from_millis(5),
        expires_at: expires_at.map(Time::from_millis),
        status: KeyStatus::Active,
    };
    let (soon, later) = (u64::MAX / 4, u64::MAX / 2);
    for (number, expires_at) in [(1, None), (2, Some(soon)), (3, Some(later)), (4, Some(1)), (5, None)] {
        store.create_key(key(number, expires_at)).await.unwrap();
    }
    let id = |number: u8| format!("k{number}").parse().unwrap();
    let revoked = |number| Key { status: KeyStatus::Revoked, ..key(number, None) };
    assert_eq!(*store.rotate_key(&id(1), key(11, None), None).await.unwrap(), revoked(1));
    // The earlier of the two ends is the end.
    let at = |millis| Some(Time::from_millis(millis));
    assert_eq!(*store.rotate_key(&id(2), key(12, None), at(later)).await.unwrap(), key(2, Some(soon)));
    assert_eq!(*store.rotate_key(&id(3), key(13, None), at(soon)).await.unwrap(), key(3, Some(soon)));
    // Nothing is changed where anything is refused.
    for gone in [1, 4] {
        let refused = store.rotate_key(&id(gone), key(14, None), None).await;
        assert!(matches!(refused, Err(StoreError::KeyNotActive)), "{gone}: {refused:?}");
    }
    assert!(matches!(store.rotate_key(&id(9), key(14, None), None).await, Err(StoreError::NoSuchKey)));
    assert!(matches!(store.rotate_key(&id(5), key(11, None), None).await, Err(StoreError::KeyExists)));
    let expected = [revoked(1), key(2, Some(soon)), key(3, Some(soon)), key(4, Some(1)), key(5, None)]
        .into_iter()
        .chain([key(11, None), key(12, None), key(13, None)]);
    let mut expected: Vec<_> = expected.map(Arc::new).collect();
    expected.sort_by(|a, b| a.id.cmp(&b.id));
    let kept = async |store: &Embedded| {
        let mut kept = store.keys().await.unwrap();
        kept.sort_by(|a, b| a.id.cmp(&b.id));
        kept
    };
    assert_eq!(kept(&store).await, expected);
    store.close().await;
    drop(store);
    let store = open(engine, folder.path());
    assert_eq!(kept(&store).await, expected);
    // A key that is revoked in the same moment is not brought back by being rotated.
    let (five, six) = (id(5), key(15, None));
    let (revoked, rotated) = tokio::join!(store.revoke_key(&five), store.rotate_key(&five, six, at(later)));
    let now = store.key(&KeyHash([5; 32])).await.unwrap().unwrap();
    assert_eq!((now.status, revoked.is_ok()), (KeyStatus::Revoked, true), "{rotated:?}");
    assert_eq!(store.verify().unwrap().findings, [""; 0]);
}

async fn a_closed_store_refuses(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    store.close().await;
    assert!(matches!(store.create_task(new_task("alice", "t"), None).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.list_tasks(all_of("alice")).await, Err(StoreError::Unavailable(_))));
}

async fn long_tasks_are_read_whole_while_they_change(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(engine, folder.path()));
    let alice = chitty("alice");
    let patch = |number: usize| {
        let letter = char::from(b'a' + u8::try_from(number % 26).unwrap());
        TaskPatch { error: Some(Some(letter.to_string().repeat(16_000))), ..TaskPatch::default() }
    };
    let mut ids = Vec::new();
    for number in 0..5 {
        let id = store.create_task(new_task("alice", &number.to_string()), None).await.unwrap().task_id;
        store.update_task(&alice, id, patch(number), Expected::Any, None).await.unwrap();
        ids.push(id);
    }
    let writer = {
        let (store, alice, ids) = (Arc::clone(&store), alice.clone(), ids.clone());
        tokio::spawn(async move {
            for number in 0..400 {
                store.update_task(&alice, ids[number % 5], patch(number), Expected::Any, None).await.unwrap();
            }
        })
    };
    while !writer.is_finished() {
        for task in store.list_tasks(all_of("alice")).await.unwrap().tasks {
            let error = task.error.unwrap();
            assert!(error.len() == 16_000 && error.bytes().all(|byte| byte == error.as_bytes()[0]));
        }
        assert!(store.task(&alice, ids[0]).await.unwrap().is_some());
    }
    writer.await.unwrap();
}

on_each_engine! {
    what_was_made_is_there_after_the_store_is_opened_again,
    pages_meet_without_gap_or_overlap_whatever_the_conditions,
    a_page_ends_where_it_gets_too_large,
    changes_keep_their_conditions,
    a_parent_is_a_task_of_the_same_session_and_takes_its_sub_tasks_with_it,
    another_tenants_tasks_do_not_exist,
    a_request_that_is_repeated_is_done_once,
    changes_at_once_are_each_whole,
    keys_are_found_by_their_hash_and_stay,
    a_key_that_is_rotated_ends_in_the_change_that_begins_the_new_one,
    a_closed_store_refuses,
    long_tasks_are_read_whole_while_they_change,
}
