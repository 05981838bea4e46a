//! The bodies of requests concerning files: what each member may be (CONTRACT.md §4).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use utoipa::ToSchema;

use crate::api::object::{Object, Words, shown};
use crate::auth::Principal;
use crate::blob::uri::{MAX_URI, ResourceUri};
use crate::model::id::{SessionId, TaskId};
use crate::model::stored_file::ContentHash;
use crate::problem::Problem;

/// Largest body of a direct upload, in bytes: it is held in memory, and decoded beside it.
pub(super) const MAX_DIRECT: usize = 32 << 20;
/// Direct uploads at once: each holds up to three times its body.
pub(super) const DIRECT_AT_ONCE: usize = 2;
/// Longest name, in bytes: what file systems take.
const MAX_NAME: usize = 255;
/// Longest media type, in bytes.
const MAX_MIME: usize = 255;
/// Longest key, in bytes.
const MAX_KEY: usize = 2048;

const PRESIGN: Words = Words { bad_json: Problem::presign_failed, refuse: Problem::context_refused };
const DIRECT: Words = Words { bad_json: Problem::upload_failed, refuse: Problem::context_refused };
const COMMIT: Words = Words { bad_json: Problem::bad_json, refuse: Problem::context_refused };

/// Base64 as people have it: with its padding or without.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a name becomes in a key.
pub(super) fn safe(name: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
    name.chars().map(safe).collect()
}

/// A file that is to be brought in. Members of other names are ignored, but for `chittyId` and `chitty_id`: one that is
/// not the key's is 403 `forbidden`. Lengths are in bytes of UTF-8.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what `read` reads")]
pub(super) struct PresignUpload {
    #[schema(min_length = 1, max_length = 255, pattern = "^[^\\x00-\\x1f\\x7f]+$")]
    pub(super) name: String,
    /// In bytes: the contents must have exactly so many.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_u64)]
    pub(super) size: u64,
    #[schema(value_type = String, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
    pub(super) session_id: SessionId,
    #[schema(max_length = 255, pattern = "^[\\x20-\\x7e]*$")]
    pub(super) mime: Option<String>,
    /// The contents must have this one.
    #[schema(value_type = Option<String>, pattern = "^[0-9A-Fa-f]{64}$")]
    #[schema(rename = "sha256")]
    pub(super) hash: Option<ContentHash>,
}

const PRESIGN_NAMES: &[&str] = &["name", "size", "session_id", "mime", "sha256", "chittyId", "chitty_id"];

impl PresignUpload {
    /// Reads a body.
    ///
    /// # Errors
    /// 400, 403.
    pub(super) fn read(body: &[u8], caller: &Principal) -> Result<Self, Problem> {
        let object = Object::read_with(body, PRESIGN_NAMES, PRESIGN)?;
        object.check_chitty_id(caller)?;
        let size = object.count("size")?.value().filter(|size| *size > 0);
        Ok(Self {
            name: name(&object)?,
            size: size.ok_or_else(|| object.refused("size", "nothing, or 0", "the number of bytes, at least 1"))?,
            session_id: session(&object)?,
            mime: mime(&object)?,
            hash: hash(&object)?,
        })
    }
}

/// A file that is brought in at once.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what `read` reads")]
pub(super) struct DirectUpload {
    #[schema(min_length = 1, max_length = 255, pattern = "^[^\\x00-\\x1f\\x7f]+$")]
    pub(super) name: String,
    #[schema(value_type = String, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
    pub(super) session_id: SessionId,
    /// The contents.
    #[schema(value_type = String, rename = "content_base64", min_length = 1, pattern = "^[A-Za-z0-9+/]+={0,2}$")]
    pub(super) contents: Bytes,
    #[schema(value_type = Option<String>, rename = "sha256", pattern = "^[0-9A-Fa-f]{64}$")]
    pub(super) hash: Option<ContentHash>,
    /// In bytes, of the contents.
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    pub(super) size: Option<u64>,
    #[schema(max_length = 255, pattern = "^[\\x20-\\x7e]*$")]
    pub(super) mime: Option<String>,
}

const DIRECT_NAMES: &[&str] =
    &["name", "session_id", "content_base64", "sha256", "size", "mime", "chittyId", "chitty_id"];

impl DirectUpload {
    /// Reads a body.
    ///
    /// # Errors
    /// 400, 403.
    pub(super) fn read(body: &[u8], caller: &Principal) -> Result<Self, Problem> {
        let object = Object::read_with(body, DIRECT_NAMES, DIRECT)?;
        object.check_chitty_id(caller)?;
        let (name, session_id) = (name(&object)?, session(&object)?);
        let text = object.text("content_base64", MAX_DIRECT)?.value().filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| object.refused("content_base64", "nothing", "the contents in base64"))?;
        let contents = STANDARD.decode(&text).or_else(|_| LENIENT.decode(&text)).map_err(|error| {
            Problem::upload_failed(format!("content_base64: found what is no base64 ({error}); accepted: RFC 4648 §4"))
        })?;
        Ok(Self {
            name,
            session_id,
            contents: contents.into(),
            hash: hash(&object)?,
            size: object.count("size")?.value(),
            mime: mime(&object)?,
        })
    }
}

/// A file that was brought in.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what `read` reads")]
pub(super) struct CommitFile {
    #[schema(min_length = 1, max_length = 2048, pattern = "^[^\\x00]+$")]
    pub(super) r2_key: String,
    #[schema(value_type = String, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
    pub(super) session_id: SessionId,
    /// What it should have.
    #[schema(value_type = Option<String>, rename = "sha256", pattern = "^[0-9A-Fa-f]{64}$")]
    pub(super) hash: Option<ContentHash>,
    /// In bytes: what it should have.
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    pub(super) size: Option<u64>,
    /// A task of the session.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub(super) task_id: Option<TaskId>,
}

const COMMIT_NAMES: &[&str] = &["r2_key", "session_id", "sha256", "size", "task_id", "chittyId", "chitty_id"];

impl CommitFile {
    /// Reads a body.
    ///
    /// # Errors
    /// 400, 403.
    pub(super) fn read(body: &[u8], caller: &Principal) -> Result<Self, Problem> {
        let object = Object::read_with(body, COMMIT_NAMES, COMMIT)?;
        object.check_chitty_id(caller)?;
        let key = object.text("r2_key", MAX_KEY)?.value().filter(|key| !key.is_empty());
        let task_id = match object.text("task_id", 64)?.value() {
            None => None,
            Some(text) => {
                Some(TaskId::parse(&text).ok_or_else(|| object.refused("task_id", shown(&text), "the id of a task"))?)
            }
        };
        Ok(Self {
            r2_key: key.ok_or_else(|| object.refused("r2_key", "nothing", "the key that the upload was answered"))?,
            session_id: session(&object)?,
            hash: hash(&object)?,
            size: object.count("size")?.value(),
            task_id,
        })
    }
}

/// A file that is to be taken out.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what `read` reads")]
pub(super) struct PresignDownload {
    /// `resource://connect/{session}/{sha256}-{name}` or `r2://files/{session}/{key}`.
    #[schema(min_length = 1, max_length = 4096, pattern = "^(resource://connect/|r2://files/)[^\\x00-\\x1f\\x7f]+$")]
    uri: String,
}

const DOWNLOAD_NAMES: &[&str] = &["uri", "chittyId", "chitty_id"];

impl PresignDownload {
    /// Reads a body.
    ///
    /// # Errors
    /// 400, 403.
    pub(super) fn read(body: &[u8], caller: &Principal) -> Result<ResourceUri, Problem> {
        let object = Object::read_with(body, DOWNLOAD_NAMES, PRESIGN)?;
        object.check_chitty_id(caller)?;
        let uri = object.text("uri", MAX_URI)?.value().filter(|uri| !uri.is_empty());
        let uri = uri.ok_or_else(|| object.refused("uri", "nothing", "the URI of a file"))?;
        ResourceUri::parse(&uri)
            .map_err(|error| Problem::context_refused(format!("uri: found {}, {error}", shown(&uri))))
    }
}

fn name(object: &Object<'_>) -> Result<String, Problem> {
    let name = object.text("name", MAX_NAME)?.value().filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| object.refused("name", "nothing", "a name of 1 to 255 bytes"))?;
    if name.chars().any(char::is_control) {
        return Err(object.refused("name", "a control character", "a name of 1 to 255 bytes without any"));
    }
    Ok(name)
}

fn session(object: &Object<'_>) -> Result<SessionId, Problem> {
    let text = object.text("session_id", 128)?.value().filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| object.refused("session_id", "nothing", "the id of a session"))?;
    text.parse()
        .map_err(|error| Problem::context_refused(format!("session_id: found {}, which is {error}", shown(&text))))
}

fn mime(object: &Object<'_>) -> Result<Option<String>, Problem> {
    let mime = object.text("mime", MAX_MIME)?.value().filter(|mime| !mime.is_empty());
    match mime {
        // It becomes a header of answers.
        Some(mime) if !mime.bytes().all(|byte| matches!(byte, b' '..=b'~')) => {
            Err(object.refused("mime", shown(&mime), "a media type of visible characters"))
        }
        mime => Ok(mime),
    }
}

fn hash(object: &Object<'_>) -> Result<Option<ContentHash>, Problem> {
    match object.text("sha256", 64)?.value() {
        None => Ok(None),
        Some(text) => {
            let hash = text.parse().map_err(|_| object.refused("sha256", shown(&text), "64 hexadecimal digits"));
            hash.map(Some)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn caller() -> Principal {
        Principal::sample("alice", "s")
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        let good = json!({"name": "a.txt", "size": 4, "session_id": "s"});
        let with = |name: &str, value: Value| {
            let mut body = good.clone();
            body[name] = value;
            PresignUpload::read(body.to_string().as_bytes(), &caller())
        };
        assert!(with("mime", Value::Null).is_ok());
        for (name, value) in [
            ("name", json!("")),
            ("name", json!({})),
            ("name", json!("a\0b")),
            ("name", json!("a".repeat(256))),
            ("size", json!(0)),
            ("size", json!(-5)),
            ("size", json!("big")),
            ("size", json!(1.5)),
            ("size", Value::Null),
            ("session_id", json!("../../etc")),
            ("session_id", json!(7)),
            ("sha256", json!("../x")),
            ("sha256", json!("ab")),
            ("mime", json!("a\r\nb")),
        ] {
            let refused = with(name, value.clone()).err().unwrap();
            assert_eq!(refused.word, "invalid_request", "{name}: {value}");
            assert!(refused.message.starts_with(name), "{}", refused.message);
        }
        assert_eq!(PresignUpload::read(b"{", &caller()).err().unwrap().word, "presign_failed");
        assert_eq!(DirectUpload::read(b"{", &caller()).err().unwrap().word, "upload_failed");
        assert_eq!(CommitFile::read(b"{", &caller()).err().unwrap().word, "bad_json");
    }

    #[test]
    fn base64_is_taken_with_its_padding_or_without() {
        for (text, contents) in [("aGk=", Some("hi")), ("aGk", Some("hi")), ("aG k", None), ("-_", None)] {
            let body = json!({"name": "a", "session_id": "s", "content_base64": text}).to_string();
            let read = DirectUpload::read(body.as_bytes(), &caller());
            assert_eq!(read.ok().map(|upload| upload.contents), contents.map(Bytes::from), "{text}");
        }
    }

    #[test]
    fn a_name_becomes_part_of_a_key() {
        assert_eq!(safe("../a b/ü.txt"), ".._a_b__.txt");
    }
}
