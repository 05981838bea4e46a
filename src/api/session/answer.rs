//! What is answered about sessions, with the contract's fields in its order (CONTRACT.md §6). Moments are milliseconds
//! since 1970 here.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::Schema;
use utoipa::openapi::schema::{AnyOfBuilder, KnownFormat, Object, ObjectBuilder, SchemaFormat, SchemaType, Type};

use crate::model::json::Json;
use crate::model::session::{RESERVED_KEY, Session, SessionState};
use crate::model::time::Time;

/// A request was done.
#[derive(Serialize, ToSchema)]
pub(super) struct Answered<T> {
    #[schema(schema_with = always_true)]
    pub(super) success: bool,
    pub(super) data: T,
    pub(super) metadata: About,
}

/// About an answer.
#[derive(Serialize, ToSchema)]
#[schema(as = SessionAnswerMetadata)]
pub(super) struct About {
    #[schema(format = DateTime)]
    pub(super) timestamp: String,
    /// Also in `X-Request-ID` and the logs.
    #[serde(rename = "requestId")]
    pub(super) request_id: String,
}

/// An error of this family. `application/problem+json` for clients that ask for it.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what Problem renders")]
pub(super) struct SessionError {
    #[schema(schema_with = always_false)]
    success: bool,
    error: SessionErrorCode,
    status: u16,
    /// Also in `X-Request-ID` and the logs.
    request_id: String,
}

/// What is wrong.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what Problem renders")]
pub(super) struct SessionErrorCode {
    /// Stable, for programs.
    code: String,
    /// For a person.
    message: String,
}

/// A session.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionBody {
    id: String,
    chitty_id: String,
    /// Milliseconds since 1970.
    created: u64,
    /// Milliseconds since 1970.
    updated: u64,
    /// Milliseconds since 1970; from then on there is none. A day from the last change.
    expires: u64,
    /// Any JSON, as it was given.
    #[schema(value_type = serde_json::Value)]
    metadata: Json,
    #[schema(schema_with = state_words)]
    state: &'static str,
    /// Any JSON, as it was given.
    #[schema(value_type = Vec<serde_json::Value>)]
    decisions: Vec<Json>,
    /// How often it was patched.
    interactions: u64,
}

impl From<Session> for SessionBody {
    fn from(session: Session) -> Self {
        Self {
            id: session.id.into(),
            chitty_id: session.chitty_id.into(),
            created: session.created.as_millis(),
            updated: session.updated.as_millis(),
            expires: session.expires.as_millis(),
            metadata: session.metadata,
            state: session.state.as_str(),
            decisions: session.decisions,
            interactions: session.interactions,
        }
    }
}

/// The sessions of a chitty id.
#[derive(Serialize, ToSchema)]
pub(super) struct SessionList {
    pub(super) count: usize,
    /// The newest first.
    pub(super) sessions: Vec<SessionBody>,
    /// What to send as `cursor` for the next page; `null` = this was the last.
    #[schema(required)]
    pub(super) next_cursor: Option<String>,
}

/// A value is in the context.
#[derive(Serialize, ToSchema)]
pub(super) struct ContextPut {
    #[schema(schema_with = always_true)]
    pub(super) success: bool,
}

/// A session's context: one key of it, or all.
pub(super) enum ContextBody {
    One { key: String, value: Option<Json> },
    All { context: Vec<(String, Json)>, updated: Time },
}

impl Serialize for ContextBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self {
            Self::One { key, value } => {
                map.serialize_entry("key", key)?;
                if let Some(value) = value {
                    map.serialize_entry("value", value)?;
                }
            }
            Self::All { context, updated } => {
                for (key, value) in context {
                    map.serialize_entry(key, value)?;
                }
                map.serialize_entry(RESERVED_KEY, &updated.as_millis())?;
            }
        }
        map.end()
    }
}

impl utoipa::PartialSchema for ContextBody {
    fn schema() -> RefOr<Schema> {
        let millis = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
            .minimum(Some(0))
            .description(Some("When the session was last changed, in milliseconds since 1970."));
        let one = ObjectBuilder::new()
            .description(Some("One key; without `value` if the context does not have it."))
            .property("key", ObjectBuilder::new().schema_type(Type::String))
            .property("value", ObjectBuilder::new().schema_type(SchemaType::AnyValue))
            .required("key");
        let all = ObjectBuilder::new()
            .description(Some("Every key with its value, and `updated`."))
            .property(RESERVED_KEY, millis)
            .required(RESERVED_KEY);
        AnyOfBuilder::new().item(one).item(all).into()
    }
}

impl ToSchema for ContextBody {
    fn name() -> std::borrow::Cow<'static, str> {
        "SessionContext".into()
    }
}

/// What was done about the beginning or the end of a session.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionSynced {
    pub(super) event: &'static str,
    pub(super) session_id: String,
    pub(super) chitty_id: String,
    #[schema(format = DateTime)]
    pub(super) timestamp: String,
    /// What was really done, in order: `session_created` or `session_resumed`, `prior_context_loaded`; `session_ended`,
    /// `memory_persisted`, `project_context_saved`.
    pub(super) actions: Vec<&'static str>,
    /// As it is now; left out where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) session: Option<SessionBody>,
    /// What sessions of the project left; left out where no project was named, and at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) prior_context: Option<PriorContext>,
}

/// What sessions of a project left for the next one.
#[derive(Serialize, ToSchema)]
pub(super) struct PriorContext {
    /// `project:<org>:<slug>`
    pub(super) key: String,
    /// What `context` held at the end of the last session that gave one, with `lastSessionId` and `updatedAt`; left out
    /// where there is nothing yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Map<String, serde_json::Value>>, nullable = false)]
    pub(super) value: Option<Json>,
}

fn always_true() -> Object {
    ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([true])).build()
}

fn always_false() -> Object {
    ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([false])).build()
}

/// The words of a state, for the description.
pub(super) fn state_words() -> Object {
    let words = SessionState::ALL.map(SessionState::as_str);
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build()
}
