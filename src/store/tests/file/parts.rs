//! Uploads in parts.

use super::{at, keep, key, new_file, place, put, usage, whole};
use crate::model::time::Time;
use crate::store::context::Place;
use crate::store::file::{Arrival, MAX_PART_UPLOADS, NewFile, Part, PartUpload, UploadId};
use crate::store::tests::open;
use crate::store::{Engine, FileStore, Store, StoreError};

on_each_engine!(
    parts_become_a_file_or_nothing,
    parts_are_within_the_quota_of_their_chitty_id,
    so_many_uploads_are_begun,
    the_uploads_of_a_bucket_end_with_it,
);

const ID: UploadId = UploadId([0; 16]);

fn upload(place: Place, id: UploadId) -> PartUpload {
    PartUpload {
        place,
        id,
        key: key("k"),
        mime: Some("text/plain".to_owned()),
        headers: vec![("cache-control".to_owned(), "x".repeat(9000))],
        metadata: vec![],
        key_id: "k1".parse().unwrap(),
        created_at: Time::from_millis(5),
    }
}

fn part(number: u16, size: u64) -> Part {
    Part { number, nonce: u64::from(number) + size, size, md5: [7; 16], modified_at: Time::from_millis(6) }
}

async fn parts_become_a_file_or_nothing(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    let of_parts = |id, name: &str| NewFile { how: Arrival::Parts(id), ..new_file("alice", name, "whole") };
    assert!(matches!(store.put_part(place(), ID, part(1, 1), 99).await, Err(StoreError::NoSuchUpload)));
    assert!(matches!(put(&store, of_parts(ID, "s/k")).await, Err(StoreError::NoSuchUpload)));
    let begun = upload(place(), ID);
    store.begin_parts(begun.clone()).await.unwrap();
    assert_eq!(store.part_upload(place(), ID).await.unwrap(), Some((begun.clone(), vec![])));
    for number in [256, 1, 10_000, 2] {
        assert_eq!(store.put_part(place(), ID, part(number, 3), u64::MAX).await.unwrap(), None);
    }
    assert_eq!(store.put_part(place(), ID, part(2, 5), u64::MAX).await.unwrap(), Some(part(2, 3)));
    let parts = vec![part(1, 3), part(2, 5), part(256, 3), part(10_000, 3)];
    assert_eq!(store.part_upload(place(), ID).await.unwrap(), Some((begun.clone(), parts)));
    assert_eq!((usage(&store).await, store.file(place(), key("k")).await.unwrap()), ((14, 0), None));
    whole(&store).await;
    assert!(matches!(put(&store, of_parts(ID, "s/other")).await, Err(StoreError::NoSuchUpload)));
    assert!(matches!(put(&store, of_parts(ID, "t/k")).await, Err(StoreError::NoSuchUpload)));
    put(&store, of_parts(ID, "s/k")).await.unwrap();
    assert_eq!((usage(&store).await, store.part_upload(place(), ID).await.unwrap()), ((5, 1), None));
    assert!(matches!(put(&store, of_parts(ID, "s/k")).await, Err(StoreError::NoSuchUpload)));
    store.begin_parts(begun).await.unwrap();
    store.put_part(place(), ID, part(1, 3), u64::MAX).await.unwrap();
    assert!(!store.abort_parts(at("alice", "t"), ID).await.unwrap());
    assert!(store.abort_parts(place(), ID).await.unwrap() && !store.abort_parts(place(), ID).await.unwrap());
    assert_eq!((usage(&store).await, store.verify().unwrap().entries.get(&'v')), ((5, 1), None));
    whole(&store).await;
    store.close().await;
}

async fn parts_are_within_the_quota_of_their_chitty_id(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    keep(&store, "s/a", "12345").await;
    store.begin_parts(upload(place(), ID)).await.unwrap();
    let try_put = |number, size, quota| store.put_part(place(), ID, part(number, size), quota);
    let over = try_put(1, 5, 9).await;
    assert!(matches!(over, Err(StoreError::QuotaExceeded { asked: 5, left: 4 })), "{over:?}");
    try_put(1, 5, 10).await.unwrap();
    // One in place of another frees it first.
    try_put(1, 5, 10).await.unwrap();
    assert!(matches!(try_put(1, 6, 10).await, Err(StoreError::QuotaExceeded { asked: 6, left: 5 })));
    // So does the file in place of its parts.
    let file = NewFile { how: Arrival::Parts(ID), quota: 9, ..new_file("alice", "s/k", "abcd") };
    let over = put(&store, NewFile { quota: 8, ..file.clone() }).await;
    assert!(matches!(over, Err(StoreError::QuotaExceeded { asked: 4, left: 3 })), "{over:?}");
    assert_eq!(usage(&store).await, (10, 1));
    put(&store, file).await.unwrap();
    assert_eq!(usage(&store).await, (9, 2));
    whole(&store).await;
    store.close().await;
}

async fn so_many_uploads_are_begun(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    let id = |number: usize| UploadId((number as u128).to_be_bytes());
    for number in 0..MAX_PART_UPLOADS {
        store.begin_parts(upload(at("alice", ["s", "t"][number % 2]), id(number))).await.unwrap();
    }
    let more = store.begin_parts(upload(place(), id(MAX_PART_UPLOADS))).await;
    assert!(matches!(more, Err(StoreError::TooManyUploads(MAX_PART_UPLOADS))), "{more:?}");
    store.begin_parts(upload(at("bob", "s"), ID)).await.unwrap();
    let listed = store.part_uploads(place(), 3).await.unwrap();
    assert_eq!(listed.iter().map(|upload| upload.id).collect::<Vec<_>>(), [id(0), id(2), id(4)]);
    assert_eq!(store.part_uploads(place(), 9999).await.unwrap().len(), MAX_PART_UPLOADS / 2);
    assert_eq!(store.all_part_uploads().await.unwrap().len(), MAX_PART_UPLOADS + 1);
    assert!(store.abort_parts(place(), id(0)).await.unwrap());
    store.begin_parts(upload(place(), id(MAX_PART_UPLOADS))).await.unwrap();
    whole(&store).await;
    store.close().await;
}

async fn the_uploads_of_a_bucket_end_with_it(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(engine, folder.path());
    store.make_bucket(place()).await.unwrap();
    for (within, id) in [("s", 1), ("s", 2), ("t", 1)] {
        store.begin_parts(upload(at("alice", within), UploadId([id; 16]))).await.unwrap();
        store.put_part(at("alice", within), UploadId([id; 16]), part(1, 4), u64::MAX).await.unwrap();
    }
    assert!(store.remove_bucket(place()).await.unwrap());
    assert_eq!(store.part_uploads(place(), 9).await.unwrap(), []);
    assert_eq!((store.all_part_uploads().await.unwrap().len(), usage(&store).await), (1, (4, 0)));
    whole(&store).await;
    store.close().await;
}
