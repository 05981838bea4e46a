//! What Cloudflare takes and prefers, case by case, and against an obvious matcher.

use std::cmp::Ordering;

use proptest::prelude::*;

use super::*;

fn route(text: &str) -> Pattern {
    Pattern::route(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn patterns_are_taken_as_cloudflare_takes_them() {
    for (text, host, path) in [
        ("api.chitty.cc/*", "api.chitty.cc", "/*"),
        ("API.Chitty.CC/Path*", "api.chitty.cc", "/Path*"),
        ("chitty.cc", "chitty.cc", "/"),
        ("chitty.cc/", "chitty.cc", "/"),
        ("https://chitty.cc/registry/*", "chitty.cc", "/registry/*"),
        ("*.cleaner.chitty.cc/*", "*.cleaner.chitty.cc", "/*"),
        ("*chitty.cc/images/*", "*chitty.cc", "/images/*"),
        ("*/*", "*", "/*"),
    ] {
        let pattern = route(text);
        assert_eq!((pattern.host().as_str(), pattern.path().as_str()), (host, path), "{text}");
    }
}

#[test]
fn what_cloudflare_refuses_is_refused_with_its_reason() {
    for (text, reason) in [
        ("", PatternError::Empty),
        ("https://", PatternError::Empty),
        ("/mcp/heartbeat", PatternError::NoHost),
        ("a.*.cc/*", PatternError::StarInHost),
        ("*.*.cc/*", PatternError::StarInHost),
        ("api*.chitty.cc/*", PatternError::StarInLabel),
        ("*-staging.chitty.cc/*", PatternError::StarInLabel),
        ("chitty.cc*", PatternError::StarInLabel),
        ("chitty.cc/*/x", PatternError::StarInPath),
        ("chitty.cc/*.jpg", PatternError::StarInPath),
        ("chitty.cc/**", PatternError::StarInPath),
        ("chitty.cc/x?y=*", PatternError::Query),
        ("chitty.cc/a b", PatternError::Space),
        ("ftp://chitty.cc/*", PatternError::Scheme("ftp".to_owned())),
        ("chitty.cc:8080/*", PatternError::NotHost("chitty.cc:8080".to_owned())),
        ("${HOST}/*", PatternError::Variable),
    ] {
        assert_eq!(Pattern::route(text), Err(reason), "{text}");
    }
    for (text, reason) in [
        ("mcp.chitty.cc/*", PatternError::DomainPath("/*".to_owned())),
        ("*.chitty.cc", PatternError::DomainStar),
        ("https://mcp.chitty.cc", PatternError::DomainScheme),
        ("", PatternError::Empty),
    ] {
        assert_eq!(Pattern::custom_domain(text), Err(reason), "{text}");
    }
}

#[test]
fn a_custom_domain_is_every_path_of_its_host() {
    assert_eq!(Pattern::custom_domain("mcp.chitty.cc"), Ok(route("mcp.chitty.cc/*")));
    assert_ne!(Pattern::custom_domain("mcp.chitty.cc"), Ok(route("mcp.chitty.cc")));
}

#[test]
fn the_more_specific_pattern_wins() {
    for (wins, loses) in [
        ("gateway.chitty.cc/api/todos/*", "gateway.chitty.cc/*"),
        ("www.chitty.cc/*", "*.chitty.cc/*"),
        ("www.chitty.cc/*", "*.chitty.cc/api/*"),
        ("*.a.chitty.cc/*", "*.chitty.cc/*"),
        ("*.chitty.cc/*", "*chitty.cc/*"),
        ("chitty.cc/x", "chitty.cc/x*"),
        ("https://chitty.cc/*", "chitty.cc/*"),
    ] {
        let (wins, loses) = (route(wins), route(loses));
        assert!(wins.overlaps(&loses) && loses.overlaps(&wins), "{wins} {loses}");
        assert_eq!(wins.specificity(&loses), Ordering::Greater, "{wins} {loses}");
        assert_eq!(loses.specificity(&wins), Ordering::Less, "{wins} {loses}");
    }
    for (a, b) in [
        ("a.chitty.cc/*", "b.chitty.cc/*"),
        ("chitty.cc/*", "*.chitty.cc/*"),
        ("chitty.cc/a/*", "chitty.cc/b/*"),
        ("http://chitty.cc/*", "https://chitty.cc/*"),
        ("chitty.cc", "chitty.cc/a*"),
    ] {
        assert!(!route(a).overlaps(&route(b)), "{a} {b}");
    }
}

#[test]
fn a_zone_owns_its_own_hosts_and_those_below() {
    for (pattern, zone, owned) in [
        ("chitty.cc/*", "chitty.cc", true),
        ("a.b.chitty.cc/*", "chitty.cc", true),
        ("*.chitty.cc/*", "chitty.cc", true),
        ("*chitty.cc/*", "chitty.cc", true),
        ("*.a.chitty.cc/*", "Chitty.cc", true),
        ("*/*", "chitty.cc", true),
        ("evilchitty.cc/*", "chitty.cc", false),
        ("*evilchitty.cc/*", "chitty.cc", false),
        ("*cc/*", "chitty.cc", false),
        ("chitty.cc/*", "a.chitty.cc", false),
        ("mcp.ch1tty.com/*", "chitty.cc", false),
    ] {
        assert_eq!(route(pattern).is_in_zone(zone), owned, "{pattern} {zone}");
    }
}

/// Whether a glob of bytes matches, tried out.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|skip| glob(rest, &text[skip..])),
        Some((byte, rest)) => text.first() == Some(byte) && glob(rest, &text[1..]),
    }
}

fn matches(pattern: &Pattern, host: &str, path: &str) -> bool {
    glob(pattern.host().as_bytes(), host.as_bytes()) && glob(pattern.path().as_bytes(), path.as_bytes())
}

fn some_pattern() -> impl Strategy<Value = Pattern> {
    ("(\\*|\\*\\.)?[ab](\\.[ab]){0,2}", "/[xy]{0,2}\\*?").prop_map(|(host, path)| route(&format!("{host}{path}")))
}

proptest! {
    #[test]
    fn overlap_and_cover_agree_with_what_matches(
        (a, b) in (some_pattern(), some_pattern()),
        requests in proptest::collection::vec(("[ab](\\.[ab]){0,3}", "/[xy]{0,3}"), 60),
    ) {
        for (host, path) in requests {
            let (in_a, in_b) = (matches(&a, &host, &path), matches(&b, &host, &path));
            prop_assert!(!(in_a && in_b) || a.overlaps(&b), "{a} {b} {host}{path}");
            prop_assert!(!(in_b && a.covers(&b)) || in_a, "{a} covers {b}, but {host}{path}");
            prop_assert_eq!(a.reaches(&host), glob(a.host().as_bytes(), host.as_bytes()));
        }
        prop_assert_eq!(a.overlaps(&b), b.overlaps(&a));
        prop_assert_eq!(a.specificity(&b), b.specificity(&a).reverse());
    }
}
