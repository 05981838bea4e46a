//! The request line as it comes in, byte for byte.
//!
//! Pingora percent-encodes what no target may have (white space, controls) and goes on; a recipient in front may have cut
//! the line elsewhere. What RFC 9112 §3 does not allow is refused instead.

/// Watches the first line of a request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RequestLine {
    /// What stood last, if something did: empty lines may come first (RFC 9112 §2.2).
    last: Option<u8>,
    spaces: u8,
    is_bad: bool,
    is_over: bool,
}

impl RequestLine {
    /// Takes more of what comes in.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        if self.is_over {
            return;
        }
        for &byte in bytes {
            if byte == b'\n' {
                if matches!(self.last, None | Some(b'\r')) && self.spaces == 0 && !self.has_begun() {
                    self.last = None;
                    continue;
                }
                self.is_bad |= self.last == Some(b' ');
                self.is_over = true;
                return;
            }
            // A CR stands before the LF and nowhere else; spaces stand alone, and there are two.
            let after_cr = self.last == Some(b'\r');
            let is_control = byte < b' ' && byte != b'\r' || byte == 0x7f;
            let doubled = byte == b' ' && matches!(self.last, None | Some(b' '));
            self.spaces = self.spaces.saturating_add(u8::from(byte == b' '));
            self.is_bad |= after_cr || is_control || doubled || self.spaces > 2;
            self.last = Some(byte);
        }
    }

    /// Whether it is none.
    pub(super) fn is_bad(self) -> bool {
        self.is_bad
    }

    /// Whether anything but an end of a line stood in it.
    fn has_begun(self) -> bool {
        self.last.is_some_and(|byte| byte != b'\r')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_single_spaces_and_nothing_that_is_not_seen() {
        for (line, bad) in [
            ("GET / HTTP/1.1\r\nX: a  b\tc\r\n", false),
            ("\r\n\r\nGET /x?y HTTP/1.1\r\n", false),
            ("\nGET / HTTP/1.1\n", false),
            ("GET /\n", false),
            ("GET /é HTTP/1.1\r\n", false),
            ("GET  / HTTP/1.1\r\n", true),
            ("GET /  HTTP/1.1\r\n", true),
            ("GET / HTTP/1.1 \r\n", true),
            ("GET /a b HTTP/1.1\r\n", true),
            (" GET / HTTP/1.1\r\n", true),
            ("GET /\tx HTTP/1.1\r\n", true),
            ("GET /\rx HTTP/1.1\r\n", true),
            ("GET /\0 HTTP/1.1\r\n", true),
            ("GET /\x7f HTTP/1.1\r\n", true),
            ("GET / HTTP/1.1\r\r\n", true),
        ] {
            let mut whole = RequestLine::default();
            whole.take(line.as_bytes());
            let mut dripped = RequestLine::default();
            line.as_bytes().chunks(1).for_each(|byte| dripped.take(byte));
            assert_eq!((whole.is_bad(), dripped.is_bad()), (bad, bad), "{line:?}");
        }
    }
}
