//! What is being read, on a terminal; nothing in a pipe.

use std::cell::Cell;
use std::io::{self, IsTerminal, Write};

/// Files between two words of it: a terminal is slower than reading a file.
const EVERY: usize = 100;

/// One line on standard error that changes.
pub(super) struct Progress {
    terminal: bool,
    shown: Cell<bool>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { terminal: io::stderr().is_terminal(), shown: Cell::new(false) }
    }

    /// How many wrangler files were read.
    pub(super) fn files(&self, count: usize) {
        if count % EVERY == 1 {
            self.say(&format!("reading wrangler files: {count}"));
        }
    }

    /// What is asked for.
    pub(super) fn asking(&self, what: &str) {
        self.say(&format!("reading {}", what.escape_debug()));
    }

    fn say(&self, what: &str) {
        if self.terminal {
            self.shown.set(true);
            write!(io::stderr().lock(), "\r\x1b[K{what}").ok();
        }
    }

    /// Takes the line away.
    pub(super) fn end(&self) {
        if self.shown.replace(false) {
            write!(io::stderr().lock(), "\r\x1b[K").ok();
        }
    }
}
