//! Where services come from: sources that publish whole lists, laid over each other.
//!
//! Each source has a task that reports to one aggregator; whenever a list changes, or the last source has answered, the
//! aggregator merges everything and hands it to whoever builds the table. A source that fails changes nothing. Names are
//! neither resolved nor turned into routes here.

mod aggregate;
pub mod declared;
pub mod document;
pub mod embedded;
mod file;
pub mod health;
mod http;
pub mod listed;
pub mod merge;
pub mod report;
mod snapshot;
pub mod source;
mod state;
pub mod switch;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use self::aggregate::{Aggregator, Board, Command};
use self::document::Context;
use self::embedded::EmbeddedConfig;
use self::merge::Merged;
use self::source::SourceStatus;
use crate::model::service::Declaration;
use crate::store::RegistrationStore;
use crate::telemetry::metrics::Metrics;

/// Commands that may wait for the aggregator.
const COMMANDS: usize = 16;

/// The `registry` section and the static `services`.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Time between two refreshes of a source over HTTP, before jitter and backoff.
    pub refresh: Duration,
    /// Where the last good lists are kept over a restart; `None` = nowhere.
    pub snapshot: Option<PathBuf>,
    /// A source whose last good list is older than this is degraded.
    pub stale_after: Duration,
    /// In order: an earlier one wins a contested name.
    pub sources: Vec<SourceConfig>,
    /// Static services, which win field by field.
    pub services: Vec<Declaration>,
}

/// One entry of `registry.sources`.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceConfig {
    /// A file: `.yaml`/`.yml` holds `services:`, `.json` any list of REGISTRY.md §1.
    File(PathBuf),
    /// A registry over HTTP.
    Http(HttpConfig),
    /// Services that register themselves with this daemon.
    Embedded(EmbeddedConfig),
}

/// A registry over HTTP.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpConfig {
    /// Its base URL.
    pub url: Url,
    /// Tried in order: the first 200 with a list wins, 404 means "not here".
    pub paths: Vec<String>,
    /// A file with a bearer token.
    pub token_file: Option<PathBuf>,
    /// For one whole exchange.
    pub timeout: Duration,
    /// Largest document, in bytes, all pages together.
    pub max_bytes: u64,
    /// Networks it may point at beside public addresses.
    pub allowed_networks: Vec<IpNet>,
}

/// All sources of services. Dropping it ends its tasks.
pub struct Registry {
    board: watch::Receiver<Board>,
    commands: mpsc::Sender<Command>,
    context: Context,
    /// What [`Registry::spawn`] starts; taken by the first call.
    idle: Mutex<Option<Idle>>,
    cancel: CancellationToken,
    _ends: DropGuard,
}

/// The aggregator and its ends of the channels, before it runs.
struct Idle {
    aggregator: Aggregator,
    board: watch::Sender<Board>,
    commands: mpsc::Receiver<Command>,
}

impl Registry {
    /// Loads the snapshot and reads the file sources, so that the first list is as full as it can be without asking
    /// anybody. Blocks on the disk; needs no runtime.
    #[must_use]
    pub fn new(config: Config, context: Context, metrics: Arc<Metrics>) -> Self {
        let aggregator = Aggregator::load(config, context.clone(), metrics);
        let (board, seen) = watch::channel(aggregator.board());
        let (commands, received) = mpsc::channel(COMMANDS);
        let cancel = CancellationToken::new();
        Self {
            board: seen,
            commands,
            context,
            idle: Mutex::new(Some(Idle { aggregator, board, commands: received })),
            _ends: cancel.clone().drop_guard(),
            cancel,
        }
    }

    /// Where the embedded registry keeps what registers itself; to be called before [`Registry::spawn`].
    pub fn keep_registrations_in(&self, store: Arc<dyn RegistrationStore>) {
        if let Some(idle) = &mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner) {
            idle.aggregator.registrations = Some(store);
        }
    }

    /// Calls `publish` at once with what is known, then starts the tasks on the current runtime; from then on every
    /// change calls it, from the aggregator's task, one call after the other. A second call starts nothing.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn(&self, publish: impl Fn(Arc<Merged>) + Send + Sync + 'static) {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Idle { aggregator, board, commands }) = idle else { return };
        publish(self.merged());
        tokio::spawn(aggregator.run(board, commands, Box::new(publish), self.cancel.clone()));
    }

    /// What was published last; before [`Registry::spawn`], what will be published first.
    #[must_use]
    pub fn merged(&self) -> Arc<Merged> {
        self.board.borrow().merged.clone()
    }

    /// How every source fares now, in their order.
    #[must_use]
    pub fn status(&self) -> Vec<SourceStatus> {
        let Board { stale_after, sources, .. } = self.board.borrow().clone();
        let now = Timestamp::now();
        sources.into_iter().map(|source| source.judged(now, stale_after)).collect()
    }

    /// Whether every source has answered or failed once; a list from the snapshot counts as an answer. Until then an
    /// unknown name may only be unknown so far.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.board.borrow().sources.iter().all(|source| source.answered)
    }

    /// Applies another configuration and publishes. Sources configured as before go on undisturbed; one whose settings
    /// changed keeps its last good list as far as they admit it. Ends when published; waits for [`Registry::spawn`].
    pub async fn reload(&self, config: Config) {
        self.command(|done| Command::Reload(Box::new(config), done)).await;
    }

    /// Has every source refreshed. Ends when each has answered or failed and that is published; waits for
    /// [`Registry::spawn`].
    pub async fn refresh_now(&self) {
        self.command(Command::Refresh).await;
    }

    /// Has what is known published once more, for something beside the sources has changed. Ends when published; waits for
    /// [`Registry::spawn`].
    pub async fn republish(&self) {
        self.command(Command::Republish).await;
    }

    /// Has the embedded registry list anew what is registered. Ends when that is published.
    async fn relist(&self) {
        self.command(Command::Relist).await;
    }

    /// The embedded registry as it is configured now; `None` if there is none.
    fn embedded(&self) -> Option<EmbeddedConfig> {
        self.board.borrow().embedded.clone()
    }

    /// What entries are read with.
    fn context(&self) -> &Context {
        &self.context
    }

    /// Gives a command and waits until it is done, or until the aggregator is gone.
    async fn command(&self, command: impl FnOnce(oneshot::Sender<()>) -> Command) {
        let (done, answered) = oneshot::channel();
        if self.commands.send(command(done)).await.is_ok() {
            let _ = answered.await;
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("sources", &self.status()).finish_non_exhaustive()
    }
}
