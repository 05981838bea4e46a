//! Opening the embedded engine: what is checked before it is trusted (DESIGN.md, "The store").
//!
//! After a clean stop the engine's files are as the witness notes them, and are opened. Anything else is an unclean start:
//! the files are copied aside first, for opening may cut a damaged log short, and what comes up is compared with what was
//! acknowledged. Only a store that is whole lets its copy go.

use std::io;
use std::ops::{Bound, ControlFlow};
use std::path::{Path, PathBuf};

use super::Durability;
use super::folder::{Folder, FolderError};
use super::key;
use super::kv::{Batch, Direction, Kv, KvError, is_full};
use super::migration::m0001_context_sync::{CommitRecord, FormatRecord, OLDEST_READER};
use super::migration::{self, FORMAT, RecordError};
use super::witness::{self, Found, Testimony, Witness};

/// Why a store is not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("store.path: `{path}` is in use by {by}; a store is open in one process at a time")]
    Locked {
        /// The store's folder.
        path: PathBuf,
        /// Which process.
        by: String,
    },
    /// The folder, or a file in it, cannot be used.
    #[error("store.path: `{path}` cannot be used")]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no room on the disk for what opening needs.
    #[error("store.path: the disk of `{path}` has no room to open the store: {needed}")]
    Full {
        /// The store's folder.
        path: PathBuf,
        /// What it needs.
        needed: String,
    },
    /// A newer version of the program wrote it.
    #[error(
        "store.path: `{path}` is in format {format}, and this version reads up to {FORMAT}; accepted: chittyconnect {reader}"
    )]
    TooNew {
        /// The store's folder.
        path: PathBuf,
        /// The format found.
        format: u8,
        /// The versions that read it.
        reader: String,
    },
    /// Another engine wrote it.
    #[error("store.engine: `{path}` was made by the engine {found}; accepted: that one")]
    OtherEngine {
        /// The store's folder.
        path: PathBuf,
        /// The engine that made it.
        found: String,
    },
    /// The witness cannot be read.
    #[error(
        "store.path: `{path}` is damaged, so it cannot be told whether the store is whole; if you know that it is, remove \
         this file and start again"
    )]
    Witness {
        /// The witness file.
        path: PathBuf,
    },
    /// The engine's files are gone.
    #[error(
        "store.path: `{engine}` is missing, but {commit} changes were acknowledged; bring it back, or remove `{witness}` \
         to begin with an empty store"
    )]
    Missing {
        /// Where the engine's files should be.
        engine: PathBuf,
        /// The witness file.
        witness: PathBuf,
        /// The last change that was acknowledged.
        commit: u64,
    },
    /// Acknowledged changes are not in it.
    #[error(
        "the store is damaged: it came up with change {commit}, but change {acknowledged} was acknowledged; its files as they \
         were found are in `{copy}`. To go on without the lost changes, remove `{witness}` and start again"
    )]
    Behind {
        /// The last change in it.
        commit: u64,
        /// The last change that was acknowledged.
        acknowledged: u64,
        /// Where the files as they were found are.
        copy: PathBuf,
        /// The witness file.
        witness: PathBuf,
    },
    /// It cannot be read, or not all of it is there.
    #[error("the store is damaged: {what}; its files as they were found are in `{copy}`")]
    Damaged {
        /// What is wrong.
        what: String,
        /// Where the files as they were found are.
        copy: PathBuf,
    },
    /// The engine does not open.
    #[error("store.path: the engine in `{path}` cannot be opened")]
    Engine {
        /// The engine's folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: KvError,
    },
    /// The API keys cannot be read.
    #[error("the store is damaged: its API keys cannot be read: {why}")]
    Keys {
        /// What is wrong.
        why: String,
    },
    /// A thread cannot be started.
    #[error("the store's thread cannot be started")]
    Thread(#[source] io::Error),
}

/// How the engine itself is opened in its folder.
pub(super) type OpenKv = Box<dyn Fn(&Path) -> Result<Box<dyn Kv>, KvError> + Send>;

/// What opening needs.
pub(super) struct Opener {
    pub(super) folder: Folder,
    pub(super) durability: Durability,
    pub(super) engine: &'static str,
    pub(super) open_kv: OpenKv,
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
        let folder = Folder::take(path).map_err(|error| match error {
            FolderError::Locked(pid) => {
                let by = pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
                OpenError::Locked { path: path.to_owned(), by }
            }
            FolderError::Io(path, source) => OpenError::Folder { path, source },
        })?;
        Ok(Self { folder, durability, engine, open_kv })
    }

    /// Opens the engine, or makes it where there is none.
    ///
    /// # Errors
    /// [`OpenError`]; where a copy was made, its name is in it.
    pub(super) fn open(&self) -> Result<Opened, OpenError> {
        let found = self.found()?;
        let has_engine = self.folder.has_engine().map_err(|error| self.unusable(error))?;
        if let Some(testimony) = found.as_ref().filter(|testimony| !has_engine && testimony.commit > 0) {
            let (engine, witness) = (self.folder.engine(), self.witness());
            return Err(OpenError::Missing { engine, witness, commit: testimony.commit });
        }
        let clean = !has_engine || self.is_as_left(found.as_ref())?;
        let copy = if clean { None } else { Some(self.copy_aside()?) };
        let kv = (self.open_kv)(&self.folder.engine()).map_err(|error| self.unopened(error, copy.as_deref()))?;
        self.folder.sync_names().map_err(|error| self.unusable(error))?;
        let commit = self.check_format(&*kv, copy.as_deref())?;
        if let Some(copy) = &copy {
            self.check_whole(&*kv, commit, found.as_ref(), copy)?;
            self.folder.remove_copy().map_err(|error| self.unusable(error))?;
            tracing::info!(commit = commit.commit, "the store is whole; its copy is removed");
        }
        let witness = Witness::begin(&self.folder, FORMAT, self.engine, commit.commit);
        Ok(Opened { kv, commit, witness: witness.map_err(|error| self.unusable(error))? })
    }

    /// What the witness says, if it may be opened at all.
    fn found(&self) -> Result<Option<Testimony>, OpenError> {
        let path = || self.folder.join("");
        match witness::read(&self.folder).map_err(|error| self.unusable(error))? {
            Found::Nothing => Ok(None),
            Found::Damaged(path) => Err(OpenError::Witness { path }),
            Found::Testimony(testimony) if testimony.format > FORMAT => {
                let reader = "that wrote it, or a later one".to_owned();
                Err(OpenError::TooNew { path: path(), format: testimony.format, reader })
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

    fn copy_aside(&self) -> Result<PathBuf, OpenError> {
        let copy = self.folder.copy_aside().map_err(|error| {
            if is_full(&error) {
                let needed = "its files are copied aside before it is checked, and 64 MiB stay free".to_owned();
                OpenError::Full { path: self.folder.join(""), needed }
            } else {
                self.unusable(error)
            }
        })?;
        tracing::info!(copy = %copy.display(), "the engine's files are copied aside");
        Ok(copy)
    }

    fn unopened(&self, error: KvError, copy: Option<&Path>) -> OpenError {
        match copy {
            _ if error.is_full() => {
                let needed = "the engine notes where everything is".to_owned();
                OpenError::Full { path: self.folder.join(""), needed }
            }
            Some(copy) => damaged(crate::telemetry::describe(&error), copy),
            None => OpenError::Engine { path: self.folder.engine(), source: error },
        }
    }

    fn unusable(&self, source: io::Error) -> OpenError {
        let path = self.folder.join("");
        if is_full(&source) {
            let needed = "small files beside the engine's".to_owned();
            return OpenError::Full { path, needed };
        }
        OpenError::Folder { path, source }
    }

    fn witness(&self) -> PathBuf {
        self.folder.join("witness")
    }

    /// Reads what the store is written in; writes it into one that is empty.
    fn check_format(&self, kv: &dyn Kv, copy: Option<&Path>) -> Result<CommitRecord, OpenError> {
        let copy = copy.map_or_else(|| self.folder.engine(), Path::to_owned);
        let engine = |error| self.unopened(error, Some(&copy));
        let record = |error: RecordError| damaged(error.to_string(), &copy);
        let Some(format) = kv.get(key::FORMAT).map_err(engine)? else {
            return self.make(kv, &copy);
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
        let commit = kv.get(key::COMMIT).map_err(engine)?.ok_or(RecordError::Damaged).map_err(record)?;
        migration::decode(&commit).map_err(record)
    }

    fn make(&self, kv: &dyn Kv, copy: &Path) -> Result<CommitRecord, OpenError> {
        let engine = |error| self.unopened(error, Some(copy));
        if count(kv).map_err(engine)? > 0 {
            return Err(damaged("it does not say what format it is in".to_owned(), copy));
        }
        let record = |error: RecordError| damaged(error.to_string(), copy);
        let format = FormatRecord { format: FORMAT, oldest_reader: OLDEST_READER.to_owned() };
        let commit = CommitRecord::default();
        let batch = Batch::from([
            (key::FORMAT.to_vec(), Some(migration::encode(&format).map_err(record)?)),
            (key::COMMIT.to_vec(), Some(migration::encode(&commit).map_err(record)?)),
        ]);
        kv.apply(batch).and_then(|()| kv.sync()).map_err(engine)?;
        Ok(commit)
    }

    /// Compares what came up with what was acknowledged, and reads every page.
    fn check_whole(
        &self,
        kv: &dyn Kv,
        commit: CommitRecord,
        found: Option<&Testimony>,
        copy: &Path,
    ) -> Result<(), OpenError> {
        let acknowledged = found.map_or(0, |testimony| testimony.commit);
        if commit.commit < acknowledged {
            // Not promised: what was acknowledged was in the kernel, and the machine has been started anew since.
            let expected = self.durability == Durability::ProcessCrash
                && found.is_some_and(|testimony| !testimony.is_of_this_boot());
            if !expected {
                let (copy, witness) = (copy.to_owned(), self.witness());
                return Err(OpenError::Behind { commit: commit.commit, acknowledged, copy, witness });
            }
            let lost = acknowledged - commit.commit;
            tracing::error!(
                lost,
                "the machine went down, and with `durability: process_crash` the last changes with it"
            );
        }
        let entries = count(kv).map_err(|error| self.unopened(error, Some(copy)))?;
        if entries != commit.entries {
            return Err(damaged(format!("{entries} of its {} entries are there", commit.entries), copy));
        }
        Ok(())
    }
}

fn damaged(what: String, copy: &Path) -> OpenError {
    OpenError::Damaged { what, copy: copy.to_owned() }
}

/// Reads every entry and counts all but the meta ones.
fn count(kv: &dyn Kv) -> Result<u64, KvError> {
    let mut entries = 0;
    kv.range((Bound::Unbounded, Bound::Unbounded), Direction::Forward, &mut |key, _| {
        entries += u64::from(!key.starts_with(&[migration::m0001_context_sync::kind::META]));
        ControlFlow::Continue(())
    })?;
    Ok(entries)
}
