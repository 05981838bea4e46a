//! URIs of files, as agents hand them around: `resource://connect/{session}/{sha256}-{name}`, `r2://files/{session}/{key}`,
//! and `https://…`, which names something that is somewhere else.
//!
//! A URI is read once: what is in a name is never read as a URI again.

use std::fmt;

use url::Url;

use crate::model::id::SessionId;
use crate::model::stored_file::{ContentHash, FileKey, R2_SCHEME, parse_r2_key, r2_key};

/// What every URI of contents begins with.
const RESOURCE: &str = "resource://connect/";
/// Longest URI, in bytes.
pub const MAX_URI: usize = 4096;

/// What a URI names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResourceUri {
    /// Contents in a session, with a name for people.
    Contents {
        /// The session.
        session_id: SessionId,
        /// Of the contents.
        hash: ContentHash,
        /// Says nothing about which contents are meant.
        name: String,
    },
    /// A file of a session.
    File {
        /// The session.
        session_id: SessionId,
        /// Which.
        key: FileKey,
    },
    /// Something elsewhere.
    Elsewhere {
        /// Where.
        url: Url,
        /// Letter by letter as it was given, as the context of a session knows it.
        text: String,
    },
}

/// Why a text names nothing here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a URI of a file: {0}; accepted: resource://connect/{{session}}/{{sha256}}-{{name}}, \
     r2://files/{{session}}/{{key}}, https://…"
)]
pub struct UriError(&'static str);

impl ResourceUri {
    /// Reads a URI.
    ///
    /// # Errors
    /// [`UriError`].
    pub fn parse(text: &str) -> Result<Self, UriError> {
        if text.len() > MAX_URI {
            return Err(UriError("it is longer than 4096 bytes"));
        }
        if text.chars().any(char::is_control) {
            return Err(UriError("it has a control character"));
        }
        if let Some(rest) = text.strip_prefix(RESOURCE) {
            let (session, rest) = rest.split_once('/').ok_or(UriError("it names no contents"))?;
            let (hash, name) = rest.split_once('-').ok_or(UriError("it has no name behind its SHA-256"))?;
            if name.is_empty() || name.contains('/') || name == "." || name == ".." {
                return Err(UriError("its name is none"));
            }
            let session_id = session.parse().map_err(|_| UriError("its session is none"))?;
            let hash = hash.parse().map_err(|_| UriError("its SHA-256 is none"))?;
            return Ok(Self::Contents { session_id, hash, name: name.to_owned() });
        }
        if let Some(key) = text.strip_prefix(R2_SCHEME) {
            let (session_id, key) = parse_r2_key(key).ok_or(UriError("its key is none of ours"))?;
            return Ok(Self::File { session_id, key });
        }
        match Url::parse(text) {
            Ok(url) if url.scheme() == "https" && url.username().is_empty() && url.password().is_none() => {
                Ok(Self::Elsewhere { url, text: text.to_owned() })
            }
            Ok(url) if url.scheme() == "https" => Err(UriError("it holds credentials")),
            _ => Err(UriError("its scheme is another")),
        }
    }

    /// The URI of contents: `name` is made fit for one.
    #[must_use]
    pub fn of_contents(session_id: SessionId, hash: ContentHash, name: &str) -> Self {
        let name: String = name.chars().map(|c| if c == '/' || c.is_control() { '_' } else { c }).collect();
        let name = if matches!(&*name, "" | "." | "..") { "file".to_owned() } else { name };
        Self::Contents { session_id, hash, name }
    }
}

impl fmt::Display for ResourceUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contents { session_id, hash, name } => write!(f, "{RESOURCE}{session_id}/{hash}-{name}"),
            Self::File { session_id, key } => write!(f, "{R2_SCHEME}{}", r2_key(session_id, key)),
            Self::Elsewhere { text, .. } => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::property;

    #[test]
    fn what_names_nothing_here_is_told_why() {
        let hash = "ab".repeat(32);
        for (text, why) in [
            ("", "its scheme is another"),
            ("resource://connect/s", "it names no contents"),
            ("resource://connect/s/ab", "it has no name behind its SHA-256"),
            ("resource://connect/s/ab-x", "its SHA-256 is none"),
            (&*format!("resource://connect/../{hash}-x"), "its session is none"),
            (&*format!("resource://connect/s/{hash}-"), "its name is none"),
            (&*format!("resource://connect/s/{hash}-.."), "its name is none"),
            (&*format!("resource://connect/s/{hash}-a/b"), "its name is none"),
            (&*format!("resource://other/s/{hash}-x"), "its scheme is another"),
            ("r2://other/s/x", "its key is none of ours"),
            ("r2://files/s/../x", "its key is none of ours"),
            ("r2://files/../x", "its key is none of ours"),
            ("http://example.com/x", "its scheme is another"),
            ("file:///etc/passwd", "its scheme is another"),
            ("https://u:p@example.com/", "it holds credentials"),
            ("r2://files/s/a\0b", "it has a control character"),
            (&*format!("https://{}", "a".repeat(MAX_URI)), "it is longer than 4096 bytes"),
        ] {
            assert_eq!(ResourceUri::parse(text), Err(UriError(why)), "{text}");
        }
        // What looks like a URI in a name is a name.
        let nested = format!("resource://connect/s/{hash}-resource:");
        assert!(matches!(ResourceUri::parse(&nested), Ok(ResourceUri::Contents { .. })));
    }

    proptest! {
        #[test]
        fn a_uri_that_was_written_is_read_as_the_same(
            session in "[A-Za-z0-9][A-Za-z0-9._-]{0,127}", hash: [u8; 32], name in ".{0,40}", key in "[^/]{1,20}(/.{0,20}){0,3}",
        ) {
            let session: SessionId = session.parse().unwrap();
            let uri = ResourceUri::of_contents(session.clone(), ContentHash(hash), &name);
            prop_assert_eq!(ResourceUri::parse(&uri.to_string()), Ok(uri));
            if let Ok(key) = key.parse::<FileKey>() {
                let uri = ResourceUri::File { session_id: session, key };
                prop_assert_eq!(ResourceUri::parse(&uri.to_string()), Ok(uri));
            }
        }

        #[test]
        fn no_text_leads_out_of_a_session(
            start in "(resource://connect/|r2://files/|https://|)(s-1/|s/|[A-Za-z0-9./%-]{0,8}/|)(([0-9a-f]{2}|AB){32}-|)",
            end in "([a-z./%\\\\@:-]|\\.\\.|/\\.\\./|%2e){0,20}|\\PC{0,20}|.{0,20}",
        ) {
            property::resource_uri::check(format!("{start}{end}").as_bytes());
        }

        #[test]
        fn any_text_is_a_name_and_names_nothing_else(text in any::<String>()) {
            property::resource_uri::check(text.as_bytes());
        }
    }
}
