//! How often a caller may ask: token buckets that fill continuously, one a key and one a client address (CONTRACT.md §0,
//! "Rate limit"; the `rate_limit` section).
//!
//! A caller with a valid key has that key's bucket. Everybody else has the bucket of its address, whatever key it makes
//! up: a failed attempt is one of its requests. Counting is atomic, and costs one look-up.

mod bucket;

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::{Principal, RateState};
use crate::model::id::KeyId;
use bucket::{Block, Buckets};
pub use bucket::{Exceeded, Taken};

/// `rate_limit`. A class without a rate is not limited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// An address without a valid key, outside of `/api`.
    pub anonymous: Option<Rate>,
    /// An address without a valid key, under `/api`.
    pub api: Option<Rate>,
    /// A key that has no limit of its own.
    pub authenticated: Option<Rate>,
    /// `/mcp/tools/call`, whoever calls.
    pub tools: Option<Rate>,
    /// Paths that are never counted.
    pub exempt: Vec<String>,
    /// Whether anything is limited at all: keys with a limit of their own too.
    pub off: bool,
}

/// So many requests in so long: at once, or spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// Requests.
    pub count: NonZeroU32,
    /// In this time.
    pub per: Duration,
}

impl Rate {
    /// So many a minute, as keys have it.
    #[must_use]
    pub fn a_minute(count: NonZeroU32) -> Self {
        Self { count, per: Duration::from_secs(60) }
    }
}

/// What a request counts as: the `class` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Without a valid key, outside of `/api`.
    Anonymous,
    /// Without a valid key, under `/api`.
    Api,
    /// With a valid key.
    Authenticated,
    /// A tool's call.
    Tools,
}

impl Class {
    /// The label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Api => "api",
            Self::Authenticated => "authenticated",
            Self::Tools => "tools",
        }
    }
}

/// Where tools are called.
const TOOLS: &str = "/mcp/tools/call";

/// All buckets.
#[derive(Debug)]
pub struct RateLimits {
    off: bool,
    exempt: Vec<String>,
    anonymous: Option<Buckets<Block>>,
    api: Option<Buckets<Block>>,
    authenticated: Option<Buckets<KeyId>>,
    tools: Option<(Buckets<KeyId>, Buckets<Block>)>,
    /// Of keys with a limit of their own, by that limit. An operator writes these, so they are few.
    own: RwLock<HashMap<NonZeroU32, Arc<Buckets<KeyId>>>>,
}

/// What counting a request came to: where its caller's bucket stands now, if it has one.
pub type Counted = Result<Option<Taken>, Refused>;

/// A bucket is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What the request counted as.
    pub class: Class,
    /// Which rate it would have exceeded, and for how long.
    pub exceeded: Exceeded,
}

impl RateLimits {
    /// Every bucket full.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            off: config.off,
            exempt: config.exempt.clone(),
            anonymous: config.anonymous.map(Buckets::new),
            api: config.api.map(Buckets::new),
            authenticated: config.authenticated.map(Buckets::new),
            tools: config.tools.map(|rate| (Buckets::new(rate), Buckets::new(rate))),
            own: RwLock::default(),
        }
    }

    /// Whether requests for `path` are counted at all.
    #[must_use]
    pub fn counts(&self, path: &str) -> bool {
        !self.off && !self.exempt.iter().any(|exempt| exempt == path)
    }

    /// Counts a request of `caller`.
    ///
    /// # Errors
    /// [`Refused`]: it is one too many, and is not counted.
    pub fn count_caller(&self, caller: &Principal, path: &str) -> Counted {
        let key = &caller.key_id;
        if let Some((buckets, _)) = self.tools.as_ref().filter(|_| path == TOOLS) {
            return taken(Class::Tools, buckets.take(key));
        }
        let own = caller.rate_limit.and_then(NonZeroU32::new);
        match (own, &self.authenticated) {
            (Some(own), _) => taken(Class::Authenticated, self.own(own).take(key)),
            (None, Some(buckets)) => taken(Class::Authenticated, buckets.take(key)),
            (None, None) => Ok(None),
        }
    }

    /// Counts a request without a valid key, from `client`. Requests that come from no address count together.
    ///
    /// # Errors
    /// [`Refused`]: it is one too many, and is not counted.
    pub fn count_address(&self, client: Option<IpAddr>, path: &str) -> Counted {
        let block = Block::of(client);
        let under_api = path.strip_prefix("/api").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let (class, buckets) = match &self.tools {
            Some((_, buckets)) if path == TOOLS => (Class::Tools, Some(buckets)),
            _ if under_api => (Class::Api, self.api.as_ref()),
            _ => (Class::Anonymous, self.anonymous.as_ref()),
        };
        buckets.map_or(Ok(None), |buckets| taken(class, buckets.take(&block)))
    }

    fn own(&self, limit: NonZeroU32) -> Arc<Buckets<KeyId>> {
        if let Some(buckets) = self.own.read().unwrap_or_else(PoisonError::into_inner).get(&limit) {
            return Arc::clone(buckets);
        }
        let mut own = self.own.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(own.entry(limit).or_insert_with(|| Arc::new(Buckets::new(Rate::a_minute(limit)))))
    }
}

fn taken(class: Class, taken: Result<Taken, Exceeded>) -> Counted {
    taken.map(Some).map_err(|exceeded| Refused { class, exceeded })
}

impl From<Taken> for RateState {
    fn from(taken: Taken) -> Self {
        Self { limit: taken.limit, remaining: taken.remaining }
    }
}

#[cfg(test)]
mod tests;
