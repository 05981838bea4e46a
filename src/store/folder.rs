//! The store's folder: who has it, how much room is left on its disk, and copies of the engine's files.

#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, lchown};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::kv::RESERVE;

/// Where the engine's files are.
const ENGINE: &str = "engine";
/// Where the copy of them is that is opened and checked in their place.
const WORK: &str = "engine.work";
/// Where they go as they were found, when the copy takes their place and they may still be of use; with a number.
const FOUND: &str = "engine.found-";
/// The same when they are of no more use.
const REPLACED: &str = "engine.replaced";
/// Where an engine is put together that is to take the place of the one that is there.
const NEW: &str = "engine.new";
/// A backup that is not whole yet.
const PARTIAL: &str = "backup.partial";
/// Ends the names of files that the engine has not finished.
const UNFINISHED: &str = ".generating";
/// What was acknowledged last, see `super::witness`.
pub(super) const WITNESS: &str = "witness";
/// Held by whoever has the store open.
const LOCK: &str = "lock";

/// The store's folder, held by this process.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Unlocked when dropped; `None` where nobody ever had it.
    _lock: Option<File>,
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
            Err(fs::TryLockError::WouldBlock) => return Err(FolderError::Locked(holder(&mut lock))),
            Err(fs::TryLockError::Error(error)) => return Err(failed(&lock_path)(error)),
        }
        // Who has it is for people; that it cannot be written, on a full disk, keeps nobody from having it.
        lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| writeln!(lock, "{}", std::process::id())).ok();
        Ok(Self { path: path.to_owned(), _lock: Some(lock) })
    }

    /// Looks at a folder that nobody else has, and changes nothing in it.
    pub(super) fn look_at(path: &Path) -> Result<Self, FolderError> {
        let failed = |error| FolderError::Io(path.to_owned(), error);
        fs::read_dir(path).map_err(failed)?;
        let lock = match File::open(path.join(LOCK)) {
            Ok(mut lock) => match lock.try_lock_shared() {
                Ok(()) => Some(lock),
                Err(fs::TryLockError::WouldBlock) => return Err(FolderError::Locked(holder(&mut lock))),
                Err(fs::TryLockError::Error(error)) => return Err(failed(error)),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
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

    /// Ends what an earlier process did not: a copy that was to take the place of the engine's files does so, any other
    /// goes.
    pub(super) fn settle(&self) -> io::Result<()> {
        let work = self.join(WORK);
        // The engine's files are out of the way only once their copy is known to be whole.
        if !self.engine().exists() && work.exists() {
            fs::rename(&work, self.engine())?;
            self.sync()?;
        }
        remove_if_there(&work)?;
        remove_if_there(&self.join(NEW))?;
        remove_if_there(&self.join(PARTIAL))?;
        remove_if_there(&self.join(REPLACED))
    }

    /// Copies the engine's files and the witness into a folder beside them whose name begins with `prefix`. It has that
    /// name only once all of it is on the disk.
    pub(super) fn back_up(&self, prefix: &str) -> io::Result<PathBuf> {
        let bytes = size(&self.engine())?;
        if bytes.saturating_add(RESERVE) > self.room()? {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let partial = self.join(PARTIAL);
        remove_if_there(&partial)?;
        let copied = self.copy_folder(&self.engine(), &partial.join(ENGINE)).and_then(|()| self.copy_beside(&partial));
        if let Err(error) = copied {
            remove_if_there(&partial)?;
            return Err(error);
        }
        let place = self.free_name(prefix)?;
        fs::rename(&partial, &place)?;
        self.sync()?;
        Ok(place)
    }

    /// Copies the witness, if there is one, into `to`.
    pub(super) fn copy_beside(&self, to: &Path) -> io::Result<()> {
        match self.copy_file(&self.join(WITNESS), &to.join(WITNESS)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        File::open(to)?.sync_all()
    }

    /// A folder of this name and the time that is not there yet.
    pub(super) fn free_name(&self, prefix: &str) -> io::Result<PathBuf> {
        let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let mut names = (1..1000).map(|number| match number {
            1 => self.join(&format!("{prefix}-{now}")),
            number => self.join(&format!("{prefix}-{now}-{number}")),
        });
        names.find(|path| !path.exists()).ok_or_else(|| io::ErrorKind::AlreadyExists.into())
    }

    /// An empty folder for an engine that is to take the place of the one that is there.
    pub(super) fn new_engine(&self) -> io::Result<PathBuf> {
        self.drop_new_engine()?;
        fs::create_dir(self.join(NEW))?;
        Ok(self.join(NEW))
    }

    /// Removes it again.
    pub(super) fn drop_new_engine(&self) -> io::Result<()> {
        remove_if_there(&self.join(NEW))
    }

    /// Puts the new engine, which is closed and whole, in the place of the one that is there, which is of no more use.
    /// Ended in the middle, it is done by the next start.
    pub(super) fn take_new_engine(&self) -> io::Result<()> {
        File::open(self.join(NEW))?.sync_all()?;
        remove_if_there(&self.join(WORK))?;
        fs::rename(self.join(NEW), self.join(WORK))?;
        self.sync()?;
        self.take_copy(false).map(drop)
    }

    /// Copies the engine's files, to be opened in their place: what opening does to damaged ones, it does to the copy.
    /// Where the file system can, the copy shares its blocks with the original.
    pub(super) fn copy(&self) -> io::Result<PathBuf> {
        let work = self.join(WORK);
        let copied = self.copy_folder(&self.engine(), &work).and_then(|()| self.sync());
        if let Err(error) = copied {
            remove_if_there(&work)?;
            return Err(error);
        }
        Ok(work)
    }

    /// Removes the copy.
    pub(super) fn drop_copy(&self) -> io::Result<()> {
        remove_if_there(&self.join(WORK))
    }

    /// Puts the copy, which is closed again, in the place of the engine's files. Those go, or, to be kept, where this says.
    pub(super) fn take_copy(&self, keep: bool) -> io::Result<Option<PathBuf>> {
        let mut numbered = (1..100_000).map(|number| self.join(&format!("{FOUND}{number}")));
        let aside = if keep { numbered.find(|path| !path.exists()) } else { Some(self.join(REPLACED)) };
        let aside = aside.ok_or(io::ErrorKind::AlreadyExists)?;
        fs::rename(self.engine(), &aside)?;
        fs::rename(self.join(WORK), self.engine())?;
        self.sync()?;
        if keep {
            return Ok(Some(aside));
        }
        remove_if_there(&aside)?;
        Ok(None)
    }

    /// The same, but what is there goes into the folder `kept`.
    pub(super) fn swap_new_engine(&self, kept: &Path) -> io::Result<()> {
        File::open(self.join(NEW))?.sync_all()?;
        fs::rename(self.join(NEW), self.join(WORK))?;
        File::open(kept)?.sync_all()?;
        self.sync()?;
        fs::rename(self.engine(), kept.join(ENGINE))?;
        fs::rename(self.join(WORK), self.engine())?;
        File::open(kept)?.sync_all()?;
        self.sync()
    }

    /// Files and folders, durable when this returns.
    fn copy_folder(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            // The engine would take a file that it has not finished for its latest.
            if entry.file_name().to_string_lossy().ends_with(UNFINISHED) {
                continue;
            }
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
            let file = from.metadata()?;
            let wanted = file.len().min(file.blocks().saturating_mul(512));
            if wanted.saturating_add(RESERVE) > self.room()? {
                return Err(io::ErrorKind::StorageFull.into());
            }
            if wanted < file.len() {
                copy_sparse(&mut from, &mut to)?;
            } else {
                io::copy(&mut from, &mut to)?;
            }
        }
        to.sync_all()
    }

    /// Makes the names of the engine's files durable, and that of their folder: their contents are, each time they
    /// change, but a file whose name is lost is lost.
    pub(super) fn sync_names(&self) -> io::Result<()> {
        sync_folders(&self.engine())?;
        self.sync()?;
        match self.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            // A folder above that may not be opened is none that was made here.
            Some(parent) => File::open(parent).map_or(Ok(()), |parent| parent.sync_all()),
            None => Ok(()),
        }
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

/// Who has the lock, as far as its file says.
fn holder(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    let read = lock.read_to_string(&mut text);
    read.ok().and_then(|_| text.trim().parse().ok())
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

/// What the files below a folder take, in bytes.
pub(super) fn size(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() { size(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}

fn sync_folders(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    File::open(folder)?.sync_all()
}

/// Copies a file without giving room to what is not written in it: a journal is as long as it may become from the start.
fn copy_sparse(from: &mut File, to: &mut File) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    let mut length = 0;
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return to.set_len(length);
        }
        let part = &buffer[..read];
        if part.iter().any(|byte| *byte != 0) {
            to.write_all_at(part, length)?;
        }
        length += read as u64;
    }
}

/// Removes a folder and what is in it, if it is there.
pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
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
