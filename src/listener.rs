//! The addresses that connections are accepted on.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;

use pingora::listeners::{L4BufferSettings, ListenerConfig};
use socket2::{Domain, Socket, Type};

/// Bytes read from a client at once. Pingora's own default of 64 KiB is memory that an idle connection holds.
const READ_BUFFER: usize = 8 * 1024;
/// Bytes of an answer that wait in the kernel to be sent, at the most: enough to keep a network of 10 Gbit/s busy for 100 µs.
const UNSENT: u32 = 128 * 1024;

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

/// Limits what the kernel takes of an answer before it is sent, on this process's sockets that listen on `addresses` and so
/// on what they accept from now on. Without a limit some megabytes of each answer that nobody reads go there, and copying
/// them keeps everybody else waiting. What is sent and not acknowledged yet does not count, so that distance costs nothing.
///
/// # Errors
/// What the kernel says: most likely that a filter of system calls leaves out `pidfd_getfd`.
pub fn limit_unsent(addresses: &[SocketAddr]) -> io::Result<()> {
    let is_meant = |socket: &Socket| {
        socket.is_listener().unwrap_or(false)
            && socket.local_addr().ok().and_then(|it| it.as_socket()).is_some_and(|it| addresses.contains(&it))
    };
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
        // Files, the store's among them, are nobody's business here.
        let is_socket =
            std::fs::read_link(entry.path()).is_ok_and(|to| to.as_os_str().as_bytes().starts_with(b"socket:"));
        let Some(number) = number.filter(|_| is_socket) else { continue };
        // Others close meanwhile.
        let descriptor = match second_descriptor(number) {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::BADF.raw_os_error()) => continue,
            found => found?,
        };
        let socket = Socket::from(descriptor);
        if is_meant(&socket) {
            socket.set_tcp_notsent_lowat(UNSENT)?;
        }
    }
    Ok(())
}

/// A second descriptor for what this process has under `number`, which the kernel hands out safely.
///
/// # Errors
/// What the kernel says.
pub fn second_descriptor(number: RawFd) -> io::Result<OwnedFd> {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    let process = pidfd_open(getpid(), PidfdFlags::empty())?;
    Ok(pidfd_getfd(process, number, PidfdGetfdFlags::empty())?)
}

impl Config {
    /// As Pingora listens.
    #[must_use]
    pub fn to_pingora(&self) -> ListenerConfig {
        ListenerConfig::tcp(self.bind.to_string()).l4_buffer(L4BufferSettings::default().read(READ_BUFFER))
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use socket2::SockRef;

    use super::*;

    #[test]
    fn little_waits_to_be_sent_on_what_is_accepted() {
        let [meant, other] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        limit_unsent(&[meant.local_addr().unwrap()]).unwrap();
        let limit_of_accepted = |listener: &TcpListener| {
            let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            SockRef::from(&listener.accept().unwrap().0).tcp_notsent_lowat().unwrap()
        };
        assert_eq!(limit_of_accepted(&meant), UNSENT);
        assert_ne!(limit_of_accepted(&other), UNSENT);
    }
}
