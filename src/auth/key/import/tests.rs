use serde_json::{Value, json};

use super::*;

const KEY: &str = "chitty_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn record() -> Value {
    json!({"status": "active", "chittyId": "alice", "name": "laptop", "scopes": ["read"], "rateLimit": 100,
           "createdAt": "2025-01-02T03:04:05.000Z"})
}

fn file(value: &Value) -> KeyFile {
    read(value.to_string().as_bytes()).unwrap()
}

fn one(record: &Value) -> Result<OldKey, String> {
    let mut file = file(&json!({format!("key:{KEY}"): record}));
    match (file.keys.pop(), file.refused.pop()) {
        (Some(key), None) => Ok(key),
        (None, Some(note)) => Err(note.message),
        other => panic!("{other:?}"),
    }
}

fn with(field: &str, value: Value) -> Value {
    let mut record = record();
    record[field] = value;
    record
}

#[test]
fn every_shape_of_file_says_the_same() {
    let (name, record) = (format!("key:{KEY}"), record());
    let expected = one(&record).unwrap();
    assert_eq!(expected.hash, hex::encode(super::super::hash(KEY.as_bytes()).0));
    assert_eq!(expected.scopes, [Scope::ContextRead, Scope::FilesRead]);
    assert_eq!((expected.rate_limit, expected.active), (Some(100), true));
    assert_eq!(expected.created_at, 1_735_787_045_000);
    let text = record.to_string();
    let other = json!({"name": "ratelimit:x:1", "value": "3"});
    for shape in [
        json!({&name: record}).to_string(),
        json!({&name: text}).to_string(),
        json!({&name: {"value": text, "metadata": null}}).to_string(),
        json!({&name: {"value": record}}).to_string(),
        json!([{"name": name, "value": record}]).to_string(),
        json!([{"name": name, "value": text}, other]).to_string(),
        json!([{"key": name, "value": text, "expiration": 1}]).to_string(),
        json!({"name": name, "value": text}).to_string(),
        format!("\u{feff}{}\n\n{other}\n", json!({"key": name, "value": record})),
        format!("{}\r\n{}", json!({&name: record}), json!({&name: text})),
    ] {
        let file = read(shape.as_bytes()).unwrap();
        assert_eq!((&file.keys[..], &file.refused[..]), (&[expected.clone()][..], &[][..]), "{shape}");
    }
}

#[test]
fn what_is_no_file_of_records_is_said_to_be_none() {
    for (text, wanted) in [
        (&b"\xff"[..], "not UTF-8"),
        (b"key: value", "not a list"),
        (b"\"chitty_secret\"", "not a list"),
        (b"[{]", "not JSON"),
        (b"{\"key:a\": {\n", "not JSON"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(wanted) && !error.contains("secret"), "{error}");
    }
    assert_eq!(read(b" \n").unwrap(), KeyFile::default());
    assert_eq!(read(b"{}").unwrap(), KeyFile::default());
}

#[test]
fn a_record_that_cannot_be_read_costs_itself_and_shows_nothing() {
    let good = record();
    let records = json!([
        {"name": "key:one", "value": good},
        {"name": format!("key:{KEY}"), "value": {"status": "active"}},
        {"name": "key:two"},
        {"name": "key:three", "value": KEY},
        {"value": good},
        KEY,
        {"name": "key:", "value": good},
        {"name": "key:four", "value": good},
        {"name": "key:one", "value": good},
    ]);
    let file = file(&records);
    assert_eq!((file.records, file.keys.len(), file.repeated), (9, 2, 1));
    let indices: Vec<usize> = file.refused.iter().map(|note| note.index).collect();
    assert_eq!(indices, [1, 2, 3, 4, 5, 6]);
    assert!(!format!("{file:?}").contains(KEY), "{file:?}");
    let lines = format!("{}\n{{\"key:x\n{}", json!({"key:a": good}), json!({"key:b": good}));
    let file = read(lines.as_bytes()).unwrap();
    assert_eq!((file.keys.len(), file.refused[0].index), (2, 1));
}

#[test]
fn fields_mean_what_they_meant() {
    let key = |field, value| one(&with(field, value)).unwrap();
    for (status, active) in [
        (json!("active"), true),
        (json!("Active"), false),
        (json!("revoked"), false),
        (json!(null), false),
        (json!(true), false),
    ] {
        assert_eq!(key("status", status).active, active);
    }
    let user = json!({"userId": "bob", "status": "active"});
    let user = one(&user).unwrap();
    assert_eq!(user.chitty_id.as_str(), "bob");
    assert_eq!(user.scopes, [Scope::ContextRead, Scope::FilesRead, Scope::ContextWrite, Scope::FilesWrite]);
    assert_eq!((user.rate_limit, user.quota, user.session_id, user.expires_at), (None, None, None, None));
    assert_eq!(key("sessionId", json!("s1")).session_id.unwrap().as_str(), "s1");
    assert_eq!(key("sessionId", json!("")).session_id, None);
    assert_eq!(key("rateLimit", json!(0)).rate_limit, None);
    assert_eq!(key("storageQuota", json!(1e9)).quota, Some(1_000_000_000));
    for end in [json!("2030-01-01T00:00:00Z"), json!(1_893_456_000_000_u64), json!("2030-01-01T01:00:00+01:00")] {
        assert_eq!(key("expiresAt", end).expires_at, Some(1_893_456_000_000));
    }
    assert_eq!(key("name", json!("é".repeat(100))).name, "é".repeat(64));
    assert_eq!(key("scopes", json!(["mcp:call", "admin", "root", 5])).scopes, [Scope::McpCall, Scope::Admin]);
    for (field, value) in [
        ("chittyId", json!("a/b")),
        ("chittyId", json!(5)),
        ("sessionId", json!("a:b")),
        ("rateLimit", json!(-1)),
        ("rateLimit", json!("100")),
        ("storageQuota", json!(1.5)),
        ("expiresAt", json!("tomorrow")),
        ("expiresAt", json!(1e300)),
        ("scopes", json!("read")),
    ] {
        let refused = one(&with(field, value)).unwrap_err();
        assert!(refused.starts_with(&format!("{field}: ")), "{refused}");
    }
}

#[test]
fn what_is_left_out_is_said() {
    let record = json!({"chittyId": "alice", "scopes": ["chittyid:read", KEY, 5], "createdAt": "then", "name": 5});
    let file = file(&json!({"key:a": record}));
    let warnings: Vec<&str> = file.warnings.iter().map(|note| &*note.message).collect();
    let begin =
        ["name: cut", "scopes: `chittyid:read` is dropped", "scopes: 2 that", "scopes: none is left", "createdAt: "];
    assert_eq!(warnings.len(), begin.len(), "{warnings:?}");
    for (warning, begin) in warnings.iter().zip(begin) {
        assert!(warning.starts_with(begin), "{warning}");
    }
}
