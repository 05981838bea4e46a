//! A steady load from clients that keep their connections, bounded in count, with every answer looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::client::{Answer, Ask, Client, Ending};
use super::eventually::eventually;

/// How many clients share the load.
const CLIENTS: u32 = 32;
/// A load that nobody stops ends after so many seconds' requests.
const SECONDS: u32 = 90;

/// Runs until it is finished.
#[derive(Debug)]
pub(crate) struct Load {
    stops: Vec<Sender<()>>,
    clients: Vec<JoinHandle<Vec<String>>>,
    answered: Arc<AtomicU64>,
    rate: u32,
}

impl Load {
    /// Offers `ask` to `port` so many times a second; a client that was held up catches up.
    pub(crate) fn start(port: u16, ask: &Ask, rate: u32) -> Self {
        let answered = Arc::<AtomicU64>::default();
        let mut load = Self { stops: Vec::new(), clients: Vec::new(), answered, rate };
        for number in 0..CLIENTS {
            let (stop, stopped) = channel::<()>();
            let (ask, answered) = (ask.clone(), Arc::clone(&load.answered));
            let every = Duration::from_secs(1) * CLIENTS / rate;
            load.stops.push(stop);
            load.clients.push(std::thread::spawn(move || {
                let mut client = None;
                let mut failed = Vec::new();
                let mut next = Instant::now() + every * number / CLIENTS;
                for _ in 0..rate * SECONDS / CLIENTS {
                    let wait = next.saturating_duration_since(Instant::now());
                    if stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                        break;
                    }
                    next += every;
                    match one(&mut client, port, &ask) {
                        Ok(()) => drop(answered.fetch_add(1, Ordering::Relaxed)),
                        Err(what) => failed.push(what),
                    }
                }
                failed
            }));
        }
        load
    }

    /// Waits until it has had as many more answers as it offers in `tenths` of a second.
    #[track_caller]
    pub(crate) fn go_on(&self, tenths: u32) {
        let aim = self.answered() + u64::from(self.rate * tenths / 10);
        eventually("the load goes on", || if self.answered() >= aim { Ok(()) } else { Err((self.answered(), aim)) });
    }

    /// How many were answered as they should.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Ends it: how many were answered as they should, and what became of each of the others.
    pub(crate) fn finish(self) -> (u64, Vec<String>) {
        drop(self.stops);
        let failed = self.clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        (self.answered.load(Ordering::Relaxed), failed)
    }
}

/// One request, on the connection of the last one if that is still open.
fn one(client: &mut Option<Client>, port: u16, ask: &Ask) -> Result<(), String> {
    let mut connected = match client.take() {
        Some(connected) => connected,
        None => Client::try_connect(port).map_err(|error| error.to_string())?,
    };
    match connected.send(ask.to_bytes()).try_answer("GET") {
        Ok(Answer { head, ending: Ending::Whole, .. }) if head.status == 200 => {
            let closes = head.all("connection").iter().any(|value| value.eq_ignore_ascii_case("close"));
            *client = (!closes).then_some(connected);
            Ok(())
        }
        Ok(answer) => Err(format!("{} {:?} {}", answer.status(), answer.ending, answer.text())),
        Err(ending) => Err(format!("no answer: {ending:?}")),
    }
}
