//! The issuer's keys, kept up to date beside requests: one task fetches, nobody else.
//!
//! A key that is not known wakes that task, but not sooner than a while after it has last asked: senders of made-up
//! keys cannot make the gateway pester the issuer. While the issuer fails, what it said last goes on.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jsonwebtoken::Algorithm;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};
use url::Url;

use super::TokenError;
use super::key_set::{KeySet, VerifyingKey};
use crate::auth::AuthError;
use crate::telemetry::describe;

/// Between two looks at keys that nobody misses. Issuers publish a key well before they use it.
const REFRESH: Duration = Duration::from_secs(300);
/// The least between two looks, whatever anybody misses.
const LEAST: Duration = Duration::from_secs(5);
/// Between the first two looks at an issuer that fails; it doubles up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_secs(1);
/// The longest between two looks at an issuer that fails.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long one look may take.
const FETCH: Duration = Duration::from_secs(5);
/// How long a request waits for a key that is not known yet.
const PATIENCE: Duration = Duration::from_secs(2);
/// Largest document, in bytes; a hundred large keys have 100 KiB.
const MAX_DOCUMENT: usize = 256 << 10;

/// An issuer cannot be asked at all.
#[derive(Debug, thiserror::Error)]
#[error("auth.jwt: no connections can be made")]
pub struct IssuerError(#[from] reqwest::Error);

/// Why there are no new keys.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum JwksError {
    #[error("the issuer cannot be asked for its keys")]
    Unreachable(#[source] reqwest::Error),
    #[error("the issuer has not sent its keys within {FETCH:?}")]
    Slow,
    #[error("the issuer answered {0} where its keys should be")]
    Status(StatusCode),
    #[error("the issuer sent more than {MAX_DOCUMENT} bytes where its keys should be")]
    TooLarge,
    #[error("the issuer sent something that is no list of keys")]
    NotKeys(#[source] serde_json::Error),
}

/// How the issuer was found last.
#[derive(Clone, Debug)]
struct Asked {
    /// How often it has been asked.
    times: u64,
    /// How it failed the last time, if it did.
    failure: Option<Arc<str>>,
    /// Before this it is not asked again.
    not_before: Instant,
}

/// An issuer and what it published.
pub(super) struct Issuer {
    url: Url,
    client: Client,
    keys: ArcSwapOption<KeySet>,
    asked: watch::Sender<Asked>,
    missed: Notify,
}

impl Issuer {
    /// Asks nothing yet.
    pub(super) fn new(url: Url) -> Result<Self, IssuerError> {
        let client = Client::builder()
            .user_agent(concat!("chittyconnect/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            // The keys are what everything stands on: they come from the place that the operator named.
            .redirect(Policy::none())
            .build()?;
        let asked = watch::Sender::new(Asked { times: 0, failure: None, not_before: Instant::now() });
        Ok(Self { url, client, keys: ArcSwapOption::empty(), asked, missed: Notify::new() })
    }

    /// Asks for keys again and again, for ever.
    pub(super) async fn keep(&self) {
        let mut pause = PAUSE;
        loop {
            let fetched = timeout(FETCH, self.fetch()).await.unwrap_or(Err(JwksError::Slow));
            let (least, most) = if fetched.is_ok() { (LEAST, REFRESH) } else { (pause, pause) };
            pause = if fetched.is_ok() { PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
            let not_before = Instant::now() + least;
            self.note(fetched, not_before);
            sleep_until(not_before).await;
            // Elapsed is as good as missed.
            timeout(most.saturating_sub(least), self.missed.notified()).await.ok();
        }
    }

    fn note(&self, fetched: Result<KeySet, JwksError>, not_before: Instant) {
        let before = self.asked.borrow().failure.clone();
        let failure: Option<Arc<str>> = match fetched {
            Ok(keys) => {
                if before.is_some() || self.keys.load().is_none() {
                    tracing::info!(url = %self.url, keys = keys.len(), "the issuer of auth.jwt gives its keys");
                }
                if keys.len() == 0 {
                    tracing::warn!(url = %self.url, "the issuer of auth.jwt has no key for tokens: none is accepted");
                }
                self.keys.store(Some(Arc::new(keys)));
                None
            }
            Err(error) => {
                let error = describe(&error);
                if before.as_deref() != Some(&*error) {
                    tracing::warn!(url = %self.url, error, "keys of auth.jwt stay as they were");
                }
                Some(error.into())
            }
        };
        self.asked.send_modify(|asked| *asked = Asked { times: asked.times + 1, failure, not_before });
    }

    #[cfg(test)]
    pub(super) fn note_for_test(&self, keys: KeySet) {
        self.note(Ok(keys), Instant::now() + LEAST);
    }

    async fn fetch(&self) -> Result<KeySet, JwksError> {
        let unreachable = |error: reqwest::Error| JwksError::Unreachable(error.without_url());
        let request = self.client.get(self.url.clone()).header(http::header::ACCEPT, "application/json");
        let mut response = request.send().await.map_err(unreachable)?;
        if response.status() != StatusCode::OK {
            return Err(JwksError::Status(response.status()));
        }
        let mut document = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(unreachable)? {
            if document.len() + piece.len() > MAX_DOCUMENT {
                return Err(JwksError::TooLarge);
            }
            document.extend_from_slice(&piece);
        }
        KeySet::read(&document).map_err(JwksError::NotKeys)
    }

    /// What is wrong, for the operator.
    pub(super) fn trouble(&self) -> Option<String> {
        let failure = self.asked.borrow().failure.clone()?;
        let rest = if self.keys.load().is_some() { "its last keys go on" } else { "no token can be verified" };
        Some(format!("auth.jwt: {failure}; {rest}"))
    }

    /// The key for a token. Where it is not known, the issuer is asked for it, once for all who wait.
    ///
    /// # Errors
    /// [`AuthError::Token`] where the issuer has no such key, [`AuthError::IssuerUnavailable`] where that cannot be told.
    pub(super) async fn key(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Arc<VerifyingKey>, AuthError> {
        let mut asked = self.asked.subscribe();
        let seen = asked.borrow_and_update().clone();
        if let Some(found) = self.find(kid, algorithm) {
            return Ok(found?);
        }
        self.missed.notify_one();
        if seen.not_before <= Instant::now() {
            // Whether it answered or was waited for in vain is seen below.
            timeout(PATIENCE, asked.wait_for(|asked| asked.times > seen.times)).await.ok();
        }
        match self.find(kid, algorithm) {
            Some(found) => Ok(found?),
            None if self.asked.borrow().failure.is_some() || self.keys.load().is_none() => {
                Err(AuthError::IssuerUnavailable)
            }
            None => Err(TokenError::UnknownKey.into()),
        }
    }

    fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<Result<Arc<VerifyingKey>, TokenError>> {
        self.keys.load().as_ref()?.find(kid, algorithm)
    }
}
