//! From a request's host and path to what answers it.

use crate::model::name::Hostname;

/// The `domain` and `gateway` keys of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Zone of the service hosts.
    pub domain: Hostname,
    /// Hosts with local endpoints and prefixes, where a bare prefix means nothing.
    pub connect: Vec<Hostname>,
    /// Hosts where a bare prefix means `/api`.
    pub api: Vec<Hostname>,
    /// Hosts where a bare prefix means `/mcp`.
    pub mcp: Vec<Hostname>,
    /// Hosts of the S3 endpoint (capability 3): names that no service may claim.
    pub files: Vec<Hostname>,
    /// Hosts of the registration paths (capability 2): names that no service may claim.
    pub register: Vec<Hostname>,
    /// Scheme of the links in discovery: `http` or `https`.
    pub public_scheme: &'static str,
    /// Port of those links; `None` = the scheme's own.
    pub public_port: Option<u16>,
}
