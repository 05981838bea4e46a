//! Buckets: sessions, by names that S3 takes. What a bucket is called follows from the session's id alone.

use std::collections::BTreeMap;

use s3s::dto::{
    Bucket, BucketCannedACL, CreateBucketInput, CreateBucketOutput, DeleteBucketInput, DeleteBucketOutput,
    GetBucketLocationInput, GetBucketLocationOutput, GetBucketVersioningInput, GetBucketVersioningOutput,
    HeadBucketInput, HeadBucketOutput, ListBucketsInput, ListBucketsOutput,
};
use s3s::path::check_bucket_name;
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use sha2::{Digest, Sha256};

use super::list::{owner, read_token, write_token};
use super::meta::timestamp;
use super::{Answer, Endpoint, caller};
use crate::model::id::SessionId;
use crate::model::key::Key;
use crate::model::time::Time;
use crate::store::context::Place;
use crate::store::{Store, StoreError};

/// What the names of sessions begin with whose ids S3 does not take.
const HASHED: &str = "s-";
/// Digits of the SHA-256 that are behind it.
const HASH_DIGITS: usize = 32;
/// Buckets in one answer at the most, where the client says how many.
const MAX_BUCKETS: usize = 10_000;

/// What S3 clients call a session: its id, where S3 takes that for a bucket; else `s-` and 32 digits of its SHA-256.
#[must_use]
pub fn name_of(session: &SessionId) -> String {
    let id = session.as_str();
    if check_bucket_name(id) && !is_hashed(id) {
        return id.to_owned();
    }
    let digits = hex::encode(Sha256::digest(id));
    format!("{HASHED}{}", &digits[..HASH_DIGITS])
}

/// Whether a name says nothing of the id.
fn is_hashed(name: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    name.strip_prefix(HASHED).is_some_and(|digits| digits.len() == HASH_DIGITS && digits.bytes().all(digit))
}

/// The session that has this name on its face; `None` where the name says nothing of it, or is none.
fn named(bucket: &str) -> Option<SessionId> {
    bucket.parse().ok().filter(|session| name_of(session) == bucket)
}

/// The session of the key's chitty id that a bucket is.
///
/// # Errors
/// `NoSuchBucket`, `ServiceUnavailable`.
pub(super) async fn resolve(store: &dyn Store, key: &Key, bucket: &str) -> S3Result<SessionId> {
    if name_of(&key.session_id) == bucket {
        return Ok(key.session_id.clone());
    }
    let made = store.buckets(key.chitty_id.clone()).await?;
    if let Some(found) = made.into_iter().find(|made| name_of(&made.session_id) == bucket) {
        return Ok(found.session_id);
    }
    if let Some(session) = named(bucket)
        && store.session(&key.chitty_id, &session).await?.is_some()
    {
        return Ok(session);
    }
    Err(s3_error!(NoSuchBucket, "no session of {} is called {bucket}", key.chitty_id))
}

impl Endpoint {
    pub(super) async fn buckets(&self, req: S3Request<ListBucketsInput>) -> Answer<ListBucketsOutput> {
        let key = caller(&req.extensions)?;
        let made = self.files.store().buckets(key.chitty_id.clone()).await?;
        let own = (name_of(&key.session_id), key.created_at);
        let all = std::iter::once(own).chain(made.iter().map(|made| (name_of(&made.session_id), made.created_at)));
        let input = req.input;
        let prefix = input.prefix.as_deref().unwrap_or_default();
        let after = input.continuation_token.as_deref().map(read_token).transpose()?;
        let limit = input.max_buckets.map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(0).clamp(1, MAX_BUCKETS));
        let (page, next) = page(all, prefix, after.as_deref(), limit);
        let bucket = |(name, created): (String, Time)| Bucket {
            bucket_region: None,
            creation_date: Some(timestamp(created)),
            name: Some(name),
        };
        Ok(S3Response::new(ListBucketsOutput {
            buckets: Some(page.into_iter().map(bucket).collect()),
            continuation_token: next.map(|name| write_token(&name)),
            owner: Some(owner(&key)),
            prefix: input.prefix,
        }))
    }

    pub(super) async fn make_bucket(&self, req: S3Request<CreateBucketInput>) -> Answer<CreateBucketOutput> {
        let key = caller(&req.extensions)?;
        let input = req.input;
        let private = |acl: &BucketCannedACL| matches!(acl.as_str(), "" | BucketCannedACL::PRIVATE);
        if input.object_lock_enabled_for_bucket == Some(true) || !input.acl.as_ref().is_none_or(private) {
            return Err(s3_error!(NotImplemented, "buckets are private, and their objects cannot be locked"));
        }
        let bucket = input.bucket;
        let store = self.files.store();
        let session_id = match named(&bucket) {
            Some(session) => session,
            // One that is there has been made already, which clients ask for again and again.
            None => match resolve(store.as_ref(), &key, &bucket).await {
                Ok(session) => session,
                Err(error) if error.code() == &S3ErrorCode::NoSuchBucket => {
                    return Err(s3_error!(InvalidBucketName, "s- and 32 digits stand for sessions that there are"));
                }
                Err(error) => return Err(error),
            },
        };
        store.make_bucket(Place { chitty_id: key.chitty_id.clone(), session_id }).await?;
        Ok(S3Response::new(CreateBucketOutput { location: Some(format!("/{bucket}")) }))
    }

    pub(super) async fn remove_bucket(&self, req: S3Request<DeleteBucketInput>) -> Answer<DeleteBucketOutput> {
        let asked = self.asked(&req.extensions, &req.input.bucket).await?;
        match self.files.store().remove_bucket(asked.place).await {
            Ok(_) => Ok(S3Response::new(DeleteBucketOutput::default())),
            Err(StoreError::BucketNotEmpty) => Err(s3_error!(BucketNotEmpty, "the bucket has objects or uploads")),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn is_bucket(&self, req: S3Request<HeadBucketInput>) -> Answer<HeadBucketOutput> {
        self.asked(&req.extensions, &req.input.bucket).await?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    pub(super) async fn location(&self, req: S3Request<GetBucketLocationInput>) -> Answer<GetBucketLocationOutput> {
        self.asked(&req.extensions, &req.input.bucket).await?;
        Ok(S3Response::new(GetBucketLocationOutput::default()))
    }

    pub(super) async fn versioning(
        &self,
        req: S3Request<GetBucketVersioningInput>,
    ) -> Answer<GetBucketVersioningOutput> {
        self.asked(&req.extensions, &req.input.bucket).await?;
        Ok(S3Response::new(GetBucketVersioningOutput::default()))
    }
}

/// Some names, in order, each once; and the last of them where others follow.
fn page(
    all: impl Iterator<Item = (String, Time)>,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> (Vec<(String, Time)>, Option<String>) {
    let wanted =
        |(name, _): &(String, Time)| name.starts_with(prefix) && after.is_none_or(|after| name.as_str() > after);
    // The one that is kept of two with one name is the bucket that was made, not the key's session.
    let sorted: BTreeMap<String, Time> = all.filter(wanted).collect();
    let more = sorted.len() > limit;
    let page: Vec<_> = sorted.into_iter().take(limit).collect();
    let next = page.last().filter(|_| more).map(|(name, _)| name.clone());
    (page, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_called_by_the_session_id_where_s3_takes_it() {
        for id in ["key-0123", "abc", "s-1", "a.b-c", &format!("s-{}", "0".repeat(31))] {
            assert_eq!(name_of(&id.parse().unwrap()), *id);
            assert_eq!(named(id), Some(id.parse().unwrap()));
        }
        let hashed = format!("s-{}", "0a".repeat(16));
        for id in ["ab", "Upper", "a_b", "1.2.3.4", "a..b", "xn--a", "end-", &"a".repeat(64), &hashed] {
            let name = name_of(&id.parse().unwrap());
            assert!(is_hashed(&name) && check_bucket_name(&name) && name != *id, "{id}: {name}");
            assert_eq!(named(&name), None);
        }
        assert_ne!(name_of(&"Upper".parse().unwrap()), name_of(&"uPper".parse().unwrap()));
        assert_eq!(named("a/b"), None);
    }

    #[test]
    fn names_come_sorted_and_a_page_at_a_time() {
        let all =
            || ["b", "a", "c", "b"].into_iter().zip(1..).map(|(name, at)| (name.to_owned(), Time::from_millis(at)));
        let (first, next) = page(all(), "", None, 2);
        assert_eq!(first, [("a".to_owned(), Time::from_millis(2)), ("b".to_owned(), Time::from_millis(4))]);
        assert_eq!(next.as_deref(), Some("b"));
        let (second, next) = page(all(), "", next.as_deref(), 2);
        assert_eq!((second.len(), next), (1, None));
        assert_eq!(page(all(), "c", None, 9).0.len(), 1);
    }
}
