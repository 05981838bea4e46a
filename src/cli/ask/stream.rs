//! Questions whose answers, or which themselves, are too large to be held: read and sent as they come.

use std::io::Write;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::stream;
use http_body::Frame;
use http_body_util::StreamBody;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::{Asked, is_answered, not_understood, refusal};
use crate::cli::output::{chain, complain};

/// Pieces that wait to be sent.
const PIECES: usize = 4;

/// Writes what is at `path` into `to` as it comes.
pub(in crate::cli) fn download(
    sockets: &[PathBuf],
    path: &str,
    otherwise: &str,
    to: &mut dyn Write,
) -> Result<Asked<()>, String> {
    runtime()?.block_on(async {
        let Some(socket) = first_answered(sockets, otherwise).await? else { return Ok(Asked::NoDaemon) };
        let failed = |error: reqwest::Error| format!("{}: {}", socket.display(), chain(&error));
        let mut response = client(socket)?.get(format!("http://admin{path}")).send().await.map_err(failed)?;
        if !response.status().is_success() {
            return Err(refusal(socket, &response.bytes().await.map_err(failed)?));
        }
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            to.write_all(&chunk).map_err(|error| format!("the export cannot be written: {error}"))?;
        }
        Ok(Asked::Answer(()))
    })
}

/// Sends what `pieces` gives, until it gives none, to `path`.
pub(in crate::cli) fn upload<T: DeserializeOwned>(
    sockets: &[PathBuf],
    path: &str,
    otherwise: &str,
    mut pieces: impl FnMut() -> Result<Option<Vec<u8>>, String> + Send,
) -> Result<Asked<T>, String> {
    let runtime = runtime()?;
    let Some(socket) = runtime.block_on(first_answered(sockets, otherwise))? else { return Ok(Asked::NoDaemon) };
    let (sender, receiver) = mpsc::channel::<Result<Frame<Bytes>, String>>(PIECES);
    std::thread::scope(|scope| {
        // It ends with the pieces, or when nobody takes them any more.
        scope.spawn(move || {
            loop {
                let piece = match pieces() {
                    Ok(Some(piece)) => Ok(Frame::data(Bytes::from(piece))),
                    Ok(None) => break,
                    Err(error) => Err(error),
                };
                let last = piece.is_err();
                if sender.blocking_send(piece).is_err() || last {
                    break;
                }
            }
        });
        runtime.block_on(async {
            let failed = |error: reqwest::Error| format!("{}: {}", socket.display(), chain(&error));
            let frames = stream::unfold(receiver, async |mut receiver| {
                let piece = receiver.recv().await?;
                Some((piece, receiver))
            });
            let body = reqwest::Body::wrap(StreamBody::new(Box::pin(frames)));
            let sent = client(socket)?.post(format!("http://admin{path}")).body(body).send().await;
            let response = sent.map_err(failed)?;
            let succeeded = response.status().is_success();
            let body = response.bytes().await.map_err(failed)?;
            if succeeded {
                serde_json::from_slice(&body).map(Asked::Answer).map_err(|error| not_understood(socket, &error))
            } else {
                Err(refusal(socket, &body))
            }
        })
    })
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())
}

/// Without a limit in time: how long it takes is how much there is.
fn client(socket: &Path) -> Result<reqwest::Client, String> {
    let client = reqwest::Client::builder().no_proxy().unix_socket(socket).build();
    client.map_err(|error| format!("{}: {}", socket.display(), chain(&error)))
}

async fn first_answered<'s>(sockets: &'s [PathBuf], otherwise: &str) -> Result<Option<&'s Path>, String> {
    for socket in sockets {
        if is_answered(socket).await? {
            return Ok(Some(socket));
        }
    }
    let tried: Vec<String> = sockets.iter().map(|socket| socket.display().to_string()).collect();
    complain(&format!("no daemon answers on {}: {otherwise}", tried.join(" or ")));
    Ok(None)
}
