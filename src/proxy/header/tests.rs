use super::*;
use crate::proxy::context::Rewrite;

fn prepared(sent: &[(&'static str, &str)], change: impl FnOnce(&mut RequestContext)) -> RequestHeader {
    let mut request = RequestHeader::build("GET", b"/chittyid/api/x?y=1", None).unwrap();
    for (name, value) in sent {
        request.append_header(*name, *value).unwrap();
    }
    let mut context = RequestContext::new();
    context.id = RequestId::generate();
    change(&mut context);
    let via = Via::new("0123456789abcdef");
    let policy = ForwardPolicy {
        auth_header: &HeaderName::from_static("x-chittyos-api-key"),
        authorization_is_ours: false,
        forward_credentials: true,
        host: &HeaderValue::from_static("id.chitty.cc"),
        via: &via,
        edits: &Edits::default(),
    };
    let arrival = Arrival { peer: "127.0.0.1", scheme: "http" };
    prepare_upstream(&mut request, &context, arrival, &policy).unwrap();
    request
}

fn all(request: &RequestHeader, name: &str) -> Vec<String> {
    request.headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

#[test]
fn a_strangers_words_about_its_origin_are_replaced() {
    let request = prepared(
        &[
            ("Host", "api.chitty.cc:8080"),
            ("X-Forwarded-For", "6.6.6.6"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "evil.example"),
            ("X-Forwarded-Prefix", "/evil"),
            ("Forwarded", "for=6.6.6.6"),
            ("X-Request-ID", "forged"),
            ("X-Real-IP", "6.6.6.6"),
        ],
        |_| {},
    );
    assert_eq!(all(&request, "x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(all(&request, "x-forwarded-proto"), ["http"]);
    assert_eq!(all(&request, "x-forwarded-host"), ["api.chitty.cc:8080"]);
    assert_eq!(all(&request, "x-forwarded-prefix"), [""; 0]);
    assert_eq!(all(&request, "forwarded"), ["for=127.0.0.1;host=\"api.chitty.cc:8080\";proto=http"]);
    assert_eq!(all(&request, "x-real-ip"), [""; 0]);
    assert_eq!(all(&request, "host"), ["id.chitty.cc"]);
    assert_eq!(all(&request, "via"), ["1.1 chittyconnect-0123456789abcdef"]);
    assert_ne!(all(&request, "x-request-id"), ["forged"]);
}

#[test]
fn a_trusted_proxys_words_are_continued() {
    let sent = [
        ("Host", "api.chitty.cc"),
        ("X-Forwarded-For", "6.6.6.6"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "front.example"),
        ("Forwarded", "for=6.6.6.6"),
        ("X-Forwarded-Prefix", "/outer/"),
        ("Via", "1.1 edge"),
    ];
    let request = prepared(&sent, |context| {
        context.from_trusted = true;
        context.rewrite = Some(Rewrite { target: b"/api/x?y=1".to_vec(), prefix: b"/chittyid".to_vec() });
    });
    assert_eq!(all(&request, "x-forwarded-prefix"), ["/outer/chittyid"]);
    assert_eq!(request.raw_path(), b"/api/x?y=1");
    assert_eq!(all(&request, "x-forwarded-for"), ["6.6.6.6, 127.0.0.1"]);
    assert_eq!(all(&request, "x-forwarded-proto"), ["https"]);
    assert_eq!(all(&request, "x-forwarded-host"), ["front.example"]);
    assert_eq!(all(&request, "forwarded"), ["for=6.6.6.6, for=127.0.0.1;host=api.chitty.cc;proto=http"]);
    assert_eq!(all(&request, "via"), ["1.1 edge", "1.1 chittyconnect-0123456789abcdef"]);
}

#[test]
fn keys_of_ours_stop_here_and_others_go_on() {
    let ours = format!("bearer chitty_{}", "0aF".repeat(21) + "0");
    let request = prepared(&[("X-ChittyOS-API-Key", "k"), ("Authorization", &ours), ("Cookie", "a=b")], |_| {});
    assert!(!request.headers.contains_key("x-chittyos-api-key"));
    assert!(!request.headers.contains_key("authorization"));
    assert_eq!(all(&request, "cookie"), ["a=b"]);
    for theirs in ["Bearer abc", "Bearer chitty_short", "Basic eA=="] {
        assert_eq!(all(&prepared(&[("Authorization", theirs)], |_| {}), "authorization"), [theirs]);
    }
}

#[test]
fn a_trace_goes_on_if_it_is_one_and_begins_under_the_request_id_if_not() {
    let valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    assert_eq!(all(&prepared(&[("traceparent", valid)], |_| {}), "traceparent"), [valid]);
    for bad in ["", "00-0-0-00", &valid.replace("0af7", "0AF7"), &format!("{valid}-x"), &valid.replace("00-", "ff-")] {
        let request = prepared(&[("traceparent", bad), ("tracestate", "a=1")], |_| {});
        let id = all(&request, "x-request-id")[0].replace('-', "");
        assert!(all(&request, "traceparent")[0].starts_with(&format!("00-{id}-")), "{bad}");
        assert!(!request.headers.contains_key("tracestate"));
    }
}

#[test]
fn our_own_mark_is_found_among_others() {
    let via = Via::new("0123456789abcdef");
    let has = |value: &str| {
        let mut headers = HeaderMap::new();
        headers.append("via", value.parse().unwrap());
        via.is_in(&headers)
    };
    assert!(has("1.1 chittyconnect-0123456789abcdef"));
    assert!(has("1.0 a, 1.1 chittyconnect-0123456789abcdef (x), 2 b"));
    assert!(!has("1.1 chittyconnect-fedcba9876543210"));
    assert!(!has("chittyconnect-0123456789abcdef"));
}

#[test]
fn the_client_is_the_last_hop_that_nobody_vouches_for() {
    let trusted = |ip: IpAddr| ip.to_string().starts_with("10.");
    for (list, expected) in [
        ("1.1.1.1", Some("1.1.1.1")),
        ("6.6.6.6, 1.1.1.1, 10.0.0.2", Some("1.1.1.1")),
        ("10.0.0.3, 10.0.0.2", Some("10.0.0.3")),
        ("6.6.6.6, junk, 10.0.0.2", Some("10.0.0.2")),
        ("[2001:db8::1]:443", Some("2001:db8::1")),
        ("1.1.1.1:5000", Some("1.1.1.1")),
        ("unknown", None),
    ] {
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", list.parse().unwrap());
        let (client, _) = stated_by_proxy(&headers, trusted);
        assert_eq!(client.map(|ip| ip.to_string()).as_deref(), expected, "{list}");
    }
}

#[test]
fn an_answer_loses_what_was_said_to_us_only() {
    let mut response = ResponseHeader::build(200, None).unwrap();
    for (name, value) in [
        ("Connection", "close, X-Hop, Content-Length"),
        ("Keep-Alive", "timeout=5"),
        ("X-Hop", "1"),
        ("Content-Length", "3"),
        ("Upgrade", "h2c"),
        ("X-End", "2"),
    ] {
        response.append_header(name, value).unwrap();
    }
    remove_hop_by_hop(&mut response);
    let mut left: Vec<_> = response.headers.keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["connection", "content-length", "x-end"]);
}
