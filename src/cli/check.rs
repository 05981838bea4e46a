//! `check`: read the configuration as `serve` would, and say what is wrong with it.

use std::path::PathBuf;

use super::output;
use crate::config::{self, Config};

pub(super) fn run(file: Option<PathBuf>) -> Result<(), String> {
    let file = config::find(file).map_err(|error| error.to_string())?;
    let config = Config::load(&file).map_err(|error| error.to_string())?;
    for warning in &config.warnings {
        output::complain(&format!("warning: {warning}"));
    }
    output::print(&format!("{}: ok", file.display()));
    Ok(())
}
