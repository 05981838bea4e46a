//! The query of the list of sessions.

use crate::api::extract::{MAX_PAGE, Parameters, page_limit};
use crate::api::object::shown;
use crate::auth::Principal;
use crate::model::time::Time;
use crate::problem::{Problem, SessionRefusal};
use crate::store::{SessionPosition, SessionQuery};

/// Digits of a time in milliseconds, at the most.
const MAX_DIGITS: usize = 15;

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
        // A fraction is let pass where the original did, which knew no limit here.
        Some(text) => page_limit(text)
            .filter(|_| !text.contains('.'))
            .ok_or_else(|| wrong("limit", text, "a whole number of at most 19 digits; more than 1000 is 1000"))?,
    };
    let after = match parameters.get("cursor") {
        None => None,
        Some(text) => Some(from_cursor(text).ok_or_else(|| wrong("cursor", text, "next_cursor of the page before"))?),
    };
    Ok(SessionQuery { chitty_id: caller.chitty_id.clone(), after, limit })
}

/// Where the next page begins, as its client carries it: when a session was made, in milliseconds, and its id.
pub(super) fn to_cursor(position: &SessionPosition) -> String {
    format!("{}.{}", position.created.as_millis(), position.id)
}

fn from_cursor(text: &str) -> Option<SessionPosition> {
    let (millis, id) = text.split_once('.')?;
    let digits = (1..=MAX_DIGITS).contains(&millis.len()) && millis.bytes().all(|byte| byte.is_ascii_digit());
    let millis = digits.then(|| millis.parse().ok())??;
    Some(SessionPosition { created: Time::from_millis(millis), id: id.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_what_it_was_made_of() {
        let caller = Principal::sample("alice", "own");
        for id in ["s", "a.b", &"x".repeat(128)] {
            let position = SessionPosition { created: Time::from_millis(1_767_323_045_678), id: id.parse().unwrap() };
            let cursor = to_cursor(&position);
            assert_eq!(read(&format!("cursor={cursor}&limit=3"), &caller).unwrap().after, Some(position));
        }
        for wrong in
            ["cursor=nonsense", "cursor=1.", "cursor=.s", "cursor=%2B1.s", "cursor=1.a/b", "limit=x", "limit=0.5"]
        {
            assert_eq!(read(wrong, &caller).unwrap_err().word, "INVALID_REQUEST", "{wrong}");
        }
        assert_eq!(read("chittyId=bob", &caller).unwrap_err().word, "forbidden");
        assert_eq!(read("chittyId=alice", &caller).unwrap().limit, 1000);
    }
}
