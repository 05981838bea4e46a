//! A certificate authority of the test's own, by the openssl command.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Keeps its files in a folder.
#[derive(Debug)]
pub(crate) struct Authority {
    folder: tempfile::TempDir,
}

/// A certificate and its key, both PEM.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

const KEY: [&str; 4] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];

impl Authority {
    /// `name`: what it calls itself. Two of one name would be taken for the same until it comes to their signatures.
    pub(crate) fn new(name: &str) -> Self {
        let authority = Self { folder: tempfile::tempdir().unwrap() };
        let path = authority.folder.path();
        let subject = format!("/CN={name}");
        let arguments = ["-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", &subject, "-days", "30"];
        openssl(path, &[&["req", "-x509"][..], &KEY, &arguments].concat());
        authority
    }

    /// Its own certificate.
    pub(crate) fn cert(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate for a DNS name.
    pub(crate) fn issue(&self, name: &str) -> Pair {
        self.issue_for(name, 30)
    }

    /// The same, valid for so many days; less than none: it has expired.
    pub(crate) fn issue_for(&self, name: &str, days: i32) -> Pair {
        let path = self.folder.path();
        let stem = format!("{name}-{days}");
        let [cert, key, request] = ["pem", "key", "csr"].map(|end| format!("{stem}.{end}"));
        let names = format!("subjectAltName=DNS:{name}");
        let ask = ["-nodes", "-keyout", &key, "-out", &request, "-subj", "/CN=of the test", "-addext", &names];
        openssl(path, &[&["req"][..], &KEY, &ask].concat());
        let days = days.to_string();
        let sign = [
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-copy_extensions",
            "copy",
        ];
        openssl(path, &[&sign[..], &["-days", &days, "-out", &cert]].concat());
        Pair { cert: path.join(cert), key: path.join(key) }
    }
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output();
    let output = output.unwrap_or_else(|e| panic!("openssl: {e}; tests/run.sh installs it"));
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Puts a copy of one file in the place of another, in one step.
pub(crate) fn replace(file: &Path, with: &Path) {
    let draft = file.with_extension("new");
    fs::copy(with, &draft).unwrap();
    fs::rename(draft, file).unwrap();
}
