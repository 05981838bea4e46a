//! What an operator has done to a store while it is in use: looked at, made smaller, taken out, added to.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::transfer::export::Export;
use super::transfer::merge::{Merged, Merging, Rows};

/// What was found when everything in a store was read: what `store verify` prints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Whether nothing is wrong.
    pub whole: bool,
    /// Whether nothing is wrong with the records, whatever is with the contents of files.
    pub records_whole: bool,
    /// Records, places and index entries, by kind.
    pub entries: BTreeMap<String, u64>,
    /// What does not agree, a line each, the first hundred.
    pub findings: Vec<String>,
    /// How many more there are.
    pub more_findings: u64,
    /// Whether the store was changed meanwhile; then its entries were not counted against what they should be.
    pub changed_meanwhile: bool,
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, count) in &self.entries {
            writeln!(f, "{count:>10} {kind}")?;
        }
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        if self.more_findings > 0 {
            writeln!(f, "and {} more", self.more_findings)?;
        }
        match (self.whole, self.changed_meanwhile) {
            (false, _) => write!(f, "{} findings", self.findings.len() as u64 + self.more_findings),
            (true, false) => write!(f, "the store is whole"),
            (true, true) => {
                write!(f, "nothing is wrong; the store was changed meanwhile, so its entries were not counted out")
            }
        }
    }
}

/// What came of a compaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compacted {
    /// The engine.
    pub engine: String,
    /// What its files took before, in bytes.
    pub bytes_before: u64,
    /// What they take now.
    pub bytes_after: u64,
}

impl fmt::Display for Compacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = (bytesize::ByteSize(self.bytes_before), bytesize::ByteSize(self.bytes_after));
        write!(f, "the files of {} took {before} and take {after}", self.engine)?;
        if self.engine == "sled" {
            f.write_str("; sled has no compaction: what `store export` writes makes a small one in a new folder")?;
        }
        Ok(())
    }
}

/// A store as its operator looks after it, while it is in use.
#[async_trait]
pub trait Upkeep: Send + Sync {
    /// Reads everything and checks that records, places and indexes agree. Changes go on meanwhile.
    async fn verify_store(&self) -> Result<Verified, StoreError>;

    /// Gives the disk back what nothing needs any more, as far as the engine can.
    async fn compact_store(&self) -> Result<Compacted, StoreError>;

    /// The next lines of an export, some MiB at the most, and how far it is then.
    async fn export(&self, export: Export) -> Result<(Export, Vec<u8>), StoreError>;

    /// Begins to add rows.
    async fn begin_merge(&self) -> Result<Merging, StoreError>;

    /// Adds rows, as one change.
    async fn merge(&self, merging: &mut Merging, rows: Rows) -> Result<Merged, StoreError>;
}
