//! The words everything else is said in: names, services as they are declared and as they are served, the facts of a
//! request, and what agents share. Types and legal changes only; no I/O, and no other module of this crate.

pub mod event;
pub mod file;
pub mod id;
pub mod json;
pub mod key;
pub mod name;
pub mod registration;
pub mod request;
pub mod service;
pub mod session;
pub mod stored_file;
pub mod sync;
pub mod task;
pub mod time;
