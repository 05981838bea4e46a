//! Files on a store and a folder of their own: what is there after each thing that can happen to a body.

mod note;

use std::path::PathBuf;

use futures::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};

use super::receive::Whole;
use super::*;
use crate::store::embedded::Embedded;
use crate::store::file::{PartUpload, UploadId};
use crate::store::{self, Durability, Engine, Retention};

/// More than is held in memory.
const LONG: usize = 3 << 20;

/// Whether an error is the one that is due.
type IsRight = fn(&FileError) -> bool;

struct Here {
    files: Arc<Files>,
    folder: tempfile::TempDir,
}

fn open(quota: u64) -> Here {
    open_in(tempfile::tempdir().unwrap(), quota)
}

fn open_in(folder: tempfile::TempDir, quota: u64) -> Here {
    let metrics = Arc::new(Metrics::new().unwrap());
    let config = store::Config {
        path: folder.path().join("store"),
        durability: Durability::ProcessCrash,
        engine: Engine::Sled,
        retention: Retention::default(),
    };
    let store = Arc::new(Embedded::open(&config, Arc::clone(&metrics)).unwrap());
    let limits = Limits { max_bytes: 64 << 20, quota, token_ttl: Duration::from_secs(60) };
    let location = Location::Folder(folder.path().join("files"));
    let config = Config { location, durability: Durability::ProcessCrash, limits };
    Here { files: Arc::new(Files::new(&config, store, metrics).unwrap()), folder }
}

impl Here {
    /// Everything in the folder of contents, without what stands before `files/`.
    fn there(&self) -> Vec<String> {
        fn walk(folder: &std::path::Path, found: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { walk(&path, found) } else { found.push(path) }
            }
        }
        self.files.contents.wait_for_removal();
        let root = self.folder.path().join("files");
        let mut found = Vec::new();
        walk(&root, &mut found);
        let mut names: Vec<_> =
            found.iter().map(|path| path.strip_prefix(&root).unwrap().display().to_string()).collect();
        names.sort();
        names
    }

    async fn put(&self, key: &str, body: &[u8]) -> Result<StoredFile, FileError> {
        self.files.put(writer(), facts(key), pieces(body), Expected::default()).await
    }

    async fn content(&self, file: &StoredFile) -> Vec<u8> {
        let body = self.files.open(file, 0, file.contents.size).await.unwrap();
        body.try_fold(Vec::new(), async |mut whole, piece| {
            whole.extend_from_slice(&piece);
            Ok(whole)
        })
        .await
        .unwrap()
    }

    async fn is_whole(&self) {
        assert_eq!(self.files.store().verify_store().await.unwrap().findings, Vec::<String>::new());
        assert_eq!(self.files.verify().await.unwrap().findings, Vec::<String>::new());
    }

    async fn close(self) {
        self.files.store().close().await;
    }

    /// As the next process finds it.
    async fn reopened(self) -> Self {
        let Self { files, folder } = self;
        files.store().close().await;
        drop(files);
        open_in(folder, 1 << 30)
    }
}

fn place() -> Place {
    Place { chitty_id: "alice".parse().unwrap(), session_id: "s".parse().unwrap() }
}

fn writer() -> Writer {
    Writer { place: place(), key_id: "k".parse().unwrap(), quota: None }
}

fn facts(key: &str) -> Facts {
    Facts {
        key: key.parse().unwrap(),
        given_name: None,
        mime: None,
        headers: Vec::new(),
        metadata: Vec::new(),
        source_modified_at: None,
        how: Arrival::Api,
        only_if: Condition::Always,
    }
}

/// A body in pieces of an odd length.
fn pieces(body: &[u8]) -> Body {
    let pieces: Vec<_> = body.chunks(70_001).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces).boxed()
}

fn long(seed: u8) -> Vec<u8> {
    (0..LONG).map(|index| seed.wrapping_add(u8::try_from(index % 251).unwrap())).collect()
}

fn name_of(body: &[u8]) -> String {
    let hash = hex::encode(Sha256::digest(body));
    format!("contents/alice/{}/{hash}", &hash[..2])
}

#[tokio::test]
async fn equal_contents_are_kept_once_and_until_no_file_has_them() {
    let here = open(1 << 30);
    for body in [b"short".to_vec(), long(0), Vec::new()] {
        let first = here.put("a", &body).await.unwrap();
        let second = here.put("b/c", &body).await.unwrap();
        assert_eq!(here.there(), [name_of(&body)]);
        assert_eq!(here.content(&first).await, body);
        assert_eq!((first.contents, &first.etag), (second.contents, &second.etag));
        assert_eq!(here.files.left(place().chitty_id, None).await.unwrap(), (1 << 30) - body.len() as u64);
        for (key, left) in [("a", 1), ("b/c", 0)] {
            here.files.delete(place(), vec![key.parse().unwrap()], false).await.unwrap();
            here.files.remove_all_unreferenced().await.unwrap();
            assert_eq!(here.there().len(), left, "after {key}");
            here.is_whole().await;
        }
    }
    here.close().await;
}

#[tokio::test]
async fn a_body_that_is_not_what_was_said_leaves_nothing() {
    let here = open(8 << 20);
    for body in [b"hello".to_vec(), long(1)] {
        let size = body.len() as u64;
        let expected = |size, hash, md5| Expected { size, hash, md5, check: None };
        let refused: [(Expected, IsRight); 6] = [
            (expected(Some(size - 1), None, None), |error| matches!(error, FileError::Size { .. })),
            (expected(Some(size + 1), None, None), |error| matches!(error, FileError::Size { .. })),
            (expected(None, Some(ContentHash([0; 32])), None), |error| matches!(error, FileError::Hash { .. })),
            (expected(None, None, Some([0; 16])), |error| matches!(error, FileError::Md5)),
            (expected(Some(65 << 20), None, None), |error| matches!(error, FileError::TooLarge(_))),
            (expected(Some(9 << 20), None, None), |error| {
                matches!(error, FileError::Store(StoreError::QuotaExceeded { left: 8_388_608, .. }))
            }),
        ];
        for (expected, is_right) in refused {
            let error = here.files.put(writer(), facts("a"), pieces(&body), expected).await.unwrap_err();
            assert!(is_right(&error), "{error:?}");
        }
        let check = Expected { check: Some(Box::new(|| Err("wrong".to_owned()))), ..Expected::default() };
        let error = here.files.put(writer(), facts("a"), pieces(&body), check).await.unwrap_err();
        assert!(matches!(error, FileError::Check(_)), "{error:?}");
        let broken = pieces(&body).chain(stream::iter([Err(BodyError::from("gone"))])).boxed();
        let error = here.files.put(writer(), facts("a"), broken, Expected::default()).await.unwrap_err();
        assert!(matches!(error, FileError::BrokeOff(_)), "{error:?}");
        nothing_is_left(&here).await;
    }
    here.close().await;
}

/// What is dropped is removed by tasks of its own.
async fn nothing_is_left(here: &Here) {
    for _ in 0..1000 {
        if here.there().is_empty() {
            break;
        }
        tokio::task::spawn_blocking(std::thread::yield_now).await.unwrap();
    }
    assert_eq!(here.there(), Vec::<String>::new());
    assert_eq!(here.files.store().file(place(), "a".parse().unwrap()).await.unwrap(), None);
    here.is_whole().await;
}

#[tokio::test]
async fn a_client_that_vanishes_leaves_nothing() {
    let here = open(1 << 30);
    let body = pieces(&long(2)).chain(stream::pending()).boxed();
    let put = here.files.put(writer(), facts("a"), body, Expected::default());
    // It waits for the rest, which never comes.
    assert!(tokio::time::timeout(Duration::from_millis(300), put).await.is_err());
    nothing_is_left(&here).await;
    here.close().await;
}

#[tokio::test]
async fn the_quota_is_exact_and_what_is_there_costs_nothing() {
    let here = open(10);
    here.put("a", b"12345678").await.unwrap();
    let error = here.put("b", b"123").await.unwrap_err();
    assert!(matches!(error, FileError::Store(StoreError::QuotaExceeded { left: 2, .. })), "{error:?}");
    here.put("b", b"12").await.unwrap();
    let hash = ContentHash(Sha256::digest(b"12345678").into());
    let again = Expected { size: Some(8), hash: Some(hash), ..Expected::default() };
    here.files.put(writer(), facts("c"), pieces(b"12345678"), again).await.unwrap();
    here.put("b", b"xy").await.unwrap();
    here.files.remove_all_unreferenced().await.unwrap();
    here.is_whole().await;
    here.close().await;
}

#[tokio::test]
async fn uploads_at_once_of_equal_contents_and_their_removal_agree() {
    let here = open(1 << 30);
    let body = long(3);
    for round in 0..6 {
        let puts = (0..8).map(|number| {
            let (files, body) = (Arc::clone(&here.files), body.clone());
            async move {
                let key = format!("{}", number % 3);
                if (number + round) % 4 == 3 {
                    files.delete(place(), vec![key.parse().unwrap()], false).await.map(drop)
                } else {
                    files.put(writer(), facts(&key), pieces(&body), Expected::default()).await.map(drop)
                }
            }
        });
        let removal = here.files.remove_all_unreferenced();
        let (done, removed) = futures::join!(futures::future::join_all(puts), removal);
        removed.unwrap();
        for done in done {
            done.unwrap();
        }
        here.is_whole().await;
        for key in ["0", "1", "2"] {
            let file = here.files.store().file(place(), key.parse().unwrap()).await.unwrap();
            if let Some(file) = file {
                assert_eq!(here.content(&file).await, body);
            }
        }
    }
    here.close().await;
}

#[tokio::test]
async fn a_copy_has_the_contents_and_outlives_its_source() {
    let here = open(1 << 30);
    let source = here.put("a", b"contents").await.unwrap();
    let how = Arrival::S3;
    let copy = here.files.copy(writer(), Facts { how, ..facts("b") }, &source).await.unwrap();
    here.files.delete(place(), vec!["a".parse().unwrap()], false).await.unwrap();
    here.files.remove_all_unreferenced().await.unwrap();
    assert_eq!(here.content(&copy).await, b"contents");
    let error = here.files.copy(writer(), facts("c"), &source).await.unwrap_err();
    assert!(matches!(error, FileError::Store(StoreError::NoSuchFile)), "{error:?}");
    here.is_whole().await;
    here.close().await;
}

#[tokio::test]
async fn parts_become_one_file_and_are_gone_then() {
    let here = open(1 << 30);
    let id = UploadId([7; 16]);
    let upload = PartUpload {
        place: place(),
        id,
        key: "big".parse().unwrap(),
        mime: None,
        headers: Vec::new(),
        metadata: vec![("mtime".to_owned(), "1700000000.5".to_owned())],
        key_id: "k".parse().unwrap(),
        created_at: Time::now(),
    };
    here.files.store().begin_parts(upload).await.unwrap();
    let (first, second) = ([long(4), long(5)].concat(), b"the end".to_vec());
    let key: FileKey = "big".parse().unwrap();
    let mut parts = Vec::new();
    // The second comes first, and the first twice.
    for (number, body) in [(2, &second), (1, &second), (1, &first)] {
        let part = here.files.put_part(writer(), (id, &key), number, pieces(body), Expected::default()).await.unwrap();
        parts.retain(|(known, _)| *known != number);
        parts.push((number, part.md5));
    }
    parts.sort_unstable();
    assert_eq!(here.there().len(), 2);
    let kept = here.files.complete_parts(writer(), id, parts.clone(), Condition::Always).await.unwrap();
    let whole = [first, second].concat();
    assert_eq!(here.content(&kept).await, whole);
    assert!(kept.etag.ends_with("-2"), "{}", kept.etag);
    assert_eq!(kept.source_modified_at.map(Time::as_millis), Some(1_700_000_000_500));
    assert_eq!(here.there(), [name_of(&whole)]);
    let again = here.files.complete_parts(writer(), id, parts, Condition::Always).await.unwrap_err();
    assert!(matches!(again, FileError::Store(StoreError::NoSuchUpload)), "{again:?}");
    here.is_whole().await;
    here.close().await;
}

#[tokio::test]
async fn what_a_killed_process_left_is_swept_and_what_is_kept_stays() {
    let here = open(1 << 30);
    let kept = here.put("a", b"kept").await.unwrap();
    let files = here.folder.path().join("files");
    let write = |name: &str| {
        let path = files.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "left").unwrap();
    };
    write("uploads/0011");
    write("uploads/0022#1");
    write("parts/0033/1-0044");
    write("parts/0033/1-0055#1");
    // Contents that were noted, put in their place, and never kept.
    let noted = ContentsOf { chitty_id: place().chitty_id, hash: ContentHash([0xab; 32]) };
    assert!(!here.files.store().expect_contents(noted.clone()).await.unwrap());
    write(&format!("contents/alice/ab/{}", noted.hash));
    write(&format!("contents/alice/ab/{}#1", noted.hash));
    here.files.sweep().await.unwrap();
    here.files.remove_all_unreferenced().await.unwrap();
    assert_eq!(here.there(), [name_of(b"kept")]);
    assert_eq!(here.content(&kept).await, b"kept");
    // What nobody noted may be somebody's: it is told, and stays.
    write(&format!("contents/alice/cd/cd{}", "00".repeat(31)));
    write("contents/alice/strange");
    here.files.sweep().await.unwrap();
    here.files.remove_all_unreferenced().await.unwrap();
    let report = here.files.verify().await.unwrap();
    assert_eq!((report.contents, report.findings.len()), (1, 2), "{:?}", report.findings);
    here.close().await;
}

#[tokio::test]
async fn a_body_is_in_memory_up_to_a_piece_and_no_piece_is_larger() {
    let here = open(1 << 30);
    let contents = &here.files.contents;
    let piece = contents.piece();
    for (length, announced) in [(0, false), (1, true), (piece - 1, false), (piece, true), (piece, false)] {
        let body = vec![7; length];
        let expected = Expected { size: Some(length as u64).filter(|_| announced), ..Expected::default() };
        let received = receive(contents, pieces(&body), 1 << 30, expected).await.unwrap();
        assert!(matches!(received.body, Whole::Memory(held) if held == body), "{length}");
    }
    for length in [piece + 1, 2 * piece, 3 * piece + 70_001] {
        let received = receive(contents, pieces(&vec![7; length]), 1 << 30, Expected::default()).await.unwrap();
        assert_eq!(received.size, length as u64);
        assert!(matches!(received.body, Whole::Away(_)), "{length}");
        let mut at = here.folder.path().join("files");
        at.push(here.there().pop().unwrap());
        assert!(std::fs::read(at).unwrap() == vec![7; length], "{length}");
        received.body.discard().await.unwrap();
    }
    here.close().await;
}

#[tokio::test]
async fn contents_that_are_lost_are_told_and_come_back_with_the_next_upload() {
    let here = open(1 << 30);
    let file = here.put("a", b"contents").await.unwrap();
    std::fs::remove_file(here.folder.path().join("files").join(name_of(b"contents"))).unwrap();
    assert!(matches!(here.files.open(&file, 0, 8).await, Err(FileError::Lost)));
    let report = here.files.verify().await.unwrap();
    assert!(report.findings[0].contains("are not there; they should have 8 bytes"), "{:?}", report.findings);
    here.put("b", b"contents").await.unwrap();
    assert_eq!(here.content(&file).await, b"contents");
    std::fs::write(here.folder.path().join("files").join(name_of(b"contents")), "cut").unwrap();
    let report = here.files.verify().await.unwrap();
    assert!(report.findings[0].contains("do not have 8 bytes"), "{:?}", report.findings);
    here.close().await;
}

#[tokio::test]
async fn a_place_that_fails_is_told_and_forgotten_when_it_works_again() {
    let here = open(1 << 30);
    let uploads = here.folder.path().join("files/uploads");
    std::fs::remove_dir(&uploads).unwrap();
    std::fs::write(&uploads, "in the way").unwrap();
    let error = here.put("a", &long(6)).await.unwrap_err();
    assert!(matches!(error, FileError::Unavailable(_)), "{error:?}");
    assert!(here.files.trouble().is_some());
    std::fs::remove_file(&uploads).unwrap();
    here.put("a", &long(6)).await.unwrap();
    assert_eq!(here.files.trouble(), None);
    here.is_whole().await;
    here.close().await;
}

#[test]
fn a_full_disk_is_told_from_other_trouble() {
    let error = |kind: std::io::ErrorKind| object_store::Error::Generic {
        store: "test",
        source: Box::new(object_store::Error::Generic { store: "test", source: Box::new(std::io::Error::from(kind)) }),
    };
    assert!(matches!(FileError::place(error(std::io::ErrorKind::StorageFull)), FileError::NoRoom(_)));
    assert!(matches!(FileError::place(error(std::io::ErrorKind::PermissionDenied)), FileError::Unavailable(_)));
}
