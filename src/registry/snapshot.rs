//! The last good lists on disk, so that a restart does not begin with an empty table.
//!
//! A snapshot that is damaged or not ours is put aside and otherwise ignored. It is written to a temporary file, synced
//! and renamed, and only when it differs from what is there.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::source::{Listing, describe};
use crate::model::service::{Declaration, Rejected, SourceName};

/// What the file says that it is.
const FORMAT: &str = "chittyconnect-registry-snapshot";
/// The version of its format; another one is not read.
const VERSION: u32 = 1;
/// Largest snapshot that is read: well above any list that was accepted, yet no way to fill the memory.
const MAX_BYTES: u64 = 256 << 20;

/// The last good lists of all sources.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Snapshot {
    format: String,
    version: u32,
    sources: Vec<Source>,
}

/// The last good list of one source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Source {
    name: SourceName,
    /// RFC 3339.
    last_success: Option<String>,
    pub(super) declarations: Arc<[Declaration]>,
    pub(super) rejected: Arc<[Rejected]>,
}

impl Source {
    pub(super) fn last_success(&self) -> Option<Timestamp> {
        self.last_success.as_ref()?.parse().ok()
    }
}

/// Why a snapshot could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum SnapshotError {
    #[error("cannot read it")]
    Read(#[source] io::Error),
    #[error("it is damaged")]
    Damaged(#[source] serde_json::Error),
    #[error("it is no snapshot of this version, but `{0}` version {1}")]
    Foreign(String, u32),
    #[error("cannot write it")]
    Write(#[source] io::Error),
}

impl Snapshot {
    /// What is to be kept of `listings`, each with the time of its last success.
    pub(super) fn of<'a>(listings: impl Iterator<Item = (&'a Listing, Option<Timestamp>)>) -> Self {
        let source = |(listing, at): (&Listing, Option<Timestamp>)| Source {
            name: listing.source.clone(),
            last_success: at.map(|at| at.to_string()),
            declarations: listing.declarations.clone(),
            rejected: listing.rejected.clone(),
        };
        Self { format: FORMAT.to_owned(), version: VERSION, sources: listings.map(source).collect() }
    }

    /// The list of the source called `name`.
    pub(super) fn source(&self, name: &str) -> Option<&Source> {
        self.sources.iter().find(|source| &*source.name == name)
    }

    /// Whether both hold the same lists, whenever those were fetched.
    fn holds_the_same(&self, other: &Self) -> bool {
        let same = |(a, b): (&Source, &Source)| {
            let same_lists = || a.declarations == b.declarations && a.rejected == b.rejected;
            let same_memory = Arc::ptr_eq(&a.declarations, &b.declarations) && Arc::ptr_eq(&a.rejected, &b.rejected);
            a.name == b.name && (same_memory || same_lists())
        };
        self.sources.len() == other.sources.len() && self.sources.iter().zip(&other.sources).all(same)
    }
}

/// Loads the snapshot at `path`. One that cannot be used is logged, put aside if it is damaged, and ignored.
pub(super) fn load(path: &Path) -> Option<Snapshot> {
    match read(path) {
        Ok(snapshot) => Some(snapshot),
        Err(SnapshotError::Read(error)) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            let damaged = !matches!(error, SnapshotError::Read(_));
            let aside = suffixed(path, ".damaged");
            let kept = damaged && fs::rename(path, &aside).is_ok();
            tracing::warn!(
                path = %path.display(),
                error = describe(&error),
                kept_as = kept.then(|| aside.display().to_string()),
                "the registry's snapshot is ignored",
            );
            None
        }
    }
}

fn read(path: &Path) -> Result<Snapshot, SnapshotError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(SnapshotError::Read)?;
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(SnapshotError::Read)?;
    let snapshot: Snapshot = serde_json::from_slice(&bytes).map_err(SnapshotError::Damaged)?;
    if snapshot.format == FORMAT && snapshot.version == VERSION {
        Ok(snapshot)
    } else {
        Err(SnapshotError::Foreign(snapshot.format, snapshot.version))
    }
}

/// Replaces the snapshot at `path`, all or nothing.
pub(super) fn write(path: &Path, snapshot: &Snapshot) -> Result<(), SnapshotError> {
    let attempt = || {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let temporary = suffixed(path, ".tmp");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&temporary)?;
        file.write_all(&serde_json::to_vec(snapshot)?)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(folder)?.sync_all()
    };
    attempt().map_err(SnapshotError::Write)
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Writes snapshots behind the back of whoever makes them: only the newest counts.
#[derive(Debug)]
pub(super) struct Writer {
    wanted: watch::Sender<Option<(PathBuf, Arc<Snapshot>)>>,
}

impl Writer {
    /// Starts the task; `present` is what is known to be on disk already. It ends when the writer is dropped, after
    /// the last snapshot.
    pub(super) fn spawn(present: Option<(PathBuf, Arc<Snapshot>)>) -> Self {
        let (wanted, newest) = watch::channel(None);
        tokio::spawn(write_newest(newest, present));
        Self { wanted }
    }

    /// Has `snapshot` written to `path` soon, unless the same lists are there.
    pub(super) fn want(&self, path: PathBuf, snapshot: Snapshot) {
        self.wanted.send_replace(Some((path, Arc::new(snapshot))));
    }
}

async fn write_newest(
    mut newest: watch::Receiver<Option<(PathBuf, Arc<Snapshot>)>>,
    mut present: Option<(PathBuf, Arc<Snapshot>)>,
) {
    let mut failing = false;
    while newest.changed().await.is_ok() {
        let Some((path, snapshot)) = newest.borrow_and_update().clone() else { continue };
        if present.as_ref().is_some_and(|(at, there)| *at == path && there.holds_the_same(&snapshot)) {
            continue;
        }
        let (to, what) = (path.clone(), snapshot.clone());
        match tokio::task::spawn_blocking(move || write(&to, &what)).await {
            Ok(Ok(())) => {
                failing = false;
                present = Some((path, snapshot));
            }
            Ok(Err(error)) if !failing => {
                failing = true;
                let error = describe(&error);
                tracing::warn!(path = %path.display(), error, "the registry's snapshot cannot be written");
            }
            Ok(Err(_)) | Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::SourceConfig;

    fn snapshot() -> Snapshot {
        let mut listing = Listing::empty(&SourceConfig::File("x.json".into()));
        let mut declaration =
            Declaration { id: Some("alpha".to_owned().try_into().unwrap()), ..Declaration::default() };
        declaration.endpoints =
            Some(vec![crate::model::service::EndpointUrl::parse("https://a.example").unwrap().into()]);
        declaration.timeouts.read = Some(None);
        declaration.timeouts.connect = Some(Some(std::time::Duration::from_millis(1500)));
        listing.declarations = Arc::from([declaration]);
        Snapshot::of([(&listing, Some(Timestamp::UNIX_EPOCH))].into_iter())
    }

    #[test]
    fn a_snapshot_is_read_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/registry.json");
        write(&path, &snapshot()).unwrap();
        assert_eq!(load(&path).unwrap(), snapshot());
        assert_eq!(load(&path).unwrap().source("file:x.json").unwrap().last_success(), Some(Timestamp::UNIX_EPOCH));
        assert!(!suffixed(&path, ".tmp").exists());
    }

    #[test]
    fn no_snapshot_is_no_error() {
        assert_eq!(load(Path::new("/nowhere/registry.json")), None);
    }

    #[test]
    fn what_is_damaged_or_foreign_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("registry.json");
        let half = serde_json::to_vec(&snapshot()).unwrap();
        let foreign = br#"{"format": "other", "version": 1, "sources": []}"#;
        let newer = format!(r#"{{"format": "{FORMAT}", "version": 2, "sources": []}}"#);
        for bytes in [&half[..half.len() / 2], b"", b"\xff\x00", b"[]", foreign, newer.as_bytes()] {
            fs::write(&path, bytes).unwrap();
            assert_eq!(load(&path), None);
            assert!(!path.exists());
            assert_eq!(fs::read(suffixed(&path, ".damaged")).unwrap(), bytes);
        }
    }

    #[test]
    fn the_time_of_a_refresh_alone_is_no_difference() {
        let (one, mut two) = (snapshot(), snapshot());
        two.sources[0].last_success = None;
        assert!(one.holds_the_same(&two));
        two.sources[0].declarations = Arc::from([]);
        assert!(!one.holds_the_same(&two));
    }
}
