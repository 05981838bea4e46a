//! Why there is no configuration.

use std::fmt;
use std::path::PathBuf;

use crate::yaml::Mistake;

/// Why there is no [`Config`](super::Config).
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Nobody named a file, and none is where one is looked for.
    #[error(
        "no configuration file: looked for {}; name one with --config, or see how it works with `chittyconnect demo`",
        AnyOf(places)
    )]
    NotFound {
        /// Where it was looked for, in order.
        places: Vec<PathBuf>,
    },
    /// The file is not there, or cannot be read.
    #[error("cannot read the configuration `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// Everything that is wrong with the file, in its order; never empty. Displayed one a line.
    #[error("{}", Lines(.0))]
    Mistakes(Vec<Mistake>),
}

/// `a` and `b`.
struct AnyOf<'a>(&'a [PathBuf]);

impl fmt::Display for AnyOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, place) in self.0.iter().enumerate() {
            let before = if i == 0 { "" } else { " and " };
            write!(f, "{before}`{}`", place.display())?;
        }
        Ok(())
    }
}

struct Lines<'a>(&'a [Mistake]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, mistake) in self.0.iter().enumerate() {
            let before = if i == 0 { "" } else { "\n" };
            write!(f, "{before}{mistake}")?;
        }
        Ok(())
    }
}
