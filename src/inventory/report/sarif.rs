//! The report as SARIF 2.1.0 (docs.oasis-open.org/sarif/sarif/v2.1.0), for whatever shows findings beside the lines.

use std::path::Path;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{ClaimRow, FindingRow, Report};
use crate::inventory::claim::Place;
use crate::inventory::finding::{Level, Rule};

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
/// What a path of a URI may hold as it is (RFC 3986 §3.3).
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The report as SARIF.
#[must_use]
pub fn sarif(report: &Report) -> Value {
    let rules: Vec<Value> = Rule::ALL
        .into_iter()
        .map(|rule| {
            json!({
                "id": rule.name(),
                "shortDescription": {"text": rule.name().replace('-', " ")},
                "help": {"text": rule.help()},
                "defaultConfiguration": {"level": level(rule.level())},
            })
        })
        .collect();
    let results: Vec<Value> = report.findings.iter().map(|finding| result(report, finding)).collect();
    let notifications: Vec<Value> = report
        .unread
        .iter()
        .map(|unread| {
            let mut notification = json!({"level": "error", "message": {"text": unread.to_string()}});
            if let Some(line) = unread.line {
                notification["locations"] = json!([location(&unread.what, line, unread.column)]);
            }
            notification
        })
        .collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "chittyconnect inventory",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": report.unread.is_empty(),
                "toolExecutionNotifications": notifications,
            }],
            "results": results,
        }],
    })
}

fn result(report: &Report, finding: &FindingRow) -> Value {
    let claims: Vec<&ClaimRow> = report.claims_of(finding).collect();
    let places: Vec<Value> = claims.iter().filter_map(|claim| place(claim)).collect();
    let mut result = json!({
        "ruleId": finding.rule.name(),
        "ruleIndex": Rule::ALL.iter().position(|rule| *rule == finding.rule),
        "level": level(finding.level),
        "message": {"text": finding.message},
        "partialFingerprints": {"claim/v1": format!("{}:{}", finding.rule, finding.message)},
    });
    if let Some((first, more)) = places.split_first() {
        result["locations"] = json!([first]);
        if !more.is_empty() {
            let numbered = more.iter().enumerate().map(|(index, place)| {
                let mut place = place.clone();
                place["id"] = json!(index + 1);
                place
            });
            result["relatedLocations"] = numbered.collect();
        }
    }
    result
}

fn place(claim: &ClaimRow) -> Option<Value> {
    match &claim.place {
        Place::Wrangler { file, line, column } => Some(location(file, *line, Some(*column))),
        Place::Cloudflare { id } => Some(json!({
            "logicalLocations": [{"fullyQualifiedName": format!("cloudflare:{id}"), "name": claim.pattern}],
        })),
        Place::Configuration | Place::Live => None,
    }
}

fn location(file: &str, line: usize, column: Option<usize>) -> Value {
    let mut region = json!({"startLine": line});
    if let Some(column) = column {
        region["startColumn"] = json!(column);
    }
    json!({"physicalLocation": {"artifactLocation": {"uri": uri(file)}, "region": region}})
}

/// A relative path stays relative, so that whoever shows the report finds the file in its own checkout.
fn uri(file: &str) -> String {
    let path = utf8_percent_encode(file, PATH);
    if Path::new(file).is_absolute() { format!("file://{path}") } else { path.to_string() }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Note => "note",
    }
}
