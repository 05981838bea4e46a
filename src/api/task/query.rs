//! The query of GET: which tasks, how many, from where on (CONTRACT.md §2).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::body::MAX_NAME;
use crate::api::extract::{Parameters, page_limit};
use crate::api::object::shown;
use crate::auth::Principal;
use crate::model::id::{SessionId, TaskId};
use crate::model::time::Time;
use crate::problem::{Problem, TaskRefusal};
use crate::store::{TaskPosition, TaskQuery};

/// Tasks of a page whose query says nothing of it.
pub(super) const DEFAULT_LIMIT: usize = 50;
/// The form of cursors that this build writes and reads.
const CURSOR_FORM: u8 = 1;
/// Its bytes: the form, a time in milliseconds, a task's id.
const CURSOR_BYTES: usize = 1 + 8 + 16;

/// Reads a query. `None` = it can be answered without looking: nothing fits.
///
/// # Errors
/// 400.
pub(super) fn read(query: &str, caller: Principal) -> Result<Option<TaskQuery>, Problem> {
    let parameters = Parameters::parse(query);
    let refused = |name: &str, found: &str, accepted: &str| {
        let message = format!("{name}: found {}; accepted: {accepted}", shown(found));
        Problem::task_refused(TaskRefusal::Query, message)
    };
    let session_id = match parameters.get("session_id") {
        None => caller.session_id,
        Some(text) => text.parse::<SessionId>().map_err(|error| {
            let message = format!("session_id: found {}, which is {error}", shown(text));
            Problem::task_refused(TaskRefusal::Query, message)
        })?,
    };
    let limit = match parameters.get("limit") {
        None => DEFAULT_LIMIT,
        Some(text) => page_limit(text)
            .ok_or_else(|| refused("limit", text, "a whole number of at most 19 digits; more than 1000 is 1000"))?,
    };
    let after = match parameters.get("cursor") {
        None => None,
        Some(text) => Some(from_cursor(text).ok_or_else(|| refused("cursor", text, "next_cursor of the page before"))?),
    };
    // A word that none is, is one that no task has.
    let fitting = |name: &str, fits: &dyn Fn(&str) -> bool| parameters.get(name).is_none_or(fits);
    let nothing = limit == 0
        || !fitting("status", &|word| word.parse::<crate::model::task::Status>().is_ok())
        || !fitting("priority", &|word| word.parse::<crate::model::task::Priority>().is_ok())
        || !fitting("parent_task_id", &|id| TaskId::parse(id).is_some())
        || !fitting("assigned_service", &|name| name.len() <= MAX_NAME && !name.contains('\0'));
    if nothing {
        return Ok(None);
    }
    Ok(Some(TaskQuery {
        chitty_id: caller.chitty_id,
        session_id,
        status: parameters.get("status").and_then(|word| word.parse().ok()),
        priority: parameters.get("priority").and_then(|word| word.parse().ok()),
        parent_task_id: parameters.get("parent_task_id").and_then(TaskId::parse),
        assigned_service: parameters.get("assigned_service").map(str::to_owned),
        after,
        limit,
    }))
}

/// Where the next page begins, as its client carries it.
pub(super) fn to_cursor(position: TaskPosition) -> String {
    let mut bytes = Vec::with_capacity(CURSOR_BYTES);
    bytes.push(CURSOR_FORM);
    bytes.extend(position.updated_at.as_millis().to_be_bytes());
    bytes.extend(position.task_id.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn from_cursor(text: &str) -> Option<TaskPosition> {
    let bytes: [u8; CURSOR_BYTES] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
    let (form, rest) = bytes.split_first()?;
    let (millis, id) = rest.split_first_chunk()?;
    let position = TaskPosition {
        updated_at: Time::from_millis(u64::from_be_bytes(*millis)),
        task_id: TaskId::from_bytes(id.try_into().ok()?),
    };
    (*form == CURSOR_FORM).then_some(position)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Result<Option<TaskQuery>, &'static str> {
        let caller = Principal::sample("alice", "own");
        read(text, caller).map_err(|problem| problem.word)
    }

    #[test]
    fn a_limit_is_a_whole_number_up_to_a_thousand() {
        for (text, expected) in [
            ("", 50),
            ("limit=", 50),
            ("limit=1", 1),
            ("limit=2.7", 2),
            ("limit=007", 7),
            ("limit=1000", 1000),
            ("limit=1001", 1000),
            ("limit=4294967295", 1000),
            ("limit=3&limit=abc", 3),
        ] {
            assert_eq!(query(text).unwrap().unwrap().limit, expected, "{text}");
        }
        assert_eq!(query("limit=0"), Ok(None));
        for text in ["-1", "-0.5", "abc", "1e9", "99999999999999999999", "0x10", "5abc", ".5", "+5", "1.2.3", " "] {
            assert_eq!(query(&format!("limit={text}")), Err("query_failed"), "{text}");
        }
    }

    #[test]
    fn a_cursor_comes_back_as_the_position_it_was_made_of() {
        let position = TaskPosition { updated_at: Time::from_millis(1_767_323_045_678), task_id: TaskId::random() };
        let cursor = to_cursor(position);
        assert_eq!(query(&format!("cursor={cursor}")).unwrap().unwrap().after, Some(position));
        let other_form = URL_SAFE_NO_PAD.encode([&[2], &[0; CURSOR_BYTES - 1][..]].concat());
        for wrong in ["nonsense", "%FF%FE", "AAAA", &cursor[1..], &format!("{cursor}A"), &other_form] {
            assert_eq!(query(&format!("cursor={wrong}")), Err("query_failed"), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_said_is_no_filter_and_a_word_that_is_none_fits_nothing() {
        let all = query("status=&priority=&parent_task_id=&assigned_service=&session_id=&x=1").unwrap().unwrap();
        assert_eq!(all, query("").unwrap().unwrap());
        assert_eq!((all.session_id.as_str(), &all.status, &all.assigned_service), ("own", &None, &None));
        for nothing in ["status=bogus", "status=PENDING", "priority=1", "parent_task_id=x", "assigned_service=%00"] {
            assert_eq!(query(nothing), Ok(None), "{nothing}");
        }
        assert_eq!(query("session_id=a/b"), Err("query_failed"));
        assert_eq!(query("status=bogus&limit=x"), Err("query_failed"));
        assert_eq!(query("session_id=other").unwrap().unwrap().session_id.as_str(), "other");
    }
}
