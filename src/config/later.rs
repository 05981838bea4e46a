//! Whole sections that later capabilities bring. Their types are checked, so that a file that is right today stays
//! right.

use std::ops::RangeInclusive;

use url::Url;

use super::origin::Origin;
use crate::yaml::Section;

/// A share of a whole.
const SHARE: RangeInclusive<f64> = 0.0..=1.0;

/// Reads them from the root.
pub(super) fn read(root: &Section<'_>) {
    root.later("tracing", 6, |value| read_tracing(&value.section()));
    root.later("mcp", 8, |value| read_mcp(&value.section()));
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
