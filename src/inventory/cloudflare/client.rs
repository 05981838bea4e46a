//! One list of the API: its pages asked for in turn, waits as the API wants them, all of it bounded.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use reqwest::redirect::Policy;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use url::Url;

use super::token::Token;
use crate::telemetry::describe;

/// Pages of one list at most: 50,000 entries. More is an API that pages for ever.
const MAX_PAGES: usize = 1_000;
/// Entries asked for in a page.
const PER_PAGE: usize = 50;
/// Largest answer, in bytes.
const MAX_ANSWER: usize = 8 << 20;
/// How often one page is asked for again.
const RETRIES: u32 = 4;
/// Longest that is waited in all, because the API says so or fails. Its own limit is for five minutes.
const MAX_WAIT: Duration = Duration::from_secs(600);
/// Waited where the API does not say how long, and doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Longest that an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a list is not whole.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "their messages say it")]
pub enum ApiError {
    #[error("the token is not accepted (401){0}; make one at dash.cloudflare.com/profile/api-tokens")]
    Unauthorized(String),
    #[error("the token may not read this (403){0}; it needs Zone:Read, Workers Routes:Read and Workers Scripts:Read")]
    Forbidden(String),
    #[error("the API asks for a pause (429) once more after {RETRIES} of them; try again later")]
    Limited,
    #[error("the API asks for a pause of {0} s (429), which is too long to wait here; try again then")]
    LimitedFor(u64),
    #[error("the API fails ({status}){said}; try again later")]
    Failed { status: u16, said: String },
    #[error("the API answers {status}{said}")]
    Refused { status: u16, said: String },
    #[error("the API cannot be reached: {0}")]
    Unreachable(String),
    #[error("the API's answer is not understood: {0}")]
    NotUnderstood(String),
    #[error("the API's answer is larger than {MAX_ANSWER} bytes")]
    TooLarge,
    #[error("the API pages for ever: page {0} says nothing new, and that there is more")]
    Again(usize),
    #[error("the API pages for ever: there is more after {MAX_PAGES} pages")]
    Endless,
    #[error("--api-url: `{0}` would send the token in the clear; accepted: https://, or http:// on this machine")]
    Clear(String),
    #[error("the client cannot be made: {0}")]
    Client(String),
}

/// Asks the API.
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Token,
    authorization: HeaderValue,
    /// What has been waited so far.
    waited: Mutex<Duration>,
}

impl ApiError {
    /// Whether every other question would be answered in the same way.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Unauthorized(_) | Self::Limited | Self::LimitedFor(_) | Self::Unreachable(_))
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(default)]
    success: Option<bool>,
    #[serde(default)]
    errors: Option<Vec<Said>>,
    #[serde(default, borrow)]
    result: Option<Vec<&'a RawValue>>,
    #[serde(default)]
    result_info: Option<Info>,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    code: Option<i64>,
    #[serde(default)]
    message: Option<String>,
}

#[derive(Default, Deserialize)]
struct Info {
    #[serde(default)]
    total_pages: Option<usize>,
    #[serde(default)]
    total_count: Option<usize>,
}

impl Client {
    /// For the API at `base`.
    ///
    /// # Errors
    /// [`ApiError::Clear`] where the token would be readable on its way, [`ApiError::Client`].
    pub fn new(base: &Url, token: Token) -> Result<Self, ApiError> {
        let here = match base.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
            Some(url::Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
            None => false,
        };
        if base.scheme() != "https" && !(here && base.scheme() == "http") {
            return Err(ApiError::Clear(format!("{}://{}", base.scheme(), base.host_str().unwrap_or_default())));
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("chittyconnect/", env!("CARGO_PKG_VERSION")))
            // The token is for this host alone.
            .redirect(Policy::none())
            .timeout(PATIENCE);
        if here {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| ApiError::Client(describe(&error)))?;
        let authorization = token.header().ok_or_else(|| ApiError::Client("the token is no header".to_owned()))?;
        let mut root = base.clone();
        root.set_query(None);
        root.set_fragment(None);
        root.set_username("").ok();
        root.set_password(None).ok();
        Ok(Self {
            http,
            base: root.as_str().trim_end_matches('/').to_owned(),
            token,
            authorization,
            waited: Mutex::new(Duration::ZERO),
        })
    }

    /// Every entry of the list at `path`, or those up to an error. `paged`: whether the API takes `page` there.
    pub(super) async fn list<T: DeserializeOwned>(&self, path: &str, paged: bool) -> (Vec<T>, Option<ApiError>) {
        let mut entries = Vec::new();
        let mut seen: HashSet<String> = HashSet::new();
        for page in 1..=MAX_PAGES {
            let separator = if path.contains('?') { '&' } else { '?' };
            let paging = format!("{separator}page={page}&per_page={PER_PAGE}");
            let url = format!("{}{path}{}", self.base, if paged || page > 1 { &paging } else { "" });
            let body = match self.page(&url).await {
                Ok(body) => body,
                Err(error) => return (entries, Some(error)),
            };
            let envelope: Envelope<'_> = match serde_json::from_slice(&body) {
                Ok(envelope) => envelope,
                Err(error) => return (entries, Some(ApiError::NotUnderstood(error.to_string()))),
            };
            if envelope.success == Some(false) {
                return (entries, Some(ApiError::Refused { status: 200, said: self.said(&envelope) }));
            }
            let Some(result) = envelope.result else {
                return (entries, Some(ApiError::NotUnderstood("there is no `result`".to_owned())));
            };
            let mut new = 0;
            for raw in &result {
                if seen.insert(raw.get().to_owned()) {
                    new += 1;
                    match serde_json::from_str(raw.get()) {
                        Ok(entry) => entries.push(entry),
                        Err(error) => return (entries, Some(ApiError::NotUnderstood(error.to_string()))),
                    }
                }
            }
            let info = envelope.result_info.unwrap_or_default();
            let more = match (info.total_pages, info.total_count) {
                (Some(total), _) => page < total,
                (None, Some(count)) => seen.len() < count,
                (None, None) => false,
            };
            if !more {
                return (entries, None);
            }
            if new == 0 {
                return (entries, Some(ApiError::Again(page)));
            }
        }
        (entries, Some(ApiError::Endless))
    }

    /// One page, asked for again where the API says that it may be.
    async fn page(&self, url: &str) -> Result<Vec<u8>, ApiError> {
        let mut wait = FIRST_WAIT;
        for attempt in 0..=RETRIES {
            let last = attempt == RETRIES;
            let request = self.http.get(url).header(header::AUTHORIZATION, self.authorization.clone());
            let unreachable = |error: reqwest::Error| ApiError::Unreachable(describe(&error.without_url()));
            let response = request.send().await.map_err(unreachable)?;
            let status = response.status();
            let asked = retry_after(&response);
            let body = body(response).await?;
            match status {
                StatusCode::OK => return Ok(body),
                StatusCode::TOO_MANY_REQUESTS if last => return Err(ApiError::Limited),
                StatusCode::TOO_MANY_REQUESTS => {
                    let pause = asked.unwrap_or(wait);
                    if !self.wait(pause).await {
                        return Err(ApiError::LimitedFor(pause.as_secs()));
                    }
                }
                StatusCode::UNAUTHORIZED => return Err(ApiError::Unauthorized(self.said_in(&body))),
                StatusCode::FORBIDDEN => return Err(ApiError::Forbidden(self.said_in(&body))),
                status if status.is_server_error() => {
                    if last || !self.wait(wait).await {
                        return Err(ApiError::Failed { status: status.as_u16(), said: self.said_in(&body) });
                    }
                }
                status => return Err(ApiError::Refused { status: status.as_u16(), said: self.said_in(&body) }),
            }
            wait *= 2;
        }
        Err(ApiError::Limited)
    }

    /// Waits, unless that would be more than [`MAX_WAIT`] in all.
    async fn wait(&self, pause: Duration) -> bool {
        {
            let mut waited = self.waited.lock().unwrap_or_else(PoisonError::into_inner);
            let sum = waited.saturating_add(pause);
            if sum > MAX_WAIT {
                return false;
            }
            *waited = sum;
        }
        tokio::time::sleep(pause).await;
        true
    }

    fn said_in(&self, body: &[u8]) -> String {
        serde_json::from_slice::<Envelope<'_>>(body).map(|envelope| self.said(&envelope)).unwrap_or_default()
    }

    /// `: message (code)` of the first error that the API names.
    fn said(&self, envelope: &Envelope<'_>) -> String {
        let Some(first) = envelope.errors.as_ref().and_then(|errors| errors.first()) else { return String::new() };
        let message: String = first.message.as_deref().unwrap_or_default().chars().take(200).collect();
        let message = self.token.removed_from(&message).escape_debug().to_string();
        let code = first.code.map(|code| format!(" ({code})")).unwrap_or_default();
        format!(": {message}{code}")
    }
}

/// How long the API asks to wait (RFC 9110 §10.2.3, in seconds).
fn retry_after(response: &reqwest::Response) -> Option<Duration> {
    let text = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

async fn body(mut response: reqwest::Response) -> Result<Vec<u8>, ApiError> {
    let mut body = Vec::new();
    let failed = |error: reqwest::Error| ApiError::Unreachable(describe(&error.without_url()));
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(ApiError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
