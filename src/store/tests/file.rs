//! Files whose contents are kept: what each method does, on each engine.

mod context;
mod damage;
mod model;
mod parts;

use sha2::{Digest, Sha256};

use super::transfer::exported;
use super::{chitty, open, session};
use crate::model::stored_file::{ContentHash, Contents, FileKey, StoredFile};
use crate::model::time::Time;
use crate::store::context::Place;
use crate::store::embedded::Embedded;
use crate::store::file::{
    Arrival, Bucket, Condition, ContentsOf, Listed, MAX_STORED_FILES, NewFile, Noted, StoredPage, StoredQuery, Usage,
};
use crate::store::migration::m0003_files::UsageRecord;
use crate::store::{Engine, FileStore, Store, StoreError};

pub(super) fn place() -> Place {
    at("alice", "s")
}

fn at(owner: &str, within: &str) -> Place {
    Place { chitty_id: chitty(owner), session_id: session(within) }
}

fn key(text: &str) -> FileKey {
    text.parse().unwrap()
}

fn contents(text: &str) -> Contents {
    Contents { hash: ContentHash(Sha256::digest(text).into()), size: text.len() as u64 }
}

fn of(owner: &str, text: &str) -> ContentsOf {
    ContentsOf { chitty_id: chitty(owner), hash: contents(text).hash }
}

/// `name` is the session and the key.
fn new_file(owner: &str, name: &str, text: &str) -> NewFile {
    let (within, name) = name.split_once('/').unwrap();
    NewFile {
        place: at(owner, within),
        key: key(name),
        contents: contents(text),
        etag: format!("etag-{text}"),
        given_name: Some("ä name".to_owned()),
        mime: Some("text/plain".to_owned()),
        headers: vec![("cache-control".to_owned(), "no-store".to_owned())],
        metadata: vec![("m".to_owned(), "ä".to_owned())],
        key_id: "k1".parse().unwrap(),
        source_modified_at: None,
        quota: u64::MAX,
        how: Arrival::Api,
        only_if: Condition::Always,
        noted: Noted::InStore,
    }
}

async fn put(store: &Embedded, file: NewFile) -> Result<StoredFile, StoreError> {
    let contents = ContentsOf { chitty_id: file.place.chitty_id.clone(), hash: file.contents.hash };
    store.expect_contents(contents).await.unwrap();
    store.keep_file(file).await
}

/// Keeps a file of alice.
pub(super) async fn keep(store: &Embedded, name: &str, text: &str) -> StoredFile {
    put(store, new_file("alice", name, text)).await.unwrap()
}

async fn delete(store: &Embedded, names: &[&str]) -> Vec<StoredFile> {
    store.delete_files(place(), names.iter().map(|name| key(name)).collect(), false).await.unwrap()
}

async fn usage(store: &Embedded) -> (u64, u64) {
    let Usage { bytes, files } = store.usage(chitty("alice")).await.unwrap();
    (bytes, files)
}

async fn whole(store: &Embedded) {
    assert_eq!(store.verify().unwrap().findings, [""; 0]);
}

fn query(prefix: &str, delimiter: Option<&str>) -> StoredQuery {
    let delimiter = delimiter.map(ToOwned::to_owned);
    StoredQuery { place: place(), prefix: prefix.to_owned(), after: None, delimiter, limit: 1000 }
}

fn names(page: &StoredPage) -> Vec<String> {
    let name = |entry: &Listed| match entry {
        Listed::File(file) => file.key.to_string(),
        Listed::Common(common) => format!("{common}*"),
    };
    page.entries.iter().map(name).collect()
}

on_each_engine!(
    a_file_is_kept_under_its_name_and_replaced,
    contents_are_referenced_as_long_as_a_file_has_them,
    a_quota_is_exact_and_equal_contents_are_had_for_nothing,
    a_token_is_good_once_and_conditions_are_kept,
    nothing_is_kept_that_nobody_expected,
    a_chitty_id_has_so_many_files,
    lists_tell_common_beginnings_together,
    a_page_ends_with_so_many_bytes_and_long_records_are_whole,
    sessions_with_files_are_buckets,
    other_tenants_and_sessions_see_nothing,
);

async fn a_file_is_kept_under_its_name_and_replaced(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    let first = keep(&store, "s/d/a.txt", "one").await;
    assert_eq!((first.uri(), first.r2_key()), ("r2://files/s/d/a.txt".into(), "files/s/d/a.txt".into()));
    assert_eq!((first.created_at, first.source_modified_at), (first.modified_at, None));
    assert_eq!(store.file(place(), key("d/a.txt")).await.unwrap().as_ref(), Some(&first));
    let row = store.context_file(place(), first.uri()).await.unwrap().unwrap();
    assert_eq!((row.active, row.facts.name.as_deref(), row.facts.size), (true, Some("ä name"), Some(3)));
    assert_eq!(row.facts.sha256, Some(first.contents.hash.to_string()));
    assert_eq!((row.facts.r2_key, row.facts.modified_at), (Some(first.r2_key()), Some(first.modified_at)));
    let said = Time::from_millis(1);
    let again = new_file("alice", "s/d/a.txt", "four");
    let again = NewFile { source_modified_at: Some(said), mime: None, given_name: None, ..again };
    let second = put(&store, again).await.unwrap();
    assert_eq!((second.created_at, second.contents), (first.created_at, contents("four")));
    let now = store.context_file(place(), second.uri()).await.unwrap().unwrap();
    assert_eq!((now.id, now.created_at, now.facts.size), (row.id, row.created_at, Some(4)));
    assert_eq!((now.facts.mime, now.facts.modified_at), (None, Some(said)));
    assert_eq!(now.facts.name.as_deref(), Some("a.txt"), "the last part of its key");
    assert_eq!(usage(&store).await, (4, 1));
    let folder_like = NewFile { given_name: None, ..new_file("alice", "s/d/", "") };
    let folder_like = put(&store, folder_like).await.unwrap();
    let row = store.context_file(place(), folder_like.uri()).await.unwrap().unwrap();
    assert_eq!((row.facts.name, row.facts.size), (None, Some(0)));
    let text = exported(&store).await;
    let told = format!(
        r#""type":"context.files.uploaded","sessionId":"s","file":{{"r2_key":"files/s/d/a.txt","sha256":"{}","size":4,"name":"a.txt"}}}}"#,
        contents("four").hash
    );
    assert!(text.contains(&told), "{text}");
    whole(&store).await;
    store.close().await;
    drop(store);
    let store = open(engine, folder.path());
    assert_eq!(store.file(place(), key("d/a.txt")).await.unwrap(), Some(second));
    store.close().await;
}

async fn contents_are_referenced_as_long_as_a_file_has_them(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    let one = of("alice", "one");
    assert!(!store.is_known(one.clone()).await.unwrap());
    assert!(!store.expect_contents(one.clone()).await.unwrap());
    assert!(store.is_known(one.clone()).await.unwrap() && !store.is_referenced(one.clone()).await.unwrap());
    assert_eq!(store.unreferenced(None, 9).await.unwrap(), std::slice::from_ref(&one));
    for name in ["s/b", "s/a", "t/a"] {
        keep(&store, name, "one").await;
    }
    assert_eq!(store.unreferenced(None, 9).await.unwrap(), []);
    assert!(store.expect_contents(one.clone()).await.unwrap() && store.is_referenced(one.clone()).await.unwrap());
    assert_eq!(usage(&store).await, (3, 3));
    let first = |within: Option<&str>| store.file_with(of("alice", "one"), within.map(session));
    assert_eq!(first(None).await.unwrap().unwrap().uri(), "r2://files/s/a");
    assert_eq!(first(Some("t")).await.unwrap().unwrap().uri(), "r2://files/t/a");
    assert_eq!(first(Some("u")).await.unwrap(), None);
    assert_eq!(store.file_with(of("alice", "two"), Some(session("s"))).await.unwrap(), None);
    assert_eq!(store.keys_with(one.clone(), session("s"), 9).await.unwrap(), [key("a"), key("b")]);
    assert_eq!(store.keys_with(one.clone(), session("s"), 1).await.unwrap(), [key("a")]);
    // Replaced and deleted, one after the other; the last one lets go.
    keep(&store, "s/a", "two").await;
    assert_eq!(delete(&store, &["b", "none", "b"]).await.len(), 1);
    assert_eq!(store.unreferenced(None, 9).await.unwrap(), []);
    store.delete_files(at("alice", "t"), vec![key("a")], false).await.unwrap();
    assert_eq!(store.unreferenced(None, 9).await.unwrap(), std::slice::from_ref(&one));
    assert_eq!((usage(&store).await, delete(&store, &[]).await), ((3, 1), vec![]));
    whole(&store).await;
    // It comes again before it was removed.
    keep(&store, "s/c", "one").await;
    assert_eq!(store.unreferenced(None, 9).await.unwrap(), []);
    store.forget_contents(one.clone()).await.unwrap();
    assert!(store.is_known(one.clone()).await.unwrap());
    delete(&store, &["c", "a"]).await;
    let mut both = vec![one.clone(), of("alice", "two")];
    both.sort_by_key(|contents| contents.hash);
    assert_eq!(store.unreferenced(None, 9).await.unwrap(), both);
    assert_eq!(store.unreferenced(Some(both[0].clone()), 9).await.unwrap(), both[1..]);
    assert_eq!(store.unreferenced(None, 1).await.unwrap(), both[..1]);
    for contents in both {
        store.forget_contents(contents.clone()).await.unwrap();
        assert!(!store.is_known(contents).await.unwrap());
    }
    assert_eq!((usage(&store).await, store.verify().unwrap().entries.get(&'q')), ((0, 0), None));
    store.close().await;
}

async fn a_quota_is_exact_and_equal_contents_are_had_for_nothing(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    let try_put =
        |name: &str, text: &str, quota| put(&store, NewFile { quota, ..new_file("alice", &format!("s/{name}"), text) });
    let refused = |answer: Result<StoredFile, StoreError>| match answer {
        Err(StoreError::QuotaExceeded { asked, left }) => (asked, left),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(try_put("a", "12345", 4).await), (5, 4));
    try_put("a", "12345", 5).await.unwrap();
    assert_eq!(refused(try_put("b", "1", 5).await), (1, 0));
    try_put("b", "12345", 5).await.unwrap();
    try_put("c", "12345", 0).await.unwrap();
    assert_eq!(usage(&store).await, (5, 3));
    // Others have the old contents still, so replacing one frees nothing; when it is the last, it does.
    assert_eq!(refused(try_put("a", "1234", 8).await), (4, 3));
    try_put("a", "1234", 9).await.unwrap();
    delete(&store, &["b"]).await;
    assert_eq!(usage(&store).await, (9, 2));
    assert_eq!(refused(try_put("c", "123456", 9).await), (6, 5));
    try_put("c", "123456", 10).await.unwrap();
    assert_eq!(usage(&store).await, (10, 2));
    // What was refused left nothing but the note of its contents.
    assert_eq!(store.file(place(), key("b")).await.unwrap(), None);
    whole(&store).await;
    store.close().await;
}

async fn a_token_is_good_once_and_conditions_are_kept(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    let with = |id: u8, name: &str, only_if: Condition| {
        let how = Arrival::Token { id: [id; 16], expires_at: Time::from_millis(1000) };
        put(&store, NewFile { how, only_if, ..new_file("alice", name, "x") })
    };
    let absent = Condition::Absent;
    with(1, "s/a", absent.clone()).await.unwrap();
    assert!(matches!(with(1, "s/b", Condition::Always).await, Err(StoreError::TokenUsed)));
    assert!(matches!(with(2, "s/a", absent.clone()).await, Err(StoreError::ConditionFailed)));
    // What failed used up nothing.
    assert!(matches!(with(2, "s/c", Condition::Etag("e".into())).await, Err(StoreError::ConditionFailed)));
    assert!(matches!(with(2, "s/a", Condition::Etag("e".into())).await, Err(StoreError::ConditionFailed)));
    with(2, "s/a", Condition::Etag("etag-x".into())).await.unwrap();
    assert_eq!(store.verify().unwrap().entries[&'w'], 2);
    // It is another tenant's token that has the same id.
    let how = Arrival::Token { id: [1; 16], expires_at: Time::from_millis(2000) };
    put(&store, NewFile { how, ..new_file("bob", "s/a", "x") }).await.unwrap();
    store.remove_expired(Time::from_millis(999)).await.unwrap();
    assert_eq!(store.verify().unwrap().entries[&'w'], 3);
    assert_eq!(store.remove_expired(Time::from_millis(1999)).await.unwrap(), 2);
    assert_eq!(store.remove_expired(Time::from_millis(2000)).await.unwrap(), 1);
    whole(&store).await;
    store.close().await;
}

async fn nothing_is_kept_that_nobody_expected(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    let answer = store.keep_file(new_file("alice", "s/a", "x")).await;
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    // Another's expectation is none.
    store.expect_contents(of("bob", "x")).await.unwrap();
    assert!(store.keep_file(new_file("alice", "s/a", "x")).await.is_err());
    keep(&store, "s/a", "x").await;
    let longer = NewFile { contents: Contents { size: 2, ..contents("x") }, ..new_file("alice", "s/b", "x") };
    assert!(matches!(put(&store, longer).await, Err(StoreError::Unavailable(_))));
    assert_eq!(usage(&store).await, (1, 1));
    // Those that are noted where they are need no note here, and one that is here goes.
    let noted = |name: &str, text: &str| NewFile { noted: Noted::InPlace, ..new_file("alice", name, text) };
    store.keep_file(noted("s/c", "elsewhere")).await.unwrap();
    store.expect_contents(of("alice", "both")).await.unwrap();
    store.keep_file(noted("s/d", "both")).await.unwrap();
    assert_eq!(store.unreferenced(None, 9).await.unwrap(), [of("bob", "x")]);
    delete(&store, &["c", "d"]).await;
    assert_eq!(store.unreferenced(None, 9).await.unwrap().len(), 3);
    whole(&store).await;
    store.close().await;
}

async fn a_chitty_id_has_so_many_files(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    keep(&store, "s/a", "x").await;
    // As if the others were there.
    let noted = UsageRecord { bytes: 1, files: MAX_STORED_FILES };
    let at = crate::store::key::usage(&chitty("alice"));
    store.change("test", move |transaction| transaction.set_meta(&at, &noted)).await.unwrap();
    let more = put(&store, new_file("alice", "s/b", "y")).await;
    assert!(matches!(more, Err(StoreError::TooManyStoredFiles(MAX_STORED_FILES))), "{more:?}");
    keep(&store, "s/a", "y").await;
    delete(&store, &["a"]).await;
    keep(&store, "s/b", "y").await;
    let findings = store.verify().unwrap().findings;
    assert_eq!(findings, ["alice is said to have 1000000 files and 1 bytes, and has 1 and 1"]);
    store.close().await;
}

async fn lists_tell_common_beginnings_together(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    for name in ["a", "a/", "a/b", "a/b/c", "a/d", "a0", "b", "ü/1", "ü/2"] {
        keep(&store, &format!("s/{name}"), name).await;
    }
    let all = ["a", "a/", "a/b", "a/b/c", "a/d", "a0", "b", "ü/1", "ü/2"];
    let listed = |query: StoredQuery| async { names(&store.list_stored(query).await.unwrap()) };
    assert_eq!(listed(query("", None)).await, all);
    assert_eq!(listed(query("", Some(""))).await, all);
    assert_eq!(listed(query("", Some("/"))).await, ["a", "a/*", "a0", "b", "ü/*"]);
    assert_eq!(listed(query("a/", Some("/"))).await, ["a/", "a/b", "a/b/*", "a/d"]);
    assert_eq!(listed(query("a", Some("/"))).await, ["a", "a/*", "a0"]);
    assert_eq!(listed(query("ü", Some("/1"))).await, ["ü/1*", "ü/2"]);
    assert_eq!(listed(query("c", None)).await, [""; 0]);
    for (after, found) in [
        ("a", vec!["a/*", "a0", "b", "ü/*"]),
        ("a/", vec!["a0", "b", "ü/*"]),
        ("a/b/c", vec!["a/*", "a0", "b", "ü/*"]),
        ("a/d", vec!["a0", "b", "ü/*"]),
        ("a/zz", vec!["a0", "b", "ü/*"]),
        ("ü/1", vec!["ü/*"]),
        ("ü/2", vec![]),
        ("zz", vec!["ü/*"]),
        ("", vec!["a", "a/*", "a0", "b", "ü/*"]),
    ] {
        assert_eq!(listed(StoredQuery { after: Some(after.into()), ..query("", Some("/")) }).await, found, "{after}");
    }
    let nothing = StoredQuery { limit: 0, ..query("", None) };
    assert_eq!(store.list_stored(nothing).await.unwrap(), StoredPage::default());
    let exact = store.list_stored(StoredQuery { limit: 5, ..query("", Some("/")) }).await.unwrap();
    assert_eq!((exact.entries.len(), exact.next), (5, None));
    store.close().await;
}

async fn a_page_ends_with_so_many_bytes_and_long_records_are_whole(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    let mut kept = Vec::new();
    for number in 0..40_usize {
        let long = "v".repeat(number % 3 * 100_000);
        let file = new_file("alice", &format!("s/{number:02}"), "x");
        kept.push(put(&store, NewFile { metadata: vec![("m".into(), long)], ..file }).await.unwrap());
    }
    let (mut found, mut pages, mut after) = (Vec::new(), 0, None);
    loop {
        let page = store.list_stored(StoredQuery { after, ..query("", None) }).await.unwrap();
        assert!(page.bytes < 4_500_000, "{}", page.bytes);
        pages += 1;
        found.extend(page.entries.into_iter().map(|entry| match entry {
            Listed::File(file) => *file,
            Listed::Common(common) => panic!("{common}"),
        }));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert!(found == kept && pages > 0);
    whole(&store).await;
    store.close().await;
}

async fn sessions_with_files_are_buckets(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    let buckets = || async {
        let found: Vec<Bucket> = store.buckets(chitty("alice")).await.unwrap();
        found.into_iter().map(|bucket| bucket.session_id.to_string()).collect::<Vec<_>>()
    };
    assert!(store.make_bucket(at("alice", "t")).await.unwrap());
    assert!(!store.make_bucket(at("alice", "t")).await.unwrap());
    keep(&store, "s/a", "x").await;
    assert!(store.make_bucket(at("bob", "b")).await.unwrap());
    assert_eq!(buckets().await, ["s", "t"]);
    assert!(matches!(store.remove_bucket(place()).await, Err(StoreError::BucketNotEmpty)));
    delete(&store, &["a"]).await;
    assert_eq!(buckets().await, ["s", "t"]);
    assert!(store.remove_bucket(place()).await.unwrap() && !store.remove_bucket(place()).await.unwrap());
    assert_eq!(buckets().await, ["t"]);
    whole(&store).await;
    store.close().await;
}

async fn other_tenants_and_sessions_see_nothing(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    let file = keep(&store, "s/a", "secret").await;
    for (owner, within) in [("bob", "s"), ("alic", "s"), ("alicee", "s"), ("Alice", "s"), ("alice", "s2")] {
        let there = at(owner, within);
        assert_eq!(store.file(there.clone(), key("a")).await.unwrap(), None);
        let listed = store.list_stored(StoredQuery { place: there.clone(), ..query("", None) }).await.unwrap();
        assert_eq!(listed, StoredPage::default());
        assert_eq!(store.context_file(there.clone(), file.uri()).await.unwrap(), None);
        assert_eq!(store.delete_files(there.clone(), vec![key("a")], true).await.unwrap(), []);
        assert!(matches!(store.commit_file(there.clone(), key("a"), None).await, Err(StoreError::NoSuchFile)));
        assert_eq!(store.keys_with(of(owner, "secret"), session(within), 9).await.unwrap(), []);
        let owns = owner == "alice";
        assert_eq!(store.is_referenced(of(owner, "secret")).await.unwrap(), owns);
        assert_eq!(store.file_with(of(owner, "secret"), None).await.unwrap().is_some(), owns);
        assert_eq!(store.usage(chitty(owner)).await.unwrap().files, u64::from(owns));
        assert_eq!(store.buckets(chitty(owner)).await.unwrap().len(), usize::from(owns));
    }
    put(&store, new_file("bob", "s/a", "secret")).await.unwrap();
    let all = store.all_contents(None, 9).await.unwrap();
    assert_eq!(all, [(of("alice", "secret"), 6), (of("bob", "secret"), 6)]);
    assert_eq!(store.all_contents(Some(of("alice", "secret")), 9).await.unwrap(), all[1..]);
    assert_eq!(store.all_contents(None, 1).await.unwrap(), all[..1]);
    store.delete_files(at("bob", "s"), vec![key("a")], false).await.unwrap();
    assert_eq!(store.unreferenced(None, 9).await.unwrap(), [of("bob", "secret")]);
    assert_eq!(store.file(place(), key("a")).await.unwrap(), Some(file));
    store.close().await;
}
