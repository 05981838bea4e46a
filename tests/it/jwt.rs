//! Tokens of an issuer: which are good, what is said of the others, and what the issuer's moods change.

use serde_json::{Value, json};

use crate::support::token::{Signer, hs256, key_set, seconds_from_now, text};
use crate::support::{Ask, CONNECT, Daemon, Registry, Rows, TASKS, Tenant, eventually};

const ISSUER: &str = "https://auth.chitty.test";
const JWKS: &str = "/.well-known/jwks.json";

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "chittyconnect", "sub": "alice", "scope": "openid context:write",
           "exp": seconds_from_now(600)})
}

fn with(claim: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[claim] = value;
    claims
}

fn builder(issuer: &Registry) -> crate::support::daemon::Builder {
    let jwt = format!("{{issuer: \"{ISSUER}\", jwks_url: \"{}{JWKS}\", audience: chittyconnect}}", issuer.url());
    Daemon::builder().set("auth", &format!("{{jwt: {jwt}}}")).set("rate_limit", "off")
}

fn list(token: &str) -> Ask {
    Ask::get(CONNECT, TASKS).header("Authorization", &format!("Bearer {token}"))
}

fn fate(daemon: &Daemon, token: &str) -> String {
    daemon.ask(&list(token)).fate()
}

#[track_caller]
fn eventually_fate(daemon: &Daemon, token: &str, wanted: &str) {
    eventually(wanted, || match fate(daemon, token) {
        seen if seen == wanted => Ok(()),
        seen => Err(seen),
    });
}

fn fetches(issuer: &Registry) -> usize {
    issuer.requests().len()
}

#[test]
fn a_good_token_opens_what_its_claims_say() {
    let (issuer, rsa, curve, edwards) = (Registry::start(), Signer::rsa(), Signer::p384(), Signer::ed25519());
    issuer.put(JWKS, key_set(&[rsa.jwk("r"), curve.jwk("c"), edwards.jwk("e")]));
    let daemon = builder(&issuer).start();
    let mut rows = Rows::new();
    for (kid, signer) in [("r", &rsa), ("c", &curve), ("e", &edwards)] {
        let token = signer.token(kid, &claims());
        rows.eq(kid, &200, &daemon.ask(&list(&token)).status());
        let own_header = Ask::get(CONNECT, TASKS).header("X-ChittyOS-API-Key", &token);
        rows.eq(format!("{kid} in the key's header"), &200, &daemon.ask(&own_header).status());
    }
    let create = |token: &str| {
        Ask::new("POST", CONNECT, TASKS).header("Authorization", &format!("bearer {token}")).body(r#"{"title": "t"}"#)
    };
    let reader = rsa.token("r", &with("scope", json!("context:read")));
    rows.eq("reading is not writing", &"403 forbidden".to_owned(), &daemon.ask(&create(&reader)).fate());
    let nothing = rsa.token("r", &with("scope", json!("read write everything")));
    rows.eq("words of keys and of others are none", &"403 forbidden".to_owned(), &fate(&daemon, &nothing));
    let other = list(&reader).header("X-ChittyID", "bob");
    rows.eq("it speaks for its subject alone", &"403 forbidden".to_owned(), &daemon.ask(&other).fate());

    // One tenant, by whatever it comes; sessions as they are named.
    let key = Tenant::with(&daemon, "alice", &["--session", "desk"]);
    let desk = rsa.token("r", &with("sid", json!("desk")));
    rows.eq("made with a token", &200, &daemon.ask(&create(&desk)).status());
    rows.eq("seen with a key", &vec!["t".to_owned()], &key.titles(&daemon, ""));
    rows.eq("its own session is another", &json!(0), &daemon.ask(&list(&reader)).json()["count"]);
    let bob = curve.token("c", &with("sub", json!("bob")));
    rows.eq("another subject", &json!(0), &daemon.ask(&list(&bob)).json()["count"]);
    rows.finish();
    assert_eq!(fetches(&issuer), 1, "asked once for all of it");
}

#[test]
fn a_bad_token_is_refused_and_told_why() {
    let (issuer, signer) = (Registry::start(), Signer::rsa());
    issuer.put(JWKS, key_set(&[signer.jwk("one")]));
    let daemon = builder(&issuer).start();
    let good = signer.token("one", &claims());
    assert_eq!(daemon.ask(&list(&good)).status(), 200);
    let header = |algorithm: &str| json!({"alg": algorithm, "kid": "one"});
    let jwk = signer.jwk("one").to_string();
    let none = format!("{}.{}.", text(header("none").to_string()), text(claims().to_string()));
    let (message, _) = good.rsplit_once('.').unwrap();
    let mut rows = Rows::new();
    for (what, token, fate, says) in [
        (
            "over",
            signer.token("one", &with("exp", json!(1_700_000_000))),
            "API key is inactive",
            "expired at 2023-11-14T22:13:20.000Z",
        ),
        (
            "not begun",
            signer.token("one", &with("nbf", json!(4_102_444_800_u64))),
            "Invalid API key",
            "not valid before 2100-01-01",
        ),
        (
            "aud",
            signer.token("one", &with("aud", json!("other"))),
            "Invalid API key",
            "not for the audience chittyconnect",
        ),
        ("no aud", signer.token("one", &with("aud", Value::Null)), "Invalid API key", "no `aud`"),
        (
            "iss",
            signer.token("one", &with("iss", json!("https://evil.example"))),
            "Invalid API key",
            "not from the issuer",
        ),
        ("no exp", signer.token("one", &with("exp", Value::Null)), "Invalid API key", "no `exp`"),
        (
            "sub",
            signer.token("one", &with("sub", json!("auth0|1"))),
            "Invalid API key",
            "`sub` of this token is not a chitty id; accepted: 1 to 128",
        ),
        (
            "sid",
            signer.token("one", &with("sid", json!("a/b"))),
            "Invalid API key",
            "`sid` of this token is not a session id",
        ),
        ("none", none, "Invalid API key", "`none`; accepted: RS256"),
        (
            "HS256 with what is public",
            hs256(jwk.as_bytes(), &header("HS256"), &claims()),
            "Invalid API key",
            "`HS256`; accepted: RS256",
        ),
        ("another's algorithm", signer.sign(&header("ES256"), &claims()), "Invalid API key", "`ES256`; accepted"),
        ("another's signature", Signer::rsa().token("one", &claims()), "Invalid API key", "not signed by its issuer"),
        ("no signature", format!("{message}."), "Invalid API key", "not signed by its issuer"),
        ("another key", signer.token("two", &claims()), "Invalid API key", "that its issuer does not publish"),
        ("junk", "eyJ.e30.x".to_owned(), "Invalid API key", "no token"),
        ("no JSON", format!("{}.{}.x", text("{"), text("{}")), "Invalid API key", "no token"),
        ("huge", format!("{message}{}.x", "A".repeat(17_000)), "Invalid API key", "16384 bytes"),
        ("two dots, and not meant as one", "a.b.c".to_owned(), "Invalid API key", "not known"),
    ] {
        let answer = daemon.ask(&list(&token));
        rows.eq(what, &format!("401 {fate}"), &answer.fate());
        let message = answer.json()["message"].as_str().unwrap_or_default().to_owned();
        rows.holds(what, message.contains(says), &message);
        rows.holds(what, answer.header("www-authenticate").is_some(), &answer.head);
        rows.holds(what, token.len() < 20 || !answer.text().contains(&token[..20]), answer.text());
    }
    rows.finish();
    let log = daemon.log();
    assert!(!log.contains(&good[..40]), "no token is in the log");
}

#[test]
fn an_issuer_may_change_its_keys_and_made_up_ones_do_not_pester_it() {
    let (issuer, old, new) = (Registry::start(), Signer::p256(), Signer::p256());
    issuer.put(JWKS, key_set(&[old.jwk("old")]));
    let daemon = builder(&issuer).start();
    let (by_old, by_new) = (old.token("old", &claims()), new.token("new", &claims()));
    assert_eq!(fate(&daemon, &by_old), "200 local");
    for number in 0..50 {
        let made_up = new.token(&format!("made-up-{number}"), &claims());
        assert_eq!(fate(&daemon, &made_up), "401 Invalid API key");
    }
    let asked = fetches(&issuer);
    assert!(asked <= 2, "asked {asked} times");

    issuer.put(JWKS, key_set(&[old.jwk("old"), new.jwk("new")]));
    eventually_fate(&daemon, &by_new, "200 local");
    assert_eq!(fate(&daemon, &by_old), "200 local", "the old one is published still");
    issuer.put(JWKS, key_set(&[new.jwk("new")]));
    eventually("the old key is gone once a new one is looked for", || {
        fate(&daemon, &new.token("made-up", &claims()));
        match fate(&daemon, &by_old) {
            seen if seen == "401 Invalid API key" => Ok(()),
            seen => Err(seen),
        }
    });
    assert_eq!(fate(&daemon, &by_new), "200 local");
}

#[test]
fn an_issuer_that_fails_takes_nothing_back() {
    let (issuer, signer, newer) = (Registry::start(), Signer::ed25519(), Signer::ed25519());
    let daemon = builder(&issuer).start();
    let (token, by_newer) = (signer.token("one", &claims()), newer.token("two", &claims()));
    // It has never answered: whether a token is good cannot be told, and keys are not concerned.
    let answer = daemon.ask(&list(&token));
    assert_eq!(answer.fate(), "503 Auth backend unavailable");
    assert!(answer.header("retry-after").is_some() && answer.json()["code"] == "JWKS_UNAVAILABLE", "{}", answer.text());
    let key = Tenant::new(&daemon, "alice");
    assert_eq!(key.page(&daemon, "")["count"], 0);
    assert_eq!(daemon.ask(&list("eyJ.e30.x")).status(), 401, "junk is junk without it");
    let degraded = daemon.get(CONNECT, "/health").text();
    assert!(degraded.contains("auth.jwt: ") && degraded.contains("no token can be verified"), "{degraded}");

    for document in ["<html>".to_owned(), format!("{{\"keys\": [{}]}}", "null,".repeat(100_000))] {
        issuer.put(JWKS, document);
        assert_eq!(fate(&daemon, &token), "503 Auth backend unavailable");
    }
    issuer.put(JWKS, key_set(&[json!({"kty": "new"}), signer.jwk("one")]));
    eventually_fate(&daemon, &token, "200 local");

    issuer.put_as(JWKS, "status=500", "");
    eventually("it is noticed that it fails", || {
        fate(&daemon, &by_newer);
        let health = daemon.get(CONNECT, "/health").text();
        if health.contains("its last keys go on") { Ok(()) } else { Err(health) }
    });
    assert_eq!(fate(&daemon, &token), "200 local", "its last keys go on");
    assert_eq!(fate(&daemon, &by_newer), "503 Auth backend unavailable", "whether it has this one cannot be told");
    issuer.put(JWKS, key_set(&[signer.jwk("one"), newer.jwk("two")]));
    eventually_fate(&daemon, &by_newer, "200 local");
    eventually("it is not degraded any more", || {
        let health = daemon.get(CONNECT, "/health").text();
        if health.contains("auth.jwt") { Err(health) } else { Ok(()) }
    });
}

#[test]
fn a_slow_issuer_keeps_nobody_waiting_whose_key_is_known() {
    let (issuer, signer) = (Registry::start(), Signer::ed25519());
    issuer.put(JWKS, key_set(&[signer.jwk("one")]));
    let daemon = builder(&issuer).start();
    let token = signer.token("one", &claims());
    eventually_fate(&daemon, &token, "200 local");
    issuer.put_as(JWKS, "hold=1", "");
    let before = fetches(&issuer);
    eventually("it is asked again and holds its answer", || {
        fate(&daemon, &signer.token("made-up", &claims()));
        match fetches(&issuer) {
            asked if asked > before => Ok(()),
            asked => Err(asked),
        }
    });
    for _ in 0..20 {
        assert_eq!(fate(&daemon, &token), "200 local");
    }
    issuer.put(JWKS, key_set(&[signer.jwk("one")]));
}
