//! Answers that may be large: how many are made and held at once.
//!
//! An answer is in memory until its client has read it, and making it takes a core from requests that are only proxied.
//! So a caller has so many at once, all callers together so many more, and a large one is made on a thread of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures::stream;
use http::{HeaderValue, header};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::id::KeyId;
use crate::problem::Problem;
use crate::telemetry::describe;

/// Answers of one caller at once.
const OF_ONE: usize = 16;
/// Answers of all callers at once.
const OF_ALL: usize = 64;
/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// A larger answer is made on a thread of its own and keeps its turn until it is read; bytes.
const LARGE: usize = 64 * 1024;

/// The turns.
#[derive(Debug)]
pub(super) struct Pages {
    all: Arc<Semaphore>,
    of_callers: Mutex<HashMap<KeyId, Weak<Semaphore>>>,
}

/// One answer's turn.
pub(super) struct Turn {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
    /// Keeps the caller's count for as long as it counts.
    _caller: Arc<Semaphore>,
}

impl Pages {
    pub(super) fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(OF_ALL)), of_callers: Mutex::default() }
    }

    /// Waits for a turn of `caller`.
    ///
    /// # Errors
    /// 503 when too many answers are being read.
    pub(super) async fn turn(&self, caller: &KeyId) -> Result<Turn, Problem> {
        let turns = self.of(caller);
        let taken = async {
            // The caller's own first: whoever asks for many waits behind nobody else's.
            let own = Arc::clone(&turns).acquire_owned().await.ok()?;
            let all = Arc::clone(&self.all).acquire_owned().await.ok()?;
            Some((own, all))
        };
        match tokio::time::timeout(PATIENCE, taken).await {
            Ok(Some((own, all))) => Ok(Turn { _own: own, _all: all, _caller: Arc::clone(&turns) }),
            Ok(None) | Err(_) => Err(Problem::overloaded("too many answers are waiting to be read by their clients")),
        }
    }

    fn of(&self, caller: &KeyId) -> Arc<Semaphore> {
        let mut callers = self.of_callers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turns) = callers.get(caller).and_then(Weak::upgrade) {
            return turns;
        }
        callers.retain(|_, turns| turns.strong_count() > 0);
        let turns = Arc::new(Semaphore::new(OF_ONE));
        callers.insert(caller.clone(), Arc::downgrade(&turns));
        turns
    }
}

/// `value` as JSON, of about `size` bytes. The turn ends with the answer if that is small, else when it is read.
///
/// # Errors
/// 500 when it cannot be made.
pub(super) async fn json<T: Serialize + Send + 'static>(
    turn: Turn,
    size: usize,
    value: T,
) -> Result<Response, Problem> {
    let render = move || serde_json::to_vec(&value).map(Bytes::from);
    let rendered = if size <= LARGE { Ok(render()) } else { tokio::task::spawn_blocking(render).await };
    let failed = |error: &dyn std::error::Error| {
        tracing::error!(error = %describe(error), "an answer cannot be made");
        Problem::internal()
    };
    let bytes = rendered.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
    let length = bytes.len();
    let body = if length <= LARGE { Body::from(bytes) } else { held(bytes, turn) };
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    Ok(response)
}

/// A body that has its turn until it is written, or given up.
fn held(bytes: Bytes, turn: Turn) -> Body {
    let once = stream::unfold((Some(bytes), turn), |(bytes, turn)| async move {
        Some((Ok::<_, std::convert::Infallible>(bytes?), (None, turn)))
    });
    Body::from_stream(once)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_reads_nothing_takes_no_more_than_its_share() {
        let pages = Pages::new();
        let (greedy, other): (KeyId, KeyId) = ("a".parse().unwrap(), "b".parse().unwrap());
        let mut turns = Vec::new();
        for _ in 0..OF_ONE {
            turns.push(pages.turn(&greedy).await.unwrap());
        }
        assert_eq!(pages.turn(&greedy).await.err().unwrap().status, 503);
        let answer = json(pages.turn(&other).await.unwrap(), 2 * LARGE, "x".repeat(2 * LARGE)).await.unwrap();
        assert_eq!(pages.all.available_permits(), OF_ALL - OF_ONE - 1);
        drop(answer);
        turns.pop();
        assert!(pages.turn(&greedy).await.is_ok());
        assert_eq!(pages.all.available_permits(), OF_ALL - OF_ONE + 1);
    }
}
