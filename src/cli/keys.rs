//! `keys create`, `list`, `revoke`, `rotate`, `s3` and `import`: API keys, by the running daemon, else in the store itself.

mod import;

use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;

use super::ask::{Asked, Question, ask};
use super::{Configured, Format, Output, output};
use crate::app::offline;
use crate::auth::key::list::{KeyFacts, KeyList, ListedKey, Standing};
use crate::auth::key::request::{KeyField, KeyMistake, KeyWords};
use crate::auth::key::rotate::{RotateReport, RotateWords};
use crate::auth::key::{KeyReport, Secret};
use crate::auth::s3::S3Facts;
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
    /// Give a key a new secret and print it, this once; everything else that is known of it stays
    Rotate {
        /// Its id, as `keys create` and `keys list` say it; not the key
        id: String,
        /// How long the old key is let in beside the new one, such as 10m, 1h or 30days; default: no longer
        #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
        grace: Option<String>,
        #[command(flatten)]
        configured: Configured,
        #[command(flatten)]
        output: Output,
    },
    /// Have keys of the original go on working
    ///
    /// FILE holds its key records: a JSON object {"key:<apikey>": {...}}, an array of {"name" or "key", "value"} as
    /// `wrangler kv` gives and takes it, or one of these a line. Keys are stored hashed. What is there already stays as
    /// it is. A record that cannot be read costs itself, and is named by its place, from 0; the exit code is 1 then.
    Import {
        /// The file
        file: PathBuf,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        configured: Configured,
        #[command(flatten)]
        output: Output,
    },
    /// Print what an S3 client, such as rclone, is configured with for a key
    S3 {
        /// Its id, as `keys create` and `keys list` say it; not the key
        id: String,
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
    /// Requests a minute, such as 100 or 100/m; default: as the gateway limits callers
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    rate_limit: Option<String>,
    /// Bytes of files, such as 512MiB or 10GiB; default: as the gateway allows each
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    quota: Option<String>,
}

impl From<NewKey> for KeyWords {
    fn from(key: NewKey) -> Self {
        Self {
            chitty_id: key.chitty_id,
            session_id: key.session,
            name: key.name,
            scopes: key.scope,
            expires_in: key.expires,
            rate_limit: key.rate_limit,
            quota: key.quota,
        }
    }
}

pub(super) fn run(command: Keys) -> Result<(), String> {
    match command {
        Keys::Create { key, configured, output } => create(&key.into(), &configured, output.format),
        Keys::List { configured, output } => list(&configured, output.format),
        Keys::Rotate { id, grace, configured, output } => rotate(&id, grace, &configured, output.format),
        Keys::Import { file, dry_run, configured, output } => import::run(&file, dry_run, &configured, output.format),
        Keys::S3 { id, configured, output } => s3(&id, &configured, output.format),
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

const ACCEPTED: &str = "accepted: an id of `keys list`";

/// It may be the key itself, which is for no screen.
fn read_id(id: &str) -> Result<KeyId, String> {
    id.parse().map_err(|_| format!("found what is no key's id; {ACCEPTED}"))
}

fn revoke(id: &str, configured: &Configured, format: Format) -> Result<(), String> {
    let id = read_id(id)?;
    let (file, config) = configured.load()?;
    let failed = |error: String| format!("{id}: {error}; {ACCEPTED}");
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

fn s3(id: &str, configured: &Configured, format: Format) -> Result<(), String> {
    let id = read_id(id)?;
    let (file, config) = configured.load()?;
    let failed = |error: String| format!("{id}: {error}; {ACCEPTED}");
    let question = format!("/keys/{id}/s3");
    let sockets = Configured::sockets(&file, &config);
    let facts = match ask::<S3Facts>(&sockets, &Question::Get(&question), IN_THE_STORE).map_err(failed)? {
        Asked::Answer(facts) => facts,
        Asked::NoDaemon => offline::s3_facts(&config, &id).map_err(|error| failed(output::chain(&error)))?,
    };
    output::facts(&facts, format)
}

fn rotate(id: &str, grace: Option<String>, configured: &Configured, format: Format) -> Result<(), String> {
    let id = read_id(id)?;
    let words = RotateWords { grace };
    let grace = words.read().map_err(|mistake| lines(&[mistake]))?;
    let (file, config) = configured.load()?;
    let failed = |error: String| format!("{id}: {error}; {ACCEPTED} whose status is active");
    let body = serde_json::to_vec(&words).map_err(|error| error.to_string())?;
    let question = format!("/keys/{id}/rotate");
    let sockets = Configured::sockets(&file, &config);
    let report = match ask::<RotateReport>(&sockets, &Question::Post(&question, body), IN_THE_STORE).map_err(failed)? {
        Asked::Answer(report) => report,
        Asked::NoDaemon => offline::rotate_key(&config, &id, grace).map_err(|error| failed(output::chain(&error)))?,
    };
    hand_out(&report, &report.key, &report.facts, format)?;
    if format == Format::Text {
        let old = &report.replaces;
        let until = match (&old.status, &old.facts.expires_at) {
            (Standing::Active, Some(end)) => format!("is let in until {end}"),
            _ => "is let in no more".to_owned(),
        };
        output::complain(&format!("the key {} in whose place it is {until}", old.facts.id));
    }
    Ok(())
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
    hand_out(&report, &report.key, &report.facts, format)
}

/// A key, for the one time that it is shown: all of `report`, or the key on standard output and what a person should
/// know beside.
fn hand_out(report: &impl Serialize, key: &Secret, facts: &KeyFacts, format: Format) -> Result<(), String> {
    let shown = match format {
        Format::Json => serde_json::to_string_pretty(report).map_err(|error| error.to_string())?,
        Format::Text => key.expose().to_owned(),
    };
    output::hand_out(&shown).map_err(|error| {
        let id = &facts.id;
        format!(
            "standard output: {error}; the key {id} was made, and nobody has it now: revoke it (`keys revoke {id}`)"
        )
    })?;
    if format == Format::Text {
        output::complain(&about(facts));
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
        KeyField::RateLimit => "--rate-limit",
        KeyField::Quota => "--quota",
        KeyField::Grace => "--grace",
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
