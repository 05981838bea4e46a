//! The addresses that connections are accepted on.

use std::net::SocketAddr;

/// One entry of `listeners`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Address and port.
    pub bind: SocketAddr,
}
