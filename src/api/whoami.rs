//! `GET /api/registry/whoami`: who is calling, what its session is about, and what is left to it (CONTRACT.md §5).

use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::ApiState;
use super::extract::Caller;
use crate::auth::{Principal, RateState};
use crate::model::file::ContextFile;
use crate::model::task::Task;
use crate::model::time::Time;
use crate::problem::Problem;
use crate::store::context::{Overview, Place};

/// Files and tasks that are shown at the most.
const SHOWN: usize = 10;
/// What a key without any limit is told that it has left, as in the original.
const API_CALLS: u32 = 1000;
const BETA_FEATURES: [&str; 3] = ["presigned_uploads", "task_tracking", "context_sync"];

#[derive(Serialize, ToSchema)]
struct Whoami {
    success: bool,
    data: Identity,
}

#[derive(Serialize, ToSchema)]
#[schema(as = WhoamiData)]
struct Identity {
    tenant: Tenant,
    session: SessionView,
    /// What the caller may do.
    scopes: Vec<String>,
    flags: Flags,
    quota: Quota,
}

#[derive(Serialize, ToSchema)]
struct Tenant {
    chitty_id: String,
    /// Of the key; may be empty.
    name: String,
    account_type: &'static str,
}

/// The caller's own session. Times are RFC 3339 with milliseconds, in UTC.
#[derive(Serialize, ToSchema)]
struct SessionView {
    session_id: String,
    /// Of the session; of the key where the session was never made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    #[schema(value_type = String, format = DateTime)]
    last_activity: Time,
    /// At most ten, the last heard of first.
    active_files: Vec<ActiveFile>,
    /// At most ten that are pending or in progress: the most urgent first, and of those the last changed.
    active_tasks: Vec<ActiveTask>,
}

#[derive(Serialize, ToSchema)]
struct ActiveFile {
    uri: String,
    #[schema(required)]
    name: Option<String>,
    #[schema(required)]
    size: Option<u64>,
    #[schema(required)]
    sha256: Option<String>,
    #[schema(required)]
    mime: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    last_accessed: Time,
}

#[derive(Serialize, ToSchema)]
struct ActiveTask {
    #[schema(format = "uuid")]
    task_id: String,
    title: String,
    status: &'static str,
    priority: &'static str,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Time,
}

/// What this build serves.
#[derive(Serialize, ToSchema)]
#[allow(clippy::struct_excessive_bools, reason = "the contract's fields")]
struct Flags {
    mcp_enabled: bool,
    context_consciousness_enabled: bool,
    memory_cloude_enabled: bool,
    beta_features: Vec<&'static str>,
}

#[derive(Serialize, ToSchema)]
struct Quota {
    /// Bytes of contents that may still be kept.
    storage_bytes: u64,
    /// Requests that the key has left at this moment.
    api_calls_remaining: u32,
}

/// Who is calling, what its session is about, and what is left to it.
#[utoipa::path(get, path = "/api/registry/whoami", operation_id = "whoami", tag = "identity",
    security(("apiKey" = [])),
    responses((status = 200, body = Whoami))
)]
pub(super) async fn whoami(
    State(state): State<ApiState>,
    Caller(caller): Caller,
    rate: Option<Extension<RateState>>,
) -> Result<Response, Problem> {
    let place = Place { chitty_id: caller.chitty_id.clone(), session_id: caller.session_id.clone() };
    let overview = state.store.overview(place, SHOWN).await?;
    let left = state.files.left(caller.chitty_id.clone(), caller.quota).await?;
    let remaining = rate.map(|Extension(rate)| rate.remaining);
    Ok(axum::Json(Whoami { success: true, data: identity(caller, overview, left, remaining) }).into_response())
}

fn identity(caller: Principal, overview: Overview, storage_bytes: u64, remaining: Option<u32>) -> Identity {
    let created_at = overview.created_at.or(caller.created_at);
    let last_activity = overview.last_activity.or(created_at).unwrap_or_else(Time::now);
    Identity {
        tenant: Tenant { chitty_id: caller.chitty_id.into(), name: caller.name, account_type: "standard" },
        session: SessionView {
            session_id: caller.session_id.into(),
            created_at: created_at.unwrap_or(last_activity),
            last_activity,
            active_files: overview.files.into_iter().map(Into::into).collect(),
            active_tasks: overview.tasks.into_iter().map(Into::into).collect(),
        },
        scopes: caller.scopes.iter().map(ToString::to_string).collect(),
        flags: Flags {
            mcp_enabled: false,
            context_consciousness_enabled: false,
            memory_cloude_enabled: false,
            beta_features: BETA_FEATURES.to_vec(),
        },
        quota: Quota { storage_bytes, api_calls_remaining: remaining.or(caller.rate_limit).unwrap_or(API_CALLS) },
    }
}

impl From<ContextFile> for ActiveFile {
    fn from(ContextFile { facts, last_accessed, .. }: ContextFile) -> Self {
        let (uri, name, size, sha256, mime) = (facts.uri, facts.name, facts.size, facts.sha256, facts.mime);
        Self { uri, name, size, sha256, mime, last_accessed }
    }
}

impl From<Task> for ActiveTask {
    fn from(task: Task) -> Self {
        Self {
            task_id: task.task_id.to_string(),
            title: task.title,
            status: task.status.as_str(),
            priority: task.priority.as_str(),
            created_at: task.created_at,
            updated_at: task.updated_at,
        }
    }
}
