//! Whether every file has its contents and all contents have a file: the part of `store verify` that looks at the place
//! for contents.

use std::collections::HashMap;

use super::{FileError, Files};
use crate::store::file::ContentsOf;
use crate::store::upkeep::Verified;

/// Records looked at in one go.
const LOOKED_AT: usize = 1000;
/// More findings say no more.
const MAX_FINDINGS: usize = 100;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentsReport {
    /// Contents that files have, equal ones counted once.
    pub contents: u64,
    /// What does not agree, a line each, the first hundred.
    pub findings: Vec<String>,
    /// How many findings are not among those lines.
    pub unlisted: u64,
}

impl ContentsReport {
    fn find(&mut self, finding: String) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        } else {
            self.unlisted += 1;
        }
    }
}

impl ContentsReport {
    /// What `store verify` prints of the records, with this.
    #[must_use]
    pub fn add_to(self, mut verified: Verified) -> Verified {
        verified.entries.insert("contents".to_owned(), self.contents);
        verified.whole &= self.findings.is_empty() && self.unlisted == 0;
        verified.findings.extend(self.findings);
        verified.more_findings += self.unlisted;
        verified
    }
}

impl Files {
    /// Compares the records with the place for contents, by name and size. What moves meanwhile is looked at again before
    /// it is a finding.
    ///
    /// # Errors
    /// [`FileError`] where one of the two cannot be read.
    pub async fn verify(&self) -> Result<ContentsReport, FileError> {
        let mut report = ContentsReport::default();
        let mut there: HashMap<ContentsOf, u64> = HashMap::new();
        let mut foreign = Vec::new();
        let mut found = |contents, size| match contents {
            Ok(contents) => drop(there.insert(contents, size)),
            Err(name) => foreign.push(name),
        };
        self.contents.list(&mut found).await.map_err(FileError::place)?;
        let mut after = None;
        loop {
            let page = self.store.all_contents(after.take(), LOOKED_AT).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (contents, size) in page {
                report.contents += 1;
                match there.remove(&contents) {
                    Some(found) if found == size => {}
                    Some(_) | None => self.suspect(&mut report, &contents, size).await?,
                }
            }
        }
        for contents in there.into_keys() {
            if self.is_superfluous(&contents).await? {
                report.find(format!("contents {} of {}: no file has them", contents.hash, contents.chitty_id));
            }
        }
        for name in foreign {
            report.find(format!("{name}: is not what contents are called"));
        }
        Ok(report)
    }

    async fn suspect(&self, report: &mut ContentsReport, contents: &ContentsOf, size: u64) -> Result<(), FileError> {
        if self.contents.has(contents, size).await.map_err(FileError::place)?
            || !self.store.is_referenced(contents.clone()).await?
        {
            return Ok(());
        }
        let ContentsOf { chitty_id, hash } = contents;
        let what = if self.is_there(contents).await? { "do not have" } else { "are not there; they should have" };
        report.find(format!("contents {hash} of {chitty_id}: {what} {size} bytes"));
        Ok(())
    }

    /// Whether contents are in their place, and neither a file has them nor anybody will see to them.
    async fn is_superfluous(&self, contents: &ContentsOf) -> Result<bool, FileError> {
        // Else somebody is at work on them.
        let Some(_alone) = self.pins.removal(contents.clone()) else { return Ok(false) };
        if self.store.is_known(contents.clone()).await? || !self.is_there(contents).await? {
            return Ok(false);
        }
        // The next start removes them.
        Ok(!self.contents.awaited().await.map_err(FileError::place)?.contains(contents))
    }

    async fn is_there(&self, contents: &ContentsOf) -> Result<bool, FileError> {
        self.contents.is_there(contents).await.map_err(FileError::place)
    }
}
