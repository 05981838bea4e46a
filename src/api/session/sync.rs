//! What `/sync` does: a session begins or ends, and hands on what its project knows.
//!
//! The actions of an answer are those that were really taken. `ledger_session_unbound` is none of them: the ledger it
//! speaks of is another service's.

use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use super::answer::{PriorContext, SessionSynced};
use super::body::{Sync, SyncEvent};
use crate::api::{ApiState, now};
use crate::auth::Principal;
use crate::model::session::{NewSession, Project};
use crate::problem::Problem;

/// The words of events.
pub(super) const EVENTS: &str = "session_start, session_end";

/// The same for the description.
pub(super) fn event_words() -> Object {
    let words = [SyncEvent::Start, SyncEvent::End].map(SyncEvent::as_str);
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build()
}

/// Does what is asked for.
///
/// # Errors
/// The store's.
pub(super) async fn synchronise(state: &ApiState, caller: Principal, sync: Sync) -> Result<SessionSynced, Problem> {
    let owner = caller.chitty_id;
    let (event, id) = (sync.event, sync.session_id);
    let mut actions = Vec::new();
    let (session, prior_context) = match event {
        SyncEvent::Start => {
            let key = sync.project.as_ref().map(Project::key);
            let new = NewSession { chitty_id: owner.clone(), id: id.clone(), metadata: sync.metadata };
            let started = state.store.start_session(new, sync.project).await?;
            actions.push(if started.created { "session_created" } else { "session_resumed" });
            let prior = key.map(|key| PriorContext { key, value: started.prior });
            actions.extend(prior.is_some().then_some("prior_context_loaded"));
            (Some(started.session), prior)
        }
        SyncEvent::End => {
            let given = sync.context.is_some();
            let ended = state.store.end_session(&owner, &id, sync.project, sync.context).await?;
            actions.extend(ended.ended.then_some("session_ended"));
            actions.extend((given && ended.saved.is_some()).then_some("memory_persisted"));
            actions.extend(ended.saved.is_some().then_some("project_context_saved"));
            (ended.session, None)
        }
    };
    Ok(SessionSynced {
        event: event.as_str(),
        session_id: id.into(),
        chitty_id: owner.into(),
        timestamp: now(),
        actions,
        session: session.map(Into::into),
        prior_context,
    })
}
