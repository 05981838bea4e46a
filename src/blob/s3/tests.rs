//! Requests as clients sign them, through everything that stands before the operations.

use std::fmt::Write;

use async_trait::async_trait;
use axum::body::Body as AxumBody;
use futures::TryStreamExt;
use hmac::{Hmac, KeyInit, Mac};
use proptest::prelude::*;
use s3s::dto::{ListBucketsInput, ListBucketsOutput, PutObjectInput, PutObjectOutput};
use s3s::{S3Request, S3Response};
use sha2::{Digest, Sha256};

use super::super::FileError;
use super::checksum::Announced;
use super::*;
use crate::model::key::{KeyHash, KeyStatus, Scope};
use crate::model::time::Time;
use crate::property::sigv4_date;
use crate::store::StoreError;

const SECRET: &str = "0123456789012345678901234567890123456789";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The keys `writer` and `reader`, and a store that cannot be used for `broken`.
struct Keys;

#[async_trait]
impl Credentials for Keys {
    async fn find(&self, access_key: &str) -> Result<Option<(String, Arc<Key>)>, StoreError> {
        let scope = match access_key {
            "writer" => Scope::FilesWrite,
            "reader" => Scope::FilesRead,
            "broken" => return Err(StoreError::Unavailable("/secret".into())),
            _ => return Ok(None),
        };
        let key = Key {
            hash: KeyHash([0; 32]),
            id: access_key.parse().unwrap(),
            chitty_id: "alice".parse().unwrap(),
            session_id: "s-1".parse().unwrap(),
            name: String::new(),
            scopes: vec![scope],
            rate_limit: None,
            quota: None,
            created_at: Time::from_millis(1),
            expires_at: None,
            status: KeyStatus::Active,
        };
        Ok(Some((SECRET.to_owned(), Arc::new(key))))
    }
}

/// Takes bodies as `Files` does, and keeps nothing.
struct Sink;

#[async_trait]
impl S3 for Sink {
    async fn list_buckets(&self, req: S3Request<ListBucketsInput>) -> Answer<ListBucketsOutput> {
        caller(&req.extensions)?;
        Ok(S3Response::new(ListBucketsOutput::default()))
    }

    async fn put_object(&self, req: S3Request<PutObjectInput>) -> Answer<PutObjectOutput> {
        caller(&req.extensions)?;
        file_key(&req.input.key)?;
        let announced = Announced::of(&req.headers, req.trailing_headers, req.input.body)?;
        let read: Vec<_> = announced.body.try_collect().await.map_err(FileError::BrokeOff)?;
        let found = read.iter().map(|piece| piece.len() as u64).sum();
        let expected = announced.expected.size.unwrap_or(found);
        if expected != found {
            return Err(FileError::Size { expected, found }.into());
        }
        if let Some(check) = announced.expected.check {
            check().map_err(FileError::Check)?;
        }
        let sums = announced.verified.take();
        Ok(S3Response::new(PutObjectOutput { checksum_crc32: sums.checksum_crc32, ..PutObjectOutput::default() }))
    }
}

/// A request before it is signed.
struct Draft {
    method: &'static str,
    path: String,
    key: &'static str,
    secret: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

fn put(body: &[u8]) -> Draft {
    Draft {
        method: "PUT",
        path: "/s-1/k".to_owned(),
        key: "writer",
        secret: SECRET,
        headers: vec![
            ("x-amz-content-sha256", hex::encode(Sha256::digest(body))),
            ("content-length", body.len().to_string()),
        ],
        body: body.to_vec(),
    }
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

impl Draft {
    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(one, _)| *one != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Signs it as AWS says, `late` seconds from now.
    fn signed(mut self, late: i64) -> Request {
        let now = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(late);
        let (date, time) = (now.strftime("%Y%m%d").to_string(), now.strftime("%Y%m%dT%H%M%SZ").to_string());
        self = self.with("host", "files.example").with("x-amz-date", &time);
        self.headers.sort();
        let names = self.headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let lines = self.headers.iter().fold(String::new(), |mut lines, (name, value)| {
            writeln!(lines, "{name}:{value}").unwrap();
            lines
        });
        let hash = &self.headers.iter().find(|(name, _)| *name == "x-amz-content-sha256").unwrap().1;
        let canonical = format!("{}\n{}\n\n{lines}\n{names}\n{hash}", self.method, self.path);
        let scope = format!("{date}/us-east-1/s3/aws4_request");
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
        let key = ["us-east-1", "s3", "aws4_request"]
            .iter()
            .fold(hmac(format!("AWS4{}", self.secret).as_bytes(), &date), |key, part| hmac(&key, part));
        let signature = hex::encode(hmac(&key, &text));
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}", self.key);
        let mut request = http::Request::builder().method(self.method).uri(&self.path);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        request.header("authorization", authorization).body(AxumBody::from(self.body)).unwrap()
    }
}

/// The status, with the answer's text.
async fn sent(request: Request) -> (u16, String) {
    let response = answer(guarded(Sink, Arc::new(Keys)), request).await;
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn code(request: Request) -> String {
    let (status, text) = sent(request).await;
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    code.map_or_else(|| status.to_string(), |(code, _)| format!("{status} {code}"))
}

#[tokio::test]
async fn only_who_signs_with_a_key_that_may_is_let_in() {
    assert_eq!(code(put(b"hello").signed(0)).await, "200");
    for (draft, wanted) in [
        (Draft { secret: "wrong", ..put(b"") }, "403 SignatureDoesNotMatch"),
        (Draft { key: "nobody", ..put(b"") }, "403 InvalidAccessKeyId"),
        (Draft { key: "broken", ..put(b"") }, "503 ServiceUnavailable"),
        (Draft { key: "reader", ..put(b"") }, "403 AccessDenied"),
        (Draft { path: "/".to_owned(), method: "GET", key: "reader", ..put(b"") }, "200"),
        (put(b"").with("x-amz-expected-bucket-owner", "alice"), "200"),
        (put(b"").with("x-amz-expected-bucket-owner", "bob"), "403 AccessDenied"),
        (put(b"").with("x-amz-acl", "public-read"), "501 NotImplemented"),
    ] {
        assert_eq!(code(draft.signed(0)).await, wanted);
    }
    let (_, text) = sent(Draft { key: "reader", ..put(b"") }.signed(0)).await;
    assert!(text.contains("files:write"), "{text}");
    let anonymous = http::Request::builder().uri("/s-1/k").body(AxumBody::empty()).unwrap();
    assert_eq!(code(anonymous).await, "403 AccessDenied");
}

#[tokio::test]
async fn a_signature_of_another_time_is_refused() {
    for (late, wanted) in
        [(-800, "200"), (800, "200"), (-1000, "403 RequestTimeTooSkewed"), (1000, "403 RequestTimeTooSkewed")]
    {
        assert_eq!(code(put(b"").signed(late)).await, wanted, "{late}");
    }
}

#[tokio::test]
async fn names_that_are_none_are_errors_of_s3() {
    for (path, wanted) in [
        ("/s-1/a%00b", "400 InvalidArgument"),
        ("/s-1/a/../b", "400 InvalidArgument"),
        ("/s-1/%FF", "400 InvalidURI"),
        ("/Upper/k", "400 InvalidBucketName"),
    ] {
        assert_eq!(code(Draft { path: path.to_owned(), ..put(b"") }.signed(0)).await, wanted, "{path}");
    }
    let long = Draft { path: format!("/s-1/{}", "a".repeat(1025)), ..put(b"") };
    assert_eq!(code(long.signed(0)).await, "400 KeyTooLongError");
}

#[tokio::test]
async fn a_body_is_what_was_announced() {
    let right = put(b"hello").with("x-amz-checksum-crc32", "NhCmhg==");
    assert_eq!(code(right.signed(0)).await, "200");
    for (draft, wanted) in [
        (put(b"hello").with("x-amz-checksum-crc32", "AAAAAA=="), "400 BadDigest"),
        (Draft { body: b"jello".to_vec(), ..put(b"hello") }, "400 XAmzContentSHA256Mismatch"),
        (Draft { body: b"hell".to_vec(), ..put(b"hello") }, "400 IncompleteBody"),
        (put(b"hello").with("x-amz-content-sha256", EMPTY), "400 XAmzContentSHA256Mismatch"),
    ] {
        assert_eq!(code(draft.signed(0)).await, wanted);
    }
}

#[tokio::test]
async fn checksums_may_come_behind_a_body_in_chunks() {
    let chunked = |size: &str, sum: &str| {
        put(format!("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:{sum}\r\n\r\n").as_bytes())
            .with("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
            .with("x-amz-decoded-content-length", size)
            .with("x-amz-trailer", "x-amz-checksum-crc32")
    };
    assert_eq!(code(chunked("5", "NhCmhg==").signed(0)).await, "200");
    assert_eq!(code(chunked("5", "AAAAAA==").signed(0)).await, "400 BadDigest");
    assert_eq!(code(chunked("6", "NhCmhg==").signed(0)).await, "400 IncompleteBody");
    let none = Draft { body: b"5\r\nhello\r\n0\r\n\r\n".to_vec(), ..chunked("5", "") };
    assert_eq!(code(none.signed(0)).await, "400 BadDigest");
    let large = Draft { body: b"400001;chunk-signature=00\r\n".to_vec(), ..put(b"") }
        .with("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
        .with("x-amz-decoded-content-length", "5");
    assert_eq!(code(large.signed(0)).await, "400 InvalidRequest");
}

/// A time near now or far away, as signatures have it, with some of its bytes replaced.
fn time() -> impl Strategy<Value = Vec<u8>> {
    let seconds = prop_oneof![-1000..1000_i64, -905..-895_i64, 895..905_i64, -90_000_000_000..90_000_000_000_i64];
    let byte = prop_oneof![prop::sample::select(&b"0123456789TZ +-:.,tz"[..]), any::<u8>()];
    let damage = prop::collection::vec((any::<prop::sample::Index>(), byte), 0..2);
    let changed = (seconds, damage).prop_map(|(seconds, damage)| {
        let time = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
        let mut text = time.strftime("%Y%m%dT%H%M%SZ").to_string().into_bytes();
        for (place, byte) in damage {
            let at = place.index(text.len());
            text[at] = byte;
        }
        text
    });
    prop_oneof![
        6 => changed,
        1 => "[0-9]{8}T[0-9]{6}Z".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ]
}

proptest! {
    #[test]
    fn a_signature_counts_for_a_quarter_of_an_hour_around_its_time(in_url: bool, text in time()) {
        sigv4_date::check_text(in_url, &text);
    }
}
