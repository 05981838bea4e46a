//! Chunks: sizes, extensions, ends and trailers.

use super::case::{After, Arrives, Case, SMALL, SMUGGLED, chunked, post};
use super::run::run;

const CHUNKED: &str = "9112 §7.1";
const EXTENSION: &str = "9112 §7.1.1";
const TRAILER: &str = "9112 §7.1.2";
/// What follows is then read as trailers, and what follows those as a request.
const NO_SIZE: &str = "httparse takes a size without digits for 0, and so for the last chunk";
/// It is not sent on; but who reads in front of the gateway may end the line there.
const ANY_OCTET: &str = "httparse lets any octet stand in a chunk extension";
const END: &str = "0\r\n\r\n";

#[test]
fn hostile_chunk_sizes_break_the_request_off() {
    let sizes = [
        "",
        " ",
        "g",
        "x5",
        "5x",
        "0x5",
        "0X5",
        "-5",
        "+5",
        "-0",
        " 5",
        "\t5",
        "5 5",
        "5,5",
        "5.0",
        "5_0",
        "\"5\"",
        "5\0",
        "\u{0}5",
        "５",
        "zz",
        "hello",
        "0 x",
        "00 0",
        "0x0",
        "-1",
        "10000000000000005",
        "00000000000000000000005x",
        "ffffffffffffffff",
        "fffffffffffffffe",
        "fffffffffffffffff",
        "10000000000000000",
        "99999999999999999999999999999999",
    ];
    let mut cases: Vec<Case> = sizes
        .iter()
        .map(|size| {
            let bytes = chunked(&format!("{size}\r\nhello\r\n{END}{SMUGGLED}"));
            let case = Case::new(format!("a size of {size:?}"), CHUNKED, bytes).broken();
            if size.trim().is_empty() { case.finding(NO_SIZE) } else { case }
        })
        .collect();
    let bodies = [
        ("a bare LF after the size", "5\nhello\r\n0\r\n\r\n"),
        ("a bare CR after the size", "5\rhello\r\n0\r\n\r\n"),
        ("a bare CR and more after the size", "5\rX\nhello\r\n0\r\n\r\n"),
        ("CR CR LF after the size", "5\r\r\nhello\r\n0\r\n\r\n"),
        ("no line end after the data", "5\r\nhello0\r\n\r\n"),
        ("two bytes instead of the line end", "5\r\nhelloXX0\r\n\r\n"),
        ("a bare LF after the data", "5\r\nhello\n0\r\n\r\n"),
        ("a bare CR after the data", "5\r\nhello\r0\r\n\r\n"),
        ("LF CR after the data", "5\r\nhello\n\r0\r\n\r\n"),
        ("more data than the size", "3\r\nhello\r\n0\r\n\r\n"),
        ("less data than the size", "7\r\nhello\r\n0\r\n\r\n"),
        ("no chunks at all", "hello"),
        ("a request instead of chunks", "GET /smuggled HTTP/1.1\r\nHost: svc.chitty.test\r\n\r\n"),
        ("a bare LF at the end", "5\r\nhello\r\n0\n\n"),
        ("a bare LF as the last line", "5\r\nhello\r\n0\r\n\n"),
        ("a bare CR as the last line", "5\r\nhello\r\n0\r\n\rX"),
    ];
    cases.extend(
        bodies.iter().map(|(name, body)| Case::new(*name, CHUNKED, chunked(&format!("{body}{SMUGGLED}"))).broken()),
    );
    let body = format!("\r\n5\r\nhello\r\n0\r\n\r\n{SMUGGLED}");
    cases.push(Case::new("an empty line before the size", CHUNKED, chunked(&body)).broken().finding(NO_SIZE));
    run(&cases);
}

#[test]
fn hostile_chunks_that_end_too_soon_are_never_whole() {
    let bodies = [
        ("nothing of it", ""),
        ("half a size", "5"),
        ("a size", "5\r\n"),
        ("half a chunk", "5\r\nhel"),
        ("a chunk without its end", "5\r\nhello"),
        ("a chunk without half of its end", "5\r\nhello\r"),
        ("no last chunk", "5\r\nhello\r\n"),
        ("half of the last chunk", "5\r\nhello\r\n0"),
        ("the last chunk without its end", "5\r\nhello\r\n0\r\n"),
        ("the last chunk without half of its end", "5\r\nhello\r\n0\r\n\r"),
        ("half a trailer", "5\r\nhello\r\n0\r\nX: y"),
        ("a trailer without its end", "5\r\nhello\r\n0\r\nX: y\r\n"),
    ];
    run(&bodies.map(|(name, body)| Case::new(name, CHUNKED, chunked(body)).broken().then_end()));
}

#[test]
fn hostile_chunks_are_framed_anew() {
    let framed = |name: &str, body: &str| Case::new(name, CHUNKED, chunked(body)).served().body("hello");
    run(&[
        framed("one chunk", "5\r\nhello\r\n0\r\n\r\n"),
        framed("five chunks", "1\r\nh\r\n1\r\ne\r\n1\r\nl\r\n1\r\nl\r\n1\r\no\r\n0\r\n\r\n"),
        framed("zeros before the size", "0005\r\nhello\r\n000\r\n\r\n"),
        framed("an extension", "5;a=b\r\nhello\r\n0\r\n\r\n"),
        framed("a quoted extension", "5;a=\"b;c\"\r\nhello\r\n0;d\r\n\r\n"),
        framed("white space before an extension", "5 ; a = b\r\nhello\r\n0\r\n\r\n"),
        framed("an extension that looks like a chunk", "5;5\r\nhello\r\n0;0\r\n\r\n"),
        Case::new("upper case", CHUNKED, chunked("A\r\nhellohello\r\n0\r\n\r\n")).served().body("hellohello"),
        Case::new(
            "a request within a chunk",
            CHUNKED,
            chunked(&format!("{:x}\r\n{SMUGGLED}\r\n{END}", SMUGGLED.len())),
        )
        .served()
        .body(SMUGGLED),
        // Valid, but nobody writes that: refused or read.
        Case::new("twenty zeros before the size", CHUNKED, chunked(&format!("{}5\r\nhello\r\n{END}", "0".repeat(20))))
            .status(&[200, 400])
            .after(After::Either)
            .arrives(Arrives::Broken),
        Case::new("a space after the size", CHUNKED, chunked("5 \r\nhello\r\n0\r\n\r\n"))
            .status(&[200])
            .after(After::Either)
            .arrives(Arrives::AtMost(1))
            .body("hello"),
    ]);
}

#[test]
fn hostile_extensions_hide_nothing() {
    let long = |bytes: usize| chunked(&format!("5;{}\r\nhello\r\n{END}", "a".repeat(bytes)));
    let within_lf = format!("5;a\nhello\r\n0\r\n\r\n{SMUGGLED}");
    let many = "1;a=b\r\nh\r\n".repeat(1000);
    run(&[
        Case::new("a bare LF in it", EXTENSION, chunked("5;a\nb\r\nhello\r\n0\r\n\r\n")).broken().finding(ANY_OCTET),
        Case::new("a bare LF that would end it", EXTENSION, chunked(&within_lf)).broken(),
        Case::new("a bare LF at its beginning", EXTENSION, chunked(&format!("5;\nhello\r\n0\r\n\r\n{SMUGGLED}")))
            .broken(),
        Case::new("a bare CR in it", EXTENSION, chunked("5;a\rb\r\nhello\r\n0\r\n\r\n")).broken(),
        Case::new("NUL in it", EXTENSION, chunked("5;a\0b\r\nhello\r\n0\r\n\r\n")).broken().finding(ANY_OCTET),
        Case::new("a quoted line end", EXTENSION, chunked("5;a=\"\r\nhello\r\n0\r\n\r\n"))
            .status(&[200])
            .after(After::Either)
            .arrives(Arrives::AtMost(1))
            .body("hello"),
        Case::new("on the last chunk, with a bare LF", EXTENSION, chunked("5\r\nhello\r\n0;a\nb\r\n\r\n"))
            .broken()
            .finding(ANY_OCTET)
            .then_end(),
        Case::new("of 9 KiB", EXTENSION, long(9 * 1024))
            .status(&[200, 400])
            .after(After::Either)
            .arrives(Arrives::AtMost(1)),
        Case::new("of 100 KiB", EXTENSION, long(100 * 1024)).broken(),
        Case::new("of 1 MiB", EXTENSION, long(1 << 20)).broken(),
        Case::new("on a thousand chunks", EXTENSION, chunked(&format!("{many}{END}"))).served().body("h".repeat(1000)),
    ]);
}

#[test]
fn hostile_trailers_change_nothing() {
    let trailed = |name: &str, trailers: &str| {
        Case::new(name, TRAILER, chunked(&format!("5\r\nhello\r\n0\r\n{trailers}\r\n"))).served().body("hello")
    };
    let broken = |name: &str, trailers: &str| {
        let bytes = chunked(&format!("5\r\nhello\r\n0\r\n{trailers}"));
        Case::new(name, TRAILER, bytes).broken().then_end()
    };
    run(&[
        trailed("one", "X: y\r\n").lacks("x"),
        trailed("Content-Length", "Content-Length: 100\r\n").lacks("content-length"),
        trailed("Transfer-Encoding", "Transfer-Encoding: identity\r\n").field("transfer-encoding", "chunked"),
        trailed("Host", "Host: nope.example\r\n").lacks("host-of-trailer"),
        trailed("Authorization", "Authorization: Bearer x\r\n").lacks("authorization"),
        trailed("X-Forwarded-For", "X-Forwarded-For: 192.0.2.1\r\n").field("x-forwarded-for", "127.0.0.1"),
        trailed("Connection", "Connection: close\r\n"),
        trailed("announced by Trailer", "X: y\r\n").lacks("x"),
        trailed("a request line", "GET /smuggled HTTP/1.1\r\nHost: svc.chitty.test\r\n"),
        Case::new("a request behind them", TRAILER, chunked(&format!("0\r\nX: y\r\n\r\n{}", super::case::get(""))))
            .served()
            .answers(&[&[200], &[200]])
            .arrives(Arrives::Whole(2)),
        broken("ended with a bare LF", "X: y\n\n"),
        broken("one ended with a bare LF", "X: y\n\r\n"),
        broken("with a bare CR", "X: a\rb\r\n\r\n"),
        broken("70 KiB of them", &format!("{}\r\n", "X: y\r\n".repeat(12 * 1024))),
        broken("one of 100 KiB", &format!("X: {}\r\n\r\n", "y".repeat(100 * 1024))),
    ]);
}

#[test]
fn hostile_chunks_beyond_the_limit_are_refused() {
    let small = |body: &str| chunked(body).replace(super::case::HOST, SMALL);
    let piece = "40\r\n".to_owned() + &"x".repeat(64) + "\r\n";
    run(&[
        Case::new("one chunk", CHUNKED, small(&format!("{piece}{END}"))).served(),
        Case::new("one byte more", CHUNKED, small(&format!("{piece}1\r\nx\r\n{END}{SMUGGLED}")))
            .broken()
            .status(&[413]),
        Case::new("a size beyond it", CHUNKED, small(&format!("ffffff\r\n{}", "x".repeat(200))))
            .broken()
            .status(&[413])
            .then_end(),
        Case::new("a size beyond it and nothing more", CHUNKED, small("ffffff\r\n")).broken().then_end(),
        Case::new("a hundred chunks", CHUNKED, small(&format!("{}{END}{SMUGGLED}", "2\r\nxy\r\n".repeat(100))))
            .broken()
            .status(&[413]),
        Case::new(
            "a request in what is too much",
            CHUNKED,
            small(&format!("{piece}{:x}\r\n{SMUGGLED}\r\n{END}{SMUGGLED}", SMUGGLED.len())),
        )
        .broken()
        .status(&[413]),
        Case::new(
            "a length beyond it beside chunks",
            CHUNKED,
            post("Content-Length: 100000\r\nTransfer-Encoding: chunked\r\n", END).replace(super::case::HOST, SMALL),
        )
        .normalised(),
    ]);
}
