//! What every store must do ([`conformance`]), against a plain model ([`model`]), what is on the disk
//! ([`format`](mod@format)), and what the embedded one does when its disk fails it ([`faults`]).

mod conformance;
mod d1;
mod faults;
mod format;
mod migrate;
mod model;
mod repair;
mod retention;
mod transfer;

use std::path::Path;
use std::sync::Arc;

use super::embedded::{Embedded, OpenError};
use super::{Config, Durability, Once, Retention, TaskQuery};
use crate::model::id::{ChittyId, SessionId};
use crate::model::json::Json;
use crate::model::task::{NewTask, Priority};
use crate::telemetry::describe;
use crate::telemetry::metrics::Metrics;

fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::new().unwrap())
}

fn config(folder: &Path) -> Config {
    Config { path: folder.join("data"), durability: Durability::PowerLoss, retention: Retention::default() }
}

fn try_open(folder: &Path) -> Result<Embedded, OpenError> {
    Embedded::open(&config(folder), metrics())
}

#[track_caller]
fn open(folder: &Path) -> Embedded {
    try_open(folder).unwrap_or_else(|error| panic!("{}", describe(&error)))
}

fn chitty(text: &str) -> ChittyId {
    text.parse().unwrap()
}

fn session(text: &str) -> SessionId {
    text.parse().unwrap()
}

fn new_task(owner: &str, title: &str) -> NewTask {
    NewTask {
        chitty_id: chitty(owner),
        session_id: session("s"),
        task_type: "user_request".to_owned(),
        title: title.to_owned(),
        description: None,
        priority: Priority::Normal,
        assigned_service: None,
        parent_task_id: None,
        metadata: Some(Json::parse("{}".to_owned()).unwrap()),
    }
}

fn all_of(owner: &str) -> TaskQuery {
    TaskQuery {
        chitty_id: chitty(owner),
        session_id: session("s"),
        status: None,
        priority: None,
        parent_task_id: None,
        assigned_service: None,
        after: None,
        limit: 1000,
    }
}

fn once(name: &str, fingerprint: u8) -> Once {
    Once { key_id: "k".parse().unwrap(), name: name.to_owned(), fingerprint: [fingerprint; 32] }
}
