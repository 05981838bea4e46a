//! A service for the gateway to proxy to: a process that reports what reached it and answers as awkwardly as it is
//! asked to.
//!
//! It prints its data ports and, last, its control port. What it does is the first segment of the path behind an
//! optional `/api` or `/mcp`:
//!
//! | path | answer |
//! |---|---|
//! | `/status/N` | that status |
//! | `/cookies`, `/redirect` | three `Set-Cookie`; a 302 with a relative `Location` |
//! | `/raw?bytes=HEX&then=close\|reset\|hang` | exactly these bytes, then that; `fill=N&tail=HEX`: N times `x` and these behind them; `drip=MS`: one byte each MS milliseconds |
//! | `/big/N?framing=chunked` | N bytes, counted at gate `big` as they leave |
//! | `/hold/ID` | the echo, once the gate is given a step |
//! | `/stream/ID?type=T&length=N` | head at once, then what the gate is given; chunked without `length` |
//! | `/upload/ID?stall=1` | the echo; the gate counts what arrives; `stall` waits for a step before reading |
//! | `/refuse` | 403 at once, without reading the body |
//! | `/hang` | nothing, until the other side leaves |
//! | `/ws` | a WebSocket echo |
//! | anything else | the echo: what arrived, as JSON |
//!
//! What asks after its health is answered like everything else, but kept apart: it is no request of a client.
//!
//! On the control port: `GET /requests`, `GET /probes`, `GET /connections`, `GET /gate/ID`, `POST /gate/ID/push|end|close|reset`.

#![allow(clippy::unwrap_used, reason = "a test program: a surprise shall end it")]

mod server;

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket};

use server::{Connection, Next, Request, announce, serve};

/// What a test tells a waiting answer to do next.
enum Step {
    Push(Vec<u8>),
    End,
    Close,
    Reset,
}

/// A meeting point of one request and the test that watches it.
#[derive(Default)]
struct Gate {
    steps: VecDeque<Step>,
    arrived: u64,
    received: u64,
    sent: u64,
    finished: bool,
    left: bool,
}

#[derive(Default)]
struct State {
    requests: Mutex<Vec<Value>>,
    probes: Mutex<Vec<Value>>,
    connections: AtomicU64,
    gates: Mutex<HashMap<String, Gate>>,
    changed: Condvar,
}

impl State {
    fn at<T>(&self, gate: &str, change: impl FnOnce(&mut Gate) -> T) -> T {
        let result = change(self.gates.lock().unwrap().entry(gate.to_owned()).or_default());
        self.changed.notify_all();
        result
    }

    /// Waits for the test's next step.
    fn step(&self, gate: &str) -> Step {
        let gates = self.gates.lock().unwrap();
        let waiting = |gates: &mut HashMap<String, Gate>| gates.get(gate).is_none_or(|g| g.steps.is_empty());
        let mut gates = self.changed.wait_while(gates, waiting).unwrap();
        gates.get_mut(gate).and_then(|g| g.steps.pop_front()).unwrap()
    }
}

fn main() -> io::Result<()> {
    let listeners = std::env::args().nth(1).map_or(1, |count| count.parse().expect("a number of listeners"));
    let state = Arc::new(State::default());
    let mut ports = (0..listeners).map(|_| serve(&state, data)).collect::<io::Result<Vec<u16>>>()?;
    ports.push(serve(&state, control)?);
    announce(&ports)
}

fn control(state: &State, connection: &mut Connection, request: &Request) -> io::Result<Next> {
    let mut body = Vec::new();
    connection.body(request, |piece| body.extend_from_slice(piece))?;
    let parts: Vec<&str> = request.path().trim_start_matches('/').split('/').collect();
    let answer = match parts[..] {
        ["probes"] => Value::from(state.probes.lock().unwrap().clone()),
        ["requests"] => Value::from(state.requests.lock().unwrap().clone()),
        ["connections"] => json!(state.connections.load(Ordering::Relaxed)),
        ["gate", gate] => state.at(gate, |g| {
            json!({"arrived": g.arrived, "received": g.received, "sent": g.sent, "finished": g.finished, "left": g.left})
        }),
        ["gate", gate, step] => {
            let step = match step {
                "push" => Step::Push(body),
                "end" => Step::End,
                "close" => Step::Close,
                _ => Step::Reset,
            };
            state.at(gate, |g| g.steps.push_back(step));
            Value::Null
        }
        _ => return connection.answer(request, 404, "", b"").map(|()| Next::Close),
    };
    connection.answer(request, 200, "", answer.to_string().as_bytes())?;
    Ok(Next::KeepAlive)
}

fn data(state: &State, connection: &mut Connection, request: &Request) -> io::Result<Next> {
    let mut seen = connection.seen(request);
    let is_probe = request.header("user-agent").is_some_and(|agent| agent.ends_with("(health check)"));
    if is_probe {
        state.probes.lock().unwrap().push(seen.clone());
    } else {
        note(state, &seen);
    }

    let path = request.path();
    let rest = path.strip_prefix("/api/").or_else(|| path.strip_prefix("/mcp/")).or_else(|| path.strip_prefix('/'));
    let parts: Vec<&str> = rest.unwrap_or_default().split('/').collect();
    match parts[..] {
        ["stream", gate] => return stream(state, connection, request, gate),
        ["ws"] => return web_socket(connection, request),
        ["raw"] => return raw(connection, request),
        ["refuse"] => {
            return connection.answer(request, 403, "Connection: close\r\n", b"refused").map(|()| Next::Close);
        }
        ["hang"] => {
            wait_for_close(connection)?;
            state.at("hang", |g| g.left = true);
            return Ok(Next::Close);
        }
        ["upload", gate] => {
            state.at(gate, |g| g.arrived += 1);
            if request.parameter("stall").is_some() {
                state.step(gate);
            }
        }
        _ => {}
    }
    if request.header("expect").is_some_and(|v| v.eq_ignore_ascii_case("100-continue")) {
        connection.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    read_body(state, connection, request, parts.get(1).filter(|_| parts[0] == "upload"), &mut seen)?;
    respond(state, connection, request, &parts, &seen)
}

/// Keeps a request, and counts its connection if it is the first on it. Nobody asks after more than so many.
fn note(state: &State, seen: &Value) {
    const MOST: usize = 5_000;
    let mut requests = state.requests.lock().unwrap();
    if requests.len() >= MOST {
        return;
    }
    if !requests.iter().any(|r| r["connection"] == seen["connection"]) {
        state.connections.fetch_add(1, Ordering::Relaxed);
    }
    requests.push(seen.clone());
}

/// Reads the body, adds its length and SHA-256 to `seen`, and lets `gate` count.
fn read_body(
    state: &State,
    connection: &mut Connection,
    request: &Request,
    gate: Option<&&str>,
    seen: &mut Value,
) -> io::Result<()> {
    let (mut hash, mut count) = (Sha256::new(), 0);
    let outcome = connection.body(request, |piece| {
        hash.update(piece);
        count += piece.len() as u64;
        if let Some(gate) = gate {
            state.at(gate, |g| g.received = count);
        }
    });
    if let Some(gate) = gate {
        state.at(gate, |g| if outcome.is_ok() { g.finished = true } else { g.left = true });
    }
    outcome?;
    seen["body_bytes"] = count.into();
    seen["body_sha256"] = hex::encode(hash.finalize()).into();
    Ok(())
}

fn respond(
    state: &State,
    connection: &mut Connection,
    request: &Request,
    parts: &[&str],
    seen: &Value,
) -> io::Result<Next> {
    let plain = "Content-Type: text/plain\r\n";
    match *parts {
        ["status", code] => connection.answer(request, code.parse().unwrap_or(500), plain, b"as asked")?,
        ["cookies"] => {
            let cookies = "Set-Cookie: a=1; Path=/\r\nSet-Cookie: b=2; HttpOnly\r\nSet-Cookie: c=3\r\n";
            connection.answer(request, 200, cookies, b"")?;
        }
        ["redirect"] => connection.answer(request, 302, "Location: ../elsewhere?x=1#y\r\n", b"moved")?,
        ["big", size] => big(state, connection, request, size.parse().unwrap_or(0))?,
        _ => {
            if let ["hold", gate] = *parts {
                state.at(gate, |g| g.arrived += 1);
                state.step(gate);
            }
            let body = serde_json::to_vec(seen)?;
            connection.answer(request, 200, "Content-Type: application/json\r\n", &body)?;
        }
    }
    Ok(Next::KeepAlive)
}

fn big(state: &State, connection: &mut Connection, request: &Request, size: u64) -> io::Result<()> {
    let chunked = request.parameter("framing") == Some("chunked");
    let framing = if chunked { "Transfer-Encoding: chunked".to_owned() } else { format!("Content-Length: {size}") };
    connection.stream.write_all(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n").as_bytes())?;
    let piece = vec![b'x'; 64 * 1024];
    let mut left = size;
    while left > 0 {
        let now = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        write_piece(connection, chunked, &piece[..now])?;
        left -= now as u64;
        state.at("big", |g| g.sent += now as u64);
    }
    if chunked { connection.stream.write_all(b"0\r\n\r\n") } else { Ok(()) }
}

fn write_piece(connection: &mut Connection, chunked: bool, piece: &[u8]) -> io::Result<()> {
    if !chunked {
        return connection.stream.write_all(piece);
    }
    let mut framed = format!("{:x}\r\n", piece.len()).into_bytes();
    framed.extend_from_slice(piece);
    framed.extend_from_slice(b"\r\n");
    connection.stream.write_all(&framed)
}

fn stream(state: &State, connection: &mut Connection, request: &Request, gate: &str) -> io::Result<Next> {
    state.at(gate, |g| g.arrived += 1);
    let kind = request.parameter("type").unwrap_or("application/octet-stream");
    let length = request.parameter("length");
    let chunked = length.is_none();
    let framing = length.map_or("Transfer-Encoding: chunked".to_owned(), |n| format!("Content-Length: {n}"));
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{framing}\r\n\r\n");
    connection.stream.write_all(head.as_bytes())?;
    loop {
        let outcome = match state.step(gate) {
            Step::Push(piece) => write_piece(connection, chunked, &piece),
            Step::End if chunked => return connection.stream.write_all(b"0\r\n\r\n").map(|()| Next::KeepAlive),
            Step::End => return Ok(Next::KeepAlive),
            Step::Close => return Ok(Next::Close),
            Step::Reset => return reset(connection),
        };
        if outcome.is_err() {
            state.at(gate, |g| g.left = true);
            return Ok(Next::Close);
        }
    }
}

fn raw(connection: &mut Connection, request: &Request) -> io::Result<Next> {
    let fill = request.parameter("fill").and_then(|count| count.parse().ok()).unwrap_or(0);
    let [mut bytes, tail] = ["bytes", "tail"].map(|name| unhex(request.parameter(name).unwrap_or_default()));
    bytes.resize(bytes.len() + fill, b'x');
    bytes.extend(tail);
    match request.parameter("drip").and_then(|every| every.parse().ok()) {
        Some(every) => drip(connection, &bytes, std::time::Duration::from_millis(every))?,
        None => connection.stream.write_all(&bytes)?,
    }
    match request.parameter("then") {
        Some("reset") => return reset(connection),
        Some("hang") => wait_for_close(connection)?,
        _ => {}
    }
    Ok(Next::Close)
}

/// Writes one byte after the other, so far apart. Nothing more is expected from the other side, and waited for meanwhile.
fn drip(connection: &mut Connection, bytes: &[u8], every: std::time::Duration) -> io::Result<()> {
    connection.stream.set_read_timeout(Some(every))?;
    for byte in bytes {
        connection.stream.write_all(std::slice::from_ref(byte))?;
        if connection.stream.read(&mut [0]).is_ok() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
    }
    connection.stream.set_read_timeout(None)
}

/// Waits until the other side has closed, dropping what it still sends.
fn wait_for_close(connection: &mut Connection) -> io::Result<()> {
    io::copy(&mut connection.stream, &mut io::sink()).map(drop)
}

/// Closes with a reset, not a FIN.
fn reset(connection: &mut Connection) -> io::Result<Next> {
    let linger = Some(std::time::Duration::ZERO);
    socket2::SockRef::from(&connection.stream).set_linger(linger)?;
    Ok(Next::Close)
}

fn web_socket(connection: &mut Connection, request: &Request) -> io::Result<Next> {
    let accept = derive_accept_key(request.header("sec-websocket-key").unwrap_or_default().as_bytes());
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    connection.stream.write_all(head.as_bytes())?;
    let mut socket = WebSocket::from_raw_socket(connection.stream.try_clone()?, Role::Server, None);
    while let Ok(message) = socket.read() {
        if (message.is_text() || message.is_binary()) && socket.send(message).is_err() {
            break;
        }
    }
    Ok(Next::Close)
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| u8::try_from(c.to_digit(16)?).ok()).collect();
    digits.chunks_exact(2).map(|pair| pair[0] * 16 + pair[1]).collect()
}
