//! `migrate`: bring the store of an older version up to date.

use super::store::alone;
use super::{Configured, Format, output};
use crate::store::migrate::{MigrateError, migrate};

pub(super) fn run(dry_run: bool, configured: &Configured, format: Format) -> Result<(), String> {
    let (_, config) = configured.load()?;
    let migrated = migrate(&config.store, dry_run).map_err(|error| match error {
        MigrateError::Open(error) => alone("migrate", &error),
        error => output::chain(&error),
    })?;
    output::facts(&migrated, format)
}
