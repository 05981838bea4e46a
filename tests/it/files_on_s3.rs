//! The same for contents in a folder and for contents on an S3 server: files come, are read, are listed and go.

use std::process::Command;

use serde_json::json;

use crate::support::files::{KIB, Link, MIB, Shelf, are_there, contents, ends_whole, is_range, sha256};
use crate::support::peer::{S3Server, peers_are_there};
use crate::support::rclone::{Rclone, tree};
use crate::support::sigv4::{Signer, fate};
use crate::support::{CONNECT, Daemon, Rows, Tenant, eventually};

fn files_come_are_read_and_go(shelf: &Shelf) {
    let daemon = shelf.builder("").start();
    let alice = Tenant::with(&daemon, "alice", &["--session", "desk"]);
    let mut expected = Vec::new();
    let mut rows = Rows::new();
    for (number, size) in [1, 1000, 64 * KIB, 5 * MIB, 5 * MIB + 1, 21 * MIB].into_iter().enumerate() {
        let body = contents(number as u64, size);
        let link = alice.presigned(&daemon, &format!("presigned-{size}"), size);
        let put = link.put(&daemon, &body);
        rows.eq(format!("{size}: PUT"), &(200, json!(sha256(&body))), &(put.status(), put.json()["sha256"].clone()));
        expected.push((link.r2_key, body));
    }
    let direct = alice.kept(&daemon, "direct", "direct");
    expected.push((direct.r2_key.clone(), b"direct".to_vec()));
    let s3 = Signer::of(&daemon, &alice);
    s3.put(&daemon, "by/s3", "by s3");
    expected.push(("files/desk/by/s3".to_owned(), b"by s3".to_vec()));
    s3.put(&daemon, "empty", "");
    expected.push(("files/desk/empty".to_owned(), Vec::new()));
    are_there(&daemon, &alice, &expected);
    shelf.holds_only(daemon.folder(), expected.len());
    let large = &expected[5].1;
    for range in [0..1, 5 * MIB - 1..5 * MIB + 1, 20 * MIB..21 * MIB, 21 * MIB - 1..21 * MIB] {
        let said = format!("bytes={}-{}", range.start, range.end - 1);
        let answer = daemon.ask(&alice.contents(&sha256(large)).header("Range", &said));
        is_range(&mut rows, &said, &answer, large, range);
    }
    let body = json!({"uri": direct.uri()}).to_string();
    let link = Link::of(&daemon.ask(&alice.files("POST", "/presign-download").body(body)), "download_url");
    rows.eq("with a token", &"direct".to_owned(), &link.get(&daemon).text());
    let commit = json!({"r2_key": direct.r2_key, "session_id": "desk", "sha256": direct.sha256, "size": 6});
    let answer = daemon.ask(&alice.files("POST", "/commit").body(commit.to_string()));
    rows.eq("commit", &200, &answer.status());
    // All of it outlasts an end of either kind.
    let daemon = daemon.restart();
    are_there(&daemon, &alice, &expected);
    let daemon = daemon.killed().start();
    are_there(&daemon, &alice, &expected);
    for (key, body) in expected {
        let answer = daemon.ask(&alice.files("DELETE", &format!("/{}?session_id=desk", sha256(&body))));
        rows.eq(format!("DELETE {key}"), &json!({"ok": true, "deleted": 1}), &answer.json());
    }
    rows.finish();
    are_there(&daemon, &alice, &[]);
    shelf.holds_only(daemon.folder(), 0);
    ends_whole(daemon);
}

fn rclone_brings_a_folder_and_takes_it_back(shelf: &Shelf) {
    if !peers_are_there() {
        return;
    }
    let daemon = shelf.builder("").start();
    let alice = Tenant::with(&daemon, "alice", &["--session", "desk"]);
    let rclone = Rclone::of(&daemon, &alice);
    for number in 0..40 {
        rclone.write(
            &format!("here/{}/{number}.txt", number % 3),
            contents(number, 100 * usize::try_from(number).unwrap()),
        );
    }
    rclone.write("here/large.bin", contents(99, 17 * MIB));
    let parts = ["--s3-upload-cutoff", "8M", "--s3-chunk-size", "5M"];
    rclone.done(&[&["sync", "here", &rclone.remote("")], &parts[..]].concat());
    let here = tree(&rclone.local("here"));
    let expected: Vec<_> = here.iter().map(|(path, body)| (format!("files/desk/{path}"), body.clone())).collect();
    are_there(&daemon, &alice, &expected);
    rclone.done(&["sync", &rclone.remote(""), "back"]);
    assert!(tree(&rclone.local("back")) == here);
    rclone.done(&["check", "--download", "here", &rclone.remote("")]);
    std::fs::remove_dir_all(rclone.local("here/1")).unwrap();
    rclone.done(&["sync", "here", &rclone.remote("")]);
    assert_eq!(alice.r2_keys(&daemon).len(), tree(&rclone.local("here")).len());
    shelf.holds_only(daemon.folder(), tree(&rclone.local("here")).len());
    ends_whole(daemon);
}

crate::support::files::on_each_shelf! {
    files_come_are_read_and_go,
    rclone_brings_a_folder_and_takes_it_back,
}

#[test]
fn a_server_that_is_away_stops_contents_and_nothing_else() {
    let mut server = S3Server::start("contents");
    let builder = Daemon::builder().set("files", "{store: \"s3://contents/p\"}");
    let environment = server.environment();
    let daemon = environment.iter().fold(builder, |builder, (name, value)| builder.env(name, value)).start();
    let alice = Tenant::with(&daemon, "alice", &["--session", "desk"]);
    let s3 = Signer::of(&daemon, &alice);
    let kept = alice.kept(&daemon, "n", "contents");
    let link = alice.presigned(&daemon, "m", 3);
    let mut rows = Rows::new();
    for round in 0..2 {
        server.stop();
        let put = link.put(&daemon, "abc");
        rows.eq(format!("{round}: PUT"), &503, &put.status());
        rows.holds(format!("{round}: Retry-After"), put.header("retry-after").is_some(), &put.head);
        rows.holds(format!("{round}: from inside"), !put.text().contains("127.0.0.1"), put.text());
        let direct = daemon.ask(&alice.upload(&alice.direct("n", "other")));
        rows.eq(format!("{round}: upload"), &503, &direct.status());
        let get = daemon.ask(&alice.contents(&kept.sha256));
        rows.eq(format!("{round}: GET"), &503, &get.status());
        let by_s3 = s3.ask(&daemon, &s3.object("PUT", "x").body("x"));
        rows.eq(format!("{round}: by S3"), &503, &by_s3.status());
        rows.eq(format!("{round}: list"), &vec![kept.r2_key.clone()], &alice.r2_keys(&daemon));
        alice.titled(&daemon, "tasks go on");
        server.start_again();
        eventually("contents are read again", || {
            let answer = daemon.ask(&alice.contents(&kept.sha256));
            if answer.text() == "contents" { Ok(()) } else { Err(answer.fate()) }
        });
    }
    rows.eq("the token is good", &200, &link.put(&daemon, "abc").status());
    rows.eq("by S3", &"200".to_owned(), &fate(&s3.ask(&daemon, &s3.object("PUT", "x").body("x"))));
    rows.finish();
    let expected = [
        (kept.r2_key, b"contents".to_vec()),
        (link.r2_key, b"abc".to_vec()),
        ("files/desk/x".to_owned(), b"x".to_vec()),
    ];
    are_there(&daemon, &alice, &expected);
    ends_whole(daemon);
}

#[test]
fn curl_does_what_the_page_says() {
    if !peers_are_there() {
        return;
    }
    let daemon = Shelf::Folder.builder("").start();
    let alice = Tenant::with(&daemon, "alice", &["--session", "desk"]);
    let body = contents(1, 9 * MIB);
    std::fs::write(daemon.folder().join("here.bin"), &body).unwrap();
    let curl = |arguments: &[&str]| {
        let mut command = Command::new("curl");
        command.env("http_proxy", format!("http://127.0.0.1:{}", daemon.port)).current_dir(daemon.folder());
        let output = command.args(["-sS", "--max-time", "60"]).args(arguments).output();
        let output = output.unwrap_or_else(|e| panic!("curl: {e}; tests/run.sh installs it"));
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    // It waits for `100 Continue` with a body of this size.
    let link = alice.presigned(&daemon, "n", body.len());
    let said = curl(&["-T", "here.bin", &link.url]);
    let said: serde_json::Value = serde_json::from_slice(&said).unwrap();
    assert_eq!(said["sha256"], sha256(&body));
    let key = format!("X-ChittyOS-API-Key: {}", alice.key);
    let url = format!("http://{}/api/files/{}", CONNECT, sha256(&body));
    assert!(curl(&["-H", &key, &url]) == body);
    // An upload that is refused is refused before it is sent.
    let refused = curl(&["-T", "here.bin", "-w", "\n%{http_code} %{size_upload}", &link.url]);
    let refused = String::from_utf8_lossy(&refused).into_owned();
    assert!(refused.contains("\n401 "), "{refused}");
}
