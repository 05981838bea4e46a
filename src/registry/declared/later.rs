//! Keys of a service that later capabilities bring: their types are checked, then each is a warning, and an error
//! where the service would be less protected, or not work, without it.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::model::name::Hostname;
use crate::yaml::{FromYaml, Scalar, Section, Value};

/// Times of ejections: from 10 ms to a day.
const TIME: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(24 * 3600);
/// A share of a whole.
const SHARE: RangeInclusive<f64> = 0.0..=1.0;
/// Answers in a row.
const COUNT: RangeInclusive<u32> = 1..=1000;
/// Retries after the first try.
const RETRIES: RangeInclusive<u32> = 0..=10;
/// Requests at once.
const IN_FLIGHT: RangeInclusive<u32> = 1..=1_000_000;
/// Weights of endpoints.
const WEIGHT: RangeInclusive<u32> = 1..=1000;

/// `limits.in_flight`.
pub(super) fn read_limits(section: &Section<'_>) {
    section.later("in_flight", 4, |value| value.check_within(&IN_FLIGHT));
}

/// What of `health` decides over routing.
pub(super) fn read_health(section: &Section<'_>) {
    for key in ["healthy", "unhealthy"] {
        section.later(key, 4, |value| value.check_within(&COUNT));
    }
}

/// The weight of an endpoint. All are 1 as long as there is no choice.
pub(super) fn read_weight(value: &Value<'_>) {
    if value.read_within(&WEIGHT).is_some_and(|weight| weight != 1) {
        value.not_built(4);
    }
}

/// Everything else.
pub(super) fn read(entry: &Section<'_>) {
    entry.later("balance", 4, |value| value.check_word(&["round_robin", "least_requests", "consistent_hash"]));
    entry.later("hash_on", 4, Value::check::<HashOn>);
    entry.later("retry", 4, |value| read_retry(&value.section()));
    entry.later("outlier", 4, |value| read_outlier(&value.section()));
    entry.later("tls", 4, |value| read_tls(&value.section()));
    entry.later("headers", 4, |value| read_headers(&value.section()));
}

fn read_retry(section: &Section<'_>) {
    section.check_within("attempts", &RETRIES);
    for value in section.list("on").unwrap_or_default() {
        value.check_word(&["connect", "reset", "timeout", "502", "503", "504"]);
    }
    section.check_within("budget", &SHARE);
}

fn read_outlier(section: &Section<'_>) {
    section.check_within("consecutive_errors", &COUNT);
    section.check_within("eject_for", &TIME);
    section.check_within("max_ejected", &SHARE);
}

fn read_tls(section: &Section<'_>) {
    section.check::<bool>("verify");
    section.check::<Hostname>("sni");
    if let Some(value) = section.value("ca_file")
        && value.read::<PathBuf>().is_some()
    {
        value.mistake(
            "comes with capability 4, which this build does not have, and without it other authorities would be \
             trusted than this one; accepted: null",
        );
    }
    let (cert, key) = (section.value("client_cert"), section.value("client_key"));
    for value in [&cert, &key].into_iter().flatten() {
        value.check::<PathBuf>();
    }
    match (cert, key) {
        (Some(_), None) => drop(section.missing::<()>("client_key", "both client_cert and client_key, or neither")),
        (None, Some(_)) => drop(section.missing::<()>("client_cert", "both client_cert and client_key, or neither")),
        _ => {}
    }
}

fn read_headers(section: &Section<'_>) {
    for direction in ["request", "response"] {
        let section = section.section(direction);
        for (name, value) in section.value("set").map(|set| set.entries()).unwrap_or_default() {
            if name.parse::<HeaderName>().is_err() {
                value.mistake(format!("\"{name}\" is not a header name; accepted: {}", HeaderName::ACCEPTED));
            }
            value.check::<HeaderText>();
        }
        section.check_leaves::<HeaderName>("remove");
    }
}

/// What balancing by hash looks at.
struct HashOn;

impl FromYaml for HashOn {
    const ACCEPTED: &'static str = "header:NAME, cookie:NAME or client_ip";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        let text = scalar.text()?;
        let named = text.strip_prefix("header:").or_else(|| text.strip_prefix("cookie:"));
        let fits = text == "client_ip" || named.is_some_and(|name| name.parse::<HeaderName>().is_ok());
        if fits { Ok(Self) } else { Err(format!("{} is not something to hash on", scalar.shown())) }
    }
}

/// The value of a header; numbers and truth values are text here.
struct HeaderText;

impl FromYaml for HeaderText {
    const ACCEPTED: &'static str = "the value of a header";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        let fits = HeaderValue::from_str(scalar.raw()).is_ok();
        if fits { Ok(Self) } else { Err(format!("{} is not a header value", scalar.shown())) }
    }
}
