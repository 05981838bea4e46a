//! A table of cases that is run to its end: every row that fails is in the one message.

use std::fmt::Debug;

/// Collects the rows that fail.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    run: usize,
    failed: Vec<String>,
}

impl Rows {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// One row: what was expected and what was seen.
    pub(crate) fn eq<T: PartialEq + Debug>(&mut self, row: impl AsRef<str>, expected: &T, seen: &T) {
        self.run += 1;
        if expected != seen {
            self.failed.push(format!("{}\n      expected {expected:?}\n      seen     {seen:?}", row.as_ref()));
        }
    }

    /// One row that holds or not.
    pub(crate) fn holds(&mut self, row: impl AsRef<str>, holds: bool, seen: impl Debug) {
        self.run += 1;
        if !holds {
            self.failed.push(format!("{}\n      seen     {seen:?}", row.as_ref()));
        }
    }

    /// Fails the test if a row failed.
    #[track_caller]
    pub(crate) fn finish(self) {
        assert!(self.run > 0, "an empty table");
        let count = self.failed.len();
        assert!(count == 0, "{count} of {} rows:\n  - {}", self.run, self.failed.join("\n  - "));
    }
}
