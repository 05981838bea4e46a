use super::*;
use crate::api::object::{MAX_DEPTH, MAX_JSON};

fn caller() -> Principal {
    Principal::sample("alice", "s")
}

fn create(body: &str) -> Result<NewTask, (u16, &'static str)> {
    let read = CreateTask::read(body.as_bytes(), &caller());
    read.map(|new| new.of(caller())).map_err(|problem| (problem.status.as_u16(), problem.word))
}

fn update(body: &str) -> Result<TaskPatch, (u16, &'static str)> {
    let read = UpdateTask::read(body.as_bytes(), &caller());
    read.map(UpdateTask::into_patch).map_err(|problem| (problem.status.as_u16(), problem.word))
}

fn nested(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

#[test]
fn what_is_not_said_is_as_usual() {
    for body in [r#"{"title":"t"}"#, r#"{"title":"t","task_type":null,"priority":null,"description":"","status":7}"#] {
        let task = create(body).unwrap();
        assert_eq!((task.task_type.as_str(), task.priority), ("user_request", Priority::Normal));
        assert_eq!((task.description, task.assigned_service, task.parent_task_id), (None, None, None));
        assert_eq!((task.chitty_id.as_str(), task.session_id.as_str()), ("alice", "s"));
        assert_eq!(task.metadata.unwrap().text(), "{}");
    }
    assert_eq!(create(r#"{"title":"t","metadata":null}"#).unwrap().metadata, None);
    assert_eq!(
        create(r#"{"title":"t","metadata": [1e400, 2.50] }"#).unwrap().metadata.unwrap().text(),
        "[1e400, 2.50]"
    );
}

#[test]
fn a_task_without_a_title_is_none() {
    for title in ["null", "\"\"", "0", "-0", "0.00", "0e5", "false"] {
        assert_eq!(create(&format!("{{\"title\":{title}}}")), Err((400, "title required")), "{title}");
    }
    for body in ["{}", "[]", "7", "\"t\"", "true", r#"{"Title":"t"}"#] {
        assert_eq!(create(body), Err((400, "title required")), "{body}");
    }
    for title in ["true", "42", "{}", "[]", "\"a\\u0000\"", "\"\\ud800\""] {
        assert_eq!(create(&format!("{{\"title\":{title}}}")), Err((400, "creation_failed")), "{title}");
    }
}

#[test]
fn every_member_of_a_new_task_has_its_bounds() {
    let long = |bytes: usize| format!("\"{}\"", "x".repeat(bytes));
    for (name, right, wrong, status) in [
        ("title", long(4096), long(4097), 400),
        ("description", long(65_536), long(65_537), 400),
        ("task_type", long(128), long(129), 400),
        ("assigned_service", long(128), long(129), 400),
        ("priority", "\"urgent\"".to_owned(), "\"Urgent\"".to_owned(), 400),
        ("parent_task_id", format!("\"{}\"", TaskId::random()), "\"../x\"".to_owned(), 400),
        ("metadata", nested(MAX_DEPTH), nested(MAX_DEPTH + 1), 400),
        ("metadata", long(MAX_JSON - 2), long(MAX_JSON - 1), 413),
        ("metadata", "1".to_owned(), nested(100_000), 400),
        ("metadata", "\"\\u0000\"".to_owned(), "\"\\ud800\"".to_owned(), 400),
    ] {
        let body = |value: &str| format!("{{\"title\":\"t\",\"{name}\":{value}}}");
        assert!(create(&body(&right)).is_ok(), "{name}");
        let word = if status == 413 { "body_too_large" } else { "creation_failed" };
        assert_eq!(create(&body(&wrong)), Err((status, word)), "{name}");
    }
}

#[test]
fn nobody_speaks_for_another() {
    for name in ["chittyId", "chitty_id"] {
        for (value, fits) in [("\"alice\"", true), ("null", true), ("\"bob\"", false), ("\"\"", false), ("7", false)] {
            let body = format!("{{\"title\":\"t\",\"{name}\":{value}}}");
            let refused = (!fits).then_some((403, "forbidden"));
            assert_eq!(create(&body).err(), refused, "{body}");
            assert_eq!(update(&body).err(), refused, "{body}");
        }
    }
}

#[test]
fn a_patch_clears_with_null_and_leaves_what_it_does_not_name() {
    let patch = update(r#"{"description":null,"assigned_service":null,"error":null,"result":null}"#).unwrap();
    assert_eq!((patch.description, patch.assigned_service), (Some(None), Some(None)));
    assert_eq!((patch.error, patch.result), (Some(None), Some(None)));
    assert_eq!((patch.status, patch.title, patch.priority), (None, None, None));
    let patch = update(r#"{"description":"","result":"x","status":"failed","completed_at":null}"#).unwrap();
    assert_eq!((patch.description, patch.status), (Some(None), Some(Status::Failed)));
    assert_eq!(patch.result.unwrap().unwrap().text(), "\"x\"");
    assert!(patch.leave_completed_at && !patch.leave_started_at);
}

#[test]
fn what_is_no_patch() {
    for body in ["{}", "[]", "7", "\"x\"", "true", r#"{"metadata":1}"#, r#"{"started_at":"x"}"#] {
        assert_eq!(update(body), Err((400, "no valid fields to update")), "{body}");
    }
    for body in ["", "null", "{", "{\"error\":7}", "{\"title\":\"\"}", "{\"title\":\"u\",\"description\":false}"] {
        assert_eq!(update(body), Err((400, "update_failed")), "{body}");
    }
    for name in ["status", "priority", "title"] {
        for value in ["null", "true", "\"\"", "[]"] {
            assert_eq!(update(&format!("{{\"{name}\":{value}}}")), Err((400, "update_failed")), "{name} {value}");
        }
    }
    let long = |bytes: usize| format!("\"{}\"", "x".repeat(bytes));
    assert!(update(&format!("{{\"error\":{}}}", long(16_384))).is_ok());
    assert_eq!(update(&format!("{{\"error\":{}}}", long(16_385))), Err((400, "update_failed")));
    assert_eq!(update(&format!("{{\"result\":{}}}", long(65_535))), Err((413, "body_too_large")));
    assert_eq!(update(&format!("{{\"result\":{}}}", nested(33))), Err((400, "update_failed")));
}

#[test]
fn the_described_lengths_are_those_that_hold() {
    let schema = |schema: utoipa::openapi::RefOr<utoipa::openapi::Schema>| serde_json::to_value(schema).unwrap();
    let create = schema(<CreateTask as utoipa::PartialSchema>::schema());
    let update = schema(<UpdateTask as utoipa::PartialSchema>::schema());
    for (name, max) in [("title", MAX_TITLE), ("description", MAX_DESCRIPTION), ("assigned_service", MAX_NAME)] {
        for document in [&create, &update] {
            assert_eq!(document["properties"][name]["maxLength"], max, "{name}: {document}");
        }
    }
    assert_eq!(create["properties"]["task_type"]["maxLength"], MAX_NAME);
    assert_eq!(create["properties"]["task_type"]["default"], TASK_TYPE);
    assert_eq!(update["properties"]["error"]["maxLength"], MAX_ERROR);
    assert_eq!(create["required"], serde_json::json!(["title"]));
    for (name, listed) in [("priority", PRIORITIES), ("status", STATUSES)] {
        let words: Vec<&str> = listed.split(", ").collect();
        assert_eq!(update["properties"][name]["enum"], serde_json::json!(words));
    }
    assert_eq!(update.get("required"), None);
}
