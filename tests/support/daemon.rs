//! The built binary as a black box: a configuration in a temporary folder, a process, an orderly end.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use chittyconnect::store::Engine;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use super::client::{Answer, Ask, Client};
use super::eventually::eventually;

/// The domain of every test: service hosts are `<subdomain>.chitty.test`.
pub(crate) const DOMAIN: &str = "chitty.test";
/// The three gateway hosts.
pub(crate) const CONNECT: &str = "connect.chitty.test";
pub(crate) const API: &str = "api.chitty.test";
pub(crate) const MCP: &str = "mcp.chitty.test";

/// The built program.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_chittyconnect");

/// A free loopback port below those that the kernel gives away itself, another one each time.
pub(crate) fn reserve_port() -> u16 {
    const FIRST: u16 = 10_240;
    const COUNT: u16 = 20_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id().wrapping_mul(101) % u32::from(COUNT)).unwrap_or(0);
    let mut candidates = std::iter::repeat_with(|| {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        FIRST + (start + step) % COUNT
    });
    candidates.find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok()).unwrap()
}

/// What a daemon will be started with. `@PORT@`, `@ADMIN@` and `@DIR@` in any text become the gateway's port, the
/// admin port and the temporary folder.
#[derive(Clone, Debug, Default)]
pub(crate) struct Builder {
    sections: BTreeMap<String, String>,
    services: Vec<String>,
    files: Vec<(String, String)>,
    under: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Builder {
    /// Sets one top-level key of the configuration, in place of the harness's own.
    pub(crate) fn set(mut self, key: &str, yaml: &str) -> Self {
        self.sections.insert(key.to_owned(), yaml.to_owned());
        self
    }

    /// Has it keep its store with this engine.
    pub(crate) fn engine(self, engine: Engine) -> Self {
        self.set("store", &format!("{{path: \"@DIR@/data\", engine: {}}}", engine.name()))
    }

    /// Adds a static service in flow style: `{id: x, endpoints: […]}`.
    pub(crate) fn service(mut self, yaml: impl Into<String>) -> Self {
        self.services.push(yaml.into());
        self
    }

    /// Puts a file beside the configuration.
    pub(crate) fn file(mut self, name: &str, content: impl Into<String>) -> Self {
        self.files.push((name.to_owned(), content.into()));
        self
    }

    /// Has another program start it: one that ends up as the daemon, so that its process id is the daemon's.
    pub(crate) fn under(mut self, command: &[String]) -> Self {
        self.under = command.to_vec();
        self
    }

    /// Has it, and every command that is run with its configuration, see this in the environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The configuration as it will be written, but for the placeholders.
    pub(crate) fn yaml(&self) -> String {
        let mut sections = BTreeMap::from([
            // Tests ask more often than people do.
            ("rate_limit", "off"),
            ("domain", DOMAIN),
            ("server", "{threads: 2, grace_period: 20s}"),
            ("listeners", "[{bind: \"127.0.0.1:@PORT@\"}]"),
            ("admin", "{metrics: \"127.0.0.1:@ADMIN@\", socket: \"@DIR@/admin.sock\"}"),
            ("store", "{path: \"@DIR@/data\"}"),
            ("log", "{level: info, format: json, access: \"@DIR@/access.log\"}"),
        ]);
        sections.extend(self.sections.iter().map(|(key, yaml)| (key.as_str(), yaml.as_str())));
        let mut text = String::new();
        for (key, yaml) in sections {
            let _ = writeln!(text, "{key}: {yaml}");
        }
        if !self.services.is_empty() {
            text.push_str("services:\n");
            for service in &self.services {
                let _ = writeln!(text, "  - {service}");
            }
        }
        text
    }

    /// Starts the daemon and waits until it is ready.
    ///
    /// # Panics
    /// With its log, when it ends instead or does not get ready.
    #[track_caller]
    pub(crate) fn start(self) -> Daemon {
        let folder = tempfile::tempdir().unwrap();
        self.start_in(folder)
    }

    /// Starts the daemon and waits until it answers, be it ready or not.
    #[track_caller]
    pub(crate) fn start_anyway(self) -> Daemon {
        let folder = tempfile::tempdir().unwrap();
        Place { builder: self, folder }.start_until(Until::Answering).unwrap_or_else(|refused| refused.fail())
    }

    /// Starts the daemon and waits until it is ready or has ended by itself.
    #[track_caller]
    pub(crate) fn try_start(self) -> Result<Daemon, Box<Refused>> {
        let folder = tempfile::tempdir().unwrap();
        Place { builder: self, folder }.try_start()
    }

    #[track_caller]
    fn start_in(self, folder: TempDir) -> Daemon {
        Place { builder: self, folder }.start()
    }
}

/// How far a start is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    /// `/readyz` is 200.
    Ready,
    /// `/health` is answered.
    Answering,
}

/// A daemon's folder while no daemon is in it.
#[derive(Debug)]
pub(crate) struct Place {
    builder: Builder,
    folder: TempDir,
}

impl Place {
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs the program with these arguments and the configuration of the daemon that was here.
    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        command(&self.builder, &self.folder, arguments)
    }

    /// Starts a daemon, on other ports than the last one, and waits until it is ready.
    ///
    /// # Panics
    /// With its log, when it ends instead or does not get ready.
    #[track_caller]
    pub(crate) fn start(self) -> Daemon {
        self.start_until(Until::Ready).unwrap_or_else(|refused| refused.fail())
    }

    /// The same, but waits only until it answers, be it ready or not.
    #[track_caller]
    pub(crate) fn start_anyway(self) -> Daemon {
        self.start_until(Until::Answering).unwrap_or_else(|refused| refused.fail())
    }

    /// Starts a daemon and waits until it is ready or has ended by itself.
    #[track_caller]
    pub(crate) fn try_start(self) -> Result<Daemon, Box<Refused>> {
        self.start_until(Until::Ready)
    }

    /// Starts a daemon and kills it after having looked at it so many times.
    pub(crate) fn killed_after(self, looks: u32) -> Self {
        let mut daemon = Daemon::spawn(self.builder, self.folder);
        for _ in 0..looks {
            if !daemon.is_running() {
                break;
            }
        }
        daemon.killed()
    }

    #[track_caller]
    fn start_until(self, until: Until) -> Result<Daemon, Box<Refused>> {
        let Self { builder, mut folder } = self;
        for _ in 0..10 {
            let mut daemon = Daemon::spawn(builder.clone(), folder);
            if daemon.gets(until) {
                return Ok(daemon);
            }
            let status = daemon.wait_for_exit();
            let log = daemon.log();
            let configuration = fs::read_to_string(daemon.config()).unwrap();
            folder = daemon.into_folder();
            // The address, not the store.
            if !log.contains("ddress already in use") {
                let place = Place { builder, folder };
                return Err(Box::new(Refused { status, log, configuration, place }));
            }
        }
        panic!("ten times no free port");
    }
}

/// A daemon that ended by itself instead of serving.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) status: ExitStatus,
    pub(crate) log: String,
    configuration: String,
    pub(crate) place: Place,
}

impl Refused {
    #[track_caller]
    fn fail(&self) -> ! {
        panic!("not ready but ended: {}\n{}\nwith:\n{}", self.status, self.log, self.configuration);
    }
}

/// A running daemon. It is stopped when this is dropped, and its log is printed if the test failed.
#[derive(Debug)]
pub(crate) struct Daemon {
    builder: Builder,
    child: Child,
    folder: Option<TempDir>,
    pub(crate) port: u16,
    pub(crate) admin_port: u16,
}

impl Daemon {
    pub(crate) fn builder() -> Builder {
        Builder::default()
    }

    fn spawn(builder: Builder, folder: TempDir) -> Self {
        let (port, admin_port) = (reserve_port(), reserve_port());
        let path = folder.path();
        for (name, content) in &builder.files {
            fs::write(path.join(name), placed(content, path, port, admin_port)).unwrap();
        }
        fs::write(path.join("chittyconnect.yaml"), placed(&builder.yaml(), path, port, admin_port)).unwrap();
        let log = || Stdio::from(File::options().create(true).append(true).open(path.join("daemon.log")).unwrap());
        let config = path.join("chittyconnect.yaml");
        let serve = [BINARY, "serve", "--config", config.to_str().unwrap()].map(str::to_owned);
        let under = builder.under.iter().map(|word| placed(word, path, port, admin_port));
        let words: Vec<String> = under.chain(serve).collect();
        let child = Command::new(&words[0])
            .args(&words[1..])
            .envs(builder.environment.iter().cloned())
            .current_dir(path)
            .stdin(Stdio::null())
            .stdout(log())
            .stderr(log())
            .spawn()
            .unwrap();
        Self { builder, child, folder: Some(folder), port, admin_port }
    }

    /// Waits until it is so far; false if it ends before that.
    fn gets(&mut self, until: Until) -> bool {
        let (port, host, path) = match until {
            Until::Ready => (self.admin_port, "admin", "/readyz"),
            Until::Answering => (self.port, CONNECT, "/health"),
        };
        let child = &mut self.child;
        eventually(&format!("{path} is 200, or the daemon ends"), || {
            if child.try_wait().unwrap().is_some() {
                return Ok(false);
            }
            let mut client = Client::try_connect(port).map_err(|e| e.to_string())?;
            client.send(Ask::get(host, path).to_bytes());
            match client.try_answer("GET") {
                Ok(answer) if answer.status() == 200 => Ok(true),
                Ok(answer) => Err(format!("{} {}", answer.status(), answer.text())),
                Err(ending) => Err(format!("{ending:?}")),
            }
        })
    }

    /// Its folder, once it has ended; one that still runs is stopped in an orderly way.
    pub(crate) fn into_place(self) -> Place {
        Place { builder: self.builder.clone(), folder: self.into_folder() }
    }

    /// Its folder, after it was killed.
    pub(crate) fn killed(mut self) -> Place {
        self.signal(Signal::SIGKILL);
        self.wait_for_exit();
        self.into_place()
    }

    fn into_folder(mut self) -> TempDir {
        self.stop();
        let folder = self.folder.take().unwrap();
        let _ = fs::remove_file(folder.path().join("daemon.log"));
        folder
    }

    /// Stops it and starts it again in the same folder, on other ports.
    #[track_caller]
    pub(crate) fn restart(mut self) -> Self {
        self.signal(Signal::SIGTERM);
        self.wait_for_exit();
        self.start_again()
    }

    /// Starts it again in the same folder, on other ports, after it has ended.
    #[track_caller]
    pub(crate) fn start_again(self) -> Self {
        let builder = self.builder.clone();
        builder.start_in(self.into_folder())
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.as_ref().unwrap().path()
    }

    /// The configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder().join("chittyconnect.yaml")
    }

    /// Replaces a file beside the configuration in one step, placeholders and all.
    pub(crate) fn write(&self, name: &str, content: &str) {
        let draft = self.folder().join(format!(".{name}.new"));
        fs::write(&draft, placed(content, self.folder(), self.port, self.admin_port)).unwrap();
        fs::rename(draft, self.folder().join(name)).unwrap();
    }

    /// Writes another configuration for the same ports and folder, and asks for a reload.
    pub(crate) fn reload(&self, builder: &Builder) {
        self.write("chittyconnect.yaml", &builder.yaml());
        self.signal(Signal::SIGHUP);
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.port)
    }

    /// One request on a connection of its own.
    #[track_caller]
    pub(crate) fn ask(&self, ask: &Ask) -> Answer {
        self.connect().ask(ask)
    }

    #[track_caller]
    pub(crate) fn get(&self, host: &str, target: &str) -> Answer {
        self.ask(&Ask::get(host, target))
    }

    /// Exactly these bytes on a connection of their own, and the answer to them.
    #[track_caller]
    pub(crate) fn raw(&self, bytes: impl AsRef<[u8]>) -> Answer {
        self.connect().send(bytes).answer("GET")
    }

    /// A request to the admin address.
    #[track_caller]
    pub(crate) fn admin(&self, target: &str) -> Answer {
        Client::connect(self.admin_port).ask(&Ask::get("admin", target))
    }

    /// One sample of `/metrics` by its name and labels as they are printed; `None` while it is not there.
    pub(crate) fn metric(&self, sample: &str) -> Option<f64> {
        let text = self.admin("/metrics").text();
        let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '))?;
        line.trim().parse().ok()
    }

    /// The sum of all samples whose name is `name` and whose labels contain every one of `labels`.
    pub(crate) fn metric_sum(&self, name: &str, labels: &[&str]) -> f64 {
        let text = self.admin("/metrics").text();
        let samples = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' ']))?;
            let (labelled, value) = rest.rsplit_once(' ')?;
            labels.iter().all(|label| labelled.contains(label)).then(|| value.parse::<f64>().ok()).flatten()
        });
        samples.sum()
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Waits until the process has ended by itself.
    #[track_caller]
    pub(crate) fn wait_for_exit(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually("the daemon ends", || child.try_wait().unwrap().ok_or("still running"))
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// What it wrote to standard output and error.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder().join("daemon.log")).unwrap_or_default()
    }

    /// The whole lines of the access log so far.
    pub(crate) fn access_lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.folder().join("access.log")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e} in access line {line:?}"));
        whole.lines().map(parse).collect()
    }

    /// Waits for the access line that `wanted` describes.
    #[track_caller]
    pub(crate) fn access_line(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("an access line {what}"), || {
            let lines = self.access_lines();
            lines.iter().find(|line| wanted(line)).cloned().ok_or(lines)
        })
    }

    /// Resident memory in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches("kB").trim().parse().unwrap()
    }

    /// How many descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// What `explain` tells of the service that this URL leads to.
    #[track_caller]
    pub(crate) fn explained(&self, url: &str) -> Value {
        let output = self.command(&["explain", url, "--format", "json"]);
        let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
        told["service"].clone()
    }

    /// The state of each endpoint of the service that this URL leads to, in order: `serving`, `ejected`, `unhealthy`.
    #[track_caller]
    pub(crate) fn endpoint_states(&self, url: &str) -> Vec<String> {
        let service = self.explained(url);
        let endpoints = service["endpoints"].as_array().into_iter().flatten();
        endpoints.map(|endpoint| endpoint["state"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Runs the program with these arguments and this daemon's configuration.
    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        command(&self.builder, self.folder.as_ref().unwrap(), arguments)
    }

    fn stop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_some()) {
            return;
        }
        // What still hangs in a failed test would only hold the drain up.
        if !std::thread::panicking() {
            self.signal(Signal::SIGTERM);
            let child = &mut self.child;
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                eventually("the daemon ends after SIGTERM", || child.try_wait().unwrap().ok_or("still running"));
            }));
            if ended.is_ok() {
                return;
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Daemon {
    #[allow(clippy::print_stderr, reason = "the test harness shows it with the failed test")]
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() && self.folder.is_some() {
            eprintln!("--- the daemon's log ---\n{}--- its access log ---", self.log());
            eprintln!("{}", fs::read_to_string(self.folder().join("access.log")).unwrap_or_default());
        }
    }
}

fn command(builder: &Builder, folder: &TempDir, arguments: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(arguments).arg("--config").arg(folder.path().join("chittyconnect.yaml"));
    command.envs(builder.environment.iter().cloned()).output().unwrap()
}

fn placed(text: &str, folder: &Path, port: u16, admin_port: u16) -> String {
    let folder = folder.to_str().unwrap();
    text.replace("@PORT@", &port.to_string()).replace("@ADMIN@", &admin_port.to_string()).replace("@DIR@", folder)
}
