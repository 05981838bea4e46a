//! A disk without room for contents: uploads are refused and leave nothing, everything else goes on, and with room they are
//! taken again.

use serde_json::json;

use crate::support::files::{KIB, MIB, are_there, contents, encoded, is_whole, sha256, walk};
use crate::support::sigv4::{Signer, fate};
use crate::support::{Answer, Daemon, Rows, SmallDisk, Tenant, eventually};

/// Whether this says that there is no room, or not now.
fn no_room(answer: &Answer) -> bool {
    [503, 507].contains(&answer.status()) && !answer.text().contains("os error")
}

#[test]
fn a_full_disk_refuses_contents_and_nothing_else_until_there_is_room() {
    let Some(disk) = SmallDisk::mount(48) else { return };
    let files = format!("{{store: \"{}/files\"}}", disk.inside().display());
    let daemon = Daemon::builder().set("files", &files).under(&disk.enter()).start();
    let alice = Tenant::with(&daemon, "alice", &["--session", "desk"]);
    let s3 = Signer::of(&daemon, &alice);
    let there = alice.kept(&daemon, "there", contents(1, 300 * KIB));
    let kept = [(there.r2_key.clone(), contents(1, 300 * KIB))];
    let body = contents(2, 6 * MIB);
    let link = alice.presigned(&daemon, "late", body.len());
    let lying_about = || walk(&disk.outside().join("files")).len();
    let mut rows = Rows::new();
    for (when, left) in [("2 MiB left", 2), ("nothing left", 0)] {
        disk.fill_up_to(left);
        let before = disk.room();
        let put = link.put(&daemon, &body);
        rows.holds(format!("{when}: PUT"), no_room(&put), (put.status(), put.text()));
        let direct = daemon.ask(&alice.upload(&alice.direct("direct", &body)));
        rows.holds(format!("{when}: upload"), no_room(&direct), (direct.status(), direct.text()));
        let by_s3 = s3.ask(&daemon, &s3.object("PUT", "by-s3").body(&body));
        rows.holds(format!("{when}: by S3"), no_room(&by_s3), (by_s3.status(), by_s3.text()));
        eventually(&format!("{when}: nothing is left"), || {
            let seen = (disk.room(), lying_about());
            if seen == (before, 1) { Ok(()) } else { Err(seen) }
        });
        are_there(&daemon, &alice, &kept);
        alice.titled(&daemon, "tasks go on");
        let copy = s3.object("PUT", "copy").header("x-amz-copy-source", &format!("/desk/{}", &there.r2_key[11..]));
        let answer = s3.ask(&daemon, &copy);
        rows.holds(format!("{when}: a copy needs no room"), answer.status() < 300 || no_room(&answer), fate(&answer));
        s3.ask(&daemon, &s3.object("DELETE", "copy"));
        disk.empty();
        let direct = alice.direct(&format!("room after {when}"), contents(3, 5 * MIB));
        let answer = eventually("there is room", || {
            let answer = daemon.ask(&alice.upload(&direct));
            if answer.status() == 200 { Ok(answer) } else { Err(answer.fate()) }
        });
        let key = answer.json()["r2_key"].as_str().unwrap().to_owned();
        let hash = sha256(contents(3, 5 * MIB));
        let target = format!("/{hash}?session_id=desk&r2_key={}", encoded(&key));
        rows.eq(format!("{when}: DELETE"), &200, &daemon.ask(&alice.files("DELETE", &target)).status());
        eventually("it is gone", || if lying_about() == 1 { Ok(()) } else { Err(lying_about()) });
    }
    // The token is as good as it was.
    let put = link.put(&daemon, &body);
    rows.eq("PUT with room", &(200, json!(link.r2_key)), &(put.status(), put.json()["r2_key"].clone()));
    rows.finish();
    let [there] = kept;
    are_there(&daemon, &alice, &[there, (link.r2_key, body)]);
    is_whole(&daemon);
}

#[test]
fn many_uploads_that_come_while_it_fills_up_are_whole_or_refused() {
    let Some(disk) = SmallDisk::mount(24) else { return };
    let files = format!("{{store: \"{}/files\"}}", disk.inside().display());
    let daemon = Daemon::builder().set("files", &files).under(&disk.enter()).start();
    let alice = Tenant::with(&daemon, "alice", &["--session", "desk"]);
    let s3 = Signer::of(&daemon, &alice);
    let (mut kept, mut refused) = (Vec::new(), 0);
    for number in 0..40 {
        let body = contents(number, MIB);
        let key = format!("n-{number:02}");
        let answer = s3.ask(&daemon, &s3.object("PUT", &key).body(&body));
        if answer.status() == 200 {
            kept.push((format!("files/desk/{key}"), body));
        } else {
            assert!(no_room(&answer), "{} {}", answer.status(), answer.text());
            refused += 1;
        }
    }
    assert!(kept.len() > 8 && refused > 8, "{} kept, {refused} refused", kept.len());
    are_there(&daemon, &alice, &kept);
    assert_eq!(walk(&disk.outside().join("files")).len(), kept.len());
    let daemon = daemon.killed().start();
    are_there(&daemon, &alice, &kept);
    let (key, _) = kept.remove(0);
    let answer = s3.ask(&daemon, &s3.object("DELETE", key.strip_prefix("files/desk/").unwrap()));
    assert_eq!(answer.status(), 204);
    are_there(&daemon, &alice, &kept);
    is_whole(&daemon);
}
