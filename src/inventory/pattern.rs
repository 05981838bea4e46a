//! Route patterns as Cloudflare reads them: what they match, which of two wins, and which it does not take.
//!
//! `[http://|https://]host[/path]`, with `*` at the beginning of the host and at the end of the path alone
//! (developers.cloudflare.com/workers/configuration/routing/routes, "Matching behavior"). A pattern without a path
//! matches `/` and nothing else; a custom domain is a bare host and means all of its paths.

use std::cmp::Ordering;
use std::fmt;

use crate::model::name::Hostname;

/// A pattern that Cloudflare takes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern {
    host: HostPattern,
    path: PathPattern,
    scheme: Option<Scheme>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Scheme {
    Http,
    Https,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum HostPattern {
    /// This host.
    Exact(String),
    /// `*` and this: `.a.example` for `*.a.example`, `a.example` for `*a.example`.
    EndsWith(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct PathPattern {
    literal: String,
    /// Whether `*` follows.
    open: bool,
}

/// Why Cloudflare does not take a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "their messages say it")]
pub enum PatternError {
    #[error("the pattern is empty")]
    Empty,
    #[error("`${{…}}` is not replaced by anything: the pattern is taken as it is written")]
    Variable,
    #[error("there is no host before the path")]
    NoHost,
    #[error("`{0}` is not a host; a pattern is host/path, without a port")]
    NotHost(String),
    #[error("`*` in the middle of a host: it stands at the beginning of the host, or nowhere in it")]
    StarInHost,
    #[error("`*` in the middle of a label: before a host it stands alone, or for a whole label (`*.`)")]
    StarInLabel,
    #[error("`*` in the middle of a path: it stands at its end, or nowhere in it")]
    StarInPath,
    #[error("a pattern has no query and no fragment")]
    Query,
    #[error("the path holds white space")]
    Space,
    #[error("the scheme `{0}`: only http:// and https:// may stand before a host")]
    Scheme(String),
    #[error("a custom domain is a bare host, without a path: `{0}`")]
    DomainPath(String),
    #[error("a custom domain is one host, without `*`")]
    DomainStar,
    #[error("a custom domain is a bare host, without a scheme")]
    DomainScheme,
}

impl Pattern {
    /// Reads the pattern of a route.
    ///
    /// # Errors
    /// [`PatternError`] when Cloudflare would not take it.
    pub fn route(text: &str) -> Result<Self, PatternError> {
        let (scheme, rest) = split_scheme(text)?;
        if rest.is_empty() {
            return Err(PatternError::Empty);
        }
        if rest.contains("${") {
            return Err(PatternError::Variable);
        }
        if rest.contains(['?', '#']) {
            return Err(PatternError::Query);
        }
        let (host, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
        Ok(Self { scheme, host: HostPattern::parse(host)?, path: PathPattern::parse(path)? })
    }

    /// Reads the pattern of a custom domain: it means every path of its host.
    ///
    /// # Errors
    /// [`PatternError`] when it is more than a host.
    pub fn custom_domain(text: &str) -> Result<Self, PatternError> {
        let (scheme, rest) = split_scheme(text)?;
        if scheme.is_some() {
            return Err(PatternError::DomainScheme);
        }
        if let Some(slash) = rest.find('/') {
            return Err(PatternError::DomainPath(rest[slash..].to_owned()));
        }
        if rest.contains('*') {
            return Err(PatternError::DomainStar);
        }
        if rest.contains("${") {
            return Err(PatternError::Variable);
        }
        if rest.is_empty() {
            return Err(PatternError::Empty);
        }
        match HostPattern::parse(rest)? {
            HostPattern::Exact(host) => Ok(Self::whole(&host)),
            HostPattern::EndsWith(_) => Err(PatternError::DomainStar),
        }
    }

    /// `host/*`.
    #[must_use]
    pub fn whole(host: &str) -> Self {
        let path = PathPattern { literal: "/".to_owned(), open: true };
        Self { scheme: None, host: HostPattern::Exact(host.to_ascii_lowercase()), path }
    }

    /// The host as it is written in a pattern: `a.example`, `*.a.example`.
    #[must_use]
    pub fn host(&self) -> String {
        match &self.host {
            HostPattern::Exact(host) => host.clone(),
            HostPattern::EndsWith(end) => format!("*{end}"),
        }
    }

    /// The path as it is written in a pattern: `/*`, `/api/*`, `/`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}{}", self.path.literal, if self.path.open { "*" } else { "" })
    }

    /// Whether the host begins with `*`.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        matches!(self.host, HostPattern::EndsWith(_))
    }

    /// What every host that it matches ends in; the whole of it where it matches one alone.
    pub(super) fn ending(&self) -> &str {
        match &self.host {
            HostPattern::Exact(host) | HostPattern::EndsWith(host) => host,
        }
    }

    /// Whether it matches some request for `host`.
    #[must_use]
    pub fn reaches(&self, host: &str) -> bool {
        match &self.host {
            HostPattern::Exact(own) => own == host,
            HostPattern::EndsWith(end) => host.ends_with(end.as_str()),
        }
    }

    /// Whether some request matches both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let schemes = self.scheme.is_none() || other.scheme.is_none() || self.scheme == other.scheme;
        schemes && self.host.overlaps(&other.host) && self.path.overlaps(&other.path)
    }

    /// Whether it matches every request that `other` matches.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let schemes = self.scheme.is_none() || self.scheme == other.scheme;
        schemes && self.host.covers(&other.host) && self.path.covers(&other.path)
    }

    /// Which of two patterns that overlap Cloudflare prefers: `Greater` is the more specific one. The host decides, then
    /// the path, then the scheme.
    #[must_use]
    pub fn specificity(&self, other: &Self) -> Ordering {
        self.host
            .specificity(&other.host)
            .then_with(|| self.path.specificity(&other.path))
            .then_with(|| self.scheme.is_some().cmp(&other.scheme.is_some()))
    }

    /// Whether `self` and `one` are the same but for the scheme, which `one` states: `Some(true)` for https.
    pub(super) fn narrowed_by(&self, one: &Self) -> Option<bool> {
        let secure = one.scheme? == Scheme::Https;
        (self.scheme.is_none() && one.host.covers(&self.host) && one.path.covers(&self.path)).then_some(secure)
    }

    /// Whether hosts of `zone` alone match it.
    #[must_use]
    pub fn is_in_zone(&self, zone: &str) -> bool {
        let zone = zone.to_ascii_lowercase();
        match &self.host {
            // `*/*` is taken by a zone for its own and its customers' hosts.
            HostPattern::EndsWith(end) if end.is_empty() => true,
            HostPattern::Exact(host) | HostPattern::EndsWith(host) => {
                *host == zone || host.strip_suffix(zone.as_str()).is_some_and(|rest| rest.ends_with('.'))
            }
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            None => "",
            Some(Scheme::Http) => "http://",
            Some(Scheme::Https) => "https://",
        };
        write!(f, "{scheme}{}{}", self.host(), self.path())
    }
}

impl HostPattern {
    fn parse(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::NoHost);
        }
        let not_host = || PatternError::NotHost(text.to_owned());
        let Some(rest) = text.strip_prefix('*') else {
            if text.contains('*') {
                let label = text.split('.').find(|label| label.contains('*')).unwrap_or_default();
                return Err(if label == "*" { PatternError::StarInHost } else { PatternError::StarInLabel });
            }
            let host = Hostname::parse(text).map_err(|_| not_host())?;
            return Ok(Self::Exact(host.as_str().to_owned()));
        };
        if rest.contains('*') {
            return Err(PatternError::StarInHost);
        }
        if rest.is_empty() {
            return Ok(Self::EndsWith(String::new()));
        }
        let (dot, name) = rest.strip_prefix('.').map_or(("", rest), |name| (".", name));
        if dot.is_empty() && rest.starts_with('-') {
            return Err(PatternError::StarInLabel);
        }
        let name = Hostname::parse(name).map_err(|_| not_host())?;
        Ok(Self::EndsWith(format!("{dot}{name}")))
    }

    fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(a), Self::Exact(b)) => a == b,
            (Self::Exact(host), Self::EndsWith(end)) | (Self::EndsWith(end), Self::Exact(host)) => {
                host.ends_with(end.as_str())
            }
            (Self::EndsWith(a), Self::EndsWith(b)) => a.ends_with(b.as_str()) || b.ends_with(a.as_str()),
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(a), Self::Exact(b)) => a == b,
            (Self::Exact(_), Self::EndsWith(_)) => false,
            (Self::EndsWith(end), Self::Exact(host) | Self::EndsWith(host)) => host.ends_with(end.as_str()),
        }
    }

    fn specificity(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Exact(_), Self::Exact(_)) => Ordering::Equal,
            (Self::Exact(_), Self::EndsWith(_)) => Ordering::Greater,
            (Self::EndsWith(_), Self::Exact(_)) => Ordering::Less,
            (Self::EndsWith(a), Self::EndsWith(b)) => a.len().cmp(&b.len()),
        }
    }
}

impl PathPattern {
    fn parse(text: &str) -> Result<Self, PatternError> {
        let (literal, open) = text.strip_suffix('*').map_or((text, false), |literal| (literal, true));
        if literal.contains('*') {
            return Err(PatternError::StarInPath);
        }
        if literal.contains(char::is_whitespace) {
            return Err(PatternError::Space);
        }
        Ok(Self { literal: literal.to_owned(), open })
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.covers(other) || other.covers(self)
    }

    fn covers(&self, other: &Self) -> bool {
        if self.open { other.literal.starts_with(&self.literal) } else { !other.open && self.literal == other.literal }
    }

    fn specificity(&self, other: &Self) -> Ordering {
        self.literal.len().cmp(&other.literal.len()).then_with(|| other.open.cmp(&self.open))
    }
}

/// The scheme, if one is stated, and the rest.
fn split_scheme(text: &str) -> Result<(Option<Scheme>, &str), PatternError> {
    let Some((scheme, rest)) = text.split_once("://") else { return Ok((None, text)) };
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Ok((Some(Scheme::Http), rest)),
        "https" => Ok((Some(Scheme::Https), rest)),
        _ => Err(PatternError::Scheme(scheme.to_owned())),
    }
}

/// The host and the path of a text that may be no pattern, as well as they can be told.
#[must_use]
pub fn loosely(text: &str) -> (String, String) {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let (host, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
    (host.to_ascii_lowercase(), path.to_owned())
}

#[cfg(test)]
mod tests;
