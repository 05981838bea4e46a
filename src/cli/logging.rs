//! The structured log of the process, on standard error.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

use crate::telemetry::{Config, Format};

/// Starts it. Libraries speak from `warn` on, Pingora's own from `error` on: what it warns of is logged by the gateway
/// with the request's id.
pub(super) fn start(config: &Config) {
    let level = config.level.as_str().to_ascii_lowercase();
    let filter =
        EnvFilter::new(format!("warn,pingora=error,pingora_core=error,pingora_proxy=error,chittyconnect={level}"));
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_ansi(stderr().is_terminal());
    // Fails only if a log was started before, which then goes on.
    match config.format {
        Format::Json => builder.json().flatten_event(true).try_init().ok(),
        Format::Text => builder.try_init().ok(),
    };
}
