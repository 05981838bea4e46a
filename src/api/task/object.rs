//! A JSON object out of a request's body, member by member, so that what is wrong with one is said in our own words:
//! which member, what was found, what is accepted. Of a member that is there twice, the last counts.

mod member;

use std::fmt;
use std::str::FromStr;

use serde_json::value::RawValue;

use crate::auth::Principal;
use crate::model::json::Json;
use crate::problem::{Problem, TaskRefusal};
pub(super) use member::Kind;
use member::{Members, has_lone_surrogate};

/// Largest value that is kept as JSON, in bytes as sent.
pub(super) const MAX_JSON: usize = 64 * 1024;
/// Arrays and objects inside each other in such a value, at the most.
pub(super) const MAX_DEPTH: usize = 32;
/// Bytes of a client's text that a message repeats.
const MAX_SHOWN: usize = 40;

/// One member.
#[derive(Debug)]
pub(super) enum Member<T> {
    /// It is not there.
    Absent,
    /// It is `null`.
    Null,
    /// It is this.
    Is(T),
}

impl<T> Member<T> {
    /// The value, where absent and `null` are the same.
    pub(super) fn value(self) -> Option<T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }

    /// `None` to leave the field as it is, `Some(None)` to clear it.
    #[allow(clippy::option_option, reason = "what TaskPatch holds")]
    pub(super) fn change(self) -> Option<Option<T>> {
        match self {
            Self::Absent => None,
            Self::Null => Some(None),
            Self::Is(value) => Some(Some(value)),
        }
    }

    /// `None` to leave the field as it is; it cannot be cleared.
    ///
    /// # Errors
    /// When it is `null`: `refused` makes the error.
    pub(super) fn set(self, refused: impl FnOnce() -> Problem) -> Result<Option<T>, Problem> {
        match self {
            Self::Absent => Ok(None),
            Self::Null => Err(refused()),
            Self::Is(value) => Ok(Some(value)),
        }
    }
}

/// The members of a body's object.
pub(super) struct Object<'b> {
    members: Members<'b>,
    refusal: TaskRefusal,
}

impl<'b> Object<'b> {
    /// Reads `body`. `refusal` is what is wrong with everything that does not fit, `no_object` with JSON that is neither
    /// an object nor `null`.
    ///
    /// # Errors
    /// 400.
    pub(super) fn read(body: &'b [u8], refusal: TaskRefusal, no_object: TaskRefusal) -> Result<Self, Problem> {
        let refused = |found: &str| {
            let message = format!("the body: found {found}; accepted: a JSON object in UTF-8");
            Err(Problem::task_refused(refusal, message))
        };
        let Ok(text) = std::str::from_utf8(body) else { return refused("bytes that are not UTF-8") };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let Ok(value) = serde_json::from_str::<&RawValue>(text) else {
            return refused(if text.trim_ascii().is_empty() { "nothing" } else { "text that is not JSON" });
        };
        match Kind::of(value) {
            Kind::Object => {}
            Kind::Null => return refused("null"),
            other => {
                let message = format!("the body: found {other}; accepted: a JSON object");
                return Err(Problem::task_refused(no_object, message));
            }
        }
        match serde_json::from_str(value.get()) {
            Ok(members) => Ok(Self { members, refusal }),
            Err(_) => refused("a name with half of a surrogate pair"),
        }
    }

    /// What is wrong with `name`.
    pub(super) fn refused(&self, name: &str, found: impl fmt::Display, accepted: &str) -> Problem {
        Problem::task_refused(self.refusal, format!("{name}: found {found}; accepted: {accepted}"))
    }

    /// Whether there is such a member, whatever it is.
    pub(super) fn has(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    /// What kind of value `name` has, `null` included.
    pub(super) fn kind(&self, name: &str) -> Option<Kind> {
        self.raw(name).map(Kind::of)
    }

    /// `name` as a number.
    pub(super) fn number(&self, name: &str) -> Option<f64> {
        self.raw(name)?.get().parse().ok()
    }

    /// `name` as text of at most `max` bytes.
    ///
    /// # Errors
    /// 400.
    pub(super) fn text(&self, name: &str, max: usize) -> Result<Member<String>, Problem> {
        let accepted = || format!("text of at most {max} bytes of UTF-8, without NUL");
        let text = match self.string(name, &accepted())? {
            Member::Is(text) => text,
            other => return Ok(other),
        };
        if text.len() > max {
            return Err(self.refused(name, format_args!("{} bytes", text.len()), &accepted()));
        }
        if text.contains('\0') {
            return Err(self.refused(name, "NUL", &accepted()));
        }
        Ok(Member::Is(text))
    }

    /// `name` as one of the words that `T` is written in.
    ///
    /// # Errors
    /// 400.
    pub(super) fn word<T: FromStr>(&self, name: &str, accepted: &str) -> Result<Member<T>, Problem> {
        match self.string(name, accepted)? {
            Member::Absent => Ok(Member::Absent),
            Member::Null => Ok(Member::Null),
            Member::Is(word) => match word.parse() {
                Ok(read) => Ok(Member::Is(read)),
                Err(_) => Err(self.refused(name, shown(&word), accepted)),
            },
        }
    }

    /// `name` as any JSON but `null`, as it was sent.
    ///
    /// # Errors
    /// 413 above [`MAX_JSON`]; 400 when it is deeper than [`MAX_DEPTH`] or not Unicode.
    pub(super) fn json(&self, name: &str) -> Result<Member<Json>, Problem> {
        let Some(raw) = self.raw(name) else { return Ok(Member::Absent) };
        if Kind::of(raw) == Kind::Null {
            return Ok(Member::Null);
        }
        let depth = Json::depth(raw.get());
        if depth > MAX_DEPTH {
            let accepted = format!("at most {MAX_DEPTH}");
            return Err(self.refused(name, format_args!("arrays and objects nested {depth} deep"), &accepted));
        }
        if raw.get().len() > MAX_JSON {
            return Err(Problem::value_too_large(name, raw.get().len(), MAX_JSON));
        }
        if has_lone_surrogate(raw.get()) {
            return Err(self.refused(name, "half of a surrogate pair", "JSON whose strings are Unicode"));
        }
        Ok(Member::Is(raw.to_owned().into()))
    }

    /// Refuses a body that speaks for another tenant.
    ///
    /// # Errors
    /// 403.
    pub(super) fn check_chitty_id(&self, caller: &Principal) -> Result<(), Problem> {
        for name in ["chittyId", "chitty_id"] {
            let stated = self.string(name, "");
            match stated {
                Ok(Member::Is(stated)) if stated == caller.chitty_id.as_str() => {}
                Ok(Member::Absent | Member::Null) => {}
                Ok(Member::Is(_)) | Err(_) => return Err(Problem::another_chitty_id(name, caller)),
            }
        }
        Ok(())
    }

    fn string(&self, name: &str, accepted: &str) -> Result<Member<String>, Problem> {
        let Some(raw) = self.raw(name) else { return Ok(Member::Absent) };
        match Kind::of(raw) {
            Kind::Null => Ok(Member::Null),
            Kind::Text => match serde_json::from_str(raw.get()) {
                Ok(text) => Ok(Member::Is(text)),
                Err(_) => Err(self.refused(name, "half of a surrogate pair", accepted)),
            },
            other => Err(self.refused(name, other, accepted)),
        }
    }

    fn raw(&self, name: &str) -> Option<&'b RawValue> {
        self.members.get(name)
    }
}

/// The beginning of a client's own text.
pub(in crate::api) fn shown(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_SHOWN);
    let more = if end < text.len() { "…" } else { "" };
    format!("{:?}{more}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &[u8]) -> Result<Object<'_>, &'static str> {
        Object::read(body, TaskRefusal::Creation, TaskRefusal::TitleRequired).map_err(|problem| problem.word)
    }

    #[test]
    fn a_body_is_an_object_in_utf_8() {
        for body in ["{}", " {} \n", "\u{feff}{}", "{\"x\":[[[]]]}", r#"{"title":"a","title":1}"#] {
            assert!(read(body.as_bytes()).is_ok(), "{body}");
        }
        for body in ["[]", "1", "\"x\"", "true", "[1,2]"] {
            assert_eq!(read(body.as_bytes()).err(), Some("title required"), "{body}");
        }
        for body in ["", " ", "null", "{", "{}{}", "[1,]", r#"{"\ud800":1}"#] {
            assert_eq!(read(body.as_bytes()).err(), Some("creation_failed"), "{body}");
        }
        assert_eq!(read(b"{\"title\":\"\xff\"}").err(), Some("creation_failed"));
        let deep = format!("{{\"x\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(read(deep.as_bytes()).is_ok());
    }

    #[test]
    fn the_last_of_two_members_counts() {
        let object = read(br#"{"title":1,"t\u0069tle":"b","Title":"c"}"#).unwrap();
        assert_eq!(object.text("title", 9).unwrap().value().as_deref(), Some("b"));
    }

    #[test]
    fn text_is_of_a_length_and_whole() {
        let object = read(
            r#"{"title":"é","error":null,"result":"a\u0000","status":"\ud83d\ude00","priority":"\ud83d"}"#.as_bytes(),
        );
        let object = object.unwrap();
        assert!(object.text("title", 2).is_ok() && object.text("title", 1).is_err());
        assert!(matches!(object.text("error", 1), Ok(Member::Null)));
        assert!(matches!(object.text("description", 1), Ok(Member::Absent)));
        assert!(object.text("result", 9).is_err());
        assert_eq!(object.text("status", 9).unwrap().value().as_deref(), Some("😀"));
        assert!(object.text("priority", 9).unwrap_err().message.contains("surrogate"));
    }

    #[test]
    fn messages_name_the_member_what_was_found_and_what_is_accepted() {
        let object = read(br#"{"title":[1]}"#).unwrap();
        let message = object.text("title", 4096).err().unwrap().message;
        assert_eq!(message, "title: found an array; accepted: text of at most 4096 bytes of UTF-8, without NUL");
        assert_eq!(shown(&"é".repeat(30)), format!("\"{}\"…", "é".repeat(20)));
    }
}
