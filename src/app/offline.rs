//! What commands do that are given while no daemon runs: the table as it would be, and the store opened for a moment.

pub mod upkeep;

use std::sync::Arc;
use std::time::Duration;

use super::{CLOSE_STORE, Shared, StartError, background};
use crate::auth::key::import::{ImportError, ImportWords, Imported, import};
use crate::auth::key::request::{KeyRequest, Lifetime};
use crate::auth::key::rotate::{RotateReport, rotate};
use crate::auth::key::{IssueError, Issued, issue};
use crate::auth::s3::S3Facts;
use crate::auth::secret::{GatewaySecret, Purpose};
use crate::config::Config;
use crate::model::id::KeyId;
use crate::model::key::Key;
use crate::registry::report::{RoutesReport, rejected_of};
use crate::route::explain::{Explanation, NotUrl, explain};
use crate::store::embedded::Embedded;
use crate::store::{KeyStore as _, Store as _, StoreError};
use crate::telemetry::AccessLog;
use crate::telemetry::metrics::Metrics;

/// How long sources and names may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The sources asked once, the table built once.
pub struct Offline {
    shared: Shared,
}

impl Offline {
    /// Asks every source of `config` once. Writes nothing: no snapshot, no access log.
    ///
    /// # Errors
    /// [`StartError`] when the runtime or the resolver cannot be started.
    pub fn build(config: &Config) -> Result<Self, StartError> {
        let mut config = config.clone();
        config.telemetry.access = AccessLog::Off;
        config.registry.snapshot = None;
        let (shared, _) = Shared::new(&config)?;
        let runtime = background::runtime().map_err(StartError::System)?;
        let inside = runtime.enter();
        let publisher = Arc::clone(&shared.publisher);
        shared.registry.spawn(move |merged| publisher.publish(&merged));
        drop(inside);
        runtime.block_on(async {
            let asked = async {
                if !shared.registry.settled() {
                    shared.registry.refresh_now().await;
                }
                shared.resolver.resolve_due().await;
            };
            // What has not answered by then is shown as not having answered.
            tokio::time::timeout(PATIENCE, asked).await.ok();
        });
        runtime.shutdown_background();
        Ok(Self { shared })
    }

    /// What `routes` prints.
    #[must_use]
    pub fn routes(&self) -> RoutesReport {
        let registry = &self.shared.registry;
        RoutesReport::of(&self.shared.publisher.routes.load(), &registry.merged(), registry.status())
    }

    /// What `explain` prints.
    ///
    /// # Errors
    /// [`NotUrl`].
    pub fn explain(&self, url: &str) -> Result<Explanation, NotUrl> {
        explain(url, &self.shared.publisher.routes.load(), &rejected_of(&self.shared.registry.merged()))
    }
}

/// Why nothing was done with keys.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant is the error of the part it names")]
pub enum KeyError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Issue(#[from] IssueError),
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes a key in the store, which no daemon may have open.
///
/// # Errors
/// [`KeyError`].
pub fn issue_key(config: &Config, request: KeyRequest) -> Result<Issued, KeyError> {
    Ok(in_store(config, async |store| issue(store, request).await)??)
}

/// Every key in the store, which no daemon may have open.
///
/// # Errors
/// [`KeyError`].
pub fn keys(config: &Config) -> Result<Vec<Arc<Key>>, KeyError> {
    Ok(in_store(config, async |store| store.keys().await)??)
}

/// Revokes a key in the store, which no daemon may have open.
///
/// # Errors
/// [`KeyError`].
pub fn revoke_key(config: &Config, id: &KeyId) -> Result<Arc<Key>, KeyError> {
    Ok(in_store(config, async |store| store.revoke_key(id).await)??)
}

/// Gives a key a successor, in the store, which no daemon may have open.
///
/// # Errors
/// [`KeyError`].
pub fn rotate_key(config: &Config, id: &KeyId, grace: Option<Lifetime>) -> Result<RotateReport, KeyError> {
    Ok(in_store(config, async |store| rotate(store, id, grace).await)??)
}

/// What an S3 client is configured with for a key of the store, which no daemon may have open.
///
/// # Errors
/// [`KeyError`].
pub fn s3_facts(config: &Config, id: &KeyId) -> Result<S3Facts, KeyError> {
    let signer = GatewaySecret::open(&config.auth.secret_file).map_err(StartError::from)?.key_for(Purpose::S3Secrets);
    let endpoint = config.route.s3_endpoint();
    Ok(in_store(config, async |store| S3Facts::of(store, &signer, id, endpoint).await)??)
}

/// Keeps keys of the original in the store, which no daemon may have open.
///
/// # Errors
/// [`KeyError`].
pub fn import_keys(config: &Config, words: ImportWords) -> Result<Imported, KeyError> {
    Ok(in_store(config, async |store| import(store, words).await)??)
}

/// Opens the store for one piece of work.
fn in_store<T>(config: &Config, work: impl AsyncFnOnce(&Embedded) -> T) -> Result<T, StartError> {
    in_shared_store(config, async |store: Arc<Embedded>| work(&store).await)
}

/// The same for work that shares it.
fn in_shared_store<T>(config: &Config, work: impl AsyncFnOnce(Arc<Embedded>) -> T) -> Result<T, StartError> {
    let metrics = Arc::new(Metrics::new()?);
    let store = Arc::new(Embedded::open(&config.store, metrics)?);
    let runtime = background::runtime().map_err(StartError::System)?;
    Ok(runtime.block_on(async {
        let done = work(Arc::clone(&store)).await;
        // What was answered is on the disk, closed or not.
        tokio::time::timeout(CLOSE_STORE, store.close()).await.ok();
        done
    }))
}
