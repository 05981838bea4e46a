//! GET /api/context/tasks (CONTRACT §2): order, pages, filters, and queries that are refused.

use std::collections::BTreeSet;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::task::{FIELDS, Members, NO_SUCH_TASK, column, leak, long_json};
use crate::support::{Daemon, Rows, Tenant};

const REFUSED: &str = "400 query_failed";

/// The order of the fields in a list.
#[derive(Deserialize)]
struct Shown {
    tasks: Vec<Members>,
}

/// A daemon that may lose its last tasks with the power, for tests that make many.
fn quick_daemon() -> Daemon {
    Daemon::builder().set("store", "{path: \"@DIR@/data\", durability: process_crash}").start()
}

/// The query for the page at this cursor.
fn next(query: &str, cursor: &str) -> String {
    format!("{query}&cursor={}", utf8_percent_encode(cursor, NON_ALPHANUMERIC))
}

/// All pages of a query, from the first to the one that names no next.
#[track_caller]
fn pages(daemon: &Daemon, tenant: &Tenant, query: &str) -> Vec<Value> {
    let mut pages = vec![tenant.page(daemon, query)];
    let query = query.split("&cursor=").next().unwrap();
    while let Some(cursor) = pages.last().and_then(|page| page["next_cursor"].as_str()) {
        let page = tenant.page(daemon, &next(query, cursor));
        pages.push(page);
        assert!(pages.len() < 1000, "pages without end");
    }
    assert_eq!(pages.last().unwrap()["next_cursor"], Value::Null);
    pages
}

/// The ids of all these pages.
fn ids(pages: &[Value]) -> Vec<String> {
    pages.iter().flat_map(|page| column(&page["tasks"], "task_id")).collect()
}

#[test]
fn a_list_is_made_of_the_tasks_that_get_shows() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    assert_eq!(alice.page(&daemon, ""), json!({"ok": true, "tasks": [], "count": 0, "next_cursor": null}));
    let first = alice.made(&daemon, &json!({"title": "first", "metadata": {"n": [1, {"deep": null}]}}));
    let second = alice.made(&daemon, &json!({"title": "second", "priority": "urgent", "parent_task_id": first}));
    alice.patched(&daemon, &first, &json!({"status": "failed", "result": "plain text", "error": "why"}));

    let answer = daemon.ask(&alice.ask("GET", crate::support::TASKS));
    assert_eq!((answer.status(), answer.header("content-type")), (200, Some("application/json")));
    let Members(members) = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(members, ["ok", "tasks", "count", "next_cursor"]);
    let Shown { tasks } = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(tasks, [Members(FIELDS.map(str::to_owned).to_vec()), Members(FIELDS.map(str::to_owned).to_vec())]);
    let body = answer.json();
    assert_eq!(body["count"], 2);
    let mut listed = body["tasks"].as_array().unwrap().clone();
    listed.sort_by_key(|task| task["title"].to_string());
    assert_eq!(listed, [alice.task(&daemon, &first), alice.task(&daemon, &second)]);
}

#[test]
fn the_last_updated_comes_first_and_ties_go_by_id() {
    let daemon = quick_daemon();
    let alice = Tenant::new(&daemon, "alice");
    let made: Vec<String> = (0..30).map(|n| alice.titled(&daemon, &format!("task {n}"))).collect();
    let order = || {
        let page = alice.page(&daemon, "");
        let key = |task: &Value| (task["updated_at"].to_string(), task["task_id"].to_string());
        let seen: Vec<_> = page["tasks"].as_array().unwrap().iter().map(key).collect();
        let mut sorted = seen.clone();
        sorted.sort();
        sorted.reverse();
        assert_eq!(seen, sorted);
        column(&page["tasks"], "task_id")
    };
    let mut before = order();
    let latest = alice.patched(&daemon, &made[0], &json!({"title": "touched"}));
    let mut after = order();
    assert_eq!(alice.page(&daemon, "limit=1")["tasks"][0]["updated_at"], latest, "a change moves a task forward");
    before.sort();
    after.sort();
    assert_eq!(after, before, "and neither loses nor doubles one");
}

#[test]
fn pages_joined_are_the_whole_list() {
    let daemon = quick_daemon();
    let alice = Tenant::new(&daemon, "alice");
    for n in 0..25 {
        let priority = if n % 3 == 0 { "high" } else { "low" };
        alice.made(&daemon, &json!({"title": format!("task {n}"), "priority": priority}));
    }
    let mut rows = Rows::new();
    for (filter, total) in [("", 25), ("priority=high", 9), ("priority=low&status=pending", 16), ("status=failed", 0)] {
        let whole = ids(&[alice.page(&daemon, filter)]);
        rows.eq(format!("{filter}: all"), &total, &whole.len());
        for limit in [1, 2, 7, 24, 25, 26] {
            let query = format!("{filter}&limit={limit}");
            let pages = pages(&daemon, &alice, &query);
            rows.eq(&query, &whole, &ids(&pages));
            rows.holds(format!("{query}: pages"), pages.len() <= total / limit + 1, pages.len());
            for page in &pages {
                let size = page["tasks"].as_array().unwrap().len();
                rows.eq(format!("{query}: count"), &json!(size), &page["count"]);
                let last = page["next_cursor"].is_null();
                rows.holds(format!("{query}: full pages"), last || size == limit, size);
            }
        }
    }
    rows.finish();
}

#[test]
fn what_is_made_or_deleted_meanwhile_doubles_nothing() {
    let daemon = quick_daemon();
    let alice = Tenant::new(&daemon, "alice");
    let made: BTreeSet<String> = (0..10).map(|n| alice.titled(&daemon, &format!("task {n}"))).collect();
    let first = alice.page(&daemon, "limit=4");
    let seen = column(&first["tasks"], "task_id");
    // The last of the page, where its cursor stands, and one of those that follow.
    daemon.ask(&alice.delete(&seen[3]));
    let follows = made.iter().find(|id| !seen.contains(id)).unwrap();
    daemon.ask(&alice.delete(follows));
    alice.titled(&daemon, "new");
    let rest = ids(&pages(&daemon, &alice, &next("limit=4", first["next_cursor"].as_str().unwrap())));
    let expected: BTreeSet<&String> = made.iter().filter(|id| !seen.contains(id) && *id != follows).collect();
    assert_eq!(rest.iter().collect::<BTreeSet<_>>(), expected);
    assert_eq!(rest.len(), 5, "{rest:?}");
}

#[test]
fn a_limit_is_read_as_the_contract_says() {
    let daemon = quick_daemon();
    let alice = Tenant::new(&daemon, "alice");
    for n in 0..52 {
        alice.titled(&daemon, &format!("task {n}"));
    }
    let mut rows = Rows::new();
    for (query, count) in [
        ("", 50),
        ("limit=", 50),
        ("limit=0", 0),
        ("limit=1", 1),
        ("limit=2.7", 2),
        ("limit=51", 51),
        ("limit=52", 52),
        ("limit=1000", 52),
        ("limit=1001", 52),
        ("limit=4294967296", 52),
        ("limit=3&limit=7", 3),
        ("limit=3&limit=abc", 3),
        ("limit=%33", 3),
        ("unknown=1&limit=4", 4),
    ] {
        let page = alice.page(&daemon, query);
        rows.eq(query, &count, &page["tasks"].as_array().unwrap().len());
        rows.eq(format!("{query}: count"), &json!(count), &page["count"]);
        // A page that ends where the list ends may know it or not; a longer one knows.
        if count > 0 && count != 52 || query == "limit=1000" {
            rows.eq(format!("{query}: more to come"), &(count < 52), &page["next_cursor"].is_string());
        }
    }
    rows.finish();
}

#[test]
fn no_page_has_more_than_a_thousand() {
    let daemon = quick_daemon();
    let alice = Tenant::new(&daemon, "alice");
    let mut client = daemon.connect();
    for n in 0..1003 {
        let answer = client.ask(&alice.create(&json!({"title": format!("task {n}")})));
        assert_eq!(answer.status(), 200, "{}", answer.text());
    }
    let pages = pages(&daemon, &alice, "limit=5000");
    assert_eq!(pages.iter().map(|page| page["count"].as_u64().unwrap()).collect::<Vec<_>>(), [1000, 3]);
    assert_eq!(ids(&pages).into_iter().collect::<BTreeSet<_>>().len(), 1003);
}

#[test]
fn a_page_of_large_tasks_ends_early() {
    let daemon = quick_daemon();
    let alice = Tenant::new(&daemon, "alice");
    for n in 0..80 {
        alice.made(&daemon, &format!("{{\"title\":\"task {n}\",\"metadata\":{}}}", long_json(64 * 1024)));
    }
    let mut seen = BTreeSet::new();
    let mut query = "limit=1000".to_owned();
    let mut sizes = Vec::new();
    loop {
        let answer = daemon.ask(&alice.list(&query));
        assert_eq!(answer.status(), 200, "{}", answer.problem());
        assert!(answer.body.len() < 1024 * 1024 + 128 * 1024, "a page of {} bytes", answer.body.len());
        let page = answer.json();
        sizes.push(page["count"].as_u64().unwrap());
        seen.extend(column(&page["tasks"], "title"));
        match page["next_cursor"].as_str() {
            Some(cursor) => query = next("limit=1000", cursor),
            None => break,
        }
        assert!(sizes.len() < 80, "pages without end: {sizes:?}");
    }
    assert_eq!((seen.len(), sizes.iter().sum()), (80, 80), "{sizes:?}");
    assert!(sizes.len() >= 2 && sizes[0] > 10, "{sizes:?}");
}

#[test]
fn filters_select_and_join() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::with(&daemon, "alice", &["--session", "main"]);
    let other = Tenant::with(&daemon, "alice", &["--session", "other"]);
    other.titled(&daemon, "elsewhere");
    let make = |title: &str, priority: &str, service: &str| {
        alice.made(&daemon, &json!({"title": title, "priority": priority, "assigned_service": service}))
    };
    let a = make("a", "high", "cases");
    let b = make("b", "high", "sync");
    make("c", "low", "cases");
    alice.made(&daemon, &json!({"title": "d", "parent_task_id": a}));
    let e = alice.made(&daemon, &json!({"title": "e", "parent_task_id": a, "priority": "high"}));
    alice.made(&daemon, &json!({"title": "f", "parent_task_id": e}));
    alice.patched(&daemon, &b, &json!({"status": "in_progress"}));
    alice.patched(&daemon, &e, &json!({"status": "completed"}));
    alice.patched(&daemon, &e, &json!({"assigned_service": "ledger & co"}));
    let of_a = format!("parent_task_id={a}");
    let mut rows = Rows::new();
    for (query, titles) in [
        ("", "a b c d e f"),
        ("session_id=", "a b c d e f"),
        ("session_id=main", "a b c d e f"),
        ("session_id=other", "elsewhere"),
        ("session_id=other&status=failed", ""),
        ("session_id=no-such-session", ""),
        ("status=pending", "a c d f"),
        ("status=in_progress", "b"),
        ("status=completed", "e"),
        ("status=failed", ""),
        ("status=", "a b c d e f"),
        ("status=bogus", ""),
        ("status=PENDING", ""),
        ("status=pending&status=completed", "a c d f"),
        ("priority=high", "a b e"),
        ("priority=normal", "d f"),
        ("priority=", "a b c d e f"),
        ("priority=bogus", ""),
        ("assigned_service=cases", "a c"),
        ("assigned_service=ledger%20%26%20co", "e"),
        ("assigned_service=ledger+%26+co", "e"),
        ("assigned_service=", "a b c d e f"),
        ("assigned_service=case", ""),
        ("assigned_service=%00", ""),
        (of_a.as_str(), "d e"),
        ("parent_task_id=", "a b c d e f"),
        (&format!("parent_task_id={e}"), "f"),
        (&format!("parent_task_id={b}"), ""),
        (&format!("parent_task_id={NO_SUCH_TASK}"), ""),
        ("parent_task_id=no-id", ""),
        (&format!("{of_a}&priority=high"), "e"),
        (&format!("{of_a}&priority=high&status=pending"), ""),
        ("priority=high&assigned_service=cases", "a"),
        ("priority=high&assigned_service=sync&status=in_progress", "b"),
        ("priority=&status=completed&assigned_service=", "e"),
        ("priority=low&session_id=main", "c"),
    ] {
        rows.eq(query, &titles.to_owned(), &alice.sorted_titles(&daemon, query).join(" "));
    }
    rows.finish();
}

#[test]
fn a_query_that_cannot_be_meant_is_query_failed() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    for n in 0..3 {
        alice.titled(&daemon, &format!("task {n}"));
    }
    let longest = format!("session_id=s{}", "x".repeat(127));
    let too_long = format!("{longest}x");
    let long_cursor = format!("cursor={}", "A".repeat(3000));
    let mut rows = Rows::new();
    for query in [
        "limit=-1",
        "limit=abc",
        "limit=1e9",
        "limit=99999999999999999999",
        "limit=NaN",
        "limit=Infinity",
        "limit=0x10",
        "limit=5abc",
        "limit=abc&limit=5",
        "cursor=nonsense",
        "cursor=%00",
        "cursor=%FF%FE",
        "cursor=../../etc/passwd",
        &long_cursor,
        "session_id=../etc",
        "session_id=-s",
        "session_id=.s",
        "session_id=a%20b",
        "session_id=a%00b",
        "session_id=a:b",
        "session_id=%C3%A4",
        &too_long,
    ] {
        let answer = daemon.ask(&alice.list(query));
        let what = query.chars().take(60).collect::<String>();
        rows.eq(&what, &REFUSED.to_owned(), &answer.fate());
        rows.eq(format!("{what}: from inside"), &None, &leak(&answer));
    }
    rows.eq("the longest session", &json!(0), &alice.page(&daemon, &longest)["count"]);
    rows.eq("an empty cursor is none", &json!(3), &alice.page(&daemon, "cursor=")["count"]);
    rows.finish();
}
