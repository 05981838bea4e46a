//! Admission limits on one request's header and body (DESIGN.md, "Local answers"; reference configuration, `limits`).

use http::{HeaderMap, header};
use pingora_proxy::Session;

use super::Limits;
use crate::problem::Problem;

/// Checks the header's size; `sent` is its bytes as they came. Pingora itself refuses more than 256 fields or 1 MiB.
///
/// # Errors
/// 414 or 431, naming the limit; 400 for a transfer coding that is not understood.
pub(super) fn check_header(session: &Session, sent: &[u8], limits: &Limits) -> Result<(), Problem> {
    let request = session.req_header();
    check_coding(&request.headers)?;
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

/// Leaves one `Content-Length` with one value where equal ones were sent several times (RFC 9112 §6.3, item 5). That they
/// are equal has been checked by Pingora.
///
/// # Errors
/// Never for a value that stood in a header; Pingora's signature has one.
pub(super) fn state_length_once(session: &mut Session) -> pingora::Result<()> {
    let mut values = session.req_header().headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = values.next() else { return Ok(()) };
    if values.next().is_none() && !first.as_bytes().contains(&b',') {
        return Ok(());
    }
    let one = first.as_bytes().split(|&b| b == b',').next().unwrap_or_default().trim_ascii().to_vec();
    session.req_header_mut().insert_header(header::CONTENT_LENGTH, &one[..])
}

/// Counts `more` bytes of a body that is being read into `sofar`.
///
/// # Errors
/// 413 once the body is above `limit`.
pub(super) fn count_body(sofar: &mut u64, more: usize, limit: u64) -> Result<(), Problem> {
    *sofar = sofar.saturating_add(more as u64);
    if *sofar > limit { Err(Problem::body_too_large(limit)) } else { Ok(()) }
}
