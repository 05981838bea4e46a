//! Black-box tests: the built binary on free ports, with real processes on its other side.

#![allow(clippy::unwrap_used, reason = "a test that meets a surprise shall end")]

mod hosts;
mod layering;
mod prefixes;
mod support;
