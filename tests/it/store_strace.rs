//! What the kernel is asked for before a change is answered, as `strace` sees it. `tests/run.sh` installs it.

use std::fs;

use chittyconnect::store::Engine;
use serde_json::json;

use crate::support::peer::peers_are_there;
use crate::support::store::on_each_engine;
use crate::support::{Daemon, Signal, Tenant, eventually};

/// What may write, and what makes durable.
const CALLS: &str = "-etrace=write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,fdatasync,fsync,sync_file_range";

/// One system call; the lines of the trace at which it began and returned are its place in time.
#[derive(Clone, Debug)]
struct Call {
    name: String,
    arguments: String,
    result: i64,
    begun: usize,
    ended: usize,
}

impl Call {
    /// The first argument: a file descriptor, with what it is.
    fn on(&self) -> &str {
        self.arguments.split(", ").next().unwrap_or_default()
    }

    fn is_on_the_log(&self) -> bool {
        self.on().ends_with("/data/engine/db>") || self.on().ends_with("/data/engine/0.jnl>")
    }

    fn writes(&self) -> bool {
        ["write", "pwrite64", "writev", "pwritev", "pwritev2", "sendto", "sendmsg"].contains(&self.name.as_str())
    }
}

/// The calls of a trace in the order in which they returned. Its lines are `pid name(arguments) = result`, or in two
/// parts when other threads called meanwhile: `pid name(arguments <unfinished ...>`, `pid <... name resumed>rest) = result`.
fn calls(trace: &str) -> Vec<Call> {
    let mut unfinished: Vec<(&str, usize, String)> = Vec::new();
    let mut calls = Vec::new();
    for (number, line) in trace.lines().enumerate() {
        let Some((pid, event)) = line.split_once(' ') else { continue };
        let event = event.trim_start();
        if let Some(first) = event.strip_suffix(" <unfinished ...>") {
            unfinished.push((pid, number, first.to_owned()));
            continue;
        }
        let (begun, whole) = match event.strip_prefix("<... ") {
            Some(second) => {
                let Some(place) = unfinished.iter().position(|(of, ..)| *of == pid) else { continue };
                let (_, begun, first) = unfinished.remove(place);
                (begun, first + second.split_once(" resumed>").map_or("", |(_, rest)| rest))
            }
            None => (number, event.to_owned()),
        };
        let Some((name, rest)) = whole.split_once('(') else { continue };
        let Some((arguments, result)) = rest.rsplit_once(" = ") else { continue };
        let arguments = arguments.trim_end().trim_end_matches(')');
        let result = result.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(-1);
        let (name, arguments) = (name.to_owned(), arguments.to_owned());
        calls.push(Call { name, arguments, result, begun, ended: number });
    }
    calls
}

/// Where a change's data went to the log for the last time, and its answer to the client.
struct Change {
    written: Call,
    answered: Call,
}

/// The end of a trace, for a message.
fn end(trace: &str) -> String {
    let lines: Vec<&str> = trace.lines().collect();
    let short = |line: &&str| line.chars().take(200).collect::<String>();
    lines[lines.len().saturating_sub(80)..].iter().map(short).collect::<Vec<_>>().join("\n")
}

/// Makes some tasks under `strace`; the calls, and which of them belong to which task.
fn traced(engine: Engine, durability: &str) -> (Vec<Call>, Vec<Change>) {
    let titles = ["traced task one", "traced task two", "traced task three"];
    // -D: so that the daemon is the process that was started, and strace another one.
    let strace = ["strace", "-D", "-f", "-y", "-s1000000", CALLS, "-o@DIR@/trace"].map(str::to_owned);
    let mut daemon = Daemon::builder()
        .set("store", &format!("{{path: \"@DIR@/data\", engine: {}, durability: {durability}}}", engine.name()))
        .under(&strace)
        .start();
    let alice = Tenant::new(&daemon, "alice");
    let ids = titles.map(|title| alice.made(&daemon, &json!({ "title": title })));
    let last_words = format!("{} +++ exited with 0 +++", daemon.pid());
    daemon.signal(Signal::SIGTERM);
    daemon.wait_for_exit();
    let trace = eventually("the trace is whole", || {
        let trace = fs::read_to_string(daemon.folder().join("trace")).unwrap_or_default();
        let whole = trace.lines().any(|line| line.split_whitespace().eq(last_words.split_whitespace()));
        if whole { Ok(trace) } else { Err(trace.lines().last().unwrap_or_default().to_owned()) }
    });
    let calls = calls(&trace);
    let change = |title: &str, id: &str| {
        let writes = || calls.iter().filter(|call| call.writes());
        let body = writes().find(|call| call.on().contains("socket:") && call.arguments.contains(id));
        let body = body.unwrap_or_else(|| panic!("no answer with {id} in:\n{}", end(&trace)));
        // Head and body may be one call or two.
        let answered = writes().rev().find(|call| {
            call.ended <= body.ended && call.on() == body.on() && call.arguments.contains("\"HTTP/1.1 200")
        });
        let answered = answered.unwrap_or_else(|| panic!("no head before {body:?} in:\n{}", end(&trace))).clone();
        let of_the_title = writes().any(|call| call.is_on_the_log() && call.arguments.contains(title));
        assert!(of_the_title, "{title} is nowhere in the log:\n{}", end(&trace));
        let before = |call: &&Call| call.is_on_the_log() && call.ended < answered.begun;
        let written =
            writes().rev().find(before).unwrap_or_else(|| panic!("nothing was written before:\n{}", end(&trace)));
        Change { written: written.clone(), answered }
    };
    let changes = titles.iter().zip(&ids).map(|(title, id)| change(title, id)).collect();
    (calls, changes)
}

fn a_change_is_on_the_disk_before_it_is_answered(engine: Engine) {
    if !peers_are_there() {
        return;
    }
    let (calls, changes) = traced(engine, "power_loss");
    for Change { written, answered } in &changes {
        let between = || calls.iter().filter(|call| call.begun > written.ended && call.ended < answered.begun);
        let synced = between().find(|call| call.name == "fdatasync" && call.is_on_the_log());
        let synced = synced.unwrap_or_else(|| {
            let seen: Vec<&Call> = between().collect();
            panic!("no fdatasync between\n{written:?} and\n{answered:?}, but {seen:#?}")
        });
        assert_eq!(synced.result, 0, "{synced:?}");
        let witnessed = between().any(|call| call.begun > synced.ended && call.on().ends_with("/data/witness>"));
        assert!(witnessed, "the witness is told after {synced:?} and before {answered:?}");
    }
}

fn a_change_is_in_the_kernel_before_it_is_answered_when_that_is_enough(engine: Engine) {
    if !peers_are_there() {
        return;
    }
    let (calls, changes) = traced(engine, "process_crash");
    for Change { written, answered } in &changes {
        let before = || calls.iter().filter(|call| call.is_on_the_log() && call.ended < answered.begun);
        if engine == Engine::Sled {
            let handed_over = before().find(|call| call.name == "sync_file_range" && call.begun > written.ended);
            assert_eq!(handed_over.map(|call| call.result), Some(0), "between {written:?} and {answered:?}");
        }
        assert!(written.result > 0, "{written:?}");
        let synced: Vec<&Call> = before().filter(|call| call.name == "fdatasync").collect();
        assert!(synced.is_empty(), "nobody asked for that: {synced:?}");
    }
}

on_each_engine! {
    a_change_is_on_the_disk_before_it_is_answered,
    a_change_is_in_the_kernel_before_it_is_answered_when_that_is_enough,
}
