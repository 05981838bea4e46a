//! Who may ask: keys by the id that S3 clients call an access key, and the scope that each operation takes.

use std::sync::Arc;

use async_trait::async_trait;
use http::HeaderMap;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Result, s3_error};

use super::meta;
use crate::model::key::{Key, Scope};
use crate::store::StoreError;

/// Headers in which a client says whose bucket it believes to speak to.
const OWNERS: [&str; 2] = ["x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"];

/// Finds keys by the ids that S3 clients present.
#[async_trait]
pub trait Credentials: Send + Sync {
    /// The secret that requests with this access key are signed with, and the key; `None` where it lets nobody in.
    async fn find(&self, access_key: &str) -> Result<Option<(String, Arc<Key>)>, StoreError>;
}

/// Lets requests in that are signed by a key which may do what they ask for.
#[derive(Clone)]
pub(super) struct Door(pub(super) Arc<dyn Credentials>);

impl Door {
    async fn find(&self, access_key: &str) -> S3Result<(String, Arc<Key>)> {
        let found = self.0.find(access_key).await?;
        found.ok_or_else(|| s3_error!(InvalidAccessKeyId, "no key that is let in has this id"))
    }
}

#[async_trait]
impl S3Auth for Door {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        Ok(self.find(access_key).await?.0.into())
    }
}

#[async_trait]
impl S3Access for Door {
    /// Called once the signature has been found good, or if there is none, before the body is read.
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let Some(access_key) = cx.credentials().map(|signed| signed.access_key.clone()) else {
            return Err(s3_error!(AccessDenied, "the request is not signed"));
        };
        let (_, key) = self.find(&access_key).await?;
        let operation = cx.s3_op().name();
        let Some(scope) = scope_of(operation) else {
            return Err(s3_error!(NotImplemented, "{operation} is not among the operations of this endpoint"));
        };
        if !key.scopes.iter().any(|own| own.implies(scope)) {
            return Err(s3_error!(AccessDenied, "{operation} needs the scope {scope}, which this key does not have"));
        }
        check_owner(cx.headers(), &key)?;
        meta::refuse_options(cx.headers())?;
        cx.extensions_mut().insert(key);
        Ok(())
    }
}

/// What a key needs for an operation; `None` = there is no such operation.
fn scope_of(operation: &str) -> Option<Scope> {
    match operation {
        "ListBuckets"
        | "HeadBucket"
        | "GetBucketLocation"
        | "GetBucketVersioning"
        | "ListObjects"
        | "ListObjectsV2"
        | "GetObject"
        | "HeadObject"
        | "GetObjectTagging"
        | "ListParts"
        | "ListMultipartUploads" => Some(Scope::FilesRead),
        "CreateBucket"
        | "DeleteBucket"
        | "PutObject"
        | "CopyObject"
        | "DeleteObject"
        | "DeleteObjects"
        | "CreateMultipartUpload"
        | "UploadPart"
        | "UploadPartCopy"
        | "CompleteMultipartUpload"
        | "AbortMultipartUpload" => Some(Scope::FilesWrite),
        _ => None,
    }
}

/// The owner of every bucket that a key sees is its chitty id.
fn check_owner(headers: &HeaderMap, key: &Key) -> S3Result<()> {
    let other =
        |name: &&str| headers.get(*name).is_some_and(|owner| owner.as_bytes() != key.chitty_id.as_str().as_bytes());
    match OWNERS.iter().find(|name| other(name)) {
        Some(name) => Err(s3_error!(AccessDenied, "{name} names another owner than {}", key.chitty_id)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_and_changing_need_their_scopes_and_nothing_else_is_done() {
        for (operation, scope) in [
            ("GetObject", Some(Scope::FilesRead)),
            ("HeadBucket", Some(Scope::FilesRead)),
            ("ListObjectsV2", Some(Scope::FilesRead)),
            ("PutObject", Some(Scope::FilesWrite)),
            ("UploadPartCopy", Some(Scope::FilesWrite)),
            ("AbortMultipartUpload", Some(Scope::FilesWrite)),
            ("PostObject", None),
            ("AssumeRole", None),
            ("PutBucketPolicy", None),
        ] {
            assert_eq!(scope_of(operation), scope, "{operation}");
        }
    }
}
