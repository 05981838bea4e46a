//! Bodies: lengths that lie, data where none may be, and too much of it.

use super::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PADDED, PROTOCOL_ERROR, RST_STREAM, STREAM_CLOSED, block,
    frame,
};
use super::run::{Case, GET, POST, SMALL, data, get_with, open, run, whole};

const LENGTH: &str = "9113 §8.1.1";
const STREAM: &str = "9113 §5.1";

fn post_of(length: &str) -> Vec<u8> {
    open(&[&POST[..], &[("content-length", length)]].concat())
}

#[test]
fn hostile_h2_lengths_that_lie_are_refused() {
    let hello = |length: &str| [post_of(length), data("hello", true)].concat();
    run(&[
        Case::served("the truth", LENGTH, hello("5")).body("hello"),
        Case::served("no length", LENGTH, [open(&POST), data("hello", true)].concat()).body("hello"),
        Case::served(
            "in parts",
            LENGTH,
            [post_of("5"), data("he", false), data("", false), data("llo", true)].concat(),
        )
        .body("hello"),
        Case::served(
            "padded",
            "9113 §6.1",
            [post_of("5"), frame(DATA, PADDED | END_STREAM, 1, b"\x03hello\0\0\0")].concat(),
        )
        .body("hello"),
        Case::refused("too long", LENGTH, hello("6")).may_begin(),
        Case::refused("much too long", LENGTH, hello("1000000")).may_begin(),
        Case::refused("too short", LENGTH, hello("4")).may_begin(),
        // Whole as soon as its header is: what follows is not sent on.
        Case::refused("of 0, and a body", LENGTH, hello("0")).may_begin().most(1),
        Case::refused("of a body that never comes", LENGTH, get_with(&[("content-length", "5")])).may_begin(),
        Case::refused(
            "of a request in its body",
            LENGTH,
            [post_of("3"), data("abcGET /smuggled HTTP/1.1\r\n\r\n", true)].concat(),
        )
        .may_begin(),
        Case::refused(
            "two of them",
            LENGTH,
            [open(&[&POST[..], &[("content-length", "5"), ("content-length", "6")]].concat()), data("hello", true)]
                .concat(),
        ),
        Case::refused("a list of two", LENGTH, hello("5, 6")),
        Case::refused("with a sign", LENGTH, hello("+5")),
        Case::refused("below 0", LENGTH, hello("-5")),
        Case::refused("no number", LENGTH, hello("x")),
        Case::refused("empty", LENGTH, hello("")),
        Case::refused("beyond 64 bits", LENGTH, hello("18446744073709551616")),
        Case::refused("in hexadecimal", LENGTH, hello("0x5")),
        Case::refused("beyond the limit", LENGTH, post_of("18446744073709551615")).status(&[400, 413]),
    ]);
}

#[test]
fn hostile_h2_bodies_beyond_the_limit_are_refused() {
    let small = POST.map(|(name, value)| if name == ":authority" { (name, SMALL) } else { (name, value) });
    let parts: Vec<u8> = (0..20).flat_map(|_| data("0123456789", false)).collect();
    run(&[
        Case::served("the limit", LENGTH, [open(&small), data(&"x".repeat(64), true)].concat()).body(&"x".repeat(64)),
        Case::refused("one byte more", LENGTH, [open(&small), data(&"x".repeat(65), true)].concat())
            .status(&[413])
            .may_begin(),
        Case::refused("in parts that never end", LENGTH, [open(&small), parts].concat()).status(&[413]).may_begin(),
        Case::refused("announced", LENGTH, open(&[&small[..], &[("content-length", "65")]].concat())).status(&[413]),
    ]);
}

#[test]
fn hostile_h2_data_and_headers_out_of_turn_are_refused() {
    let trailers = |fields: &[(&str, &str)], flags: u8| frame(HEADERS, flags, 1, block(fields.iter().copied()));
    let begun = [open(&POST), data("hello", false)].concat();
    run(&[
        Case::served(
            "trailers",
            "9113 §8.1",
            [begun.clone(), trailers(&[("x", "y")], END_HEADERS | END_STREAM)].concat(),
        )
        .body("hello"),
        Case::refused(
            "trailers with a pseudo-header",
            "9113 §8.1",
            [begun.clone(), trailers(&[(":path", "/smuggled")], END_HEADERS | END_STREAM)].concat(),
        )
        .may_begin()
        .finding("the crate h2 passes over pseudo-headers in trailers"),
        Case::refused(
            "trailers that do not end",
            "9113 §8.1",
            [begun.clone(), trailers(&[("x", "y")], END_HEADERS)].concat(),
        )
        .may_begin(),
        Case::ended(
            "data behind the end",
            STREAM,
            [whole(&GET), data("hello", true)].concat(),
            &[STREAM_CLOSED, PROTOCOL_ERROR],
        )
        .most(1)
        .may_begin(),
        Case::ended(
            "headers behind the end",
            STREAM,
            [whole(&GET), whole(&GET)].concat(),
            &[STREAM_CLOSED, PROTOCOL_ERROR],
        )
        .most(1)
        .may_begin(),
        Case::borne(
            "data behind a reset",
            STREAM,
            [open(&POST), frame(RST_STREAM, 0, 1, [0, 0, 0, 8]), data("hello", true)].concat(),
            0,
        ),
        Case::ended("data on a stream that is idle", STREAM, data("hello", true), &[PROTOCOL_ERROR, STREAM_CLOSED]),
        Case::ended(
            "a part of a header that nobody began",
            "9113 §6.10",
            frame(CONTINUATION, END_HEADERS, 1, block(GET)),
            &[PROTOCOL_ERROR],
        ),
        Case::ended(
            "padding longer than the frame",
            "9113 §6.1",
            [open(&POST), frame(DATA, PADDED | END_STREAM, 1, b"\xffhello")].concat(),
            &[PROTOCOL_ERROR],
        )
        .may_begin(),
    ]);
}
