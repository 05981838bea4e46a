//! One open stream: what its follower is told, heartbeats in between, and its end.

use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;

use axum::body::Bytes;
use futures::stream;
use serde::Serialize;
use tokio::time::{Instant, Sleep, sleep_until};

use super::place::Place;
use super::query::Types;
use crate::api::access::Pass;
use crate::event::follow::{Follower, Item};
use crate::event::message::rendered;
use crate::model::id::SessionId;
use crate::model::time::Time;
use crate::store::EventStore;

/// How often it is seen whether the key is still let in, at least.
const CHECK_EVERY: Duration = Duration::from_secs(15);
/// After how long a client should come back, in milliseconds: it is what browsers do by themselves.
const RETRY: &str = "retry: 3000\n";

/// What a stream is made of.
pub(super) struct Stream {
    pub(super) follower: Follower<dyn EventStore>,
    pub(super) session: SessionId,
    pub(super) types: Types,
    /// The client said what it has.
    pub(super) resumed: bool,
    pub(super) heartbeat: Duration,
    pub(super) pass: Pass,
    /// Free again when the stream is gone.
    pub(super) _place: Place,
}

/// What subscribers are told beside events.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
enum Notice<'a> {
    #[serde(rename_all = "camelCase")]
    Connected {
        session_id: &'a SessionId,
        timestamp: u64,
        message: &'static str,
    },
    Heartbeat {
        timestamp: u64,
        uptime: u64,
    },
    #[serde(rename_all = "camelCase")]
    Gap {
        session_id: &'a SessionId,
        from: u64,
        to: u64,
    },
    #[serde(rename_all = "camelCase")]
    Closing {
        session_id: &'a SessionId,
        timestamp: u64,
        reason: &'static str,
        message: &'a str,
    },
}

impl Notice<'_> {
    fn to_message(&self, id: Option<u64>) -> Bytes {
        // Nothing in it is a map, so it can be written.
        rendered(id, &serde_json::to_string(self).unwrap_or_default())
    }
}

/// Why a stream ends.
enum End {
    Shutdown,
    Unauthorized(String),
    Store,
}

struct Open {
    stream: Stream,
    began: Instant,
    sent: Instant,
    checked: Instant,
    timer: Pin<Box<Sleep>>,
    next: Part,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Greeting,
    Events,
    Nothing,
}

impl Stream {
    /// Its messages, until it ends.
    pub(super) fn into_messages(self) -> impl futures::Stream<Item = Result<Bytes, Infallible>> + Send {
        let now = Instant::now();
        let timer = Box::pin(sleep_until(now + self.tick()));
        let open = Open { stream: self, began: now, sent: now, checked: now, timer, next: Part::Greeting };
        stream::unfold(open, |mut open| async move {
            let message = open.message().await?;
            open.sent = Instant::now();
            Some((Ok(message), open))
        })
    }

    fn tick(&self) -> Duration {
        self.heartbeat.min(CHECK_EVERY)
    }
}

impl Open {
    /// The next message; `None` = it was the last.
    async fn message(&mut self) -> Option<Bytes> {
        match self.next {
            Part::Greeting => {
                self.next = Part::Events;
                return Some(self.greeting());
            }
            Part::Nothing => return None,
            Part::Events => {}
        }
        loop {
            // The clock first, for events may never pause.
            let told = tokio::select! {
                biased;
                () = &mut self.timer => None,
                told = self.stream.follower.next() => Some(told),
            };
            let end = match told {
                None => match self.look_at_the_clock().await {
                    Ok(Some(heartbeat)) => return Some(heartbeat),
                    Ok(None) => continue,
                    Err(end) => end,
                },
                Some(Ok(Item::Event(message))) => {
                    if self.stream.types.has(&message.name) {
                        return Some(message.bytes.clone());
                    }
                    continue;
                }
                Some(Ok(Item::Gap { from, to, lost })) => {
                    let gap = Notice::Gap { session_id: &self.stream.session, from, to };
                    return Some(gap.to_message(lost.then_some(to)));
                }
                Some(Ok(Item::Closed)) => End::Shutdown,
                Some(Err(error)) => {
                    tracing::debug!(%error, "an event stream ends: the log cannot be read");
                    End::Store
                }
            };
            self.next = Part::Nothing;
            return Some(self.closing(&end));
        }
    }

    fn greeting(&mut self) -> Bytes {
        let stream = &mut self.stream;
        // Where the client goes on, its own position is the one that counts until it has more.
        let id = (!stream.resumed).then(|| stream.follower.start());
        let connected = Notice::Connected {
            session_id: &stream.session,
            timestamp: Time::now().as_millis(),
            message: "ChittyConnect streaming active",
        };
        [RETRY.as_bytes(), &connected.to_message(id)].concat().into()
    }

    /// A heartbeat, if it is time for one.
    async fn look_at_the_clock(&mut self) -> Result<Option<Bytes>, End> {
        let now = Instant::now();
        if now >= self.checked + self.stream.tick() {
            self.stream.pass.check().await.map_err(End::Unauthorized)?;
            self.checked = now;
        }
        let is_due = now >= self.sent + self.stream.heartbeat;
        let sent = if is_due { now } else { self.sent };
        let next = (sent + self.stream.heartbeat).min(self.checked + self.stream.tick());
        self.timer.as_mut().reset(next);
        let uptime = || u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let heartbeat = is_due.then(|| Notice::Heartbeat { timestamp: Time::now().as_millis(), uptime: uptime() });
        Ok(heartbeat.map(|heartbeat| heartbeat.to_message(self.stream.follower.position())))
    }

    fn closing(&self, end: &End) -> Bytes {
        let (reason, message) = match end {
            End::Shutdown => ("shutdown", "the gateway is being stopped; come back with Last-Event-ID"),
            End::Unauthorized(why) => ("unauthorized", &**why),
            End::Store => ("store_unavailable", "the event log cannot be read at the moment"),
        };
        let timestamp = Time::now().as_millis();
        Notice::Closing { session_id: &self.stream.session, timestamp, reason, message }.to_message(None)
    }
}
