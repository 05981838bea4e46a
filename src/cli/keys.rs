//! `keys create`, `list` and `revoke`: API keys, by the running daemon, else in the store itself.

use clap::Subcommand;

use super::ask::{Asked, Question, ask};
use super::{Configured, Format, Output, output};
use crate::app::offline;
use crate::auth::key::KeyReport;
use crate::auth::key::list::{KeyFacts, KeyList, ListedKey};
use crate::auth::key::request::{KeyField, KeyMistake, KeyWords};
use crate::model::id::KeyId;

#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// Make an API key and print it, this once
    Create {
        #[command(flatten)]
        key: NewKey,
        #[command(flatten)]
        configured: Configured,
        #[command(flatten)]
        output: Output,
    },
    /// Print what is known of every key
    List {
        #[command(flatten)]
        configured: Configured,
        #[command(flatten)]
        output: Output,
    },
    /// Let a key in no more, for good
    Revoke {
        /// Its id, as `keys create` and `keys list` say it; not the key
        id: String,
        #[command(flatten)]
        configured: Configured,
        #[command(flatten)]
        output: Output,
    },
}

/// What the key is to be. Every value is read as text, so that all mistakes are said at once and in one form.
#[derive(Debug, clap::Args)]
pub(super) struct NewKey {
    /// The tenant whose tasks, context and files it opens
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    chitty_id: String,
    /// The session of requests that name none; default: one of the key's own
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    session: Option<String>,
    /// What people call it
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    name: Option<String>,
    /// What it may do; may be repeated; default context:write and files:write
    #[arg(long, value_name = "SCOPE", allow_hyphen_values = true)]
    scope: Vec<String>,
    /// How long it lasts, such as 1h, 30days or 1year; default: for ever
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    expires: Option<String>,
}

impl From<NewKey> for KeyWords {
    fn from(key: NewKey) -> Self {
        Self {
            chitty_id: key.chitty_id,
            session_id: key.session,
            name: key.name,
            scopes: key.scope,
            expires_in: key.expires,
        }
    }
}

pub(super) fn run(command: Keys) -> Result<(), String> {
    match command {
        Keys::Create { key, configured, output } => create(&key.into(), &configured, output.format),
        Keys::List { configured, output } => list(&configured, output.format),
        Keys::Revoke { id, configured, output } => revoke(&id, &configured, output.format),
    }
}

const IN_THE_STORE: &str = "the store itself is opened";

fn list(configured: &Configured, format: Format) -> Result<(), String> {
    let (file, config) = configured.load()?;
    let list = match ask::<KeyList>(&Configured::sockets(&file, &config), &Question::Get("/keys"), IN_THE_STORE)? {
        Asked::Answer(list) => list,
        Asked::NoDaemon => KeyList::of(&offline::keys(&config).map_err(|error| output::chain(&error))?),
    };
    output::facts(&list, format)
}

fn revoke(id: &str, configured: &Configured, format: Format) -> Result<(), String> {
    let accepted = "accepted: an id of `keys list`";
    // It may be the key itself, which is for no screen.
    let id: KeyId = id.parse().map_err(|_| format!("found what is no key's id; {accepted}"))?;
    let (file, config) = configured.load()?;
    let failed = |error: String| format!("{id}: {error}; {accepted}");
    let question = format!("/keys/{id}/revoke");
    let sockets = Configured::sockets(&file, &config);
    let revoked =
        match ask::<ListedKey>(&sockets, &Question::Post(&question, Vec::new()), IN_THE_STORE).map_err(failed)? {
            Asked::Answer(key) => key,
            Asked::NoDaemon => {
                let key = offline::revoke_key(&config, &id).map_err(|error| failed(output::chain(&error)))?;
                ListedKey::from(&*key)
            }
        };
    output::facts(&revoked, format)
}

fn create(words: &KeyWords, configured: &Configured, format: Format) -> Result<(), String> {
    let request = words.read().map_err(|mistakes| lines(&mistakes))?;
    let (file, config) = configured.load()?;
    let body = serde_json::to_vec(words).map_err(|error| error.to_string())?;
    let sockets = Configured::sockets(&file, &config);
    let otherwise = "the key is written into the store itself";
    let report = match ask::<KeyReport>(&sockets, &Question::Post("/keys", body), otherwise)? {
        Asked::Answer(report) => report,
        Asked::NoDaemon => offline::issue_key(&config, request).map_err(|error| output::chain(&error))?.into(),
    };
    let shown = match format {
        Format::Json => serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?,
        Format::Text => report.key.expose().to_owned(),
    };
    output::hand_out(&shown).map_err(|error| {
        format!(
            "standard output: {error}; the key {} was made, and nobody has it now: revoke it (`keys revoke {}`)",
            report.facts.id, report.facts.id
        )
    })?;
    if format == Format::Text {
        output::complain(&about(&report.facts));
    }
    Ok(())
}

fn lines(mistakes: &[KeyMistake]) -> String {
    let line = |mistake: &KeyMistake| format!("{}: {}", flag(mistake.field), mistake.message);
    mistakes.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn flag(field: KeyField) -> &'static str {
    match field {
        KeyField::ChittyId => "--chitty-id",
        KeyField::SessionId => "--session",
        KeyField::Name => "--name",
        KeyField::Scopes => "--scope",
        KeyField::ExpiresIn => "--expires",
    }
}

/// What a person should know of a key beside the key itself.
fn about(facts: &KeyFacts) -> String {
    let scopes: Vec<&str> = facts.scopes.iter().map(|scope| scope.as_str()).collect();
    let until = facts.expires_at.as_ref().map_or_else(|| "for ever".to_owned(), |end| format!("until {end}"));
    format!(
        "key {} opens what belongs to {}, by default in the session {}\nit may do {}, {until}\nit is shown this once \
         and kept nowhere: only its SHA-256 is stored",
        facts.id,
        facts.chitty_id,
        facts.session_id,
        scopes.join(", "),
    )
}
