//! Start, reload and drain of the process.

pub mod descriptor;
pub mod drain;
pub mod instance;
pub mod notify;
pub mod signal;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::api::admin::Life;

/// `server` and `admin`: what the process itself needs.
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
}

/// How far the process is, for everybody who has to know.
#[derive(Clone, Debug)]
pub struct Lifecycle(Arc<watch::Sender<Life>>);

impl Lifecycle {
    /// Starting.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Life::Starting)))
    }

    /// Where it is now.
    #[must_use]
    pub fn now(&self) -> Life {
        *self.0.borrow()
    }

    /// Serving, unless it is draining already.
    pub fn ready(&self) {
        self.0.send_if_modified(|life| {
            let starting = *life == Life::Starting;
            if starting {
                *life = Life::Ready;
            }
            starting
        });
    }

    /// No more requests are accepted.
    pub fn drain(&self) {
        self.0.send_replace(Life::Draining);
    }

    /// Resolves once draining.
    pub async fn draining(&self) {
        let mut life = self.0.subscribe();
        // The sender lives as long as `self`.
        life.wait_for(|life| *life == Life::Draining).await.ok();
    }
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::new()
    }
}
