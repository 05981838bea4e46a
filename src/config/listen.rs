//! `listeners`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use url::Url;

use crate::listener;
use crate::model::name::Hostname;
use crate::yaml::{FromYaml, Scalar, Section, Value};

/// Without configuration only this host is served, on the customary second HTTP port, which needs no privilege.
const BIND: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// One listener, and where its address is written, if it is.
pub(super) struct Listener<'a> {
    pub(super) config: listener::Config,
    pub(super) bind: Option<Value<'a>>,
}

impl Listener<'_> {
    /// Whether both cannot be bound: the same port of the same address, or of all addresses of a family.
    pub(super) fn overlaps(&self, other: SocketAddr) -> bool {
        let own = self.config.bind;
        let all = own.ip().is_unspecified() || other.ip().is_unspecified();
        own.port() == other.port() && (own.ip() == other.ip() || all && own.is_ipv4() == other.is_ipv4())
    }
}

/// Reads the key `listeners`.
pub(super) fn read<'a>(root: &Section<'a>) -> Vec<Listener<'a>> {
    let default = || vec![Listener { config: listener::Config { bind: BIND, h2c: false }, bind: None }];
    let Some(value) = root.value("listeners") else { return default() };
    let items = value.items();
    if value.is_empty_list() {
        value.mistake("an empty list; accepted: at least one listener");
    }
    let mut listeners: Vec<Listener<'a>> = Vec::new();
    for item in items {
        let section = item.section();
        read_later(&section);
        let bind = section.value("bind");
        let Some(address) = section.required::<Bind>("bind") else { continue };
        if let (Some(other), Some(at)) = (listeners.iter().find(|l| l.overlaps(address.0)), &bind) {
            let (ours, theirs) = (address.0, other.config.bind);
            let what = if ours == theirs { "is already" } else { "overlaps" };
            let message =
                format!("\"{ours}\" {what} a listener's address ({theirs}); accepted: one listener on an address");
            at.mistake(message);
        }
        let h2c = section.optional("h2c").unwrap_or(false);
        listeners.push(Listener { config: listener::Config { bind: address.0, h2c }, bind });
    }
    listeners
}

/// Keys that later capabilities bring. What would leave the listener open, or unable to understand its clients, is an
/// error.
fn read_later(section: &Section<'_>) {
    section.later("mode", 5, Value::check::<Mode>);
    section.later("proxy_protocol", 5, |value| {
        if value.read() == Some(true) {
            value.mistake(missing(5, "what a proxy sends before each connection would be refused", "false"));
        }
    });
    section.later("redirect_to_https", 5, |value| {
        if value.read() == Some(true) {
            value.mistake(missing(5, "requests would be answered in the clear", "false"));
        }
    });
    if let Some(tls) = section.value("tls") {
        read_tls(&tls.section());
        tls.mistake(missing(5, "the listener would answer in the clear", "no TLS"));
    }
}

fn read_tls(tls: &Section<'_>) {
    for (key, words) in [("min_version", ["1.2", "1.3"]), ("alpn", ["h2", "http/1.1"])] {
        let values = tls.value(key).map(|value| if key == "alpn" { value.items() } else { vec![value] });
        values.unwrap_or_default().iter().for_each(|value| value.check_word(&words));
    }
    for certificate in tls.list("certificates").unwrap_or_default() {
        let certificate = certificate.section();
        certificate.check_required::<PathBuf>("cert");
        certificate.check_required::<PathBuf>("key");
    }
    if let Some(acme) = tls.value("acme") {
        let acme = acme.section();
        acme.check_required::<Url>("directory");
        acme.check_leaves::<String>("contact");
        acme.check_leaves::<Hostname>("hosts");
        acme.check::<PathBuf>("ca_file");
        acme.check::<PathBuf>("storage");
    }
    if let Some(value) = tls.value("client_ca") {
        value.check::<PathBuf>();
        value.mistake(missing(5, "clients without a certificate would be let in", "null"));
    }
}

/// A key that must not be ignored.
fn missing(capability: u8, consequence: &str, accepted: &str) -> String {
    format!(
        "comes with capability {capability}, which this build does not have, and without it {consequence}; accepted: {accepted}"
    )
}

/// What a listener is bound to.
struct Bind(SocketAddr);

impl FromYaml for Bind {
    const ACCEPTED: &'static str = SocketAddr::ACCEPTED;

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        if scalar.raw().starts_with("unix:") {
            return Err(format!("{} comes with capability 5, which this build does not have", scalar.shown()));
        }
        SocketAddr::from_scalar(scalar).map(Self)
    }
}

/// The mode of a unix socket, in octal digits.
struct Mode;

impl FromYaml for Mode {
    const ACCEPTED: &'static str = r#"octal digits in quotes, such as "0660""#;

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        let text = scalar.text()?;
        let fits = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
        if fits { Ok(Self) } else { Err(format!("{} is not a mode", scalar.shown())) }
    }
}
