//! The store looked after while no daemon has it.

use std::io::{self, Write};

use super::{StartError, in_shared_store, in_store};
use crate::blob::{FileError, Files, LocationError};
use crate::config::Config;
use crate::store::transfer::d1::{D1, D1Error, Position};
use crate::store::transfer::export::Export;
use crate::store::transfer::merge::Merged;
use crate::store::upkeep::{Compacted, Verified};
use crate::store::{StoreError, Upkeep as _};

/// Why the store was not looked after.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant is the error of the part it names")]
pub enum UpkeepError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Location(#[from] LocationError),
    #[error(transparent)]
    Files(#[from] FileError),
    #[error(transparent)]
    D1(#[from] D1Error),
    #[error("the export cannot be written")]
    Output(#[from] io::Error),
}

/// Checks everything in the store.
///
/// # Errors
/// [`UpkeepError`].
pub fn verify(config: &Config) -> Result<Verified, UpkeepError> {
    let location = &config.files;
    in_shared_store(config, async |store| {
        let files = Files::new(location, store)?;
        let verified = files.store().verify_store().await?;
        Ok(files.verify().await?.add_to(verified))
    })?
}

/// Has the engine give back what it does not need.
///
/// # Errors
/// [`UpkeepError`].
pub fn compact(config: &Config) -> Result<Compacted, UpkeepError> {
    Ok(in_store(config, async |store| store.compact_store().await)??)
}

/// Writes everything in the store as lines. How many records.
///
/// # Errors
/// [`UpkeepError`].
pub fn export(config: &Config, to: &mut dyn Write) -> Result<u64, UpkeepError> {
    in_store(config, async |store| {
        let mut export = Export::new();
        while !export.is_done() {
            let (further, lines) = store.export(export).await?;
            to.write_all(&lines)?;
            export = further;
        }
        Ok(export.records())
    })?
}

/// Adds the rows of the original's tables to the store.
///
/// # Errors
/// [`UpkeepError`]: some may have been added.
pub fn merge(config: &Config, d1: &mut D1) -> Result<Merged, UpkeepError> {
    in_store(config, async |store| {
        let mut merging = store.begin_merge().await?;
        let (mut position, mut merged) = (Position::default(), Merged::default());
        while let Some(rows) = d1.rows(&mut position)? {
            merged = merged.and(store.merge(&mut merging, rows).await?);
        }
        Ok(merged)
    })?
}
