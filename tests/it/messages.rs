//! HTTP/1.1 as it is spoken: framing, 1xx, HEAD, connections, and answers that break off.

use crate::support::peer::raw;
use crate::support::{Ask, CONNECT, Daemon, Ending, Rows, Upstream, eventually_eq};

const SERVICE: &str = "svc.chitty.test";

fn daemon(upstream: &Upstream) -> Daemon {
    Daemon::builder().service(upstream.service("svc")).start()
}

#[test]
fn head_has_the_header_of_get_and_no_body() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    for (host, path) in [(SERVICE, "/big/12345"), (CONNECT, "/svc/api/big/12345")] {
        let mut client = daemon.connect();
        let ask = Ask::new("HEAD", host, &path.replace("big/12345", "status/200"));
        let answer = client.ask(&ask);
        assert_eq!((answer.status(), answer.header("content-length"), answer.body.len()), (200, Some("8"), 0));
        // The connection is still in step.
        assert_eq!(client.ask(&Ask::get(host, path)).body.len(), 12345);
    }
    let methods: Vec<String> = upstream.requests().iter().map(|r| r["method"].to_string()).collect();
    assert_eq!(methods, ["\"HEAD\"", "\"GET\"", "\"HEAD\"", "\"GET\""]);
}

#[test]
fn statuses_without_a_body_stay_without() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    for status in [204, 304] {
        let mut client = daemon.connect();
        let answer = client.ask(&Ask::get(SERVICE, &format!("/status/{status}")));
        assert_eq!((answer.status(), answer.body.len()), (status, 0));
        assert!(answer.head.all("transfer-encoding").is_empty());
        assert_eq!(client.ask(&Ask::get(SERVICE, "/after")).fate(), "-> /after");
    }
}

#[test]
fn every_status_passes() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let mut rows = Rows::new();
    for status in [
        200, 201, 202, 206, 299, 301, 303, 307, 308, 400, 401, 404, 409, 410, 418, 429, 451, 500, 501, 502, 503, 504,
        599,
    ] {
        let answer = daemon.get(SERVICE, &format!("/status/{status}"));
        rows.eq(status.to_string(), &(status, "as asked".to_owned()), &(answer.status(), answer.text()));
    }
    rows.finish();
}

#[test]
fn redirects_and_cookies_pass_untouched() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    for (host, prefix) in [(SERVICE, ""), (CONNECT, "/svc/api")] {
        let answer = daemon.get(host, &format!("{prefix}/redirect"));
        assert_eq!((answer.status(), answer.header("location")), (302, Some("../elsewhere?x=1#y")));
        let answer = daemon.get(host, &format!("{prefix}/cookies"));
        assert_eq!(answer.head.all("set-cookie"), ["a=1; Path=/", "b=2; HttpOnly", "c=3"]);
    }
    assert_eq!(upstream.targets().len(), 4, "nobody followed the redirect");
}

#[test]
fn a_body_is_sent_after_the_service_said_continue() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    for (host, path) in [(SERVICE, "/x"), (CONNECT, "/svc/api/x")] {
        let mut client = daemon.connect();
        client.send(
            Ask::new("PUT", host, path).header("Expect", "100-continue").header("Content-Length", "5").to_bytes(),
        );
        assert_eq!(client.head("PUT").unwrap().status, 100);
        client.send("hello");
        assert_eq!(client.answer("PUT").echo().0["body_bytes"], 5);
    }
}

#[test]
fn a_service_may_refuse_a_body_instead_of_saying_continue() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let mut client = daemon.connect();
    let ask = Ask::new("PUT", SERVICE, "/refuse").header("Expect", "100-continue").header("Content-Length", "5");
    let answer = client.ask(&ask);
    assert_eq!((answer.status(), answer.text().as_str(), answer.informational.len()), (403, "refused", 0));
}

#[test]
fn an_answer_that_comes_before_the_end_of_the_body_reaches_the_client() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let mut client = daemon.connect();
    client.send(Ask::new("PUT", SERVICE, "/refuse").header("Content-Length", "1000000").to_bytes());
    client.send(vec![b'x'; 1000]);
    let answer = client.answer("PUT");
    assert_eq!((answer.status(), answer.text().as_str()), (403, "refused"));
}

#[test]
fn early_hints_pass_and_spare_http_1_0() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let bytes = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n\
                 HTTP/1.1 103 Early Hints\r\nLink: </b.css>; rel=preload\r\n\r\n\
                 HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let target = raw(bytes, "close");
    let answer = daemon.get(SERVICE, &target);
    let hints: Vec<_> = answer.informational.iter().map(|head| (head.status, head.header("link"))).collect();
    assert_eq!(hints, [(103, Some("</a.css>; rel=preload")), (103, Some("</b.css>; rel=preload"))]);
    assert_eq!((answer.status(), answer.text().as_str()), (200, "ok"));

    let old = daemon.raw(format!("GET {target} HTTP/1.0\r\nHost: {SERVICE}\r\n\r\n"));
    assert_eq!((old.informational.len(), old.status(), old.text().as_str()), (0, 200, "ok"));
}

#[test]
fn an_answer_without_a_length_is_whole_at_its_end() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let mut rows = Rows::new();
    for bytes in [
        "HTTP/1.0 200 OK\r\n\r\nuntil the end",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nuntil \r\n7\r\nthe end\r\n0\r\n\r\n",
    ] {
        for version in ["1.1", "1.0"] {
            let request = format!("GET {} HTTP/{version}\r\nHost: {SERVICE}\r\n\r\n", raw(bytes, "close"));
            let answer = daemon.raw(request);
            rows.eq(
                format!("{bytes:?} to HTTP/{version}"),
                &(Ending::Whole, "until the end".to_owned()),
                &(answer.ending, answer.text()),
            );
            if version == "1.0" {
                rows.eq("no chunks for HTTP/1.0", &Vec::<&str>::new(), &answer.head.all("transfer-encoding"));
            }
        }
    }
    rows.finish();
}

#[test]
fn an_answer_that_breaks_off_never_looks_whole() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let mut rows = Rows::new();
    for bytes in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npartial",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\npartial\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\npartial\r\n64\r\nhalf a chunk",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\npartial\r\nnonsense\r\n",
    ] {
        for then in ["close", "reset"] {
            for (host, prefix) in [(SERVICE, ""), (CONNECT, "/svc/api")] {
                for version in ["1.1", "1.0"] {
                    let target = format!("{prefix}{}", raw(bytes, then));
                    let request = format!("GET {target} HTTP/{version}\r\nHost: {host}\r\n\r\n");
                    let row = format!("{bytes:?}, {then}, {host}, HTTP/{version}");
                    match daemon.connect().send(request).try_answer("GET") {
                        Ok(answer) => {
                            let cut = matches!(answer.ending, Ending::Fin | Ending::Reset);
                            rows.holds(row, cut || answer.status() == 502, (answer.fate(), answer.ending));
                        }
                        Err(ending) => rows.holds(row, ending != Ending::Silence, ending),
                    }
                }
            }
        }
    }
    rows.finish();
    assert_eq!(daemon.get(SERVICE, "/after").fate(), "-> /after");
}

#[test]
fn an_answer_that_is_reset_in_mid_body_never_looks_whole() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    for version in ["1.1", "1.0"] {
        let mut client = daemon.connect();
        client.send(format!("GET /stream/{version}?length=100 HTTP/{version}\r\nHost: {SERVICE}\r\n\r\n"));
        upstream.push(version, "partial");
        upstream.wait_for_arrival(version);
        upstream.step(version, "reset");
        if let Ok(answer) = client.try_answer("GET") {
            assert!(matches!(answer.ending, Ending::Fin | Ending::Reset), "HTTP/{version}: {answer:?}");
        }
    }
}

#[test]
fn a_chunked_answer_that_breaks_off_resets_an_http_1_0_client() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    for (number, step) in ["close", "reset"].into_iter().enumerate() {
        let mut client = daemon.connect();
        client.send(format!("GET /stream/old{number} HTTP/1.0\r\nHost: {SERVICE}\r\n\r\n"));
        upstream.push(&format!("old{number}"), "partial");
        client.head("GET").unwrap();
        client.body_until("partial");
        upstream.step(&format!("old{number}"), step);
        // Without length and chunks only a reset tells a broken answer from a whole one.
        assert_eq!(client.piece(), Err(Ending::Reset), "{step}");
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let asks = [
        Ask::get(SERVICE, "/one"),
        Ask::new("POST", SERVICE, "/two").body("hello"),
        Ask::get(CONNECT, "/health"),
        Ask::get("nope.example", "/three"),
        Ask::new("POST", CONNECT, "/svc/api/four").chunked("chunked"),
    ];
    let mut client = daemon.connect();
    client.send(asks.iter().flat_map(Ask::to_bytes).collect::<Vec<u8>>());
    let fates: Vec<String> = asks.iter().map(|_| client.answer("GET").fate()).collect();
    assert_eq!(fates, ["-> /one", "-> /two", "200 local", "404 unknown_host", "-> /api/four"]);
}

#[test]
fn what_is_sent_in_one_piece_with_a_body_in_chunks_is_no_request() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let mut client = daemon.connect();
    let chunked = Ask::new("POST", SERVICE, "/one").chunked("chunked");
    client.send([chunked.to_bytes(), Ask::get(SERVICE, "/two").to_bytes()].concat());
    assert_eq!(client.answer("POST").fate(), "-> /one");
    assert!(client.try_answer("GET").is_err(), "the connection ends");
    let mut client = daemon.connect();
    assert_eq!(client.ask(&chunked).fate(), "-> /one");
    assert_eq!(client.ask(&Ask::get(SERVICE, "/three")).fate(), "-> /three", "what is sent afterwards is served");
    assert_eq!(upstream.targets(), ["/one", "/one", "/three"]);
}

#[test]
fn a_connection_serves_one_request_after_the_other() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder().set("server", "{threads: 1}").service(upstream.service("svc")).start();
    let mut client = daemon.connect();
    for (host, target, fate) in [
        (SERVICE, "/one", "-> /one"),
        (CONNECT, "/health", "200 local"),
        (CONNECT, "/nope/api", "404 unknown_service"),
        (CONNECT, "/svc/api/two", "-> /api/two"),
        ("nope.example", "/", "404 unknown_host"),
        (SERVICE, "/../x", "400 bad_path"),
        (SERVICE, "/three", "-> /three"),
    ] {
        assert_eq!(client.ask(&Ask::get(host, target)).fate(), fate);
    }
    assert_eq!(client.ask(&Ask::new("POST", SERVICE, "/four").body("hello")).fate(), "-> /four");
    assert_eq!(upstream.connections(), 1, "the connection to the upstream is used again");
}

#[test]
fn a_problem_leaves_an_unread_body_behind_in_order() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let mut rows = Rows::new();
    for (host, target) in [(CONNECT, "/nope/api/x"), ("nope.example", "/"), (CONNECT, "/health")] {
        let mut client = daemon.connect();
        // Either the body is read away or the connection is closed; it is never taken for a request.
        let smuggled = Ask::get(SERVICE, "/smuggled").to_bytes();
        client.send(Ask::new("POST", host, target).body(&smuggled).to_bytes());
        client.send(Ask::get(SERVICE, "/next").to_bytes());
        let first = client.answer("POST");
        rows.holds(format!("{host}{target}"), first.status() >= 400, first.fate());
        match client.try_answer("GET") {
            Ok(second) => rows.eq(format!("after {host}{target}"), &"-> /next".to_owned(), &second.fate()),
            Err(ending) => rows.holds(format!("after {host}{target}"), ending != Ending::Silence, ending),
        }
    }
    rows.finish();
    assert!(!upstream.targets().contains(&"/smuggled".to_owned()));
}

#[test]
fn two_framings_in_one_request_are_made_one_and_end_the_connection() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let mut client = daemon.connect();
    let smuggled = Ask::get(SERVICE, "/smuggled").to_bytes();
    let ask = Ask::new("POST", SERVICE, "/x").header("Content-Length", "5").chunked("hello");
    client.send(ask.to_bytes()).send(smuggled);
    let answer = client.answer("POST");
    if answer.status() == 200 {
        let echo = answer.echo();
        let framings = echo.all("content-length").len() + echo.all("transfer-encoding").len();
        assert_eq!((framings, &echo.0["body_bytes"]), (1, &5.into()), "{}", echo.0);
    } else {
        assert_eq!(answer.status(), 400);
    }
    assert!(matches!(client.ending(), Ending::Fin | Ending::Reset));
    assert!(!upstream.targets().contains(&"/smuggled".to_owned()));
}

#[test]
fn connection_close_is_honoured_for_both_versions() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    for request in [
        format!("GET /x HTTP/1.1\r\nHost: {SERVICE}\r\nConnection: close\r\n\r\n"),
        format!("GET /x HTTP/1.0\r\nHost: {SERVICE}\r\n\r\n"),
        format!("GET /health HTTP/1.1\r\nHost: {CONNECT}\r\nConnection: close\r\n\r\n"),
        "GET / HTTP/1.1\r\nHost: nope.example\r\nConnection: close\r\n\r\n".to_owned(),
    ] {
        let mut client = daemon.connect();
        client.send(&request);
        let answer = client.answer("GET");
        assert_eq!(answer.ending, Ending::Whole, "{request}");
        assert_eq!(client.ending(), Ending::Fin, "{request}");
    }
}

#[test]
fn an_idle_connection_is_closed_after_its_timeout() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder().set("limits", "{idle_timeout: 200ms}").service(upstream.service("svc")).start();
    let mut client = daemon.connect();
    assert_eq!(client.ask(&Ask::get(SERVICE, "/x")).fate(), "-> /x");
    assert_eq!(client.ending(), Ending::Fin);
}

#[test]
fn a_pooled_connection_that_the_upstream_closed_costs_no_request() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder().set("server", "{threads: 1}").service(upstream.service("svc")).start();
    let mut client = daemon.connect();
    for round in 0..20 {
        // The upstream says nothing of closing, and closes.
        let target = raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "close");
        assert_eq!(client.ask(&Ask::get(SERVICE, &target)).text(), "ok", "round {round}");
        let answer = client.ask(&Ask::get(SERVICE, "/x"));
        assert_eq!(answer.fate(), "-> /x", "round {round}");
    }
}

#[test]
fn a_client_that_leaves_in_mid_body_is_no_whole_request() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    for (number, framing) in [("Content-Length", "100"), ("Transfer-Encoding", "chunked")].into_iter().enumerate() {
        let gate = format!("gone{number}");
        let mut client = daemon.connect();
        client.send(Ask::new("POST", SERVICE, &format!("/upload/{gate}")).header(framing.0, framing.1).to_bytes());
        client.send("5\r\nhello\r\n");
        upstream.wait_for_arrival(&gate);
        drop(client);
        eventually_eq("the upstream sees it break off", &true.into(), || upstream.gate(&gate, "left"));
        assert_eq!(upstream.gate(&gate, "finished"), false);
    }
}
