//! An event as subscribers are sent it, made once for all of them (HTML Living Standard §9.2, server-sent events).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// One event, ready to be sent.
#[derive(Debug)]
pub struct Message {
    /// Its number, which is its id on the wire.
    pub number: u64,
    /// Its name.
    pub name: String,
    /// `id: <number>`, `data: <JSON>` and an empty line.
    pub bytes: Bytes,
    /// Where its bytes are counted for as long as it is there.
    counts: Option<[Arc<AtomicUsize>; 2]>,
}

impl Message {
    /// Renders `body`, a JSON object.
    #[must_use]
    pub fn new(number: u64, name: String, body: &str) -> Self {
        Self { number, name, bytes: rendered(Some(number), body), counts: None }
    }

    /// The same; its bytes count in `counts` until it is dropped.
    #[must_use]
    pub fn counted(number: u64, name: String, body: &str, counts: [Arc<AtomicUsize>; 2]) -> Self {
        let mut message = Self::new(number, name, body);
        for count in &counts {
            count.fetch_add(message.bytes.len(), Ordering::Relaxed);
        }
        message.counts = Some(counts);
        message
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        for count in self.counts.iter().flatten() {
            count.fetch_sub(self.bytes.len(), Ordering::Relaxed);
        }
    }
}

/// A JSON object as one message, with an id or without. Line ends inside, which in JSON are nothing but white space
/// between its parts, become spaces: to a subscriber they would be the end of a line of the message.
#[must_use]
pub fn rendered(id: Option<u64>, json: &str) -> Bytes {
    let mut text = Vec::with_capacity(json.len() + 40);
    if let Some(id) = id {
        text.extend_from_slice(b"id: ");
        text.extend_from_slice(itoa::Buffer::new().format(id).as_bytes());
        text.push(b'\n');
    }
    text.extend_from_slice(b"data: ");
    text.extend(json.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
    text.extend_from_slice(b"\n\n");
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_of_data_whatever_white_space_its_json_has() {
        assert_eq!(rendered(None, r#"{"a":1}"#), "data: {\"a\":1}\n\n");
        assert_eq!(rendered(Some(7), "{\"a\":\r\n [\n1]}"), "id: 7\ndata: {\"a\":   [ 1]}\n\n");
    }

    #[test]
    fn a_message_counts_for_as_long_as_it_is_there() {
        let counts: [Arc<AtomicUsize>; 2] = Default::default();
        let message = Message::counted(1, "task.created".to_owned(), "{}", counts.clone());
        let held = || counts.clone().map(|count| count.load(Ordering::Relaxed));
        assert_eq!(held(), [message.bytes.len(); 2]);
        drop(message);
        assert_eq!(held(), [0; 2]);
    }
}
