//! The bodies of requests concerning sessions: what each member may be, and what becomes of it (CONTRACT.md §6).

use std::str::FromStr;

use utoipa::openapi::schema::AnyOfBuilder;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::answer::state_words;
use super::sync::EVENTS;
use crate::api::object::{MAX_JSON, Member, Object, Refuse, Words, shown};
use crate::auth::Principal;
use crate::model::id::SessionId;
use crate::model::json::Json;
use crate::model::session::{
    MAX_DECISION, MAX_DECISIONS, MAX_KEY, NewSession, Project, RESERVED_KEY, SessionPatch, SessionState,
};
use crate::problem::{Problem, SessionRefusal};

const NO_JSON: Refuse = |message| Problem::session_refused(SessionRefusal::Json, message);
pub(super) const REQUEST: Refuse = |message| Problem::session_refused(SessionRefusal::Request, message);
const MISSING: Refuse = |message| Problem::session_refused(SessionRefusal::MissingFields, message);

/// The id that no session has: `/api/v1/sessions/sync` is something else.
const RESERVED_ID: &str = "sync";
const STATES: &str = "active, ended";

/// Reads `body`, refusing whoever speaks for another.
fn read<'b>(body: &'b [u8], names: &'static [&'static str], caller: &Principal) -> Result<Object<'b>, Problem> {
    let object = Object::read_with(body, names, Words { bad_json: NO_JSON, refuse: REQUEST })?;
    object.check_chitty_id(caller)?;
    Ok(object)
}

/// The session that a body names.
fn session_id(object: &Object<'_>) -> Result<SessionId, Problem> {
    let named = object.characters("sessionId", usize::MAX)?.value().filter(|id| !id.is_empty());
    let Some(named) = named else {
        return Err(MISSING("sessionId: found nothing; accepted: the id of a session".to_owned()));
    };
    if named == RESERVED_ID {
        return Err(object.refused("sessionId", shown(&named), "any other id: this one is a path of its own"));
    }
    named.parse().map_err(|error| REQUEST(format!("sessionId: found {}, which is {error}", shown(&named))))
}

/// A session to be made. Members of other names are ignored, but for `chitty_id`, which is the same as `chittyId`.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code, reason = "describes what is read")]
pub(super) struct CreateSession {
    /// Default: whoever the key says. One that is not the key's is 403 `forbidden`.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$")]
    chitty_id: Option<String>,
    /// Anything but `sync`.
    #[schema(pattern = "^(?!sync$)[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
    session_id: String,
    /// Any JSON of at most 64 KiB, nested at most 32 deep; comes back as it was sent. `null` is the default, `{}`.
    #[schema(value_type = Option<serde_json::Value>)]
    metadata: Option<Json>,
}

impl CreateSession {
    /// Reads a body.
    ///
    /// # Errors
    /// 400, 403, 413.
    pub(super) fn read(body: &[u8], caller: Principal) -> Result<NewSession, Problem> {
        let object = read(body, &["sessionId", "metadata", "chittyId", "chitty_id"], &caller)?;
        let id = session_id(&object)?;
        let metadata = object.json("metadata")?.value().map_or_else(nothing, Ok)?;
        Ok(NewSession { chitty_id: caller.chitty_id, id, metadata })
    }
}

/// `{}`.
fn nothing() -> Result<Json, Problem> {
    Json::parse("{}".to_owned()).map_err(|_| Problem::internal())
}

/// What is to change; what is left out stays. One of these is needed; members of other names are ignored, among them
/// `id`, `created`, `expires` and `interactions`, but for `chittyId`: one that is not the key's is 403 `forbidden`.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what is read")]
struct SessionChanges {
    /// Put in place of what is there: any JSON of at most 64 KiB, nested at most 32 deep. `null` is `{}`.
    #[schema(value_type = Option<serde_json::Value>)]
    metadata: Option<Json>,
    #[schema(schema_with = state_words, required = false)]
    state: Option<SessionState>,
    /// Put behind those that are there: any JSON of at most 4 KiB each, nested at most 32 deep. A session holds 1,000, and
    /// 256 KiB of them together.
    #[schema(value_type = Option<Vec<serde_json::Value>>, nullable = false, max_items = 1000)]
    decisions: Option<Vec<Json>>,
    #[schema(rename = "chittyId", pattern = "^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$")]
    chitty_id: Option<String>,
}

/// The same as a schema, in which one of the three is needed.
pub(super) struct PatchSession;

/// What can be changed.
const FIELDS: [&str; 3] = ["metadata", "state", "decisions"];

impl PartialSchema for PatchSession {
    fn schema() -> RefOr<Schema> {
        let RefOr::T(Schema::Object(changes)) = SessionChanges::schema() else { return SessionChanges::schema() };
        let needing = |field: &str| {
            let mut changes = changes.clone();
            changes.required.push(field.to_owned());
            Schema::Object(changes)
        };
        FIELDS.iter().fold(AnyOfBuilder::new(), |any, field| any.item(needing(field))).into()
    }
}

impl ToSchema for PatchSession {
    fn name() -> std::borrow::Cow<'static, str> {
        "PatchSession".into()
    }
}

impl PatchSession {
    /// Reads a body.
    ///
    /// # Errors
    /// 400, 403, 413.
    pub(super) fn read(body: &[u8], caller: &Principal) -> Result<SessionPatch, Problem> {
        let object = read(body, &["metadata", "state", "decisions", "chittyId", "chitty_id"], caller)?;
        if !FIELDS.iter().any(|field| object.has(field)) {
            let message = format!("the body names nothing to change; accepted: one or more of {}", FIELDS.join(", "));
            return Err(Problem::session_refused(SessionRefusal::NothingToUpdate, message));
        }
        let null = |field, accepted| object.refused(field, "null", accepted);
        Ok(SessionPatch {
            metadata: match object.json("metadata")? {
                Member::Is(metadata) => Some(metadata),
                Member::Null => Some(nothing()?),
                Member::Absent => None,
            },
            state: object.word("state", STATES)?.set(|| null("state", STATES))?,
            decisions: object
                .values("decisions", MAX_DECISIONS, MAX_DECISION)?
                .set(|| null("decisions", "an array"))?
                .unwrap_or_default(),
        })
    }
}

/// A value for the context. Members of other names are ignored, but for `chittyId`: one that is not the key's is 403
/// `forbidden`.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what is read")]
pub(super) struct PutContext {
    /// Anything but `updated`, which says in answers when the session was last changed.
    #[schema(min_length = 1, max_length = 128, pattern = "^(?!updated$)")]
    key: String,
    /// Any JSON of at most 64 KiB, nested at most 32 deep; comes back as it was sent.
    #[schema(value_type = serde_json::Value)]
    value: Json,
    #[schema(rename = "chittyId", pattern = "^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$")]
    chitty_id: Option<String>,
}

impl PutContext {
    /// Reads a body.
    ///
    /// # Errors
    /// 400, 403, 413.
    pub(super) fn read(body: &[u8], caller: &Principal) -> Result<(String, Json), Problem> {
        let object = read(body, &["key", "value", "chittyId", "chitty_id"], caller)?;
        let key = object.characters("key", MAX_KEY)?.value().filter(|key| !key.is_empty());
        let Some(key) = key else {
            let message = format!("key: found nothing; accepted: text of 1 to {MAX_KEY} characters");
            return Err(Problem::session_refused(SessionRefusal::MissingKey, message));
        };
        if key == RESERVED_KEY {
            return Err(object.refused("key", shown(&key), "any other: answers have a member of this name"));
        }
        let value = match object.json("value")? {
            Member::Is(value) => value,
            Member::Null => Json::parse("null".to_owned()).map_err(|_| Problem::internal())?,
            Member::Absent => return Err(object.refused("value", "nothing", "any JSON")),
        };
        Ok((key, value))
    }
}

/// Whether a session begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SyncEvent {
    Start,
    End,
}

impl SyncEvent {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Start => "session_start",
            Self::End => "session_end",
        }
    }
}

impl FromStr for SyncEvent {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        [Self::Start, Self::End].into_iter().find(|event| event.as_str() == word).ok_or(())
    }
}

/// The beginning or the end of a session. Members of other names are ignored.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code, reason = "describes what is read")]
pub(super) struct SyncSession {
    #[schema(schema_with = super::sync::event_words)]
    event: String,
    /// Default: whoever the key says. One that is not the key's is 403 `forbidden`.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$")]
    chitty_id: Option<String>,
    /// Anything but `sync`.
    #[schema(pattern = "^(?!sync$)[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
    session_id: String,
    /// At the start, part of the metadata of a session that is made, like `project`, `coordinates` and `signals`: at most
    /// 64 KiB of JSON together. At the end these say nothing.
    #[schema(max_length = 128)]
    channel: Option<String>,
    project: Option<SyncProject>,
    /// Any JSON, nested at most 32 deep.
    #[schema(value_type = Option<serde_json::Value>)]
    coordinates: Option<Json>,
    /// At the end, what the project's next session is given, of at most 64 KiB, nested at most 32 deep; left out, the
    /// project keeps what it has. At the start it says nothing.
    #[schema(value_type = Option<serde_json::Map<String, serde_json::Value>>)]
    context: Option<Json>,
    /// Any JSON, nested at most 32 deep.
    #[schema(value_type = Option<serde_json::Value>)]
    signals: Option<Json>,
}

/// The project that a session works on.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what is read")]
struct SyncProject {
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
    slug: String,
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
    org: String,
}

/// What a body of `/sync` asks for.
pub(super) struct Sync {
    pub(super) event: SyncEvent,
    pub(super) session_id: SessionId,
    pub(super) project: Option<Project>,
    pub(super) context: Option<Json>,
    /// What a session that is made begins with.
    pub(super) metadata: Json,
}

const SYNC: [&str; 9] =
    ["event", "sessionId", "channel", "project", "coordinates", "context", "signals", "chittyId", "chitty_id"];

impl SyncSession {
    /// Reads a body.
    ///
    /// # Errors
    /// 400, 403, 413.
    pub(super) fn read(body: &[u8], caller: &Principal) -> Result<Sync, Problem> {
        let object = read(body, &SYNC, caller)?;
        let word = object.refusing(|message| Problem::session_refused(SessionRefusal::Event, message));
        let event = word.word::<SyncEvent>("event", EVENTS)?.value();
        let object = word.refusing(REQUEST);
        let Some(event) = event else {
            return Err(MISSING(format!("event: found nothing; accepted: {EVENTS}")));
        };
        let session_id = session_id(&object)?;
        let channel = object.characters("channel", 128)?.value();
        let project = object.object("project", &["org", "slug"])?.value();
        let project = project.as_ref().map(project_of).transpose()?;
        let coordinates = object.json("coordinates")?.value();
        let signals = object.json("signals")?.value();
        let context = object.json("context")?.value();
        if let (Some(context), Some(kind)) = (&context, object.kind("context"))
            && !context.text().starts_with('{')
        {
            return Err(object.refused("context", kind, "an object"));
        }
        let mut members = Vec::new();
        members.extend(channel.map(|channel| ("channel", text(&channel))));
        members.extend(project.as_ref().map(|project| {
            ("project", format!("{{\"org\":{},\"slug\":{}}}", text(&project.org), text(&project.slug)))
        }));
        members.extend(coordinates.map(|json| ("coordinates", json.text().to_owned())));
        members.extend(signals.map(|json| ("signals", json.text().to_owned())));
        let members: Vec<_> = members.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let metadata = format!("{{{}}}", members.join(","));
        if metadata.len() > MAX_JSON {
            let together = "channel, project, coordinates and signals together";
            return Err(Problem::value_too_large(together, metadata.len(), MAX_JSON));
        }
        let metadata = Json::parse(metadata).map_err(|_| Problem::internal())?;
        Ok(Sync { event, session_id, project, context, metadata })
    }
}

fn project_of(object: &Object<'_>) -> Result<Project, Problem> {
    let part = |name: &str| {
        let accepted = "1 to 128 of A-Z, a-z, 0-9, `.`, `_` and `-`, beginning with a letter or digit";
        let named = object.word::<SessionId>(name, accepted)?.value();
        named.map(String::from).ok_or_else(|| object.refused(name, "nothing", accepted))
    };
    Ok(Project { org: part("org")?, slug: part("slug")? })
}

/// `text` as JSON.
fn text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
