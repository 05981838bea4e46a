//! Requests to the S3 endpoint, signed as AWS has it (Signature Version 4), and what its XML says.

use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use sha2::Sha256;

use super::client::{Answer, Ask};
use super::daemon::{DOMAIN, Daemon};
use super::files::sha256;
use super::task::Tenant;

/// What is not escaped in a canonical query, and with `/` in a canonical path.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PLAIN_PATH: &AsciiSet = &PLAIN.remove(b'/');

/// The host of the S3 endpoint.
pub(crate) fn files_host() -> String {
    format!("files.{DOMAIN}")
}

/// What `keys s3` prints, and the date from which all of it follows.
#[derive(Clone, Debug)]
pub(crate) struct Signer {
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
    /// Of the key's session.
    pub(crate) bucket: String,
    pub(crate) endpoint: String,
    /// All sessions of the key's chitty id that are known by then: as they were printed.
    pub(crate) buckets: Value,
    pub(crate) region: String,
}

/// A request that is not signed yet.
#[derive(Clone, Debug)]
pub(crate) struct Unsigned {
    method: String,
    /// Without escapes.
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// What is said of the body instead of its SHA-256.
    payload: Option<String>,
    date: Option<String>,
}

impl Unsigned {
    /// A path is given without escapes.
    pub(crate) fn new(method: &str, path: &str) -> Self {
        let (method, path) = (method.to_owned(), path.to_owned());
        Self { method, path, query: Vec::new(), headers: Vec::new(), body: Vec::new(), payload: None, date: None }
    }

    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    /// Says this of the body instead of its SHA-256.
    pub(crate) fn payload(mut self, said: &str) -> Self {
        self.payload = Some(said.to_owned());
        self
    }

    /// Signs it as of this time instead of now: `20260102T030405Z`.
    pub(crate) fn at(mut self, date: &str) -> Self {
        self.date = Some(date.to_owned());
        self
    }

    fn target(&self, query: &[(String, String)]) -> String {
        let path = utf8_percent_encode(&self.path, PLAIN_PATH);
        if query.is_empty() { path.to_string() } else { format!("{path}?{}", canonical_query(query)) }
    }
}

fn canonical_query(query: &[(String, String)]) -> String {
    let escaped = |text: &str| utf8_percent_encode(text, PLAIN).to_string();
    let mut pairs: Vec<(String, String)> = query.iter().map(|(name, value)| (escaped(name), escaped(value))).collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The time as AWS writes it, so many minutes from now.
pub(crate) fn minutes_from_now(minutes: i64) -> String {
    let then = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(minutes);
    then.strftime("%Y%m%dT%H%M%SZ").to_string()
}

impl Signer {
    /// What `keys s3` prints for this tenant's key.
    #[track_caller]
    pub(crate) fn of(daemon: &Daemon, tenant: &Tenant) -> Self {
        let output = daemon.command(&["keys", "s3", &tenant.key_id, "--format", "json"]);
        assert!(output.status.success(), "{output:?}");
        let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
        let text = |member: &str| said[member].as_str().unwrap_or_else(|| panic!("{member} in {said}")).to_owned();
        Self {
            access_key: text("access_key"),
            secret_key: text("secret_key"),
            bucket: text("bucket"),
            endpoint: text("endpoint"),
            buckets: said["buckets"].clone(),
            region: "us-east-1".to_owned(),
        }
    }

    /// An object of the session.
    pub(crate) fn object(&self, method: &str, key: &str) -> Unsigned {
        Unsigned::new(method, &format!("/{}/{key}", self.bucket))
    }

    /// The session as a bucket.
    pub(crate) fn bucket(&self, method: &str) -> Unsigned {
        Unsigned::new(method, &format!("/{}", self.bucket))
    }

    fn scope(&self, date: &str) -> String {
        format!("{}/{}/s3/aws4_request", &date[..8], self.region)
    }

    fn signature(&self, date: &str, canonical: &str) -> String {
        self.sign(date, &format!("AWS4-HMAC-SHA256\n{date}\n{}\n{}", self.scope(date), sha256(canonical)))
    }

    fn sign(&self, date: &str, text: &str) -> String {
        let mut key = mac(format!("AWS4{}", self.secret_key).as_bytes(), &date[..8]);
        for part in [self.region.as_str(), "s3", "aws4_request"] {
            key = mac(&key, part);
        }
        hex::encode(mac(&key, text))
    }

    /// The request with an `Authorization`, and the signature in it.
    fn authorized(&self, unsigned: &Unsigned) -> (Ask, String, String) {
        let date = unsigned.date.clone().unwrap_or_else(|| minutes_from_now(0));
        let payload = unsigned.payload.clone().unwrap_or_else(|| sha256(&unsigned.body));
        let mut headers = unsigned.headers.clone();
        headers.push(("host".to_owned(), files_host()));
        headers.push(("x-amz-content-sha256".to_owned(), payload.clone()));
        headers.push(("x-amz-date".to_owned(), date.clone()));
        headers.sort();
        let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(";");
        let lines: Vec<String> = headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
        let path = utf8_percent_encode(&unsigned.path, PLAIN_PATH);
        let query = canonical_query(&unsigned.query);
        let canonical = format!("{}\n{path}\n{query}\n{}\n{names}\n{payload}", unsigned.method, lines.concat());
        let signature = self.signature(&date, &canonical);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={names}, Signature={signature}",
            self.access_key,
            self.scope(&date)
        );
        let mut ask = Ask::new(&unsigned.method, &files_host(), &unsigned.target(&unsigned.query));
        for (name, value) in headers.iter().filter(|(name, _)| name != "host") {
            ask = ask.header(name, value);
        }
        (ask.header("Authorization", &authorization), date, signature)
    }

    /// The request, signed in its header.
    pub(crate) fn signed(&self, unsigned: &Unsigned) -> Ask {
        let (ask, _, _) = self.authorized(unsigned);
        let bodiless = unsigned.body.is_empty() && !["PUT", "POST"].contains(&unsigned.method.as_str());
        if bodiless { ask } else { ask.body(&unsigned.body) }
    }

    /// The request, its body in pieces that are each signed (`STREAMING-AWS4-HMAC-SHA256-PAYLOAD`); `change` may spoil
    /// what is sent.
    pub(crate) fn signed_in_pieces(&self, unsigned: Unsigned, piece: usize, change: impl FnOnce(&mut Vec<u8>)) -> Ask {
        let length = unsigned.body.len().to_string();
        let unsigned = unsigned
            .header("content-encoding", "aws-chunked")
            .header("x-amz-decoded-content-length", &length)
            .payload("STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
        let (ask, date, mut last) = self.authorized(&unsigned);
        let mut body = Vec::new();
        for piece in unsigned.body.chunks(piece).chain([&[][..]]) {
            let text = format!(
                "AWS4-HMAC-SHA256-PAYLOAD\n{date}\n{}\n{last}\n{}\n{}",
                self.scope(&date),
                sha256(""),
                sha256(piece)
            );
            last = self.sign(&date, &text);
            body.extend_from_slice(format!("{:x};chunk-signature={last}\r\n", piece.len()).as_bytes());
            body.extend_from_slice(piece);
            body.extend_from_slice(b"\r\n");
        }
        change(&mut body);
        ask.body(body)
    }

    /// The request, signed in its query and good for so many seconds.
    pub(crate) fn presigned(&self, unsigned: &Unsigned, seconds: u64) -> Ask {
        let date = unsigned.date.clone().unwrap_or_else(|| minutes_from_now(0));
        let mut query = unsigned.query.clone();
        for (name, value) in [
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256".to_owned()),
            ("X-Amz-Credential", format!("{}/{}", self.access_key, self.scope(&date))),
            ("X-Amz-Date", date.clone()),
            ("X-Amz-Expires", seconds.to_string()),
            ("X-Amz-SignedHeaders", "host".to_owned()),
        ] {
            query.push((name.to_owned(), value));
        }
        let path = utf8_percent_encode(&unsigned.path, PLAIN_PATH);
        let line = canonical_query(&query);
        let canonical = format!("{}\n{path}\n{line}\nhost:{}\n\nhost\nUNSIGNED-PAYLOAD", unsigned.method, files_host());
        query.push(("X-Amz-Signature".to_owned(), self.signature(&date, &canonical)));
        let ask = Ask::new(&unsigned.method, &files_host(), &unsigned.target(&query));
        if unsigned.method == "PUT" { ask.body(&unsigned.body) } else { ask }
    }

    /// One request, signed.
    #[track_caller]
    pub(crate) fn ask(&self, daemon: &Daemon, unsigned: &Unsigned) -> Answer {
        daemon.ask(&self.signed(unsigned))
    }

    /// Puts an object; its tag, without quotes.
    #[track_caller]
    pub(crate) fn put(&self, daemon: &Daemon, key: &str, contents: impl AsRef<[u8]>) -> String {
        let answer = self.ask(daemon, &self.object("PUT", key).body(contents));
        assert_eq!(answer.status(), 200, "{key}: {}", answer.text());
        answer
            .header("etag")
            .unwrap_or_else(|| panic!("{key}: no ETag: {:?}", answer.head))
            .trim_matches('"')
            .to_owned()
    }
}

/// What ends an upload in parts: their numbers and tags.
pub(crate) fn completion(parts: &[(u32, String)]) -> String {
    let part =
        |(number, tag): &(u32, String)| format!("<Part><PartNumber>{number}</PartNumber><ETag>\"{tag}\"</ETag></Part>");
    let parts: Vec<String> = parts.iter().map(part).collect();
    format!("<CompleteMultipartUpload>{}</CompleteMultipartUpload>", parts.concat())
}

/// The text in every element of this name, in order, its entities resolved.
pub(crate) fn elements(xml: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut found = Vec::new();
    let mut rest = xml;
    while let Some((_, behind)) = rest.split_once(&open) {
        let Some((text, after)) = behind.split_once(&close) else { break };
        let text = ["&lt;", "&gt;", "&quot;", "&apos;", "&#39;", "&#34;", "&amp;"]
            .into_iter()
            .zip(["<", ">", "\"", "'", "'", "\"", "&"])
            .fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character));
        found.push(text);
        rest = after;
    }
    found
}

/// The text in the only element of this name; empty if there is none.
#[track_caller]
pub(crate) fn element(xml: &str, name: &str) -> String {
    let found = elements(xml, name);
    assert!(found.len() < 2, "several {name}: {xml}");
    found.into_iter().next().unwrap_or_default()
}

/// What became of a request, in few words: `200`, `404 NoSuchKey`.
pub(crate) fn fate(answer: &Answer) -> String {
    match answer.status() {
        status @ ..400 => status.to_string(),
        status => format!("{status} {}", elements(&answer.text(), "Code").first().cloned().unwrap_or_default()),
    }
}
