//! What runs beside the proxy, on a runtime of its own: names, sources, the admin addresses, the announcement.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::runtime::{Builder, Runtime};

use super::{Shared, StartError};
use crate::api::admin::{AdminState, metrics_router, socket_router};
use crate::daemon::{self, Lifecycle, notify};
use crate::registry::report::{RoutesReport, rejected_of};
use crate::route::explain::explain;
use crate::upstream::resolve::Resolver;

/// How long the start waits for names, so that the first requests find addresses.
const FIRST_NAMES: Duration = Duration::from_secs(2);
/// Between two looks at whether the listeners accept.
const PROBE_EVERY: Duration = Duration::from_millis(5);

/// One thread: the work here waits much and does little.
pub(super) fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(1).thread_name("background").enable_all().build()
}

/// Looks every name up once; what takes longer goes on in the background.
pub(super) async fn first_names(resolver: &Resolver) {
    if tokio::time::timeout(FIRST_NAMES, resolver.resolve_due()).await.is_err() {
        tracing::warn!("some names of endpoints are still being looked up");
    }
}

/// Binds the admin address and the admin socket and serves them in the background.
pub(super) async fn serve_admin(config: &daemon::Config, shared: &Shared) -> Result<(), StartError> {
    let state = admin_state(shared);
    if let Some(address) = config.metrics {
        let failed = |source| StartError::AdminAddress { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        tokio::spawn(async move { report_end(axum::serve(listener, metrics_router(state.clone())).await) });
    }
    let state = admin_state(shared);
    let failed = |source| StartError::Socket { path: config.socket.clone(), source };
    let listener = bind_socket(&config.socket).await.map_err(failed)?;
    tokio::spawn(async move { report_end(axum::serve(listener, socket_router(state)).await) });
    Ok(())
}

fn report_end(ended: io::Result<()>) {
    if let Err(error) = ended {
        tracing::error!(%error, "an admin address is no longer served");
    }
}

/// Replaces a socket that nobody answers on any more; one that is answered belongs to another daemon.
async fn bind_socket(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    if path.exists() {
        if tokio::net::UnixStream::connect(path).await.is_ok() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another daemon answers on it"));
        }
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

fn admin_state(shared: &Shared) -> AdminState {
    let lifecycle = shared.lifecycle.clone();
    let shared_by_routes = (Arc::clone(&shared.registry), Arc::clone(&shared.publisher));
    let shared_by_explain = shared_by_routes.clone();
    AdminState {
        metrics: Arc::clone(&shared.metrics),
        life: Arc::new(move || lifecycle.now()),
        degraded: shared.degraded(),
        routes: Arc::new(move || {
            let (registry, publisher) = &shared_by_routes;
            RoutesReport::of(&publisher.routes.load(), &registry.merged(), registry.status())
        }),
        explain: Arc::new(move |url| {
            let (registry, publisher) = &shared_by_explain;
            let rejected = rejected_of(&registry.merged());
            explain(url, &publisher.routes.load(), &rejected).map_err(|error| error.to_string())
        }),
    }
}

/// Says that the daemon serves, once every listener really accepts.
pub(super) async fn announce(
    listeners: Vec<SocketAddr>,
    admin: daemon::Config,
    lifecycle: Lifecycle,
    ready: Option<Box<dyn FnOnce() + Send>>,
) {
    for address in &listeners {
        while TcpStream::connect(reachable(*address)).await.is_err() {
            tokio::time::sleep(PROBE_EVERY).await;
        }
    }
    lifecycle.ready();
    notify::ready();
    let text: Vec<String> = listeners.iter().map(ToString::to_string).collect();
    let version = env!("CARGO_PKG_VERSION");
    let metrics = admin.metrics.map(tracing::field::display);
    let socket = admin.socket.display();
    tracing::info!(listeners = text.join(", "), metrics, admin_socket = %socket, version, "serving");
    if let Some(ready) = ready {
        ready();
    }
}

/// An address that reaches a listener on any address.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
