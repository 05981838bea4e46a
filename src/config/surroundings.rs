//! What defaults depend on beside the file.

use std::num::NonZeroUsize;
use std::path::PathBuf;

/// What some defaults depend on beside the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// Cores that this process may use.
    pub cores: NonZeroUsize,
    /// Where sockets go: the first folder of `$RUNTIME_DIRECTORY`, which systemd sets.
    pub runtime_directory: Option<PathBuf>,
    /// Where the store goes: the first folder of `$STATE_DIRECTORY`, which systemd sets.
    pub state_directory: Option<PathBuf>,
}

impl Surroundings {
    /// Those of this process. Where the number of cores cannot be told it is taken to be one.
    #[must_use]
    pub fn of_process() -> Self {
        let first_of = |variable| {
            let folders = std::env::var_os(variable).unwrap_or_default();
            std::env::split_paths(&folders).next().filter(|folder| !folder.as_os_str().is_empty())
        };
        Self {
            cores: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            runtime_directory: first_of("RUNTIME_DIRECTORY"),
            state_directory: first_of("STATE_DIRECTORY"),
        }
    }
}
