//! Lists of objects, in both of the ways in which S3 is asked for them.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{
    CommonPrefix, ETag, EncodingType, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output,
    Object, ObjectStorageClass, Owner,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::meta::timestamp;
use super::{Answer, Endpoint, signed};
use crate::model::key::Key;
use crate::model::stored_file::StoredFile;
use crate::store::context::Place;
use crate::store::file::{Listed, StoredPage, StoredQuery};

/// Entries of one answer at the most, and where the client does not say how many.
pub(super) const MAX_ENTRIES: i32 = 1000;
/// What `encoding-type=url` leaves as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// Whose everything is that a key sees.
pub(super) fn owner(key: &Key) -> Owner {
    Owner { display_name: Some(key.chitty_id.to_string()), id: Some(key.chitty_id.to_string()) }
}

/// How keys are written.
#[derive(Clone, Copy)]
pub(super) struct Encoding(bool);

impl Encoding {
    pub(super) fn of(asked: Option<&EncodingType>) -> S3Result<Self> {
        match asked.map(EncodingType::as_str) {
            None | Some("") => Ok(Self(false)),
            Some(EncodingType::URL) => Ok(Self(true)),
            Some(_) => Err(s3_error!(InvalidArgument, "encoding-type is not url")),
        }
    }

    pub(super) fn write(self, text: String) -> String {
        if self.0 { utf8_percent_encode(&text, PLAIN).to_string() } else { text }
    }

    pub(super) fn word(self) -> Option<EncodingType> {
        self.0.then(|| EncodingType::from_static(EncodingType::URL))
    }
}

/// Some objects and common beginnings, as S3's messages have them.
struct Entries {
    objects: Vec<Object>,
    common: Vec<CommonPrefix>,
    next: Option<String>,
}

impl Entries {
    fn of(page: StoredPage, encoding: Encoding, owner: Option<&Owner>) -> Self {
        let mut entries = Self { objects: Vec::new(), common: Vec::new(), next: page.next };
        for entry in page.entries {
            match entry {
                Listed::File(file) => entries.objects.push(object(*file, encoding, owner.cloned())),
                Listed::Common(text) => entries.common.push(CommonPrefix { prefix: Some(encoding.write(text)) }),
            }
        }
        entries
    }

    fn count(&self) -> i32 {
        i32::try_from(self.objects.len() + self.common.len()).unwrap_or(MAX_ENTRIES)
    }
}

fn object(file: StoredFile, encoding: Encoding, owner: Option<Owner>) -> Object {
    Object {
        e_tag: Some(ETag::Strong(file.etag)),
        key: Some(encoding.write(file.key.to_string())),
        last_modified: Some(timestamp(file.modified_at)),
        owner,
        size: Some(signed(file.contents.size)),
        storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
        ..Object::default()
    }
}

impl Endpoint {
    /// Some objects of a bucket. None are looked for where none are wanted.
    async fn page(
        &self,
        place: Place,
        prefix: Option<&str>,
        delimiter: Option<&str>,
        after: Option<String>,
        limit: i32,
    ) -> S3Result<StoredPage> {
        let limit = usize::try_from(limit).unwrap_or(0);
        if limit == 0 {
            return Ok(StoredPage::default());
        }
        let query = StoredQuery {
            place,
            prefix: prefix.unwrap_or_default().to_owned(),
            after: after.filter(|after| !after.is_empty()),
            delimiter: delimiter.filter(|delimiter| !delimiter.is_empty()).map(str::to_owned),
            limit,
        };
        Ok(self.files.store().list_stored(query).await?)
    }

    pub(super) async fn list(&self, req: S3Request<ListObjectsV2Input>) -> Answer<ListObjectsV2Output> {
        let input = req.input;
        let (limit, encoding) = (limit(input.max_keys)?, Encoding::of(input.encoding_type.as_ref())?);
        let token = input.continuation_token.filter(|token| !token.is_empty());
        let after = match &token {
            Some(token) => Some(read_token(token)?),
            None => input.start_after.clone(),
        };
        let asked = self.asked(&req.extensions, &input.bucket).await?;
        let owner = (input.fetch_owner == Some(true)).then(|| owner(&asked.key));
        let page = self.page(asked.place, input.prefix.as_deref(), input.delimiter.as_deref(), after, limit).await?;
        let entries = Entries::of(page, encoding, owner.as_ref());
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(encoding.write(input.prefix.unwrap_or_default())),
            max_keys: Some(limit),
            key_count: Some(entries.count()),
            continuation_token: token,
            is_truncated: Some(entries.next.is_some()),
            next_continuation_token: entries.next.as_deref().map(write_token),
            contents: Some(entries.objects),
            common_prefixes: Some(entries.common),
            delimiter: input.delimiter.map(|delimiter| encoding.write(delimiter)),
            encoding_type: encoding.word(),
            start_after: input.start_after.map(|after| encoding.write(after)),
            request_charged: None,
        }))
    }

    pub(super) async fn list_old(&self, req: S3Request<ListObjectsInput>) -> Answer<ListObjectsOutput> {
        let input = req.input;
        let (limit, encoding) = (limit(input.max_keys)?, Encoding::of(input.encoding_type.as_ref())?);
        let asked = self.asked(&req.extensions, &input.bucket).await?;
        let owner = owner(&asked.key);
        let after = input.marker.clone();
        let page = self.page(asked.place, input.prefix.as_deref(), input.delimiter.as_deref(), after, limit).await?;
        let entries = Entries::of(page, encoding, Some(&owner));
        Ok(S3Response::new(ListObjectsOutput {
            name: Some(input.bucket),
            prefix: Some(encoding.write(input.prefix.unwrap_or_default())),
            marker: Some(encoding.write(input.marker.unwrap_or_default())),
            max_keys: Some(limit),
            is_truncated: Some(entries.next.is_some()),
            contents: Some(entries.objects),
            common_prefixes: Some(entries.common),
            delimiter: input.delimiter.map(|delimiter| encoding.write(delimiter)),
            next_marker: entries.next.map(|next| encoding.write(next)),
            encoding_type: encoding.word(),
            request_charged: None,
        }))
    }
}

/// Entries that are wanted, which may be none.
pub(super) fn limit(asked: Option<i32>) -> S3Result<i32> {
    match asked {
        None => Ok(MAX_ENTRIES),
        Some(limit) if limit >= 0 => Ok(limit.min(MAX_ENTRIES)),
        Some(_) => Err(s3_error!(InvalidArgument, "less than no entries are asked for")),
    }
}

/// Where the next page begins, for the client to give back.
pub(super) fn write_token(next: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(next)
}

pub(super) fn read_token(token: &str) -> S3Result<String> {
    let text = BASE64_URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| s3_error!(InvalidArgument, "the continuation token is none of this endpoint"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_as_it_was_given() {
        for next in ["a", "a/b c/ä", "\u{10ffff}"] {
            assert_eq!(read_token(&write_token(next)).unwrap(), next);
        }
        for bad in ["=", "ä", "_w"] {
            assert!(read_token(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn pages_are_as_large_as_asked_for_within_bounds() {
        for (asked, wanted) in
            [(None, Some(1000)), (Some(0), Some(0)), (Some(7), Some(7)), (Some(i32::MAX), Some(1000))]
        {
            assert_eq!(limit(asked).ok(), wanted);
        }
        assert!(limit(Some(-1)).is_err());
    }

    #[test]
    fn keys_are_encoded_where_that_is_asked_for() {
        let encoding = |word: &'static str| Encoding::of(Some(&EncodingType::from_static(word)));
        assert_eq!(encoding("url").unwrap().write("a b/ä+~".to_owned()), "a%20b/%C3%A4%2B~");
        assert_eq!(Encoding::of(None).unwrap().write("a b".to_owned()), "a b");
        assert!(encoding("base64").is_err());
    }
}
