//! What went wrong with a request: from Pingora's errors and ours to a problem for the client and a line for the log.

use std::time::Duration;

use pingora::{Error, ErrorSource, ErrorType};
use pingora_proxy::Session;

use super::bridge::Ended;
use super::context::RequestContext;
use crate::problem::Problem;
use crate::telemetry::metrics::{FailureReason, Metrics};
use crate::upstream::Upstream;

/// The mark of an error of ours inside one of Pingora's.
const REFUSED: ErrorType = ErrorType::Custom("refused");

/// How long the rest of a refused request's body is read, so that its answer is not lost to a reset connection
/// (RFC 9112 §9.6).
const DRAIN_FOR: Duration = Duration::from_secs(1);
/// And how much of it.
const DRAIN_BYTES: usize = 4 * 1024 * 1024;

/// A [`Problem`] as the cause of one of Pingora's errors.
#[derive(Debug, thiserror::Error)]
#[error("{}: {}", .0.word, .0.message)]
struct Cause(Problem);

/// Who had been waited for when a deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    /// The rest of the request.
    Client,
    /// The answer, or more of it.
    Upstream,
}

/// Why a local answer could not be given whole.
#[derive(Debug)]
pub(super) enum Failure {
    /// The client is told why.
    Problem(Problem),
    /// The connection broke, or the answer did.
    Broken(Box<Error>),
}

impl Failure {
    /// As Pingora carries it.
    pub(super) fn into_error(self) -> Box<Error> {
        match self {
            Self::Problem(problem) => failed(problem),
            Self::Broken(error) => error,
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<Box<Error>> for Failure {
    fn from(error: Box<Error>) -> Self {
        Self::Broken(error)
    }
}

impl From<Ended> for Failure {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Problem(problem) => Self::Problem(problem),
            Ended::Client(error) => Self::Broken(error.into_down()),
        }
    }
}

/// `problem` as Pingora carries it.
pub(super) fn failed(problem: Problem) -> Box<Error> {
    let mut error = Error::because(REFUSED, "", Cause(problem));
    error.set_retry(false);
    error
}

/// Nothing of `upstream` can be dialled.
pub(super) fn no_candidate(upstream: &Upstream, metrics: &Metrics) -> Box<Error> {
    let service = upstream.service().id.as_str();
    metrics.upstream_failed(service, FailureReason::NoEndpoint);
    for (index, member) in upstream.members().iter().enumerate() {
        if let Some(problem) = upstream.problem_of(index) {
            tracing::warn!(service, endpoint = &*member.endpoint().label(), problem, "endpoint cannot be dialled");
        }
    }
    failed(Problem::no_healthy_endpoint(service))
}

/// What the client is told; `None` when there is nobody to tell.
pub(super) fn problem_of(error: &Error, timed_out: Option<Waited>) -> Option<Problem> {
    if let Some(Cause(problem)) = error.root_cause().downcast_ref::<Cause>() {
        return Some(problem.clone());
    }
    match timed_out {
        Some(Waited::Upstream) => return Some(Problem::upstream_timeout()),
        Some(Waited::Client) => return Some(Problem::request_timeout()),
        None => {}
    }
    match error.esource() {
        ErrorSource::Upstream if is_timeout(error) => Some(Problem::upstream_timeout()),
        ErrorSource::Upstream => Some(Problem::proxy_failed()),
        ErrorSource::Downstream => match error.etype() {
            ErrorType::InvalidHTTPHeader => {
                Some(Problem::bad_request("the request's header or the framing of its body is not HTTP"))
            }
            ErrorType::ReadTimedout => Some(Problem::request_timeout()),
            _ if is_malformed_body(error) => {
                Some(Problem::bad_request("the request's body is not framed as HTTP says"))
            }
            _ => None,
        },
        ErrorSource::Internal | ErrorSource::Unset => Some(Problem::internal()),
    }
}

pub(super) fn is_timeout(error: &Error) -> bool {
    matches!(
        error.etype(),
        ErrorType::ConnectTimedout
            | ErrorType::TLSHandshakeTimedout
            | ErrorType::ReadTimedout
            | ErrorType::WriteTimedout
    )
}

/// Chunks that are none.
fn is_malformed_body(error: &Error) -> bool {
    matches!(error.etype(), ErrorType::Custom("InvalidChunk" | "InvalidTrailer"))
}

/// The `reason` of a failed attempt.
pub(super) fn reason_of(error: &Error) -> FailureReason {
    match error.etype() {
        ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => FailureReason::ConnectTimeout,
        ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert | ErrorType::HandshakeError => FailureReason::Tls,
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => FailureReason::Timeout,
        ErrorType::ConnectError
        | ErrorType::ConnectRefused
        | ErrorType::ConnectNoRoute
        | ErrorType::SocketError
        | ErrorType::BindError => FailureReason::Connect,
        _ => FailureReason::Broken,
    }
}

/// Counts and logs what an operator should know of. What a client did wrong is in the access log alone.
pub(super) fn report(
    error: &Error,
    problem: &Problem,
    context: &RequestContext,
    metrics: &Metrics,
    timed_out: Option<Waited>,
) {
    let service = context.upstream.as_ref().map(|upstream| upstream.service().id.as_str());
    let request_id = context.id.as_str();
    let endpoint = context.endpoint.as_deref();
    match (error.esource(), service) {
        (_, Some(service)) if timed_out == Some(Waited::Upstream) => {
            metrics.upstream_failed(service, FailureReason::Timeout);
            tracing::warn!(request_id, service, endpoint, word = problem.word, "upstream was silent for too long");
        }
        (ErrorSource::Upstream, Some(service)) => {
            let reason = reason_of(error);
            // What failed before there was a connection has been counted, attempt by attempt.
            if !matches!(reason, FailureReason::Connect | FailureReason::ConnectTimeout | FailureReason::Tls) {
                metrics.upstream_failed(service, reason);
            }
            tracing::warn!(request_id, service, endpoint, word = problem.word, %error, "upstream failed");
        }
        (ErrorSource::Internal | ErrorSource::Unset, _)
            if problem.status.is_server_error() && problem.word == "internal_error" =>
        {
            tracing::error!(request_id, service, %error, "request failed inside the gateway");
        }
        _ => {}
    }
}

/// Reads some of what the client is still sending, so that closing does not cut off its answer.
pub(super) async fn drain_rest(session: &mut Session) {
    let drained = async {
        let mut read = 0;
        while read < DRAIN_BYTES && !session.as_downstream_mut().is_body_done() {
            match session.as_downstream_mut().read_request_body().await {
                Ok(Some(chunk)) => read += chunk.len(),
                Ok(None) | Err(_) => return,
            }
        }
    };
    // Whether it took all of that time changes nothing: the connection is closed now.
    tokio::time::timeout(DRAIN_FOR, drained).await.ok();
}
