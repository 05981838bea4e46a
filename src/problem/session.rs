//! What is wrong with a request concerning sessions (CONTRACT.md §6). Its errors have a shape of their own.

use http::StatusCode;

use super::{Problem, Shape};
use crate::model::session::SessionFull;

/// A request concerning sessions that cannot be meant; each has its code in the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionRefusal {
    /// Something that every such request names is missing.
    MissingFields,
    /// The body is no JSON.
    Json,
    /// An event that is none.
    Event,
    /// A value of the context without its key.
    MissingKey,
    /// A patch that names nothing that can be changed.
    NothingToUpdate,
    /// Anything else.
    Request,
}

impl Problem {
    /// 400, in the contract's code.
    #[must_use]
    pub fn session_refused(refusal: SessionRefusal, message: impl Into<String>) -> Self {
        let word = match refusal {
            SessionRefusal::MissingFields => "MISSING_REQUIRED_FIELDS",
            SessionRefusal::Json => "INVALID_JSON",
            SessionRefusal::Event => "INVALID_EVENT",
            SessionRefusal::MissingKey => "MISSING_KEY",
            SessionRefusal::NothingToUpdate => "NO_VALID_FIELDS",
            SessionRefusal::Request => "INVALID_REQUEST",
        };
        Self::of_session(StatusCode::BAD_REQUEST, word, message)
    }

    /// 404: the caller has no such session.
    #[must_use]
    pub fn session_not_found() -> Self {
        Self::of_session(StatusCode::NOT_FOUND, "SESSION_NOT_FOUND", "there is no session with this id")
    }

    /// 409: the caller has a session with this id, and it is another.
    #[must_use]
    pub fn session_exists() -> Self {
        let message = "there is a session with this id and other metadata; accepted: the same metadata, or another id";
        Self::of_session(StatusCode::CONFLICT, "SESSION_EXISTS", message)
    }

    /// 409: the session cannot hold more.
    #[must_use]
    pub fn session_full(full: &SessionFull) -> Self {
        Self::of_session(StatusCode::CONFLICT, "SESSION_FULL", full.to_string())
    }

    /// The same error as this family tells it. What is common to all families, such as 401, 403, 429 and what starts with
    /// a 5, keeps the shape that it has everywhere.
    #[must_use]
    pub fn in_session_shape(mut self) -> Self {
        let common = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::TOO_MANY_REQUESTS];
        if self.status.is_client_error() && !common.contains(&self.status) {
            self.shape = Shape::Session;
        }
        self
    }

    fn of_session(status: StatusCode, word: &'static str, message: impl Into<String>) -> Self {
        Self::new(status, word, message).in_session_shape()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_shape_of_this_family_is_for_its_own_errors() {
        let body = |problem: Problem| -> Value { serde_json::from_slice(&problem.render("id", None).1).unwrap() };
        let message = "there is no session with this id";
        let error = json!({"code": "SESSION_NOT_FOUND", "message": message});
        let expected = json!({"success": false, "error": error, "status": 404, "request_id": "id"});
        assert_eq!(body(Problem::session_not_found()), expected);
        assert_eq!(body(Problem::body_too_large(9).in_session_shape())["error"]["code"], "body_too_large");
        assert_eq!(body(Problem::overloaded("x").in_session_shape())["error"], "overloaded");
    }
}
