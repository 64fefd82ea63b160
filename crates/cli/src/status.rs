//! `spina status`: what runs, what there is, how far everything is.

use anyhow::Result;
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use crate::observe::{Observed, Topic, observe};
use crate::output::{self, Format};
use crate::projection;
use crate::reach::Reach;
use crate::table::Table;

/// Show what runs: servers, services, topics, projections and their lag
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    reach: Reach,
}

impl Args {
    /// Asks and prints; fails if anything that should run does not.
    pub async fn run(self, format: Format) -> Result<()> {
        let seen = Box::pin(observe(&self.reach)).await?;
        match format {
            Format::Json | Format::Ndjson => output::json(&document(&seen))?,
            Format::Text => text(&seen)?,
        }
        let down: Vec<&str> = seen
            .services
            .iter()
            .filter(|health| health.status == "unreachable" || health.status == "not_ready")
            .map(|health| health.name)
            .chain(seen.kafka.is_err().then_some("kafka"))
            .chain(seen.registry.is_err().then_some("registry"))
            .collect();
        if down.is_empty() {
            return Ok(());
        }
        let message = format!("not ready: {}", down.join(", "));
        Err(Failure::new(Exit::Unavailable, "state.unavailable", message).help("spina doctor tells why").into())
    }
}

fn text(seen: &Observed) -> Result<()> {
    let mut table = Table::new(["what", "status", "where", "why"]);
    let server = |answer: Result<String, &String>| match answer {
        Ok(about) => ["up".to_owned(), about],
        Err(why) => ["unreachable".to_owned(), why.clone()],
    };
    let kafka = server(seen.kafka.as_ref().map(|kafka| format!("{} broker", kafka.brokers)));
    let registry = server(seen.registry.as_ref().map(|subjects| format!("{subjects} subjects")));
    for (name, [status, about]) in [("kafka", kafka), ("registry", registry)] {
        table.row([name.to_owned(), status, String::new(), about]);
    }
    if let Some(postgres) = &seen.postgres {
        let [status, about] = server(postgres.as_ref().map(|()| String::new()));
        table.row(["postgres".to_owned(), status, String::new(), about]);
    }
    for health in &seen.services {
        table.row([health.name.to_owned(), health.status.clone(), health.url.clone(), health.reasons.join("; ")]);
    }
    output::line(table)?;
    if !seen.topics.is_empty() {
        let mut table = Table::new(["topic", "partitions", "offsets", "open transactions"]);
        for topic in &seen.topics {
            let numbers = [topic.ends.len().to_string(), topic.offsets().to_string(), topic.open.len().to_string()];
            table.row([topic.name.clone()].into_iter().chain(numbers));
        }
        output::line(format!("\n{table}"))?;
    }
    if let Some(owners) = seen.contexts.as_ref().ok().and_then(|contexts| owners(contexts)) {
        output::line(format!("\n{owners}"))?;
    }
    match &seen.projections {
        Ok(projections) if projections.is_empty() => Ok(()),
        Ok(projections) => output::line(format!("\n{}", projection::table(projections))),
        Err(_) => Ok(()),
    }
}

/// Who serves each partition; none if there is no context.
fn owners(contexts: &[Value]) -> Option<Table> {
    let mut table = Table::new(["context", "partition", "owner", "epoch"]);
    let mut any = false;
    for context in contexts {
        let owners = context["owners"].as_array().map(Vec::as_slice).unwrap_or_default();
        for partition in 0..context["partitions"].as_u64().unwrap_or(0) {
            let owner = owners.iter().find(|owner| owner["partition"] == partition);
            let text = |field: &str| owner.map_or(Value::Null, |owner| owner[field].clone());
            let endpoint = text("endpoint").as_str().unwrap_or("nobody").to_owned();
            let name = context["name"].as_str().unwrap_or("?").to_owned();
            table.row([name, partition.to_string(), endpoint, text("epoch").to_string().replace("null", "")]);
            any = true;
        }
    }
    any.then_some(table)
}

fn document(seen: &Observed) -> Value {
    let server = |error: Option<&String>| match error {
        None => json!({ "status": "up" }),
        Some(why) => json!({ "status": "unreachable", "reason": why }),
    };
    json!({
        "servers": {
            "kafka": server(seen.kafka.as_ref().err()),
            "registry": server(seen.registry.as_ref().err()),
            "postgres": seen.postgres.as_ref().map(|answer| server(answer.as_ref().err())),
        },
        "services": seen.services,
        "topics": seen.topics.iter().map(topic).collect::<Vec<_>>(),
        "contexts": seen.contexts.as_ref().unwrap_or(&Vec::new()),
        "projections": seen.projections.as_ref().unwrap_or(&Vec::new()),
    })
}

fn topic(topic: &Topic) -> Value {
    let partitions = topic.ends.iter().map(|ends| {
        json!({ "partition": ends.partition, "earliest": ends.earliest, "stable": ends.stable, "high": ends.high })
    });
    json!({ "topic": topic.name, "partitions": partitions.collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_partition_is_shown_with_its_owner_or_nobody() {
        let owner = json!({ "partition": 1, "epoch": 7, "endpoint": "http://one:7401" });
        let shown = owners(&[json!({ "name": "flights", "partitions": 2, "owners": [owner] })]).unwrap().to_string();
        let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["flights", "0", "nobody"]);
        assert_eq!(lines[2], ["flights", "1", "http://one:7401", "7"]);
        assert!(owners(&[]).is_none());
    }
}
