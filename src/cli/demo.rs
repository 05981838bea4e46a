//! `demo`: the gateway with two sample services, all on this machine and in a temporary folder.
//!
//! The services are real HTTP servers, found through a registry file, so everything that is printed takes the way that
//! real traffic takes.

mod sample;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use serde_json::json;

use super::{logging, output};
use crate::app::{self, Hooks};
use crate::auth::key::request::KeyRequest;
use crate::auth::key::{Secret, issue};
use crate::config::Config;
use crate::listener::check_bind;

/// Where metrics are, unless something else has the port.
const METRICS_PORT: u16 = 9464;
/// Whose tasks the demo's key opens.
const CHITTY_ID: &str = "demo";

pub(super) fn run(port: u16) -> Result<(), String> {
    let gateway = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    check_bind("--port", gateway)
        .map_err(|error| format!("{}\nanother port can be given with --port", output::chain(&error)))?;
    let metrics = metrics_address().map_err(|error| format!("no free port for metrics: {error}"))?;
    let folder = tempfile::Builder::new()
        .prefix("chittyconnect-demo-")
        .tempdir()
        .map_err(|error| format!("no temporary folder: {error}"))?;
    let samples = sample::start().map_err(|error| format!("the sample services cannot be started: {error}"))?;

    let written = |error: std::io::Error| format!("{}: {error}", folder.path().display());
    let registry = json!({"services": [
        {"id": "chittyid", "name": "chittyid", "subdomain": "id", "url": samples.identity, "status": "active"},
        {"id": "chittysync", "name": "chittysync", "subdomain": "sync", "url": samples.stream, "status": "active"},
    ]});
    fs::write(folder.path().join("registry.json"), format!("{registry:#}\n")).map_err(written)?;
    let file = folder.path().join("chittyconnect.yaml");
    let yaml = configuration(folder.path(), gateway, metrics).map_err(|error| error.to_string())?;
    fs::write(&file, yaml).map_err(written)?;

    let config = Config::load(&file).map_err(|error| output::chain(&error))?;
    let log = logging::start(&config.telemetry);
    let chitty_id = CHITTY_ID.parse().map_err(|error| format!("{CHITTY_ID}: {error}"))?;
    let at = folder.path().to_owned();
    let hooks = Hooks {
        ready: Some(Box::new(move |store| {
            Box::pin(async move {
                match issue(&*store, KeyRequest::of(chitty_id)).await {
                    Ok(issued) => output::print(&guide(gateway, metrics, &at, &issued.secret)),
                    Err(error) => output::complain(&format!("no API key could be made: {}", output::chain(&error))),
                }
            })
        })),
        last: Some(Box::new(move || {
            drop(samples);
            drop(log);
            if let Err(error) = folder.close() {
                output::complain(&format!("the temporary folder stays: {error}"));
            }
        })),
    };
    app::run(&config, file, hooks).map_err(|error| output::chain(&error))
}

/// The usual one, or any other that is free.
fn metrics_address() -> std::io::Result<SocketAddr> {
    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, METRICS_PORT));
    if check_bind("admin.metrics", usual).is_ok() {
        return Ok(usual);
    }
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// As an operator would write it.
fn configuration(folder: &Path, gateway: SocketAddr, metrics: SocketAddr) -> Result<String, serde_yaml::Error> {
    serde_yaml::to_string(&json!({
        "domain": "localhost",
        "listeners": [{"bind": gateway}],
        // For one person; the default is more than many shells allow descriptors for, which would be warned of.
        "limits": {"connections": 1000},
        "admin": {"metrics": metrics},
        "store": {"path": folder.join("data")},
        "registry": {"sources": [{"file": folder.join("registry.json")}]},
        "log": {"level": "warn", "format": "text", "access": folder.join("access.log")},
    }))
}

/// What to try, with the real ports.
fn guide(gateway: SocketAddr, metrics: SocketAddr, folder: &Path, key: &Secret) -> String {
    let port = gateway.port();
    let folder = folder.display();
    let key = key.expose();
    let program =
        std::env::current_exe().map_or_else(|_| "chittyconnect".to_owned(), |path| path.display().to_string());
    format!(
        "\
chittyconnect serves two sample services on http://{gateway}. Try, in another terminal:

  # the discovery document that agents configure themselves from
  curl http://connect.localhost:{port}/.well-known/chitty.json
  # a service by its prefix: /chittyid/whoami here is /api/whoami there
  curl http://api.localhost:{port}/chittyid/whoami
  # the same service by its own host
  curl http://id.localhost:{port}/
  # an answer that streams, an event every half second
  curl -N http://api.localhost:{port}/chittysync/events
  # a task, kept by the gateway; the key was made for this run
  curl -H 'Authorization: Bearer {key}' -d '{{\"title\": \"try it out\"}}' http://api.localhost:{port}/api/context/tasks
  # all tasks of that key's session
  curl -H 'Authorization: Bearer {key}' http://api.localhost:{port}/api/context/tasks
  # what the gateway counts
  curl http://{metrics}/metrics
  # why a URL goes where it goes
  {program} explain http://api.localhost:{port}/chittyid/whoami --config {folder}/chittyconnect.yaml

Configuration, registry file and access log are in {folder}
Ctrl-C stops it and removes that folder.
"
    )
}
