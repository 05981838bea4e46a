//! DESIGN "Prefixes", row by row: what the upstream is asked for, and what is refused.

use crate::support::{API, Ask, CONNECT, Daemon, MCP, Rows, Upstream};

fn daemon(upstream: &Upstream) -> Daemon {
    Daemon::builder()
        .service(upstream.service_with("chittyid", "subdomain: id, aliases: [identity]"))
        .service(upstream.service("plain"))
        .start()
}

#[track_caller]
fn table(rows: &[(&str, &str, &str)]) {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let mut checked = Rows::new();
    for (host, target, fate) in rows {
        checked.eq(format!("{host}{target}"), &(*fate).to_owned(), &daemon.get(host, target).fate());
    }
    checked.finish();
}

#[test]
fn api_and_mcp_prefixes_lose_the_service_on_all_three_hosts() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let mut rows = Rows::new();
    for host in [CONNECT, API, MCP] {
        for (target, upstream_target) in [
            ("/id/api", "/api"),
            ("/id/api/", "/api/"),
            ("/id/api/v1/x", "/api/v1/x"),
            ("/id/mcp", "/mcp"),
            ("/id/mcp/", "/mcp/"),
            ("/id/mcp/tools/list", "/mcp/tools/list"),
            ("/id/api/mcp/x", "/api/mcp/x"),
            // every name of the service, in any case
            ("/chittyid/api/x", "/api/x"),
            ("/identity/mcp/x", "/mcp/x"),
            ("/ID/api/x", "/api/x"),
            ("/ChittyID/api/X", "/api/X"),
            ("/plain/api/x", "/api/x"),
        ] {
            let fate = daemon.get(host, target).fate();
            rows.eq(format!("{host}{target}"), &format!("-> {upstream_target}"), &fate);
        }
    }
    rows.finish();
}

#[test]
fn a_bare_prefix_means_api_on_api_and_mcp_on_mcp_and_nothing_on_connect() {
    table(&[
        (API, "/id", "-> /api"),
        (API, "/id/", "-> /api/"),
        (API, "/id/x/y", "-> /api/x/y"),
        (API, "/id?q=1", "-> /api?q=1"),
        (API, "/id/apix", "-> /api/apix"),
        (API, "/id/API/x", "-> /api/API/x"),
        (API, "/id/x/api/y", "-> /api/x/api/y"),
        (API, "/id//api/y", "-> /api//api/y"),
        (MCP, "/id", "-> /mcp"),
        (MCP, "/id/", "-> /mcp/"),
        (MCP, "/id/tools/list", "-> /mcp/tools/list"),
        (MCP, "/id?q=1", "-> /mcp?q=1"),
        (MCP, "/id/mcpx", "-> /mcp/mcpx"),
        (CONNECT, "/id", "404 not_found"),
        (CONNECT, "/id/", "404 not_found"),
        (CONNECT, "/id/x", "404 not_found"),
        (CONNECT, "/id/apix", "404 not_found"),
        (CONNECT, "/id/API/x", "404 not_found"),
    ]);
}

#[test]
fn the_query_is_never_touched() {
    let queries = ["?", "?y=1", "?a=b?c", "??", "?x=/../y", "?a=%2e%2e%2f&b=+%20", "?a&a=1&&=", "?%zz", "?x=/id/api"];
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let mut rows = Rows::new();
    for query in queries {
        for (host, path, upstream_path) in
            [(CONNECT, "/id/api/x", "/api/x"), (API, "/id", "/api"), ("id.chitty.test", "/x", "/x")]
        {
            let fate = daemon.get(host, &format!("{path}{query}")).fate();
            rows.eq(format!("{host}{path}{query}"), &format!("-> {upstream_path}{query}"), &fate);
        }
    }
    rows.finish();
}

#[test]
fn every_other_byte_of_the_path_is_kept() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let mut rows = Rows::new();
    for rest in [
        "a%2Fb",
        "a%2fb",
        "%41%7e%7E",
        "c%20d",
        "a//b///",
        "/a",
        "a;v=1,2/@:!$&'()*+=",
        "%252e%252e/x",
        ".../..x/x../.x",
        "a%00b",
        "%zz%",
        "a/b/%C3%A9",
        "\"[]^{|}",
    ] {
        rows.eq(rest, &format!("-> /api/{rest}"), &daemon.get(CONNECT, &format!("/id/api/{rest}")).fate());
        rows.eq(rest, &format!("-> /api/{rest}"), &daemon.get(API, &format!("/id/{rest}")).fate());
    }
    rows.finish();
}

#[test]
fn dot_segments_are_resolved_before_the_path_is_routed() {
    table(&[
        (CONNECT, "/id/api/a/../b", "-> /api/b"),
        (CONNECT, "/id/api/./b", "-> /api/b"),
        (CONNECT, "/id/api/a/%2e%2e/b", "-> /api/b"),
        (CONNECT, "/id/api/a/%2E%2E/b", "-> /api/b"),
        (CONNECT, "/id/api/a/.%2e/b", "-> /api/b"),
        (CONNECT, "/id/api/a/%2e./b", "-> /api/b"),
        (CONNECT, "/id/api/%2e/b", "-> /api/b"),
        (CONNECT, "/id/api/a%2Fb/%2e%2e/c%20d", "-> /api/c%20d"),
        (CONNECT, "/id/api/a/b/../../c", "-> /api/c"),
        (CONNECT, "/id/api/x/..", "-> /api/"),
        (CONNECT, "/id/api/x/.", "-> /api/x/"),
        (CONNECT, "/id/api/..?q=..", "404 not_found"),
        (CONNECT, "/id/api/../mcp/x", "-> /mcp/x"),
        (CONNECT, "/id/api/../../plain/api/x", "-> /api/x"),
        (CONNECT, "/id/api/../../nope/api/x", "404 unknown_service"),
        (CONNECT, "/id/api/../../health", "200 local"),
        (CONNECT, "/x/../id/api/y", "-> /api/y"),
        (CONNECT, "/./id/api/y", "-> /api/y"),
        (CONNECT, "/nope/../health", "200 local"),
        (API, "/id/../plain/x", "-> /api/x"),
        (API, "/id/a/../x", "-> /api/x"),
        (MCP, "/id/api/../x", "-> /mcp/x"),
    ]);
}

#[test]
fn a_path_that_climbs_above_the_root_is_a_bad_path() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let mut rows = Rows::new();
    for host in [CONNECT, API, MCP, "id.chitty.test"] {
        for target in [
            "/..",
            "/../",
            "/../id/api/x",
            "/%2e%2e/x",
            "/%2E./x",
            "/a/../../x",
            "/./../x",
            "/id/api/../../../x",
            "/id/api/%2e%2e/%2e%2e/%2e%2e/etc",
            "/../health",
        ] {
            let fate = daemon.get(host, target).fate();
            rows.eq(format!("{host}{target}"), &"400 bad_path".to_owned(), &fate);
        }
    }
    rows.finish();
    assert!(upstream.targets().is_empty());
}

#[test]
fn dots_beside_a_hidden_separator_are_a_bad_path() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let mut rows = Rows::new();
    for (host, before) in [(CONNECT, "/id/api/"), (API, "/id/"), (MCP, "/id/"), ("id.chitty.test", "/a/")] {
        for segment in [
            "..%2f",
            "..%2F",
            "%2e%2e%2f",
            "..%2fx",
            "..%2f..%2fhealth",
            "%2f..",
            "..%5c",
            "..%5C..",
            "..\\",
            "..\\x",
            "..%00",
            "%2e%2e%00",
            ".%2f",
            "..%2f/x",
        ] {
            let target = format!("{before}{segment}");
            rows.eq(format!("{host}{target}"), &"400 bad_path".to_owned(), &daemon.get(host, &target).fate());
        }
    }
    rows.finish();
    assert!(upstream.targets().is_empty());
}

#[test]
fn the_service_segment_is_a_name_or_nothing() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let mut rows = Rows::new();
    for segment in [
        "nope",
        "i%64",
        "id%2f",
        "evil.example%2F",
        "%23",
        "%3F",
        "127.0.0.1:9%2F",
        "u@evil.example:80%2F",
        "id.chitty.test",
        "id_",
        "-",
        &"a".repeat(63),
        &"a".repeat(64),
        "",
    ] {
        for (host, rest) in [(CONNECT, "/api/x"), (API, "/x"), (MCP, "/mcp/x")] {
            let answer = daemon.get(host, &format!("/{segment}{rest}"));
            let refused = answer.status() == 404 && matches!(&*answer.problem(), "unknown_service" | "not_found");
            rows.holds(format!("{host}/{segment}{rest}"), refused, answer.fate());
        }
    }
    rows.finish();
    assert!(upstream.targets().is_empty(), "{:?}", upstream.targets());
}

#[test]
fn an_unknown_service_is_named_as_such() {
    table(&[
        (CONNECT, "/nope/api", "404 unknown_service"),
        (CONNECT, "/nope/api/x", "404 unknown_service"),
        (CONNECT, "/nope/mcp/x", "404 unknown_service"),
        (CONNECT, "/nope/x", "404 not_found"),
        (CONNECT, "/nope", "404 not_found"),
        (API, "/nope", "404 unknown_service"),
        (API, "/nope/x", "404 unknown_service"),
        (MCP, "/nope/x", "404 unknown_service"),
        (API, "/nope/mcp/x", "404 unknown_service"),
    ]);
}

#[test]
fn reserved_names_are_never_prefixes() {
    let upstream = Upstream::start();
    let reserved = [
        "api",
        "mcp",
        "connect",
        "files",
        "sse",
        "health",
        "s3",
        "resource",
        "register",
        "services",
        "dashboard",
        "admin",
        "metrics",
    ];
    let entry = |name: &&str| {
        format!(
            "{{\"name\":\"own-{name}\",\"subdomain\":\"{name}\",\"url\":\"{0}\"}},{{\"name\":\"{name}\",\"url\":\"{0}\"}}",
            upstream.url()
        )
    };
    let list = reserved.iter().map(entry).collect::<Vec<_>>().join(",");
    let daemon = Daemon::builder()
        .set("registry", "{sources: [{file: services.json}]}")
        .file("services.json", format!("[{list}]"))
        .start();
    let mut rows = Rows::new();
    for name in reserved {
        for host in [CONNECT, API, MCP] {
            let answer = daemon.get(host, &format!("/{name}/api/x"));
            // Under /api nobody learns without a key what is there and what is not.
            let fate = if name == "api" { "401 Missing API key" } else { "404 not_found" };
            rows.eq(format!("{host}/{name}/api/x"), &fate.to_owned(), &answer.fate());
        }
        let own = daemon.get(CONNECT, &format!("/own-{name}/api/x")).fate();
        rows.eq(format!("a reserved label falls back to the slug: {name}"), &"-> /api/x".to_owned(), &own);
    }
    rows.finish();
}

#[test]
fn every_method_passes_a_prefix_but_options() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"] {
        let echo = daemon.ask(&Ask::new(method, CONNECT, "/id/api/x").body("hello")).echo();
        assert_eq!((&echo.0["method"], &echo.0["body_bytes"]), (&method.into(), &5.into()));
    }
    let seen = upstream.requests().len();
    assert_eq!(daemon.ask(&Ask::new("OPTIONS", CONNECT, "/id/api/x")).status(), 204);
    assert_eq!(upstream.requests().len(), seen, "OPTIONS is the gateway's");
}
