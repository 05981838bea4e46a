//! A claim: somebody wants the requests that a pattern matches.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::pattern::{Pattern, PatternError};

/// Who claims.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "name")]
pub enum Owner {
    /// The gateway itself.
    Gateway,
    /// A service of the gateway's table, on its own hosts.
    Service(String),
    /// A worker, whatever the environment.
    Worker(String),
    /// A route that Cloudflare keeps free of workers.
    Nobody,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway => f.write_str("the gateway"),
            Self::Service(id) => write!(f, "service {id}"),
            Self::Worker(name) => f.write_str(name),
            Self::Nobody => f.write_str("no worker"),
        }
    }
}

/// What kind of claim it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A route of a worker.
    Route,
    /// A custom domain of a worker: all of a host.
    CustomDomain,
    /// A host of the gateway, or of a service in its table.
    Table,
}

/// Where a claim is made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "source")]
pub enum Place {
    /// In a wrangler file.
    Wrangler {
        /// The file, as it was reached.
        file: String,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
    },
    /// In a Cloudflare account.
    Cloudflare {
        /// The id of the route or the custom domain.
        id: String,
    },
    /// In the gateway's configuration, or its table as that gives it.
    Configuration,
    /// In the running daemon's table.
    Live,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrangler { file, line, .. } => write!(f, "{file}:{line}"),
            Self::Cloudflare { id } => write!(f, "cloudflare:{id}"),
            Self::Configuration => f.write_str("configuration"),
            Self::Live => f.write_str("daemon"),
        }
    }
}

/// One claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// As it is written.
    pub text: String,
    /// What Cloudflare makes of it.
    pub pattern: Result<Pattern, PatternError>,
    /// Route, custom domain, or the table.
    pub kind: Kind,
    /// Who claims it.
    pub owner: Owner,
    /// The worker's name as Cloudflare knows it, its environment in it.
    pub script: Option<String>,
    /// The environment, where one is named.
    pub environment: Option<String>,
    /// The zone it is claimed in, where one is named.
    pub zone: Option<String>,
    /// That zone's id, where it is named by that.
    pub zone_id: Option<String>,
    /// What is wrong with it beside the pattern.
    pub wrong: Option<String>,
    /// Where it is made.
    pub place: Place,
    /// Which entry of which file makes it.
    pub entry: Option<EntryId>,
}

/// One entry of the files that were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// Index of the file.
    pub file: usize,
    /// Index of the block in the file.
    pub block: usize,
    /// Index of the entry in the block.
    pub entry: usize,
}

impl Claim {
    /// Host and path, as well as they can be told.
    #[must_use]
    pub fn host_and_path(&self) -> (String, String) {
        match &self.pattern {
            Ok(pattern) => (pattern.host(), pattern.path()),
            Err(_) => super::pattern::loosely(&self.text),
        }
    }

    /// The pattern in its one spelling, or the text of what is none.
    #[must_use]
    pub fn shown(&self) -> String {
        self.pattern.as_ref().map_or_else(|_| self.text.clone(), ToString::to_string)
    }

    /// The worker, where it is one's.
    #[must_use]
    pub fn worker(&self) -> Option<&str> {
        match &self.owner {
            Owner::Worker(name) => Some(name),
            Owner::Gateway | Owner::Service(_) | Owner::Nobody => None,
        }
    }

    /// Whether the environment is one that serves the family: none named, or production.
    #[must_use]
    pub fn is_production(&self) -> bool {
        is_production(self.environment.as_deref())
    }
}

/// Whether an environment of this name is the one that serves the family.
#[must_use]
pub fn is_production(environment: Option<&str>) -> bool {
    environment.is_none_or(|name| ["production", "prod"].contains(&name.to_ascii_lowercase().as_str()))
}

/// A worker's name and environment, out of the name that Cloudflare knows it by.
#[must_use]
pub fn split_script(script: &str) -> (&str, Option<&str>) {
    for environment in ["production", "staging"] {
        let worker = script.strip_suffix(environment).and_then(|rest| rest.strip_suffix('-'));
        if let Some(worker) = worker.filter(|worker| !worker.is_empty()) {
            return (worker, Some(environment));
        }
    }
    (script, None)
}
