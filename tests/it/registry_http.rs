//! Services from a registry over HTTP: every way it can fail leaves the last good table standing.

use std::fmt::Write as _;

use serde_json::Value;

use crate::support::{Daemon, Registry, Rows, Upstream, eventually, eventually_eq};

const LOOPBACK: &str = "allowed_networks: [127.0.0.0/8]";

fn list(names: &[&str], url: &str) -> String {
    let entries: Vec<String> = names.iter().map(|name| format!("{{\"name\":\"{name}\",\"url\":\"{url}\"}}")).collect();
    format!("[{}]", entries.join(","))
}

fn fate(daemon: &Daemon, name: &str) -> String {
    daemon.get(&format!("{name}.chitty.test"), "/x").fate()
}

#[track_caller]
fn wait_for(daemon: &Daemon, name: &str, wanted: &str) {
    eventually_eq(&format!("{name} is {wanted}"), &wanted.to_owned(), || fate(daemon, name));
}

fn refreshes(daemon: &Daemon, outcome: &str) -> f64 {
    daemon.metric_sum("chittyconnect_registry_refresh_total", &[outcome])
}

/// Waits until a refresh that began from now on has had this outcome.
#[track_caller]
fn wait_for_refresh(daemon: &Daemon, outcome: &str) {
    let before = refreshes(daemon, outcome);
    eventually(&format!("two more refreshes with {outcome}"), || {
        let now = refreshes(daemon, outcome);
        if now >= before + 2.0 { Ok(()) } else { Err(now) }
    });
}

#[test]
fn services_of_a_registry_are_routed_and_refreshed() {
    let upstream = Upstream::start();
    let registry = Registry::with(list(&["one"], &upstream.url()));
    let daemon = Daemon::builder().set("registry", &registry.section(LOOPBACK)).start();
    wait_for(&daemon, "one", "-> /x");
    registry.put("/api/services", list(&["one", "two"], &upstream.url()));
    wait_for(&daemon, "two", "-> /x");
    registry.put("/api/services", list(&["two"], &upstream.url()));
    wait_for(&daemon, "one", "404 unknown_host");
    assert!(daemon.metric_sum("chittyconnect_registry_last_success_timestamp_seconds", &[]) > 1e9);
}

#[test]
fn a_path_that_is_not_here_gives_way_to_the_next() {
    let upstream = Upstream::start();
    let registry = Registry::start();
    registry.put("/api/v1/services", list(&["last"], &upstream.url()));
    let daemon = Daemon::builder().set("registry", &registry.section(LOOPBACK)).start();
    wait_for(&daemon, "last", "-> /x");
    assert!(refreshes(&daemon, "failure") == 0.0, "404 is no failure");
    registry.put("/api/v1/tools", format!("{{\"success\":true,\"tools\":{}}}", list(&["middle"], &upstream.url())));
    registry.put("/api/services", list(&["first"], &upstream.url()));
    // The path that gave the list may be asked first until it is gone; then the order counts again.
    registry.remove("/api/v1/services");
    wait_for(&daemon, "first", "-> /x");
    wait_for(&daemon, "last", "404 unknown_host");
    registry.remove("/api/services");
    wait_for(&daemon, "middle", "-> /x");
    let targets: Vec<Value> = registry.requests().iter().map(|r| r["target"].clone()).take(3).collect();
    assert_eq!(targets, ["/api/services", "/api/v1/tools", "/api/v1/services"]);
}

#[test]
fn paths_are_those_of_the_configuration() {
    let upstream = Upstream::start();
    let registry = Registry::start();
    registry.put("/catalogue", list(&["one"], &upstream.url()));
    registry.put("/api/services", list(&["wrong"], &upstream.url()));
    let daemon = Daemon::builder()
        .set("registry", &registry.section(&format!("paths: [/absent, /catalogue], {LOOPBACK}")))
        .start();
    wait_for(&daemon, "one", "-> /x");
    assert_eq!(fate(&daemon, "wrong"), "404 unknown_host");
}

#[test]
fn bad_snapshots_keep_the_last_good_table() {
    let upstream = Upstream::start();
    let good = list(&["one"], &upstream.url());
    let registry = Registry::with(&good);
    let options = format!("timeout: 1s, max_bytes: 64KiB, {LOOPBACK}");
    let mut daemon = Daemon::builder().set("registry", &registry.section(&options)).start();
    wait_for(&daemon, "one", "-> /x");
    let mut huge = list(&["one"], &upstream.url());
    let _ = write!(huge, "{}", " ".repeat(65 << 10));
    let deep = "[".repeat(20_000);
    let mut rows = Rows::new();
    for (what, how, document) in [
        ("an error of its own", "status=500", "oops"),
        ("no longer there", "status=404", "{}"),
        ("forbidden", "status=403", "{}"),
        ("a redirect elsewhere", "status=302", "[]"),
        ("no content", "status=204", ""),
        ("nothing", "", ""),
        ("garbage", "", "\u{0}\u{1}\u{fffd}binary"),
        ("a web page", "", "<!doctype html><title>hello</title>"),
        ("half a document", "", &good[..good.len() - 5]),
        ("a body that breaks off", "cut=1", &good),
        ("another document", "", "{\"error\":\"Endpoint not found\"}"),
        ("a number", "", "42"),
        ("a document that is too large", "", &huge),
        ("a document that is too deep", "", &deep),
        ("no answer at all", "hold=1", "[]"),
    ] {
        registry.put_as("/api/services", how, document);
        wait_for_refresh(&daemon, "failure");
        rows.eq(what, &"-> /x".to_owned(), &fate(&daemon, "one"));
        rows.holds(format!("{what}: still running"), daemon.is_running(), ());
        registry.put("/api/services", &good);
        wait_for_refresh(&daemon, "success");
    }
    rows.finish();
    assert!(daemon.resident_kib() < 256 << 10);
}

#[test]
fn an_empty_list_after_a_full_one_is_refused_over_http() {
    let upstream = Upstream::start();
    let registry = Registry::with(list(&["one"], &upstream.url()));
    let daemon = Daemon::builder().set("registry", &registry.section(LOOPBACK)).start();
    wait_for(&daemon, "one", "-> /x");
    for empty in ["[]", "{\"services\":[]}", "{\"success\":true,\"tools\":[],\"count\":0}"] {
        registry.put("/api/services", empty);
        wait_for_refresh(&daemon, "refused");
        assert_eq!(fate(&daemon, "one"), "-> /x", "{empty}");
    }
}

#[test]
fn the_table_outlives_the_registry_and_a_restart() {
    let upstream = Upstream::start();
    let registry = Registry::with(list(&["one", "two"], &upstream.url()));
    let daemon = Daemon::builder().set("registry", &registry.section(&format!("timeout: 500ms, {LOOPBACK}"))).start();
    wait_for(&daemon, "one", "-> /x");
    drop(registry);
    wait_for_refresh(&daemon, "failure");
    assert_eq!(fate(&daemon, "one"), "-> /x");
    let daemon = daemon.restart();
    assert_eq!(fate(&daemon, "one"), "-> /x", "from the snapshot, at once");
    assert_eq!(fate(&daemon, "two"), "-> /x");
    wait_for_refresh(&daemon, "failure");
    assert_eq!(fate(&daemon, "one"), "-> /x");
    assert_eq!(fate(&daemon, "three"), "404 unknown_host");
}

#[test]
fn a_snapshot_can_be_elsewhere_and_off_and_broken() {
    let upstream = Upstream::start();
    let registry = Registry::with(list(&["one"], &upstream.url()));
    let with = |snapshot: &str| {
        let section = registry.section(&format!("timeout: 1s, {LOOPBACK}"));
        section.replacen('{', &format!("{{snapshot: {snapshot}, "), 1)
    };
    let elsewhere = Daemon::builder().set("registry", &with("\"@DIR@/elsewhere.json\"")).start();
    let off = Daemon::builder().set("registry", &with("\"off\"")).start();
    let broken = Daemon::builder().set("registry", &with("\"@DIR@/broken.json\"")).start();
    for daemon in [&elsewhere, &off, &broken] {
        wait_for(daemon, "one", "-> /x");
    }
    eventually("the snapshot is written", || {
        let files = [&elsewhere, &broken].map(|d| d.folder().read_dir().unwrap().count());
        let there = elsewhere.folder().join("elsewhere.json").exists() && broken.folder().join("broken.json").exists();
        if there { Ok(()) } else { Err(files) }
    });
    assert!(!off.folder().join("data/registry.json").exists());
    registry.put_as("/api/services", "status=500", "down");
    let elsewhere = elsewhere.restart();
    assert_eq!(fate(&elsewhere, "one"), "-> /x");
    let off = off.restart();
    wait_for(&off, "one", "404 unknown_host");
    broken.write("broken.json", "{ not a snapshot");
    let path = broken.folder().join("broken.json");
    let mut broken = broken.restart();
    // What was written at the stop may be whole again; what was broken must not stop the start, and is kept.
    let kept = path.exists() || path.with_file_name("broken.json.damaged").exists();
    assert!(broken.is_running() && kept);
}

#[test]
fn a_broken_snapshot_does_not_stop_the_start() {
    let registry = Registry::start();
    for content in ["", "{", "[]", "{\"version\":99}", "\u{0}\u{1}"] {
        let daemon = Daemon::builder()
            .set("registry", &registry.section("timeout: 1s").replacen('{', "{snapshot: \"@DIR@/broken.json\", ", 1))
            .file("broken.json", content)
            .start();
        wait_for(&daemon, "one", "404 unknown_host");
    }
}

#[test]
fn the_token_of_a_file_is_shown_to_the_registry() {
    let upstream = Upstream::start();
    let registry = Registry::start();
    registry.put_as("/api/services", "bearer=sesame", list(&["one"], &upstream.url()));
    let daemon = Daemon::builder()
        .set("registry", &registry.section(&format!("token_file: token, {LOOPBACK}")))
        .file("token", "sesame\n")
        .start();
    wait_for(&daemon, "one", "-> /x");
    assert!(!daemon.log().contains("sesame"), "the log holds the token");
    let routes = daemon.command(&["routes", "--format", "json"]);
    assert!(!String::from_utf8_lossy(&routes.stdout).contains("sesame"));
}

#[test]
fn without_a_token_none_is_sent() {
    let upstream = Upstream::start();
    let registry = Registry::with(list(&["one"], &upstream.url()));
    let daemon = Daemon::builder().set("registry", &registry.section(LOOPBACK)).start();
    wait_for(&daemon, "one", "-> /x");
    assert!(!registry.requests()[0].to_string().to_ascii_lowercase().contains("authorization"));
}

#[test]
fn an_unchanged_document_is_not_fetched_again() {
    let upstream = Upstream::start();
    let registry = Registry::with(list(&["one"], &upstream.url()));
    let daemon = Daemon::builder().set("registry", &registry.section(LOOPBACK)).start();
    wait_for(&daemon, "one", "-> /x");
    wait_for_refresh(&daemon, "success");
    let asked = registry.requests();
    let conditional = asked.iter().skip(1).filter(|r| r.to_string().to_ascii_lowercase().contains("if-none-match"));
    assert!(conditional.count() > 0, "{asked:#?}");
    assert_eq!(refreshes(&daemon, "failure"), 0.0);
    assert_eq!(fate(&daemon, "one"), "-> /x");
}

#[test]
fn pages_are_followed_to_the_last() {
    let upstream = Upstream::start();
    let registry = Registry::start();
    let page = |names: &[&str], next: &str| {
        let servers: Vec<String> = names
            .iter()
            .map(|name| {
                format!(
                    "{{\"server\":{{\"name\":\"cc.chitty/{name}\",\"version\":\"1.0.0\",\"remotes\":[{{\"type\":\"streamable-http\",\"url\":\"{}/mcp\"}}]}}}}",
                    upstream.url()
                )
            })
            .collect();
        format!(
            "{{\"servers\":[{}],\"metadata\":{{\"count\":{},\"nextCursor\":{next}}}}}",
            servers.join(","),
            names.len()
        )
    };
    registry.put("/v0.1/servers", page(&["one", "two"], "\"a b/2&c=d\""));
    registry.put_as("/v0.1/servers", "cursor=a%20b%2F2%26c%3Dd", page(&["three"], "\"c3\""));
    registry.put_as("/v0.1/servers", "cursor=c3", page(&["four"], "null"));
    let daemon =
        Daemon::builder().set("registry", &registry.section(&format!("paths: [/v0.1/servers], {LOOPBACK}"))).start();
    for name in ["one", "two", "three", "four"] {
        wait_for(&daemon, name, "-> /x");
    }
}

#[test]
fn pages_without_end_are_cut_off() {
    let upstream = Upstream::start();
    let registry = Registry::start();
    let entry = format!(
        "{{\"server\":{{\"name\":\"cc.chitty/one\",\"remotes\":[{{\"type\":\"streamable-http\",\"url\":\"{}/mcp\"}}]}}}}",
        upstream.url()
    );
    // Every page names itself as the next one.
    registry
        .put("/v0.1/servers", format!("{{\"servers\":[{entry}],\"metadata\":{{\"count\":1,\"nextCursor\":\"x\"}}}}"));
    let options = format!("paths: [/v0.1/servers], timeout: 2s, max_bytes: 16KiB, {LOOPBACK}");
    let daemon = Daemon::builder().set("registry", &registry.section(&options)).start();
    wait_for(&daemon, "never", "404 unknown_host");
    wait_for_refresh(&daemon, "failure");
}

#[test]
fn a_registry_may_not_point_at_this_host_or_its_networks() {
    let upstream = Upstream::start();
    let port = upstream.port();
    let registry = Registry::start();
    let addresses = [
        "127.0.0.1",
        "127.8.8.8",
        "[::1]",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "0.0.0.0",
        "[::ffff:127.0.0.1]",
    ];
    let entries: Vec<String> = addresses
        .iter()
        .enumerate()
        .map(|(n, address)| format!("{{\"name\":\"bad-{n}\",\"url\":\"http://{address}:{port}\"}}"))
        .chain([format!("{{\"name\":\"named\",\"url\":\"http://localhost:{port}\"}}")])
        .chain([format!("{{\"name\":\"decimal\",\"url\":\"http://2130706433:{port}\"}}")])
        .chain(["{\"name\":\"public\",\"url\":\"http://192.0.66.1\"}".to_owned()])
        .collect();
    registry.put("/api/services", format!("[{}]", entries.join(",")));
    let daemon = Daemon::builder().set("registry", &registry.section("")).start();
    eventually("the list is there", || {
        let output = daemon.command(&["routes", "--format", "json"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if text.contains("public") { Ok(()) } else { Err(text) }
    });
    let mut rows = Rows::new();
    let names = (0..addresses.len()).map(|n| format!("bad-{n}")).chain(["named".to_owned(), "decimal".to_owned()]);
    for name in names {
        let answer = daemon.get(&format!("{name}.chitty.test"), "/x");
        rows.holds(&name, matches!(answer.status(), 404 | 502 | 503), answer.fate());
    }
    rows.finish();
    assert!(upstream.targets().is_empty(), "{:?}", upstream.targets());
    let output = daemon.command(&["routes", "--format", "json"]);
    let routes: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rejected = routes["rejected"].to_string();
    for (n, address) in addresses.iter().enumerate() {
        assert!(rejected.contains(&format!("bad-{n}")), "{address} in {routes:#}");
    }
    assert!(rejected.contains("loopback"), "the reason: {rejected}");
}

#[test]
fn a_registry_cannot_claim_gateway_hosts() {
    let upstream = Upstream::start();
    let registry = Registry::with(format!(
        "[{{\"name\":\"grab\",\"url\":\"{0}\",\"subdomain\":\"connect\",\"hosts\":[\"connect.chitty.test\"],\"aliases\":[\"api\"]}},\
          {{\"name\":\"files\",\"url\":\"{0}\"}},{{\"name\":\"ok\",\"url\":\"{0}\"}},\
          {{\"name\":\"self\",\"url\":\"https://mcp.chitty.test\"}}]",
        upstream.url()
    ));
    let daemon = Daemon::builder().set("registry", &registry.section(LOOPBACK)).start();
    wait_for(&daemon, "ok", "-> /x");
    for host in ["connect.chitty.test", "api.chitty.test", "mcp.chitty.test"] {
        assert_eq!(daemon.get(host, "/health").fate(), "200 local", "{host}");
    }
    assert_eq!(fate(&daemon, "self"), "404 unknown_host");
    assert_eq!(fate(&daemon, "grab"), "-> /x", "a reserved label falls back to the slug");
}

#[test]
fn an_earlier_source_wins_over_a_later_one() {
    let upstream = Upstream::with_ports(2);
    let [first, second] = upstream.ports() else { panic!() };
    let url = |port: &u16| format!("http://127.0.0.1:{port}");
    let registry = Registry::with(list(&["shared", "web"], &url(first)));
    let section = format!(
        "{{refresh: 100ms, sources: [{{http: {{url: \"{}\", {LOOPBACK}}}}}, {{file: services.json}}]}}",
        registry.url()
    );
    let daemon = Daemon::builder()
        .set("registry", &section)
        .file("services.json", list(&["shared", "disk"], &url(second)))
        .start();
    let mut rows = Rows::new();
    for (name, port) in [("web", first), ("disk", second), ("shared", first)] {
        eventually_eq(name, &Some(u64::from(*port)), || {
            let answer = daemon.get(&format!("{name}.chitty.test"), "/x");
            if answer.status() == 200 { answer.json()["port"].as_u64() } else { None }
        });
        rows.holds(name, true, ());
    }
    rows.finish();
}
