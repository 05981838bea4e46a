//! What a new key is to be: as it is written on a command line or sent over the admin socket, and as it is meant.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::id::{ChittyId, SessionId};
use crate::model::key::{SCOPES as SCOPE_WORDS, Scope};

/// Longest name, in bytes.
const MAX_NAME: usize = 128;
/// From a second to ten years, their leap days included.
const LIFETIMES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3653 * 24 * 3600);
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
}

impl KeyRequest {
    /// A key with the usual scopes and a session of its own, which lasts for ever.
    #[must_use]
    pub fn of(chitty_id: ChittyId) -> Self {
        Self { chitty_id, session_id: None, name: KeyName::default(), scopes: SCOPES.into(), expires_in: None }
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
}

/// One of the [`KeyWords`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of KeyWords")]
pub enum KeyField {
    ChittyId,
    SessionId,
    Name,
    Scopes,
    ExpiresIn,
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
        let mut session_id = None;
        if let Some(text) = &self.session_id {
            match text.parse::<SessionId>() {
                Ok(id) => session_id = Some(id),
                Err(error) => note(KeyField::SessionId, format!("found {text:?}, which is {error}")),
            }
        }
        let mut name = KeyName::default();
        if let Some(text) = &self.name {
            match read_name(text) {
                Ok(read) => name = read,
                Err(message) => note(KeyField::Name, message),
            }
        }
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
        let mut expires_in = None;
        if let Some(text) = &self.expires_in {
            match read_lifetime(text) {
                Ok(read) => expires_in = Some(read),
                Err(message) => note(KeyField::ExpiresIn, message),
            }
        }
        match chitty_id {
            Ok(chitty_id) if mistakes.is_empty() => {
                let usual = KeyRequest::of(chitty_id);
                let scopes = if scopes.is_empty() { usual.scopes } else { scopes };
                Ok(KeyRequest { session_id, name, scopes, expires_in, ..usual })
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

fn read_lifetime(text: &str) -> Result<Lifetime, String> {
    let parsed = humantime::parse_duration(text).ok().filter(|duration| LIFETIMES.contains(duration));
    parsed.map(Lifetime).ok_or_else(|| {
        format!("found {text:?}; accepted: a duration with its unit, from 1s to 10 years, such as 1h, 30days or 1year")
    })
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
        let request = request.read().unwrap();
        assert_eq!(request.session_id.unwrap().as_str(), "s");
        assert_eq!(request.scopes, [Scope::ContextRead, Scope::FilesRead, Scope::Admin]);
        assert_eq!(request.expires_in, Some(Lifetime(Duration::from_secs(5400))));
    }

    #[test]
    fn every_mistake_is_said_with_what_was_found_and_what_is_accepted() {
        let wrong = KeyWords {
            chitty_id: "a/b".to_owned(),
            session_id: Some("a:b".to_owned()),
            name: Some("a\nb".to_owned()),
            scopes: vec!["root".to_owned()],
            expires_in: Some("0s".to_owned()),
        };
        let mistakes = wrong.read().unwrap_err();
        let fields: Vec<&str> = mistakes.iter().map(|mistake| mistake.field.as_str()).collect();
        assert_eq!(fields, ["chitty_id", "session_id", "name", "scopes", "expires_in"]);
        for mistake in &mistakes {
            assert!(mistake.message.starts_with("found ") && mistake.message.contains("accepted: "), "{mistake}");
        }
        for (text, fits) in [("1s", true), ("10years", true), ("3650d", true), ("11years", false), ("999ms", false)] {
            assert_eq!(read_lifetime(text).is_ok(), fits, "{text}");
        }
        for text in ["", "-1h", "1", "abc", "99999999999999999999y"] {
            assert!(read_lifetime(text).is_err(), "{text}");
        }
        assert!(read_name(&"é".repeat(64)).is_ok() && read_name(&"é".repeat(65)).is_err());
    }
}
