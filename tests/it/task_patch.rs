//! PATCH /api/context/tasks/:id (CONTRACT §2): which fields change and how, what is refused, and the life of a task.

use serde_json::{Value, json};

use crate::support::task::{NO_SUCH_TASK, is_time, leak, long_json, nested, tag};
use crate::support::{Daemon, Rows, Tenant};

const REFUSED: &str = "400 update_failed";
const NOTHING: &str = "400 no valid fields to update";
const ILLEGAL: &str = "409 invalid_transition";
const STATES: [&str; 5] = ["pending", "in_progress", "completed", "failed", "cancelled"];
const FINAL: [&str; 3] = ["completed", "failed", "cancelled"];

/// A body with one member.
fn only(member: &str, json: &str) -> String {
    format!("{{\"{member}\":{json}}}")
}

/// A new task that has been brought to this state.
#[track_caller]
fn task_in(daemon: &Daemon, tenant: &Tenant, status: &str) -> String {
    let id = tenant.titled(daemon, &format!("to be {status}"));
    if status != "pending" {
        tenant.patched(daemon, &id, &json!({"status": status}));
    }
    id
}

#[test]
fn each_field_changes_and_nothing_else_with_it() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let id = alice.made(&daemon, &json!({"title": "t", "description": "d", "assigned_service": "s"}));
    let long = |bytes: usize| json!("y".repeat(bytes));
    let mut rows = Rows::new();
    for (field, given) in [
        ("title", json!("another 任務")),
        ("title", long(4096)),
        ("description", json!("more")),
        ("description", long(64 * 1024)),
        ("description", Value::Null),
        ("priority", json!("low")),
        ("priority", json!("high")),
        ("priority", json!("urgent")),
        ("priority", json!("normal")),
        ("assigned_service", json!("chittycases")),
        ("assigned_service", long(128)),
        ("assigned_service", Value::Null),
        ("error", json!("disk on fire")),
        ("error", long(16 * 1024)),
        ("error", Value::Null),
        ("result", json!({"rows": [1, 2, 3]})),
        ("result", Value::Null),
    ] {
        let what = format!("{field} {}", given.to_string().chars().take(30).collect::<String>());
        let before = alice.task(&daemon, &id);
        let answer = daemon.ask(&alice.patch(&id, &json!({ field: given })));
        let body = answer.json();
        rows.eq(&what, &json!({"ok": true, "updated_at": body["updated_at"]}), &body);
        rows.holds(format!("{what}: time"), is_time(&body["updated_at"]), &body);
        let after = alice.task(&daemon, &id);
        let mut expected = before.clone();
        expected[field] = given;
        expected["updated_at"] = body["updated_at"].clone();
        rows.eq(&what, &expected, &after);
        rows.eq(format!("{what}: ETag"), &alice.tag(&daemon, &id), &tag(&answer));
        let (earlier, later) = (before["updated_at"].as_str(), after["updated_at"].as_str());
        rows.holds(format!("{what}: time goes on"), earlier <= later, (earlier, later));
    }
    rows.finish();
}

#[test]
fn several_fields_change_together() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let id = alice.titled(&daemon, "t");
    let body = json!({
        "status": "in_progress", "title": "u", "description": "d", "priority": "high", "assigned_service": "s",
        "result": [1], "error": "e", "metadata": {"not": "patchable"}, "session_id": "other", "task_id": NO_SUCH_TASK,
        "created_at": "2020-01-01T00:00:00.000Z", "parent_task_id": NO_SUCH_TASK, "task_type": "x", "unknown": 1,
    });
    let updated = alice.patched(&daemon, &id, &body);
    let task = alice.task(&daemon, &id);
    let mut rows = Rows::new();
    for field in ["status", "title", "description", "priority", "assigned_service", "result", "error"] {
        rows.eq(field, &body[field], &task[field]);
    }
    for (field, value) in [
        ("metadata", json!({})),
        ("session_id", json!(alice.session_id)),
        ("task_id", json!(id)),
        ("parent_task_id", Value::Null),
        ("task_type", json!("user_request")),
        ("updated_at", updated),
    ] {
        rows.eq(field, &value, &task[field]);
    }
    rows.holds("created_at", !task["created_at"].to_string().contains("2020-"), &task);
    rows.finish();
}

#[test]
fn a_result_is_any_json_and_comes_back_as_it_was_given() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let id = alice.titled(&daemon, "t");
    let largest = long_json(64 * 1024);
    let deepest = nested(32);
    let mut rows = Rows::new();
    for given in [
        "\"plain text\"",
        "\"\"",
        "\"{\\\"a\\\":1}\"",
        "\"null\"",
        "true",
        "0",
        "1.0",
        "12345678901234567890123456789012345678901234567890",
        "[]",
        "{\"z\":1.50,\"a\":[null,{}]}",
        &largest,
        &deepest,
        "null",
    ] {
        let what = given.chars().take(60).collect::<String>();
        rows.eq(&what, &200, &daemon.ask(&alice.patch(&id, &only("result", given))).status());
        for (from, text) in [("GET", daemon.ask(&alice.get(&id)).text()), ("list", daemon.ask(&alice.list("")).text())]
        {
            let seen = text.split_once("\"result\":").map_or("", |(_, rest)| rest);
            let same = seen.strip_prefix(given).is_some_and(|rest| rest.starts_with([',', '}']));
            rows.holds(format!("{what} from {from}"), same, seen.chars().take(80).collect::<String>());
        }
    }
    rows.finish();
}

#[test]
fn a_bad_patch_is_refused_whole() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let id = alice.made(&daemon, &json!({"title": "t", "description": "d", "priority": "low"}));
    let before = (alice.task(&daemon, &id), alice.tag(&daemon, &id));
    let mut cases = vec![
        ("empty object", "{}".to_owned(), NOTHING),
        ("array", "[]".to_owned(), NOTHING),
        ("array with a patch in it", "[{\"title\":\"u\"}]".to_owned(), NOTHING),
        ("metadata is not patchable", only("metadata", "{\"a\":1}"), NOTHING),
        ("nor is the parent", only("parent_task_id", "null"), NOTHING),
        ("nor the type", only("task_type", "\"x\""), NOTHING),
        ("nor a time", only("started_at", "\"2020-01-01T00:00:00.000Z\""), NOTHING),
        ("unknown field", only("unknown", "1"), NOTHING),
        ("another case", only("Title", "\"u\""), NOTHING),
        ("empty body", String::new(), REFUSED),
        ("null", "null".to_owned(), REFUSED),
        ("not JSON", "title=u".to_owned(), REFUSED),
        ("cut off", "{\"title\":\"u\"".to_owned(), REFUSED),
        ("one good, one bad", json!({"title": "u", "priority": "bogus"}).to_string(), REFUSED),
        ("one bad, one good", json!({"description": 42, "status": "in_progress"}).to_string(), REFUSED),
        ("the last of two is bad", "{\"title\":\"u\",\"title\":42}".to_owned(), REFUSED),
        ("title of 4097 bytes", only("title", &long_json(4099)), REFUSED),
        ("description of 64 KiB and one byte", only("description", &long_json(64 * 1024 + 3)), REFUSED),
        ("assigned_service of 129 bytes", only("assigned_service", &long_json(131)), REFUSED),
        ("error of 16 KiB and one byte", only("error", &long_json(16 * 1024 + 3)), REFUSED),
        ("result of 33 levels", only("result", &nested(33)), REFUSED),
        ("result of 100000 levels", only("result", &nested(100_000)), REFUSED),
        ("result of 64 KiB and one byte", only("result", &long_json(64 * 1024 + 1)), "413 body_too_large"),
    ];
    for json in ["\"bogus\"", "\"\"", "\"Pending\"", "true", "null", "0", "[]", "{}"] {
        cases.push(("status", only("status", json), REFUSED));
        cases.push(("priority", only("priority", json), REFUSED));
    }
    for json in ["null", "\"\"", "42", "true", "false", "0", "[1]", "{}", "\"a\\u0000b\""] {
        cases.push(("title", only("title", json), REFUSED));
    }
    for json in ["42", "true", "false", "0", "[]", "{}", "\"a\\u0000b\""] {
        for member in ["description", "assigned_service", "error"] {
            cases.push((member, only(member, json), REFUSED));
        }
    }
    let mut rows = Rows::new();
    for (what, body, fate) in cases {
        let shown = format!("{what}: {}", body.chars().take(60).collect::<String>());
        let answer = daemon.ask(&alice.patch(&id, &body));
        rows.eq(&shown, &fate.to_owned(), &answer.fate());
        rows.eq(format!("{shown}: from inside"), &None, &leak(&answer));
    }
    let invalid = alice.ask("PATCH", &crate::support::task::at(&id)).body(b"{\"title\":\"\xff\"}");
    rows.eq("not UTF-8", &REFUSED.to_owned(), &daemon.ask(&invalid).fate());
    rows.finish();
    assert_eq!((alice.task(&daemon, &id), alice.tag(&daemon, &id)), before, "nothing of them was applied");
}

#[test]
fn a_task_that_is_not_there_is_not_found() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let mut rows = Rows::new();
    for id in [NO_SUCH_TASK, "nope", "42", "pending", "00000000-0000-0000-0000-000000000000", &"x".repeat(500)] {
        let answer = daemon.ask(&alice.patch(id, &json!({"title": "u"})));
        rows.eq(id, &"404 task_not_found".to_owned(), &answer.fate());
    }
    rows.finish();
    assert_eq!(alice.page(&daemon, "")["count"], 0, "a patch makes nothing");
}

#[test]
fn only_the_transitions_of_the_contract_are_made() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let mut rows = Rows::new();
    for from in STATES {
        for to in STATES {
            let id = task_in(&daemon, &alice, from);
            let legal = from == to || !FINAL.contains(&from);
            let before = (alice.task(&daemon, &id), alice.tag(&daemon, &id));
            let answer = daemon.ask(&alice.patch(&id, &json!({"status": to, "title": "changed with it"})));
            let fate = if legal { "200 local" } else { ILLEGAL };
            let what = format!("{from} -> {to}");
            rows.eq(&what, &fate.to_owned(), &answer.fate());
            rows.eq(format!("{what}: from inside"), &None, &leak(&answer));
            let after = alice.task(&daemon, &id);
            if legal {
                rows.eq(&what, &json!(to), &after["status"]);
                rows.eq(format!("{what}: title"), &json!("changed with it"), &after["title"]);
            } else {
                let after = (after, alice.tag(&daemon, &id));
                rows.eq(format!("{what}: nothing is applied"), &before, &after);
            }
        }
    }
    rows.finish();
}

#[test]
fn the_same_status_again_changes_nothing_else() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let mut rows = Rows::new();
    for status in STATES {
        let id = task_in(&daemon, &alice, status);
        let before = (alice.task(&daemon, &id), alice.tag(&daemon, &id));
        let answer = daemon.ask(&alice.patch(&id, &json!({"status": status})));
        let same = json!({"ok": true, "updated_at": before.0["updated_at"]});
        rows.eq(format!("{status} again"), &(200, same), &(answer.status(), answer.json()));
        rows.eq(format!("{status} again: ETag"), &before.1, &tag(&answer));
        rows.eq(status, &before, &(alice.task(&daemon, &id), alice.tag(&daemon, &id)));
    }
    rows.finish();
}

#[test]
fn a_patch_that_changes_nothing_keeps_time_and_tag() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let id = alice.made(&daemon, &json!({"title": "t", "priority": "high"}));
    alice.patched(&daemon, &id, &json!({"result": {"a": [1, 2]}, "error": "e"}));
    let before = (alice.task(&daemon, &id), alice.tag(&daemon, &id));
    let mut rows = Rows::new();
    for body in [
        json!({"title": "t"}),
        json!({"priority": "high"}),
        json!({"description": null, "assigned_service": null}),
        json!({"result": {"a": [1, 2]}}),
        json!({"error": "e", "title": "t", "status": "pending"}),
        json!({"title": "t", "metadata": {"ignored": true}}),
    ] {
        let answer = daemon.ask(&alice.patch(&id, &body));
        rows.eq(body.to_string(), &before.1, &tag(&answer));
        rows.eq(body.to_string(), &before.0["updated_at"], &answer.json()["updated_at"]);
        rows.eq(body.to_string(), &before, &(alice.task(&daemon, &id), alice.tag(&daemon, &id)));
    }
    rows.finish();
}

#[test]
fn started_at_is_set_once() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let id = alice.titled(&daemon, "t");
    let updated = alice.patched(&daemon, &id, &json!({"status": "in_progress"}));
    let started = alice.task(&daemon, &id)["started_at"].clone();
    assert_eq!(started, updated, "it starts when it says so");
    for status in ["in_progress", "pending", "in_progress", "completed"] {
        alice.patched(&daemon, &id, &json!({"status": status}));
        assert_eq!(alice.task(&daemon, &id)["started_at"], started, "{status}");
    }
    // A body that brings its own time is not believed, and none is set.
    let id = alice.titled(&daemon, "t");
    alice.patched(&daemon, &id, &json!({"status": "in_progress", "started_at": "2020-01-01T00:00:00.000Z"}));
    let task = alice.task(&daemon, &id);
    assert_eq!((&task["status"], &task["started_at"]), (&json!("in_progress"), &Value::Null));
    alice.patched(&daemon, &id, &json!({"status": "pending"}));
    alice.patched(&daemon, &id, &json!({"status": "in_progress"}));
    assert!(is_time(&alice.task(&daemon, &id)["started_at"]), "the next start is one");
}

#[test]
fn completed_at_is_set_at_each_end_and_once() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let mut rows = Rows::new();
    for status in FINAL {
        let id = alice.titled(&daemon, "t");
        let updated = alice.patched(&daemon, &id, &json!({"status": status}));
        let task = alice.task(&daemon, &id);
        rows.eq(format!("{status}: completed_at"), &updated, &task["completed_at"]);
        rows.eq(format!("{status} from pending: started_at"), &Value::Null, &task["started_at"]);
        alice.patched(&daemon, &id, &json!({"status": status, "title": "u"}));
        rows.eq(format!("{status} again"), &updated, &alice.task(&daemon, &id)["completed_at"]);

        let id = alice.titled(&daemon, "t");
        alice.patched(&daemon, &id, &json!({"status": status, "completed_at": "2020-01-01T00:00:00.000Z"}));
        let task = alice.task(&daemon, &id);
        rows.eq(format!("{status} with a time: status"), &json!(status), &task["status"]);
        rows.eq(format!("{status} with a time: completed_at"), &Value::Null, &task["completed_at"]);
    }
    rows.finish();
}

#[test]
fn what_a_finished_task_says_can_still_be_changed() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    for status in FINAL {
        let id = task_in(&daemon, &alice, status);
        let completed = alice.task(&daemon, &id)["completed_at"].clone();
        alice.patched(&daemon, &id, &json!({"result": "late", "error": "e", "title": "u", "priority": "low"}));
        let task = alice.task(&daemon, &id);
        let seen = ["status", "result", "error", "title", "priority"].map(|field| task[field].clone());
        assert_eq!(seen, [json!(status), json!("late"), json!("e"), json!("u"), json!("low")]);
        assert_eq!(task["completed_at"], completed);
    }
}
