//! Wrangler files, mended: the smallest edit of each that leaves a service only its own route and gives the gateway its
//! hosts.
//!
//! Edits are cuts in the text at places that the parsers named, so what they do not touch stays byte for byte, comments,
//! line ends and byte order mark included; a comment on a line that goes stays on a line of its own. A result that does not
//! parse, or does not say what was planned, is shown to nobody.

mod list;
pub mod plan;
mod render;
mod splice;
mod write;

use std::path::PathBuf;

use self::plan::Plan;
pub use self::write::WriteError;
use super::Inventory;
use super::wrangler::WranglerFile;

/// One file with what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mended {
    /// The file.
    pub path: PathBuf,
    /// Its index among the inventory's.
    pub file: usize,
    /// What it was when it was read.
    pub before: String,
    /// What it should be.
    pub after: String,
}

/// Every file that is to be changed, with its change; and those that could not be, with the reason.
#[must_use]
pub fn mend(inventory: &Inventory) -> (Vec<Mended>, Vec<String>) {
    let plan = Plan::of(inventory.files(), &inventory.claims, inventory.family());
    let mut mended = Vec::new();
    let mut failed = Vec::new();
    for (index, file) in inventory.files().iter().enumerate() {
        let Some(wanted) = plan.of_file(index) else { continue };
        match render::render(file, wanted) {
            Ok(after) if after == file.text => {}
            Ok(after) => mended.push(Mended { path: file.path.clone(), file: index, before: file.text.clone(), after }),
            Err(why) => failed.push(format!("{}: is left as it is: {why}", file.shown())),
        }
    }
    (mended, failed)
}

impl Mended {
    /// The change, as `patch -p1` and `git apply` take it in the folder where the command ran.
    #[must_use]
    pub fn diff(&self) -> String {
        let path = self.path.display().to_string();
        let (old, new) = match path.strip_prefix('/') {
            Some(_) => (path.clone(), path),
            None => (format!("a/{path}"), format!("b/{path}")),
        };
        let diff = similar::TextDiff::from_lines(&self.before, &self.after);
        diff.unified_diff().context_radius(3).header(&old, &new).to_string()
    }

    /// Replaces the file in one step, if it still is what was read.
    ///
    /// # Errors
    /// [`WriteError`]; the file is then as it was.
    pub fn write(&self) -> Result<(), WriteError> {
        write::replace(&self.path, &self.before, &self.after)
    }

    /// The file as it should be, read.
    ///
    /// # Errors
    /// When it does not parse, which [`mend`] has seen to.
    pub fn read(&self, file: &WranglerFile) -> Result<WranglerFile, super::wrangler::Unread> {
        WranglerFile::parse(self.path.clone(), self.after.clone(), file.syntax)
    }
}
