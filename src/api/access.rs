//! Who may ask what: every request passes here before any handler.
//!
//! What an operation needs is read from the document that describes it, so what is documented is what is enforced: an
//! operation without `security` is public, one with `security(("apiKey" = ["context:read"]))` needs that scope. Under
//! `/api` everything else needs a key too, so that without one nobody learns what is there.
//!
//! An operation with `security(("apiKey" = [...]), ("cfAccess" = []))` is open, beside that, to a request without a key
//! that has the pair of `auth.cf_access`. Its handler then finds the extension [`Trusted`] and no `Caller`, and learns
//! from the body whom the request speaks for.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, header};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{OpenApi, SecurityRequirement};

use super::{ApiState, file, rate};
use crate::auth::authenticator::{Authenticator, names_another};
use crate::auth::cf_access::{Pair, Trusted};
use crate::auth::{AuthError, Principal, RateState};
use crate::model::key::Scope;
use crate::problem::Problem;

/// The name of the scheme that handlers declare.
pub(super) const SCHEME: &str = "apiKey";
/// The name of the scheme of those that take the pair of `auth.cf_access`, too.
pub(super) const PAIR_SCHEME: &str = "cfAccess";

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
pub(super) struct Access {
    needs: HashMap<String, Vec<(Method, Need)>>,
    /// Those that take the pair, too.
    paired: Vec<(Method, String)>,
}

impl Access {
    /// Reads it from the description of the endpoints.
    pub(super) fn of(document: &OpenApi) -> Self {
        let needs = |item: &PathItem| operations(item).map(|(method, found)| (method, need_of(found))).collect();
        let all = || document.paths.paths.iter();
        let paired = all().flat_map(|(path, item)| {
            let paired = operations(item).filter(|(_, found)| takes_pair(found));
            paired.map(|(method, _)| (method, path.clone()))
        });
        Self { needs: all().map(|(path, item)| (path.clone(), needs(item))).collect(), paired: paired.collect() }
    }

    fn takes_pair(&self, matched: Option<&str>, method: &Method) -> bool {
        self.paired.iter().any(|(own, path)| own == method && Some(path.as_str()) == matched)
    }

    /// What a request needs. `matched` is the path of the route that it reaches, if there is one.
    fn need(&self, matched: Option<&str>, path: &str, method: &Method) -> Need {
        let Some(matched) = matched else {
            let under_api = path.strip_prefix("/api").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            return if under_api { Need::Key } else { Need::Nothing };
        };
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let needs = self.needs.get(matched).map(Vec::as_slice).unwrap_or_default();
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

/// A word that is no scope is one that only an admin has. The pair is beside a key, never in its place.
fn need_of(operation: &Operation) -> Need {
    let mut requirements = operation.security.iter().flatten();
    if operation.security.as_ref().is_none_or(Vec::is_empty) {
        return Need::Nothing;
    }
    match requirements.find_map(scopes_of).as_deref() {
        Some([word, ..]) => Need::Scope(word.parse().unwrap_or(Scope::Admin)),
        Some([]) => Need::Key,
        None => Need::Scope(Scope::Admin),
    }
}

fn takes_pair(operation: &Operation) -> bool {
    let named = |requirement: &SecurityRequirement| of_scheme(requirement, PAIR_SCHEME).is_some();
    operation.security.iter().flatten().any(named)
}

/// The scopes of a requirement; `None` where it is not about keys.
pub(super) fn scopes_of(requirement: &SecurityRequirement) -> Option<Vec<String>> {
    of_scheme(requirement, SCHEME)
}

/// What a requirement says of one scheme, which the library shows only serialised.
fn of_scheme(requirement: &SecurityRequirement, scheme: &str) -> Option<Vec<String>> {
    let requirement = serde_json::to_value(requirement).unwrap_or_default();
    serde_json::from_value(requirement.get(scheme)?.clone()).ok()
}

/// Lets a request through to its handler, with its [`Principal`] or as [`Trusted`], or answers in its place.
pub(super) async fn check(State(state): State<ApiState>, mut request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let need = state.access.need(matched, request.uri().path(), request.method());
    let pair = Pair::is_in(request.headers()) && state.access.takes_pair(matched, request.method());
    let mut sender = identify(&state.auth, request.headers(), need, pair).await;
    if let Ok(Sender::Anybody) = sender
        && let Some(holder) = file::holder(&state, request.uri().path()).await
    {
        // Counted as the key's that the token was made with.
        sender = Ok(Sender::Caller(holder));
    }
    let counted = match rate::count(&state, &request, sender.as_ref().ok()) {
        Ok(counted) => counted,
        Err(refused) => return *refused,
    };
    if let Some(counted) = counted {
        request.extensions_mut().insert(RateState::from(counted));
    }
    let permitted = sender.and_then(|sender| permit(request.headers(), sender, need));
    let mut response = match permitted {
        Err(problem) => problem.into_response(),
        Ok(_) if need == Need::Nothing => next.run(request).await,
        Ok(sender) => {
            match sender {
                Sender::Caller(principal) => drop(request.extensions_mut().insert(principal)),
                Sender::Trusted => drop(request.extensions_mut().insert(Trusted)),
                Sender::Anybody => {}
            }
            let mut response = next.run(request).await;
            let own = response.headers_mut().entry(header::CACHE_CONTROL);
            own.or_insert(HeaderValue::from_static("no-store"));
            response
        }
    };
    if let Some(counted) = counted {
        rate::state(&mut response, &counted);
    }
    response
}

/// Who sent a request.
#[derive(Debug)]
pub(super) enum Sender {
    /// Somebody with a key or a token.
    Caller(Principal),
    /// A service with the pair of `auth.cf_access`.
    Trusted,
    /// Somebody who asks for something public.
    Anybody,
}

/// Who sent a request that needs `need`. `pair`: whether a pair, if it is the right one, will do in place of a key.
async fn identify(auth: &Authenticator, headers: &HeaderMap, need: Need, pair: bool) -> Result<Sender, Problem> {
    if need == Need::Nothing {
        // Counted as the key's, if a key tells.
        return Ok(auth.known(headers).await.map_or(Sender::Anybody, Sender::Caller));
    }
    match auth.authenticate(headers).await {
        Ok(caller) => Ok(Sender::Caller(caller)),
        Err(AuthError::Missing) if pair && auth.has_pair(headers) => Ok(Sender::Trusted),
        Err(error) => Err(Problem::unauthenticated(&error, auth.header())),
    }
}

/// What a caller whose credential is right may still not do.
fn permit(headers: &HeaderMap, sender: Sender, need: Need) -> Result<Sender, Problem> {
    match (&sender, need) {
        (Sender::Caller(caller), Need::Key | Need::Scope(_)) if names_another(headers, caller) => {
            Err(Problem::another_chitty_id("the header X-ChittyID", caller))
        }
        (Sender::Caller(caller), Need::Scope(scope)) if !caller.has(scope) => Err(Problem::lacks_scope(caller, scope)),
        _ => Ok(sender),
    }
}

/// What a caller came in with, for answers that take long: whether it would still be let in.
pub(super) struct Pass {
    auth: Arc<Authenticator>,
    /// The headers of its request that say who it is.
    presented: HeaderMap,
    caller: Principal,
    scope: Scope,
}

impl Pass {
    /// Of `caller`, who came with `headers` for something that needs `scope`.
    pub(super) fn new(state: &ApiState, headers: &HeaderMap, caller: Principal, scope: Scope) -> Self {
        let names = [state.auth.header(), &header::AUTHORIZATION];
        let presented = names.into_iter().filter_map(|name| Some((name.clone(), headers.get(name)?.clone()))).collect();
        Self { auth: Arc::clone(&state.auth), presented, caller, scope }
    }

    /// Sees whether it is let in now. While that cannot be told, it is.
    ///
    /// # Errors
    /// Why not.
    pub(super) async fn check(&self) -> Result<(), String> {
        match self.auth.authenticate(&self.presented).await {
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
    use std::sync::Arc;

    use super::*;
    use crate::api::described;
    use crate::auth::cf_access::CfAccessConfig;
    use crate::store::embedded::Embedded;
    use crate::store::{self, Store as _};
    use crate::telemetry::metrics::Metrics;

    fn access() -> Access {
        Access::of(&described())
    }

    #[test]
    fn exactly_these_operations_are_public() {
        let access = access();
        let mut public: Vec<String> = Vec::new();
        for (path, needs) in &access.needs {
            let open = needs.iter().filter(|(_, need)| *need == Need::Nothing);
            public.extend(open.map(|(method, _)| format!("{method} {path}")));
        }
        public.sort();
        let expected = [
            "GET /",
            "GET /.well-known/chitty.json",
            "GET /.well-known/mcp.json",
            "GET /api/files/download/{token}",
            "GET /api/health",
            "GET /api/v1/status",
            "GET /health",
            "GET /mcp/manifest",
            "GET /openapi.json",
            "GET /sse/health",
            "PUT /api/files/upload/{token}",
        ];
        assert_eq!(public, expected);
    }

    #[test]
    fn an_operation_may_take_the_pair_beside_a_key_and_never_in_its_place() {
        let document = |security: serde_json::Value| -> OpenApi {
            let post = serde_json::json!({"responses": {}, "security": security});
            serde_json::from_value(serde_json::json!({
                "openapi": "3.1.0", "info": {"title": "", "version": ""}, "paths": {"/p": {"post": post}},
            }))
            .unwrap()
        };
        for (security, need, paired) in [
            (serde_json::json!([{"apiKey": ["context:write"]}]), Need::Scope(Scope::ContextWrite), false),
            (serde_json::json!([{"apiKey": ["admin"]}, {"cfAccess": []}]), Need::Scope(Scope::Admin), true),
            (serde_json::json!([{"cfAccess": []}, {"apiKey": []}]), Need::Key, true),
            (serde_json::json!([{"cfAccess": []}]), Need::Scope(Scope::Admin), true),
            (serde_json::json!([{"other": []}]), Need::Scope(Scope::Admin), false),
            (serde_json::json!([]), Need::Nothing, false),
        ] {
            let access = Access::of(&document(security.clone()));
            assert_eq!(access.need(Some("/p"), "/p", &Method::POST), need, "{security}");
            for (path, method, taken) in
                [("/p", Method::POST, paired), ("/p", Method::GET, false), ("/q", Method::POST, false)]
            {
                assert_eq!(access.takes_pair(Some(path), &method), taken, "{security} {method} {path}");
            }
        }
    }

    #[tokio::test]
    async fn the_pair_lets_in_whom_no_key_comes_with_and_only_where_it_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "s3cret\n").unwrap();
        let config = crate::auth::Config {
            header: http::HeaderName::from_static("x-key"),
            jwt: None,
            secret_file: folder.path().join("gateway-secret"),
            cf_access: Some(CfAccessConfig { client_id: "id".to_owned(), client_secret_file: secret }),
        };
        let stored = store::Config {
            path: folder.path().join("data"),
            durability: store::Durability::ProcessCrash,
            engine: store::Engine::Sled,
            retention: store::Retention::default(),
        };
        let stored = Arc::new(Embedded::open(&stored, Arc::new(Metrics::new().unwrap())).unwrap());
        let auth = Authenticator::new(&config, Arc::<Embedded>::clone(&stored)).unwrap();
        let need = Need::Scope(Scope::ContextWrite);
        let (id, right, wrong) =
            (("cf-access-client-id", "id"), ("cf-access-client-secret", "s3cret"), ("cf-access-client-secret", "no"));
        for (headers, pair, expected) in [
            (&[id, right][..], true, "trusted"),
            (&[id, right], false, "Missing API key"),
            (&[id, wrong], true, "Missing API key"),
            (&[id], true, "Missing API key"),
            (&[id, right, ("x-key", "wrong")], true, "Invalid API key"),
            (&[id, right, ("authorization", "Bearer wrong")], true, "Invalid API key"),
            (&[id, right, ("authorization", "Basic eDp5")], true, "trusted"),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, HeaderValue::from_static(value));
            }
            let sender = identify(&auth, &map, need, pair).await;
            let found = match sender.and_then(|sender| permit(&map, sender, need)) {
                Ok(Sender::Trusted) => "trusted",
                Ok(Sender::Caller(_)) => "a caller",
                Ok(Sender::Anybody) => "anybody",
                Err(problem) => problem.word,
            };
            assert_eq!(found, expected, "{headers:?}");
        }
        stored.close().await;
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
            ("Health", "degraded"),
            ("SessionIngest", "event_count"),
            ("SyncSession", "coordinates"),
        ] {
            assert!(shown(name).get(property).is_some(), "{name}: {}", shown(name));
        }
    }

    #[test]
    fn every_scope_that_is_documented_is_one() {
        for (path, item) in &described().paths.paths {
            for (method, operation) in operations(item) {
                for requirement in operation.security.iter().flatten() {
                    let scopes = scopes_of(requirement).unwrap_or_default();
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
