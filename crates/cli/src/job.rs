//! `spina job`: replays that run in the projector.

use std::time::Duration;

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};

use crate::client::{Client, Service, retry, segment};
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};
use crate::reach::Reach;
use crate::table::{Table, cell};

/// How often the state of a job is asked for.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// See and steer replay jobs, which `spina replay --into` asks for
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List jobs, the latest first
    List {
        /// Only those that are running, paused, cancelled, done or failed
        #[arg(long)]
        state: Option<String>,
        /// Most jobs
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Show one job with all that was done with it
    Show {
        /// Its id
        id: String,
    },
    /// Let a job rest
    Pause(Said),
    /// Go on with a job that rests, or that failed
    Resume(Said),
    /// Give a job up; what it has written stays
    Cancel(Said),
}

/// Which job, and why.
#[derive(Debug, clap::Args)]
struct Said {
    /// Id of the job
    id: String,
    #[command(flatten)]
    why: Why,
}

/// Who wants it, and why.
#[derive(Debug, clap::Args)]
pub struct Why {
    /// Why; kept with the job
    #[arg(long, default_value = "")]
    pub reason: String,
    /// Who wants it; kept with the job
    #[arg(long, env = "USER", default_value = "")]
    pub by: String,
}

impl Args {
    /// Asks, tells, prints.
    pub async fn run(self, format: Format) -> Result<()> {
        let client = self.reach.client()?;
        match self.verb {
            Verb::List { state, limit } => {
                let mut query = vec![("limit", limit.to_string())];
                query.extend(state.map(|state| ("state", state)));
                let answer = client.get(Service::Projector, "/v1/jobs", &query).await?;
                let jobs = answer["jobs"].as_array().map(Vec::as_slice).unwrap_or_default();
                match format {
                    Format::Json => output::json(&answer),
                    Format::Ndjson => jobs.iter().try_for_each(output::json),
                    Format::Text => output::line(table(jobs)),
                }
            }
            Verb::Show { id } => output::json(&client.get(Service::Projector, &path(&id), &[]).await?),
            Verb::Pause(said) => said.say(&client, "pause", format).await,
            Verb::Resume(said) => said.say(&client, "resume", format).await,
            Verb::Cancel(said) => said.say(&client, "cancel", format).await,
        }
    }
}

impl Said {
    async fn say(self, client: &Client, verb: &str, format: Format) -> Result<()> {
        let body = json!({ "reason": self.why.reason, "by": self.why.by });
        let job = client.post(Service::Projector, &format!("{}/{verb}", path(&self.id)), &body).await?;
        print(&job, format)
    }
}

fn path(id: &str) -> String {
    format!("/v1/jobs/{}", segment(id))
}

/// Prints a job.
pub fn print(job: &Value, format: Format) -> Result<()> {
    match format {
        Format::Json | Format::Ndjson => output::json(job),
        Format::Text => {
            let [id, state, matched] = ["id", "state", "matched"].map(|field| cell(&job[field]));
            let only = if job["spec"]["dry_run"] == true { ", only counted" } else { "" };
            // What the projector said when it ended.
            let last = job["log"].as_array().and_then(|log| log.last()).filter(|_| job["state"] == "done");
            let said = last.and_then(|entry| entry["reason"].as_str()).filter(|said| !said.is_empty());
            let said = said.map(|said| format!(", {said}")).unwrap_or_default();
            output::line(format!("job {id}: {state}, {matched} events{only}{said}"))
        }
    }
}

/// Jobs as a table.
fn table(jobs: &[Value]) -> Table {
    let fields = ["id", "context", "state", "matched", "done", "total", "requested_by", "reason", "error"];
    let mut table = Table::new(["id", "context", "state", "events", "done", "of", "who", "why", "last error"]);
    for job in jobs {
        table.row(fields.map(|field| cell(&job[field])));
    }
    table
}

/// Shows the progress of a job until it ends or rests; the job as it is then.
pub async fn follow(client: &Client, id: &str, give_up: Duration) -> Result<Value> {
    let (bar, path) = (output::progress(Some(0), "records"), path(id));
    loop {
        // The projector may be restarted meanwhile: the job is taken up again.
        let job = retry::until_settled(give_up, || client.get(Service::Projector, &path, &[])).await;
        let job = job.inspect_err(|_| bar.abandon())?;
        bar.set_length(job["total"].as_u64().unwrap_or(0));
        bar.set_position(job["done"].as_u64().unwrap_or(0));
        match job["state"].as_str() {
            Some("running") => {}
            Some("done") => {
                bar.finish_and_clear();
                return Ok(job);
            }
            state => {
                bar.abandon();
                let why = job["error"].as_str().map(|why| format!(": {why}")).unwrap_or_default();
                let message = format!("job {id} is {}{why}", state.unwrap_or("in an unknown state"));
                let help = format!("spina job resume {id} goes on with it");
                return Err(Failure::new(Exit::Failed, "job.ended", message).help(help).into());
            }
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}
