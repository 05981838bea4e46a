//! DESIGN "Hosts", row by row: which host is answered by whom.

use crate::support::{Ask, CONNECT, DOMAIN, Daemon, Rows, Upstream};

fn daemon(upstream: &Upstream) -> Daemon {
    let identity = "subdomain: id, aliases: [identity], hosts: [id.example.com, Chitty.Example.NET]";
    Daemon::builder()
        .service(upstream.service_with("chittyid", identity))
        .service(upstream.service("plain"))
        .set("registry", "{sources: [{file: services.json}]}")
        .file(
            "services.json",
            format!("[{{\"name\":\"chittyapi\",\"subdomain\":\"api\",\"url\":\"{}\"}}]", upstream.url()),
        )
        .start()
}

#[test]
fn each_kind_of_host_is_answered_by_its_own() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let mut rows = Rows::new();
    let local = "200 local";
    let service = "-> /health";
    let unknown = "404 unknown_host";
    for (host, fate) in [
        // connect, api and mcp hosts: local endpoints
        ("connect.chitty.test", local),
        ("api.chitty.test", local),
        ("mcp.chitty.test", local),
        // case, port and trailing dot do not count
        ("Connect.CHITTY.test", local),
        ("connect.chitty.test:8080", local),
        ("connect.chitty.test.", local),
        ("connect.chitty.test.:443", local),
        // any bare IP, and localhost, as connect
        ("127.0.0.1", local),
        ("127.0.0.1:8080", local),
        ("192.0.2.7", local),
        ("[::1]", local),
        ("[::1]:8080", local),
        ("[2001:db8::7]:1", local),
        ("localhost", local),
        ("LOCALHOST:9999", local),
        ("localhost.", local),
        // subdomain, alias and id under the domain, and full hosts: the service
        ("id.chitty.test", service),
        ("identity.chitty.test", service),
        ("chittyid.chitty.test", service),
        ("id.example.com", service),
        ("chitty.example.net", service),
        ("plain.chitty.test", service),
        ("ID.Chitty.Test", service),
        ("id.chitty.test:8080", service),
        ("id.chitty.test.", service),
        ("ID.CHITTY.TEST.:80", service),
        // a gateway host stays the gateway's, whoever claims its label
        ("chittyapi.chitty.test", service),
        // anything else
        ("nope.chitty.test", unknown),
        ("chitty.test", unknown),
        ("a.id.chitty.test", unknown),
        ("id.chitty.test.evil.example", unknown),
        ("idchitty.test", unknown),
        ("id", unknown),
        ("example.com", unknown),
        ("localhost.example.com", unknown),
        ("127.0.0.1.example.com", unknown),
        ("connect.chitty.test.evil.example", unknown),
    ] {
        rows.eq(host, &fate.to_owned(), &daemon.get(host, "/health").fate());
    }
    rows.finish();
}

#[test]
fn hosts_of_registration_and_of_s3_answer_nothing_else() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder()
        .set("gateway", "{register: [register.example]}")
        .set("registry", "{sources: [{file: services.json}]}")
        .file("services.json", format!("[{{\"name\":\"files\",\"url\":\"{}\"}}]", upstream.url()))
        .start();
    let answer = daemon.get("register.example", "/health");
    assert_eq!((answer.status(), answer.json()["status"].as_u64()), (404, Some(404)));
    let answer = daemon.get("files.chitty.test", "/health");
    assert!(answer.status() == 403 && answer.text().contains("<Code>AccessDenied</Code>"), "{}", answer.text());
    assert!(upstream.targets().is_empty(), "no service has a gateway host");
}

#[test]
fn gateway_hosts_are_those_of_the_configuration() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder()
        .set("gateway", "{connect: [a.example, b.example], api: [c.example], mcp: [d.example]}")
        .service(upstream.service("svc"))
        .start();
    let mut rows = Rows::new();
    for (host, target, fate) in [
        ("a.example", "/health", "200 local"),
        ("b.example", "/health", "200 local"),
        ("c.example", "/svc/x", "-> /api/x"),
        ("d.example", "/svc/x", "-> /mcp/x"),
        ("connect.chitty.test", "/health", "404 unknown_host"),
    ] {
        rows.eq(format!("{host}{target}"), &fate.to_owned(), &daemon.get(host, target).fate());
    }
    rows.finish();
}

#[test]
fn the_path_reaches_a_service_host_byte_for_byte() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let mut rows = Rows::new();
    for target in [
        "/",
        "/?",
        "/?q",
        "/health",
        "/.well-known/chitty.json",
        "/.well-known/acme-challenge/token",
        "/api/x",
        "/chittyid/api/x",
        "/a//b///c/",
        "/a%2Fb/%41%7e/%zz",
        "/a;b=c,d/@:!$&'()*+=",
        "/a/../b",
        "/a/./b",
        "/a/%2e%2E/b",
        "/a/b/..",
        "/.../..x/x..",
        "/%252e%252e/x",
        "/x?a=../..&b=%2e%2e/..%2f&c=a?b",
        "/\"[]^{|}",
    ] {
        rows.eq(target, &format!("-> {target}"), &daemon.get("id.chitty.test", target).fate());
    }
    rows.finish();
}

#[test]
fn without_a_host_http_1_1_is_refused_and_http_1_0_is_connect() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let mut rows = Rows::new();
    for (request, fate) in [
        ("GET /health HTTP/1.1\r\n\r\n", "400 bad_request"),
        ("GET /health HTTP/1.0\r\n\r\n", "200 local"),
        ("GET /plain/api/x HTTP/1.0\r\n\r\n", "-> /api/x"),
        ("GET /x HTTP/1.0\r\nHost: plain.chitty.test\r\n\r\n", "-> /x"),
        ("GET /x HTTP/1.0\r\nHost: nope.example\r\n\r\n", "404 unknown_host"),
    ] {
        rows.eq(request, &fate.to_owned(), &daemon.raw(request).fate());
    }
    rows.finish();
}

#[test]
fn an_absolute_target_is_routed_by_its_authority_and_reaches_the_service_without_it() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let mut rows = Rows::new();
    for (target, host, fate) in [
        ("http://plain.chitty.test/x?y", "plain.chitty.test", "-> /x?y"),
        ("http://plain.chitty.test", "plain.chitty.test", "-> /"),
        ("http://connect.chitty.test/health", CONNECT, "200 local"),
        ("http://connect.chitty.test/plain/api/x", CONNECT, "-> /api/x"),
        ("http://connect.chitty.test/../x", CONNECT, "400 bad_path"),
        ("http://plain.chitty.test/../x", "plain.chitty.test", "400 bad_path"),
    ] {
        rows.eq(format!("{target} with Host {host}"), &fate.to_owned(), &daemon.get(host, target).fate());
    }
    rows.finish();
}

#[test]
fn a_host_against_the_authority_of_the_target_is_refused() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    for (target, host) in [
        ("http://plain.chitty.test/x", "id.chitty.test"),
        ("http://id.chitty.test/x", CONNECT),
        ("http://connect.chitty.test/health", "id.chitty.test"),
        ("http://nope.example/x", "plain.chitty.test"),
    ] {
        assert_eq!(daemon.get(host, target).status(), 400, "{target} with Host {host}");
    }
    assert!(upstream.targets().is_empty());
}

#[test]
fn a_target_that_is_no_path_is_refused() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let mut rows = Rows::new();
    for target in ["x", "?a", "*", "foo:bar", "plain.chitty.test/x", "ftp://plain.chitty.test/x", "http:/x"] {
        for host in ["plain.chitty.test", CONNECT] {
            let answer = daemon.get(host, target);
            rows.eq(format!("GET {target} at {host}"), &400, &answer.status());
        }
    }
    // No path has a fragment; cutting it off in silence would be a third answer.
    let answer = daemon.get("plain.chitty.test", "/x#y");
    rows.holds("GET /x#y", answer.status() == 400 || answer.fate() == "-> /x#y", answer.fate());
    rows.finish();
}

#[test]
fn a_host_that_is_no_host_is_refused() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let mut rows = Rows::new();
    for host in
        ["a b", "plain.chitty.test/x", "user@plain.chitty.test", "plain.chitty.test,id.chitty.test", "[::1", "a..b"]
    {
        let answer = daemon.get(host, "/health");
        rows.holds(host, matches!(answer.status(), 400 | 404), answer.fate());
    }
    rows.finish();
    let twice = format!("GET /health HTTP/1.1\r\nHost: plain.chitty.test\r\nHost: {CONNECT}\r\n\r\n");
    assert_eq!(daemon.raw(twice).status(), 400, "two Host headers");
    assert!(upstream.targets().is_empty(), "nothing of it may reach a service: {:?}", upstream.targets());
}

#[test]
fn a_bare_address_has_the_prefixes_of_connect() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let mut rows = Rows::new();
    for host in ["127.0.0.1", "[::1]:80", "localhost:8080"] {
        rows.eq(host, &"-> /api/x".to_owned(), &daemon.get(host, "/identity/api/x").fate());
        rows.eq(host, &"404 not_found".to_owned(), &daemon.get(host, "/identity/x").fate());
    }
    rows.finish();
}

#[test]
fn under_the_default_domain_services_live_below_localhost() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder().set("domain", "localhost").service(upstream.service("svc")).start();
    let mut rows = Rows::new();
    for (host, target, fate) in [
        ("svc.localhost:8080", "/x", "-> /x"),
        ("api.localhost", "/svc/x", "-> /api/x"),
        ("localhost", "/svc/api/x", "-> /api/x"),
        ("localhost", "/health", "200 local"),
        ("nope.localhost", "/health", "404 unknown_host"),
    ] {
        rows.eq(format!("{host}{target}"), &fate.to_owned(), &daemon.get(host, target).fate());
    }
    rows.finish();
}

#[test]
fn every_method_reaches_a_service_host() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let host = format!("plain.{DOMAIN}");
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "MKCOL", "PURGE", "X-ODD"] {
        let echo = daemon.ask(&Ask::new(method, &host, "/x").body("hello")).echo();
        assert_eq!(echo.0["method"], method);
        assert_eq!(echo.0["body_bytes"], 5, "{method}");
    }
}
