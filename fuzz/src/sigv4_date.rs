//! The time that a request to the S3 endpoint was signed at, in a header and in a URL.
//!
//! Everything else of the request is as it should be, so that its time alone decides. The operation is one that the
//! endpoint does not have: whoever is told so was let in, and nothing is asked of the store.

use std::fmt::Write;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use chittyconnect::blob::Files;
use chittyconnect::blob::s3::{Credentials, router};
use chittyconnect::config::Config;
use chittyconnect::model::key::{Key, KeyHash, KeyStatus, Scope};
use chittyconnect::model::time::Time;
use chittyconnect::store::StoreError;
use chittyconnect::store::embedded::Embedded;
use chittyconnect::telemetry::metrics::Metrics;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderValue, Request, StatusCode};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tower::ServiceExt;

const SECRET: &str = "0123456789012345678901234567890123456789";
/// The SHA-256 of nothing.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// How far the clocks may be apart; the URLs are good for as long.
const WINDOW: SignedDuration = SignedDuration::from_mins(15);
/// Where in the request the time stands.
const IN_URL: u8 = 1;
/// Whether the input is the text, or says what is done to that of now.
const IS_TEXT: u8 = 2;

thread_local! {
    static ENDPOINT: Endpoint = Endpoint::new();
}

/// The first byte says where the time stands and what the rest is: the text; or seconds from now (four bytes), and then
/// pairs of a place in the text and the byte that is put there.
pub fn check(input: &[u8]) {
    let Some((&kind, rest)) = input.split_first() else { return };
    let in_url = kind & IN_URL != 0;
    if kind & IS_TEXT != 0 {
        return check_text(in_url, rest);
    }
    let Some((offset, damage)) = rest.split_first_chunk() else { return };
    let Ok(offset) = Timestamp::now().checked_add(SignedDuration::from_secs(i32::from_be_bytes(*offset).into())) else {
        return;
    };
    let mut text = offset.strftime("%Y%m%dT%H%M%SZ").to_string().into_bytes();
    for pair in damage.chunks_exact(2) {
        let at = usize::from(pair[0]) % text.len();
        text[at] = pair[1];
    }
    check_text(in_url, &text);
}

/// A request that was signed at `text`.
pub fn check_text(in_url: bool, text: &[u8]) {
    let Some(request) = signed(in_url, text) else { return };
    let shown = text.escape_ascii();
    let before = Timestamp::now();
    let status = ENDPOINT.with(|endpoint| endpoint.answer(request));
    let after = Timestamp::now();
    let is_in = status == StatusCode::NOT_IMPLEMENTED;
    assert!(is_in || matches!(status.as_u16(), 400 | 403), "{shown}: {status}");
    let Some(time) = time_of(text) else {
        assert!(!is_in, "{shown} is no time");
        return;
    };
    let (first, last) = (time - WINDOW, time + WINDOW);
    // It was looked at somewhere between the two.
    assert!(!is_in || (first <= after && before <= last), "{shown} was let in between {before} and {after}");
    assert!(is_in || before < first || last < after, "{shown} was not let in between {before} and {after}");
}

/// `20260102T030405Z`, and nothing else.
fn time_of(text: &[u8]) -> Option<Timestamp> {
    let number = |digits: &[u8]| {
        let all_digits = digits.iter().all(u8::is_ascii_digit);
        if all_digits { std::str::from_utf8(digits).ok()?.parse::<i16>().ok() } else { None }
    };
    let small = |digits: &[u8]| i8::try_from(number(digits)?).ok();
    if text.len() != 16 || text[8] != b'T' || text[15] != b'Z' {
        return None;
    }
    let (year, month, day) = (number(&text[..4])?, small(&text[4..6])?, small(&text[6..8])?);
    let (hour, minute, second) = (small(&text[9..11])?, small(&text[11..13])?, small(&text[13..15])?);
    let time = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// A request that is signed with the right key; `None` where no request can have this text.
fn signed(in_url: bool, text: &[u8]) -> Option<Request<Body>> {
    let date = text.get(..8).filter(|date| date.iter().all(u8::is_ascii_digit));
    let date = date.map_or("20260102".to_owned(), |date| String::from_utf8_lossy(date).into_owned());
    let scope = format!("{date}/us-east-1/s3/aws4_request");
    let shown = String::from_utf8_lossy(text);
    let sign = |canonical: &str| {
        let text = format!("AWS4-HMAC-SHA256\n{shown}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
        let key = ["us-east-1", "s3", "aws4_request"]
            .iter()
            .fold(mac(format!("AWS4{SECRET}").as_bytes(), &date), |key, part| mac(&key, part));
        hex::encode(mac(&key, &text))
    };
    if in_url {
        let encoded = text.iter().fold(String::new(), |mut encoded, &byte| {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(byte.into()),
                _ => write!(encoded, "%{byte:02X}").unwrap(),
            }
            encoded
        });
        let credential = format!("writer/{scope}").replace('/', "%2F");
        let query = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={encoded}&X-Amz-Expires={}\
             &X-Amz-SignedHeaders=host",
            WINDOW.as_secs()
        );
        let signature = sign(&format!("GET\n/s-1\n{query}&policy=\nhost:files.example\n\nhost\nUNSIGNED-PAYLOAD"));
        let uri = format!("/s-1?{query}&X-Amz-Signature={signature}&policy=");
        return Request::get(uri).header("host", "files.example").body(Body::empty()).ok();
    }
    let value = HeaderValue::from_bytes(text).ok()?;
    let names = "host;x-amz-content-sha256;x-amz-date";
    let headers = format!("host:files.example\nx-amz-content-sha256:{EMPTY}\nx-amz-date:{shown}\n");
    let signature = sign(&format!("GET\n/s-1\npolicy=\n{headers}\n{names}\n{EMPTY}"));
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential=writer/{scope}, SignedHeaders={names}, Signature={signature}");
    let request = Request::get("/s-1?policy=").header("host", "files.example").header("x-amz-date", value);
    request.header("x-amz-content-sha256", EMPTY).header("authorization", authorization).body(Body::empty()).ok()
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// One key, which may write.
struct OneKey;

#[async_trait]
impl Credentials for OneKey {
    async fn find(&self, access_key: &str) -> Result<Option<(String, Arc<Key>)>, StoreError> {
        let key = Key {
            hash: KeyHash([0; 32]),
            id: "writer".parse().unwrap(),
            chitty_id: "alice".parse().unwrap(),
            session_id: "s-1".parse().unwrap(),
            name: String::new(),
            scopes: vec![Scope::FilesWrite],
            rate_limit: None,
            quota: None,
            created_at: Time::from_millis(1),
            expires_at: None,
            status: KeyStatus::Active,
        };
        Ok((access_key == "writer").then(|| (SECRET.to_owned(), Arc::new(key))))
    }
}

/// The endpoint, over a store in a folder of its own.
struct Endpoint {
    router: Router,
    runtime: Runtime,
    _folder: TempDir,
}

impl Endpoint {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::parse(&format!("store: {{path: '{}'}}", folder.path().display()), "sigv4").unwrap();
        let metrics = Arc::new(Metrics::new().unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let router = runtime.block_on(async {
            let store = Arc::new(Embedded::open(&config.store, Arc::clone(&metrics)).unwrap());
            let files = Files::new(&config.files, store, metrics).unwrap();
            router(Arc::new(files), Arc::new(OneKey))
        });
        Self { router, runtime, _folder: folder }
    }

    fn answer(&self, request: Request<Body>) -> StatusCode {
        self.runtime.block_on(self.router.clone().oneshot(request)).unwrap().status()
    }
}
