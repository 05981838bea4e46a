//! The embedded store: one engine in one folder of one process.
//!
//! Changes go to the one writer (`super::commit`); reads go to the engine itself, on threads that may wait for a disk, so
//! that a disk which hangs holds up nobody who is only proxied. API keys are asked for with every request and are few, so
//! all of them are kept in memory.

pub(super) mod api_key;
pub(super) mod context;
mod event;
pub(super) mod file;
mod list;
mod once;
mod registration;
pub(super) mod retention;
mod session;
pub(super) mod task;
mod upkeep;
pub(super) mod verify;

use std::ops::{Bound, ControlFlow};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::commit::{Committer, Shared, Transaction, unreadable};
use super::engine::{OpenKv, Opener};
use super::kv::fjall::FjallKv;
use super::kv::sled::SledKv;
use super::kv::{Kv, KvError};
use super::migration::RecordError;
use super::{Config, Durability, Engine, Store, StoreError, value};
use crate::telemetry::describe;
use crate::telemetry::metrics::Metrics;

pub use super::engine::OpenError;
pub use verify::Report;

/// Looks at a record that is changed again and again meanwhile.
const LOOKS: usize = 100;
/// Reads at once. Most of them wait for no disk, and more would take the cores from requests that are only proxied.
const READERS: usize = 4;
/// How long a request waits for its turn to read, and for its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The engine of a configuration: its name, and how it is opened.
pub(super) fn engine_of(config: &Config) -> (&'static str, OpenKv) {
    (config.engine.name(), opens(config.engine, config.durability))
}

type Keys = RwLock<api_key::Known>;

/// The embedded store.
pub struct Embedded {
    path: PathBuf,
    engine: &'static str,
    committer: Arc<Committer>,
    pub(super) shared: Arc<Shared>,
    keys: Arc<Keys>,
    registrations: Arc<registration::Known>,
    readers: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

impl Embedded {
    /// Opens the store in `config.path`, or makes it where there is none. Blocks. On a disk without room the store is
    /// there but in [trouble](Store::trouble), and gets going by itself.
    ///
    /// # Errors
    /// [`OpenError`], whose text is for the operator.
    pub fn open(config: &Config, metrics: Arc<Metrics>) -> Result<Self, OpenError> {
        let Config { engine, durability, .. } = *config;
        Self::open_with(&config.path, durability, engine.name(), opens(engine, durability), metrics)
    }

    pub(super) fn open_with(
        path: &Path,
        durability: Durability,
        engine: &'static str,
        open_kv: OpenKv,
        metrics: Arc<Metrics>,
    ) -> Result<Self, OpenError> {
        let opener = Opener::new(path, durability, engine, open_kv)?;
        let shared = Arc::new(Shared::default());
        let keys = Arc::new(Keys::default());
        let registrations = Arc::new(registration::Known::default());
        let loaded = (Arc::clone(&keys), Arc::clone(&registrations));
        let on_open = Box::new(move |kv: &dyn Kv| {
            let all = api_key::load(kv).map_err(|error| OpenError::Keys { why: error.to_string() })?;
            *loaded.0.write().unwrap_or_else(PoisonError::into_inner) = all;
            let all = registration::load(kv).map_err(|error| OpenError::Registrations { why: error.to_string() })?;
            *loaded.1.write().unwrap_or_else(PoisonError::into_inner) = all;
            Ok(())
        });
        let committer = Arc::new(Committer::start(opener, Arc::clone(&shared), Arc::clone(&metrics), on_open)?);
        let (path, readers) = (path.to_owned(), Arc::new(Semaphore::new(READERS)));
        Ok(Self { path, engine, committer, shared, keys, registrations, readers, metrics })
    }

    /// Reads everything and checks that rows and indexes agree. Blocks, for as long as reading everything takes.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub fn verify(&self) -> Result<Report, StoreError> {
        let kv = self.shared.kv()?;
        verify::verify(&*kv).map_err(|error| unreachable_engine(&error))
    }

    /// Has the writer do `change`; the answer comes once it is durable.
    pub(super) async fn change<T, F>(&self, operation: &'static str, change: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let begun = Instant::now();
        let answer = match self.committer.submit(change) {
            Ok(answer) => match tokio::time::timeout(PATIENCE, answer).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => Err(StoreError::Unavailable("it is closed".into())),
                Err(_) => Err(StoreError::Unavailable("the disk does not answer".into())),
            },
            Err(error) => Err(error),
        };
        self.measure(operation, begun, answer)
    }

    /// Reads on a thread that may wait.
    async fn read<T, F>(&self, operation: &'static str, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Kv) -> Result<T, StoreError> + Send + 'static,
    {
        let begun = Instant::now();
        let waited = tokio::time::timeout(PATIENCE, self.read_in_turn(read)).await;
        let answer = waited.unwrap_or_else(|_| Err(StoreError::Unavailable("the disk does not answer".into())));
        self.measure(operation, begun, answer)
    }

    async fn read_in_turn<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Kv) -> Result<T, StoreError> + Send + 'static,
    {
        let closed = || StoreError::Unavailable("it is closed".into());
        let turn = Arc::clone(&self.readers).acquire_owned().await.map_err(|_| closed())?;
        let kv = self.shared.kv()?;
        let reading = tokio::task::spawn_blocking(move || {
            let answer = read(&*kv);
            drop(turn);
            answer
        });
        reading.await.unwrap_or_else(|_| Err(closed()))
    }

    fn measure<T>(
        &self,
        operation: &'static str,
        begun: Instant,
        answer: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.metrics.store_operation(operation, begun.elapsed());
        if let Err(StoreError::Unavailable(_)) = &answer {
            self.metrics.store_failed(operation);
        }
        answer
    }
}

#[async_trait]
impl Store for Embedded {
    fn trouble(&self) -> Option<Arc<str>> {
        self.shared.trouble()
    }

    async fn close(&self) {
        let committer = Arc::clone(&self.committer);
        if tokio::task::spawn_blocking(move || committer.close()).await.is_err() {
            tracing::error!("the store could not be closed");
        }
    }
}

/// The value of `key`; `None` also when it is not whole, which it is not while it is being moved.
fn read_value(kv: &dyn Kv, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    let get = |key: &[u8]| kv.get(key).map_err(|error| Some(unreachable_engine(&error)));
    match value::read(key, get, || None) {
        Ok(value) => Ok(value),
        Err(None) => Ok(None),
        Err(Some(error)) => Err(error),
    }
}

/// How `engine` is opened in its folder.
pub(super) fn opens(engine: Engine, durability: Durability) -> OpenKv {
    match engine {
        Engine::Sled => Box::new(move |folder| Ok(Box::new(SledKv::open(folder, durability)?))),
        Engine::Fjall => Box::new(move |folder| Ok(Box::new(FjallKv::open(folder, durability)?))),
    }
}

/// The value of `key`, of a kind whose records are replaced where they are. The pieces of a long one may be replaced
/// between two looks, and there is no telling from them; so it is looked at until it is twice the same.
fn read_replaced(kv: &dyn Kv, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    let get = |key: &[u8]| kv.get(key).map_err(|error| Some(unreachable_engine(&error)));
    let mut before = None;
    for _ in 0..LOOKS {
        match value::read(key, get, || None) {
            Ok(Some(value)) if !value::is_one_entry(value.len()) && before.as_ref() != Some(&value) => {
                before = Some(value);
            }
            Ok(value) => return Ok(value),
            Err(Some(error)) => return Err(error),
            Err(None) => before = None,
        }
    }
    Err(unreadable(RecordError::Damaged))
}

/// Every record of a kind of which there are few, decoded from its key and value. One that cannot be is an error.
fn read_kind<T>(
    kv: &dyn Kv,
    kind: u8,
    decode: impl Fn(&[u8], &[u8]) -> Result<T, RecordError>,
) -> Result<Vec<T>, StoreError> {
    let (mut records, mut damaged) = (Vec::new(), None);
    let range = (Bound::Included(&[kind][..]), Bound::Excluded(&[kind + 1][..]));
    let whole = value::scan(kv, range, &mut |key, value| match decode(key, value) {
        Ok(record) => {
            records.push(record);
            ControlFlow::Continue(())
        }
        Err(error) => {
            damaged = Some(error);
            ControlFlow::Break(())
        }
    });
    let whole = whole.map_err(|error| unreachable_engine(&error))?;
    match damaged.or(whole.err().map(|_| RecordError::Damaged)) {
        Some(error) => Err(unreadable(error)),
        None => Ok(records),
    }
}

/// The engine failed while it was read.
fn unreachable_engine(error: &KvError) -> StoreError {
    let why = describe(error);
    tracing::error!("the store cannot be read: {why}");
    StoreError::Unavailable(why.into())
}
