//! The `spina` command.

use std::process::ExitCode;

use clap::Parser;
use spina_cli::args::Cli;
use spina_cli::{failure, output};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let format = cli.output;
    match cli.run().await {
        Ok(code) => code,
        Err(error) => match failure::report(&error, format) {
            Some((text, exit)) => {
                output::note(text);
                ExitCode::from(exit as u8)
            }
            None => ExitCode::SUCCESS,
        },
    }
}
