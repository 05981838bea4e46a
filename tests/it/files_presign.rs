//! Presigned uploads (CONTRACT.md §4): a place for one body, whose token is all that its bearer needs.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Barrier;
use std::thread;

use serde_json::{Value, json};

use crate::support::files::{FILES, KIB, Link, MIB, NO_TOKEN, Shelf, bad_facts, contents, ends_whole, sha256};
use crate::support::shape::misfits;
use crate::support::stream::Stream;
use crate::support::task::leak;
use crate::support::{API, Ask, CONNECT, Daemon, Ending, Rows, Tenant, eventually};

/// `2026/01/02/1767323045678-` → `0000/00/00/0000000000000-`.
fn digits_as_zeros(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect()
}

#[test]
fn a_presigned_upload_is_one_put_without_a_key() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let mut stream = Stream::open(&daemon, &alice, "");
    let mut rows = Rows::new();
    let body = contents(1, 100 * KIB);
    for (hash, mime) in [(false, false), (false, true), (true, false), (true, true)] {
        let what = format!("sha256 {hash}, mime {mime}");
        let name = format!("report {hash} {mime}.pdf");
        let mut intent = json!({"name": name, "size": body.len(), "session_id": alice.session_id});
        if hash {
            intent["sha256"] = json!(sha256(&body).to_uppercase());
        }
        if mime {
            intent["mime"] = json!("application/pdf");
        }
        let answer = daemon.ask(&alice.presign(&intent));
        let shape = json!({"ok": true, "upload_url": "<text>", "r2_key": "<text>", "expires_in": 3600,
            "expires_at": "<time>"});
        rows.eq(format!("{what}: presign"), &Vec::<String>::new(), &misfits(&shape, &answer.json()));
        let link = Link::of(&answer, "upload_url");
        let base = format!("http://{API}:{}/api/files/upload/", daemon.port);
        rows.holds(format!("{what}: upload_url"), link.url.starts_with(&base), &link.url);
        let day = format!("files/{}/", alice.session_id);
        let name = name.replace(' ', "_");
        let behind = link.r2_key.strip_prefix(&day).unwrap_or_default();
        let (date, rest) = behind.split_at(behind.len().min("2026/01/02/".len()));
        rows.eq(format!("{what}: date in r2_key"), &"0000/00/00/".to_owned(), &digits_as_zeros(date));
        let unique = rest.strip_suffix(&format!("-{name}")).unwrap_or_default();
        if hash {
            rows.eq(format!("{what}: r2_key"), &sha256(&body).as_str(), &unique);
        } else {
            rows.eq(format!("{what}: r2_key"), &"0".repeat(13), &digits_as_zeros(unique));
        }

        let put = link.put(&daemon, &body);
        let expected = json!({"ok": true, "r2_key": link.r2_key, "size": body.len(), "sha256": sha256(&body)});
        rows.eq(format!("{what}: PUT"), &(200, Vec::<String>::new()), &(put.status(), misfits(&expected, &put.json())));
        let row = alice.all_rows(&daemon).into_iter().find(|row| row["uri"] == format!("r2://{}", link.r2_key));
        let mime = if mime { json!("application/pdf") } else { json!(null) };
        let expected = json!({"r2_key": link.r2_key, "size": body.len(), "sha256": sha256(&body), "mime": mime,
            "session_id": alice.session_id, "chitty_id": "alice"});
        let row = row.unwrap_or_default();
        rows.holds(format!("{what}: row"), misfits(&expected, &row).is_empty(), &row);
        let event = stream.event().data;
        let expected = json!({"type": "context.files.uploaded", "sessionId": alice.session_id,
            "file": {"r2_key": link.r2_key, "sha256": sha256(&body), "size": body.len(), "name": "<text>"}});
        rows.eq(format!("{what}: event"), &Vec::<String>::new(), &misfits(&expected, &event));
    }
    rows.finish();
    let read = daemon.ask(&alice.contents(&sha256(&body)));
    assert!(read.status() == 200 && read.body == body, "{:?}", read.head);
    Shelf::Folder.holds_only(&daemon.folder().join("data"), 1);
    ends_whole(daemon);
}

#[test]
fn a_name_is_made_safe() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let mut rows = Rows::new();
    for (name, safe) in [
        ("plain-1.2_3.txt", "plain-1.2_3.txt"),
        ("two words.txt", "two_words.txt"),
        ("a/b\\c", "a_b_c"),
        ("../../etc/passwd", ".._.._etc_passwd"),
        ("..", ".."),
        ("%2e%2e%2f", "_2e_2e_2f"),
        ("ü", "_"),
        ("<script>\"'&?#", "_script______"),
    ] {
        let link = alice.presigned(&daemon, name, 3);
        rows.holds(name, link.r2_key.ends_with(&format!("-{safe}")), &link.r2_key);
        let put = link.put(&daemon, name.as_bytes().iter().chain(b"...").copied().take(3).collect::<Vec<u8>>());
        rows.eq(name, &(200, json!(link.r2_key)), &(put.status(), put.json()["r2_key"].clone()));
    }
    // They may be refused, but control characters go nowhere.
    for name in ["a\u{0}b", "a\nb", "a\u{7f}b", "a\u{9b}b"] {
        let answer = daemon.ask(&alice.presign(&json!({"name": name, "size": 3, "session_id": alice.session_id})));
        let safe = answer.status() == 400 || answer.json()["r2_key"].as_str().is_some_and(|key| key.ends_with("-a_b"));
        rows.holds(format!("{name:?}"), safe, answer.text());
    }
    let longest = "n".repeat(255);
    rows.eq("255 bytes", &200, &alice.presigned(&daemon, &longest, 3).put(&daemon, "abc").status());
    rows.finish();
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let good = json!({"name": "n", "size": 3, "session_id": alice.session_id});
    let mut facts = bad_facts();
    facts.extend([("size", Value::Null), ("size", json!(0)), ("name", json!({}))]);
    let mut rows = Rows::new();
    for (member, value) in facts {
        let mut body = good.clone();
        body[member] = value.clone();
        // An optional member may be null.
        if value.is_null() && ["mime", "sha256"].contains(&member) {
            continue;
        }
        let shown: String = value.to_string().chars().take(60).collect();
        let answer = daemon.ask(&alice.presign(&body));
        rows.eq(format!("{member} {shown}"), &"400 invalid_request".to_owned(), &answer.fate());
        rows.eq(format!("{member} {shown}: from inside"), &None, &leak(&answer));
        if value.is_null() {
            body.as_object_mut().unwrap().remove(member);
            let absent = daemon.ask(&alice.presign(&body));
            rows.eq(format!("no {member}"), &"400 invalid_request".to_owned(), &absent.fate());
        }
    }
    let mut large = good.clone();
    large["size"] = json!(5_u64 * 1024 * MIB as u64 + 1);
    rows.eq("more than 5 GiB", &413, &daemon.ask(&alice.presign(&large)).status());
    for size in [json!(1_u64 << 53), json!(i64::MAX), json!(u64::MAX), json!(1e300)] {
        large["size"] = size.clone();
        let status = daemon.ask(&alice.presign(&large)).status();
        rows.holds(format!("size {size}"), [400, 413].contains(&status), status);
    }
    for body in [&b""[..], b"{", b"[1,]", b"{}{}", b"{\"name\":\"\xff\"}", b"nonsense"] {
        let answer = daemon.ask(&alice.files("POST", "/presign").body(body));
        let shown = String::from_utf8_lossy(body);
        rows.eq(format!("{shown:?}"), &"400 presign_failed".to_owned(), &answer.fate());
        rows.eq(format!("{shown:?}: from inside"), &None, &leak(&answer));
    }
    for body in ["null", "[]", "5", "\"x\"", "{}"] {
        rows.eq(body, &400, &daemon.ask(&alice.files("POST", "/presign").body(body)).status());
    }
    let mut foreign = good.clone();
    foreign["chitty_id"] = json!("bob");
    rows.eq("another chitty id", &"403 forbidden".to_owned(), &daemon.ask(&alice.presign(&foreign)).fate());
    for (scope, fate) in
        [("files:read", "403 forbidden"), ("context:write", "403 forbidden"), ("files:write", "200 local")]
    {
        let limited = Tenant::with(&daemon, "alice", &["--scope", scope]);
        rows.eq(scope, &fate.to_owned(), &daemon.ask(&limited.presign(&good)).fate());
    }
    let keyless = Ask::new("POST", CONNECT, &format!("{FILES}/presign")).body(good.to_string());
    rows.eq("no key", &"401 Missing API key".to_owned(), &daemon.ask(&keyless).fate());
    for method in ["GET", "PUT", "DELETE"] {
        let status = daemon.ask(&alice.files(method, "/presign")).status();
        // `presign` stands where a SHA-256 would: no method there knows it.
        rows.holds(method, [400, 404, 405].contains(&status), status);
    }
    let deep = format!("{{\"name\":\"n\",\"size\":3,\"x\":{}}}", "[".repeat(5000));
    rows.eq("deep", &400, &daemon.ask(&alice.files("POST", "/presign").body(deep)).status());
    rows.finish();
    assert_eq!(alice.r2_keys(&daemon), [""; 0]);
}

#[test]
fn a_session_of_another_tenant_is_a_session_of_ones_own() {
    let daemon = Daemon::builder().start();
    let [alice, bob] = ["alice", "bob"].map(|owner| Tenant::with(&daemon, owner, &["--session", "shared"]));
    let body = json!({"name": "n", "size": 3, "session_id": "shared"});
    let link = Link::of(&daemon.ask(&bob.presign(&body)), "upload_url");
    assert_eq!(link.put(&daemon, "bob").status(), 200);
    assert_eq!(alice.r2_keys(&daemon), [""; 0]);
    assert_eq!(alice.all_rows(&daemon).len(), 0);
    assert_eq!(bob.r2_keys(&daemon), [link.r2_key]);
    assert_eq!(daemon.ask(&alice.contents(&sha256("bob"))).status(), 404);
}

/// Sends a body in chunks to a place.
fn put_chunked(daemon: &Daemon, link: &Link, body: &[u8]) -> u16 {
    let mut client = daemon.connect();
    client.send(link.ask("PUT").chunked(body).to_bytes());
    client.try_answer("PUT").map_or(0, |answer| answer.status())
}

fn a_body_that_is_not_what_was_said_leaves_nothing_and_the_token_good(shelf: &Shelf) {
    let daemon = shelf.builder("max_bytes: 8MiB").start();
    let alice = Tenant::new(&daemon, "alice");
    let said = contents(1, 300 * KIB);
    let hash = sha256(&said);
    let intent = |hashed: bool| {
        let mut body = json!({"name": "n", "size": said.len(), "session_id": alice.session_id});
        if hashed {
            body["sha256"] = json!(hash);
        }
        Link::of(&daemon.ask(&alice.presign(&body)), "upload_url")
    };
    let other = contents(2, said.len());
    let mut rows = Rows::new();
    let mut kept = 0;
    for (what, body, status, word) in [
        ("one byte more", contents(3, said.len() + 1), 413, ""),
        ("more than any may have", contents(3, 9 * MIB), 413, ""),
        ("one byte less", said[1..].to_vec(), 400, "size_mismatch"),
        ("nothing", Vec::new(), 400, "size_mismatch"),
        ("other contents", other.clone(), 422, "sha256_mismatch"),
    ] {
        for chunked in [false, true] {
            let what = format!("{what}, chunked {chunked}");
            let link = intent(true);
            if chunked {
                rows.eq(&what, &status, &put_chunked(&daemon, &link, &body));
            } else {
                let answer = link.put(&daemon, &body);
                rows.eq(&what, &status, &answer.status());
                rows.holds(format!("{what}: word"), word.is_empty() || answer.problem() == word, answer.text());
                rows.eq(format!("{what}: from inside"), &None, &leak(&answer));
            }
            rows.eq(format!("{what}: kept"), &kept, &alice.r2_keys(&daemon).len());
            rows.eq(format!("{what}: rows"), &kept, &alice.all_rows(&daemon).len());
            shelf.holds_only(daemon.folder(), usize::from(kept > 0));
            rows.eq(format!("{what}: the right one"), &200, &link.put(&daemon, &said).status());
            // The name of a file whose hash was said is the hash: it is the same file each time.
            kept = 1;
        }
    }
    // Without a hash the contents are whatever comes, if they are as many.
    let link = intent(false);
    let answer = link.put(&daemon, &other);
    rows.eq("no hash was said", &(200, json!(sha256(&other))), &(answer.status(), answer.json()["sha256"].clone()));
    rows.finish();
    shelf.holds_only(daemon.folder(), 2);
    ends_whole(daemon);
}

#[test]
fn a_token_opens_one_place_once() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let link = alice.presigned(&daemon, "n", 3);
    let token = link.token().to_owned();
    let mut rows = Rows::new();
    let mut tampered: BTreeSet<String> = BTreeSet::new();
    for at in (0..token.len()).step_by(token.len() / 40 + 1).chain([token.len() - 1]) {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        tampered.insert(String::from_utf8(bytes).unwrap());
    }
    for wrong in [
        token[..token.len() - 1].to_owned(),
        token[..token.len() / 2].to_owned(),
        format!("{token}A"),
        format!("{token}{token}"),
        token.to_uppercase(),
        token.chars().rev().collect(),
        "A".to_owned(),
        "5f0c0a52-6a39-4c1b-9a49-3d1f5b0a7e11".to_owned(),
        "%00".to_owned(),
        "%ff%fe".to_owned(),
        "x".repeat(4000),
    ] {
        tampered.insert(wrong);
    }
    // Another token's head with this one's end, and the other way round.
    let other = alice.presigned(&daemon, "other", 3).token().to_owned();
    let middle = token.len() / 2;
    tampered.insert(format!("{}{}", &token[..middle], &other[middle.min(other.len())..]));
    tampered.insert(format!("{}{}", &other[..middle.min(other.len())], &token[middle..]));
    for wrong in &tampered {
        let shown: String = wrong.chars().take(200).collect();
        rows.eq(shown, &NO_TOKEN.to_owned(), &link.with_token(wrong).put(&daemon, "abc").fate());
    }
    let kept = alice.kept(&daemon, "kept", "kept");
    let answer = daemon.ask(&alice.files("POST", "/presign-download").body(json!({"uri": kept.uri()}).to_string()));
    let download = Link::of(&answer, "download_url");
    rows.eq("a download's token", &NO_TOKEN.to_owned(), &link.with_token(download.token()).put(&daemon, "abc").fate());
    let as_download = download.with_token(&token).get(&daemon);
    rows.eq("an upload's token for a download", &NO_TOKEN.to_owned(), &as_download.fate());
    for method in ["GET", "POST", "DELETE"] {
        let status = daemon.ask(&link.ask(method).body("abc")).status();
        rows.holds(method, [401, 404, 405].contains(&status), status);
    }
    rows.eq("nothing came of it", &1, &alice.r2_keys(&daemon).len());

    rows.eq("the first use", &200, &link.put(&daemon, "abc").status());
    for body in ["abc", "def", "", "longer"] {
        rows.eq(format!("again: {body:?}"), &NO_TOKEN.to_owned(), &link.put(&daemon, body).fate());
    }
    let keyed = link.ask("PUT").header("X-ChittyOS-API-Key", &alice.key).body("abc");
    rows.eq("again, with the key", &NO_TOKEN.to_owned(), &daemon.ask(&keyed).fate());
    let daemon = daemon.restart();
    rows.eq("after a restart", &NO_TOKEN.to_owned(), &link.put(&daemon, "abc").fate());
    let daemon = daemon.killed().start();
    rows.eq("after a kill", &NO_TOKEN.to_owned(), &link.put(&daemon, "abc").fate());
    rows.finish();
}

#[test]
fn a_bearers_own_key_changes_nothing() {
    let daemon = Daemon::builder().start();
    let [alice, bob] = ["alice", "bob"].map(|owner| Tenant::new(&daemon, owner));
    let mut rows = Rows::new();
    for (what, key) in [("another tenant's", bob.key.as_str()), ("nobody's", "chitty_no"), ("her own", &alice.key)] {
        let link = alice.presigned(&daemon, what, 3);
        let ask = link.ask("PUT").header("X-ChittyOS-API-Key", key).header("Content-Type", "x/y").body("abc");
        rows.eq(what, &200, &daemon.ask(&ask).status());
        rows.holds(what, alice.r2_keys(&daemon).contains(&link.r2_key), &link.r2_key);
    }
    rows.eq("bob's", &0, &bob.r2_keys(&daemon).len());
    rows.finish();
}

#[test]
fn of_two_uploads_at_once_with_one_token_one_is_kept() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    for round in 0..8 {
        let name = format!("round-{round}");
        let link = alice.presigned(&daemon, &name, 64 * KIB);
        let bodies: Vec<Vec<u8>> = (0..4).map(|client| contents(100 * round + client, 64 * KIB)).collect();
        let barrier = Barrier::new(bodies.len());
        let (link, daemon, barrier) = (&link, &daemon, &barrier);
        let statuses: Vec<(u16, Ending)> = thread::scope(|scope| {
            let clients: Vec<_> = bodies
                .iter()
                .map(|body| {
                    scope.spawn(move || {
                        let bytes = link.ask("PUT").body(body).to_bytes();
                        let half = bytes.len() / 2;
                        let mut client = daemon.connect();
                        client.send(&bytes[..half]);
                        barrier.wait();
                        client.send(&bytes[half..]);
                        client.try_answer("PUT").map_or_else(|end| (0, end), |answer| (answer.status(), answer.ending))
                    })
                })
                .collect();
            clients.into_iter().map(|client| client.join().unwrap()).collect()
        });
        let won: Vec<usize> = (0..statuses.len()).filter(|&client| statuses[client].0 == 200).collect();
        assert_eq!(won.len(), 1, "{statuses:?}");
        assert!(statuses.iter().all(|(status, _)| [200, 401].contains(status)), "{statuses:?}");
        let kept = daemon.ask(&alice.contents(&sha256(&bodies[won[0]])));
        assert!(kept.status() == 200 && kept.body == bodies[won[0]], "the one that was told so");
        let files = alice.all_stored(daemon);
        let found = files.iter().find(|file| file["r2_key"] == link.r2_key.as_str()).unwrap();
        assert_eq!(found["sha256"], sha256(&bodies[won[0]]));
    }
    Shelf::Folder.holds_only(&daemon.folder().join("data"), 8);
    ends_whole(daemon);
}

#[test]
fn a_token_expires() {
    let daemon = Daemon::builder().set("files", "{token_ttl: 1s}").start();
    let alice = Tenant::new(&daemon, "alice");
    let kept = alice.kept(&daemon, "kept", "kept");
    let answer = daemon.ask(&alice.presign(&json!({"name": "n", "size": 3, "session_id": alice.session_id})));
    assert_eq!(answer.json()["expires_in"], 1);
    let link = Link::of(&answer, "upload_url");
    let body = json!({"uri": kept.uri()}).to_string();
    let download = Link::of(&daemon.ask(&alice.files("POST", "/presign-download").body(body)), "download_url");
    // A body that is too short uses nothing up.
    eventually("the upload's token expires", || match link.put(&daemon, "a").fate() {
        fate if fate == NO_TOKEN => Ok(()),
        fate => Err(fate),
    });
    assert_eq!(link.put(&daemon, "abc").fate(), NO_TOKEN);
    eventually("the download's token expires", || match download.get(&daemon).fate() {
        fate if fate == NO_TOKEN => Ok(()),
        fate => Err(fate),
    });
    assert_eq!(alice.r2_keys(&daemon), [kept.r2_key]);
}

#[test]
fn a_token_goes_with_its_key() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::with(&daemon, "alice", &["--session", "desk"]);
    let other = Tenant::with(&daemon, "alice", &["--session", "desk"]);
    let kept = alice.kept(&daemon, "kept", "kept");
    let link = alice.presigned(&daemon, "n", 3);
    let by_other = other.presigned(&daemon, "m", 3);
    let body = json!({"uri": kept.uri()}).to_string();
    let download = Link::of(&daemon.ask(&alice.files("POST", "/presign-download").body(body)), "download_url");
    assert_eq!(download.get(&daemon).status(), 200);
    assert!(daemon.command(&["keys", "revoke", &alice.key_id]).status.success());
    let mut rows = Rows::new();
    rows.eq("upload", &NO_TOKEN.to_owned(), &link.put(&daemon, "abc").fate());
    rows.eq("download", &NO_TOKEN.to_owned(), &download.get(&daemon).fate());
    rows.eq("another key's", &200, &by_other.put(&daemon, "abc").status());
    rows.eq("kept", &2, &other.r2_keys(&daemon).len());
    rows.finish();
}

fn a_quota_is_kept(shelf: &Shelf) {
    let daemon = shelf.builder("quota: 100KiB").start();
    let alice = Tenant::with(&daemon, "alice", &["--session", "desk"]);
    let [first, second, third] = [1, 2, 3].map(|number| contents(number, 60 * KIB));
    let presign = |tenant: &Tenant, size: usize| {
        daemon.ask(&tenant.presign(&json!({"name": "n", "size": size, "session_id": "desk"})))
    };
    let mut rows = Rows::new();
    let refused = |rows: &mut Rows, what: &str, answer: &crate::support::Answer, left: usize| {
        rows.eq(what, &"507 quota_exceeded".to_owned(), &answer.fate());
        let said = answer.json()["message"].as_str().unwrap_or_default().to_owned();
        rows.holds(format!("{what}: {left} bytes are left"), said.contains(&left.to_string()), said);
    };
    refused(&mut rows, "more than all of it", &presign(&alice, 101 * KIB), 100 * KIB);
    // Two that fit each, but not both.
    let [one, two] = [0, 1].map(|_| Link::of(&presign(&alice, 60 * KIB), "upload_url"));
    rows.eq("the first", &200, &one.put(&daemon, &first).status());
    refused(&mut rows, "the second", &two.put(&daemon, &second), 40 * KIB);
    refused(&mut rows, "presigned afterwards", &presign(&alice, 60 * KIB), 40 * KIB);
    shelf.holds_only(daemon.folder(), 1);
    let direct = daemon.ask(&alice.upload(&alice.direct("direct", &second)));
    refused(&mut rows, "directly", &direct, 40 * KIB);
    shelf.holds_only(daemon.folder(), 1);
    // Equal contents are there once.
    rows.eq("the same under another name", &200, &daemon.ask(&alice.upload(&alice.direct("same", &first))).status());
    // Another session and another key of the same chitty id have the same quota; another chitty id has its own.
    let elsewhere = Tenant::with(&daemon, "alice", &["--session", "garden"]);
    let answer = daemon.ask(&elsewhere.upload(&elsewhere.direct("n", &second)));
    refused(&mut rows, "another session", &answer, 40 * KIB);
    let bob = Tenant::with(&daemon, "bob", &["--session", "desk"]);
    rows.eq("another chitty id", &200, &daemon.ask(&bob.upload(&bob.direct("n", &second))).status());
    // A key may have more, or less.
    let rich = Tenant::with(&daemon, "alice", &["--session", "desk", "--quota", "200KiB"]);
    rows.eq("a key with more", &200, &daemon.ask(&rich.upload(&rich.direct("rich", &second))).status());
    let poor = Tenant::with(&daemon, "carol", &["--session", "desk", "--quota", "1500"]);
    refused(&mut rows, "a key with less", &presign(&poor, 1501), 1500);
    rows.eq("as much as it may", &200, &presign(&poor, 1500).status());
    // What is deleted makes room: the last name of it does.
    for file in rich.all_stored(&daemon) {
        let key = file["r2_key"].as_str().unwrap();
        let hash = file["sha256"].as_str().unwrap();
        let target = format!("/{hash}?session_id=desk&r2_key={}", crate::support::files::encoded(key));
        rows.eq(format!("DELETE {key}"), &200, &daemon.ask(&rich.files("DELETE", &target)).status());
    }
    rows.eq("when there is room", &200, &daemon.ask(&alice.upload(&alice.direct("third", &third))).status());
    // The token whose upload was refused was not used up by that.
    refused(&mut rows, "the second, again", &two.put(&daemon, &second), 40 * KIB);
    let hash = sha256(&third);
    let target = format!("/{hash}?session_id=desk");
    rows.eq("DELETE third", &200, &daemon.ask(&alice.files("DELETE", &target)).status());
    rows.eq("the second, with room", &200, &two.put(&daemon, &second).status());
    rows.finish();
    ends_whole(daemon);
}

fn a_client_that_vanishes_in_mid_upload_leaves_nothing(shelf: &Shelf) {
    let daemon = shelf.builder("").start();
    let alice = Tenant::new(&daemon, "alice");
    let body = contents(1, 8 * MIB);
    let link = alice.presigned(&daemon, "n", body.len());
    for round in 0..6 {
        let bytes = if round % 2 == 0 {
            link.ask("PUT").body(&body).to_bytes()
        } else {
            link.ask("PUT").chunked(&body).to_bytes()
        };
        let mut client = daemon.connect();
        client.send(&bytes[..bytes.len() - 2 * MIB]);
        if matches!(shelf, Shelf::Folder) {
            eventually("the upload has begun", || {
                let begun = shelf.on_their_way(daemon.folder());
                if begun.is_empty() { Err("nothing is on its way") } else { Ok(()) }
            });
        }
        if round < 4 {
            drop(client);
        } else {
            // Half a goodbye: it still listens.
            let answer = client.finish().try_answer("PUT");
            assert!(!answer.as_ref().is_ok_and(|answer| answer.status() == 200), "{answer:?}");
        }
        shelf.holds_only(daemon.folder(), 0);
        assert_eq!((alice.r2_keys(&daemon).len(), alice.all_rows(&daemon).len()), (0, 0));
    }
    let place = ends_whole(daemon);
    shelf.holds_only(place.path(), 0);
    let daemon = place.start();
    assert_eq!(link.put(&daemon, &body).status(), 200, "the token is good, also after a restart");
    assert!(daemon.ask(&alice.contents(&sha256(&body))).body == body);
    shelf.holds_only(daemon.folder(), 1);
    ends_whole(daemon);
}

crate::support::files::on_each_shelf! {
    a_body_that_is_not_what_was_said_leaves_nothing_and_the_token_good,
    a_quota_is_kept,
    a_client_that_vanishes_in_mid_upload_leaves_nothing,
}

#[test]
fn tokens_are_good_as_long_as_the_secret_is_the_same() {
    let daemon = Daemon::builder().set("auth", "{secret_file: \"@DIR@/my-secret\"}").start();
    let alice = Tenant::new(&daemon, "alice");
    let secret = daemon.folder().join("my-secret");
    assert_eq!(fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!daemon.folder().join("data/secret").exists());
    let [one, two] = ["one", "two"].map(|name| alice.presigned(&daemon, name, 3));
    let daemon = daemon.restart();
    assert_eq!(one.put(&daemon, "abc").status(), 200);
    let place = daemon.into_place();
    fs::remove_file(place.path().join("my-secret")).unwrap();
    let daemon = place.start();
    assert_eq!(two.put(&daemon, "abc").fate(), NO_TOKEN);
    assert_eq!(alice.presigned(&daemon, "three", 3).put(&daemon, "abc").status(), 200);

    let daemon = Daemon::builder().start();
    let mode = fs::metadata(daemon.folder().join("data/secret")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "its own, in the store's folder");
}

#[test]
fn tokens_are_in_no_log() {
    let daemon = Daemon::builder().set("log", "{level: debug, format: json, access: \"@DIR@/access.log\"}").start();
    let alice = Tenant::new(&daemon, "alice");
    let kept = alice.kept(&daemon, "kept", "kept");
    let link = alice.presigned(&daemon, "n", 3);
    let body = json!({"uri": kept.uri()}).to_string();
    let download = Link::of(&daemon.ask(&alice.files("POST", "/presign-download").body(body)), "download_url");
    assert_eq!((link.put(&daemon, "a").status(), link.put(&daemon, "abc").status()), (400, 200));
    assert_eq!(download.get(&daemon).status(), 200);
    daemon.access_line("of the download", |line| {
        line["method"] == "GET" && line["path"].as_str().is_some_and(|path| path.contains("/download"))
    });
    let said = format!("{}{}", daemon.log(), fs::read_to_string(daemon.folder().join("access.log")).unwrap());
    let mut rows = Rows::new();
    for (what, token) in [("upload", link.token()), ("download", download.token())] {
        rows.holds(what, !said.contains(token), token);
    }
    rows.finish();
}
