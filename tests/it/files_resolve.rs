//! URIs of files: what they mean (`GET /api/files/resolve`) and what is behind them (`GET /resource`).

use serde_json::{Value, json};

use crate::support::files::{NO_SUCH_HASH, OTHER_HOSTS, encoded, sha256};
use crate::support::shape::misfits;
use crate::support::sigv4::Signer;
use crate::support::task::leak;
use crate::support::{Answer, Ask, CONNECT, Daemon, Rows, Tenant};

fn resolve(daemon: &Daemon, tenant: &Tenant, uri: &str) -> Answer {
    daemon.ask(&tenant.files("GET", &format!("/resolve?uri={}", encoded(uri))))
}

fn resource(daemon: &Daemon, tenant: &Tenant, uri: &str) -> Answer {
    daemon.ask(&tenant.ask("GET", &format!("/resource?uri={}", encoded(uri))))
}

fn with_link(daemon: &Daemon, tenant: &Tenant, uri: &str) {
    let file = json!({"uri": uri, "name": "linked", "size": 5, "mime": "text/plain"});
    let body = json!({"session_id": tenant.session_id, "files": [file]});
    let answer = daemon.ask(&tenant.ask("POST", "/api/context/files/set-active").body(body.to_string()));
    assert_eq!(answer.status(), 200, "{}", answer.text());
}

#[test]
fn each_kind_of_uri_leads_to_its_file() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::with(&daemon, "alice", &["--session", "desk"]);
    let link = "https://example.com/a/b.txt?x=1#y";
    with_link(&daemon, &alice, link);
    let mut ask = alice.direct("n.txt", "contents");
    ask["mime"] = json!("text/plain");
    let r2_key = daemon.ask(&alice.upload(&ask)).json()["r2_key"].as_str().unwrap().to_owned();
    let s3 = Signer::of(&daemon, &alice);
    s3.put(&daemon, "folder/two words ü.txt", "by s3");
    let hash = sha256("contents");
    let mut rows = Rows::new();
    for (uri, kind, key, hash, size, text) in [
        (format!("resource://connect/desk/{hash}-n.txt"), "resource", r2_key.as_str(), hash.as_str(), 8, "contents"),
        (format!("r2://{r2_key}"), "r2", r2_key.as_str(), hash.as_str(), 8, "contents"),
        (
            "r2://files/desk/folder/two words ü.txt".to_owned(),
            "r2",
            "files/desk/folder/two words ü.txt",
            sha256("by s3").as_str(),
            5,
            "by s3",
        ),
    ] {
        let answer = resolve(&daemon, &alice, &uri);
        let expected = json!({"ok": true, "uri": uri, "kind": kind, "session_id": "desk", "r2_key": key,
            "name": "<text>", "size": size, "sha256": hash, "mime": "<text?>", "url": "<text?>"});
        rows.eq(&uri, &Vec::<String>::new(), &misfits(&expected, &answer.json()));
        let read = resource(&daemon, &alice, &uri);
        rows.eq(&uri, &(200, text.to_owned()), &(read.status(), read.text()));
        rows.eq(format!("{uri}: sniffing"), &Some("nosniff"), &read.header("x-content-type-options"));
        let ranged = alice.ask("GET", &format!("/resource?uri={}", encoded(&uri))).header("Range", "bytes=0-0");
        rows.eq(format!("{uri}: range"), &206, &daemon.ask(&ranged).status());
        let head = daemon.ask(&alice.ask("HEAD", &format!("/resource?uri={}", encoded(&uri))));
        rows.eq(format!("{uri}: HEAD"), &(200, 0), &(head.status(), head.body.len()));
        for host in OTHER_HOSTS {
            let ask =
                Ask::get(host, &format!("/resource?uri={}", encoded(&uri))).header("X-ChittyOS-API-Key", &alice.key);
            rows.eq(format!("{uri} on {host}"), &200, &daemon.ask(&ask).status());
        }
        let keyless = Ask::get(CONNECT, &format!("/resource?uri={}", encoded(&uri)));
        rows.eq(format!("{uri}: no key"), &401, &daemon.ask(&keyless).status());
        let context = Tenant::with(&daemon, "alice", &["--scope", "context:write", "--session", "desk"]);
        rows.eq(format!("{uri}: no scope"), &403, &resource(&daemon, &context, &uri).status());
        rows.eq(format!("{uri}: no scope"), &403, &resolve(&daemon, &context, &uri).status());
    }
    let answer = resolve(&daemon, &alice, link);
    let expected = json!({"ok": true, "uri": link, "kind": "https", "session_id": "desk", "r2_key": null,
        "name": "linked", "size": 5, "sha256": null, "mime": "text/plain", "url": link});
    rows.eq(link, &Vec::<String>::new(), &misfits(&expected, &answer.json()));
    let moved = resource(&daemon, &alice, link);
    rows.eq(link, &(302, Some(link)), &(moved.status(), moved.header("location")));
    rows.finish();
}

#[test]
fn what_is_no_uri_or_not_the_callers_leads_nowhere() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::with(&daemon, "alice", &["--session", "desk"]);
    let bob = Tenant::with(&daemon, "bob", &["--session", "desk"]);
    let kept = alice.kept(&daemon, "n.txt", "alice's");
    with_link(&daemon, &alice, "https://example.com/known");
    let hash = &kept.sha256;
    let mut rows = Rows::new();
    let mut both = |what: &str, tenant: &Tenant, uri: &str, statuses: &[u16]| {
        for answer in [resolve(&daemon, tenant, uri), resource(&daemon, tenant, uri)] {
            let shown: String = uri.chars().take(100).collect();
            let seen = (answer.status(), answer.text());
            rows.holds(format!("{what}: {shown:?}"), statuses.contains(&answer.status()), seen);
            rows.eq(format!("{what}: {shown:?}: from inside"), &None, &leak(&answer));
        }
    };
    for uri in [
        "",
        "nonsense",
        "resource:",
        "resource://",
        "resource://connect",
        "resource://connect/desk",
        "resource://connect/desk/",
        "resource://connect/desk/zz-n.txt",
        &format!("resource://connect/{hash}-n.txt"),
        &format!("resource://elsewhere/desk/{hash}-n.txt"),
        &format!("resource://connect/../{hash}-n.txt"),
        &format!("resource://connect/de\u{0}sk/{hash}-n.txt"),
        "r2://",
        "r2://files",
        "r2://files/desk",
        "r2://files/desk/",
        "r2://files/../desk/x",
        "r2://other/desk/x",
        "r2://files/desk/a\u{0}b",
        "file:///etc/passwd",
        "http://example.com/",
        "javascript:alert(1)",
        "data:text/plain,x",
        "gopher://example.com/",
        "https://",
        "https://exa mple.com/",
        "https://example.com/\r\nX-Evil: 1",
    ] {
        both("malformed", &alice, uri, &[400]);
    }
    for (what, uri) in [
        ("dots", format!("r2://files/desk/../desk/{}", &kept.r2_key["files/desk/".len()..])),
        ("a long name", format!("r2://files/desk/{}", "k".repeat(2048))),
        ("a long URI", format!("https://example.com/{}", "k".repeat(4000))),
        ("a link without a host", "https:///path".to_owned()),
        ("encoded dots", "r2://files/desk/%2e%2e/x".to_owned()),
    ] {
        both(what, &alice, &uri, &[400, 404]);
    }
    for (what, uri) in [
        ("nothing there", "r2://files/desk/nothing".to_owned()),
        ("no such contents", format!("resource://connect/desk/{NO_SUCH_HASH}-n.txt")),
        ("in another session", format!("resource://connect/garden/{hash}-n.txt")),
        ("a link that nobody told of", "https://example.com/unknown".to_owned()),
        ("one like it", "https://example.com/known?x".to_owned()),
    ] {
        both(what, &alice, &uri, &[404]);
    }
    for uri in [kept.uri(), format!("resource://connect/desk/{hash}-n.txt"), "https://example.com/known".to_owned()] {
        both("another tenant's", &bob, &uri, &[404]);
    }
    for target in ["/api/files/resolve", "/resource"] {
        for (query, status) in [("", 400), ("?uri=", 400), ("?uri=%ff", 400), ("?x=1", 400)] {
            let answer = daemon.ask(&alice.ask("GET", &format!("{target}{query}")));
            rows.eq(format!("{target}{query}"), &status, &answer.status());
        }
        rows.eq(format!("{target}: POST"), &405, &daemon.ask(&alice.ask("POST", target).body("")).status());
    }
    rows.finish();
}

#[test]
fn a_link_is_followed_by_the_client_and_only_where_its_session_knows_it() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::with(&daemon, "alice", &["--session", "desk"]);
    let garden = Tenant::with(&daemon, "alice", &["--session", "garden"]);
    let mut rows = Rows::new();
    for uri in ["https://127.0.0.1:1/inside", "https://example.com:8443/%C3%A4?q=a%20b"] {
        with_link(&daemon, &alice, uri);
        let answer = resource(&daemon, &alice, uri);
        // It never leaves this address: who follows it is the client.
        rows.eq(uri, &302, &answer.status());
        let location = answer.header("location").unwrap_or_default();
        rows.holds(format!("{uri}: location"), location.starts_with("https://"), location);
        rows.eq(format!("{uri}: no key goes with it"), &false, &location.contains(&alice.key));
    }
    let uri = "https://127.0.0.1:1/inside";
    with_link(&daemon, &alice, uri);
    // Credentials in an address may be refused; they are never passed on to a third party.
    with_link(&daemon, &alice, "https://user:secret@example.com/");
    let status = resource(&daemon, &alice, "https://user:secret@example.com/").status();
    rows.holds("credentials", [302, 400].contains(&status), status);
    with_link(&daemon, &alice, uri);
    rows.eq("the key's own session does not know it", &404, &resource(&daemon, &garden, uri).status());
    let other = garden.ask("GET", &format!("/resource?uri={}&session_id=desk", encoded(uri)));
    let status = daemon.ask(&other).status();
    rows.holds("the other session, named", [302, 404].contains(&status), status);
    rows.finish();
}

#[test]
fn a_row_without_contents_is_no_file() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::with(&daemon, "alice", &["--session", "desk"]);
    // What a report says of a file brings no contents.
    let body = json!({"items": [{"r2_key": "files/desk/reported.txt", "size": 5, "sha256": sha256("hello")}]});
    let answer = daemon.ask(&alice.ask("POST", "/api/context/files/sync-report").body(body.to_string()));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(resource(&daemon, &alice, "r2://files/desk/reported.txt").status(), 404);
    assert_eq!(daemon.ask(&alice.contents(&sha256("hello"))).status(), 404);
    assert_eq!(alice.stored(&daemon, "")["count"], Value::from(0));
    let commit = json!({"r2_key": "files/desk/reported.txt", "session_id": "desk"});
    assert_eq!(daemon.ask(&alice.files("POST", "/commit").body(commit.to_string())).status(), 404);
}
