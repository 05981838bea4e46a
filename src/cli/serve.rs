//! `serve`: run the gateway.

use std::path::PathBuf;

use super::{logging, output};
use crate::app::{self, Hooks};
use crate::config::{self, Config};

pub(super) fn run(file: Option<PathBuf>) -> Result<(), String> {
    let file = config::find(file).map_err(|error| error.to_string())?;
    let config = Config::load(&file).map_err(|error| error.to_string())?;
    logging::start(&config.telemetry);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    app::run(&config, file, Hooks::default()).map_err(|error| output::chain(&error))
}
