//! The public answers of CONTRACT §1 beside discovery: health, status, OpenAPI, MCP manifest, `/`.

use serde_json::Value;

use crate::support::{API, Ask, CONNECT, DOMAIN, Daemon, MCP, Registry, Rows, Upstream, eventually};

const DOCUMENTS: [&str; 7] = [
    "/health",
    "/api/health",
    "/api/v1/status",
    "/.well-known/chitty.json",
    "/.well-known/mcp.json",
    "/openapi.json",
    "/mcp/manifest",
];
/// The generated ones among them that do not change from one request to the next.
const CACHED: [&str; 4] = ["/.well-known/chitty.json", "/.well-known/mcp.json", "/openapi.json", "/mcp/manifest"];

fn assert_is_time(value: &Value) {
    let text = value.as_str().unwrap_or_default();
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{value}");
}

#[test]
fn health_is_ok_and_names_the_service() {
    let daemon = Daemon::builder().start();
    let answer = daemon.get(CONNECT, "/health");
    let body = answer.json();
    assert_eq!((answer.status(), answer.header("content-type")), (200, Some("application/json")));
    assert_eq!((&body["status"], &body["service"]), (&"ok".into(), &"chittyconnect".into()));
    assert_eq!(body["version"], env!("CARGO_PKG_VERSION"));
    assert_is_time(&body["timestamp"]);
    assert!(body["endpoints"].is_object(), "{body}");
}

#[test]
fn api_health_needs_no_key_and_a_key_does_no_harm() {
    let daemon = Daemon::builder().start();
    for ask in [Ask::get(CONNECT, "/api/health"), Ask::get(CONNECT, "/api/health").header("X-ChittyOS-API-Key", "any")]
    {
        let answer = daemon.ask(&ask);
        let body = answer.json();
        assert_eq!((answer.status(), &body["status"]), (200, &"healthy".into()), "{body}");
        assert_eq!(body["version"], daemon.get(CONNECT, "/health").json()["version"], "one version everywhere");
        assert_is_time(&body["timestamp"]);
        assert!(body["service"].is_string() && body["endpoints"].is_object(), "{body}");
    }
}

#[test]
fn status_is_ok() {
    let daemon = Daemon::builder().start();
    let answer = daemon.get(CONNECT, "/api/v1/status");
    let body = answer.json();
    assert_eq!((answer.status(), &body["status"]), (200, &"ok".into()));
    assert!(body["service"].is_string() && body["version"].is_string(), "{body}");
    assert_is_time(&body["timestamp"]);
}

#[test]
fn openapi_is_3_1_0_and_describes_what_is_served() {
    let daemon = Daemon::builder().start();
    let answer = daemon.get(CONNECT, "/openapi.json");
    assert_eq!((answer.status(), answer.header("content-type")), (200, Some("application/json")));
    let document = answer.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    let server = document["servers"][0]["url"].as_str().unwrap_or_default();
    assert!(server.contains(CONNECT), "servers: {}", document["servers"]);
    let schemes = &document["components"]["securitySchemes"];
    let scheme = &schemes["apiKey"];
    assert_eq!((&scheme["in"], &scheme["name"]), (&"header".into(), &"X-ChittyOS-API-Key".into()), "{scheme}");
    assert_eq!((&schemes["bearerAuth"]["type"], &schemes["bearerAuth"]["scheme"]), (&"http".into(), &"bearer".into()));
    let paths = document["paths"].as_object().unwrap();
    let mut rows = Rows::new();
    for target in DOCUMENTS {
        rows.holds(format!("{target} is described"), paths.contains_key(target), paths.keys());
    }
    for (path, operations) in paths.iter().filter(|(path, _)| !path.contains('{')) {
        if let Some(operation) = operations.get("get") {
            let status = daemon.get(CONNECT, path).status();
            let fits = if operation.get("security").is_some() { status == 401 } else { (200..400).contains(&status) };
            rows.holds(format!("{path} is served as described"), fits, status);
        }
    }
    rows.finish();
}

#[test]
fn the_mcp_manifest_says_what_this_build_has() {
    let daemon = Daemon::builder().start();
    let body = daemon.get(CONNECT, "/mcp/manifest").json();
    assert_eq!((&body["name"], &body["protocol"]), (&"chittyconnect".into(), &"mcp".into()), "{body}");
    assert!(body["version"].is_string() && body["description"].is_string(), "{body}");
    assert_eq!(body["tools"], 0, "MCP is not built yet");
    assert!(body["capabilities"].is_array() && body.get("endpoints").is_some(), "{body}");
}

#[test]
fn mcp_json_names_no_url_that_is_not_served() {
    let daemon = Daemon::builder().start();
    let body = daemon.get(CONNECT, "/.well-known/mcp.json").json();
    for key in ["mcpVersion", "capabilities", "serverInfo", "url"] {
        assert!(body.get(key).is_some(), "{key} is missing: {body}");
    }
    assert_eq!(body["serverInfo"]["name"], "chittyconnect", "{body}");
    if let Some(url) = body["url"].as_str() {
        let url = url::Url::parse(url).unwrap();
        assert_ne!(daemon.get(url.host_str().unwrap(), url.path()).status(), 404, "{url}");
    }
}

#[test]
fn the_root_sends_agents_to_discovery_and_people_to_a_page() {
    let daemon = Daemon::builder().set("gateway", "{landing_page: \"https://get.example/start\"}").start();
    let to = |accept: Option<&str>| {
        let mut ask = Ask::get(CONNECT, "/");
        if let Some(accept) = accept {
            ask = ask.header("Accept", accept);
        }
        let answer = daemon.ask(&ask);
        (answer.status(), answer.header("location").map(str::to_owned))
    };
    for accept in ["application/json", "text/html, application/json;q=0.9"] {
        let (status, location) = to(Some(accept));
        assert_eq!(status, 302);
        assert!(location.as_deref().is_some_and(|l| l.ends_with("/.well-known/chitty.json")), "{location:?}");
    }
    for accept in [Some("text/html"), None] {
        assert_eq!(to(accept), (302, Some("https://get.example/start".to_owned())), "{accept:?}");
    }
}

#[test]
fn without_a_landing_page_there_is_a_built_in_one() {
    let daemon = Daemon::builder().start();
    let mut answer = daemon.ask(&Ask::get(CONNECT, "/").header("Accept", "text/html"));
    if answer.status() == 302 {
        let target = answer.header("location").unwrap().to_owned();
        assert!(target.starts_with('/'), "{target}");
        answer = daemon.get(CONNECT, &target);
    }
    assert_eq!(answer.status(), 200);
    assert!(answer.header("content-type").is_some_and(|t| t.starts_with("text/html")), "{:?}", answer.head);
    assert!(answer.text().contains("/.well-known/chitty.json"), "{}", answer.text());
}

#[test]
fn documents_are_the_same_on_all_three_hosts() {
    let daemon = Daemon::builder().start();
    let mut rows = Rows::new();
    for target in DOCUMENTS {
        for host in [CONNECT, API, MCP, "127.0.0.1"] {
            let answer = daemon.get(host, target);
            rows.eq(
                format!("{host}{target}"),
                &(200, Some("application/json")),
                &(answer.status(), answer.header("content-type")),
            );
            rows.holds(format!("{host}{target} has a length"), answer.header("content-length").is_some(), &answer.head);
        }
    }
    rows.finish();
}

#[test]
fn generated_documents_can_be_cached() {
    let daemon = Daemon::builder().start();
    let mut rows = Rows::new();
    for target in CACHED {
        let answer = daemon.get(CONNECT, target);
        let Some(tag) = answer.header("etag").map(str::to_owned) else {
            rows.holds(format!("{target} has an ETag"), false, &answer.head);
            continue;
        };
        rows.holds(format!("{target}: strong"), tag.starts_with('"') && tag.ends_with('"') && tag.len() > 2, &tag);
        let caching = Some("public, max-age=60, stale-while-revalidate=300");
        rows.eq(format!("{target} Cache-Control"), &caching, &answer.header("cache-control"));
        rows.eq(format!("{target} again"), &Some(tag.as_str()), &daemon.get(CONNECT, target).header("etag"));
        for (condition, status) in [
            (tag.clone(), 304),
            (format!("W/{tag}"), 304),
            (format!("\"other\", {tag}"), 304),
            ("*".to_owned(), 304),
            ("\"other\"".to_owned(), 200),
        ] {
            let again = daemon.ask(&Ask::get(CONNECT, target).header("If-None-Match", &condition));
            rows.eq(format!("{target} If-None-Match: {condition}"), &status, &again.status());
            rows.eq(format!("{target} ETag of the {status}"), &Some(tag.as_str()), &again.header("etag"));
            if status == 304 {
                rows.eq(format!("{target} Cache-Control of the 304"), &caching, &again.header("cache-control"));
                rows.eq(format!("{target} CORS of the 304"), &Some("*"), &again.header("access-control-allow-origin"));
                rows.eq(format!("{target} body of the 304"), &0, &again.body.len());
            }
        }
    }
    rows.finish();
}

#[test]
fn head_is_get_without_the_body() {
    let daemon = Daemon::builder().start();
    let mut rows = Rows::new();
    for target in DOCUMENTS {
        let (get, head) = (daemon.get(CONNECT, target), daemon.ask(&Ask::new("HEAD", CONNECT, target)));
        rows.eq(format!("{target} status"), &200, &head.status());
        rows.eq(format!("{target} body"), &0, &head.body.len());
        for name in ["content-type", "content-length", "etag"] {
            rows.eq(format!("{target} {name}"), &get.header(name), &head.header(name));
        }
    }
    rows.finish();
}

#[test]
fn a_wrong_method_is_a_405_that_names_the_right_ones() {
    let daemon = Daemon::builder().start();
    let mut rows = Rows::new();
    for target in DOCUMENTS.into_iter().chain(["/"]) {
        for method in ["POST", "PUT", "PATCH", "DELETE", "PROPFIND"] {
            let answer = daemon.ask(&Ask::new(method, CONNECT, target).body("{}"));
            rows.eq(format!("{method} {target}"), &"405 method_not_allowed".to_owned(), &answer.fate());
            let allow = answer.header("allow").unwrap_or_default();
            let named = ["GET", "HEAD"].iter().all(|m| allow.split(',').any(|a| a.trim() == *m));
            rows.holds(format!("{method} {target}: Allow"), named, allow);
        }
    }
    rows.finish();
}

#[test]
fn unknown_paths_and_slashes_too_many_are_a_json_404() {
    let daemon = Daemon::builder().start();
    let mut rows = Rows::new();
    for target in [
        "/nope",
        "/apis",
        "/mcp/nope",
        "/health/",
        "/openapi.json/",
        "/.well-known/",
        "/.well-known/nope",
        "/.well-known/chitty.json/",
        "/Health",
        "//health",
        "/metrics",
        "/readyz",
        "/livez",
    ] {
        let answer = daemon.get(CONNECT, target);
        rows.eq(target, &"404 not_found".to_owned(), &answer.fate());
        rows.eq(target, &Some("application/json"), &answer.header("content-type"));
    }
    rows.finish();
}

#[test]
fn under_api_nobody_learns_without_a_key_what_is_there() {
    let daemon = Daemon::builder().start();
    let mut rows = Rows::new();
    for (method, target) in [
        ("GET", "/api"),
        ("GET", "/api/nope"),
        ("GET", "/api/health/"),
        ("GET", "/api/context/tasks"),
        ("GET", "/api/context/tasks/"),
        ("PUT", "/api/context/tasks"),
    ] {
        let answer = daemon.ask(&Ask::new(method, CONNECT, target));
        rows.eq(format!("{method} {target}"), &"401 Missing API key".to_owned(), &answer.fate());
        let challenge = Some("Bearer realm=\"chittyconnect\"");
        rows.eq(format!("{method} {target}"), &challenge, &answer.header("www-authenticate"));
    }
    rows.finish();
}

#[test]
fn the_description_names_the_configured_header() {
    let daemon = Daemon::builder().set("auth", "{header: X-Own-Key}").start();
    let document = daemon.get(CONNECT, "/openapi.json").json();
    assert_eq!(document["components"]["securitySchemes"]["apiKey"]["name"], "X-Own-Key");
    let answer = daemon.ask(&Ask::get(CONNECT, "/api/context/tasks").header("X-Own-Key", "nonsense"));
    assert_eq!(answer.fate(), "401 Invalid API key");
}

#[test]
fn a_query_does_not_change_which_document_it_is() {
    let daemon = Daemon::builder().start();
    for target in DOCUMENTS {
        assert_eq!(daemon.get(CONNECT, &format!("{target}?x=1")).status(), 200, "{target}");
    }
}

#[test]
fn health_stays_200_and_lists_what_is_degraded() {
    let upstream = Upstream::start();
    let registry = Registry::with("[]");
    let section = registry.section("").replace("refresh: 100ms", "refresh: 100ms, stale_after: 300ms");
    let daemon = Daemon::builder().set("registry", &section).service(upstream.service("svc")).start();
    registry.put_as("/api/services", "status=500", "down");
    for (path, port) in [("/health", daemon.port), ("/readyz", daemon.admin_port)] {
        let body = eventually(&format!("{path} lists the registry"), || {
            let answer = crate::support::Client::connect(port).ask(&Ask::get(CONNECT, path));
            assert_eq!(answer.status(), 200, "{}", answer.text());
            let body = answer.json();
            let degraded = body["degraded"].as_array().is_some_and(|list| !list.is_empty());
            if degraded { Ok(body) } else { Err(body) }
        });
        assert!(body["degraded"].to_string().contains(&registry.url()), "{body}");
    }
    assert_eq!(daemon.get(CONNECT, "/health").json()["status"], "ok");
}

#[test]
fn the_admin_address_answers_its_three_paths_and_nothing_else() {
    let daemon = Daemon::builder().start();
    let mut rows = Rows::new();
    for (target, status) in [
        ("/livez", 200),
        ("/readyz", 200),
        ("/metrics", 200),
        ("/health", 404),
        ("/", 404),
        ("/.well-known/chitty.json", 404),
    ] {
        rows.eq(target, &status, &daemon.admin(target).status());
    }
    rows.finish();
    assert!(daemon.get(&format!("nope.{DOMAIN}"), "/metrics").status() == 404);
}
