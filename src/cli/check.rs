//! `check`: read the configuration as `serve` would, and say what is wrong with it.

use super::{Configured, output};

pub(super) fn run(configured: &Configured) -> Result<(), String> {
    let (file, config) = configured.load()?;
    for warning in &config.warnings {
        output::complain(&format!("warning: {warning}"));
    }
    let sources = config.registry.sources.len();
    let unread = if sources == 0 { String::new() } else { "; `routes` shows what its sources say".to_owned() };
    output::print(&format!("{}: ok{unread}", file.display()));
    Ok(())
}
