//! Files whose contents are kept, in the embedded store.
#![allow(unused_variables, clippy::todo, reason = "being written")]

use async_trait::async_trait;

use super::Embedded;
use crate::model::file::ContextFile;
use crate::model::id::{ChittyId, SessionId, TaskId};
use crate::model::stored_file::{FileKey, StoredFile};
use crate::store::context::Place;
use crate::store::file::{Bucket, ContentsOf, NewFile, Part, PartUpload, StoredPage, StoredQuery, UploadId, Usage};
use crate::store::{FileStore, StoreError};

#[async_trait]
impl FileStore for Embedded {
    async fn expect_contents(&self, contents: ContentsOf) -> Result<bool, StoreError> {
        todo!()
    }

    async fn keep_file(&self, file: NewFile) -> Result<StoredFile, StoreError> {
        todo!()
    }

    async fn delete_files(&self, place: Place, keys: Vec<FileKey>, by_s3: bool) -> Result<Vec<StoredFile>, StoreError> {
        todo!()
    }

    async fn commit_file(&self, place: Place, key: FileKey, task_id: Option<TaskId>) -> Result<StoredFile, StoreError> {
        todo!()
    }

    async fn file(&self, place: Place, key: FileKey) -> Result<Option<StoredFile>, StoreError> {
        todo!()
    }

    async fn file_with(
        &self,
        contents: ContentsOf,
        session: Option<SessionId>,
    ) -> Result<Option<StoredFile>, StoreError> {
        todo!()
    }

    async fn keys_with(
        &self,
        contents: ContentsOf,
        session: SessionId,
        limit: usize,
    ) -> Result<Vec<FileKey>, StoreError> {
        todo!()
    }

    async fn list_stored(&self, query: StoredQuery) -> Result<StoredPage, StoreError> {
        todo!()
    }

    async fn context_file(&self, place: Place, uri: String) -> Result<Option<ContextFile>, StoreError> {
        todo!()
    }

    async fn usage(&self, chitty_id: ChittyId) -> Result<Usage, StoreError> {
        todo!()
    }

    async fn unreferenced(&self, after: Option<ContentsOf>, limit: usize) -> Result<Vec<ContentsOf>, StoreError> {
        todo!()
    }

    async fn is_referenced(&self, contents: ContentsOf) -> Result<bool, StoreError> {
        todo!()
    }

    async fn is_known(&self, contents: ContentsOf) -> Result<bool, StoreError> {
        todo!()
    }

    async fn forget_contents(&self, contents: ContentsOf) -> Result<(), StoreError> {
        todo!()
    }

    async fn buckets(&self, chitty_id: ChittyId) -> Result<Vec<Bucket>, StoreError> {
        todo!()
    }

    async fn make_bucket(&self, place: Place) -> Result<bool, StoreError> {
        todo!()
    }

    async fn remove_bucket(&self, place: Place) -> Result<bool, StoreError> {
        todo!()
    }

    async fn begin_parts(&self, upload: PartUpload) -> Result<(), StoreError> {
        todo!()
    }

    async fn put_part(
        &self,
        place: Place,
        upload: UploadId,
        part: Part,
        quota: u64,
    ) -> Result<Option<Part>, StoreError> {
        todo!()
    }

    async fn part_upload(&self, place: Place, id: UploadId) -> Result<Option<(PartUpload, Vec<Part>)>, StoreError> {
        todo!()
    }

    async fn part_uploads(&self, place: Place, limit: usize) -> Result<Vec<PartUpload>, StoreError> {
        todo!()
    }

    async fn abort_parts(&self, place: Place, id: UploadId) -> Result<bool, StoreError> {
        todo!()
    }

    async fn all_part_uploads(&self) -> Result<Vec<PartUpload>, StoreError> {
        todo!()
    }

    async fn all_contents(
        &self,
        after: Option<ContentsOf>,
        limit: usize,
    ) -> Result<Vec<(ContentsOf, u64)>, StoreError> {
        todo!()
    }
}
