//! `serve`: run the gateway.

use super::{Configured, logging, output};
use crate::app::{self, Hooks};

pub(super) fn run(configured: &Configured) -> Result<(), String> {
    let (file, config) = configured.load()?;
    let log = logging::start(&config.telemetry);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let hooks = Hooks { last: Some(Box::new(move || drop(log))), ..Hooks::default() };
    app::run(&config, file, hooks).map_err(|error| output::chain(&error))
}
