//! What an operator sees of the daemon: structured log, access log, metrics.

pub mod access_log;
pub mod metrics;

use std::path::PathBuf;

/// The `log` section of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The least level written.
    pub level: tracing::Level,
    /// How the log's lines look.
    pub format: Format,
    /// Where the access log goes.
    pub access: AccessLog,
}

/// How the log's lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// For a terminal.
    Text,
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, reopened on SIGHUP and SIGUSR1.
    File(PathBuf),
    /// Nowhere.
    Off,
}

/// An error with its causes, on one line: what a log and a person are told.
#[must_use]
pub fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
