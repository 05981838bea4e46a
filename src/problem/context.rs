//! What is wrong with a request concerning a session's context (CONTRACT.md §3).

use http::StatusCode;

use super::{Problem, Shape};

impl Problem {
    /// 400: the body is no JSON.
    #[must_use]
    pub fn bad_json(message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_json", message)
    }

    /// 400: files, a report or a query that cannot be meant.
    #[must_use]
    pub fn context_refused(message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    /// 400: a session that cannot be taken in.
    #[must_use]
    pub fn ingest_refused(message: String) -> Self {
        let code = Some("INVALID_SESSION_INGEST_PAYLOAD");
        Self { code, shape: Shape::Ok, ..Self::new(StatusCode::BAD_REQUEST, "invalid_request", message) }
    }
}
