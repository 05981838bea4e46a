//! `check`: read the configuration as `serve` would, and say what is wrong with it.

use super::{Configured, output};

pub(super) fn run(configured: &Configured) -> Result<(), String> {
    let (file, config) = configured.load()?;
    for warning in &config.warnings {
        output::complain(&format!("warning: {warning}"));
    }
    output::print(&format!("{}: ok", file.display()));
    Ok(())
}
