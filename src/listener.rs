//! The addresses that connections are accepted on.

use std::io;
use std::net::SocketAddr;

use pingora::listeners::{L4BufferSettings, ListenerConfig};
use socket2::{Domain, Socket, Type};

/// Bytes read from a client at once. Pingora's own default of 64 KiB is memory that an idle connection holds.
const READ_BUFFER: usize = 8 * 1024;

/// One entry of `listeners`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Address and port.
    pub bind: SocketAddr,
    /// Whether HTTP/2 is understood in the clear, from clients that begin with it (RFC 9113 §3.3).
    pub h2c: bool,
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("{what}: cannot listen on {address}")]
pub struct BindError {
    what: String,
    address: SocketAddr,
    source: io::Error,
}

/// Binds `address` and lets go of it: Pingora panics inside a task when it cannot, and the daemon would run on without.
///
/// # Errors
/// [`BindError`] naming `what` (the configuration's key) and the address.
pub fn check_bind(what: &str, address: SocketAddr) -> Result<(), BindError> {
    let bind = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(1)
    };
    bind().map_err(|source| BindError { what: what.to_owned(), address, source })
}

impl Config {
    /// As Pingora listens.
    #[must_use]
    pub fn to_pingora(&self) -> ListenerConfig {
        ListenerConfig::tcp(self.bind.to_string()).l4_buffer(L4BufferSettings::default().read(READ_BUFFER))
    }
}
