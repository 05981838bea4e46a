//! Following a file: reading it again when it changes.
//!
//! Its folder is watched, not the file, so that editors that rename and `ConfigMap`s that swap a link are seen. Where
//! watching does not work (network file systems, links into other folders) a slow look at its stamp does.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{Seen, Stamp, read};
use crate::registry::document::Context;
use crate::registry::source::{Caller, Outcome, Report};

/// A change is read once the folder was quiet for this long, so that a file is not read half written.
const QUIET: Duration = Duration::from_millis(100);
/// A folder that is never quiet delays a reading no longer than this.
const MAX_DELAY: Duration = Duration::from_secs(1);

/// What the task that follows a file needs.
pub(in crate::registry) struct FileTask {
    pub(in crate::registry) task: u64,
    pub(in crate::registry) path: PathBuf,
    pub(in crate::registry) context: Context,
    /// How often its stamp is looked at, whatever the watching says.
    pub(in crate::registry) poll: Duration,
    /// What was read before the task began.
    pub(in crate::registry) seen: Seen,
    pub(in crate::registry) reports: mpsc::Sender<Report>,
    pub(in crate::registry) calls: mpsc::Receiver<Caller>,
}

/// Why the task woke up.
enum Woken {
    Called(Caller),
    Changed,
    Polled,
}

impl FileTask {
    /// Follows the file until `cancel`, or until nobody listens.
    pub(in crate::registry) async fn run(mut self, cancel: CancellationToken) {
        cancel.run_until_cancelled(self.follow()).await;
    }

    async fn follow(&mut self) {
        let changed = Arc::new(Notify::new());
        let mut watcher = watch(&self.path, &changed);
        // What changed between the first reading and the watching was not seen.
        changed.notify_one();
        loop {
            let woken = tokio::select! {
                Some(caller) = self.calls.recv() => Woken::Called(caller),
                () = changed.notified() => {
                    quiet(&changed).await;
                    Woken::Changed
                }
                () = sleep(self.poll) => Woken::Polled,
            };
            if watcher.is_none() {
                watcher = watch(&self.path, &changed);
            }
            let Some((outcome, callers)) = self.look(woken).await else { continue };
            let report = Report { task: self.task, outcome, callers };
            if self.reports.send(report).await.is_err() {
                return;
            }
        }
    }

    /// Reads the file if it may differ from what is known. `None`: there is nothing to tell.
    async fn look(&mut self, woken: Woken) -> Option<(Outcome, Vec<Caller>)> {
        let Seen { stamp, racy, failed } = self.seen;
        let same = Stamp::of(&self.path) == stamp && !racy;
        let callers = match woken {
            Woken::Called(caller) => vec![caller],
            Woken::Changed if same => return None,
            Woken::Polled if same && !failed => return Some((Outcome::Unchanged, Vec::new())),
            Woken::Changed | Woken::Polled => Vec::new(),
        };
        let (path, context) = (self.path.clone(), self.context.clone());
        let (seen, outcome) = tokio::task::spawn_blocking(move || read(&path, &context)).await.ok()?;
        self.seen = seen;
        Some((outcome, callers))
    }
}

/// Waits until nothing has changed for a moment, or until it has changed for too long.
async fn quiet(changed: &Notify) {
    let latest = Instant::now() + MAX_DELAY;
    loop {
        tokio::select! {
            () = changed.notified() => {}
            () = sleep(QUIET) => return,
            () = sleep_until(latest) => return,
        }
    }
}

/// Watches the folder of `path`, and that of the file it links to. `None` if neither can be watched.
fn watch(path: &Path, changed: &Arc<Notify>) -> Option<RecommendedWatcher> {
    let signal = changed.clone();
    let on_event = move |event: notify::Result<Event>| {
        // Reading the file is an event too; answering it would never end.
        let only_read = event.is_ok_and(|event| matches!(event.kind, EventKind::Access(kind) if !closes_writing(kind)));
        if !only_read {
            signal.notify_one();
        }
    };
    let mut watcher = notify::recommended_watcher(on_event).ok()?;
    let folder = |path: &Path| path.parent().filter(|parent| !parent.as_os_str().is_empty()).map(Path::to_path_buf);
    let own = folder(path).unwrap_or_else(|| PathBuf::from("."));
    let target = std::fs::canonicalize(path).ok().as_deref().and_then(folder);
    let mut sees = watcher.watch(&own, RecursiveMode::NonRecursive).is_ok();
    if let Some(target) = target.filter(|target| std::fs::canonicalize(&own).ok().as_ref() != Some(target)) {
        sees |= watcher.watch(&target, RecursiveMode::NonRecursive).is_ok();
    }
    sees.then_some(watcher)
}

fn closes_writing(kind: AccessKind) -> bool {
    kind == AccessKind::Close(AccessMode::Write)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    async fn seen(changed: &Notify) {
        tokio::time::timeout(Duration::from_secs(20), changed.notified()).await.expect("the change is not seen");
    }

    #[tokio::test]
    async fn the_folder_of_the_file_and_of_what_it_links_to_are_watched() {
        let (folder, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (path, real) = (folder.path().join("link.json"), target.path().join("real.json"));
        std::fs::write(&real, "[]").unwrap();
        symlink(&real, &path).unwrap();
        let changed = Arc::new(Notify::new());
        let _watcher = watch(&path, &changed).unwrap();
        for beside in [&real, &folder.path().join("..new"), &path] {
            std::fs::write(beside, "[1]").unwrap();
            seen(&changed).await;
            quiet(&changed).await;
        }
        std::fs::rename(target.path().join("real.json"), target.path().join("other.json")).unwrap();
        seen(&changed).await;
    }

    #[tokio::test]
    async fn reading_the_file_is_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("services.json");
        std::fs::write(&path, "[]").unwrap();
        let changed = Arc::new(Notify::new());
        let _watcher = watch(&path, &changed).unwrap();
        quiet(&changed).await;
        let waiting = changed.notified();
        std::fs::read(&path).unwrap();
        assert!(tokio::time::timeout(QUIET, waiting).await.is_err());
    }

    #[test]
    fn a_folder_that_is_not_there_cannot_be_watched() {
        assert!(watch(Path::new("/nowhere/at/all.json"), &Arc::new(Notify::new())).is_none());
    }
}
