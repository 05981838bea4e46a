//! Claims that meet: the same pattern, some of the same requests, nothing left.

use std::collections::{BTreeMap, BTreeSet};

use super::service::Services;
use super::{Finding, Rule};
use crate::inventory::claim::{Claim, Kind, Owner};
use crate::inventory::pattern::Pattern;

/// One pattern, two owners.
pub(super) fn conflicts(claims: &[Claim], services: &Services) -> Vec<Finding> {
    let mut by_pattern: BTreeMap<&Pattern, Vec<usize>> = BTreeMap::new();
    for (index, claim) in claims.iter().enumerate() {
        if let Ok(pattern) = &claim.pattern {
            by_pattern.entry(pattern).or_default().push(index);
        }
    }
    let mut findings = Vec::new();
    for (pattern, group) in by_pattern {
        let workers: BTreeSet<&str> = group.iter().filter_map(|&index| claims[index].worker()).collect();
        // The table's own claim is one more owner only where a worker of another service meets it; who meets the
        // gateway's is a finding of its own.
        let strangers = group.iter().any(|&index| {
            matches!(claims[index].owner, Owner::Service(_))
                && group.iter().any(|&other| claims[other].worker().is_some() && services.differ(claims, index, other))
        });
        if workers.len() < 2 && !strangers {
            continue;
        }
        let owners: BTreeSet<String> = group
            .iter()
            .filter(|&&index| match claims[index].owner {
                Owner::Worker(_) => true,
                Owner::Service(_) => strangers,
                Owner::Gateway | Owner::Nobody => false,
            })
            .map(|&index| claims[index].owner.to_string())
            .collect();
        let owners: Vec<&str> = owners.iter().map(String::as_str).collect();
        let mut message = format!("`{pattern}` is claimed by {}", and(&owners));
        let kinds: BTreeSet<Kind> = group.iter().map(|&index| claims[index].kind).collect();
        if kinds.contains(&Kind::Route) && kinds.contains(&Kind::CustomDomain) {
            message.push_str("; the route is asked first, and the custom domain is not reached");
        }
        let shown = group.into_iter().filter(|&index| claims[index].worker().is_some() || strangers).collect();
        findings.push(Finding::new(Rule::RouteConflict, pattern.to_string(), message, shown));
    }
    findings
}

/// Claims in an order in which those below a host, and those below a path, stand side by side.
struct Index<'c> {
    claims: &'c [Claim],
    /// Key and index: the ending backwards, whether a wildcard, the path.
    sorted: Vec<(String, bool, String, usize)>,
}

impl<'c> Index<'c> {
    fn of(claims: &'c [Claim]) -> Self {
        let key = |(index, claim): (usize, &Claim)| {
            let pattern = claim.pattern.as_ref().ok()?;
            let backwards: String = pattern.ending().chars().rev().collect();
            let path = pattern.path().trim_end_matches('*').to_owned();
            Some((backwards, pattern.is_wildcard(), path, index))
        };
        let mut sorted: Vec<_> = claims.iter().enumerate().filter_map(key).collect();
        sorted.sort();
        Self { claims, sorted }
    }

    /// Claims that can be met by `pattern` and are as narrow or narrower.
    fn within(&self, pattern: &Pattern) -> impl Iterator<Item = (usize, &'c Pattern)> {
        let backwards: String = pattern.ending().chars().rev().collect();
        let path = pattern.path().trim_end_matches('*').to_owned();
        let wildcard = pattern.is_wildcard();
        let start = if wildcard {
            self.sorted.partition_point(|(ending, ..)| *ending < backwards)
        } else {
            let key = (&backwards, false, &path);
            self.sorted.partition_point(|(ending, star, literal, _)| (ending, *star, literal) < key)
        };
        self.sorted[start..]
            .iter()
            .take_while(move |(ending, star, literal, _)| {
                if wildcard {
                    ending.starts_with(&backwards)
                } else {
                    *ending == backwards && !star && literal.starts_with(&path)
                }
            })
            .filter_map(|(.., index)| Some((*index, self.claims[*index].pattern.as_ref().ok()?)))
    }
}

/// Some of the same requests, two owners: one finding for each broader claim.
pub(super) fn overlaps(claims: &[Claim], services: &Services) -> Vec<Finding> {
    let index = Index::of(claims);
    let mut findings = Vec::new();
    let mut told = BTreeSet::new();
    for (broad, claim) in claims.iter().enumerate() {
        let Ok(pattern) = &claim.pattern else { continue };
        let winners: Vec<usize> = index
            .within(pattern)
            .filter(|(narrow, other)| {
                *narrow != broad
                    && pattern.overlaps(other)
                    && other.specificity(pattern).is_gt()
                    && services.differ(claims, broad, *narrow)
                    && !services.is_gateway_matter(claims, broad, *narrow)
                    // The route is asked before the custom domain: that is another finding.
                    && !(claim.kind == Kind::Route && claims[*narrow].kind == Kind::CustomDomain && pattern.covers(other))
            })
            .map(|(narrow, _)| narrow)
            .collect();
        if winners.is_empty() {
            continue;
        }
        // One worker may claim a pattern in a file, in an account and in several environments: that is one overlap.
        let patterns: BTreeSet<(String, String)> =
            winners.iter().map(|&winner| (claims[winner].shown(), claims[winner].owner.to_string())).collect();
        if !told.insert((pattern, &claim.owner, patterns.clone())) {
            continue;
        }
        let message = match patterns.first() {
            Some((wins, owner)) if patterns.len() == 1 => {
                format!("requests for `{wins}` go to {owner}, the rest of `{pattern}` to {}", claim.owner)
            }
            _ => format!("{} more specific patterns of others lie in `{pattern}` of {}", patterns.len(), claim.owner),
        };
        let all = std::iter::once(broad).chain(winners).collect();
        findings.push(Finding::new(Rule::RouteOverlap, pattern.to_string(), message, all));
    }
    findings
}

/// Claims that get no request.
pub(super) fn shadowed(claims: &[Claim], services: &Services) -> Vec<Finding> {
    let index = Index::of(claims);
    let mut by: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    let mut schemes: BTreeMap<usize, [BTreeSet<usize>; 2]> = BTreeMap::new();
    for (above, claim) in claims.iter().enumerate() {
        let (Ok(pattern), Some(_)) = (&claim.pattern, claim.worker()) else { continue };
        if claim.kind != Kind::Route {
            continue;
        }
        for (below, other) in index.within(pattern) {
            if claims[below].worker().is_none() || !services.differ(claims, above, below) {
                continue;
            }
            // A custom domain is an origin: every route that covers it is asked before it. One of the very same pattern
            // is a conflict.
            if claims[below].kind == Kind::CustomDomain && pattern.covers(other) && pattern != other {
                by.entry(below).or_default().insert(above);
            }
            if let Some(secure) = other.narrowed_by(pattern) {
                schemes.entry(below).or_default()[usize::from(secure)].insert(above);
            }
        }
    }
    for (below, [plain, secure]) in schemes {
        if !plain.is_empty() && !secure.is_empty() {
            by.entry(below).or_default().extend(plain.into_iter().chain(secure));
        }
    }
    by.into_iter()
        .map(|(below, above)| {
            let claim = &claims[below];
            let what = if claim.kind == Kind::CustomDomain { "custom domain" } else { "route" };
            let owners: BTreeSet<String> =
                above.iter().map(|&index| format!("`{}` of {}", claims[index].shown(), claims[index].owner)).collect();
            let owners: Vec<&str> = owners.iter().map(String::as_str).collect();
            let come = if owners.len() == 1 { "comes" } else { "come" };
            let message = format!(
                "no request reaches the {what} `{}` of {}: {} {come} first",
                claim.text,
                claim.owner,
                and(&owners)
            );
            let all = std::iter::once(below).chain(above).collect();
            Finding::new(Rule::RouteShadowed, claim.shown(), message, all)
        })
        .collect()
}

/// `a, b and c`.
pub(super) fn and(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
