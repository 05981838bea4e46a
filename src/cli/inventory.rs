//! `inventory`: who claims which route, where claims collide, and the wrangler files mended; `inventory diff`: what two
//! reports differ in.

mod progress;
mod sources;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};

use self::progress::Progress;
use super::{Configured, Format, Output, output};
use crate::inventory::difference::{self, Difference};
use crate::inventory::family::GATEWAY_WORKER;
use crate::inventory::report::{self, Report};
use crate::inventory::{Inventory, cloudflare, fix};

/// The exit code of a run that read everything and found something.
const FINDINGS: u8 = 3;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Inventoried {
    #[command(subcommand)]
    command: Option<InventoryCommand>,
    /// Folders to look for wrangler files in, and files; default the working folder, unless another source is named
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Read the routes and custom domains of this Cloudflare account, too
    #[arg(long, value_name = "ACCOUNT", requires = "token_file")]
    cloudflare: Option<String>,
    /// The file with the token for that: mode 600, Zone:Read, Workers Routes:Read, Workers Scripts:Read
    #[arg(long, value_name = "FILE", requires = "cloudflare")]
    token_file: Option<PathBuf>,
    /// Where Cloudflare's API is
    #[arg(long, value_name = "URL", requires = "cloudflare", default_value = cloudflare::API)]
    api_url: String,
    /// Take hosts and services from the daemon that answers on this admin socket, not from the configuration's sources
    #[arg(long, value_name = "ADMIN_SOCKET")]
    live: Option<PathBuf>,
    /// The worker that stands for the gateway at Cloudflare, if there is one
    #[arg(long, value_name = "NAME", default_value = GATEWAY_WORKER)]
    gateway_worker: String,
    #[command(flatten)]
    configured: Configured,
    /// How the report is printed
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,
    /// Print, as a diff, the edits that leave a service only its own route and give the gateway its hosts
    #[arg(long, conflicts_with = "format")]
    fix: bool,
    /// Make those edits
    #[arg(long, requires = "fix")]
    write: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    /// For a person
    Text,
    /// For a program, and for `inventory diff`
    Json,
    /// For `COMPETING_ROUTES.md`
    Markdown,
    /// For whatever shows findings beside the lines: SARIF 2.1.0
    Sarif,
}

#[derive(Debug, Subcommand)]
enum InventoryCommand {
    /// Say what two reports of `--format json` differ in
    Diff {
        /// The older report
        old: PathBuf,
        /// The newer report
        new: PathBuf,
        /// End with 3 when the newer one has claims or findings that the older one has not
        #[arg(long)]
        deny_new: bool,
        #[command(flatten)]
        output: Output,
    },
}

/// 0: read, and clean. 3: read, with findings. 1: something was not read, or went wrong.
pub(super) fn run(asked: &Inventoried) -> Result<ExitCode, String> {
    if let Some(InventoryCommand::Diff { old, new, deny_new, output }) = &asked.command {
        return diff(old, new, *deny_new, output.format);
    }
    let progress = Progress::new();
    let sources = sources::read(asked, &progress)?;
    progress.end();
    if asked.fix && sources.family.is_none() {
        return Err(
            "--fix has to know the gateway's hosts and services; name a configuration with --config, or a running \
                    daemon's socket with --live"
                .to_owned(),
        );
    }
    let inventory = Inventory::of(sources);
    if asked.fix {
        return mend(inventory, asked.write);
    }
    let report = Report::of(&inventory);
    match asked.format {
        ReportFormat::Text => output::print(&report::text(&report)),
        ReportFormat::Json => output::facts_as_json(&report)?,
        ReportFormat::Markdown => output::print(&report::markdown(&report)),
        ReportFormat::Sarif => output::facts_as_json(&report::sarif(&report))?,
    }
    if asked.format != ReportFormat::Text {
        complain_of_unread(&inventory);
    }
    Ok(ending(&inventory))
}

fn ending(inventory: &Inventory) -> ExitCode {
    if !inventory.sources.unread.is_empty() {
        ExitCode::FAILURE
    } else if inventory.findings.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FINDINGS)
    }
}

fn complain_of_unread(inventory: &Inventory) {
    for unread in &inventory.sources.unread {
        output::complain(&format!("unread: {unread}"));
    }
}

/// Shows the edits, and makes them where that is asked for. What is left is judged by what was written.
fn mend(mut inventory: Inventory, write: bool) -> Result<ExitCode, String> {
    complain_of_unread(&inventory);
    let (mended, failed) = fix::mend(&inventory);
    for why in &failed {
        output::complain(why);
    }
    for file in &mended {
        output::print(&file.diff());
    }
    if mended.is_empty() {
        output::complain("nothing to do");
    } else if write {
        let mut wrong = Vec::new();
        for file in &mended {
            match file.write() {
                Ok(()) => output::complain(&format!("{}: written", file.path.display())),
                Err(error) => wrong.push(output::chain(&error)),
            }
        }
        if !wrong.is_empty() {
            return Err(wrong.join("\n"));
        }
        let mut sources = inventory.sources;
        for file in &mended {
            let files = sources.wrangler.get_or_insert_default();
            files[file.file] = file.read(&files[file.file]).map_err(|unread| unread.to_string())?;
        }
        inventory = Inventory::of(sources);
    } else {
        output::complain(&format!("files that would change: {}; --write changes them", mended.len()));
    }
    let left = inventory.findings.iter().filter(|finding| write && !finding.fixable).count();
    if left > 0 {
        output::complain(&format!("{left} findings are left that --fix does not mend"));
    }
    Ok(if failed.is_empty() { ending(&inventory) } else { ExitCode::FAILURE })
}

fn diff(old: &Path, new: &Path, deny_new: bool, format: Format) -> Result<ExitCode, String> {
    let read = |path: &Path| {
        let bytes = std::fs::read(path).map_err(|error| format!("{}: cannot be read: {error}", path.display()))?;
        difference::read(&bytes).map_err(|error| format!("{}: {}", path.display(), output::chain(&error)))
    };
    let difference = Difference::between(&read(old)?, &read(new)?);
    output::facts(&difference, format)?;
    Ok(if deny_new && difference.has_new() { ExitCode::from(FINDINGS) } else { ExitCode::SUCCESS })
}
