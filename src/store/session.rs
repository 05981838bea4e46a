//! Sessions as the store keeps them: what can be asked of them, and what is answered. One that is over does not exist.

use async_trait::async_trait;

use super::StoreError;
use crate::model::id::{ChittyId, SessionId};
use crate::model::json::Json;
use crate::model::session::{NewSession, Project, Session, SessionPatch};
use crate::model::time::Time;

/// Which sessions: those of one chitty id that are not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionQuery {
    /// Whose.
    pub chitty_id: ChittyId,
    /// Begin behind this one.
    pub after: Option<SessionPosition>,
    /// Sessions at the most.
    pub limit: usize,
}

/// Where a session stands in the order of lists: the newest first; of those made in one moment, the lesser id first.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of Session")]
pub struct SessionPosition {
    pub created: Time,
    pub id: SessionId,
}

impl Session {
    /// Where it stands in the order of lists.
    #[must_use]
    pub fn position(&self) -> SessionPosition {
        SessionPosition { created: self.created, id: self.id.clone() }
    }
}

/// Some sessions, and where the next ones begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionPage {
    /// In order, without their context. May be fewer than asked for when they are large, or many others are over.
    pub sessions: Vec<Session>,
    /// Behind which the next page begins; `None` = that was all.
    pub next: Option<SessionPosition>,
    /// What they take, about.
    pub bytes: usize,
}

/// A session was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionStarted {
    /// As it is now, with its context.
    pub session: Session,
    /// Whether it was made; `false` = it was there and goes on.
    pub created: bool,
    /// What sessions of the project left, a JSON object; `None` = nothing yet, or no project.
    pub prior: Option<Json>,
}

/// A session was ended, as far as there was one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionEnded {
    /// As it is now; `None` = there is none.
    pub session: Option<Session>,
    /// Whether it went on before.
    pub ended: bool,
    /// What the project now has for its next session, a JSON object; `None` = no project was named.
    pub saved: Option<Json>,
}

/// The sessions of every chitty id.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Makes a session. Where there is one with this metadata, that is the answer, unchanged; one that has ended or is
    /// over gives way.
    ///
    /// # Errors
    /// [`StoreError::SessionExists`] where there is one with other metadata.
    async fn create_session(&self, new: NewSession) -> Result<Session, StoreError>;

    /// One session with its context.
    async fn session(&self, owner: &ChittyId, id: &SessionId) -> Result<Option<Session>, StoreError>;

    /// Some sessions of a chitty id.
    async fn list_sessions(&self, query: SessionQuery) -> Result<SessionPage, StoreError>;

    /// Changes a session.
    ///
    /// # Errors
    /// [`StoreError::NoSuchSession`], [`StoreError::SessionFull`].
    async fn patch_session(&self, owner: &ChittyId, id: &SessionId, patch: SessionPatch)
    -> Result<Session, StoreError>;

    /// Puts a value into a session's context.
    ///
    /// # Errors
    /// [`StoreError::NoSuchSession`], [`StoreError::SessionFull`].
    async fn put_context(
        &self,
        owner: &ChittyId,
        id: &SessionId,
        key: String,
        value: Json,
    ) -> Result<Session, StoreError>;

    /// Begins a session, or goes on with one, whatever its metadata; one that has ended gives way.
    async fn start_session(&self, new: NewSession, project: Option<Project>) -> Result<SessionStarted, StoreError>;

    /// Ends a session, if there is one, and keeps `context`, a JSON object, for the project's next one; without `context`
    /// what the project has stays.
    async fn end_session(
        &self,
        owner: &ChittyId,
        id: &SessionId,
        project: Option<Project>,
        context: Option<Json>,
    ) -> Result<SessionEnded, StoreError>;
}
