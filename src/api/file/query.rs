//! The queries of requests concerning files.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::api::extract::{Parameters, page_limit};
use crate::api::object::shown;
use crate::auth::Principal;
use crate::blob::uri::ResourceUri;
use crate::model::id::SessionId;
use crate::model::stored_file::{ContentHash, MAX_FILE_KEY};
use crate::problem::Problem;
use crate::store::context::Place;
use crate::store::file::StoredQuery;

/// Files of a page whose query says nothing of it.
const DEFAULT_LIMIT: usize = 50;

/// Which files to list.
///
/// # Errors
/// 400.
pub(super) fn list(query: &str, caller: &Principal) -> Result<StoredQuery, Problem> {
    let parameters = Parameters::parse(query);
    let session_id = session_of(&parameters)?.unwrap_or_else(|| caller.session_id.clone());
    let limit = match parameters.get("limit") {
        None => DEFAULT_LIMIT,
        Some(text) => page_limit(text)
            .ok_or_else(|| refused("limit", text, "a whole number of at most 19 digits; more than 1000 is 1000"))?,
    };
    let prefix = parameters.get("prefix").unwrap_or_default();
    if prefix.len() > MAX_FILE_KEY || prefix.chars().any(char::is_control) {
        return Err(refused("prefix", prefix, "at most 1024 bytes without control characters"));
    }
    let after = match parameters.get("cursor") {
        None => None,
        Some(text) => Some(from_cursor(text).ok_or_else(|| refused("cursor", text, "next_cursor of the page before"))?),
    };
    let place = Place { chitty_id: caller.chitty_id.clone(), session_id };
    Ok(StoredQuery { place, prefix: prefix.to_owned(), after, delimiter: None, limit })
}

/// Where the next page begins, as its client carries it.
pub(super) fn cursor(next: &str) -> String {
    URL_SAFE_NO_PAD.encode(next)
}

fn from_cursor(text: &str) -> Option<String> {
    let key = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    (key.len() <= MAX_FILE_KEY && !key.chars().any(char::is_control)).then_some(key)
}

/// The SHA-256 in a path.
///
/// # Errors
/// 400.
pub(super) fn hash(text: &str) -> Result<ContentHash, Problem> {
    text.parse().map_err(|_| refused("sha256", text, "64 hexadecimal digits"))
}

/// The session that a query names.
///
/// # Errors
/// 400.
pub(super) fn session(query: &str) -> Result<Option<SessionId>, Problem> {
    session_of(&Parameters::parse(query))
}

fn session_of(parameters: &Parameters<'_>) -> Result<Option<SessionId>, Problem> {
    let parse = |text: &str| {
        let wrong = |error| Problem::context_refused(format!("session_id: found {}, which is {error}", shown(text)));
        text.parse::<SessionId>().map_err(wrong)
    };
    parameters.get("session_id").map(parse).transpose()
}

/// The key that a query names.
pub(super) fn r2_key(query: &str) -> Option<String> {
    Parameters::parse(query).get("r2_key").map(str::to_owned)
}

/// The URI that a query asks for, and the session whose context may know it.
///
/// # Errors
/// 400.
pub(super) fn uri(query: &str, caller: &Principal) -> Result<(ResourceUri, SessionId), Problem> {
    let parameters = Parameters::parse(query);
    let session = session_of(&parameters)?.unwrap_or_else(|| caller.session_id.clone());
    let text = parameters.get("uri").unwrap_or_default();
    let uri = ResourceUri::parse(text)
        .map_err(|error| Problem::context_refused(format!("uri: found {}, {error}", shown(text))))?;
    Ok((uri, session))
}

fn refused(name: &str, found: &str, accepted: &str) -> Problem {
    Problem::context_refused(format!("{name}: found {}; accepted: {accepted}", shown(found)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_what_it_was_made_of() {
        let caller = Principal::sample("alice", "own");
        let query = format!("cursor={}&prefix=a%2Fb&session_id=other&limit=7", cursor("a/b c"));
        let query = list(&query, &caller).unwrap();
        assert_eq!((query.after.as_deref(), &*query.prefix, query.limit), (Some("a/b c"), "a/b", 7));
        assert_eq!(query.place.session_id.as_str(), "other");
        for wrong in ["cursor=%FF", "cursor=AA", "limit=-1x", "session_id=..", "prefix=%00"] {
            assert!(list(wrong, &caller).is_err(), "{wrong}");
        }
    }
}
