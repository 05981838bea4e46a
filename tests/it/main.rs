//! Black-box tests: the built binary on free ports, with real processes on its other side.

#![allow(clippy::unwrap_used, reason = "a test that meets a surprise shall end")]
#![allow(clippy::float_cmp, reason = "metrics are read as floats and count in whole numbers")]

mod access_walk;
mod callers;
mod command;
mod cors;
mod discovery;
mod forwarding;
mod hardening;
mod hosts;
mod jwt;
mod key_life;
mod keys;
mod layering;
mod life;
mod limits;
mod local_api;
mod messages;
mod observing;
mod outside;
mod prefixes;
mod problems;
mod registry_file;
mod registry_http;
mod reload;
mod service_auth;
mod store_crash;
mod store_damage;
mod store_disk;
mod store_refused;
mod store_strace;
mod streaming;
mod support;
mod task_create;
mod task_described;
mod task_hostile;
mod task_list;
mod task_once;
mod task_patch;
mod task_tenants;
mod task_versions;
mod tasks;
mod tools;
