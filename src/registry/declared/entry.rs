//! One entry of a list of services.

use std::ops::RangeInclusive;
use std::time::Duration;

use bytesize::ByteSize;
use http::uri::Authority;

use super::policy;
use crate::model::name::Hostname;
use crate::model::service::{Declaration, ServiceAuth, TimeoutsDeclaration, WeightedEndpoint};
use crate::yaml::{FromYaml, Scalar, Section, Value};

/// Shortest and longest time limit. Below 1 ms nothing answers; a day is longer than any one request should take, and
/// `null` says "no limit".
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(24 * 3600);
/// Times of health checks: from 10 ms, for tests, to a day.
const HEALTH_TIME: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(24 * 3600);
/// Body limits: from one byte, as nothing would mean that no body is accepted at all, to more than any store holds.
const BODY: RangeInclusive<ByteSize> = ByteSize(1)..=ByteSize::tib(1024);

/// Reads one entry. What is wrong goes to the report; the declaration is complete only if nothing was.
pub(super) fn read(entry: &Section<'_>) -> Declaration {
    let limits = entry.section("limits");
    let health = entry.section("health");
    let mut declaration = Declaration {
        id: entry.required("id"),
        subdomain: entry.optional("subdomain"),
        aliases: entry.leaves("aliases"),
        hosts: entry.leaves::<PublicHost>("hosts").map(|hosts| hosts.into_iter().map(|host| host.0).collect()),
        endpoints: entry.list("endpoints").map(|list| list.iter().filter_map(read_endpoint).collect()),
        url: entry.optional("url"),
        host_header: entry.optional::<HostHeader>("host_header").map(|host| host.0),
        health_path: health.optional::<UrlPath>("path").map(|path| path.0),
        health_interval: health.within("interval", &HEALTH_TIME),
        health_timeout: health.within("timeout", &HEALTH_TIME),
        timeouts: read_timeouts(&entry.section("timeouts")),
        body_bytes: limits.within("body_bytes", &BODY).map(|size| size.as_u64()),
        auth: entry.word("auth", &[("none", ServiceAuth::None), ("key", ServiceAuth::Key), ("jwt", ServiceAuth::Jwt)]),
        forward_credentials: entry.optional("forward_credentials"),
        enabled: entry.optional("enabled"),
        reason: entry.optional("reason"),
        ..Declaration::default()
    };
    policy::read(entry, &limits, &health, &mut declaration);
    declaration
}

/// `http://host:port`, or `{url: http://host:port, weight: 1}`.
fn read_endpoint(value: &Value<'_>) -> Option<WeightedEndpoint> {
    if value.is_scalar() {
        return value.read().map(|url| WeightedEndpoint { url, weight: 1 });
    }
    let section = value.section();
    let weight = policy::read_weight(&section);
    section.required("url").map(|url| WeightedEndpoint { url, weight })
}

/// The first endpoint as it was written, however wrong it may be.
pub(super) fn first_endpoint(entry: &Value<'_>) -> Option<String> {
    let first = entry.peek("endpoints")?.item(0)?;
    first.raw().or_else(|| first.raw_under("url")).map(str::to_owned)
}

fn read_timeouts(section: &Section<'_>) -> TimeoutsDeclaration {
    TimeoutsDeclaration {
        connect: section.nullable_within("connect", &TIMEOUT),
        read: section.nullable_within("read", &TIMEOUT),
        write: section.nullable_within("write", &TIMEOUT),
        total: section.nullable_within("total", &TIMEOUT),
    }
}

/// A host that a service can be reached under: addresses and `localhost` are the gateway's own.
struct PublicHost(Hostname);

impl FromYaml for PublicHost {
    const ACCEPTED: &'static str = Hostname::ACCEPTED;

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        let host = Hostname::from_scalar(scalar)?;
        if host.as_str() == "localhost" || host.as_str().parse::<std::net::IpAddr>().is_ok() {
            return Err(format!("{} is answered by the gateway itself", scalar.shown()));
        }
        Ok(Self(host))
    }
}

/// What a `Host` header holds.
struct HostHeader(String);

impl FromYaml for HostHeader {
    const ACCEPTED: &'static str = "a host, or host:port";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        let text = scalar.text()?;
        let authority = text.parse::<Authority>().ok().filter(|a| !a.as_str().contains('@'));
        let fits = authority.is_some_and(|a| {
            let port = a.as_str().strip_prefix(a.host()).unwrap_or_default();
            Hostname::parse(a.host()).is_ok() && (port.is_empty() || a.port_u16().is_some_and(|port| port > 0))
        });
        if fits { Ok(Self(text.to_owned())) } else { Err(format!("{} is not a host", scalar.shown())) }
    }
}

/// The path of a URL, without a query.
struct UrlPath(String);

impl FromYaml for UrlPath {
    const ACCEPTED: &'static str = "a path such as /health";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        let text = scalar.text()?;
        let fits = text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        if fits { Ok(Self(text.to_owned())) } else { Err(format!("{} is not a path", scalar.shown())) }
    }
}
