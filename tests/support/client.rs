//! A client that writes exactly the bytes it is told to and reports exactly what came back, and how it ended.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::eventually::DEADLINE;

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// As its framing says: all of it has come.
    Whole,
    /// The connection was closed in an orderly way before all of it had come.
    Fin,
    /// The connection was reset.
    Reset,
    /// Neither came within the deadline.
    Silence,
}

/// A status line and its headers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
}

impl Head {
    fn parse(bytes: &[u8]) -> Self {
        let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        let status = lines.next().unwrap_or_default().split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {text:?}"));
        let field = |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        Self { status, headers: lines.filter_map(field).collect() }
    }

    /// Every value of this header, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The only value of this header; two are a failure.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "several {name}: {all:?}");
        all.first().copied()
    }
}

/// A final answer with what came before and after its head.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    pub(crate) ending: Ending,
    /// 1xx answers before it.
    pub(crate) informational: Vec<Head>,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.status
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("no JSON ({e}) in {} {:?}: {}", self.status(), self.ending, self.text()))
    }

    /// `error` of a problem document, or a description of what came instead.
    pub(crate) fn problem(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let word = body["error"].as_str().map(str::to_owned);
        word.unwrap_or_else(|| {
            format!("no problem document but: {}", self.text().chars().take(300).collect::<String>())
        })
    }

    /// What became of the request, in few words: `-> /target` at the echo upstream, `404 unknown_host`, `200 local`.
    pub(crate) fn fate(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        match (self.status(), body["target"].as_str()) {
            (200, Some(target)) => format!("-> {target}"),
            (status @ ..400, _) => format!("{status} local"),
            (status, _) => format!("{status} {}", self.problem()),
        }
    }

    /// What the echo upstream saw.
    #[track_caller]
    pub(crate) fn echo(&self) -> Echo {
        assert_eq!(self.status(), 200, "not from the echo upstream: {}", self.text());
        Echo(self.json())
    }
}

/// What the echo upstream saw of a request.
#[derive(Clone, Debug)]
pub(crate) struct Echo(pub(crate) Value);

impl Echo {
    /// Every value of this header, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let headers = self.0["headers"].as_array().map(Vec::as_slice).unwrap_or_default();
        let named = headers.iter().filter(|pair| pair[0].as_str().is_some_and(|n| n.eq_ignore_ascii_case(name)));
        named.filter_map(|pair| pair[1].as_str()).collect()
    }

    /// The only value of this header; two are a failure.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "the upstream saw several {name}: {all:?}");
        all.first().copied()
    }
}

/// A request to be written; the bytes are its `Display`.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    method: String,
    bytes: Vec<u8>,
    body: Vec<u8>,
}

impl Ask {
    /// An HTTP/1.1 request for `target` with this Host.
    pub(crate) fn new(method: &str, host: &str, target: &str) -> Self {
        let bytes = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n").into_bytes();
        Self { method: method.to_owned(), bytes, body: Vec::new() }
    }

    pub(crate) fn get(host: &str, target: &str) -> Self {
        Self::new("GET", host, target)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        self
    }

    /// A body with its length.
    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        let length = self.body.len().to_string();
        self.header("Content-Length", &length)
    }

    /// A body in one chunk.
    pub(crate) fn chunked(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = chunk(body);
        self.body.extend_from_slice(b"0\r\n\r\n");
        self.header("Transfer-Encoding", "chunked")
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        [&self.bytes[..], b"\r\n", &self.body].concat()
    }
}

/// One chunk of a chunked body.
pub(crate) fn chunk(piece: impl AsRef<[u8]>) -> Vec<u8> {
    let piece = piece.as_ref();
    [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()
}

/// How the body that is being read ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Left(u64),
    Chunked,
    UntilClose,
}

/// One connection to the gateway.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    end: Option<Ending>,
    framing: Framing,
}

impl Client {
    pub(crate) fn connect(port: u16) -> Self {
        Self::try_connect(port).unwrap_or_else(|e| panic!("127.0.0.1:{port}: {e}"))
    }

    pub(crate) fn try_connect(port: u16) -> std::io::Result<Self> {
        Self::over(TcpStream::connect(("127.0.0.1", port))?)
    }

    /// One that comes from another address of this machine: any of 127.0.0.0/8.
    pub(crate) fn try_connect_from(source: Ipv4Addr, port: u16) -> std::io::Result<Self> {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((source, 0)).into())?;
        socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
        Self::over(socket.into())
    }

    fn over(stream: TcpStream) -> std::io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        Ok(Self { stream, buffer: Vec::new(), end: None, framing: Framing::Left(0) })
    }

    /// Writes all of it. A connection that the other side has closed is not a failure: what it answered will show.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let _ = self.stream.write_all(bytes.as_ref());
        self
    }

    /// Writes as much as the other side takes until nothing has moved for `patience`; returns how much that was.
    pub(crate) fn send_until_stuck(&mut self, piece: &[u8], most: u64, patience: Duration) -> u64 {
        self.stream.set_write_timeout(Some(patience)).unwrap();
        let mut sent = 0;
        while sent < most {
            match self.stream.write(piece) {
                Ok(count) => sent += count as u64,
                Err(_) => break,
            }
        }
        self.stream.set_write_timeout(Some(DEADLINE)).unwrap();
        sent
    }

    /// Closes the writing half.
    pub(crate) fn finish(&mut self) -> &mut Self {
        let _ = self.stream.shutdown(Shutdown::Write);
        self
    }

    /// Writes a request and reads its answer.
    #[track_caller]
    pub(crate) fn ask(&mut self, ask: &Ask) -> Answer {
        self.send(ask.to_bytes());
        self.answer(&ask.method)
    }

    /// Reads the next answer, to a request of this method.
    #[track_caller]
    pub(crate) fn answer(&mut self, method: &str) -> Answer {
        self.try_answer(method).unwrap_or_else(|ending| panic!("no answer to {method}: {ending:?}"))
    }

    /// Reads the next answer; an error says how the connection ended without one.
    pub(crate) fn try_answer(&mut self, method: &str) -> Result<Answer, Ending> {
        let mut informational = Vec::new();
        let mut head = self.head(method)?;
        while (102..200).contains(&head.status) || head.status == 100 {
            informational.push(std::mem::take(&mut head));
            head = self.head(method)?;
        }
        let mut body = Vec::new();
        let ending = loop {
            match self.piece() {
                Ok(Some(piece)) => body.extend_from_slice(&piece),
                Ok(None) => break Ending::Whole,
                Err(ending) => break ending,
            }
        };
        Ok(Answer { head, body, ending, informational })
    }

    /// Reads one head, of a 1xx answer too.
    pub(crate) fn head(&mut self, method: &str) -> Result<Head, Ending> {
        let end = self.find(b"\r\n\r\n")?;
        let bytes: Vec<u8> = self.buffer.drain(..end).collect();
        let head = Head::parse(&bytes);
        let bodiless = method == "HEAD" || head.status < 200 || matches!(head.status, 204 | 304);
        let chunked = head.all("transfer-encoding").iter().any(|v| v.to_ascii_lowercase().ends_with("chunked"));
        let length = head.all("content-length").first().and_then(|v| v.parse().ok());
        self.framing = match length {
            _ if bodiless => Framing::Left(0),
            _ if chunked => Framing::Chunked,
            Some(length) => Framing::Left(length),
            None => Framing::UntilClose,
        };
        Ok(head)
    }

    /// The next piece of the body as it arrives; `None` after the last one.
    pub(crate) fn piece(&mut self) -> Result<Option<Vec<u8>>, Ending> {
        match self.framing {
            Framing::Left(0) => Ok(None),
            Framing::Left(left) => {
                self.filled()?;
                let count = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                self.framing = Framing::Left(left - count as u64);
                Ok(Some(self.buffer.drain(..count).collect()))
            }
            Framing::UntilClose => match self.filled() {
                Ok(()) => Ok(Some(std::mem::take(&mut self.buffer))),
                Err(Ending::Fin) => Ok(None),
                Err(ending) => Err(ending),
            },
            Framing::Chunked => {
                let line = self.take_line()?;
                let size = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16);
                let size = size.unwrap_or_else(|_| panic!("no chunk size: {line:?}"));
                if size == 0 {
                    while !self.take_line()?.is_empty() {}
                    self.framing = Framing::Left(0);
                    return Ok(None);
                }
                while self.buffer.len() < size + 2 {
                    self.fill()?;
                }
                let piece = self.buffer.drain(..size).collect();
                self.buffer.drain(..2);
                Ok(Some(piece))
            }
        }
    }

    /// Reads pieces of the body until they hold `needle`.
    #[track_caller]
    pub(crate) fn body_until(&mut self, needle: &str) -> String {
        let mut seen = String::new();
        while !seen.contains(needle) {
            match self.piece() {
                Ok(Some(piece)) => seen.push_str(&String::from_utf8_lossy(&piece)),
                ended => panic!("{ended:?} before {needle:?}; until then: {seen:?}"),
            }
        }
        seen
    }

    /// Waits until the other side closes and says how; more bytes than were read before are a failure.
    #[track_caller]
    pub(crate) fn ending(&mut self) -> Ending {
        loop {
            assert!(self.buffer.is_empty(), "more than was asked for: {:?}", String::from_utf8_lossy(&self.buffer));
            if let Err(ending) = self.fill() {
                return ending;
            }
        }
    }

    /// The connection once more, for somebody who writes beside this one.
    pub(crate) fn writer(&self) -> TcpStream {
        self.stream.try_clone().unwrap()
    }

    /// For a library that takes over the connection.
    pub(crate) fn into_stream(self) -> TcpStream {
        assert!(self.buffer.is_empty(), "bytes read ahead would be lost");
        self.stream
    }

    fn find(&mut self, mark: &[u8]) -> Result<usize, Ending> {
        loop {
            if let Some(at) = self.buffer.windows(mark.len()).position(|window| window == mark) {
                return Ok(at + mark.len());
            }
            self.fill()?;
        }
    }

    fn take_line(&mut self) -> Result<String, Ending> {
        let end = self.find(b"\r\n")?;
        let line: Vec<u8> = self.buffer.drain(..end).collect();
        Ok(String::from_utf8_lossy(&line[..end - 2]).into_owned())
    }

    fn filled(&mut self) -> Result<(), Ending> {
        if self.buffer.is_empty() { self.fill() } else { Ok(()) }
    }

    fn fill(&mut self) -> Result<(), Ending> {
        if let Some(end) = self.end {
            return Err(end);
        }
        let mut piece = [0; 16 * 1024];
        let end = match self.stream.read(&mut piece) {
            Ok(0) => Ending::Fin,
            Ok(count) => {
                self.buffer.extend_from_slice(&piece[..count]);
                return Ok(());
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ending::Silence,
            Err(_) => Ending::Reset,
        };
        self.end = Some(end);
        Err(end)
    }
}
