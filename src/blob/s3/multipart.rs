//! Uploads in parts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, Checksum, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CompletedPart, CreateMultipartUploadInput, CreateMultipartUploadOutput, ETag,
    ListMultipartUploadsInput, ListMultipartUploadsOutput, ListPartsInput, ListPartsOutput, MultipartUpload,
    Part as ListedPart, UploadPartInput, UploadPartOutput,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};
use uuid::Uuid;

use super::checksum::Announced;
use super::condition::of_writer;
use super::list::{Encoding, limit, owner};
use super::meta::{Described, timestamp};
use super::{Answer, Endpoint, file_key, signed};
use crate::model::stored_file::StoredFile;
use crate::model::time::Time;
use crate::store::StoreError;
use crate::store::context::Place;
use crate::store::file::{MAX_PART_UPLOADS, MAX_PARTS, Part, PartUpload, UploadId};

/// How long the end of an upload may take before its client is told to wait: much less than clients wait by themselves.
const PATIENCE: Duration = Duration::from_secs(10);

impl Endpoint {
    pub(super) async fn begin(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> Answer<CreateMultipartUploadOutput> {
        let input = req.input;
        let key = file_key(&input.key)?;
        let described = Described::of(&req.headers, input.metadata)?;
        let asked = self.asked(&req.extensions, &input.bucket).await?;
        let id = UploadId(Uuid::new_v4().into_bytes());
        let upload = PartUpload {
            place: asked.place,
            id,
            key,
            mime: described.mime,
            headers: described.headers,
            metadata: described.metadata,
            key_id: asked.key.id.clone(),
            created_at: Time::now(),
        };
        self.files.store().begin_parts(upload).await?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            checksum_algorithm: input.checksum_algorithm,
            checksum_type: input.checksum_type,
            key: Some(input.key),
            upload_id: Some(text_of(id)),
            ..CreateMultipartUploadOutput::default()
        }))
    }

    pub(super) async fn write_part(&self, req: S3Request<UploadPartInput>) -> Answer<UploadPartOutput> {
        let input = req.input;
        let (id, number) = (upload_id(&input.upload_id)?, number(input.part_number)?);
        let key = file_key(&input.key)?;
        let announced = Announced::of(&req.headers, req.trailing_headers, input.body)?;
        let asked = self.asked(&req.extensions, &input.bucket).await?;
        let part = self.files.put_part(asked.writer(), (id, &key), number, announced.body, announced.expected).await?;
        let Checksum { checksum_crc32, checksum_crc32c, checksum_crc64nvme, checksum_sha1, checksum_sha256, .. } =
            announced.verified.take();
        Ok(S3Response::new(UploadPartOutput {
            checksum_crc32,
            checksum_crc32c,
            checksum_crc64nvme,
            checksum_sha1,
            checksum_sha256,
            e_tag: Some(ETag::Strong(hex::encode(part.md5))),
            ..UploadPartOutput::default()
        }))
    }

    /// An upload of a key, with its parts.
    async fn upload(&self, place: Place, id: UploadId, key: &str) -> S3Result<(PartUpload, Vec<Part>)> {
        let found = self.files.store().part_upload(place, id).await?;
        Ok(found.filter(|(upload, _)| upload.key.as_str() == key).ok_or(StoreError::NoSuchUpload)?)
    }

    pub(super) async fn parts(&self, req: S3Request<ListPartsInput>) -> Answer<ListPartsOutput> {
        let input = req.input;
        let (id, limit) = (upload_id(&input.upload_id)?, limit(input.max_parts)?);
        let after = input.part_number_marker.unwrap_or(0);
        let asked = self.asked(&req.extensions, &input.bucket).await?;
        let (_, parts) = self.upload(asked.place, id, &input.key).await?;
        let mut rest = parts.iter().filter(|part| i32::from(part.number) > after);
        let page: Vec<_> = rest.by_ref().take(usize::try_from(limit).unwrap_or(0)).map(listed).collect();
        let more = limit > 0 && rest.next().is_some();
        let last = page.last().and_then(|part| part.part_number);
        Ok(S3Response::new(ListPartsOutput {
            bucket: Some(input.bucket),
            is_truncated: Some(more),
            key: Some(input.key),
            max_parts: Some(limit),
            next_part_number_marker: last.filter(|_| more),
            owner: Some(owner(&asked.key)),
            part_number_marker: Some(after),
            parts: Some(page),
            upload_id: Some(input.upload_id),
            ..ListPartsOutput::default()
        }))
    }

    pub(super) async fn uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> Answer<ListMultipartUploadsOutput> {
        let input = req.input;
        let (limit, encoding) = (limit(input.max_uploads)?, Encoding::of(input.encoding_type.as_ref())?);
        if input.delimiter.as_deref().is_some_and(|delimiter| !delimiter.is_empty()) {
            return Err(s3_error!(NotImplemented, "uploads are listed one by one, without a delimiter"));
        }
        let asked = self.asked(&req.extensions, &input.bucket).await?;
        let mut all = self.files.store().part_uploads(asked.place, MAX_PART_UPLOADS).await?;
        all.sort_by(|a, b| (&a.key, a.id).cmp(&(&b.key, b.id)));
        let marker = Marker {
            key: input.key_marker.as_deref().unwrap_or_default(),
            upload: input.upload_id_marker.as_deref().unwrap_or_default(),
        };
        let prefix = input.prefix.as_deref().unwrap_or_default();
        let mut rest = all.iter().filter(|one| one.key.as_str().starts_with(prefix) && marker.is_before(one));
        let page: Vec<_> = rest.by_ref().take(usize::try_from(limit).unwrap_or(0)).collect();
        let more = limit > 0 && rest.next().is_some();
        let last = page.last().filter(|_| more);
        let told = |upload: &&PartUpload| MultipartUpload {
            initiated: Some(timestamp(upload.created_at)),
            key: Some(encoding.write(upload.key.to_string())),
            owner: Some(owner(&asked.key)),
            upload_id: Some(text_of(upload.id)),
            ..MultipartUpload::default()
        };
        Ok(S3Response::new(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            encoding_type: encoding.word(),
            is_truncated: Some(more),
            max_uploads: Some(limit),
            next_key_marker: last.map(|upload| encoding.write(upload.key.to_string())),
            next_upload_id_marker: last.map(|upload| text_of(upload.id)),
            uploads: Some(page.iter().map(told).collect()),
            key_marker: input.key_marker.map(|marker| encoding.write(marker)),
            prefix: input.prefix.map(|prefix| encoding.write(prefix)),
            upload_id_marker: input.upload_id_marker,
            ..ListMultipartUploadsOutput::default()
        }))
    }

    pub(super) async fn complete(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> Answer<CompleteMultipartUploadOutput> {
        let input = req.input;
        refuse_checksums(&input)?;
        let id = upload_id(&input.upload_id)?;
        let only_if = of_writer(input.if_match, input.if_none_match)?;
        let listed = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let parts = listed.into_iter().map(named).collect::<S3Result<Vec<_>>>()?;
        if parts.is_empty() {
            return Err(s3_error!(MalformedXML, "an upload ends with one part at least"));
        }
        let asked = self.asked(&req.extensions, &input.bucket).await?;
        let (_, there) = self.upload(asked.place.clone(), id, &input.key).await?;
        if let Some(size) = input.mpu_object_size {
            check_size(size, &parts, &there)?;
        }
        let (bucket, key) = (input.bucket, input.key);
        let answer = move |file: StoredFile| CompleteMultipartUploadOutput {
            location: Some(format!("/{bucket}/{key}")),
            bucket: Some(bucket),
            key: Some(key),
            e_tag: Some(ETag::Strong(file.etag)),
            ..CompleteMultipartUploadOutput::default()
        };
        let (files, writer) = (Arc::clone(&self.files), asked.writer());
        let mut end = Box::pin(async move { files.complete_parts(writer, id, parts, only_if).await });
        // Putting many parts together takes a while, and clients do not wait for ever: those are sent blanks meanwhile.
        match tokio::time::timeout(PATIENCE, &mut end).await {
            Ok(file) => Ok(S3Response::new(answer(file?))),
            Err(_) => Ok(S3Response::new(CompleteMultipartUploadOutput {
                future: Some(Box::pin(async move { Ok(answer(end.await?)) })),
                ..CompleteMultipartUploadOutput::default()
            })),
        }
    }

    pub(super) async fn abort(&self, req: S3Request<AbortMultipartUploadInput>) -> Answer<AbortMultipartUploadOutput> {
        let input = req.input;
        if input.if_match_initiated_time.is_some() {
            return Err(s3_error!(NotImplemented, "aborting knows no conditions"));
        }
        let id = upload_id(&input.upload_id)?;
        let asked = self.asked(&req.extensions, &input.bucket).await?;
        self.upload(asked.place.clone(), id, &input.key).await?;
        if self.files.abort_parts(asked.place, id).await? {
            return Ok(S3Response::new(AbortMultipartUploadOutput::default()));
        }
        Err(StoreError::NoSuchUpload.into())
    }
}

/// Where a list of uploads goes on.
struct Marker<'a> {
    key: &'a str,
    upload: &'a str,
}

impl Marker<'_> {
    /// Whether an upload is behind it: with no id, those of another key only.
    fn is_before(&self, upload: &PartUpload) -> bool {
        let key = upload.key.as_str();
        key > self.key || (key == self.key && !self.upload.is_empty() && *text_of(upload.id) > *self.upload)
    }
}

/// What clients call an upload: 32 hexadecimal digits.
fn text_of(id: UploadId) -> String {
    hex::encode(id.0)
}

/// The inverse of [`text_of`].
pub(super) fn upload_id(text: &str) -> S3Result<UploadId> {
    let mut id = [0; 16];
    hex::decode_to_slice(text, &mut id).map_err(|_| StoreError::NoSuchUpload)?;
    Ok(UploadId(id))
}

/// The number of a part.
pub(super) fn number(asked: i32) -> S3Result<u16> {
    let number = u16::try_from(asked).ok().filter(|number| (1..=MAX_PARTS).contains(number));
    number.ok_or_else(|| s3_error!(InvalidArgument, "the number of a part is 1 to {MAX_PARTS}"))
}

fn listed(part: &Part) -> ListedPart {
    ListedPart {
        e_tag: Some(ETag::Strong(hex::encode(part.md5))),
        last_modified: Some(timestamp(part.modified_at)),
        part_number: Some(i32::from(part.number)),
        size: Some(signed(part.size)),
        ..ListedPart::default()
    }
}

/// The part that a client means: its number and its MD5.
fn named(part: CompletedPart) -> S3Result<(u16, [u8; 16])> {
    let number = number(part.part_number.ok_or_else(|| s3_error!(MalformedXML, "a part has no number"))?)?;
    let mut md5 = [0; 16];
    let tag = part.e_tag.map(ETag::into_value).unwrap_or_default();
    hex::decode_to_slice(tag.trim_matches('"'), &mut md5)
        .map_err(|_| s3_error!(InvalidPart, "part {number} is not there, or is another one"))?;
    Ok((number, md5))
}

/// Checksums of all contents come too late here: nobody would compare them.
fn refuse_checksums(input: &CompleteMultipartUploadInput) -> S3Result<()> {
    let all = [
        &input.checksum_crc32,
        &input.checksum_crc32c,
        &input.checksum_crc64nvme,
        &input.checksum_sha1,
        &input.checksum_sha256,
    ];
    if all.iter().any(|sum| sum.is_some()) {
        return Err(s3_error!(NotImplemented, "checksums are compared of each part, not of all of them together"));
    }
    Ok(())
}

/// Whether the parts that are meant have so many bytes together.
fn check_size(size: i64, parts: &[(u16, [u8; 16])], there: &[Part]) -> S3Result<()> {
    let sizes: HashMap<u16, u64> = there.iter().map(|part| (part.number, part.size)).collect();
    let found = parts.iter().filter_map(|(number, _)| sizes.get(number)).sum::<u64>();
    if u64::try_from(size) == Ok(found) {
        return Ok(());
    }
    Err(s3_error!(InvalidRequest, "the parts have {found} bytes together; {size} were announced"))
}

#[cfg(test)]
mod tests {
    use s3s::S3ErrorCode;

    use super::*;

    #[test]
    fn an_upload_is_known_by_its_digits() {
        let id = UploadId([0xab; 16]);
        assert_eq!(upload_id(&text_of(id)).unwrap(), id);
        for bad in ["", "ab", "../..", &"zz".repeat(16)] {
            assert_eq!(upload_id(bad).unwrap_err().code(), &S3ErrorCode::NoSuchUpload, "{bad}");
        }
    }

    #[test]
    fn parts_are_meant_by_number_and_tag() {
        let part = |number, tag: &str| {
            named(CompletedPart {
                e_tag: Some(ETag::Strong(tag.to_owned())),
                part_number: Some(number),
                ..CompletedPart::default()
            })
        };
        assert_eq!(part(1, &"0f".repeat(16)).unwrap(), (1, [0x0f; 16]));
        assert_eq!(part(1, "x").unwrap_err().code(), &S3ErrorCode::InvalidPart);
        for number in [0, -1, 10_001, 65_537] {
            assert_eq!(part(number, &"0f".repeat(16)).unwrap_err().code(), &S3ErrorCode::InvalidArgument, "{number}");
        }
        assert_eq!(named(CompletedPart::default()).unwrap_err().code(), &S3ErrorCode::MalformedXML);
    }

    #[test]
    fn the_size_is_that_of_the_parts_that_are_meant() {
        let part = |number, size| Part { number, nonce: 0, size, md5: [0; 16], modified_at: Time::from_millis(0) };
        let there = [part(1, 5), part(2, 7), part(3, 9)];
        assert!(check_size(14, &[(1, [0; 16]), (3, [0; 16])], &there).is_ok());
        for wrong in [21, 0, -1] {
            assert!(check_size(wrong, &[(1, [0; 16]), (3, [0; 16])], &there).is_err());
        }
    }
}
