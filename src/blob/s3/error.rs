//! What goes wrong, as S3 clients know it: a code, and a message that names what they sent and nothing from inside.

use http::StatusCode;
use s3s::{S3Error, S3ErrorCode, s3_error};

use super::super::{BodyError, FileError};
use super::chunk;
use crate::model::stored_file::{FileKeyError, MAX_FILE_KEY};
use crate::store::StoreError;
use crate::telemetry::describe;

/// The code of a body that is not the one that was signed; s3s does not know it.
const HASH_MISMATCH: &str = "XAmzContentSHA256Mismatch";

/// The code of an answer that is an error with a body, for the access log.
pub(super) fn code_of(response: &http::Response<s3s::Body>) -> Option<String> {
    if response.status().as_u16() < 400 {
        return None;
    }
    let body = response.body().bytes()?;
    let (_, rest) = std::str::from_utf8(&body).ok()?.split_once("<Code>")?;
    Some(rest.split_once("</Code>")?.0.to_owned())
}

impl From<FileError> for S3Error {
    fn from(error: FileError) -> Self {
        match error {
            FileError::TooLarge(_) => s3_error!(EntityTooLarge, "{error}"),
            FileError::Size { expected, found } if found < expected => s3_error!(IncompleteBody, "{error}"),
            FileError::Size { .. } => s3_error!(InvalidRequest, "{error}"),
            FileError::Hash { .. } => coded(HASH_MISMATCH, StatusCode::BAD_REQUEST, error.to_string()),
            FileError::Md5 | FileError::Check(_) => s3_error!(BadDigest, "{error}"),
            FileError::BrokeOff(cause) => of_body(&cause),
            FileError::InvalidPart(_) => s3_error!(InvalidPart, "{error}"),
            FileError::PartOrder => s3_error!(InvalidPartOrder, "{error}"),
            FileError::PartTooSmall(_) => s3_error!(EntityTooSmall, "{error}"),
            FileError::Store(error) => error.into(),
            FileError::NoRoom(_) => {
                tracing::error!(error = %describe(&error), "no room for what came by S3");
                coded("InsufficientStorage", StatusCode::INSUFFICIENT_STORAGE, "there is no room for the contents")
            }
            FileError::Unavailable(_) => {
                tracing::error!(error = %describe(&error), "a request of S3 failed");
                s3_error!(ServiceUnavailable, "contents cannot be reached at the moment")
            }
            // Said in the log where it was found.
            FileError::Lost => s3_error!(InternalError, "the contents of the object are not in their place"),
        }
    }
}

impl From<StoreError> for S3Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoSuchFile => s3_error!(NoSuchKey, "no object of this bucket has this key"),
            StoreError::NoSuchUpload => {
                s3_error!(NoSuchUpload, "no upload of this bucket has this id, or it has ended")
            }
            StoreError::NoSuchSession => s3_error!(NoSuchBucket, "no session has this name"),
            StoreError::ConditionFailed => s3_error!(PreconditionFailed, "{error}"),
            StoreError::BucketNotEmpty => s3_error!(BucketNotEmpty, "{error}"),
            StoreError::QuotaExceeded { .. } => coded("QuotaExceeded", StatusCode::FORBIDDEN, error.to_string()),
            StoreError::TooManyStoredFiles(_) | StoreError::TooManyFiles(_) => {
                coded("TooManyObjects", StatusCode::FORBIDDEN, error.to_string())
            }
            StoreError::TooManyBuckets(_) => s3_error!(TooManyBuckets, "{error}"),
            StoreError::TooManyUploads(_) => coded("TooManyUploads", StatusCode::FORBIDDEN, error.to_string()),
            StoreError::SessionFull(_) => coded("BucketFull", StatusCode::FORBIDDEN, error.to_string()),
            StoreError::Unavailable(_) => {
                tracing::error!(%error, "a request of S3 failed");
                s3_error!(ServiceUnavailable, "the store cannot be used at the moment")
            }
            // Nothing that S3 asks for is answered with these.
            StoreError::NoSuchTask
            | StoreError::InvalidTransition(_)
            | StoreError::VersionMismatch(_)
            | StoreError::NoSuchParent
            | StoreError::TooManySubtasks(_)
            | StoreError::OnceReused
            | StoreError::NoSuchKey
            | StoreError::KeyExists
            | StoreError::KeyNotActive
            | StoreError::NameTaken
            | StoreError::NoSuchRegistration
            | StoreError::TooManyRegistrations(_)
            | StoreError::SessionExists
            | StoreError::TokenUsed => {
                tracing::error!(%error, "the store answered a request of S3 with an error of another operation");
                s3_error!(InternalError, "the request could not be done")
            }
        }
    }
}

/// Why a text is not the key of an object.
pub(super) fn of_key(why: &FileKeyError) -> S3Error {
    match why {
        FileKeyError::Length(length) if *length > MAX_FILE_KEY => {
            s3_error!(KeyTooLongError, "the key is too long: {why}")
        }
        why => s3_error!(InvalidArgument, "the key is not accepted: {why}"),
    }
}

/// What a body broke off with. The checks of s3s on bodies have types that it does not tell, only words.
fn of_body(cause: &BodyError) -> S3Error {
    let words = describe(&**cause);
    let says = |word: &str| words.contains(word);
    if says(chunk::TOO_LARGE) {
        s3_error!(InvalidRequest, "{}; accepted: smaller chunks", chunk::TOO_LARGE)
    } else if says("Sha256Mismatch") {
        coded(HASH_MISMATCH, StatusCode::BAD_REQUEST, "the body has another SHA-256 than x-amz-content-sha256 says")
    } else if says("SignatureMismatch") {
        s3_error!(SignatureDoesNotMatch, "a chunk of the body is not signed as it should be")
    } else if says("LengthMismatch") {
        s3_error!(InvalidRequest, "the body has more bytes than were announced")
    } else if says("AwsChunkedStreamError") && !says("Incomplete") && !says("Underlying") {
        s3_error!(InvalidRequest, "the body is not in chunks as aws-chunked has them")
    } else {
        s3_error!(IncompleteBody, "the body broke off")
    }
}

/// An error that S3 has no code for.
fn coded(code: &'static str, status: StatusCode, message: impl Into<std::borrow::Cow<'static, str>>) -> S3Error {
    let mut error = S3Error::with_message(S3ErrorCode::Custom(code.into()), message);
    error.set_status_code(status);
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::stored_file::ContentHash;

    fn of(error: impl Into<S3Error>) -> (String, u16, String) {
        let error = error.into();
        let status = error.status_code().unwrap().as_u16();
        (error.code().as_str().to_owned(), status, error.message().unwrap_or_default().to_owned())
    }

    #[test]
    fn each_error_has_the_code_that_clients_act_on() {
        let hash = ContentHash([0; 32]);
        for (error, code, status) in [
            (FileError::TooLarge(5), "EntityTooLarge", 400),
            (FileError::Size { expected: 2, found: 1 }, "IncompleteBody", 400),
            (FileError::Size { expected: 1, found: 2 }, "InvalidRequest", 400),
            (FileError::Hash { expected: hash, found: hash }, "XAmzContentSHA256Mismatch", 400),
            (FileError::Md5, "BadDigest", 400),
            (FileError::Check("x".to_owned()), "BadDigest", 400),
            (FileError::BrokeOff("AwsChunkedStreamError: SignatureMismatch".into()), "SignatureDoesNotMatch", 403),
            (FileError::BrokeOff("AwsChunkedStreamError: FormatError".into()), "InvalidRequest", 400),
            (FileError::BrokeOff("UploadStreamError: Sha256Mismatch".into()), "XAmzContentSHA256Mismatch", 400),
            (FileError::BrokeOff("gone".into()), "IncompleteBody", 400),
            (FileError::InvalidPart(3), "InvalidPart", 400),
            (FileError::PartOrder, "InvalidPartOrder", 400),
            (FileError::PartTooSmall(1), "EntityTooSmall", 400),
            (FileError::Store(StoreError::NoSuchFile), "NoSuchKey", 404),
            (FileError::Store(StoreError::NoSuchUpload), "NoSuchUpload", 404),
            (FileError::Store(StoreError::ConditionFailed), "PreconditionFailed", 412),
            (FileError::Store(StoreError::QuotaExceeded { asked: 9, left: 7 }), "QuotaExceeded", 403),
            (FileError::Store(StoreError::TooManyStoredFiles(1)), "TooManyObjects", 403),
            (FileError::Store(StoreError::Unavailable("/secret".into())), "ServiceUnavailable", 503),
        ] {
            let text = error.to_string();
            let (found, found_status, message) = of(error);
            assert_eq!((&*found, found_status), (code, status), "{text}");
            assert!(!message.contains("secret"), "{message}");
        }
        let room = object_store::Error::NotImplemented { operation: "x".into(), implementer: "/secret".into() };
        assert_eq!(of(FileError::NoRoom(room)).1, 507);
        assert!(of(StoreError::QuotaExceeded { asked: 9, left: 7 }).2.contains("7 bytes are left"));
    }

    #[test]
    fn a_key_that_is_none_says_why() {
        assert_eq!(of_key(&FileKeyError::Length(1025)).code(), &S3ErrorCode::KeyTooLongError);
        let error = of_key(&FileKeyError::Dots);
        assert_eq!(error.code(), &S3ErrorCode::InvalidArgument);
        assert!(error.message().unwrap().contains("`..`"));
    }
}
