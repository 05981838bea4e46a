//! What wrangler files declare, as claims.

use super::claim::{Claim, EntryId, Kind, Owner, Place, split_script};
use super::family::Family;
use super::pattern::{Pattern, loosely};
use super::wrangler::WranglerFile;
use super::wrangler::declared::{Block, Entry};
use super::wrangler::text::Lines;

/// Hosts of templates (RFC 2606 §3): `*example.com/*` claims nothing.
const PLACEHOLDERS: [&str; 3] = ["example.com", "example.net", "example.org"];

/// Every claim of `files`.
pub(super) fn claims(files: &[WranglerFile], family: Option<&Family>) -> Vec<Claim> {
    let domain = family.map(|family| family.domain.as_str());
    let mut claims = Vec::new();
    for (file, read) in files.iter().enumerate() {
        let lines = Lines::of(&read.text);
        let shown = read.shown();
        for (block, declared) in read.declared.blocks.iter().enumerate() {
            for (entry, one) in declared.entries.iter().enumerate() {
                let at = EntryId { file, block, entry };
                let mut claim = claim(read, &shown, &lines, declared, one, at);
                name_environment(&mut claim, family);
                if !is_placeholder(&claim, domain) {
                    claims.push(claim);
                }
            }
        }
    }
    claims
}

fn claim(file: &WranglerFile, shown: &str, lines: &Lines<'_>, block: &Block, entry: &Entry, at: EntryId) -> Claim {
    let (text, offset) = match &entry.pattern {
        Some((text, span)) => (text.clone(), span.start),
        None => (String::new(), entry.node.span.start),
    };
    let (line, column) = lines.place(offset);
    let pattern = if entry.custom_domain { Pattern::custom_domain(&text) } else { Pattern::route(&text) };
    let name = file.declared.name.clone().or_else(|| block.name.clone());
    let script = block.name.clone().or_else(|| match &block.environment {
        None => file.declared.name.clone(),
        Some(environment) => file.declared.name.as_ref().map(|name| format!("{name}-{environment}")),
    });
    Claim {
        text,
        pattern,
        kind: if entry.custom_domain { Kind::CustomDomain } else { Kind::Route },
        owner: Owner::Worker(name.unwrap_or_else(|| format!("({shown})"))),
        script,
        environment: block.environment.clone(),
        zone: entry.zone_name.as_ref().map(|(zone, _)| zone.clone()).filter(|zone| !zone.contains("${")),
        zone_id: entry.zone_id.clone().filter(|id| !id.contains("${")),
        wrong: entry.wrong.clone(),
        place: Place::Wrangler { file: shown.to_owned(), line, column },
        entry: Some(at),
    }
}

/// `alpha-staging` is the worker `alpha` in an environment, unless it is a service of its own.
fn name_environment(claim: &mut Claim, family: Option<&Family>) {
    let Owner::Worker(name) = &claim.owner else { return };
    let (worker, environment) = split_script(name);
    if environment.is_none() || family.is_some_and(|family| family.is_service_id(name)) {
        return;
    }
    let worker = Owner::Worker(worker.to_owned());
    claim.environment = claim.environment.take().or_else(|| environment.map(str::to_owned));
    claim.owner = worker;
}

fn is_placeholder(claim: &Claim, domain: Option<&str>) -> bool {
    let (host, _) = loosely(&claim.text);
    let Some(rest) = host.strip_prefix('*') else { return false };
    let name = rest.strip_prefix('.').unwrap_or(rest);
    PLACEHOLDERS.contains(&name) && domain != Some(name)
}
