//! The witness: a small file beside the engine's that knows what was acknowledged last.
//!
//! While the store is open, two slots of one block each are written in turn, after each sync and before the answers, so
//! that a torn write leaves the other; they are not synced themselves, as what they witness is. A clean stop replaces
//! them by one line that also has the length and checksum of the engine's files.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::folder::{FileSum, Folder, WITNESS};

/// A block of the disk: written whole or not at all.
const SLOT: usize = 512;
/// Changes with every start of the machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Testimony {
    /// The format of the store, so that one that is too new is refused before its engine is opened.
    pub(super) format: u8,
    /// The engine's name.
    pub(super) engine: String,
    /// The last batch that was acknowledged.
    pub(super) commit: u64,
    /// Which start of the machine it was written in, if the kernel says.
    pub(super) boot: Option<String>,
    /// The engine's files after a clean stop; `None` while it is open.
    pub(super) files: Option<Vec<FileSum>>,
}

impl Testimony {
    /// Whether it was written since the machine started.
    pub(super) fn is_of_this_boot(&self) -> bool {
        self.boot.is_some() && self.boot == boot()
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// No file.
    Nothing,
    /// A file in which nothing is whole.
    Damaged(PathBuf),
    /// The latest that is whole.
    Testimony(Testimony),
}

/// Reads the file in `folder`.
pub(super) fn read(folder: &Folder) -> io::Result<Found> {
    let path = folder.join(WITNESS);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    let whole = bytes.split(|byte| *byte == b'\n').filter_map(parse);
    Ok(whole.max_by_key(|testimony| testimony.commit).map_or(Found::Damaged(path), Found::Testimony))
}

/// The file while the store is open.
#[derive(Debug)]
pub(super) struct Witness {
    file: File,
    testimony: Testimony,
    second: bool,
}

impl Witness {
    /// Begins to witness: from here on the file has no mark of a clean stop.
    pub(super) fn begin(folder: &Folder, format: u8, engine: &str, commit: u64) -> io::Result<Self> {
        let testimony = Testimony { format, engine: engine.to_owned(), commit, boot: boot(), files: None };
        let slot = slot(&testimony)?;
        replace(folder, &[slot.clone(), slot].concat())?;
        let file = File::options().write(true).open(folder.join(WITNESS))?;
        Ok(Self { file, testimony, second: false })
    }

    /// `commit` is durable, and is about to be acknowledged.
    pub(super) fn acknowledge(&mut self, commit: u64) -> io::Result<()> {
        self.testimony.commit = commit;
        let slot = slot(&self.testimony)?;
        self.file.write_all_at(&slot, if self.second { SLOT as u64 } else { 0 })?;
        self.second = !self.second;
        Ok(())
    }

    /// The engine is closed, and all is well.
    pub(super) fn end(self, folder: &Folder) -> io::Result<()> {
        let testimony = Testimony { files: Some(folder.sums()?), ..self.testimony };
        replace(folder, &line(&testimony)?)
    }
}

fn boot() -> Option<String> {
    fs::read_to_string(BOOT_ID).ok().map(|text| text.trim().to_owned())
}

fn line(testimony: &Testimony) -> io::Result<Vec<u8>> {
    let json = serde_json::to_string(testimony)?;
    Ok(format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes())).into_bytes())
}

fn slot(testimony: &Testimony) -> io::Result<Vec<u8>> {
    let mut slot = line(testimony)?;
    slot.pop();
    slot.resize(SLOT - 1, b' ');
    slot.push(b'\n');
    Ok(slot)
}

fn parse(line: &[u8]) -> Option<Testimony> {
    let (crc, json) = std::str::from_utf8(line).ok()?.trim_end().split_once(' ')?;
    let crc = u32::from_str_radix(crc, 16).ok()?;
    (crc == crc32fast::hash(json.as_bytes())).then(|| serde_json::from_str(json).ok())?
}

fn replace(folder: &Folder, bytes: &[u8]) -> io::Result<()> {
    let mut new = tempfile::NamedTempFile::new_in(folder.join(""))?;
    new.write_all(bytes)?;
    new.as_file().sync_all()?;
    new.persist(folder.join(WITNESS)).map_err(|error| error.error)?;
    folder.sync()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(folder: &Folder) -> Option<u64> {
        match read(folder).unwrap() {
            Found::Testimony(testimony) => Some(testimony.commit),
            _ => None,
        }
    }

    #[test]
    fn the_latest_whole_slot_counts() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::take(temporary.path()).unwrap();
        assert_eq!(read(&folder).unwrap(), Found::Nothing);
        let mut witness = Witness::begin(&folder, 1, "sled", 4).unwrap();
        for number in 5..8 {
            witness.acknowledge(number).unwrap();
            assert_eq!(commit(&folder), Some(number));
        }
        // The slot written last is torn: the one before it counts.
        let path = temporary.path().join(WITNESS);
        let mut bytes = fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 2 * SLOT);
        bytes[20] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(commit(&folder), Some(6));
        bytes[SLOT + 20] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(read(&folder).unwrap(), Found::Damaged(path));
    }

    #[test]
    fn a_clean_stop_notes_the_engines_files() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::take(temporary.path()).unwrap();
        fs::create_dir_all(folder.engine()).unwrap();
        fs::write(folder.engine().join("db"), "log").unwrap();
        let witness = Witness::begin(&folder, 1, "sled", 9).unwrap();
        witness.end(&folder).unwrap();
        let Found::Testimony(testimony) = read(&folder).unwrap() else { panic!() };
        assert_eq!((testimony.commit, testimony.files), (9, Some(folder.sums().unwrap())));
    }
}
