//! What of each file is to go, to be changed, to be added.

use std::collections::{BTreeMap, HashMap};

use crate::inventory::claim::{Claim, EntryId, is_production};
use crate::inventory::family::Family;
use crate::inventory::finding::service::{Services, is_own};
use crate::inventory::finding::{Finding, Rule};
use crate::inventory::pattern::{Pattern, PatternError, loosely};
use crate::inventory::wrangler::WranglerFile;

/// What one entry is to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It goes.
    Remove,
    /// It claims this host: all of it.
    Claim(String),
}

/// What one file is to become.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// (block, entry) → its change.
    pub changes: BTreeMap<(usize, usize), Change>,
    /// Hosts to be claimed in addition, and the block to say it in.
    pub add: Option<(usize, Vec<String>)>,
    /// The zone of added hosts.
    pub domain: String,
}

/// What every file is to become.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    files: BTreeMap<usize, Wanted>,
    /// Hosts that the gateway's worker is to claim, and the index of a claim beside which.
    missing: Vec<String>,
    worker: String,
}

impl Plan {
    /// Judges each file on its own: what a service has in one file it need not have in another.
    #[must_use]
    pub fn of(files: &[WranglerFile], claims: &[Claim], family: Option<&Family>) -> Self {
        let Some(family) = family else { return Self::default() };
        let services = Services::of(claims, Some(family));
        let held = services.held(claims, family);
        let mut holders: HashMap<&Pattern, Vec<&Claim>> = HashMap::new();
        let mut by_file: BTreeMap<usize, Vec<(EntryId, &Claim)>> = BTreeMap::new();
        for claim in claims {
            if let (Ok(pattern), Some(_)) = (&claim.pattern, claim.worker()) {
                holders.entry(pattern).or_default().push(claim);
            }
            if let Some(id) = claim.entry {
                by_file.entry(id.file).or_default().push((id, claim));
            }
        }
        let mut plan = Self { worker: family.gateway_worker.clone(), ..Self::default() };
        for (file, mut own) in by_file {
            own.sort_by_key(|(id, _)| *id);
            let mut wanted = Wanted { domain: family.domain.clone(), ..Wanted::default() };
            let worker = own.first().and_then(|(_, claim)| claim.worker());
            if worker.is_some_and(|worker| family.is_gateway_worker(worker)) {
                mend_domains(&own, &mut wanted);
            } else if let Some(service) = worker.and_then(|worker| services.service_of(worker)) {
                let member = &family.services[service];
                let whole = Pattern::whole(&member.host);
                let taken = holders.get(&whole).is_some_and(|holders| {
                    holders
                        .iter()
                        .any(|claim| claim.entry.is_some_and(|id| id.file != file) || claim.worker() != worker)
                });
                of_service(&own, member, family, taken, &mut wanted);
            } else {
                for (id, claim) in &own {
                    let reached = services.gateway_hosts_of(claim, family, &held);
                    // A wildcard of somebody who is not of the family may be there for other hosts: that is for people.
                    if !reached.is_empty() && !claim.pattern.as_ref().is_ok_and(Pattern::is_wildcard) {
                        wanted.changes.insert((id.block, id.entry), Change::Remove);
                    }
                }
                mend_domains(&own, &mut wanted);
            }
            if !wanted.changes.is_empty() {
                plan.files.insert(file, wanted);
            }
        }
        plan.add_to_gateway(files, claims, family);
        plan
    }

    /// The gateway's hosts that no file of its worker claims go into the first of those files.
    fn add_to_gateway(&mut self, files: &[WranglerFile], claims: &[Claim], family: &Family) {
        let is_its =
            |file: &WranglerFile| file.declared.name.as_deref().is_some_and(|name| family.is_gateway_worker(name));
        let Some(index) = files.iter().position(is_its) else { return };
        let claimed = |host: &&String| {
            let whole = Pattern::whole(host);
            claims.iter().any(|claim| {
                let mended = match &claim.pattern {
                    Ok(pattern) => *pattern == whole,
                    Err(PatternError::DomainPath(path)) => path == "/*" && loosely(&claim.text).0 == **host,
                    Err(_) => false,
                };
                mended && claim.entry.is_some_and(|id| is_its(&files[id.file])) && claim.is_production()
            })
        };
        let missing: Vec<String> = family.gateway.iter().filter(|host| !claimed(host)).cloned().collect();
        if missing.is_empty() {
            return;
        }
        let blocks = &files[index].declared.blocks;
        let production = |block: &&crate::inventory::wrangler::declared::Block| {
            block.environment.is_some() && is_production(block.environment.as_deref())
        };
        let said = blocks.iter().filter(production).find(|block| !block.entries.is_empty());
        let block = said.and_then(|block| blocks.iter().position(|other| other == block)).unwrap_or(0);
        let wanted = self.files.entry(index).or_default();
        wanted.domain.clone_from(&family.domain);
        wanted.add = Some((block, missing.clone()));
        self.missing = missing;
    }

    /// What `file` is to become; `None` when it stays as it is.
    #[must_use]
    pub fn of_file(&self, file: usize) -> Option<&Wanted> {
        self.files.get(&file)
    }

    /// A finding for each host that the gateway's worker is to claim.
    pub(in crate::inventory) fn missing(&self, claims: &[Claim]) -> Vec<Finding> {
        let beside: Vec<usize> = claims
            .iter()
            .enumerate()
            .filter(|(_, claim)| claim.worker() == Some(self.worker.as_str()) && claim.entry.is_some())
            .map(|(index, _)| index)
            .take(1)
            .collect();
        let finding = |host: &String| {
            let message = format!("{} does not claim `{host}/*`, a host of the gateway", self.worker);
            Finding::new(Rule::GatewayUnclaimed, host, message, beside.clone())
        };
        self.missing.iter().map(finding).collect()
    }

    /// Whether the plan removes the cause of a finding.
    pub(in crate::inventory) fn mends(&self, finding: &Finding, claims: &[Claim]) -> bool {
        let goes = |index: &usize| {
            claims[*index].entry.is_some_and(|id| {
                self.files.get(&id.file).is_some_and(|wanted| wanted.changes.contains_key(&(id.block, id.entry)))
            })
        };
        match finding.rule {
            Rule::GatewayUnclaimed => true,
            Rule::GatewayHost | Rule::ServiceExcess | Rule::RouteInvalid => {
                !finding.claims.is_empty() && finding.more == 0 && finding.claims.iter().all(goes)
            }
            Rule::RouteConflict
            | Rule::RouteShadowed
            | Rule::RouteOverlap
            | Rule::ServiceUnknown
            | Rule::ServiceUnclaimed => false,
        }
    }
}

/// A service keeps its own route; where it has none in production, and no other worker or file has it (`taken`), one of what goes
/// becomes it.
fn of_service(
    own: &[(EntryId, &Claim)],
    member: &crate::inventory::family::Member,
    family: &Family,
    taken: bool,
    wanted: &mut Wanted,
) {
    let whole = Pattern::whole(&member.host);
    let mut has_own = taken;
    let mut best: Option<((bool, bool), EntryId)> = None;
    for (id, claim) in own {
        if is_own(claim, member, family) {
            let mended = mended_domain(claim);
            has_own |= mended.as_deref() == Some(member.host.as_str()) || claim.pattern.as_ref() == Ok(&whole);
            if let Some(host) = mended {
                wanted.changes.insert((id.block, id.entry), Change::Claim(host));
            }
            continue;
        }
        wanted.changes.insert((id.block, id.entry), Change::Remove);
        // One whose zone is the family's; the named production environment before the top, which may be there for
        // development.
        let below = claim.host_and_path().0.ends_with(family.domain.as_str());
        let rank = (below, claim.environment.is_some());
        if claim.is_production() && !claim.text.is_empty() && best.is_none_or(|(other, _)| rank > other) {
            best = Some((rank, *id));
        }
    }
    if let (false, Some((_, id))) = (has_own, best) {
        wanted.changes.insert((id.block, id.entry), Change::Claim(member.host.clone()));
    }
}

/// `host/*` as a custom domain is meant as `host`.
fn mend_domains(own: &[(EntryId, &Claim)], wanted: &mut Wanted) {
    for (id, claim) in own {
        if let Some(host) = mended_domain(claim) {
            wanted.changes.entry((id.block, id.entry)).or_insert(Change::Claim(host));
        }
    }
}

fn mended_domain(claim: &Claim) -> Option<String> {
    match &claim.pattern {
        Err(PatternError::DomainPath(path)) if path == "/*" => {
            let host = loosely(&claim.text).0;
            Pattern::custom_domain(&host).is_ok().then_some(host)
        }
        _ => None,
    }
}
