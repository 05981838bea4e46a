//! A registry on 127.0.0.1 that answers what a test tells it to, and remembers what it was asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use url::Url;

type Answer = Box<dyn Fn(&Asked) -> Response + Send>;

/// One request, as it came.
#[derive(Clone, Debug)]
pub(in crate::registry) struct Asked {
    pub(in crate::registry) path: String,
    pub(in crate::registry) query: String,
    pub(in crate::registry) headers: HeaderMap,
}

impl Asked {
    pub(in crate::registry) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

#[derive(Default)]
struct Shared {
    answers: Mutex<HashMap<String, Answer>>,
    asked: Mutex<Vec<Asked>>,
}

/// The registry. Paths that no test spoke of are 404.
pub(in crate::registry) struct Server {
    pub(in crate::registry) url: Url,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    pub(in crate::registry) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let shared = Arc::new(Shared::default());
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, task }
    }

    /// From now on `path` answers so.
    pub(in crate::registry) fn on(&self, path: &str, answer: impl Fn(&Asked) -> Response + Send + 'static) {
        self.shared.answers.lock().unwrap().insert(path.to_owned(), Box::new(answer));
    }

    /// From now on `path` answers 200 with `body`.
    pub(in crate::registry) fn gives(&self, path: &str, body: impl Into<Vec<u8>>) {
        let body = body.into();
        self.on(path, move |_| body.clone().into_response());
    }

    /// From now on `path` answers 200 with a list.
    pub(in crate::registry) fn lists(&self, path: &str, list: &Value) {
        self.gives(path, list.to_string());
    }

    /// From now on `path` answers with `status` alone.
    pub(in crate::registry) fn refuses(&self, path: &str, status: StatusCode) {
        self.on(path, move |_| status.into_response());
    }

    /// What was asked since the last call of this.
    pub(in crate::registry) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.shared.asked.lock().unwrap())
    }

    pub(in crate::registry) fn paths_asked(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.path).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    let asked = Asked {
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        headers: request.headers().clone(),
    };
    let answer = {
        let answers = shared.answers.lock().unwrap();
        answers.get(&asked.path).map_or_else(|| StatusCode::NOT_FOUND.into_response(), |answer| answer(&asked))
    };
    shared.asked.lock().unwrap().push(asked);
    answer
}

/// A redirect.
pub(in crate::registry) fn redirect(place: &str) -> Response {
    (StatusCode::FOUND, [(header::LOCATION, place.to_owned())]).into_response()
}
