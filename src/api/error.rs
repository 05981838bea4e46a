//! Errors of the local endpoints, all rendered in one place.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};

use utoipa::ToSchema;

use super::rate;
use crate::model::request::RequestFacts;
use crate::problem::Problem;

/// An error. `application/problem+json` for clients that ask for it.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what Problem renders")]
pub(super) struct ErrorBody {
    /// Stable, for programs.
    error: String,
    /// For a person.
    message: String,
    status: u16,
    /// Also in `X-Request-ID` and the logs.
    request_id: String,
    /// A further word of some errors.
    code: Option<String>,
}

impl IntoResponse for Problem {
    /// Carries the problem to `render`, which knows the request.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Any path that no endpoint has.
pub(super) async fn no_such_path(request: Request) -> Problem {
    Problem::not_found(format!("no endpoint at {}", request.uri().path()))
}

/// Gives every error its body.
pub(super) async fn render(request: Request, next: Next) -> Response {
    let headers = request.headers().clone();
    let uri = request.uri().clone();
    let facts = request.extensions().get::<RequestFacts>().cloned();
    let mut response = next.run(request).await;
    let problem = match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem,
        // axum's own answer to a known path with another method: no body, but `Allow`.
        None if response.status() == StatusCode::METHOD_NOT_ALLOWED => {
            let allow = response.headers().get(header::ALLOW).and_then(|value| value.to_str().ok());
            Problem::method_not_allowed(allow.unwrap_or_default())
        }
        None => return response,
    };
    let mut rendered = problem.of_path(uri.path()).response(facts.as_ref().map_or("", |facts| &facts.id), &headers);
    rate::carry_over(response.headers(), rendered.headers_mut());
    if let Some(range) = response.headers().get(header::CONTENT_RANGE) {
        // 416 says how much there is (RFC 9110 §15.5.17).
        rendered.headers_mut().insert(header::CONTENT_RANGE, range.clone());
    }
    rendered
}
