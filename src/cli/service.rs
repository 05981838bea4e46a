//! `service enable` and `service disable`: by the running daemon, else in the store's folder, for its next start.

use clap::Subcommand;

use super::ask::{Asked, Question, ask};
use super::{Configured, Output, output};
use crate::api::admin::SwitchWords;
use crate::model::name::ServiceKey;
use crate::registry::switch::{SwitchReport, Switches};

#[derive(Debug, Subcommand)]
pub(super) enum ServiceCommand {
    /// Send requests to a service again
    Enable(Named),
    /// Answer requests to a service with 503 and the reason, also after a restart
    Disable(Named),
}

/// Which service, and why.
#[derive(Debug, clap::Args)]
pub(super) struct Named {
    /// Its id, subdomain or alias, as `routes` prints them
    name: String,
    /// Why, for its clients: a line of text
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    reason: Option<String>,
    #[command(flatten)]
    configured: Configured,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(command: ServiceCommand) -> Result<(), String> {
    match command {
        ServiceCommand::Enable(named) => switch(named, true),
        ServiceCommand::Disable(named) => switch(named, false),
    }
}

fn switch(named: Named, enabled: bool) -> Result<(), String> {
    let Named { name, reason, configured, output: Output { format } } = named;
    let accepted = "accepted: 1 to 63 of a-z, 0-9 and -";
    let key = ServiceKey::parse(&name).map_err(|_| format!("`{name}` is not a service name; {accepted}"))?;
    let (file, config) = configured.load()?;
    let body = serde_json::to_vec(&SwitchWords { reason: reason.clone() }).map_err(|error| error.to_string())?;
    let path = format!("/services/{key}/{}", if enabled { "enable" } else { "disable" });
    let otherwise = "the switch is written for the daemon's next start";
    let question = Question::Post(&path, body);
    let report = match ask::<SwitchReport>(&Configured::sockets(&file, &config), &question, otherwise)? {
        Asked::Answer(report) => report,
        Asked::NoDaemon => offline(&config.store.path, key, enabled, reason)?,
    };
    output::facts(&report, format)
}

fn offline(
    folder: &std::path::Path,
    key: ServiceKey,
    enabled: bool,
    reason: Option<String>,
) -> Result<SwitchReport, String> {
    let switches = Switches::open(folder).map_err(|error| output::chain(&error))?;
    switches.set(key, enabled, reason, None).map_err(|error| output::chain(&error))
}
