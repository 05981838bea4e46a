//! Copies: what a client has of one object written under another key, or under the same with other metadata.

use http::Extensions;
use s3s::dto::{
    CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopyPartResult, CopySource, ETag, MetadataDirective, Range,
    UploadPartCopyInput, UploadPartCopyOutput,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::super::{Expected, Facts, FileError};
use super::condition::{Conditions, span};
use super::meta::{Described, timestamp};
use super::multipart::{number, upload_id};
use super::{Answer, Endpoint, file_key, the_only_version};
use crate::model::stored_file::StoredFile;
use crate::store::StoreError;
use crate::store::file::{Arrival, Condition};

impl Endpoint {
    /// The object that is copied.
    async fn source(&self, extensions: &Extensions, source: CopySource) -> S3Result<StoredFile> {
        let (bucket, key) = read_source(source)?;
        let asked = self.asked(extensions, &bucket).await?;
        self.file(asked.place, file_key(&key)?).await
    }

    pub(super) async fn copy(&self, req: S3Request<CopyObjectInput>) -> Answer<CopyObjectOutput> {
        let input = req.input;
        let key = file_key(&input.key)?;
        let asked = self.asked(&req.extensions, &input.bucket).await?;
        let source = self.source(&req.extensions, input.copy_source).await?;
        let conditions = Conditions {
            matching: input.copy_source_if_match,
            none_matching: input.copy_source_if_none_match,
            modified_since: input.copy_source_if_modified_since,
            unmodified_since: input.copy_source_if_unmodified_since,
        };
        conditions.judge_source(&source)?;
        let replaces = replaces(input.metadata_directive.as_ref())?;
        let onto_itself = source.session_id == asked.place.session_id && source.key == key;
        if onto_itself && !replaces {
            return Err(s3_error!(InvalidRequest, "an object is copied onto itself only with other metadata: REPLACE"));
        }
        let described =
            if replaces { Described::of(&req.headers, input.metadata)? } else { Described::of_file(&source) };
        let source_modified_at = described.source_modified_at().or(source.source_modified_at.filter(|_| !replaces));
        // What somebody else has written there in the meantime is not to be lost to new metadata.
        let only_if = if onto_itself { Condition::Etag(source.etag.clone()) } else { Condition::Always };
        let facts = Facts {
            key,
            source_modified_at,
            given_name: None,
            mime: described.mime,
            headers: described.headers,
            metadata: described.metadata,
            how: Arrival::S3,
            only_if,
        };
        let file = match self.files.copy(asked.writer(), facts, &source).await {
            Err(FileError::Store(StoreError::ConditionFailed)) => {
                return Err(s3_error!(OperationAborted, "the object was written by somebody else in the meantime"));
            }
            other => other?,
        };
        let result = CopyObjectResult {
            e_tag: Some(ETag::Strong(file.etag)),
            last_modified: Some(timestamp(file.modified_at)),
            ..CopyObjectResult::default()
        };
        Ok(S3Response::new(CopyObjectOutput { copy_object_result: Some(result), ..CopyObjectOutput::default() }))
    }

    pub(super) async fn copy_part(&self, req: S3Request<UploadPartCopyInput>) -> Answer<UploadPartCopyOutput> {
        let input = req.input;
        let (upload, number) = (upload_id(&input.upload_id)?, number(input.part_number)?);
        let key = file_key(&input.key)?;
        let asked = self.asked(&req.extensions, &input.bucket).await?;
        let source = self.source(&req.extensions, input.copy_source).await?;
        let conditions = Conditions {
            matching: input.copy_source_if_match,
            none_matching: input.copy_source_if_none_match,
            modified_since: input.copy_source_if_modified_since,
            unmodified_since: input.copy_source_if_unmodified_since,
        };
        conditions.judge_source(&source)?;
        let bytes = match input.copy_source_range.as_deref() {
            None | Some("") => 0..source.contents.size,
            Some(text) => inside(text, source.contents.size)?,
        };
        let body = self.files.open(&source, bytes.start, bytes.end).await?;
        let expected = Expected { size: Some(bytes.end - bytes.start), ..Expected::default() };
        let part = self.files.put_part(asked.writer(), (upload, &key), number, body, expected).await?;
        let result = CopyPartResult {
            e_tag: Some(ETag::Strong(hex::encode(part.md5))),
            last_modified: Some(timestamp(part.modified_at)),
            ..CopyPartResult::default()
        };
        Ok(S3Response::new(UploadPartCopyOutput { copy_part_result: Some(result), ..UploadPartCopyOutput::default() }))
    }
}

/// The bucket and the key that a source names; s3s has decoded it.
fn read_source(source: CopySource) -> S3Result<(Box<str>, Box<str>)> {
    match source {
        CopySource::Bucket { bucket, key, version_id } => {
            the_only_version(version_id.as_deref())?;
            Ok((bucket, key))
        }
        CopySource::AccessPoint { .. } | CopySource::Outpost { .. } => {
            Err(s3_error!(NotImplemented, "x-amz-copy-source is not a bucket and a key"))
        }
    }
}

/// Whether the copy has metadata of its own.
fn replaces(directive: Option<&MetadataDirective>) -> S3Result<bool> {
    match directive.map(MetadataDirective::as_str) {
        None | Some("" | MetadataDirective::COPY) => Ok(false),
        Some(MetadataDirective::REPLACE) => Ok(true),
        Some(_) => Err(s3_error!(InvalidArgument, "x-amz-metadata-directive is neither COPY nor REPLACE")),
    }
}

/// The bytes of a range of a source, which has all of them.
fn inside(text: &str, size: u64) -> S3Result<std::ops::Range<u64>> {
    let range = Range::parse(text).ok().filter(|range| matches!(range, Range::Int { last: Some(_), .. }));
    let range = range.ok_or_else(|| s3_error!(InvalidArgument, "x-amz-copy-source-range is not bytes=first-last"))?;
    match range {
        Range::Int { last: Some(last), .. } if last >= size => {
            Err(s3_error!(InvalidRange, "the source has {size} bytes, not all of those in the range"))
        }
        range => span(&range, size),
    }
}

#[cfg(test)]
mod tests {
    use s3s::S3ErrorCode;

    use super::*;

    #[test]
    fn a_source_is_a_bucket_and_a_key() {
        for (text, wanted) in [
            ("abc/a%20b/%C3%A4", Some(("abc", "a b/ä"))),
            ("/abc/k", Some(("abc", "k"))),
            ("abc/a+b?versionId=null", Some(("abc", "a+b"))),
            ("abc/k?versionId=3", None),
            ("arn:aws:s3:us-east-1:123456789012:accesspoint/abc/object/k", None),
        ] {
            let found = read_source(CopySource::parse(text).unwrap()).ok();
            assert_eq!(found.as_ref().map(|(bucket, key)| (&**bucket, &**key)), wanted, "{text}");
        }
    }

    #[test]
    fn a_part_is_copied_from_bytes_that_there_are() {
        assert_eq!(inside("bytes=2-9", 10).unwrap(), 2..10);
        for (text, code) in [
            ("bytes=2-10", S3ErrorCode::InvalidRange),
            ("bytes=2-", S3ErrorCode::InvalidArgument),
            ("bytes=-2", S3ErrorCode::InvalidArgument),
            ("2-9", S3ErrorCode::InvalidArgument),
        ] {
            assert_eq!(inside(text, 10).unwrap_err().code(), &code, "{text}");
        }
    }

    #[test]
    fn metadata_are_copied_unless_they_are_replaced() {
        let of = |word: &'static str| replaces(Some(&MetadataDirective::from_static(word)));
        assert!(!replaces(None).unwrap() && !of("COPY").unwrap() && of("REPLACE").unwrap() && of("x").is_err());
    }
}
