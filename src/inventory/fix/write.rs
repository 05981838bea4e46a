//! A file replaced in one step: whoever reads it sees the old one or the new one, also after a power cut.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file was not replaced.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "their messages say it")]
pub enum WriteError {
    #[error("`{0}` has changed since it was read; run the command again")]
    Changed(PathBuf),
    #[error("`{path}` cannot be replaced")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Replaces the file at `path`, whose text was `before`.
pub(super) fn replace(path: &Path, before: &str, after: &str) -> Result<(), WriteError> {
    let failed = |source| WriteError::Io { path: path.to_owned(), source };
    let path = &path.canonicalize().map_err(failed)?;
    let failed = |source| WriteError::Io { path: path.clone(), source };
    if fs::read(path).map_err(failed)? != before.as_bytes() {
        return Err(WriteError::Changed(path.clone()));
    }
    let metadata = fs::metadata(path).map_err(failed)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut draft = tempfile::Builder::new().prefix(".wrangler-").tempfile_in(folder).map_err(failed)?;
    draft.write_all(after.as_bytes()).map_err(failed)?;
    draft.as_file().set_permissions(metadata.permissions()).map_err(failed)?;
    draft.as_file().sync_all().map_err(failed)?;
    draft.persist(path).map_err(|error| failed(error.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}
