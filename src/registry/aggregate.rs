//! The task that owns all sources: takes their reports, merges, and publishes whenever the table would differ.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::document::Context;
use super::embedded::EmbeddedConfig;
use super::merge::{Merged, merge};
use super::snapshot::{self, Snapshot, Writer};
use super::source::{Caller, Listing, Report, SourceStatus};
use super::state::{Around, SourceState};
use super::{Config, SourceConfig};
use crate::store::RegistrationStore;
use crate::telemetry::metrics::Metrics;

/// Reports that may wait; a source waits with its next one.
const REPORTS: usize = 64;

/// What callers see without asking the task.
#[derive(Clone, Debug)]
pub(super) struct Board {
    pub(super) stale_after: Duration,
    pub(super) sources: Vec<SourceStatus>,
    pub(super) merged: Arc<Merged>,
    /// The embedded registry, if there is one.
    pub(super) embedded: Option<EmbeddedConfig>,
}

/// What callers ask the task to do; the sender is told when it is done and published.
pub(super) enum Command {
    Reload(Box<Config>, oneshot::Sender<()>),
    Refresh(oneshot::Sender<()>),
    /// Of the embedded registry alone.
    Relist(oneshot::Sender<()>),
    /// What is known, once more.
    Republish(oneshot::Sender<()>),
}

/// All sources and their lists.
pub(super) struct Aggregator {
    config: Config,
    context: Context,
    metrics: Arc<Metrics>,
    sources: Vec<SourceState>,
    /// Where the embedded registry keeps what registers itself.
    pub(super) registrations: Option<Arc<dyn RegistrationStore>>,
    /// What is known to be on disk.
    present: Option<(PathBuf, Arc<Snapshot>)>,
    /// The number of the next task.
    next_task: u64,
}

/// Where published lists go.
pub(super) type Publish = Box<dyn Fn(Arc<Merged>) + Send + Sync>;

impl Aggregator {
    /// Loads the snapshot and reads the file sources. Blocks.
    pub(super) fn load(config: Config, context: Context, metrics: Arc<Metrics>) -> Self {
        let present = config.snapshot.clone().and_then(|path| {
            let snapshot = snapshot::load(&path)?;
            Some((path, Arc::new(snapshot)))
        });
        let mut sources: Vec<_> = config.distinct_sources().into_iter().map(SourceState::new).collect();
        for source in &mut sources {
            if let Some((_, snapshot)) = &present {
                source.restore(snapshot, &context, &metrics);
            }
            source.read_file(&context, &metrics);
        }
        Self { config, context, metrics, sources, registrations: None, present, next_task: 0 }
    }

    /// Everything as it is now.
    pub(super) fn board(&self) -> Board {
        let sources: Vec<_> = self.sources.iter().map(SourceState::status).collect();
        let stale_after = self.config.stale_after;
        let now = Timestamp::now();
        let judged = sources.iter().cloned().map(|source| source.judged(now, stale_after)).collect();
        let listings: Vec<Listing> = self.sources.iter().map(|source| source.listing.clone()).collect();
        let merged = Arc::new(merge(&self.config.services, &listings, judged));
        let embedded = self.config.sources.iter().find_map(|source| match source {
            SourceConfig::Embedded(embedded) => Some(embedded.clone()),
            SourceConfig::File(_) | SourceConfig::Http(_) => None,
        });
        Board { stale_after, sources, merged, embedded }
    }

    /// Runs until `cancel`, or until nobody can give commands any more.
    pub(super) async fn run(
        mut self,
        board: watch::Sender<Board>,
        mut commands: mpsc::Receiver<Command>,
        publish: Publish,
        cancel: CancellationToken,
    ) {
        let (sender, mut reports) = mpsc::channel(REPORTS);
        let writer = Writer::spawn(self.present.take());
        if self.start_sources(&sender) {
            self.publish(&board, &publish);
        }
        self.keep(&writer);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                Some(report) = reports.recv() => {
                    self.take(report, &mut reports, &board, &publish);
                    self.keep(&writer);
                }
                command = commands.recv() => match command {
                    None => return,
                    Some(Command::Refresh(done)) => self.refresh(done, |_| true),
                    Some(Command::Relist(done)) => {
                        self.refresh(done, |config| matches!(config, SourceConfig::Embedded(_)));
                    }
                    Some(Command::Republish(done)) => {
                        self.publish(&board, &publish);
                        let _ = done.send(());
                    }
                    Some(Command::Reload(config, done)) => {
                        self.reload(*config).await;
                        self.start_sources(&sender);
                        self.publish(&board, &publish);
                        self.keep(&writer);
                        let _ = done.send(());
                    }
                },
            }
        }
    }

    /// Takes over a report and all that wait behind it, then publishes once if need be.
    fn take(
        &mut self,
        first: Report,
        more: &mut mpsc::Receiver<Report>,
        board: &watch::Sender<Board>,
        publish: &Publish,
    ) {
        let mut callers: Vec<Caller> = Vec::new();
        let mut table = false;
        let mut next = Some(first);
        while let Some(report) = next {
            if let Some(source) = self.sources.iter_mut().find(|source| source.is_fed_by(report.task)) {
                table |= source.apply(report.outcome, &self.metrics);
            }
            callers.extend(report.callers);
            next = more.try_recv().ok();
        }
        if table {
            self.publish(board, publish);
        } else {
            let sources = self.sources.iter().map(SourceState::status).collect();
            board.send_modify(|board| board.sources = sources);
        }
        for caller in callers {
            let _ = caller.send(());
        }
    }

    fn publish(&self, board: &watch::Sender<Board>, publish: &Publish) {
        let new = self.board();
        let merged = new.merged.clone();
        board.send_replace(new);
        publish(merged);
    }

    /// Has the lists written, if they differ from what is on disk.
    fn keep(&self, writer: &Writer) {
        let Some(path) = &self.config.snapshot else { return };
        // A source that never gave a list has none to keep.
        let good = self.sources.iter().filter(|source| source.last_success.is_some() && source.is_kept());
        writer.want(path.clone(), Snapshot::of(good.map(|source| (&source.listing, source.last_success))));
    }

    /// Has the sources refreshed that `which` picks.
    fn refresh(&self, done: oneshot::Sender<()>, which: impl Fn(&SourceConfig) -> bool) {
        let picked = self.sources.iter().filter(|source| which(&source.config));
        let waiting: Vec<_> = picked.filter_map(SourceState::call).collect();
        tokio::spawn(async move {
            for one in waiting {
                let _ = one.await;
            }
            let _ = done.send(());
        });
    }

    /// Applies another configuration: a source that is configured as before goes on undisturbed.
    async fn reload(&mut self, config: Config) {
        let same_pace = config.refresh == self.config.refresh;
        let mut old = std::mem::take(&mut self.sources);
        let mut sources = Vec::new();
        for wanted in config.distinct_sources() {
            let name = wanted.name();
            let known = old.iter().position(|source| source.listing.source == name).map(|place| old.swap_remove(place));
            sources.push(match known {
                Some(source) if source.config == wanted && same_pace => source,
                Some(source) => source.reconfigured(wanted, &self.context),
                None => SourceState::new(wanted),
            });
        }
        for gone in old {
            self.metrics.forget_source(&gone.listing.source);
        }
        self.sources = self.read_new_files(sources).await;
        self.config = config;
    }

    /// Reads the files of sources that no task follows yet, off the runtime's own threads.
    async fn read_new_files(&self, sources: Vec<SourceState>) -> Vec<SourceState> {
        let mut read = Vec::new();
        for mut source in sources {
            if !source.is_running() && matches!(source.config, SourceConfig::File(_)) {
                let (context, metrics) = (self.context.clone(), self.metrics.clone());
                let config = source.config.clone();
                let task = tokio::task::spawn_blocking(move || {
                    source.read_file(&context, &metrics);
                    source
                });
                source = task.await.unwrap_or_else(|_| SourceState::new(config));
            }
            read.push(source);
        }
        read
    }

    /// Starts a task for every source that has none. True if the table is to be published for it.
    fn start_sources(&mut self, reports: &mpsc::Sender<Report>) -> bool {
        let mut changed = false;
        for source in &mut self.sources {
            let around = Around {
                config: &self.config,
                context: &self.context,
                registrations: self.registrations.as_ref(),
                metrics: &self.metrics,
            };
            changed |= source.start(self.next_task, around, reports);
            self.next_task += 1;
        }
        changed
    }
}
