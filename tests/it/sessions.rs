//! Sessions as agents use them, row by row of CONTRACT.md §6: made, listed, changed, ended, with their context, each
//! tenant's own.

use std::thread;

use serde_json::{Value, json};

use crate::support::task::is_time;
use crate::support::{Answer, Ask, CONNECT, Daemon, Rows, Tenant};

const SESSIONS: &str = "/api/v1/sessions";
const SYNC: &str = "/api/v1/sessions/sync";
const DAY: u64 = 24 * 3_600_000;

fn post(tenant: &Tenant, body: &Value) -> Ask {
    tenant.ask("POST", SESSIONS).body(body.to_string())
}

fn get(tenant: &Tenant, id: &str) -> Ask {
    tenant.ask("GET", &format!("{SESSIONS}/{id}"))
}

fn patch(tenant: &Tenant, id: &str, body: &Value) -> Ask {
    tenant.ask("PATCH", &format!("{SESSIONS}/{id}")).body(body.to_string())
}

fn put(tenant: &Tenant, id: &str, body: &Value) -> Ask {
    tenant.ask("PUT", &format!("{SESSIONS}/{id}/context")).body(body.to_string())
}

fn context(tenant: &Tenant, id: &str, query: &str) -> Ask {
    tenant.ask("GET", &format!("{SESSIONS}/{id}/context{query}"))
}

fn sync(tenant: &Tenant, body: &Value) -> Ask {
    tenant.ask("POST", SYNC).body(body.to_string())
}

/// `data` of an answer that is as the contract says.
#[track_caller]
fn data(answer: &Answer) -> Value {
    let body = answer.json();
    assert_eq!((answer.status(), &body["success"]), (200, &json!(true)), "{body}");
    assert!(is_time(&body["metadata"]["timestamp"]), "{body}");
    assert_eq!(body["metadata"]["requestId"].as_str(), answer.header("x-request-id"), "{body}");
    body["data"].clone()
}

/// The status and the code, and that the error has the family's shape.
fn fate(answer: &Answer) -> String {
    let body = answer.json();
    let told = body["success"] == json!(false)
        && body["error"]["message"].is_string()
        && body["status"] == json!(answer.status())
        && body["request_id"].as_str() == answer.header("x-request-id");
    match body["error"]["code"].as_str() {
        Some(code) if told => format!("{} {code}", answer.status()),
        _ => answer.fate(),
    }
}

#[test]
fn a_session_is_made_shown_and_changed() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let made = data(&daemon.ask(&post(&alice, &json!({"chittyId": "alice", "sessionId": "s", "metadata": {"a": 1}}))));
    let names: Vec<&str> = made.as_object().unwrap().keys().map(String::as_str).collect();
    let mut fields =
        ["id", "chittyId", "created", "updated", "expires", "metadata", "state", "decisions", "interactions"];
    fields.sort_unstable();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, fields);
    let millis = |value: &Value, field: &str| value[field].as_u64().unwrap_or_else(|| panic!("{field} in {value}"));
    assert_eq!((&made["id"], &made["chittyId"], &made["state"]), (&json!("s"), &json!("alice"), &json!("active")));
    assert_eq!((&made["metadata"], &made["decisions"]), (&json!({"a": 1}), &json!([])));
    assert_eq!((millis(&made, "updated"), millis(&made, "interactions")), (millis(&made, "created"), 0));
    assert_eq!(millis(&made, "expires"), millis(&made, "created") + DAY);
    assert_eq!(data(&daemon.ask(&get(&alice, "s"))), made);

    let patched = data(&daemon.ask(&patch(&alice, "s", &json!({"metadata": {"b": 2}, "decisions": [{"why": null}]}))));
    assert_eq!((&patched["metadata"], &patched["interactions"]), (&json!({"b": 2}), &json!(1)));
    let patched = data(&daemon.ask(&patch(&alice, "s", &json!({"decisions": [2], "state": "ended"}))));
    assert_eq!((&patched["decisions"], &patched["state"]), (&json!([{"why": null}, 2]), &json!("ended")));
    assert_eq!((&patched["interactions"], &patched["created"]), (&json!(2), &made["created"]));
    assert_eq!(millis(&patched, "expires"), millis(&patched, "updated") + DAY);

    // What is not for clients to change stays, beside what is.
    let forged = json!({"id": "x", "created": 1, "expires": 1, "interactions": 99, "state": "active"});
    let patched = data(&daemon.ask(&patch(&alice, "s", &forged)));
    assert_eq!(
        (&patched["id"], &patched["created"], &patched["interactions"]),
        (&json!("s"), &made["created"], &json!(3))
    );
    assert!(millis(&patched, "expires") > millis(&made, "created"));
    assert_eq!(data(&daemon.ask(&get(&alice, "s"))), patched);
}

#[test]
fn the_same_session_again_is_the_same_and_another_is_refused() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let made = data(&daemon.ask(&post(&alice, &json!({"sessionId": "s", "metadata": {"a": 1, "b": 2}}))));
    let again = tenant_raw(&alice, "{\"metadata\":{\"b\": 2, \"a\": 1}, \"sessionId\":\"s\"}");
    assert_eq!(data(&daemon.ask(&again)), made);
    assert_eq!(fate(&daemon.ask(&post(&alice, &json!({"sessionId": "s"})))), "409 SESSION_EXISTS");
    assert_eq!(data(&daemon.ask(&get(&alice, "s"))), made, "nothing is overwritten");
    data(&daemon.ask(&patch(&alice, "s", &json!({"state": "ended"}))));
    let anew = data(&daemon.ask(&post(&alice, &json!({"sessionId": "s"}))));
    assert_eq!((&anew["state"], &anew["metadata"], &anew["interactions"]), (&json!("active"), &json!({}), &json!(0)));
}

fn tenant_raw(tenant: &Tenant, body: &str) -> Ask {
    tenant.ask("POST", SESSIONS).body(body)
}

#[test]
fn what_cannot_be_meant_is_named() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    data(&daemon.ask(&post(&alice, &json!({"sessionId": "s"}))));
    let path = format!("{SESSIONS}/s");
    let in_context = format!("{SESSIONS}/s/context");
    let unknown = format!("{SESSIONS}/unknown/context");
    let large = json!({"sessionId": "t", "metadata": "x".repeat(70_000)}).to_string();
    let mut rows = Rows::new();
    for (method, target, body, expected) in [
        ("POST", SESSIONS, "{", "400 INVALID_JSON"),
        ("POST", SESSIONS, "", "400 INVALID_JSON"),
        ("POST", SESSIONS, "{}", "400 MISSING_REQUIRED_FIELDS"),
        ("POST", SESSIONS, r#"{"chittyId":"alice"}"#, "400 MISSING_REQUIRED_FIELDS"),
        ("POST", SESSIONS, r#"{"sessionId":"a/b"}"#, "400 INVALID_REQUEST"),
        ("POST", SESSIONS, r#"{"sessionId":"sync"}"#, "400 INVALID_REQUEST"),
        ("POST", SESSIONS, &large, "413 body_too_large"),
        ("PATCH", &path, "[1,", "400 INVALID_JSON"),
        ("PATCH", &path, "{}", "400 NO_VALID_FIELDS"),
        ("PATCH", &path, r#"{"id":"x","expires":0}"#, "400 NO_VALID_FIELDS"),
        ("PATCH", &path, r#"{"state":"gone"}"#, "400 INVALID_REQUEST"),
        ("PATCH", &path, r#"{"decisions":1}"#, "400 INVALID_REQUEST"),
        ("PATCH", &format!("{SESSIONS}/unknown"), r#"{"state":"ended"}"#, "404 SESSION_NOT_FOUND"),
        ("GET", &format!("{SESSIONS}/unknown"), "", "404 SESSION_NOT_FOUND"),
        ("GET", &format!("{SESSIONS}/a%2Fb"), "", "404 SESSION_NOT_FOUND"),
        ("GET", &format!("{SESSIONS}/%FF"), "", "404 SESSION_NOT_FOUND"),
        ("GET", &unknown, "", "404 SESSION_NOT_FOUND"),
        ("PUT", &unknown, r#"{"key":"k","value":1}"#, "404 SESSION_NOT_FOUND"),
        ("PUT", &in_context, "nonsense", "400 INVALID_JSON"),
        ("PUT", &in_context, r#"{"value":1}"#, "400 MISSING_KEY"),
        ("PUT", &in_context, r#"{"key":"updated","value":1}"#, "400 INVALID_REQUEST"),
        ("PUT", &in_context, r#"{"key":"k"}"#, "400 INVALID_REQUEST"),
        ("POST", SYNC, "nonsense", "400 INVALID_JSON"),
        ("POST", SYNC, "{}", "400 MISSING_REQUIRED_FIELDS"),
        ("POST", SYNC, r#"{"event":"session_start"}"#, "400 MISSING_REQUIRED_FIELDS"),
        ("POST", SYNC, r#"{"event":"session_stop","sessionId":"s"}"#, "400 INVALID_EVENT"),
        ("POST", SYNC, r#"{"event":"session_end","sessionId":"s","project":{}}"#, "400 INVALID_REQUEST"),
    ] {
        let shown: String = body.chars().take(60).collect();
        rows.eq(
            format!("{method} {target} {shown}"),
            &expected.to_owned(),
            &fate(&daemon.ask(&alice.ask(method, target).body(body))),
        );
    }
    for (method, target) in [
        ("DELETE", path.as_str()),
        ("PUT", &path),
        ("POST", &path),
        ("DELETE", SESSIONS),
        ("PATCH", &in_context),
        ("GET", SYNC),
    ] {
        let answer = daemon.ask(&alice.ask(method, target));
        rows.eq(format!("{method} {target}"), &"405 method_not_allowed".to_owned(), &fate(&answer));
        rows.eq(format!("{method} {target}: its shape"), &json!("method_not_allowed"), &answer.json()["error"]["code"]);
    }
    for below in ["metrics", "ws", "migrate"] {
        let target = format!("{path}/{below}");
        rows.eq(&target, &"404 not_found".to_owned(), &fate(&daemon.ask(&alice.ask("GET", &target))));
    }
    let coded = post(&alice, &json!({"sessionId": "t"})).header("Content-Encoding", "gzip");
    rows.eq("a coded body", &"415 unsupported_media_type".to_owned(), &fate(&daemon.ask(&coded)));
    rows.finish();
    assert_eq!(data(&daemon.ask(&get(&alice, "s")))["interactions"], 0, "nothing of them was done");
}

#[test]
fn a_context_is_its_sessions_own() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    for id in ["s", "t"] {
        data(&daemon.ask(&post(&alice, &json!({"sessionId": id}))));
    }
    let answer = daemon.ask(&put(&alice, "s", &json!({"key": "k", "value": [1]})));
    assert_eq!(data(&answer), json!({"success": true}));
    data(&daemon.ask(&put(&alice, "s", &json!({"key": "a&b", "value": null}))));
    data(&daemon.ask(&put(&alice, "s", &json!({"key": "k", "value": {"x": 2}}))));
    assert_eq!(data(&daemon.ask(&context(&alice, "s", "?key=k"))), json!({"key": "k", "value": {"x": 2}}));
    assert_eq!(data(&daemon.ask(&context(&alice, "s", "?key=a%26b"))), json!({"key": "a&b", "value": null}));
    assert_eq!(data(&daemon.ask(&context(&alice, "s", "?key=nope"))), json!({"key": "nope"}));
    let updated = data(&daemon.ask(&get(&alice, "s")))["updated"].clone();
    let all = json!({"k": {"x": 2}, "a&b": null, "updated": updated});
    assert_eq!(data(&daemon.ask(&context(&alice, "s", ""))), all);
    let other = data(&daemon.ask(&context(&alice, "t", "")));
    assert_eq!(other.as_object().unwrap().len(), 1, "{other}");

    let daemon = daemon.restart();
    assert_eq!(data(&daemon.ask(&context(&alice, "s", ""))), all, "after a restart, too");
    for n in 0..7 {
        data(&daemon.ask(&put(&alice, "t", &json!({"key": n.to_string(), "value": "x".repeat(65_000)}))));
    }
    let last = put(&alice, "t", &json!({"key": "last", "value": "x".repeat(65_000)}));
    data(&daemon.ask(&last));
    let more = put(&alice, "t", &json!({"key": "more", "value": "x".repeat(65_000)}));
    assert_eq!(fate(&daemon.ask(&more)), "409 SESSION_FULL");
    let whole = data(&daemon.ask(&context(&alice, "t", "")));
    assert_eq!(whole.as_object().unwrap().len(), 9);
}

#[test]
fn a_list_has_ones_own_sessions_the_newest_first() {
    let daemon = Daemon::builder().start();
    let (alice, bob) = (Tenant::new(&daemon, "alice"), Tenant::new(&daemon, "bob"));
    let none = data(&daemon.ask(&alice.ask("GET", SESSIONS)));
    assert_eq!(none, json!({"count": 0, "sessions": [], "next_cursor": null}));
    for id in ["b", "a", "c"] {
        data(&daemon.ask(&post(&alice, &json!({"sessionId": id}))));
    }
    data(&daemon.ask(&post(&bob, &json!({"sessionId": "bobs"}))));
    let list = data(&daemon.ask(&alice.ask("GET", SESSIONS).header("X-ChittyID", "alice")));
    assert_eq!(list["count"], 3);
    let place = |session: &Value| (u64::MAX - session["created"].as_u64().unwrap(), session["id"].to_string());
    assert!(list["sessions"].as_array().unwrap().is_sorted_by_key(place), "{list}");
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    for _ in 0..3 {
        let page = data(&daemon.ask(&alice.ask("GET", &format!("{SESSIONS}?limit=1&cursor={cursor}"))));
        pages.extend(page["sessions"].as_array().unwrap().clone());
        page["next_cursor"].as_str().unwrap_or_default().clone_into(&mut cursor);
    }
    assert_eq!((json!(pages), cursor.as_str()), (list["sessions"].clone(), ""));
    for query in ["limit=x", "limit=-1", "cursor=nonsense"] {
        let refused = daemon.ask(&alice.ask("GET", &format!("{SESSIONS}?{query}")));
        assert_eq!(fate(&refused), "400 INVALID_REQUEST", "{query}");
    }
    assert_eq!(data(&daemon.ask(&alice.ask("GET", &format!("{SESSIONS}?limit=0"))))["count"], 0);
    assert_eq!(daemon.ask(&bob.ask("GET", &format!("{SESSIONS}?chittyId=alice"))).status(), 403);
    let daemon = daemon.restart();
    assert_eq!(data(&daemon.ask(&alice.ask("GET", SESSIONS))), list, "after a restart, too");
    let theirs = data(&daemon.ask(&bob.ask("GET", SESSIONS)));
    assert_eq!((&theirs["count"], &theirs["sessions"][0]["id"]), (&json!(1), &json!("bobs")));
}

#[test]
fn a_session_of_another_tenant_does_not_exist() {
    let daemon = Daemon::builder().start();
    let (alice, bob) = (Tenant::new(&daemon, "alice"), Tenant::new(&daemon, "bob"));
    let secret = json!({"sessionId": "s", "metadata": "secret"});
    let made = data(&daemon.ask(&post(&alice, &secret)));
    let mut rows = Rows::new();
    for (what, ask, expected) in [
        ("GET", get(&bob, "s"), "404 SESSION_NOT_FOUND"),
        ("PATCH", patch(&bob, "s", &json!({"state": "ended"})), "404 SESSION_NOT_FOUND"),
        ("context", context(&bob, "s", ""), "404 SESSION_NOT_FOUND"),
        ("PUT context", put(&bob, "s", &json!({"key": "k", "value": 1})), "404 SESSION_NOT_FOUND"),
        ("POST, another's chittyId", post(&bob, &json!({"sessionId": "s", "chittyId": "alice"})), "403 forbidden"),
        (
            "POST, another's header",
            post(&bob, &json!({"sessionId": "s"})).header("X-ChittyID", "alice"),
            "403 forbidden",
        ),
        ("GET, another's header", get(&bob, "s").header("X-ChittyID", "alice"), "403 forbidden"),
        ("list, another's header", bob.ask("GET", SESSIONS).header("X-ChittyID", "alice"), "403 forbidden"),
        ("PATCH, another's", patch(&bob, "s", &json!({"state": "ended", "chittyId": "alice"})), "403 forbidden"),
        ("PUT, another's", put(&bob, "s", &json!({"key": "k", "value": 1, "chittyId": "alice"})), "403 forbidden"),
        (
            "sync, another's",
            sync(&bob, &json!({"event": "session_end", "sessionId": "s", "chittyId": "alice"})),
            "403 forbidden",
        ),
        ("no key", Ask::get(CONNECT, SESSIONS), "401 Missing API key"),
    ] {
        let answer = daemon.ask(&ask);
        rows.eq(what, &expected.to_owned(), &fate(&answer));
        rows.holds(what, !answer.text().contains("secret"), answer.text());
    }
    let ended = data(&daemon.ask(&sync(&bob, &json!({"event": "session_end", "sessionId": "s"}))));
    rows.eq("sync of a session that bob does not have", &json!([]), &ended["actions"]);
    // The name stands for bob's own session, and the scope for what it says.
    let own = data(&daemon.ask(&post(&bob, &json!({"sessionId": "s", "metadata": 1}))));
    rows.eq("bob's own", &json!("bob"), &own["chittyId"]);
    let reader = Tenant::with(&daemon, "alice", &["--scope", "context:read"]);
    rows.eq("another key of alice reads it", &made, &data(&daemon.ask(&get(&reader, "s"))));
    for ask in [post(&reader, &secret), put(&reader, "s", &json!({"key": "k", "value": 1}))] {
        rows.eq("and cannot write", &"403 forbidden".to_owned(), &daemon.ask(&ask).fate());
    }
    rows.finish();
    assert_eq!(data(&daemon.ask(&get(&alice, "s"))), made, "nothing has happened to it");
}

#[test]
fn sessions_hand_on_what_their_project_knows() {
    let daemon = Daemon::builder().start();
    let (alice, bob) = (Tenant::new(&daemon, "alice"), Tenant::new(&daemon, "bob"));
    let project = json!({"slug": "proj", "org": "o"});
    let start = |id: &str| json!({"event": "session_start", "chittyId": "alice", "sessionId": id, "channel": "cli", "project": project});
    let first = data(&daemon.ask(&sync(&alice, &start("one"))));
    assert_eq!(
        (&first["event"], &first["sessionId"], &first["chittyId"]),
        (&json!("session_start"), &json!("one"), &json!("alice"))
    );
    assert!(is_time(&first["timestamp"]), "{first}");
    assert_eq!(first["actions"], json!(["session_created", "prior_context_loaded"]));
    assert_eq!(first["priorContext"], json!({"key": "project:o:proj"}));
    assert_eq!(first["session"]["metadata"], json!({"channel": "cli", "project": project}));
    let again = data(&daemon.ask(&sync(&alice, &start("one"))));
    assert_eq!(again["actions"], json!(["session_resumed", "prior_context_loaded"]));

    let end = json!({"event": "session_end", "sessionId": "one", "project": project,
                     "context": {"summary": "done", "keyFacts": ["a"], "open": 2}});
    let ended = data(&daemon.ask(&sync(&alice, &end)));
    assert_eq!(ended["actions"], json!(["session_ended", "memory_persisted", "project_context_saved"]));
    assert_eq!((&ended["session"]["state"], ended.get("priorContext")), (&json!("ended"), None));
    assert_eq!(data(&daemon.ask(&get(&alice, "one")))["state"], "ended");

    let daemon = daemon.restart();
    let next = data(&daemon.ask(&sync(&alice, &start("two"))));
    let mut prior = next["priorContext"].clone();
    let value = prior["value"].as_object_mut().unwrap();
    assert!(is_time(&value.remove("updatedAt").unwrap()), "{next}");
    let left = json!({"summary": "done", "keyFacts": ["a"], "open": 2, "lastSessionId": "one"});
    assert_eq!(prior, json!({"key": "project:o:proj", "value": left}));

    let theirs = json!({"event": "session_start", "sessionId": "one", "project": project});
    let theirs = data(&daemon.ask(&sync(&bob, &theirs)));
    assert_eq!(theirs["priorContext"], json!({"key": "project:o:proj"}), "another tenant's project is another");
    let without = data(&daemon.ask(&sync(&alice, &json!({"event": "session_start", "sessionId": "three"}))));
    assert_eq!((&without["actions"], without.get("priorContext")), (&json!(["session_created"]), None));
    let nobody = json!({"event": "session_end", "sessionId": "nobody", "project": project});
    let nobody = data(&daemon.ask(&sync(&alice, &nobody)));
    assert_eq!((&nobody["actions"], nobody.get("session")), (&json!(["project_context_saved"]), None));
}

#[test]
fn interactions_at_one_time_add_up() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    data(&daemon.ask(&post(&alice, &json!({"sessionId": "s"}))));
    thread::scope(|scope| {
        for worker in 0..8 {
            let (daemon, alice) = (&daemon, &alice);
            scope.spawn(move || {
                let mut client = daemon.connect();
                for n in 0..10 {
                    let answer = client.ask(&patch(alice, "s", &json!({"decisions": [[worker, n]]})));
                    assert_eq!(answer.status(), 200, "{}", answer.text());
                }
            });
        }
    });
    let session = data(&daemon.ask(&get(&alice, "s")));
    assert_eq!(session["interactions"], 80);
    let mut decisions: Vec<String> = session["decisions"].as_array().unwrap().iter().map(Value::to_string).collect();
    decisions.sort();
    decisions.dedup();
    assert_eq!(decisions.len(), 80);
}

#[test]
fn openapi_describes_sessions_and_their_errors() {
    let daemon = Daemon::builder().start();
    let document = daemon.get(CONNECT, "/openapi.json").json();
    let one = format!("{SESSIONS}/{{id}}");
    let in_context = format!("{one}/context");
    let mut rows = Rows::new();
    for (path, method, scope, statuses) in [
        (SESSIONS, "get", "context:read", &["200"][..]),
        (SESSIONS, "post", "context:write", &["200", "400", "408", "409", "413", "415"]),
        (&one, "get", "context:read", &["200", "404"]),
        (&one, "patch", "context:write", &["200", "400", "404", "408", "409", "413", "415"]),
        (&in_context, "get", "context:read", &["200", "404"]),
        (&in_context, "put", "context:write", &["200", "400", "404", "408", "409", "413", "415"]),
        (SYNC, "post", "context:write", &["200", "400", "408", "413", "415"]),
    ] {
        let operation = &document["paths"][path][method];
        let what = format!("{method} {path}");
        rows.eq(&what, &json!([scope]), &operation["security"][0]["apiKey"]);
        for status in statuses {
            let schema = &operation["responses"][status]["content"]["application/json"]["schema"]["$ref"];
            let own = *status != "200";
            let named = schema.as_str().unwrap_or_default();
            rows.holds(
                format!("{what}: {status}"),
                named.ends_with("/SessionError") == own && !named.is_empty(),
                named,
            );
        }
        for common in ["401", "403", "503"] {
            let schema = &operation["responses"][common]["content"]["application/json"]["schema"]["$ref"];
            rows.eq(format!("{what}: {common}"), &json!("#/components/schemas/Error"), schema);
        }
    }
    let schemas = &document["components"]["schemas"];
    rows.eq("required of a creation", &json!(["sessionId"]), &schemas["CreateSession"]["required"]);
    rows.eq("the three of a patch", &3, &schemas["PatchSession"]["anyOf"].as_array().map_or(0, Vec::len));
    rows.eq("required of a value", &json!(["key", "value"]), &schemas["PutContext"]["required"]);
    rows.eq("required of a sync", &json!(["event", "sessionId"]), &schemas["SyncSession"]["required"]);
    rows.finish();
}
