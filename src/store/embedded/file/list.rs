//! Lists of files, in the order of their keys. A beginning that several keys have in common costs one look, however many
//! they are: the scan goes on behind all of them.

use std::collections::VecDeque;
use std::ops::{Bound, ControlFlow};

use super::record::decode_file;
use crate::store::commit::unreadable;
use crate::store::embedded::{read_replaced, unreachable_engine};
use crate::store::file::{Listed, StoredPage, StoredQuery};
use crate::store::kv::{Direction, Kv};
use crate::store::view::end_of;
use crate::store::{StoreError, key, value};

/// Bytes of records in one page, about: what a client is sent at once.
const PAGE_BYTES: usize = 4 << 20;
/// Files that are read in one go.
const STRIDE: usize = 128;

/// One page.
pub(super) fn list(kv: &dyn Kv, query: &StoredQuery) -> Result<StoredPage, StoreError> {
    let mut listing = Listing::new(query);
    if query.limit == 0 {
        return Ok(listing.page);
    }
    while let Some(found) = listing.next(kv)? {
        if listing.is_full() {
            listing.page.next = listing.last;
            break;
        }
        match found {
            Found::Common(common) => {
                listing.page.bytes += common.len();
                listing.last = Some(common.clone());
                listing.page.entries.push(Listed::Common(common));
            }
            Found::File(name, record) => {
                listing.last = Some(name);
                // It may have gone since its key was seen.
                let Some(record) = record else { continue };
                listing.page.bytes += record.len();
                let file = decode_file(&record).map_err(unreadable)?;
                listing.page.entries.push(Listed::File(Box::new(file)));
            }
        }
    }
    Ok(listing.page)
}

/// What comes next.
enum Found {
    /// A file with its record; `None` = it is in several pieces, which may be replaced while they are read.
    File(String, Option<Vec<u8>>),
    Common(String),
}

struct Listing<'a> {
    query: &'a StoredQuery,
    /// `None` where nothing is told together.
    delimiter: Option<&'a str>,
    /// What all files of the session begin with.
    session: Vec<u8>,
    /// Where to read on.
    from: Vec<u8>,
    end: Vec<u8>,
    read: VecDeque<Found>,
    page: StoredPage,
    /// What the last entry is called.
    last: Option<String>,
}

impl<'a> Listing<'a> {
    fn new(query: &'a StoredQuery) -> Self {
        let session = key::stored_files(&query.place.chitty_id, &query.place.session_id);
        let delimiter = query.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty());
        let begin = [&session[..], query.prefix.as_bytes()].concat();
        let end = end_of(&begin);
        let (read, page, last) = (VecDeque::new(), StoredPage::default(), None);
        let mut listing = Self { query, delimiter, session, from: begin, end, read, page, last };
        if let Some(after) = &query.after {
            let is_common = listing.common(after).is_some_and(|common| common == after);
            let behind = if is_common { listing.behind_all(after) } else { listing.behind(after) };
            listing.from = listing.from.max(behind);
        }
        listing
    }

    fn is_full(&self) -> bool {
        self.page.entries.len() >= self.query.limit || self.page.bytes >= PAGE_BYTES
    }

    /// What `name` has in common with others, up to and with the delimiter; `None` if it has none behind the prefix.
    fn common<'n>(&self, name: &'n str) -> Option<&'n str> {
        let delimiter = self.delimiter?;
        let found = name.strip_prefix(&*self.query.prefix)?.find(delimiter)?;
        Some(&name[..self.query.prefix.len() + found + delimiter.len()])
    }

    /// Behind the file of this name and the continuations of its record.
    fn behind(&self, name: &str) -> Vec<u8> {
        [&self.session[..], name.as_bytes(), &[0, u8::MAX, 0]].concat()
    }

    /// Behind every file whose name begins like this: no text has such a byte.
    fn behind_all(&self, beginning: &str) -> Vec<u8> {
        [&self.session[..], beginning.as_bytes(), &[u8::MAX]].concat()
    }

    /// The next file, or the next common beginning, which is then behind us.
    fn next(&mut self, kv: &dyn Kv) -> Result<Option<Found>, StoreError> {
        if self.read.is_empty() && self.from < self.end {
            self.fill(kv)?;
        }
        match self.read.pop_front() {
            Some(Found::File(name, None)) => {
                let record = read_replaced(kv, &[&self.session[..], name.as_bytes(), &[0]].concat())?;
                Ok(Some(Found::File(name, record)))
            }
            found => Ok(found),
        }
    }

    /// Reads on, up to the next common beginning at the most.
    fn fill(&mut self, kv: &dyn Kv) -> Result<(), StoreError> {
        let (mut read, mut from) = (VecDeque::new(), self.end.clone());
        let stride = STRIDE.min(self.query.limit + 1);
        let range = (Bound::Included(self.from.as_slice()), Bound::Excluded(self.end.as_slice()));
        kv.range(range, Direction::Forward, &mut |at, entry| {
            // Else it is the continuation of a record.
            let Some(name) = key::stored_file_key(&self.session, at) else { return ControlFlow::Continue(()) };
            if let Some(common) = self.common(name) {
                from = self.behind_all(common);
                read.push_back(Found::Common(common.to_owned()));
                return ControlFlow::Break(());
            }
            let whole = entry.get(1..).filter(|_| value::continuations(entry) == 0);
            read.push_back(Found::File(name.to_owned(), whole.map(<[u8]>::to_vec)));
            if read.len() < stride {
                return ControlFlow::Continue(());
            }
            from = self.behind(name);
            ControlFlow::Break(())
        })
        .map_err(|error| unreachable_engine(&error))?;
        (self.read, self.from) = (read, from);
        Ok(())
    }
}
