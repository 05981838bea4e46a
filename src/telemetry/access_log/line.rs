//! One line of the access log, written by hand: it is made for every request, and a general serialiser
//! took about 4,000 instructions for it, counted.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// One line. Field names and order are DESIGN.md's ("Metrics", access log).
#[derive(Debug, Default)]
pub struct Entry<'a> {
    /// The request id; empty where no request could be read.
    pub request_id: &'a str,
    /// Who asked: an address; `null` where that cannot be told.
    pub client: Option<&'a str>,
    /// Method as sent.
    pub method: &'a str,
    /// Host as routed: lower-case, without port, of the bytes that a host has.
    pub host: &'a str,
    /// Path as sent, without the query.
    pub path: &'a str,
    /// Status sent; 0 = none.
    pub status: u16,
    /// Service id, if one was found.
    pub service: Option<&'a str>,
    /// `local`, `host`, `prefix` or `none`.
    pub kind: &'static str,
    /// Endpoint dialled last.
    pub endpoint: Option<&'a str>,
    /// Body bytes received.
    pub bytes_in: u64,
    /// Body bytes sent.
    pub bytes_out: u64,
    /// The whole request; written in milliseconds with microseconds behind the point.
    pub duration: Duration,
    /// Until the upstream's header; written like `duration`.
    pub upstream: Option<Duration>,
    /// The error word, where one was answered or something broke.
    pub error: Option<&'a str>,
    /// Upstream connection attempts.
    pub attempts: u32,
}

/// The time of day as text, made anew once a second.
#[derive(Debug, Default)]
pub(super) struct Clock {
    second: u64,
    text: String,
}

impl Clock {
    /// Now, RFC 3339 in UTC with milliseconds.
    fn append_to(&mut self, line: &mut Vec<u8>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.text.is_empty() || self.second != now.as_secs() {
            self.second = now.as_secs();
            let second = i64::try_from(self.second).ok().and_then(|second| Timestamp::from_second(second).ok());
            self.text = second.unwrap_or_default().to_string();
            self.text.pop();
        }
        line.extend_from_slice(self.text.as_bytes());
        line.push(b'.');
        three_digits(line, now.subsec_millis());
        line.push(b'Z');
    }
}

impl Entry<'_> {
    /// Appends the line and its end. The time is now.
    pub(super) fn append_to(&self, line: &mut Vec<u8>, clock: &mut Clock) {
        line.extend_from_slice(b"{\"time\":\"");
        clock.append_to(line);
        line.extend_from_slice(b"\",\"request_id\":");
        text(line, self.request_id);
        line.extend_from_slice(b",\"client\":");
        optional(line, self.client, plain);
        line.extend_from_slice(b",\"method\":");
        text(line, self.method);
        line.extend_from_slice(b",\"host\":");
        plain(line, self.host);
        line.extend_from_slice(b",\"path\":");
        text(line, self.path);
        line.extend_from_slice(b",\"status\":");
        number(line, self.status);
        line.extend_from_slice(b",\"service\":");
        optional(line, self.service, plain);
        line.extend_from_slice(b",\"kind\":");
        plain(line, self.kind);
        line.extend_from_slice(b",\"endpoint\":");
        optional(line, self.endpoint, plain);
        line.extend_from_slice(b",\"bytes_in\":");
        number(line, self.bytes_in);
        line.extend_from_slice(b",\"bytes_out\":");
        number(line, self.bytes_out);
        line.extend_from_slice(b",\"duration_ms\":");
        milliseconds(line, self.duration);
        line.extend_from_slice(b",\"upstream_ms\":");
        optional(line, self.upstream, milliseconds);
        line.extend_from_slice(b",\"error\":");
        optional(line, self.error, plain);
        line.extend_from_slice(b",\"attempts\":");
        number(line, self.attempts);
        line.extend_from_slice(b"}\n");
    }
}

/// A JSON string of what is known to need no escape: names that were checked when they were made.
fn plain(line: &mut Vec<u8>, text: &str) {
    line.push(b'"');
    line.extend_from_slice(text.as_bytes());
    line.push(b'"');
}

/// A JSON string. What needs no escape, which is nearly everything, is copied.
fn text(line: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\') {
        plain(line, text);
    } else {
        line.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
    }
}

fn number(line: &mut Vec<u8>, number: impl itoa::Integer) {
    line.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn milliseconds(line: &mut Vec<u8>, duration: Duration) {
    let micros = duration.as_micros();
    number(line, micros / 1000);
    line.push(b'.');
    three_digits(line, u32::try_from(micros % 1000).unwrap_or_default());
}

fn three_digits(line: &mut Vec<u8>, number: u32) {
    let digit = |divisor: u32| b'0' + u8::try_from(number / divisor % 10).unwrap_or_default();
    line.extend_from_slice(&[digit(100), digit(10), digit(1)]);
}

fn optional<T>(line: &mut Vec<u8>, value: Option<T>, write: impl FnOnce(&mut Vec<u8>, T)) {
    match value {
        Some(value) => write(line, value),
        None => line.extend_from_slice(b"null"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(entry: &Entry<'_>) -> serde_json::Value {
        let mut line = Vec::new();
        entry.append_to(&mut line, &mut Clock::default());
        assert_eq!(line.pop(), Some(b'\n'));
        assert!(!line.contains(&b'\n'));
        serde_json::from_slice(&line).unwrap()
    }

    #[test]
    fn every_field_stands_in_the_order_of_the_design() {
        let (duration, upstream) = (Duration::from_micros(12_034), Some(Duration::from_micros(7)));
        let entry = Entry { duration, upstream, ..Entry::default() };
        let mut line = Vec::new();
        entry.append_to(&mut line, &mut Clock::default());
        let line = String::from_utf8(line).unwrap();
        let names = "time request_id client method host path status service kind endpoint bytes_in bytes_out duration_ms \
                     upstream_ms error attempts";
        let places: Vec<_> = names.split(' ').map(|name| line.find(&format!("\"{name}\":")).unwrap()).collect();
        assert!(places.is_sorted());
        assert!(line.contains("\"duration_ms\":12.034,\"upstream_ms\":0.007,"));
        let time = parsed(&entry)["time"].as_str().unwrap().to_owned();
        assert_eq!(time.len(), "2026-01-02T03:04:05.678Z".len());
        assert!(time.parse::<Timestamp>().is_ok(), "{time}");
    }

    proptest! {
        #[test]
        fn any_text_comes_back_from_the_line(path in ".*", method in ".*", request_id in ".*") {
            let line = parsed(&Entry { path: &path, method: &method, request_id: &request_id, ..Entry::default() });
            prop_assert_eq!(line["path"].as_str(), Some(path.as_str()));
            prop_assert_eq!(line["method"].as_str(), Some(method.as_str()));
            prop_assert_eq!(line["request_id"].as_str(), Some(request_id.as_str()));
        }
    }
}
