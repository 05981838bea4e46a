//! A session as the agents of one chitty id keep it (CONTRACT.md §6), and how it may change.
//!
//! A session lives for a day from the last time it was touched. One that is over is as good as none.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::id::{ChittyId, SessionId};
use super::json::Json;
use super::time::Time;

/// How long a session lives from when it is made or touched.
pub const TTL: Duration = Duration::from_secs(24 * 3600);
/// Largest metadata and largest value in the context, in bytes of JSON.
pub const MAX_VALUE: usize = 64 * 1024;
/// Keys in the context, at the most.
pub const MAX_KEYS: usize = 256;
/// Longest key of the context, in characters.
pub const MAX_KEY: usize = 128;
/// All of a context, keys and values, in bytes.
pub const MAX_CONTEXT: usize = 512 * 1024;
/// Decisions, at the most.
pub const MAX_DECISIONS: usize = 1000;
/// Largest decision, in bytes of JSON.
pub const MAX_DECISION: usize = 4 * 1024;
/// All decisions together, in bytes: with metadata and context a session stays below the MiB that a record may have.
pub const MAX_ALL_DECISIONS: usize = 256 * 1024;
/// The key that no context may have: it says in answers when the session was last changed.
pub const RESERVED_KEY: &str = "updated";

/// Whether a session goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SessionState {
    /// It goes on.
    #[default]
    Active,
    /// It was ended. It can be shown, changed and taken up again until it is over.
    Ended,
}

impl SessionState {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Active, Self::Ended];

    /// The contract's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Ended => "ended",
        }
    }
}

impl fmt::Display for SessionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a state; accepted: active, ended")]
pub struct UnknownState;

impl FromStr for SessionState {
    type Err = UnknownState;

    fn from_str(word: &str) -> Result<Self, UnknownState> {
        Self::ALL.into_iter().find(|state| state.as_str() == word).ok_or(UnknownState)
    }
}

/// A session cannot hold more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a session holds at most {max} {what}")]
pub struct SessionFull {
    max: usize,
    what: &'static str,
}

/// A session to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of Session")]
pub struct NewSession {
    pub chitty_id: ChittyId,
    pub id: SessionId,
    pub metadata: Json,
}

/// What is to change; what is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionPatch {
    /// In place of the metadata that is there.
    pub metadata: Option<Json>,
    /// Whether it goes on.
    pub state: Option<SessionState>,
    /// Put behind the decisions that are there.
    pub decisions: Vec<Json>,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the contract's fields")]
pub struct Session {
    pub id: SessionId,
    pub chitty_id: ChittyId,
    pub created: Time,
    pub updated: Time,
    /// From this moment on there is none.
    pub expires: Time,
    /// Any JSON but `null`.
    pub metadata: Json,
    pub state: SessionState,
    pub decisions: Vec<Json>,
    /// How often it was patched.
    pub interactions: u64,
    /// Its keys with their values, in the order in which they came.
    pub context: Vec<(String, Json)>,
}

impl Session {
    /// A new one.
    #[must_use]
    pub fn create(new: NewSession, now: Time) -> Self {
        Self {
            id: new.id,
            chitty_id: new.chitty_id,
            created: now,
            updated: now,
            expires: now.after(TTL),
            metadata: new.metadata,
            state: SessionState::Active,
            decisions: Vec::new(),
            interactions: 0,
            context: Vec::new(),
        }
    }

    /// Whether its time is up.
    #[must_use]
    pub fn is_over(&self, now: Time) -> bool {
        self.expires <= now
    }

    /// Lets it live for another day.
    pub fn touch(&mut self, now: Time) {
        self.updated = now;
        self.expires = now.after(TTL);
    }

    /// Changes it, and counts that.
    ///
    /// # Errors
    /// [`SessionFull`]; it is of no use then.
    pub fn patch(&mut self, patch: SessionPatch, now: Time) -> Result<(), SessionFull> {
        self.metadata = patch.metadata.unwrap_or_else(|| self.metadata.clone());
        self.state = patch.state.unwrap_or(self.state);
        if !patch.decisions.is_empty() {
            self.decisions.extend(patch.decisions);
            within(self.decisions.len(), MAX_DECISIONS, "decisions")?;
            let bytes = self.decisions.iter().map(|decision| decision.text().len()).sum();
            within(bytes, MAX_ALL_DECISIONS, "bytes of decisions")?;
        }
        self.interactions = self.interactions.saturating_add(1);
        self.touch(now);
        Ok(())
    }

    /// Puts a value into its context, in place of the one with this key.
    ///
    /// # Errors
    /// [`SessionFull`]; it is of no use then.
    pub fn put_context(&mut self, key: String, value: Json, now: Time) -> Result<(), SessionFull> {
        match self.context.iter_mut().find(|(own, _)| *own == key) {
            Some((_, own)) => *own = value,
            None => self.context.push((key, value)),
        }
        within(self.context.len(), MAX_KEYS, "keys of context")?;
        let bytes = self.context.iter().map(|(key, value)| key.len() + value.text().len()).sum();
        within(bytes, MAX_CONTEXT, "bytes of context")?;
        self.touch(now);
        Ok(())
    }

    /// Ends it. Whether it went on before.
    pub fn end(&mut self, now: Time) -> bool {
        let active = self.state == SessionState::Active;
        if active {
            self.state = SessionState::Ended;
            self.updated = now;
        }
        active
    }
}

fn within(found: usize, max: usize, what: &'static str) -> Result<(), SessionFull> {
    if found <= max { Ok(()) } else { Err(SessionFull { max, what }) }
}

/// A project, whose sessions leave something for the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Who it is of.
    pub org: String,
    /// Its name there.
    pub slug: String,
}

impl Project {
    /// What it is kept under: `project:<org>:<slug>`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("project:{}:{}", self.org, self.slug)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        Json::parse(text.to_owned()).unwrap()
    }

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    fn session() -> Session {
        let new = NewSession { chitty_id: "alice".parse().unwrap(), id: "s".parse().unwrap(), metadata: json("{}") };
        Session::create(new, at(1000))
    }

    #[test]
    fn a_session_lives_for_a_day_from_the_last_touch() {
        let day = 24 * 3600 * 1000;
        let mut session = session();
        assert!(!session.is_over(at(1000 + day - 1)) && session.is_over(at(1000 + day)));
        session.patch(SessionPatch::default(), at(5000)).unwrap();
        assert_eq!((session.created, session.updated, session.interactions), (at(1000), at(5000), 1));
        assert!(!session.is_over(at(5000 + day - 1)) && session.is_over(at(5000 + day)));
        session.put_context("k".to_owned(), json("1"), at(6000)).unwrap();
        assert_eq!((session.expires, session.interactions), (at(6000 + day), 1));
        assert!(session.end(at(7000)) && !session.end(at(8000)));
        assert_eq!((session.updated, session.expires), (at(7000), at(6000 + day)), "its end prolongs nothing");
    }

    #[test]
    fn a_session_holds_so_much_and_no_more() {
        let decisions = |count, text: &str| SessionPatch { decisions: vec![json(text); count], ..Default::default() };
        let mut full = session();
        full.patch(decisions(MAX_DECISIONS, "1"), at(1)).unwrap();
        full.patch(SessionPatch { metadata: Some(json("2")), ..Default::default() }, at(1)).unwrap();
        assert!(full.patch(decisions(1, "1"), at(1)).unwrap_err().to_string().ends_with("at most 1000 decisions"));
        assert!(session().patch(decisions(65, &format!("{:?}", "x".repeat(MAX_DECISION - 2))), at(1)).is_err());
        let mut full = session();
        for n in 0..MAX_KEYS {
            full.put_context(format!("k{n}"), json("1"), at(1)).unwrap();
        }
        full.put_context("k7".to_owned(), json("2"), at(1)).unwrap();
        assert_eq!(full.context[7], ("k7".to_owned(), json("2")));
        assert!(full.put_context("more".to_owned(), json("1"), at(1)).is_err());
        let mut full = session();
        let large = json(&format!("{:?}", "x".repeat(MAX_VALUE - 2)));
        for n in 0..7 {
            full.put_context(format!("k{n}"), large.clone(), at(1)).unwrap();
        }
        assert!(full.put_context("k".to_owned(), large, at(1)).is_err());
    }

    #[test]
    fn states_are_read_as_they_are_written() {
        for state in SessionState::ALL {
            assert_eq!(state.to_string().parse(), Ok(state));
        }
        assert_eq!("Active".parse::<SessionState>(), Err(UnknownState));
    }
}
