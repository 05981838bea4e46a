//! Finding files. Links are never followed; those that may hide a wrangler file are said.

use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::Unread;
use super::text::Syntax;

/// Folders that hold no wrangler files of one's own.
const SKIPPED: [&str; 3] = [".git", "node_modules", ".wrangler"];
/// How many folders deep is looked: more is no tree of sources, and paths have an end.
const MAX_DEPTH: usize = 64;

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Walked {
    pub(super) files: Vec<PathBuf>,
    pub(super) unread: Vec<Unread>,
}

/// Looks under `root`, or takes it if it is a file.
pub(super) fn walk(root: &Path, walked: &mut Walked) {
    let metadata = match std::fs::metadata(root) {
        Ok(metadata) => metadata,
        Err(error) => {
            walked.unread.push(Unread::new(root.display(), format!("cannot be read: {error}")));
            return;
        }
    };
    if !metadata.is_dir() {
        walked.files.push(root.to_owned());
        return;
    }
    let real = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let entries = WalkDir::new(root).follow_links(false).max_depth(MAX_DEPTH).sort_by_file_name();
    for entry in entries.into_iter().filter_entry(|entry| entry.depth() == 0 || !is_skipped(entry)) {
        match entry {
            Ok(entry) if entry.path_is_symlink() && entry.depth() > 0 => link(&entry, &real, walked),
            Ok(entry) if entry.file_type().is_dir() => {
                if entry.depth() == MAX_DEPTH {
                    let why = format!("is more than {MAX_DEPTH} folders deep; give it as a path of its own");
                    walked.unread.push(Unread::new(entry.path().display(), why));
                }
            }
            Ok(entry) if Syntax::is_wrangler(entry.path()) => walked.files.push(shown(entry.into_path())),
            Ok(_) => {}
            Err(error) => {
                let path = error.path().unwrap_or(root).display().to_string();
                let why = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
                walked.unread.push(Unread::new(path, format!("cannot be read: {why}")));
            }
        }
    }
}

fn is_skipped(entry: &DirEntry) -> bool {
    entry.file_type().is_dir() && entry.file_name().to_str().is_some_and(|name| SKIPPED.contains(&name))
}

/// Says of a link what it may hide: nothing if it leads to what is looked at anyway.
fn link(entry: &DirEntry, root: &Path, walked: &mut Walked) {
    let path = entry.path();
    let mut say = |why: String| walked.unread.push(Unread::new(path.display(), why));
    let named = Syntax::is_wrangler(path);
    match path.canonicalize() {
        Ok(target) => {
            let around = path.parent().and_then(|parent| parent.canonicalize().ok());
            let of_interest = named || (target.is_dir() && !is_skipped_name(path));
            if target.is_dir() && around.is_some_and(|around| around.starts_with(&target)) {
                say("is a link to a folder that it is in, a loop; it was not followed".to_owned());
            } else if of_interest && !target.starts_with(root) {
                say(format!("is a link and was not followed; give {} as a path to have it read", target.display()));
            }
        }
        // A loop of links, most likely; a broken link of another name hides nothing.
        Err(error) if named || error.kind() != std::io::ErrorKind::NotFound => {
            say(format!("is a link that leads nowhere: {error}"));
        }
        Err(_) => {}
    }
}

fn is_skipped_name(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| SKIPPED.contains(&name))
}

/// Without the `./` that a walk of the working folder puts before everything.
fn shown(path: PathBuf) -> PathBuf {
    path.strip_prefix(".").map(Path::to_owned).unwrap_or(path)
}
