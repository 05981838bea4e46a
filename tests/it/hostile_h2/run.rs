//! Runs rows against the daemon, and asserts of each what holds of all.

use super::frames::{
    ACK, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, NO_ERROR, PING, PREFACE, Peer, RST_STREAM, SETTINGS,
    block, frame,
};
use crate::support::recorder::{Arrived, MARK, State};
use crate::support::{Daemon, Ending, Recorder, Rows};

/// The host of the service that takes anything.
pub(super) const HOST: &str = "svc.chitty.test";
/// The host of one that takes bodies of 64 bytes at the most.
pub(super) const SMALL: &str = "small.chitty.test";

/// What becomes of a row's stream, which is the first.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    /// The service answers it.
    Served,
    /// It is refused: with one of these statuses, a reset stream, or the end of the connection.
    Refused(&'static [u16]),
    /// The connection ends, and with one of these codes where it says why.
    Ended(&'static [u32]),
    /// Served or refused: the other side bears it.
    Borne,
}

/// One row.
#[derive(Clone, Debug)]
pub(super) struct Case {
    name: String,
    rfc: &'static str,
    bytes: Vec<u8>,
    fate: Fate,
    /// How many whole requests the service may see: none where it is refused.
    most: usize,
    /// Whether the beginning of one may reach it, which then breaks off.
    may_begin: bool,
    /// What the service sees of it as its body.
    body: Option<Vec<u8>>,
    /// Whether the client says the usual before the bytes.
    greets: bool,
    finding: Option<&'static str>,
}

impl Case {
    fn new(name: impl Into<String>, rfc: &'static str, bytes: impl AsRef<[u8]>, fate: Fate, most: usize) -> Self {
        let (name, bytes) = (name.into(), bytes.as_ref().to_vec());
        Self { name, rfc, bytes, fate, most, may_begin: false, body: None, greets: true, finding: None }
    }

    /// A row whose request the service answers.
    pub(super) fn served(name: impl Into<String>, rfc: &'static str, bytes: impl AsRef<[u8]>) -> Self {
        Self::new(name, rfc, bytes, Fate::Served, 1)
    }

    /// A row whose request is malformed, and reaches nobody.
    pub(super) fn refused(name: impl Into<String>, rfc: &'static str, bytes: impl AsRef<[u8]>) -> Self {
        Self::new(name, rfc, bytes, Fate::Refused(&[400]), 0)
    }

    /// A row that the connection does not survive.
    pub(super) fn ended(
        name: impl Into<String>,
        rfc: &'static str,
        bytes: impl AsRef<[u8]>,
        codes: &'static [u32],
    ) -> Self {
        Self::new(name, rfc, bytes, Fate::Ended(codes), 0)
    }

    /// A row that is borne, with so many requests at the service at the most.
    pub(super) fn borne(name: impl Into<String>, rfc: &'static str, bytes: impl AsRef<[u8]>, most: usize) -> Self {
        Self { may_begin: true, ..Self::new(name, rfc, bytes, Fate::Borne, most) }
    }

    /// These statuses, instead of 400.
    pub(super) fn status(self, statuses: &'static [u16]) -> Self {
        Self { fate: Fate::Refused(statuses), ..self }
    }

    /// The service may see its beginning.
    pub(super) fn may_begin(self) -> Self {
        Self { may_begin: true, ..self }
    }

    pub(super) fn most(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// The service sees this body.
    pub(super) fn body(self, body: &str) -> Self {
        Self { body: Some(body.as_bytes().to_vec()), ..self }
    }

    /// The bytes are all that the client says.
    pub(super) fn without_greeting(self) -> Self {
        Self { greets: false, ..self }
    }

    /// The row does not hold yet; it is run, and what came of it is said.
    pub(super) fn finding(self, finding: &'static str) -> Self {
        Self { finding: Some(finding), ..self }
    }
}

/// The fields of a GET of `/x`.
pub(super) const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":authority", HOST), (":path", "/x")];
/// Those of a POST.
pub(super) const POST: [(&str, &str); 4] =
    [(":method", "POST"), (":scheme", "http"), (":authority", HOST), (":path", "/x")];

/// A whole header on the first stream, with a body to come.
pub(super) fn open(fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, 1, block(fields.iter().copied()))
}

/// A whole request on the first stream.
pub(super) fn whole(fields: &[(&str, &str)]) -> Vec<u8> {
    on(1, fields)
}

/// A whole request on this stream.
pub(super) fn on(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, block(fields.iter().copied()))
}

/// A GET with these fields behind its own.
pub(super) fn get_with(fields: &[(&str, &str)]) -> Vec<u8> {
    whole(&[&GET[..], fields].concat())
}

/// A part of a body, with the end of its stream or without it.
pub(super) fn data(body: &str, ends: bool) -> Vec<u8> {
    frame(DATA, if ends { END_STREAM } else { 0 }, 1, body)
}

/// What came back on a connection.
#[derive(Debug, Default)]
struct Heard {
    /// The status on the first stream.
    status: Option<u16>,
    reset: Option<u32>,
    goaway: Option<u32>,
    end: Option<Ending>,
}

impl Heard {
    fn note(&mut self, heard: &Frame) {
        match heard.kind {
            HEADERS if heard.stream == 1 => self.status = self.status.or(heard.status()),
            RST_STREAM if heard.stream == 1 => self.reset = heard.code(),
            GOAWAY => self.goaway = heard.code(),
            _ => {}
        }
    }

    /// Whether the connection is over, but for an orderly end that was not asked for.
    fn is_over(&self) -> bool {
        matches!(self.end, Some(Ending::Fin | Ending::Reset)) || self.goaway.is_some_and(|code| code != NO_ERROR)
    }

    fn fits(&self, fate: Fate) -> bool {
        match fate {
            Fate::Served => self.status == Some(200) && self.reset.is_none_or(|code| code == NO_ERROR),
            Fate::Refused(statuses) => {
                self.status.map_or(self.reset.is_some() || self.is_over(), |status| statuses.contains(&status))
            }
            Fate::Ended(codes) => {
                let known = self.goaway.is_none_or(|code| codes.contains(&code));
                matches!(self.end, Some(Ending::Fin | Ending::Reset)) && known && self.status != Some(200)
            }
            Fate::Borne => self.end != Some(Ending::Silence),
        }
    }
}

/// Runs the rows one after the other against one daemon, and the daemon to its end.
#[track_caller]
pub(super) fn run(cases: &[Case]) {
    let recorder = Recorder::start();
    let mut daemon = Daemon::builder()
        .set("server", "{threads: 1, grace_period: 20s}")
        .set("listeners", "[{bind: \"127.0.0.1:@PORT@\", h2c: true}]")
        .service(recorder.service_with("svc", ""))
        .service(recorder.service_with("small", "limits: {body_bytes: 64}"))
        .start();
    let mut rows = Rows::new();
    for case in cases {
        let faults = faults(&daemon, &recorder, case);
        match case.finding {
            None => rows.eq(format!("{} ({})", case.name, case.rfc), &Vec::<String>::new(), &faults),
            Some(finding) => tell(case, finding, &faults),
        }
    }
    rows.holds("it still runs", daemon.is_running(), "it has ended");
    rows.holds("it has not panicked", !daemon.log().contains("panicked"), daemon.log());
    drop(daemon.into_place());
    let late: Vec<String> = recorder.take().iter().map(Arrived::text).collect();
    rows.eq("nothing comes late", &Vec::new(), &late);
    rows.finish();
}

/// A row that does not hold yet is passed over where everyone sees it.
fn tell(case: &Case, finding: &str, faults: &[String]) {
    use std::io::Write as _;
    let state = if faults.is_empty() { "it holds by now: take the mark away".to_owned() } else { faults.join("; ") };
    // Not by a macro: the test harness would keep that to itself.
    let _ = writeln!(std::io::stderr(), "SKIPPED {} ({}): {finding} [{state}]", case.name, case.rfc);
}

/// Everything about this row that is not as it must be.
fn faults(daemon: &Daemon, recorder: &Recorder, case: &Case) -> Vec<String> {
    let mut faults = Vec::new();
    let heard = hear(daemon, case);
    if !heard.fits(case.fate) {
        faults.push(format!("{heard:?}, not {:?}", case.fate));
    }
    if let Some(fault) = honest(daemon) {
        faults.push(fault);
    }
    let honest_line = "GET /honest HTTP/1.1";
    let arrived: Vec<Arrived> = recorder.take().into_iter().filter(|arrived| arrived.line() != honest_line).collect();
    let count = |state| arrived.iter().filter(|arrived| arrived.state == state).count();
    let (whole, broken) = (count(State::Whole), count(State::Broken));
    let exact = matches!(case.fate, Fate::Served);
    let fits = whole <= case.most && (!exact || whole == case.most) && (case.may_begin || broken == 0);
    if !fits || count(State::Nonsense) > 0 {
        let lines: Vec<String> = arrived.iter().take(5).map(|one| format!("{:?} {}", one.state, one.line())).collect();
        faults.push(format!("the service sees {whole} whole and {broken} broken requests: {lines:?}"));
    }
    for one in &arrived {
        let lacking = ["connection", "te", "transfer-encoding", "upgrade", "http2-settings"];
        let hop = lacking.iter().find(|name| !one.all(name).iter().all(|value| value == "chunked"));
        if let Some(hop) = hop {
            faults.push(format!("the service sees {hop} {:?}", one.all(hop)));
        }
        if one.all("host").len() != 1 || one.text().contains("smuggled") {
            faults.push(format!("the service sees {:?}", one.text()));
        }
    }
    if let (Some(body), Some(first)) = (&case.body, arrived.first())
        && first.body != *body
    {
        faults.push(format!("the service sees the body {:?}", String::from_utf8_lossy(&first.body)));
    }
    faults
}

/// Says what the row says, and reads until it is clear what became of it.
fn hear(daemon: &Daemon, case: &Case) -> Heard {
    let mut heard = Heard::default();
    let mut peer = if case.greets { Peer::connect(daemon.port) } else { Peer::silent(daemon.port) };
    // In pieces, so that what the other side says meanwhile is not in its way.
    let taken = case.bytes.chunks(16 * 1024).all(|piece| peer.send(piece));
    // Nor waited for where it is known not to come.
    let waits_for_pong = matches!(case.fate, Fate::Borne) || case.finding.is_some();
    if taken && waits_for_pong {
        peer.send(frame(PING, 0, 0, b"are you "));
    }
    loop {
        match peer.next() {
            Err(end) => {
                heard.end = Some(end);
                return heard;
            }
            Ok(back) => {
                heard.note(&back);
                if back.kind == SETTINGS && back.flags & ACK == 0 {
                    peer.send(frame(SETTINGS, ACK, 0, b""));
                }
                let is_pong = back.kind == PING && back.payload == b"are you ";
                let ends = back.stream == 1 && (back.kind == RST_STREAM || back.flags & END_STREAM != 0);
                let over = match case.fate {
                    Fate::Served | Fate::Refused(_) => ends && matches!(back.kind, HEADERS | DATA | RST_STREAM),
                    Fate::Ended(_) => case.finding.is_some() && is_pong,
                    Fate::Borne => is_pong,
                };
                if over {
                    return heard;
                }
            }
        }
    }
}

/// An honest request on a connection of its own, in each version.
fn honest(daemon: &Daemon) -> Option<String> {
    let first = daemon.get(HOST, "/honest");
    if first.header(MARK).is_none() {
        return Some(format!("an honest request in HTTP/1.1 afterwards: {}", first.fate()));
    }
    let mut peer = Peer::connect(daemon.port);
    let fields = [(":method", "GET"), (":scheme", "http"), (":authority", HOST), (":path", "/honest")];
    peer.send(whole(&fields));
    let mut heard = Heard::default();
    loop {
        match peer.next() {
            Err(end) => return Some(format!("an honest request in HTTP/2 afterwards: {end:?} {heard:?}")),
            Ok(back) => {
                heard.note(&back);
                if back.stream == 1 && back.flags & END_STREAM != 0 && matches!(back.kind, HEADERS | DATA) {
                    return (heard.status != Some(200))
                        .then(|| format!("an honest request in HTTP/2 afterwards: {heard:?}"));
                }
            }
        }
    }
}

/// The preface, for rows that say all of it themselves.
pub(super) fn preface_and(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    [PREFACE, bytes.as_ref()].concat()
}
