//! `log`: what an operator sees.

use std::path::PathBuf;

use tracing::Level;

use crate::telemetry::{AccessLog, Config, Format};
use crate::yaml::{FromYaml, Scalar, Section};

/// What changed and what failed; nothing for each request.
const LEVEL: Level = Level::INFO;
/// The words of `log.access` that are no file.
const WORDS: [&str; 3] = ["stdout", "stderr", "off"];

/// Reads the section.
pub(super) fn read(log: &Section<'_>) -> Config {
    let levels = [
        ("trace", Level::TRACE),
        ("debug", Level::DEBUG),
        ("info", Level::INFO),
        ("warn", Level::WARN),
        ("error", Level::ERROR),
    ];
    Config {
        level: log.word("level", &levels).unwrap_or(LEVEL),
        // By default for a collector: a terminal is the exception.
        format: log.word("format", &[("json", Format::Json), ("text", Format::Text)]).unwrap_or(Format::Json),
        access: log.optional("access").unwrap_or(AccessLog::Stdout),
    }
}

impl FromYaml for AccessLog {
    const ACCEPTED: &'static str = "stdout, stderr, off, or the path of a file";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        match scalar.raw() {
            "stdout" => Ok(Self::Stdout),
            "stderr" => Ok(Self::Stderr),
            "off" => Ok(Self::Off),
            // A misspelt word must not become a file that nobody looks at.
            text if WORDS.iter().any(|word| strsim::damerau_levenshtein(&text.to_ascii_lowercase(), word) <= 1) => {
                Err(format!("{} is almost a word (write ./{text} if a file is meant)", scalar.shown()))
            }
            _ => PathBuf::from_scalar(scalar).map(Self::File),
        }
    }
}
