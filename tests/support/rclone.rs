//! Debian's rclone with a remote `chitty:`, which is the S3 endpoint of a daemon.
//!
//! The gateway takes requests whose target is a whole URL, so that it can stand as `http_proxy`: no name needs to be known
//! to anybody else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::daemon::Daemon;
use super::eventually::eventually;
use super::sigv4::{Signer, files_host};
use super::task::Tenant;

/// rclone with the credentials of one key.
#[derive(Debug)]
pub(crate) struct Rclone {
    folder: TempDir,
    proxy: String,
    pub(crate) signer: Signer,
}

impl Rclone {
    #[track_caller]
    pub(crate) fn of(daemon: &Daemon, tenant: &Tenant) -> Self {
        Self::with(daemon.port, Signer::of(daemon, tenant))
    }

    /// One with these credentials for whoever listens on this port.
    pub(crate) fn with(port: u16, signer: Signer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let configuration = format!(
            "[chitty]\ntype = s3\nprovider = Other\nenv_auth = false\naccess_key_id = {}\nsecret_access_key = {}\n\
             endpoint = http://{}\nforce_path_style = true\n",
            signer.access_key,
            signer.secret_key,
            files_host(),
        );
        fs::write(folder.path().join("rclone.conf"), configuration).unwrap();
        Self { folder, proxy: format!("http://127.0.0.1:{port}"), signer }
    }

    /// Goes to another daemon from now on, or to the same one on another port.
    pub(crate) fn go_to(&mut self, daemon: &Daemon) {
        self.proxy = format!("http://127.0.0.1:{}", daemon.port);
    }

    /// The remote folder of the session, and what is below it.
    pub(crate) fn remote(&self, path: &str) -> String {
        format!("chitty:{}/{path}", self.signer.bucket)
    }

    /// A folder on this side.
    pub(crate) fn local(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file on this side, with the folders above it.
    pub(crate) fn write(&self, path: &str, contents: impl AsRef<[u8]>) {
        let path = self.local(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("rclone");
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("http_proxy", &self.proxy)
            .arg("--config")
            .arg(self.folder.path().join("rclone.conf"))
            // A failure is to be seen, not tried away.
            .args(["--retries", "1", "--low-level-retries", "2", "--log-level", "INFO", "--stats", "0"])
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap_or_else(|e| panic!("rclone: {e}; tests/run.sh installs it"))
    }

    /// Runs it to its end, which must be a good one; what it printed.
    #[track_caller]
    pub(crate) fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What it says that is there, by path, with sizes.
    #[track_caller]
    pub(crate) fn listed(&self, path: &str) -> Vec<(String, u64)> {
        let printed = self.done(&["lsjson", "--recursive", "--files-only", &self.remote(path)]);
        let list: Value = serde_json::from_str(&printed).unwrap();
        let file = |entry: &Value| (entry["Path"].as_str().unwrap().to_owned(), entry["Size"].as_u64().unwrap());
        let mut files: Vec<_> = list.as_array().unwrap().iter().map(file).collect();
        files.sort();
        files
    }

    /// Starts it, for what is done to it meanwhile.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let log = fs::File::create(self.folder.path().join("log")).unwrap();
        let mut command = self.command(arguments);
        command.stdout(Stdio::null()).stderr(log);
        Running { child: command.spawn().unwrap_or_else(|e| panic!("rclone: {e}; tests/run.sh installs it")) }
    }

    /// What the one that was started last has said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// An rclone at work. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
}

impl Running {
    pub(crate) fn signal(&self, signal: super::Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until it has ended; whether that was a good end.
    #[track_caller]
    pub(crate) fn ends(mut self) -> bool {
        let child = &mut self.child;
        eventually("rclone ends", || child.try_wait().unwrap().ok_or("still running")).success()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Everything that it said.
pub(crate) fn said(output: &Output) -> String {
    format!("{}\n{}{}", output.status, String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The files below a folder, by path, with their contents.
pub(crate) fn tree(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let path = |path: &PathBuf| path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
    super::files::walk(folder).iter().map(|file| (path(file), fs::read(file).unwrap())).collect()
}
