//! Where a name that the operator did not write may point.
//!
//! A registry over HTTP is not trusted: what it names must be a public address, unless the operator allowed the network.
//! Checked on literal addresses when an entry is read, and on every address that a name resolves to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;

/// Which addresses are allowed beside public ones, and which never are.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    allowed: Arc<[IpNet]>,
    own: Arc<[IpAddr]>,
}

/// Why an address is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {kind}, and no allowed_networks of its source holds it")]
pub struct Refused {
    /// The address.
    pub address: IpAddr,
    /// What kind of address it is.
    pub kind: &'static str,
}

impl Guard {
    /// `allowed`: networks that are fine beside public addresses. `own`: addresses of this daemon.
    #[must_use]
    pub fn new(allowed: Arc<[IpNet]>, own: Arc<[IpAddr]>) -> Self {
        Self { allowed, own }
    }

    /// Checks one address. IPv4 written as IPv6 (mapped, 6to4, NAT64) is checked as the IPv4 address that it reaches.
    ///
    /// # Errors
    /// [`Refused`] with the kind of address it is.
    pub fn check(&self, address: IpAddr) -> Result<(), Refused> {
        let reached = embedded_v4(address).map_or(address, IpAddr::V4);
        if self.allowed.iter().any(|net| net.contains(&address) || net.contains(&reached)) {
            return Ok(());
        }
        let kind = if self.own.contains(&reached) { Some("an address of this gateway") } else { special(reached) };
        kind.map_or(Ok(()), |kind| Err(Refused { address, kind }))
    }
}

/// The IPv4 address inside an IPv6 one that only carries it (RFC 4291 §2.5.5.2, RFC 3056, RFC 6052).
fn embedded_v4(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = address else { return None };
    let tail = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, hi, lo] | [0x0064, 0xff9b, 0, 0, 0, 0, hi, lo] | [0x2002, hi, lo, ..] => {
            Some(tail(hi, lo))
        }
        _ => None,
    }
}

/// The kind of an address that is not public (IANA special-purpose registries), or `None`.
fn special(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => special_v4(v4),
        IpAddr::V6(v6) => special_v6(v6),
    }
}

fn special_v4(v4: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = v4.octets();
    Some(match (a, b, c) {
        (0, ..) => "an unspecified address",
        (127, ..) => "a loopback address",
        (10, ..) | (192, 168, _) | (172, 16..=31, _) => "a private address",
        (169, 254, _) => "a link-local address",
        (100, 64..=127, _) => "a shared (carrier NAT) address",
        (192, 0, 0) => "a protocol-assignment address",
        (192, 0, 2) | (198, 51, 100) | (203, 0, 113) => "a documentation address",
        (198, 18 | 19, _) => "a benchmarking address",
        (224..=239, ..) => "a multicast address",
        (240..=255, ..) => "a reserved address",
        _ => return None,
    })
}

fn special_v6(v6: Ipv6Addr) -> Option<&'static str> {
    let s = v6.segments();
    Some(match s[0] {
        0 if v6.is_unspecified() => "an unspecified address",
        0 if v6.is_loopback() => "a loopback address",
        0 => "a reserved address",
        0x0064 => "a translation address",
        0x0100 => "a discard-only address",
        0x2001 if s[1] == 0x0db8 => "a documentation address",
        0x2001 if s[1] == 0 => "a tunnelling address",
        0xfc00..=0xfdff => "a unique local address",
        0xfe80..=0xfebf => "a link-local address",
        0xfec0..=0xfeff => "a site-local address",
        0xff00..=0xffff => "a multicast address",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_pass() {
        let guard = Guard::default();
        for bad in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001:db8::1",
        ] {
            assert!(guard.check(bad.parse().unwrap()).is_err(), "{bad}");
        }
        for good in ["1.1.1.1", "172.32.0.1", "192.169.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "2002:808:808::"] {
            assert!(guard.check(good.parse().unwrap()).is_ok(), "{good}");
        }
    }

    #[test]
    fn allowed_networks_open_what_they_name_and_own_addresses_stay_shut() {
        let guard =
            Guard::new(Arc::from(["10.0.0.0/8".parse().unwrap()]), Arc::from(["8.8.8.8".parse::<IpAddr>().unwrap()]));
        assert!(guard.check("10.2.3.4".parse().unwrap()).is_ok());
        assert!(guard.check("::ffff:10.2.3.4".parse().unwrap()).is_ok());
        assert!(guard.check("192.168.0.1".parse().unwrap()).is_err());
        assert!(guard.check("8.8.8.8".parse().unwrap()).is_err());
    }
}
