//! The report: every claim and every finding, in the shape that JSON has and `inventory diff` reads.

mod markdown;
mod sarif;
mod text;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use self::markdown::markdown;
pub use self::sarif::sarif;
pub use self::text::text;
use super::Inventory;
use super::claim::{Claim, Kind, Owner, Place};
use super::finding::{Level, Rule};
use super::wrangler::Unread;

/// The version of the JSON. It grows when a key goes or changes its meaning; more keys may come at any time.
pub const VERSION: u32 = 1;

/// Everything that is known, for a person or a program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// The gateway's hosts and domain, where they are known.
    pub gateway: Option<Gateway>,
    /// How much there is of everything.
    pub summary: Summary,
    /// Every claim.
    pub claims: Vec<ClaimRow>,
    /// Every finding, the worst first.
    pub findings: Vec<FindingRow>,
    /// What could not be read.
    pub unread: Vec<Unread>,
}

/// The gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway {
    /// The zone of the service hosts.
    pub domain: String,
    /// Its own hosts.
    pub hosts: Vec<String>,
    /// The worker that stands for it.
    pub worker: String,
    /// How many services it knows.
    pub services: usize,
}

/// How much there is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Wrangler files that parse.
    pub files: usize,
    /// Claims.
    pub claims: usize,
    /// Findings that are errors.
    pub errors: usize,
    /// Findings that are warnings.
    pub warnings: usize,
    /// Findings that are notes.
    pub notes: usize,
    /// Findings that `--fix` mends.
    pub fixable: usize,
    /// Things that could not be read.
    pub unread: usize,
}

/// One claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimRow {
    /// `api.example.com`, `*.example.com`.
    pub host: String,
    /// `/*`, `/api/*`.
    pub path: String,
    /// The pattern as it is written.
    pub pattern: String,
    /// `route`, `custom_domain` or `table`.
    pub kind: Kind,
    /// Who claims it.
    pub owner: Owner,
    /// The worker's name at Cloudflare.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// The environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The zone that is stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Where it is made.
    #[serde(flatten)]
    pub place: Place,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingRow {
    /// Its class.
    pub rule: Rule,
    /// How bad it is.
    pub level: Level,
    /// What it is about.
    pub subject: String,
    /// Which, and why.
    pub message: String,
    /// Claims that show it, as indices into `claims`.
    pub claims: Vec<usize>,
    /// Claims that show it too and are not listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: usize,
    /// Whether `--fix` mends it.
    pub fixable: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Report {
    /// Of an inventory.
    #[must_use]
    pub fn of(inventory: &Inventory) -> Self {
        let findings: Vec<FindingRow> = inventory
            .findings
            .iter()
            .map(|finding| FindingRow {
                rule: finding.rule,
                level: finding.rule.level(),
                subject: finding.subject.clone(),
                message: finding.message.clone(),
                claims: finding.claims.clone(),
                more: finding.more,
                fixable: finding.fixable,
            })
            .collect();
        let count = |level: Level| findings.iter().filter(|finding| finding.level == level).count();
        let summary = Summary {
            files: inventory.files().len(),
            claims: inventory.claims.len(),
            errors: count(Level::Error),
            warnings: count(Level::Warning),
            notes: count(Level::Note),
            fixable: findings.iter().filter(|finding| finding.fixable).count(),
            unread: inventory.sources.unread.len(),
        };
        let gateway = inventory.family().map(|family| Gateway {
            domain: family.domain.clone(),
            hosts: family.gateway.clone(),
            worker: family.gateway_worker.clone(),
            services: family.services.len(),
        });
        Self {
            version: VERSION,
            gateway,
            summary,
            claims: inventory.claims.iter().map(ClaimRow::of).collect(),
            findings,
            unread: inventory.sources.unread.clone(),
        }
    }

    /// The claims of a finding.
    pub(super) fn claims_of<'r>(&'r self, finding: &'r FindingRow) -> impl Iterator<Item = &'r ClaimRow> {
        finding.claims.iter().filter_map(|&index| self.claims.get(index))
    }
}

impl ClaimRow {
    fn of(claim: &Claim) -> Self {
        let (host, path) = claim.host_and_path();
        Self {
            host,
            path,
            pattern: claim.text.clone(),
            kind: claim.kind,
            owner: claim.owner.clone(),
            script: claim.script.clone(),
            environment: claim.environment.clone(),
            zone: claim.zone.clone(),
            place: claim.place.clone(),
        }
    }

    pub(super) fn shown_environment(&self) -> &str {
        self.environment.as_deref().unwrap_or("-")
    }
}

/// A text of somebody else, on one line and without control characters.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect())
}
