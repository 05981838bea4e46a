//! Makes a store that can be used of one that cannot, with everything in it that can still be read.
//!
//! sled's log is read without sled, which breaks down over many a damage; of another engine a copy of its files is
//! opened. What is read goes into an engine of its own, where places, index entries and counts are made anew; only when
//! that is whole does it take the place of the files, and those are kept as they were found, with the witness and a list
//! of what is lost. Nothing of this happens by itself.

mod salvage;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::embedded::{OpenError, engine_of};
use super::engine::{Opener, survive};
use super::folder::Folder;
use super::kv::sled::log::Remains;
use super::kv::{Kv, is_full};
use super::migration::m0001_context_sync::CommitRecord;
use super::migration::{FIRST, FORMAT};
use super::transfer::build::Builder;
use super::witness::{self, Found, Testimony, Witness};
use super::{Config, Engine};
use crate::telemetry::describe;
use salvage::{Lost, Salvage, Salvaged};

/// The list of what is lost, in the folder of what was found.
const REPORT: &str = "lost.jsonl";
/// Events that a lost change may have had, and how many numbers are left out for lost changes at the most: a number that a
/// subscriber has seen must not be given to another event.
const EVENTS_OF_A_CHANGE: u64 = 256;
const LEFT_OUT: u64 = 10_000;

/// Why a store was not repaired. It is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// There is nothing to repair.
    #[error("store.path: there are no files of an engine in `{0}`; bring them back")]
    NoStore(PathBuf),
    /// It is in use, or not one for this version or configuration.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Nothing can be read from it.
    #[error(
        "nothing of the store can be read: {why}; its files are as they were found in `{files}`. Bring back a backup"
    )]
    Hopeless {
        /// What the engine says.
        why: String,
        /// The engine's files.
        files: PathBuf,
    },
    /// What was read cannot be put together anew.
    #[error("the store cannot be put together anew: {0}; its files are as they were found")]
    Failed(String),
    /// The store's folder cannot be used.
    #[error("store.path: `{path}` cannot be used")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repaired {
    /// Whether nothing was wrong, and nothing done.
    pub whole: bool,
    /// Records that were kept, by kind.
    pub kept: BTreeMap<String, u64>,
    /// Records, or stretches of them, that are known to be lost.
    pub lost: u64,
    /// Places and index entries that led nowhere, and were left out.
    pub dropped: u64,
    /// Acknowledged changes that are not in it; `null` if what was acknowledged is not known.
    pub lost_changes: Option<u64>,
    /// Where the files are as they were found, and the list of what is lost.
    pub found: Option<PathBuf>,
}

impl fmt::Display for Repaired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.whole {
            return f.write_str("the store is whole: nothing was done");
        }
        let kept: Vec<String> = self.kept.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        writeln!(f, "kept: {}", if kept.is_empty() { "nothing".to_owned() } else { kept.join(", ") })?;
        writeln!(f, "known to be lost: {} records; left out: {} entries that led nowhere", self.lost, self.dropped)?;
        match self.lost_changes {
            Some(0) => {}
            Some(changes) => writeln!(f, "the last {changes} acknowledged changes are not in it")?,
            None => writeln!(f, "what was acknowledged last is not known")?,
        }
        let found = self.found.as_deref().unwrap_or(std::path::Path::new("")).display();
        write!(f, "the files as they were found are in {found}, with {REPORT}, yours to remove")
    }
}

/// Repairs the store of `config`, which nobody may have open. Blocks, for as long as reading and writing all of it takes.
///
/// # Errors
/// [`RepairError`]; the store is then as it was found.
pub fn repair(config: &Config) -> Result<Repaired, RepairError> {
    let nothing = || RepairError::NoStore(config.path.clone());
    if !config.path.is_dir() {
        return Err(nothing());
    }
    let (engine, open_kv) = engine_of(config);
    let mut opener = Opener::new(&config.path, config.durability, engine, open_kv)?;
    opener.oldest = FIRST;
    let folder = &opener.folder;
    let unusable = |source| folder_error(folder, source);
    folder.settle().map_err(unusable)?;
    if !folder.has_engine().map_err(unusable)? {
        return Err(nothing());
    }
    let witness = witness::read(folder).map_err(unusable)?;
    let testimony = match &witness {
        Found::Damaged(_) => None,
        _ => opener.found()?,
    };
    let done = work(&opener, testimony.as_ref(), matches!(witness, Found::Damaged(_)));
    let tidied = folder.drop_copy().and_then(|()| folder.drop_new_engine());
    let done = done?;
    tidied.map_err(unusable)?;
    Ok(done)
}

/// Everything between the copy and its end.
fn work(opener: &Opener, testimony: Option<&Testimony>, unwitnessed: bool) -> Result<Repaired, RepairError> {
    let folder = &opener.folder;
    let unusable = |source| folder_error(folder, source);
    let hopeless = |why: String| RepairError::Hopeless { why, files: folder.engine() };
    let breaks_down = || opener.damaged("its engine breaks down over it");
    let (old, unread) = if opener.engine == Engine::Sled.name() {
        let remains = Remains::read(&folder.engine()).map_err(|error| hopeless(describe(&error)))?;
        if remains.is_empty() {
            return Err(hopeless("its log holds nothing that is whole".to_owned()));
        }
        let unread = remains.damaged();
        (Box::new(remains) as Box<dyn Kv>, unread)
    } else {
        let copy = folder.copy().map_err(unusable)?;
        let tried = survive(breaks_down(), || Ok((opener.open_kv)(&copy)))?;
        (tried.map_err(|error| hopeless(describe(&error)))?, 0)
    };
    let place = folder.new_engine().map_err(unusable)?;
    let new = (opener.open_kv)(&place).map_err(|error| RepairError::Failed(describe(&error)))?;
    let report = tempfile::NamedTempFile::new_in(folder.join("")).map_err(unusable)?;
    let mut lost = Lost::new(report);
    lost.pieces(unread);
    let mut salvage = Salvage::new(&*old, Builder::new(folder, new), lost, &breaks_down);
    salvage.run().map_err(|error| RepairError::Failed(describe(&error)))?;
    let Salvaged { builder, lost, dropped, commit, trimmed, entries, format, counted } = salvage.end();
    drop(old);

    let acknowledged = testimony.map(|testimony| testimony.commit);
    let came_up_with = commit.unwrap_or_default();
    let lost_changes = acknowledged.map(|last| last.saturating_sub(came_up_with.commit));
    let (records, report) = lost.finish().map_err(unusable)?;
    let made = builder.entries() == entries && builder.mended() == 0;
    let agrees = commit.is_some_and(|commit| commit.entries == entries) && made && counted;
    let nothing_lost = records == 0 && dropped == 0 && lost_changes == Some(0) && commit.is_some();
    if agrees && nothing_lost && !unwitnessed && format == Some(FORMAT) {
        return Ok(Repaired { whole: true, ..Repaired::default() });
    }
    let kept = builder.counts().iter().map(|(kind, count)| (kind.as_str().to_owned(), *count)).collect();
    let own = acknowledged.unwrap_or(0).max(came_up_with.commit) + 1;
    let event = came_up_with.event + numbers_to_leave_out(commit, lost_changes);
    let built = builder.finish(own, event, trimmed);
    built.map_err(|error| RepairError::Failed(describe(&error)))?;
    let found = put_in_place(folder, report).map_err(unusable)?;
    let witnessed = Witness::begin(folder, FORMAT, opener.engine, own).and_then(|witness| witness.end(folder));
    witnessed.and_then(|()| folder.hand_over()).map_err(unusable)?;
    Ok(Repaired { whole: false, kept, lost: records, dropped, lost_changes, found: Some(found) })
}

/// How many numbers of events to leave out: those that lost changes may have given to theirs.
fn numbers_to_leave_out(commit: Option<CommitRecord>, lost_changes: Option<u64>) -> u64 {
    match (commit, lost_changes) {
        (Some(_), Some(changes)) => changes.saturating_mul(EVENTS_OF_A_CHANGE).min(LEFT_OUT),
        _ => LEFT_OUT,
    }
}

/// Keeps the files as they were found, and puts the new engine in their place. Ended in the middle, the next start does
/// the rest or begins as if nothing had been done: the old witness knows of no change that the new engine has not.
fn put_in_place(folder: &Folder, mut report: tempfile::NamedTempFile) -> io::Result<PathBuf> {
    folder.drop_copy()?;
    let kept = folder.free_name("damaged")?;
    fs::create_dir(&kept)?;
    folder.copy_beside(&kept)?;
    report.flush()?;
    report.as_file().sync_all()?;
    report.persist(kept.join(REPORT)).map_err(|error| error.error)?;
    folder.swap_new_engine(&kept)?;
    Ok(kept)
}

fn folder_error(folder: &Folder, source: io::Error) -> RepairError {
    let path = folder.join("");
    if is_full(&source) {
        let needed = "its files are copied, and put together anew beside that; 64 MiB stay free".to_owned();
        return OpenError::Full { path, needed }.into();
    }
    RepairError::Folder { path, source }
}
