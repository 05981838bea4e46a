//! One list over HTTP, all its pages: asked for, streamed within bounds, read.

use std::collections::HashSet;

use http::header::{ACCEPT, AUTHORIZATION, ETAG, IF_NONE_MATCH, LOCATION};
use http::{HeaderValue, StatusCode};
use reqwest::{Client, Response};
use url::Url;

use super::error::PathError;
use crate::model::service::Rejected;
use crate::registry::document::{self, Context, Document};
use crate::upstream::guard::Guard;

/// Most pages of one list: at the MCP registry's default of 30 entries each, 15,000 services.
const MAX_PAGES: usize = 500;
/// Most characters of a foreign text that an error shows.
const SHOWN: usize = 200;

/// How lists are asked for and read.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) client: Client,
    pub(super) context: Context,
    pub(super) guard: Guard,
    /// Largest list, decoded, all pages together.
    pub(super) max_bytes: u64,
}

/// What a path gave.
#[derive(Debug)]
pub(super) enum Found {
    /// A list, and the tag that says whether it has changed; none for a list of several pages.
    List(Document, Option<HeaderValue>),
    /// 304: it is still the list of the tag that was sent.
    Unchanged,
}

impl Reader {
    /// Asks for the list at `url`, page by page.
    pub(super) async fn list(
        &self,
        url: &Url,
        token: Option<&HeaderValue>,
        known: Option<&HeaderValue>,
    ) -> Result<Found, PathError> {
        let mut left = self.max_bytes;
        let response = self.ask(url.clone(), token, known).await?;
        if response.status() == StatusCode::NOT_MODIFIED && known.is_some() {
            return Ok(Found::Unchanged);
        }
        let response = answered(response, token.is_some())?;
        let tag = response.headers().get(ETAG).cloned();
        let mut list = self.read(response, &mut left).await?;
        let Some(mut cursor) = list.next_cursor.take() else { return Ok(Found::List(list, tag)) };
        let mut seen = HashSet::new();
        for _ in 1..MAX_PAGES {
            if !seen.insert(cursor.clone()) {
                return Err(PathError::Circle(cursor.chars().take(SHOWN).collect()));
            }
            let mut next = url.clone();
            next.query_pairs_mut().append_pair("cursor", &cursor);
            let response = answered(self.ask(next, token, None).await?, token.is_some())?;
            let page = self.read(response, &mut left).await?;
            let next_cursor = append(&mut list, page);
            let Some(next_cursor) = next_cursor else { return Ok(Found::List(list, None)) };
            cursor = next_cursor;
        }
        Err(PathError::TooManyPages(MAX_PAGES))
    }

    async fn ask(
        &self,
        url: Url,
        token: Option<&HeaderValue>,
        known: Option<&HeaderValue>,
    ) -> Result<Response, PathError> {
        let mut request = self.client.get(url).header(ACCEPT, "application/json");
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, token);
        }
        if let Some(known) = known {
            request = request.header(IF_NONE_MATCH, known);
        }
        request.send().await.map_err(|error| {
            let kind = if error.is_connect() { PathError::Unreachable } else { PathError::NoAnswer };
            kind(error.without_url())
        })
    }

    async fn read(&self, mut response: Response, left: &mut u64) -> Result<Document, PathError> {
        let too_large = || PathError::TooLarge(self.max_bytes);
        if response.content_length().is_some_and(|length| length > *left) {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| PathError::Broken(error.without_url()))? {
            *left = left.checked_sub(chunk.len() as u64).ok_or_else(too_large)?;
            bytes.extend_from_slice(&chunk);
        }
        Ok(document::read(&bytes, &self.context, Some(&self.guard))?)
    }
}

/// The answer if it is a 200.
fn answered(response: Response, with_token: bool) -> Result<Response, PathError> {
    let status = response.status();
    match status {
        StatusCode::OK => Ok(response),
        StatusCode::NOT_FOUND => Err(PathError::NotHere),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if with_token => {
            Err(PathError::Status(status, " to the token of token_file"))
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Err(PathError::Status(status, "; no token_file is configured"))
        }
        _ if status.is_redirection() && response.headers().contains_key(LOCATION) => {
            let place = response.headers().get(LOCATION).and_then(|place| place.to_str().ok()).unwrap_or("unreadable");
            Err(PathError::Redirect(place.chars().take(SHOWN).collect()))
        }
        _ => Err(PathError::Status(status, "")),
    }
}

/// Puts the entries of `page` behind those of `list`, their places moved along; gives the next cursor.
fn append(list: &mut Document, page: Document) -> Option<String> {
    let before = list.entries;
    list.entries += page.entries;
    list.declarations.extend(page.declarations);
    list.rejected.extend(page.rejected.into_iter().map(|one| Rejected { index: before + one.index, ..one }));
    page.next_cursor
}
