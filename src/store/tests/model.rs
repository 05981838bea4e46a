//! Random operations and restarts, against the plainest store there is: a list in memory.

use proptest::prelude::*;

use super::{all_of, chitty, new_task, once, open, session};
use crate::model::id::TaskId;
use crate::model::json::Json;
use crate::model::task::{NewTask, Priority, Status, Task, TaskPatch};
use crate::store::embedded::Embedded;
use crate::store::{Engine, Expected, Once, Store, StoreError, TaskCreated, TaskQuery, TaskStore};

#[derive(Clone, Debug)]
enum Operation {
    Create {
        owner: usize,
        session: usize,
        size: usize,
        priority: usize,
        service: Option<u8>,
        parent: Option<usize>,
        once: Option<u8>,
    },
    Patch {
        owner: usize,
        task: usize,
        status: Option<usize>,
        title: Option<u8>,
        result: Option<usize>,
        version: Option<u64>,
    },
    Delete {
        owner: usize,
        task: usize,
        version: Option<u64>,
    },
    List {
        owner: usize,
        session: usize,
        status: Option<usize>,
        priority: Option<usize>,
        service: Option<u8>,
        limit: usize,
    },
    Restart,
}

const OWNERS: [&str; 2] = ["alice", "alice2"];
const SESSIONS: [&str; 2] = ["s", "s2"];
/// Around one piece, two, and the longest description.
const SIZES: [usize; 4] = [0, 3_900, 8_300, 60_000];

fn operation() -> impl Strategy<Value = Operation> {
    let few = || 0..2_usize;
    let create = (
        few(),
        few(),
        0..SIZES.len(),
        0..4_usize,
        proptest::option::of(0..3_u8),
        proptest::option::of(0..40_usize),
        proptest::option::weighted(0.2, 0..4_u8),
    )
        .prop_map(|(owner, session, size, priority, service, parent, once)| Operation::Create {
            owner,
            session,
            size,
            priority,
            service,
            parent,
            once,
        });
    let patch = (
        few(),
        0..40_usize,
        proptest::option::of(0..5_usize),
        proptest::option::of(0..3_u8),
        proptest::option::weighted(0.3, 0..SIZES.len()),
        proptest::option::weighted(0.3, 1..4_u64),
    )
        .prop_map(|(owner, task, status, title, result, version)| Operation::Patch {
            owner,
            task,
            status,
            title,
            result,
            version,
        });
    let delete = (few(), 0..40_usize, proptest::option::weighted(0.3, 1..4_u64))
        .prop_map(|(owner, task, version)| Operation::Delete { owner, task, version });
    let list = (
        few(),
        few(),
        proptest::option::of(0..5_usize),
        proptest::option::of(0..4_usize),
        proptest::option::of(0..3_u8),
        0..6_usize,
    )
        .prop_map(|(owner, session, status, priority, service, limit)| Operation::List {
            owner,
            session,
            status,
            priority,
            service,
            limit,
        });
    prop_oneof![8 => create, 6 => patch, 2 => delete, 4 => list, 1 => Just(Operation::Restart)]
}

#[derive(Default)]
struct Model {
    tasks: Vec<Task>,
    /// Every id there ever was, so that operations also name what is gone.
    ids: Vec<TaskId>,
    once: Vec<(String, Once, TaskCreated)>,
}

impl Model {
    fn id(&self, number: usize) -> TaskId {
        if self.ids.is_empty() { TaskId::from_bytes([9; 16]) } else { self.ids[number % self.ids.len()] }
    }

    fn find(&self, owner: usize, id: TaskId) -> Option<usize> {
        self.tasks.iter().position(|task| task.task_id == id && task.chitty_id.as_str() == OWNERS[owner])
    }

    /// Every task that `query` asks for, in the order of lists.
    fn matching(&self, query: &TaskQuery) -> Vec<Task> {
        let mut wanted: Vec<Task> = self
            .tasks
            .iter()
            .filter(|task| task.chitty_id == query.chitty_id && task.session_id == query.session_id)
            .filter(|task| query.status.is_none_or(|status| task.status == status))
            .filter(|task| query.priority.is_none_or(|priority| task.priority == priority))
            .filter(|task| query.assigned_service.is_none() || task.assigned_service == query.assigned_service)
            .cloned()
            .collect();
        wanted.sort_by_key(|task| std::cmp::Reverse((task.updated_at, task.task_id)));
        wanted
    }

    fn with_descendants(&self, id: TaskId) -> Vec<TaskId> {
        let mut all = vec![id];
        let mut looked = 0;
        while looked < all.len() {
            let above = Some(all[looked]);
            all.extend(self.tasks.iter().filter(|task| task.parent_task_id == above).map(|task| task.task_id));
            looked += 1;
        }
        all
    }
}

fn expected(version: Option<u64>) -> Expected {
    version.map_or(Expected::Any, |version| Expected::OneOf(vec![version]))
}

async fn compare(store: &Embedded, model: &Model) {
    for task in &model.tasks {
        assert_eq!(store.task(&task.chitty_id, task.task_id).await.unwrap().as_ref(), Some(task));
    }
    let report = store.verify().unwrap();
    assert_eq!(report.findings, [""; 0]);
    assert_eq!(report.entries.get(&'t').copied().unwrap_or(0), model.tasks.len() as u64);
}

#[allow(clippy::too_many_lines, reason = "one arm for each operation")]
async fn run(engine: Engine, operations: Vec<Operation>) {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(engine, folder.path());
    let mut model = Model::default();
    for operation in operations {
        match operation.clone() {
            Operation::Create { owner, session: in_session, size, priority, service, parent, once: name } => {
                let new = NewTask {
                    session_id: session(SESSIONS[in_session]),
                    description: (size > 0).then(|| "d".repeat(SIZES[size])),
                    priority: Priority::ALL[priority],
                    assigned_service: service.map(|service| format!("svc{service}")),
                    parent_task_id: parent.map(|parent| model.id(parent)),
                    ..new_task(OWNERS[owner], "t")
                };
                // A name stands for one request: what differs makes another of it.
                let fingerprint = u8::try_from(size * 8 + priority * 2 + in_session).unwrap();
                let wanted_once = name.map(|name| once(&name.to_string(), fingerprint));
                let answer = store.create_task(new.clone(), wanted_once.clone()).await;
                let before = wanted_once.as_ref().and_then(|wanted| {
                    model.once.iter().find(|(whose, kept, _)| whose == OWNERS[owner] && kept.name == wanted.name)
                });
                if let Some((_, kept, first)) = before {
                    if *kept == wanted_once.unwrap() {
                        assert_eq!(answer.unwrap(), *first, "{operation:?}");
                    } else {
                        assert!(matches!(answer, Err(StoreError::OnceReused)), "{operation:?}: {answer:?}");
                    }
                    continue;
                }
                let parent_fits = new.parent_task_id.is_none_or(|parent| {
                    model.find(owner, parent).is_some_and(|at| model.tasks[at].session_id == new.session_id)
                });
                if !parent_fits {
                    assert!(matches!(answer, Err(StoreError::NoSuchParent)), "{operation:?}: {answer:?}");
                    continue;
                }
                let made = answer.unwrap();
                if let Some(wanted) = wanted_once {
                    model.once.push((OWNERS[owner].to_owned(), wanted, made));
                }
                model.ids.push(made.task_id);
                model.tasks.push(Task::create(new, made.task_id, made.created_at));
            }
            Operation::Patch { owner, task, status, title, result, version } => {
                let id = model.id(task);
                let patch = TaskPatch {
                    status: status.map(|status| Status::ALL[status]),
                    title: title.map(|title| format!("t{title}")),
                    result: result.map(|size| Some(Json::parse(format!("\"{}\"", "r".repeat(SIZES[size]))).unwrap())),
                    ..TaskPatch::default()
                };
                let answer =
                    store.update_task(&chitty(OWNERS[owner]), id, patch.clone(), expected(version), None).await;
                let Some(at) = model.find(owner, id) else {
                    assert!(matches!(answer, Err(StoreError::NoSuchTask)), "{operation:?}: {answer:?}");
                    continue;
                };
                let before = &model.tasks[at];
                if version.is_some_and(|version| version != before.version) {
                    assert!(matches!(answer, Err(StoreError::VersionMismatch(_))), "{operation:?}: {answer:?}");
                } else if patch.status.is_some_and(|to| !before.status.may_become(to)) {
                    assert!(matches!(answer, Err(StoreError::InvalidTransition(_))), "{operation:?}: {answer:?}");
                } else {
                    let answer = answer.unwrap();
                    if let Some(after) = before.patched(&patch, answer.updated_at).unwrap() {
                        model.tasks[at] = after;
                    }
                    assert_eq!(answer.version, model.tasks[at].version, "{operation:?}");
                    assert_eq!(answer.updated_at, model.tasks[at].updated_at, "{operation:?}");
                }
            }
            Operation::Delete { owner, task, version } => {
                let id = model.id(task);
                let answer = store.delete_task(&chitty(OWNERS[owner]), id, expected(version)).await;
                match model.find(owner, id) {
                    None => assert!(matches!(answer, Err(StoreError::NoSuchTask)), "{operation:?}: {answer:?}"),
                    Some(at) if version.is_some_and(|version| version != model.tasks[at].version) => {
                        assert!(matches!(answer, Err(StoreError::VersionMismatch(_))), "{operation:?}: {answer:?}");
                    }
                    Some(_) => {
                        let gone = model.with_descendants(id);
                        assert_eq!(answer.unwrap(), gone.len(), "{operation:?}");
                        model.tasks.retain(|task| !gone.contains(&task.task_id));
                    }
                }
            }
            Operation::List { owner, session: in_session, status, priority, service, limit } => {
                let query = TaskQuery {
                    session_id: session(SESSIONS[in_session]),
                    status: status.map(|status| Status::ALL[status]),
                    priority: priority.map(|priority| Priority::ALL[priority]),
                    assigned_service: service.map(|service| format!("svc{service}")),
                    limit,
                    ..all_of(OWNERS[owner])
                };
                let mut wanted = model.matching(&query);
                let more = limit > 0 && wanted.len() > limit;
                wanted.truncate(limit);
                let page = store.list_tasks(query).await.unwrap();
                assert_eq!((page.next.is_some(), &page.tasks), (more, &wanted), "{operation:?}");
            }
            Operation::Restart => {
                store.close().await;
                drop(store);
                store = open(engine, folder.path());
            }
        }
    }
    compare(&store, &model).await;
    store.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_a_list_in_memory_would(operations in proptest::collection::vec(operation(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for engine in Engine::ALL {
            runtime.block_on(run(engine, operations.clone()));
        }
    }
}
