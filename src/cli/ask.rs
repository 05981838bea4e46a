//! Questions to the running daemon, over its admin socket.

pub(super) mod stream;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::output::{chain, complain};

/// A daemon that lives answers far sooner.
const PATIENCE: Duration = Duration::from_secs(10);

/// What commands that show something do when no daemon answers.
pub(super) const CONFIGURED: &str = "this is what the configuration says";

/// What a daemon is asked.
pub(super) enum Question<'q> {
    /// To show what is at this path.
    Get(&'q str),
    /// To do what is at this path, with this JSON.
    Post(&'q str, Vec<u8>),
    /// To do what is at this path, which takes as long as it takes.
    Work(&'q str),
}

/// What came of a question.
pub(super) enum Asked<T> {
    /// The daemon's answer.
    Answer(T),
    /// Nobody answers on the socket.
    NoDaemon,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

/// Asks the first of `sockets` that is answered. When none is, says so on standard error, and what is done instead.
pub(super) fn ask<T: DeserializeOwned>(
    sockets: &[PathBuf],
    question: &Question<'_>,
    otherwise: &str,
) -> Result<Asked<T>, String> {
    for socket in sockets {
        if let Asked::Answer(answer) = ask_one(socket, question)? {
            return Ok(Asked::Answer(answer));
        }
    }
    let tried: Vec<String> = sockets.iter().map(|socket| socket.display().to_string()).collect();
    complain(&format!("no daemon answers on {}: {otherwise}", tried.join(" or ")));
    Ok(Asked::NoDaemon)
}

/// Whether anybody answers on `socket`.
async fn is_answered(socket: &Path) -> Result<bool, String> {
    match tokio::net::UnixStream::connect(socket).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(format!("{}: {error}; the socket is for its owner and group", socket.display()))
        }
        Err(_) => Ok(false),
    }
}

/// What a refusal says.
fn refusal(socket: &Path, body: &[u8]) -> String {
    serde_json::from_slice::<Refusal>(body)
        .map_or_else(|error| not_understood(socket, &error), |refusal| refusal.message)
}

fn not_understood(socket: &Path, error: &serde_json::Error) -> String {
    format!("{}: the daemon's answer is not understood, is it another version? {error}", socket.display())
}

fn ask_one<T: DeserializeOwned>(socket: &Path, question: &Question<'_>) -> Result<Asked<T>, String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        if !is_answered(socket).await? {
            return Ok(Asked::NoDaemon);
        }
        let failed = |error: reqwest::Error| {
            if error.is_timeout() {
                let seconds = PATIENCE.as_secs();
                return format!(
                    "{}: the daemon has not answered for {seconds} s; what it was asked to do may be done all the same",
                    socket.display()
                );
            }
            format!("{}: {}", socket.display(), chain(&error))
        };
        let builder = reqwest::Client::builder().no_proxy().unix_socket(socket);
        let builder = if matches!(question, Question::Work(_)) { builder } else { builder.timeout(PATIENCE) };
        let client = builder.build().map_err(failed)?;
        let request = match question {
            Question::Get(path) => client.get(format!("http://admin{path}")),
            Question::Post(path, body) => client
                .post(format!("http://admin{path}"))
                .header(http::header::CONTENT_TYPE, "application/json")
                .body(body.clone()),
            Question::Work(path) => client.post(format!("http://admin{path}")),
        };
        let response = request.send().await.map_err(failed)?;
        let succeeded = response.status().is_success();
        let body = response.bytes().await.map_err(failed)?;
        if succeeded {
            serde_json::from_slice(&body).map(Asked::Answer).map_err(|error| not_understood(socket, &error))
        } else {
            Err(refusal(socket, &body))
        }
    })
}
