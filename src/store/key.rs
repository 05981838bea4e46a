//! The keys of the embedded store: `migrations/embedded/` says which there are, this makes them.

mod file;

use super::context::FilePosition;
use super::migration::m0001_context_sync::kind;
use super::migration::m0002_identity_and_registry::kind as later;
use super::{SessionPosition, TaskPosition};
use crate::model::file::ContextFile;
use crate::model::id::{ChittyId, KeyId, SessionId, TaskId};
use crate::model::key::KeyHash;
use crate::model::name::ServiceKey;
use crate::model::task::{Priority, Status, Task};
use crate::model::time::Time;
pub(super) use file::*;

/// `m format`.
pub(super) const FORMAT: &[u8] = b"mformat";
/// `m commit`.
pub(super) const COMMIT: &[u8] = b"mcommit";
/// `m trimmed`.
pub(super) const TRIMMED: &[u8] = b"mtrimmed";

/// The order of lists takes this many bytes at the end of a key.
pub(super) const ORDER: usize = 24;
/// The order of lists of files takes this many.
pub(super) const FILE_ORDER: usize = 41;

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

/// What the places of all sessions of a chitty id begin with.
pub(super) fn sessions_by_age(owner: &ChittyId) -> Vec<u8> {
    owned(later::SESSION_BY_AGE, owner)
}

/// The place of a session in the order of lists.
pub(super) fn session_at(owner: &ChittyId, position: &SessionPosition) -> Vec<u8> {
    let mut key = with(sessions_by_age(owner), &(!position.created.as_millis()).to_be_bytes());
    key.extend_from_slice(position.id.as_str().as_bytes());
    with(key, &[0])
}

/// The inverse of [`session_at`], from what stands behind the owner.
pub(super) fn session_position(place: &[u8]) -> Option<SessionPosition> {
    let (created, id) = place.split_first_chunk()?;
    let id = std::str::from_utf8(id.strip_suffix(&[0])?).ok()?;
    Some(SessionPosition { created: Time::from_millis(!u64::from_be_bytes(*created)), id: id.parse().ok()? })
}

/// What is known of a project; `name` is the SHA-256 of its key.
pub(super) fn project(owner: &ChittyId, name: &[u8; 32]) -> Vec<u8> {
    with(owned(later::PROJECT, owner), name)
}

/// What all events of a session begin with.
pub(super) fn events(owner: &ChittyId, session: &SessionId) -> Vec<u8> {
    in_session(kind::EVENT, owner, session)
}

/// An event.
pub(super) fn event(owner: &ChittyId, session: &SessionId, number: u64) -> Vec<u8> {
    with(events(owner, session), &number.to_be_bytes())
}

/// A file's record; `hash` is the SHA-256 of its URI.
pub(super) fn context_file(owner: &ChittyId, session: &SessionId, hash: &[u8; 32]) -> Vec<u8> {
    with(in_session(kind::CONTEXT_FILE, owner, session), hash)
}

/// What all files of a session begin with, in the order of lists.
pub(super) fn all_files_by_access(owner: &ChittyId, session: &SessionId) -> Vec<u8> {
    in_session(later::FILE_BY_ACCESS, owner, session)
}

/// What all files of a session begin with that are, or are not, in the active set.
pub(super) fn files_by_access(owner: &ChittyId, session: &SessionId, active: bool) -> Vec<u8> {
    with(all_files_by_access(owner, session), &[u8::from(!active)])
}

/// The active ones first, then the last heard of first.
pub(super) fn file_order(position: FilePosition) -> [u8; FILE_ORDER] {
    let mut order = [0; FILE_ORDER];
    order[0] = u8::from(!position.active);
    order[1..9].copy_from_slice(&(!position.last_accessed.as_millis()).to_be_bytes());
    order[9..].copy_from_slice(&position.hash);
    order
}

/// The place of a file in the order of lists.
pub(super) fn file_at(owner: &ChittyId, session: &SessionId, position: FilePosition) -> Vec<u8> {
    with(all_files_by_access(owner, session), &file_order(position))
}

/// The same of a file whose URI has this SHA-256.
pub(super) fn file_by_access(file: &ContextFile, hash: [u8; 32]) -> Vec<u8> {
    let position = FilePosition { active: file.active, last_accessed: file.last_accessed, hash };
    file_at(&file.chitty_id, &file.session_id, position)
}

/// The inverse of [`file_order`], from the end of a key.
pub(super) fn file_position(key: &[u8]) -> Option<FilePosition> {
    let [active, rest @ ..] = key.last_chunk::<FILE_ORDER>()?;
    let (time, hash) = rest.split_at(8);
    Some(FilePosition {
        active: *active == 0,
        last_accessed: Time::from_millis(!u64::from_be_bytes(time.try_into().ok()?)),
        hash: hash.try_into().ok()?,
    })
}

/// What all synchronisations of a session begin with.
pub(super) fn sync_events(owner: &ChittyId, session: &SessionId) -> Vec<u8> {
    in_session(kind::SYNC_EVENT, owner, session)
}

/// A synchronisation.
pub(super) fn sync_event(owner: &ChittyId, session: &SessionId, number: u64) -> Vec<u8> {
    with(sync_events(owner, session), &number.to_be_bytes())
}

/// A session's record.
pub(super) fn session(owner: &ChittyId, session: &SessionId) -> Vec<u8> {
    in_session(kind::SESSION, owner, session)
}

/// An API key's record.
pub(super) fn api_key(owner: &ChittyId, hash: &KeyHash) -> Vec<u8> {
    with(owned(kind::KEY, owner), &hash.0)
}

/// A registration's record.
pub(super) fn registration(owner: &ChittyId, name: &ServiceKey) -> Vec<u8> {
    let mut key = owned(later::REGISTRATION, owner);
    key.extend_from_slice(name.as_str().as_bytes());
    key.push(0);
    key
}

/// Whose registration is under `key`, and its name; `None` if that is no registration's key.
pub(super) fn registered(key: &[u8]) -> Option<(&str, &str)> {
    let (&later::REGISTRATION, rest) = key.split_first()? else { return None };
    let (owner, name) = std::str::from_utf8(rest).ok()?.split_once('\0')?;
    Some((owner, name.strip_suffix('\0')?))
}

/// A request that was done once; `name` is the SHA-256 of what its caller calls it.
pub(super) fn once(owner: &ChittyId, caller: &KeyId, name: &[u8; 32]) -> Vec<u8> {
    let mut key = owned(kind::ONCE, owner);
    key.extend_from_slice(caller.as_str().as_bytes());
    key.push(0);
    with(key, name)
}

/// Whose and which session's a key is that begins with both, and what is behind that.
pub(super) fn split_session(key: &[u8]) -> Option<(ChittyId, SessionId, &[u8])> {
    let (owner, rest) = split_owner(key)?;
    let (session, rest) = split_text(rest)?;
    Some((owner, session.parse().ok()?, rest))
}

/// Whose a key is, and what is behind that.
pub(super) fn split_owner(key: &[u8]) -> Option<(ChittyId, &[u8])> {
    let (owner, rest) = split_text(key.get(1..)?)?;
    Some((owner.parse().ok()?, rest))
}

/// The text up to the next zero byte, and what is behind that.
fn split_text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]))
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
