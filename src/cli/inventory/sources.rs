//! Everything that an inventory is made of, read. What cannot be read is noted, unless nobody could go on without it.

use std::path::{Path, PathBuf};

use super::super::ask::{Asked, Question, ask};
use super::super::output;
use super::{Inventoried, Progress};
use crate::app::offline::Offline;
use crate::config::{Config, ConfigError};
use crate::inventory::claim::Place;
use crate::inventory::cloudflare::{self, Account, Client, Token};
use crate::inventory::family::Family;
use crate::inventory::wrangler::{self, Unread};
use crate::inventory::{Sources, is_worker_name};
use crate::registry::report::RoutesReport;

pub(super) fn read(asked: &Inventoried, progress: &Progress) -> Result<Sources, String> {
    if !is_worker_name(&asked.gateway_worker) {
        return Err(format!("--gateway-worker: `{}` is no name of a worker", asked.gateway_worker));
    }
    // What is wrong with the arguments shows before anything takes its time.
    let client = client(asked)?;
    let mut sources = Sources::default();
    let paths = match (asked.paths.as_slice(), asked.cloudflare.is_some() || asked.live.is_some()) {
        ([], true) => Vec::new(),
        ([], false) => vec![PathBuf::from(".")],
        (paths, _) => paths.to_vec(),
    };
    let family = family(asked, progress, &mut sources.unread)?;
    sources.family = family;
    if !paths.is_empty() {
        let found = wrangler::find(&paths, |count| progress.files(count));
        sources.wrangler = Some(found.files);
        sources.unread.extend(found.unread);
    }
    if let (Some(client), Some(id)) = (client, &asked.cloudflare) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        let reading = Account::read(&client, id, &mut sources.unread, |what| progress.asking(what));
        sources.account = Some(runtime.block_on(reading));
    }
    Ok(sources)
}

fn client(asked: &Inventoried) -> Result<Option<Client>, String> {
    let (Some(account), Some(file)) = (&asked.cloudflare, &asked.token_file) else { return Ok(None) };
    if !cloudflare::is_account_id(account) {
        return Err(format!("--cloudflare: `{account}` is no id of an account; it is in the address of its dashboard"));
    }
    let token = Token::read(file).map_err(|error| output::chain(&error))?;
    let url = url::Url::parse(&asked.api_url)
        .map_err(|error| format!("--api-url: `{}` is no URL: {error}", asked.api_url.escape_debug()))?;
    Client::new(&url, token).map(Some).map_err(|error| output::chain(&error))
}

/// The gateway's hosts and services: of the running daemon where one is named, else as the configuration says.
fn family(
    asked: &Inventoried,
    progress: &Progress,
    unread: &mut Vec<Unread>,
) -> Result<Option<(Family, Place)>, String> {
    let config = config(asked)?;
    if let Some(socket) = &asked.live {
        progress.asking("the daemon's table");
        match live(socket) {
            Ok(report) => match Family::of(&report, &asked.gateway_worker) {
                Some(family) => {
                    incomplete(&report, unread);
                    return Ok(Some((family, Place::Live)));
                }
                None => {
                    unread
                        .push(Unread::new(socket.display(), "the daemon is an older one, and does not say its hosts"));
                }
            },
            Err(why) => unread.push(Unread::new(socket.display(), why)),
        }
    }
    let Some(config) = config else { return Ok(None) };
    progress.asking("the registry");
    let report = Offline::build(&config).map_err(|error| output::chain(&error))?.routes();
    incomplete(&report, unread);
    Ok(Family::of(&report, &asked.gateway_worker).map(|family| (family, Place::Configuration)))
}

/// The configuration; none where nobody names one and there is none.
fn config(asked: &Inventoried) -> Result<Option<Config>, String> {
    let file = match (&asked.configured.config, Config::find()) {
        (Some(file), _) => file.clone(),
        (None, Ok(file)) => file,
        (None, Err(ConfigError::NotFound { .. })) => {
            if asked.live.is_none() {
                output::complain(
                    "no configuration was found: the gateway's hosts and services are not known, and what depends on them \
                     is not judged; name one with --config",
                );
            }
            return Ok(None);
        }
        (None, Err(error)) => return Err(output::chain(&error)),
    };
    Config::load(&file).map(Some).map_err(|error| output::chain(&error))
}

fn live(socket: &Path) -> Result<RoutesReport, String> {
    let otherwise = "its table is not in the inventory";
    match ask::<RoutesReport>(&[socket.to_owned()], &Question::Get("/routes"), otherwise)? {
        Asked::Answer(report) => Ok(report),
        Asked::NoDaemon => Err("no daemon answers on this socket".to_owned()),
    }
}

/// A source that has not answered may have services that are missing here.
fn incomplete(report: &RoutesReport, unread: &mut Vec<Unread>) {
    for source in report.sources.iter().filter(|source| source.last_success.is_none()) {
        let why = source.last_error.as_ref().map_or("it has not answered", |error| error.text.as_str());
        let why = format!("its services are not known, and may show up as unknown: {why}");
        unread.push(Unread::new(format!("registry source {}", source.name), why));
    }
}
