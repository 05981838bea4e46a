//! How far a `TRACE` or an `OPTIONS` may still go (RFC 9110 §7.6.2).

use http::Method;
use http::header::MAX_FORWARDS;
use pingora_proxy::Session;

use crate::problem::Problem;

/// What may be asked of services.
pub(super) const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Counts `Max-Forwards` down by this hop. `true`: an `OPTIONS` that ends here, to be answered with [`METHODS`].
///
/// # Errors
/// 405 for a `TRACE` that ends here: it is answered with the request itself, which may hold secrets.
pub(super) fn count_down(session: &mut Session) -> Result<bool, Problem> {
    let request = session.req_header();
    if !matches!(request.method, Method::TRACE | Method::OPTIONS) {
        return Ok(false);
    }
    let is_trace = request.method == Method::TRACE;
    let stated = request.headers.get(MAX_FORWARDS).and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    match stated {
        None => Ok(false),
        Some(0) if is_trace => Err(Problem::method_not_allowed(METHODS)),
        Some(0) => Ok(true),
        Some(hops) => {
            let left = (hops - 1).to_string();
            let set = session.req_header_mut().insert_header(MAX_FORWARDS, left);
            set.map(|()| false).map_err(|_| Problem::internal())
        }
    }
}
