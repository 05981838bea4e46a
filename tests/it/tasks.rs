//! Tasks `/api/context/tasks` beside making, listing and changing them: GET, DELETE, sub-tasks, methods and paths, and
//! what lasts.

use serde::Deserialize;
use serde_json::json;

use crate::support::task::{FIELDS, KEY_HEADER, Members, NO_SUCH_TASK, at, leak, tag};
use crate::support::{API, Answer, Ask, CONNECT, Daemon, MCP, Rows, Signal, TASKS, Tenant};

/// The order of the fields in an answer to GET.
#[derive(Deserialize)]
struct Shown {
    task: Members,
}

/// The members of `Allow`, sorted.
fn allowed(answer: &Answer) -> Vec<String> {
    let mut methods: Vec<String> =
        answer.header("allow").unwrap_or_default().split(',').map(str::trim).map(str::to_owned).collect();
    methods.sort();
    methods
}

#[test]
fn get_shows_one_task() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let id = alice.titled(&daemon, "t");
    let answer = daemon.ask(&alice.get(&id));
    assert_eq!((answer.status(), answer.header("content-type")), (200, Some("application/json")));
    let Members(members) = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(members, ["ok", "task"]);
    let Shown { task: Members(fields) } = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(fields, FIELDS);
    assert_eq!((&answer.json()["ok"], &answer.json()["task"]["task_id"]), (&json!(true), &json!(id)));
    let length = answer.body.len().to_string();
    assert_eq!(answer.header("content-length"), Some(length.as_str()));

    let mut client = daemon.connect();
    let head = client.ask(&alice.ask("HEAD", &at(&id)));
    assert_eq!((head.status(), head.header("content-length")), (200, Some(length.as_str())));
    assert_eq!((tag(&head), head.body.len()), (tag(&answer), 0));
    let list = client.ask(&alice.ask("HEAD", TASKS));
    assert_eq!((list.status(), list.body.len()), (200, 0));
    assert_eq!(client.ask(&alice.get(&id)).json(), answer.json(), "the connection is still in step");
}

#[test]
fn an_id_that_no_task_has_is_not_found() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let id = alice.titled(&daemon, "t");
    let mut rows = Rows::new();
    for id in [NO_SUCH_TASK, "nope", "0", "*", "task_id", &id[..35], &format!("{id}0"), &"x".repeat(1000)] {
        for method in ["GET", "DELETE"] {
            let answer = daemon.ask(&alice.ask(method, &at(id)));
            let what = format!("{method} {}", id.chars().take(40).collect::<String>());
            rows.eq(&what, &"404 task_not_found".to_owned(), &answer.fate());
            let body = answer.json();
            let keys: Vec<&String> = body.as_object().unwrap().keys().collect();
            rows.eq(
                &what,
                &vec!["error", "message", "request_id", "status"],
                &keys.iter().map(|k| k.as_str()).collect(),
            );
            rows.eq(format!("{what}: from inside"), &None, &leak(&answer));
        }
    }
    rows.finish();
    assert_eq!(alice.page(&daemon, "")["count"], 1);
}

#[test]
fn a_deleted_task_is_gone_and_no_other() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let id = alice.titled(&daemon, "goes");
    let stays = alice.titled(&daemon, "stays");
    let kept = alice.task(&daemon, &stays);
    let answer = daemon.ask(&alice.delete(&id));
    assert_eq!((answer.status(), answer.json()), (200, json!({"ok": true})));
    let mut rows = Rows::new();
    for (what, ask) in [
        ("DELETE again", alice.delete(&id)),
        ("GET", alice.get(&id)),
        ("PATCH", alice.patch(&id, &json!({"title": "back"}))),
    ] {
        rows.eq(what, &"404 task_not_found".to_owned(), &daemon.ask(&ask).fate());
    }
    rows.eq("list", &vec!["stays".to_owned()], &alice.titles(&daemon, ""));
    rows.eq("the other", &kept, &alice.task(&daemon, &stays));
    rows.finish();
}

#[test]
fn sub_tasks_go_with_their_parent() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let make = |title: &str, parent: &str| alice.made(&daemon, &json!({"title": title, "parent_task_id": parent}));
    let root = alice.titled(&daemon, "root");
    let left = make("left", &root);
    let right = make("right", &root);
    let deep = make("left.1", &left);
    let deepest = make("left.1.1", &deep);
    make("left.2", &left);
    let other = alice.titled(&daemon, "other");
    make("other.1", &other);
    alice.patched(&daemon, &deep, &json!({"status": "completed"}));
    let children = |of: &str| alice.sorted_titles(&daemon, &format!("parent_task_id={of}"));
    assert_eq!(children(&root), ["left", "right"], "the next level alone");
    assert_eq!(children(&left), ["left.1", "left.2"]);
    assert_eq!(children(&deepest), [""; 0]);

    assert_eq!(daemon.ask(&alice.delete(&left)).json(), json!({"ok": true}));
    assert_eq!(alice.sorted_titles(&daemon, ""), ["other", "other.1", "right", "root"]);
    for id in [&left, &deep, &deepest] {
        assert_eq!(daemon.ask(&alice.get(id)).fate(), "404 task_not_found");
    }
    assert_eq!(children(&left), [""; 0]);
    assert_eq!(children(&root), ["right"]);
    assert_eq!(daemon.ask(&alice.delete(&right)).status(), 200);
    assert_eq!(daemon.ask(&alice.delete(&root)).status(), 200);
    assert_eq!(alice.sorted_titles(&daemon, ""), ["other", "other.1"]);
    assert_eq!(children(&other), ["other.1"]);
    assert_eq!(alice.sorted_titles(&daemon, "status=completed"), [""; 0]);
}

#[test]
fn a_long_line_of_sub_tasks_is_deleted_whole() {
    let daemon = Daemon::builder().set("store", "{path: \"@DIR@/data\", durability: process_crash}").start();
    let alice = Tenant::new(&daemon, "alice");
    let root = alice.titled(&daemon, "0");
    let mut parent = root.clone();
    for level in 1..200 {
        parent = alice.made(&daemon, &json!({"title": level.to_string(), "parent_task_id": parent}));
    }
    assert_eq!(alice.page(&daemon, "limit=1000")["count"], 200);
    assert_eq!(daemon.ask(&alice.delete(&root)).status(), 200);
    assert_eq!(alice.page(&daemon, "limit=1000")["count"], 0);
    assert_eq!(daemon.ask(&alice.get(&parent)).status(), 404);
}

#[test]
fn other_methods_and_paths_are_405_and_404() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let id = alice.titled(&daemon, "t");
    let mut rows = Rows::new();
    for (path, methods, allow) in [
        (TASKS.to_owned(), &["PUT", "PATCH", "DELETE", "PROPFIND"][..], &["GET", "POST"][..]),
        (at(&id), &["POST", "PUT", "PROPFIND"], &["DELETE", "GET", "PATCH"]),
        (at(NO_SUCH_TASK), &["POST", "PUT"], &["DELETE", "GET", "PATCH"]),
    ] {
        for method in methods {
            let answer = daemon.ask(&alice.ask(method, &path).body("{\"title\":\"u\"}"));
            rows.eq(format!("{method} {path}"), &"405 method_not_allowed".to_owned(), &answer.fate());
            let mut seen = allowed(&answer);
            seen.retain(|method| method != "HEAD" && method != "OPTIONS");
            rows.eq(format!("{method} {path}: Allow"), &allow.to_vec(), &seen.iter().map(String::as_str).collect());
        }
    }
    for path in [format!("{TASKS}/"), format!("{}/", at(&id)), format!("{}/x", at(&id)), "/api/context/task".to_owned()]
    {
        for method in ["GET", "POST", "DELETE"] {
            let answer = daemon.ask(&alice.ask(method, &path).body("{\"title\":\"u\"}"));
            rows.eq(format!("{method} {path}"), &"404 not_found".to_owned(), &answer.fate());
        }
    }
    rows.finish();
    assert_eq!(alice.titles(&daemon, ""), ["t"], "nothing came of them");
}

#[test]
fn tasks_are_answered_on_every_gateway_host() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let id = alice.titled(&daemon, "t");
    let mut rows = Rows::new();
    for host in [CONNECT, API, MCP, "127.0.0.1"] {
        let answer = daemon.ask(&Ask::get(host, &at(&id)).header(KEY_HEADER, &alice.key));
        rows.eq(host, &json!("t"), &answer.json()["task"]["title"]);
    }
    rows.finish();
}

#[test]
fn answers_about_tasks_are_private_but_open_to_allowed_origins() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let id = alice.titled(&daemon, "t");
    let mut rows = Rows::new();
    for (what, ask) in [
        ("GET", alice.get(&id)),
        ("list", alice.list("")),
        ("POST", alice.create(&json!({"title": "u"}))),
        ("PATCH", alice.patch(&id, &json!({"title": "u"}))),
        ("400", alice.create(&"{}")),
        ("404", alice.get(NO_SUCH_TASK)),
        ("405", alice.ask("PUT", TASKS)),
        ("unknown path", alice.ask("GET", "/api/nope")),
        ("401", Ask::get(CONNECT, TASKS)),
        ("DELETE", alice.delete(&id)),
    ] {
        let answer = daemon.ask(&ask.header("Origin", "https://chatgpt.com"));
        rows.eq(format!("{what}: Cache-Control"), &Some("no-store"), &answer.header("cache-control"));
        let origin = answer.header("access-control-allow-origin");
        rows.eq(format!("{what}: origin"), &Some("https://chatgpt.com"), &origin);
        let exposed = answer.head.all("access-control-expose-headers").join(",").to_ascii_lowercase();
        rows.holds(format!("{what}: ETag can be read"), exposed.contains("etag"), exposed);
    }
    let evil = daemon.ask(&alice.list("").header("Origin", "https://evil.example"));
    rows.eq("another origin", &None, &evil.header("access-control-allow-origin"));
    let problem = daemon.ask(&alice.get(NO_SUCH_TASK).header("Accept", "application/problem+json"));
    rows.eq("problem+json", &Some("application/problem+json"), &problem.header("content-type"));
    rows.eq("problem+json", &json!("task_not_found"), &problem.json()["error"]);
    rows.finish();
}

#[test]
fn a_restart_and_a_kill_lose_nothing() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let parent = alice.made(&daemon, &json!({"title": "parent", "metadata": {"n": 1.50}, "description": "d"}));
    for n in 0..10 {
        alice.made(&daemon, &json!({"title": format!("child {n}"), "parent_task_id": parent, "priority": "low"}));
    }
    alice.patched(&daemon, &parent, &json!({"status": "in_progress", "result": "plain text", "error": "e"}));
    let gone = alice.titled(&daemon, "gone");
    daemon.ask(&alice.delete(&gone));
    let seen = |daemon: &Daemon| (daemon.ask(&alice.list("")).text(), alice.tag(daemon, &parent));
    let before = seen(&daemon);

    let mut daemon = daemon.restart();
    assert_eq!(seen(&daemon), before, "after a restart");

    // What was answered is there, even if it was answered just before the end.
    let last = alice.titled(&daemon, "the last");
    alice.patched(&daemon, &last, &json!({"status": "completed"}));
    daemon.signal(Signal::SIGKILL);
    daemon.wait_for_exit();
    let daemon = daemon.start_again();
    assert_eq!(alice.task(&daemon, &last)["status"], "completed");
    assert_eq!(alice.page(&daemon, "")["count"], 12);
    assert_eq!(daemon.ask(&alice.get(&gone)).status(), 404);
    let child = alice.page(&daemon, "priority=low&limit=1")["tasks"][0].clone();
    assert_eq!(child["parent_task_id"], json!(parent), "{child}");
    assert_eq!(daemon.ask(&alice.delete(&parent)).status(), 200);
    assert_eq!(alice.titles(&daemon, ""), ["the last"]);
}
