//! `routes`: the table with its provenance; from the running daemon, else as it would be.

use std::path::PathBuf;

use super::ask::{Asked, ask};
use super::{Format, output};
use crate::app::offline::Offline;
use crate::config::{self, Config};
use crate::registry::report::RoutesReport;

pub(super) fn run(file: Option<PathBuf>, format: Format) -> Result<(), String> {
    let file = config::find(file).map_err(|error| error.to_string())?;
    let config = Config::load(&file).map_err(|error| error.to_string())?;
    let report = match ask::<RoutesReport>(&config.daemon.socket, "/routes")? {
        Asked::Answer(report) => report,
        Asked::NoDaemon => Offline::build(&config).map_err(|error| output::chain(&error))?.routes(),
    };
    output::facts(&report, format)
}
