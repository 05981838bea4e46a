//! A subscriber: server-sent events as their client reads them.

use std::time::Instant;

use serde_json::Value;

use super::client::{Ask, Client, Ending, Head};
use super::daemon::Daemon;
use super::eventually::DEADLINE;
use super::task::Tenant;

/// One message, as it came.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    pub(crate) id: Option<u64>,
    pub(crate) data: Value,
    /// Its other lines.
    pub(crate) more: Vec<String>,
}

impl Message {
    #[track_caller]
    fn read(text: &str) -> Self {
        let mut message = Self { id: None, data: Value::Null, more: Vec::new() };
        for line in text.split('\n') {
            if let Some(id) = line.strip_prefix("id: ") {
                assert_eq!(message.id.replace(id.parse().unwrap()), None, "two ids: {text:?}");
            } else if let Some(data) = line.strip_prefix("data: ") {
                assert!(message.data.is_null(), "two lines of data: {text:?}");
                message.data = serde_json::from_str(data).unwrap_or_else(|e| panic!("{e} in {text:?}"));
            } else {
                message.more.push(line.to_owned());
            }
        }
        message
    }

    /// Its `type`.
    pub(crate) fn name(&self) -> &str {
        self.data["type"].as_str().unwrap_or_default()
    }
}

/// An open stream.
#[derive(Debug)]
pub(crate) struct Stream {
    client: Client,
    pub(crate) head: Head,
    text: String,
}

impl Stream {
    /// Opens one and reads its header only.
    #[track_caller]
    pub(crate) fn begin(daemon: &Daemon, ask: &Ask) -> Self {
        let mut client = daemon.connect();
        client.send(ask.to_bytes());
        let head = client.head("GET").unwrap_or_else(|ending| panic!("no answer: {ending:?}"));
        assert_eq!(head.status, 200, "{head:?}: {:?}", client.piece());
        Self { client, head, text: String::new() }
    }

    /// Opens one for the tenant and reads the greeting. A query is given without its question mark.
    #[track_caller]
    pub(crate) fn open(daemon: &Daemon, tenant: &Tenant, query: &str) -> Self {
        Self::greeted(daemon, &sse(tenant, query)).0
    }

    /// Opens one and reads the greeting.
    #[track_caller]
    pub(crate) fn greeted(daemon: &Daemon, ask: &Ask) -> (Self, Message) {
        let mut stream = Self::begin(daemon, ask);
        let greeting = stream.next();
        assert_eq!(greeting.name(), "connected", "{greeting:?}");
        (stream, greeting)
    }

    /// The next message; `Err` = how it ended.
    pub(crate) fn try_next(&mut self) -> Result<Message, Ending> {
        loop {
            if let Some((message, rest)) = self.text.split_once("\n\n") {
                let message = Message::read(message);
                self.text = rest.to_owned();
                return Ok(message);
            }
            match self.client.piece() {
                Ok(Some(piece)) => self.text.push_str(std::str::from_utf8(&piece).unwrap()),
                Ok(None) if self.text.is_empty() => return Err(Ending::Whole),
                Ok(None) => panic!("ended within a message: {:?}", self.text),
                Err(ending) => return Err(ending),
            }
        }
    }

    /// The next message.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Message {
        self.try_next().unwrap_or_else(|ending| panic!("no message but {ending:?}"))
    }

    /// The next message that is no heartbeat.
    #[track_caller]
    pub(crate) fn event(&mut self) -> Message {
        let end = Instant::now() + DEADLINE;
        loop {
            let message = self.next();
            if message.name() != "heartbeat" {
                return message;
            }
            assert!(Instant::now() < end, "nothing but heartbeats within {DEADLINE:?}");
        }
    }

    /// So many of them, each in few words: `3 task.created`.
    #[track_caller]
    pub(crate) fn events(&mut self, count: usize) -> Vec<String> {
        let short = |message: Message| match message.id {
            Some(id) => format!("{id} {}", message.name()),
            None => message.name().to_owned(),
        };
        (0..count).map(|_| short(self.event())).collect()
    }

    /// Reads to its end: the last message that is no heartbeat, and how it ended.
    #[track_caller]
    pub(crate) fn last(mut self) -> (Message, Ending) {
        let mut last = None;
        loop {
            match self.try_next() {
                Ok(message) if message.name() == "heartbeat" => {}
                Ok(message) => last = Some(message),
                Err(ending) => return (last.unwrap_or_else(|| panic!("nothing before {ending:?}")), ending),
            }
        }
    }
}

/// A request for events. A query is given without its question mark.
pub(crate) fn sse(tenant: &Tenant, query: &str) -> Ask {
    tenant.ask("GET", &format!("/sse?{query}"))
}
