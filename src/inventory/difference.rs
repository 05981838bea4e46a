//! `inventory diff`: what two reports differ in. Lines that moved are no difference.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::claim::Place;
use super::finding::{Level, Rule};
use super::report::{ClaimRow, FindingRow, Report, VERSION};

/// What differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Claims of the new report that the old one has not.
    pub claims_added: Vec<ClaimRow>,
    /// Claims of the old report that the new one has not.
    pub claims_removed: Vec<ClaimRow>,
    /// Findings of the new report that the old one has not.
    pub findings_added: Vec<Told>,
    /// Findings of the old report that the new one has not.
    pub findings_removed: Vec<Told>,
    /// What the new report could not read, and the old one could.
    pub unread_added: Vec<String>,
}

/// A finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    /// Its class.
    pub rule: Rule,
    /// How bad it is.
    pub level: Level,
    /// Which, and why.
    pub message: String,
}

/// A report that cannot be compared.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "their messages say it")]
pub enum NotReport {
    #[error("is not a report of `chittyconnect inventory --format json`")]
    Json(#[source] serde_json::Error),
    #[error("is a report of version {0}, and this reads version {VERSION}")]
    Version(u64),
}

/// Reads a report.
///
/// # Errors
/// [`NotReport`].
pub fn read(bytes: &[u8]) -> Result<Report, NotReport> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u64,
    }
    let versioned: Versioned = serde_json::from_slice(bytes).map_err(NotReport::Json)?;
    if versioned.version != u64::from(VERSION) {
        return Err(NotReport::Version(versioned.version));
    }
    serde_json::from_slice(bytes).map_err(NotReport::Json)
}

impl Difference {
    /// Between `old` and `new`.
    #[must_use]
    pub fn between(old: &Report, new: &Report) -> Self {
        let (claims_added, claims_removed) = differ(&old.claims, &new.claims, claim_key);
        let told = |finding: FindingRow| Told { rule: finding.rule, level: finding.level, message: finding.message };
        let (added, removed) = differ(&old.findings, &new.findings, |finding| (finding.rule, finding.message.clone()));
        let unread = |report: &Report| report.unread.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (unread_added, _) = differ(&unread(old), &unread(new), Clone::clone);
        Self {
            claims_added,
            claims_removed,
            findings_added: added.into_iter().map(told).collect(),
            findings_removed: removed.into_iter().map(told).collect(),
            unread_added,
        }
    }

    /// Whether the new report has a claim or a finding that the old one has not, or is less whole.
    #[must_use]
    pub fn has_new(&self) -> bool {
        !self.claims_added.is_empty() || !self.findings_added.is_empty() || !self.unread_added.is_empty()
    }
}

/// What makes a claim the same one: who claims what where, but not the line.
fn claim_key(claim: &ClaimRow) -> (String, String, String, String) {
    let place = match &claim.place {
        Place::Wrangler { file, .. } => format!("wrangler {file}"),
        Place::Cloudflare { .. } => "cloudflare".to_owned(),
        Place::Configuration | Place::Live => "gateway".to_owned(),
    };
    let kind = format!("{:?} {}", claim.kind, claim.environment.as_deref().unwrap_or_default());
    (claim.pattern.clone(), format!("{:?}", claim.owner), kind, place)
}

/// What is in `new` and not in `old`, and the other way round; what is there twice counts twice.
fn differ<T: Clone, K: Ord>(old: &[T], new: &[T], key: impl Fn(&T) -> K) -> (Vec<T>, Vec<T>) {
    let mut counts: BTreeMap<K, usize> = BTreeMap::new();
    for entry in old {
        *counts.entry(key(entry)).or_default() += 1;
    }
    let mut take = |entry: &&T| match counts.get_mut(&key(entry)) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    let added: Vec<T> = new.iter().filter(|entry| take(entry)).cloned().collect();
    let removed = old
        .iter()
        .rev()
        .filter(|entry| match counts.get_mut(&key(entry)) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        })
        .cloned()
        .collect::<Vec<_>>();
    (added, removed.into_iter().rev().collect())
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let claims = [("+", &self.claims_added), ("-", &self.claims_removed)];
        for (sign, claim) in claims.into_iter().flat_map(|(sign, claims)| claims.iter().map(move |claim| (sign, claim)))
        {
            let environment = claim.environment.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
            writeln!(f, "{sign} claim    {}  {}{environment}  {}", claim.pattern, claim.owner, claim.place)?;
        }
        let findings = [("+", &self.findings_added), ("-", &self.findings_removed)];
        for (sign, told) in findings.into_iter().flat_map(|(sign, told)| told.iter().map(move |told| (sign, told))) {
            writeln!(f, "{sign} {:7}  {}  {}", told.level, told.rule, told.message)?;
        }
        for unread in &self.unread_added {
            writeln!(f, "+ unread   {unread}")?;
        }
        if *self == Self::default() {
            writeln!(f, "no difference")?;
        }
        Ok(())
    }
}
