//! Why a URL goes where it goes: what `explain URL` prints.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use super::RouteError;
use super::hostname::RequestHost;
use super::table::{Resolved, Table, Target};
use crate::model::service::{Balance, Rejected, RetryCause, ServiceAuth, SourceName};
use crate::upstream::Upstream;
use crate::upstream::member::Member;

/// Names this alike (0 to 1, Jaro-Winkler) are worth showing.
const CLOSE: f64 = 0.85;
/// How many of them.
const MAX_CLOSE: usize = 5;

/// The URL is not one that can be asked for.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a URL with a host; accepted: http://host/path or https://host/path")]
pub struct NotUrl(String);

/// Everything there is to say about where a URL goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The URL that was asked about.
    pub url: String,
    /// Its host, as it is compared.
    pub host: String,
    /// Its path, with dot segments resolved where that is done.
    pub path: String,
    /// What answers: `local`, `service`, or the kind of error.
    pub answer: String,
    /// The rule that decides, for a person.
    pub rule: String,
    /// The service.
    pub service: Option<ServiceFacts>,
    /// The path its upstream sees.
    pub upstream_path: Option<String>,
    /// Names that look alike.
    pub close: Vec<String>,
    /// Entries of sources that would have this name, and cannot be used.
    pub rejected: Vec<RejectedEntry>,
}

/// What of a service matters for a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceFacts {
    /// Its id.
    pub id: String,
    /// The source that first named it.
    pub source: SourceName,
    /// Every endpoint and its state.
    pub endpoints: Vec<EndpointFacts>,
    /// Connect, read, write and total timeout, in milliseconds; `null` = none.
    pub timeouts_ms: [Option<u64>; 4],
    /// Largest request body, in bytes; `null` = the gateway's own limit.
    pub body_bytes: Option<u64>,
    /// Requests in flight, and how many may be.
    #[serde(default)]
    pub in_flight: (u32, u32),
    /// How endpoints are chosen.
    #[serde(default)]
    pub balance: Balance,
    /// Retries after the first try, after what, and the share of requests that may be retries.
    #[serde(default)]
    pub retry: (u32, Vec<RetryCause>, f64),
    /// What a caller needs: `none`, `key` or `jwt`.
    #[serde(default)]
    pub auth: ServiceAuth,
    /// Whether credentials go upstream.
    pub forward_credentials: bool,
    /// Whether it is switched on.
    pub enabled: bool,
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndpointFacts {
    /// Where it listens.
    pub url: String,
    /// Whether it can be dialled.
    pub usable: bool,
    /// Why not, or why its last look-up failed.
    pub problem: Option<String>,
    /// Its part of the traffic.
    #[serde(default = "one")]
    pub weight: u16,
    /// Whether it gets requests.
    #[serde(default)]
    pub state: EndpointState,
}

fn one() -> u16 {
    1
}

/// Whether an endpoint gets requests, as far as that follows from how it fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointState {
    /// It does.
    #[default]
    Serving,
    /// It failed too often in a row and is left out for a while.
    Ejected,
    /// Probes found that it is not well.
    Unhealthy,
}

impl EndpointState {
    fn of(member: &Member) -> Self {
        match member.state() {
            state if state.is_unhealthy() => Self::Unhealthy,
            state if state.is_ejected() => Self::Ejected,
            _ => Self::Serving,
        }
    }
}

/// An unusable entry of a source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RejectedEntry {
    /// The source.
    pub source: SourceName,
    /// The entry.
    #[serde(flatten)]
    pub entry: Rejected,
}

impl ServiceFacts {
    fn of(upstream: &Upstream) -> Self {
        let service = upstream.service();
        let limits = &service.timeouts;
        let timeouts = [limits.connect, limits.read, limits.write, limits.total];
        Self {
            id: service.id.to_string(),
            source: service.source.clone(),
            endpoints: upstream
                .members()
                .iter()
                .enumerate()
                .map(|(index, member)| EndpointFacts {
                    url: member.endpoint().label().to_string(),
                    usable: member.endpoint().is_usable(),
                    problem: upstream.problem_of(index),
                    weight: member.weight(),
                    state: EndpointState::of(member),
                })
                .collect(),
            timeouts_ms: timeouts
                .map(|limit| limit.map(|limit: Duration| limit.as_millis().try_into().unwrap_or(u64::MAX))),
            body_bytes: service.body_bytes,
            in_flight: (upstream.in_flight(), service.in_flight),
            balance: service.balance,
            retry: (service.retry.attempts, service.retry.on.clone(), service.retry.budget),
            auth: service.auth,
            forward_credentials: service.forward_credentials,
            enabled: service.enabled,
        }
    }
}

/// Explains `url` with `table`. `rejected`: what the sources had to offer beside it.
///
/// # Errors
/// [`NotUrl`].
pub fn explain(url: &str, table: &Table, rejected: &[RejectedEntry]) -> Result<Explanation, NotUrl> {
    let with_scheme = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let not_url = || NotUrl(url.to_owned());
    let parsed = Url::parse(&with_scheme).map_err(|_| not_url())?;
    let authority = parsed.host_str().filter(|_| matches!(parsed.scheme(), "http" | "https")).ok_or_else(not_url)?;
    let host = RequestHost::parse(authority.as_bytes()).map_err(|_| not_url())?;
    // The path as written: a URL parser would resolve the dots that are to be explained.
    let after_scheme = with_scheme.split_once("://").map_or("", |(_, rest)| rest);
    let written = after_scheme.find(['/', '?', '#']).map_or("", |at| &after_scheme[at..]);
    let path =
        Some(written.split(['?', '#']).next().unwrap_or_default()).filter(|path| !path.is_empty()).unwrap_or("/");
    let query = parsed.query().map_or(String::new(), |query| format!("?{query}"));
    let mut explanation = Explanation {
        url: url.to_owned(),
        host: host.as_str().to_owned(),
        path: path.to_owned(),
        answer: String::new(),
        rule: String::new(),
        service: None,
        upstream_path: None,
        close: Vec::new(),
        rejected: Vec::new(),
    };
    match table.resolve(&host, path.as_bytes()) {
        Ok(resolved) => explanation.found(table, &host, &resolved, path, &query),
        Err(error) => explanation.not_found(table, &host, &error, rejected),
    }
    Ok(explanation)
}

impl Explanation {
    fn found(&mut self, table: &Table, host: &RequestHost, resolved: &Resolved<'_, '_>, sent: &str, query: &str) {
        self.path = String::from_utf8_lossy(&resolved.path).into_owned();
        match resolved.target {
            Target::Local => {
                "local".clone_into(&mut self.answer);
                self.rule =
                    format!("`{}` is {}: the gateway answers this path itself", host.as_str(), role(table, host));
            }
            Target::Files => {
                "local".clone_into(&mut self.answer);
                self.rule = format!("`{}` is a files host of the gateway: its S3 endpoint answers", host.as_str());
            }
            Target::Host(upstream) => {
                "service".clone_into(&mut self.answer);
                self.rule = format!(
                    "`{}` is a host of service `{}`: the path goes on as sent",
                    host.as_str(),
                    upstream.service().id
                );
                self.upstream_path = Some(format!("{sent}{query}"));
                self.service = Some(ServiceFacts::of(upstream));
            }
            Target::Prefix { upstream, skip, base } => {
                "service".clone_into(&mut self.answer);
                let (prefix, rest) = self.path.split_at(skip);
                let becomes = if base.is_empty() { String::new() } else { format!(", and {base} stands in its place") };
                self.rule = format!(
                    "`{}` is {}: the prefix {prefix} means service `{}` and is taken off{becomes}",
                    host.as_str(),
                    role(table, host),
                    upstream.service().id,
                );
                self.upstream_path = Some(format!("{base}{rest}{query}"));
                self.service = Some(ServiceFacts::of(upstream));
            }
        }
    }

    fn not_found(&mut self, table: &Table, host: &RequestHost, error: &RouteError, rejected: &[RejectedEntry]) {
        self.rule = error.to_string();
        let (answer, wanted) = match error {
            RouteError::UnknownHost(host) => ("unknown_host", Some(host.clone())),
            RouteError::UnknownService(name) => ("unknown_service", Some(name.clone())),
            RouteError::NotAServicePath(_) | RouteError::NotARegistrationPath => ("not_found", None),
            RouteError::Loading => ("table_loading", Some(host.as_str().to_owned())),
            RouteError::Disabled { service, .. } => ("service_disabled", self.known(table, service)),
            RouteError::NoEndpoint(service) => ("no_endpoint", self.known(table, service)),
            RouteError::BadPath(_) => ("bad_path", None),
        };
        answer.clone_into(&mut self.answer);
        let Some(wanted) = wanted else { return };
        self.close = close_to(&wanted, table);
        let label = wanted.split('.').next().unwrap_or_default();
        self.rejected = rejected
            .iter()
            .filter(|entry| {
                entry.entry.id.as_deref() == Some(label)
                    || entry.entry.base_url.as_deref().is_some_and(|base| base.contains(&wanted))
            })
            .cloned()
            .collect();
    }

    fn known(&mut self, table: &Table, service: &str) -> Option<String> {
        let upstream = table.upstreams().iter().find(|upstream| upstream.service().id.as_str() == service)?;
        self.service = Some(ServiceFacts::of(upstream));
        if let Some(because) = &upstream.service().declared.no_endpoint_because {
            self.rule = format!("{}: {because}", self.rule);
        }
        None
    }
}

fn role(table: &Table, host: &RequestHost) -> &'static str {
    use super::Role;
    let configured = table.config().gateway_hosts().find(|(name, _)| name.as_str() == host.as_str());
    match configured.map(|(_, role)| role) {
        Some(Role::Connect) => "a connect host of the gateway",
        Some(Role::Api) => "an api host of the gateway",
        Some(Role::Mcp) => "an mcp host of the gateway",
        Some(Role::Files) => "a files host of the gateway",
        Some(Role::Register) => "a host of the gateway for services that register themselves",
        None => "answered as a connect host (an address or localhost)",
    }
}

fn close_to(wanted: &str, table: &Table) -> Vec<String> {
    let mut close: Vec<(f64, &str)> = table
        .names()
        .filter(|name| name.contains('.') == wanted.contains('.'))
        .map(|name| (strsim::jaro_winkler(wanted, name), name))
        .filter(|(alike, _)| *alike >= CLOSE)
        .collect();
    close.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    close.dedup_by_key(|(_, name)| *name);
    close.into_iter().take(MAX_CLOSE).map(|(_, name)| name.to_owned()).collect()
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "url:       {}", self.url)?;
        writeln!(f, "host:      {}", self.host)?;
        writeln!(f, "path:      {}", self.path)?;
        writeln!(f, "answer:    {}", self.answer)?;
        writeln!(f, "rule:      {}", self.rule)?;
        if let Some(service) = &self.service {
            writeln!(f, "service:   {} (from {})", service.id, service.source)?;
            for endpoint in &service.endpoints {
                let state = match (&endpoint.problem, endpoint.usable) {
                    (Some(problem), true) => format!("usable, though {problem}"),
                    (Some(problem), false) => format!("cannot be dialled: {problem}"),
                    (None, _) => "usable".to_owned(),
                };
                let fares = match endpoint.state {
                    EndpointState::Serving => "",
                    EndpointState::Ejected => "; left out, for it failed too often in a row",
                    EndpointState::Unhealthy => "; left out, for probes found that it is not well",
                };
                let weight = if endpoint.weight == 1 { String::new() } else { format!(", weight {}", endpoint.weight) };
                writeln!(f, "endpoint:  {} ({state}{weight}{fares})", endpoint.url)?;
            }
            writeln!(f, "balance:   {}", service.balance.as_str())?;
            let (attempts, on, budget) = &service.retry;
            if *attempts == 0 || *budget == 0.0 {
                writeln!(f, "retry:     never")?;
            } else if on.is_empty() {
                writeln!(f, "retry:     never, but for a connection that ended while it was idle")?;
            } else {
                let on = on.iter().map(|cause| cause.as_str()).collect::<Vec<_>>().join(", ");
                writeln!(
                    f,
                    "retry:     up to {attempts} times after {on}; at most {budget} of the last 10 s' requests"
                )?;
            }
            let (in_flight, at_most) = service.in_flight;
            writeln!(f, "in flight: {in_flight} of at most {at_most}")?;
            let limit = |ms: Option<u64>| ms.map_or("none".to_owned(), |ms| format!("{ms} ms"));
            let [connect, read, write, total] = service.timeouts_ms.map(limit);
            writeln!(f, "timeouts:  connect {connect}, read {read}, write {write}, total {total}")?;
            let body = service.body_bytes.map_or("the gateway's limit".to_owned(), |bytes| format!("{bytes} bytes"));
            let credentials = if service.forward_credentials { "go upstream" } else { "stop here" };
            writeln!(f, "policy:    body up to {body}; Authorization and Cookie {credentials}")?;
            let asked = match service.auth {
                ServiceAuth::None => "nothing of callers",
                ServiceAuth::Key => "an API key, which stops here",
                ServiceAuth::Jwt => "a token of the issuer auth.jwt, which stops here",
            };
            writeln!(f, "auth:      {} (the gateway asks for {asked})", service.auth)?;
        }
        if let Some(path) = &self.upstream_path {
            writeln!(f, "upstream:  {path}")?;
        }
        if !self.close.is_empty() {
            writeln!(f, "close:     {}", self.close.join(", "))?;
        }
        for rejected in &self.rejected {
            let id = rejected.entry.id.as_deref().unwrap_or("?");
            writeln!(
                f,
                "rejected:  {id}, entry {} of {}: {}",
                rejected.entry.index, rejected.source, rejected.entry.reason
            )?;
        }
        Ok(())
    }
}
