//! The host a request asks for, ready to be compared: lower-case, without port and trailing dot (DESIGN.md, "Hosts").

use std::net::{IpAddr, Ipv6Addr};

use arrayvec::ArrayString;

use crate::model::name::MAX_HOSTNAME;

/// A host as a request names it, without an allocation.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestHost(ArrayString<MAX_HOSTNAME>);

/// The `Host` cannot be a host: too long, or with bytes that no host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the Host header is not a host name")]
pub struct BadHost;

impl RequestHost {
    /// Reads `host[:port]` or `[v6][:port]` (RFC 9110 §7.2). Empty is allowed: an empty host.
    ///
    /// # Errors
    /// [`BadHost`] for anything else.
    pub fn parse(authority: &[u8]) -> Result<Self, BadHost> {
        let host = match authority.strip_prefix(b"[") {
            Some(bracketed) => address(bracketed)?,
            None => name(authority)?,
        };
        let mut lower = ArrayString::from(host).map_err(|_| BadHost)?;
        lower.make_ascii_lowercase();
        Ok(Self(lower))
    }

    /// The host, lower-case; IPv6 without brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is an IP address or `localhost`: answered as the connect host.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.as_str() == "localhost" || self.as_str().parse::<IpAddr>().is_ok()
    }
}

/// What stands in the brackets: an IPv6 address and nothing else, for between them no name has a port to lose.
fn address(bracketed: &[u8]) -> Result<&str, BadHost> {
    let end = bracketed.iter().position(|&b| b == b']').ok_or(BadHost)?;
    match &bracketed[end + 1..] {
        [] => {}
        [b':', port @ ..] if is_port(port) => {}
        _ => return Err(BadHost),
    }
    let address = std::str::from_utf8(&bracketed[..end]).map_err(|_| BadHost)?;
    address.parse::<Ipv6Addr>().map(|_| address).map_err(|_| BadHost)
}

/// A name or an IPv4 address, without its port and its final dot.
fn name(authority: &[u8]) -> Result<&str, BadHost> {
    let name = match authority.iter().position(|&b| b == b':') {
        None => authority,
        Some(colon) if is_port(&authority[colon + 1..]) => &authority[..colon],
        Some(_) => return Err(BadHost),
    };
    let bare = match name.strip_suffix(b".") {
        // A dot alone names nothing, and a second one would be left for whoever compares.
        Some(b"") => return Err(BadHost),
        Some(bare) if bare.ends_with(b".") => return Err(BadHost),
        Some(bare) => bare,
        None => name,
    };
    if bare.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~')) {
        std::str::from_utf8(bare).map_err(|_| BadHost)
    } else {
        Err(BadHost)
    }
}

fn is_port(text: &[u8]) -> bool {
    text.is_empty() || std::str::from_utf8(text).is_ok_and(|text| text.parse::<u16>().is_ok() && !text.starts_with('+'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_case_brackets_and_the_final_dot_do_not_matter() {
        for (sent, meant) in [
            ("id.chitty.cc", "id.chitty.cc"),
            ("ID.Chitty.CC:8080", "id.chitty.cc"),
            ("id.chitty.cc.", "id.chitty.cc"),
            ("id.chitty.cc.:80", "id.chitty.cc"),
            ("127.0.0.1:8080", "127.0.0.1"),
            ("[::1]:8080", "::1"),
            ("[::1]", "::1"),
            ("", ""),
            ("host:", "host"),
        ] {
            assert_eq!(RequestHost::parse(sent.as_bytes()).unwrap().as_str(), meant, "{sent}");
        }
    }

    #[test]
    fn what_no_host_has_is_refused() {
        let long = "a".repeat(MAX_HOSTNAME + 1);
        for bad in [
            "a b",
            "a/b",
            "a@b",
            "a:b",
            "a:80:80",
            "a:+80",
            "a:99999",
            "[::1",
            "[::1]x",
            "a\0",
            "é",
            "a%2f",
            "::1",
            "[id.chitty.cc]",
            "[id.chitty.cc:80]",
            "[127.0.0.1]",
            "[]",
            "[::1.]",
            "[::1].",
            ".",
            "a..",
            "a..:80",
            &long,
        ] {
            assert!(RequestHost::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn addresses_and_localhost_are_bare() {
        for (host, bare) in [("127.0.0.1", true), ("[::1]", true), ("LocalHost:1", true), ("id.localhost", false)] {
            assert_eq!(RequestHost::parse(host.as_bytes()).unwrap().is_bare(), bare, "{host}");
        }
    }
}
