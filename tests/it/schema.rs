//! Every operation as `/openapi.json` describes it, asked by schemathesis: thousands of requests, right and wrong ones,
//! all of its checks. No answer is a 5xx, and each is one that the description names.

use std::path::PathBuf;
use std::process::Command;

use crate::support::peer::peers_are_there;
use crate::support::{CONNECT, Daemon, Tenant};

/// The program, where `tests/run.sh` put it.
const PROGRAM: &str = "CHITTY_SCHEMATHESIS";
/// Requests of each phase for each operation, about.
const EXAMPLES: &str = "40";

#[test]
fn every_operation_answers_as_it_is_described() {
    if !peers_are_there() {
        return;
    }
    let program = std::env::var_os(PROGRAM).map_or_else(|| PathBuf::from("schemathesis"), PathBuf::from);
    let daemon = Daemon::builder()
        .set("registry", "{sources: [{embedded: {ttl: 90s}}]}")
        .set("log", "{level: info, format: json, access: \"off\"}")
        .start();
    let root = Tenant::with(&daemon, "root", &["--scope", "admin"]);
    let url = format!("http://127.0.0.1:{}", daemon.port);
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/schemathesis.toml");
    let output = Command::new(&program)
        .args(["--config-file", config, "run", &format!("{url}/openapi.json"), "--url", &url])
        .args(["--header", &format!("Authorization: Bearer {}", root.key)])
        // A stream of events has no end that could be waited for; tests/it/events.rs follows some.
        .args(["--exclude-path", "/sse"])
        // Made-up keys beside the right one would only be refused; tests/it/access_walk.rs does that.
        .args(["--generation-with-security-parameters", "false"])
        .args(["--checks", "all", "--phases", "examples,coverage,fuzzing,stateful", "--max-examples", EXAMPLES])
        .args(["--continue-on-failure", "--generation-database", "none", "--no-color", "--request-timeout", "20"])
        .current_dir(daemon.folder())
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}\n{}", String::from_utf8_lossy(&output.stderr));
    let generated = report.lines().find(|line| line.contains(" generated, "));
    let generated = generated.and_then(|line| line.split_whitespace().next()?.parse::<u32>().ok());
    assert!(generated.is_some_and(|cases| cases > 2000), "too few cases: {report}");
    assert_eq!(daemon.get(CONNECT, "/health").status(), 200);
}
