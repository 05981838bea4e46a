//! The bodies of requests concerning a session's context: what each member may be (CONTRACT.md §3).

use jiff::Timestamp;
use utoipa::ToSchema;

use crate::api::object::{Member, Object, Words, shown};
use crate::auth::Principal;
use crate::model::file::FileFacts;
use crate::model::id::{ChittyId, SessionId};
use crate::model::json::Json;
use crate::model::sync::{Ingest, SyncReport};
use crate::model::time::Time;
use crate::problem::Problem;
use crate::store::context::Place;

/// Longest URI, key or path, in bytes.
const MAX_URI: usize = 2048;
/// Longest name, in bytes.
const MAX_NAME: usize = 1024;
/// Longest media type, in bytes.
const MAX_MIME: usize = 255;
/// Longest name of who reports, in bytes.
const MAX_SOURCE: usize = 64;
/// Files of one set.
const MAX_FILES: usize = 1000;
/// Items of one report.
const MAX_ITEMS: usize = 5000;
/// Events of one session that is taken in.
const MAX_EVENTS: usize = 10_000;
/// Who reports if nobody says.
const SOURCE: &str = "rclone";
/// What a session that is taken in says it is.
const INGEST: &str = "SESSION_INGEST";

const FILES: Words = Words { bad_json: Problem::bad_json, refuse: Problem::context_refused };
const SYNC: Words = Words { bad_json: bad_sync_json, refuse: Problem::ingest_refused };

fn bad_sync_json(message: String) -> Problem {
    as_sync(Problem::bad_json(message))
}

/// A problem as `sync` tells it.
pub(super) fn as_sync(problem: Problem) -> Problem {
    Problem { shape: crate::problem::Shape::Ok, ..problem }
}

/// The files that a session works with from now on. Members of other names are ignored, but for `chittyId` and
/// `chitty_id`: one that is not the key's is 403 `forbidden`. Lengths are in bytes of UTF-8.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what `read` reads")]
pub(super) struct SetActiveFiles {
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
    session_id: String,
    /// Absent is none. Of those with one URI, the last counts.
    #[schema(max_items = 1000, nullable = false)]
    files: Option<Vec<FileItem>>,
}

/// A file. `null` is as good as nothing.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what `file` reads")]
struct FileItem {
    /// Without NUL.
    #[schema(min_length = 1, max_length = 2048, pattern = "^[^\\x00]+$")]
    uri: String,
    #[schema(max_length = 1024, pattern = "^[^\\x00]*$")]
    name: Option<String>,
    /// In bytes.
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    size: Option<u64>,
    #[schema(pattern = "^[0-9A-Fa-f]{64}$")]
    sha256: Option<String>,
    #[schema(max_length = 255, pattern = "^[^\\x00]*$")]
    mime: Option<String>,
    /// Any JSON of at most 64 KiB, nested at most 32 deep.
    #[schema(value_type = Option<serde_json::Value>)]
    metadata: Option<Json>,
}

const SET_NAMES: &[&str] = &["session_id", "files", "chittyId", "chitty_id"];
const FILE_NAMES: &[&str] = &["uri", "name", "size", "sha256", "mime", "metadata", "r2_key", "modified"];

impl SetActiveFiles {
    /// Reads a body: the session, and its files.
    ///
    /// # Errors
    /// 400, 403, 413.
    pub(super) fn read(body: &[u8], caller: &Principal) -> Result<(SessionId, Vec<FileFacts>), Problem> {
        let object = Object::read_with(body, SET_NAMES, FILES)?;
        object.check_chitty_id(caller)?;
        let session = session(&object, "session_id")?
            .ok_or_else(|| object.refused("session_id", "nothing", "the id of a session"))?;
        let items = match object.objects("files", FILE_NAMES, MAX_FILES)? {
            Member::Is(items) => items,
            Member::Absent => Vec::new(),
            Member::Null => return Err(object.refused("files", "null", "an array, or leaving it out")),
        };
        let files = items.iter().map(|item| {
            let uri = item.text("uri", MAX_URI)?.value().filter(|uri| !uri.is_empty());
            let uri = uri.ok_or_else(|| item.refused("uri", "nothing", "text of 1 to 2048 bytes"))?;
            file(item, uri)
        });
        Ok((session, files.collect::<Result<_, _>>()?))
    }
}

/// A report of synchronised files.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what `read` reads")]
pub(super) struct ReportSync {
    /// Under which path.
    #[schema(max_length = 2048, pattern = "^[^\\x00]*$")]
    path_prefix: Option<String>,
    /// Absent is none.
    #[schema(max_items = 5000, nullable = false)]
    items: Option<Vec<ReportItem>>,
    /// Who reports.
    #[schema(max_length = 64, default = "rclone", pattern = "^[^\\x00]*$")]
    source: Option<String>,
}

/// A synchronised file: one of `uri` and `r2_key` is there and not empty. Without `uri` it is `r2://` and the key.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what `read` reads")]
struct ReportItem {
    #[schema(max_length = 2043, pattern = "^[^\\x00]*$")]
    r2_key: Option<String>,
    #[schema(max_length = 2048, pattern = "^[^\\x00]*$")]
    uri: Option<String>,
    #[schema(max_length = 1024, pattern = "^[^\\x00]*$")]
    name: Option<String>,
    #[schema(pattern = "^[0-9A-Fa-f]{64}$")]
    sha256: Option<String>,
    /// In bytes.
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    size: Option<u64>,
    /// When its contents changed last: RFC 3339.
    #[schema(format = DateTime)]
    modified: Option<String>,
}

const REPORT_NAMES: &[&str] = &["path_prefix", "items", "source", "chittyId", "chitty_id"];

impl ReportSync {
    /// Reads a body.
    ///
    /// # Errors
    /// 400, 403, 413.
    pub(super) fn read(body: &[u8], caller: &Principal) -> Result<SyncReport, Problem> {
        let object = Object::read_with(body, REPORT_NAMES, FILES)?;
        object.check_chitty_id(caller)?;
        let items = match object.objects("items", FILE_NAMES, MAX_ITEMS)? {
            Member::Is(items) => items,
            Member::Absent => Vec::new(),
            Member::Null => return Err(object.refused("items", "null", "an array, or leaving it out")),
        };
        let files = items.iter().map(|item| {
            let given = |name| Ok::<_, Problem>(item.text(name, MAX_URI)?.value().filter(|text| !text.is_empty()));
            let uri = match (given("uri")?, item.text("r2_key", MAX_URI - "r2://".len())?.value()) {
                (Some(uri), _) => uri,
                (None, Some(key)) if !key.is_empty() => format!("r2://{key}"),
                _ => return Err(item.refused("uri", "neither uri nor r2_key", "one of them, not empty")),
            };
            file(item, uri)
        });
        let files: Vec<FileFacts> = files.collect::<Result<_, _>>()?;
        let items = object.any_json("items")?.value().or_else(|| Json::parse("[]".to_owned()).ok());
        Ok(SyncReport {
            source: object
                .text("source", MAX_SOURCE)?
                .value()
                .filter(|text| !text.is_empty())
                .unwrap_or_else(|| SOURCE.to_owned()),
            path_prefix: object.text("path_prefix", MAX_URI)?.value(),
            files,
            items: items.ok_or_else(Problem::internal)?,
        })
    }
}

fn file(item: &Object<'_>, uri: String) -> Result<FileFacts, Problem> {
    let sha256 = item.text("sha256", 64)?.value();
    if let Some(text) = sha256.as_ref().filter(|text| text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()))
    {
        return Err(item.refused("sha256", shown(text), "64 hexadecimal digits"));
    }
    let modified_at = match item.text("modified", 64)?.value() {
        None => None,
        Some(text) => Some(time(&text).ok_or_else(|| item.refused("modified", shown(&text), "a time of RFC 3339"))?),
    };
    Ok(FileFacts {
        uri,
        name: item.text("name", MAX_NAME)?.value(),
        size: item.count("size")?.value(),
        sha256: sha256.map(|text| text.to_ascii_lowercase()),
        mime: item.text("mime", MAX_MIME)?.value(),
        r2_key: item.text("r2_key", MAX_URI)?.value(),
        metadata: item.json("metadata")?.value(),
        modified_at,
    })
}

/// A moment before 1970 is taken for 1970.
fn time(text: &str) -> Option<Time> {
    let millis = text.parse::<Timestamp>().ok()?.as_millisecond();
    Some(Time::from_millis(u64::try_from(millis).unwrap_or(0)))
}

fn session(object: &Object<'_>, name: &str) -> Result<Option<SessionId>, Problem> {
    let accepted = "1 to 128 of A-Z, a-z, 0-9, `.`, `_` and `-`, beginning with a letter or digit";
    Ok(object.word::<SessionId>(name, accepted)?.value())
}

/// A session that is taken in from elsewhere: `session_id` or `sessionId` says which, `event_count` or `eventCount` how
/// many events it has (default: those that it brings).
#[derive(ToSchema)]
#[schema(as = SessionIngest)]
#[allow(dead_code, reason = "describes what `read` reads")]
pub(super) struct SyncSession {
    /// `SESSION_INGEST`.
    #[serde(rename = "type")]
    #[schema(pattern = "^SESSION_INGEST$")]
    kind: String,
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
    session_id: String,
    /// Any JSON of at most 64 KiB, nested at most 32 deep.
    #[schema(value_type = Option<serde_json::Value>)]
    project: Option<Json>,
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    event_count: Option<u64>,
    /// Any JSON values, nested at most 32 deep; they come back as they were sent.
    #[schema(max_items = 10000)]
    events: Option<Vec<serde_json::Value>>,
}

const SYNC_NAMES: &[&str] =
    &["type", "session_id", "sessionId", "chitty_id", "chittyId", "project", "event_count", "eventCount", "events"];

impl SyncSession {
    /// Reads a body: the session, and what is taken in. Without a `caller` the body says whose it is.
    ///
    /// # Errors
    /// 400, 403, 413.
    pub(super) fn read(body: &[u8], caller: Option<&Principal>) -> Result<(Place, Ingest), Problem> {
        let object = Object::read_with(body, SYNC_NAMES, SYNC)?;
        if let Some(caller) = caller {
            object.check_chitty_id(caller).map_err(as_sync)?;
        }
        match object.text("type", MAX_SOURCE)?.value() {
            Some(kind) if kind == INGEST => {}
            Some(kind) => return Err(object.refused("type", shown(&kind), INGEST)),
            None => return Err(object.refused("type", "nothing", INGEST)),
        }
        let id = match session(&object, "session_id")? {
            Some(id) => Some(id),
            None => session(&object, "sessionId")?,
        };
        let id = id.ok_or_else(|| object.refused("session_id", "nothing", "the id of a session"))?;
        let brought = object.elements("events", MAX_EVENTS)?.value();
        let events = object.any_json("events")?.value();
        let said = match object.count("event_count")?.value() {
            Some(count) => Some(count),
            None => object.count("eventCount")?.value(),
        };
        let count = said.unwrap_or_else(|| brought.map_or(0, |events| events.len() as u64));
        let chitty_id = match caller {
            Some(caller) => caller.chitty_id.clone(),
            None => tenant(&object)?,
        };
        let project = object.json("project").map_err(as_sync)?.value();
        Ok((Place { chitty_id, session_id: id }, Ingest { project, count, events }))
    }
}

/// Whose session it is, where no key says so.
fn tenant(object: &Object<'_>) -> Result<ChittyId, Problem> {
    let accepted = "1 to 128 of A-Z, a-z, 0-9, `.`, `_`, `:`, `@` and `-`, beginning with a letter or digit";
    let said = match object.word::<ChittyId>("chitty_id", accepted)?.value() {
        Some(id) => Some(id),
        None => object.word::<ChittyId>("chittyId", accepted)?.value(),
    };
    said.ok_or_else(|| object.refused("chitty_id", "nothing", accepted))
}

#[cfg(test)]
mod tests;
