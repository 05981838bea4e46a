//! `limits`, `trusted_proxies` and `cors`: what is let in.

use std::ops::RangeInclusive;
use std::time::Duration;

use bytesize::ByteSize;
use ipnet::IpNet;

use super::origin::Origin;
use crate::model::name::Hostname;
use crate::proxy::{Config, Cors, Limits};
use crate::yaml::Section;

/// Four times what browsers and proxies send at most.
const HEADER_BYTES: ByteSize = ByteSize::kib(64);
/// The parser itself ends at 1 MiB; below 1 KiB not even a browser's ordinary request fits.
const HEADER_SIZES: RangeInclusive<ByteSize> = ByteSize::kib(1)..=ByteSize::mib(1);
/// What servers allow by custom.
const HEADERS: usize = 100;
/// The parser itself ends at 256 fields.
const HEADER_COUNTS: RangeInclusive<usize> = 1..=256;
/// What servers allow by custom, and browsers send.
const URI_BYTES: ByteSize = ByteSize::kib(8);
/// Shorter than the gateway's own paths makes no sense; longer than a header cannot be.
const URI_SIZES: RangeInclusive<ByteSize> = ByteSize::b(64)..=ByteSize::mib(1);
/// Room for documents and images; files beyond it have a way of their own.
const BODY_BYTES: ByteSize = ByteSize::mib(100);
/// From one byte, as nothing would refuse every body, to more than any disk holds.
const BODY_SIZES: RangeInclusive<ByteSize> = ByteSize::b(1)..=ByteSize::tib(1024);
/// Longer than the 60 s after which load balancers drop idle connections, so that they and not we end them.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// From 10 ms, for tests, to a day.
const IDLE_TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(24 * 3600);
/// Browsers cap it at 24 h (Firefox) or 2 h (Chromium).
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);
/// From "ask each time" to more than any browser keeps.
const MAX_AGES: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(365 * 24 * 3600);
/// Ten times what an honest client takes over a bad line.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// A modem of 1985 sends that.
const BODY_MIN_RATE: ByteSize = ByteSize::kib(1);
/// From one byte to what a fast network has.
const RATES: RangeInclusive<ByteSize> = ByteSize::b(1)..=ByteSize::gib(1);
/// Some 450 MiB of memory, if all of them idle.
const CONNECTIONS: usize = 10_000;
/// Connections at once.
const CONNECTION_COUNTS: RangeInclusive<usize> = 1..=10_000_000;
/// A crowd behind one address, and no more.
const PER_CLIENT: u32 = 256;
/// Connections at once.
const CLIENT_COUNTS: RangeInclusive<u32> = 1..=10_000_000;
/// The origins that clients of the original have, beside one label under the domain.
const ORIGINS: [&str; 6] = [
    "https://*.chittyconnect-ui.pages.dev",
    "https://chittyconnect-ui.pages.dev",
    "https://chatgpt.com",
    "https://chat.openai.com",
    "http://localhost:5173",
    "http://localhost:3000",
];

/// Reads the three keys. `domain` is what the default origins are under, `file_bytes` what a file may have.
pub(super) fn read(root: &Section<'_>, domain: &Hostname, file_bytes: u64) -> Config {
    Config {
        limits: read_limits(&root.section("limits"), file_bytes),
        trusted_proxies: root.leaves::<IpNet>("trusted_proxies").unwrap_or_default(),
        cors: read_cors(&root.section("cors"), domain),
    }
}

fn read_limits(limits: &Section<'_>, file_bytes: u64) -> Limits {
    let size = |key, range, default: ByteSize| limits.within(key, range).unwrap_or(default).as_u64();
    // Both ranges end at 1 MiB, which every `usize` of a platform this runs on holds.
    let in_memory = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    Limits {
        header_bytes: in_memory(size("header_bytes", &HEADER_SIZES, HEADER_BYTES)),
        headers: limits.within("headers", &HEADER_COUNTS).unwrap_or(HEADERS),
        uri_bytes: in_memory(size("uri_bytes", &URI_SIZES, URI_BYTES)),
        body_bytes: size("body_bytes", &BODY_SIZES, BODY_BYTES),
        file_bytes,
        idle_timeout: limits.within("idle_timeout", &IDLE_TIMEOUTS).unwrap_or(IDLE_TIMEOUT),
        header_timeout: limits.within("header_timeout", &IDLE_TIMEOUTS).unwrap_or(HEADER_TIMEOUT),
        body_min_rate: limits.within("body_min_rate", &RATES).unwrap_or(BODY_MIN_RATE).as_u64(),
        connections: limits.within("connections", &CONNECTION_COUNTS).unwrap_or(CONNECTIONS),
        connections_per_client: limits.within("connections_per_client", &CLIENT_COUNTS).unwrap_or(PER_CLIENT),
    }
}

fn read_cors(cors: &Section<'_>, domain: &Hostname) -> Cors {
    let origins = cors.leaves::<Origin>("origins").map(|list| list.into_iter().map(String::from).collect());
    let default = || {
        let under_domain = format!("https://*.{domain}");
        std::iter::once(under_domain).chain(ORIGINS.map(str::to_owned)).collect()
    };
    Cors { origins: origins.unwrap_or_else(default), max_age: cors.within("max_age", &MAX_AGES).unwrap_or(MAX_AGE) }
}
