//! The command line (DESIGN.md, "Command line").

mod ask;
mod check;
mod demo;
mod explain;
mod inventory;
mod keys;
mod logging;
mod migrate;
mod output;
mod routes;
mod serve;
mod service;
mod store;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::config::Config;

/// One front door before a family of services.
#[derive(Debug, Parser)]
#[command(name = "chittyconnect", version, about, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway in the foreground
    Serve(Configured),
    /// Run the gateway with two sample services on this machine, and print what to try
    Demo {
        /// The port on 127.0.0.1
        #[arg(long, default_value_t = 8080)]
        port: u16,
    },
    /// Read the configuration and print every mistake in it
    Check(Configured),
    /// Say where a URL goes, and why
    Explain {
        /// The URL, with or without http://
        url: String,
        #[command(flatten)]
        configured: Configured,
        #[command(flatten)]
        output: Output,
    },
    /// Say who claims which route, where claims collide, and mend the wrangler files
    ///
    /// Ends with 0 when everything was read and nothing found, 3 when something was found, 1 when something could not be
    /// read or went wrong.
    Inventory(Box<inventory::Inventoried>),
    /// Make API keys
    Keys {
        #[command(subcommand)]
        command: keys::Keys,
    },
    /// Bring the store of an older version up to date, with a backup beside it
    Migrate {
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        configured: Configured,
        #[command(flatten)]
        output: Output,
    },
    /// Switch a service off and on, kept over a restart
    Service {
        #[command(subcommand)]
        command: service::ServiceCommand,
    },
    /// Look after the store: copy it out and in, check it, mend it
    Store {
        #[command(subcommand)]
        command: store::StoreCommand,
    },
    /// Print every service with its names and sources, conflicts and unusable entries
    Routes {
        #[command(flatten)]
        configured: Configured,
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Debug, clap::Args)]
struct Configured {
    /// The configuration; default conf/chittyconnect.yaml, then /etc/chittyconnect/chittyconnect.yaml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Configured {
    /// Where a daemon with this configuration may answer: its socket, and, for the installed configuration, where
    /// systemd puts that socket.
    fn sockets(file: &Path, config: &Config) -> Vec<PathBuf> {
        let installed = file == Path::new("/etc/chittyconnect/chittyconnect.yaml");
        let by_systemd = installed.then(|| PathBuf::from("/run/chittyconnect/admin.sock"));
        std::iter::once(config.daemon.socket.clone()).chain(by_systemd).collect()
    }

    /// The file and what it says. Every mistake is in the error, a line each.
    fn load(&self) -> Result<(PathBuf, Config), String> {
        let file = self.config.clone().map_or_else(Config::find, Ok).map_err(|error| output::chain(&error))?;
        let config = Config::load(&file).map_err(|error| output::chain(&error))?;
        Ok((file, config))
    }
}

#[derive(Debug, clap::Args)]
struct Output {
    /// How facts are printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a person
    Text,
    /// For a program
    Json,
}

impl Cli {
    /// Runs the command.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let done = match self.command {
            Command::Serve(configured) => serve::run(&configured),
            Command::Demo { port } => demo::run(port),
            Command::Check(configured) => check::run(&configured),
            Command::Explain { url, configured, output } => explain::run(&url, &configured, output.format),
            Command::Inventory(asked) => {
                return inventory::run(&asked).unwrap_or_else(|message| {
                    output::complain(&message);
                    ExitCode::FAILURE
                });
            }
            Command::Keys { command } => keys::run(command),
            Command::Migrate { dry_run, configured, output } => migrate::run(dry_run, &configured, output.format),
            Command::Service { command } => service::run(command),
            Command::Store { command } => store::run(command),
            Command::Routes { configured, output } => routes::run(&configured, output.format),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => {
                output::complain(&message);
                ExitCode::FAILURE
            }
        }
    }
}
