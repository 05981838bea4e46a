//! The two services of the demo: one that says what it was asked, one that streams.

use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use axum::Router;
use axum::extract::{OriginalUri, Request};
use axum::response::Json;
use axum::response::sse::{Event, Sse};
use axum::routing::{any, get};
use futures::stream::{self, Stream, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

/// Between two events.
const EVERY: Duration = Duration::from_millis(500);
/// How many there are.
const EVENTS: u32 = 10;

/// The services, running until dropped.
pub(super) struct Samples {
    /// URL of the one that answers.
    pub(super) identity: String,
    /// URL of the one that streams.
    pub(super) stream: String,
    runtime: Option<Runtime>,
}

impl Drop for Samples {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Starts both on free ports of the loopback address.
pub(super) fn start() -> io::Result<Samples> {
    let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("samples").enable_all().build()?;
    let identity = Router::new().route("/health", get(health)).fallback(any(asked));
    let streaming = Router::new().route("/health", get(health)).route("/api/events", get(events)).fallback(any(asked));
    let identity = runtime.block_on(serve(identity))?;
    let stream = runtime.block_on(serve(streaming))?;
    Ok(Samples { identity, stream, runtime: Some(runtime) })
}

async fn serve(router: Router) -> io::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}

async fn health() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// What the service sees of a request.
async fn asked(OriginalUri(target): OriginalUri, request: Request) -> Json<Value> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    Json(json!({
        "service": "a sample service of the demo",
        "method": request.method().as_str(),
        "path": target.to_string(),
        "host": header("host"),
        "x-forwarded-host": header("x-forwarded-host"),
        "x-forwarded-prefix": header("x-forwarded-prefix"),
        "x-request-id": header("x-request-id"),
    }))
}

async fn events() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let numbered = stream::iter(1..=EVENTS).then(|number| async move {
        tokio::time::sleep(EVERY).await;
        Ok(Event::default().data(format!("event {number} of {EVENTS}")))
    });
    Sse::new(numbered)
}
