//! A JSON object out of a request's body, member by member, so that what is wrong with one is said in our own words:
//! which member, what was found, what is accepted. Of a member that is there twice, the last counts.

mod member;

use std::fmt;
use std::str::FromStr;

use serde_json::value::RawValue;

use crate::auth::Principal;
use crate::model::json::Json;
use crate::problem::Problem;
pub(super) use member::Kind;
use member::{Members, has_lone_surrogate};

/// What a body that cannot be meant is answered, in the words of its family.
pub(super) type Refuse = fn(String) -> Problem;

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

/// What a family of endpoints calls bodies that cannot be meant.
#[derive(Clone, Copy)]
pub(super) struct Words {
    /// It is no JSON at all.
    pub(super) bad_json: Refuse,
    /// It is JSON that does not fit.
    pub(super) refuse: Refuse,
}

/// The members of a body's object, or of one inside it.
pub(super) struct Object<'b> {
    members: Members<'b>,
    refuse: Refuse,
    /// Where it is inside the body: what messages put before a member's name.
    within: String,
}

impl<'b> Object<'b> {
    /// Reads `body`, and of its members those in `names`. `refuse` makes the error of everything that does not fit,
    /// `no_object` that of JSON which is neither an object nor `null`.
    ///
    /// # Errors
    /// 400.
    pub(super) fn read(
        body: &'b [u8],
        names: &'static [&'static str],
        refuse: Refuse,
        no_object: Refuse,
    ) -> Result<Self, Problem> {
        let value = parse(body, refuse)?;
        match Kind::of(value) {
            Kind::Object => Self::members_of(value, names, refuse, String::new()),
            Kind::Null => Err(refuse("the body: found null; accepted: a JSON object in UTF-8".to_owned())),
            other => Err(no_object(format!("the body: found {other}; accepted: a JSON object"))),
        }
    }

    /// Reads `body`, and of its members those in `names`, in a family that has a word for what is no JSON.
    ///
    /// # Errors
    /// 400.
    pub(super) fn read_with(body: &'b [u8], names: &'static [&'static str], words: Words) -> Result<Self, Problem> {
        let value = parse(body, words.bad_json)?;
        match Kind::of(value) {
            Kind::Object => Self::members_of(value, names, words.refuse, String::new()),
            other => Err((words.refuse)(format!("the body: found {other}; accepted: a JSON object"))),
        }
    }

    /// The same members, with `refuse` for what does not fit from here on.
    pub(super) fn refusing(self, refuse: Refuse) -> Self {
        Self { refuse, ..self }
    }

    /// The object `name`, of which members in `names` are looked at.
    ///
    /// # Errors
    /// 400 when it is something else.
    pub(super) fn object(&self, name: &str, names: &'static [&'static str]) -> Result<Member<Object<'b>>, Problem> {
        let Some(raw) = self.raw(name) else { return Ok(Member::Absent) };
        match Kind::of(raw) {
            Kind::Null => Ok(Member::Null),
            Kind::Object => {
                Self::members_of(raw, names, self.refuse, format!("{}{name}.", self.within)).map(Member::Is)
            }
            other => Err(self.refused(name, other, "an object")),
        }
    }

    fn members_of(
        value: &'b RawValue,
        names: &'static [&'static str],
        refuse: Refuse,
        within: String,
    ) -> Result<Self, Problem> {
        match Members::of(value, names) {
            Ok(members) => Ok(Self { members, refuse, within }),
            Err(_) => Err(refuse(format!("{within}: found a name with half of a surrogate pair; accepted: Unicode"))),
        }
    }

    /// The elements of the array `name`, each an object with its index in messages. Absent and `null` are apart.
    ///
    /// # Errors
    /// 400, naming the index of the first element that is no object, or that there are more than `max`.
    pub(super) fn objects(
        &self,
        name: &str,
        names: &'static [&'static str],
        max: usize,
    ) -> Result<Member<Vec<Object<'b>>>, Problem> {
        let elements = match self.elements(name, max)? {
            Member::Is(elements) => elements,
            Member::Null => return Ok(Member::Null),
            Member::Absent => return Ok(Member::Absent),
        };
        let read = |(index, value): (usize, &'b RawValue)| {
            let within = format!("{}{name}[{index}]", self.within);
            match Kind::of(value) {
                Kind::Object => Self::members_of(value, names, self.refuse, format!("{within}.")),
                other => Err((self.refuse)(format!("{within}: found {other}; accepted: an object"))),
            }
        };
        elements.into_iter().enumerate().map(read).collect::<Result<_, _>>().map(Member::Is)
    }

    /// The elements of the array `name`.
    ///
    /// # Errors
    /// 400 when it is no array or has more than `max`.
    pub(super) fn elements(&self, name: &str, max: usize) -> Result<Member<Vec<&'b RawValue>>, Problem> {
        let Some(raw) = self.raw(name) else { return Ok(Member::Absent) };
        match Kind::of(raw) {
            Kind::Null => Ok(Member::Null),
            Kind::Array => {
                let elements = serde_json::from_str::<Vec<&RawValue>>(raw.get());
                let elements = elements.map_err(|_| self.refused(name, "an array that cannot be read", "an array"))?;
                if elements.len() > max {
                    let accepted = format!("{max} at the most");
                    return Err(self.refused(name, format_args!("{} elements", elements.len()), &accepted));
                }
                Ok(Member::Is(elements))
            }
            other => Err(self.refused(name, other, "an array")),
        }
    }

    /// `name` as a whole number from 0 to 2^53 - 1, which every reader of JSON keeps (RFC 8259 §6).
    ///
    /// # Errors
    /// 400.
    pub(super) fn count(&self, name: &str) -> Result<Member<u64>, Problem> {
        let Some(raw) = self.raw(name) else { return Ok(Member::Absent) };
        match Kind::of(raw) {
            Kind::Null => Ok(Member::Null),
            Kind::Number => whole(raw.get())
                .map(Member::Is)
                .ok_or_else(|| self.refused(name, shown(raw.get()), "a whole number from 0 to 9007199254740991")),
            other => Err(self.refused(name, other, "a whole number from 0 to 9007199254740991")),
        }
    }

    /// The elements of the array `name`, each any JSON of at most `bytes`, as they were sent.
    ///
    /// # Errors
    /// 413 when one is larger, 400 for everything else; both name its index.
    pub(super) fn values(&self, name: &str, max: usize, bytes: usize) -> Result<Member<Vec<Json>>, Problem> {
        let elements = match self.elements(name, max)? {
            Member::Is(elements) => elements,
            Member::Null => return Ok(Member::Null),
            Member::Absent => return Ok(Member::Absent),
        };
        let read = |(index, raw): (usize, &RawValue)| self.kept(&format!("{name}[{index}]"), raw, bytes);
        elements.into_iter().enumerate().map(read).collect::<Result<_, _>>().map(Member::Is)
    }

    /// `name` as text of at most `max` characters.
    ///
    /// # Errors
    /// 400.
    pub(super) fn characters(&self, name: &str, max: usize) -> Result<Member<String>, Problem> {
        let accepted = format!("text of at most {max} characters");
        match self.string(name, &accepted)? {
            Member::Is(text) if text.chars().count() > max => {
                Err(self.refused(name, format_args!("{} characters", text.chars().count()), &accepted))
            }
            other => Ok(other),
        }
    }

    /// What is wrong with `name`.
    pub(super) fn refused(&self, name: &str, found: impl fmt::Display, accepted: &str) -> Problem {
        (self.refuse)(format!("{}{name}: found {found}; accepted: {accepted}", self.within))
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
        self.json_within(name, MAX_JSON)
    }

    /// The same without a length of its own: the body's is the limit.
    ///
    /// # Errors
    /// 400 when it is deeper than [`MAX_DEPTH`] or not Unicode.
    pub(super) fn any_json(&self, name: &str) -> Result<Member<Json>, Problem> {
        self.json_within(name, usize::MAX)
    }

    fn json_within(&self, name: &str, max: usize) -> Result<Member<Json>, Problem> {
        let Some(raw) = self.raw(name) else { return Ok(Member::Absent) };
        if Kind::of(raw) == Kind::Null {
            return Ok(Member::Null);
        }
        self.kept(name, raw, max).map(Member::Is)
    }

    /// `raw` as it is kept, if it may be.
    fn kept(&self, name: &str, raw: &RawValue, max: usize) -> Result<Json, Problem> {
        let depth = Json::depth(raw.get());
        if depth > MAX_DEPTH {
            let accepted = format!("at most {MAX_DEPTH}");
            return Err(self.refused(name, format_args!("arrays and objects nested {depth} deep"), &accepted));
        }
        if raw.get().len() > max {
            return Err(Problem::value_too_large(&format!("{}{name}", self.within), raw.get().len(), max));
        }
        if has_lone_surrogate(raw.get()) {
            return Err(self.refused(name, "half of a surrogate pair", "JSON whose strings are Unicode"));
        }
        Ok(raw.to_owned().into())
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

/// The one JSON value of `body`.
///
/// # Errors
/// 400.
fn parse(body: &[u8], refuse: Refuse) -> Result<&RawValue, Problem> {
    let refused = |found: &str| Err(refuse(format!("the body: found {found}; accepted: a JSON object in UTF-8")));
    let Ok(text) = std::str::from_utf8(body) else { return refused("bytes that are not UTF-8") };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match serde_json::from_str::<&RawValue>(text) {
        Ok(value) => Ok(value),
        Err(_) if text.trim_ascii().is_empty() => refused("nothing"),
        Err(_) => refused("text that is not JSON"),
    }
}

/// A number that is whole, however it is written: `3`, `3.0`, `3e2`.
fn whole(text: &str) -> Option<u64> {
    const LARGEST: f64 = 9_007_199_254_740_991.0;
    if let Ok(number) = text.parse::<u64>() {
        return Some(number).filter(|number| *number < 1 << 53);
    }
    let number = text.parse::<f64>().ok().filter(|number| (0.0..=LARGEST).contains(number) && number.fract() == 0.0)?;
    // Printed without a fraction or exponent, so that no cast can be wrong.
    format!("{number:.0}").parse().ok()
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
    use crate::problem::TaskRefusal;

    const NAMES: &[&str] = &["title", "description", "error", "result", "status", "priority", "list"];

    fn read(body: &[u8]) -> Result<Object<'_>, &'static str> {
        let creation: Refuse = |message| Problem::task_refused(TaskRefusal::Creation, message);
        let no_title: Refuse = |message| Problem::task_refused(TaskRefusal::TitleRequired, message);
        Object::read(body, NAMES, creation, no_title).map_err(|problem| problem.word)
    }

    #[test]
    fn elements_of_an_array_are_named_by_their_index() {
        let message = |body: &str| {
            let object = read(body.as_bytes()).unwrap();
            let read = object.objects("list", &["title"], 2);
            read.and_then(|list| list.value().unwrap()[1].text("title", 1).map(drop)).unwrap_err().message
        };
        for (body, begins) in [
            (r#"{"list":[{},{"title":2}]}"#, "list[1].title: found a number"),
            (r#"{"list":[{},null]}"#, "list[1]: found null"),
            (r#"{"list":[{},{},{}]}"#, "list: found 3 elements; accepted: 2 at the most"),
            (r#"{"list":{}}"#, "list: found an object"),
        ] {
            assert!(message(body).starts_with(begins), "{body}: {}", message(body));
        }
        assert!(matches!(read(b"{}").unwrap().objects("list", &[], 9), Ok(Member::Absent)));
        assert!(matches!(read(br#"{"list":null}"#).unwrap().objects("list", &[], 9), Ok(Member::Null)));
    }

    #[test]
    fn a_count_is_a_whole_number() {
        for (text, count) in [("0", 0), ("7", 7), ("2.0", 2), ("1e3", 1000), ("9007199254740991", (1 << 53) - 1)] {
            assert_eq!(whole(text), Some(count), "{text}");
        }
        for text in ["-1", "0.5", "9007199254740992", "1e400", "-0.1", "1e16"] {
            assert_eq!(whole(text), None, "{text}");
        }
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
