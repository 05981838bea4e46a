//! Headers of proxied requests and answers (DESIGN.md, "Forwarding").
//!
//! What a client says about where it comes from is replaced, unless it is a trusted proxy, whose words are continued.
//! Hop-by-hop fields of requests are Pingora's to remove (RFC 9110 §7.6.1); those of answers are removed here.

use std::net::IpAddr;

use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::{Error, ErrorType, Result};
use uuid::Uuid;

use super::context::{RequestContext, RequestId};
use super::target;
use crate::upstream::edit::Edits;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
/// The request id's header, as it is written.
pub const X_REQUEST_ID: &str = "X-Request-ID";
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

// Names are written as literals where they are inserted: Pingora copies any other spelling of a name it does not know,
// once for each request.

/// Up to so many fields are copied. Growing was counted at some 4,700 instructions; the bound itself is an estimate.
const FEW_FIELDS: usize = 5;
/// The most fields that are added to a request.
const ADDED_FIELDS: usize = 9;
/// Longest id that is taken over from a trusted proxy.
const MAX_GIVEN_ID: usize = 128;

/// This gateway's name in `Via`: `1.1 chittyconnect-<16 hex>` (RFC 9110 §7.6.3).
#[derive(Clone, Debug)]
pub struct Via {
    value: HeaderValue,
    pseudonym: String,
}

impl Via {
    /// `instance`: 16 hexadecimal digits, random for each store folder.
    #[must_use]
    pub fn new(instance: &str) -> Self {
        let pseudonym = format!("chittyconnect-{instance}");
        let value = HeaderValue::from_str(&format!("1.1 {pseudonym}"));
        Self { value: value.unwrap_or_else(|_| HeaderValue::from_static("1.1 chittyconnect")), pseudonym }
    }

    /// Whether a request has been here before.
    #[must_use]
    pub fn is_in(&self, headers: &HeaderMap) -> bool {
        headers.get_all(header::VIA).iter().any(|value| {
            value.to_str().is_ok_and(|text| {
                text.split(',').any(|hop| hop.split_whitespace().nth(1) == Some(self.pseudonym.as_str()))
            })
        })
    }
}

/// How the client reached us.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The address at the other end of the connection, as text; empty where that cannot be told.
    pub peer: &'a str,
    /// `http` or `https`.
    pub scheme: &'static str,
}

/// The client and the request id that a trusted proxy states; what is not stated stays `None`.
#[must_use]
pub fn stated_by_proxy(
    headers: &HeaderMap,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> (Option<IpAddr>, Option<RequestId>) {
    let hops = headers.get_all(X_FORWARDED_FOR).iter().rev().filter_map(|value| value.to_str().ok());
    let mut client = None;
    for hop in hops.flat_map(|value| value.rsplit(',')) {
        let Some(address) = forwarded_address(hop.trim()) else { break };
        client = Some(address);
        if !is_trusted(address) {
            break;
        }
    }
    let id = headers
        .get(X_REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| (1..=MAX_GIVEN_ID).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic()))
        .map(|id| RequestId::Given(id.into()));
    (client, id)
}

/// An address as proxies write it: plain, in brackets, with or without a port.
fn forwarded_address(text: &str) -> Option<IpAddr> {
    let unbracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(address, _)| address);
    text.parse().ok().or_else(|| unbracketed?.parse().ok()).or_else(|| text.rsplit_once(':')?.0.parse().ok())
}

/// What of a request's header is the upstream's business, and what is not.
pub struct ForwardPolicy<'a> {
    /// The header that holds a key of ours.
    pub auth_header: &'a HeaderName,
    /// Whether `Authorization` held what let the request through, and so does not go on.
    pub authorization_is_ours: bool,
    /// Whether `Authorization` and `Cookie` go on.
    pub forward_credentials: bool,
    /// The `Host` to send.
    pub host: &'a HeaderValue,
    /// Our mark.
    pub via: &'a Via,
    /// What the service's rules change, last of all.
    pub edits: &'a Edits,
}

/// Which of the fields that matter here a request has: found in one pass, so that what is not there costs no look-up.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is whether one field is there")]
struct Present {
    proto: bool,
    host: bool,
    prefix: bool,
    port: bool,
    real_ip: bool,
    trace: bool,
    trace_state: bool,
    credentials: bool,
    key: bool,
}

impl Present {
    fn in_request(headers: &HeaderMap, auth_header: &HeaderName) -> Self {
        let mut present = Self::default();
        for name in headers.keys() {
            match name.as_str() {
                "x-forwarded-proto" => present.proto = true,
                "x-forwarded-host" => present.host = true,
                "x-forwarded-prefix" => present.prefix = true,
                "x-forwarded-port" => present.port = true,
                "x-real-ip" => present.real_ip = true,
                "traceparent" => present.trace = true,
                "tracestate" => present.trace_state = true,
                "authorization" | "cookie" => present.credentials = true,
                _ => {}
            }
            present.key |= name == auth_header;
        }
        present
    }
}

/// A header with few fields is copied into one with room for those that are added: its maps would else grow twice while
/// they are, which costs more. Larger ones have the room, or grow once. One that came over HTTP/2 has no spellings of its
/// names to be copied by.
fn make_room(request: &mut RequestHeader) -> Result<()> {
    let fields = request.headers.len();
    if fields > FEW_FIELDS || !request.has_case() {
        return Ok(());
    }
    let mut roomy = RequestHeader::build(request.method.clone(), request.raw_path(), Some(fields + ADDED_FIELDS))?;
    roomy.set_version(request.version);
    for (name, value) in request.case_header_iter() {
        roomy.append_header(name.clone(), value.clone())?;
    }
    *request = roomy;
    Ok(())
}

/// Turns the client's header into the upstream's.
///
/// # Errors
/// When a value cannot stand in a header, which the checks before rule out.
pub fn prepare_upstream(
    request: &mut RequestHeader,
    context: &RequestContext,
    arrival: Arrival<'_>,
    policy: &ForwardPolicy<'_>,
) -> Result<()> {
    make_room(request)?;
    let present = Present::in_request(&request.headers, policy.auth_header);
    let sent_host = request.headers.get(header::HOST).cloned();
    remove_credentials(request, &present, policy);
    if present.credentials && !request.has_case() && request.version < Version::HTTP_2 {
        join_cookies(request)?;
    }
    forwarded_for(request, &present, context, arrival, sent_host.as_ref())?;
    if let Some(rewrite) = &context.rewrite {
        // A trusted proxy's prefix stands before ours: together they are what the client wrote.
        let outer = request.headers.get(X_FORWARDED_PREFIX).filter(|_| context.from_trusted);
        let outer = outer.map_or(&[][..], HeaderValue::as_bytes).trim_ascii_end();
        let prefix = [outer.strip_suffix(b"/").unwrap_or(outer), &rewrite.prefix].concat();
        let prefix =
            HeaderValue::from_bytes(&prefix).map_err(|e| Error::because(ErrorType::InvalidHTTPHeader, "prefix", e))?;
        request.insert_header("X-Forwarded-Prefix", prefix)?;
        request.set_raw_path(&rewrite.target)?;
    } else {
        if present.prefix && !context.from_trusted {
            request.remove_header(&X_FORWARDED_PREFIX);
        }
        if target::is_absolute(request) {
            let target = target::origin_form(request).to_vec();
            request.set_raw_path(&target)?;
        }
    }
    request.insert_header(X_REQUEST_ID, context.id.as_str())?;
    trace(request, &present, context)?;
    request.append_header("Via", policy.via.value.clone())?;
    for name in &policy.edits.remove {
        request.remove_header(name);
    }
    for (name, value) in &policy.edits.set {
        request.insert_header(name.clone(), value.clone())?;
    }
    request.insert_header(header::HOST, policy.host.clone())
}

/// Changes an answer as the service's rules say.
///
/// # Errors
/// Never for names and values that were read as such; Pingora's signature has one.
pub fn edit_response(response: &mut ResponseHeader, edits: &Edits) -> Result<()> {
    for name in &edits.remove {
        response.remove_header(name);
    }
    for (name, value) in &edits.set {
        response.insert_header(name.clone(), value.clone())?;
    }
    Ok(())
}

/// Whether an answer ends with its header (RFC 9112 §6.3, items 1 and 6). A final one is meant, and no upgrade.
#[must_use]
pub fn has_no_body(method: &Method, response: &ResponseHeader) -> bool {
    *method == Method::HEAD
        || matches!(response.status.as_u16(), 204 | 304)
        || response.headers.get(header::CONTENT_LENGTH).is_some_and(|length| length == "0")
}

/// Whether a value of `Accept` names event streams.
#[must_use]
pub fn accepts_event_stream(value: &[u8]) -> bool {
    value.split(|&b| b == b',').any(|kind| kind.trim_ascii_start().starts_with(b"text/event-stream"))
}

fn remove_credentials(request: &mut RequestHeader, present: &Present, policy: &ForwardPolicy<'_>) {
    if present.key {
        request.remove_header(policy.auth_header);
    }
    if !present.credentials {
        return;
    }
    if policy.forward_credentials {
        let is_key = |value: &HeaderValue| is_key_of_ours(value.as_bytes());
        if policy.authorization_is_ours || request.headers.get(header::AUTHORIZATION).is_some_and(is_key) {
            request.remove_header(&header::AUTHORIZATION);
        }
    } else {
        request.remove_header(&header::AUTHORIZATION);
        request.remove_header(&header::COOKIE);
    }
}

/// `Cookie` comes in pieces over HTTP/2, and goes on as one field over HTTP/1.1 (RFC 9113 §8.2.3).
fn join_cookies(request: &mut RequestHeader) -> Result<()> {
    let pieces: Vec<&[u8]> = request.headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if pieces.len() < 2 {
        return Ok(());
    }
    let joined = HeaderValue::from_bytes(&pieces.join(&b"; "[..]));
    request
        .insert_header(header::COOKIE, joined.map_err(|e| Error::because(ErrorType::InvalidHTTPHeader, "cookie", e))?)
}

/// `Bearer chitty_` and 64 hexadecimal digits, the scheme in any case.
fn is_key_of_ours(value: &[u8]) -> bool {
    let Some((scheme, key)) = value.split_at_checked(7) else { return false };
    scheme.eq_ignore_ascii_case(b"bearer ")
        && key
            .trim_ascii()
            .strip_prefix(b"chitty_")
            .is_some_and(|hex| hex.len() == 64 && hex.iter().all(u8::is_ascii_hexdigit))
}

fn forwarded_for(
    request: &mut RequestHeader,
    present: &Present,
    context: &RequestContext,
    arrival: Arrival<'_>,
    sent_host: Option<&HeaderValue>,
) -> Result<()> {
    let mut for_list = String::with_capacity(64);
    let mut forwarded = String::with_capacity(128);
    if context.from_trusted {
        join(&mut for_list, &request.headers, &X_FORWARDED_FOR);
        join(&mut forwarded, &request.headers, &header::FORWARDED);
    } else {
        for (is_there, name) in [(present.real_ip, &X_REAL_IP), (present.port, &X_FORWARDED_PORT)] {
            if is_there {
                request.remove_header(name);
            }
        }
    }
    if !for_list.is_empty() {
        for_list.push_str(", ");
    }
    if !forwarded.is_empty() {
        forwarded.push_str(", ");
    }
    match arrival.peer {
        "" => {
            for_list.push_str("unknown");
            forwarded.push_str("for=unknown");
        }
        peer if peer.contains(':') => {
            for_list.push_str(peer);
            forwarded.extend(["for=\"[", peer, "]\""]);
        }
        peer => {
            for_list.push_str(peer);
            forwarded.extend(["for=", peer]);
        }
    }
    if let Some(host) = sent_host.and_then(|host| host.to_str().ok()).filter(|host| !host.is_empty()) {
        // A token needs no quotes, anything with a port does (RFC 7239 §4).
        let quote = if host.contains([':', '[']) { "\"" } else { "" };
        forwarded.extend([";host=", quote, host, quote]);
    }
    forwarded.extend([";proto=", arrival.scheme]);
    request.insert_header("X-Forwarded-For", for_list)?;
    request.insert_header("Forwarded", forwarded)?;
    if !(context.from_trusted && present.proto) {
        request.insert_header("X-Forwarded-Proto", arrival.scheme)?;
    }
    if !(context.from_trusted && present.host) {
        match sent_host {
            Some(host) => request.insert_header("X-Forwarded-Host", host.clone())?,
            None => drop(request.remove_header(&X_FORWARDED_HOST)),
        }
    }
    Ok(())
}

/// All values of `name`, joined as one list.
fn join(list: &mut String, headers: &HeaderMap, name: &HeaderName) {
    for value in headers.get_all(name).iter().filter_map(|value| value.to_str().ok()) {
        if !list.is_empty() {
            list.push_str(", ");
        }
        list.push_str(value);
    }
}

/// Keeps a valid `traceparent` (W3C Trace Context §3.2), else begins a trace under the request id.
fn trace(request: &mut RequestHeader, present: &Present, context: &RequestContext) -> Result<()> {
    let sent = present.trace.then(|| request.headers.get(TRACEPARENT)).flatten();
    if sent.is_some_and(|value| is_traceparent(value.as_bytes())) {
        return Ok(());
    }
    if present.trace_state {
        request.remove_header(&TRACESTATE);
    }
    let trace = match &context.id {
        RequestId::Own(id, _) => *id,
        RequestId::Given(_) => Uuid::now_v7(),
    };
    // An all-zero id is invalid; one bit keeps it from being that.
    let span = Uuid::from_u64_pair(rand::random::<u64>() | 1, 0);
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    let (mut trace_text, mut span_text) = (Uuid::encode_buffer(), Uuid::encode_buffer());
    text[3..35].copy_from_slice(trace.simple().encode_lower(&mut trace_text).as_bytes());
    text[36..52].copy_from_slice(&span.simple().encode_lower(&mut span_text).as_bytes()[..16]);
    request.insert_header("traceparent", &text[..])
}

fn is_traceparent(value: &[u8]) -> bool {
    let zero = |part: &[u8]| part.iter().all(|&b| b == b'0');
    let hex = |part: &[u8]| part.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let mut parts = value.split(|&b| b == b'-');
    let (Some(version), Some(trace), Some(span), Some(flags)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    (version.len(), trace.len(), span.len(), flags.len()) == (2, 32, 16, 2)
        && [version, trace, span, flags].into_iter().all(hex)
        && version != b"ff"
        && (version != b"00" || parts.next().is_none())
        && !zero(trace)
        && !zero(span)
}

/// Removes what an answer says only to us (RFC 9110 §7.6.1). An upgrade's fields stay: they are for both ends.
pub fn remove_hop_by_hop(response: &mut ResponseHeader) {
    if response.status == http::StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    let (mut connection, mut others) = (false, false);
    for name in response.headers.keys() {
        match name.as_str() {
            "connection" => connection = true,
            "keep-alive" | "proxy-connection" | "upgrade" => others = true,
            _ => {}
        }
    }
    if connection {
        remove_named(response);
    }
    if others {
        for name in [&KEEP_ALIVE, &PROXY_CONNECTION, &header::UPGRADE] {
            response.remove_header(name);
        }
    }
}

/// Removes the fields that `Connection` names. Itself Pingora replaces.
fn remove_named(response: &mut ResponseHeader) {
    let named: Vec<HeaderName> = response
        .headers
        .get_all(header::CONNECTION)
        .iter()
        .filter(|value| !matches!(value.as_bytes(), b"keep-alive" | b"close"))
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // Framing is Pingora's; a name that would cut it off is not followed.
        .filter(|name| !matches!(*name, header::CONTENT_LENGTH | header::TRANSFER_ENCODING | header::CONNECTION))
        .collect();
    for name in &named {
        response.remove_header(name);
    }
}

/// Whether an answer is an event stream, in which silence means nothing.
#[must_use]
pub fn is_event_stream(response: &ResponseHeader) -> bool {
    response
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().get(..17).is_some_and(|v| v.eq_ignore_ascii_case(b"text/event-stream")))
}

#[cfg(test)]
mod tests;
