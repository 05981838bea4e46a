//! Several requests in one packet, and requests that hide in the bodies of refused ones.

use super::case::{After, Arrives, Case, HOST, KEYED, OFF, SMALL, SMUGGLED, get, get_target, post};
use super::run::run;
use crate::support::{CONNECT, TASKS};

const PIPELINE: &str = "9112 §9.3.2";
const BODY: &str = "9112 §9.3";

#[test]
fn hostile_pipelines_serve_what_is_good_and_nothing_behind_what_is_not() {
    let good = get("");
    let next = get_target("/y");
    let two: [&[u16]; 2] = [&[200], &[200]];
    let pipeline = |name: &str, parts: &[&str]| Case::new(name, PIPELINE, parts.concat());
    run(&[
        pipeline("two good ones", &[&good, &next]).served().answers(&two).arrives(Arrives::Whole(2)),
        pipeline("twenty good ones", &[&good.repeat(20)])
            .served()
            .answers(&[&[200_u16] as &[u16]; 20])
            .arrives(Arrives::Whole(20)),
        pipeline("a body between them", &[&post("Content-Length: 5\r\n", "hello"), &next])
            .served()
            .answers(&two)
            .arrives(Arrives::Whole(2)),
        pipeline("chunks between them", &[&post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"), &next])
            .served()
            .answers(&two)
            .arrives(Arrives::Whole(2)),
        pipeline("a good one and nonsense", &[&good, "nonsense\r\n\r\n"])
            .answers(&[&[200], &[400]])
            .arrives(Arrives::Whole(1)),
        pipeline(
            "a good one and one in two lengths",
            &[&good, &post("Content-Length: 1\r\nContent-Length: 2\r\n", "xx")],
        )
        .answers(&[&[200], &[400]])
        .arrives(Arrives::Whole(1)),
        pipeline("nonsense and a good one", &["nonsense\r\n\r\n", SMUGGLED]),
        pipeline("two lengths and a good one", &[&post("Content-Length: 1\r\nContent-Length: 2\r\n", "x"), SMUGGLED]),
        pipeline("a bad coding and a good one", &[&post("Transfer-Encoding: x\r\n", ""), SMUGGLED]).status(&[400, 501]),
        pipeline("a bad version and a good one", &["GET /x HTTP/3.0\r\n\r\n", SMUGGLED]),
        pipeline("two Hosts and a good one", &[&get("Host: nope.example\r\n"), SMUGGLED]),
        pipeline("a folded field and a good one", &[&get("X: a\r\n b\r\n"), SMUGGLED]),
        pipeline(
            "two framings and a good one",
            &[&post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), SMUGGLED],
        )
        .normalised(),
        pipeline("a last one and a good one", &[&get("Connection: close\r\n"), SMUGGLED]).normalised(),
        pipeline("a last one in HTTP/1.0 and a good one", &[&good.replace("HTTP/1.1", "HTTP/1.0"), SMUGGLED])
            .normalised(),
        pipeline("a bare LF and a good one", &[&good.replace('\r', ""), SMUGGLED]).normalised(),
        pipeline("a last one among several words", &[&get("Connection: keep-alive, close\r\n"), SMUGGLED]).normalised(),
        pipeline("a last one in a second field", &[&get("Connection: keep-alive\r\nConnection: close\r\n"), SMUGGLED])
            .normalised(),
        pipeline("a last one in a first field", &[&get("Connection: close\r\nConnection: keep-alive\r\n"), SMUGGLED])
            .normalised(),
        pipeline("a last one in upper case", &[&get("Connection: CLOSE\r\n"), SMUGGLED]).normalised(),
        pipeline("a host of nobody and a good one", &[&get("").replace(HOST, "nope.example"), &next])
            .answers(&[&[404], &[200]])
            .after(After::Stays)
            .arrives(Arrives::Whole(1)),
        pipeline("a bad path and a good one", &[&get_target("/../x"), &next])
            .answers(&[&[400], &[200]])
            .after(After::Stays)
            .arrives(Arrives::Whole(1)),
    ]);
}

#[test]
fn hostile_bodies_of_refused_requests_are_never_requests() {
    let body = SMUGGLED.repeat(3);
    let with_length = |line: &str, host: &str| {
        format!("{line} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n{body}{SMUGGLED}", body.len())
    };
    let with_chunks = |line: &str, host: &str| {
        format!(
            "{line} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n{SMUGGLED}",
            body.len()
        )
    };
    let long = format!("POST /{}", "a".repeat(9 << 10));
    let tasks = format!("POST {TASKS}");
    let refused: [(&str, &str, &str, &'static [u16]); 13] = [
        ("a body too large", "POST /x", SMALL, &[413]),
        ("no key", "POST /x", KEYED, &[401]),
        ("a host of nobody", "POST /x", "nope.example", &[404]),
        ("no service of that name", "POST /nope/api/x", CONNECT, &[404]),
        ("a service that is off", "POST /x", OFF, &[503]),
        ("a bad path", "POST /../x", HOST, &[400]),
        ("a bad host", "POST /x", "a b", &[400]),
        ("a target that is none", "POST x", HOST, &[400]),
        ("a target too long", &long, HOST, &[414]),
        ("no key for a local endpoint", &tasks, CONNECT, &[401]),
        ("no such local endpoint", "POST /api/nope", CONNECT, &[401, 404]),
        ("a method that a local endpoint has not", "POST /health", CONNECT, &[405]),
        ("an S3 request without a signature", "PUT /bucket/key", "files.chitty.test", &[403]),
    ];
    let mut cases = Vec::new();
    for (name, line, host, statuses) in refused {
        let broken = |case: Case| if host == SMALL { case.arrives(Arrives::Broken) } else { case };
        cases.push(Case::new(format!("{name}, with a length"), BODY, with_length(line, host)).status(statuses));
        cases.push(broken(Case::new(format!("{name}, in chunks"), BODY, with_chunks(line, host)).status(statuses)));
        let expecting = with_length(line, host).replacen("\r\n", "\r\nExpect: 100-continue\r\n", 1);
        cases.push(Case::new(format!("{name}, expecting 100"), "9110 §10.1.1", expecting).status(statuses));
    }
    run(&cases);
}

#[test]
fn hostile_bodies_of_served_requests_are_never_requests() {
    let length = SMUGGLED.len();
    let with = |name: &str, head: &str| {
        Case::new(name, BODY, post(&format!("{head}Content-Length: {length}\r\n"), SMUGGLED)).served().body(SMUGGLED)
    };
    run(&[
        with("a POST", ""),
        with("of a GET", "").line("POST /x HTTP/1.1"),
        with("with Expect", "Expect: 100-continue\r\n"),
        with("with Expect in other letters", "Expect: 100-Continue\r\n"),
        with("with Upgrade", "Upgrade: h2c\r\nConnection: Upgrade\r\n"),
        with("with a method in a field", "X-HTTP-Method-Override: GET\r\n"),
        Case::new("of a GET", BODY, get(&format!("Content-Length: {length}\r\n")) + SMUGGLED).served().body(SMUGGLED),
        Case::new(
            "of a DELETE",
            BODY,
            post(&format!("Content-Length: {length}\r\n"), SMUGGLED).replacen("POST", "DELETE", 1),
        )
        .served()
        .body(SMUGGLED),
        Case::new(
            "of a HEAD",
            BODY,
            post(&format!("Content-Length: {length}\r\n"), SMUGGLED).replacen("POST", "HEAD", 1),
        )
        .method("HEAD")
        .served()
        .body(SMUGGLED),
    ]);
}
