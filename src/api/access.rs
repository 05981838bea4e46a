//! Who may ask what: every request passes here before any handler.
//!
//! What an operation needs is read from the document that describes it, so what is documented is what is enforced: an
//! operation without `security` is public, one with `security(("apiKey" = ["context:read"]))` needs that scope. Under
//! `/api` everything else needs a key too, so that without one nobody learns what is there.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{OpenApi, SecurityRequirement};

use super::{ApiState, rate};
use crate::auth::{AuthError, Principal, RateState, key};
use crate::model::key::Scope;
use crate::problem::Problem;
use crate::store::Store;

/// The name of the scheme that handlers declare.
pub(super) const SCHEME: &str = "apiKey";
/// Where a client may say whom it speaks for (CONTRACT.md §6).
const CHITTY_ID: HeaderName = HeaderName::from_static("x-chittyid");

/// What an operation asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing: it is public.
    Nothing,
    /// A key.
    Key,
    /// A key with this scope.
    Scope(Scope),
}

/// What each operation needs, by its path as it is routed.
#[derive(Debug)]
pub(super) struct Access(HashMap<String, Vec<(Method, Need)>>);

impl Access {
    /// Reads it from the description of the endpoints.
    pub(super) fn of(document: &OpenApi) -> Self {
        let needs = |item: &PathItem| operations(item).map(|(method, found)| (method, need_of(found))).collect();
        Self(document.paths.paths.iter().map(|(path, item)| (path.clone(), needs(item))).collect())
    }

    /// What a request needs. `matched` is the path of the route that it reaches, if there is one.
    fn need(&self, matched: Option<&str>, path: &str, method: &Method) -> Need {
        let Some(matched) = matched else {
            let under_api = path.strip_prefix("/api").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            return if under_api { Need::Key } else { Need::Nothing };
        };
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let needs = self.0.get(matched).map(Vec::as_slice).unwrap_or_default();
        let public = || !needs.is_empty() && needs.iter().all(|(_, need)| *need == Need::Nothing);
        match needs.iter().find(|(own, _)| own == method) {
            Some((_, need)) => *need,
            // It will be 405, once the caller may know that there is something.
            None if public() => Need::Nothing,
            None => Need::Key,
        }
    }
}

/// The operations of one path.
pub(super) fn operations(item: &PathItem) -> impl Iterator<Item = (Method, &Operation)> {
    let all = [
        (Method::GET, &item.get),
        (Method::PUT, &item.put),
        (Method::POST, &item.post),
        (Method::DELETE, &item.delete),
        (Method::OPTIONS, &item.options),
        (Method::HEAD, &item.head),
        (Method::PATCH, &item.patch),
        (Method::TRACE, &item.trace),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

/// A word that is no scope is one that only an admin has.
fn need_of(operation: &Operation) -> Need {
    let Some(requirement) = operation.security.iter().flatten().next() else { return Need::Nothing };
    match scopes_of(requirement).first() {
        Some(word) => Need::Scope(word.parse().unwrap_or(Scope::Admin)),
        None => Need::Key,
    }
}

/// The scopes of a requirement, which the library shows only serialised.
pub(super) fn scopes_of(requirement: &SecurityRequirement) -> Vec<String> {
    let requirement = serde_json::to_value(requirement).unwrap_or_default();
    serde_json::from_value(requirement[SCHEME].clone()).unwrap_or_default()
}

/// Lets a request through to its handler, with its [`Principal`], or answers in its place.
pub(super) async fn check(State(state): State<ApiState>, mut request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>();
    let need = state.access.need(matched.map(MatchedPath::as_str), request.uri().path(), request.method());
    let caller = match need {
        Need::Nothing => known(&state, request.headers()).await.map_err(|_| None),
        Need::Key | Need::Scope(_) => admit(&state, request.headers()).await.map_err(Some),
    };
    let counted = match rate::count(&state, &request, caller.as_ref().ok()) {
        Ok(counted) => counted,
        Err(refused) => return *refused,
    };
    if let Some(counted) = counted {
        request.extensions_mut().insert(RateState::from(counted));
    }
    let mut response = match (need, caller) {
        (Need::Nothing, _) => next.run(request).await,
        (_, Err(problem)) => problem.unwrap_or_else(Problem::internal).into_response(),
        (need, Ok(caller)) => match permit(request.headers(), &caller, need) {
            Err(problem) => problem.into_response(),
            Ok(()) => {
                request.extensions_mut().insert(caller);
                let mut response = next.run(request).await;
                let own = response.headers_mut().entry(header::CACHE_CONTROL);
                own.or_insert(HeaderValue::from_static("no-store"));
                response
            }
        },
    };
    if let Some(counted) = counted {
        rate::state(&mut response, &counted);
    }
    response
}

/// Who asks for something public, if a key tells: it is counted as the key's.
async fn known(state: &ApiState, headers: &HeaderMap) -> Result<Principal, AuthError> {
    key::authenticate(&*state.store, headers, &state.auth_header).await
}

async fn admit(state: &ApiState, headers: &HeaderMap) -> Result<Principal, Problem> {
    let caller = key::authenticate(&*state.store, headers, &state.auth_header).await;
    caller.map_err(|error| Problem::unauthenticated(&error, &state.auth_header))
}

/// What a caller whose key is right may still not do.
fn permit(headers: &HeaderMap, caller: &Principal, need: Need) -> Result<(), Problem> {
    let mut stated = headers.get_all(CHITTY_ID).iter().filter(|stated| !stated.is_empty());
    if stated.any(|stated| stated.as_bytes() != caller.chitty_id.as_str().as_bytes()) {
        return Err(Problem::another_chitty_id("the header X-ChittyID", caller));
    }
    match need {
        Need::Scope(scope) if !caller.has(scope) => Err(Problem::lacks_scope(caller, scope)),
        _ => Ok(()),
    }
}

/// What a caller came in with, for answers that take long: whether it would still be let in.
pub(super) struct Pass {
    store: Arc<dyn Store>,
    auth_header: HeaderName,
    /// The headers of its request that say who it is.
    presented: HeaderMap,
    caller: Principal,
    scope: Scope,
}

impl Pass {
    /// Of `caller`, who came with `headers` for something that needs `scope`.
    pub(super) fn new(state: &ApiState, headers: &HeaderMap, caller: Principal, scope: Scope) -> Self {
        let names = [&state.auth_header, &header::AUTHORIZATION];
        let presented = names.into_iter().filter_map(|name| Some((name.clone(), headers.get(name)?.clone()))).collect();
        Self { store: Arc::clone(&state.store), auth_header: state.auth_header.clone(), presented, caller, scope }
    }

    /// Sees whether it is let in now. While that cannot be told, it is.
    ///
    /// # Errors
    /// Why not.
    pub(super) async fn check(&self) -> Result<(), String> {
        match key::authenticate(&*self.store, &self.presented, &self.auth_header).await {
            Ok(caller) if caller.chitty_id != self.caller.chitty_id => {
                Err("the key is another tenant's now".to_owned())
            }
            Ok(caller) if !caller.has(self.scope) => Err(format!("the key lacks the scope {} now", self.scope)),
            Ok(_) | Err(AuthError::Unavailable(_)) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::described;

    fn access() -> Access {
        Access::of(&described())
    }

    #[test]
    fn exactly_these_operations_are_public() {
        let access = access();
        let mut public: Vec<String> = Vec::new();
        for (path, needs) in &access.0 {
            let open = needs.iter().filter(|(_, need)| *need == Need::Nothing);
            public.extend(open.map(|(method, _)| format!("{method} {path}")));
        }
        public.sort();
        let expected = [
            "GET /",
            "GET /.well-known/chitty.json",
            "GET /.well-known/mcp.json",
            "GET /api/health",
            "GET /api/v1/status",
            "GET /health",
            "GET /mcp/manifest",
            "GET /openapi.json",
            "GET /sse/health",
        ];
        assert_eq!(public, expected);
    }

    #[test]
    fn no_two_schemas_share_a_name() {
        let document = described();
        let schemas = &document.components.as_ref().unwrap().schemas;
        let shown = |name: &str| serde_json::to_value(&schemas[name]).unwrap()["properties"].clone();
        for (name, property) in [
            ("Endpoints", "connect_base"),
            ("GatewayPaths", "openapi"),
            ("Capabilities", "services"),
            ("McpCapabilities", "tools"),
            ("Task", "metadata"),
        ] {
            assert!(shown(name).get(property).is_some(), "{name}: {}", shown(name));
        }
    }

    #[test]
    fn every_scope_that_is_documented_is_one() {
        for (path, item) in &described().paths.paths {
            for (method, operation) in operations(item) {
                for requirement in operation.security.iter().flatten() {
                    let scopes = scopes_of(requirement);
                    assert!(scopes.len() <= 1, "{method} {path}");
                    assert!(scopes.iter().all(|scope| scope.parse::<Scope>().is_ok()), "{method} {path}: {scopes:?}");
                }
            }
        }
    }

    #[test]
    fn what_a_request_needs() {
        let access = access();
        let tasks = Some("/api/context/tasks");
        for (matched, path, method, need) in [
            (tasks, "/api/context/tasks", Method::GET, Need::Scope(Scope::ContextRead)),
            (tasks, "/api/context/tasks", Method::HEAD, Need::Scope(Scope::ContextRead)),
            (tasks, "/api/context/tasks", Method::POST, Need::Scope(Scope::ContextWrite)),
            (tasks, "/api/context/tasks", Method::PUT, Need::Key),
            (Some("/api/health"), "/api/health", Method::HEAD, Need::Nothing),
            (Some("/api/health"), "/api/health", Method::POST, Need::Nothing),
            (Some("/undocumented"), "/undocumented", Method::GET, Need::Key),
            (None, "/api", Method::GET, Need::Key),
            (None, "/api/", Method::GET, Need::Key),
            (None, "/api/nope", Method::GET, Need::Key),
            (None, "/apis", Method::GET, Need::Nothing),
            (None, "/nope", Method::GET, Need::Nothing),
        ] {
            assert_eq!(access.need(matched, path, &method), need, "{method} {path}");
        }
    }
}
