//! A store made of lines: in an engine of its own, which takes its place only when the last line has been read and all of
//! them were right. Until then nothing that was there is touched.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead};

use serde::{Deserialize, Serialize};

use super::build::{BuildError, Builder};
use super::line::{Header, Line, parse};
use super::merge::MAX_LINE;
use crate::store::Config;
use crate::store::embedded::{OpenError, engine_of};
use crate::store::engine::{Opened, Opener, count};
use crate::store::migration::FORMAT;
use crate::store::witness::Witness;
use crate::telemetry::describe;

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The store cannot be opened, or is in use.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is something in it.
    #[error("the store has {0} entries; accepted: an empty one, for an import makes a store and does not add to one")]
    NotEmpty(u64),
    /// A line is not what it should be.
    #[error("{file}:{line}: {what}; nothing was imported")]
    Line {
        /// What the lines come from.
        file: String,
        /// Which line, from 1.
        line: u64,
        /// What was found, and what is accepted.
        what: String,
    },
    /// The file or the store's folder cannot be used.
    #[error("{what}; nothing was imported")]
    Io {
        /// What cannot be used, for what.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The engine, or its disk, failed.
    #[error("{0}; nothing was imported")]
    Engine(String),
}

/// What was imported.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Records.
    pub records: u64,
    /// The same by kind.
    pub counts: BTreeMap<String, u64>,
}

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} records imported", self.records)?;
        let mut counts = self.counts.iter().map(|(kind, count)| format!("{count} {kind}")).peekable();
        if counts.peek().is_some() { write!(f, ": {}", counts.collect::<Vec<_>>().join(", ")) } else { Ok(()) }
    }
}

/// Makes the store of `config` of the lines of `input`, which messages call `file`. It must be empty, and nobody may have
/// it open. Blocks.
///
/// # Errors
/// [`ImportError`]: then the store is as it was.
pub fn import(config: &Config, input: &mut dyn BufRead, file: &str) -> Result<Imported, ImportError> {
    let (engine, open_kv) = engine_of(config);
    let opener = Opener::new(&config.path, config.durability, engine, open_kv)?;
    let commit = see_that_it_is_empty(&opener)? + 1;
    let folder = &opener.folder;
    let unusable = |source| ImportError::Io { what: format!("store.path: `{}`", config.path.display()), source };
    let place = folder.new_engine().map_err(unusable)?;
    let built = (opener.open_kv)(&place)
        .map_err(|error| ImportError::Engine(describe(&error)))
        .and_then(|kv| build(Builder::new(folder, kv), &mut Lines::new(input, file), commit));
    match built {
        Ok(imported) => {
            folder.take_new_engine().map_err(unusable)?;
            let witness = Witness::begin(folder, FORMAT, engine, commit).map_err(unusable)?;
            witness.end(folder).and_then(|()| folder.hand_over()).map_err(unusable)?;
            Ok(imported)
        }
        Err(error) => {
            folder.drop_new_engine().map_err(unusable)?;
            Err(error)
        }
    }
}

/// Opens what is there, if anything is, and closes it again. The last change that was acknowledged.
fn see_that_it_is_empty(opener: &Opener) -> Result<u64, ImportError> {
    let Opened { kv, commit, witness } = opener.open()?;
    let entries = count(&*kv).map_err(|error| ImportError::Engine(describe(&error)))?;
    drop(kv);
    let closed = witness.end(&opener.folder);
    closed.map_err(|source| ImportError::Io { what: "the witness cannot be written".to_owned(), source })?;
    if entries == 0 { Ok(commit.commit) } else { Err(ImportError::NotEmpty(entries)) }
}

fn build(mut builder: Builder<'_>, lines: &mut Lines<'_>, commit: u64) -> Result<Imported, ImportError> {
    let header = match lines.next()? {
        Some(Line::Header(header)) => header,
        Some(_) => return Err(lines.wrong("found a record; accepted: the header that `store export` begins with")),
        None => return Err(lines.wrong("found nothing; accepted: what `store export` writes")),
    };
    loop {
        match lines.next()? {
            Some(Line::Record(record)) => match builder.add(&record) {
                Ok(()) => {}
                Err(error) if error.is_of_record() => {
                    return Err(lines.wrong(&format!("found a {} that cannot be kept: {error}", record.kind())));
                }
                Err(error) => return Err(engine(&error)),
            },
            Some(Line::Header(_)) => return Err(lines.wrong("found a second header; accepted: one export a file")),
            Some(Line::End(end)) => {
                let imported = Imported { records: end.records, counts: end.counts };
                return finish(builder, lines, &header, commit, imported);
            }
            None => {
                return Err(lines.wrong(
                    "found the end of the file; accepted: the closing line of `store export`, without which the file \
                     was cut",
                ));
            }
        }
    }
}

fn finish(
    builder: Builder<'_>,
    lines: &mut Lines<'_>,
    header: &Header,
    commit: u64,
    imported: Imported,
) -> Result<Imported, ImportError> {
    let found: BTreeMap<String, u64> =
        builder.counts().iter().map(|(kind, count)| (kind.as_str().to_owned(), *count)).collect();
    if found != imported.counts || imported.records != found.values().sum::<u64>() {
        let counted = &imported.counts;
        let what = format!("found {found:?} before it; accepted: what the closing line counts, {counted:?}");
        return Err(lines.wrong(&what));
    }
    if lines.next()?.is_some() {
        return Err(lines.wrong("found a line behind the closing one; accepted: nothing"));
    }
    builder.finish(commit, header.event, header.trimmed).map_err(|error| engine(&error))?;
    Ok(imported)
}

fn engine(error: &BuildError) -> ImportError {
    ImportError::Engine(describe(error))
}

/// Lines, with their numbers.
struct Lines<'a> {
    input: &'a mut dyn BufRead,
    file: &'a str,
    number: u64,
    line: Vec<u8>,
}

impl<'a> Lines<'a> {
    fn new(input: &'a mut dyn BufRead, file: &'a str) -> Self {
        Self { input, file, number: 0, line: Vec::new() }
    }

    /// The next line that is not empty.
    fn next(&mut self) -> Result<Option<Line>, ImportError> {
        loop {
            self.line.clear();
            self.number += 1;
            if !self.fill()? {
                return Ok(None);
            }
            let line = self.line.trim_ascii();
            if !line.is_empty() {
                return parse(line).map(Some).map_err(|what| self.wrong(&what));
            }
        }
    }

    /// Reads up to the end of a line. Whether there was anything.
    fn fill(&mut self) -> Result<bool, ImportError> {
        let mut limited = io::Read::take(&mut *self.input, MAX_LINE as u64 + 1);
        let read = limited.read_until(b'\n', &mut self.line);
        match read {
            Ok(_) if self.line.len() > MAX_LINE => {
                Err(self.wrong(&format!("found a line of more than {MAX_LINE} bytes; accepted: up to that")))
            }
            Ok(read) => Ok(read > 0),
            Err(source) => Err(ImportError::Io { what: format!("{}:{}", self.file, self.number), source }),
        }
    }

    fn wrong(&self, what: &str) -> ImportError {
        ImportError::Line { file: self.file.to_owned(), line: self.number, what: what.to_owned() }
    }
}
