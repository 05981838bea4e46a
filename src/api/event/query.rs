//! What a subscriber asks for: which session, from where on, which types.

use http::{HeaderMap, HeaderName};

use crate::api::extract::Parameters;
use crate::api::object::shown;
use crate::model::id::SessionId;
use crate::problem::Problem;

/// Where a client that comes back says what it has (HTML Living Standard §9.2.4).
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Digits of an event's id: all numbers of so many can be ids, and no store comes to the end of them.
const MAX_DIGITS: usize = 19;
/// Types in one filter.
const MAX_TYPES: usize = 32;
/// Longest type, in bytes.
const MAX_TYPE: usize = 64;

/// What a subscriber asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// `None` = the key's own.
    pub(super) session: Option<SessionId>,
    /// Events behind this one; `None` = from now on.
    pub(super) after: Option<u64>,
    /// Which events.
    pub(super) types: Types,
}

/// Types of events; none at all = every one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Types(Box<[Box<str>]>);

impl Types {
    /// Whether events of this name are among them.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|own| **own == *name)
    }
}

impl Asked {
    /// Reads a query and the header beside it, which comes first.
    ///
    /// # Errors
    /// 400.
    pub(super) fn read(query: &str, headers: &HeaderMap) -> Result<Self, Problem> {
        let parameters = Parameters::parse(query);
        let named = ["sessionId", "session_id"].into_iter().find_map(|name| Some((name, parameters.get(name)?)));
        let session =
            match named {
                None => None,
                Some((name, text)) => Some(text.parse().map_err(|error| {
                    Problem::bad_request(format!("{name}: found {}, which is {error}", shown(text)))
                })?),
            };
        let header = headers.get(LAST_EVENT_ID).filter(|value| !value.is_empty());
        let after =
            match (header.map(|value| String::from_utf8_lossy(value.as_bytes())), parameters.get("last_event_id")) {
                (Some(text), _) => Some(number("Last-Event-ID", &text)?),
                (None, Some(text)) => Some(number("last_event_id", text)?),
                (None, None) => None,
            };
        let types = parameters.get("types").map(types).transpose()?.unwrap_or_default();
        Ok(Self { session, after, types })
    }
}

fn number(name: &str, text: &str) -> Result<u64, Problem> {
    let digits = text.len() <= MAX_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { text.parse().ok() } else { None };
    number.ok_or_else(|| {
        let accepted = "the id of an event, which is a whole number of at most 19 digits";
        Problem::bad_request(format!("{name}: found {}; accepted: {accepted}", shown(text)))
    })
}

/// Names that no event has yet are names all the same.
fn types(text: &str) -> Result<Types, Problem> {
    let accepted = "at most 32 types, such as task.created,task.updated, each of 1 to 64 of a-z, `.` and `_`";
    let refused = |found: String| Problem::bad_request(format!("types: found {found}; accepted: {accepted}"));
    let is_type = |name: &&str| {
        let inside = |byte: u8| byte.is_ascii_lowercase() || matches!(byte, b'.' | b'_');
        (1..=MAX_TYPE).contains(&name.len()) && name.bytes().all(inside)
    };
    let names: Vec<&str> = text.split(',').collect();
    if names.len() > MAX_TYPES {
        return Err(refused(format!("{} types", names.len())));
    }
    match names.iter().find(|name| !is_type(name)) {
        Some(wrong) => Err(refused(shown(wrong))),
        None => Ok(Types(names.into_iter().map(Into::into).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str, header: Option<&str>) -> Result<Asked, String> {
        let mut headers = HeaderMap::new();
        if let Some(value) = header {
            headers.insert(LAST_EVENT_ID, value.parse().unwrap());
        }
        Asked::read(query, &headers).map_err(|problem| {
            assert_eq!((problem.status.as_u16(), problem.word), (400, "bad_request"));
            problem.message
        })
    }

    #[test]
    fn what_is_not_asked_for_is_everything_from_now_on_in_the_keys_own_session() {
        for query in ["", "sessionId=&last_event_id=&types=", "x=1"] {
            let asked = read(query, Some("")).unwrap();
            assert_eq!(asked, Asked { session: None, after: None, types: Types::default() });
            assert!(asked.types.has("task.created"));
        }
    }

    #[test]
    fn a_session_has_two_spellings() {
        for (query, session) in [("sessionId=a", "a"), ("session_id=b", "b"), ("session_id=b&sessionId=a", "a")] {
            assert_eq!(read(query, None).unwrap().session.unwrap().as_str(), session);
        }
        assert!(
            read("sessionId=a/b", None).unwrap_err().starts_with("sessionId: found \"a/b\", which is not a session")
        );
        assert!(read("session_id=a:b", None).unwrap_err().starts_with("session_id: "));
    }

    #[test]
    fn a_position_is_a_number_and_the_headers_comes_first() {
        assert_eq!(read("last_event_id=7", None).unwrap().after, Some(7));
        assert_eq!(
            read("last_event_id=7", Some("9999999999999999999")).unwrap().after,
            Some(9_999_999_999_999_999_999)
        );
        assert_eq!(read("last_event_id=junk", Some("0")).unwrap().after, Some(0));
        for junk in ["-1", "+1", "1.0", "abc", "0x1", "10000000000000000000", "1 ", "é"] {
            assert!(read("", Some(junk)).unwrap_err().starts_with("Last-Event-ID: found "), "{junk}");
        }
        assert!(read("last_event_id=1e3", None).unwrap_err().starts_with("last_event_id: found \"1e3\"; accepted: "));
    }

    #[test]
    fn types_are_names_and_commas() {
        let asked = read("types=task.created,context.files.updated", None).unwrap();
        assert!(asked.types.has("task.created") && asked.types.has("context.files.updated"));
        assert!(!asked.types.has("task.updated") && !asked.types.has("task"));
        for wrong in [",", "a,", "a,%20b", "Task.created", "a%0Ab", "a-b", "*", &"a".repeat(65), &["a"; 33].join(",")] {
            assert!(read(&format!("types={wrong}"), None).unwrap_err().starts_with("types: found "), "{wrong}");
        }
        assert!(read(&format!("types={}", ["a"; 32].join(",")), None).is_ok());
    }
}
