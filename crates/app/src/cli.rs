//! The command line.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use carnet_model::{Secret, StoreUrl};
use clap::{Args, Parser};

use crate::command::Command;
use crate::environment::Environment;
use crate::failure::Failure;

/// Move knowledge bases between vector stores, with proof that every record arrived.
///
/// A STORE is faiss:DIR, sqlite:FILE, snapshot:DIR (read-only) or
/// postgres://USER@HOST:PORT/DB?table=NAME.
#[derive(Debug, Parser)]
#[command(
    name = "carnet",
    version,
    max_term_width = 80,
    disable_help_subcommand = true,
    after_help = "First steps:\n  carnet run examples/quickstart/migration.yaml\n\n\
        Exit status:\n  \
        0 done and equal     1 a defect          2 usage or plan     3 refused\n  \
        4 content differs    5 waits for you     6 not reachable     7 malformed input\n  \
        8 incomplete"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where journals and evidence are kept if nothing is said.
pub(crate) const STATE: &str = ".carnet";

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Keep journals and evidence in this folder.
    #[arg(long, global = true, value_name = "DIR", default_value = STATE)]
    pub(crate) state: PathBuf,
    /// Keep the log of a run in this PostgreSQL database, not in its folder:
    /// postgres://USER@HOST:PORT/DB[?log=NAME]. NAME is that of the migration if nothing is said.
    #[arg(long, global = true, value_name = "URL", env = "CARNET_LOG", hide_env_values = true)]
    pub(crate) log: Option<TypedStore>,
    /// Work on this many ranges at once [default: all cores].
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,
    /// Write one JSON document to stdout, and failures as JSON to stderr.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

impl Global {
    /// How many workers.
    pub(crate) fn workers(&self) -> usize {
        self.workers.map_or_else(Environment::cores, usize::from)
    }
}

/// A store URL as it was typed. It may hold a password, so the parser of the command line never
/// looks into it and nothing shows it.
#[derive(Clone)]
pub(crate) struct TypedStore(Secret);

impl TypedStore {
    /// The URL of a log, and the name that it gives the log.
    pub(crate) fn log(&self) -> Result<(StoreUrl, Option<String>), Failure> {
        let (base, query) = self.0.reveal().split_once('?').unwrap_or((self.0.reveal(), ""));
        let (named, kept): (Vec<&str>, Vec<&str>) =
            query.split('&').filter(|it| !it.is_empty()).partition(|it| it.starts_with("log="));
        let url =
            if kept.is_empty() { base.to_owned() } else { format!("{base}?{}", kept.join("&")) };
        let name = named.first().and_then(|it| it.strip_prefix("log=")).map(str::to_owned);
        Ok((Self(Secret::new(url)).url()?, name))
    }

    /// The URL.
    pub(crate) fn url(&self) -> Result<StoreUrl, Failure> {
        StoreUrl::parse(self.0.reveal())
            .map_err(|error| Failure::from(error).while_doing("cannot read the store's URL"))
    }
}

impl FromStr for TypedStore {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(Secret::new(text)))
    }
}

impl fmt::Debug for TypedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use std::fmt::Write;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// `docs/cli.md` is made from the same text as `--help`. `UPDATE_GOLDEN=1` writes it anew.
    #[test]
    fn the_reference_is_up_to_date() {
        let mut text = String::from(
            "# Command line\n\nMade from the program's own help: change it there. `UPDATE_GOLDEN=1 \
             cargo test -p carnet reference` writes this page anew.\n",
        );
        let mut cli = Cli::command();
        cli.build();
        describe(&mut cli, "carnet", &mut text);
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
        #[expect(clippy::disallowed_methods, reason = "a switch of the tests themselves")]
        if std::env::var("UPDATE_GOLDEN").is_ok() {
            std::fs::write(&file, &text).unwrap();
        }
        let written = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(written == text, "docs/cli.md is not up to date: UPDATE_GOLDEN=1 writes it");
    }

    fn describe(command: &mut clap::Command, name: &str, text: &mut String) {
        // What every command takes stands once, at the top.
        let own = name != "carnet";
        *command = command.clone().mut_args(|arg| {
            let repeated = own && (arg.is_global_set() || arg.get_id() == "help");
            arg.hide(repeated)
        });
        let help = command.render_long_help().to_string();
        let lines: Vec<_> = help.lines().map(str::trim_end).collect();
        let help = lines.join("\n");
        writeln!(text, "\n## {name}\n\n```text\n{}\n```", help.trim_end()).unwrap();
        let names: Vec<String> =
            command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
        for sub in names {
            if let Some(command) = command.find_subcommand_mut(&sub) {
                describe(command, &format!("{name} {sub}"), text);
            }
        }
    }
}
