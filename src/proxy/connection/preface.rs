//! What tells HTTP/2 from HTTP/1 where both may come: the first bytes of a connection.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use pingora::protocols::Peek;
use tokio::io::{AsyncRead, ReadBuf};

use super::{Connection, MULTIPLEXED};

/// What a client of HTTP/2 sends first (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl Connection {
    /// Waits for what tells HTTP/2 from HTTP/1: the first bytes, or the end of the connection. They are read again.
    ///
    /// # Errors
    /// The connection broke, or nothing came in time.
    pub async fn begins_with_http2(&mut self) -> io::Result<bool> {
        poll_fn(|cx| self.poll_preface(cx)).await
    }

    fn poll_preface(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            let known = self.held.len().min(PREFACE.len());
            if self.held[..known] != PREFACE[..known] {
                return Poll::Ready(Ok(false));
            }
            if known == PREFACE.len() {
                *self.phase.get_mut() = MULTIPLEXED;
                self.deadline.wait_for_ever();
                return Poll::Ready(Ok(true));
            }
            let mut room = [0; PREFACE.len()];
            let mut buffer = ReadBuf::new(&mut room[..PREFACE.len() - known]);
            match Pin::new(&mut self.inner).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => return Poll::Ready(Ok(false)),
                Poll::Ready(Ok(())) => {
                    if self.held.is_empty() {
                        self.deadline.wait_at_most(None, Some(self.patience.header));
                    }
                    self.held.extend_from_slice(buffer.filled());
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    ready!(self.deadline.poll_passed(cx));
                    if !self.held.is_empty() {
                        self.refusals.slow_header();
                    }
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "nothing was sent in time")));
                }
            }
        }
    }
}

#[async_trait]
impl Peek for Connection {
    async fn try_peek(&mut self, buf: &mut [u8]) -> io::Result<bool> {
        // Asked once it is known to be HTTP/2.
        let known = self.held.get(..buf.len());
        known.map_or(Ok(false), |known| {
            buf.copy_from_slice(known);
            Ok(true)
        })
    }
}
