//! The one writer: it owns all changes.
//!
//! Whatever is queued when it looks is one group: each change checks its preconditions against the store and the group so
//! far, then all of them become durable together, with one batch and one sync, and only then is anybody answered. A disk
//! that fails stops it: what it holds is answered as not done, changes are refused, reads go on as far as the engine can,
//! and it opens the engine anew until that succeeds.

mod job;
mod shared;
mod transaction;

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::StoreError;
use super::engine::{OpenError, Opened, Opener};
use super::key;
use super::kv::{Kv, KvError, RESERVE};
use super::migration::encode;
use super::migration::m0001_context_sync::CommitRecord;
use super::witness::Witness;
use crate::model::time::Time;
use crate::telemetry::describe;
use crate::telemetry::metrics::Metrics;
use job::{Job, Pending};
pub(super) use shared::Shared;
use transaction::Changes;
pub(super) use transaction::{Transaction, unreadable};

/// Changes that may wait; what comes on top is refused at once rather than kept waiting.
const QUEUE: usize = 4096;
/// Changes in one group: more would only keep the first one waiting.
const GROUP: usize = 256;
/// Bytes in one group, about.
const GROUP_BYTES: usize = 4 << 20;
/// Between two looks at the disk, and between two attempts to get going again.
const RETRY: Duration = Duration::from_millis(500);
/// How long the end of the store waits for readers.
const READERS: Duration = Duration::from_secs(2);

enum Message {
    Job(Box<dyn Job>),
    Close,
}

/// The way to the writer.
pub(super) struct Committer {
    jobs: SyncSender<Message>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the writer calls with an engine that has just been opened.
pub(super) type OnOpen = Box<dyn Fn(&dyn Kv) -> Result<(), OpenError> + Send>;

impl Committer {
    /// Opens the store and starts the writer. On a disk without room it starts without an engine, and opens it as soon as
    /// there is room.
    pub(super) fn start(
        opener: Opener,
        shared: Arc<Shared>,
        metrics: Arc<Metrics>,
        on_open: OnOpen,
    ) -> Result<Self, OpenError> {
        let (jobs, queue) = sync_channel(QUEUE);
        let mut writer = Writer {
            opener,
            shared,
            metrics,
            on_open,
            queue,
            open: None,
            failed: None,
            hopeless: false,
            tried: Instant::now(),
            now: Time::from_millis(0),
        };
        match writer.open() {
            Ok(()) => {}
            Err(error @ OpenError::Full { .. }) => writer.fail(describe(&error)),
            Err(error) => return Err(error),
        }
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(OpenError::Thread)?;
        Ok(Self { jobs, thread: Mutex::new(Some(thread)) })
    }

    /// Queues a change. Its answer comes once it is durable.
    pub(super) fn submit<T, F>(&self, change: F) -> Result<oneshot::Receiver<Result<T, StoreError>>, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (asked, answer) = oneshot::channel();
        let job = Pending::new(change, asked);
        match self.jobs.try_send(Message::Job(Box::new(job))) {
            Ok(()) => Ok(answer),
            Err(TrySendError::Full(_)) => Err(StoreError::Unavailable("too many changes wait for the disk".into())),
            Err(TrySendError::Disconnected(_)) => Err(StoreError::Unavailable("it is closed".into())),
        }
    }

    /// Ends the writer once everything queued before is done. Blocks.
    pub(super) fn close(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It has ended already if nobody takes the message.
            self.jobs.send(Message::Close).ok();
            if thread.join().is_err() {
                tracing::error!("the store's writer broke down");
            }
        }
    }
}

struct Open {
    kv: Arc<dyn Kv>,
    commit: CommitRecord,
    witness: Witness,
}

struct Writer {
    opener: Opener,
    shared: Arc<Shared>,
    metrics: Arc<Metrics>,
    on_open: OnOpen,
    queue: Receiver<Message>,
    open: Option<Open>,
    /// Why nothing can be written with the engine as it is; `None` = it can.
    failed: Option<String>,
    /// Nothing that this process does will mend it.
    hopeless: bool,
    tried: Instant,
    /// The clock of changes, which never goes back.
    now: Time,
}

impl Writer {
    fn open(&mut self) -> Result<(), OpenError> {
        let Opened { kv, commit, witness } = self.opener.open()?;
        (self.on_open)(&*kv)?;
        let kv: Arc<dyn Kv> = kv.into();
        self.shared.last_event.store(commit.event, Ordering::Release);
        self.shared.set_kv(Some(Arc::clone(&kv)));
        self.open = Some(Open { kv, commit, witness });
        self.failed = None;
        self.check_room();
        // What was not acknowledged may have become durable all the same.
        if let Some(sink) = self.shared.sink.get() {
            sink.reread(commit.event);
        }
        Ok(())
    }

    fn run(mut self) {
        loop {
            match self.queue.recv_timeout(RETRY) {
                Ok(Message::Job(job)) => {
                    if self.take(job) {
                        break;
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.recover(),
                Ok(Message::Close) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.end();
    }

    /// Commits `first` with everything queued behind it. Whether the end was among that.
    fn take(&mut self, first: Box<dyn Job>) -> bool {
        let mut group = vec![first];
        let mut last = false;
        while group.len() < GROUP && !last {
            match self.queue.try_recv() {
                Ok(Message::Job(job)) => group.push(job),
                Ok(Message::Close) => last = true,
                Err(_) => break,
            }
        }
        if self.tried.elapsed() >= RETRY {
            self.recover();
        }
        let refused = self.refusal();
        match refused {
            Some(refused) => {
                for job in group {
                    job.answer(Some(refused.clone()));
                }
            }
            None => self.commit(group),
        }
        last
    }

    /// Why no change can be made at the moment.
    fn refusal(&mut self) -> Option<StoreError> {
        if self.failed.is_some() || self.open.is_none() {
            return Some(self.shared.unavailable());
        }
        self.check_room();
        self.shared.trouble().map(StoreError::Unavailable)
    }

    /// Room that stays on the disk.
    fn reserve(&self) -> u64 {
        self.open.as_ref().map_or(RESERVE, |open| open.kv.reserve())
    }

    /// Notes whether there is room. Whether there is.
    fn check_room(&self) -> bool {
        // A disk that does not say how full it is will say so when it is written to.
        let room = self.opener.folder.room().unwrap_or(u64::MAX);
        let reserve = self.reserve();
        let enough = room >= reserve;
        let mebibytes = |bytes: u64| bytes >> 20;
        self.shared.set_trouble((!enough).then(|| {
            format!("the disk has {} MiB left; it needs {} MiB to go on", mebibytes(room), mebibytes(reserve))
        }));
        enough
    }

    fn commit(&mut self, group: Vec<Box<dyn Job>>) {
        let Some(open) = &mut self.open else { return };
        self.now = self.now.max(Time::now());
        let mut changes = Changes::new(open.commit);
        let mut group = group.into_iter();
        let mut done: Vec<Box<dyn Job>> = Vec::with_capacity(group.len());
        let mut committed = 0;
        let mut failure: Option<KvError> = None;
        while failure.is_none() && changes.bytes() < GROUP_BYTES {
            let Some(mut job) = group.next() else { break };
            let mut transaction = Transaction::new(&*open.kv, &changes, self.now);
            let succeeded = job.run(&mut transaction);
            let (own, failed) = transaction.finish();
            failure = failed;
            if succeeded {
                committed += usize::from(!own.is_empty());
                changes.add(own);
            }
            done.push(job);
        }
        let outcome = match failure {
            Some(error) => Err(describe(&error)),
            None if committed == 0 => Ok(()),
            None => {
                let effects = changes.take_effects();
                let events = changes.take_events();
                self.shared.writing_since.store(Time::now().as_millis(), Ordering::Relaxed);
                let written = write(open, changes);
                self.shared.writing_since.store(0, Ordering::Relaxed);
                self.metrics.store_committed(committed);
                if written.is_ok() {
                    self.shared.last_event.store(open.commit.event, Ordering::Release);
                    for effect in effects {
                        effect();
                    }
                    if let Some(sink) = self.shared.sink.get() {
                        for (number, event) in events {
                            sink.publish(number, event);
                        }
                    }
                }
                written
            }
        };
        if let Err(error) = outcome {
            self.metrics.store_failed("commit");
            self.fail(error);
            let refused = self.shared.unavailable();
            for job in done.into_iter().chain(group) {
                job.answer(Some(refused.clone()));
            }
            return;
        }
        for job in done {
            job.answer(None);
        }
        let rest: Vec<_> = group.collect();
        if !rest.is_empty() {
            self.commit(rest);
        }
    }

    fn fail(&mut self, why: String) {
        self.shared.set_trouble(Some(why.clone()));
        self.failed = Some(why);
        self.tried = Instant::now();
    }

    /// Tries to get going again.
    fn recover(&mut self) {
        self.tried = Instant::now();
        if self.failed.is_none() {
            self.check_room();
            return;
        }
        let room = self.opener.folder.room().unwrap_or(u64::MAX);
        if self.hopeless || room < self.reserve() {
            return;
        }
        // From here on there is nothing to read either, until the engine is open again.
        self.shared.set_kv(None);
        if self.open.as_ref().is_some_and(|open| Arc::strong_count(&open.kv) > 1) {
            // Somebody still reads; next time.
            return;
        }
        self.open = None;
        match self.open() {
            Ok(()) => {}
            Err(error) => {
                self.hopeless =
                    !matches!(error, OpenError::Full { .. } | OpenError::Folder { .. } | OpenError::Engine { .. });
                self.fail(describe(&error));
            }
        }
    }

    fn end(mut self) {
        while let Ok(Message::Job(job)) = self.queue.try_recv() {
            job.answer(Some(StoreError::Unavailable("it is closed".into())));
        }
        self.shared.set_kv(None);
        let Some(Open { kv, witness, .. }) = self.open.take() else { return };
        let begun = Instant::now();
        while Arc::strong_count(&kv) > 1 && begun.elapsed() < READERS {
            thread::park_timeout(Duration::from_millis(5));
        }
        let alone = Arc::strong_count(&kv) == 1;
        drop(kv);
        if self.failed.is_some() || !alone {
            tracing::warn!("the store ends without a clean stop; it is checked at the next start");
            return;
        }
        let ended = witness.end(&self.opener.folder).and_then(|()| self.opener.folder.hand_over());
        match ended {
            Ok(()) => tracing::info!("the store is closed"),
            Err(error) => {
                tracing::warn!(%error, "the store's clean stop cannot be noted; it is checked at the next start");
            }
        }
    }
}

/// Makes `changes` durable.
fn write(open: &mut Open, changes: Changes) -> Result<(), String> {
    let (mut batch, commit) = changes.into_batch();
    batch.insert(key::COMMIT.to_vec(), Some(encode(&commit).map_err(|error| error.to_string())?));
    open.kv.apply(batch).and_then(|()| open.kv.sync()).map_err(|error| describe(&error))?;
    open.witness.acknowledge(commit.commit).map_err(|error| format!("the witness cannot be written: {error}"))?;
    open.commit = commit;
    Ok(())
}
