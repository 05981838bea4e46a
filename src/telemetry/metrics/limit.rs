//! The limits that protect the gateway and its services: the `limit` label.

/// A limit of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `limits.connections`.
    Connections,
    /// `limits.connections_per_client`.
    ConnectionsPerClient,
    /// `limits.header_timeout`.
    HeaderTimeout,
    /// `limits.header_bytes` and `limits.headers`.
    Headers,
    /// `limits.uri_bytes`.
    Uri,
    /// `limits.body_bytes`, the gateway's or a service's.
    Body,
    /// `limits.body_min_rate`, or a body that did not come at all for `limits.idle_timeout`.
    BodyRate,
    /// `limits.in_flight` of a service.
    InFlight,
}

impl Limit {
    /// The label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsPerClient => "connections_per_client",
            Self::HeaderTimeout => "header_timeout",
            Self::Headers => "headers",
            Self::Uri => "uri_bytes",
            Self::Body => "body_bytes",
            Self::BodyRate => "body_min_rate",
            Self::InFlight => "in_flight",
        }
    }

    /// The limit behind the word of an error, if there is one.
    #[must_use]
    pub fn behind(word: &str) -> Option<Self> {
        Some(match word {
            "headers_too_large" => Self::Headers,
            "uri_too_long" => Self::Uri,
            "body_too_large" => Self::Body,
            "request_timeout" => Self::BodyRate,
            "overloaded" => Self::InFlight,
            _ => return None,
        })
    }
}
