//! The bodies: an entry in any spelling of REGISTRY.md §2 and §3, and a change of a status.

use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::model::json::Json;
use crate::problem::Problem;

/// Arrays and objects inside each other in a body, at the most.
const MAX_DEPTH: usize = 32;
/// Longest status and time, in bytes.
const MAX_WORD: usize = 64;
/// What a registrant proves itself with elsewhere. It has no business in a record.
const NOT_KEPT: [&str; 1] = ["registrationToken"];

/// A service, in any spelling that registries know. It needs a name and one http or https URL; members of other names are
/// kept and otherwise ignored. The entry may stand in `service`.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what the reader of registries' documents takes")]
pub(super) struct ServiceEntry {
    /// Also `serviceName`, `displayName`. What becomes of it is lower-case, of a-z, 0-9 and -.
    name: Option<String>,
    /// The base URL, of which the origin counts. Also `baseUrl`, `endpoint`, `domain`, `host`, the first URL in
    /// `endpoints`, else the origin of the URL in `health`.
    url: Option<String>,
    /// Also `chitty_id`, `chittyId`, `chittyid`.
    id: Option<String>,
    /// The label under the domain.
    subdomain: Option<String>,
    /// Also `healthUrl`, `health_endpoint`, `health`, `healthCheck`, `endpoints.health`.
    health_url: Option<String>,
    version: Option<String>,
    description: Option<String>,
    status: Option<String>,
    /// URLs or paths: an array, or an object such as `{health, api, mcp}`.
    endpoints: Option<Value>,
    /// The whole entry, for clients that wrap it.
    service: Option<Value>,
}

/// A new lifecycle status.
#[derive(ToSchema)]
pub(super) struct StatusChange {
    /// A word such as `active` or `deprecated`; kept in lower case.
    #[schema(min_length = 1, max_length = 64)]
    pub(super) status: String,
    /// When it was last deployed, as the client writes times.
    #[schema(min_length = 1, max_length = 64)]
    last_deployed: Option<String>,
}

/// The entry in a body.
///
/// # Errors
/// 400.
pub(super) fn entry(body: &[u8]) -> Result<Map<String, Value>, Problem> {
    let mut object = object(body)?;
    let wrapped = match object.remove("service") {
        Some(Value::Object(entry)) => Some(entry),
        Some(other) if object.is_empty() => {
            return Err(refused("service", kind(&other), "a JSON object"));
        }
        // A field of an entry like any other that is not known.
        Some(other) => {
            object.insert("service".to_owned(), other);
            None
        }
        None => None,
    };
    let mut entry = wrapped.unwrap_or(object);
    for name in NOT_KEPT {
        entry.remove(name);
    }
    Ok(entry)
}

impl StatusChange {
    /// Reads a body.
    ///
    /// # Errors
    /// 400.
    pub(super) fn read(body: &[u8]) -> Result<Self, Problem> {
        let object = object(body)?;
        let accepted = format!("text of 1 to {MAX_WORD} bytes");
        let word = |name: &str| match object.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => match text.trim() {
                text if (1..=MAX_WORD).contains(&text.len()) => Ok(Some(text.to_owned())),
                text => Err(refused(name, &format!("{} bytes", text.len()), &accepted)),
            },
            Some(other) => Err(refused(name, kind(other), &accepted)),
        };
        let status = word("status")?.ok_or_else(|| refused("status", "nothing", &accepted))?;
        Ok(Self { status: status.to_lowercase(), last_deployed: word("last_deployed")? })
    }

    /// What it changes of an entry.
    pub(super) fn into_members(self) -> Map<String, Value> {
        let mut members = Map::from_iter([("status".to_owned(), Value::from(self.status))]);
        members.extend(self.last_deployed.map(|at| ("last_deployed".to_owned(), Value::from(at))));
        members
    }
}

fn object(body: &[u8]) -> Result<Map<String, Value>, Problem> {
    let wrong = |found: &str| refused("the body", found, "a JSON object in UTF-8");
    let Ok(text) = std::str::from_utf8(body) else { return Err(wrong("bytes that are not UTF-8")) };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let depth = Json::depth(text);
    if depth > MAX_DEPTH {
        let found = format!("arrays and objects nested {depth} deep");
        return Err(refused("the body", &found, &format!("at most {MAX_DEPTH}")));
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err(wrong(kind(&other))),
        Err(_) if text.trim_ascii().is_empty() => Err(wrong("nothing")),
        Err(_) => Err(wrong("text that is not JSON")),
    }
}

fn refused(field: &str, found: &str, accepted: &str) -> Problem {
    Problem::bad_request(format!("{field}: found {found}; accepted: {accepted}"))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message<T>(result: Result<T, Problem>) -> String {
        result.map_or_else(|problem| problem.message, |_| "fine".to_owned())
    }

    #[test]
    fn an_entry_is_taken_bare_or_out_of_its_wrapping() {
        for body in [
            r#"{"name":"a","registrationToken":"t"}"#,
            "\u{feff}{\"name\":\"a\"}",
            r#"{"service":{"name":"a"},"registrationToken":"t","environment":"e"}"#,
        ] {
            assert_eq!(Value::Object(entry(body.as_bytes()).unwrap()), serde_json::json!({"name": "a"}), "{body}");
        }
        assert!(entry(br#"{"name":"a","service":"text"}"#).unwrap().contains_key("service"));
    }

    #[test]
    fn what_is_no_object_is_refused_with_what_was_found() {
        for (body, found) in [
            (&b""[..], "nothing"),
            (b"{", "not JSON"),
            (b"[]", "an array"),
            (b"null", "null"),
            (b"{\"name\":\"\xff\"}", "not UTF-8"),
            (br#"{"service":[]}"#, "service: found an array"),
        ] {
            assert!(message(entry(body)).contains(found), "{found}: {}", message(entry(body)));
        }
        let deep = format!("{{\"x\":{}{}}}", "[".repeat(40), "]".repeat(40));
        assert!(message(entry(deep.as_bytes())).contains("nested 41 deep"));
    }

    #[test]
    fn a_status_is_one_word_in_lower_case() {
        let change =
            StatusChange::read(br#"{"status":" Active ","last_deployed":"2026-01-02T03:04:05Z","x":1}"#).unwrap();
        let members = Value::Object(change.into_members());
        assert_eq!(members, serde_json::json!({"status": "active", "last_deployed": "2026-01-02T03:04:05Z"}));
        for body in
            [r"{}", r#"{"status":null}"#, r#"{"status":""}"#, r#"{"status":5}"#, r#"{"status":"a","last_deployed":{}}"#]
        {
            assert!(message(StatusChange::read(body.as_bytes())).contains("accepted"), "{body}");
        }
    }
}
