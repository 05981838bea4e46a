//! Black-box tests: the built binary on free ports, with real processes on its other side.

#![allow(clippy::unwrap_used, reason = "a test that meets a surprise shall end")]
#![allow(clippy::float_cmp, reason = "metrics are read as floats and count in whole numbers")]

mod admin_api;
mod callers;
mod command;
mod context_files;
mod context_sync;
mod contract;
mod cors;
mod discovery;
mod embedded_registry;
mod events;
mod events_end;
mod events_load;
mod events_resume;
mod forwarding;
mod hardening;
mod hosts;
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
mod rate_limit;
mod registry_api;
mod registry_file;
mod registry_http;
mod reload;
mod schema;
mod service_status;
mod sessions;
mod store_crash;
mod store_damage;
mod store_disk;
mod store_refused;
mod store_strace;
mod store_tools;
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
mod whoami;
