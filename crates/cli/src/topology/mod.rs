//! `spina topology`: contexts, topics and schemas as data.
//!
//! ```text
//! topology/, schemas/ --desired::read--> Desired -+
//!                                                 +-- diff (pure) --> Plan --> render, carry_out
//! cluster, registry  --actual::read---> Actual  --+
//! ```
//!
//! Everything is checked before anything is done, and all problems are told at once. Nothing is ever deleted.

mod actual;
mod avro;
mod carry_out;
mod compatibility;
mod connectors;
pub mod desired;
mod diff;
mod evolution;
mod frozen;
mod notices;
mod plan;
mod render;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use spina_codec::Readings;
use spina_codec::registry::{RegistryClient, RegistryError};
use spina_core::ContextName;
use spina_log::LogConfig;
use spina_log::admin::Admin;
use spina_rules::context::{self, CONTEXT_FILE};

use crate::connect::api::Connect;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};
use crate::reach::Reach;
use actual::Actual;
use carry_out::{carry_out, settle};
use desired::{Desired, Files};
pub use plan::Counts;
use plan::{Action, Plan};

/// Exit code of `spina topology plan` where there is something to apply.
const CHANGES_PENDING: u8 = 2;

/// Show or apply what topology/ and schemas/ ask for: topics in Kafka, schemas in the registry
#[derive(Debug, Args)]
pub struct TopologyArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Check the files and show what would change
    ///
    /// Exit code 0: no changes. 2: there are changes to apply. 3: the files have problems, or ask for what cannot be.
    Plan {
        #[command(flatten)]
        place: Where,
        /// Exit with 2 for any difference, also one that apply does not mend: what is declared nowhere, another
        /// replication, connectors that no worker was asked about
        #[arg(long)]
        check: bool,
    },
    /// Keep the schemas as they are now, with a sample of each, as the next released versions
    ///
    /// Writes schemas/<context>/released/<Event>.<n>.avsc and .json for each schema that was not kept before. Changes
    /// nothing that is kept; how a sample is read today is changed by hand, and checked by plan and apply.
    Freeze(Folders),
    /// Check the files and make the cluster and the registry as they say
    ///
    /// Creates topics, corrects their settings, registers schemas. Never deletes anything. Can be interrupted and run
    /// again; running it twice changes nothing.
    Apply(Where),
    /// Show which versions of each schema read what which others have written
    ///
    /// By the rules that plans are held to, upcasters included, beside what the registry's level promises.
    Compatibility {
        #[command(flatten)]
        place: Where,
        /// Only subjects with this in their names
        #[arg(long, default_value = "", hide_default_value = true)]
        subject: String,
    },
}

/// Where the files are.
#[derive(Debug, Clone, Args)]
pub struct Folders {
    /// Folder with a sub-folder for each context
    #[arg(long, env = "SPINA_TOPOLOGY_DIR", default_value = "topology")]
    pub topology_dir: PathBuf,
    /// Folder with the Avro schemas, a sub-folder for each context
    #[arg(long, env = "SPINA_SCHEMAS_DIR", default_value = "schemas")]
    pub schemas_dir: PathBuf,
}

/// Where the files and the servers are.
#[derive(Debug, Args)]
struct Where {
    #[command(flatten)]
    folders: Folders,
    #[command(flatten)]
    reach: Reach,
}

/// What is to become of a plan.
#[derive(Debug, Clone, Copy)]
enum Intent {
    Show { check: bool },
    Apply,
}

/// What [`apply`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Applied {
    /// How many things it added and changed; both 0 where all was well already.
    pub counts: Counts,
}

impl TopologyArgs {
    /// Does it. The exit code of a plan tells whether there is something to apply.
    pub async fn run(self, format: Format) -> Result<ExitCode> {
        let (place, intent) = match self.verb {
            Verb::Plan { place, check } => (place, Intent::Show { check }),
            Verb::Apply(place) => (place, Intent::Apply),
            Verb::Freeze(folders) => return freeze(&folders, format),
            Verb::Compatibility { place, subject } => return compatibility(&place, &subject, format).await,
        };
        let (kafka, registry_url) = (place.reach.kafka()?, place.reach.registry()?);
        let Folders { topology_dir, schemas_dir } = &place.folders;
        let connect = place.reach.connect().ok();
        let connect = connect.map(|url| Connect::new(&url, place.reach.timeout())).transpose()?;
        match prepare(&kafka, &registry_url, connect, topology_dir, schemas_dir).await? {
            Prepared::Refused(plan) => {
                if format != Format::Text {
                    output::json(&render::json(&plan))?;
                }
                Err(refusal(&plan).into())
            }
            Prepared::Ready(ready) => match intent {
                Intent::Apply => ready.apply_aloud(format).await,
                Intent::Show { check } => ready.show(format, check),
            },
        }
    }
}

/// Checks the files, and makes Kafka at `kafka` (`host:port`) and the registry's Confluent API at `registry_url` as they
/// say; connectors are left alone. The error tells every problem there is.
pub async fn apply(kafka: &str, registry_url: &str, topology_dir: &Path, schemas_dir: &Path) -> Result<Applied> {
    match prepare(kafka, registry_url, None, topology_dir, schemas_dir).await? {
        Prepared::Refused(plan) => Err(refusal(&plan).into()),
        Prepared::Ready(ready) => ready.apply(|_| {}).await,
    }
}

fn freeze(folders: &Folders, format: Format) -> Result<ExitCode> {
    let made = frozen::freeze(&folders.topology_dir, &folders.schemas_dir)?;
    match format {
        Format::Json | Format::Ndjson => output::json(&made)?,
        Format::Text if made.is_empty() => output::line("Nothing to freeze: every schema is kept already.")?,
        Format::Text => made.iter().try_for_each(|path| output::line(path.display()))?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn compatibility(place: &Where, part: &str, format: Format) -> Result<ExitCode> {
    let files = desired::read(&place.folders.topology_dir, &place.folders.schemas_dir);
    if !files.problems.is_empty() {
        let problems = spina_rules::source::Problems(files.problems);
        return Err(Failure::new(Exit::Refused, "validation.topology", problems.to_string()).into());
    }
    let registry = RegistryClient::new(&place.reach.registry()?)?;
    let matrices = compatibility::read(&files.desired.subjects, part, &registry).await.map_err(told)?;
    compatibility::print(&matrices, format)?;
    Ok(ExitCode::SUCCESS)
}

impl Folders {
    /// How the older events of a context are read; `None` if it is not declared there.
    pub fn readings(&self, context: &ContextName) -> Result<Option<Readings>> {
        if !self.topology_dir.join(context.as_str()).join(CONTEXT_FILE).exists() {
            return Ok(None);
        }
        let contexts = context::load_all(&self.topology_dir)?;
        let Some(def) = contexts.iter().find(|def| def.name == *context) else { return Ok(None) };
        let past = frozen::Past::read(def, &self.topology_dir, &self.schemas_dir);
        let past = past.map_err(spina_rules::source::Problems)?;
        Ok(Some(past.readings().clone()))
    }
}

/// Files and servers, compared.
enum Prepared {
    /// There are problems.
    Refused(Plan),
    /// The plan can be carried out.
    Ready(Box<Ready>),
}

async fn prepare(
    kafka: &str,
    registry_url: &str,
    connect: Option<Connect>,
    topology_dir: &Path,
    schemas_dir: &Path,
) -> Result<Prepared> {
    let Files { desired, warnings, problems } = desired::read(topology_dir, schemas_dir);
    let compared = compare(&desired, kafka, registry_url, connect).await;
    let (mut plan, found) = match compared {
        Ok((plan, actual, servers)) => (plan, Some((actual, servers))),
        // The files' problems are worth telling even where there is no server to compare them with.
        Err(_) if !problems.is_empty() => (Plan::default(), None),
        Err(error) => return Err(error),
    };
    plan.warnings.extend(warnings);
    plan.problems.extend(problems);
    plan.sort();
    match found {
        Some((actual, servers)) if plan.problems.is_empty() => {
            Ok(Prepared::Ready(Box::new(Ready { desired, plan, actual, servers })))
        }
        Some(_) | None => Ok(Prepared::Refused(plan)),
    }
}

async fn compare(
    desired: &Desired,
    kafka: &str,
    registry_url: &str,
    connect: Option<Connect>,
) -> Result<(Plan, Actual, Servers)> {
    let log = LogConfig::new(kafka, "spina-topology");
    let admin = Admin::connect(&log).await.map_err(|error| absent(&error.into()))?;
    let servers = Servers { log, admin, registry: RegistryClient::new(registry_url)?, connect };
    let actual = actual::read(desired, &servers).await.map_err(told)?;
    Ok((diff::diff(desired, &actual), actual, servers))
}

/// An error of asking servers, as one that passes where the registry is not there.
fn told(error: anyhow::Error) -> anyhow::Error {
    let passing = error.downcast_ref().is_some_and(RegistryError::is_transient);
    if passing { absent(&error) } else { error }
}

/// A server that is not there, or not yet.
fn absent(error: &anyhow::Error) -> anyhow::Error {
    let failure = Failure::new(Exit::Unavailable, "state.unavailable", format!("{error:#}"));
    failure.help("`spina up` starts the servers, `spina status` shows them").into()
}

fn refusal(plan: &Plan) -> Failure {
    let problems: String = plan.problems.iter().map(|problem| format!("\n  {problem}")).collect();
    let message = format!("{}{problems}", render::summary(plan));
    Failure::new(Exit::Refused, "validation.topology", message)
}

struct Servers {
    log: LogConfig,
    admin: Admin,
    registry: RegistryClient,
    /// Where connectors run, if it is known.
    connect: Option<Connect>,
}

impl Servers {
    fn connect(&self) -> Result<&Connect> {
        self.connect.as_ref().context("no Kafka Connect worker is known")
    }
}

/// A plan without problems, and what it takes to carry it out.
struct Ready {
    desired: Desired,
    plan: Plan,
    actual: Actual,
    servers: Servers,
}

impl Ready {
    fn show(&self, format: Format, check: bool) -> Result<ExitCode> {
        match format {
            Format::Text => self.show_text()?,
            Format::Json | Format::Ndjson => output::json(&render::json(&self.plan))?,
        }
        let as_wanted = if check { self.plan.is_clean() } else { self.plan.actions.is_empty() };
        Ok(if as_wanted { ExitCode::SUCCESS } else { ExitCode::from(CHANGES_PENDING) })
    }

    fn show_text(&self) -> Result<()> {
        self.plan.warnings.iter().for_each(|warning| output::note(format!("warning: {warning}")));
        output::line(render::text(&self.plan))
    }

    async fn apply_aloud(&self, format: Format) -> Result<ExitCode> {
        let Applied { counts } = match format {
            Format::Text => {
                self.show_text()?;
                self.apply(|action| output::note(format!("done: {}", render::headline(action)))).await?
            }
            Format::Json | Format::Ndjson => {
                let applied = self.apply(|_| {}).await?;
                output::json(&render::json(&self.plan))?;
                applied
            }
        };
        if format == Format::Text && !self.plan.actions.is_empty() {
            output::line(format!("Applied: {} added, {} changed, 0 removed.", counts.add, counts.change))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn apply(&self, done: impl FnMut(&Action)) -> Result<Applied> {
        carry_out(&self.plan, &self.servers, done).await?;
        let settled = match self.plan.actions.is_empty() {
            true => None,
            false => Some(settle(&self.desired, &self.servers).await?),
        };
        notices::tell(&self.desired, settled.as_ref().unwrap_or(&self.actual), &self.servers).await?;
        Ok(Applied { counts: self.plan.counts() })
    }
}
