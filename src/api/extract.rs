//! What handlers take out of a request: the caller, parameters, the body, versions and idempotency keys.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use sha2::{Digest, Sha256};

use crate::auth::Principal;
use crate::problem::Problem;
use crate::store::{Expected, Once};

/// RFC draft-ietf-httpapi-idempotency-key-header.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// How long a body may take to arrive: it is held in memory until it is whole.
const WHOLE_WITHIN: Duration = Duration::from_secs(60);
/// Entries of a page at the most; more are asked for in vain.
pub(super) const MAX_PAGE: usize = 1000;
/// Longest idempotency key, in bytes.
const MAX_IDEMPOTENCY_KEY: usize = 255;

/// Who is calling; for handlers of operations that need a key.
pub(super) struct Caller(pub(super) Principal);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    /// 500 where the operation is not declared to need a key: then nobody has been asked for one.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.remove::<Principal>().map(Self).ok_or_else(Problem::internal)
    }
}

/// The parameters of a query; of one that is repeated, the first. What is no UTF-8 is replaced, never refused.
pub(super) struct Parameters<'q>(HashMap<Cow<'q, str>, Cow<'q, str>>);

impl<'q> Parameters<'q> {
    pub(super) fn parse(query: &'q str) -> Self {
        let mut first = HashMap::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            first.entry(name).or_insert(value);
        }
        Self(first)
    }

    /// The value of `name`; an empty one is none.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| &**value).filter(|value| !value.is_empty())
    }
}

/// A number of entries as the original read one: digits, and what may follow a decimal point, which says nothing.
pub(super) fn page_limit(text: &str) -> Option<usize> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let number = (!whole.is_empty() && digits(whole) && digits(fraction)).then(|| whole.parse::<i64>().ok())??;
    Some(usize::try_from(number).unwrap_or(MAX_PAGE).min(MAX_PAGE))
}

/// The whole body, of `limit` bytes at the most.
///
/// # Errors
/// 413, as soon as it is known that there is more; 415 if it is encoded; 408 if it takes too long; 400 if it breaks off.
pub(super) async fn whole(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Problem> {
    let too_large = || Problem::body_too_large(limit as u64);
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    let coding = headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes);
    if coding.is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
        return Err(Problem::unsupported_coding());
    }
    match tokio::time::timeout(WHOLE_WITHIN, Limited::new(body, limit).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::bad_request("the body broke off")),
        Err(_) => Err(Problem::request_timeout()),
    }
}

/// The strong tag of one version (RFC 9110 §8.8.3).
pub(super) fn tag(version: u64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{version}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

/// The versions that a change is meant for (RFC 9110 §13.1.1): a weak tag, or one that is not ours, is none.
pub(super) fn expected(headers: &HeaderMap) -> Expected {
    let lists: Vec<&[u8]> = headers.get_all(header::IF_MATCH).iter().map(|list| list.as_bytes().trim_ascii()).collect();
    match lists[..] {
        [] | [b"*"] => Expected::Any,
        _ => Expected::OneOf(
            lists.into_iter().flat_map(|list| list.split(|&byte| byte == b',')).filter_map(version).collect(),
        ),
    }
}

/// Whether the client has `own` already (RFC 9110 §13.1.2).
pub(super) fn is_known(headers: &HeaderMap, own: u64) -> bool {
    let lists = headers.get_all(header::IF_NONE_MATCH).iter().map(HeaderValue::as_bytes);
    lists
        .flat_map(|list| list.split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .any(|known| known == b"*" || version(known.strip_prefix(b"W/").unwrap_or(known)) == Some(own))
}

/// The version of one of our tags, as we write it and not otherwise.
fn version(tag: &[u8]) -> Option<u64> {
    let digits = tag.trim_ascii().strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let version = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (format!("{version}").as_bytes() == digits).then_some(version)
}

/// What makes a request one that may be repeated; `None` if it has no `Idempotency-Key`.
///
/// # Errors
/// What is wrong with the key.
pub(super) fn once(caller: &Principal, parts: &Parts, body: &[u8]) -> Result<Option<Once>, String> {
    let mut keys = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
    let (Some(key), more) = (keys.next(), keys.count()) else { return Ok(None) };
    let accepted = "accepted: one, of 1 to 255 visible ASCII characters";
    if more > 0 {
        return Err(format!("Idempotency-Key: found {}; {accepted}", more + 1));
    }
    let name = key.to_str().ok().filter(|name| name.bytes().all(|byte| byte.is_ascii_graphic()));
    let name = name.filter(|name| (1..=MAX_IDEMPOTENCY_KEY).contains(&name.len()));
    let Some(name) = name else {
        return Err(format!("Idempotency-Key: found {} bytes, or others than these; {accepted}", key.len()));
    };
    let mut fingerprint = Sha256::new();
    for part in [parts.method.as_str().as_bytes(), parts.uri.path().as_bytes(), body] {
        fingerprint.update((part.len() as u64).to_be_bytes());
        fingerprint.update(part);
    }
    let fingerprint = fingerprint.finalize().into();
    Ok(Some(Once { key_id: caller.key_id.clone(), name: name.to_owned(), fingerprint }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_change_is_meant_for_the_strong_tags_that_are_ours() {
        let versions = |values: &[&str]| match expected(&with(&header::IF_MATCH, values)) {
            Expected::Any => None,
            Expected::OneOf(versions) => Some(versions),
        };
        assert_eq!((versions(&[]), versions(&["*"]), versions(&[" * "])), (None, None, None));
        for (values, found) in [
            (&["\"3\""][..], &[3][..]),
            (&["\"3\", \"18446744073709551615\""], &[3, u64::MAX]),
            (&["\"3\"", "\"4\""], &[3, 4]),
            (&["W/\"3\""], &[]),
            (&["\"abc\""], &[]),
            (&["3"], &[]),
            (&["\"03\""], &[]),
            (&["\"+3\""], &[]),
            (&["\"\""], &[]),
            (&[""], &[]),
            (&["*, \"3\""], &[3]),
        ] {
            assert_eq!(versions(values).as_deref(), Some(found), "{values:?}");
        }
    }

    #[test]
    fn a_client_has_a_version_whose_tag_it_names_weak_or_strong() {
        for (value, known) in
            [("\"3\"", true), ("W/\"3\"", true), ("*", true), ("\"2\", \"3\"", true), ("\"2\"", false)]
        {
            assert_eq!(is_known(&with(&header::IF_NONE_MATCH, &[value]), 3), known, "{value}");
        }
        assert!(!is_known(&HeaderMap::new(), 3));
        assert_eq!(tag(3), "\"3\"");
    }

    #[test]
    fn the_first_of_a_repeated_parameter_counts_and_an_empty_one_is_none() {
        let parameters = Parameters::parse("a=1&a=2&b=&b=3&c=x+%26%20y&d=%FF&=e&%zz");
        assert_eq!(parameters.get("a"), Some("1"));
        assert_eq!(parameters.get("b"), None);
        assert_eq!(parameters.get("c"), Some("x & y"));
        assert_eq!(parameters.get("d"), Some("\u{fffd}"));
        assert_eq!(parameters.get("nope"), None);
    }

    #[test]
    fn an_idempotency_key_is_visible_ascii_and_stands_for_one_request() {
        let caller = Principal::sample("alice", "s");
        let once_of = |method: &str, path: &str, keys: &[&str], body: &str| {
            let mut request = http::Request::builder().method(method).uri(path).body(()).unwrap();
            *request.headers_mut() = with(&IDEMPOTENCY_KEY, keys);
            once(&caller, &request.into_parts().0, body.as_bytes())
        };
        let long = "k".repeat(256);
        for wrong in [&[""][..], &["a b"], &["a\tb"], &["é"], &["a", "a"], &[&long]] {
            assert!(once_of("POST", "/x", wrong, "").unwrap_err().contains("accepted"), "{wrong:?}");
        }
        assert_eq!(once_of("POST", "/x", &[], "").unwrap(), None);
        let first = once_of("POST", "/x", &[&long[1..]], "{}").unwrap().unwrap();
        assert_eq!(first, once_of("POST", "/x", &[&long[1..]], "{}").unwrap().unwrap());
        for (method, path, body) in
            [("PATCH", "/x", "{}"), ("POST", "/x{", "}"), ("POST", "/y", "{}"), ("POST", "/x", "{} ")]
        {
            let path = path.replace('{', "%7B");
            let other = once_of(method, &path, &[&long[1..]], body).unwrap().unwrap();
            assert_ne!(first.fingerprint, other.fingerprint, "{method} {path} {body}");
        }
    }
}
