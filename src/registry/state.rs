//! One source as the aggregator sees it: its last good list, how it fares, and the task that feeds it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::document::{Context, Document, admitted};
use super::embedded::EmbeddedTask;
use super::file::{self, FileTask, Seen};
use super::http::{HttpSource, HttpTask};
use super::snapshot::Snapshot;
use super::source::{Caller, Listing, Outcome, Report, SourceError, SourceStatus, describe};
use super::{Config, SourceConfig};
use crate::model::service::{Declaration, Rejected};
use crate::store::RegistrationStore;
use crate::telemetry::metrics::{Metrics, RefreshOutcome};
use crate::upstream::guard::Guard;

/// A failure that lasts is logged again after this long.
const LOG_AGAIN: Duration = Duration::from_secs(300);
/// How often a file is looked at beside being watched, unless `refresh` is shorter.
const FILE_POLL: Duration = Duration::from_secs(5);
/// Calls that may wait for a task; one more is answered by the refresh that those wait for.
const CALLS: usize = 8;
/// Registrations that may wait for the table: each of them is told when it is there.
const REGISTRATIONS: usize = 1024;

/// One source.
#[derive(Debug)]
pub(super) struct SourceState {
    pub(super) config: SourceConfig,
    pub(super) listing: Listing,
    pub(super) last_success: Option<Timestamp>,
    last_error: Option<SourceError>,
    failing: bool,
    answered: bool,
    logged: Option<Instant>,
    /// What a file was when it was read; `None` for a registry over HTTP.
    seen: Option<Seen>,
    running: Option<Running>,
}

/// The task of a source; dropping it ends the task.
#[derive(Debug)]
struct Running {
    task: u64,
    calls: mpsc::Sender<Caller>,
    _cancel: DropGuard,
}

/// What a source is started with.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) config: &'a Config,
    pub(super) context: &'a Context,
    pub(super) registrations: Option<&'a Arc<dyn RegistrationStore>>,
    pub(super) metrics: &'a Metrics,
}

impl SourceState {
    /// A source that has not answered yet.
    pub(super) fn new(config: SourceConfig) -> Self {
        Self {
            listing: Listing::empty(&config),
            config,
            last_success: None,
            last_error: None,
            failing: false,
            answered: false,
            logged: None,
            seen: None,
            running: None,
        }
    }

    /// The same source under another configuration: what it last gave stays, as far as the new one admits it.
    pub(super) fn reconfigured(self, config: SourceConfig, context: &Context) -> Self {
        let mut new = Self { running: None, seen: None, listing: Listing::empty(&config), config, ..self };
        new.recall(self.listing.declarations.iter().cloned(), &self.listing.rejected, context);
        new
    }

    /// Takes the list that the snapshot holds for this source.
    pub(super) fn restore(&mut self, snapshot: &Snapshot, context: &Context, metrics: &Metrics) {
        let Some(kept) = snapshot.source(&self.listing.source).filter(|_| self.is_kept()) else { return };
        self.recall(kept.declarations.iter().cloned(), &kept.rejected, context);
        self.last_success = kept.last_success();
        if let Some(at) = self.last_success {
            metrics.registry_succeeded(&self.listing.source, unix_seconds(at));
        }
        self.answered = true;
        tracing::info!(source = %self.listing.source, entries = self.listing.declarations.len(), "list restored from the snapshot");
    }

    /// Takes a list from before, of which all must pass what a fresh one would.
    fn recall(&mut self, declarations: impl Iterator<Item = Declaration>, rejected: &[Rejected], context: &Context) {
        let guard = Guard::new(self.listing.allowed_networks.clone(), context.own_addresses.clone());
        let (usable, refused) = admitted(declarations, context, (!self.listing.trusted).then_some(&guard));
        self.listing.declarations = usable.into();
        self.listing.rejected = rejected.iter().cloned().chain(refused).collect();
    }

    /// Takes over how an attempt ended. True if that changes what the table is built from: the list, or whether the
    /// source has answered.
    pub(super) fn apply(&mut self, outcome: Outcome, metrics: &Metrics) -> bool {
        let now = Timestamp::now();
        let name = self.listing.source.clone();
        let first = !std::mem::replace(&mut self.answered, true);
        let (counted, error, list) = match outcome {
            Outcome::List(document) => (RefreshOutcome::Success, None, self.take_over(document)),
            Outcome::Unchanged => (RefreshOutcome::Success, None, false),
            Outcome::Refused(text) => (RefreshOutcome::Refused, Some(text), false),
            Outcome::Failed(text) => (RefreshOutcome::Failure, Some(text), false),
        };
        metrics.registry_refreshed(&name, counted);
        match error {
            None => {
                metrics.registry_succeeded(&name, unix_seconds(now));
                self.last_success = Some(now);
                if std::mem::replace(&mut self.failing, false) {
                    tracing::info!(source = %name, "the source of services answers again");
                }
            }
            Some(text) => self.fail(now, text),
        }
        first || list
    }

    /// Whether `document` differs from the last good list, which it then replaces.
    fn take_over(&mut self, document: Document) -> bool {
        let same = *self.listing.declarations == *document.declarations && *self.listing.rejected == *document.rejected;
        if same {
            return false;
        }
        let Document { declarations, rejected, .. } = document;
        tracing::info!(
            source = %self.listing.source, entries = declarations.len(), rejected = rejected.len(),
            "a new list of services",
        );
        for one in &rejected {
            let id = one.id.as_deref().unwrap_or("-");
            tracing::debug!(source = %self.listing.source, index = one.index, id, reason = one.reason, "entry rejected");
        }
        self.listing.declarations = declarations.into();
        self.listing.rejected = rejected.into();
        true
    }

    fn fail(&mut self, now: Timestamp, text: String) {
        let changed = !std::mem::replace(&mut self.failing, true);
        if changed || self.logged.is_none_or(|logged| logged.elapsed() >= LOG_AGAIN) {
            self.logged = Some(Instant::now());
            let kept = self.listing.declarations.len();
            tracing::warn!(source = %self.listing.source, error = text, kept, "a source of services failed; what is kept stays");
        }
        self.last_error = Some(SourceError { at: now, text });
    }

    /// How it fares; `stale` is judged by whoever reads it.
    pub(super) fn status(&self) -> SourceStatus {
        SourceStatus {
            name: self.listing.source.clone(),
            last_success: self.last_success,
            last_error: self.last_error.clone(),
            failing: self.failing,
            entries: self.listing.declarations.len(),
            rejected: self.listing.rejected.len(),
            answered: self.answered,
            stale: false,
        }
    }

    /// Whether reports of `task` are about this source.
    pub(super) fn is_fed_by(&self, task: u64) -> bool {
        self.running.as_ref().is_some_and(|running| running.task == task)
    }

    /// Whether its list is kept on disk: what registers itself is in the store already.
    pub(super) fn is_kept(&self) -> bool {
        !matches!(self.config, SourceConfig::Embedded(_))
    }

    /// Whether a task feeds it.
    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Asks the task to refresh; what is returned ends when that has been published.
    pub(super) fn call(&self) -> Option<oneshot::Receiver<()>> {
        let (caller, done) = oneshot::channel();
        self.running.as_ref()?.calls.try_send(caller).ok()?;
        Some(done)
    }

    /// Reads a file source that has not been read yet. Blocks; a registry over HTTP is left alone.
    pub(super) fn read_file(&mut self, context: &Context, metrics: &Metrics) {
        let SourceConfig::File(path) = &self.config else { return };
        let (seen, outcome) = file::read(path, context);
        self.seen = Some(seen);
        self.apply(outcome, metrics);
    }

    /// Starts the task that feeds it, unless one does. Needs a runtime. True if that changed what the table is built
    /// from, for it could not be started.
    pub(super) fn start(&mut self, task: u64, around: Around<'_>, reports: &mpsc::Sender<Report>) -> bool {
        if self.is_running() {
            return false;
        }
        let mut changed = false;
        let Around { config, context, registrations, metrics } = around;
        let (calls, called) = mpsc::channel(if self.is_kept() { CALLS } else { REGISTRATIONS });
        let cancel = CancellationToken::new();
        let (reports, context) = (reports.clone(), context.clone());
        match &self.config {
            SourceConfig::File(path) => {
                let seen = self.seen.unwrap_or_else(Seen::nothing);
                let poll = config.refresh.min(FILE_POLL);
                let path = path.clone();
                let task = FileTask { task, path, context, poll, seen, reports, calls: called };
                tokio::spawn(task.run(cancel.clone()));
            }
            SourceConfig::Http(http) => {
                let full = !self.listing.declarations.is_empty();
                match HttpSource::new(http.clone(), &context, full) {
                    Ok(source) => {
                        let interval = config.refresh;
                        let task = HttpTask { task, source, interval, reports, calls: called };
                        tokio::spawn(task.run(cancel.clone()));
                    }
                    Err(error) => {
                        changed = self.apply(Outcome::Failed(describe(&error)), metrics);
                    }
                }
            }
            SourceConfig::Embedded(embedded) => {
                let task = EmbeddedTask {
                    task,
                    config: embedded.clone(),
                    context,
                    store: registrations.cloned(),
                    interval: config.refresh,
                    reports,
                    calls: called,
                };
                tokio::spawn(task.run(cancel.clone()));
            }
        }
        self.running = Some(Running { task, calls, _cancel: cancel.drop_guard() });
        changed
    }
}

#[allow(clippy::cast_precision_loss, reason = "milliseconds stay exact for 285,000 years")]
fn unix_seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}
