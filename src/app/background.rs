//! What runs beside the proxy, on a runtime of its own: names, sources, the admin addresses, the announcement.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::runtime::{Builder, Runtime};

use super::{Shared, StartError};
use crate::api::admin::{AdminState, metrics_router, socket_router};
use crate::auth::authenticator::Authenticator;
use crate::auth::secret::{GatewaySecret, Purpose};
use crate::blob::Files;
use crate::daemon::{self, Lifecycle, notify};
use crate::event::Hub;
use crate::listener;
use crate::registry::report::rejected_of;
use crate::route::explain::explain;
use crate::store::Store;
use crate::upstream::resolve::Resolver;

/// How long the start waits for names, so that the first requests find addresses.
const FIRST_NAMES: Duration = Duration::from_secs(2);
/// What looking for leftovers of uploads may take.
const SWEEP: Duration = Duration::from_secs(30);
/// Between two looks at whether the listeners accept.
const PROBE_EVERY: Duration = Duration::from_millis(5);

/// Two threads: the work here waits much and does little, but one piece that blocks on a disk must not keep signals
/// from being heard.
pub(super) fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).thread_name("background").enable_all().build()
}

/// Looks every name up once; what takes longer goes on in the background.
pub(super) async fn first_names(resolver: &Resolver) {
    if tokio::time::timeout(FIRST_NAMES, resolver.resolve_due()).await.is_err() {
        tracing::warn!("some names of endpoints are still being looked up");
    }
}

/// Binds the admin address and the admin socket and serves them in the background.
pub(super) async fn serve_admin(
    config: &daemon::Config,
    shared: &Shared,
    store: &Arc<dyn Store>,
    auth: &Arc<Authenticator>,
    files: &Arc<Files>,
    secret: &GatewaySecret,
) -> Result<SocketFile, StartError> {
    let state = admin_state(shared, store, auth, files, secret);
    if let Some(address) = config.metrics {
        let failed = |source| StartError::AdminAddress { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let router = metrics_router(state.clone());
        tokio::spawn(async move { report_end(axum::serve(listener, router).await) });
    }
    let failed = |source| StartError::Socket { path: config.socket.clone(), source };
    let listener = bind_socket(&config.socket).await.map_err(failed)?;
    tokio::spawn(async move { report_end(axum::serve(listener, socket_router(state)).await) });
    Ok(SocketFile::at(&config.socket))
}

fn report_end(ended: io::Result<()>) {
    if let Err(error) = ended {
        tracing::error!(%error, "an admin address is no longer served");
    }
}

/// Replaces a socket that nobody answers on any more. Anything else that is there stays: another daemon's socket, and
/// whatever is no socket at all.
async fn bind_socket(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
        Ok(there) if !there.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "what is there is no socket, and stays"));
        }
        Ok(_) => match tokio::net::UnixStream::connect(path).await {
            Ok(_) => return Err(io::Error::new(io::ErrorKind::AddrInUse, "another daemon answers on it")),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)?,
            Err(error) => return Err(error),
        },
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// The admin socket in the file system, to be removed when the daemon ends: only if it is still the one that was made.
pub(super) struct SocketFile {
    path: PathBuf,
    made: Option<(u64, u64)>,
}

impl SocketFile {
    fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), made: identity(path) }
    }

    /// Removes it.
    pub(super) fn remove(self) {
        if self.made.is_some() && identity(&self.path) == self.made {
            // Whoever starts next replaces one that is left over.
            fs::remove_file(&self.path).ok();
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|there| (there.dev(), there.ino()))
}

/// Has event streams end once the drain begins: they would never by themselves.
pub(super) async fn end_streams(lifecycle: Lifecycle, hub: Arc<Hub>) {
    lifecycle.draining().await;
    hub.close();
}

fn admin_state(
    shared: &Shared,
    store: &Arc<dyn Store>,
    auth: &Arc<Authenticator>,
    files: &Arc<Files>,
    secret: &GatewaySecret,
) -> AdminState {
    let lifecycle = shared.lifecycle.clone();
    let shared_by_explain = (Arc::clone(&shared.registry), Arc::clone(&shared.publisher));
    AdminState {
        metrics: Arc::clone(&shared.metrics),
        life: Arc::new(move || lifecycle.now()),
        degraded: shared.degraded(store, auth, files),
        store: Arc::clone(store),
        files: Arc::clone(files),
        s3_signer: secret.key_for(Purpose::S3Secrets),
        s3_endpoint: shared.publisher.config.s3_endpoint(),
        routes: shared.report_routes(),
        table: shared.publisher.routes.clone(),
        registry: Arc::clone(&shared.registry),
        switches: Arc::clone(&shared.switches),
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
    ready: Option<BoxFuture<'static, ()>>,
) {
    for address in &listeners {
        while TcpStream::connect(reachable(*address)).await.is_err() {
            tokio::time::sleep(PROBE_EVERY).await;
        }
    }
    if let Err(error) = listener::limit_unsent(&listeners) {
        tracing::info!(%error, "clients that do not read may hold more memory: the limit on what waits in the kernel failed");
    }
    lifecycle.ready();
    notify::ready();
    let text: Vec<String> = listeners.iter().map(ToString::to_string).collect();
    let version = env!("CARGO_PKG_VERSION");
    let metrics = admin.metrics.map(tracing::field::display);
    let socket = admin.socket.display();
    tracing::info!(listeners = text.join(", "), metrics, admin_socket = %socket, version, "serving");
    if let Some(ready) = ready {
        ready.await;
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

/// Removes what the process before left behind of files. A place that does not answer is for later: nothing that is left
/// harms anybody.
pub(super) async fn sweep(files: &Files) {
    match tokio::time::timeout(SWEEP, files.sweep()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(error = crate::telemetry::describe(&error), "what unfinished uploads left stays for now");
        }
        Err(_) => tracing::warn!(after = ?SWEEP, "what unfinished uploads left stays for now: the place is slow"),
    }
}
