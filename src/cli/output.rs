//! What commands print: facts on standard output, complaints on standard error. A reader that has gone is no error.

use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;

use super::Format;
pub(super) use crate::telemetry::describe as chain;

/// One text, ending in a line break.
pub(super) fn print(text: &str) {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") }).ok();
    out.flush().ok();
}

/// One line that must not get lost.
///
/// # Errors
/// When standard output does not take it.
pub(super) fn hand_out(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush())
}

/// Facts, as the caller wants them.
pub(super) fn facts<T: Serialize + Display>(facts: &T, format: Format) -> Result<(), String> {
    match format {
        Format::Text => print(&facts.to_string()),
        Format::Json => facts_as_json(facts)?,
    }
    Ok(())
}

/// Facts for a program.
pub(super) fn facts_as_json<T: Serialize>(facts: &T) -> Result<(), String> {
    print(&serde_json::to_string_pretty(facts).map_err(|error| error.to_string())?);
    Ok(())
}

/// What went wrong.
pub(super) fn complain(message: &str) {
    let mut err = io::stderr().lock();
    for line in message.lines() {
        writeln!(err, "chittyconnect: {line}").ok();
    }
}
