//! `services:` of a YAML file, strict, a bad entry costing itself.

use std::path::Path;

use crate::registry::declared;
use crate::registry::document::Document;
use crate::yaml::Mistake;

/// Why a YAML file is no list of services: every mistake that concerns more than one entry.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(Mistake::to_string).collect::<Vec<_>>().join("; "))]
pub(in crate::registry) struct YamlError(Vec<Mistake>);

/// Reads `text`, which stands in the file at `path`.
pub(super) fn read(text: &str, path: &Path) -> Result<Document, YamlError> {
    let file = declared::parse_file(text.as_bytes(), &path.display().to_string()).map_err(YamlError)?;
    for warning in &file.warnings {
        tracing::warn!("{warning}");
    }
    let entries = file.declarations.len() + file.rejected.len();
    Ok(Document { entries, declarations: file.declarations, rejected: file.rejected, ..Document::default() })
}
