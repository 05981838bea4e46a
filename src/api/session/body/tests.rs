use super::*;

fn alice() -> Principal {
    Principal::sample("alice", "own")
}

fn refusal<T>(read: Result<T, Problem>) -> String {
    read.err().map_or_else(|| "fine".to_owned(), |problem| format!("{} {}", problem.word, problem.message))
}

#[test]
fn what_makes_a_session() {
    let read = |body: &str| CreateSession::read(body.as_bytes(), alice());
    for (body, metadata) in [
        (r#"{"sessionId":"s"}"#, "{}"),
        (r#"{"sessionId":"s","metadata":null,"chittyId":null}"#, "{}"),
        (r#"{"sessionId":"s","metadata":[1e400],"chittyId":"alice"}"#, "[1e400]"),
        (r#"{"sessionId":"s","metadata":"x","chitty_id":"alice","id":7}"#, "\"x\""),
    ] {
        let new = read(body).unwrap();
        assert_eq!((new.id.as_str(), new.chitty_id.as_str(), new.metadata.text()), ("s", "alice", metadata), "{body}");
    }
    for (body, begins) in [
        ("", "INVALID_JSON the body: found nothing"),
        ("{", "INVALID_JSON"),
        ("null", "INVALID_REQUEST the body: found null"),
        ("[]", "INVALID_REQUEST the body: found an array"),
        ("{}", "MISSING_REQUIRED_FIELDS sessionId: found nothing"),
        (r#"{"sessionId":null}"#, "MISSING_REQUIRED_FIELDS"),
        (r#"{"sessionId":""}"#, "MISSING_REQUIRED_FIELDS"),
        (r#"{"sessionId":7}"#, "INVALID_REQUEST sessionId: found a number"),
        (r#"{"sessionId":"../x"}"#, "INVALID_REQUEST sessionId: found \"../x\", which is not a session id"),
        (r#"{"sessionId":"s","metadata":"\ud800"}"#, "INVALID_REQUEST metadata: found half"),
        (r#"{"sessionId":"sync"}"#, "INVALID_REQUEST sessionId: found \"sync\"; accepted: any other"),
        (r#"{"sessionId":"s","chittyId":"bob"}"#, "forbidden"),
        (r#"{"sessionId":"s","chittyId":""}"#, "forbidden"),
    ] {
        assert!(refusal(read(body)).starts_with(begins), "{body}: {}", refusal(read(body)));
    }
}

#[test]
fn what_changes_a_session() {
    let read = |body: &str| PatchSession::read(body.as_bytes(), &alice());
    let patch = read(r#"{"metadata":null,"state":"ended","decisions":[1,null],"id":"x","expires":1}"#).unwrap();
    assert_eq!(patch.metadata.unwrap().text(), "{}");
    assert_eq!((patch.state, patch.decisions.len()), (Some(SessionState::Ended), 2));
    let large = format!("{{\"decisions\":[1,\"{}\"]}}", "x".repeat(MAX_DECISION));
    let many = format!("{{\"decisions\":[{}1]}}", "1,".repeat(MAX_DECISIONS));
    for (body, begins) in [
        ("{}", "NO_VALID_FIELDS"),
        (r#"{"id":"x","interactions":9}"#, "NO_VALID_FIELDS"),
        (r#"{"state":null}"#, "INVALID_REQUEST state: found null; accepted: active, ended"),
        (r#"{"state":"gone"}"#, "INVALID_REQUEST state: found \"gone\""),
        (r#"{"decisions":null}"#, "INVALID_REQUEST decisions: found null"),
        (r#"{"decisions":{}}"#, "INVALID_REQUEST decisions: found an object"),
        (r#"{"decisions":["\udc00"]}"#, "INVALID_REQUEST decisions[0]: found half"),
        (&large, "body_too_large decisions[1]: found 4098 bytes"),
        (&many, "INVALID_REQUEST decisions: found 1001 elements"),
        (r#"{"state":"ended","chittyId":"bob"}"#, "forbidden"),
    ] {
        assert!(refusal(read(body)).starts_with(begins), "{begins}: {}", refusal(read(body)));
    }
}

#[test]
fn what_goes_into_a_context() {
    let read = |body: &str| PutContext::read(body.as_bytes(), &alice());
    for (body, key, value) in [(r#"{"key":"k","value":[1]}"#, "k", "[1]"), (r#"{"key":"é","value":null}"#, "é", "null")]
    {
        let (read_key, read_value) = read(body).unwrap();
        assert_eq!((read_key.as_str(), read_value.text()), (key, value));
    }
    assert!(read(&format!("{{\"key\":\"{}\",\"value\":1}}", "é".repeat(MAX_KEY))).is_ok());
    for (body, begins) in [
        (r#"{"value":1}"#, "MISSING_KEY"),
        (r#"{"key":"","value":1}"#, "MISSING_KEY"),
        (r#"{"key":null,"value":1}"#, "MISSING_KEY"),
        (r#"{"key":1,"value":1}"#, "INVALID_REQUEST key: found a number"),
        (r#"{"key":"k"}"#, "INVALID_REQUEST value: found nothing"),
        (r#"{"key":"updated","value":1}"#, "INVALID_REQUEST key: found \"updated\""),
        (&format!("{{\"key\":\"{}\",\"value\":1}}", "é".repeat(MAX_KEY + 1)), "INVALID_REQUEST key: found 129"),
    ] {
        assert!(refusal(read(body)).starts_with(begins), "{body}: {}", refusal(read(body)));
    }
}

#[test]
fn what_begins_and_ends_a_session() {
    let read = |body: &str| SyncSession::read(body.as_bytes(), &alice());
    let sync = read(
        r#"{"event":"session_start","sessionId":"s","channel":"c\"","project":{"slug":"p","org":"o"},"signals":[1]}"#,
    );
    let sync = sync.unwrap();
    assert_eq!(sync.metadata.text(), r#"{"channel":"c\"","project":{"org":"o","slug":"p"},"signals":[1]}"#);
    assert_eq!(sync.project.unwrap().key(), "project:o:p");
    let sync = read(r#"{"event":"session_end","sessionId":"s","context":{"summary":1},"project":null}"#).unwrap();
    assert_eq!((sync.event, sync.context.unwrap().text()), (SyncEvent::End, r#"{"summary":1}"#));
    let large = format!("\"{}\"", "x".repeat(40_000));
    let large =
        format!("{{\"event\":\"session_start\",\"sessionId\":\"s\",\"signals\":{large},\"coordinates\":{large}}}");
    for (body, begins) in [
        ("{}", "MISSING_REQUIRED_FIELDS event"),
        (r#"{"event":"session_start"}"#, "MISSING_REQUIRED_FIELDS sessionId"),
        (r#"{"event":"nope","sessionId":"s"}"#, "INVALID_EVENT event: found \"nope\"; accepted: session_start"),
        (r#"{"event":7,"sessionId":"s"}"#, "INVALID_EVENT event: found a number"),
        (r#"{"event":"session_end","sessionId":"s","context":[]}"#, "INVALID_REQUEST context: found an array"),
        (r#"{"event":"session_end","sessionId":"s","project":"p"}"#, "INVALID_REQUEST project: found text"),
        (
            r#"{"event":"session_end","sessionId":"s","project":{"org":"o"}}"#,
            "INVALID_REQUEST project.slug: found nothing",
        ),
        (
            r#"{"event":"session_end","sessionId":"s","project":{"org":"o:p","slug":"q"}}"#,
            "INVALID_REQUEST project.org: found \"o:p\"",
        ),
        (&large, "body_too_large channel, project, coordinates and signals together"),
    ] {
        assert!(refusal(read(body)).starts_with(begins), "{begins}: {}", refusal(read(body)));
    }
}
