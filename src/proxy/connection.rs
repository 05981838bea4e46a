//! A client's connection, between the socket and Pingora.
//!
//! Pingora reads requests before any hook of ours runs, and keeps its timeouts to itself. This layer sees what passes and
//! so can tell three things that Pingora does not:
//!
//! - that a request was refused while it was being read, for the access log ([`Refusals`]);
//! - that an upstream has been silent for too long ([`Deadline`]): the deadline is looked at whenever
//!   Pingora waits for the client, which it does all the while it waits for the upstream;
//! - whether the client has gone, without taking the first byte of a pipelined request ([`Connection::hold`]).
//!
//! It also sends what was written before it waits for more.

mod preface;
mod refusal;
mod stream;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use pingora::protocols::{Stream, UniqueIDType};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

pub use self::refusal::{Refusal, Refusals};
use super::body_rate::BodyRate;
use super::context::RequestId;
use super::deadline::Deadline;
use super::patience::Patience;
use super::request_line::RequestLine;

/// How much of a request is kept to name it in the log should it be refused.
const HEAD: usize = 256;
/// How much of a pipelined request is taken from the socket while the one before it is served.
const HELD: usize = 8 * 1024;

/// How often it is looked whether a client that has sent that much is still there.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// States of a connection that its client has ended (Linux, `include/net/tcp_states.h`).
const TCP_CLOSE: u8 = 7;
const TCP_CLOSE_WAIT: u8 = 8;

const IDLE: u8 = 0;
const READING: u8 = 1;
const SERVING: u8 = 2;
const REFUSED: u8 = 3;
/// HTTP/2: requests are streams, and what they are doing is not for this layer to see.
const MULTIPLEXED: u8 = 4;

/// See the module's description.
pub struct Connection {
    inner: Stream,
    peer: Option<IpAddr>,
    refusals: Arc<dyn Refusals>,
    peer_text: Box<str>,
    patience: Patience,
    body_rate: BodyRate,
    phase: AtomicU8,
    began: Instant,
    status: u16,
    line: RequestLine,
    /// What is still to be written in place of Pingora's refusal.
    reply: Option<(RequestId, Vec<u8>)>,
    head: [u8; HEAD],
    head_len: usize,
    hold: AtomicBool,
    upgraded: AtomicBool,
    body_over: AtomicBool,
    held: Vec<u8>,
    look: Option<Pin<Box<Sleep>>>,
    unflushed: bool,
    deadline: Deadline,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("peer", &self.peer).field("phase", &self.phase).finish_non_exhaustive()
    }
}

impl Connection {
    /// Wraps an accepted stream.
    #[must_use]
    pub fn new(inner: Stream, refusals: Arc<dyn Refusals>, patience: Patience) -> Self {
        let peer = Self::peer_of(&inner);
        Self {
            inner,
            peer,
            refusals,
            peer_text: peer.map_or(String::new(), |peer| peer.to_string()).into(),
            body_rate: BodyRate::new(patience.body_rate),
            patience,
            phase: AtomicU8::new(IDLE),
            began: Instant::now(),
            status: 0,
            line: RequestLine::default(),
            reply: None,
            head: [0; HEAD],
            head_len: 0,
            hold: AtomicBool::new(false),
            upgraded: AtomicBool::new(false),
            body_over: AtomicBool::new(false),
            held: Vec::new(),
            look: None,
            unflushed: false,
            deadline: Deadline::new(),
        }
    }

    /// Who is at the other end of an accepted stream.
    #[must_use]
    pub fn peer_of(stream: &Stream) -> Option<IpAddr> {
        stream.get_socket_digest()?.peer_addr()?.as_inet().map(std::net::SocketAddr::ip)
    }

    /// The one inside a Pingora stream, if it is one of these.
    #[must_use]
    pub fn of(stream: &Stream) -> Option<&Self> {
        (**stream).as_any().downcast_ref()
    }

    /// A hook of ours has the request: what is written from now on is ours.
    pub fn serving(&self) {
        self.deadline.wait_for_ever();
        self.body_over.store(false, Ordering::Relaxed);
        self.phase.store(SERVING, Ordering::Relaxed);
    }

    /// No request, or the last one is over: what comes next is a new one, if it comes in time.
    pub fn idle(&self) {
        self.deadline.wait_at_most(None, Some(self.patience.idle));
        self.hold.store(false, Ordering::Relaxed);
        self.phase.store(IDLE, Ordering::Relaxed);
    }

    /// The request has been read whole: what comes now belongs to the next one and waits. The client's end is still seen.
    pub fn hold(&self) {
        self.hold.store(true, Ordering::Relaxed);
    }

    /// The request's body has been read, or nobody wants more of it: that nothing comes in is no fault of the client's.
    pub fn body_is_over(&self) {
        self.body_over.store(true, Ordering::Relaxed);
    }

    /// The connection was upgraded: every byte is the upstream's.
    pub fn release(&self) {
        self.hold.store(false, Ordering::Relaxed);
        self.upgraded.store(true, Ordering::Relaxed);
    }

    /// Whether the request that is served began with what is no request line, as far as it came in by itself.
    #[must_use]
    pub fn has_bad_line(&self) -> bool {
        self.line.is_bad()
    }

    /// What ends a wait on this connection.
    #[must_use]
    pub fn deadline(&self) -> &Deadline {
        &self.deadline
    }

    /// Who is at the other end, as text; empty where that cannot be told.
    #[must_use]
    pub fn peer_text(&self) -> &str {
        &self.peer_text
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    /// Has the connection end with a reset instead of an orderly close: for an answer that breaks off and whose length
    /// only its end would tell. Where the kernel does not let us (before Linux 5.6, or under a filter), it ends orderly.
    pub fn reset_on_close(&self) {
        if let Err(error) = linger_not(self.inner.id()) {
            tracing::warn!(%error, "an answer that broke off ends as if it were whole: the kernel does not let us reset it");
        }
    }

    /// Notes the first bytes of a request.
    fn begun(&mut self, bytes: &[u8]) {
        let phase = *self.phase.get_mut();
        if phase == IDLE {
            *self.phase.get_mut() = READING;
            self.began = Instant::now();
            self.deadline.wait_at_most(None, Some(self.patience.header));
            self.body_rate.begin();
            self.head_len = 0;
            self.line = RequestLine::default();
        }
        self.line.take(bytes);
        if phase <= READING && self.head_len < HEAD {
            let taken = bytes.len().min(HEAD - self.head_len);
            self.head[self.head_len..self.head_len + taken].copy_from_slice(&bytes[..taken]);
            self.head_len += taken;
        }
    }

    /// Pending, unless a deadline has passed: then the end of an idle connection, and an error for a request.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.deadline.poll_passed(cx));
        match *self.phase.get_mut() {
            IDLE => return Poll::Ready(Ok(())),
            READING => self.refusals.slow_header(),
            _ => {}
        }
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the wait took too long")))
    }

    /// Sends what was written before waiting for more: Pingora leaves an answer with a length in the buffer until it is
    /// whole. An error shows at the next write.
    fn flush_before_waiting(&mut self, cx: &mut Context<'_>) {
        if self.unflushed && Pin::new(&mut self.inner).poll_flush(cx).is_ready() {
            self.unflushed = false;
        }
    }

    /// Whether the client has sent its end behind what it sent ahead, which shows only in the socket's state: looked at
    /// now and then while there is no room to read on.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let timer = self.look.get_or_insert_with(|| Box::pin(tokio::time::sleep(LOOK_EVERY)));
            ready!(timer.as_mut().poll(cx));
            self.look = None;
            let state = self.inner.get_socket_digest().and_then(|digest| digest.tcp_info()).map(|info| info.tcpi_state);
            if matches!(state, Some(TCP_CLOSE | TCP_CLOSE_WAIT)) {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Takes what the client sends ahead, so that its end is seen. `Ready` = it has gone, or the connection broke.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.held.len() < HELD {
            let mut room = [0; 1024];
            let mut buffer = ReadBuf::new(&mut room);
            ready!(Pin::new(&mut self.inner).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.held.extend_from_slice(buffer.filled());
        }
        self.poll_gone(cx)
    }
}

/// Sets `SO_LINGER` to 0 on a socket of this process that is known by its number alone.
fn linger_not(socket: UniqueIDType) -> io::Result<()> {
    let second = crate::listener::second_descriptor(socket)?;
    socket2::SockRef::from(&second).set_linger(Some(Duration::ZERO))
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.flush_before_waiting(cx);
        if *this.hold.get_mut() {
            if let Poll::Ready(end) = this.poll_held(cx) {
                return Poll::Ready(end);
            }
            return this.poll_deadline(cx);
        }
        if !this.held.is_empty() {
            let taken = this.held.len().min(buf.remaining());
            let bytes: Vec<u8> = this.held.drain(..taken).collect();
            buf.put_slice(&bytes);
            this.begun(&bytes);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        match Pin::new(&mut this.inner).poll_read(cx, buf) {
            Poll::Ready(result) => {
                match *this.phase.get_mut() {
                    IDLE | READING if buf.filled().len() > before => this.begun(&buf.filled()[before..]),
                    SERVING => this.body_rate.received(buf.filled().len() - before),
                    _ => {}
                }
                Poll::Ready(result)
            }
            Poll::Pending => {
                let in_body =
                    *this.phase.get_mut() == SERVING && !*this.upgraded.get_mut() && !*this.body_over.get_mut();
                if in_body && this.body_rate.poll_too_slow(cx).is_ready() {
                    this.deadline.pass();
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the body comes too slowly")));
                }
                this.poll_deadline(cx)
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if *this.phase.get_mut() <= READING {
            // Nobody of ours has this request, so this is Pingora's own refusal: "HTTP/1.1 400 …".
            *this.phase.get_mut() = REFUSED;
            let status = buf.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
            this.status = status.unwrap_or(0);
            this.reply = Some(this.refusals.answer(this.status, &this.head[..this.head_len]));
        }
        if let (REFUSED, Some((_, reply))) = (*this.phase.get_mut(), &mut this.reply) {
            while !reply.is_empty() {
                let written = ready!(Pin::new(&mut this.inner).poll_write(cx, reply))?;
                reply.drain(..written.max(1).min(reply.len()));
            }
            this.unflushed = true;
            return Poll::Ready(Ok(buf.len()));
        }
        let Poll::Ready(written) = Pin::new(&mut this.inner).poll_write(cx, buf) else {
            ready!(this.deadline.poll_total(cx));
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the whole request took too long")));
        };
        // A client that reads slowly is not an upstream that is silent.
        this.deadline.moved();
        this.unflushed = true;
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.inner).poll_flush(cx));
        self.unflushed = false;
        self.deadline.moved();
        Poll::Ready(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, bufs));
        self.unflushed = true;
        self.deadline.moved();
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let phase = *self.phase.get_mut();
        if phase == READING || phase == REFUSED {
            let (head, duration) = (&self.head[..self.head_len], self.began.elapsed());
            let request_id = self.reply.as_ref().map(|(id, _)| id);
            let refusal = Refusal { request_id, peer: &self.peer_text, status: self.status, head, duration };
            self.refusals.refused(&refusal);
        }
    }
}
