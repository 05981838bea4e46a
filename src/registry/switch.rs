//! Services that the operator has switched off or on by a command, kept over a restart in a file of their own.
//!
//! What a command said stands above what the sources say, until another command takes it back. The file is written whole,
//! synced, and then stands under its name; only then is a switch in force.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::source::SERVICE_COMMAND;
use crate::model::name::ServiceKey;
use crate::model::service::Service;

/// The file, in the store's folder.
const FILE: &str = "services.json";
const FORMAT: &str = "chittyconnect-services";
const VERSION: u32 = 1;
/// Longest reason, in bytes: a sentence or three.
pub const MAX_REASON: usize = 1024;

/// Every switch.
#[derive(Debug)]
pub struct Switches {
    path: PathBuf,
    now: Mutex<BTreeMap<ServiceKey, Switch>>,
}

/// What a command said of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switch {
    /// False: its clients get 503.
    pub enabled: bool,
    /// Why, for its clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When: RFC 3339, UTC.
    pub at: String,
}

#[derive(Serialize, Deserialize)]
struct Written {
    format: String,
    version: u32,
    services: BTreeMap<ServiceKey, Switch>,
}

/// Switches cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// The file cannot be read or written.
    #[error("`{path}`, which holds the services that were switched off or on, cannot be {done}")]
    File {
        /// The file.
        path: PathBuf,
        /// `read` or `written`.
        done: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is damaged, or another version's. Starting without it would serve what an operator switched off.
    #[error(
        "`{0}`, which holds the services that were switched off or on, cannot be understood: mend it, or remove it if no \
         service is to be switched"
    )]
    NotUnderstood(PathBuf),
    /// The reason has control characters, or is too long.
    #[error("the reason has control characters or more than {MAX_REASON} bytes; accepted: a line of text")]
    Reason,
}

/// How a service is switched after a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchReport {
    /// Its id.
    pub id: ServiceKey,
    /// Whether it is served.
    pub enabled: bool,
    /// Why not, for its clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether that differs from what its sources say; `null`: they were not asked.
    pub overrides: Option<bool>,
}

impl fmt::Display for SwitchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.enabled { "enabled" } else { "disabled" };
        let reason = self.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
        let beside = match self.overrides {
            Some(true) if self.enabled => " (its source says that it is not)",
            Some(_) => "",
            None => " (from the next start of the daemon on, if a source names it)",
        };
        writeln!(f, "{} is {state}{reason}{beside}", self.id)
    }
}

impl Switches {
    /// Reads what is kept in the store's folder. Nothing is there until the first command.
    ///
    /// # Errors
    /// [`SwitchError`].
    pub fn open(folder: &Path) -> Result<Self, SwitchError> {
        let path = folder.join(FILE);
        let now = match fs::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice::<Written>(&bytes)
                    .ok()
                    .filter(|written| written.format == FORMAT && written.version == VERSION)
                    .ok_or_else(|| SwitchError::NotUnderstood(path.clone()))?
                    .services
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(source) => return Err(SwitchError::File { path, done: "read", source }),
        };
        Ok(Self { path, now: Mutex::new(now) })
    }

    /// Switches `id`, for good. `declared`: whether its sources say that it is enabled, if they were asked. Blocks on the
    /// disk.
    ///
    /// # Errors
    /// [`SwitchError`]: then nothing has changed.
    pub fn set(
        &self,
        id: ServiceKey,
        enabled: bool,
        reason: Option<String>,
        declared: Option<bool>,
    ) -> Result<SwitchReport, SwitchError> {
        let fits = |reason: &String| reason.len() <= MAX_REASON && !reason.chars().any(char::is_control);
        if !reason.iter().all(fits) {
            return Err(SwitchError::Reason);
        }
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = now.clone();
        if enabled && declared != Some(false) {
            next.remove(&id);
        } else {
            let at = Timestamp::now().to_string();
            next.insert(id.clone(), Switch { enabled, reason: reason.clone(), at });
        }
        self.write(&next)?;
        *now = next;
        Ok(SwitchReport { id, enabled, reason, overrides: declared.map(|declared| declared != enabled) })
    }

    /// Switches what is to be switched among `services`.
    pub fn apply(&self, services: &mut [Service]) {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if now.is_empty() {
            return;
        }
        for service in services {
            if let Some(switch) = now.get(&service.id) {
                service.enabled = switch.enabled;
                service.declared.enabled = Some(switch.enabled);
                service.declared.reason.clone_from(&switch.reason);
                for field in ["enabled", "reason"] {
                    service.provenance.insert(field, SERVICE_COMMAND.into());
                }
            }
        }
    }

    fn write(&self, services: &BTreeMap<ServiceKey, Switch>) -> Result<(), SwitchError> {
        let attempt = || {
            let folder = self.path.parent().unwrap_or(Path::new("."));
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            let written = Written { format: FORMAT.to_owned(), version: VERSION, services: services.clone() };
            file.write_all(&serde_json::to_vec_pretty(&written)?)?;
            if rustix::process::geteuid().is_root() {
                // The daemon that reads it is most often somebody else.
                let owner = fs::metadata(folder)?;
                fchown(file.as_file(), Some(owner.uid()), Some(owner.gid()))?;
            }
            file.as_file().sync_all()?;
            file.persist(&self.path).map_err(|error| error.error)?;
            File::open(folder)?.sync_all()
        };
        attempt().map_err(|source| SwitchError::File { path: self.path.clone(), done: "written", source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::service::Declaration;
    use crate::registry::merge::merge;

    fn key(id: &str) -> ServiceKey {
        ServiceKey::parse(id).unwrap()
    }

    fn services(enabled: Option<bool>) -> Vec<Service> {
        let declared = Declaration { id: Some(key("one")), enabled, ..Declaration::default() };
        merge(&[declared], &[], Vec::new()).services
    }

    fn switched(switches: &Switches, enabled: Option<bool>) -> (bool, Option<String>) {
        let mut services = services(enabled);
        switches.apply(&mut services);
        (services[0].enabled, services[0].declared.reason.clone())
    }

    #[test]
    fn a_switch_stands_above_sources_and_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let switches = Switches::open(folder.path()).unwrap();
        assert_eq!(switched(&switches, None), (true, None));
        let report = switches.set(key("one"), false, Some("being moved".to_owned()), Some(true)).unwrap();
        assert_eq!(report.overrides, Some(true));
        let again = Switches::open(folder.path()).unwrap();
        assert_eq!(switched(&again, Some(true)), (false, Some("being moved".to_owned())));
        again.set(key("one"), true, None, Some(true)).unwrap();
        let text = fs::read_to_string(folder.path().join(FILE)).unwrap();
        assert!(!text.contains("one"), "what its sources say needs no switch: {text}");
        again.set(key("one"), true, None, Some(false)).unwrap();
        assert_eq!(switched(&Switches::open(folder.path()).unwrap(), Some(false)), (true, None));
    }

    #[test]
    fn what_root_writes_belongs_to_the_folders_owner() {
        let folder = tempfile::tempdir().unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(folder.path(), Some(1234), Some(1235)).unwrap();
        }
        Switches::open(folder.path()).unwrap().set(key("one"), false, None, None).unwrap();
        let (of, file) = (fs::metadata(folder.path()).unwrap(), fs::metadata(folder.path().join(FILE)).unwrap());
        assert_eq!((file.uid(), file.gid()), (of.uid(), of.gid()));
    }

    #[test]
    fn what_cannot_be_kept_or_understood_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let switches = Switches::open(folder.path()).unwrap();
        let bad = switches.set(key("one"), false, Some("a\nb".to_owned()), None);
        assert!(matches!(bad, Err(SwitchError::Reason)));
        drop(folder);
        assert!(matches!(switches.set(key("one"), false, None, None), Err(SwitchError::File { .. })));
        assert_eq!(switched(&switches, None), (true, None));
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), b"{").unwrap();
        assert!(matches!(Switches::open(folder.path()), Err(SwitchError::NotUnderstood(_))));
    }
}
