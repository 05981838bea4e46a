//! Random files, against the plainest store there is: a map in memory.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{at, chitty, contents, key, names, new_file, of, put};
use crate::store::embedded::Embedded;
use crate::store::file::{NewFile, StoredQuery};
use crate::store::tests::open;
use crate::store::{Engine, FileStore, Store, StoreError};

/// Keys over few letters, so that they begin alike; some end in the delimiter.
fn name() -> impl Strategy<Value = String> {
    "[ab/ü]{1,6}".prop_filter("a key", |name| !name.starts_with('/'))
}

#[derive(Clone, Debug)]
struct Asked {
    prefix: String,
    after: Option<String>,
    delimiter: Option<String>,
    limit: usize,
}

fn asked() -> impl Strategy<Value = Asked> {
    let delimiter =
        prop_oneof![Just(None), Just(Some("/".to_owned())), Just(Some("b".to_owned())), Just(Some("ab".to_owned()))];
    ("[ab/ü]{0,3}", proptest::option::of("[ab/ü]{0,5}"), delimiter, 1..5_usize)
        .prop_map(|(prefix, after, delimiter, limit)| Asked { prefix, after, delimiter, limit })
}

/// Every entry that is asked for.
fn wanted(all: &BTreeSet<String>, asked: &Asked) -> Vec<String> {
    let common = |name: &str| {
        let delimiter = asked.delimiter.as_deref()?;
        let found = name.strip_prefix(&*asked.prefix)?.find(delimiter)?;
        Some(name[..asked.prefix.len() + found + delimiter.len()].to_owned())
    };
    let mut entries: Vec<String> = Vec::new();
    for name in all.iter().filter(|name| name.starts_with(&*asked.prefix)) {
        if asked.after.as_ref().is_some_and(|after| name <= after) {
            continue;
        }
        let entry = match common(name) {
            // Told already, if that is what the page before ended with.
            Some(common) if asked.after.as_ref() == Some(&common) => continue,
            Some(common) => format!("{common}*"),
            None => name.clone(),
        };
        if entries.last() != Some(&entry) {
            entries.push(entry);
        }
    }
    entries
}

async fn lists(engine: Engine, all: BTreeSet<String>, questions: Vec<Asked>) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    for name in &all {
        put(&store, new_file("alice", &format!("s/{name}"), "x")).await.unwrap();
    }
    put(&store, new_file("alice", "s0/a", "x")).await.unwrap();
    for asked in questions {
        let mut found = Vec::new();
        let mut after = asked.after.clone();
        loop {
            let query = StoredQuery {
                place: at("alice", "s"),
                prefix: asked.prefix.clone(),
                after,
                delimiter: asked.delimiter.clone(),
                limit: asked.limit,
            };
            let page = store.list_stored(query).await.unwrap();
            assert!(page.entries.len() == asked.limit || page.next.is_none(), "{asked:?}");
            found.extend(names(&page));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, wanted(&all, &asked), "{asked:?} of {all:?}");
    }
    store.close().await;
}

#[derive(Clone, Debug)]
enum Operation {
    Put { owner: usize, session: usize, name: usize, text: usize, quota: Option<u64> },
    Delete { owner: usize, session: usize, names: Vec<usize>, by_s3: bool },
    Forget { owner: usize, text: usize },
    Restart,
}

const OWNERS: [&str; 2] = ["alice", "alice2"];
const SESSIONS: [&str; 2] = ["s", "s2"];
const NAMES: [&str; 4] = ["a", "a/b", "a/", "b"];
const TEXTS: [&str; 4] = ["", "1", "333", "4444"];

fn operation() -> impl Strategy<Value = Operation> {
    let few = || 0..2_usize;
    let quota = proptest::option::of(0..12_u64);
    let put = (few(), few(), 0..4_usize, 0..4_usize, quota)
        .prop_map(|(owner, session, name, text, quota)| Operation::Put { owner, session, name, text, quota });
    let delete = (few(), few(), proptest::collection::vec(0..4_usize, 0..4), any::<bool>())
        .prop_map(|(owner, session, names, by_s3)| Operation::Delete { owner, session, names, by_s3 });
    let forget = (few(), 0..4_usize).prop_map(|(owner, text)| Operation::Forget { owner, text });
    prop_oneof![8 => put, 5 => delete, 2 => forget, 1 => Just(Operation::Restart)]
}

#[derive(Default)]
struct Model {
    /// Owner, session, name → text.
    files: BTreeMap<(usize, usize, usize), usize>,
    noted: BTreeSet<(usize, usize)>,
}

impl Model {
    fn texts(&self, owner: usize) -> BTreeSet<usize> {
        self.files.iter().filter(|((whose, ..), _)| *whose == owner).map(|(_, text)| *text).collect()
    }

    fn bytes(&self, owner: usize) -> u64 {
        self.texts(owner).into_iter().map(|text| TEXTS[text].len() as u64).sum()
    }

    /// What no file has any more is noted; what one has is not.
    fn settle(&mut self, owner: usize, before: &BTreeSet<usize>) {
        let now = self.texts(owner);
        self.noted.extend(before.difference(&now).map(|text| (owner, *text)));
        self.noted.retain(|(whose, text)| *whose != owner || !now.contains(text));
    }
}

async fn compare(store: &Embedded, model: &Model) {
    for owner in 0..2 {
        let usage = store.usage(chitty(OWNERS[owner])).await.unwrap();
        let files = model.files.keys().filter(|(whose, ..)| *whose == owner).count() as u64;
        assert_eq!((usage.bytes, usage.files), (model.bytes(owner), files));
        for text in 0..4 {
            let contents = of(OWNERS[owner], TEXTS[text]);
            let referenced = model.texts(owner).contains(&text);
            assert_eq!(store.is_referenced(contents.clone()).await.unwrap(), referenced);
            let known = referenced || model.noted.contains(&(owner, text));
            assert_eq!(store.is_known(contents.clone()).await.unwrap(), known);
            let first = store.file_with(contents, None).await.unwrap();
            let named = first.map(|file| (file.session_id.to_string(), file.key.to_string()));
            let has = model.files.iter().filter(|((whose, ..), has)| *whose == owner && **has == text);
            let mut has: Vec<_> =
                has.map(|((_, session, name), _)| (SESSIONS[*session].to_owned(), NAMES[*name].to_owned())).collect();
            has.sort();
            assert_eq!(named, has.into_iter().next());
        }
    }
    let noted: BTreeSet<_> =
        store.unreferenced(None, 99).await.unwrap().into_iter().map(|of| (of.chitty_id.to_string(), of.hash)).collect();
    let wanted: BTreeSet<_> =
        model.noted.iter().map(|(owner, text)| (OWNERS[*owner].to_owned(), contents(TEXTS[*text]).hash)).collect();
    assert_eq!(noted, wanted);
    assert_eq!(store.verify().unwrap().findings, [""; 0]);
}

async fn run(engine: Engine, operations: Vec<Operation>) {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(engine, folder.path());
    let mut model = Model::default();
    for operation in operations {
        match operation.clone() {
            Operation::Put { owner, session, name, text, quota } => {
                let before = model.texts(owner);
                let file = new_file(OWNERS[owner], &format!("{}/{}", SESSIONS[session], NAMES[name]), TEXTS[text]);
                let answer = put(&store, NewFile { quota: quota.unwrap_or(u64::MAX), ..file }).await;
                if !before.contains(&text) {
                    model.noted.insert((owner, text));
                }
                let replaced = model.files.insert((owner, session, name), text);
                let fits = before.contains(&text) || quota.is_none_or(|quota| model.bytes(owner) <= quota);
                // Nothing at all is asked for.
                if fits || TEXTS[text].is_empty() {
                    answer.unwrap();
                    model.settle(owner, &before);
                } else {
                    assert!(matches!(answer, Err(StoreError::QuotaExceeded { .. })), "{operation:?}: {answer:?}");
                    match replaced {
                        Some(text) => model.files.insert((owner, session, name), text),
                        None => model.files.remove(&(owner, session, name)),
                    };
                }
            }
            Operation::Delete { owner, session, names, by_s3 } => {
                let before = model.texts(owner);
                let keys = names.iter().map(|name| key(NAMES[*name])).collect();
                let gone = store.delete_files(at(OWNERS[owner], SESSIONS[session]), keys, by_s3).await.unwrap();
                let removed = names.iter().filter_map(|name| model.files.remove(&(owner, session, *name)));
                assert_eq!(gone.len(), removed.count(), "{operation:?}");
                model.settle(owner, &before);
            }
            Operation::Forget { owner, text } => {
                store.forget_contents(of(OWNERS[owner], TEXTS[text])).await.unwrap();
                model.noted.remove(&(owner, text));
            }
            Operation::Restart => {
                store.close().await;
                drop(store);
                store = open(engine, folder.path());
            }
        }
    }
    compare(&store, &model).await;
    store.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn lists_are_what_a_set_in_memory_would_give(
        all in proptest::collection::btree_set(name(), 0..30),
        questions in proptest::collection::vec(asked(), 1..30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for engine in Engine::ALL {
            runtime.block_on(lists(engine, all.clone(), questions.clone()));
        }
    }

    #[test]
    fn files_are_kept_as_a_map_in_memory_would_keep_them(
        operations in proptest::collection::vec(operation(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for engine in Engine::ALL {
            runtime.block_on(run(engine, operations.clone()));
        }
    }
}
