//! The table as it would be, for commands that are given while no daemon runs.

use std::sync::Arc;
use std::time::Duration;

use super::{Shared, StartError, background};
use crate::config::Config;
use crate::registry::report::{RoutesReport, rejected_of};
use crate::route::explain::{Explanation, NotUrl, explain};
use crate::telemetry::AccessLog;

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
