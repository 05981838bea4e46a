//! Single values: what each type accepts, and how it says what it found instead.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use http::HeaderName;
use ipnet::IpNet;
use url::Url;

use super::node::Scalar;

/// A type that a single value of a file can be.
pub trait FromYaml: Sized {
    /// What is accepted, for the message: `a duration such as "30s"`.
    const ACCEPTED: &'static str;

    /// Reads `scalar`.
    ///
    /// # Errors
    /// What is wrong with it, without what is accepted: `"10" has no unit`.
    fn from_scalar(scalar: &Scalar) -> Result<Self, String>;
}

/// A type whose values can be held between two bounds.
pub trait Bounded: FromYaml + PartialOrd {
    /// The value as it would be written in a file.
    fn shown(&self) -> String;
}

impl FromYaml for bool {
    const ACCEPTED: &'static str = "true or false";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        match scalar.plain() {
            Some("true" | "True" | "TRUE") => Ok(true),
            Some("false" | "False" | "FALSE") => Ok(false),
            _ => Err(scalar.is_not("a truth value")),
        }
    }
}

macro_rules! whole_number {
    ($($type:ty),*) => {$(
        impl FromYaml for $type {
            const ACCEPTED: &'static str = "a whole number";

            fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
                let number = scalar.plain().and_then(|text| text.parse::<i128>().ok());
                let number = number.ok_or_else(|| scalar.is_not("a whole number"))?;
                Self::try_from(number).map_err(|_| format!("{} is out of range", scalar.shown()))
            }
        }

        impl Bounded for $type {
            fn shown(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
whole_number!(u16, u32, u64, usize);

impl FromYaml for f64 {
    const ACCEPTED: &'static str = "a number";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        let number = scalar.plain().and_then(|text| text.parse::<f64>().ok()).filter(|n| n.is_finite());
        number.ok_or_else(|| scalar.is_not("a number"))
    }
}

impl Bounded for f64 {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl FromYaml for String {
    const ACCEPTED: &'static str = "text";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        scalar.text().map(str::to_owned)
    }
}

impl FromYaml for PathBuf {
    const ACCEPTED: &'static str = "a path";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        let text = scalar.text()?;
        if text.is_empty() || text.contains('\0') {
            return Err(format!("{} is not a path", scalar.shown()));
        }
        Ok(text.into())
    }
}

impl FromYaml for Duration {
    const ACCEPTED: &'static str = r#"a duration such as "250ms", "30s", "5m" or "24h""#;

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        if scalar.raw().parse::<f64>().is_ok() && scalar.raw() != "0" {
            return Err(format!("{} has no unit", scalar.shown()));
        }
        humantime::parse_duration(scalar.raw()).map_err(|_| format!("{} is not a duration", scalar.shown()))
    }
}

impl Bounded for Duration {
    fn shown(&self) -> String {
        let (seconds, rest) = (self.as_secs(), self.subsec_nanos());
        match (seconds, rest) {
            (0, 0) => "0s".to_owned(),
            (s, 0) if s % 3600 == 0 => format!("{}h", s / 3600),
            (s, 0) if s % 60 == 0 => format!("{}m", s / 60),
            (s, 0) => format!("{s}s"),
            _ => humantime::format_duration(*self).to_string(),
        }
    }
}

impl FromYaml for ByteSize {
    const ACCEPTED: &'static str = r#"a size such as "64KiB", "10MiB" or "1GiB""#;

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        scalar.raw().parse().map_err(|_| format!("{} is not a size", scalar.shown()))
    }
}

impl Bounded for ByteSize {
    fn shown(&self) -> String {
        let bytes = self.as_u64();
        let units = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        let unit = units.iter().find(|(factor, _)| bytes > 0 && bytes.is_multiple_of(*factor));
        unit.map_or_else(|| format!("{bytes}B"), |(factor, name)| format!("{}{name}", bytes / factor))
    }
}

impl FromYaml for SocketAddr {
    const ACCEPTED: &'static str = "an IP address and a port, 127.0.0.1:8080 or [::1]:8080";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        let text = scalar.text()?;
        let reason = match text.parse::<SocketAddr>() {
            Ok(address) if address.port() != 0 => return Ok(address),
            Ok(_) => "leaves the port to chance",
            Err(_) if text.parse::<IpAddr>().is_ok() => "has no port",
            Err(_) if text.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) => {
                "names a host, or has an IPv6 address without brackets"
            }
            Err(_) => "is not an address",
        };
        Err(format!("{} {reason}", scalar.shown()))
    }
}

impl FromYaml for IpNet {
    const ACCEPTED: &'static str = "a network such as 10.0.0.0/8, 192.0.2.7/32 or fd00::/8";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        let text = scalar.text()?;
        let bare = text.parse::<IpAddr>().is_ok();
        let reason = if bare { "has no prefix length" } else { "is not a network" };
        text.parse().map(|net: IpNet| net.trunc()).map_err(|_| format!("{} {reason}", scalar.shown()))
    }
}

impl FromYaml for Url {
    const ACCEPTED: &'static str = "a URL with http:// or https://";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        let text = scalar.text()?;
        let reason = match Self::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && text.contains("://") => return Ok(url),
            _ if !text.contains("://") => "has no scheme",
            Ok(_) => "has another scheme",
            Err(_) => "is not a URL",
        };
        Err(format!("{} {reason}", scalar.shown()))
    }
}

impl FromYaml for HeaderName {
    const ACCEPTED: &'static str = "the name of a header";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        scalar.text()?.parse().map_err(|_| format!("{} is not a header name", scalar.shown()))
    }
}
