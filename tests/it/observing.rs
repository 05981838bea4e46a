//! What an operator sees: the access log and the metrics.

use serde_json::Value;

use crate::support::{API, Ask, CONNECT, Daemon, Registry, Rows, Signal, Upstream, eventually, eventually_eq};

const FIELDS: [&str; 16] = [
    "attempts",
    "bytes_in",
    "bytes_out",
    "client",
    "duration_ms",
    "endpoint",
    "error",
    "host",
    "kind",
    "method",
    "path",
    "request_id",
    "service",
    "status",
    "time",
    "upstream_ms",
];

fn at_path(daemon: &Daemon, path: &str) -> Value {
    daemon.access_line(&format!("for {path}"), |line| line["path"] == path)
}

#[test]
fn every_request_is_one_line_with_these_fields() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder().service(upstream.service_with("svc", "subdomain: sub")).start();
    daemon.ask(&Ask::new("POST", "Sub.Chitty.Test:80", "/by-host?secret=1").body("hello"));
    daemon.get(API, "/sub/by-prefix");
    daemon.get(CONNECT, "/health");
    daemon.get("nope.example", "/unknown");
    let mut rows = Rows::new();
    for path in ["/by-host", "/sub/by-prefix", "/health", "/unknown"] {
        let line = at_path(&daemon, path);
        let keys: Vec<&String> = line.as_object().unwrap().keys().collect();
        rows.eq(path, &FIELDS.to_vec(), &keys.iter().map(|k| k.as_str()).collect());
        rows.holds(format!("{path}: time"), line["time"].as_str().is_some_and(|t| t.ends_with('Z')), &line["time"]);
        rows.holds(format!("{path}: duration_ms"), line["duration_ms"].is_number(), &line["duration_ms"]);
        rows.eq(format!("{path}: client"), &Some("127.0.0.1"), &line["client"].as_str());
    }
    let by_host = at_path(&daemon, "/by-host");
    for (field, value) in [
        ("method", Value::from("POST")),
        ("host", "sub.chitty.test".into()),
        ("status", 200.into()),
        ("service", "svc".into()),
        ("bytes_in", 5.into()),
        ("attempts", 1.into()),
        ("error", Value::Null),
        ("endpoint", upstream.url().into()),
    ] {
        rows.eq(format!("/by-host: {field}"), &value, &by_host[field]);
    }
    rows.holds("/by-host: bytes_out", by_host["bytes_out"].as_u64().is_some_and(|n| n > 100), &by_host);
    rows.holds("/by-host: upstream_ms", by_host["upstream_ms"].is_number(), &by_host);
    let by_prefix = at_path(&daemon, "/sub/by-prefix");
    rows.eq("/sub/by-prefix: service", &Value::from("svc"), &by_prefix["service"]);
    rows.holds("kinds differ", by_prefix["kind"] != by_host["kind"], (&by_prefix["kind"], &by_host["kind"]));
    let local = at_path(&daemon, "/health");
    rows.eq("/health: service", &Value::Null, &local["service"]);
    rows.eq("/health: endpoint", &Value::Null, &local["endpoint"]);
    let unknown = at_path(&daemon, "/unknown");
    rows.eq("/unknown: error", &Value::from("unknown_host"), &unknown["error"]);
    rows.eq("/unknown: status", &Value::from(404), &unknown["status"]);
    rows.finish();
    assert!(
        !daemon.access_lines().iter().any(|line| line.to_string().contains("secret")),
        "queries stay out of the log"
    );
    assert_eq!(daemon.access_lines().len(), 4);
}

#[test]
fn every_outcome_leaves_a_line() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder()
        .set("limits", "{body_bytes: 10, uri_bytes: 100, headers: 20}")
        .service(upstream.service_with("svc", "timeouts: {read: 300ms}"))
        .service("{id: closed, endpoints: [\"http://127.0.0.1:1\"]}")
        .service("{id: nowhere}")
        .start();
    let host = "svc.chitty.test";
    let large = (0..30).fold(Ask::get(host, "/headers"), |ask, n| ask.header(&format!("X-{n}"), "v"));
    daemon.get(host, "/hang");
    daemon.get("closed.chitty.test", "/closed");
    daemon.get("nowhere.chitty.test", "/nowhere");
    daemon.ask(&Ask::new("POST", host, "/body").body("more than ten bytes"));
    daemon.ask(&large);
    daemon.get(host, &format!("/{}", "u".repeat(200)));
    daemon.ask(&Ask::new("OPTIONS", CONNECT, "/svc/api/preflight"));
    daemon.get(
        host,
        "/raw?bytes=485454502f312e3120323030204f4b0d0a436f6e74656e742d4c656e6774683a20390d0a0d0a61&then=close",
    );
    let mut rows = Rows::new();
    for (path, status, error) in [
        ("/hang".to_owned(), 504, Some("upstream_timeout")),
        ("/closed".to_owned(), 502, Some("proxy_failed")),
        ("/nowhere".to_owned(), 503, Some("no_endpoint")),
        ("/body".to_owned(), 413, Some("body_too_large")),
        ("/headers".to_owned(), 431, Some("headers_too_large")),
        (format!("/{}", "u".repeat(200)), 414, Some("uri_too_long")),
        ("/svc/api/preflight".to_owned(), 204, None),
    ] {
        let line = at_path(&daemon, &path);
        rows.eq(&path, &(Some(status), error), &(line["status"].as_u64(), line["error"].as_str()));
    }
    let cut = at_path(&daemon, "/raw");
    rows.holds("/raw broke off: there is an error", cut["error"].is_string(), &cut);
    rows.finish();
}

#[test]
fn what_the_parser_refuses_leaves_a_line_and_a_count() {
    let daemon = Daemon::builder().start();
    let mut lines = 0;
    for (number, request) in [
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nbad header\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}nonsense\r\n\r\n".to_owned(),
        format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(300)),
    ]
    .into_iter()
    .enumerate()
    {
        let _ = daemon.connect().send(&request).finish().try_answer("GET");
        lines = eventually(&format!("an access line for malformed request {number}"), || {
            let now = daemon.access_lines().len();
            if now > lines { Ok(now) } else { Err(now) }
        });
    }
    for line in daemon.access_lines() {
        assert!(line["status"] == 400 || line["status"] == 431, "{line}");
        assert!(line["request_id"].is_string() && line["client"] == "127.0.0.1" && line["error"].is_string(), "{line}");
    }
    eventually("parse errors are counted", || match daemon.metric("chittyconnect_http_parse_errors_total") {
        Some(count) if count >= 3.0 => Ok(()),
        seen => Err(seen),
    });
}

#[test]
fn connections_without_a_request_leave_no_line() {
    let daemon = Daemon::builder().start();
    for _ in 0..3 {
        drop(daemon.connect());
    }
    daemon.get(CONNECT, "/after");
    at_path(&daemon, "/after");
    assert_eq!(daemon.access_lines().len(), 1);
}

#[test]
fn a_client_that_left_early_is_in_the_log() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder().service(upstream.service("svc")).start();
    let mut client = daemon.connect();
    client.send(Ask::get("svc.chitty.test", "/stream/gone?type=text/event-stream").to_bytes());
    upstream.push("gone", "x");
    client.head("GET").unwrap();
    drop(client);
    upstream.push("gone", "y");
    eventually_eq("the upstream is left", &true.into(), || {
        upstream.push("gone", "z");
        upstream.gate("gone", "left")
    });
    assert!(at_path(&daemon, "/stream/gone")["error"].is_string());
}

#[test]
fn the_access_log_can_go_to_standard_output_or_nowhere() {
    let stdout = Daemon::builder().set("log", "{level: warn, access: stdout}").start();
    stdout.get(CONNECT, "/to-stdout");
    eventually("the line on standard output", || {
        let log = stdout.log();
        if log.contains("\"/to-stdout\"") { Ok(()) } else { Err(log) }
    });
    let off = Daemon::builder().set("log", "{level: info, access: off}").start();
    off.get(CONNECT, "/to-nowhere");
    off.signal(Signal::SIGHUP);
    assert!(!off.log().contains("to-nowhere"));
}

#[test]
fn metrics_have_their_names_labels_and_types() {
    let upstream = Upstream::start();
    let registry = Registry::with("[]");
    let daemon = Daemon::builder()
        .set("registry", &registry.section(""))
        .service(upstream.service("svc"))
        .service("{id: closed, endpoints: [\"http://127.0.0.1:1\"]}")
        .start();
    daemon.get("svc.chitty.test", "/secret-path");
    daemon.get(API, "/svc/secret-path");
    daemon.get(CONNECT, "/.well-known/chitty.json");
    daemon.get("nope.example", "/secret-path");
    daemon.get("closed.chitty.test", "/");
    let names = [
        ("chittyconnect_http_requests_total", "counter"),
        ("chittyconnect_http_request_duration_seconds", "histogram"),
        ("chittyconnect_upstream_duration_seconds", "histogram"),
        ("chittyconnect_http_requests_in_flight", "gauge"),
        ("chittyconnect_http_parse_errors_total", "counter"),
        ("chittyconnect_upstream_failures_total", "counter"),
        ("chittyconnect_routes", "gauge"),
        ("chittyconnect_route_conflicts", "gauge"),
        ("chittyconnect_registry_refresh_total", "counter"),
        ("chittyconnect_registry_last_success_timestamp_seconds", "gauge"),
        ("chittyconnect_config_last_reload_successful", "gauge"),
        ("chittyconnect_discovery_requests_total", "counter"),
        ("chittyconnect_build_info", "gauge"),
    ];
    let text = eventually("every metric is there", || {
        let text = daemon.admin("/metrics").text();
        let missing: Vec<_> =
            names.iter().filter(|(name, kind)| !text.contains(&format!("# TYPE {name} {kind}\n"))).collect();
        if missing.is_empty() { Ok(text) } else { Err(format!("missing {missing:?} in\n{text}")) }
    });
    assert!(!text.contains("secret-path"), "a path is no label");
    assert!(!text.contains("nope.example"), "a host is no label");
    assert!(text.contains(&format!("chittyconnect_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"))));
    let buckets = text
        .lines()
        .filter(|l| l.starts_with("chittyconnect_http_request_duration_seconds_bucket") && l.contains("\"svc\""));
    let kinds = daemon.metric_sum("chittyconnect_http_requests_total", &["service=\"svc\""]);
    assert_eq!(kinds, 2.0);
    assert!(buckets.count() <= 2 * 13, "at most 12 buckets and +Inf for each of two kinds");
}

#[test]
fn requests_are_counted_by_service_kind_and_class() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder().service(upstream.service("svc")).start();
    for _ in 0..3 {
        daemon.get("svc.chitty.test", "/x");
    }
    daemon.get("svc.chitty.test", "/status/503");
    daemon.get("nope.example", "/");
    let count = |labels: &[&str]| daemon.metric_sum("chittyconnect_http_requests_total", labels);
    eventually_eq("the five of them", &5.0, || count(&[]));
    assert_eq!(count(&["service=\"svc\"", "code=\"2xx\""]), 3.0);
    assert_eq!(count(&["service=\"svc\"", "code=\"5xx\""]), 1.0);
    assert_eq!(count(&["code=\"4xx\""]), 1.0);
    assert_eq!(
        daemon.metric_sum("chittyconnect_upstream_failures_total", &["svc"]),
        0.0,
        "a 503 of its own is an answer"
    );
    let mut client = daemon.connect();
    client.send(Ask::get("svc.chitty.test", "/hold/h").to_bytes());
    upstream.wait_for_arrival("h");
    assert_eq!(daemon.metric_sum("chittyconnect_http_requests_in_flight", &[]), 1.0);
    upstream.step("h", "end");
    client.answer("GET");
    eventually_eq("nothing in flight", &0.0, || daemon.metric_sum("chittyconnect_http_requests_in_flight", &[]));
}

#[test]
fn the_series_of_a_service_go_with_it() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder()
        .set("registry", "{sources: [{file: services.json}]}")
        .file("services.json", format!("[{{\"name\":\"gone\",\"url\":\"{}\"}}]", upstream.url()))
        .start();
    daemon.get("gone.chitty.test", "/x");
    eventually_eq("its series", &1.0, || daemon.metric_sum("chittyconnect_http_requests_total", &["\"gone\""]));
    daemon.write("services.json", "[]");
    eventually("no series of it are left", || {
        let text = daemon.admin("/metrics").text();
        if text.contains("\"gone\"") { Err(text) } else { Ok(()) }
    });
}
