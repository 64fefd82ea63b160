//! The `spina` command.

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
async fn main() -> anyhow::Result<()> {
    match Cli::parse().verb {
        Verb::Up(up) => up.run().await,
        Verb::Down(down) => down.run().await,
    }
}
