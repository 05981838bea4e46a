//! What is not safe to repeat reaches an upstream once, whatever that does with it.

use crate::support::peer::raw;
use crate::support::{Ask, Daemon, Rows, Upstream, eventually_eq};

const SERVICE: &str = "svc.chitty.test";

/// A service with two endpoints that repeats after everything, and never leaves one out.
fn eager(upstream: &Upstream) -> Daemon {
    let endpoints = upstream.ports().iter().map(|port| format!("\"http://127.0.0.1:{port}\"")).collect::<Vec<_>>();
    Daemon::builder()
        .service(format!(
            "{{id: svc, endpoints: [{}], timeouts: {{read: 300ms}}, outlier: {{consecutive_errors: 1000}}, \
             retry: {{attempts: 2, budget: 1.0, on: [connect, reset, timeout, \"502\", \"503\", \"504\"]}}}}",
            endpoints.join(", ")
        ))
        .start()
}

/// How often the upstream was asked for this.
fn times(upstream: &Upstream, target: &str) -> usize {
    upstream.targets().iter().filter(|seen| *seen == target).count()
}

#[test]
fn a_post_that_fails_reaches_the_upstream_once_and_a_get_is_repeated() {
    let upstream = Upstream::with_ports(2);
    let daemon = eager(&upstream);
    let mut rows = Rows::new();
    // The last: how often it is sent where it comes on a connection that others had left. One that ends without an answer is
    // taken for an idle one that was just closed, and counts once as no attempt.
    for (number, (path, status, times_reused)) in [
        (raw("", "close"), 502, 4),
        (raw("", "reset"), 502, 4),
        ("/hang?".to_owned(), 504, 3),
        (raw("\0\x01 no HTTP at all\r\n\r\n", "close"), 502, 3),
        (raw("HTTP/1.1 200 OK\r\nContent-Le", "close"), 502, 4),
        ("/status/502?".to_owned(), 502, 3),
        ("/status/503?".to_owned(), 503, 3),
        ("/status/504?".to_owned(), 504, 3),
    ]
    .into_iter()
    .enumerate()
    {
        for (method, reused, expected) in [
            ("POST", false, 1),
            ("POST", true, 1),
            ("PATCH", true, 1),
            ("PUT", true, times_reused),
            ("DELETE", true, times_reused),
        ] {
            let target = format!("{path}&row={number}-{method}-{reused}");
            if reused {
                // Leaves a connection to each endpoint behind, which the request then comes on.
                for _ in 0..2 {
                    daemon.get(SERVICE, "/warm").echo();
                }
            }
            let answer = daemon.ask(&Ask::new(method, SERVICE, &target).body("once"));
            rows.eq(format!("{method} {target}, answered"), &status, &answer.status());
            rows.eq(format!("{method} {target}, seen"), &expected, &times(&upstream, &target));
        }
    }
    rows.finish();
}

#[test]
fn a_post_is_sent_elsewhere_where_nothing_was_sent_yet() {
    let upstream = Upstream::start();
    let nobody = crate::support::daemon::reserve_port();
    let daemon = Daemon::builder()
        .service(format!("{{id: svc, endpoints: [\"http://127.0.0.1:{nobody}\", \"{}\"]}}", upstream.url()))
        .start();
    for number in 0..4 {
        let target = format!("/post-{number}");
        let answer = daemon.ask(&Ask::new("POST", SERVICE, &target).body("once"));
        assert_eq!(answer.status(), 200, "{}", answer.text());
        assert_eq!(times(&upstream, &target), 1);
    }
    let retries = daemon.metric_sum("chittyconnect_upstream_retries_total", &["service=\"svc\"", "cause=\"connect\""]);
    assert_eq!(retries, 2.0, "by turns, every second one began at the endpoint that nobody listens on");
}

#[test]
fn an_upload_that_breaks_off_is_not_repeated() {
    let upstream = Upstream::with_ports(2);
    let daemon = eager(&upstream);
    let mut client = daemon.connect();
    client.send("PUT /upload/half HTTP/1.1\r\nHost: svc.chitty.test\r\nContent-Length: 100\r\n\r\nhalf");
    upstream.wait_for_arrival("half");
    drop(client);
    eventually_eq("the upstream sees it end", &serde_json::json!(true), || upstream.gate("half", "left"));
    eventually_eq("nothing is in flight", &Some(0.0), || {
        daemon.metric("chittyconnect_http_requests_in_flight{kind=\"host\"}")
    });
    assert_eq!(times(&upstream, "/upload/half"), 1);
}
