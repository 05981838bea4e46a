//! The signals the daemon answers to (DESIGN.md, "Life of the process").

use std::io;

use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Lifecycle;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// SIGTERM, SIGINT: finish what is in flight and end.
    Stop,
    /// SIGHUP: read the configuration again, reopen logs.
    Reload,
    /// SIGUSR1: reopen logs.
    Reopen,
}

/// The signals, from now on caught.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user1: Signal,
}

impl Signals {
    /// Catches them. Needs a tokio runtime.
    ///
    /// # Errors
    /// When a handler cannot be installed.
    pub fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
        })
    }

    /// The next one.
    pub async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.terminate.recv() => Request::Stop,
            _ = self.interrupt.recv() => Request::Stop,
            _ = self.hangup.recv() => Request::Reload,
            _ = self.user1.recv() => Request::Reopen,
        }
    }
}

/// Tells Pingora to stop accepting once the drain begins.
#[derive(Debug)]
pub struct StopWatch(pub Lifecycle);

#[async_trait]
impl ShutdownSignalWatch for StopWatch {
    async fn recv(&self) -> ShutdownSignal {
        self.0.draining().await;
        ShutdownSignal::GracefulTerminate
    }
}
