//! The command line: verbs and what they share.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::output::Format;
use crate::{
    audit, command, connect, dead_letter, demo, doctor, export, failure, import, incident, job, model, outbox,
    projection, publish, read, replay, rules, saga, snapshot, stack, state, status, tail, topology,
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
    Command(command::Args),
    Import(import::Args),
    Read(read::Args),
    State(state::Args),
    Tail(tail::Args),
    Replay(replay::Args),
    Job(job::Args),
    Model(model::Args),
    Projection(projection::Args),
    DeadLetter(dead_letter::Args),
    Incident(incident::Args),
    Rules(rules::Args),
    Saga(saga::Args),
    Snapshot(snapshot::Args),
    Audit(audit::Args),
    Connect(connect::Args),
    Outbox(outbox::Args),
    Doctor(doctor::Args),
    Export(export::Args),
}

impl Cli {
    /// Does it.
    pub async fn run(self) -> Result<ExitCode> {
        let output = self.output;
        let done = match self.verb {
            // They have exit codes of their own.
            Verb::Topology(args) => return args.run(output).await,
            Verb::Audit(args) => return args.run(output).await,
            Verb::Rules(args) => return args.run(output).await,
            Verb::Up(args) => args.run().await,
            Verb::Down(args) => args.run().await,
            Verb::Demo(args) => args.run().await,
            Verb::Status(args) => args.run(output).await,
            Verb::Publish(args) => args.run(output).await,
            Verb::Command(args) => args.run(output).await,
            Verb::Import(args) => args.run(output).await,
            Verb::Read(args) => args.run(output).await,
            Verb::State(args) => args.run(output).await,
            Verb::Tail(args) => args.run(output).await,
            Verb::Replay(args) => args.run(output).await,
            Verb::Job(args) => args.run(output).await,
            Verb::Model(args) => args.run(output).await,
            Verb::Projection(args) => args.run(output).await,
            Verb::DeadLetter(args) => args.run(output).await,
            Verb::Incident(args) => args.run(output).await,
            Verb::Saga(args) => args.run(output).await,
            Verb::Snapshot(args) => args.run(output).await,
            Verb::Connect(args) => args.run(output).await,
            Verb::Outbox(args) => args.run(output).await,
            Verb::Doctor(args) => args.run(output).await,
            Verb::Export(args) => args.run(output).await,
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
            "spina read flight-1 --from-time 2013-01-01T00:00:00Z --direction backward --from-version 7",
            "spina read --since f.events.v1:0:17 --type A --type B --category flight --limit 1000",
            "spina model list carrier_punctuality --all --dir x --output ndjson",
            "spina projection rebuild flights/carrier_punctuality --dir x",
            "spina projection pause aircraft --rebuild",
            "spina projection roll-back flights/aircraft --output json",
            "spina topology plan --dir x",
            "spina topology plan --check --output json",
            "spina export strimzi --cluster main --connect-cluster around --replication 1",
            "spina publish flight-1 FlightLanded --expected-version no_stream --data -",
            "spina replay --context flights --type A --type B --from 2013-01-01T00:00:00Z --to 2013-01-02T00:00:00Z",
            "spina replay --context flights --into topic:copy --correlation c-1 --rate 5 --dry-run --reason why --no-wait",
            "spina job pause 0198 --reason busy --by me --output json",
            "spina job list --state running --limit 5",
            "spina demo --limit-days 3 --free-ports",
            "spina audit flights --streams 50 --seed 7 --repair --output json",
            "spina audit model flights/aircraft --keys 50 --seed 7 --repair --dir x --output json",
            "spina replay --context flights --into projection:aircraft --type FlightLanded --dry-run",
            "spina snapshot flight-1 --context flights",
            "spina dead-letter list flights/aircraft --class value --key flight-1 --limit 5",
            "spina dead-letter edit 7 --data - --reason typo --by me --output json",
            "spina dead-letter redrive aircraft --context flights --class expression --rate 100 --dry-run",
            "spina connect restart flights.outbox --all --dir x",
            "spina outbox flights --table app.outbox --once --output json",
            "spina incident list --state open --match rule=flights/storm --output json",
            "spina incident ack 0123456789abcdef --by ann --comment mine",
            "spina incident learn monitoring --from 2026-01-01T00:00:00Z --frame 2m --output json",
            "spina rules backtest flights --rules draft.yaml --from 2013-02-01T00:00:00Z --at-most 9 --reference known.yaml",
            "spina saga skip saga-rebook-17 --step hold --reason done --dir x",
            "spina saga list --state stuck --output json",
            "spina saga retry --state stuck --definition rebook --older-than 60 --dry-run --reason back --by me",
            "spina saga breaker reset http://stub:1 --reason back --output json",
            "spina saga replay --id saga-rebook-17 --definition rebook --write log.ndjson --dir x",
        ] {
            if let Err(error) = Cli::try_parse_from(line.split(' ')) {
                panic!("{line}: {error}");
            }
        }
        for line in [
            "spina read flight",
            "spina read flight-1 --since latest",
            "spina read --from-version 3",
            "spina demo --limit-days 0",
            "spina replay --context flights --rate 5",
            "spina replay --context flights --into copy",
            "spina publish flight-1 X --expected-version -1",
            "spina saga retry --reason back",
            "spina saga resolve saga-rebook-17 --state stuck --reason done",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
