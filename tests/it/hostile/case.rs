//! One row: what is sent, and what may come of it.

/// The host of the service that takes anything.
pub(super) const HOST: &str = "svc.chitty.test";
/// The host of one that takes bodies of 64 bytes at the most.
pub(super) const SMALL: &str = "small.chitty.test";
/// The host of one that asks for a key.
pub(super) const KEYED: &str = "keyed.chitty.test";
/// The host of one that is switched off.
pub(super) const OFF: &str = "off.chitty.test";
/// A request that must not be seen by anyone: it stands where only a wrong reading makes it one.
pub(super) const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: svc.chitty.test\r\n\r\n";
/// A status that stands for an end of the connection without an answer.
pub(super) const NO_ANSWER: u16 = 0;
/// A request that Pingora's parser or the gateway's checks refuse.
const REFUSED: &[u16] = &[400];

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// It must end.
    Closes,
    /// It must take another request.
    Stays,
    /// Either, as long as nothing is read for what it is not.
    Either,
}

/// What the service may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrives {
    /// So many whole requests, and nothing else.
    Whole(usize),
    /// Nothing, or so many whole requests at the most.
    AtMost(usize),
    /// Nothing, or the beginning of one request, which then breaks off.
    Broken,
}

/// What must hold of the one request that the service sees.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    /// Its first line.
    Line(String),
    /// Its body, without framing.
    Body(Vec<u8>),
    /// It has this field, once, with this value.
    Field(&'static str, String),
    /// It has no such field.
    Lacks(&'static str),
}

/// One row.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) rfc: &'static str,
    pub(super) bytes: Vec<u8>,
    /// The method by which the answers are read.
    pub(super) method: &'static str,
    /// Whether the client sends its end after the bytes.
    pub(super) ends: bool,
    /// For each answer, the statuses that it may have.
    pub(super) answers: Vec<&'static [u16]>,
    pub(super) after: After,
    pub(super) arrives: Arrives,
    pub(super) seen: Vec<Seen>,
}

impl Case {
    /// A row that is refused: with 400, the connection ends, and nobody sees it.
    pub(super) fn new(name: impl Into<String>, rfc: &'static str, bytes: impl AsRef<[u8]>) -> Self {
        Self {
            name: name.into(),
            rfc,
            bytes: bytes.as_ref().to_vec(),
            method: "GET",
            ends: false,
            answers: vec![REFUSED],
            after: After::Closes,
            arrives: Arrives::Whole(0),
            seen: Vec::new(),
        }
    }

    /// Its one answer has one of these statuses.
    pub(super) fn status(self, statuses: &'static [u16]) -> Self {
        Self { answers: vec![statuses], ..self }
    }

    /// It is refused, and the connection may go on: it was clear where the request ended.
    pub(super) fn either(self) -> Self {
        Self { after: After::Either, ..self }
    }

    /// It reaches the service, once, and the connection takes the next request.
    pub(super) fn served(self) -> Self {
        Self { answers: vec![&[200]], after: After::Stays, arrives: Arrives::Whole(1), ..self }
    }

    /// It reaches the service, once, and the connection ends: what it was read as was not beyond doubt.
    pub(super) fn normalised(self) -> Self {
        Self { after: After::Closes, ..self.served() }
    }

    /// It breaks off: with an answer or without one.
    pub(super) fn broken(self) -> Self {
        Self { answers: vec![&[400, 413, NO_ANSWER]], arrives: Arrives::Broken, ..self }
    }

    /// The client sends its end after the bytes.
    pub(super) fn then_end(self) -> Self {
        Self { ends: true, ..self }
    }

    pub(super) fn after(self, after: After) -> Self {
        Self { after, ..self }
    }

    pub(super) fn arrives(self, arrives: Arrives) -> Self {
        Self { arrives, ..self }
    }

    /// Several answers come, one after the other.
    pub(super) fn answers(self, answers: &[&'static [u16]]) -> Self {
        Self { answers: answers.to_vec(), ..self }
    }

    pub(super) fn method(self, method: &'static str) -> Self {
        Self { method, ..self }
    }

    pub(super) fn seen(mut self, seen: Seen) -> Self {
        self.seen.push(seen);
        self
    }

    /// The service sees this as the request's first line.
    pub(super) fn line(self, line: impl Into<String>) -> Self {
        self.seen(Seen::Line(line.into()))
    }

    /// The service sees this body.
    pub(super) fn body(self, body: impl AsRef<[u8]>) -> Self {
        self.seen(Seen::Body(body.as_ref().to_vec()))
    }

    /// The service sees this field, once, with this value.
    pub(super) fn field(self, name: &'static str, value: impl Into<String>) -> Self {
        self.seen(Seen::Field(name, value.into()))
    }

    /// The service sees no such field.
    pub(super) fn lacks(self, name: &'static str) -> Self {
        self.seen(Seen::Lacks(name))
    }
}

/// A GET with these lines of header.
pub(super) fn get(fields: &str) -> String {
    format!("GET /x HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n")
}

/// A GET of this target.
pub(super) fn get_target(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
}

/// A POST with these lines of header, and a body.
pub(super) fn post(fields: &str, body: &str) -> String {
    format!("POST /x HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n{body}")
}

/// A POST with a body that says it is chunked.
pub(super) fn chunked(body: &str) -> String {
    post("Transfer-Encoding: chunked\r\n", body)
}
