//! The gateway as Pingora sees it.

use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;

/// `limits`, `trusted_proxies`, `auth.header` and `cors`.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Admission limits.
    pub limits: Limits,
    /// Whose `X-Forwarded-*` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The header that holds a key of ours; never goes upstream.
    pub auth_header: HeaderName,
    /// Cross-origin answers.
    pub cors: Cors,
}

/// The `limits` section (capability 1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest header section, in bytes; 431 above it.
    pub header_bytes: usize,
    /// Most header fields; 431 above it.
    pub headers: usize,
    /// Longest request target, in bytes; 414 above it.
    pub uri_bytes: usize,
    /// Largest request body, in bytes; 413 above it, refused while streaming.
    pub body_bytes: u64,
    /// How long a connection may wait for its next request.
    pub idle_timeout: Duration,
}

/// The `cors` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// Allowed origins: literal, or with `*` in place of exactly one first label (`https://*.chitty.cc`).
    pub origins: Vec<String>,
    /// How long a browser may keep a preflight's answer.
    pub max_age: Duration,
}
