//! Which documents are lists, and what is said of those that are not.

use super::*;

#[test]
fn every_envelope_is_a_list() {
    let service = json!({"id": "a", "url": "https://a.example"});
    for document in [
        json!([service]),
        json!({"services": [service]}),
        json!({"success": true, "tools": [service], "count": 1}),
        json!({"success": true, "count": 1, "services": [service], "query": {}}),
        json!({"services": [service], "total": 1, "timestamp": "2026-08-18T00:00:00Z"}),
        json!({"services": [service], "authority": "registry", "timestamp": null}),
        json!({"canonical": [service], "authority": "registry"}),
        json!({"servers": [{"server": service}], "metadata": {"count": 1}}),
        json!({"servers": [service]}),
        json!({"services": null, "tools": [service]}),
        json!({"success": null, "services": [service]}),
    ] {
        let read = over_http(&document);
        assert_eq!(read.declarations.len(), 1, "{document}");
        assert_eq!(read.declarations[0].id.as_ref().unwrap().as_str(), "a", "{document}");
        assert_eq!(read.next_cursor, None, "{document}");
    }
}

#[test]
fn an_empty_list_is_a_list() {
    for document in [json!([]), json!({"services": []}), json!({"tools": [], "success": true})] {
        assert_eq!(over_http(&document), Document::default(), "{document}");
    }
}

#[test]
fn json_that_is_no_list_is_an_error_that_names_what_was_found() {
    for (document, found) in [
        (json!(null), "list: null;"),
        (json!("x"), "list: a string;"),
        (json!(7), "list: a number;"),
        (json!({}), "an object without any key"),
        (
            json!({"error": "Endpoint not found", "availableEndpoints": []}),
            "an object with `availableEndpoints`, `error`;",
        ),
        (json!({"success": false, "error": "no", "services": []}), "`success` being false"),
        (json!({"success": true, "results": []}), "`results`"),
        (json!({"success": true, "manifest": {"entries": []}}), "`manifest`"),
        (json!({"success": true, "service": {"id": "a"}}), "`service`"),
        (json!({"services": {"a": {}}}), "`services`"),
        (json!({"servers": null}), "`servers`"),
        (json!({"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1}), "and more"),
    ] {
        let error = read(document.to_string().as_bytes(), &context(), None).unwrap_err().to_string();
        assert!(error.contains(found), "{document}: {error}");
        assert!(error.contains("accepted: an array"), "{error}");
    }
}

#[test]
fn what_is_not_json_is_an_error_that_shows_how_it_begins() {
    let deep = "[".repeat(100_000);
    for (bytes, begins) in [
        (&b""[..], "nothing at all"),
        (b"   ", "it begins with ``"),
        (b"<!DOCTYPE html><html>", "`<!DOCTYPE html><html>`"),
        (b"{\"services\": [{\"id\": \"a\"", "`{\\\"services\\\""),
        (b"\xff\xfe\x00\x01", "it begins with `"),
        (b"[] []", "`[] []`"),
        (b"[{\"id\": \"\xc3\x28\"}]", "it begins with `"),
        (deep.as_bytes(), "it begins with `[["),
    ] {
        let error = read(bytes, &context(), None).unwrap_err();
        assert!(matches!(error, DocumentError::NotJson { .. }), "{error:?}");
        assert!(error.to_string().contains(begins), "{error}");
        assert!(error.to_string().len() < 400, "{error}");
    }
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    assert_eq!(read(b"\xef\xbb\xbf[]", &context(), None).unwrap(), Document::default());
}

#[test]
fn pages_of_the_mcp_registry_name_their_next_cursor() {
    for (metadata, cursor) in [
        (json!({"nextCursor": "abc"}), Some("abc")),
        (json!({"next_cursor": "abc"}), Some("abc")),
        (json!({"nextCursor": null}), None),
        (json!({"nextCursor": ""}), None),
        (json!({"nextCursor": 7}), None),
        (json!(null), None),
        (json!("x"), None),
    ] {
        let read = over_http(&json!({"servers": [], "metadata": metadata}));
        assert_eq!(read.next_cursor.as_deref(), cursor, "{metadata}");
    }
}

#[test]
fn entries_of_the_mcp_registry_are_unwrapped() {
    let official = |notes: Value| json!({"io.modelcontextprotocol.registry/official": notes});
    let server = json!({
        "name": "cc.chitty/ledger", "version": "2.0.0",
        "remotes": [{"type": "stdio"}, null, {"type": "sse", "url": "https://ledger.chitty.cc/mcp"}],
    });
    let read = over_http(&json!({"servers": [
        {"server": server, "_meta": official(json!({"status": "Deprecated", "isLatest": true}))},
        {"server": server, "_meta": official(json!({"status": "active", "isLatest": false}))},
        {"server": {"name": "Pretty Name!"}, "_meta": official(json!({"isLatest": "yes"}))},
        {"server": {"name": "cc.chitty/Pretty Name!", "id": 7}, "_meta": null},
        {"server": null},
        {"server": server, "_meta": {"other": {"isLatest": false}}},
    ]}));
    assert_eq!(read.entries, 6);
    let ids: Vec<_> = read.declarations.iter().map(|one| one.id.as_ref().unwrap().as_str()).collect();
    assert_eq!(ids, ["ledger", "pretty-name", "pretty-name", "ledger"]);
    let first = &read.declarations[0];
    assert_eq!(first.status.as_deref(), Some("deprecated"));
    assert_eq!(first.external_id.as_deref(), Some("cc.chitty/ledger"));
    assert_eq!(first.display_name, None);
    assert_eq!(first.mcp_url.as_ref().unwrap().as_str(), "https://ledger.chitty.cc/mcp");
    assert_eq!(base_url(first).as_deref(), Some("https://ledger.chitty.cc"));
    assert_eq!(read.declarations[3].status, None);
    assert_eq!(read.rejected.len(), 1);
    assert_eq!(read.rejected[0].index, 4);
}

#[test]
fn an_entry_is_no_list_only_what_it_costs_is_itself() {
    let read = over_http(&json!([1, true, [], "x", {"id": "a", "url": "https://a.example"}, null, {}]));
    assert_eq!(read.declarations.len(), 1);
    let reasons: Vec<_> = read.rejected.iter().map(|one| (one.index, one.reason.as_str())).collect();
    assert_eq!(
        reasons,
        [
            (0, "a number, not an object"),
            (1, "a boolean, not an object"),
            (2, "an array, not an object"),
            (3, "a string (`x`), not an object"),
            (5, "null, not an object"),
            (6, "it has neither a name nor an id"),
        ]
    );
}
