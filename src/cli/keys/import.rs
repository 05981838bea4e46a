//! `keys import`: keys of the original.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Serialize;

use super::IN_THE_STORE;
use crate::app::offline;
use crate::auth::key::import::{ImportWords, Imported, KeyFile, Note, read};
use crate::cli::ask::{Asked, Question, ask};
use crate::cli::{Configured, Format, output};

/// Keys in one question to the daemon: few enough that each is answered soon, whatever the disk.
const BATCH: usize = 500;
/// Largest file, in bytes: half a million records, and more than the original ever kept.
const MAX_FILE: u64 = 256 << 20;

/// What became of a file.
#[derive(Debug, Serialize)]
struct ImportReport {
    /// Whether nothing was done.
    dry_run: bool,
    /// Records in it.
    records: usize,
    /// Keys that are kept now.
    added: usize,
    /// Keys that were there already, or more than once in the file.
    there: usize,
    /// Records that are no keys.
    skipped: usize,
    refused: Vec<Note>,
    warnings: Vec<Note>,
}

pub(super) fn run(path: &Path, dry_run: bool, configured: &Configured, format: Format) -> Result<(), String> {
    let named = |error: &dyn fmt::Display| format!("{}: {error}", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| named(&error))?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| named(&error))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(named(&format!("larger than {MAX_FILE} bytes; accepted: the records in several files")));
    }
    let read = read(&bytes).map_err(|error| named(&error))?;
    let imported = import(read.keys.clone(), dry_run, configured)?;
    let KeyFile { records, repeated, skipped, refused, warnings, .. } = read;
    let Imported { added, there } = imported;
    let report = ImportReport { dry_run, records, added, there: there + repeated, skipped, refused, warnings };
    output::facts(&report, format)?;
    match report.refused.len() {
        0 => Ok(()),
        refused => Err(named(&format!("{refused} of {records} records are refused; the others are as said above"))),
    }
}

fn import(
    keys: Vec<crate::auth::key::import::OldKey>,
    dry_run: bool,
    configured: &Configured,
) -> Result<Imported, String> {
    let (file, config) = configured.load()?;
    let sockets = Configured::sockets(&file, &config);
    let mut sum = Imported::default();
    // An empty one, too, so that a daemon or a store that cannot be used is told of.
    let mut rest = keys;
    loop {
        let later = rest.split_off(rest.len().min(BATCH));
        let words = ImportWords { dry_run, keys: rest };
        let body = serde_json::to_vec(&words).map_err(|error| error.to_string())?;
        match ask::<Imported>(&sockets, &Question::Post("/keys/import", body), IN_THE_STORE)? {
            Asked::Answer(batch) => sum = sum + batch,
            Asked::NoDaemon => {
                let words = ImportWords { keys: words.keys.into_iter().chain(later).collect(), ..words };
                let rest = offline::import_keys(&config, words).map_err(|error| output::chain(&error))?;
                return Ok(sum + rest);
            }
        }
        if later.is_empty() {
            return Ok(sum);
        }
        rest = later;
    }
}

impl fmt::Display for ImportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for note in &self.warnings {
            writeln!(f, "record {}: {}", note.index, note.message)?;
        }
        for note in &self.refused {
            writeln!(f, "record {} is refused: {}", note.index, note.message)?;
        }
        let added = if self.dry_run { "would be added" } else { "added" };
        write!(f, "{} records: {} {added}, {} there already, ", self.records, self.added, self.there)?;
        writeln!(f, "{} refused, {} no keys", self.refused.len(), self.skipped)
    }
}
