//! `discovery`: what agents read beside the services.

use url::Url;

use crate::api::{Config, Onboarding};
use crate::yaml::{FromYaml, Scalar, Section};

/// The family that this gateway was made for.
const ECOSYSTEM: &str = "ChittyOS";

/// Reads the section; the others are written elsewhere.
pub(super) fn read(discovery: &Section<'_>, landing_page: Option<Url>, rate_limiting: bool) -> Config {
    let onboarding = discovery.section("onboarding");
    Config {
        ecosystem: discovery.optional::<Name>("ecosystem").map_or_else(|| ECOSYSTEM.to_owned(), |name| name.0),
        auth: discovery.optional("auth"),
        registry: discovery.optional("registry"),
        register: discovery.optional("register"),
        onboarding: Onboarding {
            register_url: onboarding.optional("register_url"),
            get_started: onboarding.optional("get_started"),
            device_code_flow: onboarding.optional("device_code_flow"),
            docs: onboarding.optional("docs"),
        },
        landing_page,
        rate_limiting,
    }
}

/// A name for people.
struct Name(String);

impl FromYaml for Name {
    const ACCEPTED: &'static str = "a name";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        let text = scalar.text()?;
        if text.trim().is_empty() { Err(format!("{} is empty", scalar.shown())) } else { Ok(Self(text.to_owned())) }
    }
}
