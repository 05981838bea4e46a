//! What is said of an object beside its contents: media type, headers for its readers, metadata of its writer.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use s3s::dto::{GetObjectOutput, HeadObjectOutput, Metadata, ObjectCannedACL, Timestamp};
use s3s::{S3Result, s3_error};

use super::signed;
use crate::model::stored_file::StoredFile;
use crate::model::time::Time;

/// Bytes of metadata, names and values together, as S3 has it; and of the other headers that are kept.
const MAX_METADATA: usize = 2048;
/// The media type of objects of which nobody said one.
const UNKNOWN_TYPE: &str = "application/octet-stream";
/// Headers that readers get as they were given.
const KEPT: [HeaderName; 4] =
    [header::CACHE_CONTROL, header::CONTENT_DISPOSITION, header::CONTENT_ENCODING, header::CONTENT_LANGUAGE];
/// How bodies are sent, which some clients put among the encodings of their contents.
const TRANSFER: &str = "aws-chunked";
/// The metadata in which rclone says when a file was changed: seconds since 1970, with a fraction.
const MTIME: &str = "mtime";
/// What headers begin with that ask for what is not done: encryption, locks, tags, redirections, access for others.
const NOT_DONE: [&str; 6] = [
    "x-amz-server-side-encryption",
    "x-amz-copy-source-server-side-encryption",
    "x-amz-object-lock-",
    "x-amz-website-redirect-location",
    "x-amz-grant-",
    "x-amz-write-offset-bytes",
];

/// What a request says of an object.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Described {
    pub(super) mime: Option<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) metadata: Vec<(String, String)>,
}

impl Described {
    /// What the headers say, and `metadata`, which s3s has decoded.
    ///
    /// # Errors
    /// `MetadataTooLarge`, `InvalidArgument`.
    pub(super) fn of(given: &HeaderMap, metadata: Option<Metadata>) -> S3Result<Self> {
        let mime = text(given, &header::CONTENT_TYPE)?;
        let mut headers = Vec::new();
        for name in KEPT {
            if let Some(value) = text(given, &name)?
                && let Some(value) =
                    if name == header::CONTENT_ENCODING { without_transfer(&value) } else { Some(value) }
            {
                headers.push((name.as_str().to_owned(), value));
            }
        }
        let mut metadata: Vec<_> = metadata.unwrap_or_default().into_iter().collect();
        metadata.sort();
        let large =
            |pairs: &[(String, String)]| pairs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if large(&metadata) > MAX_METADATA || large(&headers) + mime.as_ref().map_or(0, String::len) > MAX_METADATA {
            return Err(s3_error!(
                MetadataTooLarge,
                "metadata have {MAX_METADATA} bytes at the most, and so have headers"
            ));
        }
        if let Some((name, _)) = metadata.iter().find(|(_, value)| value.chars().any(char::is_control)) {
            return Err(s3_error!(InvalidArgument, "x-amz-meta-{name} has a control character"));
        }
        Ok(Self { mime, headers, metadata })
    }

    /// What is said of a file.
    pub(super) fn of_file(file: &StoredFile) -> Self {
        Self { mime: file.mime.clone(), headers: file.headers.clone(), metadata: file.metadata.clone() }
    }

    pub(super) fn source_modified_at(&self) -> Option<Time> {
        source_modified_at(&self.metadata)
    }
}

/// When the writer of an object says that it was changed: `mtime` among its metadata, as rclone has it. `None` where it
/// says nothing, or something else.
#[must_use]
pub fn source_modified_at(metadata: &[(String, String)]) -> Option<Time> {
    let (_, text) = metadata.iter().find(|(name, _)| name == MTIME)?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if seconds.is_empty() || !digits(seconds) || !digits(fraction) {
        return None;
    }
    let millis: u64 = format!("{fraction:0<3}")[..3].parse().ok()?;
    Some(Time::from_millis(seconds.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(millis)?))
}

/// Refuses what would have the client believe in something that is not done.
///
/// # Errors
/// `NotImplemented`.
pub(super) fn refuse_options(headers: &HeaderMap) -> S3Result<()> {
    let asked = headers.iter().filter(|(_, value)| !value.is_empty());
    for (name, value) in asked {
        let name = name.as_str();
        if name == "x-amz-tagging" || NOT_DONE.iter().any(|begin| name.starts_with(begin)) {
            return Err(s3_error!(NotImplemented, "{name} asks for what this endpoint does not do"));
        }
        if name == "x-amz-acl" && !is_private(value) {
            return Err(s3_error!(NotImplemented, "objects are private: x-amz-acl can be private, and nothing else"));
        }
    }
    Ok(())
}

fn is_private(acl: &HeaderValue) -> bool {
    acl == ObjectCannedACL::PRIVATE || acl == ObjectCannedACL::BUCKET_OWNER_FULL_CONTROL
}

/// The text of a header that is there and not empty.
pub(super) fn text(headers: &HeaderMap, name: &HeaderName) -> S3Result<Option<String>> {
    let Some(value) = headers.get(name).filter(|value| !value.is_empty()) else { return Ok(None) };
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) if !text.chars().any(char::is_control) => Ok(Some(text.to_owned())),
        _ => Err(s3_error!(InvalidArgument, "{name} is not text")),
    }
}

/// The encodings of contents without the one of the body.
fn without_transfer(encodings: &str) -> Option<String> {
    let own: Vec<_> = encodings.split(',').map(str::trim).filter(|one| !one.eq_ignore_ascii_case(TRANSFER)).collect();
    Some(own.join(", ")).filter(|own| !own.is_empty())
}

/// A moment as S3's messages have it.
pub(super) fn timestamp(time: Time) -> Timestamp {
    (SystemTime::UNIX_EPOCH + Duration::from_millis(time.as_millis())).into()
}

/// What readers of a file are told of it, without its contents.
pub(super) fn shown(file: &StoredFile) -> GetObjectOutput {
    let header = |wanted: &HeaderName| {
        let (_, value) = file.headers.iter().find(|(name, _)| name == wanted.as_str())?;
        Some(value.clone())
    };
    GetObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        cache_control: header(&header::CACHE_CONTROL),
        content_disposition: header(&header::CONTENT_DISPOSITION),
        content_encoding: header(&header::CONTENT_ENCODING),
        content_language: header(&header::CONTENT_LANGUAGE),
        content_length: Some(signed(file.contents.size)),
        content_type: Some(file.mime.clone().unwrap_or_else(|| UNKNOWN_TYPE.to_owned())),
        e_tag: Some(s3s::dto::ETag::Strong(file.etag.clone())),
        last_modified: Some(timestamp(file.modified_at)),
        metadata: Some(file.metadata.iter().cloned().collect()).filter(|metadata: &Metadata| !metadata.is_empty()),
        ..GetObjectOutput::default()
    }
}

/// The same, for those who ask for nothing else.
pub(super) fn without_body(shown: GetObjectOutput) -> HeadObjectOutput {
    HeadObjectOutput {
        accept_ranges: shown.accept_ranges,
        cache_control: shown.cache_control,
        checksum_sha256: shown.checksum_sha256,
        checksum_type: shown.checksum_type,
        content_disposition: shown.content_disposition,
        content_encoding: shown.content_encoding,
        content_language: shown.content_language,
        content_length: shown.content_length,
        content_range: shown.content_range,
        content_type: shown.content_type,
        e_tag: shown.e_tag,
        last_modified: shown.last_modified,
        metadata: shown.metadata,
        ..HeadObjectOutput::default()
    }
}

#[cfg(test)]
mod tests {
    use s3s::S3ErrorCode;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn rclone_says_when_a_file_was_changed() {
        for (text, millis) in [
            ("1700000000.123456789", Some(1_700_000_000_123)),
            ("1700000000.5", Some(1_700_000_000_500)),
            ("1700000000", Some(1_700_000_000_000)),
            ("0", Some(0)),
            ("1700000000.", Some(1_700_000_000_000)),
            ("-1.5", None),
            ("", None),
            (".5", None),
            ("soon", None),
            ("1.ä23", None),
            ("99999999999999999999", None),
        ] {
            let found = source_modified_at(&[("a".to_owned(), "1".to_owned()), (MTIME.to_owned(), text.to_owned())]);
            assert_eq!(found.map(Time::as_millis), millis, "{text}");
        }
        assert_eq!(source_modified_at(&[]), None);
    }

    #[test]
    fn what_is_not_done_is_refused_and_what_changes_nothing_is_not() {
        let fine = [
            ("x-amz-acl", "private"),
            ("x-amz-server-side-encryption", ""),
            ("x-amz-storage-class", "GLACIER"),
            ("x-amz-tagging-directive", "COPY"),
            ("x-amz-meta-object-lock-mode", "x"),
        ];
        assert!(refuse_options(&headers(&fine)).is_ok());
        for bad in [
            ("x-amz-acl", "public-read"),
            ("x-amz-server-side-encryption", "AES256"),
            ("x-amz-server-side-encryption-customer-key", "x"),
            ("x-amz-copy-source-server-side-encryption-customer-algorithm", "AES256"),
            ("x-amz-object-lock-mode", "GOVERNANCE"),
            ("x-amz-tagging", "a=b"),
            ("x-amz-grant-read", "x"),
        ] {
            assert_eq!(refuse_options(&headers(&[bad])).unwrap_err().code(), &S3ErrorCode::NotImplemented, "{bad:?}");
        }
    }

    #[test]
    fn an_object_keeps_its_headers_and_metadata() {
        let given = headers(&[
            ("content-type", "text/plain"),
            ("content-encoding", "aws-chunked, gzip"),
            ("cache-control", "no-store"),
            ("content-language", ""),
            ("accept", "x"),
        ]);
        let metadata = Metadata::from([("b".to_owned(), "2".to_owned()), ("a".to_owned(), "ä".to_owned())]);
        let found = Described::of(&given, Some(metadata)).unwrap();
        let pairs =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect::<Vec<_>>();
        assert_eq!(found.mime.as_deref(), Some("text/plain"));
        assert_eq!(found.headers, pairs(&[("cache-control", "no-store"), ("content-encoding", "gzip")]));
        assert_eq!(found.metadata, pairs(&[("a", "ä"), ("b", "2")]));
        assert_eq!(
            Described::of(&headers(&[("content-encoding", "aws-chunked")]), None).unwrap(),
            Described::default()
        );
        for (value, code) in [
            ("x".repeat(MAX_METADATA), S3ErrorCode::MetadataTooLarge),
            ("a\nb".to_owned(), S3ErrorCode::InvalidArgument),
        ] {
            let metadata = Metadata::from([("k".to_owned(), value)]);
            assert_eq!(Described::of(&HeaderMap::new(), Some(metadata)).unwrap_err().code(), &code);
        }
    }
}
