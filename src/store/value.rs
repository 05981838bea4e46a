//! Values that may be long, in an engine that wants them short: a value is one entry, or one entry and its
//! continuations.
//!
//! The first byte of an entry is the number of continuations; those stand under the same key with one byte more, `1` and
//! up, so a scan meets them right behind. Keys of one kind must therefore never be beginnings of each other, which
//! fixed lengths and closing zero bytes see to.

use std::ops::ControlFlow;

use super::kv::Direction;
use super::kv::{Kv, KvError, Range};

/// The longest piece, in bytes: seventeen of them, with their keys, stay far below the 128 KiB at which sled would take
/// a page out of its log.
const PIECE: usize = 4096;

/// Whether a value of so many bytes can be kept: 1 MiB.
pub(super) fn fits(length: usize) -> bool {
    length <= PIECE * 256
}

/// Whether a value of so many bytes is one entry, which is always read as it was written; the pieces of a longer one may
/// be replaced between two looks.
pub(super) fn is_one_entry(length: usize) -> bool {
    length <= PIECE
}

/// The entries that keep `value` under `key`; `None` if it is longer than 1 MiB.
pub(super) fn entries(key: &[u8], value: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let more = u8::try_from(value.len().saturating_sub(1) / PIECE).ok()?;
    let mut pieces = value.chunks(PIECE);
    let first = pieces.next().unwrap_or_default();
    let mut entries = Vec::with_capacity(usize::from(more) + 1);
    entries.push((key.to_vec(), [&[more], first].concat()));
    entries.extend((1..=more).zip(pieces).map(|(number, piece)| (continuation(key, number), piece.to_vec())));
    Some(entries)
}

/// How many continuations the first entry of a value says it has.
pub(super) fn continuations(entry: &[u8]) -> u8 {
    entry.first().copied().unwrap_or(0)
}

/// The key of a continuation.
pub(super) fn continuation(key: &[u8], number: u8) -> Vec<u8> {
    [key, &[number]].concat()
}

/// The value of `key`, put together from what `get` finds; `None` if there is none.
///
/// # Errors
/// Those of `get`, and `broken()` when a continuation is missing.
pub(super) fn read<E>(
    key: &[u8],
    mut get: impl FnMut(&[u8]) -> Result<Option<Vec<u8>>, E>,
    broken: impl Fn() -> E,
) -> Result<Option<Vec<u8>>, E> {
    let Some(mut value) = get(key)? else { return Ok(None) };
    if value.is_empty() {
        return Err(broken());
    }
    for number in 1..=value.remove(0) {
        value.extend_from_slice(&get(&continuation(key, number))?.ok_or_else(&broken)?);
    }
    Ok(Some(value))
}

/// Puts values together again while their entries are scanned forward.
#[derive(Debug, Default)]
pub(super) struct Gather {
    key: Vec<u8>,
    value: Vec<u8>,
    missing: u8,
}

impl Gather {
    /// Takes the next entry; gives a key with its value once it is whole. `Err` = a piece is missing or too many.
    pub(super) fn take(&mut self, key: &[u8], entry: &[u8]) -> Result<Option<Whole<'_>>, Broken> {
        if self.missing > 0 {
            let number = continuations(&self.value[..1]) - self.missing + 1;
            let expected = key.split_last().is_some_and(|(last, rest)| rest == self.key && *last == number);
            if !expected {
                return Err(Broken);
            }
            self.value.extend_from_slice(entry);
            self.missing -= 1;
        } else {
            self.key.clear();
            self.key.extend_from_slice(key);
            self.value.clear();
            self.value.extend_from_slice(entry);
            self.missing = *entry.first().ok_or(Broken)?;
        }
        Ok((self.missing == 0).then(|| (&*self.key, &self.value[1..])))
    }

    /// The key of the value that was taken last.
    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    /// Whether a value is still incomplete.
    pub(super) fn is_within(&self) -> bool {
        self.missing > 0
    }
}

/// A key and its value.
pub(super) type Whole<'a> = (&'a [u8], &'a [u8]);

/// A value is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// What a scan over whole values calls for each.
pub(super) type VisitValue<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Shows `visit` every whole value in `range`, forward.
///
/// # Errors
/// The engine's; the inner one when a value is not whole.
pub(super) fn scan(kv: &dyn Kv, range: Range<'_>, visit: &mut VisitValue<'_>) -> Result<Result<(), Broken>, KvError> {
    let mut gather = Gather::default();
    let mut whole = Ok(());
    kv.range(range, Direction::Forward, &mut |key, entry| match gather.take(key, entry) {
        Ok(None) => ControlFlow::Continue(()),
        Ok(Some((key, value))) => visit(key, value),
        Err(broken) => {
            whole = Err(broken);
            ControlFlow::Break(())
        }
    })?;
    Ok(if gather.is_within() { Err(Broken) } else { whole })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_VALUE: usize = 1 << 20;

    #[test]
    fn values_of_every_length_come_back() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, MAX_VALUE] {
            let value: Vec<u8> = (0..=250).cycle().take(length).collect();
            let kept = entries(b"k", &value).unwrap();
            assert!(kept.iter().all(|(_, entry)| entry.len() <= PIECE + 1), "{length}");
            let get = |key: &[u8]| Ok::<_, Broken>(kept.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone()));
            assert_eq!(read(b"k", get, || Broken), Ok(Some(value.clone())), "{length}");
            let mut gather = Gather::default();
            let mut whole = None;
            for (key, entry) in &kept {
                whole = gather.take(key, entry).unwrap().map(|(key, value)| (key.to_vec(), value.to_vec()));
            }
            assert_eq!(whole, Some((b"k".to_vec(), value)), "{length}");
        }
        assert!(entries(b"k", &vec![0; MAX_VALUE + 1]).is_none());
    }

    #[test]
    fn a_missing_piece_is_noticed() {
        let kept = entries(b"k", &[7; 3 * PIECE]).unwrap();
        let get =
            |key: &[u8]| Ok(kept.iter().filter(|(k, _)| k != b"k\x02").find(|(k, _)| k == key).map(|(_, v)| v.clone()));
        assert_eq!(read(b"k", get, || Broken), Err(Broken));
        let mut gather = Gather::default();
        assert_eq!(gather.take(&kept[0].0, &kept[0].1), Ok(None));
        assert_eq!(gather.take(&kept[2].0, &kept[2].1), Err(Broken));
    }
}
