//! Files with what they give: `tests/golden/config/*.yaml` beside `*.errors` or `*.warnings`. A file with neither loads
//! in silence. `UPDATE_GOLDEN=1` writes what is given now, to be read before it is committed.

use std::ffi::OsStr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use super::*;

fn surroundings() -> Surroundings {
    Surroundings { cores: NonZeroUsize::MIN, runtime_directory: None }
}

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension() == Some(OsStr::new(ending))).collect();
    files.sort();
    assert!(!files.is_empty(), "no .{ending} in {}", folder.display());
    files
}

/// The lines that a file gives, and the ending of the file that should hold them.
fn findings(path: &Path) -> (&'static str, String) {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let bytes = std::fs::read(path).unwrap();
    let lines = |list: Vec<Mistake>| list.iter().flat_map(|mistake| [mistake.to_string(), "\n".to_owned()]).collect();
    match Config::read(Document::parse_bytes(&bytes, &name), &surroundings()) {
        Ok(config) => ("warnings", lines(config.warnings)),
        Err(ConfigError::Mistakes(mistakes)) => ("errors", lines(mistakes)),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn every_golden_file_gives_what_stands_beside_it() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for path in files("tests/golden/config", "yaml") {
        let (ending, found) = findings(&path);
        for other in ["errors", "warnings"] {
            let beside = path.with_extension(other);
            let found = if other == ending { &*found } else { "" };
            if update {
                if found.is_empty() {
                    let _ = std::fs::remove_file(&beside);
                } else {
                    std::fs::write(&beside, found).unwrap();
                }
            }
            let expected = std::fs::read_to_string(&beside).unwrap_or_default();
            if expected != found {
                wrong.push(format!("{}\n--- expected\n{expected}--- found\n{found}", beside.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());
}

#[test]
fn every_file_in_conf_loads_in_silence() {
    for path in files("conf", "yaml") {
        let config = Config::load(&path).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(config.warnings, [], "{}", path.display());
    }
    for path in files("conf/services", "yaml") {
        let bytes = std::fs::read(&path).unwrap();
        let file = crate::registry::declared::parse_file(&bytes, &path.display().to_string()).unwrap();
        assert!(!file.declarations.is_empty() && file.rejected.is_empty() && file.warnings.is_empty(), "{file:?}");
    }
}
