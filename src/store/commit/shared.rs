//! What the writer shares with the readers: the engine, and what is wrong with it.

use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use crate::model::time::Time;
use crate::store::kv::Kv;
use crate::store::{EventSink, StoreError};

/// A change that waits longer for the disk is trouble.
const SLOW: Duration = Duration::from_secs(5);

/// What the writer shares with the readers.
#[derive(Default)]
pub(in crate::store) struct Shared {
    /// The engine; `None` while there is none.
    kv: RwLock<Option<Arc<dyn Kv>>>,
    trouble: Mutex<Option<Arc<str>>>,
    /// When the group in progress went to the disk, in milliseconds since the epoch; 0 = none is.
    pub(super) writing_since: AtomicU64,
    /// The number of the last event that is durable: nobody is told of a later one, for it may yet be another.
    pub(in crate::store) last_event: AtomicU64,
    /// Whom events are handed to.
    pub(in crate::store) sink: OnceLock<Arc<dyn EventSink>>,
}

impl Shared {
    /// The engine.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while there is none.
    pub(in crate::store) fn kv(&self) -> Result<Arc<dyn Kv>, StoreError> {
        let kv = self.kv.read().unwrap_or_else(PoisonError::into_inner).clone();
        kv.ok_or_else(|| self.unavailable())
    }

    /// What is wrong, for the operator.
    pub(in crate::store) fn trouble(&self) -> Option<Arc<str>> {
        let known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
        known.or_else(|| {
            let since = self.writing_since.load(Ordering::Relaxed);
            let waited = Time::now().as_millis().saturating_sub(since);
            let slow = since > 0 && u128::from(waited) > SLOW.as_millis();
            slow.then(|| format!("a change has been waiting for the disk for {} s", waited / 1000).into())
        })
    }

    pub(super) fn unavailable(&self) -> StoreError {
        StoreError::Unavailable(self.trouble().unwrap_or_else(|| "it is closed".into()))
    }

    pub(super) fn set_kv(&self, kv: Option<Arc<dyn Kv>>) -> Option<Arc<dyn Kv>> {
        mem::replace(&mut *self.kv.write().unwrap_or_else(PoisonError::into_inner), kv)
    }

    pub(super) fn set_trouble(&self, trouble: Option<String>) {
        let mut known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_deref() != trouble.as_deref() {
            match &trouble {
                Some(trouble) => tracing::error!("the store refuses changes: {trouble}"),
                None => tracing::info!("the store takes changes again"),
            }
            *known = trouble.map(Into::into);
        }
    }
}
