//! Cross-origin answers, on the gateway's own hosts only (CONTRACT.md §0, "CORS"; Fetch standard §3.2).

use http::{HeaderValue, header};
use pingora::http::ResponseHeader;

use super::Cors;

const METHODS: HeaderValue = HeaderValue::from_static("GET,POST,PUT,PATCH,DELETE,OPTIONS");
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "Content-Length,X-Request-ID,Mcp-Session-Id,ETag,Retry-After,X-RateLimit-Limit,X-RateLimit-Remaining,X-RateLimit-Reset",
);
/// What the contract's list does not have, and tasks are changed with.
const CONDITIONS: &str = "If-Match,If-None-Match,Idempotency-Key";
const TRUE: HeaderValue = HeaderValue::from_static("true");
const VARY: HeaderValue = HeaderValue::from_static("Origin");
const VARY_PREFLIGHT: HeaderValue = HeaderValue::from_static("Origin, Access-Control-Request-Headers");

/// What an upstream may have said about origins, which the gateway says in its place on prefixes.
const SAID: [header::HeaderName; 6] = [
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
];

/// The `cors` section, ready to answer with.
#[derive(Debug)]
pub(super) struct CorsPolicy {
    origins: Vec<Origin>,
    allowed_headers: HeaderValue,
    max_age: HeaderValue,
}

#[derive(Debug, PartialEq, Eq)]
enum Origin {
    Exact(String),
    /// Scheme with `://`, and what stands behind the one label.
    OneLabel(String, String),
}

impl CorsPolicy {
    /// `auth_header` is allowed beside the contract's headers.
    #[must_use]
    pub(super) fn new(config: &Cors, auth_header: &http::HeaderName) -> Self {
        let origins = config.origins.iter().map(|origin| match origin.split_once("*.") {
            Some((scheme, rest)) => Origin::OneLabel(scheme.to_owned(), format!(".{rest}")),
            None => Origin::Exact(origin.clone()),
        });
        let contract = "X-ChittyOS-API-Key";
        let own =
            if auth_header.as_str().eq_ignore_ascii_case(contract) { String::new() } else { format!("{auth_header},") };
        let headers = format!(
            "Content-Type,Authorization,{own}{contract},X-ChittyID,Mcp-Session-Id,Mcp-Protocol-Version,{CONDITIONS}"
        );
        Self {
            origins: origins.collect(),
            allowed_headers: HeaderValue::from_str(&headers).unwrap_or_else(|_| HeaderValue::from_static("")),
            max_age: HeaderValue::from(config.max_age.as_secs()),
        }
    }

    /// Whether pages of `origin` may read answers. One label stands for `*`, nothing else (`https` alone, no port).
    #[must_use]
    pub(super) fn allows(&self, origin: &[u8]) -> bool {
        self.origins.iter().any(|allowed| match allowed {
            Origin::Exact(text) => text.as_bytes() == origin,
            Origin::OneLabel(scheme, rest) => {
                origin.strip_prefix(scheme.as_bytes()).and_then(|host| host.strip_suffix(rest.as_bytes())).is_some_and(
                    |label| !label.is_empty() && label.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-'),
                )
            }
        })
    }

    /// Puts the gateway's answer into `response`; what an upstream said goes. A public document's own
    /// `Access-Control-Allow-Origin: *` (set by a local endpoint, so `local`) stays as it is.
    ///
    /// # Errors
    /// Never for these values; Pingora's signature has one.
    pub(super) fn apply(
        &self,
        response: &mut ResponseHeader,
        origin: Option<&HeaderValue>,
        local: bool,
    ) -> pingora::Result<()> {
        if local && response.headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN).is_some_and(|any| any == "*") {
            return Ok(());
        }
        for name in &SAID {
            response.remove_header(name);
        }
        response.append_header("Vary", VARY)?;
        if let Some(origin) = origin.filter(|origin| self.allows(origin.as_bytes())) {
            response.insert_header("Access-Control-Allow-Origin", origin.clone())?;
        }
        response.insert_header("Access-Control-Allow-Credentials", TRUE)?;
        response.insert_header("Access-Control-Expose-Headers", EXPOSED)
    }

    /// The answer to any OPTIONS on a gateway host: 204.
    ///
    /// # Errors
    /// Never for these values; Pingora's signature has one.
    pub(super) fn preflight(&self, origin: Option<&HeaderValue>) -> pingora::Result<ResponseHeader> {
        let mut response = ResponseHeader::build(http::StatusCode::NO_CONTENT, Some(10))?;
        self.apply(&mut response, origin, false)?;
        response.insert_header(header::VARY, VARY_PREFLIGHT)?;
        response.insert_header(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS)?;
        response.insert_header(header::ACCESS_CONTROL_ALLOW_HEADERS, self.allowed_headers.clone())?;
        response.insert_header(header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone())?;
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_star_is_exactly_one_label() {
        let origins = ["https://*.chitty.cc", "https://*.chittyconnect-ui.pages.dev", "http://localhost:5173"];
        let config = Cors { origins: origins.map(str::to_owned).into(), max_age: Duration::from_hours(24) };
        let policy = CorsPolicy::new(&config, &http::HeaderName::from_static("x-chittyos-api-key"));
        for (origin, allowed) in [
            ("https://x.chitty.cc", true),
            ("https://foo.chittyconnect-ui.pages.dev", true),
            ("http://localhost:5173", true),
            ("http://localhost:9999", false),
            ("http://x.chitty.cc", false),
            ("https://a.b.chitty.cc", false),
            ("https://.chitty.cc", false),
            ("https://chitty.cc", false),
            ("https://x.chitty.cc:8443", false),
            ("https://evil.example?.chitty.cc", false),
            ("https://x.chitty.cc.evil.example", false),
            ("null", false),
        ] {
            assert_eq!(policy.allows(origin.as_bytes()), allowed, "{origin}");
        }
    }
}
