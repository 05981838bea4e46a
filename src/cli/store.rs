//! `store export|import|verify|repair|compact`: by the running daemon where that can be, else in the store itself.

mod transfer;

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

use super::ask::{Asked, Question, ask};
use super::{Configured, Format, Output, output};
use crate::app::offline::upkeep;
use crate::store::embedded::OpenError;
use crate::store::repair::{RepairError, repair};
use crate::store::upkeep::{Compacted, Verified};

/// What is done when no daemon answers.
const IN_THE_STORE: &str = "the store itself is opened";

#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// Write everything in the store as JSON Lines
    Export {
        /// Where to; default, and -: standard output
        file: Option<PathBuf>,
        #[command(flatten)]
        configured: Configured,
        #[command(flatten)]
        output: Output,
    },
    /// Make the store, which must be empty, of an export; or add the original's tables to it
    Import {
        /// The export; -: standard input. With --from d1: a database file, or what `wrangler d1 export` writes
        file: PathBuf,
        /// What the file is, if no export
        #[arg(long, value_enum)]
        from: Option<From>,
        /// Whose the rows of the original's tables are that do not say it
        #[arg(long, value_name = "ID", requires = "from")]
        chitty_id: Option<String>,
        /// Leave out rows of the original's tables that cannot be read
        #[arg(long, requires = "from")]
        skip_bad_rows: bool,
        #[command(flatten)]
        configured: Configured,
        #[command(flatten)]
        output: Output,
    },
    /// Read everything in the store, and check that it agrees; exit code 1 if it does not
    Verify {
        #[command(flatten)]
        configured: Configured,
        #[command(flatten)]
        output: Output,
    },
    /// Put a damaged store together anew of what can be read, and keep its files as they were found
    Repair {
        #[command(flatten)]
        configured: Configured,
        #[command(flatten)]
        output: Output,
    },
    /// Have the engine give back the room that it does not need
    Compact {
        #[command(flatten)]
        configured: Configured,
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum From {
    /// The original's tables of tasks, files and sync events
    D1,
}

pub(super) fn run(command: StoreCommand) -> Result<(), String> {
    match command {
        StoreCommand::Export { file, configured, output } => {
            transfer::export(file.as_deref(), &configured, output.format)
        }
        StoreCommand::Import { file, from: None, configured, output, .. } => {
            transfer::import(&file, &configured, output.format)
        }
        StoreCommand::Import { file, from: Some(From::D1), chitty_id, skip_bad_rows, configured, output } => {
            transfer::import_d1(&file, chitty_id.as_deref(), skip_bad_rows, &configured, output.format)
        }
        StoreCommand::Verify { configured, output } => verify(&configured, output.format),
        StoreCommand::Repair { configured, output } => mend(&configured, output.format),
        StoreCommand::Compact { configured, output } => compact(&configured, output.format),
    }
}

fn verify(configured: &Configured, format: Format) -> Result<(), String> {
    let (file, config) = configured.load()?;
    let sockets = Configured::sockets(&file, &config);
    let verified = match ask::<Verified>(&sockets, &Question::Work("/store/verify"), IN_THE_STORE)? {
        Asked::Answer(verified) => verified,
        Asked::NoDaemon => upkeep::verify(&config).map_err(|error| output::chain(&error))?,
    };
    output::facts(&verified, format)?;
    if verified.whole {
        return Ok(());
    }
    Err(if verified.records_whole {
        "contents and files do not agree; docs/STORE.md says what to do (\"Files\")".to_owned()
    } else {
        "the store is damaged; `store repair` puts it together anew of what can be read".to_owned()
    })
}

fn compact(configured: &Configured, format: Format) -> Result<(), String> {
    let (file, config) = configured.load()?;
    let sockets = Configured::sockets(&file, &config);
    let compacted = match ask::<Compacted>(&sockets, &Question::Work("/store/compact"), IN_THE_STORE)? {
        Asked::Answer(compacted) => compacted,
        Asked::NoDaemon => upkeep::compact(&config).map_err(|error| output::chain(&error))?,
    };
    output::facts(&compacted, format)
}

fn mend(configured: &Configured, format: Format) -> Result<(), String> {
    let (_, config) = configured.load()?;
    let repaired = repair(&config.store).map_err(|error| match error {
        RepairError::Open(error) => alone("store repair", &error),
        error => output::chain(&error),
    })?;
    output::facts(&repaired, format)
}

/// The message of an error that stood in the way of a command which needs the store to itself.
pub(super) fn alone(command: &str, error: &OpenError) -> String {
    let message = output::chain(error);
    match error {
        OpenError::Locked { .. } => format!("{message}: stop that one first, `{command}` needs the store to itself"),
        _ => message,
    }
}
