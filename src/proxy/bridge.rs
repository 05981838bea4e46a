//! From a Pingora session to the local router and back, streaming both ways.
//!
//! One task owns the session. The request's body goes through a channel of one chunk, so a handler that does not read
//! holds the client up and not the memory; the answer's chunks are written as they come. A client that leaves ends the
//! handler.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use futures::stream;
use http::{HeaderValue, Method, Request, Uri, Version, header};
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorType, Result};
use pingora_proxy::Session;
use tokio::sync::mpsc;
use tower::ServiceExt;

use super::body_rate::Pace;
use super::limit::count_body;
use super::patience::Patience;
use super::{connection_of, target};
use crate::model::request::RequestFacts;
use crate::problem::Problem;

/// What is written at once, in bytes.
const PIECE: usize = 64 * 1024;

type Chunks = mpsc::Sender<io::Result<Bytes>>;

/// How a local request ended before its answer.
#[derive(Debug)]
pub(super) enum Ended {
    /// The request cannot be answered: this is why.
    Problem(Problem),
    /// The client left, or its connection broke.
    Client(Box<Error>),
}

/// The request for the router: `path` resolved, query as sent. `chunks` is where its body goes, if it has one.
///
/// # Errors
/// 400 when the target is no URI.
pub(super) fn request(
    session: &mut Session,
    path: &[u8],
    facts: RequestFacts,
) -> Result<(Request<Body>, Option<Chunks>), Problem> {
    let (chunks, body) = if session.as_downstream_mut().is_body_empty() {
        (None, Body::empty())
    } else {
        let (sender, receiver) = mpsc::channel(1);
        let chunks = stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) });
        (Some(sender), Body::from_stream(chunks))
    };
    let header = session.req_header();
    let mut whole = path.to_vec();
    whole.extend_from_slice(target::split(header).1);
    let uri = Uri::try_from(whole).map_err(|_| Problem::bad_request("the request target is not a URI"))?;
    let mut request = Request::new(body);
    *request.method_mut() = header.method.clone();
    *request.uri_mut() = uri;
    *request.version_mut() = header.version;
    request.headers_mut().clone_from(&header.headers);
    request.extensions_mut().insert(facts);
    Ok((request, chunks))
}

/// Runs the router while feeding it the request's body.
///
/// # Errors
/// [`Ended`]: a body above `limit` bytes, or a client that left.
pub(super) async fn answer(
    session: &mut Session,
    router: &Router,
    (request, mut chunks): (Request<Body>, Option<Chunks>),
    limit: u64,
    patience: Patience,
) -> Result<Response, Ended> {
    let over_http_2 = session.req_header().version == Version::HTTP_2;
    let mut pace = Pace::default();
    let mut handler = std::pin::pin!(router.clone().oneshot(request));
    let mut read = 0;
    if chunks.is_some() && expects_continue(session) {
        session.as_downstream_mut().write_continue_response().await.map_err(Ended::Client)?;
    }
    loop {
        let ready = async {
            match &chunks {
                // No permit is held over the read: there is one sender, so the room stays.
                Some(chunks) => chunks.reserve().await.is_ok(),
                None => true,
            }
        };
        let wanted = tokio::select! {
            biased;
            response = &mut handler => return Ok(unfailing(response)),
            wanted = ready => wanted,
        };
        if !wanted {
            // The handler does not want the rest of the body; its answer is all that matters now.
            chunks = None;
            continue;
        }
        let finished = chunks.is_none();
        let piece = tokio::select! {
            biased;
            response = &mut handler => return Ok(unfailing(response)),
            piece = read_piece(session, finished, patience) => piece?,
        };
        let Some(piece) = piece else {
            chunks = None;
            continue;
        };
        count_body(&mut read, piece.len(), limit).map_err(Ended::Problem)?;
        if over_http_2 && pace.is_too_slow(piece.len(), patience.body_rate) {
            return Err(Ended::Problem(Problem::request_timeout()));
        }
        if let Some(chunks) = &chunks {
            chunks.try_send(Ok(piece)).ok();
        }
        if session.as_downstream_mut().is_body_done() {
            chunks = None;
        }
    }
}

/// A piece of the request's body; `None` = its end. Once it is `finished`, waits for the client to leave. Over HTTP/2 it is
/// waited for here for `patience.idle`; over HTTP/1.1 the connection sees to that.
async fn read_piece(session: &mut Session, finished: bool, patience: Patience) -> Result<Option<Bytes>, Ended> {
    let over_http_2 = session.req_header().version == Version::HTTP_2;
    if finished && let Some(connection) = connection_of(session) {
        connection.body_is_over();
    }
    let piece = session.as_downstream_mut().read_body_or_idle(finished);
    if finished || !over_http_2 {
        return piece.await.map_err(Ended::Client);
    }
    match tokio::time::timeout(patience.idle, piece).await {
        Ok(piece) => piece.map_err(Ended::Client),
        Err(_) => Err(Ended::Problem(Problem::request_timeout())),
    }
}

/// A router has no errors: each is an answer.
fn unfailing(response: Result<Response, Infallible>) -> Response {
    match response {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn expects_continue(session: &Session) -> bool {
    session.req_header().version == Version::HTTP_11
        && session
            .get_header(header::EXPECT)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// The header of `response` as Pingora writes it, framed for the client's version.
///
/// # Errors
/// When a status or header cannot be represented, which axum's own types rule out.
pub(super) fn header_of(session: &Session, response: &Response) -> Result<ResponseHeader> {
    let mut header = ResponseHeader::build(response.status(), Some(response.headers().len() + 6))?;
    for (name, value) in response.headers() {
        header.append_header(name.clone(), value.clone())?;
    }
    let bodiless = matches!(response.status().as_u16(), 204 | 304);
    if !bodiless && !response.headers().contains_key(header::CONTENT_LENGTH) {
        // axum states the length that GET would have and takes the body away: where it states none, there is none to state.
        let exact = response.body().size_hint().exact().filter(|_| session.req_header().method != Method::HEAD);
        if let Some(length) = exact {
            header.insert_header(header::CONTENT_LENGTH, length.to_string())?;
        } else if session.req_header().version == Version::HTTP_11 {
            header.insert_header(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"))?;
        }
    }
    Ok(header)
}

/// Writes `header` and then `body`, piece by piece. A client that takes none of a piece for `patience` is given up: what
/// it does not read is held in memory.
///
/// # Errors
/// When the client leaves, or the handler breaks off: then the connection must not look as if the answer were whole.
pub(super) async fn write(session: &mut Session, header: ResponseHeader, body: Body, patience: Duration) -> Result<()> {
    let mut body = body;
    session.as_downstream_mut().set_write_timeout(Some(patience));
    let silent = session.req_header().method == Method::HEAD || matches!(header.status.as_u16(), 204 | 304);
    let done = silent || body.is_end_stream();
    session.write_response_header(Box::new(header), done).await.map_err(Error::into_down)?;
    if done {
        return session.write_response_body(None, true).await.map_err(Error::into_down);
    }
    loop {
        let finished = session.as_downstream_mut().is_body_done();
        let frame = tokio::select! {
            biased;
            frame = poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)) => frame,
            gone = session.as_downstream_mut().read_body_or_idle(finished) => match gone {
                // What is left of the request's body when nobody wants it.
                Ok(_) => continue,
                Err(error) => return Err(error.into_down()),
            },
        };
        match frame {
            Some(Ok(frame)) => {
                let mut data = frame.into_data().unwrap_or_default();
                while !data.is_empty() {
                    let piece = data.split_to(data.len().min(PIECE));
                    session.write_response_body(Some(piece), false).await.map_err(Error::into_down)?;
                }
            }
            Some(Err(error)) => {
                return Err(Error::because(ErrorType::InternalError, "a local answer broke off", error));
            }
            None => return session.write_response_body(None, true).await.map_err(Error::into_down),
        }
    }
}
