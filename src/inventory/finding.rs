//! Findings: what is wrong with the claims, each of one class, each with the claims that show it.

mod conflict;
pub mod service;

use std::cmp::Reverse;
use std::fmt;

use serde::{Deserialize, Serialize};

use self::service::Services;
use super::claim::{Claim, Kind, Owner};
use super::family::Family;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Worth knowing.
    Note,
    /// Requests may go elsewhere than meant.
    Warning,
    /// Requests go elsewhere than meant, or a deployment fails.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// The classes of findings. Their names are part of the JSON and of SARIF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// One pattern, claimed by two.
    RouteConflict,
    /// A claim on a host of the gateway that is not the gateway's.
    GatewayHost,
    /// What Cloudflare does not take.
    RouteInvalid,
    /// A claim that no request reaches, because of others.
    RouteShadowed,
    /// Two claims on some of the same requests; the more specific one gets them.
    RouteOverlap,
    /// A service that claims more than its own route.
    ServiceExcess,
    /// A worker whose service the registry does not know.
    ServiceUnknown,
    /// A service that no worker claims a route for.
    ServiceUnclaimed,
    /// A host of the gateway that its worker does not claim.
    GatewayUnclaimed,
}

impl Rule {
    /// Every one.
    pub const ALL: [Self; 9] = [
        Self::RouteConflict,
        Self::GatewayHost,
        Self::RouteInvalid,
        Self::RouteShadowed,
        Self::RouteOverlap,
        Self::ServiceExcess,
        Self::ServiceUnknown,
        Self::ServiceUnclaimed,
        Self::GatewayUnclaimed,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RouteConflict => "route-conflict",
            Self::GatewayHost => "gateway-host",
            Self::RouteInvalid => "route-invalid",
            Self::RouteShadowed => "route-shadowed",
            Self::RouteOverlap => "route-overlap",
            Self::ServiceExcess => "service-excess",
            Self::ServiceUnknown => "service-unknown",
            Self::ServiceUnclaimed => "service-unclaimed",
            Self::GatewayUnclaimed => "gateway-unclaimed",
        }
    }

    /// How bad it is.
    #[must_use]
    pub fn level(self) -> Level {
        match self {
            Self::RouteConflict | Self::GatewayHost | Self::RouteInvalid => Level::Error,
            Self::RouteShadowed | Self::RouteOverlap | Self::ServiceExcess | Self::ServiceUnknown => Level::Warning,
            Self::ServiceUnclaimed | Self::GatewayUnclaimed => Level::Note,
        }
    }

    /// What it means, and what to do.
    #[must_use]
    pub fn help(self) -> &'static str {
        match self {
            Self::RouteConflict => {
                "Two owners claim the same pattern: the one deployed last has it, and the other is cut off. Leave it to one."
            }
            Self::GatewayHost => {
                "A worker takes requests for a host that the gateway answers. Have it claim its own host alone; the gateway sends it what is its own."
            }
            Self::RouteInvalid => {
                "Cloudflare or wrangler does not take the claim: a deployment fails. Mend the pattern."
            }
            Self::RouteShadowed => {
                "No request reaches the claim, because others come before it. Remove it, or remove those."
            }
            Self::RouteOverlap => {
                "Two owners claim some of the same requests; the more specific pattern gets them. Make sure that this is meant."
            }
            Self::ServiceExcess => {
                "A service claims more than <subdomain>.<domain>/*. Requests to the rest belong to the gateway, which sends on what is the service's."
            }
            Self::ServiceUnknown => {
                "The registry has no service for the worker. Register it, or remove its routes if it is not of the family."
            }
            Self::ServiceUnclaimed => {
                "The registry has the service, and no worker that was read claims a route for it. It may not be a worker, or it is gone."
            }
            Self::GatewayUnclaimed => "The gateway's worker does not claim a host that the gateway answers. Add it.",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its class.
    pub rule: Rule,
    /// What it is about: a pattern, a worker, a service.
    pub subject: String,
    /// Which, and why, in a sentence.
    pub message: String,
    /// The claims that show it, by their index; the one to be changed first.
    pub claims: Vec<usize>,
    /// Claims that show it too, and are not listed.
    pub more: usize,
    /// Whether `--fix` mends it.
    pub fixable: bool,
}

/// Claims listed with one finding at most: more are counted, so that a pattern that meets everything stays readable.
const MAX_LISTED: usize = 200;

impl Finding {
    pub(super) fn new(rule: Rule, subject: impl Into<String>, message: impl Into<String>, claims: Vec<usize>) -> Self {
        let more = claims.len().saturating_sub(MAX_LISTED);
        let mut claims = claims;
        claims.truncate(MAX_LISTED);
        Self { rule, subject: subject.into(), message: message.into(), claims, more, fixable: false }
    }
}

impl Ord for Finding {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let key = |finding: &Self| (Reverse(finding.rule.level()), finding.rule);
        key(self)
            .cmp(&key(other))
            .then_with(|| self.subject.cmp(&other.subject))
            .then_with(|| self.claims.cmp(&other.claims))
            .then_with(|| self.message.cmp(&other.message))
    }
}

impl PartialOrd for Finding {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Every finding of `claims`. `workers_read`: whether somebody was asked for the claims of workers at all.
pub(super) fn judge(claims: &[Claim], family: Option<&Family>, workers_read: bool) -> Vec<Finding> {
    let services = Services::of(claims, family);
    let mut findings = invalid(claims);
    findings.extend(conflict::conflicts(claims, &services));
    findings.extend(conflict::overlaps(claims, &services));
    findings.extend(conflict::shadowed(claims, &services));
    if let Some(family) = family {
        findings.extend(services.on_gateway_hosts(claims, family));
        findings.extend(services.excess(claims, family));
        if workers_read {
            findings.extend(services.unknown(claims, family));
            findings.extend(services.unclaimed(claims, family));
        }
    }
    findings
}

/// What Cloudflare or wrangler does not take.
fn invalid(claims: &[Claim]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, claim) in claims.iter().enumerate() {
        if claim.kind == Kind::Table || claim.owner == Owner::Nobody {
            continue;
        }
        let mut reasons = Vec::new();
        reasons.extend(claim.wrong.clone());
        match &claim.pattern {
            Err(error) if claim.wrong.is_none() || !claim.text.is_empty() => reasons.push(error.to_string()),
            Err(_) => {}
            Ok(pattern) => {
                if let Some(zone) = claim.zone.as_ref().filter(|zone| !pattern.is_in_zone(zone)) {
                    reasons.push(format!("the zone `{zone}` does not own `{}`", pattern.host()));
                }
            }
        }
        if !reasons.is_empty() {
            let subject = if claim.text.is_empty() { claim.owner.to_string() } else { claim.text.clone() };
            let message = format!("`{subject}` of {}: {}", claim.owner, reasons.join("; "));
            findings.push(Finding::new(Rule::RouteInvalid, subject, message, vec![index]));
        }
    }
    findings
}
