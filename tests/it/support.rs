//! The harness.

#[path = "../support/client.rs"]
pub(crate) mod client;
#[path = "../support/daemon.rs"]
pub(crate) mod daemon;
#[path = "../support/disk.rs"]
pub(crate) mod disk;
#[path = "../support/eventually.rs"]
pub(crate) mod eventually;
#[path = "../support/files.rs"]
pub(crate) mod files;
#[path = "../support/patient.rs"]
pub(crate) mod patient;
#[path = "../support/peer.rs"]
pub(crate) mod peer;
#[path = "../support/rclone.rs"]
pub(crate) mod rclone;
#[path = "../support/recorder.rs"]
pub(crate) mod recorder;
#[path = "../support/rows.rs"]
pub(crate) mod rows;
#[path = "../support/shape.rs"]
pub(crate) mod shape;
#[path = "../support/sigv4.rs"]
pub(crate) mod sigv4;
#[path = "../support/store.rs"]
pub(crate) mod store;
#[path = "../support/stream.rs"]
pub(crate) mod stream;
#[path = "../support/task.rs"]
pub(crate) mod task;
#[path = "../support/token.rs"]
pub(crate) mod token;
#[path = "../support/walk.rs"]
pub(crate) mod walk;

pub(crate) use client::{Answer, Ask, Client, Ending};
pub(crate) use daemon::{API, BINARY, CONNECT, DOMAIN, Daemon, MCP};
pub(crate) use disk::SmallDisk;
pub(crate) use eventually::{eventually, eventually_eq};
pub(crate) use nix::sys::signal::Signal;
pub(crate) use peer::{Nginx, Registry, Upstream};
pub(crate) use recorder::Recorder;
pub(crate) use rows::Rows;
pub(crate) use task::{TASKS, Tenant};
