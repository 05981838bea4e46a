//! Where lines end: obs-fold, bare LF and CR, and the first line's words.

use super::case::{After, Case, HOST, SMUGGLED, get};
use super::run::run;

const LINE: &str = "9112 §2.2";
const REQUEST_LINE: &str = "9112 §3";
/// A recipient should not mend a request line and go on (RFC 9112 §3.2).
const ENCODED: &str = "Pingora percent-encodes what no target may have, and goes on";
/// The header's checks come before the connection is told to end.
const EARLY: &str = "a request that is refused before its framing is looked at keeps its connection";
const FOLD: &str = "9112 §5.2";

#[test]
fn hostile_folded_lines_are_refused() {
    run(&[
        Case::new("a folded value", FOLD, get("X: a\r\n b\r\n")),
        Case::new("a value folded with a tab", FOLD, get("X: a\r\n\tb\r\n")),
        Case::new("a value that begins on the next line", FOLD, get("X:\r\n a\r\n")),
        Case::new("folded with a bare LF", FOLD, get("X: a\n b\r\n")),
        Case::new("a folded Host", FOLD, format!("GET /x HTTP/1.1\r\nHost:\r\n {HOST}\r\n\r\n")),
        Case::new("a line of white space", FOLD, get("X: a\r\n \r\n")),
        Case::new(
            "white space before the first field",
            LINE,
            format!("GET /x HTTP/1.1\r\n X: y\r\nHost: {HOST}\r\n\r\n"),
        ),
        Case::new(
            "a line of white space before the first field",
            LINE,
            format!("GET /x HTTP/1.1\r\n \r\nHost: {HOST}\r\n\r\n"),
        ),
        Case::new("a folded first line", LINE, format!("GET /x\r\n HTTP/1.1\r\nHost: {HOST}\r\n\r\n")),
    ]);
}

#[test]
fn hostile_bare_line_feeds_are_read_and_end_the_connection() {
    let lf = |name: &str, bytes: String| Case::new(name, LINE, bytes).normalised().line("GET /x HTTP/1.1");
    run(&[
        lf("every line", get("X: y\r\n").replace('\r', "")),
        lf("the request line", get("X: y\r\n").replacen('\r', "", 1)),
        lf("a field", get("X: y\n")),
        lf("the empty line", format!("GET /x HTTP/1.1\r\nHost: {HOST}\r\n\n")),
        lf("the last field and the empty line", format!("GET /x HTTP/1.1\r\nHost: {HOST}\n\n")),
        lf("the last field alone", format!("GET /x HTTP/1.1\r\nHost: {HOST}\n\r\n")),
        lf("a request behind it", format!("GET /x HTTP/1.1\r\nHost: {HOST}\n\n{SMUGGLED}")),
        lf("in front of the request line", format!("\n{}", get(""))),
        Case::new("nobody's host", LINE, "GET /x HTTP/1.1\nHost: nope.example\n\n").status(&[404]),
        Case::new("a bad path", LINE, format!("GET /../x HTTP/1.1\nHost: {HOST}\n\n")),
        Case::new("without a Host", LINE, "GET /x HTTP/1.1\nX: y\n\n").finding(EARLY),
        Case::new("a local answer", LINE, "GET /health HTTP/1.1\nHost: connect.chitty.test\n\n").status(&[200]),
    ]);
}

#[test]
fn hostile_bare_carriage_returns_are_refused() {
    run(&[
        Case::new("every line", LINE, get("X: y\r\n").replace('\n', "")).status(&[400, 0]).then_end(),
        Case::new("the end of the request line", LINE, format!("GET /x HTTP/1.1\rHost: {HOST}\r\n\r\n")),
        Case::new("the end of a field", LINE, get("X: y\r")),
        Case::new("in a value", LINE, get("X: a\rb\r\n")),
        Case::new("in a value, with a field behind it", LINE, get("X: a\rHost: nope.example\r\n")),
        Case::new("at the end of a value", LINE, get("X: a\r\r\n")),
        Case::new("in a name", LINE, get("X\rY: a\r\n")),
        Case::new("before a name", LINE, get("\rX: a\r\n")),
        Case::new("in the method", LINE, format!("GE\rT /x HTTP/1.1\r\nHost: {HOST}\r\n\r\n")),
        Case::new("in the target", LINE, format!("GET /x\ry HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).finding(ENCODED),
        Case::new("before the version", LINE, format!("GET /x \rHTTP/1.1\r\nHost: {HOST}\r\n\r\n")),
        Case::new("instead of a space", LINE, format!("GET\r/x\rHTTP/1.1\r\nHost: {HOST}\r\n\r\n")),
        Case::new("after the version", LINE, format!("GET /x HTTP/1.1\r\r\nHost: {HOST}\r\n\r\n")),
        Case::new("the first of the empty line's", LINE, format!("GET /x HTTP/1.1\r\nHost: {HOST}\r\n\r\r\n")),
        Case::new("in front of the request line", LINE, format!("\r{}", get(""))),
    ]);
}

#[test]
fn hostile_empty_lines_before_a_request_are_passed_over() {
    run(&[
        Case::new("one", LINE, format!("\r\n{}", get(""))).served().line("GET /x HTTP/1.1"),
        Case::new("three", LINE, format!("\r\n\r\n\r\n{}", get(""))).served().line("GET /x HTTP/1.1"),
        Case::new("between two requests", LINE, format!("{}\r\n{}", get(""), get("")))
            .served()
            .answers(&[&[200], &[200]])
            .arrives(super::case::Arrives::Whole(2)),
        Case::new("one before what is refused", LINE, format!("\r\n{}", super::case::get_target("/x#y"))).either(),
        Case::new("white space in front", LINE, format!(" \r\n{}", get(""))),
        Case::new("a space in front", LINE, format!(" {}", get(""))),
        Case::new("nothing but empty lines", LINE, "\r\n".repeat(2000)).status(&[400, 0]).then_end(),
    ]);
}

#[test]
fn hostile_request_lines_are_refused() {
    let line = |name: &str, line: &str| Case::new(name, REQUEST_LINE, format!("{line}\r\nHost: {HOST}\r\n\r\n"));
    run(&[
        line("two spaces before the target", "GET  /x HTTP/1.1").either(),
        line("two spaces before the version", "GET /x  HTTP/1.1").finding(ENCODED),
        line("a space after the version", "GET /x HTTP/1.1 "),
        line("tabs instead of spaces", "GET\t/x\tHTTP/1.1"),
        line("a tab in the target", "GET /x\ty HTTP/1.1").finding(ENCODED),
        line("a space in the target", "GET /x y HTTP/1.1").finding(ENCODED),
        line("two spaces in the target", "GET /x y z HTTP/1.1").finding(ENCODED),
        line("a version as a part of the target", "GET /x HTTP/1.1 HTTP/1.1"),
        line("a request as a part of the target", "GET /x HTTP/1.1 GET /smuggled HTTP/1.1"),
        line("a quoted target with a space", "GET \"/x y\" HTTP/1.1").either(),
        line("a space in an absolute target", "GET http://svc.chitty.test/x y HTTP/1.1").finding(ENCODED),
        line("no target", "GET  HTTP/1.1"),
        line("no target and one space", "GET HTTP/1.1"),
        line("no method", "/x HTTP/1.1"),
        line("no method but its space", " /x HTTP/1.1"),
        line("only a target", "/x"),
        line("only a method", "GET"),
        line("nothing of it", ""),
        line("a field instead", "X: y"),
        line("an answer instead", "HTTP/1.1 200 OK"),
        line("a vertical tab", "GET\x0b/x HTTP/1.1"),
        line("a form feed", "GET /x\x0cHTTP/1.1"),
        line("a non-breaking space", "GET\u{a0}/x HTTP/1.1"),
        line("a line feed in the target", "GET /x\n/y HTTP/1.1"),
    ]);
}

#[test]
fn hostile_versions_are_refused() {
    let version = |version: &str| {
        let bytes = format!("GET /x {version}\r\nHost: {HOST}\r\n\r\n");
        Case::new(format!("{version:?}"), "9112 §2.3", bytes).status(&[400, 505])
    };
    let versions = [
        "HTTP/0.9",
        "HTTP/1.2",
        "HTTP/1.9",
        "HTTP/1.10",
        "HTTP/1.11",
        "HTTP/1.",
        "HTTP/1",
        "HTTP/2",
        "HTTP/2.0",
        "HTTP/2.1",
        "HTTP/3.0",
        "HTTP/9.9",
        "HTTP/01.1",
        "HTTP/1.01",
        "HTTP/+1.1",
        "HTTP/-1.1",
        "HTTP/1,1",
        "HTTP 1.1",
        "HTTP/11",
        "HTTP/1.1x",
        "HTTP/1.1/",
        "HTTP/1.1,",
        "http/1.1",
        "Http/1.1",
        "HTTPS/1.1",
        "HTCPCP/1.0",
        "ICAP/1.0",
        "HTTP/",
        "HTTP",
        "/1.1",
        "1.1",
        "HTTP/१.१",
        "HTTP/1.\0",
        "XHTTP/1.1",
        "HTTP/1.1\t",
    ];
    let mut cases: Vec<Case> = versions.map(version).to_vec();
    cases.extend([
        Case::new("HTTP/0.9 without a version", "9112 §2.3", "GET /x\r\n").status(&[400, 0]).then_end(),
        Case::new("HTTP/0.9 with an empty line", "9112 §2.3", "GET /x\r\n\r\n"),
        Case::new("HTTP/0.9 with a target of ours", "9112 §2.3", "GET http://svc.chitty.test/x\r\n\r\n"),
        Case::new("the beginning of HTTP/2", "9113 §3.4", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").status(&[400, 505, 0]),
        Case::new(
            "the beginning of HTTP/2 with a request",
            "9113 §3.4",
            format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{SMUGGLED}"),
        )
        .status(&[400, 505, 0]),
        Case::new("PRI in HTTP/1.1", "9113 §3.4", format!("PRI * HTTP/1.1\r\nHost: {HOST}\r\n\r\nSM\r\n\r\n"))
            .answers(&[&[400], &[400]]),
        Case::new("TLS", "9112 §3", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03 and so on\r\n\r\n")
            .status(&[400, 0]),
        Case::new("the PROXY protocol", "9112 §3", format!("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n{}", get("")))
            .status(&[400, 505]),
        Case::new("HTTP/1.0", "9112 §9.3", format!("GET /x HTTP/1.0\r\nHost: {HOST}\r\n\r\n"))
            .served()
            .after(After::Closes),
        Case::new(
            "HTTP/1.0 that stays",
            "9112 §9.3",
            format!("GET /x HTTP/1.0\r\nHost: {HOST}\r\nConnection: keep-alive\r\n\r\n"),
        )
        .served()
        .line("GET /x HTTP/1.1")
        .after(After::Either),
    ]);
    run(&cases);
}
