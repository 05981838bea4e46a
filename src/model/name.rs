//! Names that route: [`ServiceKey`] (one path segment or DNS label) and [`Hostname`] (a whole host).
//!
//! Both are lower-case and checked when made, so whoever holds one can compare it byte for byte.

use std::borrow::Borrow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// First path segments and labels that the gateway keeps for itself on its own hosts (DESIGN.md, "Routing").
pub const RESERVED: [&str; 14] = [
    "api",
    "mcp",
    "connect",
    "files",
    "sse",
    "health",
    "s3",
    "resource",
    "register",
    "services",
    "dashboard",
    "admin",
    "metrics",
    ".well-known",
];

/// The reserved names that a static service may take all the same: the operator says so, and no path of the gateway
/// begins with them.
pub const RESERVED_FOR_OPERATOR: [&str; 1] = ["s3"];

/// Longest label and key, in bytes (RFC 1035 §2.3.4).
pub const MAX_LABEL: usize = 63;
/// Longest host name, in bytes (RFC 1035 §2.3.4, without the trailing dot).
pub const MAX_HOSTNAME: usize = 253;

/// A name a service can be reached under: `^[a-z0-9-]{1,63}$`. Never percent-decoded, always lower-case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceKey(Box<str>);

/// Why a text is not a [`ServiceKey`].
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a service name: 1 to 63 of a-z, 0-9 and -")]
pub struct KeyError(String);

impl ServiceKey {
    /// Lower-cases `text` and checks it.
    ///
    /// # Errors
    /// [`KeyError`] when anything but `[a-zA-Z0-9-]`, nothing, or more than 63 bytes is found.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let fits =
            (1..=MAX_LABEL).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if fits { Ok(Self(text.to_ascii_lowercase().into())) } else { Err(KeyError(text.to_owned())) }
    }

    /// The text, lower-case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the gateway keeps this name for itself on its own hosts.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        RESERVED.contains(&self.as_str())
    }
}

/// A complete host name in lower case, without port and trailing dot: a DNS name, or an IP address as text (IPv6
/// without brackets).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hostname(Box<str>);

/// Why a text is not a [`Hostname`].
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a host name: labels of a-z, 0-9, - and _ separated by dots, 253 bytes at most, no port")]
pub struct HostnameError(String);

impl Hostname {
    /// Lower-cases `text`, removes one trailing dot and checks it.
    ///
    /// # Errors
    /// [`HostnameError`] when it is neither a DNS name nor an IP address.
    pub fn parse(text: &str) -> Result<Self, HostnameError> {
        let bare = text.strip_suffix('.').unwrap_or(text);
        let unbracketed = bare.strip_prefix('[').and_then(|b| b.strip_suffix(']')).unwrap_or(bare);
        if unbracketed.parse::<std::net::IpAddr>().is_ok() || is_dns_name(bare) {
            Ok(Self(unbracketed.to_ascii_lowercase().into()))
        } else {
            Err(HostnameError(text.to_owned()))
        }
    }

    /// The text, lower-case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `<label>.<self>`.
    #[must_use]
    pub fn child(&self, label: &ServiceKey) -> Self {
        Self(format!("{label}.{self}").into())
    }

    /// The label before `.{zone}` when `self` is exactly `<label>.<zone>`.
    #[must_use]
    pub fn label_under(&self, zone: &Hostname) -> Option<ServiceKey> {
        let label = self.0.strip_suffix(zone.as_str())?.strip_suffix('.')?;
        ServiceKey::parse(label).ok()
    }
}

fn is_dns_name(text: &str) -> bool {
    (1..=MAX_HOSTNAME).contains(&text.len())
        && text.split('.').all(|label| {
            (1..=MAX_LABEL).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

macro_rules! text_type {
    ($name:ident, $error:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = $error;
            fn try_from(text: String) -> Result<Self, $error> {
                Self::parse(&text)
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.into()
            }
        }
    };
}
text_type!(ServiceKey, KeyError);
text_type!(Hostname, HostnameError);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_lower_case_labels() {
        assert_eq!(ServiceKey::parse("ChittyID").unwrap().as_str(), "chittyid");
        assert!(ServiceKey::parse(&"a".repeat(63)).is_ok());
        for bad in ["", "a.b", "a_b", "a/b", "é", "a%2f", &"a".repeat(64)] {
            assert!(ServiceKey::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hostnames_lose_case_brackets_and_the_final_dot() {
        assert_eq!(Hostname::parse("ID.Chitty.CC.").unwrap().as_str(), "id.chitty.cc");
        assert_eq!(Hostname::parse("[::1]").unwrap().as_str(), "::1");
        for bad in ["", ".", "a..b", "a:80", "a/b", "a b", "http://a"] {
            assert!(Hostname::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_label_is_found_only_directly_under_its_zone() {
        let zone = Hostname::parse("chitty.cc").unwrap();
        let label = |host: &str| Hostname::parse(host).unwrap().label_under(&zone).map(String::from);
        assert_eq!(label("id.chitty.cc").as_deref(), Some("id"));
        assert_eq!(label("a.id.chitty.cc"), None);
        assert_eq!(label("idchitty.cc"), None);
        assert_eq!(label("chitty.cc"), None);
    }
}
