//! What is repeated, refused, left out and changed, as a service's settings say.

use std::io::Write as _;

use serde_json::json;
use sha2::{Digest, Sha256};
use tokio_tungstenite::tungstenite::{Message, client};

use crate::support::client::chunk;
use crate::support::peer::raw;
use crate::support::wire::read_until;
use crate::support::{Ask, Daemon, Ending, Rows, Upstream, Wire, eventually, eventually_eq};

const SERVICE: &str = "svc.chitty.test";
const URL: &str = "http://svc.chitty.test/";

fn start(urls: &[String], more: &str) -> Daemon {
    let urls = urls.iter().map(|url| format!("\"{url}\"")).collect::<Vec<_>>().join(", ");
    Daemon::builder().service(format!("{{id: svc, endpoints: [{urls}], {more}}}")).start()
}

fn urls(upstream: &Upstream) -> Vec<String> {
    upstream.ports().iter().map(|port| format!("http://127.0.0.1:{port}")).collect()
}

fn times(upstream: &Upstream, target: &str) -> usize {
    upstream.targets().iter().filter(|seen| *seen == target).count()
}

const NEVER_OUT: &str = "outlier: {consecutive_errors: 1000}";

#[test]
fn an_answer_is_asked_for_again_only_where_its_status_is_listed_and_repeating_is_safe() {
    let upstream = Upstream::with_ports(2);
    let mut rows = Rows::new();
    for listed in ["502", "503", "504"] {
        let daemon = start(&urls(&upstream), &format!("{NEVER_OUT}, retry: {{on: [\"{listed}\"], budget: 1.0}}"));
        for status in ["500", "502", "503", "504", "404"] {
            for (method, is_safe) in
                [("GET", true), ("HEAD", true), ("PUT", true), ("DELETE", true), ("POST", false), ("PATCH", false)]
            {
                let target = format!("/status/{status}?listed={listed}&method={method}");
                let answer = daemon.ask(&Ask::new(method, SERVICE, &target));
                let row = format!("{method} {target}");
                rows.eq(&row, &status.to_owned(), &answer.status().to_string());
                rows.eq(&row, &if is_safe && status == listed { 3 } else { 1 }, &times(&upstream, &target));
                if method == "GET" {
                    rows.eq(format!("{row}: the service's own answer"), &"as asked".to_owned(), &answer.text());
                }
            }
        }
    }
    rows.finish();
}

#[test]
fn no_attempts_or_no_budget_is_no_retry() {
    let upstream = Upstream::with_ports(2);
    let on = "on: [connect, reset, timeout, \"502\", \"503\", \"504\"]";
    let mut rows = Rows::new();
    for (retry, expected) in [
        (format!("{{attempts: 0, budget: 1.0, {on}}}"), 1),
        (format!("{{attempts: 5, budget: 0, {on}}}"), 1),
        ("{attempts: 5, budget: 1.0, on: []}".to_owned(), 1),
        (format!("{{attempts: 1, budget: 1.0, {on}}}"), 2),
        (format!("{{attempts: 5, budget: 1.0, {on}}}"), 6),
        // However small the share: a quiet service has three.
        (format!("{{attempts: 5, budget: 0.01, {on}}}"), 4),
    ] {
        let daemon = start(&urls(&upstream), &format!("{NEVER_OUT}, retry: {retry}"));
        let mut client = daemon.connect();
        // What the budget is a share of. Nothing here leaves a connection behind: one that ends as it is used again says
        // nothing of its server, and what was on it is sent again whatever is listed.
        for _ in 0..20 {
            let bytes = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
            assert_eq!(client.ask(&Ask::get(SERVICE, &raw(bytes, "close"))).text(), "ok");
        }
        for (kind, path) in [
            ("503", raw("HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "close")),
            ("reset", raw("", "reset")),
        ] {
            if kind == "reset" && expected == 4 {
                continue;
            }
            let target = format!("{path}&retry={}", retry.replace([' ', '"', '{', '}', '[', ']'], ""));
            daemon.get(SERVICE, &target);
            rows.eq(format!("{kind} with {retry}"), &expected, &times(&upstream, &target));
        }
    }
    rows.finish();
}

#[test]
fn an_idle_connection_that_ended_costs_neither_an_attempt_nor_the_budget() {
    // One answer for each connection, which ends with the next request on it.
    let ending = Wire::start(|mut stream| {
        read_until(&mut stream, b"\r\n\r\n");
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        read_until(&mut stream, b"\r\n\r\n");
    });
    let mut rows = Rows::new();
    for (retry, is_on) in
        [("{}", true), ("{attempts: 1, budget: 0.01, on: []}", true), ("{attempts: 0}", false), ("{budget: 0}", false)]
    {
        let daemon = start(&[ending.url()], &format!("outlier: {{consecutive_errors: 1}}, retry: {retry}"));
        let fates = |method| (0..20).map(|_| daemon.ask(&Ask::new(method, SERVICE, "/x")).fate()).collect::<Vec<_>>();
        // A connection may not be back when the next request comes: so not every second one is lost.
        let lost = |fates: &[String]| fates.iter().any(|fate| fate == "502 proxy_failed");
        let puts = fates("PUT");
        rows.holds(retry, lost(&puts) != is_on, format!("{puts:?}"));
        rows.holds(retry, puts.iter().any(|fate| fate == "200 local"), format!("{puts:?}"));
        let retries = |cause: &str| daemon.metric_sum("chittyconnect_upstream_retries_total", &[cause]);
        rows.holds(retry, (retries("cause=\"idle\"") > 3.0) == is_on, "tried again after an idle connection ended");
        let posts = fates("POST");
        rows.holds(retry, lost(&posts), format!("{posts:?}"));
        rows.eq(retry, &0.0, &retries("cause=\"reset\""));
        rows.eq(retry, &vec!["serving".to_owned()], &daemon.endpoint_states(URL));
    }
    rows.finish();
}

#[test]
fn a_small_put_is_repeated_with_its_body_and_a_large_one_not_at_all() {
    let upstream = Upstream::start();
    let closing = Wire::start(|mut stream| read_until(&mut stream, b"the end"));
    let daemon = start(&[closing.url(), upstream.url()], &format!("{NEVER_OUT}, retry: {{on: [reset], budget: 1.0}}"));
    let mut rows = Rows::new();
    for (number, size) in [0, 1, 1000, 30_000, 60_000].into_iter().enumerate() {
        for chunked in [false, true] {
            let body = [vec![b'a' + u8::try_from(number).unwrap(); size], b"the end".to_vec()].concat();
            let repeated = || daemon.metric_sum("chittyconnect_upstream_retries_total", &["cause=\"reset\""]);
            let before = repeated();
            // By turns, one of two begins at the one that closes.
            for _ in 0..2 {
                let ask = Ask::new("PUT", SERVICE, "/put");
                let answer = daemon.ask(&if chunked { ask.chunked(&body) } else { ask.body(&body) });
                let echo = answer.echo();
                let row = format!("{size} bytes, chunked: {chunked}");
                rows.eq(&row, &json!(body.len()), &echo.0["body_bytes"]);
                rows.eq(&row, &json!(hex::encode(Sha256::digest(&body))), &echo.0["body_sha256"]);
            }
            rows.eq(format!("{size} bytes: one was repeated"), &(before + 1.0), &repeated());
        }
    }
    rows.finish();
    let large = [vec![b'x'; 1_000_000], b"the end".to_vec()].concat();
    let mut seen: Vec<String> =
        (0..2).map(|_| daemon.ask(&Ask::new("PUT", SERVICE, "/large").body(&large)).fate()).collect();
    seen.sort();
    assert_eq!(seen, ["-> /large", "502 proxy_failed"]);
}

#[test]
fn a_put_whose_body_still_comes_is_not_lost_when_its_connection_breaks() {
    let upstream = Upstream::start();
    let closing = Wire::start(|mut stream| read_until(&mut stream, b"\r\n\r\n"));
    let daemon = start(&[closing.url(), upstream.url()], &format!("{NEVER_OUT}, retry: {{on: [reset], budget: 1.0}}"));
    for _ in 0..2 {
        let mut client = daemon.connect();
        client.send("PUT /slow HTTP/1.1\r\nHost: svc.chitty.test\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.send(chunk("one"));
        let before = closing.accepted();
        eventually("it has arrived somewhere", || {
            let arrived = closing.accepted() > 0 || times(&upstream, "/slow") > 0;
            if arrived { Ok(()) } else { Err(before) }
        });
        client.send(chunk("two")).send("0\r\n\r\n");
        match client.try_answer("PUT") {
            Ok(answer) if answer.status() == 200 => assert_eq!(answer.echo().0["body_bytes"], 6),
            Ok(answer) => assert_eq!(answer.fate(), "502 proxy_failed"),
            Err(ending) => assert_ne!(ending, Ending::Silence),
        }
    }
}

#[test]
fn as_many_requests_as_may_be_and_no_more() {
    let upstream = Upstream::start();
    let daemon = start(&[upstream.url()], "limits: {in_flight: 2}");
    let mut held: Vec<_> = ["one", "two"]
        .into_iter()
        .map(|gate| {
            let mut client = daemon.connect();
            client.send(Ask::get(SERVICE, &format!("/hold/{gate}")).to_bytes());
            upstream.wait_for_arrival(gate);
            client
        })
        .collect();
    assert_eq!(daemon.explained(URL)["in_flight"], json!([2, 2]));
    for method in ["GET", "POST"] {
        let answer = daemon.ask(&Ask::new(method, SERVICE, "/third"));
        assert_eq!(answer.fate(), "503 overloaded");
        let after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!(after > 0);
    }
    assert_eq!(times(&upstream, "/third"), 0);
    // One leaves, the other is answered.
    drop(held.remove(0));
    eventually_eq("the one that left has made room", &200, || daemon.get(SERVICE, "/again").status());
    upstream.step("two", "end");
    assert_eq!(held[0].answer("GET").status(), 200);
    eventually_eq("nothing is in flight", &json!([0, 2]), || daemon.explained(URL)["in_flight"].clone());
}

#[test]
fn what_stays_open_for_ever_holds_up_nothing() {
    let upstream = Upstream::start();
    let daemon = start(&[upstream.url()], "limits: {in_flight: 1}");
    let (mut socket, _) = client("ws://svc.chitty.test/ws", daemon.connect().into_stream()).unwrap();
    let mut events = daemon.connect();
    events.send(Ask::get(SERVICE, "/stream/sse?type=text/event-stream").to_bytes());
    assert_eq!(events.head("GET").unwrap().status, 200);
    for _ in 0..3 {
        // One that was answered may still be counted for a moment.
        eventually_eq("there is room beside them", &200, || daemon.get(SERVICE, "/beside").status());
    }
    socket.send(Message::text("still here")).unwrap();
    assert_eq!(socket.read().unwrap(), Message::text("still here"));
    upstream.push("sse", "data: one\n\n");
    events.body_until("data: one\n\n");
    drop((socket, events));
    eventually_eq("nothing is in flight", &json!([0, 1]), || daemon.explained(URL)["in_flight"].clone());
    assert_eq!(daemon.get(SERVICE, "/afterwards").status(), 200);
}

#[test]
fn failures_of_every_kind_give_back_what_they_took() {
    let upstream = Upstream::with_ports(2);
    let daemon = start(
        &urls(&upstream),
        &format!(
            "{NEVER_OUT}, limits: {{in_flight: 1}}, timeouts: {{read: 200ms}}, retry: {{budget: 1.0, on: [reset, timeout, \"503\"]}}"
        ),
    );
    for target in
        ["/hang", "/status/503", &raw("", "close"), &raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "close")]
    {
        let mut client = daemon.connect();
        client.send(Ask::get(SERVICE, target).to_bytes());
        let _ = client.try_answer("GET");
        drop(client);
        eventually_eq(&format!("room again after {target}"), &200, || daemon.get(SERVICE, "/next").status());
    }
    let refused = daemon.ask(&Ask::new("POST", SERVICE, "/large").header("Content-Length", "999999999999"));
    assert_eq!(refused.status(), 413);
    eventually_eq("nothing is in flight", &json!([0, 1]), || daemon.explained(URL)["in_flight"].clone());
    // Members have nothing left to count either: the two are used by turns.
    let mut client = daemon.connect();
    let mut ports = std::collections::HashSet::new();
    for _ in 0..4 {
        ports.insert(client.ask(&Ask::get(SERVICE, "/p")).echo().0["port"].as_u64().unwrap());
    }
    assert_eq!(ports.len(), 2);
}

#[test]
fn rules_change_headers_both_ways() {
    let upstream = Upstream::start();
    let rules = "headers: {request: {set: {X-Env: test, X-Forwarded-Proto: https, user-agent: gateway}, remove: [Cookie, X-Secret, Via]}, \
                 response: {set: {X-Frame-Options: DENY, Server: chitty}, remove: [X-Powered-By, Set-Cookie]}}";
    let daemon = start(&[upstream.url()], rules);
    let ask = Ask::get(SERVICE, "/x")
        .header("X-Env", "of the client")
        .header("X-Env", "twice")
        .header("User-Agent", "curl")
        .header("Cookie", "a=1")
        .header("X-Secret", "1")
        .header("X-Secret", "2")
        .header("X-Kept", "1");
    let answer = daemon.ask(&ask);
    let echo = answer.echo();
    let mut rows = Rows::new();
    for (name, expected) in [
        ("x-env", Some("test")),
        ("x-forwarded-proto", Some("https")),
        ("user-agent", Some("gateway")),
        ("cookie", None),
        ("x-secret", None),
        ("via", None),
        ("x-kept", Some("1")),
        ("host", Some(SERVICE)),
    ] {
        rows.eq(name, &expected.into_iter().collect::<Vec<_>>(), &echo.all(name));
    }
    rows.eq("an answer's field is put in", &Some("DENY"), &answer.header("x-frame-options"));
    let bytes = "HTTP/1.1 200 OK\r\nX-Powered-By: old\r\nX-Powered-By: older\r\nSet-Cookie: a=1\r\nServer: nginx\r\n\
                 X-Frame-Options: ALLOWALL\r\nX-Kept: 1\r\nContent-Length: 2\r\n\r\nok";
    let answer = daemon.get(SERVICE, &raw(bytes, "close"));
    for (name, expected) in [
        ("x-powered-by", None),
        ("set-cookie", None),
        ("server", Some("chitty")),
        ("x-frame-options", Some("DENY")),
        ("x-kept", Some("1")),
    ] {
        rows.eq(name, &expected.into_iter().collect::<Vec<_>>(), &answer.head.all(name));
    }
    rows.finish();
}

#[test]
fn a_service_has_its_own_limit_for_bodies() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder()
        .set("limits", "{body_bytes: 1KiB}")
        .service(upstream.service_with("small", "limits: {body_bytes: 10}"))
        .service(upstream.service_with("large", "limits: {body_bytes: 1MiB}"))
        .service(upstream.service("plain"))
        .start();
    let mut rows = Rows::new();
    for (service, limit) in [("small", 10), ("large", 1 << 20), ("plain", 1 << 10)] {
        for (size, expected) in [(limit, 200), (limit + 1, 413)] {
            for chunked in [false, true] {
                let ask = Ask::new("PUT", &format!("{service}.chitty.test"), "/x");
                let body = vec![b'x'; size];
                let answer = daemon.ask(&if chunked { ask.chunked(body) } else { ask.body(body) });
                rows.eq(format!("{service} {size} chunked: {chunked}"), &expected, &answer.status());
            }
        }
    }
    rows.finish();
}

#[test]
fn no_more_endpoints_are_left_out_than_may_be() {
    let mut rows = Rows::new();
    for (endpoints, max, expected) in
        [(3, "0.5", 1), (2, "0.5", 1), (4, "0.5", 2), (1, "0.5", 0), (3, "0", 0), (3, "1.0", 3), (1, "1.0", 1)]
    {
        let upstream = Upstream::with_ports(endpoints);
        let daemon = start(
            &urls(&upstream),
            &format!("outlier: {{consecutive_errors: 2, eject_for: 1h, max_ejected: {max}}}, retry: {{attempts: 0}}"),
        );
        for _ in 0..20 {
            daemon.get(SERVICE, "/status/503");
        }
        let out = daemon.endpoint_states(URL).iter().filter(|state| *state == "ejected").count();
        let all_are_out = out == endpoints;
        let row = format!("{endpoints} endpoints, max_ejected {max}");
        rows.eq(&row, &expected, &out);
        let counted = daemon.metric_sum("chittyconnect_upstream_ejections_total", &["service=\"svc\""]);
        rows.eq(format!("{row}, counted"), &f64::from(u8::try_from(expected).unwrap()), &counted);
        let fate = if all_are_out { "503 no_healthy_endpoint" } else { "-> /then" };
        rows.eq(format!("{row}, then"), &fate.to_owned(), &daemon.get(SERVICE, "/then").fate());
    }
    rows.finish();
}

#[test]
fn a_single_endpoint_is_never_left_out_by_default() {
    let upstream = Upstream::start();
    let daemon = start(&[upstream.url()], "retry: {attempts: 0}, timeouts: {read: 200ms}");
    for _ in 0..10 {
        assert_eq!(daemon.get(SERVICE, &raw("", "reset")).status(), 502);
        assert_eq!(daemon.get(SERVICE, "/status/502").text(), "as asked");
    }
    assert_eq!(daemon.get(SERVICE, "/hang").status(), 504);
    assert_eq!(daemon.endpoint_states(URL), ["serving"]);
    assert_eq!(daemon.get(SERVICE, "/then").fate(), "-> /then");
}

#[test]
fn an_endpoint_that_was_left_out_is_tried_again_after_its_time() {
    let upstream = Upstream::with_ports(2);
    let daemon = start(&urls(&upstream), "outlier: {consecutive_errors: 1, eject_for: 300ms}, retry: {attempts: 0}");
    daemon.get(SERVICE, "/status/503");
    assert_eq!(daemon.metric_sum("chittyconnect_upstream_ejections_total", &["service=\"svc\""]), 1.0);
    eventually_eq("both serve", &vec!["serving".to_owned(); 2], || daemon.endpoint_states(URL));
    let ports: std::collections::HashSet<u64> =
        (0..4).map(|_| daemon.get(SERVICE, "/p").echo().0["port"].as_u64().unwrap()).collect();
    assert_eq!(ports.len(), 2);
}

#[test]
fn what_the_client_does_wrong_is_not_the_endpoints_failure() {
    let upstream = Upstream::with_ports(2);
    let daemon = start(&urls(&upstream), "outlier: {consecutive_errors: 1, eject_for: 1h}, limits: {body_bytes: 100}");
    for number in 0..4 {
        let gate = format!("g{number}");
        let mut client = daemon.connect();
        client.send(Ask::get(SERVICE, &format!("/hold/{gate}")).to_bytes());
        upstream.wait_for_arrival(&gate);
        drop(client);
        daemon.ask(&Ask::new("PUT", SERVICE, "/large").chunked(vec![b'x'; 1000]));
        let mut client = daemon.connect();
        client.send("PUT /half HTTP/1.1\r\nHost: svc.chitty.test\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n");
        let _ = client.try_answer("PUT");
    }
    eventually_eq("nothing is in flight", &json!(0), || daemon.explained(URL)["in_flight"][0].clone());
    assert_eq!(daemon.endpoint_states(URL), ["serving", "serving"]);
    assert_eq!(daemon.metric_sum("chittyconnect_upstream_retries_total", &["service=\"svc\""]), 0.0);
}
