//! `explain URL`: where a URL goes and why; from the running daemon, else as it would be.

use super::ask::{Asked, CONFIGURED, Question, ask};
use super::{Configured, Format, output};
use crate::app::offline::Offline;
use crate::route::explain::Explanation;

pub(super) fn run(url: &str, configured: &Configured, format: Format) -> Result<(), String> {
    let (file, config) = configured.load()?;
    let encoded: String = url::form_urlencoded::byte_serialize(url.as_bytes()).collect();
    let path = format!("/explain?url={encoded}");
    let explanation = match ask::<Explanation>(&Configured::sockets(&file, &config), &Question::Get(&path), CONFIGURED)?
    {
        Asked::Answer(explanation) => explanation,
        Asked::NoDaemon => {
            let offline = Offline::build(&config).map_err(|error| output::chain(&error))?;
            offline.explain(url).map_err(|error| error.to_string())?
        }
    };
    output::facts(&explanation, format)
}
