//! The report as `COMPETING_ROUTES.md` (`docs/ENDPOINT_REMEDIATION.md`).

use std::fmt::Write as _;

use super::{ClaimRow, FindingRow, Report, plain};
use crate::inventory::finding::Rule;

/// The report as Markdown. It holds no time, so that two runs over the same files give the same bytes.
#[must_use]
pub fn markdown(report: &Report) -> String {
    let mut out = String::from("# Competing routes\n\n");
    let of = &report.summary;
    let _ = writeln!(
        out,
        "Made by `chittyconnect inventory --format markdown`. {} claims in {} wrangler files: {} errors, {} warnings, {} \
         notes; {} of them are mended by `--fix`.",
        of.claims, of.files, of.errors, of.warnings, of.notes, of.fixable
    );
    if let Some(gateway) = &report.gateway {
        let hosts: Vec<String> = gateway.hosts.iter().map(|host| format!("`{host}`")).collect();
        let _ = writeln!(
            out,
            "\nThe gateway's hosts are {}; {} services are known under `{}`.",
            hosts.join(", "),
            gateway.services,
            gateway.domain
        );
    }
    if !report.unread.is_empty() {
        out.push_str("\n## Not read\n\nWhat is below is without these.\n\n");
        for unread in &report.unread {
            let _ = writeln!(out, "- {}", cell(&unread.to_string()));
        }
    }
    out.push_str("\n## Findings\n\n");
    if report.findings.is_empty() {
        out.push_str("None.\n");
    }
    for rule in Rule::ALL {
        let of_rule: Vec<&FindingRow> = report.findings.iter().filter(|finding| finding.rule == rule).collect();
        if of_rule.is_empty() {
            continue;
        }
        let _ = writeln!(
            out,
            "### {} ({}, {})\n\n{}\n",
            rule,
            rule.level(),
            of_rule.len(),
            rule.help().replace('<', "\\<")
        );
        out.push_str("| finding | where | `--fix` |\n|---|---|---|\n");
        for finding in of_rule {
            let several = finding.claims.len() > 1;
            let place = |claim: &ClaimRow| {
                let of = if several { format!(" `{}` of {}", claim.pattern, claim.owner) } else { String::new() };
                cell(&format!("{}{of}", claim.place))
            };
            let mut places: Vec<String> = report.claims_of(finding).map(place).collect();
            if finding.more > 0 {
                places.push(format!("and {} more", finding.more));
            }
            let fix = if finding.fixable { "yes" } else { "" };
            let _ = writeln!(out, "| {} | {} | {fix} |", cell(&finding.message), places.join("<br>"));
        }
        out.push('\n');
    }
    out.push_str("## Claims\n\n| host | path | owner | environment | where |\n|---|---|---|---|---|\n");
    for claim in &report.claims {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            cell(&claim.host),
            cell(&claim.path),
            cell(&claim.owner.to_string()),
            cell(claim.shown_environment()),
            cell(&claim.place.to_string())
        );
    }
    out
}

/// A text in a cell: what Markdown would read as its own is escaped, but for code in backticks.
fn cell(text: &str) -> String {
    let mut out = String::new();
    let mut code = false;
    for c in plain(text).chars() {
        match c {
            '`' => {
                code = !code;
                out.push(c);
            }
            '|' => out.push_str("\\|"),
            '*' | '_' | '<' | '[' | ']' | '\\' if !code => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}
