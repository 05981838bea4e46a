use super::*;

fn caller() -> Principal {
    Principal::sample("alice", "own")
}

fn refusal(problem: &Problem) -> (u16, &'static str, Option<&'static str>) {
    (problem.status.as_u16(), problem.word, problem.code)
}

#[test]
fn files_are_read_with_what_is_said_of_them() {
    let sha = "AB".repeat(32);
    let body = format!(
        r#"{{"session_id":"s","files":[{{"uri":"r2://a","name":"a","size":2.0,"sha256":"{sha}","metadata":[1e400]}},
            {{"uri":"https://x","name":null}}]}}"#
    );
    let (session, files) = SetActiveFiles::read(body.as_bytes(), &caller()).unwrap();
    assert_eq!((session.as_str(), files.len()), ("s", 2));
    assert_eq!((files[0].size, files[0].sha256.as_deref()), (Some(2), Some(&*sha.to_ascii_lowercase())));
    assert_eq!(files[0].metadata.as_ref().unwrap().text(), "[1e400]");
    assert_eq!(files[1].name, None);
    assert!(SetActiveFiles::read(br#"{"session_id":"s"}"#, &caller()).unwrap().1.is_empty());
}

#[test]
fn a_bad_item_is_named_by_its_index() {
    for (item, what) in [
        ("null", "files[1]: found null"),
        ("\"x\"", "files[1]: found text"),
        ("{}", "files[1].uri: found nothing"),
        (r#"{"uri":""}"#, "files[1].uri: found nothing"),
        (r#"{"uri":5}"#, "files[1].uri: found a number"),
        (r#"{"uri":"u","size":"12"}"#, "files[1].size: found text"),
        (r#"{"uri":"u","size":-5}"#, "files[1].size: found \"-5\""),
        (r#"{"uri":"u","sha256":"../../x"}"#, "files[1].sha256: found \"../../x\""),
        (r#"{"uri":"u\u0000"}"#, "files[1].uri: found NUL"),
    ] {
        let body = format!(r#"{{"session_id":"s","files":[{{"uri":"a"}},{item}]}}"#);
        let problem = SetActiveFiles::read(body.as_bytes(), &caller()).err().unwrap();
        assert_eq!(refusal(&problem), (400, "invalid_request", None), "{item}");
        assert!(problem.message.starts_with(what), "{item}: {}", problem.message);
    }
}

#[test]
fn bodies_that_cannot_be_meant_have_the_familys_words() {
    for (body, word) in [
        ("", "bad_json"),
        ("{", "bad_json"),
        ("null", "invalid_request"),
        ("[]", "invalid_request"),
        ("{}", "invalid_request"),
        (r#"{"session_id":"../../etc","files":[]}"#, "invalid_request"),
        (r#"{"session_id":"s","files":{}}"#, "invalid_request"),
        (r#"{"session_id":"s","files":null}"#, "invalid_request"),
    ] {
        let problem = SetActiveFiles::read(body.as_bytes(), &caller()).err().unwrap();
        assert_eq!(refusal(&problem), (400, word, None), "{body}");
    }
    let other = SetActiveFiles::read(br#"{"session_id":"s","chittyId":"bob"}"#, &caller()).err().unwrap();
    assert_eq!(refusal(&other), (403, "forbidden", None));
    let many = format!(r#"{{"session_id":"s","files":[{}{{}}]}}"#, "{},".repeat(MAX_FILES));
    assert_eq!(SetActiveFiles::read(many.as_bytes(), &caller()).err().unwrap().status, 400);
}

#[test]
fn items_of_a_report_are_recognised_by_uri_or_key() {
    let body =
        br#"{"items":[{"r2_key":"k","modified":"2026-01-02T03:04:05Z"},{"uri":"u","r2_key":"l"}],"path_prefix":"p"}"#;
    let report = ReportSync::read(body, &caller()).unwrap();
    let uris: Vec<_> = report.files.iter().map(|file| file.uri.as_str()).collect();
    assert_eq!((uris, report.source.as_str()), (vec!["r2://k", "u"], "rclone"));
    assert_eq!(report.files[0].modified_at.unwrap().to_string(), "2026-01-02T03:04:05.000Z");
    assert!(report.items.text().starts_with(r#"[{"r2_key":"k""#));
    assert!(ReportSync::read(b"{}", &caller()).unwrap().files.is_empty());
    for (item, what) in [
        ("{}", "items[0].uri: found neither"),
        ("null", "items[0]: found null"),
        (r#"{"r2_key":5}"#, "items[0].r2_key: found a number"),
        (r#"{"uri":"u","modified":"yesterday"}"#, "items[0].modified: found \"yesterday\""),
    ] {
        let problem = ReportSync::read(format!(r#"{{"items":[{item}]}}"#).as_bytes(), &caller()).err().unwrap();
        assert!(problem.message.starts_with(what), "{item}: {}", problem.message);
    }
}

#[test]
fn a_session_is_taken_in_with_what_it_brings() {
    let body = br#"{"type":"SESSION_INGEST","sessionId":"s","project":{"slug":"p"},"events":[{"a":1}, 2]}"#;
    let (place, ingest) = SyncSession::read(body, Some(&caller())).unwrap();
    assert_eq!((place.session_id.as_str(), place.chitty_id.as_str(), ingest.count), ("s", "alice", 2));
    assert_eq!(ingest.events.unwrap().text(), r#"[{"a":1}, 2]"#);
    let body = br#"{"type":"SESSION_INGEST","session_id":"s","event_count":7}"#;
    assert_eq!(SyncSession::read(body, Some(&caller())).unwrap().1.count, 7);
    let invalid = (400, "invalid_request", Some("INVALID_SESSION_INGEST_PAYLOAD"));
    for body in [
        "null",
        "{}",
        r#"{"type":"OTHER","session_id":"s"}"#,
        r#"{"type":"SESSION_INGEST"}"#,
        r#"{"type":"SESSION_INGEST","session_id":"s","event_count":"abc"}"#,
        r#"{"type":"SESSION_INGEST","session_id":"s","events":{}}"#,
    ] {
        assert_eq!(refusal(&SyncSession::read(body.as_bytes(), Some(&caller())).err().unwrap()), invalid, "{body}");
    }
    let bad = SyncSession::read(b"{", Some(&caller())).err().unwrap();
    assert_eq!((bad.word, bad.shape), ("bad_json", crate::problem::Shape::Ok));
}

#[test]
fn a_trusted_service_says_whose_session_it_is() {
    for name in ["chitty_id", "chittyId"] {
        let body = format!(r#"{{"type":"SESSION_INGEST","session_id":"s","{name}":"bob"}}"#);
        assert_eq!(SyncSession::read(body.as_bytes(), None).unwrap().0.chitty_id.as_str(), "bob");
    }
    for whose in ["", r#","chitty_id":"a/b""#, r#","chitty_id":5"#] {
        let body = format!(r#"{{"type":"SESSION_INGEST","session_id":"s"{whose}}}"#);
        assert_eq!(SyncSession::read(body.as_bytes(), None).err().unwrap().status, 400, "{body}");
    }
}
