//! Signals while the daemon runs: stop, read the configuration again, reopen logs.

use std::path::{Path, PathBuf};

use tokio::sync::mpsc;

use super::Shared;
use crate::config::Config;
use crate::daemon::drain;
use crate::daemon::signal::{Request, Signals};

/// Answers signals for as long as the process lives. A second request to stop ends it at once.
///
/// The configuration is read by a task of its own: a file that takes for ever to read keeps no other signal waiting.
pub(super) async fn answer_signals(mut signals: Signals, shared: Shared, started_with: Config, file: PathBuf) {
    let (asked, mut reloads) = mpsc::channel(1);
    let access_log = shared.access_log.clone();
    let lifecycle = shared.lifecycle.clone();
    tokio::spawn(async move {
        while let Some(()) = reloads.recv().await {
            reload(&shared, &started_with, &file).await;
        }
    });
    let mut stopping = false;
    loop {
        match signals.next().await {
            Request::Stop if stopping => drain::abandon(),
            Request::Stop => {
                stopping = true;
                tracing::info!("stopping: no new connections, finishing what is in flight");
                lifecycle.drain();
            }
            Request::Reopen => access_log.reopen(),
            Request::Reload => {
                access_log.reopen();
                if asked.try_send(()).is_err() {
                    tracing::info!("a reload is waiting already");
                }
            }
        }
    }
}

/// Applies services and sources; a file with any mistake is refused whole.
async fn reload(shared: &Shared, started_with: &Config, file: &Path) {
    let path = file.to_owned();
    let read = move || {
        // Most often it is being written at this moment. At the start, an empty one means the defaults.
        let empty = std::fs::metadata(&path).is_ok_and(|file| file.len() == 0);
        if empty { Err("the file is empty".to_owned()) } else { Config::load(&path).map_err(|error| error.to_string()) }
    };
    let Ok(loaded) = tokio::task::spawn_blocking(read).await else { return };
    match loaded {
        Err(error) => {
            shared.metrics.config_reloaded(false);
            tracing::error!(file = %file.display(), "the configuration is refused, the one in force stays");
            for line in error.lines() {
                tracing::error!("{line}");
            }
        }
        Ok(config) => {
            for warning in &config.warnings {
                tracing::warn!("{warning}");
            }
            let restart = needs_restart(started_with, &config);
            if !restart.is_empty() {
                tracing::warn!(keys = restart.join(", "), "these keys changed and take effect after a restart");
            }
            shared.registry.reload(config.registry).await;
            shared.metrics.config_reloaded(true);
            tracing::info!(file = %file.display(), "configuration reloaded");
        }
    }
}

/// The sections that differ and cannot change while the daemon runs.
fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let changed = [
        ("server, admin", old.daemon != new.daemon),
        ("store", old.store != new.store),
        ("listeners", old.listeners != new.listeners),
        ("domain, gateway", old.route != new.route),
        ("server.upstream_idle_connections", old.upstream != new.upstream),
        ("limits, trusted_proxies, cors", old.proxy != new.proxy),
        ("auth", old.auth != new.auth),
        ("discovery, gateway.landing_page", old.api != new.api),
        ("rate_limit", old.rate_limit != new.rate_limit),
        ("events", old.event != new.event),
        ("log", old.telemetry != new.telemetry),
    ];
    changed.into_iter().filter_map(|(keys, changed)| changed.then_some(keys)).collect()
}
