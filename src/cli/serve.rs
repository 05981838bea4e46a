//! `serve`: run the gateway.

use super::{Configured, logging, output};
use crate::app::{self, Hooks};

pub(super) fn run(configured: &Configured) -> Result<(), String> {
    let (file, config) = configured.load()?;
    logging::start(&config.telemetry);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    app::run(&config, file, Hooks::default()).map_err(|error| output::chain(&error))
}
