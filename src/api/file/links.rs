//! What handlers of files share beside the files themselves.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::body::DIRECT_AT_ONCE;
use crate::model::time::Time;
use crate::problem::Problem;

/// How long a direct upload waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// What handlers of files share beside the files themselves.
#[derive(Debug)]
pub(in crate::api) struct FileLinks {
    /// Scheme and host of the links that tokens are in.
    pub(super) origin: String,
    /// The last moment that a name was made of, in milliseconds.
    last: AtomicU64,
    /// Direct uploads that are held in memory at once.
    direct: Semaphore,
}

impl FileLinks {
    pub(in crate::api) fn new(origin: String) -> Self {
        Self { origin, last: 0.into(), direct: Semaphore::new(DIRECT_AT_ONCE) }
    }

    /// Now, and never the same twice: two files of one name that came in the same millisecond are two.
    pub(super) fn distinct_now(&self) -> Time {
        let now = Time::now().as_millis();
        let next = |last: u64| Some(now.max(last + 1));
        let last = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or(now);
        Time::from_millis(now.max(last + 1))
    }

    pub(super) async fn turn(&self) -> Result<SemaphorePermit<'_>, Problem> {
        let waiting = tokio::time::timeout(PATIENCE, self.direct.acquire()).await;
        match waiting {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(Problem::overloaded("too many direct uploads at once; accepted: POST /api/files/presign")),
        }
    }
}
