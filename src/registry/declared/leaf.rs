//! The crate's own single values, as a file may write them.

use crate::model::name::{Hostname, RESERVED_FOR_OPERATOR, ServiceKey};
use crate::model::service::{EndpointError, EndpointUrl};
use crate::yaml::{FromYaml, Scalar};

impl FromYaml for ServiceKey {
    const ACCEPTED: &'static str = "1 to 63 of a-z, 0-9 and -";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        let key = Self::parse(scalar.text()?).map_err(|_| format!("{} is not a service name", scalar.shown()))?;
        // On its own hosts the gateway answers these itself, so the service would never be reached.
        if key.is_reserved() && !RESERVED_FOR_OPERATOR.contains(&key.as_str()) {
            Err(format!("{} is kept for the gateway itself", scalar.shown()))
        } else {
            Ok(key)
        }
    }
}

impl FromYaml for Hostname {
    const ACCEPTED: &'static str = "a host name without scheme, port and path, such as id.example.com";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        Self::parse(scalar.text()?).map_err(|_| format!("{} is not a host name", scalar.shown()))
    }
}

impl FromYaml for EndpointUrl {
    const ACCEPTED: &'static str = "http://host:port, https://host:port, h2c://host:port or unix:/path";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        let text = scalar.text()?;
        let schemeless = !text.contains("://") && !text.starts_with("unix:");
        let reason = match Self::parse(text) {
            Ok(endpoint) if endpoint.host().is_some() && endpoint.port() == 0 => "has the port 0",
            Ok(endpoint) => return Ok(endpoint),
            Err(_) if schemeless => "has no scheme",
            Err(EndpointError::NotUrl(_)) => "is not a URL",
            Err(EndpointError::Scheme(..)) => "has another scheme",
            Err(EndpointError::TooMuch(_)) => "has more than scheme, host and port",
            Err(EndpointError::NotSocket(_)) => "is not the absolute path of a socket, of at most 107 bytes",
        };
        Err(format!("{} {reason}", scalar.shown()))
    }
}
