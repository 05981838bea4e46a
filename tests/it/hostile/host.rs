//! Host: there is one, and it is a host.

use super::case::{After, Arrives, Case, HOST, SMUGGLED, get};
use super::run::run;

const ONE: &str = "9112 §3.2";
const SYNTAX: &str = "9110 §7.2";
const NAME: &str = "3986 §3.2.2";

fn with(lines: &str) -> String {
    format!("GET /x HTTP/1.1\r\n{lines}\r\n")
}

#[test]
fn hostile_hosts_are_refused() {
    let hosts = [
        "svc.chitty.test/x",
        "svc.chitty.test/",
        "/svc.chitty.test",
        "svc.chitty.test?x",
        "svc.chitty.test#x",
        "http://svc.chitty.test",
        "svc.chitty.test nope.example",
        "svc. chitty.test",
        "svc.chitty.test\tnope.example",
        "svc.chitty.test,nope.example",
        "svc.chitty.test, svc.chitty.test",
        "svc.chitty.test;nope.example",
        "user@svc.chitty.test",
        "user:password@svc.chitty.test",
        "@svc.chitty.test",
        "svc.chitty.test@",
        "svc.chitty.test@nope.example",
        "svc.chitty.test:",
        "svc.chitty.test:x",
        "svc.chitty.test:80x",
        "svc.chitty.test:x80",
        "svc.chitty.test:-80",
        "svc.chitty.test:+80",
        "svc.chitty.test: 80",
        "svc.chitty.test :80",
        "svc.chitty.test:99999",
        "svc.chitty.test:65536",
        "svc.chitty.test:80:80",
        "svc.chitty.test:80@nope.example",
        "svc.chitty.test:80/x",
        "svc.chitty.test:0x50",
        "svc.chitty.test:80#@x",
        "[svc.chitty.test]",
        "[::1",
        "::1]",
        "[::1]x",
        "[::1]:x",
        "[[::1]]",
        "[]",
        "[v1.x]",
        "::1",
        "fe80::1",
        "svc%2echitty.test",
        "svc.chitty.test%00",
        "svc.chitty.test%0d%0a",
        "%73vc.chitty.test",
        "svc.chitty.test\\",
        "svc\\.chitty.test",
        "svc.chitty.test\0",
        "svc\0.chitty.test",
        "\0",
        "svc.chitty.test\x7f",
        "svc.chitty.test\x01",
        "svc。chitty.test",
        "svç.chitty.test",
        "svc.chitty.test\u{a0}",
        "*.chitty.test",
        "*",
        "svc.chitty.test|",
        "<svc>.chitty.test",
        "\"svc.chitty.test\"",
        "'svc.chitty.test'",
        "{svc}.chitty.test",
        "$host",
        "${host}",
        "svc.chitty.test^",
        "svc`.chitty.test",
        "svc.chitty.test=",
        "svc.chitty.test&x",
        "(svc).chitty.test",
        "!",
        ".svc.chitty.test..",
        "svc.chitty.test..",
        "svc..chitty.test",
        ".svc.chitty.test",
        ".",
        "..",
    ];
    let mut cases: Vec<Case> = hosts
        .iter()
        // A port may be empty (RFC 3986 §3.2.3).
        .filter(|host| **host != "svc.chitty.test:")
        .map(|host| {
            Case::new(format!("{host:?}"), SYNTAX, with(&format!("Host: {host}\r\n"))).either().status(&[400, 404])
        })
        .collect();
    cases.extend([
        Case::new("300 letters", NAME, with(&format!("Host: {}\r\n", "a".repeat(300)))).either(),
        Case::new("64 KiB", NAME, with(&format!("Host: {}\r\n", "a".repeat(60_000)))).either(),
        Case::new(
            "256 letters and the service behind them",
            NAME,
            with(&format!("Host: {}.{HOST}\r\n", "a".repeat(256))),
        )
        .either(),
    ]);
    run(&cases);
}

#[test]
fn hostile_numbers_of_hosts_are_refused() {
    run(&[
        Case::new("none", ONE, with("")).either(),
        Case::new(
            "none, and a body",
            ONE,
            format!("POST /x HTTP/1.1\r\nContent-Length: {}\r\n\r\n{SMUGGLED}", SMUGGLED.len()),
        ),
        Case::new("an empty one", ONE, with("Host:\r\n")).either().status(&[400, 404]),
        Case::new("one of white space", ONE, with("Host: \t \r\n")).either().status(&[400, 404]),
        Case::new("two that are equal", ONE, with("Host: svc.chitty.test\r\nHost: svc.chitty.test\r\n")),
        Case::new("two", ONE, with("Host: svc.chitty.test\r\nHost: nope.example\r\n")),
        Case::new("two, the other way round", ONE, with("Host: nope.example\r\nHost: svc.chitty.test\r\n")),
        Case::new(
            "two far apart and in other cases",
            ONE,
            with("hOST: svc.chitty.test\r\nX: y\r\nhost: nope.example\r\n"),
        ),
        Case::new("an empty one and one", ONE, with("Host:\r\nHost: svc.chitty.test\r\n")),
        Case::new("one behind a bare LF", ONE, with("Host: svc.chitty.test\nHost: nope.example\r\n")),
        Case::new("one behind a bare CR", ONE, with("Host: svc.chitty.test\rHost: nope.example\r\n")),
        Case::new("one in a fold", ONE, with("Host: svc.chitty.test\r\n Host: nope.example\r\n")),
        Case::new("one with a space before its colon", ONE, with("Host : svc.chitty.test\r\n")),
        Case::new(
            "a second with a space before its colon",
            ONE,
            with("Host: svc.chitty.test\r\nHost : nope.example\r\n"),
        ),
        Case::new("one before which is white space", ONE, with(" Host: svc.chitty.test\r\n")),
        Case::new("three", ONE, with(&"Host: svc.chitty.test\r\n".repeat(3))),
    ]);
}

#[test]
fn hostile_looking_hosts_that_are_hosts_are_served() {
    let host = |host: &str| Case::new(format!("{host:?}"), SYNTAX, with(&format!("Host:{host}\r\n"))).served();
    run(&[
        host(" SVC.Chitty.TEST"),
        host("svc.chitty.test"),
        host("\t svc.chitty.test \t"),
        host(" svc.chitty.test."),
        host(" svc.chitty.test:80"),
        host(" svc.chitty.test:"),
        host(" svc.chitty.test:65535"),
        host(" svc.chitty.test.:443"),
        host(" svc.chitty.test:0"),
    ]);
}

#[test]
fn hostile_fields_that_name_another_host_change_nothing() {
    let other = |line: &str| Case::new(line, SYNTAX, get(&format!("{line}\r\n"))).served().line("GET /x HTTP/1.1");
    run(&[
        other("X-Forwarded-Host: nope.example").field("x-forwarded-host", HOST),
        other("Forwarded: host=nope.example").field("forwarded", format!("for=127.0.0.1;host={HOST};proto=http")),
        other("X-Forwarded-Server: nope.example"),
        other("X-Host: nope.example"),
        other("X-Original-URL: /smuggled"),
        other("X-Rewrite-URL: /smuggled"),
        other("X-HTTP-Method-Override: DELETE"),
        other("X-Forwarded-For: 192.0.2.1").field("x-forwarded-for", "127.0.0.1"),
        other("X-Real-IP: 192.0.2.1").lacks("x-real-ip"),
        other("X-Forwarded-Proto: https").field("x-forwarded-proto", "http"),
        other("X-Forwarded-Port: 443").lacks("x-forwarded-port"),
        other("X-Forwarded-Prefix: /nope").lacks("x-forwarded-prefix"),
        Case::new("HTTP/1.0 without a Host", ONE, "GET /x HTTP/1.0\r\n\r\n").status(&[404]),
        Case::new("HTTP/1.0 with the prefix of a service", ONE, "GET /svc/api/x HTTP/1.0\r\n\r\n")
            .served()
            .line("GET /api/x HTTP/1.1")
            .after(After::Closes),
        Case::new("a host of nobody", SYNTAX, with("Host: nope.example\r\n"))
            .status(&[404])
            .after(After::Stays)
            .arrives(Arrives::Whole(0)),
    ]);
}
