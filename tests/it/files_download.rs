//! Contents on their way out: by their SHA-256 with a key, and with a token without one.

use serde_json::{Value, json};

use crate::support::files::{FILES, Link, MIB, NO_SUCH_HASH, NO_TOKEN, contents, encoded, is_range, sha256};
use crate::support::shape::misfits;
use crate::support::task::{KEY_HEADER, leak, tag};
use crate::support::{Answer, Ask, CONNECT, Daemon, Ending, Rows, Tenant};

fn presign_download(daemon: &Daemon, tenant: &Tenant, body: &Value) -> Answer {
    daemon.ask(&tenant.files("POST", "/presign-download").body(body.to_string()))
}

/// Makes a request of a method.
type Way = Box<dyn Fn(&str) -> Ask>;

/// Both ways to the same contents: with the key, and with a token.
fn both_ways(daemon: &Daemon, tenant: &Tenant, sha256: &str, uri: &str) -> [Way; 2] {
    let link = Link::of(&presign_download(daemon, tenant, &json!({"uri": uri})), "download_url");
    let (tenant, target) = (tenant.clone(), format!("/{sha256}"));
    [Box::new(move |method| tenant.files(method, &target)), Box::new(move |method| link.ask(method))]
}

#[test]
fn contents_come_back_whole_with_what_is_known_of_them() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let mut rows = Rows::new();
    for (number, name, mime, disposed) in [
        (1, "plain.txt", Some("text/plain"), "plain.txt"),
        (2, "page.html", Some("text/html"), "page.html"),
        (3, "two words;\"q\".bin", None, "two words;_q_.bin"),
        (4, "ü.txt", None, "_.txt"),
        (5, "a\\b", None, "a_b"),
    ] {
        let body = contents(number, 70_000);
        let mut ask = alice.direct(name, &body);
        if let Some(mime) = mime {
            ask["mime"] = json!(mime);
        }
        let r2_key = daemon.ask(&alice.upload(&ask)).json()["r2_key"].as_str().unwrap().to_owned();
        for (way, ask) in both_ways(&daemon, &alice, &sha256(&body), &format!("r2://{r2_key}")).iter().enumerate() {
            let what = format!("{name}, way {way}");
            let answer = daemon.ask(&ask("GET"));
            rows.eq(format!("{what}: status"), &(200, Ending::Whole), &(answer.status(), answer.ending));
            rows.holds(format!("{what}: body"), answer.body == body, answer.body.len());
            let head = daemon.ask(&ask("HEAD"));
            for answer in [&answer, &head] {
                rows.eq(format!("{what}: length"), &Some("70000"), &answer.header("content-length"));
                let mime = mime.unwrap_or("application/octet-stream");
                rows.eq(format!("{what}: type"), &Some(mime), &answer.header("content-type"));
                rows.eq(format!("{what}: sniffing"), &Some("nosniff"), &answer.header("x-content-type-options"));
                rows.eq(format!("{what}: ranges"), &Some("bytes"), &answer.header("accept-ranges"));
                let disposition = answer.header("content-disposition").unwrap_or_default();
                let fits = disposition.starts_with("attachment; filename") && disposition.contains(disposed);
                rows.holds(format!("{what}: disposition"), fits, disposition);
                let as_called = disposition.split_once("filename*=UTF-8''").map(|(_, name)| name);
                let as_called = as_called.map(|name| percent_encoding::percent_decode_str(name).decode_utf8_lossy());
                rows.holds(format!("{what}: its own name"), as_called.is_none_or(|seen| seen == name), disposition);
                let cached = answer.header("cache-control").unwrap_or_default();
                rows.holds(format!("{what}: no shared cache"), !cached.contains("public"), cached);
            }
            rows.eq(format!("{what}: HEAD"), &(200, 0), &(head.status(), head.body.len()));
            rows.eq(format!("{what}: tag"), &tag(&answer), &tag(&head));
        }
    }
    rows.finish();
}

#[test]
fn ranges_are_parts_of_the_contents() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let body = contents(1, 3 * MIB + 7);
    let all = body.len();
    let kept = alice.kept(&daemon, "n", &body);
    let mut rows = Rows::new();
    for (way, ask) in both_ways(&daemon, &alice, &kept.sha256, &kept.uri()).iter().enumerate() {
        let ranged = |range: &str| daemon.ask(&ask("GET").header("Range", range));
        for (said, range) in [
            ("bytes=0-0".to_owned(), 0..1),
            ("bytes=0-99".to_owned(), 0..100),
            ("bytes=1048570-1048590".to_owned(), 1_048_570..1_048_591),
            ("bytes=-1".to_owned(), all - 1..all),
            ("bytes=-100".to_owned(), all - 100..all),
            (format!("bytes=-{}", all + 5), 0..all),
            (format!("bytes={}-", all - 1), all - 1..all),
            ("bytes=100-".to_owned(), 100..all),
            (format!("bytes=5-{}", all + 100), 5..all),
            ("bytes=0-18446744073709551615".to_owned(), 0..all),
        ] {
            is_range(&mut rows, &format!("way {way} {said}"), &ranged(&said), &body, range);
        }
        for said in [format!("bytes={all}-"), format!("bytes={}-{}", all + 1, all + 2), "bytes=-0".to_owned()] {
            let answer = ranged(&said);
            let content_range = format!("bytes */{all}");
            rows.eq(format!("way {way} {said}"), &416, &answer.status());
            let seen = answer.header("content-range");
            rows.eq(format!("way {way} {said}"), &Some(content_range.as_str()), &seen);
        }
        // What is no range, or not of bytes, is none (RFC 9110 §14.2).
        for said in ["bytes", "bytes=", "bytes=a-b", "bytes=5-4", "bytes=--1", "lines=0-1", "bytes=0-0x"] {
            let answer = ranged(said);
            let fits = [200, 416].contains(&answer.status()) && (answer.status() == 416 || answer.body == body);
            rows.holds(format!("way {way} {said}"), fits, answer.status());
        }
        let several = ranged("bytes=0-1,5-6");
        rows.holds(format!("way {way}, several"), [200, 206, 416].contains(&several.status()), several.status());
        rows.holds(format!("way {way}, several"), several.status() != 200 || several.body == body, several.status());
        let many = format!("bytes={}", vec!["0-"; 1000].join(","));
        let answer = ranged(&many);
        rows.holds(format!("way {way}, a thousand"), answer.body.len() <= all, (answer.status(), answer.body.len()));
        let head = daemon.ask(&ask("HEAD").header("Range", "bytes=0-0"));
        rows.holds(format!("way {way}, HEAD"), [200, 206].contains(&head.status()), head.status());
        let whole = daemon.ask(&ask("GET"));
        let current = tag(&whole);
        for (tag, status) in [(current.as_str(), 206), ("\"other\"", 200), ("W/\"x\"", 200)] {
            let ask = ask("GET").header("Range", "bytes=0-9").header("If-Range", tag);
            rows.eq(format!("way {way}, If-Range {tag}"), &status, &daemon.ask(&ask).status());
        }
    }
    rows.finish();
}

#[test]
fn who_has_them_already_is_told_so() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let kept = alice.kept(&daemon, "n", "contents");
    let mut rows = Rows::new();
    for (way, ask) in both_ways(&daemon, &alice, &kept.sha256, &kept.uri()).iter().enumerate() {
        let current = tag(&daemon.ask(&ask("GET")));
        for (name, value, status) in [
            ("If-None-Match", current.clone(), 304),
            ("If-None-Match", format!("\"x\", {current}"), 304),
            ("If-None-Match", format!("W/{current}"), 304),
            ("If-None-Match", "*".to_owned(), 304),
            ("If-None-Match", "\"x\"".to_owned(), 200),
            ("If-Match", current.clone(), 200),
        ] {
            for method in ["GET", "HEAD"] {
                let answer = daemon.ask(&ask(method).header(name, &value));
                rows.eq(format!("way {way} {method} {name}: {value}"), &status, &answer.status());
                rows.holds(
                    format!("way {way} {name}: no body"),
                    status == 200 || answer.body.is_empty(),
                    answer.text(),
                );
                if status == 304 {
                    rows.eq(format!("way {way} {name}: tag"), &current, &tag(&answer));
                }
            }
        }
    }
    rows.finish();
}

#[test]
fn what_is_not_the_callers_does_not_exist() {
    let daemon = Daemon::builder().start();
    let [alice, bob] = ["alice", "bob"].map(|owner| Tenant::with(&daemon, owner, &["--session", "shared"]));
    let garden = Tenant::with(&daemon, "alice", &["--session", "garden"]);
    let kept = alice.kept(&daemon, "n", "alice's");
    let hash = &kept.sha256;
    let mut rows = Rows::new();
    let status = |ask: &Ask| daemon.ask(ask).status();
    rows.eq("another session of hers", &200, &status(&garden.contents(hash)));
    rows.eq("only that session", &404, &status(&garden.files("GET", &format!("/{hash}?session_id=garden"))));
    rows.eq("the right session", &200, &status(&garden.files("GET", &format!("/{hash}?session_id=shared"))));
    rows.eq("in upper case", &200, &status(&alice.contents(&hash.to_uppercase())));
    for method in ["GET", "HEAD", "DELETE"] {
        for query in ["", "?session_id=shared"] {
            rows.eq(format!("bob's {method}{query}"), &404, &status(&bob.files(method, &format!("/{hash}{query}"))));
        }
    }
    let seen = daemon.ask(&bob.contents(hash));
    rows.eq("nothing is given away", &daemon.ask(&bob.contents(NO_SUCH_HASH)).problem(), &seen.problem());
    rows.eq("nobody's", &404, &status(&alice.contents(NO_SUCH_HASH)));
    for wrong in ["zz", &hash[1..], &format!("{hash}0"), "%00", "..", "%2e%2e%2fsecret", "*"] {
        let answer = daemon.ask(&alice.contents(wrong));
        rows.holds(wrong, [400, 404].contains(&answer.status()), answer.text());
        rows.eq(format!("{wrong}: from inside"), &None, &leak(&answer));
    }
    let query = alice.files("GET", &format!("/{hash}?session_id=../x"));
    rows.eq("a bad session", &"400 invalid_request".to_owned(), &daemon.ask(&query).fate());
    rows.eq("no key", &401, &status(&Ask::get(CONNECT, &format!("{FILES}/{hash}"))));
    let context = Tenant::with(&daemon, "alice", &["--scope", "context:write"]);
    rows.eq("no scope", &"403 forbidden".to_owned(), &daemon.ask(&context.contents(hash)).fate());
    let reader = Tenant::with(&daemon, "alice", &["--scope", "files:read"]);
    rows.eq("the scope", &200, &status(&reader.contents(hash)));
    for method in ["PUT", "POST", "PATCH"] {
        rows.eq(method, &405, &status(&alice.files(method, &format!("/{hash}")).body("x")));
    }
    // Equal contents of two tenants are two.
    let bobs = bob.kept(&daemon, "m", "alice's");
    rows.eq("the same of bob's", &200, &status(&bob.contents(&bobs.sha256)));
    rows.eq("DELETE", &200, &status(&bob.files("DELETE", &format!("/{hash}?session_id=shared"))));
    rows.eq("hers is still there", &"alice's".to_owned(), &daemon.ask(&alice.contents(hash)).text());
    rows.finish();
}

#[test]
fn a_downloads_token_is_all_that_its_bearer_needs() {
    let daemon = Daemon::builder().start();
    let [alice, bob] = ["alice", "bob"].map(|owner| Tenant::with(&daemon, owner, &["--session", "shared"]));
    let kept = alice.kept(&daemon, "n", "contents");
    let resource = format!("resource://connect/shared/{}-n", kept.sha256);
    let mut rows = Rows::new();
    for uri in [kept.uri(), resource] {
        let answer = presign_download(&daemon, &alice, &json!({"uri": uri}));
        let shape = json!({"ok": true, "download_url": "<text>", "expires_in": 3600, "expires_at": "<time>"});
        rows.eq(&uri, &Vec::<String>::new(), &misfits(&shape, &answer.json()));
        let link = Link::of(&answer, "download_url");
        rows.holds(&uri, link.url.contains("/api/files/download/"), &link.url);
        for _ in 0..3 {
            let read = link.get(&daemon);
            rows.eq(&uri, &(200, "contents".to_owned()), &(read.status(), read.text()));
        }
        let keyed = link.ask("GET").header(KEY_HEADER, &bob.key);
        rows.eq(format!("{uri}, with another key"), &200, &daemon.ask(&keyed).status());
        let token = link.token();
        for wrong in [format!("{token}A"), token[1..].to_owned(), token.replace('.', ""), "x".to_owned()] {
            if wrong != token {
                let answer = link.with_token(&wrong).get(&daemon);
                rows.eq(format!("{uri}: {wrong}"), &NO_TOKEN.to_owned(), &answer.fate());
            }
        }
        for method in ["PUT", "POST", "DELETE"] {
            let status = daemon.ask(&link.ask(method).body("x")).status();
            rows.holds(format!("{uri}: {method}"), [401, 405].contains(&status), status);
        }
    }
    for (what, body, statuses) in [
        ("no uri", json!({}), &[400][..]),
        ("null", json!({"uri": null}), &[400]),
        ("a number", json!({"uri": 5}), &[400]),
        ("no URI", json!({"uri": "nonsense"}), &[400]),
        ("dots", json!({"uri": "r2://files/../secret"}), &[400, 404]),
        ("a NUL", json!({"uri": format!("{}\u{0}", kept.uri())}), &[400, 404]),
        ("long", json!({"uri": format!("r2://files/shared/{}", "k".repeat(2048))}), &[400, 404]),
        ("nothing there", json!({"uri": "r2://files/shared/nothing"}), &[404]),
        ("a file", json!({"uri": "file:///etc/passwd"}), &[400]),
    ] {
        let answer = presign_download(&daemon, &alice, &body);
        rows.holds(what, statuses.contains(&answer.status()), answer.text());
        rows.eq(format!("{what}: from inside"), &None, &leak(&answer));
    }
    for body in ["", "{", "null", "[]"] {
        let answer = daemon.ask(&alice.files("POST", "/presign-download").body(body));
        rows.eq(format!("{body:?}"), &400, &answer.status());
    }
    let foreign = presign_download(&daemon, &bob, &json!({"uri": kept.uri()}));
    rows.eq("another tenant's", &404, &foreign.status());
    let link = Link::of(&presign_download(&daemon, &alice, &json!({"uri": kept.uri()})), "download_url");
    let daemon = daemon.restart();
    rows.eq("after a restart", &200, &link.get(&daemon).status());
    let deleted = daemon.ask(&alice.files("DELETE", &format!("/{}?session_id=shared", kept.sha256)));
    rows.eq("DELETE", &200, &deleted.status());
    let gone = link.get(&daemon).status();
    rows.holds("the file is gone", [401, 404].contains(&gone), gone);
    rows.finish();
}

#[test]
fn a_reader_that_leaves_or_dawdles_is_no_trouble() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let body = contents(1, 16 * MIB);
    let kept = alice.kept(&daemon, "n", &body);
    let ask = alice.contents(&kept.sha256).to_bytes();
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut gone = daemon.connect();
        gone.send(&ask).head("GET").unwrap();
        assert!(gone.piece().unwrap().is_some());
        drop(gone);
        let mut client = daemon.connect();
        client.send(&ask).head("GET").unwrap();
        slow.push(client);
    }
    // They hold nothing up.
    assert!(daemon.ask(&alice.contents(&kept.sha256)).body == body);
    for mut client in slow {
        let mut read = Vec::new();
        while let Some(piece) = client.piece().unwrap() {
            read.extend_from_slice(&piece);
        }
        assert!(read == body, "{} bytes", read.len());
    }
}

/// The most memory that it has had, in KiB.
fn peak(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

#[test]
fn contents_pass_through_and_are_not_gathered_in_memory() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let warm = alice.presigned(&daemon, "warm", MIB);
    warm.put(&daemon, contents(0, MIB));
    let before = peak(&daemon);
    let body = contents(1, 192 * MIB);
    let link = alice.presigned(&daemon, "large", body.len());
    assert_eq!(link.put(&daemon, &body).status(), 200);
    let uploaded = peak(&daemon);
    assert!(uploaded < before + 64 * 1024, "{before} KiB before, {uploaded} KiB after an upload of 192 MiB");
    assert!(daemon.ask(&alice.contents(&sha256(&body))).body == body);
    let downloaded = peak(&daemon);
    assert!(downloaded < before + 64 * 1024, "{before} KiB before, {downloaded} KiB after a download of 192 MiB");
    let ranged = alice.contents(&sha256(&body)).header("Range", &format!("bytes=-{}", 100 * MIB));
    assert_eq!(daemon.ask(&ranged).body.len(), 100 * MIB);
    assert!(peak(&daemon) < before + 64 * 1024);
}

#[test]
fn the_address_of_contents_says_which_file_is_meant() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::with(&daemon, "alice", &["--session", "desk"]);
    let [first, second] = ["first.txt", "second.txt"].map(|name| alice.kept(&daemon, name, "the same"));
    let seen = daemon.ask(&alice.contents(&first.sha256));
    assert_eq!(seen.text(), "the same");
    for (kept, name) in [(&first, "first.txt"), (&second, "second.txt")] {
        let body = json!({"uri": kept.uri()});
        let link = Link::of(&presign_download(&daemon, &alice, &body), "download_url");
        let disposition = link.get(&daemon).header("content-disposition").unwrap_or_default().to_owned();
        assert!(disposition.contains(name), "{disposition}");
        let by_uri = daemon.ask(&alice.ask("GET", &format!("/resource?uri={}", encoded(&kept.uri()))));
        let disposition = by_uri.header("content-disposition").unwrap_or_default().to_owned();
        assert!(by_uri.text() == "the same" && disposition.contains(name), "{disposition}");
    }
}
