//! `spina dead-letter`: events that a model could not take, and what becomes of them.

mod topic;

use std::io::Read as _;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Subcommand;
use serde_json::{Value, json};

use crate::client::{Client, Service};
use crate::output::{self, Format};
use crate::reach::{InContext, Reach};
use crate::table::{Table, cell};

/// Keys that one call of a redrive tries at most.
const KEYS_MAX: u32 = 1000;

/// See and settle events that a model could not take
///
/// Such an event is parked with its key: later events of the key wait behind it in order, all others flow. A decision
/// (skip, edit, drop) is kept, and every rebuild of the model does as was decided.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(List),
    /// Show one letter with its record, its headers and its error
    Show {
        /// Number of the letter
        id: i64,
    },
    /// Try the letters of a letter's key again, in order
    Retry {
        /// Number of a letter of the key
        id: i64,
    },
    /// Do without one event; those behind it are then tried
    Skip {
        /// Number of the letter
        id: i64,
        #[command(flatten)]
        why: Why,
    },
    /// Take an event with other fields, then try its key
    Edit {
        /// Number of the letter
        id: i64,
        /// All its fields as JSON; - reads standard input
        #[arg(long, value_name = "JSON")]
        data: String,
        #[command(flatten)]
        why: Why,
    },
    /// Do without all that waits of a letter's key
    Drop {
        /// Number of a letter of the key
        id: i64,
        #[command(flatten)]
        why: Why,
    },
    Redrive(Redrive),
    Topic(topic::Topic),
}

/// Who decides, and why.
#[derive(Debug, clap::Args)]
struct Why {
    /// Why; kept with the decision
    #[arg(long, default_value = "")]
    reason: String,
    /// Who decides; kept with the decision
    #[arg(long, env = "USER", default_value = "")]
    by: String,
}

/// List letters
#[derive(Debug, clap::Args)]
struct List {
    /// Only of this model, such as aircraft or flights/aircraft
    model: Option<String>,
    #[command(flatten)]
    context: InContext,
    /// Only refused for this class of error, such as expression
    #[arg(long)]
    class: Option<String>,
    /// Only of this key, which is a stream
    #[arg(long)]
    key: Option<String>,
    /// Most letters
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

/// Try many keys of a model again, such as after its definition was mended
#[derive(Debug, clap::Args)]
struct Redrive {
    /// The model, such as aircraft or flights/aircraft
    model: String,
    #[command(flatten)]
    context: InContext,
    /// Only keys whose first letter was refused for this class of error
    #[arg(long)]
    class: Option<String>,
    /// Most keys tried per second
    #[arg(long, value_name = "KEYS_PER_SECOND")]
    rate: Option<NonZeroU32>,
    /// Only count what would be tried
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    /// Asks, tells, prints.
    pub async fn run(self, format: Format) -> Result<()> {
        let Self { verb, reach } = self;
        let client = || reach.client();
        match verb {
            Verb::Topic(topic) => topic.run(&reach, format).await,
            Verb::List(list) => list.run(&client()?, format).await,
            Verb::Show { id } => show(&client()?, id, format).await,
            Verb::Retry { id } => settle(&client()?, id, "retry", json!({}), format).await,
            Verb::Skip { id, why } => settle(&client()?, id, "skip", why.body(), format).await,
            Verb::Drop { id, why } => settle(&client()?, id, "drop", why.body(), format).await,
            Verb::Edit { id, data, why } => {
                let mut body = why.body();
                body["data"] = fields(&data)?;
                settle(&client()?, id, "edit", body, format).await
            }
            Verb::Redrive(redrive) => redrive.run(&client()?, format).await,
        }
    }
}

impl Why {
    fn body(self) -> Value {
        json!({ "reason": self.reason, "by": self.by })
    }
}

impl List {
    async fn run(self, client: &Client, format: Format) -> Result<()> {
        let mut query = vec![("limit", self.limit.to_string())];
        query.extend(self.class.map(|class| ("class", class)));
        query.extend(self.key.map(|key| ("key", key)));
        let (context, model) = match self.model.as_deref().map(|name| name.split_once('/').unwrap_or(("", name))) {
            Some(("", model)) => (self.context.given().map(ToString::to_string), Some(model)),
            Some((context, model)) => (Some(context.to_owned()), Some(model)),
            None => (self.context.given().map(ToString::to_string), None),
        };
        query.extend(context.map(|context| ("context", context)));
        query.extend(model.map(|model| ("model", model.to_owned())));
        let page = client.get(Service::Projector, "/v1/dead-letters", &query).await?;
        match format {
            Format::Json => output::json(&page),
            Format::Ndjson => page["letters"].as_array().into_iter().flatten().try_for_each(output::json),
            Format::Text => {
                output::line(table(&page))?;
                if page["cursor"].is_number() {
                    output::note("there are more letters: --limit");
                }
                Ok(())
            }
        }
    }
}

fn table(page: &Value) -> Table {
    let mut table = Table::new(["id", "model", "key", "state", "class", "event", "error"]);
    for letter in page["letters"].as_array().into_iter().flatten() {
        let model = format!("{}/{}", cell(&letter["context"]), cell(&letter["model"]));
        let event = cell(&letter["event_type"]);
        let event = event.rsplit('.').next().unwrap_or_default().to_owned();
        let field = |name: &str| cell(&letter[name]);
        table.row([field("id"), model, field("key"), field("state"), field("class"), event, field("error")]);
    }
    table
}

async fn show(client: &Client, id: i64, format: Format) -> Result<()> {
    let letter = client.get(Service::Projector, &format!("/v1/dead-letters/{id}"), &[]).await?;
    if format != Format::Text {
        return output::json(&letter);
    }
    let mut table = Table::new(["field", "value"]);
    for (field, value) in letter.as_object().into_iter().flatten().filter(|(field, _)| *field != "headers") {
        table.row([field.clone(), cell(value)]);
    }
    for header in letter["headers"].as_array().into_iter().flatten() {
        let value = if header["text"].is_string() { &header["text"] } else { &header["base64"] };
        table.row([format!("header {}", cell(&header["name"])), cell(value)]);
    }
    output::line(table)
}

async fn settle(client: &Client, id: i64, verb: &str, body: Value, format: Format) -> Result<()> {
    let outcome = client.post(Service::Projector, &format!("/v1/dead-letters/{id}/{verb}"), &body).await?;
    tell(&outcome, &outcome, format)
}

/// The fields of an event, from the argument or standard input.
fn fields(data: &str) -> Result<Value> {
    let mut text = data.to_owned();
    if data == "-" {
        text.clear();
        std::io::stdin().read_to_string(&mut text).context("read standard input")?;
    }
    serde_json::from_str(&text).with_context(|| format!("read --data: {}", PathBuf::from(data).display()))
}

fn tell(whole: &Value, outcome: &Value, format: Format) -> Result<()> {
    match format {
        Format::Json | Format::Ndjson => output::json(whole),
        Format::Text => {
            let count = |field: &str| outcome[field].as_u64().unwrap_or(0);
            let (applied, left_out, refused) = (count("applied"), count("left_out"), count("refused"));
            output::line(format!("{applied} applied, {left_out} left out, {refused} keys refused again"))?;
            if let Some(error) = outcome["error"].as_str() {
                output::note(format!("refused: {error}"));
            }
            Ok(())
        }
    }
}

impl Redrive {
    async fn run(self, client: &Client, format: Format) -> Result<()> {
        let (context, model) = match self.model.split_once('/') {
            Some((context, model)) => (context.to_owned(), model.to_owned()),
            None => (self.context.of_model(client, &self.model).await?.to_string(), self.model.clone()),
        };
        // With a rate, a call for each second of it.
        let keys_max = self.rate.map_or(KEYS_MAX, |rate| rate.get().min(KEYS_MAX));
        let mut body = json!({ "context": context, "model": model, "class": self.class, "keys_max": keys_max,
            "dry_run": self.dry_run });
        let mut done = json!({ "keys": 0, "letters": 0, "applied": 0, "left_out": 0, "refused": 0 });
        let bar = output::progress(None, "keys");
        loop {
            let begun = tokio::time::Instant::now();
            let part = client.post(Service::Projector, "/v1/dead-letters/redrive", &body).await?;
            add(&mut done, &part);
            bar.inc(part["keys"].as_u64().unwrap_or(0));
            let Some(cursor) = part["cursor"].as_i64() else { break };
            body["cursor"] = cursor.into();
            if let Some(rate) = self.rate.filter(|_| !self.dry_run) {
                let pace = Duration::from_secs_f64(f64::from(keys_max) / f64::from(rate.get()));
                tokio::time::sleep_until(begun + pace).await;
            }
        }
        bar.finish_and_clear();
        if self.dry_run && format == Format::Text {
            return output::line(format!("{} keys with {} letters would be tried", done["keys"], done["letters"]));
        }
        tell(&done, &done, format)
    }
}

fn add(done: &mut Value, part: &Value) {
    for (field, of) in [("keys", part), ("letters", part)]
        .into_iter()
        .chain(["applied", "left_out", "refused"].map(|field| (field, &part["outcome"])))
    {
        done[field] = (done[field].as_u64().unwrap_or(0) + of[field].as_u64().unwrap_or(0)).into();
    }
    if part["outcome"]["error"].is_string() {
        done["error"] = part["outcome"]["error"].clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_redrive_add_up() {
        let mut done = json!({ "keys": 0, "letters": 0, "applied": 0, "left_out": 0, "refused": 0 });
        let part = json!({ "keys": 2, "letters": 5, "outcome": { "applied": 4, "refused": 1, "error": "x" } });
        add(&mut done, &part);
        add(&mut done, &part);
        let sum = json!({ "keys": 4, "letters": 10, "applied": 8, "left_out": 0, "refused": 2, "error": "x" });
        assert_eq!(done, sum);
    }
}
