//! The access log: one JSON object a line for each request, whatever its outcome.
//!
//! A request only formats its line and appends it to a buffer; one thread of its own writes. When the destination
//! stalls, lines beyond a bound are given up and counted: the log never holds up a request, nor memory.

mod line;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use line::Clock;
pub use line::Entry;

use super::AccessLog;
use super::metrics::Metrics;

/// How long lines may wait to be written together: one wake-up of the writer a tenth of a second at the most.
const FLUSH_EVERY: Duration = Duration::from_millis(100);
/// From this many waiting bytes on the writer is woken at once.
const FLUSH_ABOVE: usize = 256 * 1024;
/// How long the last lines may take to be written when the process ends.
pub const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// Waiting bytes above which lines are given up: some 50,000 lines.
const BUFFER_LIMIT: usize = 16 * 1024 * 1024;

/// Where lines are appended. Clone freely.
#[derive(Clone, Debug)]
pub struct AccessLogger {
    shared: Option<Arc<Shared>>,
}

#[derive(Debug)]
struct Shared {
    buffer: Mutex<Buffer>,
    wake: Condvar,
    reopen: AtomicBool,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Buffer {
    lines: Vec<u8>,
    clock: Clock,
    closing: bool,
}

/// Ends the writer when told to, after everything waiting is written.
#[derive(Debug)]
pub struct Writer {
    logger: AccessLogger,
    /// Ends when the thread does.
    thread: Receiver<()>,
}

impl AccessLogger {
    /// Opens the destination and starts the writer.
    ///
    /// # Errors
    /// When the file cannot be opened or the thread cannot be started.
    pub fn start(to: &AccessLog, metrics: Arc<Metrics>) -> io::Result<(Self, Writer)> {
        let destination = match to {
            AccessLog::Off => {
                let logger = Self { shared: None };
                return Ok((logger.clone(), Writer { logger, thread: channel().1 }));
            }
            AccessLog::Stdout => Destination::Stdout,
            AccessLog::Stderr => Destination::Stderr,
            AccessLog::File(path) => Destination::File(path.clone(), open(path)?),
        };
        let shared = Arc::new(Shared {
            buffer: Mutex::default(),
            wake: Condvar::new(),
            reopen: AtomicBool::new(false),
            metrics,
        });
        let writer = Arc::clone(&shared);
        let (running, thread) = channel();
        std::thread::Builder::new().name("access-log".to_owned()).spawn(move || {
            writer.run(destination);
            drop::<Sender<()>>(running);
        })?;
        let logger = Self { shared: Some(shared) };
        Ok((logger.clone(), Writer { logger, thread }))
    }

    /// Whether anybody reads the lines: without, there is no need to make one.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.shared.is_some()
    }

    /// Appends one line.
    pub fn write(&self, entry: &Entry<'_>) {
        let Some(shared) = &self.shared else { return };
        let mut buffer = shared.lock();
        if buffer.lines.len() >= BUFFER_LIMIT {
            drop(buffer);
            shared.metrics.access_log_dropped(1);
            return;
        }
        let before = buffer.lines.len();
        let Buffer { lines, clock, .. } = &mut *buffer;
        entry.append_to(lines, clock);
        let wake = before == 0 || (before < FLUSH_ABOVE && buffer.lines.len() >= FLUSH_ABOVE);
        drop(buffer);
        if wake {
            shared.wake.notify_one();
        }
    }

    /// Has the file closed and opened again under its name, after what is waiting.
    pub fn reopen(&self) {
        if let Some(shared) = &self.shared {
            shared.reopen.store(true, Ordering::Release);
            shared.wake.notify_one();
        }
    }
}

impl Writer {
    /// Writes what is waiting and ends the thread; gives up on a destination that takes longer than [`CLOSE_WITHIN`].
    pub fn close(self) {
        if let Some(shared) = &self.logger.shared {
            shared.lock().closing = true;
            shared.wake.notify_one();
        }
        if let Err(RecvTimeoutError::Timeout) = self.thread.recv_timeout(CLOSE_WITHIN) {
            tracing::error!("the access log cannot be written: its last lines are lost");
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut destination: Destination) {
        let mut taken = Vec::new();
        loop {
            let mut buffer = self.lock();
            while buffer.lines.is_empty() && !buffer.closing && !self.reopen.load(Ordering::Acquire) {
                buffer = self.wake.wait(buffer).unwrap_or_else(PoisonError::into_inner);
            }
            if !buffer.closing && buffer.lines.len() < FLUSH_ABOVE && !self.reopen.load(Ordering::Acquire) {
                let gather = self.wake.wait_timeout(buffer, FLUSH_EVERY);
                buffer = gather.unwrap_or_else(PoisonError::into_inner).0;
            }
            let closing = buffer.closing;
            std::mem::swap(&mut buffer.lines, &mut taken);
            drop(buffer);
            if !taken.is_empty() {
                if let Err(error) = destination.write(&taken) {
                    let lost = taken.split(|&b| b == b'\n').count() as u64 - 1;
                    self.metrics.access_log_dropped(lost);
                    tracing::error!(%error, lines = lost, "access log lines could not be written");
                }
                taken.clear();
            }
            if self.reopen.swap(false, Ordering::AcqRel) {
                destination.reopen();
            }
            if closing {
                return;
            }
        }
    }
}

enum Destination {
    Stdout,
    Stderr,
    File(PathBuf, File),
}

impl Destination {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => io::stdout().lock().write_all(lines).and_then(|()| io::stdout().lock().flush()),
            Self::Stderr => io::stderr().lock().write_all(lines),
            Self::File(_, file) => file.write_all(lines),
        }
    }

    /// Keeps the old file when the new one cannot be opened: a line in the wrong file is better than none.
    fn reopen(&mut self) {
        if let Self::File(path, file) = self {
            match open(path) {
                Ok(new) => *file = new,
                Err(error) => tracing::error!(path = %path.display(), %error, "the access log cannot be reopened"),
            }
        }
    }
}

fn open(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_written_in_order_and_a_reopened_file_is_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let metrics = Arc::new(Metrics::new().unwrap());
        let (logger, writer) = AccessLogger::start(&AccessLog::File(path.clone()), metrics).unwrap();
        let line = |id| Entry { request_id: id, method: "GET", ..Entry::default() };
        logger.write(&line("a"));
        logger.write(&line("b"));
        writer.close();
        let text = std::fs::read_to_string(&path).unwrap();
        let ids: Vec<_> =
            text.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["request_id"].clone()).collect();
        assert_eq!(ids, ["a", "b"]);
    }
}
