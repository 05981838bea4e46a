//! Looks up the names of endpoints in the background, and again when their answers expire.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;

use super::endpoint::{Endpoint, Endpoints};

/// Look-ups under way at once: enough for thousands of names, few enough for a small resolver.
const CONCURRENT: usize = 64;
/// An answer is kept at least this long, however short its TTL says.
const MIN_TTL: Duration = Duration::from_secs(5);
/// And at most this long: an address that moved is noticed.
const MAX_TTL: Duration = Duration::from_mins(5);
/// After a failed look-up.
const RETRY: Duration = Duration::from_secs(5);
/// How many failing endpoints are named in one line of the log.
const EXAMPLES: usize = 3;
/// How often due names are looked for.
const TICK: Duration = Duration::from_secs(1);
/// One query to one name server; two are made at the most.
const QUERY_TIMEOUT: Duration = Duration::from_secs(2);

/// Keeps the addresses of endpoints up to date.
#[derive(Clone)]
pub struct Resolver {
    endpoints: Arc<Endpoints>,
    dns: TokioResolver,
}

impl Resolver {
    /// Uses the system's name servers and hosts file; without any configuration the hosts file alone.
    ///
    /// # Errors
    /// When the resolver cannot be built from that configuration.
    pub fn new(endpoints: Arc<Endpoints>) -> Result<Self, NetError> {
        let mut builder = TokioResolver::builder_tokio().unwrap_or_else(|error| {
            tracing::warn!(%error, "no usable /etc/resolv.conf: only the hosts file is consulted");
            TokioResolver::builder_with_config(ResolverConfig::default(), TokioRuntimeProvider::default())
        });
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.timeout = QUERY_TIMEOUT;
        options.attempts = 1;
        Ok(Self { endpoints, dns: builder.build()? })
    }

    /// Looks up everything that is due, once. What newly fails is told in one line, however many there are.
    pub async fn resolve_due(&self) {
        let now = Instant::now();
        let due = self.endpoints.in_use().into_iter().filter(|endpoint| endpoint.is_due(now));
        let failed: Vec<String> = futures::stream::iter(due)
            .map(|endpoint| self.resolve(endpoint))
            .buffer_unordered(CONCURRENT)
            .filter_map(std::future::ready)
            .collect()
            .await;
        if !failed.is_empty() {
            let examples = failed.iter().take(EXAMPLES).cloned().collect::<Vec<_>>().join("; ");
            tracing::warn!(endpoints = failed.len(), examples, "endpoints cannot be resolved; `explain` tells of each");
        }
    }

    /// Runs until dropped.
    pub async fn run(self) {
        loop {
            self.resolve_due().await;
            tokio::select! {
                () = self.endpoints.added.notified() => {}
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    /// Looks one name up. `Some` = it fails, and did not fail like this before.
    async fn resolve(&self, endpoint: Arc<Endpoint>) -> Option<String> {
        let name = endpoint.url().name()?;
        let changed = match self.dns.lookup_ip(name.as_str()).await {
            Ok(found) => {
                let now = Instant::now();
                let ttl = found.valid_until().saturating_duration_since(now).clamp(MIN_TTL, MAX_TTL);
                endpoint.resolved(found.iter(), now + ttl)
            }
            Err(error) => {
                let problem = format!("its name cannot be looked up: {error}");
                endpoint.unresolved(problem, Instant::now() + RETRY)
            }
        };
        let problem = endpoint.problem().filter(|_| changed)?;
        Some(format!("{}: {problem}", endpoint.label()))
    }
}
