//! `rate_limit`: how often the local endpoints may be asked.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::auth::rate::{Config, Rate};
use crate::yaml::{FromYaml, Scalar, Section};

/// Requests a minute of an address outside of `/api`, under `/api`, of a key, and calls of tools: those of the original.
const RATES: [u32; 4] = [60, 100, 200, 30];
/// What monitors and manifests readers ask for all the time.
const EXEMPT: [&str; 2] = ["/health", "/mcp/manifest"];

/// Reads the section; `off` = nothing is limited.
pub(super) fn read(root: &Section<'_>) -> Config {
    match root.value("rate_limit") {
        Some(value) if value.raw() == Some("off") => Config { off: true, ..Config::default() },
        Some(value) => read_classes(&value.section()),
        None => read_classes(&root.section("rate_limit")),
    }
}

fn read_classes(section: &Section<'_>) -> Config {
    let [anonymous, api, authenticated, tools] = RATES.map(|count| NonZeroU32::new(count).map(Rate::a_minute));
    let class = |key, usual| section.optional::<Limit>(key).map_or(usual, |limit| limit.0);
    let exempt = section.leaves::<Exempt>("exempt").map(|paths| paths.into_iter().map(|path| path.0).collect());
    Config {
        anonymous: class("anonymous", anonymous),
        api: class("api", api),
        authenticated: class("authenticated", authenticated),
        tools: class("tools", tools),
        exempt: exempt.unwrap_or_else(|| EXEMPT.map(str::to_owned).into()),
        off: false,
    }
}

/// So many requests in a second, a minute or an hour; `None` = without limit.
struct Limit(Option<Rate>);

impl FromYaml for Limit {
    const ACCEPTED: &'static str = "a rate such as 10/s, 60/m or 1000/h, or off";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        if scalar.raw() == "off" {
            return Ok(Self(None));
        }
        let rate = scalar.raw().split_once('/').and_then(|(count, unit)| {
            let count = count.parse::<NonZeroU32>().ok()?;
            let per = match unit {
                "s" => 1,
                "m" => 60,
                "h" => 3600,
                _ => return None,
            };
            Some(Rate { count, per: Duration::from_secs(per) })
        });
        rate.map(|rate| Self(Some(rate))).ok_or_else(|| format!("{} is not a rate", scalar.shown()))
    }
}

/// A path without limit.
struct Exempt(String);

impl FromYaml for Exempt {
    const ACCEPTED: &'static str = "a path such as /health";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        let path = scalar.text()?;
        if path.starts_with('/') { Ok(Self(path.to_owned())) } else { Err(format!("{} is not a path", scalar.shown())) }
    }
}
