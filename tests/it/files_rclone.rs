//! Debian's rclone against the S3 endpoint: every command of `docs/RCLONE_SETUP.md`, and what goes wrong on the way.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use serde_json::Value;

use crate::support::eventually::DEADLINE;
use crate::support::files::{KIB, MIB, Shelf, are_there, contents, ends_whole, sha256};
use crate::support::peer::peers_are_there;
use crate::support::rclone::{Rclone, said, tree};
use crate::support::sigv4::elements;
use crate::support::store::long;
use crate::support::stream::Stream;
use crate::support::{BINARY, Daemon, Rows, Signal, Tenant, eventually};

/// A daemon, a key of `alice` in `notes`, and her rclone; nothing where programs from outside are not to be run.
fn notes(builder: crate::support::daemon::Builder) -> Option<(Daemon, Tenant, Rclone)> {
    if !peers_are_there() {
        return None;
    }
    let daemon = builder.start();
    let alice = Tenant::with(&daemon, "alice", &["--session", "notes"]);
    let rclone = Rclone::of(&daemon, &alice);
    Some((daemon, alice, rclone))
}

/// Whether the session has exactly what is in this folder: in every list, row for row and byte for byte.
#[track_caller]
fn has_what_is_in(daemon: &Daemon, tenant: &Tenant, folder: &Path) {
    let expected: Vec<_> =
        tree(folder).into_iter().map(|(path, body)| (format!("files/{}/{path}", tenant.session_id), body)).collect();
    are_there(daemon, tenant, &expected);
}

/// The keys that synchronisations by S3 have told of since there were `before` of them; how many there are now.
fn told_since(daemon: &Daemon, tenant: &Tenant, before: usize) -> (String, usize) {
    let events = tenant.synced_by_s3(daemon);
    let new = events.len() - before;
    (Value::from(events[..new].to_vec()).to_string(), events.len())
}

#[test]
fn each_command_does_what_it_says_and_is_told() {
    let Some((daemon, alice, rclone)) = notes(Daemon::builder()) else { return };
    let remote = rclone.remote("");
    let here = rclone.local("here");
    for number in 0..20 {
        let path = format!("here/{}/note {number}.md", ["a", "b/c", "ü"][number % 3]);
        rclone.write(&path, contents(number as u64, 1 + 700 * number));
    }
    rclone.write("here/empty.txt", "");
    let mut stream = Stream::open(&daemon, &alice, "");
    let mut rows = Rows::new();
    let mut events = 0;
    let mut told = |rows: &mut Rows, what: &str, keys: &[&str]| {
        let (text, count) = told_since(&daemon, &alice, events);
        rows.holds(format!("{what}: synchronisations"), keys.is_empty() == (count == events), (events, count));
        for key in keys {
            rows.holds(format!("{what}: {key} is told of"), text.contains(key), &text);
        }
        events = count;
    };

    rclone.done(&["sync", "here", &remote]);
    has_what_is_in(&daemon, &alice, &here);
    told(&mut rows, "sync up", &["note 0.md", "note 19.md", "empty.txt"]);
    rows.holds("on /sse", stream.event().name().starts_with("context.files."), ());
    let again = rclone.run(&["sync", "here", &remote]);
    rows.holds("again", again.status.success(), said(&again));
    told(&mut rows, "sync again, with nothing to do", &[]);
    rclone.done(&["check", "here", &remote]);
    rclone.done(&["check", "--download", "here", &remote]);
    told(&mut rows, "check", &[]);

    // Same size, same time, other contents: only a checksum tells.
    let path = here.join("a/note 3.md");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, contents(1000, 1 + 700 * 3)).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    let differs = rclone.run(&["check", "here", &remote]);
    rows.holds("check sees a difference", !differs.status.success(), said(&differs));
    rclone.done(&["sync", "--checksum", "here", &remote]);
    has_what_is_in(&daemon, &alice, &here);
    told(&mut rows, "sync --checksum", &["note 3.md"]);
    rclone.done(&["check", "here", &remote]);
    // Another time, same contents: its facts change, nothing is sent.
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(time - std::time::Duration::from_secs(3600)).unwrap();
    rclone.done(&["sync", "here", &remote]);
    has_what_is_in(&daemon, &alice, &here);
    told(&mut rows, "another time", &["note 3.md"]);
    let again = rclone.run(&["sync", "--dry-run", "here", &remote]);
    rows.holds("it is as it was set", !said(&again).contains("Skipped"), said(&again));

    rclone.done(&["sync", &remote, "back"]);
    rows.holds("sync down", tree(&rclone.local("back")) == tree(&here), ());
    let back = fs::metadata(rclone.local("back/a/note 3.md")).unwrap().modified().unwrap();
    let sent = fs::metadata(&path).unwrap().modified().unwrap();
    rows.eq("with its time", &sent, &back);
    rclone.done(&["copy", &format!("{remote}b"), "some"]);
    rows.holds("copy of a folder", tree(&rclone.local("some")) == tree(&here.join("b")), ());
    rows.holds("cat", rclone.done(&["cat", &format!("{remote}a/note 0.md")]).len() == 1, ());
    told(&mut rows, "down", &[]);

    rclone.done(&["moveto", &format!("{remote}a/note 0.md"), &format!("{remote}renamed/note zero.md")]);
    fs::create_dir(here.join("renamed")).unwrap();
    fs::rename(here.join("a/note 0.md"), here.join("renamed/note zero.md")).unwrap();
    has_what_is_in(&daemon, &alice, &here);
    told(&mut rows, "moveto", &["note zero.md", "note 0.md"]);
    rclone.done(&["copyto", &format!("{remote}a/note 3.md"), &format!("{remote}a/copy.md")]);
    fs::copy(here.join("a/note 3.md"), here.join("a/copy.md")).unwrap();
    has_what_is_in(&daemon, &alice, &here);
    told(&mut rows, "copyto", &["copy.md"]);

    rclone.done(&["deletefile", &format!("{remote}a/copy.md")]);
    fs::remove_file(here.join("a/copy.md")).unwrap();
    told(&mut rows, "deletefile", &["copy.md"]);
    rclone.done(&["delete", &format!("{remote}b")]);
    fs::remove_dir_all(here.join("b")).unwrap();
    has_what_is_in(&daemon, &alice, &here);
    told(&mut rows, "delete", &["note 1.md"]);
    fs::remove_dir_all(here.join("a")).unwrap();
    rclone.done(&["sync", "here", &remote]);
    has_what_is_in(&daemon, &alice, &here);
    told(&mut rows, "sync of what was deleted", &["note 6.md"]);

    let sizes: Vec<(String, u64)> = tree(&here).iter().map(|(path, body)| (path.clone(), body.len() as u64)).collect();
    rows.eq("lsjson", &sizes, &rclone.listed(""));
    let sums = rclone.done(&["md5sum", &remote]);
    rows.eq("md5sum", &sizes.len(), &sums.lines().count());
    rows.holds("lsd", rclone.done(&["lsd", "chitty:"]).contains("notes"), ());
    rows.holds("size", rclone.done(&["size", &remote]).contains(&format!("Total objects: {}", sizes.len())), ());
    rclone.done(&["purge", &remote]);
    rows.eq("purge", &0, &alice.r2_keys(&daemon).len());
    rows.finish();
    are_there(&daemon, &alice, &[]);
    Shelf::Folder.holds_only(&daemon.folder().join("data"), 0);
    ends_whole(daemon);
}

#[test]
fn many_small_files_are_all_there() {
    let Some((daemon, alice, rclone)) = notes(Daemon::builder()) else { return };
    let count = if long() { 5000 } else { 300 };
    for number in 0..count {
        rclone.write(&format!("here/{}/{number}.bin", number % 17), contents(number, 4 * KIB));
    }
    let remote = rclone.remote("");
    rclone.done(&["sync", "--transfers", "16", "here", &remote]);
    has_what_is_in(&daemon, &alice, &rclone.local("here"));
    rclone.done(&["check", "here", &remote]);
    rclone.done(&["sync", "--transfers", "16", &remote, "back"]);
    assert!(tree(&rclone.local("back")) == tree(&rclone.local("here")));
    let told: String = Value::from(alice.synced_by_s3(&daemon)).to_string();
    let missing: Vec<u64> = (0..count).filter(|number| !told.contains(&format!("/{number}.bin"))).collect();
    assert!(missing.is_empty(), "no synchronisation tells of {missing:?}");
    // Half of them go.
    for number in (0..count).step_by(2) {
        fs::remove_file(rclone.local(&format!("here/{}/{number}.bin", number % 17))).unwrap();
    }
    rclone.done(&["sync", "--transfers", "16", "here", &remote]);
    has_what_is_in(&daemon, &alice, &rclone.local("here"));
    Shelf::Folder.holds_only(&daemon.folder().join("data"), tree(&rclone.local("here")).len());
    ends_whole(daemon);
}

const PARTS: [&str; 4] = ["--s3-upload-cutoff", "8M", "--s3-chunk-size", "5M"];

#[test]
fn a_large_file_comes_in_parts() {
    let Some((daemon, alice, rclone)) = notes(Daemon::builder().set("files", "{quota: 10GiB}")) else { return };
    let size = if long() { 1024 * MIB } else { 64 * MIB };
    let body = contents(1, size);
    rclone.write("here/large.bin", &body);
    let remote = rclone.remote("");
    rclone.done(&[&["sync", "here", &remote], &PARTS[..]].concat());
    let files = alice.all_stored(&daemon);
    assert_eq!(files.len(), 1);
    assert_eq!((files[0]["size"].as_u64(), files[0]["sha256"].as_str()), (Some(size as u64), Some(&*sha256(&body))));
    let tag = files[0]["etag"].as_str().unwrap().trim_matches('"').to_owned();
    assert!(tag.ends_with(&format!("-{}", size.div_ceil(5 * MIB))), "{tag}: it came in parts");
    rclone.done(&["check", "here", &remote]);
    rclone.done(&["sync", &remote, "back"]);
    let back = fs::read(rclone.local("back/large.bin")).unwrap();
    assert!(back == body, "{} bytes", back.len());
    let nothing = rclone.run(&["sync", "--checksum", "--dry-run", "here", &remote]);
    assert!(!said(&nothing).contains("Skipped"), "{}", said(&nothing));
    rclone.done(&["moveto", &rclone.remote("large.bin"), &rclone.remote("renamed.bin")]);
    assert_eq!(alice.r2_keys(&daemon), ["files/notes/renamed.bin"]);
    assert_eq!(alice.all_stored(&daemon)[0]["sha256"], sha256(&body));
    Shelf::Folder.holds_only(&daemon.folder().join("data"), 1);
    ends_whole(daemon);
}

#[test]
fn a_sync_that_was_interrupted_goes_on() {
    let Some((daemon, alice, rclone)) = notes(Daemon::builder()) else { return };
    for number in 0..60 {
        rclone.write(&format!("here/{number}.bin"), contents(number, 200 * KIB));
    }
    rclone.write("here/large.bin", contents(99, 48 * MIB));
    let remote = rclone.remote("");
    // So slow that there is a middle.
    let slow = [&["sync", "--bwlimit", "8M", "here", &remote], &PARTS[..]].concat();
    for signal in [Signal::SIGTERM, Signal::SIGKILL, Signal::SIGKILL] {
        let before = alice.r2_keys(&daemon).len();
        let mut running = rclone.start(&slow);
        let parts_before = Shelf::Folder.on_their_way(&daemon.folder().join("data")).len();
        eventually("it is in the middle", || {
            assert!(running.is_running(), "it is over: {}", rclone.log());
            let now = alice.r2_keys(&daemon).len();
            let parts = Shelf::Folder.on_their_way(&daemon.folder().join("data")).len();
            if now > before || parts > parts_before { Ok(()) } else { Err((now, parts)) }
        });
        running.signal(signal);
        assert!(!running.ends());
        // What is there is whole.
        let here: BTreeSet<String> = tree(&rclone.local("here")).iter().map(|(_, body)| sha256(body)).collect();
        for file in alice.all_stored(&daemon) {
            assert!(here.contains(file["sha256"].as_str().unwrap()), "{file}");
        }
    }
    rclone.done(&[&["sync", "here", &remote], &PARTS[..]].concat());
    has_what_is_in(&daemon, &alice, &rclone.local("here"));
    rclone.done(&["check", "here", &remote]);
    // What was begun and never ended can be thrown away.
    rclone.done(&["backend", "cleanup", "-o", "max-age=1ns", &remote]);
    let uploads = rclone.signer.ask(&daemon, &rclone.signer.bucket("GET").query("uploads", "")).text();
    assert_eq!(elements(&uploads, "UploadId").len(), 0, "{uploads}");
    Shelf::Folder.holds_only(&daemon.folder().join("data"), 61);
    ends_whole(daemon);
}

#[test]
fn a_daemon_that_ends_meanwhile_is_met_again() {
    let Some((daemon, alice, mut rclone)) = notes(Daemon::builder()) else { return };
    for number in 0..40 {
        rclone.write(&format!("here/{number}.bin"), contents(number, 300 * KIB));
    }
    let remote = rclone.remote("");
    let running = rclone.start(&["sync", "--bwlimit", "8M", "here", &remote]);
    eventually("some are there", || if alice.r2_keys(&daemon).len() > 3 { Ok(()) } else { Err("not yet") });
    let place = daemon.killed();
    // It would ask again and again for each of the others.
    drop(running);
    let daemon = place.start();
    rclone.go_to(&daemon);
    rclone.done(&["sync", "here", &remote]);
    has_what_is_in(&daemon, &alice, &rclone.local("here"));
    ends_whole(daemon);
}

#[test]
fn a_key_that_only_reads_brings_nothing() {
    let Some((daemon, alice, rclone)) = notes(Daemon::builder()) else { return };
    rclone.write("here/a.txt", "a");
    rclone.done(&["sync", "here", &rclone.remote("")]);
    let reader = Tenant::with(&daemon, "alice", &["--session", "notes", "--scope", "files:read"]);
    let reader = Rclone::of(&daemon, &reader);
    reader.done(&["sync", &reader.remote(""), "back"]);
    assert_eq!(tree(&reader.local("back")), [("a.txt".to_owned(), b"a".to_vec())]);
    reader.write("here/b.txt", "b");
    let refused = reader.run(&["sync", "here", &reader.remote("")]);
    assert!(!refused.status.success() && said(&refused).contains("AccessDenied"), "{}", said(&refused));
    assert_eq!(alice.r2_keys(&daemon), ["files/notes/a.txt"]);
    let foreign = Tenant::with(&daemon, "bob", &["--session", "notes"]);
    let foreign = Rclone::of(&daemon, &foreign);
    foreign.done(&["mkdir", &foreign.remote("")]);
    assert_eq!(foreign.listed(""), []);
}

/// The commands of the page: each line of its `console` blocks that begins with `$ `, with the lines that continue it.
fn commands_of(page: &str) -> Vec<String> {
    let (mut commands, mut inside, mut continues) = (Vec::<String>::new(), false, false);
    for line in page.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
            continues = false;
        } else if inside {
            if continues {
                let last = commands.last_mut().unwrap();
                last.push('\n');
                last.push_str(line);
            } else if let Some(command) = line.strip_prefix("$ ") {
                commands.push(command.to_owned());
            } else {
                continue;
            }
            continues = line.ends_with('\\');
        }
    }
    commands
}

#[test]
fn the_page_for_newcomers_does_what_it_says() {
    if !peers_are_there() {
        return;
    }
    let page = include_str!("../../docs/RCLONE_SETUP.md");
    let gateway = "{connect: [connect.localhost, connect.chitty.test]}";
    let daemon = Daemon::builder().set("domain", "localhost").set("gateway", gateway).start();
    // The page's folder is the daemon's, where a configuration is found without its being named.
    let folder = daemon.folder();
    fs::create_dir(folder.join("conf")).unwrap();
    std::os::unix::fs::symlink("../chittyconnect.yaml", folder.join("conf/chittyconnect.yaml")).unwrap();
    let programs = Path::new(BINARY).parent().unwrap().display().to_string();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
    let mut shell = Command::new("bash")
        .env_clear()
        .env("PATH", path)
        .env("HOME", folder)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = shell.stdin.take().unwrap();
    let output = BufReader::new(shell.stdout.take().unwrap());
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    input.write_all(b"exec 2>&1\n").unwrap();
    let mut key = None;
    let mut rows = Rows::new();
    let commands = commands_of(page);
    assert!(commands.iter().filter(|command| command.starts_with("rclone ")).count() > 8, "{commands:?}");
    for command in &commands {
        let command = command.replace(":8080", &format!(":{}", daemon.port));
        input.write_all(format!("{command}\necho \"@@ $? $KEY\"\n").as_bytes()).unwrap();
        let mut printed = String::new();
        let end = loop {
            let line = lines.recv_timeout(DEADLINE).unwrap_or_else(|e| {
                let _ = shell.kill();
                panic!("{e} after {command}: {printed}");
            });
            // What was printed last need not have had an end of its line.
            if let Some((before, end)) = line.split_once("@@ ") {
                printed.push_str(before);
                break end.to_owned();
            }
            printed.push_str(&line);
            printed.push('\n');
        };
        let (code, variable) = end.split_once(' ').unwrap_or((&end, ""));
        rows.eq(format!("$ {command}\n{printed}"), &"0", &code);
        if variable.starts_with("chitty_") {
            key = Some(variable.to_owned());
        }
        // After each of them lists and contents fit each other.
        if let Some(key) = &key {
            let alice = Tenant {
                key: key.clone(),
                key_id: String::new(),
                chitty_id: "alice".to_owned(),
                session_id: "notes".to_owned(),
            };
            let mut client = daemon.connect();
            let files = alice.all_stored(&daemon);
            let uris: BTreeSet<String> = files.iter().map(|file| file["uri"].as_str().unwrap().to_owned()).collect();
            let in_context: BTreeSet<String> =
                alice.all_rows(&daemon).iter().map(|row| row["uri"].as_str().unwrap().to_owned()).collect();
            rows.eq(format!("$ {command}: rows"), &uris, &in_context);
            for file in files {
                let hash = file["sha256"].as_str().unwrap();
                let body = client.ask(&alice.contents(hash)).body;
                rows.eq(format!("$ {command}: {}", file["r2_key"]), &hash, &sha256(&body).as_str());
            }
        }
    }
    drop(input);
    assert!(shell.wait().unwrap().success());
    assert!(key.is_some(), "no key was made");
    rows.finish();
    ends_whole(daemon);
}
