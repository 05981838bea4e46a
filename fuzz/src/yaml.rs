//! Files of the operator's: the configuration, and lists of services.

use std::collections::HashSet;
use std::num::NonZeroUsize;

use chittyconnect::config::{Config, ConfigError, Surroundings};
use chittyconnect::registry::declared::{ServiceFile, parse_file};
use chittyconnect::yaml::Mistake;

/// What the messages call the file.
const FILE: &str = "f.yaml";

/// `bytes`: a file, read as a list of services and as a whole configuration.
pub fn check(bytes: &[u8]) {
    let listed = parse_file(bytes, FILE);
    match &listed {
        Ok(file) => assert_file(file, bytes),
        Err(mistakes) => assert_mistakes(mistakes, bytes),
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        let mistakes = listed.unwrap_err();
        let [mistake] = &*mistakes else { panic!("{mistakes:?}") };
        assert!(mistake.message.contains("is not UTF-8"), "{mistake}");
        return;
    };
    let surroundings = Surroundings { cores: NonZeroUsize::MIN, runtime_directory: None, state_directory: None };
    match Config::parse_in(text, FILE, &surroundings) {
        Ok(config) => {
            assert_placed(&config.warnings, bytes);
            assert!(!config.listeners.is_empty());
            // The same list means the same in both places.
            if let Ok(file) = listed {
                assert_eq!((&file.declarations, file.rejected.len()), (&config.registry.services, 0));
            }
        }
        Err(ConfigError::Mistakes(mistakes)) => assert_mistakes(&mistakes, bytes),
        Err(other) => panic!("{other}"),
    }
}

fn assert_file(file: &ServiceFile, bytes: &[u8]) {
    let mut ids = HashSet::new();
    for one in &file.declarations {
        assert!(one.id.as_ref().is_some_and(|id| ids.insert(id.as_str())), "{one:?}");
    }
    for one in &file.rejected {
        assert!(!one.reason.is_empty(), "{one:?}");
        for line in one.reason.split('\n') {
            assert!(line.starts_with(&format!("{FILE}:")), "{one:?}");
        }
    }
    assert!(file.rejected.is_sorted_by(|a, b| a.index < b.index), "{:?}", file.rejected);
    assert_placed(&file.warnings, bytes);
}

fn assert_mistakes(mistakes: &[Mistake], bytes: &[u8]) {
    assert!(!mistakes.is_empty());
    assert_placed(mistakes, bytes);
}

/// Each is one line, and points into the text.
fn assert_placed(findings: &[Mistake], bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n").replace('\r', "\n");
    let widths: Vec<usize> = text.split('\n').map(|line| line.chars().count()).collect();
    for one in findings {
        assert_eq!(&*one.file, FILE);
        assert!(!one.message.is_empty() && !one.to_string().chars().any(char::is_control), "{one:?}");
        let line = usize::try_from(one.position.line).unwrap();
        let column = usize::try_from(one.position.column).unwrap();
        let width = widths.get(line.wrapping_sub(1)).unwrap_or_else(|| panic!("{one} of {} lines", widths.len()));
        assert!((1..=width + 1).contains(&column), "{one}: the line has {width} characters");
    }
    assert!(findings.is_sorted_by_key(|one| one.position), "{findings:?}");
}
