//! An upstream that keeps every byte it is sent, and so can say how many requests it saw and how each was written.
//!
//! It reads HTTP/1.1 as strictly as RFC 9112 is written: what is no request to it, it keeps as [`State::Nonsense`]. One
//! thread has all of its connections, and reads everything that has come on any of them before it answers on one: who has
//! an answer of it knows that it has noted all that was sent before.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::eventually::eventually;

/// In every answer of it, so that they can be told from those of the gateway.
pub(crate) const MARK: &str = "X-Recorder";

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Its body is still on its way.
    Open,
    /// All of it has come, and it was answered.
    Whole,
    /// The connection ended in its midst.
    Broken,
    /// No request, or a body that is not framed.
    Nonsense,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    /// Its header as it came, with the empty line.
    pub(crate) head: Vec<u8>,
    /// What has come of its body, without chunks.
    pub(crate) body: Vec<u8>,
    pub(crate) state: State,
}

impl Arrived {
    /// Its header as text; bytes above 127 are the characters of the same number.
    pub(crate) fn text(&self) -> String {
        self.head.iter().map(|&byte| char::from(byte)).collect()
    }

    /// The request line.
    pub(crate) fn line(&self) -> String {
        self.text().split("\r\n").next().unwrap_or_default().to_owned()
    }

    /// Every value of this field, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let text = self.text();
        let fields = text.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        fields.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned()).collect()
    }

    /// Whether the gateway sent it of itself, to ask after the service's health.
    fn is_probe(&self) -> bool {
        self.all("user-agent").iter().any(|agent| agent.ends_with("(health check)"))
    }
}

/// What has come, and what is on its way.
#[derive(Debug, Default)]
struct Log {
    over: Vec<Arrived>,
    open: Vec<Arrived>,
}

/// The upstream. Its thread ends with the process.
#[derive(Debug)]
pub(crate) struct Recorder {
    log: Arc<Mutex<Log>>,
    pub(crate) port: u16,
}

impl Recorder {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let log = Arc::<Mutex<Log>>::default();
        let kept = Arc::clone(&log);
        thread::spawn(move || serve(&listener, &kept));
        Self { log, port }
    }

    /// A service in YAML that is served by it.
    pub(crate) fn service_with(&self, id: &str, more: &str) -> String {
        let comma = if more.is_empty() { "" } else { ", " };
        format!("{{id: {id}, endpoints: [\"http://127.0.0.1:{}\"]{comma}{more}}}", self.port)
    }

    /// What has come since the last time, once none of it is still on its way.
    #[track_caller]
    pub(crate) fn take(&self) -> Vec<Arrived> {
        eventually("every request at the recorder has come to its end", || {
            let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
            let open: Vec<String> = log.open.iter().map(Arrived::line).collect();
            if open.is_empty() { Ok(std::mem::take(&mut log.over)) } else { Err(open) }
        })
    }
}

/// Goes over all connections whenever something has come on one.
fn serve(listener: &TcpListener, log: &Mutex<Log>) {
    let mut connections: Vec<Connection> = Vec::new();
    loop {
        let mut watched = vec![PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        watched.extend(connections.iter().map(|one| PollFd::new(one.stream.as_fd(), PollFlags::POLLIN)));
        if poll(&mut watched, PollTimeout::NONE).is_err() {
            continue;
        }
        while let Ok((stream, _)) = listener.accept() {
            if stream.set_nonblocking(true).is_ok() && stream.set_nodelay(true).is_ok() {
                connections.push(Connection { stream, buffer: Vec::new(), over: false });
            }
        }
        for connection in &mut connections {
            connection.fill();
        }
        let read: Vec<Vec<Arrived>> = connections.iter_mut().map(Connection::requests).collect();
        {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.open.clear();
            for arrived in read.iter().flatten().filter(|arrived| !arrived.is_probe()) {
                let part = if arrived.state == State::Open { &mut log.open } else { &mut log.over };
                part.push(arrived.clone());
            }
        }
        for (connection, read) in connections.iter_mut().zip(&read) {
            for arrived in read.iter().filter(|arrived| arrived.state == State::Whole) {
                connection.over |= connection.answer(arrived).is_err();
            }
        }
        connections.retain(|connection| !connection.over);
    }
}

/// One connection of the gateway's.
struct Connection {
    stream: TcpStream,
    /// From the beginning of the first request that is not whole.
    buffer: Vec<u8>,
    over: bool,
}

impl Connection {
    /// Takes everything that has come.
    fn fill(&mut self) {
        let mut piece = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => break self.over = true,
                Ok(count) => self.buffer.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => break self.over = true,
            }
        }
    }

    /// What the bytes so far are.
    fn requests(&mut self) -> Vec<Arrived> {
        let mut requests = Vec::new();
        while !self.buffer.is_empty() {
            let mut reader = Reader { rest: &self.buffer, body: Vec::new() };
            let (head, state) = match reader.until(b"\r\n\r\n") {
                Ok(head) => {
                    let state = match reader.body(head) {
                        Ok(()) => State::Whole,
                        Err(stop) => self.state_of(stop),
                    };
                    (head.to_vec(), state)
                }
                // The beginning of a header is no request yet, and never will be one where it ends.
                Err(_) if self.over => (self.buffer.clone(), State::Nonsense),
                Err(_) => (self.buffer.clone(), State::Open),
            };
            let (body, left) = (std::mem::take(&mut reader.body), reader.rest.len());
            requests.push(Arrived { head, body, state });
            if state == State::Open {
                break;
            }
            let read = self.buffer.len() - left;
            self.buffer.drain(..read);
            if state != State::Whole {
                self.buffer.clear();
                self.over = true;
            }
        }
        requests
    }

    fn state_of(&self, stop: Stop) -> State {
        match stop {
            Stop::Nonsense => State::Nonsense,
            Stop::More if self.over => State::Broken,
            Stop::More => State::Open,
        }
    }

    fn answer(&mut self, arrived: &Arrived) -> io::Result<()> {
        let body = if arrived.head.starts_with(b"HEAD ") { "" } else { "ok" };
        self.stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{MARK}: yes\r\n\r\n{body}").as_bytes())
    }
}

/// Why a request is not whole.
#[derive(Clone, Copy)]
enum Stop {
    /// More of it has to come.
    More,
    /// It is not HTTP.
    Nonsense,
}

/// Reads one request from bytes.
struct Reader<'a> {
    rest: &'a [u8],
    body: Vec<u8>,
}

impl<'a> Reader<'a> {
    fn body(&mut self, head: &[u8]) -> Result<(), Stop> {
        let head = Arrived { head: head.to_vec(), body: Vec::new(), state: State::Open };
        let (codings, lengths) = (head.all("transfer-encoding"), head.all("content-length"));
        match (&codings[..], &lengths[..]) {
            ([], []) => Ok(()),
            ([], [length]) if length.bytes().all(|b| b.is_ascii_digit()) => {
                self.piece(length.parse().map_err(|_| Stop::Nonsense)?)
            }
            ([coding], []) if coding == "chunked" => self.chunks(),
            _ => Err(Stop::Nonsense),
        }
    }

    fn chunks(&mut self) -> Result<(), Stop> {
        loop {
            let line = self.until(b"\r\n")?;
            let digits = line.strip_suffix(b"\r\n").and_then(|digits| std::str::from_utf8(digits).ok());
            let digits = digits.filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
            let size = digits.and_then(|digits| usize::from_str_radix(digits, 16).ok()).ok_or(Stop::Nonsense)?;
            self.piece(size)?;
            if self.until(b"\r\n")? != b"\r\n" {
                return Err(Stop::Nonsense);
            }
            if size == 0 {
                return Ok(());
            }
        }
    }

    /// Takes `size` bytes of a body, or what there is of them.
    fn piece(&mut self, size: usize) -> Result<(), Stop> {
        let (piece, rest) = self.rest.split_at(size.min(self.rest.len()));
        self.body.extend_from_slice(piece);
        self.rest = rest;
        if piece.len() == size { Ok(()) } else { Err(Stop::More) }
    }

    fn until(&mut self, mark: &[u8]) -> Result<&'a [u8], Stop> {
        let at = self.rest.windows(mark.len()).position(|window| window == mark).ok_or(Stop::More)?;
        let (line, rest) = self.rest.split_at(at + mark.len());
        self.rest = rest;
        Ok(line)
    }
}
