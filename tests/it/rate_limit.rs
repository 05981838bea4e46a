//! Rate limits of local endpoints (CONTRACT.md §0, "Rate limit"; `rate_limit`): who is counted where, what is said.
//!
//! Rates are an hour's, so that nothing comes back while a test looks.

use std::thread;

use serde_json::json;

use crate::support::daemon::Builder;
use crate::support::task::KEY_HEADER;
use crate::support::{API, Answer, Ask, CONNECT, Client, Daemon, Rows, Signal, TASKS, Tenant, Upstream, eventually};

const HEADERS: [&str; 3] = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];

fn limited(yaml: &str) -> Builder {
    Daemon::builder().set("rate_limit", yaml)
}

fn tasks(key: &str) -> Ask {
    Ask::get(CONNECT, TASKS).header(KEY_HEADER, key)
}

/// `status remaining/limit`.
fn shown(answer: &Answer) -> String {
    let [limit, remaining, _] = HEADERS.map(|name| answer.header(name).unwrap_or("-"));
    format!("{} {remaining}/{limit}", answer.status())
}

#[test]
fn a_key_is_counted_and_told_where_it_stands() {
    let daemon = limited("{authenticated: 3/h}").start();
    let [alice, bob] = ["alice", "bob"].map(|owner| Tenant::new(&daemon, owner));
    let mut rows = Rows::new();
    for (what, key, expected) in [
        ("first", &alice.key, "200 2/3"),
        ("second", &alice.key, "200 1/3"),
        ("third", &alice.key, "200 0/3"),
        ("one too many", &alice.key, "429 0/3"),
        ("another key", &bob.key, "200 2/3"),
    ] {
        rows.eq(what, &expected.to_owned(), &shown(&daemon.ask(&tasks(key))));
    }
    // The same key in the other header, in any case of its scheme, is the same bucket.
    for scheme in ["Bearer", "bearer"] {
        let ask = Ask::get(CONNECT, TASKS).header("Authorization", &format!("{scheme} {}", alice.key));
        rows.eq(scheme, &429, &daemon.ask(&ask).status());
    }
    rows.finish();
}

#[test]
fn a_refusal_has_the_contracts_body_and_a_wait_that_is_true() {
    let daemon = limited("{anonymous: 1/h}").start();
    let ask = Ask::get(CONNECT, "/.well-known/chitty.json").header("Origin", "https://chatgpt.com");
    assert_eq!(daemon.ask(&ask).status(), 200);
    let answer = daemon.ask(&ask);
    assert_eq!(answer.status(), 429);
    let body = answer.json();
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((3000..=3600).contains(&wait), "{wait}");
    assert_eq!(body["error"], "Rate limit exceeded");
    assert_eq!(body["message"], format!("Too many requests. Please try again in {wait} seconds."));
    assert_eq!(
        [&body["limit"], &body["window"], &body["retryAfter"], &body["status"]],
        [&json!(1), &json!(3600), &json!(wait), &json!(429)]
    );
    let reset: u64 = answer.header("x-ratelimit-reset").unwrap().parse().unwrap();
    assert!(reset > 1_700_000_000_000, "not in milliseconds: {reset}");
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://chatgpt.com"));
    let exposed = answer.header("access-control-expose-headers").unwrap().to_ascii_lowercase();
    assert!(HEADERS.iter().all(|name| exposed.contains(name)), "{exposed}");
    assert_eq!(daemon.metric("chittyconnect_rate_limited_total{class=\"anonymous\"}"), Some(1.0));
}

#[test]
fn a_wait_that_was_told_is_enough() {
    let daemon = limited("{anonymous: 2/s}").start();
    let mut client = daemon.connect();
    let wait = eventually("one too many within a second", || {
        let answer = client.ask(&Ask::get(CONNECT, "/"));
        if answer.status() == 429 { Ok(answer.header("retry-after").unwrap().to_owned()) } else { Err("let in") }
    });
    assert_eq!(wait, "1");
    eventually("let in again", || {
        let status = client.ask(&Ask::get(CONNECT, "/")).status();
        if status == 200 { Ok(()) } else { Err(status) }
    });
}

#[test]
fn made_up_keys_are_counted_by_address() {
    let daemon = limited("{anonymous: 1/h, api: 3/h, authenticated: 100/h}").start();
    let alice = Tenant::new(&daemon, "alice");
    let mut rows = Rows::new();
    for (number, expected) in ["401 2/3", "401 1/3", "401 0/3", "429 0/3", "429 0/3"].into_iter().enumerate() {
        let made_up = format!("chitty_{number:064}");
        rows.eq(&made_up, &expected.to_owned(), &shown(&daemon.ask(&tasks(&made_up))));
    }
    rows.eq("no key at all", &429, &daemon.ask(&Ask::get(CONNECT, TASKS)).status());
    rows.eq("outside of /api", &"404 0/1".to_owned(), &shown(&daemon.ask(&Ask::get(CONNECT, "/nope"))));
    rows.eq("a right key from there", &"200 99/100".to_owned(), &shown(&daemon.ask(&tasks(&alice.key))));
    let public = Ask::get(CONNECT, "/").header(KEY_HEADER, &alice.key);
    rows.eq("a right key on a public path", &"200 98/100".to_owned(), &shown(&daemon.ask(&public)));
    rows.finish();
}

#[test]
fn what_is_exempt_off_proxied_or_a_preflight_is_not_counted() {
    let upstream = Upstream::start();
    let daemon = limited("{anonymous: 1/h, api: off, authenticated: off, exempt: [/health]}")
        .service(format!("{{id: echo, endpoints: [\"{}\"]}}", upstream.url()))
        .start();
    let alice = Tenant::new(&daemon, "alice");
    let own = Ask::get(API, "/echo/x");
    let preflight = Ask::new("OPTIONS", CONNECT, "/");
    for ask in [Ask::get(CONNECT, "/health"), tasks("junk"), tasks(&alice.key), own, preflight] {
        for _ in 0..5 {
            let answer = daemon.ask(&ask);
            assert!(answer.status() != 429, "{ask:?}");
            assert!(HEADERS.iter().all(|name| answer.header(name).is_none()), "{ask:?}: {:?}", answer.head);
        }
    }
    assert_eq!(shown(&daemon.ask(&Ask::get(CONNECT, "/"))), "200 0/1");
    assert_eq!(daemon.ask(&Ask::get(CONNECT, "/")).status(), 429);
}

#[test]
fn an_address_is_the_one_that_a_trusted_proxy_names() {
    let daemon = limited("{anonymous: 1/h}").set("trusted_proxies", "[127.0.0.0/8]").start();
    let from = |address: &str| daemon.ask(&Ask::get(CONNECT, "/").header("X-Forwarded-For", address)).status();
    for (address, status) in [
        ("192.0.2.1", 200),
        ("192.0.2.1", 429),
        ("192.0.2.2", 200),
        ("2001:db8::1", 200),
        ("2001:db8::2", 429),
        ("2001:db8:0:1::1", 200),
    ] {
        assert_eq!(from(address), status, "{address}");
    }
}

#[test]
fn no_count_is_lost_between_connections() {
    let daemon = limited("{authenticated: 40/h}").start();
    let alice = Tenant::new(&daemon, "alice");
    let (port, ask) = (daemon.port, tasks(&alice.key));
    let statuses: Vec<u16> = thread::scope(|scope| {
        let client = || {
            let mut client = Client::connect(port);
            (0..15).map(|_| client.ask(&ask).status()).collect::<Vec<_>>()
        };
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(client)).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let so_many = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!([so_many(200), so_many(429)], [40, 20]);
}

#[test]
fn a_change_of_the_rates_is_named_as_needing_a_restart() {
    let builder = limited("{anonymous: 1/h}");
    let daemon = builder.clone().start();
    daemon.reload(&limited("off"));
    eventually("the log names the key", || {
        let log = daemon.log();
        if log.contains("rate_limit") && log.contains("take effect after a restart") { Ok(()) } else { Err(log) }
    });
    daemon.signal(Signal::SIGTERM);
}
