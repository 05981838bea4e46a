//! Brings a store of an older format up to date: a backup first, then every step in one durable batch, then the witness.
//!
//! It can end anywhere: until the batch is on the disk the store is as it was, and then it is up to date, whatever the
//! witness says; migrating once more sees to that.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Config;
use super::embedded::{OpenError, engine_of};
use super::engine::{Opener, locked};
use super::folder::{Folder, remove_if_there};
use super::key;
use super::kv::{Batch, Kv};
use super::migration::m0001_context_sync::{CommitRecord, FormatRecord};
use super::migration::{FIRST, FORMAT, OLDEST_READER, RecordError, decode, encode, steps_from};
use super::witness::{self, Found, Witness};
use crate::telemetry::describe;

/// Why a store was not migrated.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// There is none.
    #[error("store.path: there is no store in `{0}`; `serve` makes one")]
    NoStore(PathBuf),
    /// It cannot be opened, or is in use.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// No backup can be made, so nothing was done.
    #[error("no backup of `{path}` can be made, so nothing was done")]
    Backup {
        /// The store's folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It failed at its last step.
    #[error("the store could not be brought up to date: {what}; the backup is in `{backup}`")]
    Failed {
        /// What happened.
        what: String,
        /// The backup.
        backup: PathBuf,
    },
}

/// What was done, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migrated {
    /// The store's folder.
    pub store: PathBuf,
    /// The format it was found in; `null` if that is not known without opening it.
    pub from: Option<u8>,
    /// The format of this version.
    pub to: u8,
    /// The steps, in order; none if it is up to date.
    pub steps: Vec<String>,
    /// Where the backup is; `null` if none was needed or made.
    pub backup: Option<PathBuf>,
    /// Whether nothing was done, for only that was asked.
    pub dry_run: bool,
}

impl fmt::Display for Migrated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (store, to) = (self.store.display(), self.to);
        let Some(from) = self.from else {
            return write!(
                f,
                "{store}: has no witness, so its format is known only once it is opened: `migrate` does that"
            );
        };
        if from == to {
            return write!(f, "{store}: is in format {to}, and up to date");
        }
        let would = if self.dry_run { "would be brought" } else { "was brought" };
        write!(f, "{store}: {would} from format {from} to {to}")?;
        for step in &self.steps {
            write!(f, "\n  {step}")?;
        }
        match &self.backup {
            Some(backup) => write!(f, "\nthe store as it was is in {}, yours to remove", backup.display()),
            None => f.write_str("\na backup would be made first, beside its files; nothing was done"),
        }
    }
}

/// Brings the store of `config` up to date; with `dry_run` says what that would do, and changes nothing. Nobody may have
/// the store open. Blocks.
///
/// # Errors
/// [`MigrateError`]; the store is then as it was, or up to date, or can be migrated again.
pub fn migrate(config: &Config, dry_run: bool) -> Result<Migrated, MigrateError> {
    if !config.path.is_dir() {
        return Err(MigrateError::NoStore(config.path.clone()));
    }
    if dry_run {
        return look(config);
    }
    let (engine, open_kv) = engine_of(config);
    let mut opener = Opener::new(&config.path, config.durability, engine, open_kv)?;
    opener.oldest = FIRST;
    let folder = &opener.folder;
    let unusable = |source| MigrateError::Open(opener.unusable(source));
    folder.settle().map_err(unusable)?;
    let known = opener.found()?.map(|testimony| testimony.format);
    if !folder.has_engine().map_err(unusable)? {
        return Err(MigrateError::NoStore(config.path.clone()));
    }
    if known == Some(FORMAT) {
        return Ok(outcome(config, known, None, false));
    }
    let prefix = known.map_or_else(|| "backup".to_owned(), |format| format!("backup-format-{format}"));
    let backup =
        folder.back_up(&prefix).map_err(|source| MigrateError::Backup { path: config.path.clone(), source })?;
    let (kv, commit) = match opener.open_unwitnessed() {
        Ok(both) => both,
        Err(error) => {
            // It was not touched, so it is its own backup.
            remove_if_there(&backup).map_err(unusable)?;
            return Err(error.into());
        }
    };
    let failed = |what: String| MigrateError::Failed { what, backup: backup.clone() };
    let from = format_of(&*kv).map_err(failed)?;
    let commit = if from == FORMAT { commit.commit } else { bring_up_to_date(&*kv, commit).map_err(failed)? };
    drop(kv);
    let witnessed = Witness::begin(folder, FORMAT, engine, commit).and_then(|witness| witness.end(folder));
    witnessed.and_then(|()| folder.hand_over()).map_err(|error| failed(describe(&error)))?;
    // One that a process before brought so far had its backup from that one, or was up to date all the time.
    let needed = known.unwrap_or(from) < FORMAT;
    if !needed {
        remove_if_there(&backup).map_err(unusable)?;
    }
    Ok(outcome(config, known.or(Some(from)), needed.then_some(backup), false))
}

/// What migrating would do.
fn look(config: &Config) -> Result<Migrated, MigrateError> {
    let folder = Folder::look_at(&config.path).map_err(|error| locked(&config.path, error))?;
    let unusable = |source| OpenError::Folder { path: config.path.clone(), source };
    let (engine, _) = engine_of(config);
    match witness::read(&folder).map_err(unusable)? {
        Found::Damaged(path) => Err(OpenError::Witness { path }.into()),
        Found::Testimony(testimony) if testimony.format > FORMAT => {
            let (path, reader) = (config.path.clone(), "that wrote it, or a later one".to_owned());
            Err(OpenError::TooNew { path, format: testimony.format, reader }.into())
        }
        Found::Testimony(testimony) if testimony.engine != engine => {
            Err(OpenError::OtherEngine { path: config.path.clone(), found: testimony.engine }.into())
        }
        Found::Testimony(testimony) => Ok(outcome(config, Some(testimony.format), None, true)),
        Found::Nothing if folder.has_engine().map_err(unusable)? => Ok(outcome(config, None, None, true)),
        Found::Nothing => Err(MigrateError::NoStore(config.path.clone())),
    }
}

fn outcome(config: &Config, from: Option<u8>, backup: Option<PathBuf>, dry_run: bool) -> Migrated {
    // What a person is shown is the way there from anywhere.
    let store = fs::canonicalize(&config.path).unwrap_or_else(|_| config.path.clone());
    let steps = steps_from(from.unwrap_or(FORMAT)).map(|step| step.what.to_owned()).collect();
    Migrated { store, from, to: FORMAT, steps, backup, dry_run }
}

fn format_of(kv: &dyn Kv) -> Result<u8, String> {
    let format = kv.get(key::FORMAT).map_err(|error| describe(&error))?;
    let format: Result<FormatRecord, RecordError> =
        format.ok_or(RecordError::Damaged).and_then(|format| decode(&format));
    format.map(|format| format.format).map_err(|error| error.to_string())
}

/// All steps in one batch. The number of the change that it is.
fn bring_up_to_date(kv: &dyn Kv, commit: CommitRecord) -> Result<u64, String> {
    let format = FormatRecord { format: FORMAT, oldest_reader: OLDEST_READER.to_owned() };
    let commit = CommitRecord { commit: commit.commit + 1, ..commit };
    let encoded = encode(&format).and_then(|format| Ok((format, encode(&commit)?)));
    let (format, record) = encoded.map_err(|error| error.to_string())?;
    let batch = Batch::from([(key::FORMAT.to_vec(), Some(format)), (key::COMMIT.to_vec(), Some(record))]);
    kv.apply(batch).and_then(|()| kv.sync()).map_err(|error| describe(&error))?;
    Ok(commit.commit)
}
