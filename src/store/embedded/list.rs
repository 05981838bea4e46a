//! Pages of tasks. Without conditions a page is one scan over the records, which stand in the order of lists; with one, a
//! scan over its index; with several, the intersection of their indexes, each skipping to where the others are. So what a
//! page costs depends on its length, not on what else is stored.

use std::collections::VecDeque;
use std::ops::{Bound, ControlFlow};

use super::task::{decode_task, find};
use super::unreachable_engine;
use crate::model::task::Task;
use crate::store::commit::unreadable;
use crate::store::kv::{Direction, Kv};
use crate::store::migration::RecordError;
use crate::store::{StoreError, TaskPage, TaskPosition, TaskQuery, key, value};

/// Bytes of records in one page, about: what a client is sent at once.
const PAGE_BYTES: usize = 1 << 20;
/// Attempts at a page whose records move while they are read.
const ATTEMPTS: usize = 100;
/// Entries of an index looked at in one go.
const STRIDE: usize = 64;

/// One page.
pub(super) fn list(kv: &dyn Kv, query: &TaskQuery) -> Result<TaskPage, StoreError> {
    if query.limit == 0 {
        return Ok(TaskPage::default());
    }
    let indexes = indexes(query);
    if indexes.is_empty() { scan(kv, query) } else { intersect(kv, query, indexes) }
}

/// The page that grows until it has enough.
struct Growing {
    page: TaskPage,
    limit: usize,
}

impl Growing {
    fn new(limit: usize) -> Self {
        Self { page: TaskPage::default(), limit }
    }

    fn is_full(&self) -> bool {
        self.page.tasks.len() >= self.limit || self.page.bytes >= PAGE_BYTES
    }

    fn add(&mut self, task: Task, bytes: usize) {
        self.page.tasks.push(task);
        self.page.bytes += bytes;
    }

    /// There is more behind the last task.
    fn more(&mut self) {
        self.page.next = self.page.tasks.last().map(Task::position);
    }
}

fn scan(kv: &dyn Kv, query: &TaskQuery) -> Result<TaskPage, StoreError> {
    let prefix = key::tasks(&query.chitty_id, &query.session_id);
    let mut growing = Growing::new(query.limit);
    let mut from = start(&prefix, query.after);
    for _ in 0..ATTEMPTS {
        if scan_on(kv, &prefix, &from, &mut growing)? {
            return Ok(growing.page);
        }
        // The record of a long task was moved while it was read; on from the last one that was whole.
        if let Some(last) = growing.page.tasks.last() {
            from = start(&prefix, Some(last.position()));
        }
    }
    Err(unreadable(RecordError::Damaged))
}

/// Adds tasks from `from` on. Whether that came to an end; if not, a record was not whole.
fn scan_on(kv: &dyn Kv, prefix: &[u8], from: &Bound<Vec<u8>>, growing: &mut Growing) -> Result<bool, StoreError> {
    let mut damaged = None;
    let whole = value::scan(kv, (as_bound(from), Bound::Unbounded), &mut |key, record| {
        if !key.starts_with(prefix) {
            return ControlFlow::Break(());
        }
        if growing.is_full() {
            growing.more();
            return ControlFlow::Break(());
        }
        match decode_task(record) {
            Ok(task) => {
                growing.add(task, record.len());
                ControlFlow::Continue(())
            }
            Err(error) => {
                damaged = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    let whole = whole.map_err(|error| unreachable_engine(&error))?;
    damaged.map_or(Ok(whole.is_ok()), |error| Err(unreadable(error)))
}

/// What each condition's entries begin with.
fn indexes(query: &TaskQuery) -> Vec<Vec<u8>> {
    let (owner, session) = (&query.chitty_id, &query.session_id);
    let mut indexes = Vec::new();
    indexes.extend(query.status.map(|status| key::by_status(owner, session, status)));
    indexes.extend(query.priority.map(|priority| key::by_priority(owner, session, priority)));
    indexes.extend(query.parent_task_id.map(|parent| key::by_parent(owner, session, parent)));
    indexes.extend(query.assigned_service.as_deref().map(|service| key::by_service(owner, session, service)));
    indexes
}

fn intersect(kv: &dyn Kv, query: &TaskQuery, prefixes: Vec<Vec<u8>>) -> Result<TaskPage, StoreError> {
    let mut indexes: Vec<Index> = prefixes.into_iter().map(|prefix| Index::new(prefix, query.after)).collect();
    let mut growing = Growing::new(query.limit);
    loop {
        let Some(position) = next_in_all(kv, &mut indexes)? else { return Ok(growing.page) };
        if growing.is_full() {
            growing.more();
            return Ok(growing.page);
        }
        // It may have been changed or deleted since its index was read; then it is not in this list any more.
        let found = find(kv, &query.chitty_id, position.task_id)?;
        if let Some(task) = found.filter(|task| task.position() == position) {
            let long = [task.description.as_deref(), task.error.as_deref()];
            let json = [task.metadata.as_ref(), task.result.as_ref()];
            let bytes = task.title.len()
                + long.into_iter().flatten().map(str::len).sum::<usize>()
                + json.into_iter().flatten().map(|json| json.text().len()).sum::<usize>();
            growing.add(task, bytes);
        }
    }
}

/// The next position that every index has.
fn next_in_all(kv: &dyn Kv, indexes: &mut [Index]) -> Result<Option<TaskPosition>, StoreError> {
    let Some(mut wanted) = indexes[0].next(kv)? else { return Ok(None) };
    let mut agreed = 1;
    let mut turn = 1;
    while agreed < indexes.len() {
        let index = turn % indexes.len();
        turn += 1;
        let Some(found) = indexes[index].skip_to(kv, wanted)? else { return Ok(None) };
        if found == wanted {
            agreed += 1;
        } else {
            (wanted, agreed) = (found, 1);
        }
    }
    key::position(&wanted).map(Some).ok_or_else(|| unreadable(RecordError::Damaged))
}

type Order = [u8; key::ORDER];

/// The entries of one index, read a stride at a time.
struct Index {
    prefix: Vec<u8>,
    from: Bound<Vec<u8>>,
    read: VecDeque<Order>,
    ended: bool,
}

impl Index {
    fn new(prefix: Vec<u8>, after: Option<TaskPosition>) -> Self {
        let from = start(&prefix, after);
        Self { prefix, from, read: VecDeque::new(), ended: false }
    }

    /// The next entry, which is then behind us.
    fn next(&mut self, kv: &dyn Kv) -> Result<Option<Order>, StoreError> {
        if self.read.is_empty() {
            self.fill(kv)?;
        }
        Ok(self.read.pop_front())
    }

    /// The first entry that is not before `wanted`, which is then behind us.
    fn skip_to(&mut self, kv: &dyn Kv, wanted: Order) -> Result<Option<Order>, StoreError> {
        while self.read.front().is_some_and(|order| *order < wanted) {
            self.read.pop_front();
        }
        if self.read.is_empty() && !self.ended {
            self.from = Bound::Included([&*self.prefix, &wanted].concat());
            self.fill(kv)?;
        }
        Ok(self.read.pop_front())
    }

    fn fill(&mut self, kv: &dyn Kv) -> Result<(), StoreError> {
        if self.ended {
            return Ok(());
        }
        let (prefix, read) = (&self.prefix, &mut self.read);
        let range = (as_bound(&self.from), Bound::Unbounded);
        let scanned = kv.range(range, Direction::Forward, &mut |key, _| {
            if read.len() == STRIDE {
                return ControlFlow::Break(());
            }
            match key.strip_prefix(&**prefix).and_then(|order| Order::try_from(order).ok()) {
                Some(order) => {
                    read.push_back(order);
                    ControlFlow::Continue(())
                }
                None => ControlFlow::Break(()),
            }
        });
        scanned.map_err(|error| unreachable_engine(&error))?;
        self.ended = read.len() < STRIDE;
        if let Some(last) = read.back() {
            self.from = Bound::Excluded([&*self.prefix, last].concat());
        }
        Ok(())
    }
}

fn start(prefix: &[u8], after: Option<TaskPosition>) -> Bound<Vec<u8>> {
    match after {
        // Behind its continuations too, which are a byte longer.
        Some(position) => Bound::Excluded([prefix, &key::order(position), &[u8::MAX]].concat()),
        None => Bound::Included(prefix.to_vec()),
    }
}

fn as_bound(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}
