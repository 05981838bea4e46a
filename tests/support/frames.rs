//! HTTP/2 by hand: a client that writes exactly the frames it is told to, right or wrong, and reports what came back.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::support::Ending;
use crate::support::eventually::DEADLINE;

/// What an HTTP/2 client says first (RFC 9113 §3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames (RFC 9113 §6).
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// Flags of frames.
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;

/// Error codes (RFC 9113 §7).
pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const FLOW_CONTROL_ERROR: u32 = 3;
pub(crate) const STREAM_CLOSED: u32 = 5;
pub(crate) const FRAME_SIZE_ERROR: u32 = 6;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const COMPRESSION_ERROR: u32 = 9;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// One setting in a frame of them.
pub(crate) fn setting(name: u16, value: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, [&name.to_be_bytes()[..], &value.to_be_bytes()].concat())
}

/// A number in HPACK, in the low `bits` of its first byte (RFC 7541 §5.1).
pub(crate) fn number(mark: u8, bits: u32, mut value: usize) -> Vec<u8> {
    let most = (1 << bits) - 1;
    if value < most {
        return vec![mark | u8::try_from(value).unwrap()];
    }
    let mut bytes = vec![mark | u8::try_from(most).unwrap()];
    value -= most;
    while value >= 128 {
        bytes.push(u8::try_from(value % 128).unwrap() | 128);
        value /= 128;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

/// A field as a literal: with `mark` 0 without an entry in the dynamic table, with 0x40 with one (RFC 7541 §6.2).
pub(crate) fn literal(mark: u8, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Vec<u8> {
    let (name, value) = (name.as_ref(), value.as_ref());
    [&[mark][..], &number(0, 7, name.len()), name, &number(0, 7, value.len()), value].concat()
}

/// Fields, each a literal.
pub(crate) fn block<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: impl IntoIterator<Item = (N, V)>) -> Vec<u8> {
    fields.into_iter().flat_map(|(name, value)| literal(0, name, value)).collect()
}

/// A frame that came back.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The status, of a header that begins with one.
    pub(crate) fn status(&self) -> Option<u16> {
        let mut bytes = self.payload.iter().copied().skip_while(|byte| byte >> 5 == 1);
        let first = bytes.next()?;
        // The static table has seven of them (RFC 7541 appendix A).
        if first & 128 != 0 {
            let known = [200, 204, 206, 304, 400, 404, 500];
            return known.get(usize::from(first & 127).checked_sub(8)?).copied();
        }
        if ![0x08, 0x18, 0x48].contains(&first) {
            return None;
        }
        let length = bytes.next()?;
        let text: Vec<u8> = bytes.take(usize::from(length & 127)).collect();
        let text = if length & 128 == 0 { String::from_utf8(text).ok()? } else { digits(&text) };
        text.parse().ok()
    }

    /// The error code of a reset and of a farewell.
    pub(crate) fn code(&self) -> Option<u32> {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        Some(u32::from_be_bytes(self.payload.get(at..at + 4)?.try_into().ok()?))
    }
}

/// Digits in the code of HPACK (RFC 7541 appendix B): five bits for 0 to 2, six for the others.
fn digits(bytes: &[u8]) -> String {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let value = |bits: &[u8]| bits.iter().fold(0_u8, |value, bit| value * 2 + bit);
    let (mut at, mut text) = (0, String::new());
    while let Some(five) = bits.get(at..at + 5) {
        let (digit, count) = match value(five) {
            digit @ 0..=2 => (digit, 5),
            _ => match bits.get(at..at + 6).map(value) {
                Some(code @ 25..=31) => (code - 25 + 3, 6),
                _ => break,
            },
        };
        text.push(char::from(b'0' + digit));
        at += count;
    }
    text
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Peer {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Peer {
    /// Connects, and says nothing yet.
    pub(crate) fn silent(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    /// Connects as a client does. It allows the other side no dynamic table, so that each status can be read by itself.
    pub(crate) fn connect(port: u16) -> Self {
        let mut peer = Self::silent(port);
        peer.send([PREFACE, &setting(1, 0)].concat());
        peer
    }

    /// Writes all of it; false once the other side takes no more.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// The next frame; an error says how the connection ended without one.
    pub(crate) fn next(&mut self) -> Result<Frame, Ending> {
        let head = self.take(9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        let payload = self.take(usize::try_from(length).unwrap())?;
        Ok(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    fn take(&mut self, count: usize) -> Result<Vec<u8>, Ending> {
        let mut piece = [0; 16 * 1024];
        while self.buffer.len() < count {
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(Ending::Fin),
                Ok(read) => self.buffer.extend_from_slice(&piece[..read]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Err(Ending::Silence);
                }
                Err(_) => return Err(Ending::Reset),
            }
        }
        Ok(self.buffer.drain(..count).collect())
    }
}
