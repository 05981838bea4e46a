//! Why a registry over HTTP gave no list: what was found at which path, and what would have been accepted.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use http::StatusCode;

use crate::registry::document::DocumentError;
use crate::registry::source::describe;

/// Why a refresh gave no list. No text holds a token or credentials.
#[derive(Debug, thiserror::Error)]
pub(in crate::registry) enum HttpError {
    #[error("cannot make a client for {url}")]
    Client {
        url: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("cannot read the token file {}", path.display())]
    Token {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the token file {} is empty, or holds what no header can carry", path.display())]
    BadToken { path: PathBuf },
    #[error("{url} gave no list within {}", humantime::format_duration(*after))]
    Timeout { url: String, after: Duration },
    #[error("{url} gave no list: {tried}; accepted: 200 with one of the lists of a registry, or 404 for \"not here\"")]
    NoList { url: String, tried: Tried },
    #[error("{url}{path} gave a list without a usable entry after a full one; the last good one stays")]
    Emptied { url: String, path: String },
}

/// What every path that was tried gave.
#[derive(Debug, Default)]
pub(in crate::registry) struct Tried(pub(super) Vec<(String, PathError)>);

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no paths are configured");
        }
        for (index, (path, error)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{path}: {}", describe(error))?;
        }
        Ok(())
    }
}

/// Why one path gave no list.
#[derive(Debug, thiserror::Error)]
pub(in crate::registry) enum PathError {
    #[error("not a path that can be asked for")]
    BadPath(#[source] url::ParseError),
    #[error("not here (404)")]
    NotHere,
    #[error("answered {0}{1}")]
    Status(StatusCode, &'static str),
    #[error("redirects to another place ({0}), which is not followed")]
    Redirect(String),
    #[error("cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("no answer")]
    NoAnswer(#[source] reqwest::Error),
    #[error("the answer broke off")]
    Broken(#[source] reqwest::Error),
    #[error("the answer is larger than max_bytes ({0})")]
    TooLarge(u64),
    #[error("200 with {0}")]
    NoList(#[from] DocumentError),
    #[error("its pages come round again (cursor {0})")]
    Circle(String),
    #[error("it has more than {0} pages")]
    TooManyPages(usize),
}

impl PathError {
    /// Whether another path of the same host is not worth trying.
    pub(super) fn is_of_the_host(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }
}
