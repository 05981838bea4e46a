//! The inputs that are kept in `corpus/`: those of the long runs, and every one that has once been a defect.

use std::path::{Path, PathBuf};

/// What is checked of an input.
type Check = fn(&[u8]);

/// Every target, by the name of its folder.
pub const TARGETS: [(&str, Check); 7] = [
    ("host", super::host::check),
    ("path", super::path::check),
    ("prefix", super::prefix::check),
    ("registry_document", super::registry_document::check),
    ("resource_uri", super::resource_uri::check),
    ("sigv4_date", super::sigv4_date::check),
    ("yaml", super::yaml::check),
];

/// Checks every input that is kept for `target`; says which one it is at, for the one that fails is the last.
pub fn replay(target: &str) {
    let (_, check) = TARGETS.into_iter().find(|(name, _)| *name == target).unwrap();
    let inputs = files(&folder().join(target));
    assert!(!inputs.is_empty(), "no inputs are kept for {target}");
    for input in inputs {
        eprintln!("{}", input.display());
        check(&std::fs::read(&input).unwrap());
    }
}

/// `corpus/`, seen from the package itself or from the library's.
#[must_use]
pub fn folder() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let inside = root.join("fuzz/corpus");
    if inside.is_dir() { inside } else { root.join("corpus") }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kept_input_for_hosts_holds() {
        replay("host");
    }

    #[test]
    fn every_kept_input_for_paths_holds() {
        replay("path");
    }

    #[test]
    fn every_kept_input_for_prefixes_holds() {
        replay("prefix");
    }

    #[test]
    fn every_kept_input_for_registry_documents_holds() {
        replay("registry_document");
    }

    #[test]
    fn every_kept_input_for_resource_uris_holds() {
        replay("resource_uri");
    }

    #[test]
    fn every_kept_input_for_dates_of_signatures_holds() {
        replay("sigv4_date");
    }

    #[test]
    fn every_kept_input_for_yaml_holds() {
        replay("yaml");
    }

    #[test]
    fn every_folder_belongs_to_a_target() {
        let mut folders: Vec<_> =
            files(&folder()).iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
        folders.sort();
        assert_eq!(folders, TARGETS.map(|(name, _)| name));
    }
}
