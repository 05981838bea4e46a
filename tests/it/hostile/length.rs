//! Content-Length: one number, or a refusal.

use super::case::{Arrives, Case, HOST, SMUGGLED, get, post};
use super::run::run;

const LENGTH: &str = "9110 §8.6";
const FRAMING: &str = "9112 §6.3";

#[test]
fn hostile_lengths_that_are_no_number_are_refused() {
    let values = [
        "+3",
        "-3",
        "-0",
        "0x3",
        "3h",
        "",
        " ",
        "\t",
        "3 3",
        "3.0",
        "3.",
        "3;",
        "3,",
        ",3",
        ",",
        "3,,3",
        "1e1",
        "\"3\"",
        "٣",
        "３",
        "3\x0b",
        "\x0c3",
        "3\0",
        "\u{0}3",
        "three",
        "NaN",
        "0b11",
        "3_0",
        "3'0",
        "18446744073709551616",
        "99999999999999999999999999",
        "3, 4",
        "3, x",
        "3\r\n 3",
        "\r\n 3",
    ];
    let mut cases: Vec<Case> = values
        .iter()
        .map(|value| {
            let bytes = post(&format!("Content-Length: {value}\r\n"), &format!("abc{SMUGGLED}"));
            Case::new(format!("Content-Length: {value:?}"), LENGTH, bytes)
        })
        .collect();
    let lines = [
        "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: 4\r\nContent-Length: 3",
        "Content-Length: 3\r\ncontent-length: 5",
        "Content-Length: 3\r\nContent-Length: +3",
        "Content-Length: 3\r\nContent-Length: 3, 4",
        "Content-Length: 3\r\nContent-Length:",
        "Content-Length: 3\nContent-Length: 4",
        "Content-Length : 3",
        "Content-Length\t: 3",
        " Content-Length: 3",
        "X: y\rContent-Length: 3",
        "Content-\0Length: 3",
        "Content-Length: 0\r\nContent-Length: 3",
    ];
    cases.extend(lines.iter().map(|line| {
        let bytes = post(&format!("{line}\r\n"), &format!("abc{SMUGGLED}"));
        Case::new(format!("{line:?}"), FRAMING, bytes)
    }));
    run(&cases);
}

#[test]
fn hostile_lengths_that_agree_become_one() {
    let same = |lines: &str| Case::new(format!("{lines:?}"), LENGTH, post(lines, "abc")).served().body("abc");
    run(&[
        same("Content-Length: 3\r\nContent-Length: 3\r\n").field("content-length", "3"),
        same("Content-Length: 3\r\nX: y\r\nCONTENT-LENGTH:3\r\n").field("content-length", "3"),
        same("Content-Length: 3, 3\r\n").field("content-length", "3"),
        same("Content-Length: 3,3 ,\t3\r\n").field("content-length", "3"),
        same("Content-Length: 3, 3\r\nContent-Length: 3\r\n").field("content-length", "3"),
        same("Content-Length:\t 3 \t\r\n"),
        same("Content-Length: 0003\r\n"),
        same("Content-Length: 3\r\nConnection: Content-Length\r\n"),
        same("Connection: close, Content-Length\r\nContent-Length: 3\r\n").normalised(),
        same("Content-Length: 3\n").normalised(),
        Case::new("a GET with a body", LENGTH, get("Content-Length: 3\r\n") + "abc").served().body("abc"),
        Case::new("many zeros", LENGTH, post(&format!("Content-Length: {}3\r\n", "0".repeat(300)), "abc"))
            .served()
            .body("abc"),
    ]);
}

#[test]
fn hostile_lengths_beyond_the_limit_are_refused_unread() {
    let large = ["100000000000", "9223372036854775807", "9223372036854775808", "18446744073709551615"];
    let cases: Vec<Case> = large
        .iter()
        .map(|length| {
            let bytes = post(&format!("Content-Length: {length}\r\n"), SMUGGLED);
            Case::new(format!("Content-Length: {length}"), LENGTH, bytes).status(&[413]).then_end()
        })
        .collect();
    run(&cases);
}

#[test]
fn hostile_bodies_that_end_too_soon_are_never_whole() {
    let old = format!("POST /x HTTP/1.0\r\nHost: {HOST}\r\nContent-Length: 10\r\n\r\nhello");
    run(&[
        Case::new("half a body", FRAMING, post("Content-Length: 10\r\n", "hello")).broken().then_end(),
        Case::new("no body", FRAMING, post("Content-Length: 10\r\n", "")).broken().then_end(),
        Case::new("half a body of HTTP/1.0", FRAMING, old).broken().then_end(),
        Case::new("a body without a length", FRAMING, format!("POST /x HTTP/1.0\r\nHost: {HOST}\r\n\r\nhello"))
            .served()
            .after(super::case::After::Closes)
            .body(""),
        Case::new("half a header", "9112 §8", "GET /x HTTP/1.1\r\nHost: svc.chitty.te").broken().then_end(),
        Case::new("a header without its end", "9112 §8", "GET /x HTTP/1.1\r\nHost: svc.chitty.test\r\n")
            .broken()
            .then_end()
            .arrives(Arrives::Whole(0)),
    ]);
}
