//! Admission limits on one request's header and body (DESIGN.md, "Local answers"; reference configuration, `limits`).

use http::{HeaderMap, Version, header};
use pingora::protocols::http::v1::server::HttpSession;
use pingora_proxy::Session;

use super::Limits;
use crate::problem::Problem;

/// Checks the header's size; `sent` is its bytes as they came. Pingora itself refuses more than 256 fields or 1 MiB.
///
/// # Errors
/// 414 or 431, naming the limit; 400 for a transfer coding that is not understood and a field that is none.
pub(super) fn check_header(session: &Session, sent: &[u8], limits: &Limits) -> Result<(), Problem> {
    let request = session.req_header();
    check_coding(&request.headers)?;
    // The one character that the crate `http` lets through and HTTP does not (RFC 9110 §5.6.2); over HTTP/1 none gets here.
    if request.version == Version::HTTP_2 && request.headers.keys().any(|name| name.as_str().contains('"')) {
        return Err(Problem::bad_request("the name of a field has a `\"` in it"));
    }
    if request.raw_path().len() > limits.uri_bytes {
        return Err(Problem::uri_too_long(limits.uri_bytes));
    }
    if request.headers.len() > limits.headers {
        return Err(Problem::headers_too_large(limits.headers, "fields"));
    }
    if sent.len() > limits.header_bytes {
        return Err(Problem::headers_too_large(limits.header_bytes, "bytes"));
    }
    Ok(())
}

/// Lets `chunked` through, alone and once: Pingora looks at the last coding, removes all of them and sends the body on in
/// chunks, so that a service would take what is coded otherwise, too, for the body itself (RFC 9112 §6.1).
fn check_coding(headers: &HeaderMap) -> Result<(), Problem> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(Problem::bad_request("the only Transfer-Encoding that is understood is `chunked`, once")),
    }
}

/// Refuses a body that says it is too large before a byte of it is read.
///
/// # Errors
/// 413, naming the limit.
pub(super) fn check_announced_body(session: &Session, limit: u64) -> Result<(), Problem> {
    let announced =
        session.get_header(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match announced {
        Some(bytes) if bytes > limit => Err(Problem::body_too_large(limit)),
        _ => Ok(()),
    }
}

/// Settles where a request ends and whether another may follow it: a header that others may read otherwise ends the
/// connection with its answer.
///
/// # Errors
/// Never for a value that stood in a header; Pingora's signature has one.
pub(super) fn settle_framing(session: &mut Session) -> pingora::Result<()> {
    allow_pipelining(session);
    if is_doubtful(session) {
        session.set_keepalive(None);
    }
    state_length_once(session)
}

/// Leaves one `Content-Length` with one value where equal ones were sent several times (RFC 9112 §6.3, item 5). That they
/// are equal has been checked by Pingora.
fn state_length_once(session: &mut Session) -> pingora::Result<()> {
    let mut values = session.req_header().headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = values.next() else { return Ok(()) };
    if values.next().is_none() && !first.as_bytes().contains(&b',') {
        return Ok(());
    }
    let one = first.as_bytes().split(|&b| b == b',').next().unwrap_or_default().trim_ascii().to_vec();
    session.req_header_mut().insert_header(header::CONTENT_LENGTH, &one[..])
}

/// Lets what was sent along with a request be read as the next one, unless the request has a body in chunks: it ends where
/// its reader thinks it does, and Pingora's takes more for a chunk than RFC 9112 §7.1 does. What follows in one piece may be
/// a part of it to others, so the connection ends there.
pub(super) fn allow_pipelining(session: &mut Session) {
    let in_chunks = session.req_header().headers.contains_key(header::TRANSFER_ENCODING);
    session.as_downstream_mut().set_pipelining_enabled(!in_chunks);
}

/// Takes out an `Upgrade` that `Connection` does not name: it is not for us (RFC 9110 §7.8).
pub(super) fn ignore_unnamed_upgrade(session: &mut Session) {
    let headers = &session.req_header().headers;
    if !headers.contains_key(header::UPGRADE) {
        return;
    }
    let mut connection =
        headers.get_all(header::CONNECTION).iter().flat_map(|value| value.as_bytes().split(|&b| b == b','));
    if !connection.any(|word| word.trim_ascii().eq_ignore_ascii_case(b"upgrade")) {
        session.req_header_mut().remove_header(&header::UPGRADE);
    }
}

/// Whether a line of the header ends in a bare LF, which not everyone takes for its end (RFC 9112 §2.2), or `close` stands
/// where Pingora does not look: in a second `Connection` (RFC 9112 §9.6).
fn is_doubtful(session: &Session) -> bool {
    let sent = session.as_downstream().as_http1().map(HttpSession::get_headers_raw_bytes).unwrap_or_default();
    let mut lines = sent.split_inclusive(|&b| b == b'\n');
    if lines.any(|line| line.ends_with(b"\n") && !line.ends_with(b"\r\n")) {
        return true;
    }
    let mut connection = session.req_header().headers.get_all(header::CONNECTION).iter().skip(1);
    connection.any(|value| {
        value.as_bytes().split(|&b| b == b',').any(|word| word.trim_ascii().eq_ignore_ascii_case(b"close"))
    })
}

/// Counts `more` bytes of a body that is being read into `sofar`.
///
/// # Errors
/// 413 once the body is above `limit`.
pub(super) fn count_body(sofar: &mut u64, more: usize, limit: u64) -> Result<(), Problem> {
    *sofar = sofar.saturating_add(more as u64);
    if *sofar > limit { Err(Problem::body_too_large(limit)) } else { Ok(()) }
}
