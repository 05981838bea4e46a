//! A registry over HTTP: its paths tried in order, the first with a list wins; whatever else it answers is an error at
//! worst.
//!
//! It is not trusted: entries pass the guard, redirects stay on the host, no proxy of the environment is used, and size,
//! pages and time are bounded. Its token is read anew for each refresh and is in no log and no error.

mod error;
mod page;
mod refresh;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use reqwest::redirect::Policy;
use url::Url;

use self::error::{HttpError, PathError, Tried};
use self::page::{Found, Reader};
pub(super) use self::refresh::HttpTask;
use super::HttpConfig;
use super::document::{Context, Document};
use super::source::public_url;
use crate::upstream::guard::Guard;

/// Redirects followed on the registry's own host and port.
const MAX_REDIRECTS: usize = 5;
/// Share of the whole time that a connection may take, so that an unreachable host is told from a slow one.
const CONNECT_SHARE: u32 = 2;

/// A registry over HTTP, and what is remembered of it between two refreshes.
#[derive(Debug)]
pub(super) struct HttpSource {
    config: HttpConfig,
    reader: Reader,
    /// The path that gave the last good list.
    working: Option<usize>,
    /// The path and the tag of the list that was last taken over.
    tag: Option<(usize, HeaderValue)>,
    /// Whether the last good list has a usable entry, so that an empty one is not believed.
    full: bool,
}

/// What a refresh gave.
#[derive(Debug)]
pub(super) enum Fetched {
    /// A list.
    List(Document),
    /// The list of the last refresh.
    Unchanged,
}

impl HttpSource {
    /// `full`: whether a list with a usable entry is known from before.
    pub(super) fn new(config: HttpConfig, context: &Context, full: bool) -> Result<Self, HttpError> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("chittyconnect/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .redirect(Policy::custom(|attempt| {
                let from = attempt.previous().last().map(Url::origin);
                let same = from.as_ref() == Some(&attempt.url().origin());
                if same && attempt.previous().len() <= MAX_REDIRECTS { attempt.follow() } else { attempt.stop() }
            }))
            .connect_timeout((config.timeout / CONNECT_SHARE).max(Duration::from_millis(1)))
            .build()
            .map_err(|source| HttpError::Client { url: public_url(&config.url), source })?;
        let guard = Guard::new(config.allowed_networks.as_slice().into(), Arc::clone(&context.own_addresses));
        let reader = Reader { client, context: context.clone(), guard, max_bytes: config.max_bytes };
        Ok(Self { config, reader, working: None, tag: None, full })
    }

    /// One refresh, within `timeout`.
    pub(super) async fn fetch(&mut self) -> Result<Fetched, HttpError> {
        let after = self.config.timeout;
        match tokio::time::timeout(after, self.attempt()).await {
            Ok(result) => result,
            Err(_) => Err(HttpError::Timeout { url: public_url(&self.config.url), after }),
        }
    }

    async fn attempt(&mut self) -> Result<Fetched, HttpError> {
        let token = self.token().await?;
        let mut tried = Tried::default();
        for (index, path) in self.config.paths.clone().into_iter().enumerate() {
            let known = self.tag.as_ref().filter(|(of, _)| *of == index).map(|(_, tag)| tag);
            match self.found(&path, token.as_ref(), known).await {
                Ok(Found::Unchanged) => return Ok(Fetched::Unchanged),
                Ok(Found::List(document, tag)) => return self.take_over(index, document, tag),
                Err(error) => {
                    // Where the list was, 404 alone means that it has moved: anything else is a failure, and the list
                    // of another path no substitute.
                    let failed = self.working == Some(index) && !matches!(error, PathError::NotHere);
                    let hopeless = failed || error.is_of_the_host();
                    tried.0.push((path, error));
                    if hopeless {
                        break;
                    }
                }
            }
        }
        Err(HttpError::NoList { url: public_url(&self.config.url), tried })
    }

    async fn found(
        &self,
        path: &str,
        token: Option<&HeaderValue>,
        known: Option<&HeaderValue>,
    ) -> Result<Found, PathError> {
        let url = list_url(&self.config.url, path).map_err(PathError::BadPath)?;
        self.reader.list(&url, token, known).await
    }

    fn take_over(&mut self, index: usize, document: Document, tag: Option<HeaderValue>) -> Result<Fetched, HttpError> {
        let full = !document.declarations.is_empty();
        if self.full && !full {
            let path = self.config.paths[index].clone();
            return Err(HttpError::Emptied { url: public_url(&self.config.url), path });
        }
        self.full = full;
        self.working = Some(index);
        self.tag = tag.map(|tag| (index, tag));
        Ok(Fetched::List(document))
    }

    /// `Authorization` as the token file has it now.
    async fn token(&self) -> Result<Option<HeaderValue>, HttpError> {
        let Some(path) = &self.config.token_file else { return Ok(None) };
        let text =
            tokio::fs::read_to_string(path).await.map_err(|source| HttpError::Token { path: path.clone(), source })?;
        let bad = || HttpError::BadToken { path: path.clone() };
        let token = Some(text.trim()).filter(|token| !token.is_empty()).ok_or_else(bad)?;
        let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| bad())?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// `path` (with its query) behind the path of `base`.
fn list_url(base: &Url, path: &str) -> Result<Url, url::ParseError> {
    let mut root = base.clone();
    root.set_query(None);
    root.set_fragment(None);
    Url::parse(&format!("{}/{}", root.as_str().trim_end_matches('/'), path.trim_start_matches('/')))
}
