//! What a client says of a body in advance or behind it: its size, its SHA-256, its MD5, and checksums of S3's own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::{StreamExt, TryStreamExt};
use http::{HeaderMap, HeaderName, header};
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
use s3s::dto::{Checksum, StreamingBlob};
use s3s::{S3Result, TrailingHeaders, s3_error};

use super::super::{Body, Expected};
use super::meta::text;

/// The header with the SHA-256 of the body, or a word of how it is signed.
const BODY_HASH: HeaderName = HeaderName::from_static("x-amz-content-sha256");
/// The header with the size of a body that comes in chunks of its own.
const DECODED_LENGTH: HeaderName = HeaderName::from_static("x-amz-decoded-content-length");
/// The header with the names of those that come behind the body.
const TRAILER: HeaderName = HeaderName::from_static("x-amz-trailer");
/// What the names of checksums begin with.
const CHECKSUM: &str = "x-amz-checksum-";

/// A body with what it must be.
pub(super) struct Announced {
    pub(super) body: Body,
    pub(super) expected: Expected,
    pub(super) verified: Verified,
}

/// The checksums that were found right, once the body has been kept.
#[derive(Clone, Default)]
pub(super) struct Verified(Arc<Mutex<Checksum>>);

impl Verified {
    /// Tells the client that they were.
    pub(super) fn take(&self) -> Checksum {
        std::mem::take(&mut *held(&self.0))
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Announced {
    /// Reads what headers announce of a body.
    ///
    /// # Errors
    /// `IncompleteBody`, `InvalidDigest`, `InvalidArgument`, `NotImplemented` for a checksum that is not known.
    pub(super) fn of(
        headers: &HeaderMap,
        trailing: Option<TrailingHeaders>,
        body: Option<StreamingBlob>,
    ) -> S3Result<Self> {
        let body = body.ok_or_else(|| s3_error!(IncompleteBody, "the request has no body"))?;
        let mut expected = Expected { size: size(headers)?, md5: md5(headers)?, ..Expected::default() };
        expected.hash = text(headers, &BODY_HASH)?.and_then(|hash| hash.parse().ok());
        let in_headers = Sums::of(headers);
        let in_trailer = Sums::announced(&text(headers, &TRAILER)?.unwrap_or_default())?;
        let verified = Verified::default();
        let wanted = Sums { names: [in_headers.names.clone(), in_trailer.names.clone()].concat(), ..Sums::default() };
        if wanted.names.is_empty() {
            return Ok(Self { body: body.boxed(), expected, verified });
        }
        let hasher = Arc::new(Mutex::new(wanted.hasher()?));
        let reading = Arc::clone(&hasher);
        let body = body.inspect_ok(move |piece| held(&reading).update(piece)).boxed();
        let result = verified.clone();
        expected.check = Some(Box::new(move || {
            let found = std::mem::take(&mut *held(&hasher)).finalize();
            in_headers.compare(&found)?;
            if !in_trailer.names.is_empty() {
                let sent = trailing.and_then(|trailing| trailing.take()).unwrap_or_default();
                Sums { values: Sums::of(&sent).values, ..in_trailer }.compare(&found)?;
            }
            *held(&result.0) = found;
            Ok(())
        }));
        Ok(Self { body, expected, verified })
    }
}

/// Checksums by name, such as `crc32`.
#[derive(Default)]
struct Sums {
    names: Vec<String>,
    values: Vec<(String, String)>,
}

impl Sums {
    /// Those that are among headers.
    fn of(headers: &HeaderMap) -> Self {
        let mut sums = Self::default();
        for (name, value) in headers {
            if let Some(name) = name.as_str().strip_prefix(CHECKSUM)
                && !matches!(name, "algorithm" | "type" | "mode")
                && let Ok(value) = value.to_str()
                && !value.is_empty()
            {
                sums.names.push(name.to_owned());
                sums.values.push((name.to_owned(), value.trim().to_owned()));
            }
        }
        sums
    }

    /// Those that are to come behind the body.
    fn announced(trailer: &str) -> S3Result<Self> {
        let names = trailer.split(',').map(|name| name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty());
        let name = |name: String| match name.strip_prefix(CHECKSUM) {
            Some(name) => Ok(name.to_owned()),
            None => Err(s3_error!(NotImplemented, "{name} cannot come behind the body")),
        };
        Ok(Self { names: names.map(name).collect::<S3Result<_>>()?, values: Vec::new() })
    }

    /// What finds them out.
    fn hasher(&self) -> S3Result<ChecksumHasher> {
        let mut hasher = ChecksumHasher::default();
        for name in &self.names {
            match &**name {
                "crc32" => hasher.crc32 = Some(Crc32::default()),
                "crc32c" => hasher.crc32c = Some(Crc32c::default()),
                "crc64nvme" => hasher.crc64nvme = Some(Crc64Nvme::default()),
                "sha1" => hasher.sha1 = Some(Sha1::default()),
                "sha256" => hasher.sha256 = Some(Sha256::default()),
                _ => return Err(s3_error!(NotImplemented, "the checksum {name} is not known")),
            }
        }
        Ok(hasher)
    }

    /// Whether each of them is there and right.
    fn compare(&self, found: &Checksum) -> Result<(), String> {
        for name in &self.names {
            let found = match &**name {
                "crc32" => &found.checksum_crc32,
                "crc32c" => &found.checksum_crc32c,
                "crc64nvme" => &found.checksum_crc64nvme,
                "sha1" => &found.checksum_sha1,
                _ => &found.checksum_sha256,
            };
            match self.values.iter().find(|(one, _)| one == name) {
                None => return Err(format!("the checksum {name} was announced and did not come")),
                Some((_, value)) if found.as_ref() != Some(value) => {
                    return Err(format!("the contents have another {name} than was announced"));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

/// Bytes that a body must have; s3s has put the size of the contents into `Content-Length`, where there is one.
fn size(headers: &HeaderMap) -> S3Result<Option<u64>> {
    let chunked = text(headers, &BODY_HASH)?.is_some_and(|hash| hash.starts_with("STREAMING-"));
    let name = if chunked { DECODED_LENGTH } else { header::CONTENT_LENGTH };
    let Some(size) = text(headers, &name)? else { return Ok(None) };
    size.parse().map(Some).map_err(|_| s3_error!(InvalidArgument, "{name} is not a number of bytes"))
}

/// The MD5 that a body must have.
fn md5(headers: &HeaderMap) -> S3Result<Option<[u8; 16]>> {
    let Some(md5) = text(headers, &HeaderName::from_static("content-md5"))? else { return Ok(None) };
    let bytes = BASE64_STANDARD.decode(md5).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.map(Some).ok_or_else(|| s3_error!(InvalidDigest, "Content-MD5 is not the base64 of 16 bytes"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use s3s::S3ErrorCode;

    use super::*;

    fn announced(pairs: &[(&'static str, &'static str)]) -> S3Result<Announced> {
        let headers =
            pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let body = StreamingBlob::from(s3s::Body::from("hello".to_owned()));
        Announced::of(&headers.collect(), None, Some(body))
    }

    async fn checked(pairs: &[(&'static str, &'static str)]) -> Result<Checksum, String> {
        let Announced { body, expected, verified } = announced(pairs).unwrap();
        let body: Vec<_> = body.try_collect().await.unwrap();
        assert_eq!(body.concat(), b"hello");
        expected.check.map_or(Ok(()), |check| check()).map(|()| verified.take())
    }

    #[tokio::test]
    async fn checksums_are_compared_once_the_body_has_been_read() {
        assert_eq!(checked(&[]).await.unwrap(), Checksum::default());
        let right = [("x-amz-checksum-crc32", "NhCmhg=="), ("x-amz-checksum-crc32c", "mnG7TA==")];
        assert_eq!(checked(&right).await.unwrap().checksum_crc32.as_deref(), Some("NhCmhg=="));
        assert!(checked(&[("x-amz-checksum-crc32", "AAAAAA==")]).await.unwrap_err().contains("another crc32"));
        assert!(checked(&[("x-amz-trailer", "x-amz-checksum-sha1")]).await.unwrap_err().contains("did not come"));
    }

    #[test]
    fn sizes_and_hashes_are_what_the_headers_say() {
        let hash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        let found = announced(&[
            ("content-length", "5"),
            ("x-amz-content-sha256", hash),
            ("content-md5", "XUFAKrxLKna5cZ2REBfFkg=="),
        ]);
        let expected = found.unwrap().expected;
        assert_eq!((expected.size, expected.hash), (Some(5), Some(hash.parse().unwrap())));
        assert_eq!(hex::encode(expected.md5.unwrap()), "5d41402abc4b2a76b9719d911017c592");
        let chunked = [
            ("content-length", "99"),
            ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
            ("x-amz-decoded-content-length", "5"),
        ];
        let expected = announced(&chunked).unwrap().expected;
        assert_eq!((expected.size, expected.hash), (Some(5), None));
        for (pair, code) in [
            (("content-md5", "x"), S3ErrorCode::InvalidDigest),
            (("x-amz-checksum-md4", "x"), S3ErrorCode::NotImplemented),
            (("x-amz-trailer", "x-other"), S3ErrorCode::NotImplemented),
        ] {
            assert_eq!(announced(&[pair]).err().unwrap().code(), &code, "{pair:?}");
        }
    }
}
