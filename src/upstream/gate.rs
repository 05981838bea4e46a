//! Connections for requests that ask for an upgrade (RFC 9110 §7.8): nothing of the answer is read before the request's own
//! end has been handed on.
//!
//! Pingora takes what comes first, the answer or the request's end. Where the end comes after the 101, it is taken for the
//! end of the upgraded connection, which is then closed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use async_trait::async_trait;
use futures::task::AtomicWaker;
use pingora::connectors::L4Connect;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora::{Error, ErrorType};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// Reading goes on: before the request, for TLS, and after it.
const OPEN: u8 = 0;
/// Nothing is read.
const SHUT: u8 = 1;
/// The request's end is on its way: whoever has that and the answer to take takes that.
const YIELDING: u8 = 2;

/// Stands before what one connection reads.
#[derive(Debug, Default)]
pub struct Gate {
    phase: AtomicU8,
    waiting: AtomicWaker,
}

impl Gate {
    /// The request is about to be sent.
    pub fn shut(&self) {
        self.phase.store(SHUT, Ordering::Release);
    }

    /// The request's end is handed on by the task that calls this, before it does anything else.
    pub fn open(&self) {
        if self.phase.compare_exchange(SHUT, YIELDING, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.waiting.wake();
        }
    }

    fn poll_open(&self, cx: &Context<'_>) -> Poll<()> {
        if self.phase.load(Ordering::Acquire) == OPEN {
            return Poll::Ready(());
        }
        self.waiting.register(cx.waker());
        match self.phase.load(Ordering::Acquire) {
            SHUT => Poll::Pending,
            YIELDING => {
                self.phase.store(OPEN, Ordering::Release);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }
}

/// Makes connections behind a gate.
#[derive(Debug)]
pub(super) struct Gated(pub(super) Arc<Gate>);

#[async_trait]
impl L4Connect for Gated {
    async fn connect(&self, address: &SocketAddr) -> pingora::Result<Stream> {
        let gate = Arc::clone(&self.0);
        let connected = match address {
            SocketAddr::Inet(address) => TcpStream::connect(address)
                .await
                .map(|socket| Box::new(Socket { socket, gate }) as Box<dyn VirtualSocket>),
            SocketAddr::Unix(address) => UnixStream::connect(address.as_pathname().unwrap_or("".as_ref()))
                .await
                .map(|socket| Box::new(Socket { socket, gate }) as Box<dyn VirtualSocket>),
        };
        let failed =
            |error: io::Error| Error::because(error_type(&error), format!("Fail to connect to {address}"), error);
        Ok(Stream::from(VirtualSocketStream::new(connected.map_err(failed)?)))
    }
}

/// The same as Pingora's own connections fail with.
fn error_type(error: &io::Error) -> ErrorType {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ErrorType::ConnectRefused,
        io::ErrorKind::TimedOut => ErrorType::ConnectTimedout,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => ErrorType::ConnectNoRoute,
        _ => ErrorType::ConnectError,
    }
}

#[derive(Debug)]
struct Socket<S> {
    socket: S,
    gate: Arc<Gate>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.gate.poll_open(cx));
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl VirtualSocket for Socket<TcpStream> {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        match option {
            VirtualSockOpt::NoDelay => self.socket.set_nodelay(true),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

impl VirtualSocket for Socket<UnixStream> {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        match option {
            // It has no such delay.
            VirtualSockOpt::NoDelay => Ok(()),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn nothing_is_read_until_the_requests_end_was_handed_on() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let gate = Arc::new(Gate::default());
        let mut socket = Socket { socket: near, gate: Arc::clone(&gate) };
        far.write_all(b"hello, and 101").await.unwrap();
        let mut hello = [0; 5];
        socket.read_exact(&mut hello).await.unwrap();
        gate.shut();
        let mut rest = [0; 9];
        assert!(socket.read_exact(&mut rest).now_or_never().is_none());
        gate.open();
        assert!(socket.read_exact(&mut rest).now_or_never().is_none(), "the end goes first");
        socket.read_exact(&mut rest).await.unwrap();
        assert_eq!((&hello, &rest), (b"hello", b", and 101"));
        // It is never shut by what comes later.
        gate.open();
        far.write_all(b"x").await.unwrap();
        assert_eq!(socket.read_u8().await.unwrap(), b'x');
    }

    #[tokio::test]
    async fn who_waits_at_the_gate_is_woken() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let gate = Arc::new(Gate::default());
        gate.shut();
        let mut socket = Socket { socket: near, gate: Arc::clone(&gate) };
        far.write_all(b"x").await.unwrap();
        let reading = tokio::spawn(async move { socket.read_u8().await });
        tokio::task::yield_now().await;
        gate.open();
        assert_eq!(reading.await.unwrap().unwrap(), b'x');
    }
}
