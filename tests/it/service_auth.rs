//! What a service asks of its callers before anything is sent to it, and what of that goes on: nothing.

use serde_json::json;

use crate::support::daemon::Builder;
use crate::support::task::KEY_HEADER;
use crate::support::token::{Signer, key_set, seconds_from_now};
use crate::support::{API, Answer, Ask, CONNECT, Daemon, MCP, Registry, Rows, Tenant, Upstream, eventually};

const JWKS: &str = "/jwks";
const OPEN: &str = "open.chitty.test";
const KEYED: &str = "keyed.chitty.test";
const TOKEN: &str = "token.chitty.test";

fn services(upstream: &Upstream) -> Builder {
    Daemon::builder()
        .service(upstream.service("open"))
        .service(upstream.service_with("keyed", "auth: key"))
        .set("rate_limit", "off")
}

fn with_issuer(upstream: &Upstream, issuer: &Registry) -> Builder {
    let url = issuer.url();
    let jwt = format!("{{issuer: \"https://i.test\", jwks_url: \"{url}{JWKS}\", audience: cc}}");
    services(upstream)
        .service(upstream.service_with("token", "auth: jwt, forward_credentials: true"))
        .set("auth", &format!("{{jwt: {jwt}}}"))
}

fn token(signer: &Signer, exp: i64) -> String {
    signer.token("k", &json!({"iss": "https://i.test", "aud": "cc", "sub": "alice", "exp": seconds_from_now(exp)}))
}

/// How it ended, as the caller sees it; `200` where the service answered.
fn fate(answer: &Answer) -> String {
    if answer.status() == 200 { "200".to_owned() } else { answer.fate() }
}

#[test]
fn a_service_is_closed_to_whom_it_does_not_ask_in() {
    let (upstream, issuer, signer) = (Upstream::start(), Registry::start(), Signer::ed25519());
    issuer.put(JWKS, key_set(&[signer.jwk("k")]));
    let daemon = with_issuer(&upstream, &issuer).start();
    let key = Tenant::with(&daemon, "alice", &["--scope", "mcp:call"]);
    let revoked = Tenant::new(&daemon, "alice");
    assert!(daemon.command(&["keys", "revoke", &revoked.key_id]).status.success());
    let (good, over) = (token(&signer, 600), token(&signer, -600));
    let bearer = |credential: &str| ("Authorization", format!("Bearer {credential}"));
    let own = |credential: &str| (KEY_HEADER, credential.to_owned());
    let wrong = format!("chitty_{}", "0".repeat(64));
    let mut rows = Rows::new();
    for (what, header, open, keyed, by_token) in [
        ("nothing", None, "200", "401 Missing API key", "401 Missing API key"),
        (
            "Basic",
            Some(("Authorization", "Basic YTpi".to_owned())),
            "200",
            "401 Missing API key",
            "401 Missing API key",
        ),
        ("a key", Some(own(&key.key)), "200", "200", "401 Invalid API key"),
        ("a key as Bearer", Some(bearer(&key.key)), "200", "200", "401 Invalid API key"),
        ("a revoked key", Some(own(&revoked.key)), "200", "401 API key is inactive", "401 Invalid API key"),
        ("a wrong key", Some(bearer(&wrong)), "200", "401 Invalid API key", "401 Invalid API key"),
        ("a token", Some(bearer(&good)), "200", "401 Invalid API key", "200"),
        ("a token in the key's header", Some(own(&good)), "200", "401 Invalid API key", "200"),
        ("a token that is over", Some(bearer(&over)), "200", "401 Invalid API key", "401 API key is inactive"),
    ] {
        for (service, prefix, expected) in [(OPEN, "open", open), (KEYED, "keyed", keyed), (TOKEN, "token", by_token)] {
            for (method, host, target) in [
                ("GET", service, "/x?a=1".to_owned()),
                ("HEAD", service, "/x".to_owned()),
                ("OPTIONS", service, "/x".to_owned()),
                ("POST", service, "/x".to_owned()),
                ("GET", CONNECT, format!("/{prefix}/api/x")),
                ("DELETE", CONNECT, format!("/{prefix}/mcp/x")),
                ("GET", API, format!("/{prefix}/x")),
                ("GET", MCP, format!("/{prefix}")),
            ] {
                let before = upstream.requests().len();
                let mut ask = Ask::new(method, host, &target);
                if let Some((name, value)) = &header {
                    ask = ask.header(name, value);
                }
                let answer = daemon.ask(&ask);
                let row = format!("{what}: {method} {host}{target}");
                if method == "HEAD" {
                    rows.eq(&row, &expected[..3].to_owned(), &answer.status().to_string());
                } else {
                    rows.eq(&row, &expected.to_owned(), &fate(&answer));
                }
                let reached = upstream.requests().len() - before;
                rows.eq(format!("{row}: reaches the service"), &usize::from(expected == "200"), &reached);
                rows.eq(&row, &(expected.starts_with("401")), &answer.header("www-authenticate").is_some());
            }
        }
    }
    rows.finish();
}

#[test]
fn what_opened_a_service_stops_at_the_gateway() {
    let (upstream, issuer, signer) = (Upstream::start(), Registry::start(), Signer::ed25519());
    issuer.put(JWKS, key_set(&[signer.jwk("k")]));
    let daemon = with_issuer(&upstream, &issuer).start();
    let key = Tenant::new(&daemon, "alice");
    let good = token(&signer, 600);
    let bearer = |credential: &str| format!("Bearer {credential}");
    let mut rows = Rows::new();
    for (what, host, headers, sent_on) in [
        ("a key as Bearer", KEYED, vec![("Authorization", bearer(&key.key))], None),
        ("a key in its header", KEYED, vec![(KEY_HEADER, key.key.clone())], None),
        (
            "the service's own",
            KEYED,
            vec![(KEY_HEADER, key.key.clone()), ("Authorization", bearer("theirs"))],
            Some(bearer("theirs")),
        ),
        ("a token", TOKEN, vec![("Authorization", bearer(&good))], None),
        (
            "a token, and the service's own",
            TOKEN,
            vec![(KEY_HEADER, good.clone()), ("Authorization", "Basic YTpi".to_owned())],
            Some("Basic YTpi".to_owned()),
        ),
        ("a token that nobody asked for", OPEN, vec![("Authorization", bearer(&good))], Some(bearer(&good))),
    ] {
        let ask = headers.iter().fold(Ask::get(host, "/x"), |ask, (name, value)| ask.header(name, value));
        let answer = daemon.ask(&ask);
        assert_eq!(answer.status(), 200, "{what}: {}", answer.text());
        let echo = answer.echo();
        rows.eq(what, &sent_on, &echo.header("authorization").map(str::to_owned));
        rows.eq(what, &None, &echo.header(KEY_HEADER));
    }
    // Whom a request speaks for is not for its sender to say.
    let forged = Ask::get(KEYED, "/x").header(KEY_HEADER, &key.key).header("X-ChittyID", "bob");
    rows.eq("another chitty id", &"403 forbidden".to_owned(), &fate(&daemon.ask(&forged)));
    let own = Ask::get(KEYED, "/x").header(KEY_HEADER, &key.key).header("X-ChittyID", "alice");
    rows.eq("its own", &Some("alice".to_owned()), &daemon.ask(&own).echo().header("x-chittyid").map(str::to_owned));
    rows.finish();
}

#[test]
fn upgrades_and_bodies_are_refused_before_they_begin() {
    let upstream = Upstream::start();
    let daemon = services(&upstream).start();
    let key = Tenant::new(&daemon, "alice");
    let upgrade = || {
        Ask::get(KEYED, "/ws")
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
    };
    assert_eq!(fate(&daemon.ask(&upgrade())), "401 Missing API key");
    let mut client = daemon.connect();
    let head = client.send(upgrade().header(KEY_HEADER, &key.key).to_bytes()).head("GET").unwrap();
    assert_eq!(head.status, 101);
    let large = Ask::new("POST", KEYED, "/x").body("x".repeat(100_000));
    assert_eq!(fate(&daemon.ask(&large)), "401 Missing API key");
    let waiting = Ask::new("POST", KEYED, "/x").header("Expect", "100-continue").header("Content-Length", "10");
    let mut client = daemon.connect();
    assert_eq!(client.send(waiting.to_bytes()).head("POST").unwrap().status, 401, "it is not told to go on");
    assert!(upstream.targets().iter().all(|target| target == "/ws"), "{:?}", upstream.targets());
    // The preflight of a page is the gateway's own to answer on its hosts, and the service's on its own.
    assert_eq!(daemon.ask(&Ask::new("OPTIONS", CONNECT, "/keyed/api/x")).status(), 204);
}

#[test]
fn only_the_operator_says_what_a_service_asks_for() {
    let upstream = Upstream::start();
    let url = upstream.url();
    let registry = Registry::with(
        json!([{"id": "listed", "url": url, "auth": "key"}, {"id": "closed", "url": url, "auth": "none"}]).to_string(),
    );
    let file = format!(
        "services:\n  - {{id: filed, endpoints: [\"{url}\"], auth: key}}\n  - {{id: closed, auth: key}}\n  - {{id: tokens, \
         endpoints: [\"{url}\"], auth: jwt}}\n"
    );
    let sources = format!(
        "{{refresh: 100ms, sources: [{{http: {{url: \"{}\", allowed_networks: [127.0.0.0/8]}}}}, {{file: \
         \"@DIR@/services.yaml\"}}]}}",
        registry.url()
    );
    let daemon = Daemon::builder().file("services.yaml", file).set("registry", &sources).start();
    let key = Tenant::new(&daemon, "alice");
    let ask = |id: &str| daemon.get(&format!("{id}.chitty.test"), "/x");
    eventually("the table is there", || match ask("listed").status() {
        200 => Ok(()),
        status => Err(status),
    });
    for id in ["filed", "closed"] {
        assert_eq!(fate(&ask(id)), "401 Missing API key", "{id}");
        let keyed = Ask::get(&format!("{id}.chitty.test"), "/x").header(KEY_HEADER, &key.key);
        assert_eq!(daemon.ask(&keyed).status(), 200, "{id}");
    }
    // A file that asks for tokens where no issuer is known closes the service rather than opening it.
    assert_eq!(fate(&ask("tokens")), "503 Auth backend unavailable");
    let explained = |id: &str| {
        let output = daemon.command(&["explain", &format!("http://{id}.chitty.test/x")]);
        String::from_utf8(output.stdout).unwrap()
    };
    for (id, asked) in [("listed", "auth:      none"), ("filed", "auth:      key"), ("tokens", "auth:      jwt")] {
        assert!(explained(id).contains(asked), "{}", explained(id));
    }
    // What a file says now is what holds.
    daemon.write("services.yaml", &format!("services:\n  - {{id: filed, endpoints: [\"{url}\"]}}\n"));
    eventually("it asks for nothing any more", || match ask("filed").status() {
        200 => Ok(()),
        status => Err(status),
    });
}
