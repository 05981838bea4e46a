//! Objects: read, written, deleted.

use futures::TryStreamExt;
use http::StatusCode;
use http_body::Frame;
use http_body_util::StreamBody;
use s3s::dto::{
    Checksum, ChecksumMode, ChecksumType, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput,
    DeleteObjectsOutput, DeletedObject, ETag, Error, GetObjectInput, GetObjectOutput, GetObjectTaggingInput,
    GetObjectTaggingOutput, HeadObjectInput, HeadObjectOutput, PutObjectInput, PutObjectOutput, Range, StreamingBlob,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::super::{Body, Facts};
use super::checksum::Announced;
use super::condition::{Conditions, Verdict, content_range, of_writer, range_holds, span};
use super::meta::{Described, shown, without_body};
use super::{Answer, Endpoint, file_key, signed, the_only_version, with_status};
use crate::model::stored_file::{FileKey, StoredFile};
use crate::store::file::Arrival;

/// Objects that one request may delete.
const MAX_DELETED: usize = 1000;

/// What of an object is asked for.
struct Wanted {
    conditions: Conditions,
    range: Option<Range>,
    checksum: bool,
}

/// What of an object is told.
struct Told {
    verdict: Verdict,
    output: GetObjectOutput,
    start: u64,
    end: u64,
}

impl Wanted {
    /// What is told of a file, and which bytes of it.
    fn of(self, file: &StoredFile) -> S3Result<Told> {
        let verdict = self.conditions.judge(file)?;
        let size = file.contents.size;
        let mut told = Told { verdict, output: shown(file), start: 0, end: size };
        if verdict == Verdict::NotModified {
            told.output.content_length = None;
            return Ok(told);
        }
        if let Some(range) = self.range {
            let span = span(&range, size)?;
            told.output.content_length = Some(signed(span.end - span.start));
            told.output.content_range = Some(content_range(&span, size));
            (told.start, told.end) = (span.start, span.end);
        } else if self.checksum {
            told.output.checksum_sha256 = Some(BASE64_STANDARD.encode(file.contents.hash.0));
            told.output.checksum_type = Some(ChecksumType::from_static(ChecksumType::FULL_OBJECT));
        }
        Ok(told)
    }
}

impl Endpoint {
    pub(super) async fn read(&self, req: S3Request<GetObjectInput>) -> Answer<GetObjectOutput> {
        let input = req.input;
        the_only_version(input.version_id.as_deref())?;
        refuse_part(input.part_number)?;
        let asked = self.asked(&req.extensions, &input.bucket).await?;
        let file = self.file(asked.place, file_key(&input.key)?).await?;
        let wanted = Wanted {
            conditions: Conditions {
                matching: input.if_match,
                none_matching: input.if_none_match,
                modified_since: input.if_modified_since,
                unmodified_since: input.if_unmodified_since,
            },
            range: input.range.filter(|_| range_holds(&req.headers, &file)),
            checksum: is_enabled(input.checksum_mode.as_ref()),
        };
        let Told { verdict, mut output, start, end } = wanted.of(&file)?;
        if verdict == Verdict::NotModified {
            return Ok(with_status(output, StatusCode::NOT_MODIFIED));
        }
        output.body = Some(blob(self.files.open(&file, start, end).await?));
        Ok(S3Response::new(output))
    }

    pub(super) async fn look(&self, req: S3Request<HeadObjectInput>) -> Answer<HeadObjectOutput> {
        let input = req.input;
        the_only_version(input.version_id.as_deref())?;
        refuse_part(input.part_number)?;
        let asked = self.asked(&req.extensions, &input.bucket).await?;
        let file = self.file(asked.place, file_key(&input.key)?).await?;
        let wanted = Wanted {
            conditions: Conditions {
                matching: input.if_match,
                none_matching: input.if_none_match,
                modified_since: input.if_modified_since,
                unmodified_since: input.if_unmodified_since,
            },
            range: input.range.filter(|_| range_holds(&req.headers, &file)),
            checksum: is_enabled(input.checksum_mode.as_ref()),
        };
        let told = wanted.of(&file)?;
        let mut output = without_body(told.output);
        output.cache_control = input.response_cache_control.or(output.cache_control);
        output.content_disposition = input.response_content_disposition.or(output.content_disposition);
        output.content_encoding = input.response_content_encoding.or(output.content_encoding);
        output.content_language = input.response_content_language.or(output.content_language);
        output.content_type = input.response_content_type.or(output.content_type);
        let status = match (told.verdict, output.content_range.is_some()) {
            (Verdict::NotModified, _) => StatusCode::NOT_MODIFIED,
            (Verdict::Go, true) => StatusCode::PARTIAL_CONTENT,
            (Verdict::Go, false) => StatusCode::OK,
        };
        Ok(with_status(output, status))
    }

    pub(super) async fn tags(&self, req: S3Request<GetObjectTaggingInput>) -> Answer<GetObjectTaggingOutput> {
        the_only_version(req.input.version_id.as_deref())?;
        let asked = self.asked(&req.extensions, &req.input.bucket).await?;
        self.file(asked.place, file_key(&req.input.key)?).await?;
        Ok(S3Response::new(GetObjectTaggingOutput::default()))
    }

    pub(super) async fn write(&self, req: S3Request<PutObjectInput>) -> Answer<PutObjectOutput> {
        let input = req.input;
        let key = file_key(&input.key)?;
        let only_if = of_writer(input.if_match, input.if_none_match)?;
        let described = Described::of(&req.headers, input.metadata)?;
        let announced = Announced::of(&req.headers, req.trailing_headers, input.body)?;
        let asked = self.asked(&req.extensions, &input.bucket).await?;
        let facts = Facts {
            key,
            source_modified_at: described.source_modified_at(),
            given_name: None,
            mime: described.mime,
            headers: described.headers,
            metadata: described.metadata,
            how: Arrival::S3,
            only_if,
        };
        let file = self.files.put(asked.writer(), facts, announced.body, announced.expected).await?;
        let Checksum { checksum_crc32, checksum_crc32c, checksum_crc64nvme, checksum_sha1, checksum_sha256, .. } =
            announced.verified.take();
        Ok(S3Response::new(PutObjectOutput {
            checksum_crc32,
            checksum_crc32c,
            checksum_crc64nvme,
            checksum_sha1,
            checksum_sha256,
            e_tag: Some(ETag::Strong(file.etag)),
            ..PutObjectOutput::default()
        }))
    }

    pub(super) async fn remove(&self, req: S3Request<DeleteObjectInput>) -> Answer<DeleteObjectOutput> {
        let input = req.input;
        the_only_version(input.version_id.as_deref())?;
        if input.if_match.is_some() || input.if_match_last_modified_time.is_some() || input.if_match_size.is_some() {
            return Err(s3_error!(NotImplemented, "deleting knows no conditions"));
        }
        let key = file_key(&input.key)?;
        let asked = self.asked(&req.extensions, &input.bucket).await?;
        self.files.delete(asked.place, vec![key], true).await?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    pub(super) async fn remove_many(&self, req: S3Request<DeleteObjectsInput>) -> Answer<DeleteObjectsOutput> {
        let asked = self.asked(&req.extensions, &req.input.bucket).await?;
        let delete = req.input.delete;
        if !(1..=MAX_DELETED).contains(&delete.objects.len()) {
            return Err(s3_error!(MalformedXML, "a request deletes 1 to {MAX_DELETED} objects"));
        }
        let mut keys = Vec::with_capacity(delete.objects.len());
        let mut refused = Vec::new();
        for object in delete.objects {
            let conditions = object.e_tag.is_some() || object.last_modified_time.is_some() || object.size.is_some();
            let key = match the_only_version(object.version_id.as_deref()).and_then(|()| file_key(&object.key)) {
                Ok(_) if conditions => Err(s3_error!(NotImplemented, "deleting knows no conditions")),
                other => other,
            };
            match key {
                Ok(key) => keys.push(key),
                Err(error) => refused.push(Error {
                    code: Some(error.code().as_str().to_owned()),
                    key: Some(object.key),
                    message: error.message().map(str::to_owned),
                    version_id: object.version_id,
                }),
            }
        }
        let deleted = |key: &FileKey| DeletedObject { key: Some(key.to_string()), ..DeletedObject::default() };
        let quiet = delete.quiet == Some(true);
        let deleted = Some(keys.iter().map(deleted).collect()).filter(|_| !quiet);
        if !keys.is_empty() {
            self.files.delete(asked.place, keys, true).await?;
        }
        let errors = Some(refused).filter(|refused| !refused.is_empty());
        Ok(S3Response::new(DeleteObjectsOutput { deleted, errors, request_charged: None }))
    }
}

fn is_enabled(mode: Option<&ChecksumMode>) -> bool {
    mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED)
}

fn refuse_part(number: Option<i32>) -> S3Result<()> {
    match number {
        None => Ok(()),
        Some(_) => Err(s3_error!(NotImplemented, "objects are not read by part; accepted: Range")),
    }
}

/// Contents on their way out.
fn blob(body: Body) -> StreamingBlob {
    s3s::Body::http_body_unsync(StreamBody::new(body.map_ok(Frame::data))).into()
}
