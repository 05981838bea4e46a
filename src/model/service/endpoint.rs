//! Where an upstream listens, as it is written.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::model::name::Hostname;

/// What an endpoint speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// HTTP/1.1.
    Http,
    /// TLS, and in it HTTP/2 if it is agreed on by ALPN, else HTTP/1.1.
    Https,
    /// HTTP/2 in the clear, known beforehand (RFC 9113 §3.3).
    H2c,
}

impl Scheme {
    /// As it stands before `://`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::H2c => "h2c",
        }
    }

    fn default_port(self) -> u16 {
        if self == Self::Https { 443 } else { 80 }
    }
}

/// Where an upstream listens: `http://`, `https://` or `h2c://` and `host[:port]`, nothing behind it; or `unix:` and the
/// absolute path of a socket, where HTTP/1.1 is spoken.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum EndpointUrl {
    /// At an address or a name.
    Network {
        /// What is spoken.
        scheme: Scheme,
        /// A name, or an IP address as text (IPv6 without brackets).
        host: Hostname,
        /// The port; that of the scheme if none was written.
        port: u16,
    },
    /// At a socket of this host.
    Socket(Arc<Path>),
}

/// Why a text is not an [`EndpointUrl`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not an absolute URL.
    #[error("`{0}` is not a URL; accepted: http://host:port, https://host:port, h2c://host:port or unix:/path")]
    NotUrl(String),
    /// Another scheme.
    #[error("`{0}` has the scheme `{1}`; accepted: http, https, h2c and unix")]
    Scheme(String, String),
    /// Credentials, a path or a query, which an endpoint cannot have.
    #[error("`{0}` has more than scheme, host and port")]
    TooMuch(String),
    /// The path of a socket is relative, too long for one, or has a NUL in it.
    #[error("`{0}` is not the path of a socket; accepted: unix: and an absolute path of at most 107 bytes")]
    NotSocket(String),
}

/// Longest path of a socket, in bytes (`sun_path` of `unix(7)` without its end).
const SOCKET_PATH: usize = 107;

impl EndpointUrl {
    /// Reads `text` as an endpoint; a single `/` as path is allowed.
    ///
    /// # Errors
    /// [`EndpointError`] by what is wrong.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let fits = path.starts_with('/') && path.len() <= SOCKET_PATH && !path.contains('\0');
            let socket = || Self::Socket(PathBuf::from(path).into());
            return fits.then(socket).ok_or_else(|| EndpointError::NotSocket(text.to_owned()));
        }
        let url = Url::parse(text).map_err(|_| EndpointError::NotUrl(text.to_owned()))?;
        // A scheme that is not of the web has no port of its own and, to a URL parser, any text for a host.
        let (url, h2c) = match text.strip_prefix("h2c://") {
            Some(rest) => {
                let like = Url::parse(&format!("http://{rest}"));
                (like.map_err(|_| EndpointError::NotUrl(text.to_owned()))?, true)
            }
            None => (url, false),
        };
        let mut endpoint = Self::origin_of(&url, text)?;
        let bare = url.username().is_empty()
            && url.password().is_none()
            && matches!(url.path(), "" | "/")
            && url.query().is_none()
            && url.fragment().is_none();
        if let Self::Network { scheme, .. } = &mut endpoint
            && h2c
        {
            *scheme = Scheme::H2c;
        }
        if bare { Ok(endpoint) } else { Err(EndpointError::TooMuch(text.to_owned())) }
    }

    /// The origin of `url`, whatever its path. `text` is what was written, for the message.
    ///
    /// # Errors
    /// [`EndpointError::Scheme`] for anything but http and https, [`EndpointError::NotUrl`] without a usable host.
    pub fn origin_of(url: &Url, text: &str) -> Result<Self, EndpointError> {
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            other => return Err(EndpointError::Scheme(text.to_owned(), other.to_owned())),
        };
        let not_url = || EndpointError::NotUrl(text.to_owned());
        let host = Hostname::parse(url.host_str().ok_or_else(not_url)?).map_err(|_| not_url())?;
        let port = url.port_or_known_default().ok_or_else(not_url)?;
        Ok(Self::Network { scheme, host, port })
    }

    /// Whether TLS is spoken to it.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Network { scheme: Scheme::Https, .. })
    }

    /// Whether HTTP/2 is spoken to it in the clear.
    #[must_use]
    pub fn is_h2c(&self) -> bool {
        matches!(self, Self::Network { scheme: Scheme::H2c, .. })
    }

    /// Whether HTTP/2 may be what is spoken to it.
    #[must_use]
    pub fn may_be_http2(&self) -> bool {
        self.is_h2c() || self.is_tls()
    }

    /// Its host, unless it is a socket.
    #[must_use]
    pub fn host(&self) -> Option<&Hostname> {
        match self {
            Self::Network { host, .. } => Some(host),
            Self::Socket(_) => None,
        }
    }

    /// Its port; 0 for a socket.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Self::Network { port, .. } => *port,
            Self::Socket(_) => 0,
        }
    }

    /// The address, when the host is one and not a name.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.host()?.as_str().parse().ok()
    }

    /// The name, when the host is one: what has to be looked up.
    #[must_use]
    pub fn name(&self) -> Option<&Hostname> {
        self.host().filter(|_| self.ip().is_none())
    }

    /// `host` or `host:port`, IPv6 in brackets, the scheme's own port left out: what a `Host` header holds. `localhost`
    /// for a socket.
    #[must_use]
    pub fn authority(&self) -> String {
        let Self::Network { scheme, host, port } = self else { return "localhost".to_owned() };
        let v6 = host.as_str().contains(':');
        let host = if v6 { format!("[{host}]") } else { host.to_string() };
        if *port == scheme.default_port() { host } else { format!("{host}:{port}") }
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network { scheme, .. } => write!(f, "{}://{}", scheme.as_str(), self.authority()),
            Self::Socket(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl TryFrom<String> for EndpointUrl {
    type Error = EndpointError;
    fn try_from(text: String) -> Result<Self, EndpointError> {
        Self::parse(&text)
    }
}

impl From<EndpointUrl> for String {
    fn from(endpoint: EndpointUrl) -> String {
        endpoint.to_string()
    }
}

/// An endpoint, and how much of the traffic it gets beside others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct WeightedEndpoint {
    /// Where it is.
    pub url: EndpointUrl,
    /// Its part: 1 to 1,000, 1 where none was written.
    pub weight: u16,
}

/// As documents have it: the URL alone where the weight is 1.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Alone(EndpointUrl),
    Weighted { url: EndpointUrl, weight: u16 },
}

impl From<Written> for WeightedEndpoint {
    fn from(written: Written) -> Self {
        match written {
            Written::Alone(url) => url.into(),
            Written::Weighted { url, weight } => Self { url, weight: weight.max(1) },
        }
    }
}

impl From<WeightedEndpoint> for Written {
    fn from(endpoint: WeightedEndpoint) -> Self {
        match endpoint {
            WeightedEndpoint { url, weight: 1 } => Self::Alone(url),
            WeightedEndpoint { url, weight } => Self::Weighted { url, weight },
        }
    }
}

impl From<EndpointUrl> for WeightedEndpoint {
    fn from(url: EndpointUrl) -> Self {
        Self { url, weight: 1 }
    }
}

impl fmt::Display for WeightedEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_comes_back() {
        for text in
            ["http://a.test", "https://a.test:8443", "h2c://10.0.0.1:50051", "http://[::1]:81", "unix:/run/a.sock"]
        {
            let endpoint = EndpointUrl::parse(text).unwrap();
            assert_eq!(endpoint.to_string(), text);
            let weighted: WeightedEndpoint = serde_json::from_str(&format!("{text:?}")).unwrap();
            assert_eq!(weighted, endpoint.into());
            assert_eq!(serde_json::to_string(&weighted).unwrap(), format!("{text:?}"));
        }
        let heavy = r#"{"url":"http://a.test","weight":3}"#;
        let weighted: WeightedEndpoint = serde_json::from_str(heavy).unwrap();
        assert_eq!((weighted.weight, serde_json::to_string(&weighted).unwrap().as_str()), (3, heavy));
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        let long = format!("unix:/{}", "x".repeat(SOCKET_PATH));
        for text in
            ["", "a.test", "ftp://a.test", "h2c://", "h2c://a/b", "unix:run.sock", "unix:", &long, "http://u@a.test"]
        {
            assert!(EndpointUrl::parse(text).is_err(), "{text}");
        }
    }
}
