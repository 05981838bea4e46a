//! What is kept of the event log: `events.retain` and `events.retain_count`.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::store::Retention;
use crate::yaml::Section;

/// From a second to ten years.
const TIMES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3650 * 24 * 3600);
/// From the last event alone to more than a disk is for.
const COUNTS: RangeInclusive<u64> = 1..=1_000_000_000;

/// Reads it from the section `events`.
pub(super) fn read(events: &Section<'_>) -> Retention {
    let usual = Retention::default();
    Retention {
        events_for: events.within("retain", &TIMES).unwrap_or(usual.events_for),
        events: events.within("retain_count", &COUNTS).unwrap_or(usual.events),
    }
}
