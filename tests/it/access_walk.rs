//! Every operation that the daemon describes, walked: each refuses whoever may not ask it, and no operation shows or
//! changes what is another tenant's.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::walk::{Filling, Operation, Walk, answer, keyed};
use crate::support::{Ask, Daemon, Rows, Tenant, eventually};

/// Every scope, with those that whoever has it may do, too.
const SCOPES: [(&str, &[&str]); 7] = [
    ("context:read", &[]),
    ("context:write", &["context:read"]),
    ("files:read", &[]),
    ("files:write", &["files:read"]),
    ("registry:write", &[]),
    ("mcp:call", &[]),
    ("admin", &["context:read", "context:write", "files:read", "files:write", "registry:write", "mcp:call"]),
];

fn with_scopes(daemon: &Daemon, scopes: &[&str]) -> Tenant {
    let flags: Vec<&str> = scopes.iter().flat_map(|scope| ["--scope", scope]).collect();
    Tenant::with(daemon, "alice", &flags)
}

/// Limits are not what is walked here, and a walk is many requests.
fn daemon() -> Daemon {
    Daemon::builder().set("rate_limit", "off").start()
}

#[test]
fn each_operation_refuses_who_may_not_ask_it() {
    let daemon = daemon();
    let walk = Walk::of(&daemon);
    let whole = with_scopes(&daemon, &["admin"]);
    let revoked = with_scopes(&daemon, &["admin"]);
    assert!(daemon.command(&["keys", "revoke", &revoked.key_id]).status.success());
    let expired = Tenant::with(&daemon, "alice", &["--scope", "admin", "--expires", "1s"]);
    let tasks = |key: &str| daemon.ask(&keyed(Ask::get(crate::support::CONNECT, crate::support::TASKS), key)).fate();
    eventually("the key's second is over", || match tasks(&expired.key) {
        fate if fate == "401 API key is inactive" => Ok(()),
        fate => Err(fate),
    });
    let only: BTreeMap<&str, Tenant> =
        SCOPES.iter().map(|(scope, _)| (*scope, with_scopes(&daemon, &[scope]))).collect();
    let all_but: BTreeMap<&str, Tenant> = SCOPES
        .iter()
        .map(|(scope, _)| {
            let others = SCOPES.iter().filter(|(other, implied)| other != scope && !implied.contains(scope));
            (*scope, with_scopes(&daemon, &others.map(|(other, _)| *other).collect::<Vec<_>>()))
        })
        .collect();
    let wrong = format!("chitty_{}", "0".repeat(64));
    let token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.";
    let filling = Filling::default();
    let mut rows = Rows::new();
    let mut walked = 0;
    for operation in walk.guarded() {
        walked += 1;
        let ask = || walk.ask(operation, &filling, None);
        for (who, ask, fate) in [
            ("no key", ask(), "401 Missing API key"),
            ("an empty key", keyed(ask(), ""), "401 Missing API key"),
            ("Basic", ask().header("Authorization", "Basic YTpi"), "401 Missing API key"),
            ("a wrong key", keyed(ask(), &wrong), "401 Invalid API key"),
            (
                "a wrong key, and a right one",
                keyed(ask(), &wrong).header("Authorization", &format!("Bearer {}", whole.key)),
                "401 Invalid API key",
            ),
            (
                "a token that nobody signed",
                ask().header("Authorization", &format!("Bearer {token}")),
                "401 Invalid API key",
            ),
            ("an expired key", keyed(ask(), &expired.key), "401 API key is inactive"),
            (
                "an expired key as Bearer",
                ask().header("Authorization", &format!("Bearer {}", expired.key)),
                "401 API key is inactive",
            ),
            ("a revoked key", keyed(ask(), &revoked.key), "401 API key is inactive"),
            ("a key for somebody else", keyed(ask(), &whole.key).header("X-ChittyID", "bob"), "403 forbidden"),
        ] {
            let answer = answer(&daemon, operation, &ask);
            let row = format!("{operation}: {who}");
            rows.eq(&row, &fate.to_owned(), &answer.fate());
            rows.eq(&row, &answer.status().eq(&401), &answer.header("www-authenticate").is_some());
            rows.eq(&row, &Some("no-store"), &answer.header("cache-control"));
        }
        let passes = |key: &str| !matches!(answer(&daemon, operation, &keyed(ask(), key)).status(), 401 | 403);
        rows.holds(format!("{operation}: admin may"), passes(&whole.key), ());
        match operation.scopes.iter().flatten().next() {
            None => rows.holds(format!("{operation}: any key may"), passes(&only["mcp:call"].key), ()),
            Some(scope) => {
                let refused = answer(&daemon, operation, &keyed(ask(), &all_but[scope.as_str()].key));
                rows.eq(format!("{operation}: all but {scope}"), &"403 forbidden".to_owned(), &refused.fate());
                rows.holds(format!("{operation}: says which"), refused.text().contains(scope.as_str()), refused.text());
                rows.holds(format!("{operation}: {scope} may"), passes(&only[scope.as_str()].key), ());
            }
        }
    }
    rows.finish();
    assert!(walked >= 5, "{walked} operations are guarded");
}

#[test]
fn the_pair_of_access_opens_the_operations_that_take_it_and_no_others() {
    let auth = "{cf_access: {client_id: abc.access, client_secret_file: \"@DIR@/secret\"}}";
    let daemon = || Daemon::builder().set("rate_limit", "off").set("auth", auth);
    for (file, says) in [(None, "cannot be read"), (Some(" \n"), "holds no secret")] {
        let builder = file.map_or_else(daemon, |text| daemon().file("secret", text));
        let refused = builder.try_start().unwrap_err();
        let named = refused.log.contains("auth.cf_access.client_secret_file") && refused.log.contains(says);
        assert!(!refused.status.success() && named, "{}", refused.log);
    }
    let daemon = daemon().file("secret", "s3cret-of-access\n").start();
    let walk = Walk::of(&daemon);
    let schemes = daemon.get(crate::support::CONNECT, "/openapi.json").json()["components"]["securitySchemes"].clone();
    assert_eq!(schemes["cfAccess"]["name"], "CF-Access-Client-Id", "{schemes}");
    let mut rows = Rows::new();
    for operation in walk.guarded() {
        let with = |secret: &str| {
            let ask = walk.ask(operation, &Filling::default(), None).header("CF-Access-Client-Id", "abc.access");
            answer(&daemon, operation, &ask.header("CF-Access-Client-Secret", secret))
        };
        rows.eq(format!("{operation}: a wrong secret"), &"401 Missing API key".to_owned(), &with("s3cret").fate());
        let right = with("s3cret-of-access");
        if operation.takes_pair {
            rows.eq(format!("{operation}: alone"), &"POST /api/v1/context/sync".to_owned(), &operation.to_string());
            rows.holds(operation.to_string(), !matches!(right.status(), 401 | 403), right.text());
        } else {
            rows.eq(operation.to_string(), &"401 Missing API key".to_owned(), &right.fate());
        }
    }
    rows.finish();
    assert!(!daemon.log().contains("s3cret"));
}

/// What both tenants call their session.
const SESSION: &str = "desk";
/// Ids of A's that are tried.
const MOST_IDS: usize = 16;
/// In everything that A writes, and in nothing else.
const MARKER: &str = "alices-secret";

/// Bodies of the contract, for operations whose description leaves more open than they do.
fn contract_bodies(path: &str, filling: &Filling) -> Vec<Value> {
    let (text, session) = (&filling.text, &filling.session);
    let whose = filling.chitty_id.clone().unwrap_or_else(|| text.clone());
    let file = json!({"uri": format!("https://files.example/{text}"), "name": text, "metadata": {"of": text}});
    let item = json!({"r2_key": text, "name": text, "size": 1});
    let own_session = json!({"chittyId": whose, "sessionId": session, "metadata": {"of": text}});
    match path.strip_prefix("/api/v1").or_else(|| path.strip_prefix("/api")).unwrap_or(path) {
        "/context/tasks" => vec![json!({"title": text, "description": text, "metadata": {"of": text}})],
        "/context/tasks/{id}" => vec![json!({"title": text, "status": "in_progress", "result": text})],
        "/context/files/set-active" => vec![json!({"session_id": session, "files": [file]})],
        "/context/files/sync-report" => vec![json!({"items": [item], "source": "rclone"})],
        "/context/sync" => vec![json!({"type": "SESSION_INGEST", "session_id": session, "chitty_id": whose,
            "project": text, "event_count": 1, "events": [{"of": text}]})],
        "/sessions" => vec![own_session],
        "/sessions/sync" => ["session_start", "session_end"]
            .map(|event| json!({"event": event, "chittyId": whose, "sessionId": session, "context": {"of": text}}))
            .into(),
        path if path.starts_with("/sessions/") => {
            vec![json!({"metadata": {"of": text}}), json!({"key": text, "value": text})]
        }
        _ => Vec::new(),
    }
}

/// Every id that stands in a document.
fn ids_in(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let name = name.to_ascii_lowercase();
                let is_id = name.ends_with("id") && !name.contains("request");
                // What can stand in a path as it is.
                let fits = |id: &&str| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
                if let Some(id) = value.as_str().filter(|id| is_id && !id.is_empty()).filter(fits)
                    && !found.iter().any(|known| known == id)
                    && found.len() < MOST_IDS
                {
                    found.push(id.to_owned());
                }
                ids_in(value, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| ids_in(value, found)),
        _ => {}
    }
}

/// Every single value of a document under the way to it.
fn leaves(at: &str, value: &Value, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(object) => object.iter().for_each(|(name, value)| leaves(&format!("{at}/{name}"), value, found)),
        Value::Array(list) => {
            found.insert(format!("{at}/length"), json!(list.len()));
            list.iter().enumerate().for_each(|(index, value)| leaves(&format!("{at}/{index}"), value, found));
        }
        value => drop(found.insert(at.to_owned(), value.clone())),
    }
}

struct Tenants<'a> {
    daemon: &'a Daemon,
    walk: &'a Walk,
    alice: Tenant,
    bob: Tenant,
    /// Ids of things of A's.
    ids: Vec<String>,
}

impl Tenants<'_> {
    fn readers(&self) -> impl Iterator<Item = &Operation> {
        self.walk.guarded().filter(|operation| operation.method == "GET" && !operation.streams)
    }

    /// Fillings for each id that may stand in the path; one where none does.
    fn fillings(&self, operation: &Operation, filling: &Filling) -> Vec<Filling> {
        if !operation.path.contains('{') {
            return vec![filling.clone()];
        }
        self.ids.iter().map(|id| Filling { ids: vec![id.clone()], ..filling.clone() }).collect()
    }

    /// Everything that A is shown.
    fn seen_by_alice(&self) -> BTreeMap<String, Value> {
        let mut seen = BTreeMap::new();
        let own = Filling { session: SESSION.to_owned(), ..Filling::default() };
        for operation in self.readers() {
            for filling in self.fillings(operation, &own) {
                let ask = keyed(self.walk.ask(operation, &filling, None), &self.alice.key);
                let answer = self.daemon.ask(&ask);
                let at = format!("{operation} {:?}", filling.ids);
                seen.insert(format!("{at} status"), json!(answer.status()));
                match serde_json::from_slice(&answer.body) {
                    Ok(document) => leaves(&at, &document, &mut seen),
                    Err(_) => drop(seen.insert(at, json!(answer.text()))),
                }
            }
        }
        seen
    }

    /// A writes wherever it can.
    fn seed(&mut self) {
        let filling = Filling { text: MARKER.to_owned(), session: SESSION.to_owned(), ..Filling::default() };
        let own = Filling { chitty_id: Some("alice".to_owned()), ..filling.clone() };
        let mut stored = BTreeSet::new();
        for _ in 0..2 {
            for operation in self.walk.guarded().filter(|operation| !matches!(&*operation.method, "GET" | "DELETE")) {
                for filling in self.fillings(operation, &own) {
                    let made_up = self.walk.bodies(operation, &filling);
                    for body in contract_bodies(&operation.path, &filling).into_iter().chain(made_up) {
                        let ask = keyed(self.walk.ask(operation, &filling, Some(&body)), &self.alice.key);
                        let answer = answer(self.daemon, operation, &ask);
                        if answer.status() == 200 {
                            stored.insert(operation.to_string());
                            ids_in(&serde_json::from_slice(&answer.body).unwrap_or_default(), &mut self.ids);
                        }
                    }
                }
            }
        }
        assert!(stored.contains("POST /api/context/tasks"), "A has stored something: {stored:?}");
    }
}

#[test]
fn no_operation_shows_or_changes_what_is_another_tenants() {
    let daemon = daemon();
    let walk = Walk::of(&daemon);
    let flags = ["--session", SESSION, "--scope", "context:write", "--scope", "files:write", "--scope", "mcp:call"];
    let (alice, bob) = (Tenant::with(&daemon, "alice", &flags), Tenant::with(&daemon, "bob", &flags));
    let mut tenants = Tenants { daemon: &daemon, walk: &walk, alice, bob, ids: vec![SESSION.to_owned()] };
    tenants.seed();
    let before = tenants.seen_by_alice();
    assert!(before.values().any(|value| value.as_str().is_some_and(|text| text.contains(MARKER))), "A sees its own");
    // What differs without anybody's doing, such as the time, says nothing.
    let again = tenants.seen_by_alice();
    let steady: BTreeMap<_, _> = before.into_iter().filter(|(at, value)| again.get(at) == Some(value)).collect();

    let mut rows = Rows::new();
    let mut asked = 0;
    let plain = Filling { text: "bobs".to_owned(), session: SESSION.to_owned(), ..Filling::default() };
    for operation in walk.guarded() {
        for chitty_id in [None, Some("bob".to_owned()), Some("alice".to_owned())] {
            let claims_alice = chitty_id.as_deref() == Some("alice");
            for filling in tenants.fillings(operation, &Filling { chitty_id, ..plain.clone() }) {
                let mut bodies = vec![None];
                if operation.method != "GET" {
                    let made_up = walk.bodies(operation, &filling);
                    bodies.extend(contract_bodies(&operation.path, &filling).into_iter().chain(made_up).map(Some));
                }
                for body in bodies {
                    let ask = keyed(walk.ask(operation, &filling, body.as_ref()), &tenants.bob.key);
                    let answer = answer(&daemon, operation, &ask);
                    asked += 1;
                    let row = || format!("{operation} {filling:?} {body:?}");
                    rows.holds(row(), !answer.text().contains(MARKER), answer.text());
                    rows.holds(row(), answer.status() < 500, answer.text());
                    if claims_alice {
                        rows.eq(row(), &"403 forbidden".to_owned(), &answer.fate());
                    }
                }
                // The same claim in the body alone.
                if claims_alice && operation.method != "GET" {
                    for body in contract_bodies(&operation.path, &filling) {
                        let silent = Filling { chitty_id: None, ..filling.clone() };
                        let ask = keyed(walk.ask(operation, &silent, Some(&body)), &tenants.bob.key);
                        let answer = answer(&daemon, operation, &ask);
                        rows.holds(format!("{operation} {body}"), !answer.text().contains(MARKER), answer.text());
                        if body.get("chittyId").or_else(|| body.get("chitty_id")).is_some() {
                            rows.eq(format!("{operation} {body}"), &403, &answer.status());
                        }
                    }
                }
            }
        }
    }
    rows.finish();
    assert!(asked > 20, "{asked} requests");
    let after = tenants.seen_by_alice();
    let changed: Vec<_> = steady.iter().filter(|(at, value)| after.get(*at) != Some(value)).collect();
    assert!(changed.is_empty(), "changed by B, or gone: {changed:#?}");
}
