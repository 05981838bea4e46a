//! What a new key is to be: as it is written on a command line or sent over the admin socket, and as it is meant.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use crate::model::id::{ChittyId, SessionId};
use crate::model::key::{SCOPES as SCOPE_WORDS, Scope};

/// Longest name, in bytes.
pub(super) const MAX_NAME: usize = 128;
/// From a second to ten years, their leap days included.
const LIFETIMES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3653 * 24 * 3600);
/// Requests a minute: from one to more than one host answers.
const RATES: RangeInclusive<u32> = 1..=100_000_000;
/// Quotas: from one byte to more than any disk holds.
const QUOTAS: RangeInclusive<u64> = 1..=(1 << 50);
/// What a key may do that nobody said anything of: its tenant's tasks, context and files.
const SCOPES: [Scope; 2] = [Scope::ContextWrite, Scope::FilesWrite];

/// What a new key is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRequest {
    /// The tenant whose things it opens.
    pub chitty_id: ChittyId,
    /// The session of requests that name none; `None` = one of its own, `key-<id>`.
    pub session_id: Option<SessionId>,
    /// For people.
    pub name: KeyName,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// How long it lasts; `None` = for ever.
    pub expires_in: Option<Lifetime>,
    /// Requests a minute; `None` = as the gateway limits callers.
    pub rate_limit: Option<PerMinute>,
    /// Bytes of files; `None` = as the gateway allows each.
    pub quota: Option<Quota>,
}

impl KeyRequest {
    /// A key with the usual scopes and a session of its own, which lasts for ever.
    #[must_use]
    pub fn of(chitty_id: ChittyId) -> Self {
        Self {
            chitty_id,
            session_id: None,
            name: KeyName::default(),
            scopes: SCOPES.into(),
            expires_in: None,
            rate_limit: None,
            quota: None,
        }
    }
}

/// What people call a key: at most 128 bytes without control characters; may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyName(String);

impl From<KeyName> for String {
    fn from(name: KeyName) -> Self {
        name.0
    }
}

/// How long a key lasts: a second to ten years.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime(Duration);

impl From<Lifetime> for Duration {
    fn from(lifetime: Lifetime) -> Self {
        lifetime.0
    }
}

impl Lifetime {
    /// Reads a duration with its unit.
    ///
    /// # Errors
    /// What was found, and what is accepted.
    pub fn read(text: &str) -> Result<Self, String> {
        let parsed = humantime::parse_duration(text).ok().filter(|duration| LIFETIMES.contains(duration));
        parsed.map(Self).ok_or_else(|| {
            format!(
                "found {text:?}; accepted: a duration with its unit, from 1s to 10 years, such as 1h, 30days or 1year"
            )
        })
    }
}

/// Requests a minute: 1 to 100,000,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerMinute(u32);

impl From<PerMinute> for u32 {
    fn from(rate: PerMinute) -> Self {
        rate.0
    }
}

/// Bytes: 1 to 1 PiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota(u64);

impl From<Quota> for u64 {
    fn from(quota: Quota) -> Self {
        quota.0
    }
}

/// A [`KeyRequest`] in words: what the flags of `keys create` say, and the body of `POST /keys`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields of KeyRequest")]
pub struct KeyWords {
    pub chitty_id: String,
    #[serde(default)]
    pub session_id: Option<String>,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub scopes: Vec<String>,
    /// With a unit: `1h`, `90days`.
    #[serde(default)]
    pub expires_in: Option<String>,
    /// Requests a minute: `100` or `100/m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<String>,
    /// With a unit: `10MiB`, `1GiB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<String>,
}

/// One of the [`KeyWords`], or of those that rotate a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of KeyWords")]
pub enum KeyField {
    ChittyId,
    SessionId,
    Name,
    Scopes,
    ExpiresIn,
    RateLimit,
    Quota,
    Grace,
}

impl KeyField {
    /// Its name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChittyId => "chitty_id",
            Self::SessionId => "session_id",
            Self::Name => "name",
            Self::Scopes => "scopes",
            Self::ExpiresIn => "expires_in",
            Self::RateLimit => "rate_limit",
            Self::Quota => "quota",
            Self::Grace => "grace",
        }
    }
}

/// One word that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyMistake {
    /// Where it stands.
    pub field: KeyField,
    /// What was found, and what is accepted.
    pub message: String,
}

impl fmt::Display for KeyMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field.as_str(), self.message)
    }
}

impl KeyWords {
    /// What they mean.
    ///
    /// # Errors
    /// Every mistake.
    pub fn read(&self) -> Result<KeyRequest, Vec<KeyMistake>> {
        let mut mistakes = Vec::new();
        let mut note = |field, message: String| mistakes.push(KeyMistake { field, message });
        let chitty_id = self.chitty_id.parse::<ChittyId>();
        if let Err(error) = &chitty_id {
            note(KeyField::ChittyId, format!("found {:?}, which is {error}", self.chitty_id));
        }
        let read_session =
            |text: &str| text.parse::<SessionId>().map_err(|error| format!("found {text:?}, which is {error}"));
        let session_id = read_word(self.session_id.as_deref(), KeyField::SessionId, read_session, &mut note);
        let name = read_word(self.name.as_deref(), KeyField::Name, read_name, &mut note).unwrap_or_default();
        let mut scopes = Vec::new();
        for word in &self.scopes {
            match Scope::parse_word(word) {
                Ok(meant) => {
                    let new: Vec<_> = meant.into_iter().filter(|scope| !scopes.contains(scope)).collect();
                    scopes.extend(new);
                }
                Err(_) => {
                    let accepted = format!("{SCOPE_WORDS}, and read and write, which mean context and files");
                    note(KeyField::Scopes, format!("found {word:?}; accepted: {accepted}"));
                }
            }
        }
        let expires_in = read_word(self.expires_in.as_deref(), KeyField::ExpiresIn, Lifetime::read, &mut note);
        let rate_limit = read_word(self.rate_limit.as_deref(), KeyField::RateLimit, read_rate, &mut note);
        let quota = read_word(self.quota.as_deref(), KeyField::Quota, read_quota, &mut note);
        match chitty_id {
            Ok(chitty_id) if mistakes.is_empty() => {
                let usual = KeyRequest::of(chitty_id);
                let scopes = if scopes.is_empty() { usual.scopes } else { scopes };
                Ok(KeyRequest { session_id, name, scopes, expires_in, rate_limit, quota, ..usual })
            }
            _ => Err(mistakes),
        }
    }
}

fn read_name(text: &str) -> Result<KeyName, String> {
    let accepted = "accepted: at most 128 bytes without control characters";
    if text.len() > MAX_NAME {
        return Err(format!("found {} bytes; {accepted}", text.len()));
    }
    if let Some(control) = text.chars().find(|c| c.is_control()) {
        return Err(format!("found the control character {control:?}; {accepted}"));
    }
    Ok(KeyName(text.to_owned()))
}

fn read_rate(text: &str) -> Result<PerMinute, String> {
    let number = text.strip_suffix("/m").unwrap_or(text);
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    let rate = number.parse().ok().filter(|rate| digits && RATES.contains(rate));
    rate.map(PerMinute).ok_or_else(|| {
        let (least, most) = (RATES.start(), RATES.end());
        format!("found {text:?}; accepted: requests a minute, {least} to {most}, such as 100 or 100/m")
    })
}

fn read_quota(text: &str) -> Result<Quota, String> {
    let size = text.parse::<ByteSize>().ok().map(|size| size.as_u64()).filter(|size| QUOTAS.contains(size));
    size.map(Quota)
        .ok_or_else(|| format!("found {text:?}; accepted: a size, from 1B to 1024TiB, such as 512MiB or 1GiB"))
}

/// One word that may be missing; a mistake in it is noted.
fn read_word<T>(
    word: Option<&str>,
    field: KeyField,
    read: impl FnOnce(&str) -> Result<T, String>,
    note: &mut impl FnMut(KeyField, String),
) -> Option<T> {
    match word.map(read)? {
        Ok(read) => Some(read),
        Err(message) => {
            note(field, message);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> KeyWords {
        KeyWords { chitty_id: "alice".to_owned(), ..KeyWords::default() }
    }

    #[test]
    fn what_is_not_said_is_as_usual() {
        let request = words().read().unwrap();
        assert_eq!(request, KeyRequest::of("alice".parse().unwrap()));
        assert_eq!(request.scopes, [Scope::ContextWrite, Scope::FilesWrite]);
    }

    #[test]
    fn words_are_read() {
        let scopes = ["read", "admin", "context:read"].map(str::to_owned).to_vec();
        let (session_id, name) = (Some("s".to_owned()), Some("ci".to_owned()));
        let request = KeyWords { session_id, name, scopes, expires_in: Some("1h 30m".to_owned()), ..words() };
        let request = KeyWords { rate_limit: Some("100/m".to_owned()), quota: Some("1GiB".to_owned()), ..request };
        let request = request.read().unwrap();
        assert_eq!(request.session_id.unwrap().as_str(), "s");
        assert_eq!(request.scopes, [Scope::ContextRead, Scope::FilesRead, Scope::Admin]);
        assert_eq!(request.expires_in, Some(Lifetime(Duration::from_secs(5400))));
        assert_eq!((request.rate_limit, request.quota), (Some(PerMinute(100)), Some(Quota(1 << 30))));
    }

    #[test]
    fn every_mistake_is_said_with_what_was_found_and_what_is_accepted() {
        let wrong = KeyWords {
            chitty_id: "a/b".to_owned(),
            session_id: Some("a:b".to_owned()),
            name: Some("a\nb".to_owned()),
            scopes: vec!["root".to_owned()],
            expires_in: Some("0s".to_owned()),
            rate_limit: Some("0".to_owned()),
            quota: Some("0".to_owned()),
        };
        let mistakes = wrong.read().unwrap_err();
        let fields: Vec<&str> = mistakes.iter().map(|mistake| mistake.field.as_str()).collect();
        assert_eq!(fields, ["chitty_id", "session_id", "name", "scopes", "expires_in", "rate_limit", "quota"]);
        for mistake in &mistakes {
            assert!(mistake.message.starts_with("found ") && mistake.message.contains("accepted: "), "{mistake}");
        }
        for (text, fits) in [("1s", true), ("10years", true), ("3650d", true), ("11years", false), ("999ms", false)] {
            assert_eq!(Lifetime::read(text).is_ok(), fits, "{text}");
        }
        for text in ["", "-1h", "1", "abc", "99999999999999999999y"] {
            assert!(Lifetime::read(text).is_err(), "{text}");
        }
        for text in ["", "/m", "-1", "+1", "1/s", "1.5", "1000000000", "100 /m"] {
            assert!(read_rate(text).is_err(), "{text}");
        }
        for (text, fits) in [("1", true), ("1024TiB", true), ("1025TiB", false), ("-1", false), ("much", false)] {
            assert_eq!(read_quota(text).is_ok(), fits, "{text}");
        }
        assert!(read_name(&"é".repeat(64)).is_ok() && read_name(&"é".repeat(65)).is_err());
    }
}
