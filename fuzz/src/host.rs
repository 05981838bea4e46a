//! Hosts as requests name them.

use std::net::{IpAddr, Ipv6Addr};

use chittyconnect::model::name::{Hostname, MAX_HOSTNAME};
use chittyconnect::route::hostname::RequestHost;

/// `authority`: the bytes of a `Host` header.
pub fn check(authority: &[u8]) {
    let shown = authority.escape_ascii();
    let parsed = RequestHost::parse(authority).ok();
    let host = parsed.as_ref().map(RequestHost::as_str);
    assert_eq!(host, meant(authority).as_deref(), "{shown}");
    let (Some(parsed), Some(host)) = (&parsed, host) else { return };

    let is_v6 = host.parse::<Ipv6Addr>().is_ok();
    let fits = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-' | '.' | '_' | '~') || (is_v6 && c == ':');
    assert!(host.chars().all(fits) && host.len() <= MAX_HOSTNAME && !host.ends_with('.'), "{shown}: {host}");
    assert_eq!(parsed.is_bare(), host == "localhost" || host.parse::<IpAddr>().is_ok(), "{shown}");

    // However it is written, it is the same host.
    let bare = if is_v6 { format!("[{host}]") } else { host.to_owned() };
    let dotted = if is_v6 || host.is_empty() { bare.clone() } else { format!("{bare}.") };
    for written in [bare.clone(), format!("{bare}:8443"), bare.to_ascii_uppercase(), dotted] {
        let again = RequestHost::parse(written.as_bytes()).unwrap_or_else(|_| panic!("{shown}: {written}"));
        assert_eq!(again.as_str(), host, "{shown}: {written}");
    }
    // A service that is declared with this host is found under it.
    if let Ok(declared) = Hostname::parse(&bare) {
        assert_eq!(declared.as_str(), host, "{shown}");
    }
}

/// What the header says, read slowly: `host[:port]` or `[v6][:port]`, one dot at the end of a name left out.
fn meant(authority: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(authority).ok()?.to_ascii_lowercase();
    if let Some(bracketed) = text.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        address.parse::<Ipv6Addr>().ok()?;
        let fits = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return fits.then(|| address.to_owned());
    }
    let (name, port) = text.split_once(':').unwrap_or((&text, ""));
    let bare = name.strip_suffix('.').unwrap_or(name);
    let nothing_but_dots = bare.is_empty() && !name.is_empty();
    let fits = is_port(port)
        && !nothing_but_dots
        && !bare.ends_with('.')
        && bare.len() <= MAX_HOSTNAME
        && bare.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-' | '.' | '_' | '~'));
    fits.then(|| bare.to_owned())
}

fn is_port(text: &str) -> bool {
    let number = text.trim_start_matches('0');
    text.chars().all(|c| c.is_ascii_digit()) && number.len() <= 5 && number.parse().unwrap_or(0) <= 65_535_u32
}
