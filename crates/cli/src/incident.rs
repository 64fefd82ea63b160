//! `spina incident`: what the correlation led to, why, and what people do about it.

mod learn;

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};

use crate::client::{Client, Service, segment};
use crate::output::{self, Format};
use crate::reach::Reach;
use crate::table::{Table, cell};

/// See incidents and say what becomes of them
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the incidents, the latest first
    List {
        /// Only those in this state
        #[arg(long, value_parser = ["open", "acknowledged", "mitigated", "resolved", "merged"])]
        state: Option<String>,
        /// Only those with such a label, as in rule="flights/storm"; may come several times
        #[arg(long = "match", value_name = "MATCHER")]
        matchers: Vec<String>,
    },
    /// Show one incident and all that happened to it
    Show {
        /// Its id
        id: String,
    },
    /// Tell why it was opened: rule, evidence, what else was considered, and what was asked since
    Explain {
        /// Its id
        id: String,
    },
    /// Show who was told, what is on its way, and what was given up
    Notifications {
        /// Only pending, delivered or dead ones (given up)
        #[arg(long, value_parser = ["pending", "delivered", "dead"])]
        outcome: Option<String>,
        /// Only those of a receiver
        #[arg(long)]
        receiver: Option<String>,
    },
    /// Propose rules from what came together before; nothing of it is put in force
    Learn(learn::Learn),
    /// Say that you look after it
    Ack(Said),
    /// Say that nobody suffers from it any more; a further signal reopens it
    Mitigate(Said),
    /// Say that it is not over after all
    Reopen(Said),
    /// Say that it is over
    Resolve(Said),
}

#[derive(Debug, clap::Args)]
struct Said {
    /// The incident's id
    id: String,
    /// Who you are
    #[arg(long, env = "USER")]
    by: String,
    /// What others should know
    #[arg(long, default_value = "")]
    comment: String,
}

impl Args {
    /// Asks, tells, prints.
    pub async fn run(self, format: Format) -> Result<()> {
        let client = self.reach.client()?;
        match self.verb {
            Verb::List { state, matchers } => {
                let filters = matchers.into_iter().map(|matcher| ("filter", matcher));
                let query: Vec<_> = state.map(|state| ("state", state)).into_iter().chain(filters).collect();
                let answer = client.get(Service::AlertCorrelator, "/v1/incidents", &query).await?;
                print(&answer, format)
            }
            Verb::Show { id } => output::json(&get(&client, &id).await?),
            Verb::Explain { id } => {
                let incident = get(&client, &id).await?;
                match format {
                    Format::Json | Format::Ndjson => {
                        let mut opened = incident["events"][0].clone();
                        opened["actions"] = incident["actions"].clone();
                        output::json(&opened)
                    }
                    Format::Text => output::line(explained(&incident)),
                }
            }
            Verb::Notifications { outcome, receiver } => {
                let outcome = outcome.map(|outcome| ("outcome", outcome));
                let query: Vec<_> = outcome.into_iter().chain(receiver.map(|name| ("receiver", name))).collect();
                notifications(&client.get(Service::AlertCorrelator, "/v1/notifications", &query).await?, format)
            }
            Verb::Learn(learn) => learn.run(&client, format).await,
            Verb::Ack(said) => said.say(&client, "acknowledge", format).await,
            Verb::Mitigate(said) => said.say(&client, "mitigate", format).await,
            Verb::Reopen(said) => said.say(&client, "reopen", format).await,
            Verb::Resolve(said) => said.say(&client, "resolve", format).await,
        }
    }
}

impl Said {
    async fn say(self, client: &Client, verb: &str, format: Format) -> Result<()> {
        let path = format!("/v1/incidents/{}/{verb}", segment(&self.id));
        let body = json!({ "by": self.by, "comment": self.comment });
        let incident = client.post(Service::AlertCorrelator, &path, &body).await?;
        match format {
            Format::Json | Format::Ndjson => output::json(&incident),
            Format::Text => output::line(format!("{}: {}", self.id, cell(&incident["state"]))),
        }
    }
}

async fn get(client: &Client, id: &str) -> Result<Value> {
    Ok(client.get(Service::AlertCorrelator, &format!("/v1/incidents/{}", segment(id)), &[]).await?)
}

fn print(answer: &Value, format: Format) -> Result<()> {
    let incidents = answer["incidents"].as_array().map(Vec::as_slice).unwrap_or_default();
    match format {
        Format::Json => output::json(answer),
        Format::Ndjson => incidents.iter().try_for_each(output::json),
        Format::Text => output::line(table(incidents)),
    }
}

fn notifications(answer: &Value, format: Format) -> Result<()> {
    let all = answer["notifications"].as_array().map(Vec::as_slice).unwrap_or_default();
    match format {
        Format::Json => output::json(answer),
        Format::Ndjson => all.iter().try_for_each(output::json),
        Format::Text => {
            let fields = ["notification", "at", "receiver", "outcome", "attempts"];
            let mut table = Table::new(["id", "decided", "receiver", "outcome", "attempts", "incidents", "error"]);
            for told in all {
                let incidents = told["notices"].as_array().map_or(0, Vec::len);
                let cells = fields.map(|field| cell(&told[field])).into_iter();
                table.row(cells.chain([incidents.to_string(), cell(&told["error"])]));
            }
            output::line(table)
        }
    }
}

/// Incidents as a table.
pub fn table(incidents: &[Value]) -> Table {
    let fields = ["id", "state", "severity", "opened_at", "count", "rule", "summary"];
    let mut table = Table::new(["id", "state", "severity", "opened", "signals", "rule", "summary"]);
    for incident in incidents {
        table.row(fields.map(|field| cell(&incident[field])));
    }
    table
}

/// Why an incident was opened, for people.
fn explained(incident: &Value) -> String {
    let opened = &incident["events"][0]["IncidentOpened"];
    let text = cell;
    let mut lines = vec![
        text(&opened["summary"]),
        format!(
            "rule {} (rules {}): {}",
            text(&opened["rule"]),
            text(&opened["rules_version"]),
            text(&opened["reason"])
        ),
        format!("opened at {}, began at {}", text(&opened["at"]), text(&opened["began_at"])),
        "evidence:".to_owned(),
    ];
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    lines.extend(
        list(&opened["evidence"])
            .iter()
            .map(|e| format!("  {}  {}  {}", text(&e["time"]), text(&e["id"]), e["labels"])),
    );
    let alternatives = list(&opened["alternatives"]);
    if !alternatives.is_empty() {
        lines.push("also considered:".to_owned());
    }
    lines
        .extend(alternatives.iter().map(|a| format!("  {}: {} {}", text(&a["rule"]), text(&a["verdict"]), a["group"])));
    let actions = list(&incident["actions"]);
    if !actions.is_empty() {
        lines.push("actions:".to_owned());
    }
    lines.extend(actions.iter().map(action));
    lines.join("\n")
}

/// A command that was asked, or why it was not.
fn action(action: &Value) -> String {
    let [on, command, stream] = ["on", "command", "stream"].map(|field| cell(&action[field]));
    let withheld = action["withheld"].as_str().map_or_else(String::new, |why| format!(": withheld, {why}"));
    format!("  when {on}: {command} of {stream} {}{withheld}", action["fields"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explanation_names_rule_evidence_and_alternatives() {
        let opened = json!({
            "summary": "61 flights cancelled at EWR", "rule": "flights/storm", "rules_version": "v", "reason": "60 of 60",
            "at": "2013-02-08T12:00:00Z", "began_at": "2013-02-08T10:00:00Z",
            "evidence": [{ "time": "2013-02-08T10:00:00Z", "id": "e-1", "labels": { "airport": "EWR" } }],
            "alternatives": [{ "rule": "flights/carrier-trouble", "verdict": "7 of 25 signals", "group": {} }],
        });
        let actions = json!([
            { "on": "opened", "command": "ops.Close", "stream": "airport-EWR", "fields": { "why": "snow" }, "withheld": null },
            { "on": "resolved", "command": "ops.Open", "stream": "airport-EWR", "fields": {}, "withheld": "silenced by s1" },
        ]);
        let text = explained(&json!({ "events": [{ "IncidentOpened": opened }], "actions": actions }));
        let asked = "actions:\n  when opened: ops.Close of airport-EWR {\"why\":\"snow\"}\n  \
                     when resolved: ops.Open of airport-EWR {}: withheld, silenced by s1";
        assert!(text.ends_with(asked), "{text}");
        for word in ["61 flights", "flights/storm", "60 of 60", "e-1", "also considered", "7 of 25 signals"] {
            assert!(text.contains(word), "{word}: {text}");
        }
    }
}
