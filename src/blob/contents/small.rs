//! Short bodies in a folder: each is written and put in its place in one go, with a note of its own beside it.
//!
//! The note is a second name, `uploads/{SHA-256}-{random}-{chitty id}`, of the very same file. It is there before the
//! contents are in their place, goes once the store has said what became of them, and tells the next start of those whose
//! process was killed meanwhile ([`Contents::awaited`]). So the store need not note them first, which would be a change
//! of its own for each file, with a sync of its own.
//!
//! Both names are there before the file is synced, and the file and its folder are synced before the store hears of it:
//! no power cut leaves a record without contents.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::{Contents, UPLOADS, local_error, remove_if_there};
use crate::store::Durability;
use crate::store::file::ContentsOf;

/// The note of contents that may be in their place without anybody having them.
#[derive(Debug)]
pub(in crate::blob) struct Note(PathBuf);

/// Notes that nobody needs any more.
#[derive(Debug, Default)]
pub(super) struct Needless(Mutex<Found>);

#[derive(Debug, Default)]
struct Found {
    notes: Vec<Note>,
    /// Whether somebody removes them.
    is_removing: bool,
}

impl Needless {
    /// Whether it is now for the caller to have them removed.
    fn add(&self, note: Note) -> bool {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.notes.push(note);
        !std::mem::replace(&mut found.is_removing, true)
    }

    /// Removes them, until there are none.
    fn remove(&self) {
        loop {
            let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let notes = std::mem::take(&mut found.notes);
            found.is_removing = !notes.is_empty();
            drop(found);
            if notes.is_empty() {
                return;
            }
            for Note(note) in notes {
                if let Err(error) = remove_if_there(&note) {
                    tracing::warn!(%error, note = %note.display(), "a note of contents stays until the next start");
                }
            }
        }
    }
}

/// What became of a short body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::blob) enum Put {
    /// It is in its place, and noted.
    Done,
    /// There is something in its place already, or it cannot be put there so: nothing was done.
    Not,
}

impl Contents {
    /// A note that does not exist yet; `None` where there are no folders.
    pub(in crate::blob) fn note(&self, contents: &ContentsOf) -> Option<Note> {
        let name = format!("{}-{:016x}-{}", contents.hash, rand::random::<u64>(), contents.chitty_id);
        self.folder.as_ref().map(|folder| Note(folder.join(UPLOADS).join(name)))
    }

    /// Puts a short body in its place, where nothing may be, with its note.
    ///
    /// # Errors
    /// Then it may be in its place, but only with its note.
    pub(in crate::blob) async fn put_noted(
        &self,
        note: &Note,
        contents: &ContentsOf,
        body: Bytes,
    ) -> object_store::Result<Put> {
        let Some(folder) = &self.folder else { return Ok(Put::Not) };
        let (note, place, durability) = (note.0.clone(), folder.join(self.of(contents).as_ref()), self.durability);
        let putting = tokio::task::spawn_blocking(move || put(&note, &place, &body, durability));
        self.trouble.note(putting.await.unwrap_or_else(|error| Err(error.into())).map_err(local_error))
    }

    /// Has a note removed: somebody has the contents, or they are noted elsewhere. Nobody needs to wait for that, and those
    /// that come meanwhile are removed in the same go.
    pub(in crate::blob) fn remove_note(&self, note: Note) {
        if self.needless.add(note) {
            let needless = Arc::clone(&self.needless);
            tokio::task::spawn_blocking(move || needless.remove());
        }
    }

    /// Contents with a note: they may be in their place without anybody having them, or have been when the process before
    /// ended.
    pub(in crate::blob) async fn awaited(&self) -> object_store::Result<HashSet<ContentsOf>> {
        if self.folder.is_none() {
            return Ok(HashSet::new());
        }
        Ok(self.left_uploads().await?.iter().filter_map(|name| noted(name)).collect())
    }
}

/// What a note of this name is of.
pub(in crate::blob) fn noted(name: &str) -> Option<ContentsOf> {
    let (hash, rest) = name.split_once('-')?;
    let (_, chitty_id) = rest.split_once('-')?;
    Some(ContentsOf { hash: hash.parse().ok()?, chitty_id: chitty_id.parse().ok()? })
}

fn put(note: &Path, place: &Path, body: &[u8], durability: Durability) -> io::Result<Put> {
    if fs::exists(place)? {
        return Ok(Put::Not);
    }
    let written = in_its_folder(note, durability, || File::options().write(true).create_new(true).open(note));
    let linked = written.and_then(|mut file| {
        file.write_all(body)?;
        in_its_folder(place, durability, || fs::hard_link(note, place))?;
        Ok(file)
    });
    match linked {
        Ok(file) => {
            if durability == Durability::PowerLoss {
                file.sync_all()?;
                sync(place.parent())?;
            }
            Ok(Put::Done)
        }
        Err(error) => {
            // It is in no other place.
            fs::remove_file(note).ok();
            if has_no_links(&error) { Ok(Put::Not) } else { Err(error) }
        }
    }
}

/// Whether another was faster, or the file system gives files one name only, or none as long as a note's.
fn has_no_links(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, CrossesDevices, InvalidFilename, PermissionDenied, TooManyLinks, Unsupported};
    [AlreadyExists, CrossesDevices, InvalidFilename, PermissionDenied, TooManyLinks, Unsupported]
        .contains(&error.kind())
}

/// Does something to `path`, whose folder is made if it is not there.
fn in_its_folder<T>(path: &Path, durability: Durability, act: impl Fn() -> io::Result<T>) -> io::Result<T> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match (act(), folder) {
        (Err(error), Some(folder)) if error.kind() == io::ErrorKind::NotFound => {
            let made: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
            fs::create_dir_all(folder)?;
            if durability == Durability::PowerLoss {
                for folder in made {
                    sync(folder.parent())?;
                }
            }
            act()
        }
        (done, _) => done,
    }
}

/// Has what a folder lists be on the disk.
fn sync(folder: Option<&Path>) -> io::Result<()> {
    folder.map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
impl Contents {
    /// Waits until all notes are gone that nobody needs.
    pub(in crate::blob) fn wait_for_removal(&self) {
        while self.needless.0.lock().unwrap().is_removing {
            std::thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_says_what_it_is_of() {
        let hash = "ab".repeat(32);
        let of = noted(&format!("{hash}-0123456789abcdef-a-b:c@d.e_f")).unwrap();
        assert_eq!((of.hash.to_string(), of.chitty_id.as_str()), (hash.clone(), "a-b:c@d.e_f"));
        for other in
            ["0".repeat(32), format!("{hash}-01"), format!("{hash}-01-"), format!("{hash}-01-a#1"), String::new()]
        {
            assert_eq!(noted(&other), None, "{other}");
        }
    }

    #[test]
    fn a_body_is_put_where_nothing_is_and_has_two_names_then() {
        let folder = tempfile::tempdir().unwrap();
        let (note, place) = (folder.path().join("uploads/n"), folder.path().join("contents/a/b/c"));
        for durability in [Durability::PowerLoss, Durability::ProcessCrash] {
            assert_eq!(put(&note, &place, b"one", durability).unwrap(), Put::Done);
            assert_eq!((fs::read(&note).unwrap(), fs::read(&place).unwrap()), (b"one".to_vec(), b"one".to_vec()));
            let other = folder.path().join("uploads/m");
            assert_eq!(put(&other, &place, b"two", durability).unwrap(), Put::Not);
            assert!(!other.exists() && fs::read(&place).unwrap() == b"one");
            fs::remove_file(&note).unwrap();
            fs::remove_file(&place).unwrap();
        }
        // What is in the way is told, and nothing is left.
        fs::remove_dir(folder.path().join("contents/a/b")).unwrap();
        fs::write(folder.path().join("contents/a/b"), "in the way").unwrap();
        put(&note, &place, b"one", Durability::PowerLoss).unwrap_err();
        assert!(!note.exists());
    }
}
