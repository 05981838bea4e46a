//! Whole sections that later capabilities bring. Their types are checked, so that a file that is right today stays
//! right.

use std::ops::RangeInclusive;
use std::time::Duration;

use bytesize::ByteSize;
use url::Url;

use super::origin::Origin;
use crate::yaml::{FromYaml, Scalar, Section};

/// From a second to ten years.
const TIMES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3650 * 24 * 3600);
/// From one byte to more than any disk holds.
const SIZES: RangeInclusive<ByteSize> = ByteSize::b(1)..=ByteSize::tib(1024);
/// A share of a whole.
const SHARE: RangeInclusive<f64> = 0.0..=1.0;

/// Reads them from the root.
pub(super) fn read(root: &Section<'_>) {
    root.later("files", 3, |value| read_files(&value.section()));
    root.later("tracing", 6, |value| read_tracing(&value.section()));
    root.later("mcp", 8, |value| read_mcp(&value.section()));
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
