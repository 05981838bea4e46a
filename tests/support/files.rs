//! Files with their contents, as their clients have them, and the place where a daemon keeps them.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Output;

use md5::Md5;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rand::rngs::StdRng;
use rand::{RngCore as _, SeedableRng as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::client::{Answer, Ask, Client};
use super::daemon::{API, Builder, CONNECT, Daemon, Place};
use super::eventually::eventually;
use super::peer::S3Server;
use super::rows::Rows;
use super::task::Tenant;

/// All files; the SHA-256 of one is a segment below.
pub(crate) const FILES: &str = "/api/files";
/// A SHA-256 that nothing here has.
pub(crate) const NO_SUCH_HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
/// What is said of a token that opens nothing, whatever the reason.
pub(crate) const NO_TOKEN: &str = "401 invalid_or_expired_token";

pub(crate) const KIB: usize = 1024;
pub(crate) const MIB: usize = 1024 * KIB;

/// So many bytes that cannot be compressed, others for each number.
pub(crate) fn contents(number: u64, bytes: usize) -> Vec<u8> {
    let mut contents = vec![0; bytes];
    StdRng::seed_from_u64(number).fill_bytes(&mut contents);
    contents
}

/// The SHA-256 in hexadecimal digits.
pub(crate) fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The MD5 in hexadecimal digits.
pub(crate) fn md5(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(Md5::digest(bytes))
}

/// As it stands in a query, and in a path as one segment.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// A place that a daemon gave to whoever comes with it: the host and the target of its URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) url: String,
    pub(crate) r2_key: String,
    host: String,
    target: String,
}

impl Link {
    /// The `member` of an answer that is such a URL.
    #[track_caller]
    pub(crate) fn of(answer: &Answer, member: &str) -> Self {
        assert_eq!(answer.status(), 200, "{}", answer.text());
        let said = answer.json();
        let url = said[member].as_str().unwrap_or_else(|| panic!("no {member} in {said}")).to_owned();
        let (host, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).unwrap_or_default();
        assert!(!path.is_empty(), "not a URL of ours: {url}");
        let r2_key = said["r2_key"].as_str().unwrap_or_default().to_owned();
        Self { host: host.to_owned(), target: format!("/{path}"), url, r2_key }
    }

    /// The last segment.
    pub(crate) fn token(&self) -> &str {
        self.target.rsplit('/').next().unwrap_or_default()
    }

    /// The same with another token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        let target = format!("{}{token}", self.target.strip_suffix(self.token()).unwrap());
        Self { target, ..self.clone() }
    }

    pub(crate) fn ask(&self, method: &str) -> Ask {
        Ask::new(method, &self.host, &self.target)
    }

    /// Sends it a body, without any key.
    #[track_caller]
    pub(crate) fn put(&self, daemon: &Daemon, body: impl AsRef<[u8]>) -> Answer {
        daemon.ask(&self.ask("PUT").body(body))
    }

    #[track_caller]
    pub(crate) fn get(&self, daemon: &Daemon) -> Answer {
        daemon.ask(&self.ask("GET"))
    }
}

/// Base64 as the API wants it.
pub(crate) fn base64(bytes: impl AsRef<[u8]>) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// A file that was taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) r2_key: String,
    pub(crate) sha256: String,
}

impl Kept {
    /// Its URI in the context of its session.
    pub(crate) fn uri(&self) -> String {
        format!("r2://{}", self.r2_key)
    }
}

impl Tenant {
    /// A request to the API about files; `what` follows `/api/files`.
    pub(crate) fn files(&self, method: &str, what: &str) -> Ask {
        self.ask(method, &format!("{FILES}{what}"))
    }

    pub(crate) fn presign(&self, body: &Value) -> Ask {
        self.files("POST", "/presign").body(body.to_string())
    }

    /// A place for a file of this name and size.
    #[track_caller]
    pub(crate) fn presigned(&self, daemon: &Daemon, name: &str, size: usize) -> Link {
        let body = json!({"name": name, "size": size, "session_id": self.session_id});
        Link::of(&daemon.ask(&self.presign(&body)), "upload_url")
    }

    /// What `POST upload` takes.
    pub(crate) fn direct(&self, name: &str, contents: impl AsRef<[u8]>) -> Value {
        json!({"name": name, "session_id": self.session_id, "content_base64": base64(contents)})
    }

    pub(crate) fn upload(&self, body: &Value) -> Ask {
        self.files("POST", "/upload").body(body.to_string())
    }

    /// Has a file kept, in one request.
    #[track_caller]
    pub(crate) fn kept(&self, daemon: &Daemon, name: &str, contents: impl AsRef<[u8]>) -> Kept {
        self.kept_by(&mut daemon.connect(), name, contents)
    }

    /// The same on this connection.
    #[track_caller]
    pub(crate) fn kept_by(&self, client: &mut Client, name: &str, contents: impl AsRef<[u8]>) -> Kept {
        let answer = client.ask(&self.upload(&self.direct(name, &contents)));
        assert_eq!(answer.status(), 200, "{name}: {}", answer.text());
        let r2_key = answer.json()["r2_key"].as_str().unwrap_or_else(|| panic!("{}", answer.text())).to_owned();
        Kept { r2_key, sha256: sha256(contents) }
    }

    /// The contents with this SHA-256, of any of the caller's files.
    pub(crate) fn contents(&self, sha256: &str) -> Ask {
        self.files("GET", &format!("/{sha256}"))
    }

    /// One page of files. A query is given without its question mark.
    #[track_caller]
    pub(crate) fn stored(&self, daemon: &Daemon, query: &str) -> Value {
        let answer = daemon.ask(&self.files("GET", &format!("?{query}")));
        assert_eq!(answer.status(), 200, "?{query}: {}", answer.text());
        answer.json()
    }

    /// Every file of the key's session, page after page.
    #[track_caller]
    pub(crate) fn all_stored(&self, daemon: &Daemon) -> Vec<Value> {
        self.all_of(daemon, &format!("{FILES}?limit=1000"))
    }

    /// Every row with contents in the context of the key's session, page after page.
    #[track_caller]
    pub(crate) fn all_rows(&self, daemon: &Daemon) -> Vec<Value> {
        self.all_of(daemon, "/api/context/files?limit=1000")
    }

    #[track_caller]
    fn all_of(&self, daemon: &Daemon, target: &str) -> Vec<Value> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let answer = daemon.ask(&self.ask("GET", &format!("{target}{cursor}")));
            assert_eq!(answer.status(), 200, "{target}{cursor}: {}", answer.text());
            let page = answer.json();
            all.extend(page["files"].as_array().unwrap().iter().cloned());
            let Some(next) = page["next_cursor"].as_str() else { return all };
            cursor = format!("&cursor={}", encoded(next));
        }
    }

    /// The `r2_key`s of the key's session, in order.
    #[track_caller]
    pub(crate) fn r2_keys(&self, daemon: &Daemon) -> Vec<String> {
        let files = self.all_stored(daemon);
        files.iter().map(|file| file["r2_key"].as_str().unwrap_or_else(|| panic!("{file}")).to_owned()).collect()
    }

    /// Synchronisations that the S3 endpoint made of what happened in the key's session, the last first.
    #[track_caller]
    pub(crate) fn synced_by_s3(&self, daemon: &Daemon) -> Vec<Value> {
        let (mut events, mut cursor) = (Vec::new(), String::new());
        loop {
            let answer = daemon.ask(&self.ask("GET", &format!("/api/context/sync-events?limit=100{cursor}")));
            assert_eq!(answer.status(), 200, "{}", answer.text());
            let page = answer.json();
            let all = page["events"].as_array().unwrap().iter();
            events.extend(all.filter(|event| event["source"] == "s3").cloned());
            let Some(next) = page["next_cursor"].as_str() else { return events };
            cursor = format!("&cursor={}", encoded(next));
        }
    }
}

/// What no file can be made of, whichever way it comes: a member and its value; and what the caller may not.
pub(crate) fn bad_facts() -> Vec<(&'static str, Value)> {
    let mut facts = vec![
        ("name", Value::Null),
        ("name", json!("")),
        ("name", json!(5)),
        ("name", json!({"a": 1})),
        ("name", json!("n".repeat(256))),
        ("name", json!("n".repeat(2048))),
        ("session_id", Value::Null),
        ("session_id", json!("")),
        ("session_id", json!("../../etc")),
        ("session_id", json!("a/b")),
        ("session_id", json!("..")),
        ("session_id", json!("a\u{0}b")),
        ("session_id", json!("s".repeat(129))),
        ("session_id", json!(["s"])),
        ("mime", json!(5)),
        ("mime", json!("text/plain\r\nX-Evil: 1")),
        ("mime", json!("text/plain\u{0}")),
        ("mime", json!("m".repeat(2048))),
    ];
    for hash in ["../../x", "", "zz", &"zz".repeat(32), &"ab".repeat(31), &"ab".repeat(33)] {
        facts.push(("sha256", json!(hash)));
    }
    for size in [json!(-5), json!("big"), json!("5"), json!(1.5), json!([1]), json!(true)] {
        facts.push(("size", size));
    }
    facts
}

/// Where a daemon keeps contents.
#[derive(Debug)]
pub(crate) enum Shelf {
    /// In a folder beside its store.
    Folder,
    /// On an S3 server, below a prefix of a bucket.
    S3(Box<S3Server>),
}

/// What of a shelf.
const PREFIX: &str = "deep/prefix";

impl Shelf {
    /// A server of its own.
    pub(crate) fn s3() -> Self {
        Self::S3(Box::new(S3Server::start("contents")))
    }

    /// What a daemon is started with that keeps contents there; `more` are further keys of `files`.
    pub(crate) fn builder(&self, more: &str) -> Builder {
        let comma = if more.is_empty() { "" } else { ", " };
        match self {
            Self::Folder => Daemon::builder().set("files", &format!("{{store: \"@DIR@/files\"{comma}{more}}}")),
            Self::S3(server) => {
                let store = format!("{{store: \"s3://{}/{PREFIX}\"{comma}{more}}}", server.bucket);
                server
                    .environment()
                    .iter()
                    .fold(Daemon::builder().set("files", &store), |builder, (name, value)| builder.env(name, value))
            }
        }
    }

    /// The folder of the contents, as this process finds it; `folder` is the daemon's.
    fn root(&self, folder: &Path) -> PathBuf {
        match self {
            Self::Folder => folder.join("files"),
            Self::S3(server) => server.root(),
        }
    }

    /// What is on its way: parts of uploads, and uploads that are not whole.
    pub(crate) fn on_their_way(&self, folder: &Path) -> Vec<PathBuf> {
        let root = self.root(folder);
        let mut found = match self {
            Self::Folder => Vec::new(),
            Self::S3(server) => server.unfinished(),
        };
        found.extend(walk(&root).into_iter().filter(|path| is_on_its_way(path.strip_prefix(&root).unwrap())));
        found
    }

    /// Does what a lifecycle rule of a bucket does: ends the store's own uploads in parts that nobody ends. A gateway that
    /// was killed has no way to know of them (docs/STORE.md, "Files").
    pub(crate) fn end_what_nobody_ends(&self) {
        if let Self::S3(server) = self {
            for path in server.unfinished() {
                fs::remove_file(path).ok();
            }
        }
    }

    /// Contents that are in their place.
    pub(crate) fn in_place(&self, folder: &Path) -> Vec<PathBuf> {
        let root = self.root(folder);
        walk(&root).into_iter().filter(|path| !is_on_its_way(path.strip_prefix(&root).unwrap())).collect()
    }

    /// Waits until there is nothing but so many whole contents.
    #[track_caller]
    pub(crate) fn holds_only(&self, folder: &Path, contents: usize) {
        eventually(&format!("nothing but {contents} contents"), || {
            let (whole, parts) = (self.in_place(folder), self.on_their_way(folder));
            if whole.len() == contents && parts.is_empty() { Ok(()) } else { Err((whole, parts)) }
        });
    }
}

/// Whether this is the path of an upload or of a part, within where contents are.
fn is_on_its_way(path: &Path) -> bool {
    path.components().any(|part| ["uploads", "parts"].iter().any(|name| part.as_os_str() == *name))
}

/// Every file below a folder; none where there is no folder.
pub(crate) fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(walk(&entry.path())),
            Ok(_) => found.push(entry.path()),
            // It was there a moment ago.
            Err(_) => {}
        }
    }
    found.sort();
    found
}

/// Makes a test of each of these functions for contents in a folder and for contents on an S3 server; each is told the
/// [`Shelf`].
macro_rules! on_each_shelf {
    ($($test:ident),+ $(,)?) => {
        mod in_a_folder {
            $(#[test] fn $test() { super::$test(&$crate::support::files::Shelf::Folder); })+
        }
        mod on_an_s3_server {
            $(#[test] fn $test() { super::$test(&$crate::support::files::Shelf::s3()); })+
        }
    };
}
pub(crate) use on_each_shelf;

/// Stops the daemon and has its store looked at: rows and contents fit each other.
#[track_caller]
pub(crate) fn ends_whole(daemon: Daemon) -> Place {
    let place = daemon.into_place();
    says_whole(&place.command(&VERIFY));
    place
}

/// The same while the daemon runs.
#[track_caller]
pub(crate) fn is_whole(daemon: &Daemon) {
    says_whole(&daemon.command(&VERIFY));
}

const VERIFY: [&str; 4] = ["store", "verify", "--format", "json"];

#[track_caller]
fn says_whole(output: &Output) {
    let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    assert!(output.status.success() && said["whole"] == true, "{said} {output:?}");
}

/// Whether what the session lists, what its context has rows of and what can be read are the same; `expected` are the
/// contents by `r2_key`.
#[track_caller]
pub(crate) fn are_there(daemon: &Daemon, tenant: &Tenant, expected: &[(String, Vec<u8>)]) {
    let mut rows = Rows::new();
    let mut wanted: Vec<&str> = expected.iter().map(|(key, _)| key.as_str()).collect();
    wanted.sort_unstable();
    rows.eq("listed", &wanted.iter().map(|key| (*key).to_owned()).collect(), &tenant.r2_keys(daemon));
    let mut in_context: Vec<String> =
        tenant.all_rows(daemon).iter().map(|row| row["uri"].as_str().unwrap_or_default().to_owned()).collect();
    in_context.sort();
    rows.eq("in the context", &wanted.iter().map(|key| format!("r2://{key}")).collect(), &in_context);
    let mut client = daemon.connect();
    for (key, contents) in expected {
        let answer = client.ask(&tenant.contents(&sha256(contents)));
        rows.eq(format!("{key}: status"), &200, &answer.status());
        rows.holds(format!("{key}: contents"), answer.body == *contents, answer.body.len());
    }
    rows.finish();
}

/// The part of `contents` that an answer to a range has, and what it must say of it.
pub(crate) fn is_range(rows: &mut Rows, what: &str, answer: &Answer, contents: &[u8], range: Range<usize>) {
    let said = format!("bytes {}-{}/{}", range.start, range.end - 1, contents.len());
    rows.eq(format!("{what}: status"), &206, &answer.status());
    rows.eq(format!("{what}: Content-Range"), &Some(said.as_str()), &answer.header("content-range"));
    rows.holds(format!("{what}: body"), answer.body == contents[range], answer.body.len());
}

/// A host on which the API is, besides the one of [`Tenant::ask`].
pub(crate) const OTHER_HOSTS: [&str; 2] = [API, CONNECT];
