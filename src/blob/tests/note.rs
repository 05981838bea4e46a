//! Short contents with a second name: what is there whenever the process ends, and whoever else is at work on the same.

use futures::future::join_all;

use super::*;
use crate::blob::contents::{Note, Put};

/// Contents that are in their place with their note, and that the store knows nothing of: as whoever is killed then
/// leaves them.
async fn put_and_killed(here: &Here, owner: &str, body: &[u8]) -> Note {
    let of = ContentsOf { chitty_id: owner.parse().unwrap(), hash: ContentHash(Sha256::digest(body).into()) };
    let contents = &here.files.contents;
    let note = contents.note(&of).unwrap();
    let put = contents.put_noted(&note, &of, Bytes::copy_from_slice(body)).await.unwrap();
    assert_eq!(put, Put::Done);
    note
}

/// The notes that are there.
fn notes(here: &Here) -> usize {
    here.there().iter().filter(|name| name.starts_with("uploads/")).count()
}

/// `kept`, whose contents are `kept`, is all that is left, and closes.
async fn nothing_but(here: Here, kept: &StoredFile) {
    assert_eq!(here.there(), [name_of(b"kept")]);
    assert_eq!(here.content(kept).await, b"kept");
    here.is_whole().await;
    here.close().await;
}

#[tokio::test]
async fn who_is_killed_before_the_record_leaves_what_the_next_start_removes() {
    let here = open(1 << 30);
    let kept = here.put("a", b"kept").await.unwrap();
    put_and_killed(&here, "alice", b"never told").await;
    // Another has the same, and only his are nobody's.
    put_and_killed(&here, "bob", b"kept").await;
    assert_eq!((here.there().len(), notes(&here)), (5, 2));
    let here = here.reopened().await;
    // Nobody has them, and that will be seen to.
    here.is_whole().await;
    here.files.sweep().await.unwrap();
    nothing_but(here, &kept).await;
}

#[tokio::test]
async fn who_is_killed_after_the_record_leaves_a_name_too_many() {
    let here = open(1 << 30);
    put_and_killed(&here, "alice", b"kept").await;
    // It is what the other wrote that is found there, and taken.
    let kept = here.put("a", b"kept").await.unwrap();
    assert_eq!((here.there().len(), notes(&here)), (2, 1));
    here.is_whole().await;
    let here = here.reopened().await;
    here.files.sweep().await.unwrap();
    here.files.remove_all_unreferenced().await.unwrap();
    nothing_but(here, &kept).await;
}

#[tokio::test]
async fn who_is_killed_before_the_second_name_leaves_the_first_and_harms_nobody() {
    let here = open(1 << 30);
    let kept = here.put("a", b"kept").await.unwrap();
    let write = |body: &[u8], owner: &str| {
        let name = format!("uploads/{}-00112233445566ff-{owner}", hex::encode(Sha256::digest(body)));
        std::fs::write(here.folder.path().join("files").join(name), "cut").unwrap();
    };
    // Of what a file has, of what nobody has, and of somebody who has nothing.
    write(b"kept", "alice");
    write(b"nobody's", "alice");
    write(b"kept", "bob");
    here.is_whole().await;
    here.files.sweep().await.unwrap();
    nothing_but(here, &kept).await;
}

#[tokio::test]
async fn a_sweep_removes_nothing_that_came_after_it_looked() {
    let here = open(1 << 30);
    put_and_killed(&here, "alice", b"before").await;
    let contents = &here.files.contents;
    let left = contents.left_uploads().await.unwrap();
    put_and_killed(&here, "alice", b"after").await;
    contents.sweep_uploads(left).await.unwrap();
    let awaited = contents.awaited().await.unwrap();
    let after = ContentHash(Sha256::digest(b"after").into());
    assert_eq!(awaited.iter().map(|of| of.hash).collect::<Vec<_>>(), [after]);
    here.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn equal_contents_that_come_at_once_are_kept_once() {
    let here = open(1 << 30);
    for round in 0..20 {
        let body = format!("round {round}");
        let keys: Vec<_> = (0..8).map(|number| format!("{round}/{number}")).collect();
        let kept = join_all(keys.iter().map(|key| here.put(key, body.as_bytes()))).await;
        for file in kept {
            assert_eq!(here.content(&file.unwrap()).await, body.as_bytes());
        }
        assert_eq!((here.there().len(), notes(&here)), (round + 1, 0));
    }
    here.is_whole().await;
    here.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_comes_while_the_last_file_that_had_it_goes_is_there_or_comes_again() {
    let here = open(1 << 30);
    let body = b"comes and goes";
    for round in 0..50 {
        here.put("a", body).await.unwrap();
        let (removing, looking) = (
            async {
                here.files.delete(place(), vec!["a".parse().unwrap()], false).await.unwrap();
                here.files.remove_all_unreferenced().await.unwrap();
            },
            async {
                assert_eq!(here.files.verify().await.unwrap().findings, Vec::<String>::new(), "round {round}");
            },
        );
        let (kept, (), ()) = tokio::join!(here.put("b", body), removing, looking);
        assert_eq!(here.content(&kept.unwrap()).await, body, "round {round}");
        here.files.delete(place(), vec!["b".parse().unwrap()], false).await.unwrap();
        if round % 2 == 0 {
            here.files.remove_all_unreferenced().await.unwrap();
            assert_eq!(here.there(), Vec::<String>::new(), "round {round}");
        }
    }
    here.files.remove_all_unreferenced().await.unwrap();
    assert_eq!(here.there(), Vec::<String>::new());
    here.is_whole().await;
    here.close().await;
}

#[tokio::test]
async fn what_the_store_never_answered_for_is_nobodys_after_the_next_start() {
    let here = open(1 << 30);
    let kept = here.put("a", b"kept").await.unwrap();
    let received = receive(&here.files.contents, pieces(b"short"), 1 << 30, Expected::default()).await.unwrap();
    here.files.store().close().await;
    let error = here.files.keep(writer(), facts("b"), received, String::new()).await.unwrap_err();
    assert!(matches!(error, FileError::Store(StoreError::Unavailable(_))), "{error:?}");
    assert_eq!(here.there().len(), 3, "{:?}", here.there());
    let here = here.reopened().await;
    // Nobody has them, and that will be seen to.
    here.is_whole().await;
    here.files.sweep().await.unwrap();
    nothing_but(here, &kept).await;
}

#[tokio::test]
async fn what_is_in_the_way_of_contents_gives_way() {
    let here = open(1 << 30);
    for (body, other) in [(&b"short"[..], &b"other"[..]), (b"longer", b"cut")] {
        let at = here.folder.path().join("files").join(name_of(body));
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::fs::write(&at, other).unwrap();
        let file = here.put("a", body).await.unwrap();
        assert_eq!(here.content(&file).await, body);
        here.files.remove_all_unreferenced().await.unwrap();
        assert_eq!(here.there(), [name_of(body)]);
    }
    here.is_whole().await;
    here.close().await;
}

#[tokio::test]
async fn what_is_refused_at_the_end_leaves_nothing() {
    let here = open(1 << 30);
    here.put("a", b"first").await.unwrap();
    for body in [b"second".to_vec(), long(7), b"first".to_vec()] {
        let absent = Facts { only_if: Condition::Absent, ..facts("a") };
        let error = here.files.put(writer(), absent, pieces(&body), Expected::default()).await.unwrap_err();
        assert!(matches!(error, FileError::Store(StoreError::ConditionFailed)), "{error:?}");
        here.files.remove_all_unreferenced().await.unwrap();
        assert_eq!(here.there(), [name_of(b"first")]);
        here.is_whole().await;
    }
    here.close().await;
}
