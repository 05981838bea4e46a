//! What a client of tasks must not be able to do to others: to the next request of its connection, to the log, to the
//! memory, to who is only proxied.

use std::fs::File;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::task::{KEY_HEADER, at};
use crate::support::{Ask, BINARY, CONNECT, Client, Daemon, Ending, Rows, TASKS, Tenant, Upstream, eventually};

#[test]
fn a_body_that_is_not_framed_ends_the_connection() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let mut rows = Rows::new();
    for framing in ["zz\r\n", "0x5\r\nhello\r\n0\r\n\r\n", "-1\r\n", "+5\r\nhello\r\n", "5\r\nhelloworld\r\n0\r\n\r\n"]
    {
        let mut client = daemon.connect();
        let key = &alice.key;
        client.send(format!(
            "POST {TASKS} HTTP/1.1\r\nHost: {CONNECT}\r\n{KEY_HEADER}: {key}\r\nTransfer-Encoding: chunked\r\n\r\n{framing}"
        ));
        let answer = client.answer("POST");
        rows.eq(format!("{framing:?}"), &"400 bad_request".to_owned(), &answer.fate());
        rows.eq(format!("{framing:?}: says so"), &Some("close"), &answer.header("connection"));
        rows.holds(
            format!("{framing:?}: the end"),
            matches!(client.ending(), Ending::Fin | Ending::Reset),
            "the connection goes on",
        );
    }
    rows.finish();
    assert!(daemon.access_lines().iter().all(|line| line["path"] == TASKS), "{:?}", daemon.access_lines());
}

#[test]
fn answers_that_nobody_reads_neither_fill_the_memory_nor_hold_up_others() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder().service(upstream.service("svc")).start();
    let greedy = Tenant::new(&daemon, "greedy");
    let modest = Tenant::new(&daemon, "modest");
    for number in 0..40 {
        let body = json!({"title": format!("{number}"), "metadata": "m".repeat(60_000)});
        greedy.made(&daemon, &body);
        modest.made(&daemon, &body);
    }
    let before = daemon.resident_kib();
    let unread: Vec<Client> = (0..200)
        .map(|_| {
            let mut client = daemon.connect();
            client.send(greedy.list("limit=1000").to_bytes());
            client
        })
        .collect();
    let answer = daemon.ask(&modest.list("limit=1000"));
    assert_eq!((answer.status(), answer.ending), (200, Ending::Whole));
    assert_eq!(daemon.get("svc.chitty.test", "/x").fate(), "-> /x");
    let answered = || daemon.metric_sum("chittyconnect_tasks_total", &["operation=\"list\""]);
    eventually("every list is answered or refused", || if answered() >= 201.0 { Ok(()) } else { Err(answered()) });
    let grown = daemon.resident_kib().saturating_sub(before) / 1024;
    assert!(grown < 300, "{grown} MiB for 200 answers of 1 MiB that nobody reads");
    drop(unread);
    eventually("the greedy one is served again", || {
        let answer = daemon.ask(&greedy.list("limit=1000"));
        if answer.status() == 200 { Ok(()) } else { Err(answer.fate()) }
    });
    // That clients leave is no failure of the gateway's.
    assert!(!daemon.log().contains("request failed inside the gateway"), "{}", daemon.log());
}

#[test]
fn an_encoded_body_is_415() {
    let daemon = Daemon::builder().start();
    let alice = Tenant::new(&daemon, "alice");
    let body = json!({"title": "t"});
    let coded = |coding: &str| daemon.ask(&alice.create(&body).header("Content-Encoding", coding)).fate();
    assert_eq!(coded("gzip"), "415 unsupported_media_type");
    assert_eq!(daemon.ask(&alice.create(&body).header("Content-Encoding", "identity")).status(), 200);
}

#[test]
fn ten_thousand_sub_tasks_go_with_their_task_and_one_more_is_too_many() {
    let daemon = Daemon::builder().set("store", "{path: \"@DIR@/data\", durability: process_crash}").start();
    let alice = Tenant::new(&daemon, "alice");
    let top = alice.titled(&daemon, "top");
    let make = |count: usize| {
        std::thread::scope(|scope| {
            for part in 0..8 {
                let (daemon, alice, top) = (&daemon, &alice, &top);
                scope.spawn(move || {
                    let mut client = daemon.connect();
                    let body = json!({"title": "sub", "parent_task_id": top});
                    for _ in (part..count).step_by(8) {
                        assert_eq!(client.ask(&alice.create(&body)).status(), 200);
                    }
                });
            }
        });
    };
    make(10_001);
    assert_eq!(daemon.ask(&alice.delete(&top)).fate(), "409 too_many_subtasks");
    let one = daemon.ask(&alice.list(&format!("parent_task_id={top}&limit=1"))).json();
    let one = one["tasks"][0]["task_id"].as_str().unwrap().to_owned();
    assert_eq!(daemon.ask(&alice.delete(&one)).status(), 200);
    assert_eq!(daemon.ask(&alice.delete(&top)).status(), 200);
    assert_eq!(daemon.ask(&Ask::get(CONNECT, &at(&top)).header(KEY_HEADER, &alice.key)).fate(), "404 task_not_found");
    assert_eq!(daemon.ask(&alice.list("")).json()["count"], 0);
}

#[test]
fn a_key_that_cannot_be_printed_is_an_error() {
    let daemon = Daemon::builder().start();
    let output = Command::new(BINARY)
        .args(["keys", "create", "--chitty-id", "alice", "--config"])
        .arg(daemon.config())
        .stdout(Stdio::from(File::options().write(true).open("/dev/full").unwrap()))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("standard output: ") && message.contains("nobody has it now: revoke it"), "{message}");
}
