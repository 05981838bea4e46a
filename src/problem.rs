//! Errors as clients see them: status, word, message. The only place that knows which status an error has.
//!
//! One shape for all (DESIGN.md, "Local answers"): `{"error", "message", "status", "request_id"}` as
//! `application/json`, or RFC 9457 `application/problem+json` for clients that ask for it. The message is for the caller
//! and names what they sent; causes inside the gateway go to the log, under the same request id.

mod access;
mod context;
mod file;
mod rate;
mod registration;
mod session;
mod task;

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use crate::auth::rate::Exceeded;
use crate::model::request::ErrorWord;
use crate::route::RouteError;
use crate::route::hostname::BadHost;
pub use session::SessionRefusal;
pub use task::TaskRefusal;

/// How long a client should wait for a table that is being loaded, in seconds.
const LOADING_RETRY_AFTER: u32 = 1;
/// How long a client should wait for a service that cannot be reached, in seconds.
const UNHEALTHY_RETRY_AFTER: u32 = 5;

/// How long a client should wait when there is too much to do, in seconds.
const OVERLOAD_RETRY_AFTER: u32 = 1;
/// How long a client should wait for a store that cannot be used, in seconds.
const STORE_RETRY_AFTER: u32 = 1;

/// Where sessions are taken in.
const SYNC: [&str; 2] = ["/api/context/sync", "/api/v1/context/sync"];
/// Where sessions are.
const SESSIONS: &str = "/api/v1/sessions";

/// One error, for its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Status code.
    pub status: StatusCode,
    /// The contract's word: stable, for programs.
    pub word: &'static str,
    /// For a person.
    pub message: String,
    /// `Allow`, with 405.
    pub allow: Option<String>,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u32>,
    /// `WWW-Authenticate`, with 401.
    pub challenge: Option<&'static str>,
    /// A second word that the contract has for some errors: `code` in the body.
    pub code: Option<&'static str>,
    /// The rate that was exceeded, with 429.
    pub exceeded: Option<Box<Exceeded>>,
    /// In what form its family tells it.
    pub shape: Shape,
}

/// In what form a family of endpoints tells its errors (CONTRACT.md §0, "error envelopes").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// `{error, message, …}`.
    #[default]
    Plain,
    /// The same with `ok: false`.
    Ok,
    /// `{success: false, error: {code, message}, …}`.
    Session,
    /// `{success: false, error, message, …}`, and with 400 a list `details` (REGISTRY.md §3).
    Registration,
}

impl Problem {
    fn new(status: StatusCode, word: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            word,
            message: message.into(),
            allow: None,
            retry_after: None,
            challenge: None,
            code: None,
            exceeded: None,
            shape: Shape::Plain,
        }
    }

    /// The same error as the family of `path` tells it, wherever it arose.
    #[must_use]
    pub fn of_path(self, path: &str) -> Self {
        match self.shape {
            Shape::Plain if SYNC.contains(&path) => Self { shape: Shape::Ok, ..self },
            Shape::Plain if is_at_or_below(path, SESSIONS) => self.in_session_shape(),
            _ => self,
        }
    }

    /// 400: what was sent is not a request that can be answered.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// 404: no such thing here.
    #[must_use]
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// 405, with what is allowed.
    #[must_use]
    pub fn method_not_allowed(allow: &str) -> Self {
        let message = format!("this path answers {allow}");
        Self {
            allow: Some(allow.to_owned()),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
        }
    }

    /// 408: the request did not arrive in time.
    #[must_use]
    pub fn request_timeout() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", "the request did not arrive in time")
    }

    /// 413: the body is larger than `limit` bytes.
    #[must_use]
    pub fn body_too_large(limit: u64) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", format!("a body may have {limit} bytes at the most"))
    }

    /// 414: the request target is longer than `limit` bytes.
    #[must_use]
    pub fn uri_too_long(limit: usize) -> Self {
        Self::new(StatusCode::URI_TOO_LONG, "uri_too_long", format!("a target may have {limit} bytes at the most"))
    }

    /// 431: the header section is larger than `limit` of `unit`.
    #[must_use]
    pub fn headers_too_large(limit: usize, unit: &str) -> Self {
        let message = format!("a request's header may have {limit} {unit} at the most");
        Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", message)
    }

    /// 500: a fault of ours. Says nothing; the log does.
    #[must_use]
    pub fn internal() -> Self {
        let message = "something went wrong inside the gateway; its log has the details under this request id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", message)
    }

    /// 502: no connection to the service, or an answer that is none.
    #[must_use]
    pub fn proxy_failed() -> Self {
        Self::new(StatusCode::BAD_GATEWAY, "proxy_failed", "the service could not be reached, or broke off its answer")
    }

    /// 503: there is too much to do at the moment.
    #[must_use]
    pub fn overloaded(message: &str) -> Self {
        Self {
            retry_after: Some(OVERLOAD_RETRY_AFTER),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message)
        }
    }

    /// 429: one caller has too many event streams open.
    #[must_use]
    pub fn too_many_streams(limit: usize) -> Self {
        let message = format!("the key has {limit} event streams open already; close some of them first");
        Self {
            retry_after: Some(OVERLOAD_RETRY_AFTER),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", message)
        }
    }

    /// 415: the body is in a content coding (RFC 9110 §8.4), and none is taken here.
    #[must_use]
    pub fn unsupported_coding() -> Self {
        let message = "Content-Encoding: accepted: none, the body as it is";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message)
    }

    /// 504: the service did not answer in time.
    #[must_use]
    pub fn upstream_timeout() -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", "the service did not answer in time")
    }

    /// 503: nothing of the service can be dialled at the moment.
    #[must_use]
    pub fn no_healthy_endpoint(service: &str) -> Self {
        let message = format!("no endpoint of service `{service}` can be reached at the moment");
        Self {
            retry_after: Some(UNHEALTHY_RETRY_AFTER),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "no_healthy_endpoint", message)
        }
    }

    /// 508: the request has been here before.
    #[must_use]
    pub fn loop_detected() -> Self {
        let message =
            "this request has come through this gateway already: an endpoint of the service points back at it";
        Self::new(StatusCode::LOOP_DETECTED, "loop_detected", message)
    }

    /// The body, and its content type: `application/problem+json` if `accept` asks for that.
    #[must_use]
    pub fn render(&self, request_id: &str, accept: Option<&[u8]>) -> (&'static str, Vec<u8>) {
        let status = self.status.as_u16();
        let wants_problem = accept.is_some_and(|accept| contains(accept, b"application/problem+json"));
        let (content_type, mut body) = if wants_problem {
            let body = json!({
                "type": "about:blank", "title": self.status.canonical_reason(), "status": status,
                "detail": self.message, "instance": format!("urn:uuid:{request_id}"),
                "error": self.word, "request_id": request_id,
            });
            ("application/problem+json", body)
        } else {
            ("application/json", self.body(status, request_id))
        };
        if let Some(code) = self.code {
            body["code"] = code.into();
        }
        if let Some(exceeded) = &self.exceeded {
            body["limit"] = exceeded.rate.count.get().into();
            body["window"] = exceeded.rate.per.as_secs().into();
            body["retryAfter"] = self.retry_after.into();
        }
        if self.shape == Shape::Registration {
            body["success"] = false.into();
            if self.status == StatusCode::BAD_REQUEST {
                body["details"] = json!([self.message]);
            }
        }
        (content_type, body.to_string().into_bytes())
    }

    fn body(&self, status: u16, request_id: &str) -> Value {
        let Self { word, message, .. } = self;
        match self.shape {
            Shape::Plain | Shape::Registration => {
                json!({"error": word, "message": message, "status": status, "request_id": request_id})
            }
            Shape::Ok => {
                json!({"ok": false, "error": word, "message": message, "status": status, "request_id": request_id})
            }
            Shape::Session => json!({
                "success": false, "error": {"code": word, "message": message},
                "status": status, "request_id": request_id,
            }),
        }
    }

    /// The headers beside content type and length.
    pub fn headers(&self) -> impl Iterator<Item = (http::HeaderName, String)> + '_ {
        let allow = self.allow.iter().map(|allow| (header::ALLOW, allow.clone()));
        let retry = self.retry_after.iter().map(|seconds| (header::RETRY_AFTER, seconds.to_string()));
        let challenge = self.challenge.iter().map(|&challenge| (header::WWW_AUTHENTICATE, challenge.to_owned()));
        allow.chain(retry).chain(challenge).chain([(header::CACHE_CONTROL, "no-store".to_owned())])
    }

    /// The whole response of a local endpoint.
    #[must_use]
    pub fn response(&self, request_id: &str, request: &HeaderMap) -> Response {
        let accept = request.get(header::ACCEPT).map(http::HeaderValue::as_bytes);
        let (content_type, body) = self.render(request_id, accept);
        let mut response = (self.status, [(header::CONTENT_TYPE, content_type)], body).into_response();
        for (name, value) in self.headers() {
            if let Ok(value) = value.try_into() {
                response.headers_mut().insert(name, value);
            }
        }
        response.extensions_mut().insert(ErrorWord(self.word.into()));
        response
    }
}

fn is_at_or_below(path: &str, top: &str) -> bool {
    path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word))
}

impl From<&RouteError> for Problem {
    fn from(error: &RouteError) -> Self {
        let message = error.to_string();
        match error {
            RouteError::UnknownHost(_) => Self::new(StatusCode::NOT_FOUND, "unknown_host", message),
            RouteError::UnknownService(_) => Self::new(StatusCode::NOT_FOUND, "unknown_service", message),
            RouteError::NotAServicePath(_) | RouteError::NotARegistrationPath => Self::not_found(message),
            RouteError::Loading => Self {
                retry_after: Some(LOADING_RETRY_AFTER),
                ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "table_loading", message)
            },
            RouteError::Disabled { .. } => Self::new(StatusCode::SERVICE_UNAVAILABLE, "service_disabled", message),
            RouteError::NoEndpoint(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "no_endpoint", message),
            RouteError::BadPath(_) => Self::new(StatusCode::BAD_REQUEST, "bad_path", message),
        }
    }
}

impl From<BadHost> for Problem {
    fn from(error: BadHost) -> Self {
        Self::bad_request(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_as_the_family_of_its_path_does() {
        let shape = |path: &str| Problem::method_not_allowed("GET").of_path(path).shape;
        for (path, expected) in [
            ("/api/context/tasks", Shape::Plain),
            ("/api/context/sync", Shape::Ok),
            ("/api/v1/context/sync", Shape::Ok),
            ("/api/context/sync-events", Shape::Plain),
            ("/api/v1/sessions", Shape::Session),
            ("/api/v1/sessions/x/y", Shape::Session),
            ("/api/v1/sessionsx", Shape::Plain),
        ] {
            assert_eq!(shape(path), expected, "{path}");
        }
        let refused = Problem::ingest_refused("m".to_owned()).of_path("/api/v1/sessions");
        assert_eq!(refused.shape, Shape::Ok, "its own shape stays");
    }

    #[test]
    fn the_two_shapes() {
        let problem = Problem::from(&RouteError::UnknownHost("x.chitty.cc".to_owned()));
        let (kind, body) = problem.render("id-1", None);
        assert_eq!(kind, "application/json");
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            body,
            json!({"error": "unknown_host", "message": "no service or gateway host is named `x.chitty.cc`",
                   "status": 404, "request_id": "id-1"})
        );
        let (kind, body) = problem.render("id-1", Some(b"text/html, Application/Problem+JSON;q=0.9"));
        assert_eq!(kind, "application/problem+json");
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["detail"], "no service or gateway host is named `x.chitty.cc`");
        assert_eq!(body["instance"], "urn:uuid:id-1");
    }
}
