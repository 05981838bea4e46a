//! What every store must do ([`conformance`]), against a plain model ([`model`]), what is on the disk
//! ([`format`](mod@format)), what its engine must do ([`kv`]), and what the embedded one does when its disk fails it
//! ([`faults`]). All of it for each engine.

/// Makes a test for every engine of each of these functions, which are told it.
macro_rules! on_each_engine {
    ($($test:ident),+ $(,)?) => {
        on_each_engine!(in sled, Sled: $($test),+);
        on_each_engine!(in fjall, Fjall: $($test),+);
    };
    (in $module:ident, $engine:ident: $($test:ident),+) => {
        mod $module {
            use crate::store::Engine;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test(Engine::$engine).await;
                }
            )+
        }
    };
}

mod conformance;
mod context;
mod d1;
mod event;
mod faults;
mod file;
mod format;
mod kv;
mod migrate;
mod model;
mod registration;
mod repair;
mod retention;
mod sessions;
mod transfer;

use std::path::Path;
use std::sync::Arc;

use super::embedded::{Embedded, OpenError};

use super::{Config, Durability, Engine, Once, Retention, TaskQuery};
use crate::model::id::{ChittyId, SessionId};
use crate::model::json::Json;
use crate::model::task::{NewTask, Priority};
use crate::telemetry::describe;
use crate::telemetry::metrics::Metrics;

fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::new().unwrap())
}

fn config(engine: Engine, folder: &Path) -> Config {
    let retention = Retention::default();
    Config { path: folder.join("data"), durability: Durability::PowerLoss, engine, retention }
}

fn try_open(engine: Engine, folder: &Path) -> Result<Embedded, OpenError> {
    Embedded::open(&config(engine, folder), metrics())
}

#[track_caller]
fn open(engine: Engine, folder: &Path) -> Embedded {
    try_open(engine, folder).unwrap_or_else(|error| panic!("{}", describe(&error)))
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
