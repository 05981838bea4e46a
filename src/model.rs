//! The words everything else is said in: names, services as they are declared and as they are served, the facts of a
//! request. Types only; no I/O, no clock, and no other module of this crate.

pub mod name;
pub mod request;
pub mod service;
