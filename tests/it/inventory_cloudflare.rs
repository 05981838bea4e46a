//! `inventory --cloudflare`: pages, limits and errors of the API, and where the token goes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::peer::peers_are_there;
use crate::support::{BINARY, Rows};

const STUB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/cloudflare_peer.py");
const ACCOUNT: &str = "0123456789abcdef0123456789abcdef";
const TOKEN: &str = "cf-token-of-the-tests";
const CONFIGURATION: &str = "domain: chitty.test\ngateway: {files: []}\nservices:\n  - {id: alpha, endpoints: \
                             [\"http://127.0.0.1:9\"]}\n  - {id: beta, endpoints: [\"http://127.0.0.1:9\"]}\n";

/// The stub, which ends with this.
struct Api {
    child: Child,
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Api {
    fn start(mode: &str) -> Self {
        let mut command = Command::new("python3");
        let mut child = command.args([STUB, mode]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.next().unwrap().unwrap().parse().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                kept.lock().unwrap().push(line);
            }
        });
        Self { child, port, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    fn inventory(&self, folder: &Path, more: &[&str]) -> Output {
        let url = format!("http://127.0.0.1:{}/client/v4", self.port);
        let known = ["--cloudflare", ACCOUNT, "--token-file", "token", "--api-url", &url, "--config", "edge.yaml"];
        run(folder, &[&known[..], more].concat())
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(BINARY).arg("inventory").args(arguments).current_dir(folder).output().unwrap()
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("edge.yaml"), CONFIGURATION).unwrap();
    fs::write(folder.path().join("token"), format!("{TOKEN}\n")).unwrap();
    fs::set_permissions(folder.path().join("token"), fs::Permissions::from_mode(0o600)).unwrap();
    folder
}

fn all(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn routes_and_custom_domains_of_an_account_are_claims() {
    if !peers_are_there() {
        return;
    }
    let api = Api::start("well");
    let folder = folder();
    fs::write(
        folder.path().join("wrangler.toml"),
        "name = \"alpha\"\n[env.production]\nroute = \"alpha.chitty.test/*\"\n",
    )
    .unwrap();
    let output = api.inventory(folder.path(), &[".", "--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    let claims: Vec<String> = report["claims"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|claim| claim["source"] == "cloudflare")
        .map(|claim| {
            let name = claim["owner"]["name"].as_str().unwrap_or("-");
            format!(
                "{} {} {name} {}",
                claim["id"].as_str().unwrap(),
                claim["pattern"].as_str().unwrap(),
                claim["environment"]
            )
        })
        .collect();
    let mut rows = Rows::new();
    rows.eq("exit", &Some(3), &output.status.code());
    let expected = [
        "r2 alpha.chitty.test/* alpha \"production\"",
        "r3 alpha.chitty.test/health - null",
        "r1 api.chitty.test/alpha/* alpha \"production\"",
        "d1 beta.chitty.test beta \"production\"",
        "r4 mcp.chitty.test/* chittyconnect null",
        "r5 shop.z1.test/* shop null",
    ];
    rows.eq("claims", &expected.map(str::to_owned).to_vec(), &claims);
    let rules: Vec<&str> =
        report["findings"].as_array().unwrap().iter().map(|finding| finding["rule"].as_str().unwrap()).collect();
    // A worker's own file and its own deployment are no conflict.
    rows.eq("findings", &vec!["gateway-host", "service-excess", "service-unknown"], &rules);
    let requests = api.requests();
    rows.eq("pages of zones", &3, &requests.iter().filter(|line| line.starts_with("/client/v4/zones?")).count());
    rows.eq("every zone", &120, &requests.iter().filter(|line| line.contains("/workers/routes")).count());
    rows.holds("token", !all(&output).contains(TOKEN), all(&output));
    rows.finish();
}

#[test]
fn limits_of_the_api_are_waited_for() {
    if !peers_are_there() {
        return;
    }
    let api = Api::start("limited");
    let output = api.inventory(folder().path(), &["--format", "json"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["unread"], Value::Array(Vec::new()));
    assert_eq!(api.requests().len(), 2 * (3 + 120 + 1), "each request once more, and no more than that");
}

#[test]
fn what_fails_is_said_and_what_was_read_stays() {
    if !peers_are_there() {
        return;
    }
    let mut rows = Rows::new();
    // How it behaves, what is said, what was read all the same, how often it was asked at most.
    for (mode, words, kept, at_most) in [
        ("unauthorized", &["401", "Authentication error", "api-tokens"][..], None, 1),
        ("forbidden", &["403", "z1.test", "Workers Routes:Read"][..], Some("r1"), 124),
        ("failing", &["500", "custom domains"][..], Some("r1"), 130),
        ("pausing", &["86400", "429"][..], None, 3),
        ("no-end", &["429", "4 of them", "any more"][..], None, 5),
        ("garbled", &["not understood"][..], None, 3),
        ("moved", &["302"][..], None, 3),
        ("endless", &["for ever"][..], None, 2_100),
        ("again", &["for ever"][..], None, 60),
        ("huge", &["larger"][..], None, 3),
    ] {
        let api = Api::start(mode);
        let folder = folder();
        let output = api.inventory(folder.path(), &["--format", "json"]);
        rows.eq(format!("{mode}: exit"), &Some(1), &output.status.code());
        let seen = all(&output);
        for word in words {
            rows.holds(format!("{mode}: {word}"), seen.contains(word), &seen);
        }
        rows.holds(format!("{mode}: the token"), !seen.contains(TOKEN), &seen);
        rows.holds(format!("{mode}: a report"), serde_json::from_slice::<Value>(&output.stdout).is_ok(), &seen);
        if let Some(id) = kept {
            rows.holds(format!("{mode}: {id}"), seen.contains(&format!("\"{id}\"")), &seen);
        }
        let requests = api.requests();
        rows.holds(format!("{mode}: requests"), requests.len() <= at_most, requests.len());
        rows.holds(format!("{mode}: elsewhere"), !requests.iter().any(|line| line.contains("elsewhere")), &requests);
    }
    rows.finish();
}

#[test]
fn a_token_that_others_may_read_or_that_would_go_in_the_clear_is_not_used() {
    let folder = folder();
    let path = folder.path();
    let token = path.join("token");
    let arguments = ["--cloudflare", ACCOUNT, "--token-file", "token", "--config", "edge.yaml"];
    let mut rows = Rows::new();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).unwrap();
    let output = run(path, &[&arguments[..], &["--api-url", "http://127.0.0.1:9"]].concat());
    rows.eq("mode", &Some(1), &output.status.code());
    rows.holds("the way out", all(&output).contains("chmod 600 token"), all(&output));
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    for (what, more, word) in [
        ("in the clear", ["--api-url", "http://api.example"], "in the clear"),
        ("no URL", ["--api-url", "nonsense"], "no URL"),
        ("no account", ["--cloudflare", "../../user"], "no id of an account"),
    ] {
        let mut arguments = arguments.to_vec();
        if more[0] == "--cloudflare" {
            arguments[1] = more[1];
        } else {
            arguments.extend(more);
        }
        let output = run(path, &arguments);
        rows.eq(what, &Some(1), &output.status.code());
        rows.holds(what, all(&output).contains(word) && !all(&output).contains(TOKEN), all(&output));
    }
    fs::write(&token, "\n").unwrap();
    let output = run(path, &arguments);
    rows.holds("empty", all(&output).contains("holds no token"), all(&output));
    let output = run(path, &[&arguments[..], &["--token-file", "gone"]].concat());
    rows.eq("twice", &Some(2), &output.status.code());
    rows.finish();
}
