//! `GET /api/files`: what a session has, page by page.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::files::{FILES, encoded, sha256};
use crate::support::shape::misfits;
use crate::support::sigv4::Signer;
use crate::support::task::{column, leak};
use crate::support::{Ask, CONNECT, Daemon, Rows, Tenant};

fn keys(list: &Value) -> Vec<String> {
    column(&list["files"], "r2_key")
}

#[test]
fn a_file_is_listed_with_what_is_known_of_it() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::with(&daemon, "alice", &["--session", "desk"]);
    let empty = alice.stored(&daemon, "");
    assert_eq!(empty, json!({"ok": true, "files": [], "count": 0, "next_cursor": null}));
    let mut ask = alice.direct("two words.txt", "contents");
    ask["mime"] = json!("text/plain");
    let r2_key = daemon.ask(&alice.upload(&ask)).json()["r2_key"].as_str().unwrap().to_owned();
    let hash = sha256("contents");
    let list = alice.stored(&daemon, "");
    let expected = json!({"ok": true, "count": 1, "next_cursor": null, "files": [{
        "uri": format!("r2://{r2_key}"), "r2_key": r2_key, "resource_uri": "<text>", "name": "<text>", "size": 8,
        "sha256": hash, "mime": "text/plain", "etag": "<text>", "created_at": "<time>", "modified_at": "<time>"}]});
    assert_eq!(misfits(&expected, &list), [""; 0], "{list}");
    let file = &list["files"][0];
    let resource = file["resource_uri"].as_str().unwrap();
    assert!(resource.starts_with(&format!("resource://connect/desk/{hash}-")), "{resource}");
    assert!(file["name"].as_str().unwrap().contains("words.txt"), "{file}");
    // Each of its names leads to it.
    for uri in [resource, file["uri"].as_str().unwrap()] {
        let answer = daemon.ask(&alice.ask("GET", &format!("/resource?uri={}", encoded(uri))));
        assert_eq!(answer.text(), "contents", "{uri}");
    }
}

#[test]
fn pages_meet_and_a_prefix_narrows_them() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::with(&daemon, "alice", &["--session", "desk"]);
    let s3 = Signer::of(&daemon, &alice);
    let mut names: Vec<String> = (0..25).map(|number| format!("a/{number:02}")).collect();
    names.extend(["a", "a.txt", "a/", "b/x y", "b/ü", "b/%2F", "b/&amp;"].map(str::to_owned));
    for name in &names {
        s3.put(&daemon, name, name);
    }
    let mut wanted: Vec<String> = names.iter().map(|name| format!("files/desk/{name}")).collect();
    wanted.sort();
    let mut rows = Rows::new();
    for limit in [1, 7, 32, 33, 1000] {
        let (mut seen, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = alice.stored(&daemon, &format!("limit={limit}{cursor}"));
            rows.holds(format!("limit {limit}"), keys(&page).len() <= limit, &page["count"]);
            rows.eq(format!("limit {limit}: count"), &json!(keys(&page).len()), &page["count"]);
            seen.extend(keys(&page));
            pages += 1;
            let Some(next) = page["next_cursor"].as_str().filter(|_| pages < 100) else { break };
            cursor = format!("&cursor={}", encoded(next));
        }
        rows.eq(format!("limit {limit}"), &wanted, &seen);
    }
    for (prefix, count) in
        [("", 32), ("files/desk/a/", 26), ("files/desk/a/1", 10), ("files/desk/b/", 4), ("nothing", 0)]
    {
        // A prefix is one of keys; whether `files/{session}/` stands before it is for the daemon to say.
        let short = prefix.strip_prefix("files/desk/").unwrap_or(prefix);
        let seen: BTreeSet<usize> = [prefix, short]
            .into_iter()
            .map(|prefix| keys(&alice.stored(&daemon, &format!("limit=1000&prefix={}", encoded(prefix)))).len())
            .collect();
        rows.holds(format!("prefix {prefix}"), seen.contains(&count), &seen);
    }
    rows.finish();
}

#[test]
fn a_session_has_its_own_and_nobody_elses() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::with(&daemon, "alice", &["--session", "desk"]);
    let garden = Tenant::with(&daemon, "alice", &["--session", "garden"]);
    let bob = Tenant::with(&daemon, "bob", &["--session", "desk"]);
    alice.kept(&daemon, "of-desk", "1");
    garden.kept(&daemon, "of-garden", "2");
    bob.kept(&daemon, "of-bob", "3");
    // An upload that has not come is no file.
    alice.presigned(&daemon, "not-yet", 5);
    let names = |tenant: &Tenant, query: &str| -> Vec<String> {
        keys(&tenant.stored(&daemon, query)).iter().map(|key| key.rsplit_once('-').unwrap().1.to_owned()).collect()
    };
    let mut rows = Rows::new();
    for (what, tenant, query, expected) in [
        ("her own session", &alice, "", vec!["desk"]),
        ("the same, named", &alice, "session_id=desk", vec!["desk"]),
        ("her other session", &alice, "session_id=garden", vec!["garden"]),
        ("a session that is not there", &alice, "session_id=nowhere", vec![]),
        ("bob's of the same name", &bob, "session_id=desk", vec!["bob"]),
        ("bob's of a name that she has", &bob, "session_id=garden", vec![]),
    ] {
        rows.eq(what, &expected.into_iter().map(str::to_owned).collect(), &names(tenant, query));
    }
    for query in
        ["session_id=../x", "session_id=a/b", "cursor=nonsense", "cursor=%00", "limit=x", "limit=-1", "session_id=%ff"]
    {
        let answer = daemon.ask(&alice.files("GET", &format!("?{query}")));
        rows.eq(query, &"400 invalid_request".to_owned(), &answer.fate());
        rows.eq(format!("{query}: from inside"), &None, &leak(&answer));
    }
    // A cursor of another session says nothing of this one.
    for number in 0..3 {
        garden.kept(&daemon, &format!("more-{number}"), "2");
    }
    let cursor = garden.stored(&daemon, "limit=1")["next_cursor"].as_str().unwrap().to_owned();
    let answer = daemon.ask(&bob.files("GET", &format!("?cursor={}", encoded(&cursor))));
    let fits = answer.status() == 400 || !answer.text().contains("garden");
    rows.holds("a foreign cursor", fits, answer.text());
    rows.eq("no key", &401, &daemon.ask(&Ask::get(CONNECT, FILES)).status());
    let writer = Tenant::with(&daemon, "alice", &["--scope", "context:write"]);
    rows.eq("no scope", &"403 forbidden".to_owned(), &daemon.ask(&writer.files("GET", "")).fate());
    rows.eq("another method", &405, &daemon.ask(&alice.files("POST", "").body("{}")).status());
    rows.finish();
}

#[test]
fn the_description_of_the_api_knows_of_files() {
    let daemon = Daemon::builder().start();
    let document = daemon.get(CONNECT, "/openapi.json").json();
    let mut rows = Rows::new();
    for (path, method, scope) in [
        ("/api/files", "get", "files:read"),
        ("/api/files/presign", "post", "files:write"),
        ("/api/files/upload", "post", "files:write"),
        ("/api/files/commit", "post", "files:write"),
        ("/api/files/presign-download", "post", "files:read"),
        ("/api/files/resolve", "get", "files:read"),
        ("/resource", "get", "files:read"),
    ] {
        let operation = &document["paths"][path][method];
        rows.eq(format!("{method} {path}"), &json!([scope]), &operation["security"][0]["apiKey"]);
    }
    for (path, method) in [("/api/files/upload/{token}", "put"), ("/api/files/download/{token}", "get")] {
        rows.holds(format!("{method} {path}"), document["paths"][path][method].is_object(), &document["paths"][path]);
        let security = &document["paths"][path][method]["security"];
        rows.holds(format!("{method} {path}: no key"), !security.to_string().contains("apiKey"), security);
    }
    for method in ["get", "delete"] {
        let operation = &document["paths"]["/api/files/{sha256}"][method];
        rows.holds(format!("{method} /api/files/{{sha256}}"), operation.is_object(), operation);
    }
    rows.finish();
}
