//! Signals while the daemon runs: stop, read the configuration again, reopen logs.

use std::path::{Path, PathBuf};

use super::Shared;
use crate::config::Config;
use crate::daemon::drain;
use crate::daemon::signal::{Request, Signals};

/// Answers signals for as long as the process lives. A second request to stop ends it at once.
pub(super) async fn answer_signals(mut signals: Signals, shared: Shared, started_with: Config, file: PathBuf) {
    let mut stopping = false;
    loop {
        match signals.next().await {
            Request::Stop if stopping => drain::abandon(),
            Request::Stop => {
                stopping = true;
                tracing::info!("stopping: no new connections, finishing what is in flight");
                shared.lifecycle.drain();
            }
            Request::Reopen => shared.access_log.reopen(),
            Request::Reload => {
                shared.access_log.reopen();
                reload(&shared, &started_with, &file).await;
            }
        }
    }
}

/// Applies services and sources; a file with any mistake is refused whole.
async fn reload(shared: &Shared, started_with: &Config, file: &Path) {
    let loaded = Config::load(file);
    match loaded {
        Err(error) => {
            shared.metrics.config_reloaded(false);
            tracing::error!(file = %file.display(), "the configuration is refused, the one in force stays");
            for line in error.to_string().lines() {
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
        ("server, admin, store.path", old.daemon != new.daemon),
        ("listeners", old.listeners != new.listeners),
        ("domain, gateway", old.route != new.route),
        ("server.upstream_idle_connections", old.upstream != new.upstream),
        ("limits, trusted_proxies, auth.header, cors", old.proxy != new.proxy),
        ("discovery, gateway.landing_page", old.api != new.api),
        ("log", old.telemetry != new.telemetry),
    ];
    changed.into_iter().filter_map(|(keys, changed)| changed.then_some(keys)).collect()
}
