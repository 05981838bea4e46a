//! Transfer-Encoding, alone and beside Content-Length: where does the body end?

use super::case::{Case, HOST, SMUGGLED, chunked, get, post};
use super::run::run;

/// RFC 9112 on both framings at once, and on codings that are not understood.
const BOTH: &str = "9112 §6.3";
const CODING: &str = "9112 §6.1";

#[test]
fn hostile_two_framings_are_read_as_chunked_and_end_the_connection() {
    let empty_then = format!("0\r\n\r\n{SMUGGLED}");
    let lengths = [
        ("CL.TE, the length of the chunks", "5".to_owned()),
        ("CL.TE, a length over the smuggled request", empty_then.len().to_string()),
        ("CL.TE, a length of 0", "0".to_owned()),
        ("CL.TE, a length over the smuggled request's beginning", "7".to_owned()),
        ("CL.TE, no number", "x".to_owned()),
        ("CL.TE, a signed number", "+5".to_owned()),
    ];
    let mut cases: Vec<Case> = lengths
        .iter()
        .flat_map(|(name, length)| {
            let (length, coding) = (format!("Content-Length: {length}\r\n"), "Transfer-Encoding: chunked\r\n");
            [
                Case::new(*name, BOTH, post(&format!("{length}{coding}"), &empty_then)),
                Case::new(name.replace("CL.TE", "TE.CL"), BOTH, post(&format!("{coding}{length}"), &empty_then)),
            ]
        })
        .map(|case| case.normalised().lacks("content-length").body(""))
        .collect();
    let hello = "5\r\nhello\r\n0\r\n\r\n";
    cases.extend([
        Case::new(
            "TE.CL, a length within the chunks",
            BOTH,
            post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", hello),
        )
        .normalised()
        .lacks("content-length")
        .body("hello"),
        Case::new(
            "TE beside two lengths",
            BOTH,
            post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n", hello),
        )
        .normalised()
        .lacks("content-length")
        .body("hello"),
        Case::new("CL.TE on a GET", BOTH, get("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n")
            .normalised()
            .lacks("content-length"),
        Case::new(
            "CL.TE where nobody is",
            BOTH,
            post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", &empty_then).replace(HOST, "nope.example"),
        )
        .status(&[404]),
    ]);
    run(&cases);
}

#[test]
fn hostile_codings_other_than_chunked_are_refused() {
    let body = format!("5\r\nhello\r\n0\r\n\r\n{SMUGGLED}");
    let lines = [
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunkedx",
        "Transfer-Encoding: x chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: cow",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: 'chunked'",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: chunked;",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding: ,chunked",
        "Transfer-Encoding:",
        "Transfer-Encoding: ,",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding: chunked\r\n , identity",
        "Transfer-Encoding: identity,\r\n\tchunked",
        "X: y\r\n Transfer-Encoding: chunked",
        " Transfer-Encoding: chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding: chunked\x0c",
        "Transfer-Encoding: \0chunked",
        "Transfer-Encoding: chunked\0",
        "Transfer-Encoding: \u{a0}chunked",
        "X: y\rTransfer-Encoding: chunked",
        "Transfer-Encoding: chun\rked",
        "\rTransfer-Encoding: chunked",
        "Transfer-\0Encoding: chunked",
    ];
    let mut cases: Vec<Case> = lines
        .iter()
        .flat_map(|line| {
            let with_length = format!("Content-Length: 5\r\n{line}\r\n");
            [
                Case::new(format!("{line:?}"), CODING, post(&format!("{line}\r\n"), &body)),
                Case::new(format!("{line:?} beside a length"), CODING, post(&with_length, &body)),
            ]
        })
        .map(|case| case.status(&[400, 501]))
        .collect();
    let old = chunked(&body).replace("HTTP/1.1\r\nHost: svc", "HTTP/1.0\r\nHost: svc");
    cases.push(Case::new("chunked in HTTP/1.0", CODING, &old));
    cases.push(Case::new(
        "chunked in HTTP/1.0 that stays",
        CODING,
        old.replace("\r\nTr", "\r\nConnection: keep-alive\r\nTr"),
    ));
    run(&cases);
}

#[test]
fn hostile_chunked_is_known_however_it_is_written() {
    let body = "5\r\nhello\r\n0\r\n\r\n";
    let coded = |name: &str, lines: &str| Case::new(name, CODING, post(lines, body)).served().body("hello");
    run(&[
        coded("Chunked", "Transfer-Encoding: Chunked\r\n"),
        coded("CHUNKED", "TRANSFER-ENCODING: CHUNKED\r\n"),
        coded("a tab before it", "Transfer-Encoding:\tchunked\r\n"),
        coded("white space around it", "Transfer-Encoding: \t chunked \t \r\n"),
        coded("no white space", "Transfer-Encoding:chunked\r\n"),
        coded("nominated by Connection", "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n"),
        Case::new("on a GET", CODING, get("Transfer-Encoding: chunked\r\n") + body).served().body("hello"),
        Case::new("under another name", CODING, post("Transfer_Encoding: chunked\r\nContent-Length: 5\r\n", "hello"))
            .served()
            .body("hello"),
        Case::new("hidden behind a bare LF", "9112 §2.2", post("X: y\nTransfer-Encoding: chunked\r\n", body))
            .normalised()
            .body("hello"),
        Case::new("of HEAD", CODING, chunked(body).replace("POST", "HEAD")).method("HEAD").served().body("hello"),
    ]);
}
