//! Every row of CONTRACT.md that is marked KEEP, and that DESIGN.md and the reference configuration leave standing,
//! replayed against one daemon. What a FIX row asks for is tested where its subject is.
//!
//! Left out: §4 (files) and §7 but for the manifest, whose capabilities are not built; rows whose KEEP is of the
//! original's inside (a binding that is missing, one rate-limit layer above another).

use serde_json::{Value, json};

use crate::support::shape::misfits;
use crate::support::task::KEY_HEADER;
use crate::support::{API, Answer, Ask, CONNECT, Client, DOMAIN, Daemon, MCP, Rows, Tenant, Upstream, eventually};

/// The daemon, its tenant, and the rows so far.
struct Replay {
    daemon: Daemon,
    alice: Tenant,
    admin: Tenant,
    rows: Rows,
}

impl Replay {
    /// One row: what is asked, and what is answered.
    fn row(&mut self, row: &str, ask: &Ask, status: u16, expected: &Value) -> Answer {
        let answer = self.daemon.ask(ask);
        self.rows.eq(row, &status, &answer.status());
        if !expected.is_null() {
            let seen = serde_json::from_slice(&answer.body).unwrap_or_else(|_| json!(answer.text()));
            let misfits = misfits(expected, &seen);
            self.rows.holds(row, misfits.is_empty(), misfits);
            self.rows.eq(format!("{row}: type"), &Some("application/json"), &answer.header("content-type"));
        }
        answer
    }

    fn get(&mut self, row: &str, target: &str, status: u16, expected: &Value) -> Answer {
        let ask = self.alice.ask("GET", target);
        self.row(row, &ask, status, expected)
    }

    fn send(&mut self, row: &str, method: &str, target: &str, body: &Value, status: u16, expected: &Value) -> Answer {
        let ask = self.alice.ask(method, target).header("Content-Type", "application/json").body(body.to_string());
        self.row(row, &ask, status, expected)
    }

    fn post(&mut self, row: &str, target: &str, body: &Value, status: u16, expected: &Value) -> Answer {
        self.send(row, "POST", target, body, status, expected)
    }

    fn public(&mut self, row: &str, target: &str, expected: &Value) -> Answer {
        self.row(row, &Ask::get(CONNECT, target), 200, expected)
    }
}

#[test]
fn every_kept_row_is_answered_as_it_was() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder()
        .set("gateway", "{landing_page: \"https://get.chitty.cc\"}")
        .set("registry", "{sources: [{embedded: {ttl: 90s}}]}")
        .service(format!("{{id: chittyid, subdomain: id, endpoints: [\"{}\"]}}", upstream.url()))
        .service("{id: gone, endpoints: [\"http://127.0.0.1:1\"]}".to_owned())
        .start();
    let alice = Tenant::new(&daemon, "alice");
    let admin = Tenant::with(&daemon, "root", &["--scope", "admin"]);
    let mut replay = Replay { daemon, alice, admin, rows: Rows::new() };
    cross_cutting(&mut replay);
    origins(&mut replay);
    public_documents(&mut replay);
    tasks(&mut replay);
    for base in ["/api/context", "/api/v1/context"] {
        context(&mut replay, base);
    }
    registry(&mut replay);
    sessions(&mut replay);
    events(&mut replay);
    proxy(&mut replay);
    after_a_deployment(&mut replay);
    replay.rows.finish();
}

/// §0.
fn cross_cutting(replay: &mut Replay) {
    let alice = replay.alice.clone();
    let tasks = "/api/context/tasks";
    let none = Value::Null;
    replay.row("§0 unknown path", &Ask::get(CONNECT, "/nope"), 404, &json!({"error": "<text>"}));
    replay.row("§0 unknown path under /api", &Ask::get(CONNECT, "/api/nope"), 401, &none);
    replay.row("§0 trailing slash", &Ask::get(CONNECT, "/health/"), 404, &none);
    replay.get("§0 trailing slash, tasks", "/api/context/tasks/", 404, &none);
    replay.row("§0 no content type", &alice.create(&json!({"title": "t"})), 200, &json!({"ok": true}));
    let bom = alice.ask("POST", tasks).header("Content-Type", "text/plain").body("\u{feff}{\"title\":\"first\"}");
    replay.row("§0 byte order mark, text/plain", &bom, 200, &json!({"ok": true}));
    let twice = replay.row("§0 duplicate keys", &alice.create(&r#"{"title":"a","title":"b"}"#), 200, &none);
    let id = twice.json()["task_id"].as_str().unwrap_or_default().to_owned();
    replay.get("§0 the last duplicate counts", &format!("{tasks}/{id}"), 200, &json!({"task": {"title": "b"}}));
    let head = replay.daemon.ask(&Ask::new("HEAD", CONNECT, "/health"));
    replay.rows.eq("§0 HEAD", &(200, true), &(head.status(), head.body.is_empty()));

    let missing = json!({"error": "Missing API key"});
    let invalid = json!({"error": "Invalid API key"});
    let wrong = format!("chitty_{}", "0".repeat(64));
    let get = || Ask::get(CONNECT, tasks);
    for (what, ask, expected) in [
        ("no key", get(), &missing),
        ("empty key", get().header(KEY_HEADER, ""), &missing),
        ("Basic", get().header("Authorization", "Basic eDp5"), &missing),
        ("?api_key=", Ask::get(CONNECT, &format!("{tasks}?api_key={}", alice.key)), &missing),
        ("x-api-key", get().header("x-api-key", &alice.key), &missing),
        ("unknown key", get().header(KEY_HEADER, &wrong), &invalid),
        (
            "header wrong, bearer right",
            get().header(KEY_HEADER, &wrong).header("Authorization", &format!("Bearer {}", alice.key)),
            &invalid,
        ),
    ] {
        replay.row(&format!("§0 auth: {what}"), &ask, 401, expected);
    }
    for scheme in ["Bearer", "bearer"] {
        let ask = get().header("Authorization", &format!("{scheme} {}", alice.key));
        replay.row(&format!("§0 auth: {scheme}"), &ask, 200, &json!({"ok": true}));
    }
}

/// §0, "CORS".
fn origins(replay: &mut Replay) {
    let preflight = |origin: &str| Ask::new("OPTIONS", CONNECT, "/api/context/tasks").header("Origin", origin);
    for (origin, allowed) in [
        ("https://chatgpt.com", true),
        ("https://chat.openai.com", true),
        ("https://chittyconnect-ui.pages.dev", true),
        ("http://localhost:5173", true),
        ("http://localhost:3000", true),
        ("https://evil.example", false),
        ("null", false),
        ("https://chat.openai.com.evil.com", false),
        ("http://localhost:9999", false),
    ] {
        let answer = replay.daemon.ask(&preflight(origin));
        let rows = &mut replay.rows;
        let expected = allowed.then_some(origin);
        rows.eq(
            format!("§0 preflight {origin}"),
            &(204, expected),
            &(answer.status(), answer.header("access-control-allow-origin")),
        );
        for (name, words) in [
            ("access-control-allow-methods", "GET,POST,PUT,PATCH,DELETE,OPTIONS"),
            (
                "access-control-allow-headers",
                "Content-Type,Authorization,X-ChittyOS-API-Key,X-ChittyID,Mcp-Session-Id,Mcp-Protocol-Version",
            ),
            ("access-control-expose-headers", "Content-Length,X-Request-ID,Mcp-Session-Id,ETag"),
            ("access-control-max-age", "86400"),
            ("access-control-allow-credentials", "true"),
            ("vary", "Origin,Access-Control-Request-Headers"),
        ] {
            let value = answer.header(name).unwrap_or_default();
            let listed: Vec<&str> = value.split(',').map(str::trim).collect();
            let all = words.split(',').all(|word| listed.contains(&word));
            rows.holds(format!("§0 preflight {origin}: {name}"), all, value);
        }
        let actual = replay.daemon.ask(&Ask::get(CONNECT, "/api/context/tasks").header("Origin", origin));
        replay.rows.eq(
            format!("§0 401 to {origin}"),
            &(401, expected),
            &(actual.status(), actual.header("access-control-allow-origin")),
        );
    }
}

/// §1.
fn public_documents(replay: &mut Replay) {
    let service = json!({"status": "ok", "service": "chittyconnect", "version": "<text>", "timestamp": "<time>"});
    let mut health = service.clone();
    health["endpoints"] = json!({"api": "/api/*", "openapi": "/openapi.json"});
    replay.public("§1 /health", "/health", &health);
    let expected = json!({"status": "healthy", "version": "<text>", "timestamp": "<time>", "endpoints": "<object>"});
    replay.get("§1 /api/health with a key", "/api/health", 200, &expected);
    replay.public("§1 /api/v1/status", "/api/v1/status", &service);
    let openapi = json!({"openapi": "3.1.0", "paths": "<object>", "servers": [{"url": "<text>"}],
        "components": {"securitySchemes": {"apiKey": {"in": "header", "name": KEY_HEADER, "type": "apiKey"}}}});
    replay.public("§1 /openapi.json", "/openapi.json", &openapi);
    replay.public("§1 mcp.json", "/.well-known/mcp.json", &json!({"serverInfo": {"name": "<text>"}, "url": "<any>"}));
    for (accept, place) in [("application/json", "/.well-known/chitty.json"), ("text/html", "https://get.chitty.cc")] {
        let answer = replay.daemon.ask(&Ask::get(CONNECT, "/").header("Accept", accept));
        let location = answer.header("location").map(|url| url.trim_end_matches('/').to_owned());
        replay.rows.eq(format!("§1 / for {accept}"), &(302, Some(place.to_owned())), &(answer.status(), location));
    }
    let discovery = json!({
        "version": "1.0.0", "ecosystem": "ChittyOS", "updated_at": "<time>",
        "endpoints": {"connect_base": "<text>", "api_base": "<text>", "mcp_base": "<text>", "sse": "<text>",
            "auth": "<any>", "registry": "<any>", "register": "<any>"},
        "capabilities": {
            "mcp": {"protocol_version": "<any>", "tools_count": "<number>", "supports_streaming": "<any>",
                "session_management": "<any>", "oauth_discovery": "<any>"},
            "api": {"openapi_spec": "<text>", "version": "v1", "authentication": "<any>", "rate_limiting": "<any>"},
            "services": {"discovery": "<any>", "health_check": "<any>"}},
        "services": [{"name": "<text>", "url": "<text>", "mcp": "<text>", "direct_mcp": "<any>", "api": "<text>",
            "direct_api": "<any>", "health": "<any>", "status": "<text>"}],
        "onboarding": {"register_url": "<any>", "get_started": "<any>", "device_code_flow": "<any>", "docs": "<any>"},
        "resource_uri_scheme": "<any>",
        "context_sync": {
            "files": {"set_active": "<text>", "sync_report": "<text>", "upload": "<any>", "presign": "<any>"},
            "tasks": {"list": "<text>", "create": "<text>", "update": "<text>"}}});
    let answer = replay.public("§1 chitty.json", "/.well-known/chitty.json", &discovery);
    let names: Vec<String> = answer.json()["services"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|service| service["name"].as_str().map(str::to_owned))
        .collect();
    replay.rows.eq("§1 the order of the registry", &vec!["chittyid".to_owned(), "gone".to_owned()], &names);
    let manifest = json!({"name": "chittyconnect", "version": "<text>", "description": "<text>", "protocol": "mcp",
        "tools": "<number>", "capabilities": "<array>", "endpoints": "<object>"});
    replay.public("§7 /mcp/manifest", "/mcp/manifest", &manifest);
}

/// §2.
fn tasks(replay: &mut Replay) {
    let tasks = "/api/context/tasks";
    let created = json!({"ok": true, "task_id": "<uuid>", "created_at": "<time>"});
    let body = json!({"title": "t", "description": "", "metadata": ["any"], "status": "completed"});
    let answer = replay.post("§2 POST", tasks, &body, 200, &created);
    let id = answer.json()["task_id"].as_str().unwrap_or_default().to_owned();
    let task = json!({"ok": true, "task": {
        "task_id": id, "session_id": replay.alice.session_id, "chitty_id": "alice", "task_type": "user_request",
        "status": "pending", "title": "t", "description": null, "priority": "normal", "assigned_service": null,
        "parent_task_id": null, "created_at": "<time>", "updated_at": "<time>", "started_at": null,
        "completed_at": null, "metadata": ["any"], "result": null, "error": null}});
    replay.get("§2 GET /:id", &format!("{tasks}/{id}"), 200, &task);
    for title in [json!({}), json!({"title": ""}), json!({"title": null}), json!({"title": 0}), json!([])] {
        replay.post(&format!("§2 no title: {title}"), tasks, &title, 400, &json!({"error": "title required"}));
    }
    let list = json!({"ok": true, "tasks": [{"task_id": "<uuid>"}], "count": "<number>"});
    replay.get("§2 list", tasks, 200, &list);
    replay.get("§2 list, empty session", &format!("{tasks}?session_id="), 200, &list);
    let empty = json!({"ok": true, "tasks": [], "count": 0});
    for query in ["limit=0", "status=bogus"] {
        replay.get(&format!("§2 ?{query}"), &format!("{tasks}?{query}"), 200, &empty);
    }
    for query in ["limit=", "status=", "limit=2.7", "limit=2&limit=x"] {
        replay.get(&format!("§2 ?{query}"), &format!("{tasks}?{query}"), 200, &list);
    }
    let not_found = json!({"error": "task_not_found"});
    let unknown = format!("{tasks}/5f0c0a52-6a39-4c1b-9a49-3d1f5b0a7e11");
    replay.get("§2 unknown id", &unknown, 404, &not_found);
    replay.send("§2 PATCH unknown id", "PATCH", &unknown, &json!({"status": "failed"}), 404, &not_found);
    let at = format!("{tasks}/{id}");
    let updated = json!({"ok": true, "updated_at": "<time>"});
    replay.send("§2 PATCH", "PATCH", &at, &json!({"status": "in_progress"}), 200, &updated);
    replay.get("§2 started", &at, 200, &json!({"task": {"started_at": "<time>", "completed_at": null}}));
    replay.send("§2 result", "PATCH", &at, &json!({"status": "completed", "result": {"a": [1]}}), 200, &updated);
    replay.get("§2 completed", &at, 200, &json!({"task": {"completed_at": "<time>", "result": {"a": [1]}}}));
    for body in [json!({}), json!({"nope": 1}), json!([])] {
        let refused = json!({"error": "no valid fields to update"});
        replay.send(&format!("§2 PATCH {body}"), "PATCH", &at, &body, 400, &refused);
    }
}

/// §3, under both of its paths.
fn context(replay: &mut Replay, base: &str) {
    let session = replay.alice.session_id.clone();
    let set_active = format!("{base}/files/set-active");
    let files = json!([{"uri": "r2://a", "name": "a", "size": 1, "mime": "text/plain"}, {"uri": "r2://b"}]);
    let body = json!({"session_id": session, "files": files});
    replay.post("§3 set-active", &set_active, &body, 200, &json!({"ok": true, "count": 2}));
    replay.post("§3 no files", &set_active, &json!({"session_id": session}), 200, &json!({"ok": true, "count": 0}));
    let invalid = json!({"error": "invalid_request"});
    for body in [
        json!({"session_id": session, "files": null}),
        json!({"session_id": session, "files": {}}),
        json!({"files": []}),
    ] {
        replay.post(&format!("§3 set-active {body}"), &set_active, &body, 400, &invalid);
    }
    let report = format!("{base}/files/sync-report");
    let items = json!({"path_prefix": "p", "items": [{"r2_key": "k"}, {"uri": "r2://b"}, {"r2_key": "l", "size": 3}]});
    let reported = json!({"ok": true, "count": 3, "eventId": "<uuid>"});
    replay.post("§3 sync-report", &report, &items, 200, &reported);
    replay.post("§3 sync-report {}", &report, &json!({}), 200, &json!({"ok": true, "count": 0, "eventId": "<uuid>"}));
    replay.post("§3 items no array", &report, &json!({"items": 1}), 400, &invalid);
    let sync = format!("{base}/sync");
    let ingested = json!({"ok": true, "accepted": true, "eventId": "<uuid>", "sessionId": session, "eventCount": 2});
    for (session_key, count_key) in [("session_id", "event_count"), ("sessionId", "eventCount")] {
        let body = json!({"type": "SESSION_INGEST", session_key: session, "chitty_id": "alice", count_key: 2,
            "events": [{"a": 1}, {"b": 2}]});
        replay.post(&format!("§3 sync with {session_key}"), &sync, &body, 200, &ingested);
    }
    let refused = json!({"ok": false, "error": "invalid_request", "code": "INVALID_SESSION_INGEST_PAYLOAD"});
    for body in [json!({"type": "OTHER", "session_id": session}), json!({"type": "SESSION_INGEST"}), json!(null)] {
        replay.post(&format!("§3 sync {body}"), &sync, &body, 400, &refused);
    }
    let ask = replay.alice.ask("POST", &sync).body("{");
    replay.row("§3 sync, bad JSON", &ask, 400, &json!({"ok": false, "error": "bad_json", "message": "<text>"}));
}

/// §5.
fn registry(replay: &mut Replay) {
    let services = replay.get("§5 services", "/api/registry/services", 200, &json!({"services": [{"id": "<text>"}]}));
    drop(services);
    let whoami = json!({"success": true, "data": {
        "tenant": {"chitty_id": "alice", "name": "<any>", "account_type": "standard"},
        "session": {"session_id": replay.alice.session_id, "created_at": "<time>", "last_activity": "<time>",
            "active_files": "<array>", "active_tasks": [{"task_id": "<uuid>", "title": "<text>", "status": "<text>",
                "priority": "<text>", "created_at": "<time>", "updated_at": "<time>"}]},
        "scopes": "<array>",
        "flags": "<object>",
        "quota": {"storage_bytes": 1_073_741_824, "api_calls_remaining": "<number>"}}});
    let files = json!({"session_id": replay.alice.session_id, "files": [{"uri": "r2://z", "name": "z"}]});
    replay.post("§5 a file for whoami", "/api/context/files/set-active", &files, 200, &Value::Null);
    let answer = replay.get("§5 whoami", "/api/registry/whoami", 200, &whoami);
    let file = json!([{"uri": "r2://z", "name": "z", "size": "<any>", "sha256": "<any>", "mime": "<any>",
        "last_accessed": "<time>"}]);
    let misfits = misfits(&file, &answer.json()["data"]["session"]["active_files"]);
    replay.rows.holds("§5 whoami's files", misfits.is_empty(), misfits);
    for base in ["/api/services", "/api/v1/services"] {
        let port = replay.daemon.port;
        let (key, target) = (replay.alice.key.clone(), format!("{base}/status"));
        eventually("the services have been probed", || {
            let answer = Client::connect(port).ask(&Ask::get(CONNECT, &target).header(KEY_HEADER, &key));
            let services = answer.json()["services"].clone();
            let asked = services["gone"]["status"] == "down" && services["chittyid"]["lastChecked"].is_string();
            if asked { Ok(()) } else { Err(services) }
        });
        let service = json!({"serviceId": "chittyid", "name": "<text>", "url": "<text>", "status": "<text>",
            "lastChecked": "<time>"});
        replay.get(&format!("§5 {base}/status"), &target, 200, &json!({"services": {"chittyid": service}}));
        replay.get(&format!("§5 {base}/:id/status"), &format!("{base}/chittyid/status"), 200, &service);
        let unknown = format!("{base}/nobody/status");
        replay.get(&format!("§5 {base}, unknown"), &unknown, 404, &json!({"error": "Service not found"}));
    }
}

/// §6.
fn sessions(replay: &mut Replay) {
    let base = "/api/v1/sessions";
    let session = json!({"id": "s-1", "chittyId": "alice", "created": "<millis>", "updated": "<millis>",
        "expires": "<millis>", "metadata": {"a": 1}, "state": "active", "decisions": [], "interactions": "<number>"});
    let made = json!({"success": true, "data": session, "metadata": {"timestamp": "<any>", "requestId": "<text>"}});
    let body = json!({"chittyId": "alice", "sessionId": "s-1", "metadata": {"a": 1}});
    replay.post("§6 POST", base, &body, 200, &made);
    let code = |code: &str| json!({"success": false, "error": {"code": code, "message": "<text>"}});
    replay.post("§6 POST {}", base, &json!({}), 400, &code("MISSING_REQUIRED_FIELDS"));
    let ask = replay.alice.ask("GET", base).header("X-ChittyID", "alice");
    let listed = json!({"success": true, "data": {"count": "<number>", "sessions": [{"id": "<text>"}]}});
    replay.row("§6 GET /", &ask, 200, &listed);
    replay.get("§6 GET /:id", &format!("{base}/s-1"), 200, &json!({"success": true, "data": session}));
    replay.get("§6 GET unknown", &format!("{base}/nobody"), 404, &code("SESSION_NOT_FOUND"));
    let patched = json!({"success": true, "data": {"id": "s-1", "metadata": {"b": 2}, "interactions": "<number>"}});
    replay.send("§6 PATCH", "PATCH", &format!("{base}/s-1"), &json!({"metadata": {"b": 2}}), 200, &patched);
    let context = format!("{base}/s-1/context");
    let put = json!({"success": true, "data": {"success": true}});
    replay.send("§6 PUT context", "PUT", &context, &json!({"key": "k", "value": [1]}), 200, &put);
    replay.send("§6 PUT context without key", "PUT", &context, &json!({"value": 1}), 400, &code("MISSING_KEY"));
    replay.get("§6 GET context ?key=", &format!("{context}?key=k"), 200, &json!({"data": {"key": "k", "value": [1]}}));
    replay.get("§6 GET context", &context, 200, &json!({"success": true, "data": {"k": [1], "updated": "<millis>"}}));
    let sync = format!("{base}/sync");
    let project = json!({"slug": "proj", "org": "o"});
    let start = json!({"event": "session_start", "chittyId": "alice", "sessionId": "s-2", "project": project});
    let started = json!({"success": true, "data": {"event": "session_start", "sessionId": "s-2", "chittyId": "alice",
        "timestamp": "<any>", "actions": "<array>", "session": {"id": "s-2"}, "priorContext": {"key": "project:o:proj"}}});
    let answer = replay.post("§6 session_start", &sync, &start, 200, &started);
    let actions = answer.json()["data"]["actions"].clone();
    replay.rows.eq("§6 start's actions", &json!(["session_created", "prior_context_loaded"]), &actions);
    let end = json!({"event": "session_end", "chittyId": "alice", "sessionId": "s-2", "project": project,
        "context": {"summary": "done", "keyFacts": ["f"]}});
    let ended = json!({"success": true, "data": {"event": "session_end", "actions": "<array>"}});
    replay.post("§6 session_end", &sync, &end, 200, &ended);
    let again = json!({"event": "session_start", "chittyId": "alice", "sessionId": "s-3", "project": project});
    let prior = json!({"data": {"priorContext": {"key": "project:o:proj", "value": {"summary": "done",
        "keyFacts": ["f"], "lastSessionId": "s-2", "updatedAt": "<any>"}}}});
    replay.post("§6 prior context", &sync, &again, 200, &prior);
    replay.post("§6 sync {}", &sync, &json!({}), 400, &code("MISSING_REQUIRED_FIELDS"));
    let other = json!({"event": "other", "chittyId": "alice", "sessionId": "s"});
    replay.post("§6 sync, another event", &sync, &other, 400, &code("INVALID_EVENT"));
    let ask = replay.alice.ask("POST", &sync).body("{");
    replay.row("§6 sync, bad JSON", &ask, 400, &code("INVALID_JSON"));
}

/// §8.
fn events(replay: &mut Replay) {
    replay.public("§8 /sse/health", "/sse/health", &json!({"status": "available", "timestamp": "<any>"}));
    let mut stream = replay.daemon.connect();
    let target = format!("/sse?sessionId={}", replay.alice.session_id);
    stream.send(replay.alice.ask("GET", &target).to_bytes());
    let head = stream.head("GET").unwrap();
    replay.rows.eq("§8 /sse", &(200, Some("text/event-stream")), &(head.status, head.header("content-type")));
    let first = data(&stream.body_until("\n\n"));
    let connected = json!({"type": "connected", "sessionId": replay.alice.session_id, "timestamp": "<millis>",
        "message": "ChittyConnect streaming active"});
    let misses = misfits(&connected, &first);
    replay.rows.holds("§8 the first event", misses.is_empty(), misses);
    let id = replay.alice.titled(&replay.daemon, "seen");
    let created = data(&stream.body_until("task.created"));
    let expected = json!({"type": "task.created", "sessionId": replay.alice.session_id, "task_id": id,
        "title": "seen", "priority": "normal"});
    let misses = misfits(&expected, &created);
    replay.rows.holds("§8 task.created", misses.is_empty(), misses);
}

/// The JSON of the last event of a stream's text.
fn data(text: &str) -> Value {
    let last = text.lines().rev().find_map(|line| line.strip_prefix("data: "));
    last.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
}

/// §9.
fn proxy(replay: &mut Replay) {
    let fates = [
        (CONNECT, "/chittyid/api/x?y=1", "-> /api/x?y=1"),
        (CONNECT, "/chittyid/mcp", "-> /mcp"),
        (API, "/chittyid/api/a%2Fb/%2e%2e/c%20d", "-> /api/c%20d"),
        (API, "/chittyid/api/", "-> /api/"),
    ];
    for (host, target, fate) in fates {
        let answer = replay.daemon.get(host, target);
        replay.rows.eq(format!("§9 {target}"), &fate.to_owned(), &answer.fate());
    }
    let failed = json!({"error": "proxy_failed", "message": "<text>"});
    replay.row("§9 no connection", &Ask::get(API, "/gone/api/x"), 502, &failed);
    let options = replay.daemon.ask(&Ask::new("OPTIONS", API, "/chittyid/api/x"));
    replay.rows.eq("§9 OPTIONS", &204, &options.status());
}

/// §10: what the ecosystem's own pipelines ask after a deployment.
fn after_a_deployment(replay: &mut Replay) {
    let admin = replay.admin.clone();
    let routes = json!({"conflicts": []});
    replay.row("§10 conflicts", &admin.ask("GET", "/api/admin/routes"), 200, &routes);
    replay.row("§10 refresh", &admin.ask("POST", "/api/admin/refresh-discovery"), 200, &json!({"success": true}));
    let own = format!("id.{DOMAIN}");
    for (host, target, fate) in [
        (API, "/chittyid/api/health", "-> /api/health"),
        (MCP, "/chittyid/mcp/tools/list", "-> /mcp/tools/list"),
        (own.as_str(), "/health", "-> /health"),
    ] {
        let answer = replay.daemon.get(host, target);
        replay.rows.eq(format!("§10 {host}{target}"), &fate.to_owned(), &answer.fate());
    }
}
