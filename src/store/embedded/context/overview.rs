//! What a session is about: its active files and its open tasks, found through their indexes.

use super::read;
use crate::model::task::{Priority, Status, Task};
use crate::model::time::Time;
use crate::store::commit::unreadable;
use crate::store::context::{FileQuery, Overview, Place};
use crate::store::embedded::{list, read_replaced};
use crate::store::kv::Kv;
use crate::store::migration::decode;
use crate::store::migration::m0001_context_sync::SessionRecord;
use crate::store::{StoreError, TaskQuery, key};

/// The most urgent first.
const PRIORITIES: [Priority; 4] = [Priority::Urgent, Priority::High, Priority::Normal, Priority::Low];
/// What is still to be done.
const OPEN: [Status; 2] = [Status::InProgress, Status::Pending];

/// Reads it; `limit` files and tasks at the most.
pub(super) fn of(kv: &dyn Kv, place: &Place, limit: usize) -> Result<Overview, StoreError> {
    let query = FileQuery { place: place.clone(), active: Some(true), after: None, limit };
    let files = read::files(kv, &query)?.files;
    let tasks = open_tasks(kv, place, limit)?;
    let session = read_replaced(kv, &key::session(&place.chitty_id, &place.session_id))?;
    let session = session.map(|record| decode::<SessionRecord>(&record)).transpose().map_err(unreadable)?;
    // One whose time is over does not exist.
    let session = session.filter(|session| session.expires > Time::now().as_millis());
    let last_task = list::list(kv, &query_of(place, None, None, 1))?.tasks.into_iter().next();
    let times = [
        files.first().map(|file| file.last_accessed),
        last_task.map(|task| task.updated_at),
        session.as_ref().map(|session| Time::from_millis(session.updated)),
    ];
    Ok(Overview {
        files,
        tasks,
        created_at: session.map(|session| Time::from_millis(session.created)),
        last_activity: times.into_iter().flatten().max(),
    })
}

fn open_tasks(kv: &dyn Kv, place: &Place, limit: usize) -> Result<Vec<Task>, StoreError> {
    let mut tasks: Vec<Task> = Vec::new();
    for priority in PRIORITIES {
        let room = limit - tasks.len();
        if room == 0 {
            break;
        }
        let mut same: Vec<Task> = Vec::new();
        for status in OPEN {
            same.extend(list::list(kv, &query_of(place, Some(status), Some(priority), room))?.tasks);
        }
        same.sort_by_key(|task| std::cmp::Reverse((task.updated_at, task.task_id)));
        tasks.extend(same.into_iter().take(room));
    }
    Ok(tasks)
}

fn query_of(place: &Place, status: Option<Status>, priority: Option<Priority>, limit: usize) -> TaskQuery {
    TaskQuery {
        chitty_id: place.chitty_id.clone(),
        session_id: place.session_id.clone(),
        status,
        priority,
        parent_task_id: None,
        assigned_service: None,
        after: None,
        limit,
    }
}
