//! The report for a person: a table of claims, then what is wrong with them.

use std::fmt::Write as _;

use super::{ClaimRow, Report, plain};
use crate::inventory::claim::Kind;

/// Claims shown with one finding at most; the JSON has them all.
const SHOWN: usize = 6;

/// The report as text.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    let rows: Vec<[String; 5]> = report.claims.iter().map(row).collect();
    let heads = ["HOST", "PATH", "OWNER", "ENVIRONMENT", "WHERE"].map(str::to_owned);
    let widths: [usize; 5] = std::array::from_fn(|column| {
        let cells = rows.iter().chain([&heads]).map(|row| row[column].chars().count());
        cells.max().unwrap_or_default()
    });
    if !rows.is_empty() {
        for row in std::iter::once(&heads).chain(&rows) {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(widths) {
                let _ = write!(line, "{cell:width$}  ");
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out.push('\n');
    }
    for finding in &report.findings {
        let fixable = if finding.fixable { "  [--fix]" } else { "" };
        let _ = writeln!(out, "{:7}  {:17}  {}{fixable}", finding.level, finding.rule, plain(&finding.message));
        for claim in report.claims_of(finding).take(SHOWN) {
            let environment =
                claim.environment.as_deref().map(|name| format!(" ({})", plain(name))).unwrap_or_default();
            let place = claim.place.to_string();
            let _ =
                writeln!(out, "{:28}{}  {}{environment}  {}", "", plain(&place), claim.owner, plain(&claim.pattern));
        }
        let more = finding.more + finding.claims.len().saturating_sub(SHOWN);
        if more > 0 {
            let _ = writeln!(out, "{:28}and {more} more; --format json has them", "");
        }
    }
    if !report.findings.is_empty() {
        out.push('\n');
    }
    for unread in &report.unread {
        let _ = writeln!(out, "unread   {}", plain(&unread.to_string()));
    }
    let of = &report.summary;
    let _ = writeln!(
        out,
        "{} claims in {} wrangler files; {} errors, {} warnings, {} notes; {} of them mended by --fix; {} unread",
        of.claims, of.files, of.errors, of.warnings, of.notes, of.fixable, of.unread
    );
    out
}

fn row(claim: &ClaimRow) -> [String; 5] {
    let custom = if claim.kind == Kind::CustomDomain { " (custom domain)" } else { "" };
    let host = if claim.host.is_empty() { "-" } else { &claim.host };
    [
        plain(host).into_owned(),
        format!("{}{custom}", plain(&claim.path)),
        plain(&claim.owner.to_string()).into_owned(),
        plain(claim.shown_environment()).into_owned(),
        plain(&claim.place.to_string()).into_owned(),
    ]
}
