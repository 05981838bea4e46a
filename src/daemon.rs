//! Start, reload and drain of the process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// `server`, `admin` and `store.path`: what the process itself needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Worker threads of the proxy; at least 1.
    pub threads: usize,
    /// Longest time a drain may take.
    pub grace_period: Duration,
    /// Where `/metrics`, `/livez` and `/readyz` are answered; `None` = nowhere.
    pub metrics: Option<SocketAddr>,
    /// The admin socket.
    pub socket: PathBuf,
    /// The store's folder.
    pub store_path: PathBuf,
}
