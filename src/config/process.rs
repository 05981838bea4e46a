//! `server`, `admin` and `store`.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::listen::Listener;
use super::surroundings::Surroundings;
use crate::store::{Config as Store, Durability, Engine, Retention};
use crate::yaml::{FromYaml, Scalar, Section, Value};
use crate::{daemon, upstream};

/// Longest drain by default: most requests end within seconds, and service managers kill after 90.
const GRACE_PERIOD: Duration = Duration::from_secs(30);
/// A drain may take no time at all, and at most a day.
const GRACE_PERIODS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(24 * 3600);
/// 0 is one for each core; beyond 1024 threads only wait for each other.
const THREADS: RangeInclusive<usize> = 0..=1024;
/// 0 is "as many as the endpoints ask for"; the bound is beyond what one host's ports allow to one address.
const IDLE_CONNECTIONS: RangeInclusive<usize> = 0..=1_000_000;
/// Metrics: the port that OpenTelemetry's Prometheus exporters use, on loopback, for it is never public.
const METRICS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);
/// The store, for a daemon started by hand; a service unit names a folder of its own.
const STORE_PATH: &str = "./data";
/// The capability that brings the `PostgreSQL` store.
const POSTGRES: u8 = 9;
/// The admin socket's file name.
const SOCKET: &str = "admin.sock";

/// `store`.
pub(super) fn read_store(store: &Section<'_>, surroundings: &Surroundings) -> Store {
    let engines = [("sled", Some(Engine::Sled)), ("fjall", Some(Engine::Fjall)), ("postgres", None)];
    let engine = store.value("engine").and_then(|value| {
        let engine = value.word(&engines)?;
        if engine.is_none() {
            // What would be written meanwhile would be in the wrong place, so this one is not to be ignored.
            value.mistake(format!(
                "\"postgres\" comes with capability {POSTGRES}, which this build does not have; accepted: sled, fjall"
            ));
        }
        engine
    });
    let durabilities = [("power_loss", Durability::PowerLoss), ("process_crash", Durability::ProcessCrash)];
    store.later("url", POSTGRES, Value::check::<PostgresUrl>);
    let usual = || surroundings.state_directory.clone().unwrap_or_else(|| STORE_PATH.into());
    Store {
        path: store.optional("path").unwrap_or_else(usual),
        durability: store.word("durability", &durabilities).unwrap_or_default(),
        retention: Retention::default(),
        engine: engine.unwrap_or_default(),
    }
}

/// `server` and `admin`.
pub(super) fn read(
    server: &Section<'_>,
    admin: &Section<'_>,
    store: &Store,
    listeners: &[Listener<'_>],
    surroundings: &Surroundings,
) -> daemon::Config {
    server.later("upgrade_socket", 6, Value::check::<PathBuf>);
    let threads = server.within("threads", &THREADS).and_then(NonZeroUsize::new).unwrap_or(surroundings.cores).get();
    let metrics = admin.nullable::<SocketAddr>("metrics").unwrap_or(Some(METRICS));
    if let Some(metrics) = metrics {
        refuse_public(admin, metrics, listeners);
    }
    let folder = surroundings.runtime_directory.as_ref().unwrap_or(&store.path);
    daemon::Config {
        threads,
        grace_period: server.within("grace_period", &GRACE_PERIODS).unwrap_or(GRACE_PERIOD),
        metrics,
        socket: admin.optional("socket").unwrap_or_else(|| folder.join(SOCKET)),
    }
}

/// The metrics are for the operator alone, so no listener may have their address.
fn refuse_public(admin: &Section<'_>, metrics: SocketAddr, listeners: &[Listener<'_>]) {
    let Some(listener) = listeners.iter().find(|listener| listener.overlaps(metrics)) else { return };
    match (admin.value("metrics"), &listener.bind) {
        (Some(at), _) => {
            at.mistake(format!("{metrics} is a listener's address; accepted: an address of its own, or null"));
        }
        (None, Some(at)) => {
            at.mistake(format!("{metrics} is where admin.metrics is by default; accepted: another address"));
        }
        (None, None) => {}
    }
}

pub(super) fn read_upstream(server: &Section<'_>) -> upstream::Config {
    upstream::Config {
        idle_connections: server.within("upstream_idle_connections", &IDLE_CONNECTIONS).and_then(NonZeroUsize::new),
    }
}

/// Where the `PostgreSQL` store is; may hold a password, so no message shows it.
struct PostgresUrl;

impl FromYaml for PostgresUrl {
    const ACCEPTED: &'static str = "postgres://user@host/database";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        let known = ["postgres://", "postgresql://"].iter().any(|scheme| scalar.raw().starts_with(scheme));
        if known { Ok(Self) } else { Err("not the URL of a PostgreSQL database".to_owned()) }
    }
}
