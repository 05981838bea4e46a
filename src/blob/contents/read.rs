//! Contents on their way out: in pieces of a size that a socket is given at once, each read while the one before is sent.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use bytes::Bytes;
use futures::{StreamExt, stream};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResultPayload};
use tokio::task::JoinHandle;

use super::Contents;
use crate::blob::{Body, BodyError};
use crate::store::file::ContentsOf;

/// Read at once, in bytes.
const PIECE: u64 = 512 * 1024;

impl Contents {
    /// A range of contents.
    pub(in crate::blob) async fn read(&self, contents: &ContentsOf, range: Range<u64>) -> object_store::Result<Body> {
        self.read_at(&self.of(contents), range).await
    }

    /// A range of what is at `at`.
    pub(in crate::blob) async fn read_at(&self, at: &Path, range: Range<u64>) -> object_store::Result<Body> {
        if range.is_empty() {
            // A bucket has no empty ranges; that there is something is seen all the same.
            self.store_head(at).await?;
            return Ok(stream::empty().boxed());
        }
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let found = self.store.get_opts(at, options).await?;
        Ok(match found.payload {
            GetResultPayload::File(file, _) => of_file(file, found.range),
            GetResultPayload::Stream(stream) => stream.map(|piece| piece.map_err(BodyError::from)).boxed(),
        })
    }

    async fn store_head(&self, at: &Path) -> object_store::Result<()> {
        use object_store::ObjectStoreExt;
        self.store.head(at).await.map(drop)
    }
}

type Reading = JoinHandle<io::Result<(File, Bytes)>>;

fn of_file(file: File, range: Range<u64>) -> Body {
    let first = read_on(file, Some(range.start), range.end - range.start);
    let rest = (range.end - range.start).saturating_sub(PIECE);
    stream::unfold(Some((first, rest)), async |state: Option<(Reading, u64)>| {
        let (reading, rest) = state?;
        let read = reading.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        Some(match read {
            Ok((file, piece)) => {
                let next = (rest > 0).then(|| (read_on(file, None, rest), rest.saturating_sub(PIECE)));
                (Ok(piece), next)
            }
            Err(error) => (Err(BodyError::from(error)), None),
        })
    })
    .boxed()
}

/// Reads the next piece, of `rest` bytes at the most.
fn read_on(mut file: File, seek: Option<u64>, rest: u64) -> Reading {
    tokio::task::spawn_blocking(move || {
        if let Some(start) = seek {
            file.seek(SeekFrom::Start(start))?;
        }
        let length = rest.min(PIECE);
        let mut piece = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        (&mut file).take(length).read_to_end(&mut piece)?;
        if piece.len() as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok((file, Bytes::from(piece)))
    })
}
