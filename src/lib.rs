//! chittyconnect: one front door before a family of services. `docs/ARCHITECTURE.md` has the picture.

pub mod api;
pub mod app;
pub mod auth;
pub mod blob;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod event;
pub mod inventory;
pub mod listener;
pub mod model;
pub mod problem;
pub mod proxy;
pub mod registry;
pub mod route;
pub mod store;
pub mod telemetry;
pub mod upstream;
pub mod yaml;

// The properties of `fuzz/` name this library as its users do.
#[cfg(test)]
extern crate self as chittyconnect;

#[cfg(test)]
#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "it is a library of its own for the fuzz targets")]
mod property;
