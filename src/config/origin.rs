//! One entry of `cors.origins`.

use url::Url;

use crate::model::name::Hostname;
use crate::yaml::{FromYaml, Scalar};

/// An origin as a browser sends it, or one with `*` in place of exactly the first label.
pub(super) struct Origin(String);

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        origin.0
    }
}

impl FromYaml for Origin {
    const ACCEPTED: &'static str = "an origin such as https://app.example.com or https://*.example.com";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        let text = scalar.text()?;
        parse(text).map(Self).map_err(|reason| format!("{} {reason}", scalar.shown()))
    }
}

/// The origin in the form of RFC 6454 §6.2, which browsers send: lower case, without the scheme's own port.
fn parse(text: &str) -> Result<String, &'static str> {
    if text == "*" {
        return Err("would let every site in, with its visitors' credentials");
    }
    let (scheme, rest) = text.split_once("://").ok_or("has no scheme")?;
    if !["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) {
        return Err("has another scheme");
    }
    let (star, host) = rest.strip_prefix("*.").map_or(("", rest), |host| ("*.", host));
    if host.contains('*') {
        return Err("has `*` elsewhere than as the whole first label");
    }
    if host.contains(['/', '?', '#', '@', '\\']) {
        return Err("has more than scheme, host and port");
    }
    let url = Url::parse(&format!("{scheme}://{host}")).map_err(|_| "is not an origin")?;
    let name = url.host_str().and_then(|host| Hostname::parse(host).ok()).ok_or("is not an origin")?;
    if !star.is_empty() && name.as_str().parse::<std::net::IpAddr>().is_ok() {
        return Err("has `*` before an address");
    }
    let origin = url.origin().ascii_serialization();
    let (scheme, rest) = origin.split_once("://").ok_or("is not an origin")?;
    Ok(format!("{scheme}://{star}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn origins_are_what_browsers_send() {
        let cases = [
            ("https://chatgpt.com", "https://chatgpt.com"),
            ("HTTPS://ChatGPT.com:443", "https://chatgpt.com"),
            ("http://localhost:5173", "http://localhost:5173"),
            ("https://*.Chitty.cc", "https://*.chitty.cc"),
            ("https://*.chitty.cc:8443", "https://*.chitty.cc:8443"),
            ("http://[::1]:3000", "http://[::1]:3000"),
        ];
        for (text, origin) in cases {
            assert_eq!(parse(text).as_deref(), Ok(origin), "{text}");
        }
        for bad in [
            "",
            "*",
            "null",
            "chitty.cc",
            "ftp://a.example",
            "https://",
            "https://*",
            "https://*.",
            "https://a.*.example",
            "https://a*.example",
            "https://*.*.example",
            "https://a.example/",
            "https://a.example/x",
            "https://u@a.example",
            "https://*.127.0.0.1",
            "https://a b",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
