use std::thread;

use super::*;

fn rate(count: u32) -> Rate {
    Rate { count: NonZeroU32::new(count).unwrap(), per: Duration::from_secs(3600) }
}

fn limits() -> RateLimits {
    RateLimits::new(&Config {
        anonymous: Some(rate(1)),
        api: Some(rate(2)),
        authenticated: Some(rate(3)),
        tools: Some(rate(1)),
        exempt: vec!["/health".to_owned()],
        off: false,
    })
}

fn caller(key: &str, own: Option<u32>) -> Principal {
    Principal { key_id: key.parse().unwrap(), rate_limit: own, ..Principal::sample("alice", "s") }
}

fn class(counted: Counted) -> Option<Class> {
    counted.err().map(|refused| refused.class)
}

#[test]
fn a_key_has_a_bucket_of_its_own() {
    let limits = limits();
    for left in [2, 1, 0] {
        let taken = limits.count_caller(&caller("a", None), "/api/x").unwrap().unwrap();
        assert_eq!((taken.limit, taken.remaining), (3, left));
    }
    let refused = limits.count_caller(&caller("a", None), "/api/x").unwrap_err();
    assert_eq!(refused.class, Class::Authenticated);
    assert!(refused.exceeded.wait > Duration::from_secs(1000) && refused.exceeded.wait <= Duration::from_secs(1200));
    assert!(limits.count_caller(&caller("b", None), "/api/x").is_ok());
}

#[test]
fn a_keys_own_limit_replaces_the_class() {
    let limits = limits();
    let own = caller("a", Some(1));
    assert!(limits.count_caller(&own, "/").is_ok());
    assert_eq!(class(limits.count_caller(&own, "/")), Some(Class::Authenticated));
    let unlimited = RateLimits::new(&Config { authenticated: None, ..Config::default() });
    assert!((0..100).all(|_| unlimited.count_caller(&caller("b", None), "/").is_ok_and(|taken| taken.is_none())));
    assert!(unlimited.count_caller(&own, "/").is_ok());
    assert!(unlimited.count_caller(&own, "/").is_err());
}

#[test]
fn an_address_is_counted_by_class_and_network() {
    let limits = limits();
    let at = |text: &str| Some(text.parse().unwrap());
    for (client, path, refused) in [
        (at("192.0.2.1"), "/x", None),
        (at("192.0.2.1"), "/apis", Some(Class::Anonymous)),
        (at("::ffff:192.0.2.1"), "/x", Some(Class::Anonymous)),
        (at("192.0.2.2"), "/x", None),
        (at("192.0.2.1"), "/api/x", None),
        (at("192.0.2.1"), "/api", None),
        (at("192.0.2.1"), "/api/y", Some(Class::Api)),
        (at("192.0.2.1"), TOOLS, None),
        (at("192.0.2.1"), TOOLS, Some(Class::Tools)),
        (at("2001:db8::1"), "/x", None),
        (at("2001:db8::ffff"), "/x", Some(Class::Anonymous)),
        (at("2001:db8:0:1::1"), "/x", None),
        (None, "/x", None),
        (None, "/x", Some(Class::Anonymous)),
    ] {
        assert_eq!(class(limits.count_address(client, path)), refused, "{client:?} {path}");
    }
}

#[test]
fn what_is_exempt_or_off_is_not_counted() {
    assert!(!limits().counts("/health") && limits().counts("/healthz") && limits().counts("/"));
    assert!(!RateLimits::new(&Config { off: true, ..Config::default() }).counts("/"));
}

#[test]
fn no_count_is_lost_between_threads() {
    let limits = RateLimits::new(&Config { authenticated: Some(rate(500)), ..Config::default() });
    let allowed: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..250).filter(|_| limits.count_caller(&caller("a", None), "/").is_ok()).count()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(allowed, 500);
}
