//! The `spina` command.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use spina_cli::stack::{DownArgs, UpArgs};

/// Event-sourced streaming backbone on Kafka
#[derive(Debug, Parser)]
#[command(name = "spina", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Up(UpArgs),
    Down(DownArgs),
}

#[tokio::main]
#[allow(clippy::print_stderr, reason = "the one place where an error meets a person")]
async fn main() -> ExitCode {
    let outcome = match Cli::parse().verb {
        Verb::Up(up) => up.run().await,
        Verb::Down(down) => down.run().await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
