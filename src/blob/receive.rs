//! A body on its way in: counted and hashed as it comes, held in memory while it is short, and written away piece by piece
//! otherwise, where nobody looks for it. Of a long one two pieces are in memory: one comes in while the other is written.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use md5::Md5;
use object_store::MultipartUpload;
use object_store::path::Path;
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;

use super::contents::Contents;
use super::{Body, Expected, FileError};
use crate::model::stored_file::ContentHash;
use crate::store::file::ContentsOf;

/// A piece up to this long is hashed where it comes in, in bytes: that takes less than handing it on.
const HASHED_AT_ONCE: usize = 32 * 1024;
/// Room that is made for what is only announced, in bytes: it may never come.
const BELIEVED: usize = 64 * 1024;

/// A body that came whole and is what it was said to be. Dropped, it leaves nothing.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) hash: ContentHash,
    pub(super) md5: [u8; 16],
    pub(super) size: u64,
    pub(super) body: Whole,
}

/// Where it is.
#[derive(Debug)]
pub(super) enum Whole {
    /// In memory.
    Memory(Bytes),
    /// Written away.
    Away(Away),
}

impl Whole {
    /// Puts it in its place.
    pub(super) async fn settle(self, contents: &Contents, of: &ContentsOf) -> object_store::Result<()> {
        match self {
            Self::Memory(body) => contents.put(of, body).await,
            Self::Away(away) => away.settle(of).await,
        }
    }

    /// Removes it: nobody needs it.
    pub(super) async fn discard(self) -> object_store::Result<()> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::Away(away) => away.discard().await,
        }
    }
}

/// Something that is on its way in the place for contents.
#[derive(Debug)]
pub(super) struct Away {
    contents: Arc<Contents>,
    at: Option<Path>,
}

impl Away {
    async fn settle(mut self, of: &ContentsOf) -> object_store::Result<()> {
        if let Some(at) = &self.at {
            self.contents.settle(at, of).await?;
        }
        self.at = None;
        Ok(())
    }

    async fn discard(mut self) -> object_store::Result<()> {
        if let Some(at) = &self.at {
            self.contents.discard(at).await?;
        }
        self.at = None;
        Ok(())
    }

    /// Moves it to `to`.
    pub(super) async fn move_to(mut self, to: &Path) -> object_store::Result<()> {
        if let Some(at) = &self.at {
            self.contents.rename(at, to).await?;
        }
        self.at = None;
        Ok(())
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        let (Some(at), Ok(runtime)) = (self.at.take(), tokio::runtime::Handle::try_current()) else { return };
        let contents = Arc::clone(&self.contents);
        runtime.spawn(async move {
            if let Err(error) = contents.discard(&at).await {
                tracing::warn!(%error, %at, "what an upload left behind stays until the next start");
            }
        });
    }
}

/// Both hashes that clients go by.
#[derive(Default)]
struct Hashers {
    sha256: Sha256,
    md5: Md5,
}

impl Hashers {
    /// Takes a piece in. A long one holds a processor for a while, which is not for the threads that serve connections.
    async fn update(mut self, piece: Bytes) -> Result<Self, FileError> {
        if piece.len() <= HASHED_AT_ONCE {
            self.sha256.update(&piece);
            self.md5.update(&piece);
            return Ok(self);
        }
        let hashing = tokio::task::spawn_blocking(move || {
            self.sha256.update(&piece);
            self.md5.update(&piece);
            self
        });
        hashing.await.map_err(|error| FileError::place(error.into()))
    }
}

/// Reads a body to its end; beyond `limit` bytes it is not read on.
///
/// # Errors
/// [`FileError`]: then nothing is left of it.
pub(super) async fn receive(
    contents: &Arc<Contents>,
    mut body: Body,
    limit: u64,
    expected: Expected,
) -> Result<Received, FileError> {
    let mut size = 0_u64;
    let announced = expected.size.and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX);
    let mut piece = BytesMut::new();
    let mut writing: Option<Writing> = None;
    while let Some(chunk) = body.next().await {
        let mut chunk = chunk.map_err(FileError::BrokeOff)?;
        size += chunk.len() as u64;
        match expected.size {
            Some(expected) if size > expected => return Err(FileError::Size { expected, found: size }),
            _ if size > limit => return Err(FileError::TooLarge(limit)),
            _ => {}
        }
        loop {
            // None is larger than any other, so that their memory is used again.
            let fits = chunk.split_to(chunk.len().min(contents.piece() - piece.len()));
            make_room(&mut piece, fits.len(), contents.piece().min(announced));
            piece.extend_from_slice(&fits);
            if chunk.is_empty() {
                break;
            }
            let mut on = match writing.take() {
                Some(writing) => writing,
                None => Writing::begin(contents).await?,
            };
            piece = on.write(piece.freeze()).await?;
            writing = Some(on);
        }
    }
    if let Some(expected) = expected.size.filter(|expected| *expected != size) {
        return Err(FileError::Size { expected, found: size });
    }
    let rest = piece.freeze();
    let Some(mut writing) = writing else {
        let (hash, md5) = accepted(Hashers::default().update(rest.clone()).await?, expected)?;
        return Ok(Received { hash, md5, size, body: Whole::Memory(rest) });
    };
    if !rest.is_empty() {
        writing.write(rest).await?;
    }
    // What it is is known before it is made whole, so that a wrong one never is.
    let (hash, md5) = accepted(writing.settle().await?, expected)?;
    Ok(Received { hash, md5, size, body: Whole::Away(writing.complete().await?) })
}

/// Has `piece` take `more` bytes, where `most` are all that it will have. At once as far as it is believed: growing by
/// doubling would take more than is needed, and leave what it had before to be taken by others.
fn make_room(piece: &mut BytesMut, more: usize, most: usize) {
    let wanted = piece.len() + more;
    if wanted > piece.capacity() {
        let mut larger = BytesMut::with_capacity(if wanted > BELIEVED { most.max(wanted) } else { most.min(BELIEVED) });
        larger.extend_from_slice(piece);
        *piece = larger;
    }
}

/// The hashes, if they are what was said.
fn accepted(hashers: Hashers, expected: Expected) -> Result<(ContentHash, [u8; 16]), FileError> {
    let hash = ContentHash(hashers.sha256.finalize().into());
    let md5: [u8; 16] = hashers.md5.finalize().into();
    if let Some(expected) = expected.hash.filter(|expected| *expected != hash) {
        return Err(FileError::Hash { expected, found: hash });
    }
    if expected.md5.is_some_and(|expected| expected != md5) {
        return Err(FileError::Md5);
    }
    if let Some(check) = expected.check {
        check().map_err(FileError::Check)?;
    }
    Ok((hash, md5))
}

/// A piece that is being written, and hashed.
struct Busy {
    piece: Bytes,
    sending: JoinHandle<object_store::Result<()>>,
    hashing: JoinHandle<Result<Hashers, FileError>>,
}

/// Writes and hashes each piece while the next one is being read.
struct Writing {
    /// `None` once it is whole.
    upload: Option<Box<dyn MultipartUpload>>,
    away: Option<Away>,
    hashers: Hashers,
    busy: Option<Busy>,
    /// The piece that was written last, whose memory may be used again.
    written: Bytes,
}

impl Writing {
    async fn begin(contents: &Arc<Contents>) -> Result<Self, FileError> {
        let at = contents.upload();
        let upload = contents.begin(&at).await.map_err(FileError::place)?;
        let away = Away { contents: Arc::clone(contents), at: Some(at) };
        Ok(Self {
            upload: Some(upload),
            away: Some(away),
            hashers: Hashers::default(),
            busy: None,
            written: Bytes::new(),
        })
    }

    /// Begins with a piece, once the one before it is done with. Room for the next one: that of the one before, if nobody
    /// else has it.
    async fn write(&mut self, piece: Bytes) -> Result<BytesMut, FileError> {
        let hashers = self.settle().await?;
        let mut next = std::mem::take(&mut self.written).try_into_mut().unwrap_or_default();
        next.clear();
        if let Some(upload) = &mut self.upload {
            let sending = tokio::spawn(upload.put_part(piece.clone().into()));
            let hashing = tokio::spawn(hashers.update(piece.clone()));
            self.busy = Some(Busy { piece, sending, hashing });
        }
        Ok(next)
    }

    /// Waits for the piece that was begun last. The hashes so far.
    async fn settle(&mut self) -> Result<Hashers, FileError> {
        let Some(Busy { piece, sending, hashing }) = self.busy.take() else {
            return Ok(std::mem::take(&mut self.hashers));
        };
        sending.await.unwrap_or_else(|error| Err(error.into())).map_err(FileError::place)?;
        let hashers = hashing.await.map_err(|error| FileError::place(error.into()))??;
        self.written = piece;
        Ok(hashers)
    }

    /// Makes it whole.
    async fn complete(mut self) -> Result<Away, FileError> {
        let (Some(mut upload), Some(away)) = (self.upload.take(), self.away.take()) else {
            return Err(FileError::place(object_store::Error::Generic {
                store: "upload",
                source: "it was ended before".into(),
            }));
        };
        upload.complete().await.map_err(FileError::place)?;
        Ok(away)
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let (Some(mut upload), Ok(runtime)) = (self.upload.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        let busy = self.busy.take();
        runtime.spawn(async move {
            if let Some(busy) = busy {
                // How it ended does not matter: all of it goes.
                busy.sending.await.ok();
            }
            if let Err(error) = upload.abort().await {
                tracing::warn!(%error, "what an upload left behind stays until the next start");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_has_room_for_what_is_announced_and_no_more_than_a_piece() {
        for (steps, most, rooms) in [
            (&[4096][..], 4096, &[4096][..]),
            (&[100, 3000, 1000], 4100, &[4100, 4100, 4100]),
            (&[10_000, 60_000, 40_000], 1 << 20, &[BELIEVED, 1 << 20, 1 << 20]),
            (&[BELIEVED, 1, 34_463], 100_000, &[BELIEVED, 100_000, 100_000]),
        ] {
            let mut piece = BytesMut::new();
            for (step, room) in steps.iter().zip(rooms) {
                make_room(&mut piece, *step, most);
                piece.extend_from_slice(&vec![1; *step]);
                assert_eq!(piece.capacity(), *room, "{steps:?}");
            }
            assert_eq!(piece.len(), steps.iter().sum::<usize>());
        }
    }
}
