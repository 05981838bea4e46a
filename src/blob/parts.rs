//! Uploads in parts: each part is kept as it comes; at the end they are read in order, once, and become one file.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use md5::{Digest, Md5};

use super::receive::Whole;
use super::{Body, BodyError, Expected, Facts, FileError, Files, Room, Writer, s3};
use crate::model::stored_file::{FileKey, StoredFile};
use crate::model::time::Time;
use crate::store::StoreError;
use crate::store::context::Place;
use crate::store::file::{Arrival, Condition, Part, UploadId};

/// The least that a part may have that is not the last, in bytes, as S3 has it.
const LEAST: u64 = 5 << 20;

impl Files {
    /// Reads `body` to its end and keeps it as a part of an upload of `key`.
    ///
    /// # Errors
    /// [`FileError`]; [`StoreError::NoSuchUpload`].
    pub async fn put_part(
        &self,
        writer: Writer,
        (upload, key): (UploadId, &FileKey),
        number: u16,
        body: Body,
        expected: Expected,
    ) -> Result<Part, FileError> {
        let place = writer.place.clone();
        let begun = self.store.part_upload(place.clone(), upload).await?;
        if begun.is_none_or(|(begun, _)| begun.key != *key) {
            return Err(StoreError::NoSuchUpload.into());
        }
        let room = self.room_for(&writer, None, (expected.size, expected.hash)).await?;
        let received = self.receive(body, room, expected).await?;
        let (md5, size) = (received.md5, received.size);
        let part = Part { number, nonce: rand::random(), size, md5, modified_at: Time::now() };
        let quota = writer.quota.unwrap_or(self.limits.quota);
        let (store, contents) = (Arc::clone(&self.store), Arc::clone(&self.contents));
        let keeping = tokio::spawn(async move {
            let at = contents.part(upload, &part);
            match received.body {
                Whole::Memory(body) => contents.write(&at, body).await.map_err(FileError::place)?,
                Whole::Away(away) => away.move_to(&at).await.map_err(FileError::place)?,
            }
            let superfluous = match store.put_part(place, upload, part.clone(), quota).await {
                Ok(replaced) => replaced.map(|replaced| contents.part(upload, &replaced)),
                Err(StoreError::Unavailable(why)) => {
                    // Whether it is there is not known; the next start knows.
                    return Err(StoreError::Unavailable(why).into());
                }
                Err(error) => {
                    discard(&contents, &at).await;
                    return Err(error.into());
                }
            };
            if let Some(at) = superfluous {
                discard(&contents, &at).await;
            }
            Ok(part)
        });
        keeping.await.unwrap_or_else(|error| Err(FileError::place(error.into())))
    }

    /// Ends an upload: `parts` are the numbers and MD5s of its parts, in order.
    ///
    /// # Errors
    /// [`FileError`]; [`StoreError::NoSuchUpload`].
    pub async fn complete_parts(
        &self,
        writer: Writer,
        upload: UploadId,
        parts: Vec<(u16, [u8; 16])>,
        only_if: Condition,
    ) -> Result<StoredFile, FileError> {
        let place = writer.place.clone();
        let found = self.store.part_upload(place, upload).await?;
        let (begun, there) = found.ok_or(StoreError::NoSuchUpload)?;
        let parts = chosen(&parts, &there)?;
        let size: u64 = parts.iter().map(|part| part.size).sum();
        if size > self.limits.max_bytes {
            return Err(FileError::TooLarge(self.limits.max_bytes));
        }
        let md5s = parts.iter().fold(Md5::new(), |md5, part| md5.chain_update(part.md5));
        let etag = format!("{}-{}", hex::encode(md5s.finalize()), parts.len());
        let contents = Arc::clone(&self.contents);
        let body = stream::iter(parts.clone()).then(move |part| {
            let contents = Arc::clone(&contents);
            async move {
                let read = contents.read_at(&contents.part(upload, &part), 0..part.size).await;
                read.map_err(BodyError::from)
            }
        });
        let body: Body = body.try_flatten().boxed();
        let room = Room { bytes: self.limits.max_bytes, left: None };
        let expected = Expected { size: Some(size), ..Expected::default() };
        let received = match self.receive(body, room, expected).await {
            Err(FileError::BrokeOff(error)) => {
                tracing::error!(%error, "parts of an upload cannot be read");
                return Err(FileError::Lost);
            }
            received => received?,
        };
        let facts = Facts {
            key: begun.key,
            given_name: None,
            mime: begun.mime,
            headers: begun.headers,
            source_modified_at: s3::source_modified_at(&begun.metadata),
            metadata: begun.metadata,
            how: Arrival::Parts(upload),
            only_if,
        };
        let kept = self.keep(writer, facts, received, etag).await?;
        self.discard_parts(upload, &there).await;
        Ok(kept)
    }

    /// Ends an upload without a file. Whether there was one.
    ///
    /// # Errors
    /// [`FileError::Store`].
    pub async fn abort_parts(&self, place: Place, upload: UploadId) -> Result<bool, FileError> {
        let found = self.store.part_upload(place.clone(), upload).await?;
        let aborted = self.store.abort_parts(place, upload).await?;
        if let Some((_, parts)) = found {
            self.discard_parts(upload, &parts).await;
        }
        Ok(aborted)
    }

    async fn discard_parts(&self, upload: UploadId, parts: &[Part]) {
        for part in parts {
            discard(&self.contents, &self.contents.part(upload, part)).await;
        }
        self.contents.forget_upload(upload).await;
    }
}

async fn discard(contents: &super::Contents, at: &object_store::path::Path) {
    if let Err(error) = contents.discard(at).await {
        tracing::warn!(%error, %at, "a part that is of no use stays until the next start");
    }
}

/// The parts that an upload is ended with.
fn chosen(wanted: &[(u16, [u8; 16])], there: &[Part]) -> Result<Vec<Part>, FileError> {
    if !wanted.is_sorted_by(|before, after| before.0 < after.0) {
        return Err(FileError::PartOrder);
    }
    let find = |(number, md5): &(u16, [u8; 16])| {
        let found = there.iter().find(|part| part.number == *number && part.md5 == *md5);
        found.cloned().ok_or(FileError::InvalidPart(*number))
    };
    let parts: Vec<Part> = wanted.iter().map(find).collect::<Result<_, _>>()?;
    let all_but_last = parts.split_last().map_or(&[][..], |(_, before)| before);
    match all_but_last.iter().find(|part| part.size < LEAST) {
        Some(small) => Err(FileError::PartTooSmall(small.number)),
        None => Ok(parts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(number: u16, size: u64) -> Part {
        let md5 = [u8::try_from(number).unwrap(); 16];
        Part { number, nonce: 0, size, md5, modified_at: Time::from_millis(0) }
    }

    #[test]
    fn an_upload_is_ended_with_parts_that_are_there_in_order_and_large_enough() {
        let there = [part(1, LEAST), part(2, LEAST - 1), part(5, 1)];
        let numbers = |wanted: &[u16]| {
            let wanted: Vec<_> = wanted.iter().map(|number| (*number, [u8::try_from(*number).unwrap(); 16])).collect();
            chosen(&wanted, &there).map(|parts| parts.iter().map(|part| part.number).collect::<Vec<_>>())
        };
        assert_eq!(numbers(&[1, 5]).unwrap(), [1, 5]);
        assert_eq!(numbers(&[2]).unwrap(), [2]);
        assert!(matches!(numbers(&[5, 1]), Err(FileError::PartOrder)));
        assert!(matches!(numbers(&[1, 1]), Err(FileError::PartOrder)));
        assert!(matches!(numbers(&[1, 3]), Err(FileError::InvalidPart(3))));
        assert!(matches!(numbers(&[2, 5]), Err(FileError::PartTooSmall(2))));
        assert!(matches!(chosen(&[(1, [9; 16])], &there), Err(FileError::InvalidPart(1))));
    }
}
