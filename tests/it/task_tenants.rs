//! Two tenants: neither sees, lists, changes, deletes or guesses what the other has.

use serde_json::{Value, json};

use crate::support::task::{NO_SUCH_TASK, at};
use crate::support::{Answer, Ask, Daemon, Rows, TASKS, Tenant};

/// A request for the task with this id.
type Request<'a> = &'a dyn Fn(&str) -> Ask;

/// A problem without what differs from one request to the next.
fn without_names(answer: &Answer, id: &str) -> (u16, Vec<String>, Value) {
    let text = answer.text().replace(id, "ID");
    let mut body: Value = serde_json::from_str(&text).unwrap();
    body["request_id"] = Value::Null;
    let mut names: Vec<String> = answer.head.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort();
    (answer.status(), names, body)
}

#[test]
fn a_task_of_another_tenant_does_not_exist() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let bob = Tenant::new(&daemon, "bob");
    let id = alice.titled(&daemon, "secret");
    let before = (alice.task(&daemon, &id), alice.tag(&daemon, &id));
    let tag = before.1.as_str();
    let body = json!({"title": "stolen", "status": "cancelled"});
    let mut rows = Rows::new();
    // Each request for alice's task, and the same for one that nobody has: bob cannot tell them apart.
    let requests: [(&str, Request); 9] = [
        ("GET", &|id| bob.get(id)),
        ("GET, If-None-Match", &|id| bob.get(id).header("If-None-Match", tag)),
        ("HEAD", &|id| bob.ask("HEAD", &at(id))),
        ("PATCH", &|id| bob.patch(id, &body)),
        ("PATCH, If-Match", &|id| bob.patch(id, &body).header("If-Match", tag)),
        ("PATCH that fits no task", &|id| bob.patch(id, &json!({"priority": "bogus"}))),
        ("PATCH, once", &|id| bob.patch(id, &body).header("Idempotency-Key", "k")),
        ("DELETE", &|id| bob.delete(id)),
        ("DELETE, If-Match", &|id| bob.delete(id).header("If-Match", tag)),
    ];
    for (what, request) in requests {
        let (theirs, nobodys) = (daemon.ask(&request(&id)), daemon.ask(&request(NO_SUCH_TASK)));
        if what == "HEAD" {
            rows.eq(what, &(404, 404), &(theirs.status(), nobodys.status()));
        } else {
            rows.eq(what, &without_names(&nobodys, NO_SUCH_TASK), &without_names(&theirs, &id));
        }
        rows.holds(what, !theirs.text().contains("secret") && !theirs.text().contains("alice"), theirs.text());
    }
    for (what, ask) in [("GET", bob.get(&id)), ("PATCH", bob.patch(&id, &body)), ("DELETE", bob.delete(&id))] {
        rows.eq(what, &"404 task_not_found".to_owned(), &daemon.ask(&ask).fate());
    }
    rows.finish();
    assert_eq!((alice.task(&daemon, &id), alice.tag(&daemon, &id)), before, "nothing has happened to it");
}

#[test]
fn a_list_holds_nothing_of_another_tenant() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::with(&daemon, "alice", &["--session", "shared"]);
    let bob = Tenant::with(&daemon, "bob", &["--session", "shared"]);
    let apart = Tenant::with(&daemon, "alice", &["--session", "apart"]);
    let parent = alice.titled(&daemon, "alice's");
    alice.made(&daemon, &json!({"title": "alice's child", "parent_task_id": parent, "assigned_service": "s"}));
    apart.titled(&daemon, "alice's, apart");
    bob.titled(&daemon, "bob's");
    let mut rows = Rows::new();
    for (query, titles) in [
        ("", "bob's"),
        ("limit=1000", "bob's"),
        ("session_id=shared", "bob's"),
        ("session_id=apart", ""),
        ("session_id=alice", ""),
        ("chitty_id=alice", "bob's"),
        ("chittyId=alice", "bob's"),
        (&format!("session_id={}", Tenant::new(&daemon, "alice").session_id), ""),
        (&format!("parent_task_id={parent}"), ""),
        ("assigned_service=s", ""),
    ] {
        let answer = daemon.ask(&bob.list(query));
        let seen = if answer.status() == 200 { bob.titles(&daemon, query).join(" ") } else { answer.fate() };
        rows.eq(query, &titles.to_owned(), &seen);
        rows.holds(format!("{query}: anything of alice"), !answer.text().contains("alice"), answer.text());
    }
    rows.finish();
    assert_eq!(alice.sorted_titles(&daemon, ""), ["alice's", "alice's child"]);
}

#[test]
fn a_cursor_of_another_tenant_opens_nothing() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::with(&daemon, "alice", &["--session", "shared"]);
    let bob = Tenant::with(&daemon, "bob", &["--session", "shared"]);
    for n in 0..4 {
        alice.titled(&daemon, &format!("alice's {n}"));
    }
    let page = alice.page(&daemon, "limit=1");
    let cursor = page["next_cursor"].as_str().unwrap();
    let cursor = percent_encoding::utf8_percent_encode(cursor, percent_encoding::NON_ALPHANUMERIC);
    let answer = daemon.ask(&bob.list(&format!("cursor={cursor}")));
    assert!(!answer.text().contains("alice"), "{}", answer.text());
    assert!(matches!(answer.status(), 200 | 400), "{}", answer.fate());
}

#[test]
fn ids_that_begin_alike_are_still_apart() {
    let daemon = Daemon::builder().start();
    let names = [
        ("a", "b"),
        ("a", "bc"),
        ("a", "b.c"),
        ("a", "b-c"),
        ("a", "B"),
        ("ab", "c"),
        ("ab", "b"),
        ("a.b", "c"),
        ("a:b", "c"),
        ("a:b", "b"),
        ("a@b", "c"),
        ("a-b", "c"),
        ("A", "b"),
    ];
    let tenants = names.map(|(chitty_id, session)| Tenant::with(&daemon, chitty_id, &["--session", session]));
    let made: Vec<(String, String)> = tenants
        .iter()
        .map(|tenant| {
            let title = format!("of {} in {}", tenant.chitty_id, tenant.session_id);
            (tenant.titled(&daemon, &title), title)
        })
        .collect();
    let mut rows = Rows::new();
    for tenant in &tenants {
        let who = format!("{} in {}", tenant.chitty_id, tenant.session_id);
        rows.eq(&who, &vec![format!("of {who}")], &tenant.titles(&daemon, ""));
        for (other, (id, title)) in tenants.iter().zip(&made) {
            // Ids resolve within the chitty id, whatever the session.
            let status = if other.chitty_id == tenant.chitty_id { 200 } else { 404 };
            rows.eq(format!("{who} reads what is {title}"), &status, &daemon.ask(&tenant.get(id)).status());
        }
    }
    rows.finish();
}

#[test]
fn sessions_of_one_tenant_are_lists_apart_and_ids_together() {
    let daemon = Daemon::builder().start();
    let one = Tenant::with(&daemon, "alice", &["--session", "one"]);
    let two = Tenant::with(&daemon, "alice", &["--session", "two"]);
    let id = one.titled(&daemon, "made in one");
    two.titled(&daemon, "made in two");
    assert_eq!(one.titles(&daemon, ""), ["made in one"]);
    assert_eq!(two.titles(&daemon, ""), ["made in two"]);
    assert_eq!(two.titles(&daemon, "session_id=one"), ["made in one"]);
    assert_eq!(two.task(&daemon, &id), one.task(&daemon, &id));
    two.patched(&daemon, &id, &json!({"title": "changed from two"}));
    assert_eq!(one.titles(&daemon, ""), ["changed from two"]);
    assert_eq!(one.task(&daemon, &id)["session_id"], "one", "it stays where it was made");
    assert_eq!(daemon.ask(&two.delete(&id)).status(), 200);
    assert_eq!(one.page(&daemon, "")["count"], 0);

    // Without a session of its own a key shares none.
    let (third, fourth) = (Tenant::new(&daemon, "alice"), Tenant::new(&daemon, "alice"));
    third.titled(&daemon, "third's");
    assert_eq!(fourth.page(&daemon, "")["count"], 0);
    assert_eq!(third.session_id, format!("key-{}", third.key_id));
}

#[test]
fn nobody_speaks_for_another_chitty_id() {
    const FORBIDDEN: &str = "403 forbidden";
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let bob = Tenant::new(&daemon, "bob");
    let id = bob.titled(&daemon, "bob's");
    let before = (bob.task(&daemon, &id), bob.tag(&daemon, &id));
    let mut rows = Rows::new();
    for (what, ask, fate) in [
        ("GET, another's header", bob.get(&id).header("X-ChittyID", "alice"), FORBIDDEN),
        ("GET, a header that begins alike", bob.get(&id).header("X-ChittyID", "bobby"), FORBIDDEN),
        ("GET, another case", bob.get(&id).header("X-ChittyID", "BOB"), FORBIDDEN),
        ("list, another's header", bob.list("").header("X-ChittyID", "alice"), FORBIDDEN),
        ("DELETE, another's header", bob.delete(&id).header("X-ChittyID", "alice"), FORBIDDEN),
        ("POST, another's header", bob.create(&json!({"title": "t"})).header("X-ChittyID", "alice"), FORBIDDEN),
        ("POST, another's chittyId", bob.create(&json!({"title": "t", "chittyId": "alice"})), FORBIDDEN),
        ("POST, another's chitty_id", bob.create(&json!({"title": "t", "chitty_id": "alice"})), FORBIDDEN),
        ("PATCH, another's header", bob.patch(&id, &json!({"title": "t"})).header("X-ChittyID", "alice"), FORBIDDEN),
        ("PATCH, another's chittyId", bob.patch(&id, &json!({"title": "t", "chittyId": "alice"})), FORBIDDEN),
        ("PATCH, another's chitty_id", bob.patch(&id, &json!({"title": "t", "chitty_id": "alice"})), FORBIDDEN),
        (
            "one right, one wrong",
            bob.create(&json!({"title": "t", "chittyId": "bob", "chitty_id": "alice"})),
            FORBIDDEN,
        ),
        ("GET, one's own", bob.get(&id).header("X-ChittyID", "bob"), "200 local"),
        ("list, one's own", bob.list("").header("x-chittyid", "bob"), "200 local"),
    ] {
        rows.eq(what, &fate.to_owned(), &daemon.ask(&ask).fate());
    }
    rows.finish();
    assert_eq!((bob.task(&daemon, &id), bob.tag(&daemon, &id)), before, "nothing of them was done");
    assert_eq!(bob.page(&daemon, "")["count"], 1);
    assert_eq!(alice.page(&daemon, "")["count"], 0);

    let own = bob.made(&daemon, &json!({"title": "own", "chittyId": "bob", "chitty_id": "bob"}));
    assert_eq!(bob.task(&daemon, &own)["chitty_id"], "bob");
    bob.patched(&daemon, &own, &json!({"title": "still own", "chitty_id": "bob"}));
    let answer = daemon.ask(&bob.patch(&own, &json!({"chitty_id": "bob"})));
    assert_eq!(answer.fate(), "400 no valid fields to update");
    let wrong_key = Ask::get(crate::support::CONNECT, TASKS).header("X-ChittyID", "alice");
    assert_eq!(daemon.ask(&wrong_key).fate(), "401 Missing API key", "the key comes first");
}
