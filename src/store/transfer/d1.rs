//! The tables of the original: `context_tasks`, `context_files` and `sync_events` (or `file_sync_events`), from a `SQLite`
//! database or from the SQL that `wrangler d1 export` writes.
//!
//! Columns are found by their names, unknown ones are left alone, missing ones are null. Of a dump only what makes and
//! fills these tables is done, in a temporary database, by an engine that is allowed nothing else.

mod dump;
mod row;

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};

use super::merge::{Merged, Rows};
use crate::model::id::ChittyId;
use row::{Row, Table};

/// How every `SQLite` database begins.
const MAGIC: &[u8] = b"SQLite format 3\0";
/// Rows looked at in one go.
const PAGE: usize = 64;
/// More bad rows are only counted.
const MAX_BAD: usize = 100;

/// Why the original's tables cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum D1Error {
    /// The file cannot be read.
    #[error("`{file}` cannot be read")]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A statement of a dump cannot be done.
    #[error("{file}:{line}: {what}")]
    Statement {
        /// The file.
        file: PathBuf,
        /// The line that the statement begins in.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// It is no database, or a damaged one.
    #[error("`{file}` cannot be read as a SQLite database: {what}")]
    Database {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// None of the tables is in it.
    #[error("`{0}` has none of the tables context_tasks, context_files, sync_events and file_sync_events")]
    NoTables(PathBuf),
}

/// A row that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadRow {
    /// Its table.
    pub table: String,
    /// Its rowid.
    pub rowid: i64,
    /// What was found, and what is accepted.
    pub what: String,
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rowid {}: {}", self.table, self.rowid, self.what)
    }
}

/// Rows that cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadRows {
    /// The first hundred.
    pub rows: Vec<BadRow>,
    /// How many there are in all.
    pub count: u64,
}

/// What came of importing the original's tables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct D1Imported {
    /// What became of the rows that could be read.
    #[serde(flatten)]
    pub merged: Merged,
    /// Those that could not, and were skipped.
    pub bad_rows: BadRows,
}

impl fmt::Display for D1Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.merged)?;
        if self.bad_rows.count > 0 {
            write!(f, "\n{} rows were skipped", self.bad_rows.count)?;
        }
        Ok(())
    }
}

/// The original's tables.
pub struct D1 {
    connection: Connection,
    file: PathBuf,
    tables: Vec<Table>,
    /// Whose each session is, as far as tasks and files say; `None` = of several.
    owners: HashMap<String, Option<ChittyId>>,
    /// Whose rows are that say nothing of it.
    usual: Option<ChittyId>,
}

impl D1 {
    /// Opens a database, or reads a dump. `usual` has the rows that do not say whose they are and whose session does not
    /// either. Blocks.
    ///
    /// # Errors
    /// [`D1Error`].
    pub fn open(file: &Path, usual: Option<ChittyId>) -> Result<Self, D1Error> {
        let unreadable = |source| D1Error::File { file: file.to_owned(), source };
        let mut begin = Vec::new();
        let mut opened = File::open(file).map_err(unreadable)?;
        opened.by_ref().take(MAGIC.len() as u64).read_to_end(&mut begin).map_err(unreadable)?;
        let connection = if begin == MAGIC {
            Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
                .map_err(|error| D1Error::Database { file: file.to_owned(), what: error.to_string() })?
        } else {
            dump::load(file)?
        };
        let mut d1 = Self { connection, file: file.to_owned(), tables: Vec::new(), owners: HashMap::new(), usual };
        d1.tables = row::tables(&d1.connection).map_err(|error| d1.broken(&error))?;
        if d1.tables.is_empty() {
            return Err(D1Error::NoTables(file.to_owned()));
        }
        d1.owners = row::owners(&d1.connection, &d1.tables).map_err(|error| d1.broken(&error))?;
        Ok(d1)
    }

    /// Reads every row.
    ///
    /// # Errors
    /// [`D1Error`].
    pub fn check(&mut self) -> Result<BadRows, D1Error> {
        let mut bad = BadRows::default();
        let mut position = Position::default();
        while self.next(&mut position, &mut |found| bad.note(found))?.is_some() {}
        Ok(bad)
    }

    /// The next rows that can be read; `None` = there are no more.
    ///
    /// # Errors
    /// [`D1Error`].
    pub fn rows(&mut self, position: &mut Position) -> Result<Option<Rows>, D1Error> {
        self.next(position, &mut |_| {})
    }

    fn next(&self, position: &mut Position, bad: &mut dyn FnMut(BadRow)) -> Result<Option<Rows>, D1Error> {
        let mut rows = Rows::default();
        while !rows.is_full() {
            let Some(table) = self.tables.get(position.table) else {
                return Ok(if rows.is_empty() { None } else { Some(rows) });
            };
            let page = row::page(&self.connection, table, position.after, PAGE).map_err(|error| self.broken(&error))?;
            if page.is_empty() {
                *position = Position { table: position.table + 1, after: i64::MIN };
            }
            for row in page {
                position.after = row.rowid;
                let read = self.record(table, &row).and_then(|record| rows.push(record));
                if let Err(what) = read {
                    bad(BadRow { table: table.name.clone(), rowid: row.rowid, what });
                }
                if rows.is_full() {
                    break;
                }
            }
        }
        Ok(Some(rows))
    }

    fn record(&self, table: &Table, row: &Row) -> Result<crate::store::record::Record, String> {
        row.record(table.kind, |session| {
            let known = self.owners.get(session).cloned().flatten();
            known.or_else(|| self.usual.clone())
        })
    }

    fn broken(&self, error: &rusqlite::Error) -> D1Error {
        D1Error::Database { file: self.file.clone(), what: error.to_string() }
    }
}

impl BadRows {
    fn note(&mut self, row: BadRow) {
        self.count += 1;
        if self.rows.len() < MAX_BAD {
            self.rows.push(row);
        }
    }
}

/// Where in the tables a reader is.
#[derive(Clone, Copy, Debug)]
pub struct Position {
    table: usize,
    after: i64,
}

impl Default for Position {
    fn default() -> Self {
        Self { table: 0, after: i64::MIN }
    }
}
