//! From a request's host and path to what answers it.
//!
//! Pure: no I/O, no clock. One immutable [`Table`] behind one pointer; a request keeps the one it began
//! with.

pub mod claim;
pub mod contents;
pub mod explain;
pub mod hostname;
pub mod path;
pub mod registration;
pub mod table;

pub use table::RouteError;

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::model::name::Hostname;
use table::Table;

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
    /// Hosts of the S3 endpoint: names that no service may claim.
    pub files: Vec<Hostname>,
    /// Hosts of the registration paths: names that no service may claim.
    pub register: Vec<Hostname>,
    /// Scheme of the links in discovery: `http` or `https`.
    pub public_scheme: &'static str,
    /// Port of those links; `None` = the scheme's own.
    pub public_port: Option<u16>,
}

impl Config {
    /// Every host that is the gateway's own, with what it answers there.
    pub fn gateway_hosts(&self) -> impl Iterator<Item = (&Hostname, Role)> {
        [
            (&self.connect, Role::Connect),
            (&self.api, Role::Api),
            (&self.mcp, Role::Mcp),
            (&self.files, Role::Files),
            (&self.register, Role::Register),
        ]
        .into_iter()
        .flat_map(|(hosts, role)| hosts.iter().map(move |host| (host, role)))
    }

    /// Where the S3 endpoint is, as its clients write it; `None` where it has no host.
    #[must_use]
    pub fn s3_endpoint(&self) -> Option<String> {
        self.files.first().map(|host| self.public_origin(host.as_str()))
    }

    /// `<public_scheme>://<host>[:<public_port>]`, without a slash at the end.
    #[must_use]
    pub fn public_origin(&self, host: &str) -> String {
        match self.public_port {
            Some(port) => format!("{}://{host}:{port}", self.public_scheme),
            None => format!("{}://{host}", self.public_scheme),
        }
    }
}

/// What a gateway host answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Local endpoints and prefixes.
    Connect,
    /// The same; a bare prefix means `/api`.
    Api,
    /// The same; a bare prefix means `/mcp`.
    Mcp,
    /// The S3 endpoint.
    Files,
    /// The registration paths, and nothing else.
    Register,
}

impl Role {
    /// The key of `gateway` that names hosts of this role.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Api => "api",
            Self::Mcp => "mcp",
            Self::Files => "files",
            Self::Register => "register",
        }
    }
}

/// The table in force, shared.
#[derive(Clone, Debug)]
pub struct Routes(Arc<ArcSwap<Table>>);

impl Routes {
    /// Begins with `table`.
    #[must_use]
    pub fn new(table: Table) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(table)))
    }

    /// The table in force, for a moment.
    #[must_use]
    pub fn peek(&self) -> Guard<Arc<Table>> {
        self.0.load()
    }

    /// The table in force, for as long as the caller likes.
    #[must_use]
    pub fn load(&self) -> Arc<Table> {
        self.0.load_full()
    }

    /// Puts `table` in force for every request that begins from now on.
    pub fn publish(&self, table: Table) {
        self.0.store(Arc::new(table));
    }
}
