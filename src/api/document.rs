//! Public documents: a strong `ETag`, 304, `Cache-Control`, readable from any origin (DESIGN.md, "Local answers").

use axum::body::Bytes;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use sha2::{Digest, Sha256};

const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("public, max-age=60, stale-while-revalidate=300");
const ANY_ORIGIN: HeaderValue = HeaderValue::from_static("*");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A JSON document, serialised once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Document {
    body: Bytes,
    etag: HeaderValue,
}

impl Document {
    /// Serialises `value`.
    pub(super) fn of<T: Serialize>(value: &T) -> Self {
        // Only maps with keys that are no strings fail, and none of ours has them.
        let body = serde_json::to_vec(value).unwrap_or_default();
        let etag = format!("\"{}\"", hex::encode(&Sha256::digest(&body)[..16]));
        Self { body: body.into(), etag: HeaderValue::from_str(&etag).unwrap_or(ANY_ORIGIN) }
    }

    /// 200 with the document, or 304 if the client has it (RFC 9110 §13.1.2).
    pub(super) fn answer(&self, request: &HeaderMap) -> Response {
        let known = request.get_all(header::IF_NONE_MATCH).iter().any(|list| self.is_in(list));
        let mut response = if known {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            ([(header::CONTENT_TYPE, JSON)], self.body.clone()).into_response()
        };
        let headers = response.headers_mut();
        headers.insert(header::ETAG, self.etag.clone());
        headers.insert(header::CACHE_CONTROL, CACHE_CONTROL);
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANY_ORIGIN);
        response
    }

    /// The same, for callers with a key: whoever put the key in front says what may be kept, and who may read it.
    pub(super) fn answer_to_key(&self, request: &HeaderMap) -> Response {
        let mut response = self.answer(request);
        response.headers_mut().remove(header::CACHE_CONTROL);
        response.headers_mut().remove(header::ACCESS_CONTROL_ALLOW_ORIGIN);
        response
    }

    fn is_in(&self, list: &HeaderValue) -> bool {
        let Ok(list) = list.to_str() else { return false };
        list.split(',').map(|tag| tag.trim().trim_start_matches("W/")).any(|tag| tag == "*" || self.etag == tag)
    }
}

/// A small JSON answer that changes with every request, readable from any origin.
pub(super) fn fresh<T: Serialize>(value: &T) -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, ANY_ORIGIN),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, axum::Json(value)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_has_the_document_gets_304() {
        let document = Document::of(&serde_json::json!({"a": 1}));
        let status = |tag: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(tag) = tag {
                headers.insert(header::IF_NONE_MATCH, tag.parse().unwrap());
            }
            document.answer(&headers).status().as_u16()
        };
        let etag = document.etag.to_str().unwrap();
        assert_eq!(status(None), 200);
        assert_eq!(status(Some("\"other\"")), 200);
        for tag in [etag, &format!("\"a\", {etag}"), &format!("W/{etag}"), "*"] {
            assert_eq!(status(Some(tag)), 304, "{tag}");
        }
    }
}
