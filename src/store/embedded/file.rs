//! Files whose contents are kept, in the embedded store. A file, its index entry and its row in the context say the same
//! of its contents, which are referenced as long as one index entry has them and noted from then on.

mod bucket;
mod contents;
mod delete;
mod keep;
mod list;
mod parts;
mod record;
mod usage;

use async_trait::async_trait;

use super::{Embedded, read_replaced, unreachable_engine};
use crate::model::file::ContextFile;
use crate::model::id::{ChittyId, SessionId, TaskId};
use crate::model::stored_file::{FileKey, StoredFile};
use crate::store::commit::unreadable;
use crate::store::context::Place;
use crate::store::embedded::context::{hash_of, record::to_file};
use crate::store::file::{Bucket, ContentsOf, NewFile, Part, PartUpload, StoredPage, StoredQuery, UploadId, Usage};
use crate::store::kv::Kv;
use crate::store::migration::decode;
use crate::store::migration::m0003_files::UsageRecord;
use crate::store::view::Engine;
use crate::store::{FileStore, StoreError, key};

pub(in crate::store) use record::{decode_upload, of_record};
pub(in crate::store) use usage::{count, count_rows};

#[async_trait]
impl FileStore for Embedded {
    async fn expect_contents(&self, contents: ContentsOf) -> Result<bool, StoreError> {
        self.change("expect_contents", move |transaction| contents::expect(transaction, &contents)).await
    }

    async fn keep_file(&self, file: NewFile) -> Result<StoredFile, StoreError> {
        self.change("keep_file", move |transaction| keep::keep(transaction, file)).await
    }

    async fn is_token_used(&self, chitty_id: ChittyId, token: [u8; 16]) -> Result<bool, StoreError> {
        self.read("is_token_used", move |kv| {
            let noted = kv.get(&key::token_used(&chitty_id, &token)).map_err(|error| unreachable_engine(&error))?;
            Ok(noted.is_some())
        })
        .await
    }

    async fn delete_files(&self, place: Place, keys: Vec<FileKey>, by_s3: bool) -> Result<Vec<StoredFile>, StoreError> {
        self.change("delete_files", move |transaction| delete::delete(transaction, &place, &keys, by_s3)).await
    }

    async fn commit_file(&self, place: Place, key: FileKey, task_id: Option<TaskId>) -> Result<StoredFile, StoreError> {
        self.change("commit_file", move |transaction| delete::commit(transaction, &place, &key, task_id)).await
    }

    async fn file(&self, place: Place, key: FileKey) -> Result<Option<StoredFile>, StoreError> {
        self.read("file", move |kv| contents::file(kv, &place.chitty_id, &place.session_id, &key)).await
    }

    async fn file_with(
        &self,
        contents: ContentsOf,
        session: Option<SessionId>,
    ) -> Result<Option<StoredFile>, StoreError> {
        self.read("file_with", move |kv| contents::file_with(kv, &contents, session.as_ref())).await
    }

    async fn keys_with(
        &self,
        contents: ContentsOf,
        session: SessionId,
        limit: usize,
    ) -> Result<Vec<FileKey>, StoreError> {
        self.read("keys_with", move |kv| contents::keys_with(kv, &contents, &session, limit)).await
    }

    async fn list_stored(&self, query: StoredQuery) -> Result<StoredPage, StoreError> {
        self.read("list_stored", move |kv| list::list(kv, &query)).await
    }

    async fn context_file(&self, place: Place, uri: String) -> Result<Option<ContextFile>, StoreError> {
        let at = key::context_file(&place.chitty_id, &place.session_id, &hash_of(&uri));
        self.read("context_file", move |kv| {
            let row = read_replaced(kv, &at)?;
            row.map(|row| decode(&row).and_then(to_file)).transpose().map_err(unreadable)
        })
        .await
    }

    async fn usage(&self, chitty_id: ChittyId) -> Result<Usage, StoreError> {
        self.read("usage", move |kv| usage_of(kv, &chitty_id)).await
    }

    async fn unreferenced(&self, after: Option<ContentsOf>, limit: usize) -> Result<Vec<ContentsOf>, StoreError> {
        self.read("unreferenced", move |kv| contents::noted(kv, after.as_ref(), limit)).await
    }

    async fn all_contents(
        &self,
        after: Option<ContentsOf>,
        limit: usize,
    ) -> Result<Vec<(ContentsOf, u64)>, StoreError> {
        self.read("all_contents", move |kv| contents::referenced(kv, after.as_ref(), limit)).await
    }

    async fn is_referenced(&self, contents: ContentsOf) -> Result<bool, StoreError> {
        self.read("is_referenced", move |kv| contents::is_referenced(kv, &contents)).await
    }

    async fn is_known(&self, contents: ContentsOf) -> Result<bool, StoreError> {
        self.read("is_known", move |kv| contents::is_known(kv, &contents)).await
    }

    async fn forget_contents(&self, contents: ContentsOf) -> Result<(), StoreError> {
        self.change("forget_contents", move |transaction| contents::forget(transaction, &contents).map(drop)).await
    }

    async fn buckets(&self, chitty_id: ChittyId) -> Result<Vec<Bucket>, StoreError> {
        self.read("buckets", move |kv| bucket::all(kv, &chitty_id)).await
    }

    async fn make_bucket(&self, place: Place) -> Result<bool, StoreError> {
        self.change("make_bucket", move |transaction| bucket::make_one_more(transaction, &place)).await
    }

    async fn remove_bucket(&self, place: Place) -> Result<bool, StoreError> {
        self.change("remove_bucket", move |transaction| bucket::remove(transaction, &place)).await
    }

    async fn begin_parts(&self, upload: PartUpload) -> Result<(), StoreError> {
        self.change("begin_parts", move |transaction| parts::begin(transaction, &upload)).await
    }

    async fn put_part(
        &self,
        place: Place,
        upload: UploadId,
        part: Part,
        quota: u64,
    ) -> Result<Option<Part>, StoreError> {
        self.change("put_part", move |transaction| parts::put(transaction, &place, upload, &part, quota)).await
    }

    async fn part_upload(&self, place: Place, id: UploadId) -> Result<Option<(PartUpload, Vec<Part>)>, StoreError> {
        self.read("part_upload", move |kv| parts::read(kv, &place, id)).await
    }

    async fn part_uploads(&self, place: Place, limit: usize) -> Result<Vec<PartUpload>, StoreError> {
        self.read("part_uploads", move |kv| parts::of_session(kv, &place, limit)).await
    }

    async fn abort_parts(&self, place: Place, id: UploadId) -> Result<bool, StoreError> {
        self.change("abort_parts", move |transaction| parts::abort(transaction, &place, id)).await
    }

    async fn all_part_uploads(&self) -> Result<Vec<PartUpload>, StoreError> {
        self.read("all_part_uploads", parts::all).await
    }
}

/// What a chitty id has, as it is noted or else counted.
fn usage_of(kv: &dyn Kv, owner: &ChittyId) -> Result<Usage, StoreError> {
    let noted = kv.get(&key::usage(owner)).map_err(|error| unreachable_engine(&error))?;
    match noted {
        Some(noted) => decode::<UsageRecord>(&noted).map(Usage::from).map_err(unreadable),
        None => count(&mut Engine(kv), owner).map(Usage::from).map_err(|error| unreachable_engine(&error)),
    }
}
