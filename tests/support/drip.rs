//! A client that sends a little at a time, and goes on while its test does something else.

use std::io::Write;
use std::thread::{self, JoinHandle};

use super::client::Client;
use super::eventually::pause;

/// How many pieces there are at most: more than half a minute of them.
const MOST: usize = 4_000;

/// What drips, until the other side closes.
#[derive(Debug)]
pub(crate) struct Drip(JoinHandle<()>);

impl Drip {
    /// Sends `piece` again and again.
    pub(crate) fn start(client: &Client, piece: &'static str) -> Self {
        let mut stream = client.writer();
        Self(thread::spawn(move || {
            for _ in 0..MOST {
                if stream.write_all(piece.as_bytes()).is_err() {
                    return;
                }
                pause();
            }
        }))
    }

    /// Whether the other side has closed.
    pub(crate) fn is_over(&self) -> bool {
        self.0.is_finished()
    }
}
