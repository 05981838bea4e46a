//! `/api/context/tasks`: what agents have to do (CONTRACT.md §2).
//!
//! | request | answer |
//! |---|---|
//! | `POST /api/context/tasks` | 200 `{ok, task_id, created_at}`, `ETag` |
//! | `GET /api/context/tasks` | 200 `{ok, tasks, count, next_cursor}` |
//! | `GET /api/context/tasks/{task_id}` | 200 `{ok, task}`, `ETag`; 304 |
//! | `PATCH /api/context/tasks/{task_id}` | 200 `{ok, updated_at}`, `ETag` |
//! | `DELETE /api/context/tasks/{task_id}` | 200 `{ok}` |
//!
//! Everybody sees and changes the tasks of the own chitty id; others do not exist.

mod answer;
mod body;
mod query;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};

use super::extract::{Caller, expected, is_known, once, tag, whole};
use super::{ApiState, pages};
use crate::auth::Principal;
use crate::model::id::TaskId;
use crate::problem::{Problem, TaskRefusal};
use crate::store::TaskPage;
use crate::telemetry::metrics::{TaskOperation, TaskOutcome};
use answer::{OneTask, TaskCreated, TaskDeleted, TaskList, TaskUpdated};
use body::{CreateTask, UpdateTask};

/// Where tasks are.
pub(super) const TASKS: &str = "/api/context/tasks";
/// Largest body of a request, in bytes: many times what all the fields of a task may have together.
const MAX_BODY: usize = 4 << 20;

type Answer = Result<Response, Problem>;
type InPath = Result<Path<String>, PathRejection>;

/// Makes a task, pending, in the key's session.
#[utoipa::path(post, path = "/api/context/tasks", operation_id = "create_task", tag = "tasks",
    security(("apiKey" = ["context:write"])),
    params(("Idempotency-Key" = Option<String>, Header, pattern = "^[!-~]{1,255}$",
        description = "1 to 255 visible ASCII characters; the same request again gets the same answer and makes nothing")),
    request_body = CreateTask,
    responses(
        (status = 200, body = TaskCreated, headers(("ETag" = String, description = "the task's version"))),
        (status = 400, description = "`title required`, `creation_failed`"),
        (status = 408, description = "`request_timeout`: the body took more than a minute"),
        (status = 415, description = "`unsupported_media_type`: the body has a Content-Encoding"),
        (status = 413, description = "`body_too_large`: the body has more than 4 MiB, or metadata more than 64 KiB"),
        (status = 422, description = "`idempotency_key_reused`"),
    )
)]
pub(super) async fn create(State(state): State<ApiState>, Caller(caller): Caller, request: Request) -> Answer {
    let answer = create_task(&state, caller, request).await;
    counted(&state, TaskOperation::Create, answer)
}

async fn create_task(state: &ApiState, caller: Principal, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let body = whole(&parts.headers, body, MAX_BODY).await?;
    let refused = |message| Problem::task_refused(TaskRefusal::Creation, message);
    let once = once(&caller, &parts, &body).map_err(refused)?;
    let new = CreateTask::read(&body, &caller)?.of(caller);
    let made = state.store.create_task(new, once).await?;
    let answer = TaskCreated { ok: true, task_id: made.task_id.to_string(), created_at: made.created_at };
    Ok(([(header::ETAG, tag(made.version))], Json(answer)).into_response())
}

/// Lists tasks of a session, the last updated first. All filters hold; an empty one is none.
#[utoipa::path(get, path = "/api/context/tasks", operation_id = "list_tasks", tag = "tasks",
    security(("apiKey" = ["context:read"])),
    params(
        ("session_id" = Option<String>, Query, pattern = "^([A-Za-z0-9][A-Za-z0-9._-]{0,127})?$", description = "default: the key's session"),
        ("status" = Option<String>, Query, description = "pending, in_progress, completed, failed or cancelled"),
        ("priority" = Option<String>, Query, description = "low, normal, high or urgent"),
        ("parent_task_id" = Option<String>, Query, description = "sub-tasks of this task"),
        ("assigned_service" = Option<String>, Query, description = "tasks of this service"),
        ("limit" = Option<u64>, Query, minimum = 0, description = "tasks at the most; default 50, at the most 1000"),
        ("cursor" = Option<String>, Query, pattern = "^(AQ[A-Za-z0-9_-]{31}[AQgw])?$", description = "next_cursor of the page before"),
    ),
    responses((status = 200, body = TaskList), (status = 400, description = "`query_failed`"))
)]
pub(super) async fn list(State(state): State<ApiState>, Caller(caller): Caller, request: Request) -> Answer {
    let answer = list_tasks(&state, caller, request.uri().query().unwrap_or_default()).await;
    counted(&state, TaskOperation::List, answer)
}

async fn list_tasks(state: &ApiState, caller: Principal, query: &str) -> Answer {
    let caller_id = caller.key_id.clone();
    let query = query::read(query, caller)?;
    let turn = state.pages.turn(&caller_id).await?;
    let page = match query {
        Some(query) => state.store.list_tasks(query).await?,
        None => TaskPage::default(),
    };
    let size = page.bytes;
    let answer = TaskList {
        ok: true,
        count: page.tasks.len(),
        tasks: page.tasks.into_iter().map(Into::into).collect(),
        next_cursor: page.next.map(query::to_cursor),
    };
    pages::json(turn, size, answer).await
}

/// Shows a task.
#[utoipa::path(get, path = "/api/context/tasks/{task_id}", operation_id = "get_task", tag = "tasks",
    security(("apiKey" = ["context:read"])),
    params(
        ("task_id" = String, Path, format = "uuid"),
        ("If-None-Match" = Option<String>, Header, description = "versions that the client has"),
    ),
    responses(
        (status = 200, body = OneTask, headers(("ETag" = String, description = "the task's version"))),
        (status = 304, description = "the client has this version"),
        (status = 404, description = "`task_not_found`"),
    )
)]
pub(super) async fn get(
    State(state): State<ApiState>,
    Caller(caller): Caller,
    id: InPath,
    headers: HeaderMap,
) -> Answer {
    let answer = get_task(&state, &caller, id, &headers).await;
    counted(&state, TaskOperation::Get, answer)
}

async fn get_task(state: &ApiState, caller: &Principal, id: InPath, headers: &HeaderMap) -> Answer {
    let found = state.store.task(&caller.chitty_id, task_id(id)?).await?;
    let task = found.ok_or_else(Problem::task_not_found)?;
    let version = [(header::ETAG, tag(task.version))];
    if is_known(headers, task.version) {
        return Ok((StatusCode::NOT_MODIFIED, version).into_response());
    }
    Ok((version, Json(OneTask { ok: true, task: task.into() })).into_response())
}

/// Changes a task.
#[utoipa::path(patch, path = "/api/context/tasks/{task_id}", operation_id = "update_task", tag = "tasks",
    security(("apiKey" = ["context:write"])),
    params(
        ("task_id" = String, Path, format = "uuid"),
        ("If-Match" = Option<String>, Header, description = "versions that the change is meant for"),
        ("Idempotency-Key" = Option<String>, Header, pattern = "^[!-~]{1,255}$",
            description = "1 to 255 visible ASCII characters; the same request again gets the same answer and changes nothing"),
    ),
    request_body = UpdateTask,
    responses(
        (status = 200, body = TaskUpdated, headers(("ETag" = String, description = "the task's version"))),
        (status = 400, description = "`no valid fields to update`, `update_failed`"),
        (status = 404, description = "`task_not_found`"),
        (status = 409, description = "`invalid_transition`"),
        (status = 412, description = "`precondition_failed`: the task is in another version"),
        (status = 408, description = "`request_timeout`: the body took more than a minute"),
        (status = 415, description = "`unsupported_media_type`: the body has a Content-Encoding"),
        (status = 413, description = "`body_too_large`: the body has more than 4 MiB, or result more than 64 KiB"),
        (status = 422, description = "`idempotency_key_reused`"),
    )
)]
pub(super) async fn update(
    State(state): State<ApiState>,
    Caller(caller): Caller,
    id: InPath,
    request: Request,
) -> Answer {
    let answer = update_task(&state, caller, id, request).await;
    counted(&state, TaskOperation::Update, answer)
}

async fn update_task(state: &ApiState, caller: Principal, id: InPath, request: Request) -> Answer {
    let id = task_id(id)?;
    let (parts, body) = request.into_parts();
    let body = whole(&parts.headers, body, MAX_BODY).await?;
    let refused = |message| Problem::task_refused(TaskRefusal::Update, message);
    let once = once(&caller, &parts, &body).map_err(refused)?;
    let patch = UpdateTask::read(&body, &caller)?.into_patch();
    let updated = state.store.update_task(&caller.chitty_id, id, patch, expected(&parts.headers), once).await?;
    let answer = TaskUpdated { ok: true, updated_at: updated.updated_at };
    Ok(([(header::ETAG, tag(updated.version))], Json(answer)).into_response())
}

/// Deletes a task with its sub-tasks.
#[utoipa::path(delete, path = "/api/context/tasks/{task_id}", operation_id = "delete_task", tag = "tasks",
    security(("apiKey" = ["context:write"])),
    params(
        ("task_id" = String, Path, format = "uuid"),
        ("If-Match" = Option<String>, Header, description = "versions that the change is meant for"),
    ),
    responses(
        (status = 200, body = TaskDeleted),
        (status = 404, description = "`task_not_found`"),
        (status = 409, description = "`too_many_subtasks`"),
        (status = 412, description = "`precondition_failed`: the task is in another version"),
    )
)]
pub(super) async fn delete(
    State(state): State<ApiState>,
    Caller(caller): Caller,
    id: InPath,
    headers: HeaderMap,
) -> Answer {
    let answer = delete_task(&state, &caller, id, &headers).await;
    counted(&state, TaskOperation::Delete, answer)
}

async fn delete_task(state: &ApiState, caller: &Principal, id: InPath, headers: &HeaderMap) -> Answer {
    state.store.delete_task(&caller.chitty_id, task_id(id)?, expected(headers)).await?;
    Ok(Json(TaskDeleted { ok: true }).into_response())
}

/// What is no task's id is not found, like one that nobody has.
fn task_id(id: InPath) -> Result<TaskId, Problem> {
    let id = id.ok().and_then(|Path(id)| TaskId::parse(&id));
    id.ok_or_else(Problem::task_not_found)
}

fn counted(state: &ApiState, operation: TaskOperation, answer: Answer) -> Answer {
    let outcome = answer.as_ref().map_or_else(Problem::task_outcome, |_| TaskOutcome::Ok);
    state.metrics.task_answered(operation, outcome);
    answer
}
