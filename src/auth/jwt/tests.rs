#[path = "../../../tests/support/token.rs"]
mod token;

use serde_json::json;

use super::key_set::KeySet;
use super::*;
use crate::model::key::Scope;
use token::{Signer, hs256, key_set, seconds_from_now, text};

const ISSUER: &str = "https://auth.chitty.test";

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "chittyconnect", "sub": "alice", "exp": seconds_from_now(600)})
}

fn with(claim: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[claim] = value;
    claims
}

/// Knows these keys, and asks nobody.
fn jwt(keys: &[Value]) -> Jwt {
    let jwks_url = Url::parse("http://127.0.0.1:1/jwks").unwrap();
    let config = JwtConfig { issuer: ISSUER.to_owned(), jwks_url, audience: "chittyconnect".to_owned() };
    let jwt = Jwt::new(config).unwrap();
    jwt.issuer.note_for_test(KeySet::read(key_set(keys).as_bytes()).unwrap());
    jwt
}

async fn refusal(jwt: &Jwt, token: &str) -> TokenError {
    match jwt.verify(token.as_bytes()).await {
        Err(AuthError::Token(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_algorithm_of_the_list_is_verified() {
    for (signer, algorithms) in [
        (Signer::rsa(), &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"][..]),
        (Signer::p256(), &["ES256"]),
        (Signer::p384(), &["ES384"]),
        (Signer::ed25519(), &["EdDSA"]),
    ] {
        let jwt = jwt(&[signer.jwk("one")]);
        for algorithm in algorithms {
            let token = signer.sign(&json!({"alg": algorithm, "kid": "one"}), &claims());
            assert!(Jwt::is_meant(token.as_bytes()), "{token}");
            assert_eq!(jwt.verify(token.as_bytes()).await.unwrap().chitty_id.as_str(), "alice", "{algorithm}");
            // Without a name, the only key for the algorithm is meant.
            let token = signer.sign(&json!({"alg": algorithm}), &claims());
            assert!(jwt.verify(token.as_bytes()).await.is_ok(), "{algorithm}");
        }
    }
}

#[tokio::test]
async fn nothing_else_is_verified() {
    let (rsa, curve) = (Signer::rsa(), Signer::p256());
    let public = rsa.jwk("one");
    let jwt = jwt(&[public.clone(), curve.jwk("two"), json!({"kty": "oct", "kid": "three", "k": text("secret")})]);
    let good = rsa.token("one", &claims());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let none = text(json!({"alg": "none", "kid": "one"}).to_string());
    let body = text(claims().to_string());
    let modulus = URL_SAFE_NO_PAD.decode(public["n"].as_str().unwrap()).unwrap();
    let hmac = json!({"alg": "HS256", "kid": "one"});
    for token in [
        format!("{none}.{body}."),
        format!("{none}.{body}.{signature}"),
        hs256(&modulus, &hmac, &claims()),
        hs256(public.to_string().as_bytes(), &hmac, &claims()),
        hs256(b"secret", &json!({"alg": "HS256", "kid": "three"}), &claims()),
        rsa.sign(&json!({"alg": "ES256", "kid": "one"}), &claims()),
        curve.sign(&json!({"alg": "RS256", "kid": "two"}), &claims()),
        curve.sign(&json!({"alg": "EdDSA", "kid": "two"}), &claims()),
    ] {
        let refused = refusal(&jwt, &token).await;
        assert!(matches!(refused, TokenError::Algorithm(_)), "{refused:?}");
    }
    for token in [
        format!("{message}."),
        format!("{message}.{}", text([0; 256])),
        format!("{}.{}.{signature}", good.split('.').next().unwrap(), text(with("sub", "bob".into()).to_string())),
        Signer::rsa().token("one", &claims()),
        // The key that a token brings is nobody's.
        Signer::rsa().sign(&json!({"alg": "RS256", "kid": "one", "jwk": Signer::rsa().jwk("one")}), &claims()),
    ] {
        assert_eq!(refusal(&jwt, &token).await, TokenError::Signature, "{token}");
    }
    let secret = json!({"alg": "RS256", "kid": "three"});
    assert_eq!(refusal(&jwt, &rsa.sign(&secret, &claims())).await, TokenError::UnknownKey);
    for header in
        [json!({"alg": "RS256", "kid": "one", "crit": ["b64"], "b64": false}), json!({"alg": "RS256", "kid": 1})]
    {
        assert!(matches!(refusal(&jwt, &rsa.sign(&header, &claims())).await, TokenError::Malformed(_)), "{header}");
    }
    for junk in ["..", "e..", "eyJ.eyJ.x", "eyJhbGciOiJSUzI1NiJ9..", &format!("{message}.!!"), &"e".repeat(20_000)] {
        let refused = refusal(&jwt, junk).await;
        let fits = matches!(refused, TokenError::Malformed(_) | TokenError::TooLarge | TokenError::Signature);
        assert!(fits, "{junk}: {refused:?}");
    }
}

#[tokio::test]
async fn claims_are_asked_for_and_clocks_may_differ_by_a_minute() {
    let signer = Signer::ed25519();
    let jwt = jwt(&[signer.jwk("one")]);
    for good in [
        with("exp", seconds_from_now(-50).into()),
        with("nbf", seconds_from_now(50).into()),
        with("aud", json!(["other", "chittyconnect"])),
        with("exp", json!(4_102_444_800.5)),
    ] {
        assert!(jwt.verify(signer.token("one", &good).as_bytes()).await.is_ok(), "{good}");
    }
    let issuer = TokenError::Issuer(ISSUER.to_owned());
    let audience = TokenError::Audience("chittyconnect".to_owned());
    let claim = |name: &str| TokenError::Claim(name.to_owned());
    let at = |seconds: i64| Time::from_millis(u64::try_from(seconds_from_now(seconds)).unwrap() * 1000);
    for (bad, expected) in [
        (with("iss", json!("https://auth.chitty.test/")), issuer.clone()),
        (with("iss", json!("https://evil.example")), issuer),
        (with("iss", Value::Null), claim("iss")),
        (with("aud", json!("other")), audience.clone()),
        (with("aud", json!(["other"])), audience.clone()),
        (with("aud", json!([])), audience),
        (with("aud", Value::Null), claim("aud")),
        (with("exp", Value::Null), claim("exp")),
        (with("exp", json!("tomorrow")), claim("exp")),
        (with("exp", json!(-5)), claim("exp")),
        (with("nbf", json!("now")), claim("nbf")),
        (with("exp", json!(0)), TokenError::Expired(Time::from_millis(0))),
    ] {
        assert_eq!(refusal(&jwt, &signer.token("one", &bad)).await, expected, "{bad}");
    }
    let refused = refusal(&jwt, &signer.token("one", &with("exp", seconds_from_now(-70).into()))).await;
    assert!(matches!(refused, TokenError::Expired(end) if end <= at(-60)), "{refused}");
    let refused = refusal(&jwt, &signer.token("one", &with("nbf", seconds_from_now(90).into()))).await;
    assert!(matches!(refused, TokenError::NotYet(start) if start >= at(60)), "{refused}");
    for claim in [json!("../x"), json!(""), json!("a b"), json!("a".repeat(129))] {
        let refused = refusal(&jwt, &signer.token("one", &with("sub", claim.clone()))).await;
        assert!(matches!(refused, TokenError::Id("sub", _)) && refused.to_string().contains("accepted"), "{refused}");
        let refused = refusal(&jwt, &signer.token("one", &with("sid", claim))).await;
        assert!(matches!(refused, TokenError::Id("sid", _)), "{refused}");
    }
    for claim in [json!(5), json!(["alice"]), Value::Null] {
        let refused = refusal(&jwt, &signer.token("one", &with("sub", claim.clone()))).await;
        assert!(matches!(refused, TokenError::Claim(_) | TokenError::Malformed(_)), "{claim}: {refused:?}");
    }
}

#[tokio::test]
async fn a_token_says_who_it_speaks_for() {
    let signer = Signer::p256();
    let jwt = jwt(&[signer.jwk("one")]);
    let of = async |claims: Value| jwt.verify(signer.token("one", &claims).as_bytes()).await.unwrap();
    let plain = of(claims()).await;
    assert_eq!((plain.session_id.as_str(), plain.key_id.as_str()), ("jwt-2bd806c97f0e00af", "jwt-2bd806c97f0e00af"));
    assert_eq!((plain.scopes.len(), plain.credential), (0, super::super::Credential::Jwt));
    assert_eq!(of(with("exp", seconds_from_now(9).into())).await, plain, "the same with every token");
    assert_eq!(of(with("sid", "desk.1".into())).await.session_id.as_str(), "desk.1");
    let expected = [Scope::ContextRead, Scope::Admin];
    for (claim, value) in [
        ("scope", json!("openid context:read  admin read context:read")),
        ("scopes", json!(["context:read", 5, "admin"])),
        ("scp", json!(["context:read", "admin", "x"])),
        ("scp", json!("context:read admin")),
    ] {
        assert_eq!(of(with(claim, value)).await.scopes, expected, "{claim}");
    }
}

#[test]
fn a_set_has_the_keys_that_verify_and_no_others() {
    let signer = Signer::rsa();
    let with = |field: &str, value: Value| {
        let mut key = signer.jwk("one");
        key[field] = value;
        key
    };
    for (key, usable) in [
        (signer.jwk("one"), 1),
        (with("alg", "PS256".into()), 1),
        (with("alg", "RSA-OAEP".into()), 0),
        (with("alg", "HS256".into()), 0),
        (with("alg", "ES256".into()), 0),
        (with("use", "enc".into()), 0),
        (with("use", Value::Null), 1),
        (with("key_ops", json!(["verify"])), 1),
        (with("key_ops", json!(["encrypt"])), 0),
        (with("n", json!(5)), 0),
        (json!({"kty": "oct", "k": text("secret"), "kid": "one"}), 0),
        (json!({"kty": "new", "kid": "one"}), 0),
        (json!("key"), 0),
    ] {
        let set = KeySet::read(key_set(std::slice::from_ref(&key)).as_bytes()).unwrap();
        assert_eq!(set.len(), usable, "{key}");
    }
    let many: Vec<Value> = (0..150).map(|number| signer.jwk(&number.to_string())).collect();
    assert_eq!(KeySet::read(key_set(&many).as_bytes()).unwrap().len(), 100);
    for none in ["", "[]", "{}", "{\"keys\": {}}", "<html>"] {
        assert!(KeySet::read(none.as_bytes()).is_err(), "{none}");
    }
    let set = KeySet::read(key_set(&[signer.jwk("one"), Signer::rsa().jwk("two")]).as_bytes()).unwrap();
    let found = |kid, algorithm| set.find(kid, algorithm).map(|found| found.is_ok());
    assert_eq!(found(Some("one"), Algorithm::RS256), Some(true));
    assert_eq!(found(Some("one"), Algorithm::ES256), Some(false));
    assert_eq!(found(Some("three"), Algorithm::RS256), None);
    assert_eq!(found(None, Algorithm::RS256), Some(false), "which of the two is not said");
}

#[test]
fn a_token_is_told_from_a_key() {
    for (credential, token) in [
        ("eyJhbGciOiJSUzI1NiJ9.e30.x", true),
        ("e..", true),
        ("chitty_00", false),
        ("a.b.c", false),
        ("eyJ.e30", false),
        ("eyJ.a.b.c", false),
        ("", false),
    ] {
        assert_eq!(Jwt::is_meant(credential.as_bytes()), token, "{credential}");
    }
}
