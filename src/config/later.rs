//! Whole sections that later capabilities bring. Their types are checked, so that a file that is right today stays
//! right.

use std::ops::RangeInclusive;
use std::time::Duration;

use bytesize::ByteSize;
use url::Url;

use super::origin::Origin;
use crate::yaml::{FromYaml, Scalar, Section, Value};

/// From a second to ten years.
const TIMES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3650 * 24 * 3600);
/// From one byte to more than any disk holds.
const SIZES: RangeInclusive<ByteSize> = ByteSize::b(1)..=ByteSize::tib(1024);
/// Events.
const COUNTS: RangeInclusive<u64> = 1..=1_000_000_000;
/// A share of a whole.
const SHARE: RangeInclusive<f64> = 0.0..=1.0;

/// Reads them from the root.
pub(super) fn read(root: &Section<'_>) {
    root.later("rate_limit", 2, read_rate_limit);
    root.later("files", 3, |value| read_files(&value.section()));
    root.later("tracing", 6, |value| read_tracing(&value.section()));
    root.later("mcp", 8, |value| read_mcp(&value.section()));
}

fn read_rate_limit(value: &Value<'_>) {
    if value.raw() == Some("off") {
        return;
    }
    let section = value.section();
    for class in ["anonymous", "api", "authenticated", "tools"] {
        section.check::<Rate>(class);
    }
    section.check_leaves::<Exempt>("exempt");
}

/// What `events` has beside what subscribers get.
pub(super) fn read_events(events: &Section<'_>) {
    events.later("retain", 2, |value| value.check_within(&TIMES));
    events.later("retain_count", 2, |value| value.check_within(&COUNTS));
}

fn read_files(files: &Section<'_>) {
    files.check::<BlobStore>("store");
    files.check_within("max_bytes", &SIZES);
    files.check_within("quota", &SIZES);
    files.check_within("token_ttl", &TIMES);
}

fn read_tracing(tracing: &Section<'_>) {
    tracing.check::<Url>("otlp_endpoint");
    tracing.check_within("sample", &SHARE);
}

fn read_mcp(mcp: &Section<'_>) {
    mcp.check::<bool>("enabled");
    mcp.check_leaves::<Origin>("allowed_origins");
    mcp.check::<bool>("anonymous");
}

/// So many requests in a second, a minute or an hour.
struct Rate;

impl FromYaml for Rate {
    const ACCEPTED: &'static str = "a rate such as 10/s, 60/m or 1000/h, or off";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        let count = |count: &str| count.parse::<u32>().is_ok_and(|count| count > 0);
        let is_rate = |(number, unit): (&str, &str)| count(number) && ["s", "m", "h"].contains(&unit);
        let fits = scalar.raw() == "off" || scalar.raw().split_once('/').is_some_and(is_rate);
        if fits { Ok(Self) } else { Err(format!("{} is not a rate", scalar.shown())) }
    }
}

/// A path without limit.
struct Exempt;

impl FromYaml for Exempt {
    const ACCEPTED: &'static str = "a path such as /health";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        if scalar.text()?.starts_with('/') { Ok(Self) } else { Err(format!("{} is not a path", scalar.shown())) }
    }
}

/// Where files go.
struct BlobStore;

impl FromYaml for BlobStore {
    const ACCEPTED: &'static str = "a directory, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        let text = scalar.text()?;
        let fits = match text.split_once("://") {
            Some((scheme, rest)) => ["s3", "gs", "az"].contains(&scheme) && !rest.is_empty(),
            None => !text.is_empty(),
        };
        if fits { Ok(Self) } else { Err(format!("{} is not a place for files", scalar.shown())) }
    }
}
