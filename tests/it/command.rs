//! The command line: `check`, `explain`, `routes`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{API, BINARY, CONNECT, Daemon, Registry, Rows, Upstream, eventually};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).current_dir(folder).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn check(configuration: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("edge.yaml"), configuration).unwrap();
    run(folder.path(), &["check", "--config", "edge.yaml"])
}

#[test]
fn check_prints_every_mistake_with_its_place() {
    // Ten mistakes; for each what its message must hold: line and column, the value found or the key, the way out.
    let mistakes: [(&str, &str, &[&str]); 10] = [
        ("domian: chitty.test", "1:1", &["domian", "domain"]),
        ("server: {threads: many}", "2:19", &["many"]),
        ("listeners: [{bind: \"localhost\"}]", "3:20", &["localhost"]),
        ("limits: {uri_bytes: 8 parsecs}", "4:21", &["8 parsecs"]),
        ("trusted_proxies: [10.0.0.0/99]", "5:19", &["10.0.0.0/99"]),
        ("registry: {refresh: soon}", "6:21", &["soon"]),
        ("log: {level: loud}", "7:14", &["loud", "info"]),
        ("store: {engine: paper}", "8:17", &["paper", "sled"]),
        ("services: [{id: a, endpoints: [\"10.0.0.5\"]}, {id: b c}]", "9:32", &["10.0.0.5"]),
        ("cors: {max_age: -1}", "10:17", &["-1"]),
    ];
    let configuration = mistakes.map(|(line, ..)| line).join("\n");
    let output = check(&configuration);
    let seen = text(&output);
    let mut rows = Rows::new();
    rows.eq("exit code", &Some(1), &output.status.code());
    for (line, place, words) in mistakes {
        let at = format!("edge.yaml:{place}");
        rows.holds(format!("{line}: {at}"), seen.contains(&at), &seen);
        for word in words {
            rows.holds(format!("{line}: {word}"), seen.contains(word), &seen);
        }
    }
    rows.holds("the second mistake of a line", seen.contains("b c"), &seen);
    rows.finish();
}

#[test]
fn a_misspelt_key_is_told_the_nearest_one() {
    let mut rows = Rows::new();
    for (configuration, wrong, nearest) in [
        ("limits: {hedaers: 5}", "hedaers", "headers"),
        ("regsitry: {}", "regsitry", "registry"),
        ("services: [{id: a, endpoint: []}]", "endpoint", "endpoints"),
        ("services: [{id: a, timeouts: {conect: 2s}}]", "conect", "connect"),
        ("gateway: {pubic_port: 1}", "pubic_port", "public_port"),
        ("registry: {sources: [{http: {url: \"https://x.example\", max_byte: 1}}]}", "max_byte", "max_bytes"),
    ] {
        let output = check(configuration);
        let seen = text(&output);
        rows.eq(configuration, &Some(1), &output.status.code());
        rows.holds(configuration, seen.contains(wrong) && seen.contains(&format!("`{nearest}`")), &seen);
        rows.holds(format!("{configuration}: place"), seen.contains("edge.yaml:1:"), &seen);
    }
    rows.finish();
}

#[test]
fn a_file_that_is_no_yaml_is_one_message_with_its_place() {
    for broken in ["domain: [", "a: b: c", "log:\n\tlevel: info\n", "domain: x\ndomain: y\n", "- a list", "\u{0}"] {
        let output = check(broken);
        assert_eq!(output.status.code(), Some(1), "{broken:?}: {output:?}");
        assert!(text(&output).contains("edge.yaml:"), "{broken:?}: {}", text(&output));
        assert!(!text(&output).contains("panicked"), "{broken:?}: {}", text(&output));
    }
}

#[test]
fn serve_refuses_what_check_refuses() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("edge.yaml"), "domian: x\nlimits: {uri_bytes: many}\n").unwrap();
    let output = run(folder.path(), &["serve", "--config", "edge.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    let seen = text(&output);
    assert!(seen.contains("edge.yaml:1:1") && seen.contains("edge.yaml:2:21"), "{seen}");
    assert_eq!(folder.path().read_dir().unwrap().count(), 1, "nothing was started or made");
}

#[test]
fn an_empty_configuration_is_all_defaults() {
    for configuration in ["", "# only a comment\n", "{}"] {
        let output = check(configuration);
        assert_eq!(output.status.code(), Some(0), "{configuration:?}: {}", text(&output));
    }
}

#[test]
fn capabilities_that_are_not_built_are_a_warning_and_weaker_protection_is_an_error() {
    let mut rows = Rows::new();
    for (configuration, code, word) in [
        ("mcp: {enabled: true}", 0, "mcp"),
        ("services: [{id: a, endpoints: [\"http://127.0.0.1:1\"], retry: {attempts: 2}}]", 0, ""),
        ("listeners: [{bind: \"127.0.0.1:8443\", mode: \"0660\"}]", 0, "mode"),
        (
            "services: [{id: a, endpoints: [\"http://127.0.0.1:1\"], auth: jwt}]",
            1,
            "services[0].auth: \"jwt\" asks callers for tokens, and auth.jwt",
        ),
        ("services: [{id: a, endpoints: [\"http://127.0.0.1:1\"], auth: key}]", 0, ""),
        ("listeners: [{bind: \"127.0.0.1:8443\", tls: {certificates: [{cert: a.pem, key: a.key}]}}]", 1, "tls"),
        ("services: [{id: a, endpoints: [\"http://127.0.0.1:1\"], auth: none}]", 0, ""),
    ] {
        let output = check(configuration);
        rows.eq(configuration, &Some(code), &output.status.code());
        rows.holds(format!("{configuration}: names {word}"), text(&output).contains(word), text(&output));
    }
    rows.finish();
}

#[test]
fn the_shipped_configurations_pass() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for entry in fs::read_dir(root.join("conf")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() && path.extension().is_some_and(|e| e == "yaml") {
            let output = run(root, &["check", "--config", path.to_str().unwrap()]);
            assert_eq!(output.status.code(), Some(0), "{}: {}", path.display(), text(&output));
            seen += 1;
        }
    }
    assert!(seen > 0, "no configuration is shipped");
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(output)))
}

const FILE: &str = "services:\n  - {id: chittyid, subdomain: id, aliases: [identity, plain], endpoints: [\"http://127.0.0.1:@PORT@\"]}\n\
                    \x20 - {id: plain, endpoints: [\"http://127.0.0.1:@PORT@\"]}\n\
                    \x20 - {id: off, enabled: false, reason: closed}\n\x20 - {id: nowhere}\n\x20 - {idd: x}\n";

fn explained(daemon: &Daemon, url: &str) -> String {
    let output = daemon.command(&["explain", url, "--format", "json"]);
    json(&output).to_string()
}

#[test]
fn explain_names_service_rule_and_upstream_path() {
    let daemon =
        Daemon::builder().set("registry", "{sources: [{file: services.yaml}]}").file("services.yaml", FILE).start();
    let mut rows = Rows::new();
    for (url, words) in [
        ("http://id.chitty.test/a?b=c".to_owned(), vec!["chittyid", "/a?b=c", "127.0.0.1"]),
        (format!("http://{API}/identity/x"), vec!["chittyid", "/api/x"]),
        (format!("http://{CONNECT}/id/mcp/x/../y"), vec!["chittyid", "/mcp/y"]),
        (format!("http://{CONNECT}/health"), vec!["local"]),
        ("http://idd.chitty.test/".to_owned(), vec!["unknown_host", "id"]),
        (format!("http://{CONNECT}/idd/api/x"), vec!["unknown_service", "id"]),
        ("http://off.chitty.test/".to_owned(), vec!["service_disabled", "closed"]),
        ("http://nowhere.chitty.test/".to_owned(), vec!["no_endpoint"]),
        (format!("http://{CONNECT}/../x"), vec!["bad_path"]),
    ] {
        let seen = explained(&daemon, &url);
        for word in words {
            rows.holds(format!("{url}: {word}"), seen.contains(word), &seen);
        }
    }
    rows.finish();
}

#[test]
fn explain_and_routes_work_without_a_running_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("services.yaml"), FILE.replace("@PORT@", "1")).unwrap();
    fs::write(
        path("edge.yaml"),
        "domain: chitty.test\nregistry: {sources: [{file: services.yaml}]}\nstore: {path: data}\n",
    )
    .unwrap();
    let explain = run(folder.path(), &["explain", "http://id.chitty.test/x", "--config", "edge.yaml"]);
    assert!(explain.status.success() && text(&explain).contains("chittyid"), "{}", text(&explain));
    let routes = run(folder.path(), &["routes", "--config", "edge.yaml"]);
    assert!(routes.status.success() && text(&routes).contains("identity"), "{}", text(&routes));
    let routes = json(&run(folder.path(), &["routes", "--config", "edge.yaml", "--format", "json"]));
    assert!(routes["conflicts"].to_string().contains("plain"), "{routes:#}");
    assert!(routes["rejected"].to_string().contains("idd"), "{routes:#}");
}

#[test]
fn routes_show_names_sources_conflicts_and_what_was_rejected() {
    let upstream = Upstream::start();
    let registry = Registry::with(format!(
        "[{{\"name\":\"web\",\"url\":\"{}\"}},{{\"name\":\"bad\",\"url\":\"http://10.0.0.1\"}}]",
        upstream.url()
    ));
    let section = format!(
        "{{refresh: 100ms, sources: [{{file: services.yaml}}, {{http: {{url: \"{}\", allowed_networks: [127.0.0.0/8]}}}}]}}",
        registry.url()
    );
    let daemon = Daemon::builder()
        .set("registry", &section)
        .file("services.yaml", FILE)
        .service(upstream.service("fixed"))
        .start();
    let routes = eventually("the registry's list is in `routes`", || {
        let routes = json(&daemon.command(&["routes", "--format", "json"]));
        if routes.to_string().contains("\"web\"") { Ok(routes) } else { Err(routes) }
    });
    let mut rows = Rows::new();
    for name in ["id", "chittyid", "identity", "plain", "off", "nowhere", "web", "fixed"] {
        rows.holds(name, routes.to_string().contains(&format!("\"{name}")), &routes);
    }
    for (key, words) in [
        ("conflicts", vec!["plain", "chittyid"]),
        ("rejected", vec!["bad", "10.0.0.1", "private"]),
        ("sources", vec!["services.yaml", registry.url().leak()]),
    ] {
        for word in words {
            rows.holds(format!("{key}: {word}"), routes[key].to_string().contains(word), &routes[key]);
        }
    }
    rows.finish();
    drop(registry);
    eventually("the source's last error is shown", || {
        let routes = json(&daemon.command(&["routes", "--format", "json"]));
        let shown = routes["sources"].as_array().unwrap().iter().any(|s| s["last_error"].is_object());
        if shown { Ok(()) } else { Err(routes) }
    });
}

#[test]
fn unknown_commands_are_refused_with_help() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["sevre"]);
    assert!(!output.status.success());
    assert!(text(&output).contains("serve"), "{}", text(&output));
    let help = run(folder.path(), &["--help"]);
    for command in ["serve", "demo", "check", "explain", "routes"] {
        assert!(text(&help).contains(command), "{command} in {}", text(&help));
    }
    let version = run(folder.path(), &["--version"]);
    assert!(text(&version).contains(env!("CARGO_PKG_VERSION")), "{}", text(&version));
}
