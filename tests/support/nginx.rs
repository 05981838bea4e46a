//! nginx from the system, as an upstream that is configured, hurt and brought back by the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::client::Client;
use super::daemon::reserve_port;
use super::eventually::eventually;

/// nginx with a configuration of the test's.
#[derive(Debug)]
pub(crate) struct Nginx {
    child: Child,
    folder: tempfile::TempDir,
    pub(crate) port: u16,
}

impl Nginx {
    /// Starts it with these directives inside its `server` block.
    pub(crate) fn start(server: &str) -> Self {
        let listen = |port| format!("server {{ listen 127.0.0.1:{port}; root www; {server} }}");
        Self::with(tempfile::tempdir().unwrap(), listen)
    }

    /// Starts it in `folder` with these directives inside its `http` block. Something has to listen on the port that
    /// they are made with.
    pub(crate) fn with(folder: tempfile::TempDir, http: impl Fn(u16) -> String) -> Self {
        fs::create_dir(folder.path().join("www")).unwrap();
        let mut attempt = 0;
        loop {
            attempt += 1;
            let port = reserve_port();
            let configuration = format!(
                "daemon off; worker_processes 1; pid nginx.pid; error_log stderr;\n\
                 events {{ worker_connections 512; }}\n\
                 http {{ access_log off; client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp;\n\
                 uwsgi_temp_path tmp; scgi_temp_path tmp;\n\
                 {} }}\n",
                http(port)
            );
            fs::write(folder.path().join("nginx.conf"), configuration).unwrap();
            match launch(folder.path(), port) {
                Ok(child) => return Self { child, folder, port },
                Err(log) => assert!(attempt < 5 && log.contains("in use"), "nginx ended: {log}"),
            }
        }
    }

    /// Where it finds its files.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("www")
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Sends `signal` to the master alone.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.master(), signal).unwrap();
    }

    /// Sends `signal` to the master and each of its workers.
    pub(crate) fn signal_all(&self, signal: Signal) {
        let workers = self.workers();
        self.signal(signal);
        for worker in workers {
            // One may have ended with its master.
            let _ = kill(worker, signal);
        }
    }

    /// Waits for its end, after a signal that asks for it, and starts it again where it was.
    pub(crate) fn start_again(&mut self) {
        let child = &mut self.child;
        eventually("nginx ends", || child.try_wait().unwrap().ok_or("still running"));
        self.child = eventually("nginx has its port again", || launch(self.folder.path(), self.port));
    }

    fn master(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    /// The processes that it has started.
    fn workers(&self) -> Vec<Pid> {
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        children.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap())).collect()
    }
}

/// Starts it with the configuration in `folder`; `Err` = its log, if it ended by itself.
fn launch(folder: &Path, port: u16) -> Result<Child, String> {
    let mut child = Command::new("nginx")
        .args(["-e", "stderr", "-p"])
        .arg(folder)
        .args(["-c", "nginx.conf"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("nginx: {e}; tests/run.sh installs it"));
    let listening = eventually("nginx listens or ends", || match child.try_wait().unwrap() {
        Some(_) => Ok(false),
        None => Client::try_connect(port).map(|_| true),
    });
    if listening {
        return Ok(child);
    }
    Err(std::io::read_to_string(child.stderr.take().unwrap()).unwrap())
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_some()) {
            return;
        }
        // The workers see their master leave, unless they are stopped; SIGKILL would leave them behind.
        self.signal_all(Signal::SIGCONT);
        let _ = kill(self.master(), Signal::SIGTERM);
        let _ = self.child.wait();
    }
}
