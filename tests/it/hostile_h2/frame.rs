//! Frames: lengths, streams and settings that none may have, and a beginning that is none.

use super::frames::{
    ACK, COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, GOAWAY,
    HEADERS, PADDED, PING, PREFACE, PRIORITY, PROTOCOL_ERROR, PUSH_PROMISE, RST_STREAM, SETTINGS, STREAM_CLOSED,
    WINDOW_UPDATE, block, frame, setting,
};
use super::run::{Case, GET, POST, on, open, preface_and, run, whole};

const SIZE: &str = "9113 §4.2";
const STREAMS: &str = "9113 §5.1.1";
const BLOCK: &str = "9113 §4.3";
const SETTING: &str = "9113 §6.5";
const WINDOW: &str = "9113 §6.9";
/// What comes of it is a request like others.
const UNSETTLED: &str = "the crate h2 does not ask for settings as the first frame";
const BEGINNING: &str = "9113 §3.4";

fn window(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, by.to_be_bytes())
}

#[test]
fn hostile_h2_beginnings_are_refused() {
    let settings = setting(3, 100);
    let ended = |name: &str, bytes: Vec<u8>| {
        Case::ended(name, BEGINNING, bytes, &[PROTOCOL_ERROR, FRAME_SIZE_ERROR]).without_greeting()
    };
    run(&[
        Case::served("as it should be", BEGINNING, preface_and([settings.clone(), whole(&GET)].concat()))
            .without_greeting(),
        ended("another end", [&b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"[..], &settings].concat()),
        ended("another version", [&b"PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n"[..], &settings].concat()),
        ended("another method", [&b"PRX * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &settings].concat()),
        ended("frames alone", settings.clone()),
        ended("no settings but a request", preface_and(whole(&GET))).finding(UNSETTLED),
        ended("no settings but a ping", preface_and(frame(PING, 0, 0, [0; 8]))).finding(UNSETTLED),
        ended("HTTP/1.1 behind it", preface_and("GET /smuggled HTTP/1.1\r\nHost: svc.chitty.test\r\n\r\n")),
        ended("twice", preface_and([PREFACE, &settings].concat())),
    ]);
}

#[test]
fn hostile_h2_sizes_of_frames_are_refused() {
    let size =
        |name: &str, bytes: Vec<u8>| Case::ended(name, SIZE, bytes, &[FRAME_SIZE_ERROR, PROTOCOL_ERROR]).may_begin();
    run(&[
        size("data of one byte too much", [open(&POST), frame(DATA, END_STREAM, 1, vec![b'x'; 16_385])].concat()),
        size("a header of one byte too much", frame(HEADERS, END_HEADERS | END_STREAM, 1, vec![0; 16_385])),
        size("16 MiB, of which nothing comes", b"\xff\xff\xff\x00\x00\x00\x00\x00\x01".to_vec()),
        size("a ping of 7", frame(PING, 0, 0, [0; 7])),
        size("a ping of 9", frame(PING, 0, 0, [0; 9])),
        size("settings of 5", frame(SETTINGS, 0, 0, [0; 5])),
        size("an acknowledgement with settings", frame(SETTINGS, ACK, 0, [0; 6])),
        size("a reset of 3", [open(&POST), frame(RST_STREAM, 0, 1, [0; 3])].concat()),
        size("a window of 3", frame(WINDOW_UPDATE, 0, 0, [0; 3])),
        size("a priority of 4", [open(&POST), frame(PRIORITY, 0, 1, [0; 4])].concat()).most(0),
        size("a farewell of 7", frame(GOAWAY, 0, 0, [0; 7])),
        size("padded data of nothing", [open(&POST), frame(DATA, PADDED, 1, b"")].concat()),
        size("a padded header of nothing", frame(HEADERS, PADDED | END_HEADERS, 1, b"")),
    ]);
}

#[test]
fn hostile_h2_streams_that_cannot_be_are_refused() {
    let ended =
        |name: &str, bytes: Vec<u8>| Case::ended(name, STREAMS, bytes, &[PROTOCOL_ERROR, STREAM_CLOSED]).may_begin();
    run(&[
        ended("a request on stream 0", on(0, &GET)),
        ended("a request on an even stream", on(2, &GET)),
        ended("data on stream 0", frame(DATA, END_STREAM, 0, "hello")),
        ended("a reset of stream 0", frame(RST_STREAM, 0, 0, [0; 4])),
        ended("a reset of an idle stream", frame(RST_STREAM, 0, 1, [0; 4])),
        ended("a window of an idle stream", window(1, 1)),
        ended("settings of a stream", frame(SETTINGS, 0, 1, b"")),
        ended("a ping of a stream", frame(PING, 0, 1, [0; 8])),
        ended("a farewell of a stream", frame(GOAWAY, 0, 1, [0; 8])),
        ended("a part of a header on stream 0", frame(CONTINUATION, END_HEADERS, 0, b"")),
        ended(
            "a promise of a client",
            [open(&POST), frame(PUSH_PROMISE, END_HEADERS, 1, [&[0, 0, 0, 2][..], &block(GET)].concat())].concat(),
        ),
        ended("a stream with a smaller number", [on(5, &GET), on(3, &GET)].concat()).most(1),
        Case::served("numbers that are left out", STREAMS, [whole(&GET), on(9, &GET)].concat()).most(2),
        Case::borne("a frame that there is not", "9113 §5.5", [frame(0xbe, 0xff, 0, b"x"), whole(&GET)].concat(), 1),
        Case::borne(
            "the reserved bit",
            "9113 §4.1",
            frame(HEADERS, END_HEADERS | END_STREAM, 0x8000_0001, block(GET)),
            1,
        ),
    ]);
}

#[test]
fn hostile_h2_header_blocks_are_refused() {
    let broken = |name: &str, payload: &[u8]| {
        let bytes = frame(HEADERS, END_HEADERS | END_STREAM, 1, [&block(GET)[..], payload].concat());
        Case::ended(name, BLOCK, bytes, &[COMPRESSION_ERROR, PROTOCOL_ERROR])
    };
    let half = frame(HEADERS, END_STREAM, 1, block(GET));
    let interrupted =
        |name: &str, bytes: Vec<u8>| Case::ended(name, "9113 §6.10", [half.clone(), bytes].concat(), &[PROTOCOL_ERROR]);
    run(&[
        broken("index 0", b"\x80"),
        broken("an index beyond the table", b"\xbe"),
        broken("a large index", b"\xff\x80\x80\x80\x08"),
        broken("an index without an end", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        broken("a table larger than allowed", b"\x3f\xe1\xff\xff\x7f"),
        broken("a size of the table behind a field", b"\x20"),
        broken("a name longer than the block", b"\x00\x7fx"),
        broken("a name of 4 GiB", b"\x00\x7f\xff\xff\xff\xff\x0f"),
        broken("a value longer than the block", b"\x00\x01x\x7fy"),
        broken("a code that there is not", b"\x00\x84\xff\xff\xff\xff\x01y"),
        broken("a code with the wrong end", b"\x00\x01x\x81\x00"),
        broken("half a field", b"\x00"),
        interrupted("data within a header", frame(DATA, END_STREAM, 1, "hello")),
        interrupted("a ping within a header", frame(PING, 0, 0, [0; 8])),
        interrupted("settings within a header", setting(3, 1)),
        interrupted("another header within a header", on(3, &GET)),
        interrupted("a part of another stream's header", frame(CONTINUATION, END_HEADERS, 3, b"")),
        interrupted("a frame that there is not within a header", frame(0xbe, 0, 0, b"")),
        Case::served(
            "a header in two parts",
            BLOCK,
            [half.clone(), frame(CONTINUATION, END_HEADERS, 1, block([("x", "y")]))].concat(),
        ),
    ]);
}

#[test]
fn hostile_h2_settings_and_windows_are_refused() {
    let settings =
        |name: &str, bytes: Vec<u8>| Case::ended(name, SETTING, bytes, &[PROTOCOL_ERROR, FLOW_CONTROL_ERROR]);
    let grown = [window(0, 0x7fff_ffff), window(0, 0x7fff_ffff)].concat();
    run(&[
        settings("a push that is neither on nor off", setting(2, 2)),
        settings("a window beyond 31 bits", setting(4, 0x8000_0000)),
        settings("frames of 100 bytes", setting(5, 100)),
        settings("frames of 16 MiB and one byte", setting(5, 1 << 24)),
        Case::served("a setting that there is not", SETTING, [setting(0xbeef, 1), whole(&GET)].concat()),
        Case::ended("a window that grows by 0", WINDOW, window(0, 0), &[PROTOCOL_ERROR]),
        Case::ended("a window that grows beyond 31 bits", WINDOW, grown, &[FLOW_CONTROL_ERROR]),
        Case::refused("a stream's window that grows by 0", WINDOW, [open(&POST), window(1, 0)].concat()).may_begin(),
        Case::refused(
            "a stream's window that grows beyond 31 bits",
            WINDOW,
            [open(&POST), window(1, 0x7fff_ffff), window(1, 0x7fff_ffff)].concat(),
        )
        .may_begin(),
        Case::ended(
            "a window that settings let grow beyond 31 bits",
            WINDOW,
            [open(&POST), window(1, 0x7fff_0000), setting(4, 0x7fff_ffff)].concat(),
            &[FLOW_CONTROL_ERROR],
        )
        .may_begin(),
        Case::refused(
            "a stream that depends on itself",
            "9113 §5.3.1",
            [open(&POST), frame(PRIORITY, 0, 1, [0, 0, 0, 1, 0])].concat(),
        )
        .may_begin(),
    ]);
}
