//! sled's log, read without sled: what is left of one that sled itself breaks down over.
//!
//! The log is a file of segments. Each begins with its number in the log's order (LSN), and holds messages with a
//! checksum each: whole pages of the tree, and single changes to them. Pages move as segments are used again, so a log
//! that is cut or damaged anywhere may lack pages of every age, which sled does not allow for. Here every message that is
//! whole counts, in the log's order; of pages that say something of the same keys, the one that was written last.
//!
//! Nothing is written, and all of it is held in memory: this is for a repair.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::{Bound, ControlFlow};
use std::path::Path;

use super::super::{Batch, Direction, Kv, KvError, Range, Visit};
use super::LOG;

/// The length of a segment where sled's notes do not say another.
const SEGMENT: usize = 512 * 1024;
/// The header of a segment: checksum, LSN, and the last LSN that was stable.
const SEGMENT_HEADER: usize = 20;
/// Less than this at the end of a segment is not used.
const LEAST_MESSAGE: usize = 32;

// Kinds of messages.
const PADDING: u8 = 2;
const NODE: u8 = 8;
const LINK: u8 = 10;
const LAST_KIND: u8 = 11;

/// What is left of a log.
#[derive(Debug, Default)]
pub(in crate::store) struct Remains {
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Pieces of the log that cannot be read, or say nothing without others that cannot.
    damaged: u64,
}

/// One leaf of the tree.
struct Leaf {
    /// Where in the log's order it was written.
    lsn: u64,
    low: Vec<u8>,
    /// Its keys are below this; empty = there is no bound.
    high: Vec<u8>,
    /// So many bytes of `low` are left out in its keys.
    prefix: usize,
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// A page as far as it is known.
enum Form {
    Leaf(Leaf),
    /// It has no entries of ours: an inner node.
    Inner,
    /// It was not met yet, or its latest form cannot be read, so changes to it cannot be understood.
    Unknown,
}

/// A page, and how many changes to its form could not be understood: none of account once it is written anew.
struct Page {
    form: Form,
    doubts: u64,
}

impl Remains {
    /// Reads the log in `folder`.
    pub(in crate::store) fn read(folder: &Path) -> io::Result<Self> {
        let length = segment_length(folder);
        let mut file = File::open(folder.join(LOG))?;
        let mut segments = Vec::new();
        let mut remains = Self::default();
        // First their order, then what is in them, one at a time.
        for index in 0.. {
            let segment = next_segment(&mut file, length)?;
            if segment.is_empty() {
                break;
            }
            match number_of(&segment, length as u64) {
                Some((number, header_is_whole)) => {
                    segments.push((number, index));
                    remains.damaged += u64::from(!header_is_whole);
                }
                None if segment.iter().all(|byte| *byte == 0) => {}
                None => remains.damaged += 1,
            }
        }
        segments.sort_unstable();
        let mut pages: HashMap<u64, Page> = HashMap::new();
        let tip = segments.last().copied();
        for (number, index) in segments {
            io::Seek::seek(&mut file, io::SeekFrom::Start(index * length as u64))?;
            let segment = next_segment(&mut file, length)?;
            remains.take_segment(&segment, number, length, Some((number, index)) == tip, &mut pages);
        }
        remains.join(pages);
        Ok(remains)
    }

    /// How many pieces of it cannot be read.
    pub(in crate::store) fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Whether nothing is left.
    pub(in crate::store) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn take_segment(
        &mut self,
        segment: &[u8],
        number: u64,
        length: usize,
        is_tip: bool,
        pages: &mut HashMap<u64, Page>,
    ) {
        let mut at = SEGMENT_HEADER;
        while at + LEAST_MESSAGE <= length && at < segment.len() {
            match Message::read(&segment[at..], number) {
                Some(message) if message.is_whole => {
                    if message.kind == PADDING {
                        return;
                    }
                    let lsn = number * length as u64 + at as u64;
                    at += message.length;
                    self.apply(&message, lsn, pages);
                }
                damaged => {
                    if let Some(message) = damaged.filter(|message| message.kind == NODE) {
                        pages.insert(message.page, Page { form: Form::Unknown, doubts: 0 });
                    }
                    // On at the next message that is whole, if one is: damage, or the end of what was written.
                    let next = (at + 1..segment.len())
                        .find(|next| Message::read(&segment[*next..], number).is_some_and(|message| message.is_whole));
                    self.damaged += u64::from(next.is_some() || !is_tip);
                    match next {
                        Some(next) => at = next,
                        None => return,
                    }
                }
            }
        }
    }

    fn apply(&mut self, message: &Message<'_>, lsn: u64, pages: &mut HashMap<u64, Page>) {
        match message.kind {
            NODE => {
                let form = node(message.body, lsn);
                self.damaged += u64::from(form.is_none());
                pages.insert(message.page, Page { form: form.unwrap_or(Form::Unknown), doubts: 0 });
            }
            LINK => {
                let unknown = || Page { form: Form::Unknown, doubts: 0 };
                let page = pages.entry(message.page).or_insert_with(unknown);
                let understood = match &mut page.form {
                    Form::Leaf(leaf) => leaf.change(message.body).is_some(),
                    Form::Inner => true,
                    Form::Unknown => false,
                };
                page.doubts += u64::from(!understood);
            }
            _ => {}
        }
    }

    /// Lays pages over each other, the one that was written last on top.
    fn join(&mut self, pages: HashMap<u64, Page>) {
        self.damaged += pages.values().map(|page| page.doubts).sum::<u64>();
        let mut leaves: Vec<Leaf> = pages
            .into_values()
            .filter_map(|page| match page.form {
                Form::Leaf(leaf) => Some(leaf),
                Form::Inner | Form::Unknown => None,
            })
            // The tree that every sled has and nobody uses is one page for all keys, and empty.
            .filter(|leaf| !(leaf.entries.is_empty() && leaf.low.is_empty() && leaf.high.is_empty()))
            .collect();
        leaves.sort_by_key(|leaf| leaf.lsn);
        for leaf in leaves {
            let high = if leaf.high.is_empty() { Bound::Unbounded } else { Bound::Excluded(&leaf.high[..]) };
            let range = (Bound::Included(&leaf.low[..]), high);
            let older: Vec<Vec<u8>> = self.entries.range::<[u8], _>(range).map(|(key, _)| key.clone()).collect();
            for key in older {
                self.entries.remove(&key);
            }
            self.entries.extend(leaf.entries);
        }
    }
}

impl Leaf {
    /// Does a change; `None` = it cannot be one of this page.
    fn change(&mut self, mut body: &[u8]) -> Option<()> {
        match byte(&mut body)? {
            0 => {
                let (key, value) = (self.key(bytes(&mut body)?)?, bytes(&mut body)?.to_vec());
                self.entries.insert(key, value);
            }
            1 => {
                let key = self.key(bytes(&mut body)?)?;
                self.entries.remove(&key);
            }
            // Its content moves to its neighbour, which is written anew for it.
            2..=4 => {}
            _ => return None,
        }
        Some(())
    }

    /// A whole key; `None` if this page cannot have it.
    fn key(&self, encoded: &[u8]) -> Option<Vec<u8>> {
        let key = [self.low.get(..self.prefix)?, encoded].concat();
        (key >= self.low && (self.high.is_empty() || key < self.high)).then_some(key)
    }
}

/// A message of a segment.
struct Message<'a> {
    kind: u8,
    page: u64,
    body: &'a [u8],
    /// Its bytes, header included.
    length: usize,
    is_whole: bool,
}

impl<'a> Message<'a> {
    /// The message that `bytes` begin with, if they look like one of segment `number`.
    fn read(bytes: &'a [u8], number: u64) -> Option<Self> {
        let mut rest = bytes;
        let crc = u32::from_le_bytes(take(&mut rest, 4)?.try_into().ok()?);
        let kind = byte(&mut rest)?;
        if !(1..=LAST_KIND).contains(&kind) {
            return None;
        }
        let length = usize::try_from(varint(&mut rest)?).ok()?;
        if varint(&mut rest)? != number {
            return None;
        }
        let page = varint(&mut rest)?;
        let header = bytes.len() - rest.len();
        let body = rest.get(..length)?;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(body);
        hasher.update(&bytes[4..header]);
        let is_whole = hasher.finalize() ^ u32::MAX == crc;
        Some(Self { kind, page, body, length: header + length, is_whole })
    }
}

/// A whole page.
fn node(mut body: &[u8], lsn: u64) -> Option<Form> {
    // Its neighbour, and the one that is merged into it.
    varint(&mut body)?;
    varint(&mut body)?;
    byte(&mut body)?;
    let prefix = usize::from(byte(&mut body)?);
    let (low, high) = (bytes(&mut body)?.to_vec(), bytes(&mut body)?.to_vec());
    if byte(&mut body)? != 0 {
        return Some(Form::Inner);
    }
    let count = usize::try_from(varint(&mut body)?).ok()?;
    let mut leaf = Leaf { lsn, low, high, prefix, entries: BTreeMap::new() };
    let mut keys = Vec::new();
    for _ in 0..count {
        keys.push(leaf.key(bytes(&mut body)?)?);
    }
    for key in keys {
        leaf.entries.insert(key, bytes(&mut body)?.to_vec());
    }
    Some(Form::Leaf(leaf))
}

fn segment_length(folder: &Path) -> usize {
    let notes = fs::read(folder.join("conf")).unwrap_or_default();
    let text = String::from_utf8_lossy(&notes);
    let said = text.lines().find_map(|line| line.strip_prefix("segment_size: ")?.trim().parse().ok());
    said.filter(|length| (1024..=1 << 30).contains(length)).unwrap_or(SEGMENT)
}

/// The next segment, which may be cut; empty = there is none.
fn next_segment(file: &mut File, length: usize) -> io::Result<Vec<u8>> {
    let mut segment = Vec::with_capacity(length);
    file.take(length as u64).read_to_end(&mut segment)?;
    Ok(segment)
}

/// Which segment of the log's order it is, and whether its header says it, or, as that is damaged, what is in it.
fn number_of(segment: &[u8], length: u64) -> Option<(u64, bool)> {
    let header: &[u8; SEGMENT_HEADER] = segment.first_chunk()?;
    let crc = u32::from_le_bytes(header[..4].try_into().ok()?) ^ u32::MAX;
    if crc32fast::hash(&header[4..]) == crc {
        let lsn = u64::from_le_bytes(header[4..12].try_into().ok()?) ^ 0x7FFF_FFFF_FFFF_FFFF;
        return Some((lsn / length, true)).filter(|_| lsn < u64::MAX / 2);
    }
    let mut first = segment.get(SEGMENT_HEADER + 5..)?;
    varint(&mut first)?;
    let number = varint(&mut first)?;
    Message::read(&segment[SEGMENT_HEADER..], number).filter(|message| message.is_whole).map(|_| (number, false))
}

fn take<'a>(from: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(taken)
}

fn byte(from: &mut &[u8]) -> Option<u8> {
    take(from, 1).map(|taken| taken[0])
}

fn bytes<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(varint(from)?).ok()?;
    take(from, length)
}

/// A number in as few bytes as it needs.
fn varint(from: &mut &[u8]) -> Option<u64> {
    let first = byte(from)?;
    let mut next = || byte(from).map(u64::from);
    Some(match first {
        0..=240 => u64::from(first),
        241..=248 => 240 + 256 * (u64::from(first) - 241) + next()?,
        249 => 2288 + 256 * next()? + next()?,
        250.. => {
            let mut number = [0; 8];
            number[..usize::from(first) - 247].copy_from_slice(take(from, usize::from(first) - 247)?);
            u64::from_le_bytes(number)
        }
    })
}

impl Kv for Remains {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        Ok(self.entries.get(key).cloned())
    }

    fn range(&self, range: Range<'_>, direction: Direction, visit: &mut Visit<'_>) -> Result<(), KvError> {
        let mut entries = self.entries.range::<[u8], _>(range);
        loop {
            let next = match direction {
                Direction::Forward => entries.next(),
                Direction::Backward => entries.next_back(),
            };
            let Some((key, value)) = next else { return Ok(()) };
            if let ControlFlow::Break(()) = visit(key, value) {
                return Ok(());
            }
        }
    }

    fn apply(&self, _: Batch) -> Result<(), KvError> {
        Err(KvError::new("writing", io::ErrorKind::ReadOnlyFilesystem.into()))
    }

    fn sync(&self) -> Result<(), KvError> {
        Ok(())
    }

    fn compact(&self) -> Result<(), KvError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::SledKv;
    use super::*;
    use crate::store::Durability;

    #[test]
    fn a_log_that_is_whole_says_what_sled_says() {
        let folder = tempfile::tempdir().unwrap();
        for round in 0..4_u32 {
            let kv = SledKv::open(folder.path(), Durability::ProcessCrash).unwrap();
            for number in 0..3000_u32 {
                let key = format!("k{:06}", number.wrapping_mul(7919) % 4000).into_bytes();
                let value = vec![u8::try_from(round).unwrap(); usize::try_from(number % 300).unwrap()];
                let gone = number % 5 == round;
                kv.apply(Batch::from([(key, (!gone).then_some(value))])).unwrap();
            }
            kv.sync().unwrap();
            let mut wanted = BTreeMap::new();
            kv.range((Bound::Unbounded, Bound::Unbounded), Direction::Forward, &mut |key, value| {
                wanted.insert(key.to_vec(), value.to_vec());
                ControlFlow::Continue(())
            })
            .unwrap();
            drop(kv);
            let remains = Remains::read(folder.path()).unwrap();
            assert_eq!((remains.entries.len(), remains.damaged), (wanted.len(), 0), "round {round}");
            assert!(remains.entries == wanted, "round {round}");
        }
    }
}
