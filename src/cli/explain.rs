//! `explain URL`: where a URL goes and why; from the running daemon, else as it would be.

use std::path::PathBuf;

use super::ask::{Asked, ask};
use super::{Format, output};
use crate::app::offline::Offline;
use crate::config::{self, Config};
use crate::route::explain::Explanation;

pub(super) fn run(url: &str, file: Option<PathBuf>, format: Format) -> Result<(), String> {
    let file = config::find(file).map_err(|error| error.to_string())?;
    let config = Config::load(&file).map_err(|error| error.to_string())?;
    let encoded: String = url::form_urlencoded::byte_serialize(url.as_bytes()).collect();
    let explanation = match ask::<Explanation>(&config.daemon.socket, &format!("/explain?url={encoded}"))? {
        Asked::Answer(explanation) => explanation,
        Asked::NoDaemon => {
            let offline = Offline::build(&config).map_err(|error| output::chain(&error))?;
            offline.explain(url).map_err(|error| error.to_string())?
        }
    };
    output::facts(&explanation, format)
}
