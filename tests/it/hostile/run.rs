//! Runs rows against the daemon, and asserts of each what holds of all.

use super::case::{After, Arrives, Case, HOST, NO_ANSWER, Seen};
use crate::support::recorder::{Arrived, MARK, State};
use crate::support::{Answer, Ask, Client, Daemon, Ending, Recorder, Rows};

/// What no answer may hold: traces of a crash, of the source, of what it is built from and of where the service is.
const INSIDE: [&str; 16] = [
    "ingora",
    "rust",
    "panicked",
    "backtrace",
    "src/",
    ".rs:",
    ".cargo",
    "/root",
    "/tmp",
    "/home",
    "httparse",
    "hyper",
    "tokio",
    "axum",
    "rustls",
    "127.0.0.1",
];

/// Runs the rows one after the other against one daemon, and the daemon to its end.
#[track_caller]
pub(super) fn run(cases: &[Case]) {
    let gateway = Gateway::start();
    let mut rows = Rows::new();
    for (number, case) in cases.iter().enumerate() {
        let faults = gateway.faults(number, case);
        rows.eq(format!("{} ({})", case.name, case.rfc), &Vec::<String>::new(), &faults);
    }
    gateway.finish(&mut rows);
    rows.finish();
}

struct Gateway {
    daemon: Daemon,
    recorder: Recorder,
}

impl Gateway {
    fn start() -> Self {
        let recorder = Recorder::start();
        let daemon = Daemon::builder()
            // One thread: what it has begun before an honest request it has ended after it.
            .set("server", "{threads: 1, grace_period: 20s}")
            .service(recorder.service_with("svc", ""))
            .service(recorder.service_with("small", "limits: {body_bytes: 64}"))
            .service(recorder.service_with("keyed", "auth: key"))
            .service(recorder.service_with("off", "enabled: false, reason: closed"))
            .start();
        Self { daemon, recorder }
    }

    /// Everything about this row that is not as it must be.
    fn faults(&self, number: usize, case: &Case) -> Vec<String> {
        let mut faults = Vec::new();
        let mut client = self.daemon.connect();
        client.send(&case.bytes);
        if case.ends {
            client.finish();
        }
        let mut over = false;
        for (place, statuses) in case.answers.iter().enumerate() {
            let (status, leaks, ended) = match client.try_answer(case.method) {
                Ok(answer) => (answer.status(), leaks(&answer), answer.ending != Ending::Whole),
                Err(Ending::Silence) => {
                    faults.push(format!("answer {place}: none, and the connection stays open"));
                    (NO_ANSWER, Vec::new(), true)
                }
                Err(_) => (NO_ANSWER, Vec::new(), true),
            };
            if !statuses.contains(&status) {
                faults.push(format!("answer {place}: {status}, not one of {statuses:?}"));
            }
            faults.extend(leaks);
            over = ended;
            if over {
                break;
            }
        }
        let next = format!("/next-{number}");
        if !over {
            after(&mut client, case, &next, &mut faults);
        }
        drop(client);
        let honest = format!("/honest-{number}");
        let answer = self.daemon.get(HOST, &honest);
        if answer.header(MARK).is_none() {
            faults.push(format!("an honest request afterwards: {}", answer.fate()));
        }
        let ours = |arrived: &Arrived| {
            let line = arrived.line();
            [&next, &honest].iter().any(|target| line == format!("GET {target} HTTP/1.1"))
        };
        let arrived: Vec<Arrived> = self.recorder.take().into_iter().filter(|arrived| !ours(arrived)).collect();
        faults.extend(arrival_faults(case, &arrived));
        faults
    }

    /// Stops the daemon: nothing may come of any row in its last moment, and nothing may have panicked.
    fn finish(self, rows: &mut Rows) {
        let Self { mut daemon, recorder } = self;
        rows.holds("it still runs", daemon.is_running(), "it has ended");
        rows.holds("it has not panicked", !daemon.log().contains("panicked"), daemon.log());
        drop(daemon.into_place());
        let late: Vec<String> = recorder.take().iter().map(Arrived::text).collect();
        rows.eq("nothing comes late", &Vec::new(), &late);
    }
}

/// What an answer tells of the inside.
fn leaks(answer: &Answer) -> Vec<String> {
    let mut text = answer.text();
    for (name, value) in &answer.head.headers {
        text.push_str(name);
        text.push_str(value);
    }
    INSIDE.iter().filter(|word| text.contains(**word)).map(|word| format!("{word:?} in the answer {text:?}")).collect()
}

/// What becomes of the connection after the answers.
fn after(client: &mut Client, case: &Case, next: &str, faults: &mut Vec<String>) {
    match case.after {
        After::Closes => {}
        After::Either => _ = client.finish(),
        After::Stays => {
            client.send(Ask::get(HOST, next).to_bytes());
            match client.try_answer("GET") {
                Ok(answer) if answer.header(MARK).is_some() => {}
                Ok(answer) => faults.push(format!("the next request on the connection: {}", answer.fate())),
                Err(ending) => faults.push(format!("no next request on the connection: {ending:?}")),
            }
            client.finish();
        }
    }
    match client.try_answer("GET") {
        Ok(answer) => {
            faults.push(format!("one answer more than there may be: {}", answer.fate()));
            // Whatever else comes of it comes now, and not into the next row.
            client.finish();
            while client.try_answer("GET").is_ok() {}
        }
        Err(Ending::Silence) => faults.push("the connection does not end".to_owned()),
        Err(_) => {}
    }
}

/// What of the service's requests is not as it must be.
fn arrival_faults(case: &Case, arrived: &[Arrived]) -> Vec<String> {
    let mut faults: Vec<String> = arrived.iter().flat_map(writing_faults).collect();
    let count = |state| arrived.iter().filter(|arrived| arrived.state == state).count();
    let (whole, broken) = (count(State::Whole), count(State::Broken));
    let as_allowed = match case.arrives {
        Arrives::Whole(wanted) => whole == wanted && broken == 0,
        Arrives::AtMost(most) => whole <= most && broken == 0,
        Arrives::Broken => whole == 0 && broken <= 1,
    };
    if !as_allowed {
        let lines: Vec<String> =
            arrived.iter().map(|arrived| format!("{:?} {}", arrived.state, arrived.line())).collect();
        faults.push(format!("the service sees {lines:?}, not {:?}", case.arrives));
    }
    let Some(first) = arrived.first() else { return faults };
    for seen in &case.seen {
        let fault = match seen {
            Seen::Line(line) => (first.line() != *line).then(|| format!("line {:?}, not {line:?}", first.line())),
            Seen::Body(body) => {
                (first.body != *body).then(|| format!("body {:?}", String::from_utf8_lossy(&first.body)))
            }
            Seen::Field(name, value) => {
                let all = first.all(name);
                (all != [value.as_str()]).then(|| format!("{name} {all:?}, not {value:?}"))
            }
            Seen::Lacks(name) => {
                let all = first.all(name);
                (!all.is_empty()).then(|| format!("{name} {all:?}"))
            }
        };
        faults.extend(fault.map(|fault| format!("the service sees {fault}")));
    }
    faults
}

/// Whether a request to the service is written beyond doubt: RFC 9112 leaves a reader no choice in any of it.
fn writing_faults(arrived: &Arrived) -> Vec<String> {
    let text = arrived.text();
    let mut faults = Vec::new();
    let mut fault = |holds: bool, what: &str| {
        if !holds {
            faults.push(format!("to the service: {what}: {:?}", text.chars().take(300).collect::<String>()));
        }
    };
    fault(arrived.state != State::Nonsense, "no HTTP");
    fault(!text.starts_with("GET /smuggled"), "the smuggled request");
    let section = text.strip_suffix("\r\n\r\n").unwrap_or(&text);
    let bare = section.replace("\r\n", "").contains(['\r', '\n', '\0']);
    fault(!bare, "a bare CR or LF, or a NUL");
    let mut lines = section.split("\r\n");
    let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    fault(words.len() == 3 && words.iter().all(|word| !word.is_empty()), "a first line that is not three words");
    fault(words.last() == Some(&"HTTP/1.1"), "another version");
    for line in lines {
        let name = line.split_once(':').map_or("", |(name, _)| name);
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        fault(!name.is_empty() && name.bytes().all(is_token), "a line that is no field");
        fault(!line.chars().any(|c| c.is_ascii_control() && c != '\t'), "a control character");
    }
    fault(arrived.all("host").len() == 1, "not one Host");
    let framings = arrived.all("content-length").len() + arrived.all("transfer-encoding").len();
    fault(framings <= 1, "several framings");
    for hop in
        ["connection", "te", "trailer", "keep-alive", "proxy-connection", "http2-settings", "proxy-authorization"]
    {
        let is_upgrade = hop == "connection" && arrived.all("upgrade") == ["websocket"];
        fault(is_upgrade || arrived.all(hop).is_empty(), "a field that is for one hop");
    }
    faults
}
