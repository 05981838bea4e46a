//! What is wrong with a request concerning files (CONTRACT.md §4).

use http::StatusCode;

use super::{OVERLOAD_RETRY_AFTER, Problem};
use crate::blob::FileError;
use crate::telemetry::describe;

impl Problem {
    /// 400: the body of a request for a token is no JSON.
    #[must_use]
    pub fn presign_failed(message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "presign_failed", message)
    }

    /// 400: the body of a direct upload is no JSON, or its contents are no base64.
    #[must_use]
    pub fn upload_failed(message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "upload_failed", message)
    }

    /// 401: a token that is none of ours, or is over, or was used.
    #[must_use]
    pub fn invalid_token() -> Self {
        let message = "the token is not known, has expired, has been used, or its key is let in no more";
        Self::new(StatusCode::UNAUTHORIZED, "invalid_or_expired_token", message)
    }

    /// 404: the caller has no such file.
    #[must_use]
    pub fn file_not_found() -> Self {
        Self::not_found("the caller has no such file")
    }

    /// 416: nothing of what was asked for is in the file.
    #[must_use]
    pub fn range_not_satisfiable(size: u64) -> Self {
        let message = format!("Range: accepted: one range of the file's {size} bytes");
        Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", message)
    }

    /// 412: the file is not as the request wants it.
    #[must_use]
    pub fn file_precondition_failed() -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", "the file is another one by now")
    }

    /// 400: a file is not as large as was said.
    #[must_use]
    pub fn size_mismatch(expected: u64, found: u64) -> Self {
        let message = format!("the contents have {found} bytes; {expected} were said");
        Self::new(StatusCode::BAD_REQUEST, "size_mismatch", message)
    }

    /// 413: a direct upload, whose body is held in memory, is too large.
    #[must_use]
    pub fn direct_upload_too_large(limit: usize) -> Self {
        let message =
            format!("a direct upload may have {limit} bytes at the most; larger files: POST /api/files/presign");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    }
}

impl From<FileError> for Problem {
    fn from(error: FileError) -> Self {
        let message = error.to_string();
        match error {
            FileError::TooLarge(_) => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message),
            FileError::Size { expected, found } if found > expected => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
            }
            FileError::Size { .. } => Self::new(StatusCode::BAD_REQUEST, "size_mismatch", message),
            FileError::Hash { .. } => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "sha256_mismatch", message),
            FileError::Md5 | FileError::Check(_) => Self::new(StatusCode::BAD_REQUEST, "checksum_mismatch", message),
            FileError::BrokeOff(_) | FileError::InvalidPart(_) | FileError::PartOrder | FileError::PartTooSmall(_) => {
                Self::bad_request(message)
            }
            FileError::Store(error) => error.into(),
            FileError::NoRoom(error) => {
                tracing::error!(error = describe(&error), "there is no room for contents");
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "no_room", message)
            }
            FileError::Unavailable(error) => {
                tracing::error!(error = describe(&error), "contents cannot be read or written");
                Self {
                    retry_after: Some(OVERLOAD_RETRY_AFTER),
                    ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "files_unavailable", message)
                }
            }
            FileError::Lost => Self::internal(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_lie_are_told_apart() {
        let size = |expected, found| Problem::from(FileError::Size { expected, found });
        assert_eq!((size(4, 5).status.as_u16(), size(4, 5).word), (413, "body_too_large"));
        assert_eq!((size(4, 3).status.as_u16(), size(4, 3).word), (400, "size_mismatch"));
    }
}
