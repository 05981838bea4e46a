//! Hostile HTTP/2 without TLS (`h2c: true` on a listener): each row is frames on a socket, and what may come of them.
//!
//! Whatever the row, nothing that is refused reaches the service, and an honest request on a new connection is answered.

mod fields;
mod flood;
mod frame;
#[path = "../support/frames.rs"]
mod frames;
mod length;
mod run;
mod unended;
