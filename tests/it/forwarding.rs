//! Headers on their way: what is added, what stops here, what passes.

use crate::support::peer::raw;
use crate::support::{API, Ask, CONNECT, Daemon, MCP, Rows, Upstream};

const SERVICE: &str = "svc.chitty.test";

fn daemon(upstream: &Upstream) -> Daemon {
    Daemon::builder().service(upstream.service("svc")).start()
}

fn trusting(upstream: &Upstream) -> Daemon {
    Daemon::builder().set("trusted_proxies", "[127.0.0.0/8]").service(upstream.service("svc")).start()
}

/// `key=value` pairs of a `Forwarded` element, in lower case and without quotes.
fn pairs(element: &str) -> Vec<String> {
    let mut pairs: Vec<String> =
        element.split(';').map(|pair| pair.trim().replace('"', "").to_ascii_lowercase()).collect();
    pairs.sort();
    pairs
}

fn is_lower_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn is_traceparent(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    lengths == [2, 32, 16, 2] && parts.iter().all(|part| is_lower_hex(part)) && parts[1] != "0".repeat(32)
}

fn is_uuid_v7(text: &str) -> bool {
    uuid::Uuid::parse_str(text).is_ok_and(|id| id.get_version_num() == 7)
}

#[test]
fn a_service_learns_who_asked_and_for_what() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let mut rows = Rows::new();
    for (host, target, prefix) in [
        (SERVICE, "/x", None),
        (CONNECT, "/svc/api/x", Some("/svc")),
        (CONNECT, "/svc/mcp/x", Some("/svc")),
        (API, "/svc/x", Some("/svc")),
        (MCP, "/svc", Some("/svc")),
    ] {
        let echo = daemon.get(host, target).echo();
        let row = |header: &str| format!("{header} for {host}{target}");
        rows.eq(row("X-Forwarded-For"), &Some("127.0.0.1"), &echo.header("x-forwarded-for"));
        rows.eq(row("X-Forwarded-Proto"), &Some("http"), &echo.header("x-forwarded-proto"));
        rows.eq(row("X-Forwarded-Host"), &Some(host), &echo.header("x-forwarded-host"));
        rows.eq(row("X-Forwarded-Prefix"), &prefix, &echo.header("x-forwarded-prefix"));
        let forwarded = pairs(echo.header("forwarded").unwrap_or_default());
        rows.eq(
            row("Forwarded"),
            &["for=127.0.0.1", &format!("host={host}"), "proto=http"].map(str::to_owned).to_vec(),
            &forwarded,
        );
        rows.holds(
            row("X-Request-ID"),
            echo.header("x-request-id").is_some_and(is_uuid_v7),
            echo.header("x-request-id"),
        );
        rows.holds(
            row("traceparent"),
            echo.header("traceparent").is_some_and(is_traceparent),
            echo.header("traceparent"),
        );
        let via = echo.header("via").and_then(|via| via.strip_prefix("1.1 chittyconnect-"));
        rows.holds(row("Via"), via.is_some_and(|hex| hex.len() == 16 && is_lower_hex(hex)), echo.header("via"));
    }
    rows.finish();
}

#[test]
fn each_request_has_its_own_id_and_trace() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let (one, two) = (daemon.get(SERVICE, "/").echo(), daemon.get(SERVICE, "/").echo());
    assert_ne!(one.header("x-request-id"), two.header("x-request-id"));
    assert_ne!(one.header("traceparent"), two.header("traceparent"));
    assert_eq!(one.header("via"), two.header("via"));
}

#[test]
fn the_request_id_upstream_is_that_of_the_access_line() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let echo = daemon.get(SERVICE, "/").echo();
    let id = echo.header("x-request-id").unwrap();
    daemon.access_line("with this id", |line| line["request_id"] == id);
}

#[test]
fn the_via_name_stays_over_a_restart() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let before = daemon.get(SERVICE, "/").echo();
    let after = daemon.restart().get(SERVICE, "/").echo();
    assert_eq!(before.header("via"), after.header("via"));
    let other = self::daemon(&upstream).get(SERVICE, "/").echo();
    assert_ne!(before.header("via"), other.header("via"), "another store folder is another gateway");
}

const CLAIMS: [(&str, &str); 7] = [
    ("X-Forwarded-For", "203.0.113.7"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "public.example"),
    ("X-Forwarded-Prefix", "/outer"),
    ("Forwarded", "for=203.0.113.7;proto=https;host=public.example"),
    ("X-Request-ID", "outer-id-1"),
    ("X-Real-IP", "203.0.113.7"),
];

fn with_claims(ask: Ask) -> Ask {
    CLAIMS.iter().fold(ask, |ask, (name, value)| ask.header(name, value))
}

#[test]
fn what_a_stranger_claims_is_replaced() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let mut rows = Rows::new();
    for (host, target, prefix) in [(SERVICE, "/x", None), (CONNECT, "/svc/api/x", Some("/svc"))] {
        let echo = daemon.ask(&with_claims(Ask::get(host, target))).echo();
        rows.eq("X-Forwarded-For", &Some("127.0.0.1"), &echo.header("x-forwarded-for"));
        rows.eq("X-Forwarded-Proto", &Some("http"), &echo.header("x-forwarded-proto"));
        rows.eq("X-Forwarded-Host", &Some(host), &echo.header("x-forwarded-host"));
        rows.eq("X-Forwarded-Prefix", &prefix, &echo.header("x-forwarded-prefix"));
        let forwarded = echo.header("forwarded").unwrap_or_default();
        rows.holds("Forwarded", !forwarded.contains("203.0.113.7") && !forwarded.contains(','), forwarded);
        rows.holds("X-Request-ID", echo.header("x-request-id").is_some_and(is_uuid_v7), echo.header("x-request-id"));
    }
    rows.finish();
    let line = daemon.access_line("of the request", |line| line["path"] == "/x");
    assert_eq!(line["client"], "127.0.0.1");
}

#[test]
fn what_a_trusted_proxy_says_is_appended_to() {
    let upstream = Upstream::start();
    let daemon = trusting(&upstream);
    let mut rows = Rows::new();
    let echo = daemon.ask(&with_claims(Ask::get(CONNECT, "/svc/api/x"))).echo();
    rows.eq("X-Forwarded-For", &"203.0.113.7, 127.0.0.1".to_owned(), &echo.all("x-forwarded-for").join(", "));
    rows.eq("X-Forwarded-Proto", &Some("https"), &echo.header("x-forwarded-proto"));
    rows.eq("X-Forwarded-Host", &Some("public.example"), &echo.header("x-forwarded-host"));
    let prefix = echo.all("x-forwarded-prefix").join(", ");
    rows.holds("X-Forwarded-Prefix", prefix.starts_with("/outer") && prefix.ends_with("/svc"), prefix);
    rows.eq("X-Request-ID", &Some("outer-id-1"), &echo.header("x-request-id"));
    let forwarded = echo.all("forwarded").join(", ");
    let elements: Vec<Vec<String>> = forwarded.split(',').map(pairs).collect();
    rows.eq("two elements of Forwarded", &2, &elements.len());
    rows.eq("the first", &pairs(CLAIMS[4].1), &elements[0]);
    rows.holds("the second", elements.last().is_some_and(|e| e.contains(&"for=127.0.0.1".to_owned())), &elements);
    rows.finish();
    let line = daemon.access_line("of the request", |line| line["request_id"] == "outer-id-1");
    assert_eq!(line["client"], "203.0.113.7");
}

#[test]
fn the_client_is_the_last_address_that_no_trusted_proxy_has() {
    let upstream = Upstream::start();
    let daemon = trusting(&upstream);
    let mut rows = Rows::new();
    for (number, (claimed, client)) in [
        ("203.0.113.7", "203.0.113.7"),
        ("198.51.100.1, 203.0.113.7", "203.0.113.7"),
        ("198.51.100.1, 203.0.113.7, 127.0.0.9", "203.0.113.7"),
        ("127.0.0.8, 127.0.0.9", "127.0.0.8"),
        ("2001:db8::7", "2001:db8::7"),
        ("nonsense", "127.0.0.1"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/row-{number}");
        daemon.ask(&Ask::get(SERVICE, &path).header("X-Forwarded-For", claimed));
        let line = daemon.access_line(claimed, |line| line["path"] == path);
        rows.eq(claimed, &client.to_owned(), &line["client"].as_str().unwrap_or_default().to_owned());
    }
    rows.finish();
}

#[test]
fn a_request_id_is_taken_over_only_if_it_is_one() {
    let upstream = Upstream::start();
    let daemon = trusting(&upstream);
    let mut rows = Rows::new();
    for bad in ["", "with space", "tab\tinside", &"x".repeat(1000)] {
        let echo = daemon.ask(&Ask::get(SERVICE, "/").header("X-Request-ID", bad)).echo();
        rows.holds(bad, echo.header("x-request-id").is_some_and(is_uuid_v7), echo.header("x-request-id"));
    }
    rows.finish();
}

#[test]
fn a_trace_goes_on_and_a_broken_one_begins_anew() {
    let upstream = Upstream::start();
    let daemon = trusting(&upstream);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let with = |value: &str| daemon.ask(&Ask::get(SERVICE, "/").header("traceparent", value)).echo();
    let echo = with(&format!("00-{trace}-00f067aa0ba902b7-01"));
    let sent = echo.header("traceparent").unwrap();
    assert!(is_traceparent(sent) && sent.contains(trace), "{sent}");
    for broken in ["nonsense", "00-0000-00-01", &format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32))] {
        let echo = with(broken);
        let sent = echo.header("traceparent").unwrap();
        assert!(is_traceparent(sent), "{sent} for {broken}");
    }
}

#[test]
fn a_via_of_others_is_appended_to() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let echo = daemon.ask(&Ask::get(SERVICE, "/").header("Via", "1.0 fred, 1.1 other (comment)")).echo();
    let via = echo.all("via").join(", ");
    let own = via.strip_prefix("1.0 fred, 1.1 other (comment), 1.1 chittyconnect-").unwrap_or_else(|| panic!("{via}"));
    assert!(is_lower_hex(own), "{via}");
}

#[test]
fn keys_of_ours_never_go_upstream_and_other_credentials_do() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let key = format!("chitty_{}", "0123456789abcdef".repeat(4));
    let mut rows = Rows::new();
    for (name, value, kept) in [
        ("X-ChittyOS-API-Key", key.clone(), false),
        ("x-chittyos-api-key", "anything".to_owned(), false),
        ("Authorization", format!("Bearer {key}"), false),
        ("Authorization", format!("bearer {key}"), false),
        ("Authorization", format!("BEARER   {key}"), false),
        ("Authorization", format!("Bearer {}", &key[..key.len() - 1]), true),
        ("Authorization", format!("Bearer {key}0"), true),
        ("Authorization", format!("Bearer {}", key.replace("chitty_", "other_")), true),
        ("Authorization", "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x".to_owned(), true),
        ("Authorization", "Basic dXNlcjpwYXNz".to_owned(), true),
        ("Cookie", "session=1; other=2".to_owned(), true),
        ("X-Api-Key", "for the service".to_owned(), true),
    ] {
        for (host, target) in [(SERVICE, "/x"), (CONNECT, "/svc/api/x")] {
            let echo = daemon.ask(&Ask::get(host, target).header(name, &value)).echo();
            rows.eq(format!("{name}: {value}"), &kept.then_some(value.as_str()), &echo.header(name));
        }
    }
    rows.finish();
}

#[test]
fn the_key_header_can_have_another_name() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder().set("auth", "{header: X-Our-Key}").service(upstream.service("svc")).start();
    let ask = Ask::get(SERVICE, "/").header("X-Our-Key", "a").header("X-ChittyOS-API-Key", "b");
    let echo = daemon.ask(&ask).echo();
    assert_eq!((echo.header("x-our-key"), echo.header("x-chittyos-api-key")), (None, Some("b")));
}

#[test]
fn a_service_may_be_spared_all_credentials() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder().service(upstream.service_with("svc", "forward_credentials: false")).start();
    let ask = Ask::get(SERVICE, "/")
        .header("Authorization", "Basic dXNlcjpwYXNz")
        .header("Cookie", "a=1")
        .header("X-ChittyOS-API-Key", "k")
        .header("X-Other", "kept");
    let echo = daemon.ask(&ask).echo();
    for stopped in ["authorization", "cookie", "x-chittyos-api-key"] {
        assert!(echo.all(stopped).is_empty(), "{stopped}");
    }
    assert_eq!(echo.header("x-other"), Some("kept"));
}

#[test]
fn hop_by_hop_headers_and_those_named_by_connection_stop_here() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let ask = Ask::get(SERVICE, "/")
        .header("Connection", "keep-alive, X-Hop")
        .header("Connection", "x-other-hop")
        .header("X-Hop", "1")
        .header("X-Other-Hop", "1")
        .header("Keep-Alive", "timeout=5")
        .header("Proxy-Connection", "keep-alive")
        .header("Proxy-Authorization", "Basic eA==")
        .header("TE", "gzip")
        .header("Trailer", "X-T")
        .header("Upgrade", "h2c")
        .header("X-Kept", "1");
    let echo = daemon.ask(&ask).echo();
    let mut rows = Rows::new();
    let stopped =
        ["x-hop", "x-other-hop", "keep-alive", "proxy-connection", "proxy-authorization", "te", "trailer", "upgrade"];
    for name in stopped {
        rows.eq(name, &Vec::<&str>::new(), &echo.all(name));
    }
    let connection = echo.all("connection").join(",").to_ascii_lowercase();
    rows.holds("Connection", !connection.contains("hop"), &connection);
    rows.eq("X-Kept", &Some("1"), &echo.header("x-kept"));
    rows.finish();
}

#[test]
fn connection_cannot_take_away_what_the_gateway_adds() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let named = "X-Forwarded-Prefix, Forwarded, X-Request-ID, Via, traceparent";
    let echo = daemon.ask(&Ask::get(SERVICE, "/").header("Connection", named)).echo();
    for name in [
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "forwarded",
        "x-request-id",
        "via",
        "host",
        "traceparent",
    ] {
        assert!(echo.header(name).is_some(), "{name} is missing: {}", echo.0);
    }
}

#[test]
fn connection_cannot_take_host_client_or_framing_away() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let mut rows = Rows::new();
    for named in ["Host", "close, host", "Content-Length", "Transfer-Encoding", "X-Forwarded-For", "x-forwarded-host"] {
        let ask = Ask::new("POST", SERVICE, "/").header("Connection", named).body("hello");
        let answer = daemon.ask(&ask);
        // Refusing such a request is as good as not following it.
        if answer.status() == 200 {
            let echo = answer.echo();
            rows.eq(named, &(Some(SERVICE), 5.into()), &(echo.header("host"), echo.0["body_bytes"].clone()));
            rows.eq(named, &Some("127.0.0.1"), &echo.header("x-forwarded-for"));
        } else {
            rows.eq(named, &"400 bad_request".to_owned(), &answer.fate());
        }
    }
    rows.finish();
}

#[test]
fn hop_by_hop_headers_of_an_answer_stop_here_too() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let bytes = "HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
                 Proxy-Connection: close\r\nX-Kept: 1\r\nContent-Length: 2\r\n\r\nok";
    let answer = daemon.get(SERVICE, &raw(bytes, "close"));
    assert_eq!((answer.text().as_str(), answer.header("x-kept")), ("ok", Some("1")));
    for name in ["x-hop", "keep-alive", "proxy-connection"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    assert!(!answer.head.all("connection").join(",").to_ascii_lowercase().contains("hop"));
}

#[test]
fn repeated_headers_stay_repeated_and_in_order() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let ask = Ask::get(SERVICE, "/").header("X-Many", "a").header("X-Between", "b").header("X-Many", "c, d");
    let echo = daemon.ask(&ask.header("X-Empty", "")).echo();
    assert_eq!(echo.all("x-many"), ["a", "c, d"]);
    assert_eq!((echo.header("x-between"), echo.header("x-empty")), (Some("b"), Some("")));
}

#[test]
fn the_host_sent_upstream_follows_the_endpoint() {
    let upstream = Upstream::start();
    let port = upstream.port();
    let daemon = Daemon::builder()
        .service(format!("{{id: name, endpoints: [\"http://localhost:{port}\"]}}"))
        .service(upstream.service_with("address", "subdomain: addr"))
        .service(upstream.service_with("public", "url: \"https://public.example/\""))
        .service(upstream.service_with("fixed", "host_header: \"fixed.example:81\""))
        .start();
    let mut rows = Rows::new();
    let name = format!("localhost:{port}");
    for (id, host, expected) in [
        ("name", "name.chitty.test", name.as_str()),
        ("address", "addr.chitty.test", "addr.chitty.test"),
        ("address", "address.chitty.test", "addr.chitty.test"),
        ("public", "public.chitty.test", "public.example"),
        ("fixed", "fixed.chitty.test", "fixed.example:81"),
    ] {
        rows.eq(host, &Some(expected), &daemon.get(host, "/").echo().header("host"));
        let by_prefix = daemon.get(CONNECT, &format!("/{id}/api/x")).echo();
        rows.eq(format!("/{id}/api/x"), &Some(expected), &by_prefix.header("host"));
    }
    rows.finish();
}

#[test]
fn an_answer_passes_as_it_is() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let bytes = "HTTP/1.1 299 Very Odd\r\nServer: odd/1\r\nX-Twice: a\r\n\
                 X-Twice: b\r\nETag: W/\"1\"\r\nContent-Length: 3\r\n\r\nodd";
    for (host, prefix) in [(SERVICE, ""), (CONNECT, "/svc/api")] {
        let answer = daemon.get(host, &format!("{prefix}{}", raw(bytes, "close")));
        assert_eq!((answer.status(), answer.text().as_str()), (299, "odd"));
        assert_eq!(answer.header("server"), Some("odd/1"));
        assert_eq!(answer.head.all("x-twice"), ["a", "b"]);
        assert_eq!(answer.header("etag"), Some("W/\"1\""));
    }
}

#[test]
fn several_endpoints_all_get_their_share() {
    let upstream = Upstream::with_ports(3);
    let endpoints: Vec<String> = upstream.ports().iter().map(|port| format!("\"http://127.0.0.1:{port}\"")).collect();
    let daemon = Daemon::builder().service(format!("{{id: svc, endpoints: [{}]}}", endpoints.join(", "))).start();
    let mut seen: Vec<u64> = (0..9).map(|_| daemon.get(SERVICE, "/").echo().0["port"].as_u64().unwrap()).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 3, "nine requests went to {seen:?} only");
}
