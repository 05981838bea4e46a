//! The query of the list of sessions.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::api::extract::{MAX_PAGE, Parameters, page_limit};
use crate::api::object::shown;
use crate::auth::Principal;
use crate::model::time::Time;
use crate::problem::{Problem, SessionRefusal};
use crate::store::{SessionPosition, SessionQuery};

/// The form of cursors that this build writes and reads: itself, a time in milliseconds, a session's id.
const CURSOR_FORM: u8 = 1;

/// Which sessions.
///
/// # Errors
/// 400, 403.
pub(super) fn read(query: &str, caller: &Principal) -> Result<SessionQuery, Problem> {
    let parameters = Parameters::parse(query);
    for name in ["chittyId", "chitty_id"] {
        if parameters.get(name).is_some_and(|stated| stated != caller.chitty_id.as_str()) {
            return Err(Problem::another_chitty_id(name, caller));
        }
    }
    let wrong = |name: &str, found: &str, accepted: &str| {
        let message = format!("{name}: found {}; accepted: {accepted}", shown(found));
        Problem::session_refused(SessionRefusal::Request, message)
    };
    let limit = match parameters.get("limit") {
        None => MAX_PAGE,
        Some(text) => page_limit(text)
            .ok_or_else(|| wrong("limit", text, "a whole number of at most 19 digits; more than 1000 is 1000"))?,
    };
    let after = match parameters.get("cursor") {
        None => None,
        Some(text) => Some(from_cursor(text).ok_or_else(|| wrong("cursor", text, "next_cursor of the page before"))?),
    };
    Ok(SessionQuery { chitty_id: caller.chitty_id.clone(), after, limit })
}

/// Where the next page begins, as its client carries it.
pub(super) fn to_cursor(position: &SessionPosition) -> String {
    let mut bytes = vec![CURSOR_FORM];
    bytes.extend(position.created.as_millis().to_be_bytes());
    bytes.extend(position.id.as_str().as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn from_cursor(text: &str) -> Option<SessionPosition> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (&CURSOR_FORM, rest) = bytes.split_first()? else { return None };
    let (millis, id) = rest.split_first_chunk()?;
    let id = std::str::from_utf8(id).ok()?.parse().ok()?;
    Some(SessionPosition { created: Time::from_millis(u64::from_be_bytes(*millis)), id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_what_it_was_made_of() {
        let caller = Principal::sample("alice", "own");
        for id in ["s", &"x".repeat(128)] {
            let position = SessionPosition { created: Time::from_millis(1_767_323_045_678), id: id.parse().unwrap() };
            let cursor = to_cursor(&position);
            assert!((14..=184).contains(&cursor.len()), "{}", cursor.len());
            assert_eq!(read(&format!("cursor={cursor}&limit=3"), &caller).unwrap().after, Some(position));
        }
        for wrong in ["cursor=nonsense", "cursor=AAAA", "cursor=AQAAAAAAAAAA", "limit=x"] {
            assert_eq!(read(wrong, &caller).unwrap_err().word, "INVALID_REQUEST", "{wrong}");
        }
        assert_eq!(read("chittyId=bob", &caller).unwrap_err().word, "forbidden");
        assert_eq!(read("chittyId=alice", &caller).unwrap().limit, 1000);
    }
}
