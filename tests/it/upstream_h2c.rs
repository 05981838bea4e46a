//! A listener that speaks HTTP/2 without TLS beside HTTP/1.1, asked by curl.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::peer::{peers_are_there, raw};
use crate::support::{Ask, CONNECT, Daemon, Ending, Rows, Upstream, eventually_eq};

const SERVICE: &str = "svc.chitty.test";

fn daemon(upstream: &Upstream, more: &str) -> Daemon {
    Daemon::builder()
        .set("listeners", "[{bind: \"127.0.0.1:@PORT@\", h2c: true}]")
        .service(upstream.service_with("svc", more))
        .start()
}

/// curl over HTTP/2; `@` at the beginning of an argument is the gateway, `@@` its host for discovery.
fn try_curl(daemon: &Daemon, arguments: &[&str]) -> Output {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "30", "--http2-prior-knowledge"]);
    for host in [SERVICE, CONNECT] {
        command.args(["--resolve", &format!("{host}:{}:127.0.0.1", daemon.port)]);
    }
    for argument in arguments {
        match (argument.strip_prefix("@@"), argument.strip_prefix('@')) {
            (Some(target), _) => command.arg(format!("http://{CONNECT}:{}{target}", daemon.port)),
            (_, Some(target)) => command.arg(format!("http://{SERVICE}:{}{target}", daemon.port)),
            _ => command.arg(argument),
        };
    }
    command.output().unwrap_or_else(|e| panic!("curl: {e}; tests/run.sh installs it"))
}

#[track_caller]
fn curl(daemon: &Daemon, arguments: &[&str]) -> String {
    let output = try_curl(daemon, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

const STATUS: [&str; 4] = ["--output", "/dev/null", "--write-out", "%{http_version} %{http_code}"];

#[test]
fn local_endpoints_and_services_answer_over_http2() {
    if !peers_are_there() {
        return;
    }
    let upstream = Upstream::start();
    let daemon = daemon(&upstream, "");
    let mut rows = Rows::new();
    let health: Value = serde_json::from_str(&curl(&daemon, &["@@/health"])).unwrap();
    rows.eq("/health", &json!("ok"), &health["status"]);
    for (target, expected) in [
        ("@@/health", "2 200"),
        ("@@/openapi.json", "2 200"),
        ("@@/.well-known/chitty.json", "2 200"),
        ("@@/nothing", "2 404"),
        ("@/x", "2 200"),
        ("@@/svc/api/x", "2 200"),
        ("@/status/204", "2 204"),
        ("@/status/404", "2 404"),
        ("@/refuse", "2 403"),
    ] {
        rows.eq(target, &expected.to_owned(), &curl(&daemon, &[&STATUS[..], &[target]].concat()));
    }
    let echo: Value = serde_json::from_str(&curl(&daemon, &["--header", "X-Own: 1", "@/a/../b?c=%2F"])).unwrap();
    let headers = echo["headers"].as_array().unwrap();
    let of = |name: &str| {
        let named = headers.iter().filter(|pair| pair[0].as_str().is_some_and(|n| n.eq_ignore_ascii_case(name)));
        named.filter_map(|pair| pair[1].as_str()).collect::<Vec<_>>()
    };
    rows.eq("HTTP/1.1 goes on", &json!("HTTP/1.1"), &echo["version"]);
    rows.eq("its target", &json!("/b?c=%2F"), &echo["target"]);
    rows.eq("Host", &vec![SERVICE], &of("host"));
    rows.eq("X-Own", &vec!["1"], &of("x-own"));
    rows.eq("X-Forwarded-For", &vec!["127.0.0.1"], &of("x-forwarded-for"));
    rows.eq("X-Forwarded-Proto", &vec!["http"], &of("x-forwarded-proto"));
    rows.finish();
    let line = daemon.access_line("of the request", |line| line["path"] == "/b" || line["path"] == "/a/../b");
    assert_eq!((&line["status"], &line["service"], &line["client"]), (&json!(200), &json!("svc"), &json!("127.0.0.1")));
}

#[test]
fn every_field_passes_however_few_or_many_there_are() {
    if !peers_are_there() {
        return;
    }
    let upstream = Upstream::start();
    let daemon = daemon(&upstream, "");
    let mut rows = Rows::new();
    for count in 0..12 {
        let fields: Vec<String> = (0..count).map(|number| format!("X-Field-{number}: {number}")).collect();
        let mut arguments: Vec<&str> = fields.iter().flat_map(|field| ["--header", field]).collect();
        arguments.push("@/fields");
        let echo: Value = serde_json::from_str(&curl(&daemon, &arguments)).unwrap();
        let names: Vec<&str> = echo["headers"].as_array().unwrap().iter().filter_map(|pair| pair[0].as_str()).collect();
        let passed = names.iter().filter(|name| name.to_ascii_lowercase().starts_with("x-field-")).count();
        rows.eq(format!("{count} fields"), &count, &passed);
        rows.holds(
            format!("{count} fields and curl's own"),
            names.iter().any(|name| name.eq_ignore_ascii_case("user-agent")),
            &names,
        );
    }
    // RFC 9113 §8.2.3: pieces of Cookie are joined where they go on over HTTP/1.1.
    let echo: Value =
        serde_json::from_str(&curl(&daemon, &["--header", "Cookie: a=1", "--header", "Cookie: b=2", "@/cookies-sent"]))
            .unwrap();
    let cookies: Vec<&Value> = echo["headers"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|pair| pair[0].as_str().is_some_and(|n| n.eq_ignore_ascii_case("cookie")))
        .map(|pair| &pair[1])
        .collect();
    rows.eq("Cookie", &vec![&json!("a=1; b=2")], &cookies);
    rows.finish();
}

#[test]
fn large_bodies_pass_both_ways_over_http2() {
    if !peers_are_there() {
        return;
    }
    let upstream = Upstream::start();
    let daemon = daemon(&upstream, "");
    let body: Vec<u8> = (0..5_000_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let file = daemon.folder().join("body");
    std::fs::write(&file, &body).unwrap();
    let path = file.to_str().unwrap();
    for arguments in
        [&["--upload-file", path, "@/put"][..], &["--header", "Content-Length:", "--upload-file", path, "@/put"][..]]
    {
        let echo: Value = serde_json::from_str(&curl(&daemon, arguments)).unwrap();
        assert_eq!(echo["body_bytes"], 5_000_000);
        assert_eq!(echo["body_sha256"], hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&body)));
    }
    for framing in ["", "?framing=chunked"] {
        let target = format!("@/big/5000000{framing}");
        let size = curl(&daemon, &["--output", "/dev/null", "--write-out", "%{http_code} %{size_download}", &target]);
        assert_eq!(size, "200 5000000");
    }
}

#[test]
fn what_fails_behind_http2_is_told_as_over_http1() {
    if !peers_are_there() {
        return;
    }
    let upstream = Upstream::start();
    let more = "timeouts: {read: 300ms}, retry: {attempts: 0}, limits: {body_bytes: 1000}";
    let daemon = daemon(&upstream, more);
    let mut rows = Rows::new();
    for (what, target, expected) in [
        ("silence", "@/hang".to_owned(), "2 504"),
        ("a reset", format!("@{}", raw("", "reset")), "2 502"),
        ("garbage", format!("@{}", raw("no HTTP\r\n\r\n", "hang")), "2 502"),
        ("101", format!("@{}", raw("HTTP/1.1 101 Switching Protocols\r\n\r\n", "hang")), "2 502"),
        ("one that serves", "@/x".to_owned(), "2 200"),
    ] {
        rows.eq(what, &expected.to_owned(), &curl(&daemon, &[&STATUS[..], &[&target]].concat()));
    }
    for (what, bytes, then) in [
        ("half a body and the end", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "close"),
        ("half a body and silence", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "hang"),
        ("half a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf", "close"),
        ("no last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "reset"),
    ] {
        let output = try_curl(&daemon, &[&format!("@{}", raw(bytes, then))]);
        rows.holds(what, !output.status.success(), &output);
    }
    let large = "x".repeat(2000);
    rows.eq(
        "a body too large",
        &"2 413".to_owned(),
        &curl(&daemon, &[&STATUS[..], &["--data", &large, "@/x"]].concat()),
    );
    rows.finish();
    eventually_eq("nothing is in flight", &json!(0), || {
        daemon.explained("http://svc.chitty.test/")["in_flight"][0].clone()
    });
    eventually_eq("no request is counted as such", &0.0, || {
        daemon.metric_sum("chittyconnect_http_requests_in_flight", &[])
    });
    eventually_eq("no connection is open", &0.0, || daemon.metric_sum("chittyconnect_connections", &[]));
}

#[test]
fn a_get_that_fails_behind_http2_is_repeated_and_a_post_is_not() {
    if !peers_are_there() {
        return;
    }
    let upstream = Upstream::with_ports(2);
    let urls = upstream.ports().iter().map(|port| format!("\"http://127.0.0.1:{port}\"")).collect::<Vec<_>>();
    let daemon = Daemon::builder()
        .set("listeners", "[{bind: \"127.0.0.1:@PORT@\", h2c: true}]")
        .service(format!(
            "{{id: svc, endpoints: [{}], timeouts: {{read: 300ms}}, outlier: {{consecutive_errors: 1000}}, \
             retry: {{budget: 1.0, on: [reset, timeout, \"503\"]}}}}",
            urls.join(", ")
        ))
        .start();
    let mut client = daemon.connect();
    // What the budget is a share of. It leaves no connection behind, whose end would be taken for an idle one's.
    let before = raw("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", "close");
    for _ in 0..20 {
        assert_eq!(client.ask(&Ask::get(SERVICE, &before)).text(), "ok");
    }
    let mut rows = Rows::new();
    for path in [raw("", "reset"), "/hang?".to_owned(), "/status/503?".to_owned()] {
        for (method, expected) in [("GET", 3), ("DELETE", 3), ("POST", 1)] {
            let target = format!("{path}&method={method}");
            let status = curl(&daemon, &[&STATUS[..], &["--request", method, &format!("@{target}")]].concat());
            rows.holds(&target, status.starts_with("2 50"), status);
            rows.eq(&target, &expected, &upstream.targets().iter().filter(|seen| **seen == target).count());
        }
    }
    rows.finish();
}

#[test]
fn a_slow_upload_over_http2_is_not_the_upstreams_silence() {
    if !peers_are_there() {
        return;
    }
    let upstream = Upstream::start();
    let daemon = daemon(&upstream, "timeouts: {read: 300ms}, retry: {attempts: 0}");
    let file = daemon.folder().join("body");
    std::fs::write(&file, vec![b'x'; 300_000]).unwrap();
    let path = file.to_str().unwrap();
    for length in [&[][..], &["--header", "Content-Length:"]] {
        let upload = ["--limit-rate", "150k", "--upload-file", path, "@/put"];
        let output = curl(&daemon, &[length, &upload[..]].concat());
        let echo: Value = serde_json::from_str(&output).unwrap_or_else(|e| panic!("{e}: {output}"));
        assert_eq!(echo["body_bytes"], 300_000);
    }
    // Once it has come, the upstream is waited for no longer than else.
    let status = curl(&daemon, &[&STATUS[..], &["--data", "small", "@/hang"]].concat());
    assert_eq!(status, "2 504");
}

#[test]
fn the_total_holds_over_http2_too() {
    if !peers_are_there() {
        return;
    }
    let upstream = Upstream::start();
    let daemon = daemon(&upstream, "timeouts: {read: 20s, total: 500ms}, retry: {attempts: 0}");
    let status = curl(&daemon, &[&STATUS[..], &["@/hang"]].concat());
    assert_eq!(status, "2 504");
    let body = format!("HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n{}", "x".repeat(2000));
    let output = try_curl(&daemon, &[&format!("@{}&drip=4", raw(body, "close"))]);
    assert!(!output.status.success() && output.stdout.len() < 2000, "{output:?}");
}

#[test]
fn http1_is_spoken_on_the_same_listener_however_short_its_requests() {
    let upstream = Upstream::start();
    let with = daemon(&upstream, "");
    let without = Daemon::builder().service(upstream.service("svc")).start();
    let mut rows = Rows::new();
    for bytes in [
        "GET / HTTP/1.0\r\n\r\n",
        "GET /health HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: svc.chitty.test\r\nConnection: close\r\n\r\n",
        "PRI / HTTP/1.1\r\nHost: svc.chitty.test\r\nConnection: close\r\n\r\n",
        "PUT /x HTTP/1.1\r\nHost: svc.chitty.test\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        "nonsense\r\n\r\n",
        "\r\n\r\nGET /x HTTP/1.1\r\nHost: svc.chitty.test\r\nConnection: close\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nno preface\r\n\r\n",
    ] {
        let [seen, expected] = [&with, &without].map(|daemon| {
            let mut client = daemon.connect();
            client.send(bytes);
            client.try_answer("GET").map(|answer| (answer.status(), answer.ending))
        });
        rows.eq(format!("{bytes:?}"), &expected, &seen);
        // One byte after the other, as slow clients send them.
        let mut client = with.connect();
        for byte in bytes.as_bytes() {
            client.send([*byte]);
        }
        let dripped = client.try_answer("GET").map(|answer| (answer.status(), answer.ending));
        rows.eq(format!("{bytes:?} in bytes"), &expected, &dripped);
    }
    let mut client = with.connect();
    for number in 0..3 {
        let target = format!("/kept-{number}");
        rows.eq("on one connection", &format!("-> {target}"), &client.ask(&Ask::get(SERVICE, &target)).fate());
    }
    // A beginning that may be either, and then nothing more: the client ends it.
    let mut client = with.connect();
    client.send("PRI * HT").finish();
    rows.holds("half a preface", client.try_answer("GET").is_err_and(|ending| ending != Ending::Silence), "silence");
    rows.finish();
}
