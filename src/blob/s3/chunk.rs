//! Bodies in chunks of their own (`aws-chunked`): s3s has a chunk in memory as a whole before it gives any of it away, and
//! takes chunks of 4 GiB. So those that are signed may only be so large, and the others are cut as they come.

use axum::body::{Body, Bytes};
use bytes::Buf;
use futures::{StreamExt, stream};
use http::{HeaderMap, HeaderValue};

use super::super::BodyError;

/// Bytes of a signed chunk at the most; clients send 64 KiB to 1 MiB.
const MAX_CHUNK: usize = 4 * 1024 * 1024;
/// Bytes of the line before a chunk at the most.
const MAX_LINE: usize = 1024;
/// What is said of a chunk that is larger.
pub(super) const TOO_LARGE: &str = "a chunk of the body has more than 4 MiB";
/// What is said of a chunk that is none.
const MALFORMED: &str = "AwsChunkedStreamError: FormatError";

/// The body, with no chunk of it larger than may be in memory.
pub(super) fn bounded(headers: &HeaderMap, body: Body) -> Body {
    let kind = headers.get("x-amz-content-sha256").map(HeaderValue::as_bytes);
    let Some(kind) = kind.filter(|kind| kind.starts_with(b"STREAMING-")) else { return body };
    let mut cutter = Cutter { cut: kind.starts_with(b"STREAMING-UNSIGNED-"), at: At::Line(Vec::new()) };
    let pieces = body.into_data_stream().map(move |piece| {
        let cut = piece.map_err(BodyError::from).and_then(|piece| cutter.feed(piece).map_err(BodyError::from));
        match cut {
            Ok(pieces) => pieces.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        }
    });
    Body::from_stream(pieces.flat_map(stream::iter))
}

/// Reads chunks as they come.
struct Cutter {
    /// Whether chunks are cut; else they only must not be too large.
    cut: bool,
    at: At,
}

/// Where in the body it is.
enum At {
    /// In the line before a chunk, of which this has come.
    Line(Vec<u8>),
    /// In a chunk, of which so many bytes follow.
    Data(usize),
    /// Behind a chunk, where so many bytes of its end follow.
    End(usize),
    /// Behind the last one.
    Rest,
}

impl Cutter {
    /// What goes on of `bytes`, in order.
    fn feed(&mut self, mut bytes: Bytes) -> Result<Vec<Bytes>, &'static str> {
        let mut out = Vec::new();
        while !bytes.is_empty() {
            match &mut self.at {
                At::Line(line) => {
                    let end = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
                    line.extend_from_slice(&bytes.split_to(end));
                    if line.len() > MAX_LINE {
                        return Err(MALFORMED);
                    }
                    if line.ends_with(b"\n") {
                        let line = std::mem::take(line);
                        self.begin(line, &mut out)?;
                    }
                }
                At::Data(left) => {
                    let piece = bytes.split_to(bytes.len().min(*left));
                    *left -= piece.len();
                    if *left == 0 {
                        self.at = At::End(2);
                    }
                    if self.cut {
                        out.push(format!("{:x}\r\n", piece.len()).into());
                        out.push(piece);
                        out.push(Bytes::from_static(b"\r\n"));
                    } else {
                        out.push(piece);
                    }
                }
                At::End(left) => {
                    if bytes[0] != b"\r\n"[2 - *left] {
                        return Err(MALFORMED);
                    }
                    *left -= 1;
                    if *left == 0 {
                        self.at = At::Line(Vec::new());
                    }
                    if self.cut {
                        bytes.advance(1);
                    } else {
                        out.push(bytes.split_to(1));
                    }
                }
                At::Rest => out.push(std::mem::take(&mut bytes)),
            }
        }
        Ok(out)
    }

    /// Goes into the chunk that is behind `line`.
    fn begin(&mut self, line: Vec<u8>, out: &mut Vec<Bytes>) -> Result<(), &'static str> {
        let size = size(&line).ok_or(MALFORMED)?;
        if size > MAX_CHUNK && !self.cut {
            return Err(TOO_LARGE);
        }
        self.at = if size == 0 { At::Rest } else { At::Data(size) };
        if size == 0 || !self.cut {
            out.push(line.into());
        }
        Ok(())
    }
}

/// The size that is before the first `;` or the end of a line.
fn size(line: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(line).ok()?;
    let digits = text.trim_end().split(';').next()?;
    let digits = Some(digits).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
    usize::try_from(u32::from_str_radix(digits, 16).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(cut: bool, body: &[u8], step: usize) -> Result<Vec<u8>, &'static str> {
        let mut cutter = Cutter { cut, at: At::Line(Vec::new()) };
        let mut out = Vec::new();
        for piece in body.chunks(step) {
            out.extend(cutter.feed(Bytes::copy_from_slice(piece))?.concat());
        }
        Ok(out)
    }

    #[test]
    fn signed_chunks_go_on_as_they_are_unless_they_are_too_large() {
        let body = b"5;chunk-signature=ab\r\nhello\r\n0;chunk-signature=cd\r\n\r\nx-amz-checksum-crc32:AA==\r\n";
        for step in [1, 2, 7, 1000] {
            assert_eq!(fed(false, body, step).unwrap(), body);
        }
        assert_eq!(fed(false, b"400001;chunk-signature=ab\r\n", 9), Err(TOO_LARGE));
        for bad in [&b"zz\r\n"[..], b"1\r\nab\r\n", b"+1\r\na\r\n", b"100000000\r\n", &[b'1'; 1025]] {
            assert_eq!(fed(false, bad, 3), Err(MALFORMED), "{bad:?}");
        }
    }

    #[test]
    fn other_chunks_are_cut_as_they_come() {
        let body = b"a\r\n0123456789\r\n0\r\nx-amz-checksum-crc32:AA==\r\n\r\n";
        assert_eq!(fed(true, body, 8).unwrap(), b"5\r\n01234\r\n5\r\n56789\r\n0\r\nx-amz-checksum-crc32:AA==\r\n\r\n");
        assert_eq!(fed(true, body, 1000).unwrap(), body);
    }
}
