//! The S3 endpoint: sessions are buckets, files are objects, and what is done by S3 shows everywhere else.

use serde_json::{Value, json};

use crate::support::files::{KIB, MIB, Shelf, are_there, contents, ends_whole, is_range, md5, sha256};
use crate::support::shape::misfits;
use crate::support::sigv4::{Signer, Unsigned, completion, element, elements, fate, files_host, minutes_from_now};
use crate::support::stream::Stream;
use crate::support::{API, Ask, CONNECT, Daemon, Rows, Tenant, eventually};

/// A daemon with a key of `alice` in `desk`.
fn desk() -> (Daemon, Tenant, Signer) {
    let daemon = Daemon::builder().start();
    let alice = Tenant::with(&daemon, "alice", &["--session", "desk"]);
    let s3 = Signer::of(&daemon, &alice);
    (daemon, alice, s3)
}

#[test]
fn the_command_line_says_what_a_client_needs() {
    let daemon = Daemon::builder().start();
    let mut rows = Rows::new();
    for (session, own) in [("desk", true), ("2026-01-02.notes", true), ("Desk_1", false), ("ab", false)] {
        let alice = Tenant::with(&daemon, "alice", &["--session", session]);
        let s3 = Signer::of(&daemon, &alice);
        if own {
            rows.eq(session, &session, &s3.bucket.as_str());
        } else {
            let hex = s3.bucket.strip_prefix("s-").unwrap_or_default();
            let fits = hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
            rows.holds(session, fits, &s3.bucket);
        }
        rows.eq(session, &200, &s3.ask(&daemon, &s3.object("PUT", "x").body("x")).status());
        rows.eq(session, &vec![format!("files/{session}/x")], &alice.r2_keys(&daemon));
        let endpoint = s3.endpoint.trim_end_matches('/');
        let fits = endpoint == format!("http://{}:{}", files_host(), daemon.port);
        rows.holds(format!("{session}: endpoint"), fits, endpoint);
        rows.holds(format!("{session}: buckets"), s3.buckets.to_string().contains(&s3.bucket), &s3.buckets);
        let again = Signer::of(&daemon, &alice);
        rows.eq(format!("{session}: the same each time"), &s3.secret_key, &again.secret_key);
        let text = daemon.command(&["keys", "s3", &alice.key_id]);
        let text = String::from_utf8_lossy(&text.stdout).into_owned();
        let all = [&s3.access_key, &s3.secret_key, &s3.bucket];
        rows.holds(format!("{session}: for a person"), all.iter().all(|said| text.contains(*said)), &text);
        rows.holds(format!("{session}: not the key itself"), !text.contains(&alice.key), &text);
    }
    for wrong in ["0000000000000000", "nonsense", ""] {
        let output = daemon.command(&["keys", "s3", wrong, "--format", "json"]);
        rows.eq(format!("{wrong:?}"), &Some(1), &output.status.code());
        rows.holds(format!("{wrong:?}"), output.stdout.is_empty(), &output);
    }
    rows.finish();
    // The same without the daemon, and after it.
    let alice = Tenant::with(&daemon, "alice", &["--session", "desk"]);
    let before = Signer::of(&daemon, &alice);
    let place = daemon.into_place();
    let output = place.command(&["keys", "s3", &alice.key_id, "--format", "json"]);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    assert_eq!(said["secret_key"], before.secret_key.as_str());
    let daemon = place.start();
    before.put(&daemon, "afterwards", "x");
}

#[test]
fn what_is_done_by_s3_shows_everywhere() {
    let (daemon, alice, s3) = desk();
    let mut stream = Stream::open(&daemon, &alice, "");
    let body = contents(1, 100 * KIB);
    let put = s3.object("PUT", "notes/two words.txt").body(&body);
    let put = put.header("content-type", "text/plain").header("x-amz-meta-mtime", "1767323045.5");
    let answer = s3.ask(&daemon, &put);
    let mut rows = Rows::new();
    rows.eq("PUT", &"200".to_owned(), &fate(&answer));
    let tag = format!("\"{}\"", md5(&body));
    rows.eq("its tag is the MD5", &Some(tag.as_str()), &answer.header("etag"));
    let r2_key = "files/desk/notes/two words.txt";
    let event = stream.event().data;
    rows.holds("/sse", event["type"].as_str().is_some_and(|name| name.starts_with("context.files.")), &event);
    rows.eq("/sse", &json!("desk"), &event["sessionId"]);
    let row = alice.all_rows(&daemon).into_iter().find(|row| row["uri"] == format!("r2://{r2_key}"));
    let expected = json!({"r2_key": r2_key, "size": body.len(), "sha256": sha256(&body), "mime": "text/plain"});
    rows.holds("row", row.as_ref().is_some_and(|row| misfits(&expected, row).is_empty()), &row);
    let listed = alice.all_stored(&daemon);
    let expected = json!({"r2_key": r2_key, "size": body.len(), "sha256": sha256(&body), "mime": "text/plain",
        "etag": "<text>", "uri": format!("r2://{r2_key}")});
    rows.eq("list", &Vec::<String>::new(), &misfits(&json!([expected]), &json!(listed)));
    rows.holds("contents", daemon.ask(&alice.contents(&sha256(&body))).body == body, ());
    let synced = alice.synced_by_s3(&daemon);
    rows.eq("one synchronisation", &1, &synced.len());
    rows.holds("which names it", synced[0].to_string().contains("notes/two words.txt"), &synced);
    let counted = daemon.metric("chittyconnect_file_sync_events_total{source=\"s3\"}");
    rows.holds("it is counted", counted.is_some_and(|count| count >= 1.0), counted);

    let get = s3.ask(&daemon, &s3.object("GET", "notes/two words.txt"));
    rows.holds("GET", get.status() == 200 && get.body == body, (get.status(), get.body.len()));
    let head = s3.ask(&daemon, &s3.object("HEAD", "notes/two words.txt"));
    for answer in [&get, &head] {
        rows.eq("tag", &Some(tag.as_str()), &answer.header("etag"));
        rows.eq("type", &Some("text/plain"), &answer.header("content-type"));
        rows.eq("metadata", &Some("1767323045.5"), &answer.header("x-amz-meta-mtime"));
        rows.eq("length", &Some(body.len().to_string().as_str()), &answer.header("content-length"));
        rows.holds("date", answer.header("last-modified").is_some_and(|date| date.ends_with("GMT")), &answer.head);
    }

    // And the other way round: what comes by the API is an object.
    let kept = alice.kept(&daemon, "by-api.txt", "by api");
    let key = kept.r2_key.strip_prefix("files/desk/").unwrap();
    rows.eq("by the API", &"by api".to_owned(), &s3.ask(&daemon, &s3.object("GET", key)).text());
    stream.event();

    let gone = s3.ask(&daemon, &s3.object("DELETE", "notes/two words.txt"));
    rows.eq("DELETE", &"204".to_owned(), &fate(&gone));
    let event = stream.event().data;
    rows.holds("/sse", event["type"].as_str().is_some_and(|name| name.starts_with("context.files.")), &event);
    rows.eq("list", &vec![kept.r2_key.clone()], &alice.r2_keys(&daemon));
    rows.eq("rows", &1, &alice.all_rows(&daemon).len());
    rows.eq("two synchronisations", &2, &alice.synced_by_s3(&daemon).len());
    let answer = s3.ask(&daemon, &s3.object("GET", "notes/two words.txt"));
    rows.eq("GET", &"404 NoSuchKey".to_owned(), &fate(&answer));
    rows.eq("HEAD", &404, &s3.ask(&daemon, &s3.object("HEAD", "notes/two words.txt")).status());
    rows.eq("DELETE again", &"204".to_owned(), &fate(&s3.ask(&daemon, &s3.object("DELETE", "notes/two words.txt"))));
    rows.eq("which is no synchronisation", &2, &alice.synced_by_s3(&daemon).len());
    rows.finish();
    are_there(&daemon, &alice, &[(kept.r2_key, b"by api".to_vec())]);
    ends_whole(daemon);
}

#[test]
fn who_may_not_is_told_so_and_nothing_happens() {
    let (daemon, alice, s3) = desk();
    let bob = Tenant::with(&daemon, "bob", &["--session", "desk"]);
    let bobs_garden = Tenant::with(&daemon, "bob", &["--session", "garden"]);
    let [bobs, garden] = [&bob, &bobs_garden].map(|tenant| Signer::of(&daemon, tenant));
    s3.put(&daemon, "x", "alice's");
    garden.put(&daemon, "y", "bob's");
    let mut rows = Rows::new();
    let object = |method: &str| {
        let unsigned = s3.object(method, "x");
        if method == "PUT" { unsigned.body("spoilt") } else { unsigned }
    };
    let change = |change: &dyn Fn(&mut Signer)| {
        let mut signer = s3.clone();
        change(&mut signer);
        signer
    };
    for (what, signer, word) in [
        ("another secret", change(&|s| s.secret_key = bobs.secret_key.clone()), "SignatureDoesNotMatch"),
        ("no secret", change(&|s| s.secret_key.clear()), "SignatureDoesNotMatch"),
        ("an unknown access key", change(&|s| s.access_key = "AKIAIOSFODNN7EXAMPLE".into()), "InvalidAccessKeyId"),
        ("her key itself", change(&|s| s.access_key = alice.key.clone()), "InvalidAccessKeyId"),
        ("a NUL", change(&|s| s.access_key = "x%00".into()), "InvalidAccessKeyId"),
    ] {
        for method in ["GET", "PUT", "DELETE"] {
            let answer = signer.ask(&daemon, &object(method));
            rows.eq(format!("{method}: {what}"), &format!("403 {word}"), &fate(&answer));
            rows.holds(format!("{method}: {what}: XML"), answer.text().contains("<Error>"), answer.text());
            daemon.access_line("with the code", |line| line["method"] == method && line["error"] == word);
        }
    }
    for minutes in [-20, 20, -60 * 24 * 366] {
        let answer = s3.ask(&daemon, &object("PUT").at(&minutes_from_now(minutes)));
        rows.eq(format!("{minutes} minutes from now"), &"403 RequestTimeTooSkewed".to_owned(), &fate(&answer));
    }
    for minutes in [-10, 10] {
        let answer = s3.ask(&daemon, &object("GET").at(&minutes_from_now(minutes)));
        rows.eq(format!("{minutes} minutes from now"), &"200".to_owned(), &fate(&answer));
    }
    for method in ["GET", "PUT", "DELETE", "HEAD"] {
        let target = format!("/{}/x", s3.bucket);
        let nobody = daemon.ask(&Ask::new(method, &files_host(), &target).body(""));
        rows.eq(format!("{method} without a signature"), &403, &nobody.status());
        let keyed = Ask::new(method, &files_host(), &target).header("X-ChittyOS-API-Key", &alice.key).body("");
        rows.eq(format!("{method} with the key itself"), &403, &daemon.ask(&keyed).status());
    }
    let nobody = daemon.ask(&Ask::get(&files_host(), "/"));
    rows.eq("the buckets of nobody", &403, &nobody.status());
    // A request of which a part was changed after it was signed.
    let sent = String::from_utf8(s3.signed(&object("GET")).to_bytes()).unwrap();
    for (what, from, to) in [("its path", "/desk/x", "/desk/y"), ("its method", "GET ", "DELETE ")] {
        let answer = daemon.raw(sent.replacen(from, to, 1));
        rows.eq(format!("{what} was changed"), &"403 SignatureDoesNotMatch".to_owned(), &fate(&answer));
    }
    let unsigned = sent.replacen("Host: ", "x-amz-meta-evil: 1\r\nHost: ", 1);
    let answer = daemon.raw(unsigned);
    rows.holds("a header was added", [200, 400, 403].contains(&answer.status()), answer.text());

    // Another tenant's bucket is none.
    for (what, signer, bucket) in [("a bucket of bob's", &s3, "garden"), ("nobody's", &s3, "nowhere")] {
        for (method, path) in [("GET", "/y"), ("PUT", "/y"), ("DELETE", "/y"), ("HEAD", "/y"), ("GET", "")] {
            let unsigned = Unsigned::new(method, &format!("/{bucket}{path}"));
            let answer = signer.ask(&daemon, &if method == "PUT" { unsigned.body("spoilt") } else { unsigned });
            let fits = [403, 404].contains(&answer.status()) || method == "DELETE" && answer.status() == 204;
            rows.holds(format!("{what}: {method}{path}"), fits || method == "PUT", fate(&answer));
            rows.holds(format!("{what}: {method}{path}"), !answer.text().contains("bob's"), answer.text());
        }
    }
    let same_name = bobs.ask(&daemon, &bobs.object("GET", "x"));
    rows.eq("bob's bucket of the same name", &404, &same_name.status());
    rows.eq("bob's file", &"bob's".to_owned(), &garden.ask(&daemon, &garden.object("GET", "y")).text());

    // Scopes.
    for (scope, get, put) in [
        ("files:read", "200", "403 AccessDenied"),
        ("context:write", "403 AccessDenied", "403 AccessDenied"),
        ("files:write", "200", "200"),
    ] {
        let tenant = Tenant::with(&daemon, "alice", &["--session", "desk", "--scope", scope]);
        let signer = Signer::of(&daemon, &tenant);
        rows.eq(format!("{scope}: GET"), &get.to_owned(), &fate(&signer.ask(&daemon, &signer.object("GET", "x"))));
        rows.eq(format!("{scope}: list"), &get.to_owned(), &fate(&signer.ask(&daemon, &signer.bucket("GET"))));
        let writes = [
            signer.object("PUT", "z").body("z"),
            signer.object("POST", "z").query("uploads", ""),
            signer.object("PUT", "z").header("x-amz-copy-source", "/desk/x"),
        ];
        for write in writes {
            rows.eq(format!("{scope}: {write:?}"), &put.to_owned(), &fate(&signer.ask(&daemon, &write)));
        }
        let answer = signer.ask(&daemon, &signer.object("DELETE", "z"));
        let expected = if put == "200" { "204" } else { put };
        rows.eq(format!("{scope}: DELETE"), &expected.to_owned(), &fate(&answer));
    }
    // The end of a key is the end of its secret.
    let guest = Tenant::with(&daemon, "alice", &["--session", "desk"]);
    let signer = Signer::of(&daemon, &guest);
    rows.eq("a guest", &"200".to_owned(), &fate(&signer.ask(&daemon, &signer.object("GET", "x"))));
    assert!(daemon.command(&["keys", "revoke", &guest.key_id]).status.success());
    let answer = signer.ask(&daemon, &signer.object("GET", "x"));
    rows.eq("a guest who has left", &403, &answer.status());
    rows.eq("what is there", &"alice's".to_owned(), &s3.ask(&daemon, &s3.object("GET", "x")).text());
    rows.finish();
    assert_eq!(alice.r2_keys(&daemon), ["files/desk/x"]);
}

#[test]
fn lists_are_pages_of_keys_and_of_common_beginnings() {
    let (daemon, _alice, s3) = desk();
    let mut keys: Vec<String> = (0..12).map(|number| format!("a/{number:02}")).collect();
    keys.extend(["a", "a.b", "b/c/d", "b/c/e", "b/f", "x y+z&<>\"'%", "ü/ö"].map(str::to_owned));
    keys.sort();
    for key in &keys {
        s3.put(&daemon, key, key);
    }
    let list = |query: &[(&str, &str)]| {
        let unsigned = query.iter().fold(s3.bucket("GET"), |list, (name, value)| list.query(name, value));
        let answer = s3.ask(&daemon, &unsigned);
        assert_eq!(answer.status(), 200, "{query:?}: {}", answer.text());
        answer.text()
    };
    let prefixes = |xml: &str| -> Vec<String> {
        elements(xml, "CommonPrefixes").iter().map(|common| element(common, "Prefix")).collect()
    };
    let mut rows = Rows::new();
    for size in ["1", "5", "1000"] {
        for (version, cursor, next) in
            [("2", "continuation-token", "NextContinuationToken"), ("1", "marker", "NextMarker")]
        {
            for delimiter in ["", "/"] {
                let what = format!("version {version}, pages of {size}, delimiter {delimiter:?}");
                let (mut seen, mut common, mut from) = (Vec::new(), Vec::new(), String::new());
                for _ in 0..100 {
                    let mut query = vec![("max-keys", size)];
                    if version == "2" {
                        query.push(("list-type", "2"));
                    }
                    if !delimiter.is_empty() {
                        query.push(("delimiter", delimiter));
                    }
                    if !from.is_empty() {
                        query.push((cursor, &from));
                    }
                    let xml = list(&query);
                    let (page, groups) = (elements(&xml, "Key"), prefixes(&xml));
                    let most: usize = size.parse().unwrap();
                    rows.holds(&what, page.len() + groups.len() <= most, &xml);
                    let mut end = page.last().cloned().unwrap_or_default();
                    end = end.max(groups.last().cloned().unwrap_or_default());
                    seen.extend(page);
                    common.extend(groups);
                    if element(&xml, "IsTruncated") != "true" {
                        break;
                    }
                    from = element(&xml, next);
                    if from.is_empty() {
                        // Without a delimiter the first version names no marker.
                        from = end;
                    }
                }
                let (flat, grouped): (Vec<_>, Vec<_>) =
                    keys.iter().cloned().partition(|key| delimiter.is_empty() || !key.contains('/'));
                let mut wanted: Vec<String> =
                    grouped.iter().map(|key| format!("{}/", key.split('/').next().unwrap())).collect();
                wanted.dedup();
                rows.eq(format!("{what}: keys"), &flat, &seen);
                rows.eq(format!("{what}: beginnings"), &wanted, &common);
            }
        }
    }
    let all = list(&[("list-type", "2")]);
    let at = keys.iter().position(|key| key == "a.b").unwrap();
    rows.eq("sizes", &"3".to_owned(), &elements(&all, "Size")[at]);
    let tag = elements(&all, "ETag")[at].trim_matches('"').to_owned();
    rows.eq("tags", &md5("a.b"), &tag);
    rows.eq("times", &keys.len(), &elements(&all, "LastModified").len());
    for (what, query, wanted) in [
        ("a prefix", vec![("prefix", "b/")], vec!["b/c/d", "b/c/e", "b/f"]),
        ("nothing", vec![("prefix", "nothing")], vec![]),
        ("a prefix and a delimiter", vec![("prefix", "b/"), ("delimiter", "/")], vec!["b/f"]),
        ("start after", vec![("start-after", "b/f")], vec!["x y+z&<>\"'%", "ü/ö"]),
        ("start between", vec![("start-after", "b/c/dd")], vec!["b/c/e", "b/f", "x y+z&<>\"'%", "ü/ö"]),
        ("no keys at all", vec![("max-keys", "0")], vec![]),
        ("another delimiter", vec![("delimiter", "/c"), ("prefix", "b")], vec!["b/f"]),
    ] {
        let query = [&[("list-type", "2")], &query[..]].concat();
        rows.eq(what, &wanted.into_iter().map(str::to_owned).collect(), &elements(&list(&query), "Key"));
    }
    // As rclone asks for all of them: what is empty is not there.
    for version in [&[("list-type", "2")][..], &[]] {
        let all = list(&[version, &[("delimiter", ""), ("prefix", ""), ("max-keys", "1000")]].concat());
        rows.eq(format!("an empty delimiter {version:?}"), &keys, &elements(&all, "Key"));
        rows.eq(format!("an empty delimiter {version:?}: beginnings"), &0, &prefixes(&all).len());
    }
    let below = list(&[("list-type", "2"), ("prefix", "b/"), ("delimiter", "/")]);
    rows.eq("its beginnings", &vec!["b/c/".to_owned()], &prefixes(&below));
    let encoded = list(&[("list-type", "2"), ("encoding-type", "url"), ("prefix", "x")]);
    let decoded = percent_encoding::percent_decode_str(&element(&encoded, "Key").replace('+', " "))
        .decode_utf8_lossy()
        .into_owned();
    rows.eq("encoded", &"x y+z&<>\"'%".to_owned(), &decoded);
    for (query, value) in [("max-keys", "x"), ("max-keys", "-1"), ("continuation-token", "nonsense")] {
        let answer = s3.ask(&daemon, &s3.bucket("GET").query("list-type", "2").query(query, value));
        rows.holds(format!("{query}={value}"), answer.status() < 500, fate(&answer));
    }
    rows.finish();
}

#[test]
fn buckets_are_the_sessions_of_the_chitty_id() {
    let (daemon, _alice, s3) = desk();
    let garden = Tenant::with(&daemon, "alice", &["--session", "garden"]);
    let bob = Tenant::with(&daemon, "bob", &["--session", "bobs-own"]);
    let bobs = Signer::of(&daemon, &bob);
    bobs.put(&daemon, "x", "x");
    garden.kept(&daemon, "n", "n");
    s3.put(&daemon, "x", "x");
    let buckets = || elements(&s3.ask(&daemon, &Unsigned::new("GET", "/")).text(), "Name");
    let mut rows = Rows::new();
    rows.eq("those with files", &vec!["desk".to_owned(), "garden".to_owned()], &buckets());
    let bucket = |method: &str, name: &str| s3.ask(&daemon, &Unsigned::new(method, &format!("/{name}")));
    rows.eq("a new one", &200, &bucket("PUT", "shed").status());
    rows.holds("is among them", buckets().contains(&"shed".to_owned()), buckets());
    let again = bucket("PUT", "shed");
    rows.holds("made again", [200, 409].contains(&again.status()), fate(&again));
    rows.eq("HEAD", &200, &bucket("HEAD", "shed").status());
    rows.eq("HEAD of none", &404, &bucket("HEAD", "nowhere").status());
    rows.eq("HEAD of another's", &404, &bucket("HEAD", "bobs-own").status());
    rows.eq("one with files is not removed", &"409 BucketNotEmpty".to_owned(), &fate(&bucket("DELETE", "garden")));
    rows.eq("an empty one is", &204, &bucket("DELETE", "shed").status());
    rows.holds("and is among them no more", !buckets().contains(&"shed".to_owned()), buckets());
    // A key of one session may use all of its chitty id.
    let answer = s3.ask(&daemon, &Unsigned::new("PUT", "/garden/y").body("y"));
    rows.eq("another session of hers", &"200".to_owned(), &fate(&answer));
    rows.holds("is there", garden.r2_keys(&daemon).contains(&"files/garden/y".to_owned()), ());
    for wrong in ["..", "a", "UPPER", "a_b", "a..b", "192.168.0.1", &"b".repeat(64), "ü", "a%00b"] {
        let answer = s3.ask(&daemon, &Unsigned::new("PUT", &format!("/{wrong}")));
        rows.holds(format!("bucket {wrong}"), (400..500).contains(&answer.status()), fate(&answer));
    }
    let location = s3.ask(&daemon, &s3.bucket("GET").query("location", ""));
    rows.eq("location", &200, &location.status());
    rows.finish();
}

#[test]
fn ranges_and_conditions_are_as_over_http() {
    let (daemon, _alice, s3) = desk();
    let body = contents(1, MIB + 3);
    let tag = format!("\"{}\"", s3.put(&daemon, "x", &body));
    let get = |name: &str, value: &str| s3.ask(&daemon, &s3.object("GET", "x").header(name, value));
    let all = body.len();
    let mut rows = Rows::new();
    for (said, range) in [
        ("bytes=0-0".to_owned(), 0..1),
        ("bytes=100-199".to_owned(), 100..200),
        ("bytes=-5".to_owned(), all - 5..all),
        ("bytes=10-".to_owned(), 10..all),
        (format!("bytes={}-{}", all - 1, all + 10), all - 1..all),
    ] {
        is_range(&mut rows, &said, &get("range", &said), &body, range);
    }
    let beyond = get("range", &format!("bytes={all}-"));
    rows.eq("beyond", &"416 InvalidRange".to_owned(), &fate(&beyond));
    let past = "Thu, 01 Jan 2026 00:00:00 GMT".replace("2026", "2020");
    let future = "Fri, 01 Jan 2100 00:00:00 GMT";
    for (name, value, status) in [
        ("if-none-match", tag.as_str(), 304),
        ("if-none-match", "\"other\"", 200),
        ("if-match", tag.as_str(), 200),
        ("if-match", "\"other\"", 412),
        ("if-modified-since", past.as_str(), 200),
        ("if-modified-since", future, 304),
        ("if-unmodified-since", past.as_str(), 412),
        ("if-unmodified-since", future, 200),
    ] {
        let answer = get(name, value);
        // A date in the future is none (RFC 9110 §13.1.3).
        let fits = answer.status() == status || value == future && answer.status() == 200;
        rows.holds(format!("GET {name}: {value}"), fits, (status, fate(&answer)));
        let whole = answer.status() != 200 || answer.body == body;
        rows.holds(format!("GET {name}: {value}: body"), whole, answer.body.len());
    }
    let put = |name: &str, value: &str, key: &str| {
        fate(&s3.ask(&daemon, &s3.object("PUT", key).header(name, value).body("new")))
    };
    rows.eq(
        "one that is there, if there is none",
        &"412 PreconditionFailed".to_owned(),
        &put("if-none-match", "*", "x"),
    );
    rows.eq("one that is not, if there is none", &"200".to_owned(), &put("if-none-match", "*", "y"));
    rows.eq("another one than it is", &"412 PreconditionFailed".to_owned(), &put("if-match", "\"other\"", "x"));
    let answer = get("if-none-match", "\"none\"");
    rows.holds("nothing of it was kept", answer.body == body, answer.body.len());
    rows.eq("the one that it is", &"200".to_owned(), &put("if-match", &tag, "x"));
    let none = put("if-match", &tag, "nothing");
    rows.holds(
        "one that is not, if it is that",
        ["404 NoSuchKey", "412 PreconditionFailed"].contains(&none.as_str()),
        none,
    );
    rows.finish();
}

#[test]
fn a_copy_is_another_name() {
    let (daemon, alice, s3) = desk();
    let bob = Tenant::with(&daemon, "bob", &["--session", "garden"]);
    Signer::of(&daemon, &bob).put(&daemon, "secret", "bob's");
    let body = contents(1, 50 * KIB);
    let put = s3.object("PUT", "folder/x y").header("content-type", "text/plain").header("x-amz-meta-a", "1");
    assert_eq!(s3.ask(&daemon, &put.body(&body)).status(), 200);
    let copy = |to: &str, from: &str| s3.object("PUT", to).header("x-amz-copy-source", from);
    let mut rows = Rows::new();
    for (to, from) in
        [("copy", "/desk/folder/x%20y"), ("copy2", "desk/folder/x%20y"), ("copy 3", "desk%2Ffolder%2Fx%20y")]
    {
        let answer = s3.ask(&daemon, &copy(to, from));
        rows.eq(format!("{to} from {from}"), &"200".to_owned(), &fate(&answer));
        let tag = element(&answer.text(), "ETag").trim_matches('"').to_owned();
        rows.eq(format!("{to}: tag"), &md5(&body), &tag);
        let read = s3.ask(&daemon, &s3.object("GET", to));
        rows.holds(format!("{to}: contents"), read.body == body, fate(&read));
        rows.eq(format!("{to}: type"), &Some("text/plain"), &read.header("content-type"));
        rows.eq(format!("{to}: metadata"), &Some("1"), &read.header("x-amz-meta-a"));
    }
    let replaced = copy("copy", "/desk/copy")
        .header("x-amz-metadata-directive", "REPLACE")
        .header("x-amz-meta-mtime", "5")
        .header("content-type", "text/html");
    rows.eq("itself, with other facts", &"200".to_owned(), &fate(&s3.ask(&daemon, &replaced)));
    let head = s3.ask(&daemon, &s3.object("HEAD", "copy"));
    rows.eq(
        "its facts",
        &(Some("5"), Some("text/html")),
        &(head.header("x-amz-meta-mtime"), head.header("content-type")),
    );
    rows.eq("without the old ones", &None, &head.header("x-amz-meta-a"));
    rows.holds("its contents", s3.ask(&daemon, &s3.object("GET", "copy")).body == body, ());
    let same = s3.ask(&daemon, &copy("copy", "/desk/copy"));
    rows.holds("itself as it is", same.status() < 500, fate(&same));
    for (what, from) in [
        ("nothing there", "/desk/nothing"),
        ("another tenant's", "/garden/secret"),
        ("dots", "/desk/../garden/secret"),
        ("no bucket", "x"),
        ("nothing", ""),
        ("a NUL", "/desk/a%00b"),
    ] {
        let answer = s3.ask(&daemon, &copy("stolen", from));
        rows.holds(what, (400..500).contains(&answer.status()), fate(&answer));
    }
    rows.eq("nothing came of it", &404, &s3.ask(&daemon, &s3.object("HEAD", "stolen")).status());
    // To another session of hers.
    let answer = s3.ask(&daemon, &Unsigned::new("PUT", "/shed").body(""));
    rows.eq("a bucket", &200, &answer.status());
    let across = Unsigned::new("PUT", "/shed/copied").header("x-amz-copy-source", "/desk/copy");
    rows.eq("across", &"200".to_owned(), &fate(&s3.ask(&daemon, &across)));
    rows.finish();
    // One time, whatever its names are.
    let place = daemon.folder().join("data");
    Shelf::Folder.holds_only(&place, 2);
    s3.ask(&daemon, &s3.object("DELETE", "folder/x y"));
    let expected: Vec<_> = ["copy", "copy 3", "copy2"].map(|key| (format!("files/desk/{key}"), body.clone())).into();
    are_there(&daemon, &alice, &expected);
    ends_whole(daemon);
}

/// Begins an upload in parts; its id.
fn begin(daemon: &Daemon, s3: &Signer, key: &str) -> String {
    let begin = s3.object("POST", key).query("uploads", "").header("content-type", "text/x-parts");
    let answer = s3.ask(daemon, &begin.header("x-amz-meta-mtime", "7"));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    element(&answer.text(), "UploadId")
}

fn part(s3: &Signer, key: &str, upload: &str, number: &str, body: &[u8]) -> Unsigned {
    s3.object("PUT", key).query("partNumber", number).query("uploadId", upload).body(body)
}

fn complete(s3: &Signer, key: &str, upload: &str, parts: &[(u32, String)]) -> Unsigned {
    s3.object("POST", key).query("uploadId", upload).body(completion(parts))
}

fn what_comes_in_parts_is_whole_or_not_there(shelf: &Shelf) {
    let daemon = shelf.builder("").start();
    let alice = Tenant::with(&daemon, "alice", &["--session", "desk"]);
    let s3 = Signer::of(&daemon, &alice);
    let body = contents(1, 11 * MIB);
    let pieces: Vec<&[u8]> = body.chunks(5 * MIB).collect();
    let tags: Vec<(u32, String)> = pieces.iter().zip(1..).map(|(piece, number)| (number, md5(piece))).collect();
    let mut rows = Rows::new();
    let upload = begin(&daemon, &s3, "large");
    // In any order, and one of them twice: the last one counts.
    let twice = part(&s3, "large", &upload, "2", pieces[0]);
    rows.eq("a part", &"200".to_owned(), &fate(&s3.ask(&daemon, &twice)));
    for number in [2, 3, 1] {
        let answer = s3.ask(&daemon, &part(&s3, "large", &upload, &number.to_string(), pieces[number - 1]));
        rows.eq(format!("part {number}"), &"200".to_owned(), &fate(&answer));
        let tag = answer.header("etag").unwrap_or_default().trim_matches('"').to_owned();
        rows.eq(format!("part {number}: tag"), &tags[number - 1].1, &tag);
    }
    rows.eq("nothing is there yet", &0, &alice.r2_keys(&daemon).len());
    rows.eq("nor by S3", &"404 NoSuchKey".to_owned(), &fate(&s3.ask(&daemon, &s3.object("GET", "large"))));
    let listed = s3.ask(&daemon, &s3.object("GET", "large").query("uploadId", &upload)).text();
    rows.eq("its parts", &vec!["1".to_owned(), "2".to_owned(), "3".to_owned()], &elements(&listed, "PartNumber"));
    let sizes: Vec<String> = pieces.iter().map(|piece| piece.len().to_string()).collect();
    rows.eq("their sizes", &sizes, &elements(&listed, "Size"));
    let uploads = s3.ask(&daemon, &s3.bucket("GET").query("uploads", "")).text();
    rows.eq("the upload", &vec![upload.clone()], &elements(&uploads, "UploadId"));

    for (what, parts, word) in [
        ("a wrong tag", vec![(1, tags[1].1.clone()), tags[1].clone(), tags[2].clone()], "InvalidPart"),
        ("a part that did not come", vec![tags[0].clone(), (9, tags[1].1.clone())], "InvalidPart"),
        ("not in order", vec![tags[1].clone(), tags[0].clone()], "InvalidPartOrder"),
        ("twice", vec![tags[0].clone(), tags[0].clone()], "InvalidPartOrder"),
        ("no parts", vec![], "MalformedXML"),
        ("a small part that is not the last", vec![tags[2].clone(), (4, md5("4"))], "EntityTooSmall"),
    ] {
        if what.starts_with("a small") {
            s3.ask(&daemon, &part(&s3, "large", &upload, "4", b"4"));
        }
        let answer = s3.ask(&daemon, &complete(&s3, "large", &upload, &parts));
        let seen = elements(&answer.text(), "Code").first().cloned().unwrap_or_default();
        rows.eq(what, &word.to_owned(), &seen);
        rows.eq(format!("{what}: nothing is there"), &0, &alice.r2_keys(&daemon).len());
    }
    let one = begin(&daemon, &s3, "one");
    for (what, unsigned) in [
        ("another upload's part", part(&s3, "large", "5f0c0a526a394c1b9a493d1f5b0a7e11", "1", b"x")),
        ("no upload's", part(&s3, "large", "nonsense", "1", b"x")),
        ("another object's", part(&s3, "other", &one, "1", b"x")),
        ("another object's end", complete(&s3, "other", &upload, &tags)),
        ("an upload that is not there", complete(&s3, "large", "5f0c0a526a394c1b9a493d1f5b0a7e11", &tags)),
    ] {
        let answer = s3.ask(&daemon, &unsigned);
        rows.eq(what, &"404 NoSuchUpload".to_owned(), &fate(&answer));
    }
    for number in ["0", "10001", "-1", "x", ""] {
        let answer = s3.ask(&daemon, &part(&s3, "large", &upload, number, b"x"));
        rows.holds(format!("part {number:?}"), answer.status() == 400, fate(&answer));
    }
    let mallory = Tenant::with(&daemon, "mallory", &["--session", "desk"]);
    let foreign = Signer::of(&daemon, &mallory);
    let answer = foreign.ask(&daemon, &part(&foreign, "large", &upload, "1", b"x"));
    rows.eq("another tenant's", &404, &answer.status());

    let abort = s3.object("DELETE", "one").query("uploadId", &one);
    rows.eq("abort of one", &204, &s3.ask(&daemon, &abort).status());

    // An upload outlasts the daemon.
    let daemon = daemon.killed().start();
    let done = s3.ask(&daemon, &complete(&s3, "large", &upload, &tags));
    rows.eq("complete", &200, &done.status());
    let digests: Vec<u8> = tags.iter().flat_map(|(_, tag)| hex::decode(tag).unwrap()).collect();
    let tag = format!("{}-3", md5(digests));
    rows.eq("its tag", &tag, &element(&done.text(), "ETag").trim_matches('"').to_owned());
    let read = s3.ask(&daemon, &s3.object("GET", "large"));
    rows.holds("contents", read.body == body, (fate(&read), read.body.len()));
    rows.eq("its tag", &Some(format!("\"{tag}\"")), &read.header("etag").map(str::to_owned));
    rows.eq(
        "its facts",
        &(Some("text/x-parts"), Some("7")),
        &(read.header("content-type"), read.header("x-amz-meta-mtime")),
    );
    rows.holds("by its SHA-256", daemon.ask(&alice.contents(&sha256(&body))).body == body, ());
    rows.eq("one synchronisation", &1, &alice.synced_by_s3(&daemon).len());
    let again = s3.ask(&daemon, &complete(&s3, "large", &upload, &tags));
    rows.holds("complete, once more", [200, 404].contains(&again.status()), fate(&again));
    rows.finish();
    let mut rows = Rows::new();
    shelf.holds_only(daemon.folder(), 1);

    // One that is given up leaves nothing.
    let upload = begin(&daemon, &s3, "given up");
    for number in ["1", "2"] {
        s3.ask(&daemon, &part(&s3, "given up", &upload, number, pieces[0]));
    }
    let abort = s3.object("DELETE", "given up").query("uploadId", &upload);
    rows.eq("abort", &204, &s3.ask(&daemon, &abort).status());
    shelf.holds_only(daemon.folder(), 1);
    rows.eq("abort again", &"404 NoSuchUpload".to_owned(), &fate(&s3.ask(&daemon, &abort)));
    let uploads = s3.ask(&daemon, &s3.bucket("GET").query("uploads", "")).text();
    rows.eq("no upload is left", &0, &elements(&uploads, "UploadId").len());
    rows.finish();
    are_there(&daemon, &alice, &[("files/desk/large".to_owned(), body)]);
    ends_whole(daemon);
}

#[test]
fn parts_are_copied_too() {
    let (daemon, _alice, s3) = desk();
    let body = contents(1, 6 * MIB);
    s3.put(&daemon, "source", &body);
    let upload = begin(&daemon, &s3, "target");
    let copied = |number: &str, range: &str| {
        let unsigned = s3.object("PUT", "target").query("partNumber", number).query("uploadId", &upload);
        let answer = s3.ask(
            &daemon,
            &unsigned.header("x-amz-copy-source", "/desk/source").header("x-amz-copy-source-range", range),
        );
        assert_eq!(answer.status(), 200, "{}", answer.text());
        element(&answer.text(), "ETag").trim_matches('"').to_owned()
    };
    let parts = [(1, copied("1", "bytes=0-5242879")), (2, copied("2", "bytes=5242880-6291455"))];
    assert_eq!(parts[0].1, md5(&body[..5 * MIB]));
    let done = s3.ask(&daemon, &complete(&s3, "target", &upload, &parts));
    assert_eq!(done.status(), 200, "{}", done.text());
    assert!(s3.ask(&daemon, &s3.object("GET", "target")).body == body);
}

#[test]
fn a_body_is_what_its_signer_said() {
    let (daemon, alice, s3) = desk();
    let body = contents(1, 200 * KIB);
    let mut rows = Rows::new();
    let pieces = |change: &dyn Fn(&mut Vec<u8>)| {
        s3.signed_in_pieces(s3.object("PUT", "pieces").body(&body), 64 * KIB, |sent| change(sent))
    };
    for (what, ask, fates) in [
        ("in signed pieces", pieces(&|_| {}), &["200"][..]),
        ("one byte of a piece was changed", pieces(&|sent| sent[1000] ^= 1), &["403 SignatureDoesNotMatch"]),
        ("the last piece was cut off", pieces(&|sent| sent.truncate(sent.len() - 90)), &["400", "403"]),
        (
            "another SHA-256",
            s3.signed(&s3.object("PUT", "other").body(&body).payload(&sha256("other"))),
            &["400 XAmzContentSHA256Mismatch", "400 BadDigest"],
        ),
        (
            "unsigned contents",
            s3.signed(&s3.object("PUT", "unsigned").body(&body).payload("UNSIGNED-PAYLOAD")),
            &["200"],
        ),
        (
            "another MD5",
            s3.signed(&s3.object("PUT", "md5").body(&body).header("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")),
            &["400 BadDigest"],
        ),
        (
            "no MD5",
            s3.signed(&s3.object("PUT", "md5").body(&body).header("content-md5", "nonsense")),
            &["400 InvalidDigest"],
        ),
        (
            "another checksum",
            s3.signed(&s3.object("PUT", "crc").body(&body).header("x-amz-checksum-crc32", "AAAAAA==")),
            &["400"],
        ),
        ("nothing", s3.signed(&s3.object("PUT", "empty")), &["200"]),
    ] {
        let answer = daemon.ask(&ask);
        let seen = fate(&answer);
        rows.holds(what, fates.iter().any(|fate| seen.starts_with(fate)), (&seen, answer.text()));
    }
    rows.eq(
        "what is there",
        &["empty", "pieces", "unsigned"].map(|key| format!("files/desk/{key}")).to_vec(),
        &alice.r2_keys(&daemon),
    );
    rows.holds("contents", s3.ask(&daemon, &s3.object("GET", "pieces")).body == body, ());

    // Links.
    let link = |method: &str, seconds| s3.presigned(&s3.object(method, "pieces").body("by link"), seconds);
    rows.holds("GET by a link", daemon.ask(&link("GET", 60)).body == body, ());
    rows.eq("PUT by a link", &"200".to_owned(), &fate(&daemon.ask(&link("PUT", 60))));
    rows.eq("what was put", &"by link".to_owned(), &daemon.ask(&link("GET", 60)).text());
    let old = s3.presigned(&s3.object("GET", "pieces").at(&minutes_from_now(-10)), 60);
    rows.eq("an old link", &403, &daemon.ask(&old).status());
    let long = s3.presigned(&s3.object("GET", "pieces"), 700_000);
    rows.holds("a link for more than a week", (400..=403).contains(&daemon.ask(&long).status()), ());
    let other = String::from_utf8(link("GET", 60).to_bytes()).unwrap().replacen("/desk/pieces", "/desk/unsigned", 1);
    rows.eq("a link to something else", &403, &daemon.raw(other).status());
    rows.finish();
    Shelf::Folder.holds_only(&daemon.folder().join("data"), 3);
    ends_whole(daemon);
}

#[test]
fn keys_are_names_and_lead_nowhere_else() {
    let (daemon, alice, s3) = desk();
    let mut rows = Rows::new();
    let longest = "k".repeat(1024);
    let good = ["a b", "a+b", "a%2Fb", "ü/日本", "a//b", "folder/", "...", "..a/b..", "~", "'\"<>&;=?#", &longest];
    for key in good {
        let put = s3.ask(&daemon, &s3.object("PUT", key).body(key));
        rows.eq(format!("PUT {key}"), &"200".to_owned(), &fate(&put));
        let get = s3.ask(&daemon, &s3.object("GET", key));
        rows.eq(format!("GET {key}"), &key.to_owned(), &get.text());
    }
    let mut wanted: Vec<String> = good.iter().map(|key| format!("files/desk/{key}")).collect();
    wanted.sort();
    rows.eq("listed", &wanted, &alice.r2_keys(&daemon));
    let too_long = "k".repeat(1025);
    for key in ["a\u{0}b", "\u{0}", "a\nb", "..", "a/../b", "../x", "./x", "a/.", &too_long] {
        let put = s3.ask(&daemon, &s3.object("PUT", key).body("evil"));
        rows.holds(format!("PUT {key:?}"), (400..500).contains(&put.status()), fate(&put));
        let get = s3.ask(&daemon, &s3.object("GET", key));
        rows.holds(format!("GET {key:?}"), (400..500).contains(&get.status()), fate(&get));
        let delete = s3.ask(&daemon, &s3.object("DELETE", key));
        rows.holds(format!("DELETE {key:?}"), delete.status() < 500, fate(&delete));
    }
    rows.eq("listed", &wanted, &alice.r2_keys(&daemon));
    let evil = daemon.folder().join("evil");
    rows.holds("nothing beside", !evil.exists(), ());
    rows.finish();
    ends_whole(daemon);
}

#[test]
fn many_go_at_once() {
    let (daemon, alice, s3) = desk();
    for key in ["a", "b/c", "d e", "kept"] {
        s3.put(&daemon, key, key);
    }
    let remove = |keys: &[&str], quiet: bool| {
        let objects: Vec<String> = keys.iter().map(|key| format!("<Object><Key>{key}</Key></Object>")).collect();
        let quiet = if quiet { "<Quiet>true</Quiet>" } else { "" };
        let body = format!("<Delete>{}{quiet}</Delete>", objects.concat());
        let digest = crate::support::files::base64(hex::decode(md5(&body)).unwrap());
        s3.ask(&daemon, &s3.bucket("POST").query("delete", "").header("content-md5", &digest).body(body))
    };
    let answer = remove(&["a", "b/c", "nothing"], false);
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(elements(&answer.text(), "Key"), ["a", "b/c", "nothing"]);
    let quiet = remove(&["d e"], true);
    assert_eq!((quiet.status(), elements(&quiet.text(), "Key").len()), (200, 0));
    let mut rows = Rows::new();
    for (what, body) in [("no XML", "nonsense"), ("none", "<Delete></Delete>"), ("cut", "<Delete><Object>")] {
        let digest = crate::support::files::base64(hex::decode(md5(body)).unwrap());
        let answer = s3.ask(&daemon, &s3.bucket("POST").query("delete", "").header("content-md5", &digest).body(body));
        rows.holds(what, answer.status() < 500, fate(&answer));
    }
    let keys: Vec<String> = (0..1001).map(|number| number.to_string()).collect();
    let many = remove(&keys.iter().map(String::as_str).collect::<Vec<_>>(), false);
    rows.eq("1,001", &400, &many.status());
    rows.finish();
    are_there(&daemon, &alice, &[("files/desk/kept".to_owned(), b"kept".to_vec())]);
}

fn limits_hold_by_s3_too(shelf: &Shelf) {
    let daemon = shelf.builder("max_bytes: 6MiB, quota: 9MiB").start();
    let alice = Tenant::with(&daemon, "alice", &["--session", "desk"]);
    let s3 = Signer::of(&daemon, &alice);
    let body = contents(1, 5 * MIB);
    let mut rows = Rows::new();
    let large = s3.ask(&daemon, &s3.object("PUT", "large").body(contents(2, 6 * MIB + 1)));
    rows.eq("more than a file may have", &"400 EntityTooLarge".to_owned(), &fate(&large));
    s3.put(&daemon, "first", &body);
    let full = s3.ask(&daemon, &s3.object("PUT", "second").body(contents(3, 5 * MIB)));
    rows.holds("more than the quota", [400, 403, 507].contains(&full.status()), fate(&full));
    rows.eq("the same again", &"200".to_owned(), &fate(&s3.ask(&daemon, &s3.object("PUT", "third").body(&body))));
    shelf.holds_only(daemon.folder(), 1);
    // Parts count while they wait, and no longer.
    let upload = begin(&daemon, &s3, "parts");
    let one = s3.ask(&daemon, &part(&s3, "parts", &upload, "1", &contents(4, 5 * MIB)));
    rows.holds("a part, more than the quota", [400, 403, 507].contains(&one.status()), fate(&one));
    s3.ask(&daemon, &s3.object("DELETE", "first"));
    s3.ask(&daemon, &s3.object("DELETE", "third"));
    for number in ["1", "2"] {
        let piece = contents(number.len() as u64 + 5, 4 * MIB);
        let answer = s3.ask(&daemon, &part(&s3, "parts", &upload, number, &piece));
        rows.eq(format!("part {number}"), &"200".to_owned(), &fate(&answer));
    }
    let third = s3.ask(&daemon, &part(&s3, "parts", &upload, "3", &contents(9, 2 * MIB)));
    rows.holds("a third one", [400, 403, 507].contains(&third.status()), fate(&third));
    s3.ask(&daemon, &s3.object("DELETE", "parts").query("uploadId", &upload));
    shelf.holds_only(daemon.folder(), 0);
    rows.eq("when they are gone", &"200".to_owned(), &fate(&s3.ask(&daemon, &s3.object("PUT", "second").body(&body))));
    // Parts that are together more than a file may have.
    let rich = Tenant::with(&daemon, "bob", &["--session", "desk", "--quota", "1GiB"]);
    let s3 = Signer::of(&daemon, &rich);
    let upload = begin(&daemon, &s3, "parts");
    let pieces = [contents(1, 5 * MIB), contents(2, 5 * MIB)];
    let mut tags = Vec::new();
    for (number, piece) in (1..).zip(&pieces) {
        s3.ask(&daemon, &part(&s3, "parts", &upload, &number.to_string(), piece));
        tags.push((number, md5(piece)));
    }
    let answer = s3.ask(&daemon, &complete(&s3, "parts", &upload, &tags));
    rows.holds("10 MiB of parts", answer.text().contains("EntityTooLarge"), answer.text());
    rows.eq("nothing is there", &0, &rich.r2_keys(&daemon).len());
    rows.finish();
}

fn a_client_that_vanishes_leaves_nothing(shelf: &Shelf) {
    let daemon = shelf.builder("").start();
    let alice = Tenant::with(&daemon, "alice", &["--session", "desk"]);
    let s3 = Signer::of(&daemon, &alice);
    let body = contents(1, 8 * MIB);
    let upload = begin(&daemon, &s3, "parts");
    for unsigned in [s3.object("PUT", "x").body(&body), part(&s3, "parts", &upload, "1", &body)] {
        let bytes = s3.signed(&unsigned).to_bytes();
        let mut client = daemon.connect();
        client.send(&bytes[..bytes.len() - MIB]);
        if matches!(shelf, Shelf::Folder) {
            eventually("it has begun", || {
                if shelf.on_their_way(daemon.folder()).is_empty() { Err("nothing is on its way") } else { Ok(()) }
            });
        }
        drop(client);
        shelf.holds_only(daemon.folder(), 0);
    }
    let listed = s3.ask(&daemon, &s3.object("GET", "parts").query("uploadId", &upload)).text();
    assert_eq!(elements(&listed, "PartNumber").len(), 0, "{listed}");
    assert_eq!(alice.r2_keys(&daemon).len(), 0);
    s3.put(&daemon, "x", &body);
    are_there(&daemon, &alice, &[("files/desk/x".to_owned(), body)]);
    ends_whole(daemon);
}

crate::support::files::on_each_shelf! {
    what_comes_in_parts_is_whole_or_not_there,
    limits_hold_by_s3_too,
    a_client_that_vanishes_leaves_nothing,
}

#[test]
fn what_it_does_not_have_it_says_and_it_is_on_its_own_host_only() {
    let (daemon, alice, s3) = desk();
    s3.put(&daemon, "x", "x");
    let mut rows = Rows::new();
    let of_buckets =
        ["acl", "versioning", "policy", "lifecycle", "tagging", "website", "object-lock", "cors", "encryption"];
    let of_objects = ["acl", "tagging", "retention", "legal-hold"];
    let buckets = of_buckets.map(|query| (s3.bucket("GET"), s3.bucket("PUT"), query));
    let objects = of_objects.map(|query| (s3.object("GET", "x"), s3.object("PUT", "x"), query));
    for (get, put, query) in buckets.into_iter().chain(objects) {
        for unsigned in [get, put] {
            let answer = s3.ask(&daemon, &unsigned.clone().query(query, ""));
            let fits = answer.status() < 500 || answer.status() == 501;
            rows.holds(format!("{unsigned:?} ?{query}"), fits, fate(&answer));
        }
    }
    rows.eq("what is there", &"x".to_owned(), &s3.ask(&daemon, &s3.object("GET", "x")).text());
    let signed = String::from_utf8(s3.signed(&s3.object("GET", "x")).to_bytes()).unwrap();
    for host in [CONNECT, API] {
        let answer = daemon.raw(signed.replacen(&files_host(), host, 1));
        rows.holds(format!("on {host}"), [401, 403, 404].contains(&answer.status()), answer.text());
    }
    for target in ["/health", "/api/files", "/openapi.json"] {
        let ask = Ask::get(&files_host(), target).header("X-ChittyOS-API-Key", &alice.key);
        rows.eq(format!("{target} on its host"), &403, &daemon.ask(&ask).status());
    }
    // With a port in its Host, as clients send it, and under another name of its own.
    let with_port = format!("{}:{}", files_host(), daemon.port);
    let answer = daemon.raw(signed.replacen(&files_host(), &with_port, 1));
    rows.eq("a host that was not signed", &"403 SignatureDoesNotMatch".to_owned(), &fate(&answer));
    rows.finish();

    let daemon = Daemon::builder().set("gateway", "{files: [s3.example.com, files.chitty.test]}").start();
    let alice = Tenant::with(&daemon, "alice", &["--session", "desk"]);
    let s3 = Signer::of(&daemon, &alice);
    assert!(s3.endpoint.starts_with("http://s3.example.com:"), "{}", s3.endpoint);
    s3.put(&daemon, "x", "x");
}
