//! What the local API may know of the request it answers beyond the request itself.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

/// Facts about one downstream request, put into its extensions by the proxy's bridge.
#[derive(Clone, Debug)]
pub struct RequestFacts {
    /// The request id, also in `X-Request-ID` and the access log.
    pub id: Arc<str>,
    /// The client's address, after trusted proxies were believed.
    pub client: Option<IpAddr>,
    /// The host asked for, lower-case, without port; empty if none was sent.
    pub host: Arc<str>,
}

/// The word of the error that a local answer is, for the access log: an extension of the answer.
#[derive(Clone, Debug)]
pub struct ErrorWord(pub Cow<'static, str>);
