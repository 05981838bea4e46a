//! Who comes with a token in the path: what it is good for, as long as whoever asked for it is let in.

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;

use crate::api::ApiState;
use crate::auth::{AuthError, Credential, Principal};
use crate::blob::token::{DownloadToken, Issuer, UploadToken};
use crate::model::time::Time;
use crate::problem::Problem;

/// Where tokens are in paths.
const UPLOAD: &str = "/api/files/upload/";
const DOWNLOAD: &str = "/api/files/download/";

/// Who a caller is, for a token.
pub(super) fn issuer(caller: &Principal) -> Issuer {
    Issuer {
        chitty_id: caller.chitty_id.clone(),
        key_id: caller.key_id.clone(),
        by_key: caller.credential == Credential::Key,
    }
}

/// A token for an upload, and the quota of its key, if that has one of its own.
pub(in crate::api) struct UploadLink(pub(super) UploadToken, pub(super) Option<u64>);

impl FromRequestParts<ApiState> for UploadLink {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let token = path(parts, state).await?;
        let token = state.tokens.upload(&token, Time::now()).ok_or_else(Problem::invalid_token)?;
        let holder = let_in(state, &token.issuer).await?;
        // It is seen again when the file is kept; this spares its sender the sending.
        if state.store.is_token_used(token.issuer.chitty_id.clone(), token.id).await? {
            return Err(Problem::invalid_token());
        }
        Ok(Self(token, holder.and_then(|holder| holder.quota)))
    }
}

/// A token for downloads.
pub(in crate::api) struct DownloadLink(pub(super) DownloadToken);

impl FromRequestParts<ApiState> for DownloadLink {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let token = path(parts, state).await?;
        let token = state.tokens.download(&token, Time::now()).ok_or_else(Problem::invalid_token)?;
        let_in(state, &token.issuer).await?;
        Ok(Self(token))
    }
}

async fn path(parts: &mut Parts, state: &ApiState) -> Result<String, Problem> {
    let token = Path::<String>::from_request_parts(parts, state).await;
    token.map(|Path(token)| token).map_err(|_| Problem::invalid_token())
}

/// Whoever asked for a token, if that was with a key of ours; a token of an issuer has an end of its own, and ours is
/// near.
async fn let_in(state: &ApiState, issuer: &Issuer) -> Result<Option<Principal>, Problem> {
    if !issuer.by_key {
        return Ok(None);
    }
    match state.auth.holder(&issuer.key_id).await {
        Ok(holder) if holder.chitty_id == issuer.chitty_id => Ok(Some(holder)),
        Err(error @ AuthError::Unavailable(_)) => Err(Problem::unauthenticated(&error, state.auth.header())),
        Ok(_) | Err(_) => Err(Problem::invalid_token()),
    }
}

/// Whose request one with a token in its path is, for counting it.
pub(in crate::api) async fn holder(state: &ApiState, path: &str) -> Option<Principal> {
    let now = Time::now();
    let issuer = if let Some(token) = path.strip_prefix(UPLOAD) {
        state.tokens.upload(token, now)?.issuer
    } else {
        state.tokens.download(path.strip_prefix(DOWNLOAD)?, now)?.issuer
    };
    let_in(state, &issuer).await.ok()?
}
