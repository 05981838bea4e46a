//! Who claims which route: declarations of workers in wrangler files, in a Cloudflare account, and the gateway's own,
//! side by side; where they collide; and the files mended.
//!
//! It reads, and writes nothing but the wrangler files that [`fix`] mends when it is told to. What cannot be read is said
//! and costs nothing else.

pub mod claim;
pub mod cloudflare;
mod declared;
pub mod difference;
pub mod family;
pub mod finding;
pub mod fix;
pub mod pattern;
pub mod report;
pub mod wrangler;

#[cfg(test)]
#[allow(clippy::format_push_string, reason = "texts of files are put together piece by piece")]
mod tests;

use std::collections::HashMap;

use self::claim::{Claim, Owner, Place, split_script};
use self::cloudflare::Account;
use self::family::Family;
use self::finding::Finding;
use self::wrangler::{Unread, WranglerFile};

/// Everything that was read.
#[derive(Debug, Default)]
pub struct Sources {
    /// Wrangler files; `None` when nobody asked for any.
    pub wrangler: Option<Vec<WranglerFile>>,
    /// A Cloudflare account; `None` when nobody asked for one.
    pub account: Option<Account>,
    /// The gateway's hosts and services, and where they come from; `None` when they are not known.
    pub family: Option<(Family, Place)>,
    /// What could not be read.
    pub unread: Vec<Unread>,
}

/// Claims and findings.
#[derive(Debug)]
pub struct Inventory {
    /// What it was made of.
    pub sources: Sources,
    /// Every claim: by host, path, owner and place.
    pub claims: Vec<Claim>,
    /// Every finding: the worst first.
    pub findings: Vec<Finding>,
}

impl Inventory {
    /// Judges what was read.
    #[must_use]
    pub fn of(mut sources: Sources) -> Self {
        sources.unread.sort();
        sources.unread.dedup();
        let family = sources.family.as_ref().map(|(family, _)| family);
        let files = sources.wrangler.as_deref().unwrap_or_default();
        let mut claims = declared::claims(files, family);
        if let Some(account) = &sources.account {
            let known = scripts(&claims);
            claims.extend(account.claims(&known));
            account.name_zones(&mut claims);
        }
        if let Some((family, place)) = &sources.family {
            claims.extend(family.claims(place));
        }
        claims.sort_by_cached_key(|claim| {
            let (host, path) = claim.host_and_path();
            (host, path, claim.owner.clone(), claim.environment.clone(), claim.place.clone())
        });
        let workers_read = sources.wrangler.is_some() || sources.account.is_some();
        let mut findings = finding::judge(&claims, family, workers_read);
        let plan = fix::plan::Plan::of(files, &claims, family);
        findings.extend(plan.missing(&claims));
        for finding in &mut findings {
            finding.fixable = plan.mends(finding, &claims);
        }
        findings.sort();
        Self { sources, claims, findings }
    }

    /// The wrangler files that were read.
    #[must_use]
    pub fn files(&self) -> &[WranglerFile] {
        self.sources.wrangler.as_deref().unwrap_or_default()
    }

    /// The gateway's hosts and services, where they are known.
    #[must_use]
    pub fn family(&self) -> Option<&Family> {
        self.sources.family.as_ref().map(|(family, _)| family)
    }
}

/// A worker's name at Cloudflare → its name in its wrangler file.
fn scripts(claims: &[Claim]) -> HashMap<String, String> {
    let of = |claim: &Claim| Some((claim.script.clone()?, claim.worker()?.to_owned()));
    claims.iter().filter_map(of).collect()
}

/// The worker that Cloudflare knows by this name.
fn owner_of_script(script: &str, known: &HashMap<String, String>) -> (Owner, Option<String>) {
    match known.get(script) {
        Some(worker) => {
            let environment = script.strip_prefix(worker.as_str()).and_then(|rest| rest.strip_prefix('-'));
            (Owner::Worker(worker.clone()), environment.map(str::to_owned))
        }
        None => {
            let (worker, environment) = split_script(script);
            (Owner::Worker(worker.to_owned()), environment.map(str::to_owned))
        }
    }
}

/// Whether a text can be the name of a worker.
#[must_use]
pub fn is_worker_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=255).contains(&text.len()) && text.bytes().all(fits)
}
