//! The S3 endpoint: files as rclone, aws-cli and boto3 have them, path-style. A bucket is a session of the caller's chitty
//! id, an object is a file of that session.
//!
//! | operation | what it does here |
//! |---|---|
//! | `ListBuckets` | sessions that have files or were made to be buckets, and the key's own |
//! | `CreateBucket`, `DeleteBucket`, `HeadBucket` | making what is there is no mistake; only what is empty is deleted |
//! | `GetBucketLocation`, `GetBucketVersioning` | no region, no versions |
//! | `ListObjects`, `ListObjectsV2` | by key, byte by byte; any delimiter |
//! | `GetObject`, `HeadObject` | one range; conditions; `response-*` |
//! | `PutObject` | streamed; every announced size, hash and checksum is compared before anything is kept |
//! | `CopyObject` | inside the chitty id, without moving contents |
//! | `DeleteObject`, `DeleteObjects` | what is not there is deleted, too |
//! | `CreateMultipartUpload`, `UploadPart`, `UploadPartCopy`, `ListParts`, `ListMultipartUploads`, `CompleteMultipartUpload`, `AbortMultipartUpload` | as S3 has them |
//! | `GetObjectTagging` | none, for aws-cli asks before it copies large objects |
//!
//! Everything else is `NotImplemented`, and so is what would have the client believe in something that is not done:
//! encryption with its key, locks, tags, access for others. Only signatures of version 4 are taken, in a header or in a
//! URL; what a request has in `x-amz-*` must be signed. A body is never in memory as a whole.

mod bucket;
mod checksum;
mod chunk;
mod condition;
mod copy;
mod credentials;
mod error;
mod gate;
mod list;
mod meta;
mod multipart;
mod object;
mod operation;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use http::{Extensions, StatusCode, header};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3, S3Error, S3Response, S3Result, s3_error};

use super::{Files, Writer};
use crate::model::key::Key;
use crate::model::request::ErrorWord;
use crate::model::stored_file::{FileKey, StoredFile};
use crate::store::context::Place;
pub use bucket::name_of;
pub use credentials::Credentials;
pub use meta::source_modified_at;

/// Bytes of an XML body that a request may have: the 10,000 parts of an upload with a checksum each, or 1000 keys of 1 KiB.
const MAX_XML: usize = 4 * 1024 * 1024;

/// What an operation answers.
type Answer<T> = S3Result<S3Response<T>>;

/// Answers every request as S3 does, whatever its path.
pub fn router(files: Arc<Files>, credentials: Arc<dyn Credentials>) -> Router {
    let service = guarded(Endpoint { files }, credentials);
    Router::new().fallback(move |request: Request| answer(service.clone(), request))
}

/// Operations, for those who may call them.
fn guarded(operations: impl S3, credentials: Arc<dyn Credentials>) -> S3Service {
    let mut config = S3Config::default();
    config.xml_max_body_size = MAX_XML;
    let door = credentials::Door(credentials);
    let mut builder = S3ServiceBuilder::new(operations);
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    builder.set_auth(door.clone());
    builder.set_access(door);
    builder.build()
}

/// Answers one request.
async fn answer(service: S3Service, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if let Err(refusal) = gate::check(&parts) {
        return refuse(refusal);
    }
    let body = Body::http_body_unsync(chunk::bounded(&parts.headers, body));
    match service.call(Request::from_parts(parts, body)).await {
        Ok(mut response) => {
            if let Some(Status(status)) = response.extensions().get() {
                *response.status_mut() = *status;
            }
            if let Some(code) = error::code_of(&response) {
                response.extensions_mut().insert(ErrorWord(code.into()));
            }
            // How it is sent is for whoever sends it.
            response.headers_mut().remove(header::TRANSFER_ENCODING);
            response.map(axum::body::Body::new)
        }
        Err(error) => {
            let error = s3s::StdError::from(error);
            tracing::error!(error = %crate::telemetry::describe(&*error), "an answer to S3 could not be written");
            bare(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

/// The status of an answer that is none of the usual ones: s3s does not look at the one that it is given.
#[derive(Clone, Copy)]
struct Status(StatusCode);

fn with_status<T>(output: T, status: StatusCode) -> S3Response<T> {
    let mut response = S3Response::new(output);
    response.extensions.insert(Status(status));
    response
}

/// An error as the answer.
fn refuse(error: S3Error) -> Response {
    let word = ErrorWord(error.code().as_str().to_owned().into());
    let mut response = error
        .to_http_response()
        .map_or_else(|_| bare(StatusCode::INTERNAL_SERVER_ERROR), |response| response.map(axum::body::Body::new));
    response.extensions_mut().insert(word);
    response
}

fn bare(status: StatusCode) -> Response {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

/// The operations of S3 over [`Files`].
struct Endpoint {
    files: Arc<Files>,
}

/// Who asks, and the bucket that is asked for.
struct Asked {
    key: Arc<Key>,
    place: Place,
}

impl Asked {
    fn writer(self) -> Writer {
        Writer { place: self.place, key_id: self.key.id.clone(), quota: self.key.quota }
    }
}

impl Endpoint {
    /// Who asks, with the session that `bucket` is.
    async fn asked(&self, extensions: &Extensions, bucket: &str) -> S3Result<Asked> {
        let key = caller(extensions)?;
        let session_id = bucket::resolve(self.files.store().as_ref(), &key, bucket).await?;
        let place = Place { chitty_id: key.chitty_id.clone(), session_id };
        Ok(Asked { key, place })
    }

    /// The file of a place that has this key.
    async fn file(&self, place: Place, key: FileKey) -> S3Result<StoredFile> {
        let file = self.files.store().file(place, key).await?;
        file.ok_or_else(|| s3_error!(NoSuchKey, "no object of this bucket has this key"))
    }
}

/// Who asks, as [`credentials::Door`] has found out.
fn caller(extensions: &Extensions) -> S3Result<Arc<Key>> {
    extensions.get::<Arc<Key>>().cloned().ok_or_else(|| s3_error!(AccessDenied, "the request is not signed"))
}

/// The key of an object, as the model takes it.
fn file_key(text: &str) -> S3Result<FileKey> {
    text.parse().map_err(|why| error::of_key(&why))
}

/// Only the version that is there can be asked for.
fn the_only_version(asked: Option<&str>) -> S3Result<()> {
    match asked {
        None | Some("" | "null") => Ok(()),
        Some(_) => Err(s3_error!(NoSuchVersion, "there is one version of each object, `null`")),
    }
}

/// A size as S3's messages have it.
fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
