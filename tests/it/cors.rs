//! Cross-origin answers: the gateway's on its own hosts, the service's on service hosts.

use crate::support::peer::raw;
use crate::support::{API, Answer, Ask, CONNECT, Daemon, MCP, Rows, Upstream};

const ALLOWED: [&str; 7] = [
    "https://chatgpt.com",
    "https://chat.openai.com",
    "https://chittyconnect-ui.pages.dev",
    "https://foo.chittyconnect-ui.pages.dev",
    "http://localhost:5173",
    "http://localhost:3000",
    "https://x.chitty.test",
];
const REFUSED: [&str; 12] = [
    "https://evil.example",
    "null",
    "https://chat.openai.com.evil.com",
    "http://localhost:9999",
    "http://x.chitty.test",
    "https://chitty.test",
    "https://a.b.chitty.test",
    "https://.chitty.test",
    "https://xchitty.test",
    "https://x.chitty.test.evil.example",
    "https://x.chitty.test:8443",
    "http://chatgpt.com",
];

fn daemon(upstream: &Upstream) -> Daemon {
    Daemon::builder().service(upstream.service("svc")).start()
}

fn preflight(host: &str, target: &str, origin: &str) -> Ask {
    Ask::new("OPTIONS", host, target)
        .header("Origin", origin)
        .header("Access-Control-Request-Method", "POST")
        .header("Access-Control-Request-Headers", "content-type,x-chittyos-api-key")
}

/// The members of a list header, in lower case, sorted.
fn members(answer: &Answer, name: &str) -> Vec<String> {
    let joined = answer.head.all(name).join(",").to_ascii_lowercase();
    let mut members: Vec<String> = joined.split(',').map(|m| m.trim().to_owned()).filter(|m| !m.is_empty()).collect();
    members.sort();
    members.dedup();
    members
}

fn listed(text: &str) -> Vec<String> {
    let mut members: Vec<String> = text.split(',').map(|m| m.trim().to_ascii_lowercase()).collect();
    members.sort();
    members
}

/// What pages may read: the contract's list, and what a client that is refused needs.
const EXPOSED: &str = "Content-Length,X-Request-ID,Mcp-Session-Id,ETag,Retry-After,X-RateLimit-Limit,\
    X-RateLimit-Remaining,X-RateLimit-Reset";

#[test]
fn a_preflight_is_answered_as_the_contract_says() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let mut rows = Rows::new();
    for (host, target) in [
        (CONNECT, "/health"),
        (CONNECT, "/.well-known/chitty.json"),
        (CONNECT, "/api/context/tasks"),
        (CONNECT, "/anything"),
        (CONNECT, "/svc/api/x"),
        (CONNECT, "/nope/api/x"),
        (API, "/svc/x"),
        (MCP, "/svc"),
    ] {
        let answer = daemon.ask(&preflight(host, target, "https://chatgpt.com"));
        let row = |what: &str| format!("{what} of {host}{target}");
        rows.eq(row("status"), &204, &answer.status());
        rows.eq(row("Allow-Origin"), &Some("https://chatgpt.com"), &answer.header("access-control-allow-origin"));
        rows.eq(
            row("Allow-Methods"),
            &listed("GET,POST,PUT,PATCH,DELETE,OPTIONS"),
            &members(&answer, "access-control-allow-methods"),
        );
        rows.eq(
            row("Allow-Headers"),
            &listed("Content-Type,Authorization,X-ChittyOS-API-Key,X-ChittyID,Mcp-Session-Id,Mcp-Protocol-Version,If-Match,If-None-Match,Idempotency-Key"),
            &members(&answer, "access-control-allow-headers"),
        );
        rows.eq(row("Expose-Headers"), &listed(EXPOSED), &members(&answer, "access-control-expose-headers"));
        rows.eq(row("Max-Age"), &Some("86400"), &answer.header("access-control-max-age"));
        rows.eq(row("Allow-Credentials"), &Some("true"), &answer.header("access-control-allow-credentials"));
        rows.eq(row("Vary"), &listed("Origin,Access-Control-Request-Headers"), &members(&answer, "vary"));
    }
    rows.finish();
    assert!(upstream.targets().is_empty(), "a preflight on a prefix is the gateway's");
}

#[test]
fn a_preflight_names_an_origin_only_if_it_is_allowed() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let mut rows = Rows::new();
    for target in ["/api/context/tasks", "/svc/api/x"] {
        for origin in ALLOWED {
            let answer = daemon.ask(&preflight(CONNECT, target, origin));
            rows.eq(format!("{origin} {target}"), &Some(origin), &answer.header("access-control-allow-origin"));
        }
        for origin in REFUSED {
            let answer = daemon.ask(&preflight(CONNECT, target, origin));
            rows.eq(format!("{origin} {target} status"), &204, &answer.status());
            rows.eq(format!("{origin} {target}"), &None, &answer.header("access-control-allow-origin"));
        }
    }
    rows.finish();
}

#[test]
fn an_answer_on_a_prefix_names_an_origin_only_if_it_is_allowed() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let mut rows = Rows::new();
    for origin in ALLOWED {
        let answer = daemon.ask(&Ask::get(CONNECT, "/svc/api/x").header("Origin", origin));
        rows.eq(origin, &Some(origin), &answer.header("access-control-allow-origin"));
        rows.eq(origin, &Some("true"), &answer.header("access-control-allow-credentials"));
        rows.holds(
            format!("{origin} Vary"),
            members(&answer, "vary").contains(&"origin".to_owned()),
            members(&answer, "vary"),
        );
        rows.eq(
            format!("{origin} Expose-Headers"),
            &listed(EXPOSED),
            &members(&answer, "access-control-expose-headers"),
        );
    }
    for origin in REFUSED {
        let answer = daemon.ask(&Ask::get(CONNECT, "/svc/api/x").header("Origin", origin));
        rows.eq(format!("{origin} is still served"), &200, &answer.status());
        rows.eq(origin, &None, &answer.header("access-control-allow-origin"));
    }
    rows.finish();
}

#[test]
fn a_problem_on_a_gateway_host_can_be_read_across_origins() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let mut rows = Rows::new();
    for target in ["/nope/api/x", "/no-such-page", "/../x"] {
        let answer = daemon.ask(&Ask::get(CONNECT, target).header("Origin", "https://chatgpt.com"));
        rows.eq(target, &Some("https://chatgpt.com"), &answer.header("access-control-allow-origin"));
        let answer = daemon.ask(&Ask::get(CONNECT, target).header("Origin", "https://evil.example"));
        rows.eq(target, &None, &answer.header("access-control-allow-origin"));
    }
    rows.finish();
}

const OWN_CORS: &str = "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: https://its-own.example\r\n\
                        Access-Control-Allow-Credentials: false\r\nAccess-Control-Expose-Headers: X-Its-Own\r\n\
                        Vary: Accept-Encoding\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn on_a_prefix_the_gateways_headers_replace_the_upstreams() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let target = format!("/svc/api{}", raw(OWN_CORS, "close"));
    let mut rows = Rows::new();
    for (origin, expected) in [
        (Some("https://chatgpt.com"), Some("https://chatgpt.com")),
        (Some("https://its-own.example"), None),
        (None, None),
    ] {
        let mut ask = Ask::get(CONNECT, &target);
        if let Some(origin) = origin {
            ask = ask.header("Origin", origin);
        }
        let answer = daemon.ask(&ask);
        rows.eq("the body passes", &"ok".to_owned(), &answer.text());
        rows.eq(format!("{origin:?}"), &expected, &answer.header("access-control-allow-origin"));
        let exposed = members(&answer, "access-control-expose-headers");
        rows.holds("its Expose-Headers", !exposed.contains(&"x-its-own".to_owned()), exposed);
        let vary = members(&answer, "vary");
        rows.holds("its other Vary stays", vary.contains(&"accept-encoding".to_owned()), vary);
    }
    rows.finish();
}

#[test]
fn on_a_service_host_cors_belongs_to_the_service() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let answer =
        daemon.ask(&Ask::get("svc.chitty.test", &raw(OWN_CORS, "close")).header("Origin", "https://chatgpt.com"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://its-own.example"));
    assert_eq!(answer.header("access-control-allow-credentials"), Some("false"));
    assert_eq!(answer.header("access-control-expose-headers"), Some("X-Its-Own"));
    assert_eq!(members(&answer, "vary"), ["accept-encoding"]);

    let seen = upstream.requests().len();
    let echo = daemon.ask(&preflight("svc.chitty.test", "/x", "https://chatgpt.com")).echo();
    assert_eq!(echo.0["method"], "OPTIONS");
    assert_eq!(upstream.requests().len(), seen + 1, "its OPTIONS reach it");
    let answer = daemon.ask(&Ask::get("svc.chitty.test", "/x").header("Origin", "https://chatgpt.com"));
    assert_eq!(answer.header("access-control-allow-origin"), None, "nothing is added");
}

#[test]
fn public_documents_are_open_to_every_origin() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let mut rows = Rows::new();
    for target in [
        "/health",
        "/api/health",
        "/api/v1/status",
        "/.well-known/chitty.json",
        "/.well-known/mcp.json",
        "/openapi.json",
        "/mcp/manifest",
        "/sse/health",
    ] {
        for origin in [Some("https://evil.example"), Some("https://chatgpt.com"), None] {
            let mut ask = Ask::get(CONNECT, target);
            if let Some(origin) = origin {
                ask = ask.header("Origin", origin);
            }
            let answer = daemon.ask(&ask);
            rows.eq(format!("{target} from {origin:?}"), &Some("*"), &answer.header("access-control-allow-origin"));
            rows.eq(
                format!("{target} has no credentials with *"),
                &None,
                &answer.header("access-control-allow-credentials"),
            );
        }
    }
    rows.finish();
}

#[test]
fn origins_and_age_are_those_of_the_configuration() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder()
        .set("cors", "{origins: [\"https://*.ui.example\", \"https://one.example\"], max_age: 10m}")
        .service(upstream.service("svc"))
        .start();
    let mut rows = Rows::new();
    for (origin, expected) in [
        ("https://a.ui.example", Some("https://a.ui.example")),
        ("https://one.example", Some("https://one.example")),
        ("https://a.b.ui.example", None),
        ("https://ui.example", None),
        ("https://chatgpt.com", None),
    ] {
        let answer = daemon.ask(&preflight(CONNECT, "/svc/api/x", origin));
        rows.eq(origin, &expected, &answer.header("access-control-allow-origin"));
        rows.eq(origin, &Some("600"), &answer.header("access-control-max-age"));
    }
    rows.finish();
}
