//! The keys of a service that say how requests to it are spread, repeated, limited and changed.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, HeaderValue};

use crate::model::service::{
    Balance, Declaration, HashOn, HeaderEdit, HeaderRules, OutlierDeclaration, RetryCause, RetryDeclaration,
    TlsDeclaration,
};
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
const WEIGHT: RangeInclusive<u16> = 1..=1000;
/// Fields that are the connection's own, or its framing: rules that changed them would break messages.
const NOT_TO_CHANGE: [HeaderName; 6] = [CONNECTION, CONTENT_LENGTH, HOST, TRAILER, TRANSFER_ENCODING, UPGRADE];

/// The weight of an endpoint.
pub(super) fn read_weight(endpoint: &Section<'_>) -> u16 {
    endpoint.within("weight", &WEIGHT).unwrap_or(1)
}

/// Lays everything into `declaration`. `limits` and `health` are the sections of these names, which hold more than this.
pub(super) fn read(entry: &Section<'_>, limits: &Section<'_>, health: &Section<'_>, declaration: &mut Declaration) {
    declaration.in_flight = limits.within("in_flight", &IN_FLIGHT);
    declaration.health_healthy = health.within("healthy", &COUNT);
    declaration.health_unhealthy = health.within("unhealthy", &COUNT);
    let words = [Balance::RoundRobin, Balance::LeastRequests, Balance::ConsistentHash].map(|one| (one.as_str(), one));
    declaration.balance = entry.word("balance", &words);
    declaration.hash_on = entry.optional("hash_on");
    if let (Some(place), Some(balance)) = (entry.value("hash_on"), declaration.balance)
        && balance != Balance::ConsistentHash
        && declaration.hash_on.is_some()
    {
        place.warn("has no effect: only consistent_hash looks at it");
    }
    declaration.retry = read_retry(&entry.section("retry"));
    declaration.outlier = read_outlier(&entry.section("outlier"));
    declaration.tls = read_tls(&entry.section("tls"));
    declaration.headers = entry.value("headers").map(|value| read_headers(&value.section()));
}

fn read_retry(section: &Section<'_>) -> RetryDeclaration {
    let on = |list: Vec<Value<'_>>| list.iter().filter_map(|value| value.word(&RetryCause::ALL)).collect();
    RetryDeclaration {
        attempts: section.within("attempts", &RETRIES),
        on: section.list("on").map(on),
        budget: section.within("budget", &SHARE),
    }
}

fn read_outlier(section: &Section<'_>) -> OutlierDeclaration {
    OutlierDeclaration {
        consecutive_errors: section.within("consecutive_errors", &COUNT),
        eject_for: section.within("eject_for", &TIME),
        max_ejected: section.within("max_ejected", &SHARE),
    }
}

fn read_tls(section: &Section<'_>) -> TlsDeclaration {
    let (cert, key) = (section.optional::<PathBuf>("client_cert"), section.optional::<PathBuf>("client_key"));
    match (section.value("client_cert"), section.value("client_key")) {
        (Some(_), None) => drop(section.missing::<()>("client_key", "both client_cert and client_key, or neither")),
        (None, Some(_)) => drop(section.missing::<()>("client_cert", "both client_cert and client_key, or neither")),
        _ => {}
    }
    let verify = section.optional::<bool>("verify");
    if let (Some(false), Some(place)) = (verify, section.value("verify")) {
        place.warn("the service's certificate is not verified: whoever sits between can read and change everything");
    }
    TlsDeclaration { verify, ca_file: section.optional("ca_file"), sni: section.optional("sni"), client: cert.zip(key) }
}

fn read_headers(section: &Section<'_>) -> HeaderRules {
    HeaderRules { request: read_edit(&section.section("request")), response: read_edit(&section.section("response")) }
}

fn read_edit(section: &Section<'_>) -> HeaderEdit {
    let mut edit = HeaderEdit::default();
    for (name, value) in section.value("set").map(|set| set.entries()).unwrap_or_default() {
        match EditableName::parse(name) {
            Ok(name) => edit.set.extend(value.read::<HeaderText>().map(|text| (name.0, text.0))),
            Err(why) => value.mistake(format!("\"{name}\" {why}; accepted: {}", EditableName::ACCEPTED)),
        }
    }
    edit.remove = section.leaves::<EditableName>("remove").unwrap_or_default().into_iter().map(|name| name.0).collect();
    edit
}

impl FromYaml for HashOn {
    const ACCEPTED: &'static str = "header:NAME, cookie:NAME or client_ip";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        let text = scalar.text()?;
        let header = text.strip_prefix("header:").and_then(|name| name.parse::<HeaderName>().ok());
        let cookie = text.strip_prefix("cookie:").filter(|name| name.parse::<HeaderName>().is_ok());
        match (header, cookie) {
            (Some(name), _) => Ok(Self::Header(name.as_str().to_owned())),
            (_, Some(name)) => Ok(Self::Cookie(name.to_owned())),
            _ if text == "client_ip" => Ok(Self::ClientIp),
            _ => Err(format!("{} is not something to hash on", scalar.shown())),
        }
    }
}

/// A header that rules may change, its name in lower case.
struct EditableName(String);

impl EditableName {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let name = text.parse::<HeaderName>().map_err(|_| "is not a header name")?;
        if NOT_TO_CHANGE.contains(&name) {
            return Err("is a part of how messages are framed and routed, which rules cannot change");
        }
        Ok(Self(name.as_str().to_owned()))
    }
}

impl FromYaml for EditableName {
    const ACCEPTED: &'static str = "the name of a header that is not the connection's own, such as X-Frame-Options";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        Self::parse(scalar.text()?).map_err(|why| format!("{} {why}", scalar.shown()))
    }
}

/// The value of a header; numbers and truth values are text here.
struct HeaderText(String);

impl FromYaml for HeaderText {
    const ACCEPTED: &'static str = "the value of a header";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        let fits = HeaderValue::from_str(scalar.raw()).is_ok();
        if fits { Ok(Self(scalar.raw().to_owned())) } else { Err(format!("{} is not a header value", scalar.shown())) }
    }
}
