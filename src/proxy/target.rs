//! The request target, byte for byte as it was sent (RFC 9112 §3.2).
//!
//! Pingora lets targets through that are neither a path nor a URL, and drops fragments without a word.

use std::borrow::Cow;

use http::Method;
use http::header::HOST;
use pingora::http::RequestHeader;
use pingora::protocols::http::authority::{RawTargetAuthority, raw_target_authority};

use crate::problem::Problem;

/// Accepts origin-form, absolute-form of http and https, and `*` with OPTIONS; no fragment, which is no part of a target.
/// `sent` is the header as it came.
///
/// # Errors
/// 400.
pub(super) fn check(request: &RequestHeader, sent: &[u8]) -> Result<(), Problem> {
    let raw = request.raw_path();
    let form = match raw_target_authority(raw) {
        RawTargetAuthority::Absolute { scheme, .. } => {
            [&b"http"[..], b"https"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
        }
        RawTargetAuthority::None => raw.first() == Some(&b'/') || (raw == b"*" && request.method == Method::OPTIONS),
        RawTargetAuthority::AmbiguousAuthority => false,
    };
    if !form {
        return Err(Problem::bad_request("the request target is neither a path nor a URL of http or https"));
    }
    // Empty lines may stand before it (RFC 9112 §2.2).
    let line = sent.split(|&b| b == b'\n').find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
    if line.split(|&b| b == b' ').count() > 3 || line.contains(&b'\t') {
        return Err(Problem::bad_request("the request target has white space in it (RFC 9112 §3)"));
    }
    // A method may have one.
    if line.split(|&b| b == b' ').skip(1).any(|word| word.contains(&b'#')) {
        return Err(Problem::bad_request("the request target has a fragment (`#`), which is not sent to a server"));
    }
    Ok(())
}

/// Gives a request over HTTP/2 the `Host` that its `:authority` is (RFC 9113 §8.3.1): from here on it is like any other.
///
/// # Errors
/// 400 where both are there and differ, and where there is neither.
pub(super) fn state_host(request: &mut RequestHeader) -> Result<(), Problem> {
    let mut hosts = request.headers.get_all(HOST).iter();
    let (host, more) = (hosts.next(), hosts.next().is_some());
    let authority = request.uri.authority().map(|authority| authority.as_str().to_owned());
    match (authority, host) {
        _ if more => Err(Problem::bad_request("a request has one Host header")),
        (Some(authority), Some(host)) if !host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()) => {
            Err(Problem::bad_request("the request's Host header and its :authority name different hosts"))
        }
        (Some(authority), None) => request
            .insert_header(HOST, authority)
            .map_err(|_| Problem::bad_request("the request's :authority is not a host")),
        _ => Ok(()),
    }
}

/// The target as a service is sent it: path and query, without scheme and authority; `/` where there is no path.
pub(super) fn origin_form(request: &RequestHeader) -> Cow<'_, [u8]> {
    match split(request) {
        // Without a `/` before it a query is no target (RFC 9112 §3.2.1).
        (path, query) if is_absolute(request) => [path, query].concat().into(),
        _ => request.raw_path().into(),
    }
}

/// Whether the target was sent in absolute-form, which is for proxies (RFC 9112 §3.2.2).
pub(super) fn is_absolute(request: &RequestHeader) -> bool {
    raw_target_authority(request.raw_path()).authority().is_some()
}

/// The path, without the query.
pub(super) fn path(request: &RequestHeader) -> &[u8] {
    split(request).0
}

/// The path, and the query with its `?`; empty where there is none.
pub(super) fn split(request: &RequestHeader) -> (&[u8], &[u8]) {
    let target = match raw_target_authority(request.raw_path()) {
        RawTargetAuthority::Absolute { path_and_query: b"", .. } => b"/",
        RawTargetAuthority::Absolute { path_and_query, .. } => path_and_query,
        _ => request.raw_path(),
    };
    match target.iter().position(|&b| b == b'?') {
        // `http://host?query` has an empty path, which means `/`.
        Some(0) => (b"/", target),
        Some(at) => target.split_at(at),
        None => (target, b""),
    }
}
