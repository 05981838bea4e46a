//! `routes`: the table with its provenance; from the running daemon, else as it would be.

use super::ask::{Asked, CONFIGURED, Question, ask};
use super::{Configured, Format, output};
use crate::app::offline::Offline;
use crate::registry::report::RoutesReport;

pub(super) fn run(configured: &Configured, format: Format) -> Result<(), String> {
    let (file, config) = configured.load()?;
    let report = match ask::<RoutesReport>(&Configured::sockets(&file, &config), &Question::Get("/routes"), CONFIGURED)?
    {
        Asked::Answer(report) => report,
        Asked::NoDaemon => Offline::build(&config).map_err(|error| output::chain(&error))?.routes(),
    };
    output::facts(&report, format)
}
