//! The store's folder: who has it, how much room is left on its disk, and copies of the engine's files.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, lchown};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Where the engine's files are.
const ENGINE: &str = "engine";
/// Where a copy of them goes before an unclean store is opened.
const COPY: &str = "engine.copy";
/// The same while it is being made.
const PARTIAL_COPY: &str = "engine.copy.partial";
/// Held by whoever has the store open.
const LOCK: &str = "lock";
/// Room that is left on the disk: an engine that met a full disk can neither be read nor opened again, so it never
/// meets one. It is far above what one group of changes takes, and what opening takes.
pub(super) const RESERVE: u64 = 64 << 20;

/// The store's folder, held by this process.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Unlocked when dropped.
    _lock: File,
}

/// Why the folder cannot be had.
#[derive(Debug)]
pub(super) enum FolderError {
    /// Another process has it; its id, if that is known.
    Locked(Option<u32>),
    /// It cannot be made or used.
    Io(PathBuf, io::Error),
}

/// One file of the engine as it was at a clean stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileSum {
    name: String,
    bytes: u64,
    crc32: u32,
}

impl Folder {
    /// Makes the folder if it is not there, and takes it for this process.
    pub(super) fn take(path: &Path) -> Result<Self, FolderError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| FolderError::Io(path, error)
        };
        // What is in it is the tenants', and nobody else's on this machine.
        DirBuilder::new().recursive(true).mode(0o750).create(path).map_err(failed(path))?;
        let lock_path = path.join(LOCK);
        let options = File::options().read(true).write(true).create(true).truncate(false).open(&lock_path);
        let mut lock = options.map_err(failed(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                let mut text = String::new();
                let read = lock.read_to_string(&mut text);
                return Err(FolderError::Locked(read.ok().and_then(|_| text.trim().parse().ok())));
            }
            Err(fs::TryLockError::Error(error)) => return Err(failed(&lock_path)(error)),
        }
        // Who has it is for people; that it cannot be written, on a full disk, keeps nobody from having it.
        lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| writeln!(lock, "{}", std::process::id())).ok();
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// A file or folder in it.
    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Where the engine's files are.
    pub(super) fn engine(&self) -> PathBuf {
        self.join(ENGINE)
    }

    /// Whether the engine has files.
    pub(super) fn has_engine(&self) -> io::Result<bool> {
        match fs::read_dir(self.engine()) {
            Ok(mut entries) => Ok(entries.next().is_some()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Bytes that this process may still write to the disk.
    pub(super) fn room(&self) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(&self.path)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Copies the engine's files aside, unless a copy is there: that one is from before an earlier attempt to open, and
    /// so the better one. Where the file system can, the copy shares its blocks with the original.
    pub(super) fn copy_aside(&self) -> io::Result<PathBuf> {
        let (copy, partial) = (self.join(COPY), self.join(PARTIAL_COPY));
        if copy.exists() {
            return Ok(copy);
        }
        // Left by a process that ended while it copied.
        remove_if_there(&partial)?;
        let copied = self.copy_folder(&self.engine(), &partial).and_then(|()| fs::rename(&partial, &copy));
        if let Err(error) = copied {
            remove_if_there(&partial)?;
            return Err(error);
        }
        self.sync()?;
        Ok(copy)
    }

    /// Files and folders, durable when this returns.
    fn copy_folder(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let target = to.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                self.copy_folder(&entry.path(), &target)?;
            } else {
                self.copy_file(&entry.path(), &target)?;
            }
        }
        File::open(to)?.sync_all()
    }

    fn copy_file(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (mut from, mut to) = (File::open(from)?, File::create(to)?);
        if rustix::fs::ioctl_ficlone(&to, &from).is_err() {
            let wanted = from.metadata()?.len();
            if wanted.saturating_add(RESERVE) > self.room()? {
                return Err(io::ErrorKind::StorageFull.into());
            }
            io::copy(&mut from, &mut to)?;
        }
        to.sync_data()
    }

    /// Makes the names of the engine's files durable, and that of their folder: their contents are, each time they
    /// change, but a file whose name is lost is lost.
    pub(super) fn sync_names(&self) -> io::Result<()> {
        File::open(self.engine())?.sync_all()?;
        self.sync()?;
        match self.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            // A folder above that may not be opened is none that was made here.
            Some(parent) => File::open(parent).map_or(Ok(()), |parent| parent.sync_all()),
            None => Ok(()),
        }
    }

    /// Removes the copy, once the store is known to be whole.
    pub(super) fn remove_copy(&self) -> io::Result<()> {
        remove_if_there(&self.join(COPY))
    }

    /// Length and checksum of every file of the engine, by name.
    pub(super) fn sums(&self) -> io::Result<Vec<FileSum>> {
        let mut sums = Vec::new();
        collect_sums(&self.engine(), "", &mut sums)?;
        sums.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(sums)
    }

    /// Gives what another user than the folder's owner made in it to that owner: a command that root gives while the
    /// daemon is stopped must leave nothing behind that the daemon cannot open.
    pub(super) fn hand_over(&self) -> io::Result<()> {
        let owner = fs::metadata(&self.path)?;
        if rustix::process::geteuid().as_raw() == owner.uid() {
            return Ok(());
        }
        hand_over(&self.path, (owner.uid(), owner.gid()))
    }

    /// Makes names in the folder durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

fn hand_over(folder: &Path, owner: (u32, u32)) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        lchown(entry.path(), Some(owner.0), Some(owner.1))?;
        if entry.file_type()?.is_dir() {
            hand_over(&entry.path(), owner)?;
        }
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn collect_sums(folder: &Path, within: &str, sums: &mut Vec<FileSum>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = format!("{within}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect_sums(&entry.path(), &format!("{name}/"), sums)?;
        } else {
            let (bytes, crc32) = sum(&mut File::open(entry.path())?)?;
            sums.push(FileSum { name, bytes, crc32 });
        }
    }
    Ok(())
}

fn sum(file: &mut File) -> io::Result<(u64, u32)> {
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((bytes, hasher.finalize()));
        }
        hasher.update(&buffer[..read]);
        bytes += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_had_by_one_and_says_by_whom() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("data");
        let first = Folder::take(&path).unwrap();
        match Folder::take(&path) {
            Err(FolderError::Locked(pid)) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        drop(first);
        assert!(Folder::take(&path).is_ok());
    }

    #[test]
    fn a_copy_is_made_once_and_kept_until_it_is_removed() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::take(temporary.path()).unwrap();
        fs::create_dir_all(folder.engine().join("blobs")).unwrap();
        fs::write(folder.engine().join("db"), "first").unwrap();
        fs::write(folder.engine().join("blobs/1"), "blob").unwrap();
        let before = folder.sums().unwrap();
        let copy = folder.copy_aside().unwrap();
        assert_eq!(fs::read_to_string(copy.join("blobs/1")).unwrap(), "blob");
        fs::write(folder.engine().join("db"), "other").unwrap();
        assert_ne!(folder.sums().unwrap(), before);
        folder.copy_aside().unwrap();
        assert_eq!(fs::read_to_string(copy.join("db")).unwrap(), "first");
        folder.remove_copy().unwrap();
        assert!(!copy.exists());
    }
}
