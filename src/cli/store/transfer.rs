//! Exports, and what is imported.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{IN_THE_STORE, alone};
use crate::app::offline::upkeep;
use crate::cli::ask::Asked;
use crate::cli::ask::stream::{download, upload};
use crate::cli::{Configured, Format, output};
use crate::config::Config;
use crate::model::id::ChittyId;
use crate::store::transfer::d1::{BadRows, D1, D1Imported, Position};
use crate::store::transfer::import::{self, ImportError};
use crate::store::transfer::merge::Merged;

/// Standard output, or input.
const STANDARD: &str = "-";

#[derive(Serialize)]
struct Exported {
    file: PathBuf,
    records: u64,
}

impl fmt::Display for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} records are in {}", self.records, self.file.display())
    }
}

pub(super) fn export(file: Option<&Path>, configured: &Configured, format: Format) -> Result<(), String> {
    let (configuration, config) = configured.load()?;
    let Some(file) = file.filter(|file| *file != Path::new(STANDARD)) else {
        let mut out = Lines::new(BufWriter::new(io::stdout().lock()));
        return write(&configuration, &config, &mut out);
    };
    // Whoever reads the file has a whole export, or the one that was there before.
    let failed = |error: io::Error| format!("{}: {error}", file.display());
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let new = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    let mut out = Lines::new(BufWriter::new(new));
    write(&configuration, &config, &mut out)?;
    let records = out.count.saturating_sub(2);
    let new = out.to.into_inner().map_err(|error| failed(error.into_error()))?;
    new.as_file().sync_all().map_err(failed)?;
    new.persist(file).map_err(|error| failed(error.error))?;
    output::facts(&Exported { file: file.to_owned(), records }, format)
}

fn write<W: Write>(configuration: &Path, config: &Config, out: &mut Lines<W>) -> Result<(), String> {
    let sockets = Configured::sockets(configuration, config);
    if let Asked::NoDaemon = download(&sockets, "/store/export", IN_THE_STORE, out)? {
        upkeep::export(config, out).map_err(|error| output::chain(&error))?;
    }
    out.flush().map_err(|error| format!("the export cannot be written: {error}"))?;
    if out.is_whole() { Ok(()) } else { Err("the export broke off; the daemon's log says why".to_owned()) }
}

/// Counts lines on their way, and knows the last one.
struct Lines<W> {
    to: W,
    count: u64,
    last: Vec<u8>,
}

impl<W: Write> Lines<W> {
    fn new(to: W) -> Self {
        Self { to, count: 0, last: Vec::new() }
    }

    /// Whether the last line is the closing one.
    fn is_whole(&self) -> bool {
        self.last.starts_with(b"{\"kind\":\"end\"") && self.last.ends_with(b"\n")
    }
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        for piece in bytes[..written].split_inclusive(|byte| *byte == b'\n') {
            if self.last.ends_with(b"\n") {
                self.last.clear();
            }
            self.last.extend_from_slice(piece);
            self.count += u64::from(piece.ends_with(b"\n"));
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

pub(super) fn import(file: &Path, configured: &Configured, format: Format) -> Result<(), String> {
    let (_, config) = configured.load()?;
    let (mut input, name): (Box<dyn BufRead>, String) = if file == Path::new(STANDARD) {
        (Box::new(BufReader::new(io::stdin())), "standard input".to_owned())
    } else {
        let opened = File::open(file).map_err(|error| format!("{}: {error}", file.display()))?;
        (Box::new(BufReader::new(opened)), file.display().to_string())
    };
    let imported = import::import(&config.store, &mut *input, &name).map_err(|error| match error {
        ImportError::Open(error) => alone("store import", &error),
        error => output::chain(&error),
    })?;
    output::facts(&imported, format)
}

pub(super) fn import_d1(
    file: &Path,
    chitty_id: Option<&str>,
    skip_bad_rows: bool,
    configured: &Configured,
    format: Format,
) -> Result<(), String> {
    let usual = chitty_id.map(str::parse::<ChittyId>).transpose().map_err(|error| format!("--chitty-id: {error}"))?;
    let (configuration, config) = configured.load()?;
    let mut d1 = D1::open(file, usual).map_err(|error| output::chain(&error))?;
    let bad_rows = d1.check().map_err(|error| output::chain(&error))?;
    if bad_rows.count > 0 {
        output::complain(&listed(&bad_rows));
        if !skip_bad_rows {
            let count = bad_rows.count;
            return Err(format!(
                "{}: {count} rows cannot be read; nothing was imported. --skip-bad-rows leaves them out",
                file.display()
            ));
        }
    }
    let sockets = Configured::sockets(&configuration, &config);
    let mut position = Position::default();
    let pieces = || match d1.rows(&mut position) {
        Ok(Some(rows)) => rows.lines().map(Some),
        Ok(None) => Ok(None),
        Err(error) => Err(output::chain(&error)),
    };
    let merged = match upload::<Merged>(&sockets, "/store/rows", IN_THE_STORE, pieces)? {
        Asked::Answer(merged) => merged,
        Asked::NoDaemon => upkeep::merge(&config, &mut d1).map_err(|error| output::chain(&error))?,
    };
    output::facts(&D1Imported { merged, bad_rows }, format)
}

fn listed(bad: &BadRows) -> String {
    let mut lines: Vec<String> = bad.rows.iter().map(ToString::to_string).collect();
    let more = bad.count.saturating_sub(bad.rows.len() as u64);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines.join("\n")
}
