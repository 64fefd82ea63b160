//! The command line of a service, and loading from the process's own surroundings.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser};

use super::{ConfigError, EXIT_CONFIG, ServiceConfig, Sources, load, printed};

/// Flags that every service takes.
#[derive(Debug, Parser)]
struct Flags {
    /// YAML file with settings
    #[arg(long, env = "SPINA_CONFIG", value_name = "PATH")]
    config: Option<PathBuf>,
    /// Set one key, over file and environment; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print the effective configuration without its passwords, and exit
    #[arg(long)]
    print_config: bool,
}

/// Loads the configuration from flags, environment and file of this process.
///
/// The error is the status to exit with, after what there was to say has been said: success for `--print-config`,
/// `--help` and `--version`, [`EXIT_CONFIG`] for anything wrong.
pub(crate) fn from_process<C: ServiceConfig>(service: &'static str, version: &'static str) -> Result<C, ExitCode> {
    let flags = parse(service, version)?;
    let sources = Sources { file: flags.config, environment: environment(), assignments: flags.set };
    let config: C = load(&sources).map_err(|error| refuse(service, &error))?;
    if flags.print_config {
        let text = printed(&config).map_err(|error| refuse(service, &error))?;
        // A closed pipe is the reader's choice.
        let _ = writeln!(std::io::stdout(), "{text}");
        return Err(ExitCode::SUCCESS);
    }
    Ok(config)
}

fn parse(service: &'static str, version: &'static str) -> Result<Flags, ExitCode> {
    let command = Flags::command().name(service).version(version).about(format!("Spina {service}"));
    command.try_get_matches().and_then(|matches| Flags::from_arg_matches(&matches)).map_err(|error| {
        let _ = error.print();
        if error.use_stderr() { ExitCode::from(EXIT_CONFIG) } else { ExitCode::SUCCESS }
    })
}

/// Variables whose name or value is not Unicode cannot be ours.
fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

fn refuse(service: &str, error: &ConfigError) -> ExitCode {
    complain(service, error, EXIT_CONFIG)
}

/// Says on stderr why the process cannot start: there is no log yet.
pub(crate) fn complain(service: &str, error: &dyn std::error::Error, status: u8) -> ExitCode {
    let mut text = format!("{service}: {error}");
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    // Without a stderr the status has to do.
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::from(status)
}
