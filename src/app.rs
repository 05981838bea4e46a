//! The composition root: reading it top to bottom is reading the architecture.
//!
//! Configuration → what is shared → sources of services → table → gateway and local endpoints → listeners → a Pingora
//! server with its signals. Nothing here decides anything about a request.

mod background;
pub mod offline;
mod publish;
mod reload;

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};
use pingora::services::listening::Service;

use crate::api::admin::ReportRoutes;
use crate::api::{self, ApiState, Degraded};
use crate::auth::authenticator::{Authenticator, SetUpError};
use crate::auth::rate::RateLimits;
use crate::auth::s3::S3Credentials;
use crate::auth::secret::{GatewaySecret, Purpose, SecretFileError};
use crate::blob::token::Tokens;
use crate::blob::{Files, LocationError, s3};
use crate::config::Config;
use crate::daemon::signal::{Signals, StopWatch};
use crate::daemon::{Lifecycle, descriptor, drain, instance};
use crate::event::Hub;
use crate::listener::{BindError, check_bind};
use crate::proxy::app::GatewayApp;
use crate::proxy::header::Via;
use crate::proxy::in_flight::InFlight;
use crate::proxy::{Gateway, Parts};
use crate::registry::Registry;
use crate::registry::document::Context;
use crate::registry::health::HealthWatch;
use crate::registry::report::RoutesReport;
use crate::registry::switch::{SwitchError, Switches};
use crate::route::Routes;
use crate::store::embedded::{Embedded, OpenError};
use crate::store::{EventSink, Store};
use crate::telemetry::AccessLog;
use crate::telemetry::access_log::{AccessLogger, Writer};
use crate::telemetry::metrics::Metrics;
use crate::upstream::endpoint::Endpoints;
use crate::upstream::resolve::Resolver;
use publish::Publisher;

/// Upstream connections kept idle, where the configuration leaves it to us.
const LEAST_IDLE_CONNECTIONS: usize = 512;
/// What the store may take to close: reading its files for their checksums is most of it. The unit for systemd allows
/// for this time.
const CLOSE_STORE: Duration = Duration::from_secs(30);

/// Why the daemon does not start.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant is the error of the part it names")]
pub enum StartError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Folder(#[from] instance::FolderError),
    #[error(transparent)]
    Store(#[from] OpenError),
    #[error(transparent)]
    Auth(#[from] SetUpError),
    #[error(transparent)]
    Secret(#[from] SecretFileError),
    #[error(transparent)]
    Files(#[from] LocationError),
    #[error("log.access: {to:?} cannot be opened")]
    AccessLog { to: AccessLog, source: io::Error },
    #[error("admin.socket: `{path}` cannot be used")]
    Socket { path: PathBuf, source: io::Error },
    #[error("admin.metrics: cannot listen on {address}")]
    AdminAddress { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Switches(#[from] SwitchError),
    #[error("the name resolver cannot be started: {0}")]
    Resolver(String),
    #[error("metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
    #[error("the operating system refuses threads or signal handlers")]
    System(#[source] io::Error),
}

/// What a caller of [`run`] may want done beside.
#[derive(Default)]
pub struct Hooks {
    /// Once it serves.
    pub ready: Option<OnceReady>,
    /// Last thing before the process ends.
    pub last: Option<Box<dyn FnOnce() + Send>>,
}

/// What is done with the store of a daemon that serves.
pub type OnceReady = Box<dyn FnOnce(Arc<dyn Store>) -> BoxFuture<'static, ()> + Send>;

/// What the parts of the daemon share.
#[derive(Clone)]
struct Shared {
    metrics: Arc<Metrics>,
    access_log: AccessLogger,
    registry: Arc<Registry>,
    publisher: Arc<Publisher>,
    switches: Arc<Switches>,
    endpoints: Arc<Endpoints>,
    resolver: Resolver,
    lifecycle: Lifecycle,
    in_flight: InFlight,
}

impl Shared {
    fn new(config: &Config) -> Result<(Self, Writer), StartError> {
        let metrics = Arc::new(Metrics::new()?);
        metrics.config_reloaded(true);
        let (access_log, writer) = AccessLogger::start(&config.telemetry.access, Arc::clone(&metrics))
            .map_err(|source| StartError::AccessLog { to: config.telemetry.access.clone(), source })?;
        let own = own_addresses();
        let endpoints = Arc::new(Endpoints::new(Arc::clone(&own)));
        let resolver =
            Resolver::new(Arc::clone(&endpoints)).map_err(|error| StartError::Resolver(error.to_string()))?;
        let context = Context::new(&config.route, own);
        let registry = Arc::new(Registry::new(config.registry.clone(), context, Arc::clone(&metrics)));
        let switches = Arc::new(Switches::open(&config.store.path)?);
        let publisher = Arc::new(Publisher::new(
            config.route.clone(),
            config.api.clone(),
            Arc::clone(&switches),
            Arc::clone(&endpoints),
            Arc::clone(&metrics),
        ));
        let lifecycle = Lifecycle::new();
        let in_flight = InFlight::default();
        Ok((
            Self { metrics, access_log, registry, publisher, switches, endpoints, resolver, lifecycle, in_flight },
            writer,
        ))
    }

    /// Tells the table in force, with everything that sources said.
    fn report_routes(&self) -> ReportRoutes {
        let (registry, publisher) = (Arc::clone(&self.registry), Arc::clone(&self.publisher));
        Arc::new(move || RoutesReport::of(&publisher.routes.load(), &registry.merged(), registry.status()))
    }

    /// What is not as it should be, a line each.
    fn degraded(&self, store: &Arc<dyn Store>, auth: &Arc<Authenticator>, files: &Arc<Files>) -> Degraded {
        let (registry, store, auth, files) =
            (Arc::clone(&self.registry), Arc::clone(store), Arc::clone(auth), Arc::clone(files));
        Arc::new(move || {
            let store = store.trouble().map(|trouble| format!("store: {trouble}"));
            let sources = registry.status().into_iter().filter(|source| source.failing || source.stale);
            let sources = sources.map(|source| {
                let how = match (source.last_success, source.stale) {
                    (None, _) => "has not given a usable list yet",
                    (Some(_), true) => "has had no usable list for too long",
                    (Some(_), false) => "is failing; its last good list stays",
                };
                format!("source {} {how}", source.name)
            });
            let files = files.trouble().map(|trouble| format!("files: {trouble}"));
            store.into_iter().chain(files).chain(auth.trouble()).chain(sources).collect()
        })
    }
}

/// Runs the daemon until it is told to stop; then the process ends. `file` is read again on SIGHUP.
///
/// # Errors
/// [`StartError`], before anything listens.
pub fn run(config: &Config, file: PathBuf, hooks: Hooks) -> Result<(), StartError> {
    descriptor::raise_limit(config.listeners.len(), config.proxy.limits.connections);
    for (index, listener) in config.listeners.iter().enumerate() {
        check_bind(&format!("listeners[{index}].bind"), listener.bind)?;
    }
    if let Some(address) = config.daemon.metrics {
        check_bind("admin.metrics", address)?;
    }
    let via = Via::new(&instance::open(&config.store.path)?);
    let (shared, log_writer) = Shared::new(config)?;
    let embedded = Arc::new(Embedded::open(&config.store, Arc::clone(&shared.metrics))?);
    let hub = Arc::new(Hub::new(config.event.queue));
    embedded.hand_events_to(&(Arc::clone(&hub) as Arc<dyn EventSink>));
    let store: Arc<dyn Store> = Arc::clone(&embedded) as Arc<dyn Store>;
    let auth = Arc::new(Authenticator::new(&config.auth, Arc::clone(&store))?);
    let secret = GatewaySecret::open(&config.auth.secret_file)?;
    let s3_signer = secret.key_for(Purpose::S3Secrets);
    let files = Arc::new(Files::new(&config.files, Arc::clone(&store), Arc::clone(&shared.metrics))?);
    let background = background::runtime().map_err(StartError::System)?;
    let inside = background.enter();
    background.block_on(background::sweep(&files));
    background.spawn(Arc::clone(&files).remove_unreferenced());
    background.spawn(embedded.retain(config.store.retention));

    let health = HealthWatch::new(Arc::clone(&shared.endpoints), Arc::clone(&shared.metrics));
    let (publisher, followed) = (Arc::clone(&shared.publisher), health.clone());
    shared.registry.keep_registrations_in(Arc::clone(&store) as _);
    shared.registry.spawn(move |merged| {
        publisher.publish(&merged);
        followed.follow(&publisher.routes.load());
    });
    background.spawn(health.clone().run());
    background.block_on(background::first_names(&shared.resolver));
    background.spawn(shared.resolver.clone().run());
    background.spawn({
        let auth = Arc::clone(&auth);
        async move { auth.run().await }
    });
    let socket =
        background.block_on(background::serve_admin(&config.daemon, &shared, &store, &auth, &files, &secret))?;

    let api = ApiState::new(api::Parts {
        discovery: Arc::clone(&shared.publisher.documents),
        landing_page: config.api.landing_page.clone(),
        gateway: Arc::clone(&shared.publisher.config),
        degraded: shared.degraded(&store, &auth, &files),
        metrics: Arc::clone(&shared.metrics),
        store: Arc::clone(&store),
        auth: Arc::clone(&auth),
        rate_limits: RateLimits::new(&config.rate_limit),
        events: config.event.clone(),
        hub: Arc::clone(&hub),
        listing: Arc::clone(&shared.publisher.listing),
        registry: Arc::clone(&shared.registry),
        routes: shared.report_routes(),
        health,
        files: Arc::clone(&files),
        tokens: Tokens::new(secret.key_for(Purpose::FileTokens)),
    });
    let gateway = Gateway::new(Parts {
        config: config.proxy.clone(),
        routes: shared.publisher.routes.clone(),
        router: api::router(api),
        files: s3::router(Arc::clone(&files), Arc::new(S3Credentials::new(Arc::clone(&store), s3_signer))),
        auth: Arc::clone(&auth),
        metrics: Arc::clone(&shared.metrics),
        access_log: shared.access_log.clone(),
        via,
        in_flight: shared.in_flight.clone(),
    });
    let mut server = Server::new_with_opt_and_conf(None, server_conf(config, &shared.publisher.routes));
    let app = GatewayApp::new(&server.configuration, gateway, &config.listeners);
    let mut service = Service::new("gateway".to_owned(), app);
    for listener in &config.listeners {
        service.add_listener(listener.to_pingora());
    }
    server.bootstrap();
    server.add_service(service);

    let signals = Signals::catch().map_err(StartError::System)?;
    background.spawn(reload::answer_signals(signals, shared.clone(), config.clone(), file));
    background.spawn(background::end_streams(shared.lifecycle.clone(), hub));
    let addresses = config.listeners.iter().map(|listener| listener.bind).collect();
    let ready = hooks.ready.map(|ready| ready(Arc::clone(&store)));
    background.spawn(background::announce(addresses, config.daemon.clone(), shared.lifecycle.clone(), ready));
    let closing = async move {
        if tokio::time::timeout(CLOSE_STORE, store.close()).await.is_err() {
            tracing::warn!(after = ?CLOSE_STORE, "the store does not close: the process ends without it");
        }
    };
    let last = move || {
        socket.remove();
        hooks.last.into_iter().for_each(|last| last());
    };
    let Shared { lifecycle, in_flight, .. } = shared;
    let grace_period = config.daemon.grace_period;
    background.spawn(drain::end_process(lifecycle.clone(), in_flight, grace_period, closing, log_writer, last));
    drop(inside);
    server.run(RunArgs { shutdown_signal: Box::new(StopWatch(lifecycle)) });
    Ok(())
}

fn server_conf(config: &Config, routes: &Routes) -> ServerConf {
    let distinct: HashSet<_> = {
        let table = routes.peek();
        let endpoints = table.upstreams().iter().flat_map(|upstream| &upstream.service().endpoints);
        endpoints.map(|endpoint| endpoint.url.clone()).collect()
    };
    let idle =
        config.upstream.idle_connections.map_or(LEAST_IDLE_CONNECTIONS.max(2 * distinct.len()), NonZeroUsize::get);
    ServerConf {
        threads: config.daemon.threads,
        upstream_keepalive_pool_size: idle,
        // The drain ends the process itself, see `daemon::drain`.
        grace_period_seconds: Some(u64::from(u32::MAX)),
        ..ServerConf::default()
    }
}

/// Every address of this machine: what a registry over HTTP must not point at.
fn own_addresses() -> Arc<[IpAddr]> {
    match if_addrs::get_if_addrs() {
        Ok(interfaces) => interfaces.iter().map(if_addrs::Interface::ip).collect(),
        Err(error) => {
            tracing::warn!(%error, "the machine's own addresses are not known: sources are not kept from naming them");
            Arc::from([])
        }
    }
}
