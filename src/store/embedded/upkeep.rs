//! The embedded store as its operator looks after it: everything in steps, each of which gives the engine back, so that
//! neither changes nor other readers wait for a whole store to be read.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::verify::{Report, Verifying, again};
use super::{Embedded, unreachable_engine};
use crate::store::StoreError;
use crate::store::folder::size;
use crate::store::kv::Kv;
use crate::store::migration::m0001_context_sync::kind;
use crate::store::migration::m0002_identity_and_registry::kind as later;
use crate::store::migration::m0003_files::kind as latest;
use crate::store::record::Kind;
use crate::store::transfer::export::Export;
use crate::store::transfer::merge::{Merged, Merging, Rows, merge};
use crate::store::upkeep::{Compacted, Upkeep, Verified};

/// Entries in one step.
const STEP: usize = 20_000;
/// Suspects in one change, which others wait for.
const SUSPECTS: usize = 32;

#[async_trait]
impl Upkeep for Embedded {
    async fn verify_store(&self) -> Result<Verified, StoreError> {
        let begin = |kv: &dyn Kv| Verifying::begin(kv).map_err(|error| unreachable_engine(&error));
        let mut verifying = self.read("verify", begin).await?;
        let mut last = false;
        while !last {
            (verifying, last) = self
                .read("verify", move |kv| {
                    let last = verifying.step(kv, STEP).map_err(|error| unreachable_engine(&error))?;
                    Ok((verifying, last))
                })
                .await?;
        }
        let mut findings = Vec::new();
        for suspects in verifying.take_suspects().chunks(SUSPECTS) {
            let suspects = suspects.to_vec();
            findings.extend(self.change("verify", move |transaction| again(transaction, &suspects)).await?);
        }
        let end = move |kv: &dyn Kv| verifying.end(kv, findings).map_err(|error| unreachable_engine(&error));
        self.read("verify", end).await.map(Verified::from)
    }

    async fn compact_store(&self) -> Result<Compacted, StoreError> {
        let (path, engine) = (self.path.join("engine"), self.engine.to_owned());
        let kv = self.shared.kv()?;
        // As long as it takes: it is the operator who waits.
        let compacting = tokio::task::spawn_blocking(move || {
            let bytes_before = size(&path).unwrap_or(0);
            kv.compact().map_err(|error| unreachable_engine(&error))?;
            Ok(Compacted { engine, bytes_before, bytes_after: size(&path).unwrap_or(0) })
        });
        compacting.await.unwrap_or_else(|_| Err(StoreError::Unavailable("it is closed".into())))
    }

    async fn export(&self, mut export: Export) -> Result<(Export, Vec<u8>), StoreError> {
        self.read("export", move |kv| {
            let lines = export.step(kv)?;
            Ok((export, lines))
        })
        .await
    }

    async fn begin_merge(&self) -> Result<Merging, StoreError> {
        let (mut merging, mut last) = (Merging::default(), false);
        while !last {
            (merging, last) = self
                .read("import", move |kv| {
                    let last = merging.learn(kv, STEP).map_err(|error| unreachable_engine(&error))?;
                    Ok((merging, last))
                })
                .await?;
        }
        Ok(merging)
    }

    async fn merge(&self, merging: &mut Merging, rows: Rows) -> Result<Merged, StoreError> {
        let (records, merged) = merging.sift(rows);
        self.change("import", move |transaction| merge(transaction, records, merged)).await
    }
}

impl From<Report> for Verified {
    fn from(report: Report) -> Self {
        let entries: BTreeMap<String, u64> =
            report.entries.iter().map(|(kind, count)| (name_of(*kind), *count)).collect();
        Self {
            whole: report.findings.is_empty() && report.unlisted == 0,
            records_whole: report.findings.is_empty() && report.unlisted == 0,
            entries,
            findings: report.findings,
            more_findings: report.unlisted,
            changed_meanwhile: report.changed,
        }
    }
}

/// What a kind of entries is called.
fn name_of(letter: char) -> String {
    let byte = u8::try_from(letter).unwrap_or(0);
    match byte {
        kind::TASK_PLACE => "task_place".to_owned(),
        kind::TASK_BY_STATUS => "task_by_status".to_owned(),
        kind::TASK_BY_PRIORITY => "task_by_priority".to_owned(),
        kind::TASK_BY_PARENT => "task_by_parent".to_owned(),
        kind::TASK_BY_SERVICE => "task_by_service".to_owned(),
        later::FILE_BY_ACCESS => "file_by_access".to_owned(),
        later::SESSION_BY_AGE => "session_by_age".to_owned(),
        latest::FILE_BY_CONTENTS => "file_by_contents".to_owned(),
        byte => Kind::of(byte).map_or_else(|| format!("unknown {letter:?}"), |kind| kind.as_str().to_owned()),
    }
}
