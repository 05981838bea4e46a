//! `GET /`: programs are sent to the discovery document, people to the landing page or the built-in one.

use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::ApiState;

const PAGE: &str = include_str!("landing/page.html");

/// 302 to the discovery document if `Accept` names `application/json`, else 302 to the landing page, or a built-in
/// page where none is configured.
#[utoipa::path(get, path = "/", tag = "discovery", responses(
    (status = 302, description = "to the discovery document or the landing page"),
    (status = 200, description = "the built-in page", content_type = "text/html", body = String)
))]
pub(super) async fn root(State(state): State<ApiState>, headers: HeaderMap) -> Response {
    let wants_json = headers
        .get_all(header::ACCEPT)
        .iter()
        .any(|accept| accept.to_str().is_ok_and(|accept| accept.to_ascii_lowercase().contains("application/json")));
    let to = match &state.landing_page {
        _ if wants_json => HeaderValue::from_static("/.well-known/chitty.json"),
        Some(page) => match HeaderValue::from_str(page.as_str()) {
            Ok(page) => page,
            Err(_) => return Html(PAGE).into_response(),
        },
        None => return Html(PAGE).into_response(),
    };
    (StatusCode::FOUND, [(header::LOCATION, to), (header::VARY, HeaderValue::from_static("Accept"))]).into_response()
}
