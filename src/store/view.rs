//! What is in a store as somebody sees it: the engine as it is, or with changes laid over it that are being made. What is
//! counted or checked in both is written against this.

use std::ops::{Bound, ControlFlow};

use super::kv::{Direction, Kv, KvError, Range};
use super::value;

/// Keys that are asked for in one go.
const STRIDE: usize = 1024;

/// A store as somebody sees it.
pub(super) trait View {
    /// Why it cannot be seen.
    type Error;

    /// What is under `key` itself, continuations not looked at.
    fn entry(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Self::Error>;

    /// The keys in `range`, from the end that `direction` says; `limit` at the most.
    fn keys(&mut self, range: Range<'_>, direction: Direction, limit: usize) -> Result<Vec<Vec<u8>>, Self::Error>;

    /// The first key that begins with `prefix`.
    fn first_under(&mut self, prefix: &[u8]) -> Result<Option<Vec<u8>>, Self::Error> {
        let end = end_of(prefix);
        let range = (Bound::Included(prefix), Bound::Excluded(end.as_slice()));
        Ok(self.keys(range, Direction::Forward, 1)?.pop())
    }

    /// Shows `visit` every key that begins with `prefix`, in order. It may look at the store meanwhile.
    fn each_under(
        &mut self,
        prefix: &[u8],
        mut visit: impl FnMut(&mut Self, &[u8]) -> Result<(), Self::Error>,
    ) -> Result<(), Self::Error>
    where
        Self: Sized,
    {
        let end = end_of(prefix);
        let mut from = Bound::Included(prefix.to_vec());
        loop {
            let range = (from.as_ref().map(Vec::as_slice), Bound::Excluded(end.as_slice()));
            let keys = self.keys(range, Direction::Forward, STRIDE)?;
            for key in &keys {
                visit(self, key)?;
            }
            match keys.into_iter().last() {
                Some(last) => from = Bound::Excluded(last),
                None => return Ok(()),
            }
        }
    }

    /// What is under `key`, put together.
    fn value(&mut self, key: &[u8]) -> Result<Value, Self::Error> {
        match value::read(key, |key| self.entry(key).map_err(Some), || None) {
            Ok(Some(value)) => Ok(Value::Whole(value)),
            Ok(None) => Ok(Value::Gone),
            Err(None) => Ok(Value::Broken),
            Err(Some(error)) => Err(error),
        }
    }
}

/// What is under a key.
pub(super) enum Value {
    /// A value.
    Whole(Vec<u8>),
    /// One of which a piece is missing.
    Broken,
    /// Nothing.
    Gone,
}

/// The engine as it is.
pub(super) struct Engine<'a>(pub(super) &'a dyn Kv);

impl View for Engine<'_> {
    type Error = KvError;

    fn entry(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        self.0.get(key)
    }

    fn keys(&mut self, range: Range<'_>, direction: Direction, limit: usize) -> Result<Vec<Vec<u8>>, KvError> {
        let mut keys = Vec::new();
        self.0.range(range, direction, &mut |key, _| {
            if keys.len() >= limit {
                return ControlFlow::Break(());
            }
            keys.push(key.to_vec());
            if keys.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(keys)
    }
}

/// Behind every key that begins with `prefix`, and before all others behind it.
pub(super) fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    // Every kind is a letter, so this is behind all there is.
    vec![u8::MAX]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_behind_all_that_begins_with_it() {
        for (prefix, end) in [(&b"a"[..], &b"b"[..]), (b"a\xff", b"b"), (b"a\0", b"a\x01"), (b"\xff", b"\xff")] {
            assert_eq!(end_of(prefix), end);
        }
    }
}
