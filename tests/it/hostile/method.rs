//! Methods that are none, and those that mean something to a proxy.

use super::case::{After, Arrives, Case, HOST, SMUGGLED};
use super::run::run;
use crate::support::CONNECT as GATEWAY;

const METHOD: &str = "9110 §9.1";
const CONNECT: &str = "9110 §9.3.6";
const TRACE: &str = "9110 §9.3.8";
const HOPS: &str = "9110 §7.6.2";
const HOPS_LEFT: &str = "Max-Forwards is neither counted down nor obeyed";

fn line(line: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
}

#[test]
fn hostile_methods_that_are_none_are_refused() {
    let methods = [
        "G@T", "GET:", "(GET)", "GET/", "\"GET\"", "G,T", "G;T", "G=T", "<GET>", "{GET}", "[GET]", "G\\T", "GÄT",
        "GET\0", "\0GET", "G\x01T", "G\x7fT", "G\tT",
    ];
    run(&methods.map(|method| Case::new(format!("{method:?}"), METHOD, line(&format!("{method} /x")))));
}

#[test]
fn hostile_looking_methods_pass_as_they_are() {
    let methods = [
        "get",
        "Get",
        "gET",
        "X",
        "X-ODD",
        "PROPFIND",
        "M-SEARCH",
        "GETGET",
        "DEBUG",
        "TRACK",
        "!#$%&'*+-.^_`|~",
        "0",
        "PRIX",
    ];
    run(&methods.map(|method| {
        Case::new(method, METHOD, line(&format!("{method} /x"))).served().line(format!("{method} /x HTTP/1.1"))
    }));
}

#[test]
fn hostile_connect_opens_no_tunnel() {
    let connect = |name: &str, bytes: String| Case::new(name, CONNECT, bytes).status(&[400, 405]);
    run(&[
        connect(
            "authority-form",
            line("CONNECT svc.chitty.test:80").replace("Host: svc.chitty.test", "Host: svc.chitty.test:80"),
        ),
        connect("another host", line("CONNECT nope.example:443")),
        connect("loopback", line("CONNECT 127.0.0.1:22")),
        connect("a path", line("CONNECT /x")),
        connect("a URL", line("CONNECT http://svc.chitty.test/x")),
        connect("with a request behind it", format!("{}{SMUGGLED}", line("CONNECT svc.chitty.test:80"))),
        connect(
            "with a length",
            format!(
                "CONNECT svc.chitty.test:80 HTTP/1.1\r\nHost: svc.chitty.test\r\nContent-Length: {}\r\n\r\n{SMUGGLED}",
                SMUGGLED.len()
            ),
        ),
        connect(
            "with chunks",
            format!(
                "CONNECT svc.chitty.test:80 HTTP/1.1\r\nHost: svc.chitty.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}"
            ),
        ),
        connect("on the gateway's own host", line("CONNECT svc:80").replace(HOST, GATEWAY)),
        connect("in lower case is another method", line("connect svc.chitty.test:80")).after(After::Either),
    ]);
}

#[test]
fn hostile_trace_and_options_stop_where_they_say() {
    let options = |fields: &str| format!("OPTIONS /x HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n");
    run(&[
        Case::new("TRACE", TRACE, line("TRACE /x"))
            .status(&[200, 405, 501])
            .after(After::Either)
            .arrives(Arrives::AtMost(1)),
        Case::new(
            "TRACE with Max-Forwards: 0",
            HOPS,
            format!("TRACE /x HTTP/1.1\r\nHost: {HOST}\r\nMax-Forwards: 0\r\n\r\n"),
        )
        .status(&[200, 405, 501])
        .after(After::Either)
        .finding(HOPS_LEFT),
        Case::new(
            "TRACE that shows a secret",
            TRACE,
            format!("TRACE /x HTTP/1.1\r\nHost: {HOST}\r\nMax-Forwards: 0\r\nCookie: secret\r\n\r\n"),
        )
        .status(&[200, 405, 501])
        .after(After::Either)
        .finding(HOPS_LEFT),
        Case::new("OPTIONS with Max-Forwards: 0", HOPS, options("Max-Forwards: 0\r\n"))
            .status(&[200, 204])
            .after(After::Either)
            .finding(HOPS_LEFT),
        Case::new("OPTIONS with Max-Forwards: 1", HOPS, options("Max-Forwards: 1\r\n"))
            .served()
            .field("max-forwards", "0")
            .finding(HOPS_LEFT),
        Case::new("GET with Max-Forwards: 0", HOPS, line("GET /x").replace("\r\n\r\n", "\r\nMax-Forwards: 0\r\n\r\n"))
            .served(),
        Case::new("OPTIONS *", "9112 §3.2.4", line("OPTIONS *"))
            .status(&[200, 204])
            .after(After::Stays)
            .arrives(Arrives::AtMost(1)),
        Case::new("OPTIONS * of the gateway", "9112 §3.2.4", line("OPTIONS *").replace(HOST, GATEWAY))
            .status(&[200, 204])
            .after(After::Stays),
        Case::new("OPTIONS ** ", "9112 §3.2.4", line("OPTIONS **")).either(),
        Case::new("GET *", "9112 §3.2.4", line("GET *")).either(),
        Case::new(
            "OPTIONS of the gateway with a request as its body",
            METHOD,
            format!("OPTIONS /x HTTP/1.1\r\nHost: {GATEWAY}\r\nContent-Length: {}\r\n\r\n{SMUGGLED}", SMUGGLED.len()),
        )
        .method("OPTIONS")
        .status(&[200, 204])
        .after(After::Either),
        Case::new(
            "HEAD with a body",
            METHOD,
            format!("HEAD /x HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 5\r\n\r\nhello"),
        )
        .method("HEAD")
        .served()
        .body("hello"),
    ]);
}
