//! The processes on the other side of the gateway: upstreams, registries, nginx.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::client::{Answer, Ask, Client};
use super::eventually::eventually;

/// A child process that ends with its handle.
#[derive(Debug)]
struct Process {
    child: Child,
    ports: Vec<u16>,
}

impl Process {
    /// Starts an example of this crate and reads the ports that it prints.
    fn example(name: &str, arguments: &[String]) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_chittyconnect")).with_file_name("examples").join(name);
        let mut child = Command::new(&program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}; `cargo build --examples` makes it", program.display()));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ports = line.split_whitespace().map(|port| port.parse().unwrap()).collect();
        Self { child, ports }
    }

    fn control(&self) -> u16 {
        *self.ports.last().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The example `upstream`.
#[derive(Debug)]
pub(crate) struct Upstream(Process);

impl Upstream {
    pub(crate) fn start() -> Self {
        Self::with_ports(1)
    }

    /// One process that listens on several ports.
    pub(crate) fn with_ports(count: usize) -> Self {
        Self(Process::example("upstream", &[count.to_string()]))
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.ports[0]
    }

    pub(crate) fn ports(&self) -> &[u16] {
        &self.0.ports[..self.0.ports.len() - 1]
    }

    /// `http://127.0.0.1:port`
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// A service in YAML that is served by this process.
    pub(crate) fn service(&self, id: &str) -> String {
        self.service_with(id, "")
    }

    /// The same with further keys.
    pub(crate) fn service_with(&self, id: &str, more: &str) -> String {
        let comma = if more.is_empty() { "" } else { ", " };
        format!("{{id: {id}, endpoints: [\"{}\"]{comma}{more}}}", self.url())
    }

    /// Every request that has reached it.
    pub(crate) fn requests(&self) -> Vec<Value> {
        self.ask("GET", "/requests", b"").json().as_array().cloned().unwrap_or_default()
    }

    /// The targets of every request that has reached it.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.requests().iter().map(|r| r["target"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The targets of everything that asked after its health; those are among no requests.
    pub(crate) fn probes(&self) -> Vec<String> {
        let probes = self.ask("GET", "/probes", b"").json();
        let target = |probe: &Value| probe["target"].as_str().unwrap_or_default().to_owned();
        probes.as_array().map(|list| list.iter().map(target).collect()).unwrap_or_default()
    }

    /// How many connections have carried a request.
    pub(crate) fn connections(&self) -> u64 {
        self.ask("GET", "/connections", b"").json().as_u64().unwrap()
    }

    /// One number or flag of a gate: `arrived`, `received`, `sent`, `finished`, `left`.
    pub(crate) fn gate(&self, gate: &str, field: &str) -> Value {
        self.ask("GET", &format!("/gate/{gate}"), b"").json()[field].clone()
    }

    /// Waits until a request has arrived at this gate.
    #[track_caller]
    pub(crate) fn wait_for_arrival(&self, gate: &str) {
        eventually(&format!("a request at the upstream's gate {gate}"), || match self.gate(gate, "arrived").as_u64() {
            Some(0) | None => Err(self.targets()),
            Some(_) => Ok(()),
        });
    }

    pub(crate) fn push(&self, gate: &str, piece: impl AsRef<[u8]>) {
        self.ask("POST", &format!("/gate/{gate}/push"), piece.as_ref());
    }

    /// The gate's next step: `end`, `close`, `reset`.
    pub(crate) fn step(&self, gate: &str, step: &str) {
        self.ask("POST", &format!("/gate/{gate}/{step}"), b"");
    }

    fn ask(&self, method: &str, target: &str, body: &[u8]) -> Answer {
        Client::connect(self.0.control()).ask(&Ask::new(method, "control", target).body(body))
    }
}

/// The path at which the upstream writes exactly `bytes` and then does `then`: `close`, `reset` or `hang`.
pub(crate) fn raw(bytes: impl AsRef<[u8]>, then: &str) -> String {
    let hex = bytes.as_ref().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    format!("/raw?bytes={hex}&then={then}")
}

/// The example `registry`.
#[derive(Debug)]
pub(crate) struct Registry(Process);

impl Registry {
    pub(crate) fn start() -> Self {
        Self(Process::example("registry", &[]))
    }

    /// One that already has a document at `/api/services`.
    pub(crate) fn with(document: impl AsRef<[u8]>) -> Self {
        let registry = Self::start();
        registry.put("/api/services", document);
        registry
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.0.ports[0])
    }

    /// A `registry` section with this process as its only source, asked often, and `more` keys of the source.
    pub(crate) fn section(&self, more: &str) -> String {
        let comma = if more.is_empty() { "" } else { ", " };
        format!("{{refresh: 100ms, sources: [{{http: {{url: \"{}\"{comma}{more}}}}}]}}", self.url())
    }

    pub(crate) fn put(&self, path: &str, document: impl AsRef<[u8]>) {
        self.put_as(path, "", document);
    }

    /// `how`: `status=500`, `bearer=token`, `hold=1`, `cut=1`, `cursor=next`, joined with `&`.
    pub(crate) fn put_as(&self, path: &str, how: &str, document: impl AsRef<[u8]>) {
        let path = percent_encoding::utf8_percent_encode(path, percent_encoding::NON_ALPHANUMERIC);
        self.ask("PUT", &format!("/document?path={path}&{how}"), document.as_ref());
    }

    pub(crate) fn remove(&self, path: &str) {
        self.ask("DELETE", &format!("/document?path={path}"), b"");
    }

    /// Every request that has reached it: `target` and `headers`.
    pub(crate) fn requests(&self) -> Vec<Value> {
        self.ask("GET", "/requests", b"").json().as_array().cloned().unwrap_or_default()
    }

    fn ask(&self, method: &str, target: &str, body: &[u8]) -> Answer {
        Client::connect(self.0.control()).ask(&Ask::new(method, "control", target).body(body))
    }
}

/// The example `s3-server`, with one bucket.
#[derive(Debug)]
pub(crate) struct S3Server {
    process: Option<Process>,
    folder: tempfile::TempDir,
    pub(crate) bucket: String,
    pub(crate) port: u16,
}

impl S3Server {
    pub(crate) const ACCESS_KEY: &str = "test-access";
    pub(crate) const SECRET_KEY: &str = "test-secret";

    pub(crate) fn start(bucket: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(bucket)).unwrap();
        let mut server = Self { process: None, folder, bucket: bucket.to_owned(), port: 0 };
        server.start_again();
        server
    }

    /// Starts it again where it was.
    pub(crate) fn start_again(&mut self) {
        let folder = self.folder.path().to_str().unwrap();
        let port = self.port.to_string();
        let process =
            Process::example("s3-server", &[folder, Self::ACCESS_KEY, Self::SECRET_KEY, &port].map(str::to_owned));
        self.port = process.ports[0];
        self.process = Some(process);
    }

    /// Ends it; what it has stays.
    pub(crate) fn stop(&mut self) {
        self.process = None;
    }

    /// What a daemon needs in its environment to use it.
    pub(crate) fn environment(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_ACCESS_KEY_ID", Self::ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", Self::SECRET_KEY.to_owned()),
            ("AWS_ENDPOINT", format!("http://127.0.0.1:{}", self.port)),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
        ]
    }

    /// Where the objects of the bucket are, each a file.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join(&self.bucket)
    }

    /// Parts of objects that are not whole, and whatever else it works with.
    pub(crate) fn unfinished(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let is_part = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.starts_with(".upload_id-") || name.starts_with(".tmp.")
        };
        entries.filter(is_part).collect()
    }
}

/// Whether tests with programs from outside this crate run: `tests/run.sh` installs them and says so.
pub(crate) fn peers_are_there() -> bool {
    std::env::var_os("CHITTY_TEST_PEERS").is_some()
}
