//! Waiting: look again and again until a deadline, and say what was seen last.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// How long a test waits for anything before it fails. Generous: only a failing test ever waits this long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Looks until `look` finds what it wants and returns that.
///
/// # Panics
/// After [`DEADLINE`], with what was last seen.
#[track_caller]
pub(crate) fn eventually<T, Seen: Debug>(what: &str, mut look: impl FnMut() -> Result<T, Seen>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) => assert!(Instant::now() < end, "not within {DEADLINE:?}: {what}; last seen: {seen:?}"),
        }
        pause();
    }
}

/// Looks until `look` returns `wanted`.
#[track_caller]
pub(crate) fn eventually_eq<T: Debug + PartialEq>(what: &str, wanted: &T, mut look: impl FnMut() -> T) {
    eventually(what, || {
        let seen = look();
        if seen == *wanted { Ok(()) } else { Err(seen) }
    });
}

/// Looks until `look` returns twice the same a while apart: for what cannot be asked whether it has come to rest.
#[track_caller]
pub(crate) fn settled<T: Debug + PartialEq>(what: &str, mut look: impl FnMut() -> T) -> T {
    let mut history = Vec::new();
    eventually(what, || {
        history.push(look());
        let same = history.iter().rev().take_while(|seen| Some(*seen) == history.last()).count();
        if same > 40 { history.pop().ok_or(String::new()) } else { Err(format!("{:?}", history.last())) }
    })
}

/// The one pause of these tests, between two looks or two pieces of what drips.
#[expect(clippy::disallowed_methods, reason = "the condition is looked at again right after it")]
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}
