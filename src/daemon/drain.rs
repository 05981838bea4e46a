//! The end of the process: as soon as nothing is in flight.
//!
//! Pingora's own graceful end sleeps its whole grace period, even when idle, and then drops what still runs. So its
//! period is left at the longest, and this ends the process.

use std::time::Duration;

use super::Lifecycle;
use crate::proxy::in_flight::InFlight;
use crate::telemetry::access_log::Writer;

/// After the signal, requests that were already on their way into the process are still taken up: far below what a
/// person or a supervisor notices.
const SETTLE: Duration = Duration::from_millis(30);

/// Waits for the drain to begin and to end and for `closing`, then ends the process with `last` done.
pub async fn end_process(
    lifecycle: Lifecycle,
    in_flight: InFlight,
    grace_period: Duration,
    closing: impl Future<Output = ()> + Send,
    access_log: Writer,
    last: impl FnOnce() + Send,
) -> ! {
    lifecycle.draining().await;
    super::notify::stopping();
    in_flight.drain();
    let drained = async {
        tokio::time::sleep(SETTLE).await;
        in_flight.idle().await;
    };
    if tokio::time::timeout(grace_period, drained).await.is_err() {
        let requests = in_flight.count();
        tracing::warn!(requests, ?grace_period, "the grace period is over: requests in flight are cut off");
    }
    closing.await;
    end_now(access_log, last)
}

/// Ends the process at once, with what was logged written.
#[allow(clippy::exit, reason = "the one place where the process ends: Pingora's server cannot be asked to return")]
fn end_now(access_log: Writer, last: impl FnOnce()) -> ! {
    tracing::info!("stopped");
    access_log.close();
    last();
    std::process::exit(0)
}

/// Ends the process at once: a second signal.
#[allow(clippy::exit, reason = "somebody asked twice")]
pub fn abandon() -> ! {
    tracing::warn!("a second signal: ending without waiting for requests in flight");
    std::process::exit(130)
}
