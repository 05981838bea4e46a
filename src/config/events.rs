//! `events`: what subscribers get.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::event::Config;
use crate::yaml::Section;

/// Proxies end connections on which nothing moves, many of them after 30 or 60 seconds.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// From a second, below which it is nothing but load, to an hour.
const HEARTBEATS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
/// Some seconds of what a busy session does.
const QUEUE: usize = 256;
/// Each session that somebody follows has a ring of this length, whether or not anything is in it.
const QUEUES: RangeInclusive<usize> = 1..=16_384;

/// Reads the keys that are not the store's.
pub(super) fn read(events: &Section<'_>) -> Config {
    Config {
        heartbeat: events.within("heartbeat", &HEARTBEATS).unwrap_or(HEARTBEAT),
        queue: events.within("queue", &QUEUES).unwrap_or(QUEUE),
    }
}
