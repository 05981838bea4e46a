//! Services from files: read, watched, kept when broken; and how several sources are laid over each other.

use std::fs;

use serde_json::Value;

use crate::support::{CONNECT, Daemon, Rows, Upstream, eventually, eventually_eq};

const SOURCES: &str = "{sources: [{file: services.json}]}";

fn entry(name: &str, url: &str) -> String {
    format!("{{\"name\":\"{name}\",\"url\":\"{url}\"}}")
}

fn fate(daemon: &Daemon, name: &str) -> String {
    daemon.get(&format!("{name}.chitty.test"), "/x").fate()
}

#[track_caller]
fn wait_for(daemon: &Daemon, name: &str, wanted: &str) {
    eventually_eq(&format!("{name} is {wanted}"), &wanted.to_owned(), || fate(daemon, name));
}

#[test]
fn a_file_source_is_read_in_both_formats() {
    let upstream = Upstream::start();
    let url = upstream.url();
    let daemon = Daemon::builder()
        .set("registry", "{sources: [{file: one.json}, {file: two.yaml}, {file: three.yml}]}")
        .file("one.json", format!("{{\"services\":[{}]}}", entry("one", &url)))
        .file("two.yaml", format!("services:\n  - id: two\n    endpoints: [\"{url}\"]\n    aliases: [zwei]\n"))
        .file("three.yml", format!("services: [{{id: three, endpoints: [\"{url}\"]}}]\n"))
        .start();
    for name in ["one", "two", "zwei", "three"] {
        assert_eq!(fate(&daemon, name), "-> /x", "{name}");
    }
}

#[test]
fn a_file_is_read_again_when_it_changes() {
    let upstream = Upstream::start();
    let url = upstream.url();
    let daemon =
        Daemon::builder().set("registry", SOURCES).file("services.json", format!("[{}]", entry("one", &url))).start();
    assert_eq!(fate(&daemon, "one"), "-> /x");
    // renamed into place
    daemon.write("services.json", &format!("[{},{}]", entry("one", &url), entry("two", &url)));
    wait_for(&daemon, "two", "-> /x");
    // written in place
    fs::write(daemon.folder().join("services.json"), format!("[{}]", entry("three", &url))).unwrap();
    wait_for(&daemon, "three", "-> /x");
    wait_for(&daemon, "one", "404 unknown_host");
    // away and back again
    fs::remove_file(daemon.folder().join("services.json")).unwrap();
    daemon.write("services.json", &format!("[{}]", entry("four", &url)));
    wait_for(&daemon, "four", "-> /x");
}

#[test]
fn a_broken_file_keeps_the_last_good_list() {
    let upstream = Upstream::start();
    let url = upstream.url();
    let mut daemon =
        Daemon::builder().set("registry", SOURCES).file("services.json", format!("[{}]", entry("one", &url))).start();
    let failures = || daemon.metric_sum("chittyconnect_registry_refresh_total", &["failure"]);
    for broken in
        ["", "{", "not json", "\u{0}\u{1}\u{2}", "{\"unrelated\": 1}", "42", "[{\"name\":\"half", "<html></html>"]
    {
        let before = failures();
        daemon.write("services.json", broken);
        eventually(&format!("{broken:?} is noticed"), || {
            let now = failures();
            if now > before { Ok(()) } else { Err(now) }
        });
        assert_eq!(fate(&daemon, "one"), "-> /x", "after {broken:?}");
    }
    fs::remove_file(daemon.folder().join("services.json")).unwrap();
    daemon.write("other.json", "[]");
    assert_eq!(fate(&daemon, "one"), "-> /x");
    daemon.write("services.json", &format!("[{}]", entry("two", &url)));
    wait_for(&daemon, "two", "-> /x");
    assert!(daemon.is_running());
}

#[test]
fn an_empty_list_from_a_file_is_believed() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder()
        .set("registry", SOURCES)
        .file("services.json", format!("[{}]", entry("one", &upstream.url())))
        .start();
    daemon.write("services.json", "[]");
    wait_for(&daemon, "one", "404 unknown_host");
}

#[test]
fn an_entry_that_cannot_be_used_costs_itself_alone() {
    let upstream = Upstream::start();
    let url = upstream.url();
    let list = format!(
        "[null,\"junk\",7,{{}},{{\"description\":\"nameless\"}},{},{{\"name\":\"bad\",\"url\":\"not a url\"}},\
         {{\"name\":\"skill\",\"subtype\":\"skill\",\"url\":\"{url}\"}},{{\"name\":\"gw\",\"url\":\"https://connect.chitty.test\"}},{}]",
        entry("one", &url),
        entry("two", &url)
    );
    let daemon = Daemon::builder().set("registry", SOURCES).file("services.json", list).start();
    assert_eq!(fate(&daemon, "one"), "-> /x");
    assert_eq!(fate(&daemon, "two"), "-> /x");
    assert_eq!(fate(&daemon, "bad"), "503 no_endpoint", "known by name, but without a base URL");
    assert_eq!(fate(&daemon, "skill"), "404 unknown_host");
    let routes = routes(&daemon);
    for word in ["skill", "gw", "not a url"] {
        assert!(routes.to_string().contains(word), "{word} in {routes}");
    }
}

#[test]
fn a_yaml_source_is_strict_and_a_bad_entry_costs_itself() {
    let upstream = Upstream::start();
    let url = upstream.url();
    let list = format!(
        "services:\n  - {{id: one, endpoints: [\"{url}\"]}}\n  - {{id: two, endpoint: \"{url}\"}}\n\
         \x20 - {{endpoints: [\"{url}\"]}}\n  - {{id: three, endpoints: [\"{url}\"]}}\n"
    );
    let daemon =
        Daemon::builder().set("registry", "{sources: [{file: services.yaml}]}").file("services.yaml", list).start();
    assert_eq!(fate(&daemon, "one"), "-> /x");
    assert_eq!(fate(&daemon, "three"), "-> /x");
    assert_eq!(fate(&daemon, "two"), "404 unknown_host");
    assert!(routes(&daemon).to_string().contains("endpoint"), "the misspelt key is shown");
}

/// `chittyconnect routes --format json`.
fn routes(daemon: &Daemon) -> Value {
    let output = daemon.command(&["routes", "--format", "json"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn static_services_win_field_by_field() {
    let upstream = Upstream::with_ports(2);
    let [first, second] = upstream.ports() else { panic!() };
    let list = format!(
        "services:\n  - {{id: svc, subdomain: sub, aliases: [one, two], endpoints: [\"http://127.0.0.1:{first}\"], \
         host_header: from.file}}\n"
    );
    let daemon = Daemon::builder()
        .set("registry", "{sources: [{file: services.yaml}]}")
        .file("services.yaml", list)
        .service(format!("{{id: svc, aliases: [three], endpoints: [\"http://127.0.0.1:{second}\"]}}"))
        .start();
    let mut rows = Rows::new();
    for (name, found) in [("sub", true), ("svc", true), ("three", true), ("one", false), ("two", false)] {
        let answer = daemon.get(&format!("{name}.chitty.test"), "/x");
        let wanted = if found { "-> /x" } else { "404 unknown_host" };
        rows.eq(name, &wanted.to_owned(), &answer.fate());
        if found {
            let echo = answer.echo();
            rows.eq(
                format!("{name}: the list of endpoints is replaced whole"),
                &Some(u64::from(*second)),
                &echo.0["port"].as_u64(),
            );
            rows.eq(format!("{name}: host_header stays the file's"), &Some("from.file"), &echo.header("host"));
        }
    }
    rows.finish();
    assert_eq!(daemon.metric("chittyconnect_route_conflicts"), Some(0.0), "an override is no conflict");
    let routes = routes(&daemon).to_string();
    assert!(routes.contains("services.yaml"), "the provenance of the fields: {routes}");
}

#[test]
fn static_services_may_give_an_unroutable_entry_its_endpoint() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder()
        .set("registry", SOURCES)
        .file("services.json", "[{\"name\":\"gamma\",\"status\":\"beta\"}]")
        .service(upstream.service("gamma"))
        .start();
    assert_eq!(fate(&daemon, "gamma"), "-> /x");
}

#[test]
fn a_contested_name_stays_with_the_earlier_source_and_then_the_earlier_entry() {
    let upstream = Upstream::with_ports(3);
    let url = |n: usize| format!("http://127.0.0.1:{}", upstream.ports()[n]);
    let daemon = Daemon::builder()
        .set("registry", "{sources: [{file: a.yaml}, {file: b.yaml}]}")
        .file(
            "a.yaml",
            format!(
                "services:\n  - {{id: first, aliases: [shared], endpoints: [\"{}\"]}}\n  - {{id: second, aliases: [shared, own], endpoints: [\"{}\"]}}\n",
                url(0),
                url(1)
            ),
        )
        .file("b.yaml", format!("services:\n  - {{id: shared, aliases: [other], endpoints: [\"{}\"]}}\n", url(2)))
        .start();
    let mut rows = Rows::new();
    for (name, owner) in [("first", 0), ("shared", 0), ("second", 1), ("own", 1), ("other", 2)] {
        let answer = daemon.get(&format!("{name}.chitty.test"), "/x");
        let port = answer.json()["port"].as_u64();
        rows.eq(name, &Some(u64::from(upstream.ports()[owner])), &port);
        let by_prefix = daemon.get(CONNECT, &format!("/{name}/api/x")).json()["port"].as_u64();
        rows.eq(format!("/{name}/api"), &port, &by_prefix);
    }
    rows.finish();
    assert!(daemon.metric("chittyconnect_route_conflicts").is_some_and(|n| n >= 2.0));
    let routes = routes(&daemon);
    let conflicts = routes["conflicts"].to_string();
    for word in ["shared", "first", "second"] {
        assert!(conflicts.contains(word), "{word} in {routes:#}");
    }
    assert!(daemon.log().contains("shared"), "the log names the conflict: {}", daemon.log());
}

#[test]
fn a_thousand_services_are_all_routed() {
    let upstream = Upstream::with_ports(16);
    let ports = upstream.ports();
    let list: Vec<String> =
        (0..1000).map(|n| entry(&format!("svc-{n}"), &format!("http://127.0.0.1:{}", ports[n % 16]))).collect();
    let daemon = Daemon::builder()
        .set("registry", SOURCES)
        .file("services.json", format!("{{\"success\":true,\"count\":1000,\"services\":[{}]}}", list.join(",")))
        .start();
    let mut client = daemon.connect();
    let mut rows = Rows::new();
    for n in 0..1000 {
        let (host, target, seen) = if n % 2 == 0 {
            (format!("svc-{n}.chitty.test"), "/x".to_owned(), "-> /x")
        } else {
            (CONNECT.to_owned(), format!("/svc-{n}/api/x"), "-> /api/x")
        };
        let answer = client.ask(&crate::support::Ask::get(&host, &target));
        rows.eq(format!("{host}{target}"), &seen.to_owned(), &answer.fate());
        rows.eq(format!("{host}{target} port"), &Some(u64::from(ports[n % 16])), &answer.json()["port"].as_u64());
    }
    rows.finish();
    assert!(daemon.metric_sum("chittyconnect_routes", &[]) >= 1000.0);
}
