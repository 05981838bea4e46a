//! The store's folder, and the name this gateway has in `Via`: random, kept in the folder.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where the name is kept.
const FILE: &str = "instance";

/// The folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("store.path: `{path}` cannot be used")]
pub struct FolderError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Makes the folder if it is not there. Returns the name: 16 hexadecimal digits.
///
/// # Errors
/// When the folder or the file in it cannot be made or read.
pub fn open(folder: &Path) -> Result<String, FolderError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| FolderError { path, source }
    };
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let file = folder.join(FILE);
    match fs::read_to_string(&file) {
        Ok(text) if is_name(text.trim()) => return Ok(text.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(&file)(error)),
    }
    let name = format!("{:016x}", rand::random::<u64>());
    let mut temporary = tempfile::NamedTempFile::new_in(folder).map_err(failed(folder))?;
    temporary.write_all(name.as_bytes()).and_then(|()| temporary.as_file().sync_all()).map_err(failed(&file))?;
    temporary.persist(&file).map_err(|error| failed(&file)(error.error))?;
    Ok(name)
}

fn is_name(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_stays_with_its_folder_and_a_damaged_one_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let name = open(&path).unwrap();
        assert!(is_name(&name));
        assert_eq!(open(&path).unwrap(), name);
        fs::write(path.join(FILE), "junk").unwrap();
        assert!(is_name(&open(&path).unwrap()));
    }
}
