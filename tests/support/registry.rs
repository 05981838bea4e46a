//! A registry of services for the gateway to read: a process whose documents a test puts there and takes away.
//!
//! It prints its data port and its control port. `PUT /document?path=P` on the control port makes the body what
//! `GET P` answers from then on, with a strong `ETag`; further parameters of the query: `status=N` (default 200),
//! `bearer=TOKEN` (401 without it), `hold=1` (no answer until the document is replaced), `cut=1` (closes in
//! mid-body), `cursor=C` (only for requests with that cursor; without it, for all others).
//! `DELETE /document?path=P` makes it 404 again. `GET /requests` lists what was asked for.

#![allow(clippy::unwrap_used, reason = "a test program: a surprise shall end it")]

mod server;

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex};

use serde_json::Value;
use sha2::{Digest, Sha256};

use server::{Connection, Next, Request, announce, serve};

#[derive(Clone)]
struct Document {
    body: Vec<u8>,
    status: u16,
    bearer: Option<String>,
    hold: bool,
    cut: bool,
}

/// By path and cursor.
type Documents = HashMap<(String, Option<String>), Document>;

#[derive(Default)]
struct State {
    documents: Mutex<Documents>,
    changed: Condvar,
    requests: Mutex<Vec<Value>>,
}

fn main() -> io::Result<()> {
    let state = Arc::new(State::default());
    announce(&[serve(&state, data)?, serve(&state, control)?])
}

fn control(state: &State, connection: &mut Connection, request: &Request) -> io::Result<Next> {
    let mut body = Vec::new();
    connection.body(request, |piece| body.extend_from_slice(piece))?;
    let key = (request.parameter("path").map(decoded).unwrap_or_default(), request.parameter("cursor").map(decoded));
    let answer = match (request.method.as_str(), request.path()) {
        ("GET", "/requests") => Value::from(state.requests.lock().unwrap().clone()),
        ("PUT", "/document") => {
            let document = Document {
                body,
                status: request.parameter("status").map_or(200, |code| code.parse().expect("a status")),
                bearer: request.parameter("bearer").map(str::to_owned),
                hold: request.parameter("hold").is_some(),
                cut: request.parameter("cut").is_some(),
            };
            state.documents.lock().unwrap().insert(key, document);
            state.changed.notify_all();
            Value::Null
        }
        ("DELETE", "/document") => {
            state.documents.lock().unwrap().remove(&key);
            state.changed.notify_all();
            Value::Null
        }
        _ => return connection.answer(request, 404, "", b"").map(|()| Next::Close),
    };
    connection.answer(request, 200, "", answer.to_string().as_bytes())?;
    Ok(Next::KeepAlive)
}

fn data(state: &State, connection: &mut Connection, request: &Request) -> io::Result<Next> {
    connection.body(request, |_| {})?;
    let key = |cursor| (request.path().to_owned(), cursor);
    let asked = key(request.parameter("cursor").map(decoded));
    let find = |documents: &Documents| documents.get(&asked).or_else(|| documents.get(&key(None))).cloned();
    state.requests.lock().unwrap().push(connection.seen(request));
    let waits = |documents: &mut Documents| find(documents).is_some_and(|document| document.hold);
    let documents = state.changed.wait_while(state.documents.lock().unwrap(), waits).unwrap();
    let found = find(&documents);
    drop(documents);

    let Some(document) = found else {
        connection.answer(request, 404, "Content-Type: application/json\r\n", b"{\"error\":\"Endpoint not found\"}")?;
        return Ok(Next::KeepAlive);
    };
    if let Some(token) = &document.bearer
        && request.header("authorization") != Some(&format!("Bearer {token}"))
    {
        connection.answer(request, 401, "", b"{\"error\":\"who are you\"}")?;
        return Ok(Next::KeepAlive);
    }
    if document.cut {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", document.body.len());
        connection.stream.write_all(head.as_bytes())?;
        connection.stream.write_all(&document.body[..document.body.len() / 2])?;
        return Ok(Next::Close);
    }
    let tag = format!("\"{}\"", hex::encode(Sha256::digest(&document.body)));
    let headers = format!("Content-Type: application/json\r\nETag: {tag}\r\n");
    if document.status == 200 && request.header("if-none-match") == Some(&tag) {
        connection.answer(request, 304, &headers, b"")?;
    } else {
        connection.answer(request, document.status, &headers, &document.body)?;
    }
    Ok(Next::KeepAlive)
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}
