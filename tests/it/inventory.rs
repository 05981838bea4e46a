//! `inventory`: what it reads, what it finds, what it mends, how it ends. `UPDATE_GOLDEN=1` writes the reports that it
//! gives now, to be read before they are committed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{BINARY, Daemon, Rows, Upstream};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/inventory")
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(BINARY).arg("inventory").args(arguments).current_dir(folder).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A copy of the golden wrangler files, and the configuration beside them.
fn copied() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&golden(), folder.path());
    folder
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(path, target).unwrap();
        }
    }
}

fn configured(folder: &Path, files: &[(&str, &str)]) {
    fs::copy(golden().join("edge.yaml"), folder.join("edge.yaml")).unwrap();
    for (name, text) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

#[test]
fn every_form_and_every_finding_has_the_report_that_stands_beside_it() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut rows = Rows::new();
    for (folder, code) in [("forms", 0), ("findings", 3), ("bad", 1)] {
        for (format, ending) in [("text", "txt"), ("json", "json"), ("markdown", "md"), ("sarif", "sarif")] {
            let output = run(&golden(), &[folder, "--config", "edge.yaml", "--format", format]);
            rows.eq(format!("{folder} {format}: exit"), &Some(code), &output.status.code());
            let seen = out(&output).replace(env!("CARGO_PKG_VERSION"), "VERSION");
            let file = golden().join(format!("{folder}.{ending}"));
            if update {
                fs::write(&file, &seen).unwrap();
            }
            let expected = fs::read_to_string(&file).unwrap_or_default();
            rows.holds(format!("{} is what is reported", file.display()), expected == seen, &seen);
        }
    }
    let output = run(&golden(), &["findings", "--config", "edge.yaml", "--fix"]);
    let file = golden().join("findings.diff");
    if update {
        fs::write(&file, &output.stdout).unwrap();
    }
    rows.holds("findings.diff is what is shown", fs::read(&file).unwrap_or_default() == output.stdout, out(&output));
    rows.finish();
}

#[test]
fn every_class_of_finding_is_among_the_golden_ones() {
    let output = run(&golden(), &["findings", "--config", "edge.yaml", "--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut rows = Rows::new();
    for rule in [
        "route-conflict",
        "gateway-host",
        "route-invalid",
        "route-shadowed",
        "route-overlap",
        "service-excess",
        "service-unknown",
        "service-unclaimed",
        "gateway-unclaimed",
    ] {
        let there = report["findings"].as_array().unwrap().iter().any(|finding| finding["rule"] == rule);
        rows.holds(rule, there, ());
    }
    rows.eq("version", &Value::from(1), &report["version"]);
    rows.finish();
}

#[test]
fn sarif_names_its_rules_and_the_lines() {
    let output = run(&golden(), &["findings", "--config", "edge.yaml", "--format", "sarif"]);
    let sarif: Value = serde_json::from_slice(&output.stdout).unwrap();
    let run = &sarif["runs"][0];
    let rules: Vec<&Value> =
        run["tool"]["driver"]["rules"].as_array().unwrap().iter().map(|rule| &rule["id"]).collect();
    let mut rows = Rows::new();
    rows.eq("version", &Value::from("2.1.0"), &sarif["version"]);
    for result in run["results"].as_array().unwrap() {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        rows.eq(result.to_string(), &rules[index], &&result["ruleId"]);
        rows.holds("level", ["error", "warning", "note"].contains(&result["level"].as_str().unwrap()), result);
        for location in result["locations"].as_array().into_iter().flatten() {
            let Some(place) = location.get("physicalLocation") else { continue };
            let uri = place["artifactLocation"]["uri"].as_str().unwrap();
            let line = place["region"]["startLine"].as_u64().unwrap();
            let text = fs::read_to_string(golden().join(uri)).unwrap();
            rows.holds(format!("{uri}:{line}"), text.lines().count() as u64 >= line && line > 0, location);
        }
    }
    rows.finish();
    let output = self::run(&golden(), &["forms/with space", "--config", "edge.yaml", "--format", "sarif"]);
    assert!(!out(&output).contains("with space/"), "a space is no part of a URI");
}

#[test]
fn fix_shows_a_diff_and_write_makes_it_once() {
    let folder = copied();
    let path = folder.path();
    fs::set_permissions(path.join("findings/alpha/wrangler.toml"), fs::Permissions::from_mode(0o640)).unwrap();
    let before = fs::read(path.join("findings/alpha/wrangler.toml")).unwrap();
    let shown = run(path, &["findings", "--config", "edge.yaml", "--fix"]);
    assert_eq!(shown.status.code(), Some(3), "{shown:?}");
    assert_eq!(fs::read(path.join("findings/alpha/wrangler.toml")).unwrap(), before, "a look changes nothing");
    let untouched = copied();
    let written = run(path, &["findings", "--config", "edge.yaml", "--fix", "--write"]);
    assert_eq!(out(&written), out(&shown), "what is written is what is shown");
    assert_eq!(written.status.code(), Some(3), "what only people can mend is left: {written:?}");
    let mut rows = Rows::new();
    let mode = fs::metadata(path.join("findings/alpha/wrangler.toml")).unwrap().permissions().mode();
    rows.eq("the mode is kept", &0o640, &(mode & 0o777));
    let text = fs::read_to_string(path.join("findings/alpha/wrangler.toml")).unwrap();
    for comment in ["# alpha claims", "# production", "# its own", "# from before", "# to be taken away", "# kept"] {
        rows.holds(comment, text.contains(comment), &text);
    }
    let left = path.join("findings/alpha").read_dir().unwrap().count();
    rows.eq("no draft is left", &1, &left);
    let again = run(path, &["findings", "--config", "edge.yaml", "--fix", "--write"]);
    rows.holds("a second run", err(&again).contains("nothing to do") && out(&again).is_empty(), &again);
    let report = run(path, &["findings", "--config", "edge.yaml", "--format", "json"]);
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    rows.eq("fixable", &Value::from(0), &report["summary"]["fixable"]);
    // The diff is one that others apply.
    let diff = untouched.path().join("the.diff");
    fs::write(&diff, &shown.stdout).unwrap();
    let applied = Command::new("git").args(["apply", "the.diff"]).current_dir(untouched.path()).output();
    if let Ok(applied) = applied {
        rows.holds("git apply", applied.status.success(), &applied);
        for file in ["alpha/wrangler.toml", "beta/wrangler.jsonc", "connect/wrangler.jsonc", "stranger/wrangler.toml"] {
            let read = |folder: &Path| fs::read(folder.join("findings").join(file)).unwrap();
            rows.eq(file, &read(path), &read(untouched.path()));
        }
    }
    rows.finish();
}

#[test]
fn what_could_not_be_parsed_is_never_touched() {
    let folder = tempfile::tempdir().unwrap();
    let broken = "name = \"alpha\"\nroute = \"api.chitty.test/*\"\nmain = \n";
    configured(
        folder.path(),
        &[("a/wrangler.toml", broken), ("b/wrangler.toml", "name = \"s\"\nroute = \"api.chitty.test/*\"\n")],
    );
    let output = run(folder.path(), &["--config", "edge.yaml", "--fix", "--write"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(err(&output).contains("a/wrangler.toml:3:"), "{output:?}");
    assert_eq!(fs::read_to_string(folder.path().join("a/wrangler.toml")).unwrap(), broken);
    assert_eq!(
        fs::read_to_string(folder.path().join("b/wrangler.toml")).unwrap(),
        "name = \"s\"\n",
        "the rest is mended"
    );
}

#[test]
fn what_cannot_be_read_is_said_and_the_rest_is_inventoried() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    configured(path, &[("ok/wrangler.toml", "name = \"alpha\"\nroute = \"alpha.chitty.test/*\"\n"), ("link/x", "")]);
    let large = fs::File::create(path.join("wrangler.large.toml")).unwrap();
    large.set_len(50 << 20).unwrap();
    fs::write(path.join("wrangler.bytes.toml"), b"name = \"\xff\"\n").unwrap();
    symlink("..", path.join("link/loop")).unwrap();
    symlink("round", path.join("link/wrangler.toml")).unwrap();
    symlink("wrangler.toml", path.join("link/round")).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("wrangler.toml"), "name = \"beta\"\nroute = \"mcp.chitty.test/*\"\n").unwrap();
    symlink(elsewhere.path(), path.join("link/away")).unwrap();
    symlink("../ok", path.join("link/within")).unwrap();
    nix::unistd::mkfifo(&path.join("pipe.toml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let output = run(path, &[".", "pipe.toml", "gone", "--config", "edge.yaml", "--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let unread: Vec<String> = report["unread"].as_array().unwrap().iter().map(ToString::to_string).collect();
    let mut rows = Rows::new();
    rows.eq("exit", &Some(1), &output.status.code());
    for (what, why) in [
        ("wrangler.large.toml", "larger"),
        ("wrangler.bytes.toml", "UTF-8"),
        ("link/loop", "a loop"),
        ("link/wrangler.toml", "leads nowhere"),
        ("link/away", "not followed"),
        ("pipe.toml", "regular file"),
        ("gone", "No such file"),
    ] {
        rows.holds(what, unread.iter().any(|unread| unread.contains(what) && unread.contains(why)), &unread);
    }
    rows.holds("a link to what is read anyway", !unread.iter().any(|unread| unread.contains("within")), &unread);
    let files: Vec<&Value> =
        report["claims"].as_array().unwrap().iter().filter(|claim| claim["source"] == "wrangler").collect();
    rows.eq("claims of files", &1, &files.len());
    rows.eq("the file", &Value::from("ok/wrangler.toml"), &files[0]["file"]);
    rows.finish();
}

#[test]
fn an_unreadable_folder_is_said() {
    let folder = tempfile::tempdir().unwrap();
    configured(
        folder.path(),
        &[("closed/wrangler.toml", "name = \"alpha\"\n"), ("open/wrangler.toml", "name = \"a\"\nroute = \"a.cc/*\"\n")],
    );
    let closed = folder.path().join("closed");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    let is_root = fs::read_dir(&closed).is_ok();
    let output = run(folder.path(), &["--config", "edge.yaml"]);
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    if !is_root {
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(out(&output).contains("unread   closed") || out(&output).contains("unread   ./closed"), "{output:?}");
    }
    assert!(out(&output).contains("open/wrangler.toml:2"), "{output:?}");
}

#[test]
fn without_a_configuration_claims_are_judged_against_each_other_alone() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("a", "name = \"a\"\nroute = \"x.cc/*\"\n"), ("b", "name = \"b\"\nroute = \"x.cc/y/*\"\n")] {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("wrangler.toml"), text).unwrap();
    }
    let output = run(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(out(&output).contains("route-overlap") && !out(&output).contains("service-unknown"), "{output:?}");
    assert!(err(&output).contains("--config"), "{output:?}");
    let output = run(folder.path(), &["--fix"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(err(&output).contains("--config"), "{output:?}");
    assert!(!err(&output).contains('\r'), "no progress in a pipe");
}

#[test]
fn the_running_daemons_table_says_what_is_whose() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder().service(upstream.service("alpha")).start();
    let folder = tempfile::tempdir().unwrap();
    let text = "name = \"alpha\"\nroutes = [\"alpha.chitty.test/*\", \"api.chitty.test/alpha/*\"]\n";
    fs::write(folder.path().join("wrangler.toml"), text).unwrap();
    let socket = daemon.folder().join("admin.sock");
    let output = run(folder.path(), &[".", "--live", socket.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let seen = out(&output);
    for word in ["daemon", "service alpha", "gateway-host", "service-excess"] {
        assert!(seen.contains(word), "{word}: {seen}");
    }
    let alone = run(folder.path(), &["--live", socket.to_str().unwrap()]);
    assert_eq!(alone.status.code(), Some(0), "the daemon alone contradicts nobody: {alone:?}");
    assert!(!out(&alone).contains("wrangler.toml"), "another source was named: {alone:?}");
    let nobody = run(folder.path(), &[".", "--live", "nobody.sock"]);
    assert_eq!(nobody.status.code(), Some(1), "{nobody:?}");
    assert!(out(&nobody).contains("nobody.sock") && out(&nobody).contains("wrangler.toml:2"), "{nobody:?}");
}

#[test]
fn two_reports_are_compared_and_what_is_new_can_be_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let alpha = "name = \"alpha\"\nroute = \"alpha.chitty.test/*\"\n";
    configured(path, &[("w/alpha/wrangler.toml", alpha)]);
    let report = |name: &str| {
        let output = run(path, &["w", "--config", "edge.yaml", "--format", "json"]);
        fs::write(path.join(name), output.stdout).unwrap();
    };
    report("old.json");
    // Lines that move are no change.
    configured(path, &[("w/alpha/wrangler.toml", &format!("# a line more\n{alpha}"))]);
    report("moved.json");
    configured(path, &[("w/beta/wrangler.toml", "name = \"beta\"\nroute = \"api.chitty.test/beta/*\"\n")]);
    report("new.json");
    let mut rows = Rows::new();
    let same = run(path, &["diff", "old.json", "moved.json", "--deny-new"]);
    rows.eq("moved", &Some(0), &same.status.code());
    rows.holds("moved", out(&same).contains("no difference"), &same);
    let new = run(path, &["diff", "old.json", "new.json"]);
    rows.eq("new", &Some(0), &new.status.code());
    rows.holds("claim", out(&new).contains("+ claim    api.chitty.test/beta/*"), &new);
    rows.holds("finding", out(&new).contains("gateway-host"), &new);
    rows.holds("gone", out(&new).contains("- note     service-unclaimed"), &new);
    rows.eq("denied", &Some(3), &run(path, &["diff", "old.json", "new.json", "--deny-new"]).status.code());
    rows.eq("the other way", &Some(3), &run(path, &["diff", "new.json", "old.json", "--deny-new"]).status.code());
    let json = run(path, &["diff", "old.json", "new.json", "--format", "json"]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    rows.eq("json", &Value::from("api.chitty.test/beta/*"), &json["claims_added"][0]["pattern"]);
    fs::write(path.join("other.json"), "{\"version\": 99}").unwrap();
    for wrong in ["other.json", "edge.yaml", "gone.json"] {
        let output = run(path, &["diff", "old.json", wrong]);
        rows.eq(wrong, &Some(1), &output.status.code());
        rows.holds(wrong, err(&output).contains(wrong), &output);
    }
    rows.finish();
}
