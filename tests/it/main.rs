//! Black-box tests: the built binary on free ports, with real processes on its other side.

#![allow(clippy::unwrap_used, reason = "a test that meets a surprise shall end")]

mod cors;
mod forwarding;
mod hosts;
mod layering;
mod limits;
mod messages;
mod prefixes;
mod problems;
mod streaming;
mod support;
