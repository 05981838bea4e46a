//! One key record of the original: `{status, chittyId|userId, sessionId?, name, scopes, rateLimit, storageQuota?,
//! createdAt, expiresAt?}`; `accountType` and `metadata` have no meaning here.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::OldKey;
use crate::auth::key::hash;
use crate::auth::key::request::MAX_NAME;
use crate::model::key::{SCOPES, Scope};
use crate::model::time::Time;

/// Reads the record of `key`; what is left out of it is noted in `warnings`.
///
/// # Errors
/// Which field cannot be read, and what is accepted.
pub(super) fn read(key: &str, value: Option<&Value>, warnings: &mut Vec<String>) -> Result<OldKey, String> {
    if key.is_empty() || key.trim() != key || key.contains(char::is_control) {
        return Err("the key itself is empty, or has spaces around it, so that nobody can present it".to_owned());
    }
    let record = Record(object(value.ok_or("value: missing; accepted: the key's record")?)?);
    Ok(OldKey {
        hash: hex::encode(hash(key.as_bytes()).0),
        chitty_id: record.chitty_id()?,
        session_id: record.id("sessionId")?,
        name: record.name(warnings),
        scopes: record.scopes(warnings)?,
        rate_limit: record.number("rateLimit")?.map(|rate| u32::try_from(rate).unwrap_or(u32::MAX)),
        quota: record.number("storageQuota")?,
        created_at: record.created_at(warnings),
        expires_at: record.time("expiresAt")?,
        active: record.get("status").and_then(Value::as_str) == Some("active"),
    })
}

/// The object that a value is: as JSON, as text that holds JSON, or once more under `value`, as some exports have it.
fn object(value: &Value) -> Result<Map<String, Value>, String> {
    let refused = || "value: not a JSON object, nor a text that holds one".to_owned();
    let parsed = match value {
        Value::String(text) => serde_json::from_str(text).map_err(|_| refused())?,
        value => value.clone(),
    };
    let Value::Object(mut object) = parsed else { return Err(refused()) };
    let wrapped =
        object.contains_key("value") && ["status", "chittyId", "userId"].iter().all(|key| !object.contains_key(*key));
    match object.remove("value").filter(|_| wrapped) {
        Some(Value::String(text)) => match serde_json::from_str(&text) {
            Ok(Value::Object(object)) => Ok(object),
            _ => Err(refused()),
        },
        Some(Value::Object(object)) => Ok(object),
        Some(_) => Err(refused()),
        None => Ok(object),
    }
}

struct Record(Map<String, Value>);

impl Record {
    /// A field that says something: `null` and `""` do not.
    fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field).filter(|value| !value.is_null() && value.as_str() != Some(""))
    }

    fn id<T: std::str::FromStr<Err: std::fmt::Display>>(&self, field: &str) -> Result<Option<T>, String> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let text = value.as_str().ok_or_else(|| format!("{field}: not a text"))?;
        text.parse().map(Some).map_err(|error| format!("{field}: {error}"))
    }

    fn chitty_id(&self) -> Result<crate::model::id::ChittyId, String> {
        let found = match self.id("chittyId")? {
            None => self.id("userId")?,
            found => found,
        };
        found.ok_or_else(|| {
            "chittyId: missing, and userId too; accepted: one of them, for the key opens what belongs to it".to_owned()
        })
    }

    /// For people alone, so it is made to fit.
    fn name(&self, warnings: &mut Vec<String>) -> String {
        let Some(value) = self.get("name") else { return String::new() };
        let text = value.as_str().unwrap_or_default();
        let mut name = String::new();
        for c in text.chars().filter(|c| !c.is_control()) {
            if name.len() + c.len_utf8() > MAX_NAME {
                break;
            }
            name.push(c);
        }
        if value.as_str() != Some(&name) {
            warnings
                .push(format!("name: cut to what a name may be: {MAX_NAME} bytes of text without control characters"));
        }
        name
    }

    /// Those of the original's keys that name none: all of context and files.
    fn scopes(&self, warnings: &mut Vec<String>) -> Result<Vec<Scope>, String> {
        let usual = || ["read", "write"].map(Value::from).to_vec();
        let words = match self.get("scopes") {
            None => usual(),
            Some(Value::Array(words)) => words.clone(),
            Some(_) => return Err("scopes: not a list".to_owned()),
        };
        let mut scopes = Vec::new();
        let mut unknown = 0;
        for word in &words {
            match word.as_str().map(Scope::parse_word) {
                Some(Ok(meant)) => {
                    let new: Vec<Scope> = meant.into_iter().filter(|scope| !scopes.contains(scope)).collect();
                    scopes.extend(new);
                }
                // A scope word is shown: it says why the key may do less than before.
                Some(Err(_)) => match word.as_str().filter(|word| is_word(word)) {
                    Some(word) => {
                        warnings.push(format!("scopes: `{word}` is dropped; accepted: {SCOPES}, read, write"));
                    }
                    None => unknown += 1,
                },
                None => unknown += 1,
            }
        }
        if unknown > 0 {
            warnings.push(format!("scopes: {unknown} that are no words are dropped"));
        }
        if scopes.is_empty() {
            warnings.push("scopes: none is left, so the key may do nothing that needs one".to_owned());
        }
        Ok(scopes)
    }

    /// A whole number; 0 was the original's way to say nothing.
    fn number(&self, field: &str) -> Result<Option<u64>, String> {
        let Some(value) = self.get(field) else { return Ok(None) };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is looked at that it fits")]
        let whole = |number: f64| (number.fract() == 0.0 && (0.0..9e15).contains(&number)).then_some(number as u64);
        let number = value.as_u64().or_else(|| value.as_f64().and_then(whole));
        let number = number.ok_or_else(|| format!("{field}: not a whole number from 0 on"))?;
        Ok(Some(number).filter(|number| *number > 0))
    }

    /// RFC 3339, or milliseconds since 1970.
    fn time(&self, field: &str) -> Result<Option<u64>, String> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let millis = match value {
            Value::String(text) => {
                text.parse::<Timestamp>().ok().and_then(|time| time.as_millisecond().try_into().ok())
            }
            value => value.as_u64().or_else(|| self.number(field).ok().flatten()),
        };
        // What is beyond the year 9999 has no text.
        let fits = millis.filter(|millis| i64::try_from(*millis).is_ok_and(|m| Timestamp::from_millisecond(m).is_ok()));
        let accepted = "accepted: 2026-01-02T03:04:05Z, or milliseconds since 1970";
        fits.map(Some).ok_or_else(|| format!("{field}: not a time; {accepted}"))
    }

    /// Told to people alone.
    fn created_at(&self, warnings: &mut Vec<String>) -> u64 {
        let found = self.time("createdAt").unwrap_or_else(|message| {
            warnings.push(format!("{message}; taken for now"));
            None
        });
        found.unwrap_or_else(|| Time::now().as_millis())
    }
}

/// Whether a text looks like the name of a scope and not like a key.
fn is_word(text: &str) -> bool {
    text.len() <= 40 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":._*-".contains(&byte))
}
