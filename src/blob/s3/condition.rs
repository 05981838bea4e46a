//! What must be so for a request to be done (RFC 9110 §13), and which bytes it is about (§14).

use std::ops;

use http::{HeaderMap, HeaderValue, header};
use s3s::dto::{ETag, ETagCondition, Range, Timestamp, TimestampFormat};
use s3s::{S3Error, S3Result, s3_error};

use super::meta::timestamp;
use crate::model::stored_file::StoredFile;
use crate::model::time::Time;
use crate::store::file::Condition;

/// The conditions of a reader.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    pub(super) matching: Option<ETagCondition>,
    pub(super) none_matching: Option<ETagCondition>,
    pub(super) modified_since: Option<Timestamp>,
    pub(super) unmodified_since: Option<Timestamp>,
}

/// What the conditions of a reader come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is told.
    Go,
    /// It has it already.
    NotModified,
}

impl Conditions {
    /// Whether they hold for a file: tags go before moments.
    ///
    /// # Errors
    /// `PreconditionFailed`.
    pub(super) fn judge(&self, file: &StoredFile) -> S3Result<Verdict> {
        let changed = whole_seconds(file.modified_at);
        let holds = match (&self.matching, &self.unmodified_since) {
            (Some(tags), _) => matches(tags, &file.etag, false),
            (None, Some(since)) => changed <= *since,
            (None, None) => true,
        };
        if !holds {
            return Err(s3_error!(PreconditionFailed, "the object is not as the request wants it"));
        }
        let known = match (&self.none_matching, &self.modified_since) {
            (Some(tags), _) => matches(tags, &file.etag, true),
            (None, Some(since)) => changed <= *since,
            (None, None) => false,
        };
        Ok(if known { Verdict::NotModified } else { Verdict::Go })
    }

    /// Whether they hold for a file that is copied, which is not told to anybody.
    ///
    /// # Errors
    /// `PreconditionFailed`.
    pub(super) fn judge_source(&self, file: &StoredFile) -> S3Result<()> {
        match self.judge(file)? {
            Verdict::Go => Ok(()),
            Verdict::NotModified => Err(s3_error!(PreconditionFailed, "the source is not as the request wants it")),
        }
    }
}

/// Whether a tag is among those of a header. s3s gives a list of tags as one.
fn matches(tags: &ETagCondition, tag: &str, weakly: bool) -> bool {
    match tags {
        ETagCondition::Any => true,
        ETagCondition::ETag(ETag::Weak(_)) if !weakly => false,
        ETagCondition::ETag(tags) => tags.value().split(['"', ',', ' ']).any(|one| one == tag),
    }
}

/// A moment as HTTP dates have it.
fn whole_seconds(time: Time) -> Timestamp {
    timestamp(Time::from_millis(time.as_millis() / 1000 * 1000))
}

/// What must be so for a writer's object to be kept.
///
/// # Errors
/// `NotImplemented` where it asks for what cannot be asked of the store.
pub(super) fn of_writer(if_match: Option<ETagCondition>, if_none_match: Option<ETagCondition>) -> S3Result<Condition> {
    match (if_match, if_none_match) {
        (None, None) => Ok(Condition::Always),
        (None, Some(ETagCondition::Any)) => Ok(Condition::Absent),
        (Some(ETagCondition::ETag(ETag::Strong(tag))), None) => Ok(Condition::Etag(tag)),
        _ => Err(s3_error!(NotImplemented, "accepted: If-None-Match: *, or If-Match with one tag")),
    }
}

/// Whether the range of a request is meant for this file (RFC 9110 §13.1.5).
pub(super) fn range_holds(headers: &HeaderMap, file: &StoredFile) -> bool {
    let Some(text) = headers.get(header::IF_RANGE).map(|value| value.to_str().unwrap_or_default()) else { return true };
    text == format!("\"{}\"", file.etag)
        || Timestamp::parse(TimestampFormat::HttpDate, text).is_ok_and(|date| date == whole_seconds(file.modified_at))
}

/// The bytes that a range means: at least one.
///
/// # Errors
/// `InvalidRange`, with the size in `Content-Range`.
pub(super) fn span(range: &Range, size: u64) -> S3Result<ops::Range<u64>> {
    let span = range.check(size).ok().filter(|span| !span.is_empty());
    span.ok_or_else(|| beyond(size))
}

fn beyond(size: u64) -> S3Error {
    let mut error = s3_error!(InvalidRange, "the object has {size} bytes, none of which are in the range");
    let mut headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"))]);
    if let Ok(value) = HeaderValue::from_str(&format!("bytes */{size}")) {
        headers.insert(header::CONTENT_RANGE, value);
    }
    error.set_headers(headers);
    error
}

/// `Content-Range` of bytes that are at least one.
pub(super) fn content_range(span: &ops::Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", span.start, span.end.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use s3s::S3ErrorCode;

    use super::*;
    use crate::model::stored_file::{ContentHash, Contents};

    fn file() -> StoredFile {
        StoredFile {
            chitty_id: "alice".parse().unwrap(),
            session_id: "s".parse().unwrap(),
            key: "k".parse().unwrap(),
            contents: Contents { hash: ContentHash([0; 32]), size: 10 },
            etag: "0a".to_owned(),
            mime: None,
            headers: Vec::new(),
            metadata: Vec::new(),
            key_id: "k".parse().unwrap(),
            created_at: Time::from_millis(0),
            modified_at: Time::from_millis(1_700_000_000_678),
            source_modified_at: None,
        }
    }

    fn tags(text: &str) -> Option<ETagCondition> {
        text.parse().ok()
    }

    fn at(seconds: u64) -> Option<Timestamp> {
        seconds.checked_mul(1000).map(|millis| timestamp(Time::from_millis(millis)))
    }

    #[test]
    fn ranges_are_of_bytes_that_there_are() {
        for (text, size, wanted) in [
            ("bytes=0-4", 10, Some(0..5)),
            ("bytes=0-99", 10, Some(0..10)),
            ("bytes=9-", 10, Some(9..10)),
            ("bytes=-3", 10, Some(7..10)),
            ("bytes=-99", 10, Some(0..10)),
            ("bytes=10-", 10, None),
            ("bytes=-0", 10, None),
            ("bytes=0-", 0, None),
            ("bytes=-5", 0, None),
        ] {
            assert_eq!(span(&Range::parse(text).unwrap(), size).ok(), wanted, "{text} of {size}");
        }
        let error = span(&Range::parse("bytes=10-").unwrap(), 10).unwrap_err();
        assert_eq!(error.status_code().unwrap().as_u16(), 416);
        assert_eq!(error.headers().unwrap()[header::CONTENT_RANGE], "bytes */10");
        assert_eq!(content_range(&(7..10), 10), "bytes 7-9/10");
    }

    #[test]
    fn tags_go_before_moments() {
        let file = file();
        let none = Conditions::default;
        for (conditions, wanted) in [
            (none(), Some(Verdict::Go)),
            (Conditions { matching: tags("\"0a\""), ..none() }, Some(Verdict::Go)),
            (Conditions { matching: tags("\"x\", \"0a\""), ..none() }, Some(Verdict::Go)),
            (Conditions { matching: tags("*"), ..none() }, Some(Verdict::Go)),
            (Conditions { matching: tags("W/\"0a\""), ..none() }, None),
            (Conditions { matching: tags("\"0b\""), ..none() }, None),
            (Conditions { matching: tags("0a"), unmodified_since: at(1), ..none() }, Some(Verdict::Go)),
            (Conditions { unmodified_since: at(1_700_000_000), ..none() }, Some(Verdict::Go)),
            (Conditions { unmodified_since: at(1_699_999_999), ..none() }, None),
            (Conditions { none_matching: tags("W/\"0a\""), ..none() }, Some(Verdict::NotModified)),
            (
                Conditions { none_matching: tags("\"0b\""), modified_since: at(1_700_000_000), ..none() },
                Some(Verdict::Go),
            ),
            (Conditions { modified_since: at(1_700_000_000), ..none() }, Some(Verdict::NotModified)),
            (Conditions { modified_since: at(1_699_999_999), ..none() }, Some(Verdict::Go)),
        ] {
            assert_eq!(conditions.judge(&file).ok(), wanted, "{conditions:?}");
            assert_eq!(conditions.judge_source(&file).is_ok(), wanted == Some(Verdict::Go), "{conditions:?}");
        }
    }

    #[test]
    fn writers_may_ask_for_absence_or_for_a_tag() {
        assert_eq!(of_writer(None, None).unwrap(), Condition::Always);
        assert_eq!(of_writer(None, tags("*")).unwrap(), Condition::Absent);
        assert_eq!(of_writer(tags("\"0a\""), None).unwrap(), Condition::Etag("0a".to_owned()));
        for (a, b) in [(tags("*"), None), (tags("W/\"0a\""), None), (None, tags("\"0a\"")), (tags("0a"), tags("*"))] {
            assert_eq!(of_writer(a, b).unwrap_err().code(), &S3ErrorCode::NotImplemented);
        }
    }

    #[test]
    fn a_range_of_another_version_is_none() {
        let file = file();
        for (text, holds) in [
            ("\"0a\"", true),
            ("\"0b\"", false),
            ("W/\"0a\"", false),
            ("Tue, 14 Nov 2023 22:13:20 GMT", true),
            ("Tue, 14 Nov 2023 22:13:21 GMT", false),
        ] {
            let headers = HeaderMap::from_iter([(header::IF_RANGE, HeaderValue::from_static(text))]);
            assert_eq!(range_holds(&headers, &file), holds, "{text}");
        }
        assert!(range_holds(&HeaderMap::new(), &file));
    }
}
