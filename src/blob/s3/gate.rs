//! What is refused before anybody looks at a signature: old signatures, forms, URLs that are good for too long, times that
//! are none, and headers that change a request without being signed.

use std::borrow::Cow;

use http::request::Parts;
use http::{Method, header};
use s3s::{S3Result, s3_error};

/// How a header that signs a request begins.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Seconds that a signed URL is good for at the most: a week, as S3 has it.
const MAX_EXPIRES: u64 = 7 * 24 * 3600;
/// When a request was signed.
const TIME: &str = "x-amz-date";
/// What S3's own extensions of HTTP begin with.
const EXTENSION: &str = "x-amz-";
/// What a content delivery network adds on the way.
const ON_THE_WAY: &str = "x-amz-cf-id";
/// Says what the body must be, which can only narrow what a signed URL allows.
const BODY_HASH: &str = "x-amz-content-sha256";

/// Whether the signature is worth looking at.
pub(super) fn check(parts: &Parts) -> S3Result<()> {
    refuse_forms(parts)?;
    let authorization = parts.headers.get(header::AUTHORIZATION).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let query = Signed::of(parts.uri.query().unwrap_or_default());
    let old = authorization.as_deref().is_some_and(|value| !value.trim_start().starts_with(ALGORITHM));
    if old || query.old {
        return Err(s3_error!(InvalidRequest, "only signatures of version 4 are taken: {ALGORITHM}"));
    }
    if query.signature {
        if authorization.is_some() {
            return Err(s3_error!(InvalidRequest, "the request is signed twice, in its URL and in a header"));
        }
        check_expires(query.expires.as_deref())?;
        check_time(query.time.as_deref().map(str::as_bytes), query.credential.as_deref().unwrap_or_default())?;
        return check_signed(parts, query.headers.as_deref().unwrap_or_default(), true);
    }
    match &authorization {
        Some(value) => {
            let times = parts.headers.get_all(TIME).iter().map(http::HeaderValue::as_bytes);
            check_time(times, credential(value))?;
            check_signed(parts, signed_headers(value), false)
        }
        None => Ok(()),
    }
}

/// Forms are for browsers; their files would have to be taken whole before their policy is known.
fn refuse_forms(parts: &Parts) -> S3Result<()> {
    let form = |value: &http::HeaderValue| {
        String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase().contains("multipart/")
    };
    if parts.method == Method::POST && parts.headers.get_all(header::CONTENT_TYPE).iter().any(form) {
        return Err(s3_error!(MethodNotAllowed, "forms are not taken; accepted: PUT, also with a signed URL"));
    }
    Ok(())
}

/// What of a query signs a request.
#[derive(Default)]
struct Signed<'a> {
    old: bool,
    signature: bool,
    expires: Option<Cow<'a, str>>,
    time: Option<Cow<'a, str>>,
    credential: Option<Cow<'a, str>>,
    headers: Option<Cow<'a, str>>,
}

impl<'a> Signed<'a> {
    fn of(query: &'a str) -> Self {
        let mut signed = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "Signature" | "AWSAccessKeyId" => signed.old = true,
                "X-Amz-Signature" => signed.signature = true,
                "X-Amz-Expires" => signed.expires = Some(value),
                "X-Amz-Date" => signed.time = Some(value),
                "X-Amz-Credential" => signed.credential = Some(value),
                "X-Amz-SignedHeaders" => signed.headers = Some(value),
                _ => {}
            }
        }
        signed
    }
}

fn check_expires(expires: Option<&str>) -> S3Result<()> {
    match expires.map(str::parse::<u64>) {
        Some(Ok(seconds)) if (1..=MAX_EXPIRES).contains(&seconds) => Ok(()),
        _ => Err(s3_error!(AuthorizationQueryParametersError, "X-Amz-Expires is not 1 to {MAX_EXPIRES} seconds")),
    }
}

/// `20260102T030405Z`, and the day of a credential as its first eight digits are. s3s would come to the same end, but it
/// counts with digits before it has seen that they are some, and in builds that mind overflows that ends the request.
fn check_time<'t>(times: impl IntoIterator<Item = &'t [u8]>, credential: &str) -> S3Result<()> {
    let is_day = |text: &[u8]| text.len() == 8 && text.iter().all(u8::is_ascii_digit);
    let is_time = |text: &[u8]| {
        let day = text.get(..8).is_some_and(is_day);
        day && matches!(&text[8..], [b'T', rest @ .., b'Z'] if rest.len() == 6 && rest.iter().all(u8::is_ascii_digit))
    };
    if !times.into_iter().all(is_time) {
        return Err(s3_error!(InvalidRequest, "the time of the signature is not of the form 20260102T030405Z"));
    }
    match credential.split('/').nth(1) {
        Some(day) if !is_day(day.as_bytes()) => {
            Err(s3_error!(InvalidRequest, "the day in the credential is not of the form 20260102"))
        }
        _ => Ok(()),
    }
}

/// What a header names the key with.
fn credential(authorization: &str) -> &str {
    let (_, rest) = authorization.split_once("Credential=").unwrap_or_default();
    rest.split(',').next().unwrap_or_default()
}

/// The names of the headers that a header signs.
fn signed_headers(authorization: &str) -> &str {
    let (_, rest) = authorization.split_once("SignedHeaders=").unwrap_or_default();
    rest.split(',').next().unwrap_or_default().trim()
}

/// Everything that a request has of S3's must be signed: else who was given a URL could make it another request.
fn check_signed(parts: &Parts, signed: &str, by_url: bool) -> S3Result<()> {
    let is_signed = |name: &str| signed.split(';').any(|one| one.trim().eq_ignore_ascii_case(name));
    if !is_signed("host") {
        return Err(s3_error!(AccessDenied, "the header host is not signed"));
    }
    let free = |name: &str| name == ON_THE_WAY || (by_url && name == BODY_HASH);
    let names = parts.headers.keys().map(http::HeaderName::as_str).filter(|name| name.starts_with(EXTENSION));
    match names.into_iter().find(|name| !free(name) && !is_signed(name)) {
        Some(name) => Err(s3_error!(AccessDenied, "the header {name} is there and is not signed")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(method: &str, uri: &str, headers: &[(&str, &str)]) -> Option<String> {
        let mut request = http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        check(&parts).err().map(|error| error.code().as_str().to_owned())
    }

    #[test]
    fn only_signatures_of_version_4_go_on() {
        let by_header = "AWS4-HMAC-SHA256 Credential=k/20260102/us-east-1/s3/aws4_request, \
                         SignedHeaders=host;x-amz-date, Signature=00";
        let by_url = "/b/k?X-Amz-Signature=0&X-Amz-Expires=604800&X-Amz-SignedHeaders=host%3Bx-amz-acl";
        for (method, uri, headers, wrong) in [
            ("GET", "/", &[][..], None),
            ("GET", "/", &[("authorization", by_header), ("x-amz-date", "20260102T030405Z")][..], None),
            ("GET", "/", &[("authorization", "AWS k:s")][..], Some("InvalidRequest")),
            ("GET", "/", &[("authorization", "Bearer x")][..], Some("InvalidRequest")),
            ("GET", "/b/k?Sig%6eature=s&Expires=1&AWSAccessKeyId=k", &[][..], Some("InvalidRequest")),
            ("PUT", by_url, &[("x-amz-acl", "private"), ("x-amz-content-sha256", "00")][..], None),
            ("PUT", by_url, &[("x-amz-copy-source", "b/secret")][..], Some("AccessDenied")),
            ("PUT", by_url, &[("authorization", by_header)][..], Some("InvalidRequest")),
            ("GET", "/", &[("authorization", by_header), ("x-amz-copy-source", "b/k")][..], Some("AccessDenied")),
            ("GET", "/b/k?X-Amz-Signature=0&X-Amz-Expires=60&X-Amz-SignedHeaders=x", &[][..], Some("AccessDenied")),
            (
                "GET",
                "/b/k?X-Amz-Signature=0&X-Amz-Expires=604801&X-Amz-SignedHeaders=host",
                &[][..],
                Some("AuthorizationQueryParametersError"),
            ),
            ("POST", "/b", &[("content-type", "Multipart/Form-Data; boundary=x")][..], Some("MethodNotAllowed")),
        ] {
            assert_eq!(refused(method, uri, headers).as_deref(), wrong, "{method} {uri} {headers:?}");
        }
    }

    #[test]
    fn times_are_of_the_one_form_that_there_is() {
        for (time, day, wrong) in [
            ("20260102T030405Z", "20260102", None),
            ("20269999T999999Z", "20269999", None),
            ("2026-01-02T03:04:05Z", "20260102", Some("InvalidRequest")),
            ("20260102t030405Z", "20260102", Some("InvalidRequest")),
            ("20260102T0304 5Z", "20260102", Some("InvalidRequest")),
            ("2026010!T030405Z", "20260102", Some("InvalidRequest")),
            ("20260102T030405Z0", "20260102", Some("InvalidRequest")),
            ("20260102T030405", "20260102", Some("InvalidRequest")),
            ("20260102TZ", "20260102", Some("InvalidRequest")),
            ("", "20260102", Some("InvalidRequest")),
            ("20260102T030405Z", "2026010!", Some("InvalidRequest")),
            ("20260102T030405Z", "202601020", Some("InvalidRequest")),
        ] {
            let scope = format!("k/{day}/us-east-1/s3/aws4_request");
            let authorization =
                format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date, Signature=00");
            let headers = [("authorization", &*authorization), ("x-amz-date", time)];
            assert_eq!(refused("GET", "/b/k", &headers).as_deref(), wrong, "{time} {day}");
            let date = time.replace(' ', "%20");
            let url = format!(
                "/b/k?X-Amz-Signature=0&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Date={date}\
                 &X-Amz-Credential={scope}"
            );
            assert_eq!(refused("GET", &url, &[]).as_deref(), wrong, "{url}");
        }
    }
}
