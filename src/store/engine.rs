//! Opening the embedded engine: what is checked before it is trusted (DESIGN.md, "The store").
//!
//! After a clean stop the engine's files are as the witness notes them, and are opened. Anything else is an unclean start:
//! the files are copied, for opening cuts a damaged log short, and it is the copy that is opened, read whole, and compared
//! with what was acknowledged. A copy that is whole takes the place of the files; else they stay as they were found.

mod error;

use std::io;
use std::ops::ControlFlow;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};

use super::Durability;
use super::folder::{Folder, FolderError};
use super::key;
use super::kv::{Batch, Kv, KvError, is_full};
use super::migration::m0001_context_sync::{CommitRecord, FormatRecord};
use super::migration::{self, FORMAT, OLDEST_READER, RecordError};
use super::witness::{self, Found, Testimony, Witness};
use crate::telemetry::describe;
pub use error::OpenError;

/// Room that opening needs: an engine that meets a full disk while it opens leaves files that it then stumbles over.
const OPENING: u64 = 16 << 20;

/// How the engine itself is opened in its folder.
pub(super) type OpenKv = Box<dyn Fn(&Path) -> Result<Box<dyn Kv>, KvError> + Send>;

/// What opening needs.
pub(super) struct Opener {
    pub(super) folder: Folder,
    pub(super) durability: Durability,
    pub(super) engine: &'static str,
    pub(super) open_kv: OpenKv,
    /// The oldest format that is opened: the current one, but for whoever brings a store up to date.
    pub(super) oldest: u8,
}

/// An open engine.
pub(super) struct Opened {
    pub(super) kv: Box<dyn Kv>,
    pub(super) commit: CommitRecord,
    pub(super) witness: Witness,
}

impl Opener {
    /// Takes the folder at `path` for this process.
    ///
    /// # Errors
    /// [`OpenError::Locked`], [`OpenError::Folder`].
    pub(super) fn new(
        path: &Path,
        durability: Durability,
        engine: &'static str,
        open_kv: OpenKv,
    ) -> Result<Self, OpenError> {
        let folder = Folder::take(path).map_err(|error| locked(path, error))?;
        Ok(Self { folder, durability, engine, open_kv, oldest: FORMAT })
    }

    /// Opens the engine, or makes it where there is none.
    ///
    /// # Errors
    /// [`OpenError`]; the engine's files are then as they were found.
    pub(super) fn open(&self) -> Result<Opened, OpenError> {
        let (kv, commit) = self.open_unwitnessed()?;
        let witness = Witness::begin(&self.folder, FORMAT, self.engine, commit.commit);
        Ok(Opened { kv, commit, witness: witness.map_err(|error| self.unusable(error))? })
    }

    /// The same, without beginning to witness.
    ///
    /// # Errors
    /// As [`Opener::open`].
    pub(super) fn open_unwitnessed(&self) -> Result<(Box<dyn Kv>, CommitRecord), OpenError> {
        self.folder.settle().map_err(|error| self.unusable(error))?;
        let found = self.found()?;
        let has_engine = self.folder.has_engine().map_err(|error| self.unusable(error))?;
        if let Some(testimony) = found.as_ref().filter(|testimony| !has_engine && testimony.commit > 0) {
            let (engine, witness) = (self.folder.engine(), self.witness());
            return Err(OpenError::Missing { engine, witness, commit: testimony.commit });
        }
        let room = self.folder.room().map_err(|error| self.unusable(error))?;
        if room < OPENING {
            return Err(self.full("the engine notes where everything is: 16 MiB"));
        }
        if has_engine && !self.is_as_left(found.as_ref())? {
            self.check(found.as_ref())?;
        }
        let engine = self.folder.engine();
        let kv = (self.open_kv)(&engine).map_err(|error| self.unopened(error))?;
        self.folder.sync_names().map_err(|error| self.unusable(error))?;
        let commit = self.check_format(&*kv)?;
        Ok((kv, commit))
    }

    /// Opens and checks a copy of the engine's files, and has it take their place if it is whole.
    fn check(&self, found: Option<&Testimony>) -> Result<(), OpenError> {
        let work = self.folder.copy().map_err(|error| {
            if is_full(&error) {
                self.full("its files are copied before it is checked, and 64 MiB stay free")
            } else {
                self.unusable(error)
            }
        })?;
        let checked = survive(self.damaged("its engine breaks down over it"), || {
            let kv = (self.open_kv)(&work).map_err(|error| self.broken(&error))?;
            let commit = self.check_format(&*kv)?;
            self.check_whole(&*kv, commit, found)?;
            Ok(commit)
        });
        let commit = match checked {
            Ok(commit) => commit,
            Err(error) => {
                self.folder.drop_copy().map_err(|error| self.unusable(error))?;
                return Err(error);
            }
        };
        let kept = self.folder.take_copy(found.is_none()).map_err(|error| self.unusable(error))?;
        if let Some(kept) = kept {
            let files = kept.display();
            tracing::warn!(
                commit = commit.commit,
                "the store is whole as far as it goes; what was acknowledged last is not known, so its files as they were \
                 found are kept in `{files}`"
            );
        } else {
            tracing::info!(commit = commit.commit, "the store is whole");
        }
        Ok(())
    }

    /// What the witness says, if it may be opened at all.
    pub(super) fn found(&self) -> Result<Option<Testimony>, OpenError> {
        let path = || self.folder.join("");
        match witness::read(&self.folder).map_err(|error| self.unusable(error))? {
            Found::Nothing => Ok(None),
            Found::Damaged(path) => Err(OpenError::Witness { path }),
            Found::Testimony(testimony) if testimony.format > FORMAT => {
                let reader = "that wrote it, or a later one".to_owned();
                Err(OpenError::TooNew { path: path(), format: testimony.format, reader })
            }
            Found::Testimony(testimony) if testimony.format < self.oldest => {
                Err(OpenError::TooOld { path: path(), format: testimony.format })
            }
            Found::Testimony(testimony) if testimony.engine != self.engine => {
                Err(OpenError::OtherEngine { path: path(), found: testimony.engine })
            }
            Found::Testimony(testimony) => Ok(Some(testimony)),
        }
    }

    /// Whether the engine's files are those of the clean stop that the witness notes.
    fn is_as_left(&self, found: Option<&Testimony>) -> Result<bool, OpenError> {
        let why = match found {
            None => "nothing says how it was left",
            Some(Testimony { files: None, .. }) => "it was not closed",
            Some(Testimony { files: Some(files), .. }) => {
                let now = self.folder.sums().map_err(|error| self.unusable(error))?;
                if *files == now {
                    return Ok(true);
                }
                "its files are not as they were left"
            }
        };
        tracing::warn!(path = %self.folder.engine().display(), "the store is checked before it is used: {why}");
        Ok(false)
    }

    /// The engine's own files, as they were left, do not open.
    fn unopened(&self, error: KvError) -> OpenError {
        if error.is_full() {
            return self.full("the engine notes where everything is");
        }
        OpenError::Engine { path: self.folder.engine(), source: error }
    }

    /// A copy does not open, or cannot be read.
    fn broken(&self, error: &KvError) -> OpenError {
        if error.is_full() {
            return self.full("the engine notes where everything is");
        }
        self.damaged(&describe(error))
    }

    pub(super) fn damaged(&self, what: &str) -> OpenError {
        OpenError::Damaged { what: what.to_owned(), files: self.folder.engine(), witness: self.witness() }
    }

    pub(super) fn full(&self, needed: &str) -> OpenError {
        OpenError::Full { path: self.folder.join(""), needed: needed.to_owned() }
    }

    pub(super) fn unusable(&self, source: io::Error) -> OpenError {
        if is_full(&source) {
            return self.full("small files beside the engine's");
        }
        OpenError::Folder { path: self.folder.join(""), source }
    }

    fn witness(&self) -> PathBuf {
        self.folder.join("witness")
    }

    /// Reads what the store is written in; writes it into one that is empty.
    fn check_format(&self, kv: &dyn Kv) -> Result<CommitRecord, OpenError> {
        let engine = |error| self.broken(&error);
        let record = |error: RecordError| self.damaged(&error.to_string());
        let Some(format) = kv.get(key::FORMAT).map_err(engine)? else {
            return self.make(kv);
        };
        let format: FormatRecord = match migration::decode(&format) {
            Err(RecordError::Format(format)) => {
                let reader = "that wrote it, or a later one".to_owned();
                return Err(OpenError::TooNew { path: self.folder.join(""), format, reader });
            }
            other => other.map_err(record)?,
        };
        if format.format > FORMAT {
            let reader = format!("{} or later", format.oldest_reader);
            return Err(OpenError::TooNew { path: self.folder.join(""), format: format.format, reader });
        }
        if format.format < self.oldest {
            return Err(OpenError::TooOld { path: self.folder.join(""), format: format.format });
        }
        let commit = kv.get(key::COMMIT).map_err(engine)?.ok_or(RecordError::Damaged).map_err(record)?;
        migration::decode(&commit).map_err(record)
    }

    fn make(&self, kv: &dyn Kv) -> Result<CommitRecord, OpenError> {
        let engine = |error| self.broken(&error);
        if count(kv).map_err(engine)? > 0 {
            return Err(self.damaged("it does not say what format it is in"));
        }
        let record = |error: RecordError| self.damaged(&error.to_string());
        let format = FormatRecord { format: FORMAT, oldest_reader: OLDEST_READER.to_owned() };
        let commit = CommitRecord::default();
        let batch = Batch::from([
            (key::FORMAT.to_vec(), Some(migration::encode(&format).map_err(record)?)),
            (key::COMMIT.to_vec(), Some(migration::encode(&commit).map_err(record)?)),
        ]);
        kv.apply(batch).and_then(|()| kv.sync()).map_err(engine)?;
        Ok(commit)
    }

    /// Reads every page, and compares what came up with what was acknowledged. What came up may be less than that, and
    /// whole; then the operator may go on with it.
    fn check_whole(&self, kv: &dyn Kv, commit: CommitRecord, found: Option<&Testimony>) -> Result<(), OpenError> {
        let entries = count(kv).map_err(|error| self.broken(&error))?;
        if entries != commit.entries {
            return Err(self.damaged(&format!("it has {entries} entries where {} belong", commit.entries)));
        }
        let acknowledged = found.map_or(0, |testimony| testimony.commit);
        if commit.commit < acknowledged {
            // Not promised: what was acknowledged was in the kernel, and the machine has been started anew since.
            let expected = self.durability == Durability::ProcessCrash
                && found.is_some_and(|testimony| !testimony.is_of_this_boot());
            if !expected {
                let (files, witness) = (self.folder.engine(), self.witness());
                return Err(OpenError::Behind { commit: commit.commit, acknowledged, files, witness });
            }
            let lost = acknowledged - commit.commit;
            tracing::error!(
                lost,
                "the machine went down, and with `durability: process_crash` the last changes with it"
            );
        }
        Ok(())
    }
}

/// The folder at `path` cannot be had.
pub(super) fn locked(path: &Path, error: FolderError) -> OpenError {
    match error {
        FolderError::Locked(pid) => {
            let by = pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
            OpenError::Locked { path: path.to_owned(), by }
        }
        FolderError::Io(path, source) => OpenError::Folder { path, source },
    }
}

/// Does `risky`, which may panic: sled does over some damaged logs. Then the answer is `otherwise`; where panics end the
/// process, it ends with that on standard error.
pub(super) fn survive<T>(otherwise: OpenError, risky: impl FnOnce() -> Result<T, OpenError>) -> Result<T, OpenError> {
    #[cfg(panic = "abort")]
    let usual = {
        let usual = panic::take_hook();
        let message = otherwise.to_string();
        panic::set_hook(Box::new(move |_| end_with(&message)));
        usual
    };
    let done = panic::catch_unwind(AssertUnwindSafe(risky));
    #[cfg(panic = "abort")]
    panic::set_hook(usual);
    done.unwrap_or(Err(otherwise))
}

#[cfg(panic = "abort")]
#[allow(clippy::exit, reason = "the process ends here in any case; this way it says why, and leaves no core")]
fn end_with(message: &str) {
    use std::io::Write as _;
    writeln!(io::stderr(), "chittyconnect: {message}").ok();
    std::process::exit(1);
}

/// Reads every entry and counts all but the meta ones.
pub(super) fn count(kv: &dyn Kv) -> Result<u64, KvError> {
    let mut entries = 0;
    kv.read_all(&mut |key, _| {
        entries += u64::from(!key.starts_with(&[migration::m0001_context_sync::kind::META]));
        ControlFlow::Continue(())
    })?;
    Ok(entries)
}
