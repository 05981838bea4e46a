//! The structured log of the process, on standard error.
//!
//! Written by a thread of its own: a standard error that nobody reads costs lines, never a request.

use std::io::{IsTerminal, stderr};

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use crate::telemetry::{Config, Format};

/// Lines that may wait to be written; what comes on top is dropped.
const WAITING_LINES: usize = 10_000;

/// Starts it; it lasts as long as the guard, which writes what is waiting when dropped.
///
/// Libraries speak from `warn` on. Pingora's and s3s's own words on single requests are not asked for: what a client did wrong is in
/// the access log, and what an upstream did is logged by the gateway with the request's id.
pub(super) fn start(config: &Config) -> WorkerGuard {
    let level = config.level.as_str().to_ascii_lowercase();
    let filter = EnvFilter::new(format!(
        "warn,pingora=error,pingora_core=error,pingora_proxy=off,s3s=off,chittyconnect={level}"
    ));
    let colours = stderr().is_terminal();
    let (writer, guard) = NonBlockingBuilder::default().buffered_lines_limit(WAITING_LINES).finish(stderr());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colours);
    // Fails only if a log was started before, which then goes on.
    match config.format {
        Format::Json => builder.json().flatten_event(true).try_init().ok(),
        Format::Text => builder.try_init().ok(),
    };
    guard
}
