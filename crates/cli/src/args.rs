//! The command line: verbs and what they share.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::output::Format;
use crate::{
    demo, doctor, failure, import, model, projection, publish, read, replay, stack, state, status, tail, topology,
};

/// Event-sourced streaming backbone on Kafka: publish, read, project, replay
#[derive(Debug, Parser)]
#[command(name = "spina", version, after_help = failure::EXIT_CODES, disable_help_subcommand = true)]
pub struct Cli {
    /// How answers are printed
    #[arg(long, global = true, value_enum, default_value_t)]
    pub output: Format,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Up(stack::UpArgs),
    Down(stack::DownArgs),
    Demo(demo::Args),
    Status(status::Args),
    Topology(topology::TopologyArgs),
    Publish(publish::Args),
    Import(import::Args),
    Read(read::Args),
    State(state::Args),
    Tail(tail::Args),
    Replay(replay::Args),
    Model(model::Args),
    Projection(projection::Args),
    Doctor(doctor::Args),
}

impl Cli {
    /// Does it.
    pub async fn run(self) -> Result<ExitCode> {
        let output = self.output;
        let done = match self.verb {
            // It has exit codes of its own.
            Verb::Topology(args) => return args.run(output).await,
            Verb::Up(args) => args.run().await,
            Verb::Down(args) => args.run().await,
            Verb::Demo(args) => args.run().await,
            Verb::Status(args) => args.run(output).await,
            Verb::Publish(args) => args.run(output).await,
            Verb::Import(args) => args.run(output).await,
            Verb::Read(args) => args.run(output).await,
            Verb::State(args) => args.run(output).await,
            Verb::Tail(args) => args.run(output).await,
            Verb::Replay(args) => args.run(output).await,
            Verb::Model(args) => args.run(output).await,
            Verb::Projection(args) => args.run(output).await,
            Verb::Doctor(args) => args.run(output).await,
        };
        done.map(|()| ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_may_follow_the_verbs() {
        for line in [
            "spina read flight-1 --output json --dir x --context flights",
            "spina model list carrier_punctuality --all --dir x --output ndjson",
            "spina projection rebuild flights/carrier_punctuality --dir x",
            "spina topology plan --dir x",
            "spina publish flight-1 FlightLanded --expected-version no_stream --data -",
            "spina replay --context flights --type A --type B --from 2013-01-01T00:00:00Z --to 2013-01-02T00:00:00Z",
            "spina demo --limit-days 3 --free-ports",
        ] {
            if let Err(error) = Cli::try_parse_from(line.split(' ')) {
                panic!("{line}: {error}");
            }
        }
        for line in ["spina read flight", "spina demo --limit-days 0", "spina publish flight-1 X --expected-version -1"]
        {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
