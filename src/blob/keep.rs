//! Keeping what was received: contents go to their place, and then the store hears of the file.
//!
//! What is in its place is noted until the store has heard of it, so that nothing is left over whenever the process ends:
//! in the store, which is a change of its own, or, for short bodies in a folder, beside it ([`super::contents`]).

use std::sync::Arc;

use super::contents::{Contents, Note, Put};
use super::receive::{Received, Whole};
use super::{Facts, FileError, Files, S3, Writer};
use crate::model::stored_file::{self, StoredFile};
use crate::store::context::Place;
use crate::store::file::{Arrival, ContentsOf, NewFile, Noted};
use crate::store::{Store, StoreError};

impl Files {
    /// Keeps what was received. Once begun it is done whole, whoever waits for it.
    pub(super) async fn keep(
        &self,
        writer: Writer,
        facts: Facts,
        received: Received,
        etag: String,
    ) -> Result<StoredFile, FileError> {
        let contents = stored_file::Contents { hash: received.hash, size: received.size };
        let by_s3 = matches!(facts.how, Arrival::S3 | Arrival::Parts(_));
        let new = self.new_file(writer, facts, contents, etag);
        let of = ContentsOf { chitty_id: new.place.chitty_id.clone(), hash: contents.hash };
        let (store, place, pins) = (Arc::clone(&self.store), Arc::clone(&self.contents), Arc::clone(&self.pins));
        let unreferenced = Arc::clone(&self.unreferenced);
        let keeping = tokio::spawn(async move {
            let pin = pins.pin(of.clone()).await;
            let arriving = Arriving { store: &*store, place: &place, of: &of };
            let kept = match arriving.settle(received).await {
                Ok(note) => {
                    let noted = if note.is_some() { Noted::InPlace } else { Noted::InStore };
                    let kept = store.keep_file(NewFile { noted, ..new }).await;
                    if let Some(note) = note {
                        arriving.end(note, &kept).await;
                    }
                    pin.end(&kept);
                    kept.map_err(FileError::from)
                }
                Err(error) => {
                    drop(pin);
                    Err(error)
                }
            };
            // What was replaced may be nobody's now, and so is what was not kept.
            unreferenced.notify_one();
            kept
        });
        let kept = keeping.await.unwrap_or_else(|error| Err(FileError::place(error.into())))?;
        if by_s3 {
            self.metrics.synced(S3);
        }
        Ok(kept)
    }

    fn new_file(&self, writer: Writer, facts: Facts, contents: stored_file::Contents, etag: String) -> NewFile {
        let Writer { place, key_id, quota } = writer;
        let Facts { key, given_name, mime, headers, metadata, source_modified_at, how, only_if } = facts;
        let quota = quota.unwrap_or(self.limits.quota);
        NewFile {
            place,
            key,
            given_name,
            contents,
            etag,
            mime,
            headers,
            metadata,
            key_id,
            source_modified_at,
            quota,
            how,
            only_if,
            noted: Noted::InStore,
        }
    }

    /// Gives the contents of `source`, a file of the same chitty id, a further name. No contents are moved.
    ///
    /// # Errors
    /// [`FileError`]; [`StoreError::NoSuchFile`] where `source` is gone or another by now.
    pub async fn copy(&self, writer: Writer, facts: Facts, source: &StoredFile) -> Result<StoredFile, FileError> {
        let of = ContentsOf { chitty_id: source.chitty_id.clone(), hash: source.contents.hash };
        let at = Place { chitty_id: source.chitty_id.clone(), session_id: source.session_id.clone() };
        let (key, contents) = (source.key.clone(), source.contents);
        let new = self.new_file(writer, facts, contents, source.etag.clone());
        let (store, pins, unreferenced) =
            (Arc::clone(&self.store), Arc::clone(&self.pins), Arc::clone(&self.unreferenced));
        let copying = tokio::spawn(async move {
            let pin = pins.pin(of).await;
            let there = store.file(at, key).await?.is_some_and(|file| file.contents == contents);
            let kept = if there { store.keep_file(new).await } else { Err(StoreError::NoSuchFile) };
            pin.end(&kept);
            unreferenced.notify_one();
            Ok(kept?)
        });
        let kept = copying.await.unwrap_or_else(|error| Err(FileError::place(error.into())))?;
        self.metrics.synced(S3);
        Ok(kept)
    }
}

/// Contents on their last way; whoever has this has them pinned.
struct Arriving<'a> {
    store: &'a dyn Store,
    place: &'a Contents,
    of: &'a ContentsOf,
}

impl Arriving<'_> {
    /// Has them be in their place. The note of that, where it is not in the store.
    async fn settle(&self, received: Received) -> Result<Option<Note>, FileError> {
        // It would refuse the record, and what is in its place by then would only fill a full disk further.
        if let Some(why) = self.store.trouble() {
            return Err(StoreError::Unavailable(why).into());
        }
        if let Whole::Memory(body) = &received.body
            && let Some(note) = self.place.note(self.of)
        {
            match self.place.put_noted(&note, self.of, body.clone()).await {
                Ok(Put::Done) => return Ok(Some(note)),
                Ok(Put::Not) => {}
                Err(error) => {
                    self.hand_over(note).await;
                    return Err(FileError::place(error));
                }
            }
        }
        let referenced = self.store.expect_contents(self.of.clone()).await?;
        // What is not where it should be is mended by whoever brings it again.
        let settled = if referenced && self.place.has(self.of, received.size).await.map_err(FileError::place)? {
            received.body.discard().await
        } else {
            received.body.settle(self.place, self.of).await
        };
        settled.map(|()| None).map_err(FileError::place)
    }

    /// Ends a note once the store has answered.
    async fn end(&self, note: Note, kept: &Result<StoredFile, StoreError>) {
        match kept {
            Ok(_) => self.place.remove_note(note),
            // The change may be made still; the next start knows.
            Err(StoreError::Unavailable(_)) => {}
            Err(_) => self.hand_over(note).await,
        }
    }

    /// Has the store note them in place of `note`, which stays if it cannot.
    async fn hand_over(&self, note: Note) {
        if self.store.expect_contents(self.of.clone()).await.is_ok() {
            self.place.remove_note(note);
        }
    }
}
