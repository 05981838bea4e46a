//! POST /api/context/tasks (CONTRACT §2): what a task is made of, what is kept as given, and what is refused.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::task::{FIELDS, Members, NO_SUCH_TASK, is_time, leak, long_json, nested, tag};
use crate::support::{Daemon, Rows, TASKS, Tenant};

const REFUSED: &str = "400 creation_failed";
const UNTITLED: &str = "400 title required";
const TOO_LARGE: &str = "413 body_too_large";

/// The order of the fields in an answer to GET.
#[derive(Deserialize)]
struct Shown {
    task: Members,
}

/// A body with a title and one more member.
fn with(member: &str, json: &str) -> String {
    format!("{{\"title\":\"t\",\"{member}\":{json}}}")
}

/// The rows of bodies that are refused: each has the fate that is said, gives nothing from inside away, and in the end
/// there is no task.
#[track_caller]
fn assert_all_refused(cases: &[(&str, String, &str)]) {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let mut rows = Rows::new();
    for (what, body, fate) in cases {
        let answer = daemon.ask(&alice.create(body));
        rows.eq(what, &(*fate).to_owned(), &answer.fate());
        rows.eq(format!("{what}: from inside"), &None, &leak(&answer));
        rows.eq(format!("{what}: type"), &Some("application/json"), &answer.header("content-type"));
        rows.holds(format!("{what}: no task"), answer.json().get("task_id").is_none(), answer.text());
    }
    rows.finish();
    assert_eq!(alice.page(&daemon, "")["count"], 0, "something was made");
    assert_eq!(daemon.ask(&alice.create(&with("priority", "\"low\""))).status(), 200, "the daemon goes on");
}

#[test]
fn a_new_task_has_the_contracts_fields_and_defaults() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let answer = daemon.ask(&alice.create(&json!({"title": "write tests"})));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let Members(members) = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(members, ["ok", "task_id", "created_at"]);
    let made = answer.json();
    let id = made["task_id"].as_str().unwrap();
    assert_eq!(uuid::Uuid::parse_str(id).unwrap().get_version_num(), 4, "{id}");

    let shown = daemon.ask(&alice.get(id));
    assert_eq!(tag(&shown), tag(&answer), "one tag for one state");
    let Shown { task: Members(fields) } = serde_json::from_slice(&shown.body).unwrap();
    assert_eq!(fields, FIELDS);
    let body = shown.json();
    let task = &body["task"];
    let mut rows = Rows::new();
    for (field, value) in [
        ("task_id", json!(id)),
        ("session_id", json!(alice.session_id)),
        ("chitty_id", json!("alice")),
        ("task_type", json!("user_request")),
        ("status", json!("pending")),
        ("title", json!("write tests")),
        ("description", Value::Null),
        ("priority", json!("normal")),
        ("assigned_service", Value::Null),
        ("parent_task_id", Value::Null),
        ("created_at", made["created_at"].clone()),
        ("updated_at", made["created_at"].clone()),
        ("started_at", Value::Null),
        ("completed_at", Value::Null),
        ("metadata", json!({})),
        ("result", Value::Null),
        ("error", Value::Null),
    ] {
        rows.eq(field, &value, &task[field]);
    }
    rows.eq("ok", &json!(true), &made["ok"]);
    rows.eq("ok of GET", &json!(true), &body["ok"]);
    rows.holds("created_at", is_time(&made["created_at"]), &made["created_at"]);
    rows.finish();
}

#[test]
fn times_are_kept_in_milliseconds() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    for n in 0..20 {
        alice.titled(&daemon, &format!("task {n}"));
    }
    let times = crate::support::task::column(&alice.page(&daemon, "")["tasks"], "created_at");
    assert_eq!(times.len(), 20);
    assert!(times.iter().any(|time| !time.contains(".000")), "whole seconds only: {times:?}");
}

#[test]
fn what_is_given_is_kept() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let parent = alice.titled(&daemon, "parent");
    let long = |bytes: usize| json!("y".repeat(bytes));
    let mut rows = Rows::new();
    for (field, given, kept) in [
        ("title", json!("naïve 任務 \" \\ \n\t"), json!("naïve 任務 \" \\ \n\t")),
        ("title", long(4096), long(4096)),
        ("title", json!("é".repeat(2048)), json!("é".repeat(2048))),
        ("description", json!("more about it\n"), json!("more about it\n")),
        ("description", long(64 * 1024), long(64 * 1024)),
        ("description", json!(""), Value::Null),
        ("description", Value::Null, Value::Null),
        ("task_type", json!("any word of yours"), json!("any word of yours")),
        ("task_type", long(128), long(128)),
        ("task_type", Value::Null, json!("user_request")),
        ("priority", json!("low"), json!("low")),
        ("priority", json!("normal"), json!("normal")),
        ("priority", json!("high"), json!("high")),
        ("priority", json!("urgent"), json!("urgent")),
        ("priority", Value::Null, json!("normal")),
        ("assigned_service", json!("chittycases"), json!("chittycases")),
        ("assigned_service", long(128), long(128)),
        ("assigned_service", Value::Null, Value::Null),
        ("parent_task_id", json!(parent), json!(parent)),
        ("parent_task_id", Value::Null, Value::Null),
        // not the client's to say
        ("status", json!("completed"), json!("pending")),
        ("status", json!(42), json!("pending")),
        ("session_id", json!("another"), json!(alice.session_id)),
        ("started_at", json!("2020-01-01T00:00:00.000Z"), Value::Null),
        ("result", json!("done"), Value::Null),
        ("error", json!("none"), Value::Null),
    ] {
        let mut body = json!({"title": "t"});
        body[field] = given.clone();
        let id = alice.made(&daemon, &body);
        let what = format!("{field} {}", given.to_string().chars().take(30).collect::<String>());
        let task = alice.task(&daemon, &id);
        rows.eq(&what, &kept, &task[field]);
        rows.eq(format!("{what}: fields"), &FIELDS.len(), &task.as_object().unwrap().len());
    }
    let id = alice.made(&daemon, &json!({"title": "t", "task_id": NO_SUCH_TASK, "created_at": "2020", "x": {}}));
    rows.holds("an id of the client's", id != NO_SUCH_TASK, &id);
    rows.holds("a time of the client's", is_time(&alice.task(&daemon, &id)["created_at"]), &id);
    rows.finish();
}

#[test]
fn metadata_is_any_json_and_comes_back_as_it_was_given() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let largest = long_json(64 * 1024);
    let deepest = nested(32);
    let mut rows = Rows::new();
    for given in [
        "null",
        "true",
        "false",
        "0",
        "-0.0",
        "1.0",
        "1.50",
        "12345678901234567890123456789012345678901234567890",
        "3.141592653589793238462643383279502884197",
        "1e400",
        "\"\"",
        "\"plain text\"",
        "\"[1]\"",
        "\"null\"",
        "[]",
        "[null,[1,2.0],{\"z\":1,\"a\":2}]",
        "{\"z\":{\"y\":[]},\"a\":9007199254740993,\"\":null}",
        &largest,
        &deepest,
    ] {
        let what = given.chars().take(60).collect::<String>();
        let answer = daemon.ask(&alice.create(&with("metadata", given)));
        rows.eq(&what, &200, &answer.status());
        if answer.status() == 200 {
            let shown = daemon.ask(&alice.get(answer.json()["task_id"].as_str().unwrap())).text();
            let seen = shown.split_once("\"metadata\":").map_or("", |(_, rest)| rest);
            let same = seen.strip_prefix(given).is_some_and(|rest| rest.starts_with([',', '}']));
            rows.holds(&what, same, seen.chars().take(80).collect::<String>());
        }
    }
    let spaced = alice.made(&daemon, &"{\"title\": \"t\", \"metadata\": { \"a\" : [ 1 , \"\\u00e9\" ] } }");
    rows.eq("spaces and escapes", &json!({"a": [1, "é"]}), &alice.task(&daemon, &spaced)["metadata"]);
    rows.finish();
}

#[test]
fn a_body_is_read_whatever_its_type_says() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let post = || alice.ask("POST", TASKS);
    let body = "{\"title\":\"read me\"}";
    let padded = body.to_owned() + &" ".repeat(4 * 1024 * 1024 - body.len());
    let mut rows = Rows::new();
    for (what, ask) in [
        ("no type", post().body(body)),
        ("json", post().header("Content-Type", "application/json").body(body)),
        ("json with a charset", post().header("Content-Type", "application/json; charset=utf-8").body(body)),
        ("text", post().header("Content-Type", "text/plain").body(body)),
        ("form", post().header("Content-Type", "application/x-www-form-urlencoded").body(body)),
        ("byte order mark", post().body(format!("\u{feff}{body}"))),
        ("chunked", post().chunked(body)),
        ("white space", post().body(format!(" \r\n\t{body}\n\n"))),
        ("4 MiB of it", post().body(padded)),
        ("the last of two titles", post().body("{\"title\":\"first\",\"title\":\"read me\"}")),
        ("the last of two, the first wrong", post().body("{\"title\":42,\"title\":\"read me\"}")),
        ("escaped", post().body("{\"t\\u0069tle\":\"read\\u0020me\"}")),
    ] {
        let answer = daemon.ask(&ask);
        rows.eq(what, &200, &answer.status());
        if let Some(id) = answer.json()["task_id"].as_str() {
            rows.eq(what, &json!("read me"), &alice.task(&daemon, id)["title"]);
        }
    }
    rows.finish();
}

#[test]
fn without_a_title_the_word_is_title_required() {
    assert_all_refused(&[
        ("nothing in it", "{}".to_owned(), UNTITLED),
        ("other fields only", "{\"description\":\"d\",\"priority\":\"low\"}".to_owned(), UNTITLED),
        ("empty", "{\"title\":\"\"}".to_owned(), UNTITLED),
        ("null", "{\"title\":null}".to_owned(), UNTITLED),
        ("0", "{\"title\":0}".to_owned(), UNTITLED),
        ("false", "{\"title\":false}".to_owned(), UNTITLED),
        ("the last of two is empty", "{\"title\":\"t\",\"title\":\"\"}".to_owned(), UNTITLED),
        ("another case", "{\"Title\":\"t\"}".to_owned(), UNTITLED),
        ("an array", "[]".to_owned(), UNTITLED),
        ("an array with a task in it", "[{\"title\":\"t\"}]".to_owned(), UNTITLED),
        ("a number", "42".to_owned(), UNTITLED),
        ("a string", "\"title\"".to_owned(), UNTITLED),
    ]);
}

#[test]
fn every_other_bad_body_is_creation_failed() {
    let mut cases = vec![
        ("empty body", String::new(), REFUSED),
        ("spaces", "  \n".to_owned(), REFUSED),
        ("null", "null".to_owned(), REFUSED),
        ("not JSON", "title=t".to_owned(), REFUSED),
        ("cut off", "{\"title\":\"t\"".to_owned(), REFUSED),
        ("a comma too many", "{\"title\":\"t\",}".to_owned(), REFUSED),
        ("two documents", "{\"title\":\"t\"}{\"title\":\"t\"}".to_owned(), REFUSED),
        ("single quotes", "{'title':'t'}".to_owned(), REFUSED),
        ("NaN", with("metadata", "NaN"), REFUSED),
        ("title of 4097 bytes", format!("{{\"title\":{}}}", long_json(4099)), REFUSED),
        ("title of 4098 bytes and fewer characters", json!({"title": "é".repeat(2049)}).to_string(), REFUSED),
        ("metadata of 33 levels", with("metadata", &nested(33)), REFUSED),
        ("metadata of 500 levels", with("metadata", &nested(500)), REFUSED),
        ("metadata of 100000 levels", with("metadata", &nested(100_000)), REFUSED),
        ("description of 64 KiB and one byte", with("description", &long_json(64 * 1024 + 3)), REFUSED),
        ("task_type of 129 bytes", with("task_type", &long_json(131)), REFUSED),
        ("assigned_service of 129 bytes", with("assigned_service", &long_json(131)), REFUSED),
        ("unknown parent", with("parent_task_id", &format!("\"{NO_SUCH_TASK}\"")), REFUSED),
        ("a parent that is no id", with("parent_task_id", "\"../../etc\""), REFUSED),
    ];
    for json in ["42", "true", "{}", "[]", "[\"t\"]", "\"a\\u0000b\"", "\"\\u0000\""] {
        cases.push(("title of another type, or with NUL", format!("{{\"title\":{json}}}"), REFUSED));
    }
    for json in ["\"bogus\"", "\"\"", "\"HIGH\"", "\"normal \"", "1", "true", "{}", "[\"low\"]"] {
        cases.push(("priority", with("priority", json), REFUSED));
    }
    for json in ["42", "true", "{}", "[]", "\"a\\u0000b\""] {
        for member in ["description", "task_type", "assigned_service", "parent_task_id"] {
            cases.push((member, with(member, json), REFUSED));
        }
    }
    assert_all_refused(&cases);
}

#[test]
fn bytes_that_are_not_utf_8_are_refused() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let mut rows = Rows::new();
    for body in [
        &b"{\"title\":\"\xff\"}"[..],
        b"{\"title\":\"caf\xe9\"}",
        b"{\"title\":\"t\",\"metadata\":\"\xc3\x28\"}",
        b"{\"title\":\"t\",\"x\":\"\xed\xa0\x80\"}",
        b"\xff\xfe{\0}\0",
        b"\0",
    ] {
        let answer = daemon.ask(&alice.ask("POST", TASKS).body(body));
        rows.eq(format!("{body:?}"), &REFUSED.to_owned(), &answer.fate());
        rows.eq(format!("{body:?}: from inside"), &None, &leak(&answer));
    }
    rows.finish();
    assert_eq!(alice.page(&daemon, "")["count"], 0);
}

#[test]
fn what_is_too_large_is_a_413() {
    assert_all_refused(&[
        ("metadata of 64 KiB and one byte", with("metadata", &long_json(64 * 1024 + 1)), TOO_LARGE),
        ("metadata of 1 MiB", with("metadata", &long_json(1024 * 1024)), TOO_LARGE),
        ("metadata of many small parts", with("metadata", &format!("[{}1]", "1,".repeat(40_000))), TOO_LARGE),
    ]);
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    // The body is never sent: the answer has to come from the header alone.
    let announced = alice.ask("POST", TASKS).header("Content-Length", &(4 * 1024 * 1024 + 1).to_string());
    assert_eq!(daemon.ask(&announced).fate(), TOO_LARGE);
    // One byte more than allowed, and the body is not over: the answer cannot have waited for its end.
    let mut client = daemon.connect();
    client.send(alice.ask("POST", TASKS).header("Transfer-Encoding", "chunked").to_bytes());
    for _ in 0..64 {
        client.send(crate::support::client::chunk(vec![b' '; 64 * 1024]));
    }
    client.send(crate::support::client::chunk(" "));
    assert_eq!(client.answer("POST").fate(), TOO_LARGE);
    assert_eq!(alice.page(&daemon, "")["count"], 0);
}

#[test]
fn a_parent_is_a_task_of_the_same_session() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::with(&daemon, "alice", &["--session", "one"]);
    let elsewhere = Tenant::with(&daemon, "alice", &["--session", "two"]);
    let bob = Tenant::with(&daemon, "bob", &["--session", "one"]);
    let parent = alice.titled(&daemon, "parent");
    let deleted = alice.titled(&daemon, "deleted");
    daemon.ask(&alice.delete(&deleted));
    let body = |parent: &str| json!({"title": "child", "parent_task_id": parent});
    let mut rows = Rows::new();
    for (what, tenant, parent, fate) in [
        ("same session", &alice, parent.as_str(), "200 local"),
        ("another session of the same chitty id", &elsewhere, &parent, REFUSED),
        ("another tenant's", &bob, &parent, REFUSED),
        ("no such task", &alice, NO_SUCH_TASK, REFUSED),
        ("a deleted one", &alice, &deleted, REFUSED),
    ] {
        rows.eq(what, &fate.to_owned(), &daemon.ask(&tenant.create(&body(parent))).fate());
    }
    let child = alice.made(&daemon, &body(&parent));
    let grandchild = alice.made(&daemon, &body(&child));
    rows.eq("of a child", &json!(child), &alice.task(&daemon, &grandchild)["parent_task_id"]);
    rows.eq("nothing made in the other session", &json!(0), &elsewhere.page(&daemon, "")["count"]);
    rows.eq("nothing made for the other tenant", &json!(0), &bob.page(&daemon, "")["count"]);
    rows.finish();
}
