//! The queries of lists of a session's context.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::api::extract::{Parameters, page_limit};
use crate::api::object::shown;
use crate::auth::Principal;
use crate::model::id::SessionId;
use crate::model::sync::SyncKind;
use crate::model::time::Time;
use crate::problem::Problem;
use crate::store::context::{FilePosition, FileQuery, Place, SyncQuery};

/// Entries of a page whose query says nothing of it.
const DEFAULT_LIMIT: usize = 50;
/// The form of cursors that this build writes and reads.
const CURSOR_FORM: u8 = 1;
/// A file's: the form, whether it is inactive, a time in milliseconds, the SHA-256 of its URI.
const FILE_CURSOR: usize = 1 + 1 + 8 + 32;
/// A synchronisation's: the form, its number.
const SYNC_CURSOR: usize = 1 + 8;

/// Which files.
///
/// # Errors
/// 400.
pub(super) fn files(query: &str, caller: &Principal) -> Result<FileQuery, Problem> {
    let parameters = Parameters::parse(query);
    let (place, limit) = common(&parameters, caller)?;
    let active = match parameters.get("active") {
        None => None,
        Some("true") => Some(true),
        Some("false") => Some(false),
        Some(other) => return Err(refused("active", other, "true, false, or leaving it out for both")),
    };
    let after = match parameters.get("cursor") {
        None => None,
        Some(text) => Some(from_file_cursor(text).ok_or_else(|| refused_cursor(text))?),
    };
    Ok(FileQuery { place, active, after, limit })
}

/// Which synchronisations.
///
/// # Errors
/// 400.
pub(super) fn sync_events(query: &str, caller: &Principal) -> Result<SyncQuery, Problem> {
    let parameters = Parameters::parse(query);
    let (place, limit) = common(&parameters, caller)?;
    let kind = match parameters.get("type") {
        None => None,
        Some(word) => {
            Some(SyncKind::parse(word).ok_or_else(|| refused("type", word, "sync-report or SESSION_INGEST"))?)
        }
    };
    let before = match parameters.get("cursor") {
        None => None,
        Some(text) => Some(from_sync_cursor(text).ok_or_else(|| refused_cursor(text))?),
    };
    Ok(SyncQuery { place, kind, before, limit })
}

fn common(parameters: &Parameters<'_>, caller: &Principal) -> Result<(Place, usize), Problem> {
    let session_id = match parameters.get("session_id") {
        None => caller.session_id.clone(),
        Some(text) => text.parse::<SessionId>().map_err(|error| {
            Problem::context_refused(format!("session_id: found {}, which is {error}", shown(text)))
        })?,
    };
    let limit = match parameters.get("limit") {
        None => DEFAULT_LIMIT,
        Some(text) => page_limit(text)
            .ok_or_else(|| refused("limit", text, "a whole number of at most 19 digits; more than 1000 is 1000"))?,
    };
    Ok((Place { chitty_id: caller.chitty_id.clone(), session_id }, limit))
}

fn refused(name: &str, found: &str, accepted: &str) -> Problem {
    Problem::context_refused(format!("{name}: found {}; accepted: {accepted}", shown(found)))
}

fn refused_cursor(found: &str) -> Problem {
    refused("cursor", found, "next_cursor of the page before")
}

/// Where the next page of files begins, as its client carries it.
pub(super) fn file_cursor(position: FilePosition) -> String {
    let mut bytes = vec![CURSOR_FORM, u8::from(!position.active)];
    bytes.extend(position.last_accessed.as_millis().to_be_bytes());
    bytes.extend(position.hash);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn from_file_cursor(text: &str) -> Option<FilePosition> {
    let bytes: [u8; FILE_CURSOR] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
    let [CURSOR_FORM, inactive, rest @ ..] = &bytes else { return None };
    let (millis, hash) = rest.split_first_chunk()?;
    Some(FilePosition {
        active: *inactive == 0,
        last_accessed: Time::from_millis(u64::from_be_bytes(*millis)),
        hash: hash.try_into().ok()?,
    })
}

/// Where the next page of synchronisations begins, as its client carries it.
pub(super) fn sync_cursor(number: u64) -> String {
    let mut bytes = vec![CURSOR_FORM];
    bytes.extend(number.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn from_sync_cursor(text: &str) -> Option<u64> {
    let bytes: [u8; SYNC_CURSOR] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
    let [CURSOR_FORM, number @ ..] = bytes else { return None };
    Some(u64::from_be_bytes(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back_as_what_they_were_made_of() {
        let caller = Principal::sample("alice", "own");
        for active in [true, false] {
            let position = FilePosition { active, last_accessed: Time::from_millis(1_767_323_045_678), hash: [7; 32] };
            let cursor = file_cursor(position);
            assert_eq!(files(&format!("cursor={cursor}"), &caller).unwrap().after, Some(position));
            assert!(files(&format!("cursor={}", &cursor[1..]), &caller).is_err());
            assert!(sync_events(&format!("cursor={cursor}"), &caller).is_err());
        }
        let cursor = sync_cursor(300);
        assert_eq!(sync_events(&format!("cursor={cursor}"), &caller).unwrap().before, Some(300));
        for wrong in ["nonsense", "%FF", "AAAA"] {
            assert!(sync_events(&format!("cursor={wrong}"), &caller).is_err(), "{wrong}");
        }
    }

    #[test]
    fn words_that_are_none_are_refused() {
        let caller = Principal::sample("alice", "own");
        for query in ["active=1", "limit=x", "session_id=a/b"] {
            assert_eq!(files(query, &caller).unwrap_err().word, "invalid_request", "{query}");
        }
        assert!(sync_events("type=other", &caller).is_err());
        let all = files("active=&limit=&cursor=&session_id=", &caller).unwrap();
        assert_eq!((all.active, all.limit, all.place.session_id.as_str()), (None, 50, "own"));
    }
}
