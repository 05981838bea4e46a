//! The server side of HTTP/1.1 by hand: what the processes `upstream` and `registry` have in common.
//!
//! A library would tidy what it reads (case, order, encoding), and these processes exist to report exactly what came
//! over the wire. One thread for each connection; the process ends when its standard input does, so that it never
//! outlives the test that started it.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use serde_json::{Value, json};

/// A request's head, byte for byte; bytes above 127 are the characters of the same number.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) version: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl Request {
    fn parse(head: &[u8]) -> Option<Self> {
        let text = latin1(head);
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        let mut words = lines.next()?.splitn(3, ' ').map(str::to_owned);
        let (method, target, version) = (words.next()?, words.next()?, words.next()?);
        let field = |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        Some(Self { method, target, version, headers: lines.filter_map(field).collect() })
    }

    /// The first header of this name, in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The target without its query.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// A parameter of the query, as written.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let query = self.target.split_once('?')?.1;
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    fn keeps_alive(&self) -> bool {
        self.version == "HTTP/1.1" && !self.header("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"))
    }
}

/// Bytes as the characters of the same numbers, so that nothing is lost.
pub(crate) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

/// One accepted connection.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    /// The port it was accepted on.
    port: u16,
    /// Counted from 1 for each listener.
    number: u64,
    buffer: Vec<u8>,
}

impl Connection {
    /// What arrived, for the test that asks later.
    pub(crate) fn seen(&self, request: &Request) -> Value {
        json!({
            "method": request.method, "target": request.target, "version": request.version,
            "headers": request.headers, "port": self.port, "connection": format!("{}/{}", self.port, self.number),
        })
    }

    /// The next request's head; `None` when the client left between two requests or sent no HTTP.
    pub(crate) fn request(&mut self) -> io::Result<Option<Request>> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
                return Ok(Request::parse(&head));
            }
            if self.fill()? == 0 {
                return Ok(None);
            }
        }
    }

    /// Hands the request's body over piece by piece, as it arrives, without its framing.
    pub(crate) fn body(&mut self, request: &Request, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        let chunked = request.header("transfer-encoding").is_some_and(|v| v.to_ascii_lowercase().ends_with("chunked"));
        if !chunked {
            let length = request.header("content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
            return self.pieces(length, &mut take);
        }
        loop {
            let line = self.line()?;
            let size = u64::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)
                .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "chunk size"))?;
            self.pieces(size, &mut take)?;
            if size == 0 {
                while !self.line()?.is_empty() {}
                return Ok(());
            }
            self.line()?;
        }
    }

    fn pieces(&mut self, mut left: u64, take: &mut impl FnMut(&[u8])) -> io::Result<()> {
        while left > 0 {
            self.filled()?;
            let piece = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            take(&self.buffer[..piece]);
            self.buffer.drain(..piece);
            left -= piece as u64;
        }
        Ok(())
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return Ok(latin1(&line[..end]));
            }
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn filled(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() && self.fill()? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut piece = [0; 16 * 1024];
        let count = self.stream.read(&mut piece)?;
        self.buffer.extend_from_slice(&piece[..count]);
        Ok(count)
    }

    /// Writes a whole answer with its length; to HEAD the head alone.
    pub(crate) fn answer(&mut self, request: &Request, status: u16, headers: &str, body: &[u8]) -> io::Result<()> {
        let length =
            if matches!(status, 204 | 304) { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let mut bytes = format!("HTTP/1.1 {status} Status {status}\r\n{length}{headers}\r\n").into_bytes();
        if request.method != "HEAD" && !length.is_empty() {
            bytes.extend_from_slice(body);
        }
        self.stream.write_all(&bytes)
    }
}

/// What a handler wants done with its connection.
#[derive(PartialEq, Eq)]
pub(crate) enum Next {
    /// The next request, if HTTP says that the connection stays open.
    KeepAlive,
    /// Nothing more; it is closed when it is dropped.
    Close,
}

/// Serves a free loopback port for good and returns it.
pub(crate) fn serve<S, H>(state: &Arc<S>, handler: H) -> io::Result<u16>
where
    S: Send + Sync + 'static,
    H: Fn(&S, &mut Connection, &Request) -> io::Result<Next> + Copy + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let state = Arc::clone(state);
    thread::spawn(move || {
        for (stream, number) in listener.incoming().flatten().zip(1..) {
            let state = Arc::clone(&state);
            thread::spawn(move || {
                let _ = stream.set_nodelay(true);
                let mut connection = Connection { stream, number, port, buffer: Vec::new() };
                while let Ok(Some(request)) = connection.request() {
                    let next = handler(&state, &mut connection, &request);
                    if !next.is_ok_and(|next| next == Next::KeepAlive && request.keeps_alive()) {
                        break;
                    }
                }
            });
        }
    });
    Ok(port)
}

/// Tells the starter which ports these are, in one line, and then waits for the end of standard input.
pub(crate) fn announce(ports: &[u16]) -> io::Result<()> {
    let line: Vec<String> = ports.iter().map(u16::to_string).collect();
    let mut out = io::stdout();
    writeln!(out, "{}", line.join(" "))?;
    out.flush()?;
    io::copy(&mut io::stdin(), &mut io::sink()).map(drop)
}
