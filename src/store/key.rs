//! The keys of the embedded store: `migrations/embedded/m0001_context_sync.rs` says which there are, this makes them.

use super::TaskPosition;
use super::migration::m0001_context_sync::kind;
use super::migration::m0002_identity_and_registry::kind as second;
use crate::model::id::{ChittyId, KeyId, SessionId, TaskId};
use crate::model::key::KeyHash;
use crate::model::task::{Priority, Status, Task};
use crate::model::time::Time;

/// `m format`.
pub(super) const FORMAT: &[u8] = b"mformat";
/// `m commit`.
pub(super) const COMMIT: &[u8] = b"mcommit";

/// `m trimmed`.
pub(super) const TRIMMED: &[u8] = b"mtrimmed";

/// The order of lists takes this many bytes at the end of a key.
pub(super) const ORDER: usize = 24;

/// What everything of this kind and owner begins with.
pub(super) fn owned(kind: u8, owner: &ChittyId) -> Vec<u8> {
    let mut key = Vec::with_capacity(96);
    key.push(kind);
    key.extend_from_slice(owner.as_str().as_bytes());
    key.push(0);
    key
}

/// What everything of this kind, owner and session begins with.
pub(super) fn in_session(kind: u8, owner: &ChittyId, session: &SessionId) -> Vec<u8> {
    let mut key = owned(kind, owner);
    key.extend_from_slice(session.as_str().as_bytes());
    key.push(0);
    key
}

/// Newest first, then the largest id.
pub(super) fn order(position: TaskPosition) -> [u8; ORDER] {
    let mut order = [0; ORDER];
    order[..8].copy_from_slice(&(!position.updated_at.as_millis()).to_be_bytes());
    for (to, from) in order[8..].iter_mut().zip(position.task_id.as_bytes()) {
        *to = !from;
    }
    order
}

/// The inverse of [`order`], from the end of a key.
pub(super) fn position(key: &[u8]) -> Option<TaskPosition> {
    let order: &[u8; ORDER] = key.last_chunk()?;
    let (time, id) = order.split_at(8);
    let time = u64::from_be_bytes(time.try_into().ok()?);
    let id: [u8; 16] = id.try_into().ok()?;
    Some(TaskPosition { updated_at: Time::from_millis(!time), task_id: TaskId::from_bytes(id.map(|byte| !byte)) })
}

/// What all tasks of a session begin with.
pub(super) fn tasks(owner: &ChittyId, session: &SessionId) -> Vec<u8> {
    in_session(kind::TASK, owner, session)
}

/// A task's record.
pub(super) fn task(owner: &ChittyId, session: &SessionId, position: TaskPosition) -> Vec<u8> {
    with(tasks(owner, session), &order(position))
}

/// Where a task's record is.
pub(super) fn task_place(owner: &ChittyId, id: TaskId) -> Vec<u8> {
    with(owned(kind::TASK_PLACE, owner), id.as_bytes())
}

/// What all tasks of a session with this status begin with.
pub(super) fn by_status(owner: &ChittyId, session: &SessionId, status: Status) -> Vec<u8> {
    with(in_session(kind::TASK_BY_STATUS, owner, session), &[status as u8])
}

/// What all tasks of a session with this priority begin with.
pub(super) fn by_priority(owner: &ChittyId, session: &SessionId, priority: Priority) -> Vec<u8> {
    with(in_session(kind::TASK_BY_PRIORITY, owner, session), &[priority as u8])
}

/// What all sub-tasks of a task begin with.
pub(super) fn by_parent(owner: &ChittyId, session: &SessionId, parent: TaskId) -> Vec<u8> {
    with(in_session(kind::TASK_BY_PARENT, owner, session), parent.as_bytes())
}

/// What all tasks of a session that are assigned to this service begin with.
pub(super) fn by_service(owner: &ChittyId, session: &SessionId, service: &str) -> Vec<u8> {
    let length = u16::try_from(service.len()).unwrap_or(u16::MAX).to_be_bytes();
    with(with(in_session(kind::TASK_BY_SERVICE, owner, session), &length), service.as_bytes())
}

/// Every index entry of a task.
pub(super) fn indexes(task: &Task) -> Vec<Vec<u8>> {
    let (owner, session) = (&task.chitty_id, &task.session_id);
    let order = order(task.position());
    let mut keys = vec![by_status(owner, session, task.status), by_priority(owner, session, task.priority)];
    keys.extend(task.parent_task_id.map(|parent| by_parent(owner, session, parent)));
    keys.extend(task.assigned_service.as_deref().map(|service| by_service(owner, session, service)));
    keys.into_iter().map(|prefix| with(prefix, &order)).collect()
}

/// What all sessions of a chitty id begin with.
pub(super) fn sessions(owner: &ChittyId) -> Vec<u8> {
    owned(kind::SESSION, owner)
}

/// A session.
pub(super) fn session(owner: &ChittyId, id: &SessionId) -> Vec<u8> {
    in_session(kind::SESSION, owner, id)
}

/// What is known of a project; `name` is the SHA-256 of its key.
pub(super) fn project(owner: &ChittyId, name: &[u8; 32]) -> Vec<u8> {
    with(owned(second::PROJECT, owner), name)
}

/// What all events of a session begin with.
pub(super) fn events(owner: &ChittyId, session: &SessionId) -> Vec<u8> {
    in_session(kind::EVENT, owner, session)
}

/// An event.
pub(super) fn event(owner: &ChittyId, session: &SessionId, number: u64) -> Vec<u8> {
    with(events(owner, session), &number.to_be_bytes())
}

/// An API key's record.
pub(super) fn api_key(owner: &ChittyId, hash: &KeyHash) -> Vec<u8> {
    with(owned(kind::KEY, owner), &hash.0)
}

/// A request that was done once; `name` is the SHA-256 of what its caller calls it.
pub(super) fn once(owner: &ChittyId, caller: &KeyId, name: &[u8; 32]) -> Vec<u8> {
    let mut key = owned(kind::ONCE, owner);
    key.extend_from_slice(caller.as_str().as_bytes());
    key.push(0);
    with(key, name)
}

fn with(mut key: Vec<u8>, end: &[u8]) -> Vec<u8> {
    key.extend_from_slice(end);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_the_newest_task_first_and_then_the_largest_id() {
        let at = |millis, id: u8| TaskPosition {
            updated_at: Time::from_millis(millis),
            task_id: TaskId::from_bytes([id; 16]),
        };
        let wanted = [at(9, 1), at(7, 200), at(7, 3), at(2, 255)];
        let mut keys: Vec<_> = wanted.iter().rev().map(|position| order(*position)).collect();
        keys.sort_unstable();
        let found: Vec<_> = keys.iter().filter_map(|key| position(key)).collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn one_tenants_keys_are_never_anothers() {
        let owner = |text: &str| text.parse::<ChittyId>().unwrap();
        let session = |text: &str| text.parse::<SessionId>().unwrap();
        let one = tasks(&owner("a"), &session("b"));
        for (other, its) in [("ab", "b"), ("a", "bc"), ("A", "b")] {
            let other = tasks(&owner(other), &session(its));
            assert!(!other.starts_with(&one) && !one.starts_with(&other));
        }
        assert_ne!(by_service(&owner("a"), &session("b"), "x"), by_service(&owner("a"), &session("b"), "xy")[..]);
    }
}
