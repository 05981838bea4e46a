//! Floods: frames that cost little to send and much to take, and headers that grow.

use super::frames::{
    CANCEL, COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, FRAME_SIZE_ERROR,
    HEADERS, PING, PRIORITY, PROTOCOL_ERROR, RST_STREAM, WINDOW_UPDATE, block, frame, literal, setting,
};
use super::run::{Case, GET, POST, data, get_with, on, open, run, whole};

const FLOOD: &str = "9113 §10.5";
const HEADER: &str = "9113 §10.5.1";

/// So many streams, beginning with the first.
fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|n| n * 2 + 1)
}

/// The same frame many times.
fn many(count: usize, bytes: &[u8]) -> Vec<u8> {
    bytes.repeat(count)
}

#[test]
fn hostile_h2_rapid_resets_are_borne() {
    let reset = |stream| frame(RST_STREAM, 0, stream, CANCEL.to_be_bytes());
    let rapid: Vec<u8> = streams(2000).flat_map(|stream| [on(stream, &GET), reset(stream)].concat()).collect();
    let begun: Vec<u8> = streams(2000)
        .flat_map(|stream| [frame(HEADERS, END_HEADERS, stream, block(POST)), reset(stream)].concat())
        .collect();
    // Streams that the other side has to reset itself.
    let made: Vec<u8> = streams(2000)
        .flat_map(|stream| {
            [frame(HEADERS, END_HEADERS, stream, block(POST)), frame(WINDOW_UPDATE, 0, stream, [0; 4])].concat()
        })
        .collect();
    let malformed: Vec<u8> =
        streams(2000).flat_map(|stream| on(stream, &[GET[0], GET[1], GET[2], GET[3], ("te", "x")])).collect();
    let refused: Vec<u8> = streams(500).flat_map(|stream| frame(HEADERS, END_HEADERS, stream, block(POST))).collect();
    run(&[
        Case::borne("2000 requests, each reset", FLOOD, rapid, 2000),
        Case::borne("2000 beginnings, each reset", FLOOD, begun, 0),
        Case::borne("2000 requests that have to be reset", FLOOD, made, 0),
        Case::borne("2000 malformed requests", FLOOD, malformed, 0),
        Case::borne("500 requests at once", "9113 §5.1.2", refused, 0),
    ]);
}

#[test]
fn hostile_h2_floods_of_small_frames_are_borne() {
    let body = |frames: Vec<u8>| [open(&POST), frames, data("", true)].concat();
    run(&[
        Case::borne("10000 pings", FLOOD, many(10_000, &frame(PING, 0, 0, [0; 8])), 0),
        Case::borne("10000 answers to no ping", FLOOD, many(10_000, &frame(PING, 1, 0, [0; 8])), 0),
        Case::borne("10000 settings", FLOOD, many(10_000, &setting(3, 100)), 0),
        Case::borne("10000 windows of streams to come", FLOOD, many(10_000, &setting(4, 65_535)), 0),
        Case::borne("10000 acknowledgements", FLOOD, many(10_000, &frame(4, 1, 0, b"")), 0),
        Case::borne("10000 windows", FLOOD, many(10_000, &frame(WINDOW_UPDATE, 0, 0, [0, 0, 0, 1])), 0),
        Case::borne("10000 priorities", FLOOD, many(10_000, &frame(PRIORITY, 0, 1, [0, 0, 0, 0, 0])), 0),
        Case::borne("10000 frames that there are not", FLOOD, many(10_000, &frame(0xbe, 0, 0, b"")), 0),
        Case::borne("10000 empty parts of a body", FLOOD, body(many(10_000, &frame(DATA, 0, 1, b""))), 1),
        Case::borne(
            "10000 padded parts of a body",
            FLOOD,
            body(many(200, &frame(DATA, 8, 1, [&[255_u8][..], &[0; 255]].concat()))),
            1,
        ),
    ]);
}

#[test]
fn hostile_h2_headers_without_an_end_end_the_connection() {
    let begun = frame(HEADERS, END_STREAM, 1, block(GET));
    let part = |payload: &[u8]| frame(CONTINUATION, 0, 1, payload);
    let calm: &[u32] = &[ENHANCE_YOUR_CALM, PROTOCOL_ERROR, COMPRESSION_ERROR, FRAME_SIZE_ERROR];
    let field = block([("x", "y".repeat(100))]);
    run(&[
        Case::ended("20000 empty parts", HEADER, [begun.clone(), many(20_000, &part(b""))].concat(), calm),
        Case::ended("20000 parts of a byte", HEADER, [begun.clone(), many(20_000, &part(b"\x00"))].concat(), calm),
        Case::ended("20000 parts of a field", HEADER, [begun.clone(), many(20_000, &part(&field))].concat(), calm),
        Case::ended("200 large parts", HEADER, [begun, many(200, &part(&field.repeat(150)))].concat(), calm),
    ]);
}

#[test]
fn hostile_h2_headers_that_are_too_large_are_refused() {
    let long = "y".repeat(15_000);
    let parts = |count: usize| {
        let last = frame(CONTINUATION, END_HEADERS, 1, block([("x", "y")]));
        let middle = frame(CONTINUATION, 0, 1, block([("x", long.as_str())]));
        [frame(HEADERS, END_STREAM, 1, block(GET)), many(count, &middle), last].concat()
    };
    // One entry of the dynamic table, and then its index, a byte for each 4000.
    let bomb = |count: usize| {
        let entry = literal(0x40, "x", "y".repeat(4000));
        frame(HEADERS, END_HEADERS | END_STREAM, 1, [block(GET), entry, vec![0xbe; count]].concat())
    };
    let names: Vec<String> = (0..300).map(|n| format!("x-{n}")).collect();
    let fields = |count: usize| names[..count].iter().map(|name| (name.as_str(), "y")).collect::<Vec<_>>();
    run(&[
        Case::served("96 fields", HEADER, get_with(&fields(90))),
        Case::refused("101 fields", HEADER, get_with(&fields(101))).status(&[431]),
        Case::refused("300 fields", HEADER, get_with(&fields(300))).status(&[431]),
        Case::refused("75 KiB in parts", HEADER, parts(5)).status(&[431]),
        Case::refused("300 KiB in parts", HEADER, parts(20)).status(&[431]),
        Case::refused("a bomb of 80 KiB", HEADER, bomb(20)).status(&[431]),
        Case::refused("a bomb of 400 KiB", HEADER, bomb(100)).status(&[431]),
        Case::refused("a bomb of 40 MiB", HEADER, bomb(10_000)).status(&[431]),
        Case::refused(
            "a path of 9 KiB",
            HEADER,
            whole(&[GET[0], GET[1], GET[2], (":path", &format!("/{}", "a".repeat(9000)))]),
        )
        .status(&[400, 414]),
        Case::refused(
            "cookies of 75 KiB",
            HEADER,
            [
                frame(HEADERS, END_STREAM, 1, block(GET)),
                many(5, &frame(CONTINUATION, 0, 1, block([("cookie", long.as_str())]))),
                frame(CONTINUATION, END_HEADERS, 1, b""),
            ]
            .concat(),
        )
        .status(&[431]),
    ]);
}
